"""Critic steps chosen by the run: more of them while the critic still gains by going on the way it went."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number

FIRST, MOST = 5.0, 10.0
FACTOR: Final = 1.05
MEMORY: Final = 0.05


@dataclass
class Pace:
    r"""Critic steps per generator step, from how far the critic is from as good as its rate allows.

    After a critic step the gradient :math:`g_t` of the critic's objective on the next batch, at the place reached,
    times the displacement that led there says by how much as much again would lower the objective:

    .. math:: s_t = -\langle g_t,\; w_t - w_{t-1} \rangle .

    It is positive on average while the critic is on its way and about 0 where it circles an optimum at the distance
    that its rate keeps; unlike a gradient's size it does not count the noise of a batch, since batch and displacement
    are independent. With running means (weight 0.05) of :math:`s` and of the size of the loss, which for a Wasserstein
    critic is the estimated distance, a step follows with 1.05 times as many critic steps (at most 10) where
    :math:`\bar s > \mathrm{aim} \cdot \bar{|L|}`, with 1 / 1.05 times as many (at least 1) elsewhere.

    Source: the study ``questions`` of this library, whose rule it is: at equal compute on three distributions of the
    plane, with WGAN-GP and Adam, no worse than 1, 5 and 10 fixed steps (Wasserstein-1 distance over theirs 0.27 to
    0.99, 8 seeds). No paper has it.

    Attributes:
        aim: Gain of one step, relative to the estimated distance, above which the critic gets more steps.
        steps: Critic steps now; a fraction is rounded.
        most: Upper limit.
        gain: Running mean of the gain.
        distance: Running mean of the size of the loss.

    Raises:
        UserError: A negative aim, or fewer than one step.

    Cost: a copy of the critic's weights, a displacement of that size kept, and a product with each gradient per step;
    the device is waited for once a critic step.
    """

    aim: float = 0.01
    steps: float = FIRST / FACTOR
    most: float = MOST
    gain: float = field(default=0.0, init=False)
    distance: float = field(default=0.0, init=False)
    _displacement: list[Tensor] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, usual, least in (("aim", 0.01, 0.0), ("steps", FIRST, 1.0), ("most", MOST, 1.0)):
            check_number(name, getattr(self, name), usual, least=least)

    @property
    def due(self) -> int:
        """Critic steps before the next generator step."""
        return round(self.steps)

    def places(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Where the critic stands before its step, to be handed to :meth:`observe` after it."""
        return [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def observe(self, parameters: Sequence[Tensor], before: Sequence[Tensor], loss: Tensor) -> None:
        """Take in one critic step: its gradients, taken at ``before`` on a fresh batch, and how far it went.

        Args:
            parameters: Of the critic, after its step and projection, with the gradients of that step.
            before: From :meth:`places`.
            loss: Of the step, without penalties.
        """
        if self._displacement:
            parts = [
                (d * p.grad).sum() for d, p in zip(self._displacement, parameters, strict=True) if p.grad is not None
            ]
            numbers = torch.stack([*(part.double() for part in parts), loss.detach().double()]).tolist()
            gained, size = -sum(numbers[:-1]), abs(numbers[-1])
        else:
            gained, size = 0.0, abs(float(loss))
        self.gain += MEMORY * (gained - self.gain)
        self.distance += MEMORY * (size - self.distance)
        self._displacement = [p.detach() - old for p, old in zip(parameters, before, strict=True)]

    def decide(self) -> None:
        """After a generator step: more critic steps before the next one, or fewer."""
        factor = FACTOR if self.gain > self.aim * self.distance else 1 / FACTOR
        self.steps = min(max(self.steps * factor, 1.0), self.most)

    def state_dict(self) -> dict[str, Any]:
        """All that the next decisions depend on."""
        numbers = {"steps": self.steps, "gain": self.gain, "distance": self.distance}
        return {**numbers, "displacement": [d.clone() for d in self._displacement]}

    def load_state_dict(self, state: dict[str, Any], parameters: Sequence[Tensor]) -> None:
        """Go on from a state, on the device of the critic's ``parameters``."""
        self.steps, self.gain, self.distance = (float(state[name]) for name in ("steps", "gain", "distance"))
        kept = copy.copy(state["displacement"])
        self._displacement = [d.to(p, copy=True) for d, p in zip(kept, parameters, strict=bool(kept))]
