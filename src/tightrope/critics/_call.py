"""One call of a torch function as the rules see it, and the requirements that several rules share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor


@dataclass(frozen=True)
class Call:
    """One call of a torch function.

    Attributes:
        function: What was called.
        arguments: Positional ones.
        options: By keyword.
        result: What it returned; for an in-place function, its first argument with its new values.
        bounds: Each tensor argument that depends on the input, as often as it occurs, with its bound.
    """

    function: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any
    bounds: list[tuple[Tensor, float]]

    @property
    def source(self) -> tuple[Tensor, float]:
        """The first tracked argument with its bound."""
        return self.bounds[0]

    @property
    def first(self) -> Any:
        """What the function is applied to, however it was passed."""
        return self.arguments[0] if self.arguments else self.options.get("input", self.options.get("self"))

    @property
    def alone(self) -> tuple[Tensor, float]:
        """The first argument with its bound, if it is the only one that depends on the input.

        Raises:
            NoBoundError: Another argument (a limit, a slope, a weight, an index) depends on the input too.
        """
        x, bound = self.source
        if len(self.bounds) > 1 or self.first is not x:
            raise NoBoundError("has another argument than its first one depend on the input, which is not understood")
        return x, bound

    def option(self, name: str, position: int, default: Any = None) -> Any:
        """An argument by name or position."""
        if name in self.options:
            return self.options[name]
        return self.arguments[position] if len(self.arguments) > position else default


Rule: TypeAlias = Callable[[Call], float]


class NoBoundError(Exception):
    """The call has no Lipschitz bound; the message says why."""


def broadcast(x: Tensor, result: Tensor) -> float:
    """Norm of repeating ``x`` to the size of the result."""
    return math.sqrt(max(result.numel() / max(x.numel(), 1), 1.0))
