"""How rules word what windows show."""

from __future__ import annotations

from typing import Any

from tightrope.monitor.finding import Confidence, Damage, Finding
from tightrope.monitor.history import Seen
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.window import Window

LOST = 0.2
"""Rounding over the losses' part of a gradient from which what is found of that part is no number to compare with."""
PLACES = {"gp": "interpolated", "gp1": "interpolated", "r1": "real", "r2": "fake"}
"""Where the penalties that can be claimed are taken."""


def exact(
    cause: str, seen: Seen, sentence: str, *, damage: Damage = "not what you claimed", needed: int = 2, **evidence: Any
) -> Finding:
    """A finding that rests on identities or on a fit to rounding: high from ``needed`` windows on.

    What one window alone shows, and three later ones do not, is a remark.
    """
    alone = len(seen) == 1 and len(seen.among) - seen.among.index(seen.last) > 3
    confidence: Confidence = "low" if alone else "high" if len(seen) >= needed else "medium"
    evidence |= {"exact": True, "windows": len(seen), "of": len(seen.among)}
    return Finding(cause, sentence, evidence, seen.since, confidence, damage)


def account_of(window: Window, kind: str) -> Account | None:
    """How the critic's gradient is explained in a window, where a column of this kind does it."""
    return next((a for a in window.critic.accounts if a.kind == kind), None)


def weights_of(window: Window, part: Account) -> list[float]:
    """A penalty's weight beside the loss as its gradient came, and beside its mean over each half.

    Under a loss scale, or where halves are averaged, the two differ by that factor. Where nobody could say which scores
    are of which side the factor is not known, and a scale that was taken out again before the step is not in what is
    applied: the weight there is another candidate.
    """
    fit = window.critic.fit
    known = fit is not None and fit.kind == "claim" and fit.factor > 0
    lost = part.error * part.share > LOST and part.applied > 0  # the losses' own factor is within rounding
    if known and fit is not None:
        return [part.weight, part.weight / fit.factor, *([part.applied] if lost else [])]
    scaled = 0 < part.applied < part.weight / 4  # the losses' own factor in what is applied is below a quarter
    return [part.weight, part.applied] if fit is None and scaled else [part.weight]


def weight_near(window: Window, part: Account, claimed: float) -> float:
    """Of these the one that is nearest to the claimed weight."""
    found = [weight for weight in weights_of(window, part) if weight > 0]
    return min(found, key=lambda w: max(w / claimed, claimed / w), default=part.weight) if claimed > 0 else part.weight


def plural(n: int, noun: str) -> str:
    """``"1 window"``, ``"3 windows"``."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def listed(names: list[str]) -> str:
    """The first names of a list."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
