"""Imitation as AIRL has it: a reward of state, action, next state and end, against a policy's own density."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from systems.system import Pair, System, normal, seeded
from tightrope import View, losses, penalties

STATE, ACTION = 4, 2
PARTS = (STATE, ACTION, STATE, 1)


class Reward(nn.Module):
    """A reward ``[batch]`` for each transition, of four inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(sum(PARTS), 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, state: Tensor, action: Tensor, following: Tensor, done: Tensor) -> Tensor:
        return self.mlp(torch.cat((state, action, following, done), 1)).squeeze(1)


class Policy(nn.Module):
    """States to transitions in a linear world, which gradients pass through."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(STATE, 8), nn.Tanh(), nn.Linear(8, ACTION))
        self.register_buffer("push", normal(ACTION, STATE, seed=7))

    def forward(self, state: Tensor) -> Tensor:
        action = self.actor(state)
        following = 0.9 * state + action @ self.push.to(state.dtype)
        return torch.cat((state, action, following, torch.zeros_like(state[:, :1])), 1)


def parts(x: Tensor) -> tuple[Tensor, ...]:
    return x.split(PARTS, 1)


def density(x: Tensor) -> Tensor:
    """Log density of the actions under a policy, which the logits subtract."""
    return -0.5 * parts(x)[1].square().sum(1)


def judge_of(critic: nn.Module) -> View:
    return View(critic, call=lambda critic, x: critic(*x.split(PARTS, 1)))


def their_losses(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """Cross-entropy of experts against policy over one batch of both, which is half the sum of two means."""
    r, f = (system.critic(*parts(x)) - density(x) for x in (real, fake))
    both, label = torch.cat((r, f)), torch.cat((torch.ones_like(r), torch.zeros_like(f)))
    return {"critic": (0.5 * losses.minimax.critic(r, f), F.binary_cross_entropy_with_logits(both, label))}


def their_penalties(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """The gradient penalty of all four inputs at once, as their users write it, at two points."""
    ours = penalties.gradient_penalty(system.judge, real, real, weight=10.0)  # both ends the same: no coefficient
    given = [part.clone().requires_grad_() for part in parts(real)]
    slopes = torch.autograd.grad(system.critic(*given).sum(), given, create_graph=True)
    return {"GP": (ours, 10 * (torch.cat(slopes, 1).norm(dim=1) - 1).square().mean())}


def system() -> System:
    with seeded():
        critic, generator = Reward(), Policy()
    return System(
        critic, generator, judge_of(critic), generator, normal(6, sum(PARTS)), normal(6, STATE, seed=1),
        their_losses, their_penalties, losses.non_saturating,
    )  # fmt: skip
