"""An image tokenizer as VQGAN has it: a decoder of latent maps, and a patch critic with batch normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from systems.system import Pair, System, normal, seeded, sum_of_squared_slopes
from tightrope import View, losses, penalties

CHANNELS, CELLS = 4, 4


class PatchCritic(nn.Module):
    """A score per patch; batch normalisation between strided convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(4, 8, 4, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(8, 1, 4, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


class Decoder(nn.Module):
    """Latent map ``[batch, channels, cells, cells]`` to image, group normalisation, swish."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in, self.norm, self.up = nn.Conv2d(CHANNELS, 8, 3, 1, 1), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 3, 1, 1)
        self.conv_out = nn.Conv2d(4, 3, 3, 1, 1)

    def forward(self, codes: Tensor) -> Tensor:
        h = F.silu(self.norm(self.conv_in(codes)))
        return self.conv_out(F.silu(self.up(F.interpolate(h, scale_factor=4.0, mode="nearest"))))


def maker_of(generator: nn.Module, channels: int = CHANNELS, cells: int = CELLS) -> View:
    return View(generator, call=lambda generator, z: generator(z.unflatten(1, (channels, cells, cells))))


def their_losses(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """Half the hinge loss, and the adaptive weight of the adversarial term by the gradients at the last layer."""
    d_real, d_fake = system.critic(real), system.critic(fake)
    out = system.maker(system.z)
    last = system.generator.conv_out.weight
    reconstruction, adversarial = (real - out).abs().mean(), -system.critic(out).mean()
    by_rec, by_adv = (torch.autograd.grad(one, last, retain_graph=True)[0] for one in (reconstruction, adversarial))
    weight = (by_rec.norm() / (by_adv.norm() + 1e-4)).clamp(0, 1e4)
    return {
        "critic": (
            0.5 * losses.hinge.critic(d_real, d_fake),
            0.5 * (F.relu(1 - d_real).mean() + F.relu(1 + d_fake).mean()),
        ),
        "generator": (losses.hinge.generator(d_fake), -d_fake.mean()),
        "weight": (losses.balance(reconstruction, adversarial, system.generator.conv_out).weight, weight),
    }


def their_penalties(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """R1 as LeCam's and ViT-VQGAN's users add it, of the critic in evaluation mode: batch statistics couple samples."""
    system.critic.eval()
    x = real.clone().requires_grad_()
    pair = penalties.r1(system.judge, real, gamma=10.0), 5 * sum_of_squared_slopes(system.critic(x), x)
    system.critic.train()
    return {"R1": pair}


def system() -> System:
    with seeded():
        critic, generator = PatchCritic(), Decoder()
    return System(
        critic, generator, critic, maker_of(generator), normal(6, 3, 16, 16), normal(6, CHANNELS * CELLS**2, seed=1),
        their_losses, their_penalties, losses.hinge,
    )  # fmt: skip
