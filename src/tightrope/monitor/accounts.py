"""The ledger of parameters, run in the hook before an optimiser's step, where what is applied lies in ``.grad``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tightrope.monitor.capture import Call, Event, Listener
from tightrope.monitor.ledger.columns import AXES, COSTS, KINDS, PACKED, Column, flat, gradients_at, pack_rows
from tightrope.monitor.ledger.parameters import IDLE, Account, account
from tightrope.monitor.ledger.replay import CannotReplayError, pulled_back, refuse_foreign_hooks
from tightrope.monitor.passes import classes, of_critic
from tightrope.monitor.roles import Judged, of_losses, probes

Entries = list[tuple[Call, list[Tensor | None]]]


@dataclass
class Leaves:
    """A player's parameters in an optimiser, and what lay in their ``.grad`` before.

    Attributes:
        parameters: Those with a gradient.
        start: ``.grad`` at the start of the window, flat; None where it was not kept.
    """

    parameters: list[Tensor]
    start: Tensor | None = None

    def gradient(self) -> Tensor:
        """What is applied, flat."""
        return flat([p.grad for p in self.parameters], self.parameters)


def entries(calls: Sequence[Call], keep: Callable[[Event], bool]) -> Entries:
    """Calls with the sum of the kept gradients at each output; those without any are left out."""
    found: Entries = []
    for call in (piece for whole in calls for piece in (whole.units if whole.part else [whole])):
        sums: list[Tensor | None] = []
        for arrived in call.events:
            kept = [e.value for e in of_losses(call, arrived) if keep(e)]
            sums.append(torch.stack(kept).sum(0) if kept else None)
        if any(s is not None for s in sums):
            found.append((call, sums))
    return found


def _ready(module: nn.Module, calls: Sequence[Call]) -> None:
    refuse_foreign_hooks(module, computing=True)
    if any(call.stepped(module) for call in calls):
        raise CannotReplayError("the parameters have changed between the call and the step")


def generator_account(
    listener: Listener, found: Sequence[Judged], leaves: Leaves, last_step: int, own_step: int
) -> Account | None:
    """Explain the generator's gradient by what arrived at its samples.

    Args:
        listener: The generator's.
        found: The critic's calls with their roles.
        leaves: What is applied.
        last_step: When an optimiser stepped last, whoever's.
        own_step: When the generator's did.

    Raises:
        CannotReplayError: Its calls cannot be made again.
    """
    everything = entries(listener.calls, lambda e: e.at > own_step)
    after = last_step
    if not entries(listener.calls, lambda e: e.at > last_step):  # both passes ran before either player stepped
        after = own_step
    kinds = classes(found, listener.calls, after)
    alone = set(kinds.values()) <= {"critic"}
    since = entries(listener.calls, lambda e: e.at > after and (alone or kinds.get(e.task) != "critic"))
    if not everything:
        return None
    _ready(listener.module, [call for call, _ in everything])
    losses, error = _flat_pull(listener.module, since, leaves)

    def earlier() -> list[Column]:
        early = entries(
            listener.calls,
            lambda e: own_step < e.at and (e.at <= after or (not alone and kinds.get(e.task) == "critic")),
        )
        if not early:
            return []
        return [Column("leak", "the critic's loss, not cleared", _flat_pull(listener.module, early, leaves)[0])]

    groups: list[Callable[[], list[Column]]] = [list, earlier, lambda: _before(leaves, earlier), lambda: _decay(leaves)]
    return account(leaves.gradient(), losses, groups, error=error, sizes=[p.numel() for p in leaves.parameters])


def critic_account(
    listener: Listener,
    found: Sequence[Judged],
    made: Sequence[Call],
    leaves: Leaves,
    last_step: int,
    own_step: int,
    penalties: Sequence[tuple[str, float]],
) -> Account | None:
    """Explain the critic's gradient by what arrived at its scores and by the claimed penalty.

    Args:
        listener: The critic's.
        found: Its calls with their roles.
        made: The generator's calls.
        leaves: What is applied.
        last_step: When an optimiser stepped last, whoever's.
        own_step: When the critic's did.
        penalties: The claimed ones.

    Raises:
        CannotReplayError: Its calls cannot be made again.
    """
    if not any(e.at > last_step for one in found for arrived in one.call.events for e in arrived):
        last_step = own_step  # both backward passes ran before either player stepped
    later = [one for one in found if one.call.at > last_step or _backward_after(one.call, last_step)]
    calls = [one.call for one in later]
    apart = any(
        one.role in ("fake", "joint") and not one.call.attached and any(one.call is c for c in calls) for one in found
    )
    asked = [one.call for one in found if one.role == "points"]
    own = [call for call in calls if not (apart and call.attached) and all(call is not a for a in asked)]
    mine = of_critic(later, made, last_step)
    since = entries(own, lambda e: e.at > last_step and mine(e))
    points = [one for one in found if one.call.at > last_step and _asked(one.call)]
    if not since and not points:
        return None
    module = listener.module
    _ready(module, [call for call, _ in since] + [one.call for one in points])
    losses, error = _flat_pull(module, since, leaves)

    def claimed() -> list[Column]:
        columns = []
        for name, weight in penalties:
            words, cost = COSTS[name]
            for one in _places(found, points, name, last_step):
                vector = gradients_at(module, one.call, [cost], leaves.parameters, asked=_weights(one.call))[0]
                columns.append(Column("claim", words, vector, weight, one.call.at))
        return columns + _sums(columns)

    def scaled() -> list[Column]:
        columns = []
        for one in points:
            factor = _asked_with(one.call)
            if factor > 1.5:
                for name, _ in penalties or (("gp", 10.0), ("gp1", 10.0)):
                    cost, asked = COSTS[name][1], _weights(one.call)
                    vector = gradients_at(module, one.call, [cost], leaves.parameters, factor, asked=asked)[0]
                    columns.append(Column("scale", f"its gradient times {factor:.4g}", vector, at=one.call.at))
        return columns

    def others() -> list[Column]:
        if penalties and not points:  # taken where no hook is heard, as inside of function transforms
            return _at_batches(module, found, leaves, penalties[0], last_step)
        squashed = []
        for one in points if penalties else ():
            words, cost = COSTS[penalties[0][0]]
            asked = _weights(one.call)
            vector = gradients_at(module, one.call, [cost], leaves.parameters, asked=asked, squashed=True)[0]
            squashed.append(Column("kind", f"{words} of sigmoid(scores)", vector, at=one.call.at))
        return [*(c for one in points for c in _all_costs(module, one, leaves)), *squashed]

    def leaked() -> list[Column]:
        attached = [c for c in calls if c.attached]
        rest = entries(attached, lambda e: e.at > last_step and (not mine(e) or len(own) < len(calls)))
        before = [one.call for one in found if one.call.attached and not one.call.stepped(module)]
        early = entries(before, lambda e: own_step < e.at <= last_step)  # the generator's turn, before this one
        return [Column("leak", "the generator's loss, not cleared", _flat_pull(module, each, leaves)[0])
                for each in (rest, early) if each]  # fmt: skip

    groups = [claimed, scaled, leaked, lambda: _before(leaves, leaked), others, lambda: _decay(leaves)]
    found_so = account(leaves.gradient(), losses, groups, error=error, sizes=[p.numel() for p in leaves.parameters])
    if found_so.kind == "losses" and points and not penalties and not _idle(module, points, leaves, (("gp", 10.0),)):
        return replace(found_so, expected=1.0)
    idle = found_so.kind == "losses" and found_so.expected and points and not _cut_off(points)
    if idle and _idle(module, points, leaves, penalties):
        return replace(found_so, name=IDLE)
    return found_so


def _backward_after(call: Call, step: int) -> bool:
    """Whether a backward pass came to a call after a step, be it that the call came before."""
    return any(e.at > step for arrived in call.events for e in arrived)


def _idle(module: nn.Module, points: Sequence[Judged], leaves: Leaves, penalties: Sequence[tuple[str, float]]) -> bool:
    """Whether a one-sided form of the claimed penalty, which is no fault, would give nothing at these points."""
    if [name for name, _ in penalties] != ["gp"] or not all(
        e.graph for one in points for arrived in one.call.events for e in probes(arrived)
    ):
        return False
    cost = COSTS["gp1"][1]
    found = [gradients_at(module, one.call, [cost], leaves.parameters, asked=_weights(one.call))[0] for one in points]
    return not any(bool(vector.any()) for vector in found)


def _cut_off(points: Sequence[Judged]) -> bool:
    """Whether no backward pass has come back to points that nothing but a penalty asked about.

    One that acts passes the points again, be it with zeros: gradients at inputs depend on them by way of activations.
    """
    alone = [one.call for one in points if one.role == "points" and one.call.given is not None]
    return len(alone) == len(points) > 0 and all(call.given is not None and call.given.grad is None for call in alone)


def _asked(call: Call) -> bool:
    return (call.leaf or call.attached) and any(probes(arrived) for arrived in call.events)


def _asked_with(call: Call) -> float:
    """The factor of the scores under which the gradient at the inputs was asked for: 1, or a loss scale."""
    values = [e.value.flatten() for arrived in call.events for e in probes(arrived)]
    same = [v for v in values if len(v) and bool((v == v[0]).all())]
    return abs(float(same[0][0])) if same else 1.0


def _weights(call: Call) -> list[Tensor | None]:
    """Of each output the weights with which its gradient at the inputs was asked for, without a loss scale.

    Other outputs, such as classes, are no part of it; a mean over the places of a sample is; one over the batch is not.
    Weights that differ are those of a function of the scores, which counts as if the scores themselves were asked.
    """
    last = [asked[-1].value if (asked := probes(arrived)) else None for arrived in call.events]
    found = [_constant(v.float()) for v in last if v is not None and v.numel()]
    if not found or any(not v.dim() for v in found):
        return []
    factor = _asked_with(call)
    of_row = float(sum(v.float().sum() for v in found)) / len(found[0])
    factor = factor if factor > 1.5 else of_row if 0 < of_row < 0.9 else 1.0
    return [None if v is None else _constant(v.float()) / factor for v in last]


def _constant(v: Tensor) -> Tensor:
    return v if bool((v == v.flatten()[0]).all()) else torch.ones_like(v)


def _places(found: Sequence[Judged], points: Sequence[Judged], name: str, last_step: int) -> list[Judged]:
    """Where the claimed penalty can have been taken: at points asked about, else at the batch that its name says."""
    if points:
        return list(points)
    role = {"r1": "real", "r2": "fake"}.get(name)
    return [one for one in found if one.role == role and one.call.at > last_step and one.call.grad][:1]


def _at_batches(
    module: nn.Module, found: Sequence[Judged], leaves: Leaves, claimed: tuple[str, float], last_step: int
) -> list[Column]:
    """The claimed penalty and other kinds at the batches that the critic was shown."""
    shown = [one for one in found if one.role in ("real", "fake") and one.call.at > last_step and one.call.grad]
    sides = {one.role: one for one in shown if not one.call.attached}
    words, cost = COSTS[claimed[0]]
    columns = []
    for one in sides.values():
        vector = gradients_at(module, one.call, [cost], leaves.parameters)[0]
        columns += [Column("claim", words, vector, claimed[1], one.call.at), *_all_costs(module, one, leaves)]
    return columns


def _sums(columns: Sequence[Column]) -> list[Column]:
    """R1 and R2 together, or a penalty over micro-batches: all columns as one, each cost once at each point."""
    parts = {(column.name, column.at): column.vector for column in columns}
    if len(parts) < 2:
        return []
    total = torch.stack(list(parts.values())).sum(0)
    return [Column("claim", columns[0].name, total, columns[0].expected, columns[0].at, tuple(at for _, at in parts))]


def _all_costs(module: nn.Module, one: Judged, leaves: Leaves) -> list[Column]:
    assert one.call.x is not None
    axes = (PACKED if pack_rows(one.call) < len(one.call.x) else {}) | (AXES if one.call.x.dim() > 1 else {})
    named = [("kind", name, cost) for name, cost in KINDS.items()] + [("axes", n, c) for n, c in axes.items()]
    costs = [cost for _, _, cost in named]
    vectors = gradients_at(module, one.call, costs, leaves.parameters, asked=_weights(one.call))
    return [Column(kind, name, v, at=one.call.at) for (kind, name, _), v in zip(named, vectors, strict=True)]


def _before(leaves: Leaves, leaked: Callable[[], list[Column]]) -> list[Column]:
    """What lay in ``.grad`` as the window began, alone and with what the other player's turn has added since."""
    if leaves.start is None or len(leaves.start) != leaves.gradient().numel():
        return []
    added = [Column("start", f"the gradient left from before and {c.name}", leaves.start + c.vector) for c in leaked()]
    return [Column("start", "the gradient left from before", leaves.start), *added]


def _decay(leaves: Leaves) -> list[Column]:
    return [Column("decay", "a penalty on the weights themselves", flat(leaves.parameters, leaves.parameters))]


def _flat_pull(module: nn.Module, calls: Entries, leaves: Leaves) -> tuple[Tensor, float]:
    found, error = pulled_back(module, calls, leaves.parameters)
    return flat(found, leaves.parameters), error
