"""Gradients left from before. Fits to rounding; healthy loops never fit them."""

from __future__ import annotations

from collections.abc import Iterator

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.rules._said import exact
from tightrope.monitor.rules.losses import is_flat
from tightrope.monitor.rules.slow import stuck
from tightrope.monitor.window import Window


def cleared(history: History) -> Iterator[Finding]:
    """The critic's loss is backpropagated, and cleared before any step: only its penalty is applied."""
    seen = history.where(
        lambda w: _found(w, "critic", ("cleared",)) is not None and _found(w, "critic", _OTHER) is None
    )
    if seen and seen.now:
        yield exact(
            "critic_not_stepped", seen,
            "The critic's loss is backpropagated and its gradient cleared before a step: what is applied is the "
            "penalty's alone.", damage="why it fails", applied="penalty", expected="loss and penalty",
        )  # fmt: skip


_OTHER = ("losses", "claim", "kind", "axes")


def _found(window: Window, player: str, kinds: tuple[str, ...]) -> Account | None:
    return next((a for a in window.player(player).accounts if a.kind in kinds), None)


def leftovers(history: History) -> Iterator[Finding]:
    """What lay in ``.grad`` before this step's own backward passes."""
    kinds = ("start", "leak")
    for player in ("generator", "critic"):
        seen = history.where(lambda w, p=player: _found(w, p, kinds) is not None)  # type: ignore[misc]
        if not seen:
            continue
        part = _found(seen.last, player, kinds)
        assert part is not None
        cause = f"{player}_gradient_accumulated"
        if player == "critic" and _of_generator(seen, part):
            cause = "generator_gradient_in_critic"
        yield exact(
            cause, seen,
            f"The gradient that the {player}'s optimiser applies is this step's plus {part.name}: with it "
            f"{part.left:.1g} are unexplained, without it {100 * part.unexplained:.3g} %.",
            unexplained_without=part.unexplained, unexplained_with=part.left, expected="nothing left before",
        )  # fmt: skip


def lent(history: History) -> Iterator[Finding]:
    """One optimiser steps both players, and the critic by what the generator's loss has brought it."""
    seen = history.where(lambda w: w.critic.lent > 0 and w.critic.steps > 0)
    if seen and seen.now:
        steps = seen.last.critic
        yield exact(
            "generator_gradient_in_critic", seen,
            "The one optimiser of both players steps the critic, too, where only the generator's loss was "
            f"backpropagated: {steps.lent} of its {steps.lent + steps.steps} steps make fakes look real to it. Call "
            "critic.zero_grad() before that optimizer.step(), or give each player an optimiser.",
            steps=steps.lent, expected=0,
        )  # fmt: skip


def _of_generator(seen: Seen, part: Account) -> bool:
    """The critic's gradient was cleared between its own step and the generator's backward: only the latter is left."""
    return part.kind == "leak" or seen.last.numbers.get("critic_cleared", 0.0) == 1.0


def flat(history: History) -> Iterator[Finding]:
    """The generator's loss is flat at the scores that it meets: from the first windows on, or while nothing improves.

    Source: 1701.04862, section 2.2, on losses whose gradient is nothing where the critic is far from undecided. Scores
    that are shifted or multiplied behind the last layer do it from the start.
    """
    seen = history.where(lambda w: w.generator.steps > 0 and is_flat(w))
    from_the_start = len(seen) >= FLAT and seen.hits[:FLAT] == seen.among[:FLAT]
    if from_the_start or (len(seen) >= FLAT and seen.now and stuck(history)):
        score = seen.last.numbers.get("d_fake")
        yield Finding(
            "generator_gradient_vanishes", f"In {len(seen)} of {len(seen.among)} windows the loss that the generator is"
            " said to minimise is flat at its samples' scores" + ("" if score is None else f" ({score:.3g})")
            + ": next to no gradient arrives.",
            {"windows": len(seen), "score": score, "expected": 0}, seen.since, "medium", "why it fails",
        )  # fmt: skip


FLAT = 5
"""Windows without any slope from which that is no passing state."""
