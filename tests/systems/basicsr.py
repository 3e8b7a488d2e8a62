"""Super-resolution as Real-ESRGAN has it: a U-Net critic with torch's spectral norm, a score per pixel."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from systems.system import Pair, System, normal, seeded, sum_of_squared_slopes
from tightrope import View, losses, penalties

SIDE = 4


class UNetCritic(nn.Module):
    """Down, up with a skip, and a map of scores of the image's own size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, 1, 1)
        self.conv1 = spectral_norm(nn.Conv2d(4, 8, 4, 2, 1, bias=False))
        self.conv2 = spectral_norm(nn.Conv2d(8, 4, 3, 1, 1, bias=False))
        self.conv3 = nn.Conv2d(4, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.leaky_relu(self.conv0(x), 0.2, inplace=True)
        deep = F.leaky_relu(self.conv1(wide), 0.2, inplace=True)
        up = F.interpolate(deep, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.conv3(F.leaky_relu(self.conv2(up), 0.2, inplace=True) + wide)


class Enlarger(nn.Module):
    """A small image to one of twice its size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.body, self.last = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = h + 0.2 * F.leaky_relu(self.body(h), 0.2)
        return self.last(F.interpolate(h, scale_factor=2.0, mode="nearest"))


def maker_of(generator: nn.Module, side: int = SIDE) -> View:
    return View(generator, call=lambda generator, z: generator(z.unflatten(1, (3, side, side))))


def their_losses(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """All kinds that BasicSR's configuration offers, in evaluation mode, where a forward changes no buffer."""
    system.critic.eval()
    r, f = system.critic(real), system.critic(fake)
    system.critic.train()
    one, zero = torch.ones_like(r), torch.zeros_like(r)
    bce, mse, lsgan = F.binary_cross_entropy_with_logits, F.mse_loss, losses.least_squares(targets=(0, 1))
    return {
        "vanilla critic": (losses.minimax.critic(r, f), bce(r, one) + bce(f, zero)),
        "vanilla generator": (losses.non_saturating.generator(f), bce(f, one)),
        "lsgan critic": (lsgan.critic(r, f), mse(r, one) + mse(f, zero)),
        "lsgan generator": (lsgan.generator(f), mse(f, one)),
        "wgan critic": (losses.wasserstein.critic(r, f), -r.mean() + f.mean()),
        "wgan_softplus": (losses.non_saturating.critic(r, f), F.softplus(-r).mean() + F.softplus(f).mean()),
        "hinge critic": (losses.hinge.critic(r, f), F.relu(1 - r).mean() + F.relu(1 + f).mean()),
        "hinge generator": (losses.hinge.generator(f), -f.mean()),
    }


def their_penalties(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """R1 with their weight: the whole mean square, so ours has gamma = 2; compared in evaluation mode."""
    system.critic.eval()
    x = real.clone().requires_grad_()
    pair = penalties.r1(system.judge, real, gamma=2.0), sum_of_squared_slopes(system.critic(x), x)
    system.critic.train()
    return {"R1": pair}


def system() -> System:
    with seeded(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        critic, generator = UNetCritic(), Enlarger()
    return System(
        critic, generator, critic, maker_of(generator), normal(6, 3, 2 * SIDE, 2 * SIDE),
        normal(6, 3 * SIDE**2, seed=1), their_losses, their_penalties, losses.non_saturating,
    )  # fmt: skip
