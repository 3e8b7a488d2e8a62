"""From evidence to findings: one file per section, every rule a function of the history.

Exact evidence needs one window for medium confidence and two for high, and then stays (after an explosion it could not
be read any more). What rests on averages needs most of the last eight windows, and is lowered to low confidence while
something exact stands, for then it may be a consequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tightrope.monitor.causes import CAUSES
from tightrope.monitor.finding import Diagnosis, Finding, ranked
from tightrope.monitor.history import History
from tightrope.monitor.rules import (
    averages,
    constraints,
    data,
    gradients,
    latent,
    losses,
    moves,
    pace,
    penalties,
    shown,
    slow,
    state,
    strengths,
    unclaimed,
    wiring,
)

Rule = Callable[[History], Iterator[Finding]]

SECTIONS: tuple[tuple[int, Rule], ...] = (
    (0, state.not_finite),
    (1, wiring.optimizers),
    (2, wiring.stepping),
    (3, gradients.cleared),
    (3, gradients.leftovers),
    (3, gradients.lent),
    (4, losses.connection),
    (5, data.reach),
    (5, shown.units),
    (5, shown.order),
    (6, losses.critic),
    (7, losses.generator),
    (8, constraints.coupling),
    (8, penalties.weights),
    (8, unclaimed.penalty),
    (9, constraints.layers),
    (10, constraints.clipping),
    (11, wiring.modes),
    (12, data.batches),
    (13, data.latents),
    (14, data.labels),
    (15, averages.averages),
    (15, averages.evaluation),
    (16, wiring.rates),
    (17, losses.shares),
    (18, losses.unexplained),
    (30, moves.steps),
    (30, moves.momentum),
    (30, strengths.settings),
    (30, moves.vanishing),
    (30, gradients.flat),
    (30, pace.lagging),
    (30, pace.running),
    (30, pace.turning),
    (30, latent.directions),
    (31, slow.distances),
    (32, slow.memorising),
    (33, slow.overfitting),
    (34, slow.few),
)
"""Sections in the order of their rank: a cause before its consequences."""

SLOW = 30


def diagnosis(history: History, steps: int, failures: Mapping[str, str]) -> Diagnosis:
    """All findings of a history, ranked, with what was and what was not checked."""
    found: list[Finding] = []
    failures = {**failures, **history.problems}
    not_checked = [f"{part} failed ({text})" for part, text in failures.items()]
    for rank, rule in SECTIONS:
        try:
            found += [replace(finding, rank=rank) for finding in rule(history)]
        except Exception as problem:  # a rule that fails says nothing
            not_checked.append(
                f"the rules of {rule.__module__.rsplit('.', 1)[-1]} ({type(problem).__name__}: {problem})"
            )
    found = _latched(history, found)
    strong = any(f.confidence != "low" and f.rank < SLOW for f in found)
    if strong:
        found = [replace(f, confidence="low") if f.rank >= SLOW else f for f in found]
    checked = state.checked(history)
    order = ranked(found)
    if all(f.confidence == "low" for f in order):
        order = (state.healthy(history, steps, failures, order), *order) if history.windows else order
    return Diagnosis(order, steps, checked, tuple(not_checked) + state.not_checked(history))


def _latched(history: History, found: list[Finding]) -> list[Finding]:
    """Keep what the ledger was once certain of; a remark where the last six windows that tell say the opposite."""
    for finding in found:
        if finding.confidence == "high" and finding.evidence.get("exact") and CAUSES[finding.cause].kind == "ledger":
            history.latched.setdefault(finding.cause, finding)
    present = {f.cause for f in found}
    found = found + [f for f in history.latched.values() if f.cause not in present]
    over = [f for f in found if CAUSES[f.cause].kind == "ledger" and state.contradicted(history, f)]
    return [replace(f, confidence="low") if any(f is one for one in over) else f for f in found]
