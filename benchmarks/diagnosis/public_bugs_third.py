"""Nine more documented bugs of public training scripts, rebuilt as small scripts of our own; see public_bugs.py.

python -m benchmarks.diagnosis.public_bugs_third

Written, with the causes that count as right, before the Monitor had seen any of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope.autodiff import View

from .public_bugs import STEPS, Attach, Bug, adams, image_critic, image_generator, images
from .public_bugs_second import table


def alternating(
    attach: Attach,
    loss: str,
    of_critic: Callable[[Tensor, Tensor], Tensor],
    of_generator: Callable[[Tensor], Tensor],
    *,
    end: tuple[nn.Module, ...] = (),
    penalty: tuple[str, float] | None = None,
) -> None:
    """One critic step, one generator step, with these losses."""
    G, D = image_generator(), image_critic(*end)
    opt_g, opt_d = adams(G, D)
    tell = attach(G, D, loss=loss, penalty=penalty, optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        opt_d.zero_grad()
        of_critic(D(x), D(G(z).detach())).backward()
        opt_d.step()
        opt_g.zero_grad()
        of_generator(D(G(z))).backward()
        opt_g.step()
        tell(x, z)


def hinge(r: Tensor, f: Tensor) -> Tensor:
    return F.relu(1 - r).mean() + F.relu(1 + f).mean()


def hinge_of_the_generator(attach: Attach) -> None:
    """The generator's hinge loss is rectified too: it gets nothing from samples of negative scores."""
    alternating(attach, "hinge", hinge, lambda f: -F.relu(f).mean())


def sigmoid_under_hinge(attach: Attach) -> None:
    """The critic of a hinge loss ends in a sigmoid."""
    alternating(attach, "hinge", hinge, lambda f: -f.mean(), end=(nn.Sigmoid(),))


def average_on_the_wrong_side(attach: Attach) -> None:
    """A relativistic average loss of which the second half compares fakes' mean with each real score the wrong way."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D)
    tell = attach(G, D, loss="relativistic", optimizers=(opt_g, opt_d))

    def both(a: Tensor, b: Tensor) -> Tensor:
        """Bug: ``mean(b) - a`` where ``b - mean(a)`` belongs."""
        return F.softplus(-(a - b.mean())).mean() + F.softplus(b.mean() - a).mean()

    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        opt_d.zero_grad()
        both(D(x), D(G(z).detach())).backward()
        opt_d.step()
        opt_g.zero_grad()
        both(D(G(z)), D(x)).backward()
        opt_g.step()
        tell(x, z)


def penalty_computed_not_added(attach: Attach) -> None:
    """The penalty is computed, printed, and no part of the loss."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D)
    tell = attach(G, D, loss="wasserstein", penalty=("gp", 10.0), optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        y = G(z).detach()
        u = torch.rand(32, 1, 1, 1)
        point = (u * x + (1 - u) * y).requires_grad_()
        slope = torch.autograd.grad(D(point).sum(), point, create_graph=True)[0]
        printed = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        opt_d.zero_grad()
        loss = D(y).mean() - D(x).mean()
        loss.backward()
        opt_d.step()
        opt_g.zero_grad()
        (-D(G(z)).mean()).backward()
        opt_g.step()
        assert float(printed.detach()) >= 0
        tell(x, z)


def scores_of_the_critics_step(attach: Attach) -> None:
    """The generator's adversarial term uses the scores of the critic's own step, whose samples were detached."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D)
    tell = attach(G, D, loss="least_squares", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        y = G(z)
        opt_g.zero_grad()
        scores = D(y.detach())
        ((scores - 1).square().mean() + 5 * (y - x).abs().mean()).backward()
        opt_g.step()
        opt_d.zero_grad()
        ((D(x) - 1).square().mean() + D(G(z).detach()).square().mean()).backward()
        opt_d.step()
        tell(x, z)


def generators_gradient_stays(attach: Attach) -> None:
    """The generator's loss leaves its gradient in the critic, which is stepped with it: cleared only after its step."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D)
    tell = attach(G, D, loss="hinge", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        (-D(G(z)).mean()).backward()
        opt_g.step()
        opt_g.zero_grad()
        hinge(D(x), D(G(z).detach())).backward()
        opt_d.step()
        opt_d.zero_grad()
        tell(x, z)


class Two(nn.Module):
    """Two critics whose scores come as a list."""

    def __init__(self) -> None:
        super().__init__()
        self.critics = nn.ModuleList([image_critic(), image_critic()])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scores of both."""
        return [critic(x) for critic in self.critics]


def last_critic_only(attach: Attach) -> None:
    """The sum over critics is overwritten in its loop: only the last critic's loss is left, doubled."""
    G, D = image_generator(), Two()
    opt_g, opt_d = adams(G, D)
    tell = attach(G, View(D), loss="least_squares", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        opt_d.zero_grad()
        loss = torch.zeros(())
        for r, f in zip(D(x), D(G(z).detach()), strict=True):
            loss = (r - 1).square().mean() + f.square().mean()
            loss = loss + loss
        loss.backward()
        opt_d.step()
        opt_g.zero_grad()
        sum((f - 1).square().mean() for f in D(G(z))).backward()
        opt_g.step()
        tell(x, z)


def other_critic_frozen(attach: Attach) -> None:
    """The critic is frozen for the generator's step and never thawed."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D)
    tell = attach(G, D, loss="non_saturating", optimizers=(opt_g, opt_d))
    for step in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        if step < 5:
            opt_d.zero_grad()
            (F.softplus(-D(x)).mean() + F.softplus(D(G(z).detach())).mean()).backward()
        opt_d.step()
        for p in D.parameters():
            p.requires_grad_(step < 4)
        opt_g.zero_grad()
        F.softplus(-D(G(z))).mean().backward()
        opt_g.step()
        tell(x, z)


def rate_read_from_the_other(attach: Attach) -> None:
    """The critic's rate is set as an attribute that nothing reads; it steps with the generator's."""
    G, D = image_generator(), image_critic()
    opt_g, opt_d = adams(G, D, 1e-3)
    opt_d.lr = 1e-5  # type: ignore[attr-defined]
    tell = attach(G, D, loss="non_saturating", optimizers=(opt_g, opt_d))
    for _ in range(STEPS):
        x, z = images(32), torch.randn(32, 16)
        opt_d.zero_grad()
        (F.softplus(-D(x)).mean() + F.softplus(D(G(z).detach())).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        F.softplus(-D(G(z))).mean().backward()
        opt_g.step()
        tell(x, z)


BUGS = {
    "hinge_of_the_generator": Bug(hinge_of_the_generator, "zurutech/ashpy#23", ("generator_loss_other",)),
    "sigmoid_under_hinge": Bug(
        sigmoid_under_hinge, "grey-eye/talking-heads#42", ("probability_as_score", "bounded_scores")
    ),
    "average_on_the_wrong_side": Bug(
        average_on_the_wrong_side, "AlexiaJM/RelativisticGAN#2", ("critic_loss_other", "generator_loss_other")
    ),
    "penalty_computed_not_added": Bug(
        penalty_computed_not_added, "LixiangHan/GANs-for-1D-Signal#7", ("penalty_absent", "penalty_detached")
    ),
    "scores_of_the_critics_step": Bug(
        scores_of_the_critics_step,
        "rishikksh20/TFGAN#7",
        ("generator_detached", "generator_loss_without_critic"),
    ),
    "generators_gradient_stays": Bug(
        generators_gradient_stays, "ArcticHare105/S3Diff#25", ("generator_gradient_in_critic",)
    ),
    "last_critic_only": Bug(
        last_critic_only,
        "coqui-ai/TTS#3153, mozilla/TTS#797",
        ("critic_no_gradient", "critic_loss_other", "critic_halves_unequal", "optimizer_misses_parameters"),
    ),
    "other_critic_frozen": Bug(other_critic_frozen, "conditionWang/NTL#3", ("critic_frozen", "critic_no_gradient")),
    "rate_read_from_the_other": Bug(rate_read_from_the_other, "pbaylies/stylegan2#5", ("learning_rate_not_reached",)),
}


if __name__ == "__main__":
    table(BUGS)
