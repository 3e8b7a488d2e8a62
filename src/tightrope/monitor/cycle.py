"""One window's captured calls put in order: whose step each backward pass fed, and what it brought at the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tightrope.monitor.capture import Call, Event
from tightrope.monitor.ledger.replay import HALF
from tightrope.monitor.ledger.scores import Scored
from tightrope.monitor.passes import BOTH, owners
from tightrope.monitor.roles import Judged, StepMark, of_losses

Entries = list[tuple[Judged, list[list[Event]]]]


def phases(
    found: Sequence[Judged], made: Sequence[Call], marks: Sequence[StepMark], turned: float | None = None
) -> dict[str, Entries]:
    """Per player the critic's calls that its losses went through, each with the events of those losses per output.

    Args:
        found: The critic's calls with their roles.
        made: The generator's calls.
        marks: The steps.
        turned: Factor between what one pass of both players brought the generator and what went through the critic;
            None where it is not known, and then nothing of such a pass is the generator's.
    """
    whose = owners(found, made, marks)
    split: dict[str, Entries] = {"generator": [], "critic": []}
    both: Entries = []
    for one in found:
        events = [[(e, whose(e)) for e in of_losses(one.call, arrived)] for arrived in one.call.events]
        for player, kept in (*split.items(), (BOTH, both)):
            own = [[e for e, name in arrived if name == player] for arrived in events]
            if any(own):
                kept.append((one, own))
    if both:
        _part(split, both, turned)
    return {player: _felt(kept) for player, kept in split.items()}


def _felt(entries: Entries) -> Entries:
    """Without calls whose gradients are all zero (a term times 0, as penalties keep one), beside others of a kind."""

    def silent(entry: tuple[Judged, list[list[Event]]]) -> bool:
        return not any(bool(e.value.any()) for arrived in entry[1] for e in arrived)

    heard = {entry[0].role for entry in entries if not silent(entry)}
    return [entry for entry in entries if entry[0].role not in heard or not silent(entry)]


def _part(split: dict[str, Entries], both: Entries, turned: float | None) -> None:
    """One pass fed both players: a graph to the generator tells calls apart, or the same scores served both."""
    attached = [entry for entry in both if entry[0].call.attached]
    others = [entry for entry in both if not entry[0].call.attached]
    if attached and any(entry[0].role == "fake" for entry in others):
        split["generator"] += attached
        split["critic"] += others
        return
    split["critic"] += both
    if turned is not None:
        split["generator"] += [
            (one, [[replace(e, value=turned * e.value) for e in arrived] for arrived in events])
            for one, events in attached
        ]


def by_unit(entries: Entries) -> list[Entries]:
    """Entries of each network of a list of critics; of one critic all together."""
    units = list(dict.fromkeys(one.call.unit for one, _ in entries))
    return [[entry for entry in entries if entry[0].call.unit == unit] for unit in units]


def complete(entries: Entries, marks: Sequence[StepMark]) -> Entries:
    """Of entries with unknown roles those in steps of the critic, or else in passes, of which every role is known.

    Of several steps of the critic, or of micro-batches, only the last is on the batch that was passed. A pass counts if
    both sides are in it: halves may have passes of their own.
    """
    steps = [mark.at for mark in marks if mark.player == "critic"]

    def step(entry: tuple[Judged, list[list[Event]]]) -> int:
        return sum(at < min(e.at for arrived in entry[1] for e in arrived) for at in steps)

    def passes(entry: tuple[Judged, list[list[Event]]]) -> set[int]:
        return {e.task for arrived in entry[1] for e in arrived}

    unknown = {step(entry) for entry in entries if entry[0].role == "unknown"}
    if not unknown or (known := [entry for entry in entries if step(entry) not in unknown]):
        return known if unknown else entries
    roles: dict[int, set[str]] = {}
    for entry in entries:
        for task in passes(entry):
            roles.setdefault(task, set()).add(entry[0].role)
    whole = {task for task, found in roles.items() if "joint" in found or found >= {"real", "fake"}}
    whole = {task for task in whole if "unknown" not in roles[task]}
    return [entry for entry in entries if passes(entry) <= whole] or entries


def scored(entries: Sequence[tuple[Judged, list[list[Event]]]], output: int) -> Scored | None:
    """One output's scores and their gradients as real and fake ones; None where a role is not known."""
    real: list[tuple[Tensor, Tensor]] = []
    fake: list[tuple[Tensor, Tensor]] = []
    half, column = False, True
    for one, events in entries:
        if output >= len(events):
            return None
        s = one.call.outputs[output]
        half |= s.dtype in HALF or one.call.autocast in HALF
        column &= s.dim() == 2 and s.shape[1] == 1
        arrived = [e.value for e in events[output]]
        g = torch.stack(arrived).sum(0) if arrived else torch.zeros_like(s)
        s, g = s.detach().double(), g.double()
        if one.role == "real":
            real.append((s.flatten(), g.flatten()))
        elif one.role == "fake":
            fake.append((s.flatten(), g.flatten()))
        elif one.role == "joint" and one.call.x is not None and len(s) == len(one.call.x):
            rows = one.fake_rows
            fake.append((s[rows].flatten(), g[rows].flatten()))
            real.append((s[~rows].flatten(), g[~rows].flatten()))
        elif one.role != "points":
            return None
    if not real and not fake:
        return None
    nothing = [torch.zeros(0, dtype=torch.float64, device=(real or fake)[0][0].device)]
    parts = [torch.cat([pair[k] for pair in side] or nothing) for side in (real, fake) for k in (0, 1)]
    return Scored(parts[0], parts[2], parts[1], parts[3], half, column)
