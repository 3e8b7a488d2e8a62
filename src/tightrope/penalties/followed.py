"""Whether scores change as their derivative says, without which a squared difference is no squared gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakSet

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import NoGradientError, critic_scores
from tightrope.autodiff.graph import STAIRS, leads_back, missing_derivative, no_derivative
from tightrope.autodiff.view import replicas_of
from tightrope.penalties.repeated import Repeated, on_copies

SMALLER = (1 / 8, 1 / 64, 1 / 512, 1 / 4096)
"""Of the step: what is curved follows its derivative over one of them, the derivative of another function nowhere."""

_FOLLOWS: WeakSet[nn.Module] = WeakSet()
Scored = Callable[[Tensor], Tensor]


def refuse_jumps(same: Repeated, x: Tensor, step: Tensor, moved: Sequence[Tensor], rows: int) -> None:
    """Raise, the first time that a module is seen, if its scores do not change by their derivative over small steps.

    Args:
        same: The critic, called before.
        x: Samples ``[batch, *shape]``.
        step: What they were moved by.
        moved: Each critic's scores there.
        rows: Samples per score.

    Raises:
        UserError: They jump, as with rounding or argmax inside, or have the derivative of something else.
        NoGradientError: They depend on the samples by steps such as ``sign`` alone.
    """
    module = same.module
    wrapped = bool(replicas_of(same.network))
    if same.transformed or wrapped or (module is not None and module in _FOLLOWS):
        return
    step, leaf = step.detach(), x.detach().clone().requires_grad_()

    def total(points: Tensor) -> Tensor:
        return torch.stack(critic_scores(same, points, rows)).sum(0)

    with on_copies(module):
        try:
            with torch.enable_grad():
                here = total(leaf)
                slope = torch.autograd.grad(here.sum(), leaf, retain_graph=True, allow_unused=True)[0]
        except RuntimeError as problem:
            if (missing := missing_derivative(problem)) is not None:
                raise UserError(no_derivative(missing)) from problem
            return  # no derivative to compare with, as where checkpoints are reentrant
        if slope is not None and not leads_back(here, leaf):
            raise NoGradientError(STAIRS)
        with torch.no_grad():
            change = torch.stack(list(moved)).detach().sum(0) - here
            if not _follow(change, slope, step) and _is_seen(change, slope, step, here):
                _look_closer(total, x.detach(), step, slope, change)
    if module is not None:
        _FOLLOWS.add(module)


def _look_closer(total: Scored, x: Tensor, step: Tensor, slope: Tensor | None, change: Tensor) -> None:
    here = total(x)
    if (
        slope is None
        or _jumps(total, x, step, change)
        or not any(_follow(total(x + part * step) - here, slope, part * step) for part in SMALLER)
    ):
        raise UserError(
            "Expected a critic whose scores change over a small step as their derivative says, got one whose scores "
            "jump, as with rounding or argmax inside, or have the derivative of another function (straight-through), "
            "whose differences say nothing of R1; take the exact r1 or r2, or leave that operation out."
        )


def _said(slope: Tensor | None, step: Tensor, change: Tensor) -> Tensor:
    """What a derivative says of changes."""
    return torch.zeros_like(change) if slope is None else (slope * step).reshape(len(change), -1).sum(1).to(change)


def _follow(change: Tensor, slope: Tensor | None, step: Tensor) -> bool:
    """Whether changes are nearer to what a derivative says than to nothing: each, or their sum where samples meet."""
    said = _said(slope, step, change)
    pairs = ((change, said), (change.sum(), said.sum()))
    return any(not bool((a - b).norm() > 0.7 * torch.maximum(a.norm(), b.norm())) for a, b in pairs)


def _is_seen(change: Tensor, slope: Tensor | None, step: Tensor, here: Tensor) -> bool:
    """Whether what is not as it was said is more than rounding."""
    error = (change - _said(slope, step, change)).norm()
    return bool(error > 100 * torch.finfo(here.dtype).eps * here.norm())


def _jumps(total: Scored, x: Tensor, step: Tensor, change: Tensor) -> bool:
    """Whether most of the changes stay when each step is halved, twelve times, to its half with the larger change."""
    low, high = torch.zeros_like(change), torch.ones_like(change)
    rows = len(x) // len(change)

    def at(part: Tensor) -> Tensor:
        return total(x + part.repeat_interleave(rows).reshape(-1, *[1] * (x.dim() - 1)) * step)

    below, above = at(low), at(high)
    for _ in range(12):
        middle = (low + high) / 2
        between = at(middle)
        left = (between - below).abs() > (above - between).abs()
        low, high = torch.where(left, low, middle), torch.where(left, middle, high)
        below, above = torch.where(left, below, between), torch.where(left, between, above)
    return bool((above - below).norm() > 0.3 * change.norm())
