"""Which tensors share memory that was written in place, so that what is known about one of them no longer holds."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tightrope.critics._call import Call
from tightrope.critics._rules import ADDING


class Memory:
    """When each tensor's bound was set, and when each storage was last written."""

    def __init__(self) -> None:
        self._now = 0
        self._set: dict[int, int] = {}  # by id of the tensor; whoever sets keeps the tensor alive
        self._written: dict[int, tuple[Tensor, int]] = {}  # by storage; the tensor keeps it alive

    def note(self, x: Tensor) -> None:
        """A bound of ``x`` was set."""
        self._now += 1
        self._set[id(x)] = self._now

    def write(self, x: Tensor) -> None:
        """The memory of ``x`` was written in place."""
        self._now += 1
        self._written[storage(x)] = (x, self._now)

    def stale(self, x: Tensor) -> bool:
        """Whether the memory of ``x`` was written after its bound was set, or it never had one."""
        if not self._written:
            return False
        last = self._written.get(storage(x))
        return last is not None and self._set.get(id(x), 0) < last[1]


def storage(x: Tensor) -> int:
    """Which memory a tensor lies in; views of one tensor agree."""
    return int(x.untyped_storage()._cdata)


def versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each tensor's memory was written so far."""
    return [0 if x.is_inference() else x._version for x in tensors]


def changed_in(tensors: Sequence[Tensor], before: Sequence[int]) -> list[Tensor]:
    """The tensors written in place since :func:`versions` was asked, each once."""
    after = versions(tensors)
    return list({id(x): x for x, old, new in zip(tensors, before, after, strict=True) if old != new}.values())


def in_place_problem(call: Call, tensors: Sequence[Tensor], changed: Sequence[Tensor]) -> str:
    """Why the rules, which speak of the values before, do not hold for a call that wrote in place; empty if they do."""
    if call.options.get("out") is not None:
        return "writes to out=, which is not understood"
    if not changed:
        return ""
    target = changed[0]
    if len(changed) > 1 or call.first is not target or call.result is not target:
        return "writes in place to something else than its first argument, which is not understood"
    if call.source[0] is not target and getattr(call.function, "__name__", "") not in ADDING:
        return "writes a signal over something else in place, which is not understood"
    if any(x is not target and storage(x) == storage(target) for x in tensors):
        return "reads and writes one memory through two tensors"
    return ""
