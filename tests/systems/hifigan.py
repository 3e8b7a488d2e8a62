"""A vocoder as HiFi-GAN has it: mel to waveform; period and scale critics with weight norm, which return features."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm, weight_norm

from systems.system import Pair, System, normal, seeded, sum_of_squared_slopes
from tightrope import View, losses, penalties

MELS, FRAMES, HOP = 4, 8, 4


class PeriodCritic(nn.Module):
    """Folds a waveform by its period and convolves along time, with kernels of width 1 across the period."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        sizes = ((1, 4, 3), (4, 8, 1))
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (stride, 1), padding=(2, 0))) for a, b, stride in sizes
        )
        self.last = weight_norm(nn.Conv2d(8, 1, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        missing = -x.shape[-1] % self.period
        if missing:
            x = F.pad(x, (0, missing), "reflect")
        h, features = x.unflatten(-1, (-1, self.period)), []
        for conv in self.convs:
            h = F.leaky_relu(conv(h), 0.1)
            features.append(h)
        h = self.last(h)
        return h.flatten(1), [*features, h]


class ScaleCritic(nn.Module):
    """Grouped convolutions along time, with weight norm, or with spectral norm for the first scale."""

    def __init__(self, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        self.convs = nn.ModuleList([norm(nn.Conv1d(1, 4, 5, 1, 2)), norm(nn.Conv1d(4, 8, 7, 2, 3, groups=4))])
        self.last = norm(nn.Conv1d(8, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            features.append(x)
        x = self.last(x)
        return x.flatten(1), [*features, x]


class Both(nn.Module):
    """Called with real and generated waveforms: two lists of scores, two lists of lists of features."""

    def __init__(self) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodCritic(p) for p in (2, 3))
        self.scales = nn.ModuleList([ScaleCritic(True), ScaleCritic(False)])
        self.pool = nn.AvgPool1d(4, 2, 2)

    def one(self, y: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        found = [critic(y) for critic in self.periods] + [self.scales[0](y), self.scales[1](self.pool(y))]
        return [score for score, _ in found], [features for _, features in found]

    def forward(self, y: Tensor, y_hat: Tensor) -> tuple[list[Tensor], list[Tensor], Any, Any]:
        (real, real_features), (fake, fake_features) = self.one(y), self.one(y_hat)
        return real, fake, real_features, fake_features


class Vocoder(nn.Module):
    """Mel ``[batch, mels, frames]`` to waveform ``[batch, 1, frames * hop]``, with weight norm everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv1d(MELS, 8, 3, 1, 1))
        self.up = weight_norm(nn.ConvTranspose1d(8, 4, 2 * HOP, HOP, HOP // 2))
        self.last = weight_norm(nn.Conv1d(4, 1, 3, 1, 1))

    def forward(self, mel: Tensor) -> Tensor:
        return torch.tanh(self.last(F.leaky_relu(self.up(F.leaky_relu(self.first(mel), 0.1)), 0.1)))


def judge_of(critic: nn.Module) -> View:
    return View(critic, call=lambda critic, y: critic(y, y)[0])


def maker_of(generator: nn.Module, mels: int = MELS) -> View:
    return View(generator, call=lambda generator, z: generator(z.unflatten(1, (mels, -1))))


def their_losses(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """Least squares towards 1 and 0, summed over critics, and features in L1 times 2."""
    d_real, d_fake, f_real, f_fake = system.critic(real, fake)
    ours = losses.least_squares(targets=(0, 1))
    critic = sum(((1 - r) ** 2).mean() + (g**2).mean() for r, g in zip(d_real, d_fake, strict=True))
    generator = sum(((1 - g) ** 2).mean() for g in d_fake)
    pairs = [(r, g) for one, other in zip(f_real, f_fake, strict=True) for r, g in zip(one, other, strict=True)]
    features = 2 * sum((r - g).abs().mean() for r, g in pairs)
    return {
        "critic": (ours.critic(d_real, d_fake), torch.as_tensor(critic)),
        "generator": (ours.generator(d_fake), torch.as_tensor(generator)),
        "features": (2 * losses.feature_matching(f_real, f_fake), torch.as_tensor(features)),
    }


def their_penalties(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """R1 of each critic, added: HiFi-GAN has none of its own; those who add it write this.

    Torch's spectral norm, which the first scale has, moves on with every forward: both start from one state.
    """
    before = {name: value.clone() for name, value in system.critic.state_dict().items()}
    ours = penalties.r1(system.judge, real, gamma=10.0)
    system.critic.load_state_dict(before)
    x = real.clone().requires_grad_()
    theirs = 5 * torch.stack([sum_of_squared_slopes(scores, x) for scores in system.critic(x, x)[0]]).sum()
    return {"R1": (ours, theirs)}


def system() -> System:
    with seeded(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        critic, generator = Both(), Vocoder()
    return System(
        critic, generator, judge_of(critic), maker_of(generator), normal(6, 1, FRAMES * HOP).tanh(),
        normal(6, MELS * FRAMES, seed=1), their_losses, their_penalties, losses.least_squares(targets=(0, 1)),
    )  # fmt: skip
