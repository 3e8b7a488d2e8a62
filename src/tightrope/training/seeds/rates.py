"""One optimiser over the stacked parameters of many runs, with a rate of each run's own where they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tightrope.optimizers.settings import UpdateRule
from tightrope.schedules import value_at


class Rates:
    """Learning rates of runs side by side.

    Every rule here moves by its rate times a direction that does not depend on the rate, so a step at the largest of
    them is cut to each run's share of it.

    Args:
        settings: One per run, equal but for their learning rates.
    """

    def __init__(self, settings: Sequence[UpdateRule]) -> None:
        self.settings = list(settings)
        self.differ = any(one.learning_rate != settings[0].learning_rate for one in settings)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these runs."""
        self.settings = [self.settings[k] for k in rows]

    @torch.no_grad()
    def move(self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], images_seen: int) -> None:
        """Take ``step``, a method of ``optimizer``, at the rates that hold after ``images_seen`` images."""
        self.settings[0].schedule_(optimizer, images_seen)
        if not self.differ:
            step()
            return
        rates = [value_at(one.learning_rate, images_seen) for one in self.settings]
        largest = max(rates)
        group: dict[str, Any]
        for group in optimizer.param_groups:
            group["lr"] = largest
        moved: list[Tensor] = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        began = [optimizer.state.get(p, {}).get("start", p).detach().clone() for p in moved]
        step()
        share = torch.tensor([rate / largest if largest else 0.0 for rate in rates])
        for p, start in zip(moved, began, strict=True):
            p.copy_(torch.lerp(start, p, share.to(p).reshape(-1, *[1] * (p.dim() - 1))))
