"""Six more documented bugs of public training scripts, rebuilt as small scripts of our own; see public_bugs.py.

python -m benchmarks.diagnosis.public_bugs_second
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .public_bugs import STEPS, Attach, Bug, adams, diagnosed, image_critic, image_generator, images


def schedule_for_each_batch(attach: Attach) -> None:
    """A schedule laid out in epochs, stepped once per batch."""
    G, D = image_generator(norm=True), image_critic()
    both = adams(G, D)
    schedules = [torch.optim.lr_scheduler.StepLR(o, step_size=8, gamma=0.1) for o in both]
    tell = attach(G, D, loss="non_saturating", optimizers=both)
    for _ in range(STEPS):
        real, z = images(32), torch.randn(32, 16)
        both[1].zero_grad()
        (F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()).backward()
        both[1].step()
        both[0].zero_grad()
        F.softplus(-D(G(z))).mean().backward()
        both[0].step()
        for s in schedules:
            s.step()
        tell(real, z)


def wasserstein(attach: Attach, of_generator: Callable[[Tensor], Tensor]) -> None:
    G, D = image_generator(), image_critic()
    both = adams(G, D)
    tell = attach(G, D, loss="wasserstein", penalty=("clip", 0.05), optimizers=both)
    for _ in range(STEPS):
        for _ in range(2):
            real, z = images(32), torch.randn(32, 16)
            D.zero_grad()
            (D(G(z).detach()).mean() - D(real).mean()).backward()
            both[1].step()
            with torch.no_grad():
                for p in D.parameters():
                    p.clamp_(-0.05, 0.05)
        G.zero_grad()
        of_generator(D(G(z))).backward()
        both[0].step()
        tell(real, z)


def log_of_a_score(attach: Attach) -> None:
    """The generator takes the logarithm of what is a score and no probability; below zero that is no number."""
    wasserstein(attach, lambda score: torch.mean(-torch.log(score)))


def targets_exchanged(attach: Attach) -> None:
    """Ones where the sample is not real, for both players: the generator asks to be recognised."""
    G, D = image_generator(), image_critic()
    both = adams(G, D)
    tell = attach(G, D, loss="non_saturating", optimizers=both)

    def adversarial(score: Tensor, is_real: bool) -> Tensor:
        target = torch.zeros_like(score) if is_real else torch.ones_like(score)
        return F.binary_cross_entropy_with_logits(score, target)

    for _ in range(STEPS):
        real, z = images(32), torch.randn(32, 16)
        fake = G(z)
        both[0].zero_grad()
        adversarial(D(fake), False).backward()
        both[0].step()
        both[1].zero_grad()
        (0.5 * (adversarial(D(real), True) + adversarial(D(fake.detach()), False))).backward()
        both[1].step()
        tell(real, z)


def penalised(attach: Attach, mixing: Callable[[Tensor], Tensor], end: Callable[[Tensor], Tensor]) -> None:
    """WGAN-GP, with a way to mix real and fake rows and a function of the scores whose slope is taken."""
    G, D = image_generator(), image_critic()
    both = adams(G, D)
    tell = attach(G, D, loss="wasserstein", penalty=("gp", 10.0), optimizers=both)
    for _ in range(STEPS):
        for _ in range(2):
            real, z = images(32), torch.randn(32, 16)
            fake = G(z).detach()
            alpha = mixing(real)
            points = (real + alpha * (fake - real)).requires_grad_()
            slope = torch.autograd.grad(end(D(points)).sum(), points, create_graph=True)[0]
            penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
            both[1].zero_grad()
            (D(fake).mean() - D(real).mean() + penalty).backward()
            both[1].step()
        both[0].zero_grad()
        (-D(G(z)).mean()).backward()
        both[0].step()
        tell(real, z)


def mixed_by_pixel(attach: Attach) -> None:
    """Each pixel has a mixing weight of its own, so the points lie on no line between a real and a fake sample."""
    penalised(attach, torch.rand_like, nn.Identity())


def mixed_by_a_normal(attach: Attach) -> None:
    """Mixing weights are normal instead of uniform, so most points lie outside of the segment."""
    penalised(attach, lambda x: torch.randn(len(x), 1, 1, 1), nn.Identity())


def slope_of_the_probability(attach: Attach) -> None:
    """The penalty is taken of the sigmoid of the score."""
    penalised(attach, lambda x: torch.rand(len(x), 1, 1, 1), torch.sigmoid)


BUGS = {
    "schedule_for_each_batch": Bug(
        schedule_for_each_batch, "Lornatang/SRGAN-PyTorch#1", ("schedule_too_fast", "learning_rate_zero")
    ),
    "log_of_a_score": Bug(log_of_a_score, "marian42/shapegan#2", ("generator_loss_other", "non_finite")),
    "targets_exchanged": Bug(
        targets_exchanged, "https-deeplearning-ai/GANs-Public#1", ("critic_sign_flipped", "generator_sign_flipped")
    ),
    "mixed_by_pixel": Bug(
        mixed_by_pixel,
        "preritj/progressive_growing_of_GANs#3, hwalsuklee/tensorflow-generative-model-collections#33",
        ("penalty_other_place",),
    ),
    "mixed_by_a_normal": Bug(mixed_by_a_normal, "keras-team/keras-io#624", ("penalty_other_place",)),
    "slope_of_the_probability": Bug(
        slope_of_the_probability, "hwalsuklee/tensorflow-generative-model-collections#14", ("penalty_other_kind",)
    ),
}


def table(bugs: dict[str, Bug]) -> None:
    """Diagnose every script and print what was said first, as a table."""
    torch.set_num_threads(1)
    print("| script | thread | first finding | right |\n|---|---|---|---|")
    for name, bug in bugs.items():
        found = diagnosed(bug, every=10)
        said = f"{found[0][0]} ({found[0][1]}, step {found[0][2]})" if found else "none"
        right = bool(found) and found[0][0] in bug.causes and found[0][1] != "low"
        print(f"| {name} | {bug.thread} | {said} | {'yes' if right else 'no'} |", flush=True)


if __name__ == "__main__":
    table(BUGS)
