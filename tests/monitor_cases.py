"""Plain PyTorch loops on a ring of Gaussians, each with at most one fault planted, for the tests of the Monitor."""

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


def swap_optimizers(loop: Loop) -> None:
    loop.opt_g = torch.optim.Adam(loop.d.parameters(), 1e-3)


def stale_optimizer(loop: Loop) -> None:
    loop.opt_g = torch.optim.Adam(mlp(LATENT, 16, 2).parameters(), 1e-3)


def part_optimizer(loop: Loop) -> None:
    loop.opt_d = torch.optim.Adam(list(loop.d.parameters())[2:], 1e-3)


def freeze_part(loop: Loop) -> None:
    next(loop.d.parameters()).requires_grad_(False)


def evaluate(which: str) -> Callable[[Loop], None]:
    return lambda loop: getattr(loop, which).eval() and None


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "critic ascends": ("critic_sign_flipped", {"critic_loss": lambda r, f: -(bce(r, 1.0) + bce(f, 0.0))}),
    "critic's labels exchanged": ("critic_sign_flipped", {"critic_loss": lambda r, f: bce(r, 0.0) + bce(f, 1.0)}),
    "wgan critic turned": (
        "critic_sign_flipped",
        {
            "loss": "wasserstein",
            "critic_loss": lambda r, f: r.mean() - f.mean(),
            "after_critic": clamp(0.1),
            "penalty": ("clip", 0.1),
        },
    ),
    "one half of the critic turned": (
        "critic_sign_flipped",
        {"loss": "hinge", "critic_loss": lambda r, f: relu(1 + r).mean() + relu(1 + f).mean()},
    ),
    "lsgan targets exchanged": (
        "critic_sign_flipped",
        {"loss": "least_squares", "critic_loss": lambda r, f: (r**2).mean() + ((f - 1) ** 2).mean()},
    ),
    "generator turned": ("generator_sign_flipped", {"generator_loss": lambda f, r: bce(f, 0.0)}),
    "hinge generator turned": ("generator_sign_flipped", {"loss": "hinge", "generator_loss": lambda f, r: f.mean()}),
    "saturating generator": ("generator_loss_other", {"generator_loss": lambda f, r: -bce(f, 0.0)}),
    "real half missing": ("critic_real_half_missing", {"critic_loss": lambda r, f: bce(f, 0.0)}),
    "fake half missing": ("critic_fake_half_missing", {"critic_loss": lambda r, f: bce(r, 1.0)}),
    "hinge claimed, wasserstein used": (
        "critic_loss_other",
        {"loss": "hinge", "critic_loss": lambda r, f: 3 * (f.mean() - r.mean()), "rates": (1e-3, 2e-2)},
    ),
    "sigmoid twice": ("double_sigmoid", {"critic": lambda: Sigmoid(mlp(2, 16, 1))}),
    "wgan with sigmoid": (
        "probability_as_score",
        {
            "loss": "wasserstein",
            "critic": lambda: Sigmoid(mlp(2, 16, 1)),
            "penalty": ("clip", 0.1),
            "after_critic": clamp(0.1),
        },
    ),
    "rectified scores": (
        "rectified_scores",
        {"loss": "hinge", "critic": lambda: nn.Sequential(mlp(2, 16, 1), nn.ReLU())},
    ),
    "tanh scores": ("bounded_scores", {"critic": lambda: nn.Sequential(mlp(2, 16, 1), nn.Tanh())}),
    "critic not cleared": ("critic_gradient_accumulated", {"zero_critic": False}),
    "generator not cleared": ("generator_gradient_accumulated", {"zero_generator": False}),
    "generator left in critic": ("generator_gradient_in_critic", {"zero_critic": False, "zero_critic_after": True}),
    "generator cut": ("generator_detached", {"detach_for_generator": True}),
    "generator cut behind a reconstruction": (
        "generator_loss_without_critic",
        {"detach_for_generator": True, "generator_extra": lambda f, r: (f - r).square().mean()},
    ),
    "gp without graph": (
        "penalty_detached",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(create_graph=False)},
    ),
    "gp detached": (
        "penalty_detached",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(detach=True), "rates": (1e-3, 3e-2)},
    ),
    "gp forgotten": ("penalty_absent", {"loss": "wasserstein", "penalty": ("gp", 10.0)}),
    "r1 forgotten": ("penalty_absent", {"penalty": ("r1", 1.0), "steps": 40}),
    "gp of weight .1": ("penalty_weight_wrong", {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(0.1)}),
    "gp of weight 1000": (
        "penalty_weight_wrong",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(1000.0)},
    ),
    "gp centred at 0": (
        "penalty_other_kind",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(target=0.0)},
    ),
    "gp over axis 0": ("penalty_norm_axes", {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(dim=0)}),
    "r1 at fakes": ("penalty_other_place", {"penalty": ("r1", 1.0), "extra": r1(1.0, "fake")}),
    "clip absent": ("clip_absent", {"loss": "wasserstein", "penalty": ("clip", 0.01)}),
    "clip ten times": ("clip_other", {"loss": "wasserstein", "penalty": ("clip", 0.01), "after_critic": clamp(0.1)}),
    "spectral norm missing": ("constraint_missing", {"loss": "hinge", "penalty": "spectral_norm"}),
    "spectral norm on a part": (
        "constraint_partial",
        {"loss": "hinge", "penalty": "spectral_norm", "critic": lambda: spectral(mlp(2, 16, 16, 1), skip=2)},
    ),
    "penalty under batch norm": (
        "penalty_under_batch_norm",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "critic": lambda: mlp(2, 16, 1, norm=True)},
    ),
    "optimisers swapped": ("optimizer_other_player", {"tweak": swap_optimizers}),
    "optimisers swapped, untold": ("optimizer_other_player", {"tweak": swap_optimizers, "tell": False}),
    "optimiser of a copy": ("optimizer_wrong_parameters", {"tweak": stale_optimizer}),
    "optimiser of a copy, untold": ("optimizer_wrong_parameters", {"tweak": stale_optimizer, "tell": False}),
    "optimiser of a part": ("optimizer_misses_parameters", {"tweak": part_optimizer}),
    "part frozen": ("critic_frozen", {"tweak": freeze_part}),
    "rate zero": ("learning_rate_zero", {"rates": (0.0, 1e-3)}),
    "critic in eval mode": (
        "eval_mode_in_training",
        {"critic": lambda: mlp(2, 16, 1, drop=0.3), "tweak": evaluate("d")},
    ),
    "generator in eval mode": (
        "eval_mode_in_training",
        {"generator": lambda: mlp(LATENT, 16, 2, norm=True), "tweak": evaluate("g")},
    ),
    "data in 0..255": (
        "data_range",
        {
            "generator": lambda: nn.Sequential(mlp(LATENT, 16, 2), nn.Tanh()),
            "batch": lambda n, rng: 127 * (1 + ring(n, rng)),
        },
    ),
    "generator rectified": (
        "generator_range_rectified",
        {"generator": lambda: nn.Sequential(mlp(LATENT, 16, 2), nn.ReLU())},
    ),
    "same batch": ("batch_repeated", {"batch": fixed(ring(BATCH, torch.Generator().manual_seed(3)))}),
    "ordered": ("unshuffled", {"batch": sorted_ring(), "steps": 30}),
    "same latents": (
        "latents_reused",
        {"latents": fixed(torch.randn(BATCH, LATENT, generator=torch.Generator().manual_seed(3)))},
    ),
    "other latents in sampling": (
        "latent_mismatch",
        {"latents": lambda n: torch.rand(n, LATENT), "options": {"sample": "normal"}},
    ),
    "not a number": ("non_finite", {"extra": lambda d, r, f: (d(r).mean() - d(r).mean()).sqrt()}),
}
"""Name -> (cause, how it is planted)."""

HARMLESS: dict[str, dict[str, Any]] = {
    **{f"plain {loss}": {"loss": loss} for loss in CRITIC if loss != "wasserstein"},
    "wgan-gp": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "n_critic": 3},
    "wgan-gp, untold": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "tell": False},
    "wgan-gp, unclaimed": {"loss": "wasserstein", "extra": gp(), "steps": 40},
    "clip": {
        "loss": "wasserstein",
        "penalty": ("clip", 0.05),
        "after_critic": clamp(0.05),
        "optimizer": torch.optim.RMSprop,
    },
    "r1": {"penalty": ("r1", 1.0), "extra": r1(1.0)},
    "strong r1": {"penalty": ("r1", 100.0), "extra": r1(100.0), "steps": 60},
    "lazy r1": {"penalty": ("r1", 1.0), "extra": lambda: lazily(4, r1(1.0)), "steps": 40},
    "very lazy r1": {"penalty": ("r1", 1.0), "extra": lambda: lazily(16, r1(1.0)), "steps": 40},
    "r1 without the half": {"penalty": ("r1", 1.0), "extra": r1(2.0)},
    "hinge and spectral norm": {
        "loss": "hinge",
        "penalty": "spectral_norm",
        "critic": lambda: spectral(mlp(2, 16, 16, 1)),
        "steps": 40,
    },
    "dropout": {"critic": lambda: mlp(2, 16, 16, 1, drop=0.4)},
    "batch norm everywhere": {
        "generator": lambda: mlp(LATENT, 16, 2, norm=True),
        "critic": lambda: mlp(2, 16, 1, norm=True),
        "steps": 40,
    },
    "probabilities by design": {
        "critic": lambda: Sigmoid(mlp(2, 16, 1)),
        "critic_loss": lambda r, f: -(r.log().mean() + (1 - f).log().mean()),
        "generator_loss": lambda f, r: -f.log().mean(),
    },
    "both signs turned": {
        "critic_loss": lambda r, f: bce(r, 0.0) + bce(f, 1.0),
        "generator_loss": lambda f, r: bce(f, 0.0),
    },
    "both signs of wgan turned": {
        "loss": "wasserstein",
        "penalty": ("clip", 0.1),
        "after_critic": clamp(0.1),
        "critic_loss": lambda r, f: r.mean() - f.mean(),
        "generator_loss": lambda f, r: f.mean(),
    },
    "one-sided": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(one_sided=True), "steps": 30},
    "both signs turned, several critic steps": {
        "loss": "wasserstein",
        "penalty": ("gp", 10.0),
        "extra": gp(),
        "n_critic": 3,
        "critic_loss": lambda r, f: r.mean() - f.mean(),
        "generator_loss": lambda f, r: f.mean(),
    },
    "r1 seldom, inputs always differentiable": {
        "penalty": ("r1", 1.0),
        "extra": lambda: lazily(25, r1(1.0)),
        "batch": lambda n, rng: ring(n, rng).requires_grad_(),
        "steps": 30,
    },
    "no detach for the critic": {"detach_for_critic": False},
    "halves averaged": {"critic_loss": lambda r, f: (bce(r, 1.0) + bce(f, 0.0)) / 2},
    "loss scaled": {
        "critic_loss": lambda r, f: 512 * (bce(r, 1.0) + bce(f, 0.0)),
        "before_step": lambda ps: [p.grad.div_(512) for p in ps],
    },
    "gradients clipped": {"before_step": lambda ps: nn.utils.clip_grad_norm_(ps, 0.01)},
    "gradients clipped by value": {"before_step": lambda ps: nn.utils.clip_grad_value_(ps, 0.001)},
    "labels smoothed": {"critic_loss": lambda r, f: bce(r, 0.9) + bce(f, 0.0)},
    "labels drawn": {
        "critic_loss": lambda r, f: (
            binary_cross_entropy_with_logits(r, 0.8 + 0.3 * torch.rand_like(r))
            + binary_cross_entropy_with_logits(f, 0.2 * torch.rand_like(f))
        )
    },
    "joint batch": {"joint": True},
    "noise before the critic": {"critic": lambda: Noisy(mlp(2, 16, 1))},
    "weight decay": {"optimizer": lambda ps, lr: torch.optim.AdamW(ps, lr, weight_decay=1e-2)},
    "reconstruction beside": {"generator_extra": lambda f, r: 5 * (f - r).square().mean()},
    "penalty on the weights": {"extra": lambda d, r, f: 1e-2 * sum(p.square().sum() for p in d.parameters())},
    "no claim": {"claim": "none"},
    "sgd": {"optimizer": torch.optim.SGD},
}
"""Healthy recipes, and oddities that look wrong and are not."""


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
    if loop.options.get("sample") == "normal":
        loop.options = {"sample": lambda: loop.g(torch.randn(64, LATENT))}
    return loop


NO_CLAIM = object()
