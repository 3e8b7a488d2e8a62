"""What each call of the critic was shown: real samples, generated ones, both, or points that a penalty asks about.

Rows decide: those of the generator's own outputs are fake, those of the batch that was passed are real, also in parts
of a batch, in another order, and mixed with others. What no row tells is concluded only where one side is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tightrope.monitor.bookkeeping import checksums
from tightrope.monitor.capture import Call, Event

SOME = 0.2
"""Share of rows from which a batch counts as the generator's (beside a bank of older samples), or as real."""


@dataclass(frozen=True)
class StepMark:
    """An optimiser step of a player, at a time."""

    player: str
    at: int


@dataclass
class Judged:
    """A critic's call with what it was shown.

    Attributes:
        call: It.
        role: ``"real"``, ``"fake"``, ``"joint"`` (both in one batch), ``"points"`` (a penalty's), or ``"unknown"``.
        source: The generator's call behind a fake batch.
        exact: A fake batch is the generator's output itself, a real one the batch that was passed.
        fake_rows: Of a joint batch, which rows are fake, ``[batch]``.
    """

    call: Call
    role: str = "unknown"
    source: Call | None = None
    exact: bool = False
    fake_rows: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    def part(self, role: str) -> Tensor | None:
        """The rows of one role."""
        x = self.call.x
        if x is None or self.role not in (role, "joint"):
            return None
        if self.role == "joint":
            return x[self.fake_rows if role == "fake" else ~self.fake_rows]
        return x


def probes(events: Sequence[Event]) -> list[Event]:
    """Backward passes that only asked for the gradient at the inputs: a graph was kept, or every score counts alike."""
    return [e for e in events if e.graph or _alike(e.value)]


def _alike(value: Tensor) -> bool:
    return value.numel() > 1 and float(value.flatten()[0]) == 1.0 and bool((value == 1.0).all())


def of_losses(call: Call, events: Sequence[Event]) -> list[Event]:
    """The other backward passes. Scores at points that no penalty could ask about count whatever they are."""
    if not (call.leaf or call.attached):
        return [e for e in events if not e.graph]
    asked = probes(events)
    if call.attached and len(asked) == len(events) and not any(e.graph for e in asked):
        return list(events)  # the generator's own loss may well count every score alike
    return [e for e in events if all(e is not p for p in asked)]


def judged(
    critic: Sequence[Call], generator: Sequence[Call], real: Tensor | None, marks: Sequence[StepMark] = ()
) -> list[Judged]:
    """Every call of the critic with its role."""
    found: list[Judged] = []
    pairs: set[int] = set()
    for call in critic:
        if call.part and not any(o.numel() <= 4 * len(o) for o in call.outputs if o.dim()):
            continue  # parts that give features and no scores
        one = Judged(call)
        found.append(one)
        if call.x is None:
            continue
        if _takes_a_pair(call):  # real and generated samples at once, or a condition: nobody knows which is judged
            pairs.add(id(one))
            continue
        if call.events and any(call.events) and not any(of_losses(call, e) for e in call.events):
            one.role = "points"
            continue
        _place(one, generator, real)
        bent = any(e.graph and not _alike(e.value) for arrived in call.events for e in arrived)
        if call.leaf and bent and not one.exact and one.role != "joint":  # a penalty on a function of the scores
            one.role, one.source = "points", None
    steps = [mark.at for mark in marks if mark.player == "critic"]
    groups: dict[int, list[Judged]] = {}
    for one in found:
        if id(one) not in pairs:
            groups.setdefault(sum(at < one.call.at for at in steps), []).append(one)
    for group in groups.values():
        _beside_the_made(group)
        _conclude([one for one in group if not one.call.attached or _feeds_critic(one.call, marks)])
    return found


def _feeds_critic(call: Call, marks: Sequence[StepMark]) -> bool:
    """Whether the step after what came to a call is one of the critic: generated samples that nobody has detached."""
    last = max((e.at for arrived in call.events for e in arrived), default=None)
    return last is not None and next((mark.player for mark in marks if mark.at > last), "") == "critic"


def _beside_the_made(group: Sequence[Judged]) -> None:
    """What only resembles samples, row by row, in one pass with those themselves and nothing real, is the real side.

    A generator that is given the classes of the real rows makes samples that resemble these.
    """
    for one in group:
        if one.role == "fake" and not one.exact and not one.call.attached and (tasks := _tasks(one)):
            mates = [other for other in group if other is not one and tasks & _tasks(other)]
            if mates and all(other.role == "fake" and (other.exact or other.call.attached) for other in mates):
                one.role, one.source = "real", None


def _conclude(own: Sequence[Judged]) -> None:
    """Between two steps of the critic, what is unknown is the side that is missing, or the shorter one by as many."""
    for one in own:
        tasks = _tasks(one)
        together = {other.role for other in own if other is not one and tasks & _tasks(other)} if tasks else set()
        if one.role == "unknown" and together in ({"fake"}, {"real"}):  # both sides of one backward pass
            one.role = "real" if "fake" in together else "fake"
    known = [one.role for one in own if one.role in ("real", "fake", "joint")]
    missing = {"fake": "real", "real": "fake"}.get(next(iter(set(known))) if len(set(known)) == 1 else "")
    unknown = [one for one in own if one.role == "unknown"]
    if missing and len(unknown) in (1, len(known)):  # of more nobody knows which
        for one in unknown:
            one.role = missing
    sides = {
        role: [one for one in own if one.role == role and not one.call.leaf] for role in ("real", "fake", "unknown")
    }
    short = len(sides["fake"]) - len(sides["real"])
    if short > 0 and short == len(sides["unknown"]) and all(one.exact for one in sides["fake"]):
        for one in sides["unknown"]:  # of micro-batches only the last is passed
            one.role = "real"


def _tasks(one: Judged) -> set[int]:
    """The backward passes that losses brought to a call."""
    return {e.task for arrived in one.call.events for e in of_losses(one.call, arrived)}


def _takes_a_pair(call: Call) -> bool:
    """Whether two inputs of one call could be what is judged."""
    if call.half is not None:
        return False
    given = [a for a in (*call.args, *call.kwargs.values()) if isinstance(a, Tensor) and a.is_floating_point()]
    return call.x is not None and sum(a.shape == call.x.shape and a.dim() > 1 for a in given) > 1


def _place(one: Judged, generator: Sequence[Call], real: Tensor | None) -> None:
    x = one.call.x
    assert x is not None
    made = [(call, y) for call in reversed(generator) for y in call.outputs if y.dim() and y.shape[1:] == x.shape[1:]]
    if one.call.part and not made:  # parts are given rows that a method has flattened
        made = [(call, y.flatten(1)) for call in reversed(generator) for y in call.outputs if y.dim() > 2 == x.dim()]
        made = [(call, y) for call, y in made if y.shape[1:] == x.shape[1:]]
        real = real.flatten(1) if real is not None and real.dim() > 2 == x.dim() else real
    for call, y in made:
        if same(x, y):
            one.role, one.source, one.exact = "fake", call, True
            return
    if real is not None and same(x, real):
        one.role, one.exact = "real", True
        return
    if x.dim() and len(x) and _by_rows(one, made, real):
        return
    if not made and _beside_a_condition(one, generator, real):
        return
    if one.call.attached:
        one.role, one.source = "fake", generator[-1] if generator else None
        return
    to_real = _closest(x, [] if real is None else [real])
    to_given = _closest(x, [y for call in generator for y in _given(call, x)])
    for call, y in made:
        if max(relations(x, y)) > max(to_real, to_given):
            one.role, one.source = "fake", call
            return
    if to_real > 0.0 and to_real >= to_given:
        one.role = "real"


def _given(call: Call, x: Tensor) -> list[Tensor]:
    """What a generator was given that could be shown to a critic: whole, or its first or last channels."""
    found = []
    for t in (*call.args, *call.kwargs.values()):
        if isinstance(t, Tensor) and t.is_floating_point() and t.dim() == x.dim() > 1 and t.shape[2:] == x.shape[2:]:
            found += [t] if t.shape[1] == x.shape[1] else [t[:, : x.shape[1]], t[:, -x.shape[1] :]]
    return [t for t in found if t.shape[1] == x.shape[1]]


def _closest(x: Tensor, batches: Sequence[Tensor]) -> float:
    """How closely rows belong to one of the batches: what was passed, or what a translated image was made of."""
    return max((2.0 if same(x, t) else relation(x, t) for t in batches), default=0.0)


def _beside_a_condition(one: Judged, generator: Sequence[Call], real: Tensor | None) -> bool:
    """Decide by the first or the last channels: the others are what the samples belong to."""
    x = one.call.x
    assert x is not None
    batches: list[tuple[str, Call | None, Tensor]] = []
    batches += [("fake", call, y) for call in reversed(generator) for y in call.outputs]
    batches += [("real", None, real)] if real is not None else []
    for role, call, y in batches:
        if not (x.dim() == y.dim() >= 2 and x.shape[2:] == y.shape[2:] and x.shape[1] > y.shape[1] > 0):
            continue
        if any(same(piece, y) for piece in (x[:, -y.shape[1] :], x[:, : y.shape[1]])):
            one.role, one.source, one.exact = role, call, True
            return True
    return False


def _by_rows(one: Judged, made: Sequence[tuple[Call, Tensor]], real: Tensor | None) -> bool:
    """Decide by the rows that a batch has in common with the generator's outputs and with the real batch."""
    x = one.call.x
    assert x is not None
    own = checksums(x)
    fake, whole = torch.zeros(len(x), dtype=torch.bool), False
    for call, y in made:
        rows = checksums(y.to(x.dtype))
        if len(torch.unique(rows)) < 0.9 * len(rows):  # of few values, as real rows may be too: equal by chance
            continue
        hits = torch.isin(own, rows)
        if bool(hits.any()):
            one.source = one.source or call
            whole |= len(x) > len(y) and bool(torch.isin(rows, own).all())
            fake |= hits
    alike = real is not None and real.dim() > 0 and real.shape[1:] == x.shape[1:]
    known = torch.isin(own, checksums(real.to(x.dtype))) & ~fake if alike and real is not None else fake & ~fake
    if bool(fake.all()) or bool(known.all()):
        one.role, one.exact = ("fake", True) if bool(fake.all()) else ("real", True)
    elif bool(fake.any()) and (whole or bool((fake | known).all())):
        one.role, one.fake_rows = "joint", fake.to(x.device)
    elif float(fake.double().mean()) >= SOME and not bool(known.any()):
        one.role = "fake"
    elif float(known.double().mean()) >= SOME and not bool(fake.any()):
        one.role = "real"
    else:
        one.source = None
        return False
    return True


def same(x: Tensor, y: Tensor) -> bool:
    """Whether two batches are one, or equal in the precision of the first."""
    if x.shape != y.shape:
        return False
    itself = x.data_ptr() == y.data_ptr() and x.dtype == y.dtype and x.stride() == y.stride()  # no view of it
    return itself or torch.equal(x, y.to(x))


def related(x: Tensor, y: Tensor) -> bool:
    """Whether rows of two batches belong together: transformed copies (noise, augmentation, another scale)."""
    return relation(x, y) > 0.0


def relation(x: Tensor, y: Tensor) -> float:
    """Mean cosine of rows of two batches that belong together, 0 where they do not."""
    return relations(x, y)[0]


def relations(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The relation of two batches, and that of the first one's negative and the second."""
    if len(x) != len(y) or len(x) < 4 or not y.is_floating_point():
        return 0.0, 0.0
    a, b = x.detach().float().flatten(1), y.detach().float().flatten(1)
    if a.shape != b.shape:
        return 0.0, 0.0
    a, b = (torch.nn.functional.normalize(t - t.mean(0), dim=1, eps=1e-8) for t in (a, b))
    own = float((a * b).sum(1).mean())
    other = torch.cat([(a * b.roll(k, 0)).sum(1) for k in (1, 2)])
    apart, spread = float(other.mean()), float(other.std()) / len(a) ** 0.5 + 1e-9
    first, second = (
        sign * own if sign * own > 0.3 and sign * (own - apart) > 6 * spread else 0.0 for sign in (1.0, -1.0)
    )
    return first, second
