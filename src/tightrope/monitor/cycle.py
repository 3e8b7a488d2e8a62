"""One window's captured calls put in order: whose step each backward pass fed, and what it brought at the scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tightrope.monitor.capture import Event
from tightrope.monitor.ledger.replay import HALF
from tightrope.monitor.ledger.scores import Scored
from tightrope.monitor.roles import Judged, StepMark, of_losses

Entries = list[tuple[Judged, list[list[Event]]]]


def owner(at: int, marks: Sequence[StepMark]) -> str:
    """The player whose step comes next; empty if none does."""
    return next((mark.player for mark in marks if mark.at > at), "")


def phases(found: Sequence[Judged], marks: Sequence[StepMark]) -> dict[str, Entries]:
    """Per player the critic's calls that its losses went through, each with the events of those losses per output."""
    split: dict[str, Entries] = {"generator": [], "critic": []}
    for one in found:
        for player, kept in split.items():
            events = [[e for e in of_losses(one.call, arrived) if owner(e.at, marks) == player]
                      for arrived in one.call.events]  # fmt: skip
            if any(events):
                kept.append((one, events))
    for full, empty in (("critic", "generator"), ("generator", "critic")):
        if split[full] and not split[empty] and {m.player for m in marks} == {"generator", "critic"}:
            _part(split, full, empty)
    return {player: _felt(kept) for player, kept in split.items()}


def _felt(entries: Entries) -> Entries:
    """Without calls whose gradients are all zero (a term times 0, as penalties keep one), beside others of a kind."""

    def silent(entry: tuple[Judged, list[list[Event]]]) -> bool:
        return not any(bool(e.value.any()) for arrived in entry[1] for e in arrived)

    heard = {entry[0].role for entry in entries if not silent(entry)}
    return [entry for entry in entries if entry[0].role not in heard or not silent(entry)]


def _part(split: dict[str, Entries], full: str, empty: str) -> None:
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
            rows = one.fake_rows
            fake.append((s[rows].flatten(), g[rows].flatten()))
            real.append((s[~rows].flatten(), g[~rows].flatten()))
        elif one.role != "points":
            return None
    if not real and not fake:
        return None
    nothing = [torch.zeros(0, dtype=torch.float64, device=(real or fake)[0][0].device)]
    parts = [torch.cat([pair[k] for pair in side] or nothing) for side in (real, fake) for k in (0, 1)]
    return Scored(parts[0], parts[2], parts[1], parts[3], half)
