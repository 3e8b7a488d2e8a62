"""Rows that both networks were called with lately, kept so that copies of the networks can be played on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tightrope.monitor.capture import Call
from tightrope.monitor.nests import tensors_in
from tightrope.monitor.roles import Judged

ROWS, BYTES = 768, 6 << 20
"""Most rows and bytes kept of each kind."""

Rows = tuple[Tensor, ...]


@dataclass
class Kept:
    """Rows of one kind: the samples or latents, and what was given with each of them, such as labels.

    Attributes:
        batches: Newest last; all tensors of a batch have as many rows.
        size: Rows of the last batch.
    """

    batches: list[Rows] = field(default_factory=list)
    size: int = 0

    def add(self, rows: Rows) -> None:
        """Keep a copy of a batch; the oldest ones go when there are too many."""
        shapes = [t.shape[1:] for t in rows]
        if self.batches and [t.shape[1:] for t in self.batches[-1]] != shapes:
            self.batches = []
        self.size = len(rows[0])
        self.batches.append(tuple(t.detach()[:ROWS].clone() for t in rows))
        while len(self.batches) > 1 and self._too_many():
            del self.batches[0]

    def rows(self) -> Rows:
        """All of them."""
        return tuple(torch.cat(parts) for parts in zip(*self.batches, strict=True))

    def __len__(self) -> int:
        return sum(len(batch[0]) for batch in self.batches)

    def _too_many(self) -> bool:
        each = [sum(t.numel() * t.element_size() for t in batch) for batch in self.batches]
        return len(self) - len(self.batches[0][0]) >= ROWS or sum(each) > BYTES


@dataclass(frozen=True)
class Form:
    """How a network is called, with its rows left out.

    Attributes:
        args: Positional inputs; a :class:`Slot` in place of a tensor with a row per sample.
        kwargs: Named inputs, likewise.
        training: Mode of the network and its submodules.
        autocast: Precision of autocast.
        more: Tensors with a row per sample besides the first.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    training: list[bool]
    autocast: torch.dtype | None
    more: int

    @staticmethod
    def of(call: Call) -> tuple[Form, Rows]:
        """The form of a call and its rows, the samples or latents first."""
        assert call.x is not None
        found: list[Tensor] = [call.x]
        x, n = call.x, len(call.x)

        def emptied(thing: Any) -> Any:
            if isinstance(thing, Tensor):
                if thing.data_ptr() == x.data_ptr() and thing.shape == x.shape:
                    return Slot(0)
                if thing.dim() and len(thing) == n:
                    found.append(thing)
                    return Slot(len(found) - 1)
                return thing.clone()
            if type(thing) in (list, tuple):
                return type(thing)(emptied(part) for part in thing)
            if isinstance(thing, dict):
                return {key: emptied(part) for key, part in thing.items()}
            return thing

        args, kwargs = emptied(call.args), emptied(call.kwargs)
        return Form(args, kwargs, call.training, call.autocast, len(found) - 1), tuple(found)

    def call(self, module: Callable[..., Any], rows: Rows) -> Any:
        """Call a network so, with these rows."""

        def filled(thing: Any) -> Any:
            if isinstance(thing, Slot):
                return rows[thing.index]
            if type(thing) in (list, tuple):
                return type(thing)(filled(part) for part in thing)
            if isinstance(thing, dict):
                return {key: filled(part) for key, part in thing.items()}
            return thing

        with torch.autocast(rows[0].device.type, self.autocast, self.autocast is not None):
            return module(*filled(self.args), **filled(self.kwargs))


@dataclass(frozen=True)
class Slot:
    """The place of a tensor with a row per sample."""

    index: int


class Recent:
    """What the last windows showed both networks."""

    def __init__(self) -> None:
        self.real, self.latents = Kept(), Kept()
        self.forms: dict[str, Form] = {}
        self.scores: list[int] = []
        self.joint = False

    def take(self, found: Sequence[Judged], scores: list[int]) -> None:
        """Keep the rows of a window.

        Args:
            found: The critic's calls with their roles.
            scores: Which of the tensors that the critic returns are scores.
        """
        taken: set[int] = set()
        for one in found:
            if one.call.x is None or one.call.part or one.call.unit or not one.call.intact() or not len(one.call.x):
                continue
            if one.role in ("real", "joint"):
                form, rows = Form.of(one.call)
                if one.role == "joint":
                    real = torch.ones(len(rows[0]), dtype=torch.bool, device=rows[0].device)
                    real[one.fake_rows] = False
                    rows = tuple(t[real] for t in rows)
                self.forms["critic"], self.joint = form, one.role == "joint"
                self.real.add(rows)
            made = one.source
            if (
                made is not None
                and not made.part
                and id(made) not in taken
                and made.x is not None
                and made.intact()
                and len(made.x)
            ):
                taken.add(id(made))
                self.forms["generator"], rows = Form.of(made)
                self.latents.add(rows)
        self.scores = scores or self.scores


def floats(output: Any) -> list[Tensor]:
    """The tensors in floating point that a network returned, in order."""
    return [t for t in tensors_in(output) if t.is_floating_point()]
