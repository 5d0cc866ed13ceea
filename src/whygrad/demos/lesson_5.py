"""Lesson 5: a small network reads digits that were drawn at random; its last step is taken on one mistake.

The digits are drawn here, and are no one's handwriting.
"""

import itertools

import torch
from torch import nn

STROKES = [
    "10 30 41 45 36 16 05 01 10",
    "02 20 26",
    "01 10 30 41 42 06 46",
    "01 10 30 41 42 33 13, 33 44 45 36 16 05",
    "30 04 44, 33 36",
    "40 00 03 33 44 45 36 06",
    "30 11 03 05 16 36 45 44 33 13 04",
    "00 40 16",
    "10 30 41 42 33 13 02 01 10, 13 04 05 16 36 45 44 33",
    "42 33 13 02 01 10 30 41 36",
]
"""For each digit its strokes: the points that they join, each as how far right (0 to 4) and how far down (0 to 6) it lies."""
PIXELS = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)).flip(1)
"""How far right and how far down each pixel lies, (64, 2)."""
MISTAKE = 42
"""The number of a test image that the trained network reads wrong."""


def draw(digit: int, generator: torch.Generator) -> torch.Tensor:
    """A digit moved, slanted, stretched, shifted and thickened at random: (64,), from 0, all paper, to 1, all ink."""
    slant, right, down, width, height, pen = (2 * torch.rand(6, generator=generator) - 1).tolist()
    image = torch.zeros(64)
    for stroke in STROKES[digit].split(","):
        points = torch.tensor([[float(x), float(y)] for x, y in stroke.split()])
        points += 0.35 * torch.randn(points.shape, generator=generator)  # an unsteady hand
        x, y = points[:, 0] - 2, points[:, 1] - 3
        x, y = (1 + width / 4) * (x - slant / 3 * y), (1 + height / 5) * y
        points = torch.stack([3.5 + 0.7 * right + x, 3.5 + 0.7 * down + y], dim=1)
        for a, b in itertools.pairwise(points):
            along = ((PIXELS - a) @ (b - a) / (b - a).square().sum()).clamp(0, 1)
            distance = (PIXELS - a - along[:, None] * (b - a)).norm(dim=1)  # from the line between a and b
            image = torch.maximum(image, 1.1 + 0.3 * pen - distance)
    image += 0.08 * torch.randn(64, generator=generator)  # grey spots
    return (16 * image.clamp(0, 1)).round() / 16


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """500 images, (500, 64), and their labels, (500,); the first 400 are for training."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (500,), generator=generator)
    return torch.stack([draw(int(label), generator) for label in labels.tolist()]), labels


# Drawn when this file is read, so that a record of `train` begins with the network.
IMAGES, LABELS = digits()


class Net(nn.Module):
    """64 pixels, 16 hidden units with ReLU, a score for each of ten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 16)
        self.relu = nn.ReLU()
        self.output = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.relu(self.hidden(x)))


def train(steps: int = 200) -> Net:
    """`steps` mini-batches of 20, lr 0.5, and one step on the mistake, lr 0.02."""
    torch.manual_seed(0)
    test_images, test_labels = IMAGES[400:], LABELS[400:]
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(steps + 1):
        if step < steps:
            chosen = torch.randint(400, (20,))
            x, label = IMAGES[chosen], LABELS[chosen]
        else:
            x, label = test_images[MISTAKE : MISTAKE + 1], test_labels[MISTAKE : MISTAKE + 1]
            optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        logits = model(x)
        log_p = nn.functional.log_softmax(logits, dim=1)
        loss = nn.functional.nll_loss(log_p, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    print(train())
