"""Lesson 2: one neuron, a batch of four examples that do not agree, and a loss that is their mean."""

import torch
from torch import nn


class Net(nn.Module):
    """prediction = weight · x + bias."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def train(steps: int = 300, lr: float = 0.2) -> Net:
    """`steps` steps of SGD on all four examples at once; x and target have the shape (4, 1)."""
    torch.manual_seed(0)
    x = torch.tensor([[0.0], [0.7], [1.4], [2.1]])
    target = torch.tensor([[0.0], [3.0], [2.0], [5.0]])
    model = Net()
    loss_function = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        prediction = model(x)
        loss = loss_function(prediction, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    print(dict(train().named_parameters()))
