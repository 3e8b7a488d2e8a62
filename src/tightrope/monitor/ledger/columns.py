"""Penalties as columns of the ledger: the gradient that each would add to the critic's, per unit of weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor, nn

from tightrope.autodiff import norm, per_sample
from tightrope.monitor.capture import Call
from tightrope.monitor.ledger.replay import replayed

Cost = Callable[[Tensor], Tensor]


def _one_centred(g: Tensor) -> Tensor:
    return (norm(g) - 1).square().mean()


def _one_sided(g: Tensor) -> Tensor:
    return (norm(g) - 1).clamp(min=0).square().mean()


def _zero_centred(g: Tensor) -> Tensor:
    return 0.5 * norm(g).square().mean()


def _over_axis_one(g: Tensor) -> Tensor:
    return (g.norm(2, dim=1) - 1).square().mean()


def _over_batch(g: Tensor) -> Tensor:
    return (g.norm(2) - 1).square()


def _over_axis_zero(g: Tensor) -> Tensor:
    return (g.norm(2, dim=0) - 1).square().mean()


def _norm_of_mean(g: Tensor) -> Tensor:
    return (norm(g).mean() - 1).square()


def _not_squared(g: Tensor) -> Tensor:
    return (norm(g) - 1).abs().mean()


def _squares_to_one(g: Tensor) -> Tensor:
    return (norm(g).square() - 1).square().mean()


def _norm_alone(g: Tensor) -> Tensor:
    return norm(g).mean()


COSTS: dict[str, tuple[str, Cost]] = {
    "gp": ("1-centred", _one_centred),
    "gp1": ("1-centred, one-sided", _one_sided),
    "r1": ("0-centred", _zero_centred),
    "r2": ("0-centred", _zero_centred),
}
"""Claims by name: words and cost of the gradient at the points; the R penalties have the half of their papers."""


def _over_single_rows(g: Tensor) -> Tensor:
    return (norm(g) - 1).square().mean()


AXES: dict[str, Cost] = {
    "over axis 1 of the batch": _over_axis_one,
    "over the whole batch": _over_batch,
    "over axis 0, across samples": _over_axis_zero,
    "as a mean over the batch before the difference": _norm_of_mean,
}
PACKED: dict[str, Cost] = {"of each row and not of each pack": _over_single_rows}
KINDS: dict[str, Cost] = {
    "1-centred": _one_centred,
    "0-centred": _zero_centred,
    "1-centred, one-sided": _one_sided,
    "1-centred without the square": _not_squared,
    "squared norm centred at 1": _squares_to_one,
    "the norm itself": _norm_alone,
}


@dataclass(frozen=True)
class Column:
    """A candidate part of a gradient.

    Attributes:
        kind: ``"claim"``, ``"kind"``, ``"axes"``, ``"place"``, ``"start"``, ``"decay"``.
        name: In words.
        vector: Its gradient, flat.
        expected: Its claimed weight.
        at: When the critic was called at its points, -1 without any.
        beside: Of a sum over several batches of points, when the critic was called at each.
    """

    kind: str
    name: str
    vector: Tensor
    expected: float = 0.0
    at: int = -1
    beside: tuple[int, ...] = ()


def gradients_at(
    module: nn.Module,
    call: Call,
    costs: Sequence[Cost],
    parameters: Sequence[Tensor],
    scale: float = 1.0,
    *,
    asked: Sequence[Tensor | None] = (),
    squashed: bool = False,
) -> list[Tensor]:
    """Flat gradients of several costs of the input gradient at a call's points, with respect to parameters.

    Args:
        module: The critic.
        call: Its input is where.
        costs: Each of the gradient ``[batch, *shape]``; where rows share a score, of ``[packs, all of a pack]``.
        parameters: With respect to which.
        scale: Factor of the input gradient, such as a loss scale.
        asked: Of each output the weights with which its gradient at the inputs was asked for, None where it was not;
            all of them alike if nothing is known.
        squashed: Of sigmoid(scores) in place of scores.

    Returns:
        One vector per cost.

    Raises:
        CannotReplayError: See ``replayed``.

    Cost: a forward and a backward with their graph, and a backward per cost.
    """
    assert call.x is not None
    x = call.x.float().clone().requires_grad_() if call.autocast else call.x.clone().requires_grad_()
    outputs = replayed(module, call, x)
    used = [(o, v) for o, v in zip_longest(outputs, asked) if o.requires_grad and (v is not None or not any_of(asked))]
    totals = [_weighed(o.sigmoid() if squashed else o, v) for o, v in used]
    with torch.enable_grad():
        (g,) = torch.autograd.grad(torch.stack(totals).sum(), x, create_graph=True)
        packs = g.reshape(pack_rows(call), -1) if pack_rows(call) < len(x) else g
        values = [cost(scale * (g if cost is _over_single_rows else packs)) for cost in costs]
    found = []
    for k, value in enumerate(values):
        if not value.requires_grad:
            found.append(torch.zeros(sum(p.numel() for p in parameters)))
            continue
        parts = torch.autograd.grad(value, list(parameters), retain_graph=k + 1 < len(values), allow_unused=True)
        found.append(flat(parts, parameters))
    return found


def any_of(asked: Sequence[Tensor | None]) -> bool:
    """Whether anything is known of how a gradient at the inputs was asked for."""
    return any(v is not None for v in asked)


def _weighed(scores: Tensor, weights: Tensor | None) -> Tensor:
    return per_sample(scores if weights is None else scores * weights.to(scores)).sum()


def pack_rows(call: Call) -> int:
    """Number of scores of a critic that judges several rows at once, else of rows."""
    assert call.x is not None
    rows = min((len(o) for o, e in zip(call.outputs, call.events, strict=True) if o.dim() and e), default=len(call.x))
    return rows if rows and len(call.x) % rows == 0 else len(call.x)


def flat(parts: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    """Gradients as one vector in float32 or better; zeros where there is none."""
    rows = [
        torch.zeros_like(p).flatten() if part is None else part.detach().flatten()
        for part, p in zip(parts, like, strict=True)
    ]
    joined = torch.cat(rows)
    return joined.float() if joined.dtype in (torch.bfloat16, torch.float16) else joined
