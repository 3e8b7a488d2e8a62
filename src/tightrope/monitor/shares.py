"""How much of the generator's gradient came through the critic: the rest is from other terms of its loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tightrope.monitor.capture import Call
from tightrope.monitor.cycle import Entries
from tightrope.monitor.ledger.replay import CannotReplayError, input_slope, refuse_foreign_hooks
from tightrope.monitor.roles import Judged

Chosen = Callable[[Sequence[Call]], list[int]]


def shares(module: nn.Module, entries: Entries, made: Sequence[Call], chosen: Chosen, after: int) -> dict[str, float]:
    """What arrived at the samples, and what of it the scores account for.

    Args:
        module: The critic, as it was in its calls.
        entries: Its calls that the generator's loss went through, with the gradients that arrived.
        made: The generator's calls.
        chosen: Which outputs of calls are scores.
        after: Since when gradients at the samples belong to this step.

    Returns:
        ``other_share``, ``slope`` and ``cut``; nothing where calls cannot be made again, or samples were changed on
        their way to the critic.
    """
    entries = [(one, events) for one, events in entries if one.call.half is None or one.call.attached]
    judged = [(one, events) for one, events in entries if one.call.attached]
    if not judged or len(judged) != len(entries) or any(one.call.stepped(module) for one, _ in judged):
        return {}
    lies = [_lies(one, made) for one, _ in judged]
    if any(place is None for place in lies):
        return {}
    places = [place for place in lies if place is not None]
    numbers: dict[str, float] = {}
    through: dict[int, list[Tensor]] = {}
    try:
        refuse_foreign_hooks(module, computing=True)
        for (one, events), (source, channels) in zip(judged, places, strict=True):
            picked = chosen([one.call])
            sums = [torch.stack([e.value for e in part]).sum(0) if part else None for part in events]
            part = input_slope(module, one.call, sums)  # features that a loss matches came through the critic, too
            through.setdefault(id(source), []).append(part if channels is None else part[:, channels])
            if len(judged) == len(picked) == sum(s is not None for s in sums) == 1:
                numbers |= _slope(part, sums[picked[0]])
    except (CannotReplayError, RuntimeError):
        return {}
    other, own, all_ = 0.0, 0.0, 0.0
    for source in {id(source): source for source, _ in places}.values():
        arrived = [e.value for part in source.events for e in part if e.at > after]
        parts = through[id(source)]
        if not arrived or any(a.shape != parts[0].shape for a in arrived):
            return {}
        total, came = torch.stack(arrived).sum(0), torch.stack(parts).sum(0)
        other, own = other + float((total - came).square().sum()), own + float(came.square().sum())
        all_ += float(total.square().sum())
    if all_ > 0:
        numbers["other_share"] = other**0.5 / max(other**0.5 + own**0.5, 1e-30)
    return numbers | {"cut": float(all_ == 0.0 and own > 0)}


def _lies(one: Judged, made: Sequence[Call]) -> tuple[Call, slice | None] | None:
    """Where what a critic judged was made, and which of its channels that is, beside a condition say; None if nowhere.

    Slices at either end, to the last bit, as ``torch.cat((condition, sample), 1)`` makes them.
    """
    x = one.call.x
    if x is None or x.dim() < 2:
        return None
    if one.exact and one.source is not None and any(y.shape == x.shape for y in one.source.outputs):
        return (one.source, None) if one.source in made else None
    for call in reversed(made):
        for y in call.outputs:
            if y.dim() == x.dim() and len(y) == len(x) and y.shape[2:] == x.shape[2:] and 0 < y.shape[1] < x.shape[1]:
                for own in (slice(x.shape[1] - y.shape[1], None), slice(0, y.shape[1])):
                    if torch.equal(x[:, own], y.to(x)):
                        return call, own
    return None


def _slope(through: Tensor, scale: Tensor | None) -> dict[str, float]:
    """The critic's slope at the samples, a median over them."""
    if scale is None or len(scale) != len(through):
        return {}
    weight = scale.flatten(1).sum(1).abs() if scale.dim() > 1 else scale.abs()
    used = weight > 1e-12
    if not bool(used.any()):
        return {}
    return {"slope": float((through.flatten(1).norm(dim=1)[used] / weight[used]).median())}


def of_generator(entries: Entries, kinds: dict[int, str]) -> Entries:
    """Entries without gradients of passes that are known to be the critic's."""
    kept = [(one, [[e for e in part if kinds.get(e.task) != "critic"] for part in events]) for one, events in entries]
    return [(one, events) for one, events in kept if any(events)]
