"""Lookahead-minimax: every k steps both players return part of the way to where they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.optimizers._rule import Checked, evaluate


class Lookahead(Checked):
    """Averages fast weights into slow ones every ``k`` steps, of *both* players jointly; call it after every step.

    ``slow <- slow + alpha (fast - slow)``, ``fast <- slow``. It updates nothing by gradients: each player keeps its own
    optimiser, and ``step()`` of this object ends the outer step.

    Source: Chavdarova et al. 2021 (2006.14567), algorithm 1; Zhang et al. 2019 (1907.08610) for one loss.
    Claim: alternating descent on a bilinear game, which never contracts, contracts with ``k = 5, alpha = 1/2``.
    Cost: one copy of the weights.

    Args:
        params: Parameters of all players.
        k: Steps between two averages.
        alpha: Share of the way towards the fast weights, in (0, 1].

    Raises:
        UserError: ``k`` below one or ``alpha`` outside (0, 1].

    Example:
        >>> from tightrope.optimizers import Lookahead
        >>> x = torch.zeros(1, requires_grad=True)
        >>> average = Lookahead([x], k=2, alpha=0.5)
        >>> for fast in (1.0, 2.0):  # wherever the players' own optimisers took them
        ...     _ = x.data.fill_(fast)
        ...     _ = average.step()
        >>> x.item()
        1.0
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], k: int = 5, alpha: float = 0.5) -> None:
        whole = isinstance(k, Integral) and not isinstance(k, bool)
        if not whole or k < 1 or not isinstance(alpha, Real) or not 0 < alpha <= 1:
            raise UserError(f"Expected k of at least 1 and alpha in (0, 1], got {k} and {alpha}; published: 5 and 0.5.")
        super().__init__(params, {"k": k, "alpha": alpha, "steps": 0})
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["slow"] = p.detach().clone()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Count one outer step and average if ``k`` of them have passed; ``closure`` as in torch."""
        loss = evaluate(closure)
        for group in self.param_groups:
            group["steps"] = (group["steps"] + 1) % group["k"]
            if group["steps"]:
                continue
            for p in group["params"]:
                slow = self.state[p]["slow"]
                slow.lerp_(p, group["alpha"])
                p.copy_(slow)
        return loss
