"""A plain PyTorch loop on a ring of Gaussians in which anything can be planted, for the tests of the Monitor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

from tightrope.monitor import Monitor

LATENT, BATCH = 4, 32
NO_CLAIM = object()


def ring(n: int, rng: torch.Generator) -> Tensor:
    """Eight Gaussians on the unit circle."""
    angle = torch.randint(8, (n,), generator=rng) * torch.pi / 4
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2, generator=rng)


def mlp(*sizes: int, act: Callable[[], nn.Module] = nn.ReLU, norm: bool = False, drop: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(a, b))
        if k < len(sizes) - 2:
            layers += [nn.BatchNorm1d(b)] if norm else []
            layers += [act()] + ([nn.Dropout(drop)] if drop else [])
    return nn.Sequential(*layers)


def bce(scores: Tensor, target: float) -> Tensor:
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


CRITIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "non_saturating": lambda r, f: bce(r, 1.0) + bce(f, 0.0),
    "hinge": lambda r, f: relu(1 - r).mean() + relu(1 + f).mean(),
    "wasserstein": lambda r, f: f.mean() - r.mean(),
    "least_squares": lambda r, f: ((r - 1) ** 2).mean() + (f**2).mean(),
    "relativistic": lambda r, f: softplus(f - r).mean(),
}
GENERATOR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "non_saturating": lambda f, r: bce(f, 1.0),
    "hinge": lambda f, r: -f.mean(),
    "wasserstein": lambda f, r: -f.mean(),
    "least_squares": lambda f, r: ((f - 1) ** 2).mean(),
    "relativistic": lambda f, r: softplus(r - f).mean(),
}


def interpolates(real: Tensor, fake: Tensor) -> Tensor:
    e = torch.rand(len(real), *([1] * (real.dim() - 1)))
    return (e * real + (1 - e) * fake.detach()).requires_grad_()


def slopes(critic: nn.Module, x: Tensor, create_graph: bool = True) -> Tensor:
    s = critic(x)
    (g,) = torch.autograd.grad(s, x, torch.ones_like(s), create_graph=create_graph)
    return g


@dataclass
class Loop:
    """One training; every field is a way to plant a fault or an oddity."""

    loss: str = "non_saturating"
    claim: Any = None
    penalty: Any = None
    steps: int = 14
    seed: int = 0
    n_critic: int = 1
    rates: tuple[float, float] = (1e-3, 1e-3)
    generator: nn.Module | None = None
    critic: nn.Module | None = None
    critic_loss: Callable[[Tensor, Tensor], Tensor] | None = None
    generator_loss: Callable[[Tensor, Tensor], Tensor] | None = None
    extra: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None
    generator_extra: Callable[[Tensor, Tensor], Tensor] | None = None
    zero_critic: bool = True
    zero_generator: bool = True
    zero_critic_after: bool = False
    detach_for_critic: bool = True
    detach_for_generator: bool = False
    after_critic: Callable[[nn.Module], None] | None = None
    before_step: Callable[[list[Tensor]], None] | None = None
    batch: Callable[[int, torch.Generator], Tensor] = ring
    latents: Callable[[int], Tensor] = lambda n: torch.randn(n, LATENT)
    joint: bool = False
    optimizer: Any = torch.optim.Adam
    tell: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    watch: bool = True
    tweak: Callable[[Loop], None] | None = None

    def run(self) -> Monitor | None:
        torch.manual_seed(self.seed)
        rng = torch.Generator().manual_seed(self.seed + 1)
        self.g = self.generator or mlp(LATENT, 16, 2)
        self.d = self.critic or mlp(2, 16, 1)
        both = {"betas": (0.5, 0.9)} if self.optimizer is torch.optim.Adam else {}
        self.opt_g = self.optimizer(self.g.parameters(), self.rates[0], **both)
        self.opt_d = self.optimizer(self.d.parameters(), self.rates[1], **both)
        if self.tweak:
            self.tweak(self)
        monitor = None
        if self.watch:
            told = {"optimizers": (self.opt_g, self.opt_d)} if self.tell else {}
            monitor = Monitor(
                self.g, self.d, loss=None if self.claim is NO_CLAIM else self.claim or self.loss,
                penalty=self.penalty, every=5, budget=1e9,
                **(told | self.options),
            )  # fmt: skip
        for step in range(self.steps):
            self.number = step
            for _ in range(self.n_critic):
                real = self.batch(BATCH, rng)
                self._critic(real)
            z = self.latents(BATCH)
            self._generator(z, real)
            if monitor is not None:
                monitor.step(real, z)
        return monitor

    def _critic(self, real: Tensor) -> None:
        if self.zero_critic:
            self.opt_d.zero_grad()
        fake = self.g(self.latents(len(real)))
        if self.detach_for_critic:
            fake = fake.detach()
        if self.joint:
            both = self.d(torch.cat([real, fake]))
            d_real, d_fake = both[: len(real)], both[len(real) :]
        else:
            d_real, d_fake = self.d(real), self.d(fake)
        loss = (self.critic_loss or CRITIC[self.loss])(d_real, d_fake)
        if self.extra is not None:
            loss = loss + self.extra(self.d, real, fake)
        loss.backward()
        if self.before_step:
            self.before_step(list(self.d.parameters()))
        self.opt_d.step()
        if self.zero_critic_after:
            self.opt_d.zero_grad()
        if self.after_critic:
            self.after_critic(self.d)

    def _generator(self, z: Tensor, real: Tensor) -> None:
        if self.zero_generator:
            self.opt_g.zero_grad()
        fake = self.g(z)
        shown = fake.detach() if self.detach_for_generator else fake
        d_fake = self.d(shown)
        d_real = self.d(real) if self.loss == "relativistic" else d_fake
        loss = (self.generator_loss or GENERATOR[self.loss])(d_fake, d_real)
        if self.generator_extra is not None:
            loss = loss + self.generator_extra(fake, real)
        loss.backward()
        self.opt_g.step()


def gp(weight: float = 10.0, **options: Any) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    def penalty(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        g = slopes(d, interpolates(real, fake), options.get("create_graph", True))
        size = g.norm(2, dim=options.get("dim", 1))
        excess = size - options.get("target", 1.0)
        value = excess.clamp(min=0) ** 2 if options.get("one_sided") else excess**2
        value = value.mean()
        return weight * (value.detach() if options.get("detach") else value)

    return penalty


def r1(weight: float = 1.0, at: str = "real", **options: Any) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    def penalty(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        x = (real if at == "real" else fake).detach().clone().requires_grad_()
        return 0.5 * weight * slopes(d, x).flatten(1).square().sum(1).mean()

    return penalty


def lazily(every: int, penalty: Callable[..., Tensor]) -> Callable[..., Tensor]:
    calls = [0]

    def due(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        calls[0] += 1
        return every * penalty(d, real, fake) if (calls[0] - 1) % every == 0 else real.new_zeros(())

    return due


def clamp(limit: float) -> Callable[[nn.Module], None]:
    def clip(d: nn.Module) -> None:
        for p in d.parameters():
            p.data.clamp_(-limit, limit)

    return clip


class Sigmoid(nn.Sequential):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner, nn.Sigmoid())


def fixed(batch: Tensor) -> Callable[..., Tensor]:
    return lambda *_: batch


def sorted_ring() -> Callable[[int, torch.Generator], Tensor]:
    count = [0]

    def batch(n: int, rng: torch.Generator) -> Tensor:
        count[0] += 1
        angle = torch.tensor(count[0] * torch.pi / 4)
        return torch.stack([angle.cos(), angle.sin()]).repeat(n, 1) + 0.05 * torch.randn(n, 2, generator=rng)

    return batch


def spectral(critic: nn.Module, skip: int = 0) -> nn.Module:
    layers = [m for m in critic if isinstance(m, nn.Linear)]
    for layer in layers[: len(layers) - skip]:
        nn.utils.parametrizations.spectral_norm(layer)
    return critic


def follow(rate: Callable[[float], float]) -> Callable[[Loop], None]:
    """Rates as a function of the number of the update."""

    def tweak(loop: Loop) -> None:
        groups = [group for o in (loop.opt_g, loop.opt_d) for group in o.param_groups]
        loop.after_critic = lambda _: [group.update(lr=1e-3 * rate(loop.number)) for group in groups] and None

    return tweak


def swap_optimizers(loop: Loop) -> None:
    loop.opt_g = torch.optim.Adam(loop.d.parameters(), 1e-3)


def hold_both(loop: Loop) -> None:
    loop.opt_g = torch.optim.Adam([*loop.g.parameters(), *loop.d.parameters()], 1e-3)


def stale_optimizer(loop: Loop) -> None:
    loop.opt_g = torch.optim.Adam(mlp(LATENT, 16, 2).parameters(), 1e-3)


def part_optimizer(loop: Loop) -> None:
    loop.opt_d = torch.optim.Adam(list(loop.d.parameters())[2:], 1e-3)


def freeze_part(loop: Loop) -> None:
    for p in list(loop.d.parameters())[:-1]:
        p.requires_grad_(False)


def freeze_first(loop: Loop) -> None:
    next(loop.d.parameters()).requires_grad_(False)


def in_turns(loop: Loop) -> None:
    """The critic's first layer has an optimiser of its own that steps in every fourth update."""
    first, rest = list(loop.d.parameters())[:2], list(loop.d.parameters())[2:]
    loop.opt_d, seldom = torch.optim.Adam(rest, 1e-3), torch.optim.Adam(first, 1e-3)

    def after(_: nn.Module) -> None:
        if loop.number % 4 == 0:
            seldom.step()
        seldom.zero_grad()

    loop.after_critic = after


def evaluate(which: str) -> Callable[[Loop], None]:
    return lambda loop: getattr(loop, which).eval() and None


class Noisy(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + 0.1 * torch.randn_like(x))


def build(case: dict[str, Any], **more: Any) -> Loop:
    """A fresh loop of a case: what is written as a function without arguments is called."""
    case = {**case, **more}
    torch.manual_seed(7)
    for name in ("generator", "critic"):
        if callable(case.get(name)) and not isinstance(case[name], nn.Module):
            case[name] = case[name]()
    if getattr(case.get("extra"), "__code__", None) is not None and case["extra"].__code__.co_argcount == 0:
        case["extra"] = case["extra"]()
    loop = Loop(**{k: v for k, v in case.items() if k != "claim"})
    if case.get("claim") == "none":
        loop.claim = NO_CLAIM
    if (spread := loop.options.get("sample")) is not None:
        loop.options = {"sample": lambda: loop.g(spread * torch.randn(64, LATENT))}
    return loop
