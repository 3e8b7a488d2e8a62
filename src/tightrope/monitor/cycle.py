"""One window's captured calls put in order: which batch was real, which fake, whose step each backward pass fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tightrope.monitor.capture import Call, Event
from tightrope.monitor.ledger.replay import HALF
from tightrope.monitor.ledger.scores import Scored


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
        fake_rows: Of a joint batch, which rows are fake.
    """

    call: Call
    role: str = "unknown"
    source: Call | None = None
    exact: bool = False
    fake_rows: slice = field(default_factory=lambda: slice(0, 0))


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
    if call.attached and asked and not any(e.graph for e in asked):
        return list(events)  # the generator's own loss may well count every score alike
    return [e for e in events if all(e is not p for p in asked)]


def judged(critic: Sequence[Call], generator: Sequence[Call], real: Tensor | None) -> list[Judged]:
    """Every call of the critic with its role."""
    found, pairs = [], []
    for call in critic:
        one = Judged(call)
        found.append(one)
        if call.x is None:
            continue
        if _takes_a_pair(call):  # real and generated samples at once, or a condition: nobody knows which is judged
            pairs.append(one)
            continue
        if call.events and any(call.events) and not any(of_losses(call, e) for e in call.events):
            one.role = "points"
            continue
        _place(one, generator, real)
    unknown = [one for one in found if one.role == "unknown" and not any(one is pair for pair in pairs)]
    fakes = any(one.role == "fake" and not one.call.attached for one in found)
    reals = any(one.role == "real" for one in found)
    attached = any(one.role == "fake" for one in found)
    for one in unknown:
        if fakes or (attached and not reals):  # fakes are known by their storage, so what is not one is real
            one.role = "real"
        elif reals:
            one.role = "fake"
    return found


def _takes_a_pair(call: Call) -> bool:
    """Whether two inputs of one call could be what is judged."""
    given = [a for a in (*call.args, *call.kwargs.values()) if isinstance(a, Tensor) and a.is_floating_point()]
    return call.x is not None and sum(a.shape == call.x.shape and a.dim() > 1 for a in given) > 1


def _place(one: Judged, generator: Sequence[Call], real: Tensor | None) -> None:
    x = one.call.x
    assert x is not None
    for made in reversed(generator):
        for y in made.outputs:
            if y.shape == x.shape and (_shares(x, y) or torch.equal(x, y)):
                one.role, one.source, one.exact = "fake", made, True
                return
            if x.shape[1:] == y.shape[1:] and len(x) > len(y):
                for rows in (slice(len(x) - len(y), len(x)), slice(0, len(y))):
                    if torch.equal(x[rows], y.to(x.dtype)):
                        one.role, one.source, one.fake_rows = "joint", made, rows
                        return
    if real is not None and real.shape == x.shape and (_shares(x, real) or torch.equal(x, real.to(x.dtype))):
        one.role, one.exact = "real", True
        return
    if one.call.attached:
        one.role, one.source = "fake", generator[-1] if generator else None
        return
    for made in reversed(generator):
        if any(related(x, y) for y in made.outputs):
            one.role, one.source = "fake", made
            return
    if real is not None and related(x, real):
        one.role = "real"


def _shares(x: Tensor, y: Tensor) -> bool:
    return x.data_ptr() == y.data_ptr() and x.numel() == y.numel()


def related(x: Tensor, y: Tensor) -> bool:
    """Whether rows of two batches belong together: transformed copies (noise, augmentation, another scale)."""
    if len(x) != len(y) or len(x) < 4 or not y.is_floating_point():
        return False
    a, b = x.detach().float().flatten(1), y.detach().float().flatten(1)
    if a.shape != b.shape:
        return False
    a, b = a - a.mean(0), b - b.mean(0)
    own = torch.nn.functional.cosine_similarity(a, b)
    other = torch.cat([torch.nn.functional.cosine_similarity(a, b.roll(k, 0)) for k in (1, 2)])
    spread = float(other.std()) / len(a) ** 0.5 + 1e-9
    return float(own.mean()) > 0.3 and float(own.mean() - other.mean()) > 6 * spread


def owner(at: int, marks: Sequence[StepMark]) -> str:
    """The player whose step comes next; empty if none does."""
    return next((mark.player for mark in marks if mark.at > at), "")


def phases(found: Sequence[Judged], marks: Sequence[StepMark]) -> dict[str, list[tuple[Judged, list[list[Event]]]]]:
    """Per player the critic's calls that its losses went through, each with the events of those losses per output."""
    split: dict[str, list[tuple[Judged, list[list[Event]]]]] = {"generator": [], "critic": []}
    for one in found:
        for player, kept in split.items():
            events = [[e for e in of_losses(one.call, arrived) if owner(e.at, marks) == player]
                      for arrived in one.call.events]  # fmt: skip
            if any(events):
                kept.append((one, events))
    for full, empty in (("critic", "generator"), ("generator", "critic")):
        if split[full] and not split[empty] and {m.player for m in marks} == {"generator", "critic"}:
            _part(split, full, empty)
    return split


def _part(split: dict[str, list[tuple[Judged, list[list[Event]]]]], full: str, empty: str) -> None:
    """Both players' backward passes ran before either stepped: a graph to the generator tells them apart."""
    attached = [entry for entry in split[full] if entry[0].call.attached]
    others = [entry for entry in split[full] if not entry[0].call.attached]
    if attached and any(entry[0].role == "fake" for entry in others):
        split["generator"], split["critic"] = attached, others


def scored(entries: Sequence[tuple[Judged, list[list[Event]]]], output: int) -> Scored | None:
    """One output's scores and their gradients as real and fake ones; None where a role is not known."""
    real: list[tuple[Tensor, Tensor]] = []
    fake: list[tuple[Tensor, Tensor]] = []
    half = False
    for one, events in entries:
        if output >= len(events):
            return None
        s = one.call.outputs[output]
        half |= s.dtype in HALF or one.call.autocast in HALF
        arrived = [e.value for e in events[output]]
        g = torch.stack(arrived).sum(0) if arrived else torch.zeros_like(s)
        s, g = s.detach().double(), g.double()
        if one.role == "real":
            real.append((s.flatten(), g.flatten()))
        elif one.role == "fake":
            fake.append((s.flatten(), g.flatten()))
        elif one.role == "joint" and one.call.x is not None and len(s) == len(one.call.x):
            rows = torch.zeros(len(s), dtype=torch.bool, device=s.device)
            rows[one.fake_rows] = True
            fake.append((s[rows].flatten(), g[rows].flatten()))
            real.append((s[~rows].flatten(), g[~rows].flatten()))
        elif one.role != "points":
            return None
    if not real and not fake:
        return None
    nothing = [torch.zeros(0, dtype=torch.float64, device=(real or fake)[0][0].device)]
    parts = [torch.cat([pair[k] for pair in side] or nothing) for side in (real, fake) for k in (0, 1)]
    return Scored(parts[0], parts[2], parts[1], parts[3], half)


def where(points: Judged, found: Sequence[Judged]) -> str:
    """Where a penalty's points lie: ``"real"``, ``"fake"``, ``"interpolated"`` or ``"other"`` points."""
    x = points.call.x
    if points.role in ("real", "fake"):
        return points.role
    if x is None:
        return "other"
    shown = {role: [one.call.x for one in found if one.role == role and one.call.x is not None and one is not points]
             for role in ("real", "fake")}  # fmt: skip
    for role, batches in shown.items():
        if any(b.shape == x.shape and torch.equal(b, x) for b in batches):
            return role
    for a in shown["real"]:
        for b in shown["fake"]:
            if a.shape == x.shape == b.shape and _between(x, a, b):
                return "interpolated"
    return "other"


def _between(x: Tensor, a: Tensor, b: Tensor) -> bool:
    """Whether every row of ``x`` lies on the line through the rows of ``a`` and ``b``."""
    p, q, r = (t.detach().float().flatten(1) for t in (x, a, b))
    along, off = q - r, p - r
    t = (off * along).sum(1, keepdim=True) / along.square().sum(1, keepdim=True).clamp(min=1e-12)
    left = (off - t * along).norm(dim=1) / along.norm(dim=1).clamp(min=1e-12)
    return bool((left < 1e-2).all()) and bool(((t > -0.05) & (t < 1.05)).all())
