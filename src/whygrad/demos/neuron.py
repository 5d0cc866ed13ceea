"""One neuron learns to say 1: a weight, a bias, twenty steps. Every number fits on a page."""

import torch
from torch import nn


class Net(nn.Module):
    """prediction = weight · x + bias."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def train(dtype: torch.dtype = torch.float16, steps: int = 20, lr: float = 0.1) -> Net:
    """`steps` steps of SGD, the optimizer made anew for each, as the notebook does it."""
    torch.manual_seed(0)
    net = Net().to(dtype)
    x = torch.tensor([1.0], dtype=dtype)
    target = torch.tensor([1.0], dtype=dtype)
    for _ in range(steps):
        optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        prediction = net(x)
        loss = nn.MSELoss()(prediction, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return net


if __name__ == "__main__":
    print(dict(train().named_parameters()))
