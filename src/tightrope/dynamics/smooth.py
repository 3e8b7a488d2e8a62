"""A test that a game's gradient is differentiable at a point, by one-sided differences at two step sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.autodiff.graph import nodes_of
from tightrope.dynamics.field import gradient_field
from tightrope.dynamics.players import Losses, Player, all_parameters, flatten, repeatable, write_
from tightrope.dynamics.state import Replay


def check_differentiable(
    losses: Losses,
    players: Sequence[Player],
    *,
    generators: Sequence[torch.Generator] = (),
    directions: int = 2,
) -> None:
    """Raise unless the gradient field changes linearly under small moves of the parameters.

    Along random directions the difference quotient ahead must approach the one behind as the step shrinks; at a jump
    or kink of the gradient it does not. A kink that no direction crosses, or one smaller than rounding, is not seen.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors.
        generators: Random-number generators that the losses draw from.
        directions: Random directions to try.

    Raises:
        UserError: The field jumps or has a kink here, repeated evaluations differ, or parameters are in half precision.

    Cost: ``2 + 4 * directions`` gradients.

    Example:
        >>> from tightrope import dynamics
        >>> x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        >>> dynamics.check_differentiable((lambda: x.square().sum(),), ([x],))
        >>> dynamics.check_differentiable((lambda: x.abs().sum(),), ([x],))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        tightrope._plumbing.errors.UserError: The game is not differentiable at this point: ...
    """
    tensors = [p for part in all_parameters(losses, players) for p in part]
    if any(p.dtype in (torch.bfloat16, torch.float16) for p in tensors):
        raise UserError(
            "Expected parameters in float32 or float64 for a test by differences, got half precision, whose rounding "
            "is larger than they are; convert the networks by .float(), or pass check=False where there is one."
        )
    start = flatten([p.detach() for p in tensors]).clone()
    with repeatable(players, generators) as rewind:

        def at(point: Tensor) -> Tensor:
            rewind()
            write_(tensors, point)
            return gradient_field(losses, players).detach()

        try:
            require_differentiable(at, start, "game", directions)
        finally:
            write_(tensors, start)


def check_step(step: Callable[[], object], at: Replay) -> None:
    """:func:`check_differentiable` of one training step in the parameters, along one direction, memory as it is.

    Raises:
        UserError: The step jumps or has a kink here, or repeated steps differ.
    """
    start = flatten([p.detach() for p in at.parameters]).clone()

    def moved(point: Tensor) -> Tensor:
        at.rewind()
        write_(at.parameters, point)
        step()
        return flatten([p.detach() for p in at.parameters]) - point

    try:
        require_differentiable(moved, start, "step", 1)
    finally:
        at.rewind()


def require_function(losses: Losses, players: Sequence[Player], rewind: Callable[[], None]) -> None:
    """Raise if losses are no function of the parameters, or bring those back to where they were.

    Neither mode of differentiation sees it, and differences see it in their own way.

    Raises:
        UserError: That is so, or a reentrant checkpoint keeps gradients from parameters.
    """
    tensors = [p for part in all_parameters(losses, players) for p in part]
    start = [p.detach().clone() for p in tensors]
    moved = [value * 1.001 for value in start]
    try:
        _put(tensors, moved)
        first, second = (_evaluated(losses, rewind) for _ in range(2))
        written = not all(map(torch.equal, tensors, moved))
    finally:
        _put(tensors, start)
    if written:
        raise UserError(
            "Expected losses that read the players' parameters, got some that write into them (a layer that normalises "
            "or clips its weights in its forward, an embedding with max_norm); compute the weight beside the "
            "parameter, as in F.conv2d(x, standardised(self.weight))."
        )
    if not all(
        torch.allclose(a, b, rtol=1e-9 if a.dtype == torch.float64 else 1e-4, equal_nan=True)
        for a, b in zip(first, second, strict=True)
    ):
        raise UserError(
            "Expected losses that depend on the players' parameters alone, got other values at a second call; keep "
            "random draws and what networks change in their forwards (a codebook, a running scale) fixed, for example "
            "by network.eval(), or pass the generators that they draw from as `generators`."
        )


def _evaluated(losses: Losses, rewind: Callable[[], None]) -> list[Tensor]:
    rewind()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        values = [value for loss in losses if isinstance(value := loss(), Tensor)]  # what is none has its sentence
    unreached = any("None of the inputs have requires_grad" in str(one.message) for one in said)
    if unreached or any(n.name() == "CheckpointFunctionBackward" for v in values for n in nodes_of(v.grad_fn)):
        raise UserError(
            "Expected activation checkpoints that gradients can be taken through, got reentrant ones, of whose "
            "parameters torch gives none; pass use_reentrant=False to torch.utils.checkpoint.checkpoint."
        )
    return [value.detach() for value in values]


@torch.no_grad()
def _put(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for p, value in zip(tensors, values, strict=True):
        p.copy_(value)


def require_differentiable(at: Callable[[Tensor], Tensor], start: Tensor, what: str, directions: int) -> None:
    """Raise unless the vector field ``at`` is differentiable at ``start [n]``; ``what`` is the name errors use."""
    double = start.dtype == torch.float64
    steps, tolerance = ((1e-4, 1e-5), 1e-3) if double else ((1e-2, 2e-3), 0.2)
    size = max(float(start.abs().max()), 1.0)
    draw = torch.Generator().manual_seed(0)
    here = at(start)
    _require_repeatable(here, at(start), 1e-9 if double else 1e-3)
    for _ in range(directions):
        d = torch.randn(start.shape, generator=draw, dtype=torch.float64).to(start)
        d = d / torch.linalg.vector_norm(d) * size
        gaps, slopes, height = [], [], 0.0
        for epsilon in steps:
            ahead, behind = (at(start + s * epsilon * d) for s in (1.0, -1.0))
            gaps.append(_norm((ahead - here) - (here - behind)) / epsilon)
            slopes.append(_norm(ahead - behind) / (2 * epsilon))
            height = max(height, _norm(ahead), _norm(behind))
        _require_smooth(gaps, slopes, tolerance, floor=tolerance * height / size, what=what)


def _require_smooth(
    gaps: Sequence[float], slopes: Sequence[float], tolerance: float, *, floor: float, what: str
) -> None:
    """A smooth field's gap shrinks with the step and its slope stays; a kink's gap stays; a jump's slope grows."""
    jump = slopes[1] > 3 * slopes[0] and slopes[1] > floor
    kink = gaps[1] > 0.5 * gaps[0] and gaps[1] > max(tolerance * slopes[1], floor)
    if jump or kink:
        found = f"its {'gradient' if what == 'game' else 'result'} {'jumps' if jump else 'has a kink'}"
        raise UserError(
            f"The {what} is not differentiable at this point: along a random direction {found} (one-sided "
            f"slopes differ by {gaps[1]:.3g}, slope {slopes[0]:.3g} grows to {slopes[1]:.3g} as the step shrinks); "
            "move the parameters off it, for example away from a zero gradient under a one-centred penalty."
        )


def _require_repeatable(first: Tensor, second: Tensor, tolerance: float) -> None:
    difference = _norm(first - second)
    if difference > tolerance * _norm(first):
        raise UserError(
            f"The losses gave values that differ by {difference:.3g} at one and the same point: expected a "
            "deterministic game; draw latents and noise once outside the losses, or pass the generators they use as "
            "`generators`."
        )


def _norm(x: Tensor) -> float:
    return float(torch.linalg.vector_norm(x))
