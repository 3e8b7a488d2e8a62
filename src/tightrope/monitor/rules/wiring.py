"""Optimisers, flags, modes, rates, counts of steps. Identities and counts: no threshold but where one is named."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.counting import Counters
from tightrope.monitor.finding import Confidence, Finding
from tightrope.monitor.history import History
from tightrope.monitor.rules._said import exact, listed

_OTHER = {"generator": "critic", "critic": "generator"}


def optimizers(history: History) -> Iterator[Finding]:
    """Whose parameters optimisers hold."""
    yield from _shared(history)
    for name, counters in history.each():
        moved = any(w.player(name).moved > 0 for w in history.windows)
        if counters.other_parameters and not _joint(history):
            yield Finding(
                "optimizer_other_player",
                f"The optimiser claimed for the {name} holds parameters of the {_OTHER[name]} "
                f"(in {counters.other_parameters} steps).",
                {"steps": counters.other_parameters, "expected": 0, "player": name, "exact": True},
                1,
            )
        elif counters.stale and (history.told or counters.steps == 0) and not counters.functional:
            yield Finding(
                "optimizer_wrong_parameters",
                f"An optimiser of the {name} steps parameters that are not the {name}'s: those of a copy, or of a "
                "network built anew afterwards.",
                {"steps": counters.stale, "expected": 0, "player": name, "exact": True},
                1,
            )
        elif not history.told and counters.steps == 0 and _enough(history) and _twice(history, name, moved):
            yield Finding(
                "optimizer_other_player",
                f"Two optimisers step the {_OTHER[name]} and none the {name}.",
                {
                    "optimisers": len(history.counters[_OTHER[name]].optimizers),
                    "expected": 1,
                    "player": name,
                    "exact": True,
                },
                1,
                "medium",
            )
        seen = history.where(lambda w, n=name: w.player(n).steps > 0 and bool(w.player(n).missing))  # type: ignore[misc]
        if len(seen) >= 2 and seen.now:
            missing = seen.last.player(name).missing
            yield exact(
                "optimizer_misses_parameters", seen,
                f"{len(missing)} trainable parameters of the {name} belong to no optimiser that stepped: "
                f"{listed(missing)}.", needed=3, missing=missing[:20], player=name,
            )  # fmt: skip


def _shared(history: History) -> Iterator[Finding]:
    """Nobody said whose they are: one optimiser steps both networks, and another steps one of them too."""
    sets = {name: history.counters[name].optimizers for name in PLAYERS}
    both, all_ = sets["generator"] & sets["critic"], sets["generator"] | sets["critic"]
    if history.told or not both or both == all_ or not _enough(history):
        return
    twice = [name for name in PLAYERS if sets[name] > both]
    if len(twice) == 1:
        yield Finding(
            "optimizer_other_player",
            f"One optimiser steps both networks, and another one the {twice[0]} besides: the former holds parameters "
            "of both players.", {"optimisers": len(all_), "player": _OTHER[twice[0]], "exact": True}, 1, "high",
        )  # fmt: skip


def _joint(history: History) -> bool:
    """One optimiser of both players, given for both."""
    sets = [history.counters[name].optimizers for name in PLAYERS]
    return sets[0] == sets[1]


def _twice(history: History, name: str, moved: bool) -> bool:
    return len(history.counters[_OTHER[name]].optimizers) >= 2 and not moved


def _enough(history: History) -> bool:
    return history.cycles >= 3


def stepping(history: History) -> Iterator[Finding]:
    """Who is stepped, and how often."""
    for name, counters in history.each():
        moved = any(w.player(name).moved > 0 for w in history.windows[-3:])  # a first clip moves weights once
        others = any(other.steps for _, other in history.each())
        if counters.left_out and not counters.stale and counters.steps == 0:
            yield Finding(
                f"{name}_not_stepped", f"The optimiser given for both players holds no parameter of the {name}.",
                {"steps": 0, "cycles": history.cycles, "exact": True}, 1, "high",
            )  # fmt: skip
        elif others and counters.steps == 0 and not counters.stale and _enough(history) and not moved:
            confidence: Confidence = "high" if history.cycles >= 21 else "medium"
            yield Finding(
                f"{name}_not_stepped", f"No optimiser has stepped the {name} in {history.cycles} updates, and its "
                "parameters have not moved.", {"steps": 0, "cycles": history.cycles, "exact": True}, 1, confidence,
            )  # fmt: skip
        yield from _frozen(history, name)
    generator, critic = history.counters["generator"], history.counters["critic"]
    yield from _ratio(history, generator, critic)


def _frozen(history: History, name: str) -> Iterator[Finding]:
    seen = history.where(lambda w: bool(w.player(name).frozen))
    if seen:
        frozen, parameters = seen.last.player(name).frozen, seen.last.player(name).parameters
        whole = len(frozen) >= parameters
        found = exact(
            f"{name}_frozen", seen,
            f"{'All' if whole else f'{len(frozen)} of {parameters}'} parameters of the {name} do not require a "
            f"gradient in its own step: {listed(frozen)}." + ("" if whole else " Is that intended?"),
            frozen=frozen[:20], parameters=parameters, expected=0,
        )  # fmt: skip
        if seen.now:
            # a part may well be meant: pre-trained layers, fixed embeddings
            part: Confidence = "medium" if 2 * len(frozen) >= parameters else "low"
            yield found if whole else Finding(**{**vars(found), "confidence": part})


def _ratio(history: History, generator: Counters, critic: Counters) -> Iterator[Finding]:
    """Three and more generator steps per critic step; two are a known trick and a remark."""
    if history.cycles < 8 or not critic.steps or not generator.steps or _apart(history):
        return
    ratio = generator.steps / critic.steps
    wasserstein = history.claim is not None and history.claim.needs_lipschitz
    if ratio >= 1.8:
        still = [w for w in history.windows if not w.critic.steps]
        skipped = [w for w in still if w.numbers.get("critic_skipped")]  # its loss was computed: a choice of the loop
        sure = len(skipped) < max(1, 0.5 * len(still)) and (wasserstein or ratio >= 2.8)
        confidence: Confidence = "low" if not sure else "high" if ratio >= 2.8 else "medium"
        yield Finding(
            "n_critic_swapped",
            f"{generator.steps} generator steps to {critic.steps} critic steps: {ratio:.3g} per critic step.",
            {
                "generator_steps": generator.steps,
                "critic_steps": critic.steps,
                "expected": "at most 1 to 1",
                "exact": True,
            },
            1,
            confidence,
        )


def _apart(history: History) -> bool:
    """Whether the generator's steps never go through the critic, as those of a policy that is rewarded by it."""
    seen = [w for w in history.windows if w.generator.steps and w.numbers.get("critic_calls", 0.0) > 0]
    return bool(seen) and not any(w.generator.fit or w.numbers.get("through_critic") for w in seen)


def modes(history: History) -> Iterator[Finding]:
    """Eval mode while training, of networks for which it makes a difference."""
    for name in PLAYERS:
        seen = history.where(lambda w, n=name: 0 < w.player(n).calls == w.player(n).eval_calls)  # type: ignore[misc]
        if seen and seen.now:
            yield exact(
                "eval_mode_in_training", seen,
                f"The {name} has dropout or batch normalisation and is in eval mode at all its training calls.",
                player=name, mode="eval", expected="train",
            )  # fmt: skip


FALLS, LONGER = 4, 3
"""Falls by one factor that are a schedule, and how many times as long as a schedule to nothing a training must go on
that it was not meant for."""


def _geometric(counters: Counters) -> bool:
    """By one factor at every update, which halves the rate in fewer than 28 of them: a factor meant for epochs."""
    falls = [(a, b) for a, b in pairwise(counters.rates) if b[0] - a[0] == 1 and 0 < b[1] < a[1]]
    factors = [b[1] / a[1] for a, b in falls]
    if len(factors) < 20:
        return False
    usual = median(factors)  # beside it a schedule of epochs may step, or a factor be cut
    alike = sum(abs(factor - usual) < 1e-3 for factor in factors)
    return usual < 0.976 and max(factors) < 1 and alike >= 0.9 * len(factors)


IDLE = 20
"""Updates at rate 0, at least a quarter of all, from which that is no end of a warm-up or a schedule's last step."""


def _idle(counters: Counters, now: int) -> tuple[int, int] | None:
    """The longest time at rate 0, if that was long; of optimisers that take turns it is not known."""
    ends = [*(step for step, _ in counters.rates[1:]), now]
    spans = [(until - since, since, until)
             for (since, rate), until in zip(counters.rates, ends, strict=False) if rate < 1e-10]  # fmt: skip
    if counters.several or not spans:
        return None
    length, since, until = max(spans)
    return (since, until) if length >= IDLE and length >= 0.25 * now else None


def _began_again(counters: Counters) -> tuple[int, float, float] | None:
    """The step at which the rate rose at once as a state was loaded, and the rates before and after.

    Without any state loaded, once in the midst of falls by one factor, which begin anew; restarts that are meant come
    again, and at the end of a curve down to nothing (1608.03983).
    """
    rises = []
    for k, ((_, before), (step, after)) in enumerate(pairwise(counters.rates)):
        near = any(abs(step - loaded) <= 1 for loaded in counters.loaded)
        if step > 1 and after > 1.5 * before > 0 and after >= 0.99 * counters.top_rate:
            if near:
                return step, before, after
            rises.append((k, (step, before, after)))
    if len(rises) != 1:
        return None
    k, found = rises[0]
    factors = [[b / a for (_, a), (_, b) in pairwise(part) if a > 0]
               for part in (counters.rates[: k + 1], counters.rates[k + 1 :])]  # fmt: skip
    alike = len(factors[0]) >= FALLS and len(factors[1]) >= 1 and max(map(max, factors)) < 0.99
    return found if alike and max(map(max, factors)) < min(map(min, factors)) + 1e-3 else None


def _falling(counters: Counters, fell: int) -> int:
    """The first update after the last one at the largest rate."""
    top = max((step for step, rate in counters.rates if rate == counters.top_rate), default=0)
    return min((step for step, _ in counters.rates if step > top), default=fell)


def rates(history: History) -> Iterator[Finding]:
    """Rates that are zero, fall too early, or jump; decay that takes a noticeable part of the weights."""
    for name, counters in history.each():
        if not counters.steps:
            continue
        rate, top = counters.fallen
        if counters.top_rate < 1e-10 and len(history.windows) >= 3:
            yield Finding(
                "learning_rate_zero", f"The {name}'s optimiser steps with rate {counters.rate:.3g}.",
                {"rate": counters.rate, "player": name, "exact": True}, 1, "high",
            )  # fmt: skip
        elif rate < (0.1 if (geometric := _geometric(counters)) else 0.01) * top:
            fell = next((step for step, value in counters.rates if value < 0.01 * top), history.step)
            middle = [value for step, value in counters.rates if step <= fell // 2][-1:]
            soon = bool(middle) and middle[0] < 0.2 * top  # to 0 at the run's end is not
            gone_on = fell > 0 and history.step >= max(LONGER * fell, 34)  # the training did not end with it
            early = geometric or gone_on or (fell <= 100 and soon)
            yield Finding(
                "schedule_too_fast",
                f"The {name}'s rate fell from {top:.3g} to {rate:.3g} by step {fell}.",
                {"rate": rate, "top": top, "player": name, "exact": True},
                _falling(counters, fell),
                "medium" if early else "low",
            )
        if (idle := _idle(counters, history.cycles)) is not None and counters.top_rate >= 1e-10:
            since, until = idle
            yield Finding(
                "learning_rate_zero", f"From update {since + 1} to {until} the {name}'s optimiser stepped with rate 0.",
                {"rate": 0.0, "updates": until - since, "player": name, "exact": True}, since + 1, "medium",
            )  # fmt: skip
        wished = counters.wished
        if wished is not None and counters.rate > 0 and max(wished / counters.rate, counters.rate / wished) > 3:
            yield Finding(
                "learning_rate_not_reached",
                f"The {name}'s optimiser has an attribute that says {wished:.3g}, and steps with the "
                f"{counters.rate:.3g} of its parameter groups.",
                {"rate": counters.rate, "expected": wished, "player": name, "exact": True}, 1, "high",
            )  # fmt: skip
        if (again := _began_again(counters)) is not None:
            step, before, after = again
            yield Finding(
                "schedule_lost_on_resume",
                (f"When the {name}'s optimiser was loaded at step {step}, its rate" if counters.loaded else
                 f"At step {step} the {name}'s rate, which had fallen by one factor again and again,")
                + f" went from {before:.3g} back up to {after:.3g}.",
                {"rate": after, "expected": before, "player": name, "exact": True}, step,
                "medium" if counters.loaded else "low",  # a warm restart looks the same
            )  # fmt: skip
        if counters.resets:
            yield Finding(
                "optimizer_lost_on_resume", f"The {name}'s optimiser began to count anew at step {counters.resets_at}.",
                {"resets": counters.resets, "player": name, "exact": True}, counters.resets_at, "medium",
            )  # fmt: skip
        seen = history.where(lambda w, n=name: w.player(n).decay >= 0.3)  # type: ignore[misc]
        if seen and seen.now:
            yield exact(
                "weight_decay_crippling", seen,
                f"The {name}'s optimiser decays weights by {seen.last.player(name).decay:.3g}, where 0.1 is much.",
                damage="why it fails", decay=seen.last.player(name).decay, expected="0.1 and less", player=name,
            )  # fmt: skip
