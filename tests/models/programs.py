"""Training programs of many kinds, small and seeded: each `train()` makes a model, trains it for a step or two, and returns
its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Parameters = list[Tensor]


def _adamw(*modules: nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW([p for m in modules for p in m.parameters()], lr=1e-2)


def _all(*modules: nn.Module) -> Parameters:
    return [p for m in modules for p in m.parameters()]


class UNet(nn.Module):
    """Down by a strided convolution, up by a transposed one, the two joined; group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
        self.down = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.GroupNorm(4, 8), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.last(torch.cat([first, self.up(self.down(first))], 1))


def unet() -> Parameters:
    model = UNet()
    optimizer = _adamw(model)
    loss = F.binary_cross_entropy_with_logits(model(torch.randn(2, 1, 8, 8)), torch.rand(2, 1, 8, 8).round())
    loss.backward()
    optimizer.step()
    return _all(model)


def language_model() -> Parameters:
    """A recurrent one whose last layer's weights are its embedding's; gradients clipped."""
    embedding, rnn, head = nn.Embedding(11, 6), nn.GRU(6, 6, batch_first=True), nn.Linear(6, 11, bias=False)
    head.weight = embedding.weight
    optimizer = torch.optim.SGD({*embedding.parameters(), *rnn.parameters(), *head.parameters()}, lr=0.5)
    words = torch.randint(0, 11, (3, 6))
    logits = head(rnn(embedding(words[:, :-1]))[0])
    F.cross_entropy(logits.flatten(0, 1), words[:, 1:].flatten()).backward()
    nn.utils.clip_grad_norm_([*embedding.parameters(), *rnn.parameters()], 0.1)
    optimizer.step()
    return _all(embedding, rnn)


def gan() -> Parameters:
    """A step of each side, with a spectral norm and a leaky ReLU."""
    generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2), nn.Tanh())
    critic = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 8)), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    of_generator, of_critic = _adamw(generator), _adamw(critic)
    real, noise = torch.randn(4, 2), torch.randn(4, 3)
    ones, zeros = torch.ones(4, 1), torch.zeros(4, 1)
    fake = generator(noise)
    judged = F.binary_cross_entropy_with_logits(critic(real), ones)
    (judged + F.binary_cross_entropy_with_logits(critic(fake.detach()), zeros)).backward()
    of_critic.step()
    of_generator.zero_grad()
    F.binary_cross_entropy_with_logits(critic(fake), ones).backward()
    of_generator.step()
    return _all(generator, critic)


def vae() -> Parameters:
    """Reparametrized: z = μ + σ·ε; the loss has Kullback and Leibler's divergence."""
    encoder, decoder = nn.Linear(6, 4), nn.Linear(2, 6)
    optimizer = _adamw(encoder, decoder)
    x = torch.rand(5, 6)
    mean, logarithm = encoder(x).chunk(2, 1)
    z = mean + (0.5 * logarithm).exp() * torch.randn_like(mean)
    divergence = -0.5 * (1 + logarithm - mean.pow(2) - logarithm.exp()).sum()
    (F.mse_loss(decoder(z).sigmoid(), x, reduction="sum") + divergence).backward()
    optimizer.step()
    return _all(encoder, decoder)


class Residual(nn.Module):
    """A block of ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))).relu()


def resnet() -> Parameters:
    """Channels last, with max pooling and Nesterov's momentum."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.MaxPool2d(2),
        Residual(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    ).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(x), torch.tensor([1, 4]), label_smoothing=0.1).backward()
        optimizer.step()
    return _all(model)


def mobilenet() -> Parameters:
    """A convolution of each channel by itself, hardswish, and channels weighed by their means."""
    wide = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
    depth = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
    weigh = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU6(), nn.Conv2d(4, 8, 1), nn.Hardsigmoid())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, 5))
    optimizer = torch.optim.RMSprop(_all(wide, depth, weigh, head), lr=1e-3, momentum=0.9)
    made = depth(wide(torch.randn(2, 3, 8, 8)))
    F.cross_entropy(head(made * weigh(made)), torch.tensor([0, 3])).backward()
    optimizer.step()
    return _all(wide, depth, weigh, head)


def graph() -> Parameters:
    """Messages along edges, added up where they arrive; attention over each node's edges."""
    first, second, score = nn.Linear(3, 6), nn.Linear(6, 2), nn.Linear(6, 1)
    optimizer = _adamw(first, second, score)
    nodes = torch.randn(6, 3)
    source, target = torch.tensor([0, 1, 2, 3, 4, 5, 0, 2]), torch.tensor([1, 2, 0, 0, 5, 4, 3, 1])
    hidden = first(nodes).relu()
    around = torch.zeros_like(hidden).index_add(0, target, hidden[source])
    degree = torch.zeros(6).scatter_add(0, target, torch.ones(8)).clamp(min=1)
    weight = score(hidden[source]).squeeze(1).exp()
    total = torch.zeros(6).scatter_reduce(0, target, weight, "sum")
    mixed = torch.zeros_like(hidden).index_add(0, target, hidden[source] * (weight / total[target]).unsqueeze(1))
    logits = second(around / degree.unsqueeze(1) + mixed)
    F.nll_loss(logits.log_softmax(1), torch.tensor([0, 1, 0, 1, 1, 0])).backward()
    optimizer.step()
    return _all(first, second, score)


def recommender() -> Parameters:
    """Bags of words and users looked up; sparse gradients and the optimizer that takes them."""
    bags, users, mix = (
        nn.EmbeddingBag(12, 4, mode="sum", sparse=True), nn.Embedding(7, 4, sparse=True), nn.Linear(8, 1)
    )  # fmt: skip
    sparse = torch.optim.SparseAdam([*bags.parameters(), *users.parameters()], lr=0.1)
    dense = torch.optim.Adagrad(mix.parameters(), lr=0.1)
    items, offsets, who = torch.tensor([1, 2, 4, 5, 4, 3, 2, 9]), torch.tensor([0, 3, 5]), torch.tensor([6, 0, 6])
    guess = mix(torch.cat([bags(items, offsets), users(who)], 1)).squeeze(1)
    F.binary_cross_entropy_with_logits(guess, torch.tensor([1.0, 0.0, 1.0])).backward()
    sparse.step()
    dense.step()
    return _all(bags, users, mix)


def contrastive() -> Parameters:
    """Two views of each example against all others (InfoNCE)."""
    tower = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 4))
    temperature = nn.Parameter(torch.tensor(math.log(10.0)))
    optimizer = torch.optim.AdamW([*tower.parameters(), temperature], lr=1e-2)
    x = torch.randn(4, 5)
    one = F.normalize(tower(x + 0.1 * torch.randn_like(x)), dim=-1)
    other = F.normalize(tower(x + 0.1 * torch.randn_like(x)), dim=-1)
    scores = torch.einsum("id,jd->ij", one, other) * temperature.exp()
    (scores.logsumexp(1) - scores.diagonal()).mean().backward()
    optimizer.step()
    return [*_all(tower), temperature]


def speech() -> Parameters:
    """Connectionist temporal classification over a convolution and a recurrent layer in both directions."""
    front, rnn, head = nn.Conv1d(4, 6, 3, stride=2, padding=1), nn.LSTM(6, 4, bidirectional=True), nn.Linear(8, 5)
    optimizer = torch.optim.Adam(_all(front, rnn, head), lr=1e-2)
    sound = torch.randn(2, 4, 16)
    hidden = rnn(front(sound).relu().permute(2, 0, 1))[0]
    spoken = torch.tensor([[1, 2, 2], [3, 4, 0]])
    loss = F.ctc_loss(head(hidden).log_softmax(-1), spoken, torch.tensor([8, 7]), torch.tensor([3, 2]))
    loss.backward()
    optimizer.step()
    return _all(front, rnn, head)


def physics() -> Parameters:
    """u″ = −u on some points, u(0) = 0: derivatives of the network by autograd, then of those."""
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
    x = torch.linspace(0, 1, 7).unsqueeze(1).requires_grad_()

    def closure() -> Tensor:
        optimizer.zero_grad()
        u = model(x)
        (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        loss = (second + u).square().mean() + model(torch.zeros(1, 1)).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return _all(model)


def policy() -> Parameters:
    """Policy gradient: actions drawn from a distribution, weighed by what they brought; entropy kept up."""
    actor, critic = nn.Linear(4, 3), nn.Linear(4, 1)
    optimizer = _adamw(actor, critic)
    seen = torch.randn(6, 4)
    choice = torch.distributions.Categorical(logits=actor(seen))
    action = choice.sample()
    reward = (action == seen.argmax(1).clamp(max=2)).float()
    returns = reward.flip(0).cumsum(0).flip(0)
    value = critic(seen).squeeze(1)
    advantage = (returns - value).detach()
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    loss = -(choice.log_prob(action) * advantage).mean() - 0.01 * choice.entropy().mean()
    (loss + F.smooth_l1_loss(value, returns)).backward()
    optimizer.step()
    return _all(actor, critic)


def diffusion() -> Parameters:
    """Denoising with sinusoidal times, attention and an average of the weights."""
    width, heads = 8, nn.MultiheadAttention(8, 2, batch_first=True)
    lift, drop = nn.Linear(3, width), nn.Linear(width, 3)
    average = torch.optim.swa_utils.AveragedModel(drop, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    optimizer = _adamw(heads, lift, drop)
    x, noise, time = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.tensor([0.2, 0.7])
    angles = time.unsqueeze(1) * torch.exp(torch.arange(0, width, 2) * (-math.log(1000.0) / width))
    when = torch.cat([angles.sin(), angles.cos()], 1).unsqueeze(1)
    hidden = lift(torch.sqrt(1 - time)[:, None, None] * x + torch.sqrt(time)[:, None, None] * noise) + when
    hidden = hidden + heads(hidden, hidden, hidden, need_weights=False)[0]
    F.huber_loss(drop(hidden), noise).backward()
    optimizer.step()
    average.update_parameters(drop)
    return _all(heads, lift, drop, average)


def metric() -> Parameters:
    """Triplets by distances of all pairs, hardest first; weight norm."""
    tower = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 6)), nn.Softplus(), nn.Linear(6, 3))
    optimizer = torch.optim.NAdam(tower.parameters(), lr=1e-2)
    points = tower(torch.randn(6, 5))
    distance = torch.cdist(points, points)
    same = torch.tensor([0, 0, 1, 1, 2, 2]).unsqueeze(0) == torch.tensor([0, 0, 1, 1, 2, 2]).unsqueeze(1)
    farthest = distance.masked_fill(~same, -torch.inf).max(1).values
    nearest = distance.masked_fill(same, torch.inf).topk(2, dim=1, largest=False).values.mean(1)
    F.relu(farthest - nearest + 0.3).mean().backward()
    optimizer.step()
    return _all(tower)


def experts() -> Parameters:
    """A mixture: each row goes to the two experts that its gate likes best."""
    gate, layers = nn.Linear(4, 3, bias=False), nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    optimizer = torch.optim.Adam(_all(gate, layers), lr=1e-2)
    x = torch.randn(6, 4)
    weight, chosen = gate(x).softmax(-1).topk(2)
    weight = weight / weight.sum(-1, keepdim=True)
    out = torch.zeros_like(x)
    for number, layer in enumerate(layers):
        row, place = torch.where(chosen == number)
        out.index_add_(0, row, layer(x[row]) * weight[row, place].unsqueeze(1))
    F.mse_loss(out, x.roll(1, 0)).backward()
    optimizer.step()
    return _all(gate, layers)


def _named(*programs: Callable[[], Parameters]) -> Mapping[str, Callable[[], Parameters]]:
    return {program.__name__: program for program in programs}


PROGRAMS = _named(
    unet, language_model, gan, vae, resnet, mobilenet, graph, recommender, contrastive, speech, physics, policy, diffusion,
    metric, experts,
)  # fmt: skip


def run(program: Callable[[], Parameters]) -> list[Tensor]:
    """A program's parameters after its training, by a fixed seed; the caller's generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [parameter.detach().clone() for parameter in program()]


def equal(ones: Iterable[Any], others: Iterable[Any]) -> bool:
    """Whether all tensors have the same bits."""
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))
