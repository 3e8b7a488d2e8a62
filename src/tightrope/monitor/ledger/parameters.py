"""The ledger at the parameters: is ``.grad`` at the optimiser's step what the backward passes of this step account for.

The part of the losses is the replay of the captured calls under the gradients that arrived at their outputs; what is
left is explained by the claimed penalty, by another one, by what lay in ``.grad`` before, or by nothing known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tightrope.monitor.ledger.columns import Column

NOTHING = 1e-3
"""A part below this share of the gradient is absent."""


IDLE = "where a one-sided penalty would give nothing"
"""Name of an account that the losses alone explain, at points where the critic is flatter than the claimed slope."""


@dataclass(frozen=True)
class Account:
    """How a player's gradient is explained.

    Attributes:
        kind: ``"losses"`` where the losses alone explain it, else the kind of the column that explains the rest,
            ``"cleared"`` where the losses are no part of it, or ``"none"``.
        name: That column in words.
        unexplained: Share that the losses and the claimed penalty leave over.
        left: Share that the best explanation leaves over.
        weight: Weight of the column relative to the losses.
        share: Norm of the column's part over that of the losses' part.
        at: When the critic was called at the penalty's points, -1 without any.
        place: Where these lie, known at the end of the window.
        expected: Of a claimed penalty, the share that its claimed weight would give here.
        error: What rounding allows.
        beside: Of a sum over several batches of points, when the critic was called at each.
        applied: Factor of the column in the gradient as it is applied, whatever that of the losses is.
    """

    kind: str
    name: str = ""
    unexplained: float = 0.0
    left: float = 0.0
    weight: float = 0.0
    share: float = 0.0
    expected: float = 0.0
    error: float = 1e-3
    at: int = -1
    place: str = ""
    beside: tuple[int, ...] = ()
    applied: float = 0.0


def account(
    gradient: Tensor,
    losses: Tensor,
    columns: Sequence[Callable[[], list[Column]]],
    *,
    error: float,
    sizes: Sequence[int],
) -> Account:
    """Explain a gradient by the losses and one more column.

    Args:
        gradient: What is applied, flat.
        losses: What the losses give.
        columns: Groups of columns, tried in this order until one of a group fits; the first is the claimed penalty's.
        error: Relative error that rounding allows.
        sizes: Lengths of the tensors that the vectors are made of.
    """
    size = float(gradient.norm())
    if size == 0.0 or not bool(torch.isfinite(gradient).all()):
        return Account("zero" if size == 0.0 else "not finite", error=error)
    alone = _two(gradient, losses, None)
    fits = alone[2] <= error and alone[0] > 0
    penalties = columns[0]()
    claimed = _claimed(gradient, losses, penalties, alone[2], error)
    if not fits and (only := _cleared(gradient, losses, penalties, alone[2], error)) is not None:
        return only
    if claimed is not None and claimed.left <= error and _acts(claimed, alone[2]):
        return claimed
    if fits:
        expected = 0.0 if claimed is None else claimed.expected
        return Account("losses", unexplained=alone[2], left=alone[2], expected=expected, error=error)
    unexplained = alone[2] if claimed is None else min(claimed.left, alone[2])
    best, fitting = claimed, None
    for group in columns[1:]:
        for column in group():
            one = _explained(gradient, losses, column, alone[2], error)
            if column.kind in ("start", "leak"):  # it was added as it is, beside the claimed penalty
                both = _claimed(gradient, losses + column.vector, penalties, alone[2], error)
                if both is not None and both.left < one.left:
                    one = replace(one, left=both.left)
            best = one if best is None or one.left < best.left else best
        fitting = (
            best if best is not None and best is not claimed and best.left <= max(error, unexplained / 100) else None
        )
        if fitting is not None and (error < 0.01 or fitting.left <= error / 5):  # in half precision the best one does
            break
    if fitting is not None:
        return replace(fitting, unexplained=unexplained)
    if name := _harmless(gradient, losses, error, sizes):
        return Account("losses", name, alone[2], 0.0, error=error)
    return Account("none", "", unexplained, unexplained if best is None else min(best.left, unexplained), error=error)


def _acts(claimed: Account, alone: float) -> bool:
    """Whether the claimed penalty is a part of the gradient: near its claimed size, or needed to explain it."""
    return claimed.share > max(0.05 * claimed.expected, 1e-6) or alone > max(10 * claimed.left, 2e-5)


FELT = 0.1
"""Least share of the applied penalty that losses must have given to be missed in it."""


def _cleared(gradient: Tensor, losses: Tensor, columns: Sequence[Column], alone: float, error: float) -> Account | None:
    """The penalty alone, if that is applied at about its weight though the losses gave a gradient beside it."""
    for column in columns:
        _, b, left = _two(gradient, torch.zeros_like(losses), column.vector)
        applied = abs(b) * float(column.vector.norm())
        felt = float(losses.norm()) > FELT * applied
        if felt and left <= error and column.expected / 4 <= b <= 100 * column.expected:
            share = applied / float(losses.norm())
            return Account("cleared", "the penalty alone", alone, 0.0, b, share, error=error, at=column.at)
    return None


def without_scale(found: Account, factor: float) -> Account:
    """A penalty that seemed to be alone, once it is known by what factor the losses' gradient was scaled up.

    Losses under a loss scale give a gradient as many times larger than what is applied: a penalty beside which their
    own part is too small to be seen is not alone, but strong.
    """
    if found.kind != "cleared" or factor <= 1 or found.share * factor * FELT < 1:
        return found
    return replace(found, kind="claim", name="", share=found.share * factor)


def _claimed(gradient: Tensor, losses: Tensor, columns: Sequence[Column], alone: float, error: float) -> Account | None:
    """The claimed penalty at the points where it explains most."""
    found = [_explained(gradient, losses, column, alone, error) for column in columns]
    return min(found, key=lambda one: one.left, default=None)


def _explained(gradient: Tensor, losses: Tensor, column: Column, alone: float, error: float) -> Account:
    size = float(losses.norm())
    if size < 1e-6 * float(gradient.norm()):  # a step of the penalty's own
        size, losses = 0.0, torch.zeros_like(losses)
    a, b, left = _two(gradient, losses, column.vector)
    share = abs(b) * float(column.vector.norm()) / (abs(a) * size) if a * size else float("inf")
    weight = b if size == 0.0 else b / a if a else float("inf")
    good = (b > 0 or column.kind == "claim") and (a > 0 or size == 0.0)
    left = left if good else max(left, alone)
    expected = column.expected * float(column.vector.norm()) / size if size else 0.0
    return Account(column.kind, column.name, left, left, weight, share, expected, error, column.at,
                   beside=column.beside, applied=b)  # fmt: skip


def _two(gradient: Tensor, first: Tensor, second: Tensor | None) -> tuple[float, float, float]:
    """Least squares ``gradient = a first + b second``: coefficients and relative residual."""
    columns = [first] if second is None else [first, second]
    sizes = [float(c.norm()) for c in columns]
    used = [k for k, s in enumerate(sizes) if s > 0]
    found = [0.0, 0.0]
    left = gradient
    if used:
        matrix = torch.stack([(columns[k] / sizes[k]).double() for k in used], 1)
        answer = torch.linalg.lstsq(matrix.cpu(), gradient.double().cpu().unsqueeze(1), driver="gelsd").solution
        for k, value in zip(used, answer.flatten().tolist(), strict=True):
            found[k] = value / sizes[k]
        left = gradient - sum(found[k] * columns[k] for k in used)
    return found[0], found[1], float(left.norm() / gradient.norm())


def _harmless(gradient: Tensor, losses: Tensor, error: float, sizes: Sequence[int]) -> str:
    """Whether the gradient is that of the losses, clipped by value, or scaled tensor by tensor."""
    ceiling = float(gradient.abs().max())
    clipped = gradient.abs() >= ceiling * (1 - 1e-6)
    if int(clipped.sum()) >= 2 and int((~clipped).sum()) > 8:
        free, inside = gradient[~clipped], losses[~clipped]
        a, _, left = _two(free, inside, None) if float(free.norm()) else (0.0, 0.0, 1.0)
        if a > 0 and left <= error and bool((gradient[clipped] * losses[clipped] > 0).all()):
            return f"clipped by value at {ceiling:.3g}"
    parts = zip(gradient.split(list(sizes)), losses.split(list(sizes)), strict=True)
    fits = [_two(g, part, None) for g, part in parts if float(g.norm()) > 1e-6 * float(gradient.norm())]
    if len(fits) > 1 and all(a > 0 and left <= error for a, _, left in fits):
        return "scaled tensor by tensor"
    return ""
