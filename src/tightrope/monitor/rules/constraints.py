"""Constraints of the critic: on all layers, at the claimed clip, converged; a loss that needs one has one."""

from __future__ import annotations

from collections.abc import Iterator

from tightrope.monitor.finding import Confidence, Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.rules._said import exact, listed
from tightrope.monitor.rules.penalties import _alone
from tightrope.monitor.rules.slow import halfway, stuck
from tightrope.monitor.window import Window


def layers(history: History) -> Iterator[Finding]:
    """The claimed constraint on every layer, and no Wasserstein loss without any."""
    statics = history.statics
    if history.claims.constraint is not None and statics.get("layers") and not statics.get("own_constraint"):
        yield from _coverage(history)
    yield from _stale(history)
    yield from _none_at_all(history)
    yield from _vacuous(history)


def _coverage(history: History) -> Iterator[Finding]:
    have, free = history.statics["constrained"], history.statics["unconstrained"]
    name = history.claims.constraint
    if not have:
        yield Finding(
            "constraint_missing", f"The claimed {name} is on none of the critic's {history.statics['layers']} layers.",
            {"constrained": 0, "expected": history.statics["layers"], "exact": True}, 0, "high",
        )  # fmt: skip
    elif free:
        last_only = len(free) == 1 and history.statics.get("last_layer") in free
        confidence: Confidence = "low" if last_only else "high"
        yield Finding(
            "constraint_partial",
            f"{len(free)} weights of the critic are not under the claimed {name}: {listed(list(free))}.",
            {"unconstrained": list(free)[:20], "constrained": len(have), "exact": True}, 0, confidence,
        )  # fmt: skip


def _stale(history: History) -> Iterator[Finding]:
    """Largest singular value of a normalised weight: 1 when the power iteration follows, from 1.5 on it does not."""
    still = history.where(lambda w: 0 < w.critic.calls == w.critic.stale_norms)
    if still and still.now:
        yield exact(
            "spectral_norm_stale", still,
            "The critic's spectral norm is in eval mode at all training calls: its power iteration stands still.",
            mode="eval", expected="train",
        )  # fmt: skip
        return
    seen = history.where(lambda w: w.numbers.get("sigma", 0.0) > 1.5, 30)
    if len(seen) >= 2 and seen.now:
        sigma = seen.last.numbers["sigma"]
        yield exact(
            "spectral_norm_stale", seen,
            f"The largest singular value of a normalised weight ({seen.last.words.get('sigma', '')}) is {sigma:.3g}.",
            sigma=sigma, expected=1.0,
        )  # fmt: skip


def _none_at_all(history: History) -> Iterator[Finding]:
    claim, claims = history.claim, history.claims
    if claim is None or not claim.needs_lipschitz or claims.penalties or claims.clip or claims.constraint:
        return
    explained = [w for w in history.windows if w.critic.accounts]
    free = Seen([w for w in explained if _alone(w) and w.numbers.get("at_clip", 1.0) < 0.01], explained)
    steps = history.counters["critic"].steps
    if history.statics.get("constrained") or history.statics.get("own_constraint") or history.transformed:
        return
    asked = [w for w in explained if w.numbers.get("points", 0.0) > 0]
    if history.points and not (len(asked) >= 3 and all(_alone(w) and _steep(w) for w in asked[-3:])):
        return  # a one-sided penalty gives nothing where the critic is flat
    if steps < (34 if history.told or claims.said else 300):  # a clip that nobody spoke of is reached in time
        return
    if len(free) >= 3 and free.now:
        yield Finding(
            "loss_needs_lipschitz",
            f"In {steps} steps of the critic no clip, no penalty and no constraint acted, which the {claim.name} loss "
            "needs.", {"steps": steps, "exact": False}, free.since, "medium", "why it fails",
        )  # fmt: skip


def _steep(window: Window) -> bool:
    """Whether scores lie farther apart than those of a critic of slope 1 mostly can at rows of this spread."""
    numbers = window.numbers
    return numbers.get("score_spread", 0.0) > numbers.get("real_std", 0.0) * numbers.get("features", 0.0) ** 0.5 > 0


def coupling(history: History) -> Iterator[Finding]:
    """Batch norm over real and fake rows together in the critic's step, and over fake ones alone in the generator's."""
    seen = history.where(lambda w: w.numbers.get("joint", 0.0) == 1.0 and w.numbers.get("joint_differs", 0.0) == 1.0)
    if history.statics.get("critic_batch_norm") and seen and seen.now:
        found = exact(
            "batch_norm_coupling", seen,
            "The critic's batch normalisation sees real and generated samples in one batch in its own step, and "
            "generated ones alone in the generator's.", damage="why it fails",
        )  # fmt: skip
        yield Finding(**{**vars(found), "confidence": "medium"})


def _vacuous(history: History) -> Iterator[Finding]:
    """A slope at samples far above what normalised layers allow: something behind them undoes the constraint."""
    seen = history.where(lambda w: w.numbers.get("slope", 0.0) > 15.0)
    have = history.claims.constraint in ("spectral_norm", "orthogonal") and history.statics.get("constrained")
    gain = history.statics.get("gain", 1.0)
    if have and abs(gain) > 5:
        yield Finding(
            "constraint_vacuous", f"All layers are constrained, and the scores are multiplied by {gain:.3g} behind the "
            "last of them.", {"gain": gain, "expected": 1.0, "exact": True}, 1, "medium",
        )  # fmt: skip
    elif have and not history.statics.get("unconstrained") and len(seen) >= 2 and seen.now:
        yield Finding(
            "constraint_vacuous", f"All layers are constrained, and the critic's slope at samples is "
            f"{seen.last.numbers['slope']:.3g}.", {"slope": seen.last.numbers["slope"], "expected": "about 1"},
            seen.since, "medium",
        )  # fmt: skip


NO_SLOPE = 1e-5
"""Slope at samples below which what reaches the generator is as small as the 1e-8 that optimisers add to gradients."""


def _slope(history: History, window: Window) -> float | None:
    """The critic's slope at samples, else a bound of it by what a Wasserstein loss brought to the batch of samples."""
    known, batch = window.numbers.get("gradient_at_samples"), window.numbers.get("batch", 0.0)
    if "slope" in window.numbers or known is None or not batch:
        return window.numbers.get("slope")
    return known * batch**0.5 if history.claim is not None and history.claim.name == "wasserstein" else None


def clipping(history: History) -> Iterator[Finding]:
    """The largest weight against the claimed clip, after the critic's last step of the window."""
    clip = history.claims.clip
    if clip is None:
        return
    most, least = 1.3 * clip, clip / 1.3
    beyond = history.where(lambda w: w.critic.steps > 0 and w.numbers.get("weight_high", 0.0) > most)
    inside = history.where(lambda w: w.numbers.get("at_clip", 0.0) > 0.02 and w.numbers["weight_high"] < least)
    sloped = {w.step: slope for w in history.windows if (slope := _slope(history, w)) is not None}
    among = [w for w in history.windows if w.step in sloped]
    flat = Seen([w for w in among if sloped[w.step] < 1e-4 and w.numbers.get("at_clip", 0.0) > 0.3], among)
    away = stuck(history) or halfway(history)
    nothing = len(flat) >= 3 and sorted(sloped[w.step] for w in flat.hits[-5:])[len(flat.hits[-5:]) // 2] < NO_SLOPE
    nothing = nothing or all(w.generator.steps and w.generator.moved == 0 for w in history.windows[-4:])
    if len(flat) >= 3 and flat.now and (away or nothing):
        slope = sloped[flat.last.step]
        yield Finding(
            "clip_crippling", f"{100 * flat.last.numbers['at_clip']:.2g} % of the critic's weights sit at the clip, "
            f"its slope at samples is {slope:.2g}" + (", and samples do not come closer to the data." if away else "."),
            {"slope": slope, "expected": "about 1"}, flat.since, "medium", "why it fails" if away else "unknown",
        )  # fmt: skip
    if beyond and beyond.now:
        high, at = beyond.last.numbers["weight_high"], beyond.last.numbers.get("at_clip", 0.0)
        other = at > 0.02
        yield exact(
            "clip_other" if other else "clip_absent", beyond,
            f"The critic's largest weight is {high:.4g}" + (
                f", where {100 * at:.2g} % of all weights sit" if other else "") + f", not at most {clip:.4g}.",
            largest=high, expected=clip,
        )  # fmt: skip
    elif inside and inside.now:
        high = inside.last.numbers["weight_high"]
        yield exact("clip_other", inside, f"Weights are clipped at {high:.4g}, not {clip:.4g}.", largest=high,
                    expected=clip)  # fmt: skip
    elif (seen := _never_met(history, clip)) is not None:
        yield seen


NEVER = 300
"""Steps of a critic after which a clip that no weight has come near to is not going to act in this training."""


def _never_met(history: History, clip: float) -> Finding | None:
    """A clip that all weights have stayed far inside of, of a loss that needs one.

    Source: 1701.07875, section 4: the bound on the slope is what the clip is for.
    """
    highs = [w.numbers["weight_high"] for w in history.windows if w.critic.steps and "weight_high" in w.numbers]
    claim, steps = history.claim, history.counters["critic"].steps
    if any(w.numbers.get("at_clip", 0.0) > 0.02 for w in history.windows):  # at another clip than the claimed one
        return None
    if claim is None or not claim.needs_lipschitz or steps < NEVER or len(highs) < 8 or max(highs) > 0.75 * clip:
        return None
    return Finding(
        "constraint_vacuous", f"In {steps} steps no weight of the critic was above {max(highs):.3g}: the clip at "
        f"{clip:.3g} has never acted, and the {claim.name} loss needs one that does.",
        {"largest": max(highs), "clip": clip, "expected": "weights at the clip"}, history.windows[0].step, "medium",
        "why it fails",
    )  # fmt: skip
