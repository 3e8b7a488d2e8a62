"""One optimiser over the stacked parameters of many runs, with a rate of each run's own where they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tightrope.optimizers.settings import UpdateRule
from tightrope.schedules import extremes, value_at
from tightrope.training.seeds.obstacles import REMEDY, UnstackableError

_WIDEST = 1e6  # beyond it a step at the largest rate might leave the range of float32 where one's own does not


class Rates:
    """Learning rates of runs side by side.

    Every rule here moves by its rate times a direction that does not depend on the rate, so a step at the largest of
    them is cut to each run's share of it.

    Args:
        settings: One per run, equal but for their learning rates.

    Raises:
        UnstackableError: Rates that lie too far apart.
    """

    def __init__(self, settings: Sequence[UpdateRule]) -> None:
        self.settings = list(settings)
        self.differ = any(one.learning_rate != settings[0].learning_rate for one in settings)
        self._now = [value_at(one.learning_rate, 0) for one in settings]
        ends = [float(end) for one in settings for end in extremes(one.learning_rate) if end > 0]
        if ends and max(ends) > _WIDEST * min(ends):
            raise UnstackableError(
                f"Expected learning rates within a factor of {_WIDEST:g} side by side, got {min(ends):g} and "
                f"{max(ends):g}; {REMEDY}."
            )

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these runs."""
        self.settings, self._now = [self.settings[k] for k in rows], [self._now[k] for k in rows]

    def write_(self, optimizer: torch.optim.Optimizer, k: int) -> None:
        """Put the rate that run ``k`` moved by last into its own optimiser, where it is not that of all."""
        group: dict[str, Any]
        for group in optimizer.param_groups if self.differ else ():
            group["lr"] = self._now[k]

    @torch.no_grad()
    def move(self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], images_seen: int) -> None:
        """Take ``step``, a method of ``optimizer``, at the rates that hold after ``images_seen`` images."""
        self.settings[0].schedule_(optimizer, images_seen)
        if not self.differ:
            step()
            return
        self._now = rates = [value_at(one.learning_rate, images_seen) for one in self.settings]
        largest = max(rates)
        group: dict[str, Any]
        for group in optimizer.param_groups:
            group["lr"] = largest
        moved: list[Tensor] = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        began = [optimizer.state.get(p, {}).get("start", p).detach().clone() for p in moved]
        step()
        share = torch.tensor([rate / largest if largest else 0.0 for rate in rates], dtype=torch.float64)
        for p, start in zip(moved, began, strict=True):
            p.copy_(torch.lerp(start, p, share.to(p).reshape(-1, *[1] * (p.dim() - 1))))
