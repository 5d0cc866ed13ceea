"""A network of two layers learns XOR: two inputs, four hidden units with tanh, one output."""

import torch
from torch import nn


class Net(nn.Module):
    """Two inputs, four tanh units, one output."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 4)
        self.output = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.tanh(self.hidden(x)))


def train(dtype: torch.dtype = torch.float32, steps: int = 200, lr: float = 0.5) -> Net:
    """`steps` steps of SGD on all four rows of the truth table at once."""
    torch.manual_seed(0)
    net = Net().to(dtype)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=dtype)
    target = torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        prediction = net(x)
        loss = nn.functional.mse_loss(prediction, target)
        loss.backward()
        optimizer.step()
    return net


if __name__ == "__main__":
    print(dict(train().named_parameters()))
