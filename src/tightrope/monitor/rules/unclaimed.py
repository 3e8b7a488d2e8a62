"""Penalties of which nothing was said: what the critic's gradient tells of them all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.ledger.columns import KINDS
from tightrope.monitor.rules._said import account_of, exact
from tightrope.monitor.rules.penalties import _alone, _scaled


def _unused(history: History) -> Iterator[Finding]:
    """A gradient at the critic's inputs is asked for at every step, and nothing of it is ever in the gradient.

    A log may ask for it too, without its graph; and a one-sided penalty gives nothing where the critic is flat.
    """
    asked = [w for w in history.windows if w.numbers.get("points", 0) > 0 and w.critic.accounts]
    steps = history.counters["critic"].steps
    if len(asked) < 3 or steps < 8 or history.points < 0.9 * steps or not all(map(_alone, asked)):
        return
    graph = all(w.numbers.get("points_with_graph") for w in asked)
    felt = all(any(a.expected for a in w.critic.accounts) for w in asked[-3:])
    found = exact(
        "penalty_absent" if graph else "penalty_detached", Seen(asked, asked),
        "At every step of the critic the gradient at its inputs is computed " + ("" if graph else "without a graph ")
        + "and nothing of it is in the critic's gradient, which the losses alone explain.", weight=0.0,
    )  # fmt: skip
    both = ("penalty_absent", "penalty_detached")
    yield replace(found, confidence="medium" if graph and felt else "low", candidates=both)


def penalty(history: History) -> Iterator[Finding]:
    """A penalty that nobody spoke of, if penalties were spoken of at all."""
    if history.claims.penalties:
        return
    yield from _scaled(history)
    yield from _unused(history)
    seen = history.where(lambda w: account_of(w, "kind") is not None)
    ends = [(part.place, part.name) for w in seen.hits if (part := account_of(w, "kind")) is not None]
    claim = history.claim
    known = {(place, name) for place in ("real", "fake") for name in KINDS if name.startswith("1-")}
    always = len(seen) >= 3 and len(seen) == len(seen.among) and set(ends) <= known
    if always and claim is not None and claim.needs_lipschitz:
        found = exact(
                "penalty_other_place", seen, f"A {ends[-1][1]} penalty acts at {ends[-1][0]} points; the "
                f"{claim.name} loss asks for slopes between real and generated rows.", place=ends[-1][0],
                expected="interpolated",
            )  # fmt: skip
        yield replace(found, confidence="low")
    if seen and history.claims.said:
        part = account_of(seen.last, "kind")
        assert part is not None
        found = exact("penalty_other_kind", seen, f"A penalty on {part.name} of weight {part.weight:.3g} acts that was "
                      "not claimed.", weight=part.weight)  # fmt: skip
        yield Finding(**{**vars(found), "confidence": "low"})
