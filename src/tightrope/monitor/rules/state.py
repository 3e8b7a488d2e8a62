"""What is not a cause: not a number, what was checked, health, evidence that has gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History
from tightrope.monitor.rules.losses import FLIPPED, kind
from tightrope.monitor.rules.moves import HIGH_MOMENTUM, momentum, steps
from tightrope.monitor.window import Window

_LOSSES = ("critic_sign_flipped", "critic_loss_other", "generator_sign_flipped", "generator_loss_other")
_LEFT = ("critic_gradient_accumulated", "generator_gradient_accumulated", "generator_gradient_in_critic")


def not_finite(history: History) -> Iterator[Finding]:
    """The first window with a value that is not finite."""
    seen = history.where(
        lambda w: not (w.critic.finite and w.generator.finite) or w.numbers.get("samples_finite", 1.0) == 0.0
    )
    if seen:
        first = seen.hits[0]
        name = first.words.get("not_finite") or "the generator's samples"
        burst = _burst(history, first) or _multiplied(history, first) or _stood(history, first)
        if burst is not None:
            yield burst
        yield Finding(
            "non_finite", f"First met in the {name} at step {first.step}.",
            {"where": name, "exact": burst is None}, first.step, "high", "why it fails",
        )  # fmt: skip


BURST, RUN_AWAY = 0.3, 4.0
"""Movement at one update, of a player's size, and the factor of the samples' distance, of trainings that explode."""


def _burst(history: History, first: Window) -> Finding | None:
    """The player that went by a large part of its size at once, right before anything was not finite.

    Values that overflow at once, as data that are not finite make them, come without it.
    """
    before = [w for w in history.windows if w.step < first.step][-2:]
    series = [w.numbers["distance"] for w in history.windows if w.step < first.step and "distance" in w.numbers]
    if not before or len(series) < 3 or not series[-1] > RUN_AWAY * series[0]:
        return None
    moved, step, name = max((w.player(name).moved, w.step, name) for w in before for name in PLAYERS)
    if not BURST < moved < float("inf"):
        return None
    rate = history.counters[name].top_rate
    return Finding(
        f"{name}_step_too_large", f"At step {step} the {name} moved by {moved:.2g} of its size at once, at rate "
        f"{rate:.2g}; the distance of samples to the data went from {series[0]:.3g} to {series[-1]:.3g}, and then "
        "values were not finite.", {"moved": moved, "rate": rate, "expected": "below 0.02", "exact": True}, step,
        "medium", "why it fails", candidates=("rotation_undamped", "momentum_too_high"),
    )  # fmt: skip


def _multiplied(history: History, first: Window) -> Finding | None:
    """A player that was thrown, and at the next window by more than all its size, before values were not finite.

    What data that are not finite do to a player they do at once: no weights have grown before. Of sound runs none moves
    by a third of its size twice in a row; with plain momentum it is the sum of steps that is too large (a rate ``r``
    goes as far as ``r / (1 - momentum)``).
    """
    before = [w for w in history.windows if w.step < first.step][-3:]
    for name in PLAYERS:
        moved = [w.player(name).moved for w in before]
        thrown = len(moved) >= 2 and all(BURST < value < float("inf") for value in moved[-2:])
        if not thrown or moved[-1] <= 1.0 or moved[-1] <= moved[-2]:
            continue
        rate, beta = history.counters[name].top_rate, before[-1].player(name).momentum
        by_momentum = beta > HIGH_MOMENTUM
        cause = "momentum_too_high" if by_momentum else f"{name}_step_too_large"
        return Finding(
            cause, f"Before step {first.step}, where values were not finite, the {name} moved by {moved[-2]:.2g} and "
            f"{moved[-1]:.2g} times its size per update, at rate {rate:.2g}"
            + (f" and momentum {beta:.3g}." if beta else "."),
            {"moved": moved[-1], "rate": rate, "momentum": beta, "expected": "below 0.02", "exact": True},
            before[-2].step, "medium", "why it fails",
            candidates=(f"{name}_step_too_large",) if by_momentum else ("momentum_too_high",),
        )  # fmt: skip
    return None


def _stood(history: History, first: Window) -> Finding | None:
    """What was said of rates and momentum right before: such a game ends so, be it between two windows."""
    before = replace(history, windows=[w for w in history.windows if w.step < first.step])
    found = [
        f for rule in (momentum, steps) for f in rule(before) if f.confidence != "low" and "too_small" not in f.cause
    ]
    return None if not found else replace(found[0], evidence={**found[0].evidence, "exact": True})


def contradicted(history: History, finding: Finding) -> bool:
    """Whether the last six windows that say anything of a latched finding say the opposite."""
    if finding.cause in _LEFT:
        player = "generator" if finding.cause == "generator_gradient_accumulated" else "critic"
        told = [w for w in history.windows if w.player(player).accounts and kind(w, player) == "claim"][-6:]
        clean = all(
            a.kind in ("losses", "claim") and a.left <= a.error for w in told for a in w.player(player).accounts
        )
        return len(told) == 6 and clean and told[0].step > finding.since
    if finding.cause not in _LOSSES:
        return False
    player = finding.cause.partition("_")[0]
    if "deaf" in finding.evidence:  # some of several critics; what the others hear says nothing of them
        heard = [w.numbers.get(f"{player}_deaf", 0.0) == 0.0 for w in history.windows[-6:]]
        return len(heard) >= 6 and all(heard)
    said = [kind(w, player) for w in history.windows[-6:]]
    other = "generator" if player == "critic" else "critic"
    both = [kind(w, player) in FLIPPED and kind(w, other) in FLIPPED for w in history.windows[-6:]]
    return len(said) >= 6 and (all(sort == "claim" for sort in said) or all(both))


def checked(history: History) -> tuple[str, ...]:
    """What the windows had evidence for."""
    windows = history.windows
    if not windows:
        return ()
    said = [f"{len(windows)} windows up to step {windows[-1].step}"]
    for name in ("critic", "generator"):
        kinds = [kind(w, name) for w in windows if kind(w, name) not in ("", "unknown")]
        if kinds and history.claim is not None:
            held = sum(k == "claim" for k in kinds)
            names = {fit.name for w in windows if (fit := w.player(name).fit) is not None and fit.kind == "claim"}
            form = f" ({', '.join(sorted(names)[:2])})" if names - {history.claim.name} else ""
            said.append(f"the {name}'s loss at its scores, as claimed in {held} of {len(kinds)}{form}")
        elif kinds:
            fitted = sorted({fit.name for w in windows if (fit := w.player(name).fit) is not None and fit.name})
            said.append(f"the {name}'s loss, which is {' or '.join(fitted[:3]) or 'none that is known'}")
        accounts = [a for w in windows for a in w.player(name).accounts]
        if accounts:
            worst = sorted(a.left for a in accounts)[len(accounts) // 2]
            said.append(f"the {name}'s gradient, of which {worst:.1g} are unexplained (median of {len(accounts)})")
    both = history.where(lambda w: kind(w, "critic") in FLIPPED and kind(w, "generator") in FLIPPED)
    if both and both.now:
        said.append("both players' signs are turned, which is only a matter of orientation")
    said += [words for key, words in _SINGLE.items() if any(key in w.numbers for w in windows)]
    return tuple(said)


_SINGLE = {
    "outside": "the data's range against the generator's reach",
    "order": "order and repetition of the data",
    "sampled_std": "latents of training against sampling",
    "label_accuracy": "labels against neighbours",
    "average_behind": "the average against the live generator",
    "other_share": "the share of other terms in the generator's gradient",
}


def not_checked(history: History) -> tuple[str, ...]:
    """What could not be looked at, and why."""
    said = []
    for name in ("critic", "generator"):
        reasons = {w.player(name).silent for w in history.windows if w.player(name).silent}
        if reasons:
            said.append(f"the {name}'s gradient at its parameters in some windows ({sorted(reasons)[0]})")
    if history.windows and not any(w.numbers.get("critic_calls") for w in history.windows):
        said.append(
            "the losses: the critic was never called as a module (of a compiled network, pass the compiled one)"
        )
    elif history.windows:
        said += [f"the {name}'s loss: nothing of it came to scores that a call of the critic as a module had returned"
                 for name in _unseen(history)]  # fmt: skip
    if history.claim is None:
        said.append("whether the losses are those that you want (no loss was claimed)")
    return tuple(said)


def _unseen(history: History) -> list[str]:
    """Players of whose loss nothing was ever seen at the critic's scores."""
    return [name for name in PLAYERS if all(w.player(name).fit is None for w in history.windows)]


def healthy(history: History, steps: int, failures: Mapping[str, str], others: Sequence[Finding] = ()) -> Finding:
    """Nothing of medium or higher confidence; how sure that is of health, given what was seen and what else is said."""
    windows = len(history.windows)
    unseen = _unseen(history)
    troubled = [f for f in others if f.cause in ("unknown_trouble", "no_progress")]
    if unseen:  # a loss that was never seen at the critic's scores may be anything
        whose = "neither player's loss was" if len(unseen) == 2 else f"the {unseen[0]}'s loss was never"
        but = f"{whose} seen: its sign, say, may be wrong"
    elif failures:
        but = f"a part of the monitor failed: {', '.join(failures)}"
    elif troubled:
        but = "samples are not where they should be: what is named below is without a known cause"
    else:
        return Finding(
            "healthy", f"Nothing is wrong as far as was looked, in {steps} steps and {windows} windows.",
            {"windows": windows}, 0, "high" if windows >= 8 else "medium", "harmless",
        )  # fmt: skip
    return Finding(
        "healthy", f"No cause of trouble was seen in {steps} steps and {windows} windows, but {but}.",
        {"windows": windows, "unseen": unseen, "failed": list(failures), "trouble": [f.cause for f in troubled]},
        0, "low", "unknown" if troubled else "harmless",
    )  # fmt: skip
