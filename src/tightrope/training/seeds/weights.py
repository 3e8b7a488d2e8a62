"""Penalties' weights of runs side by side: one method for all of them, whose weights may be each run's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tightrope.methods import Method
from tightrope.penalties import Penalty
from tightrope.schedules import Value, value_at

OWN = ("gamma", "weight")
"""Hyperparameters of penalties that may differ between runs side by side: factors of the penalty."""


class Weights:
    """The penalties' weights of every run.

    Args:
        methods: One per run, equal but for rates and these weights.

    Attributes:
        method: The method of all of them; where weights differ it reads them from here.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        self._now: dict[tuple[str, int, str], Tensor] = {}
        self._values: dict[tuple[str, int, str], list[Value]] = {}
        changed: dict[str, Any] = {}
        for kind in ("penalties", "generator_penalties"):
            rows = [getattr(method, kind) for method in methods]
            for number, penalty in enumerate(rows[0]):
                for name in penalty.hyperparameters:
                    values = [row[number].hyperparameters[name] for row in rows]
                    if name in OWN and any(value != values[0] for value in values):
                        self._values[kind, number, name] = values
            changed[kind] = tuple(self._own(kind, number, penalty) for number, penalty in enumerate(rows[0]))
        self.method = replace(methods[0], **changed) if self._values else methods[0]

    def at(self, images_seen: int, like: Tensor) -> dict[tuple[str, int, str], Tensor]:
        """Every weight that differs, ``[runs]`` each, after so many images; of the dtype and device of ``like``."""
        return {
            key: torch.tensor([value_at(v, images_seen) for v in values], dtype=like.dtype, device=like.device)
            for key, values in self._values.items()
        }

    @contextmanager
    def are(self, now: dict[tuple[str, int, str], Tensor]) -> Iterator[None]:
        """Let the method's penalties use these values."""
        self._now = now
        try:
            yield
        finally:
            self._now = {}

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these runs."""
        self._values = {key: [values[k] for k in rows] for key, values in self._values.items()}

    def look_inside(self, player: str) -> bool:
        """Whether a penalty of this player looks at its weights, beside calling it."""
        terms = self.method.penalties if player == "critic" else self.method.generator_penalties
        return any(not penalty.per_sample for penalty in terms)

    def _own(self, kind: str, number: int, penalty: Penalty) -> Penalty:
        names = [name for k, n, name in self._values if (k, n) == (kind, number)]
        if not names:
            return penalty
        function: Callable[..., Tensor] = penalty.function

        def weighted(*given: Any, **now: Any) -> Tensor:
            return function(*given, **now | {name: self._now[kind, number, name] for name in names})

        return replace(penalty, function=weighted)
