"""The claimed penalty: there, of the claimed weight, kind, place and norm. The weight is found by least squares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tightrope.monitor.finding import Confidence, Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.ledger.columns import COSTS
from tightrope.monitor.ledger.parameters import IDLE
from tightrope.monitor.places import BOTH_SIDES
from tightrope.monitor.rules._said import PLACES, account_of, exact, weights_of
from tightrope.monitor.rules.strengths import beyond_sight, strength, weakness
from tightrope.monitor.window import Window

FAR = 3.5
"""Factor from which a weight is another one: conventions differ by 2 (the half of R1, halves of the loss averaged)."""


def weights(history: History) -> Iterator[Finding]:
    """All about the claimed penalty; of several at once whether they are there, and the weight of those alike."""
    claimed = history.claims.penalties
    if not claimed:
        return
    yield from _batch_norm(history)
    if len(claimed) > 1:
        yield from _several(history, claimed)
        return
    name, weight = claimed[0]
    acting = history.where(lambda w: account_of(w, "claim") is not None)
    unseen = beyond_sight(history, acting, name, weight)  # neither its absence nor another weight can be told
    if not unseen:
        yield from _absent(history, name)
    if acting:
        if not unseen:
            yield from _weight(history, acting, name, weight)
        yield from _place(acting, name)
        yield from strength(history, acting, name)
        yield from weakness(history, acting, name)
    yield from _scaled(history)
    yield from _lazy(history, name, weight)
    likelier = _likelier(history, weight)
    for kind, cause in (("kind", "penalty_other_kind"), ("axes", "penalty_norm_axes")):
        seen = _beside(history, kind)
        if seen:
            part = account_of(seen.last, kind)
            assert part is not None
            words = f"the norm taken {part.name}" if kind == "axes" else f"a penalty on {part.name}"
            found = exact(
                cause, seen,
                f"The critic's gradient is that of its loss and {words} at {part.place} points (left {part.left:.1g}), "
                f"not of the claimed {COSTS[name][0]} one ({100 * part.unexplained:.3g} % unexplained).",
                found=part.name, claimed=COSTS[name][0], left=part.left, unexplained_by_claim=part.unexplained,
            )  # fmt: skip
            form = part.name == "1-centred, one-sided"  # a published form of the same penalty
            yield replace(found, confidence="low") if form or likelier not in ("", kind) else found


def _likelier(history: History, claimed: float) -> str:
    """Of two explanations that fit in turns, the one whose weight stays nearer to the claim's and its own."""
    spreads = {}
    for kind in ("kind", "axes"):
        found = [claimed, *(part.weight for w in history.windows if (part := account_of(w, kind)) is not None)]
        if len(found) == 1:
            return ""
        spreads[kind] = max(found) / max(min(found), 1e-30)
    return min(spreads, key=lambda kind: spreads[kind])


def _several(history: History, claimed: Sequence[tuple[str, float]]) -> Iterator[Finding]:
    """R1 and R2 of one weight are one penalty at two places; of others the parts cannot be told apart."""
    yield from _absent(history, claimed[0][0])
    acting = history.where(lambda w: account_of(w, "claim") is not None)
    kinds, weight = {COSTS[name][0] for name, _ in claimed}, claimed[0][1]
    if not acting or len(kinds) > 1 or any(one != weight for _, one in claimed):
        return
    names = " + ".join(name for name, _ in claimed)
    yield from _weight(history, acting, names, weight)
    alone = [w for w in acting.hits if w.numbers.get("points") == 1]
    places = {part.place for w in alone if (part := account_of(w, "claim")) is not None}
    steps, places_claimed = history.counters["critic"].steps, {PLACES[name] for name, _ in claimed}
    if len(alone) == len(acting) >= 6 and len(places) == 1 and places < places_claimed and steps >= 17:
        yield Finding(
            "penalty_absent", f"Of the penalty {names} only that at {places.pop()} points acts, in all of "
            f"{len(acting)} windows with any.", {"windows": len(acting), "expected": len(claimed)}, acting.since,
            "medium",
        )  # fmt: skip


PLAUSIBLE = (1e-3, 1e4)
"""Weights that a penalty under a loss scale can have: without a scale the same gradient fits one of 1e-7, say."""


def _scaled(history: History) -> Iterator[Finding]:
    seen = _beside(history, "scale")
    low, high = PLAUSIBLE
    seen = Seen([w for w in seen.hits if any(low < x < high for x in _weights(w, "scale"))], seen.among)
    if seen:
        part = account_of(seen.last, "scale")
        assert part is not None
        yield exact(
            "penalty_under_loss_scale", seen,
            f"The critic's gradient fits the claimed penalty on {part.name} (left {part.left:.1g}), a loss scale that "
            "was not taken out.", left=part.left, unexplained_by_claim=part.unexplained,
        )  # fmt: skip


def _weights(window: Window, kind: str) -> list[float]:
    part = account_of(window, kind)
    return [] if part is None else weights_of(window, part)


def _lazy(history: History, name: str, claimed: float) -> Iterator[Finding]:
    """A lazy penalty that keeps the claimed weight: on average it is the claimed one's ``1 / period``."""
    steps = history.counters["critic"].steps
    share = history.points / steps if steps else 1.0
    acting = [part for w in history.windows if (part := account_of(w, "claim")) is not None]
    asked = [w for w in history.windows if w.numbers.get("points", 0) > 0]
    rare = 0 < share < 1 / 24 and len(asked) < 0.5 * len(history.windows)
    if steps >= 50 and rare and not history.transformed:
        yield Finding(
            "penalty_too_lazy",
            f"The penalty {name} acts in {history.points} of {steps} steps of the critic, one in {1 / share:.3g}; one "
            "in 16 is known to do.", {"share": share, "expected": "1 / 16", "exact": False}, 1, "medium",
        )  # fmt: skip
        return
    if steps < 24 or not 0 < share < 0.14 or not acting:
        return
    weight = acting[-1].weight
    if weight * share < claimed / FAR and weight < 2.5 * claimed:
        yield Finding(
            "penalty_too_lazy",
            f"The penalty {name} acts in {100 * share:.2g} % of the critic's steps with weight {weight:.3g}: on "
            f"average {weight * share:.3g}, not {claimed:.3g}.",
            {"share": share, "weight": weight, "expected": claimed}, 1, "medium",
        )  # fmt: skip


def _beside(history: History, kind: str) -> Seen:
    """Windows in which a part of a kind is in the critic's gradient, among those with anything beside the losses."""
    among = [w for w in history.windows if any(a.kind != "losses" for a in w.critic.accounts)]
    return Seen([w for w in among if account_of(w, kind) is not None], among)


def _missing(window: Window) -> bool:
    """The losses alone explain every step, where the claimed penalty would be a visible part, or a step of its own."""
    accounts = window.critic.accounts
    if any(a.kind == "zero" for a in accounts):  # the penalty's step has nothing to apply
        return all(a.kind in ("zero", "losses") and a.left <= a.error for a in accounts)
    return bool(accounts) and all(a.kind == "losses" and a.left < 0.02 * a.expected for a in accounts if a.name != IDLE)


def _idles(window: Window) -> bool:
    return any(a.name == IDLE for a in window.critic.accounts)


def _alone(window: Window) -> bool:
    """The losses alone explain every step, to rounding; in half precision with the claimed loss at the scores too."""
    accounts, fit = window.critic.accounts, window.critic.fit
    half = fit is not None and fit.kind == "claim" and all(a.error > 0.01 for a in accounts)
    return bool(accounts) and all(a.kind == "losses" and a.left < (a.error if half else 1e-4) for a in accounts)


def _absent(history: History, name: str) -> Iterator[Finding]:
    """Nothing of it in the gradient. Without any call at a penalty's points, lazy ones get time to appear."""
    anything = history.where(lambda w: w.numbers.get("points", 0) > 0 and _missing(w))
    asked = Seen([w for w in anything.hits if not _idles(w)], anything.among)
    acted = history.where(lambda w: account_of(w, "claim") is not None or account_of(w, "kind") is not None)
    gone = Seen([w for w in asked.hits if acted and w.step > acted.last.step], asked.among)
    if len(gone) >= 3:
        yield exact(
            "penalty_absent", gone, f"Until step {acted.last.step} the penalty {name} acted; since then the gradient "
            "at its points is computed, and nothing of it is in the critic's gradient.", weight=0.0, expected=1.0,
        )  # fmt: skip
        return
    if asked and not acted:
        graph = asked.last.numbers.get("points_with_graph")
        words = "with its graph" if graph else "without a graph (create_graph)"
        why = ": it is not added, has weight 0, or is detached or made a number before" if graph else ""
        found = exact(
            "penalty_absent" if graph else "penalty_detached", asked,
            f"The gradient at the penalty's points is computed {words}, but nothing of it is in the critic's gradient, "
            f"which the losses alone explain{why}.", weight=0.0, expected=1.0, create_graph=graph,
        )  # fmt: skip
        yield replace(found, candidates=("penalty_absent", "penalty_detached")) if graph else found
        return
    if len(anything) >= 3 and not acted:
        found = exact(
            "penalty_absent", anything, "The gradient at the penalty's points is computed, and nothing of it is in the "
            "critic's gradient; slopes there are below 1, so that a penalty on larger ones alone would give nothing "
            "either.", weight=0.0, expected=1.0,
        )  # fmt: skip
        long = len(anything) >= 8 and history.step >= 34
        yield replace(found, confidence="medium" if long else "low", candidates=("penalty_absent", "penalty_detached"))
        return
    yield from _never(history, name, acted or asked)


def _never(history: History, name: str, met: Seen) -> Iterator[Finding]:
    """No gradient at the critic's inputs was ever asked for.

    Where its inputs could be asked about all the time, as real rows that require a gradient, only windows tell.
    """
    never = history.where(lambda w: w.numbers.get("points", 0) == 0 and _alone(w))
    steps = history.counters["critic"].steps
    counted = history.points + history.transformed
    silent = len(never) == len(history.windows) >= 8 and history.points >= 0.9 * steps and not history.transformed
    if silent and not met and history.step >= 34:
        found = exact(
            "penalty_absent", never, f"In {len(never)} windows no gradient at the critic's inputs was asked for, and "
            "the losses alone explain its gradient.", weight=0.0, expected=1.0,
        )  # fmt: skip
        yield replace(found, confidence="medium" if "gp" in name or history.step >= 144 else "low")
    if len(never) >= 2 and not met and counted == 0 and steps >= (8 if "gp" in name else 17):
        confidence: Confidence = "high" if steps >= 34 else "medium"
        yield Finding(
            "penalty_absent",
            f"In {steps} steps of the critic no gradient at its inputs was asked for, and the losses alone explain its "
            "gradient.", {"weight": 0.0, "expected": 1.0, "steps": steps, "exact": True}, never.since, confidence,
        )  # fmt: skip


def _weight(history: History, acting: Seen, name: str, claimed: float) -> Iterator[Finding]:
    off = [w for w in acting.hits if _ratio(history, w, claimed) >= FAR]
    lately = len(acting) > 3 and all(w in off for w in acting.hits[-3:])
    if not off or (len(off) < 0.6 * len(acting) and not lately):
        yield from _somewhat(history, acting, name, claimed)
        return
    part = account_of(off[-1], "claim")
    assert part is not None
    if claimed < part.weight <= 40 * claimed and (len(acting) < len(history.windows) < 5 or len(history.windows) < 2):
        return  # a lazy penalty at its first turn
    seen = Seen(off, acting.hits)
    rows, features = (off[-1].numbers.get(key, 0.0) for key in ("batch", "features"))
    if PLACES.get(name) != "interpolated" and features > 1 and abs(part.weight / claimed * features / rows - 1) < 0.01:
        yield exact(
            "penalty_norm_axes", seen,
            f"The penalty {name} acts with {part.weight / claimed:.4g} times the claimed weight, which is the batch "
            f"over the number of features ({rows:.0f} over {features:.0f}): its squares are summed over samples.",
            weight=part.weight, expected=claimed,
        )  # fmt: skip
        return
    yield exact(
        "penalty_weight_wrong", seen,
        f"The penalty {name} acts with weight {part.weight:.4g}, not {claimed:.4g}.",
        weight=part.weight, expected=claimed,
    )  # fmt: skip


def _somewhat(history: History, acting: Seen, name: str, claimed: float) -> Iterator[Finding]:
    """A weight that is another by less: exact where one penalty stands beside the claimed loss; 2 is a convention."""
    plain = [w for w in acting.hits if w.critic.fit is not None and w.critic.fit.kind == "claim"
             and w.numbers.get("points") == 1]  # fmt: skip
    off = [w for w in plain if _ratio(history, w, claimed) > 1.4]
    if len(off) < 3 or len(off) < 0.8 * len(acting):
        return
    found = [part.weight for w in off if (part := account_of(w, "claim")) is not None]
    if max(found) > 1.05 * min(found):
        return
    ratio = found[-1] / claimed
    halved = PLACES.get(name) != "interpolated" and any(abs(ratio / one - 1) < 0.05 for one in (0.5, 2.0))
    said = exact(
        "penalty_weight_wrong", Seen(off, acting.hits),
        f"The penalty {name} acts with weight {found[-1]:.4g}, not {claimed:.4g}"
        + (": is the half of the paper in the claim and in the code?" if halved else "."),
        weight=found[-1], expected=claimed,
    )  # fmt: skip
    yield replace(said, confidence="low" if halved else "medium")


def _ratio(history: History, window: Window, claimed: float) -> float:
    """Factor between the weight that acts and the claimed one, in the likeliest of the usual conventions.

    Relative to the loss as written, or to its mean over each half (under a loss scale, or where halves are averaged);
    a lazy penalty counts with the share of steps that it acts on.
    """
    part = account_of(window, "claim")
    assert part is not None
    found = weights_of(window, part)
    steps, windows = history.counters["critic"].steps, len(history.windows)
    asked = sum(w.numbers.get("points", 0) > 0 for w in history.windows)
    lazy = part.weight / claimed
    if not history.points and 1 < lazy <= 40 and asked < 0.75 * windows:  # at points that were transformed: uncounted
        fits = asked <= windows / lazy + 2 * (windows / lazy) ** 0.5 + 1
        found += [claimed] if fits else []
    for share in (min(history.points / steps, 1.0) if steps else 1.0, asked / windows):
        if 0 < share < 0.75:
            found += [value * share for value in found]
    return min(max(value / claimed, claimed / value) if value > 0 else float("inf") for value in found)


def _place(acting: Seen, name: str) -> Iterator[Finding]:
    wrong = [w for w in acting.hits if (part := account_of(w, "claim")) is not None and part.place in _others(name)]
    if not wrong:
        return
    part = account_of(wrong[-1], "claim")
    assert part is not None
    words = _WORDS.get(part.place, f"at {part.place} points")
    found = exact(
        "penalty_other_place", Seen(wrong, acting.hits),
        f"The penalty is taken {words}, not at {PLACES[name]} ones.", place=part.place, expected=PLACES[name],
    )  # fmt: skip
    sure = part.place != "elsewhere"  # rows that nobody else was shown lie nowhere else either
    if sure or (len(wrong) >= 3 and len(wrong) == len(acting)):
        yield found if sure else replace(found, confidence="medium")


_WORDS = {
    BOTH_SIDES: "at real and at generated points, of one weight",
    "extrapolated": "at points on lines through real and generated rows, and not between them",
    "elsewhere": "at points that lie on no line between real and generated rows",
    "mixed": "at points whose entries are mixed by a factor each, on no line between a real and a generated row",
}


def _others(name: str) -> set[str]:
    """Places that are certainly not the claimed one; points of no known place may be noised, or drawn otherwise."""
    return {"real", "fake", BOTH_SIDES, "interpolated", "extrapolated", "mixed", "elsewhere"} - {PLACES[name]}


def _batch_norm(history: History) -> Iterator[Finding]:
    layers = history.statics.get("critic_batch_norm") or []
    seen = history.where(lambda w: w.critic.calls > w.critic.eval_calls)
    if layers and seen:
        yield exact(
            "penalty_under_batch_norm", seen,
            f"A gradient penalty is claimed, and the critic has batch normalisation ({', '.join(layers[:3])}): its "
            "gradient per sample is not defined.", needed=1, layers=layers[:20], expected="none", damage="why it fails",
        )  # fmt: skip
