"""Lesson 8: a tiny transformer learns to say the letter before, by looking one place back."""

import math

import torch
from torch import nn

LETTERS = "abcde"
LENGTH = 6


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random texts and at each place the letter one place before; both (size, LENGTH), the numbers of letters."""
    text = torch.randint(len(LETTERS), (size, LENGTH))
    answer = torch.cat([text[:, :1], text[:, :-1]], dim=1)
    return text, answer


class Scores(nn.Module):
    """query · keyᵀ / √d, −∞ for what comes later. In (n, L, d), out (n, L, L)."""

    def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        later = torch.ones(LENGTH, LENGTH).triu(1).bool()
        return scores.masked_fill(later, -math.inf)


class Attention(nn.Module):
    """softmax(scores) · value. In and out (n, L, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 4, bias=False)
        self.key = nn.Linear(8, 4, bias=False)
        self.value = nn.Linear(8, 8, bias=False)
        self.scores = Scores()
        self.weights = nn.Softmax(dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.scores(self.query(x), self.key(x))
        return self.weights(scores) @ self.value(x)


class Transformer(nn.Module):
    """Embeddings, one attention with a residual connection, a norm, a linear layer. In (n, L), out (n, L, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), 8)
        self.place = nn.Embedding(LENGTH, 8)
        self.attention = Attention()
        self.norm = nn.LayerNorm(8)
        self.output = nn.Linear(8, len(LETTERS))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        x = self.letter(text) + self.place(torch.arange(LENGTH))
        return self.output(self.norm(x + self.attention(x)))


def train(steps: int = 200) -> Transformer:
    """`steps` steps of Adam with 16 texts each."""
    torch.manual_seed(0)
    batch(2)  # the lesson looks at two texts first; without them, all later numbers would be others
    model = Transformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        text, answer = batch(16)
        logits = model(text)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), answer.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    print(train())
