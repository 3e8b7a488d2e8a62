"""Documented bugs of public training scripts, rebuilt as small scripts of our own, and two suspicions that were none.

    python -m benchmarks.diagnosis.public_bugs [--markdown table.md]

The threads are where the bug was found by its users; nothing of their code is here. The Monitor gets real rows,
latents, optimisers, and the loss and penalty that the script's author meant.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .data import rows

Attach = Callable[..., Callable[..., None]]
STEPS = 60


@dataclass(frozen=True)
class Bug:
    """A script with what it should be told; no causes for a suspicion that was harmless."""

    script: Callable[[Attach], None]
    thread: str
    causes: tuple[str, ...]


def images(n: int) -> Tensor:
    x = rows("digits").x
    return x[torch.randint(len(x), (n,))]


def image_generator(norm: bool = False) -> nn.Module:
    middle: list[nn.Module] = [nn.BatchNorm1d(64)] if norm else []
    return nn.Sequential(
        nn.Linear(16, 64), *middle, nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8))
    )


def image_critic(*end: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 12, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(192, 1), *end)


def adams(G: nn.Module, D: nn.Module, rate: float = 1e-3) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    return tuple(torch.optim.Adam(net.parameters(), rate, (0.5, 0.9)) for net in (G, D))


def wasserstein_script(attach: Attach, axes: str = "sample", graph: bool = True, called: bool = True) -> None:
    """WGAN-GP on images, as scripts of 2017 to 2020 have it."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D)
    step = attach(G, D, loss="wasserstein", penalty=("gp", 10.0), optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        for _ in range(2):
            x = images(32)
            y = G(torch.randn(32, 16)).detach()
            u = torch.rand(32, 1, 1, 1)
            h = (u * x + (1 - u) * y).requires_grad_()
            (slope,) = torch.autograd.grad(D(h).sum(), h, create_graph=graph)
            norms = slope.norm(2, dim=1) if axes == "channels" else slope.flatten(1).norm(2, dim=1)
            loss = D(y).mean() - D(x).mean() + (10 * ((norms - 1) ** 2).mean() if called else 0)
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
        z = torch.randn(32, 16)
        opt_g.zero_grad()
        (-D(G(z)).mean()).backward()
        opt_g.step()
        step(x, z)


def norm_over_channels(attach: Attach) -> None:
    wasserstein_script(attach, axes="channels")


def penalty_without_graph(attach: Attach) -> None:
    wasserstein_script(attach, graph=False)


def penalty_never_called(attach: Attach) -> None:
    wasserstein_script(attach, called=False)


def clipped_script(attach: Attach, critic: float = 1.0, generator: float = 1.0) -> None:
    """WGAN with clipping; both signs are parameters."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = (torch.optim.RMSprop(net.parameters(), 5e-4) for net in (G, D))
    step = attach(G, D, loss="wasserstein", penalty=("clip", 0.05), optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        for _ in range(4):
            x, z = images(32), torch.randn(32, 16)
            D.zero_grad()
            D(x).mean().backward(torch.tensor(-critic))
            D(G(z).detach()).mean().backward(torch.tensor(critic))
            opt_d.step()
            for p in D.parameters():
                p.data.clamp_(-0.05, 0.05)
        G.zero_grad()
        z = torch.randn(32, 16)
        D(G(z)).mean().backward(torch.tensor(-generator))
        opt_g.step()
        step(x, z)


def generator_backward_one(attach: Attach) -> None:
    clipped_script(attach, generator=-1.0)


def both_signs_turned(attach: Attach) -> None:
    clipped_script(attach, critic=-1.0, generator=-1.0)


def logistic_script(
    attach: Attach,
    end: tuple[nn.Module, ...] = (),
    clear: bool = True,
    stepped: str = "d",
    detach: bool = True,
) -> None:
    """The tutorial's loop with BCEWithLogitsLoss."""
    G, D = image_generator(), image_critic(*end)
    opt_g, opt_d = adams(G, D)
    bce = nn.BCEWithLogitsLoss()
    step = attach(G, D, loss="non_saturating", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        if clear:
            D.zero_grad()
        y = G(z)
        bce(D(x), torch.ones(32, 1)).backward()
        bce(D(y.detach() if detach else y), torch.zeros(32, 1)).backward()
        {"d": opt_d.step, "g": opt_g.step, "": lambda: None}[stepped]()
        G.zero_grad()
        z = torch.randn(32, 16)
        bce(D(G(z)), torch.ones(32, 1)).backward()
        opt_g.step()
        step(x, z)


def sigmoid_before_logits(attach: Attach) -> None:
    logistic_script(attach, end=(nn.Sigmoid(),))


def critic_not_cleared(attach: Attach) -> None:
    logistic_script(attach, clear=False)


def critic_never_stepped(attach: Attach) -> None:
    logistic_script(attach, stepped="")


def other_optimizer_stepped(attach: Attach) -> None:
    logistic_script(attach, stepped="g")


def fake_not_detached(attach: Attach) -> None:
    logistic_script(attach, detach=False)


def detached_beside_reconstruction(attach: Attach) -> None:
    """An image-to-image loop in which the generator's adversarial term sees a detached output."""
    G, D = nn.Sequential(nn.Flatten(), image_from_half()), image_critic()
    opt_g, opt_d = adams(G, D)
    step = attach(G, D, loss="least_squares", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x = images(32)
        z = F.avg_pool2d(x, 2)
        y = G(z)
        opt_d.zero_grad()
        (F.mse_loss(D(x), torch.ones(32, 1)) + F.mse_loss(D(y.detach()), -torch.ones(32, 1))).backward()
        opt_d.step()
        opt_g.zero_grad()
        (F.mse_loss(D(y.detach()), torch.ones(32, 1)) + 10 * F.l1_loss(y, x)).backward()
        opt_g.step()
        step(x, z)


def image_from_half() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))


class Two(nn.Module):
    """Two critics whose scores are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = image_critic(), image_critic()

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        return (self.first(x) + self.second(1 - x)) / 2


def one_critic_given_twice(attach: Attach) -> None:
    """Parameters of the first critic are collected twice, those of the second never."""
    G, D = image_generator(), Two()
    opt_g = torch.optim.Adam(G.parameters(), 1e-3, (0.5, 0.9))
    unique = list({id(p): p for p in [*D.first.parameters(), *D.first.parameters()]}.values())
    opt_d = torch.optim.Adam(unique, 1e-3, (0.5, 0.9))
    step = attach(G, D, loss="hinge", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        opt_d.zero_grad()
        (F.relu(1 - D(x)).mean() + F.relu(1 + D(G(z).detach())).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        (-D(G(z)).mean()).backward()
        opt_g.step()
        step(x, z)


def average_without_statistics(attach: Attach) -> None:
    """The average follows the parameters; the running statistics of batch normalisation stay at their start."""
    G, D = image_generator(norm=True), image_critic()
    average = copy.deepcopy(G).eval()
    opt_g, opt_d = adams(G, D)
    step = attach(G, D, loss="hinge", optimizers=(opt_g, opt_d), ema=average)
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        opt_d.zero_grad()
        (F.relu(1 - D(x)).mean() + F.relu(1 + D(G(z).detach())).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        (-D(G(z)).mean()).backward()
        opt_g.step()
        with torch.no_grad():
            for p, q in zip(average.parameters(), G.parameters(), strict=True):
                p.mul_(0.9).add_(0.1 * q)
        step(x, z)


AXES = ("penalty_norm_axes", "penalty_other_kind")
BUGS: dict[str, Bug] = {
    "norm_over_channels": Bug(norm_over_channels, "eriklindernoren/PyTorch-GAN#20, Zeleni9/pytorch-wgan#40", AXES),
    "penalty_without_graph": Bug(penalty_without_graph, "ooples/AiDotNet#1844", ("penalty_detached", "penalty_absent")),
    "penalty_never_called": Bug(
        penalty_never_called, "junyanz/pytorch-CycleGAN-and-pix2pix#1201", ("penalty_absent", "penalty_detached")
    ),
    "generator_backward_one": Bug(generator_backward_one, "Zeleni9/pytorch-wgan#53", ("generator_sign_flipped",)),
    "sigmoid_before_logits": Bug(
        sigmoid_before_logits, "soumith/ganhacks#36, torchgan/torchgan#116", ("double_sigmoid", "probability_as_score")
    ),
    "critic_not_cleared": Bug(
        critic_not_cleared,
        "Adversarial-Deep-Learning/code-soup#69",
        ("critic_gradient_accumulated", "generator_gradient_in_critic"),
    ),
    "critic_never_stepped": Bug(critic_never_stepped, "zhaoyuzhi/deepfillv2#6", ("critic_not_stepped",)),
    "other_optimizer_stepped": Bug(other_optimizer_stepped, "Lornatang/ESRGAN-PyTorch#39", ("critic_not_stepped",)),
    "detached_beside_reconstruction": Bug(
        detached_beside_reconstruction,
        "nikhilsinghmus/image2reverb#37",
        ("generator_detached", "generator_loss_without_critic"),
    ),
    "one_critic_given_twice": Bug(one_critic_given_twice, "line/open-universe#5", ("optimizer_misses_parameters",)),
    "average_without_statistics": Bug(
        average_without_statistics,
        "odegeasslbc/FastGAN-pytorch#4, boschresearch/OASIS#21",
        ("average_buffers_not_copied",),
    ),
    "both_signs_turned": Bug(both_signs_turned, "martinarjovsky/WassersteinGAN#61 (harmless)", ()),
    "fake_not_detached": Bug(fake_not_detached, "yunjey/pytorch-tutorial#56 (harmless)", ()),
}


def diagnosed(bug: Bug, **options: Any) -> list[tuple[str, str, int]]:
    """The findings at the end of a script, without the one that says healthy."""
    from tightrope.monitor import Monitor

    torch.manual_seed(11)
    monitors: list[Any] = []

    def attach(G: nn.Module, D: nn.Module, **known: Any) -> Callable[..., None]:
        monitors.append(Monitor(G, D, **known, **options))
        return monitors[0].step

    bug.script(attach)
    found = [(f.cause, f.confidence, f.since) for f in monitors[0].diagnose() if f.cause != "healthy"]
    monitors[0].close()
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines = ["| script | thread | first finding | right |", "|---|---|---|---|"]
    for name, bug in BUGS.items():
        found = diagnosed(bug, every=options.every)
        sure = [f for f in found if f[1] != "low"]
        right = bool(found) and found[0][0] in bug.causes if bug.causes else not sure
        said = f"{found[0][0]} ({found[0][1]}, step {found[0][2]})" if found else "none"
        lines.append(f"| {name} | {bug.thread} | {said} | {'yes' if right else 'no'} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
