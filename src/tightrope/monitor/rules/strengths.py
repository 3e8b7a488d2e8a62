"""Penalties that are there as claimed, and far too strong or too weak for samples to come closer to the data."""

from __future__ import annotations

from collections.abc import Iterator

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.rules._said import PLACES, account_of, weight_near
from tightrope.monitor.rules.moves import hurled
from tightrope.monitor.rules.slow import stuck


def strength(history: History, acting: Seen, name: str) -> Iterator[Finding]:
    """Far too strong as set: its gradient drowns the loss's in most windows while samples stay far.

    A penalty that draws slopes to 1 is that strong in sound trainings too, as long as the critic is flat.
    """
    set_to = _set_to(acting, _claimed(history, name))
    much = 300 if PLACES[name] == "interpolated" else 30
    parts = [(w, part) for w in acting.hits[-8:] if (part := account_of(w, "claim")) is not None]
    values = [(w, part.share) for w, part in parts if part.share < float("inf")]  # not in a step of its own
    drowned = [w for w, share in values if share > 7.7]
    over_all = sorted(part.share for w in acting.hits if (part := account_of(w, "claim")) and part.share < float("inf"))
    always = over_all[len(over_all) // 2] if over_all else 0.0
    first = sorted(
        part.share for w in acting.hits[:10] if (part := account_of(w, "claim")) and part.share < float("inf")
    )
    early = first[len(first) // 2] if first else 0.0
    distance = history.series("distance")
    far = bool(distance) and distance[-1][1] > 0.3 and distance[-1][1] > 0.8 * distance[0][1]
    if history.step >= 60 and len(values) >= 4 and len(drowned) >= 0.6 * len(values) and far:
        share = sorted(share for _, share in values)[len(values) // 2]
        yield Finding(
            "penalty_too_strong",
            f"The penalty's part of the critic's gradient is {share:.3g} times the loss's (median of the last "
            "windows), and samples have not come closer to the data.", {"share": share, "expected": "below 4.5"},
            drowned[0].step, "medium" if max(share, always, early / 3) > much and not hurled(history) else "low",
            "why it fails",
        )  # fmt: skip
    elif history.step >= 100 and len(over_all) >= 6 and early > 3 * much and stuck(history) and not hurled(history):
        yield Finding(
            "penalty_too_strong", f"The penalty's part of the critic's gradient was {early:.3g} times the loss's "
            "(median of the first windows), and samples have not come closer to the data.",
            {"share": early, "expected": "below 4.5"}, acting.since, "medium", "why it fails",
        )  # fmt: skip
    elif history.step >= 60 and set_to > (high := _weights_that_work(name)[1]) and stuck(history):
        yield Finding(
            "penalty_too_strong", f"The penalty {name} has weight {set_to:.3g}, where at most {high:g} is known to "
            "work, and samples have not come closer to the data.",
            {"weight": set_to, "expected": high}, acting.since, "medium", "why it fails",
        )  # fmt: skip


def _weights_that_work(name: str) -> tuple[float, float]:
    """From the smallest to the largest, with a factor of ten to spare (1704.00028; 1801.04406; 2501.05441)."""
    return (0.01, 300.0) if PLACES[name] == "interpolated" else (0.005, 150.0)


def _set_to(acting: Seen, claimed: float) -> float:
    """The weight that acted in the median window."""
    weights = sorted(acts_with(acting, claimed))
    return weights[len(weights) // 2] if weights else 0.0


def acts_with(acting: Seen, claimed: float) -> list[float]:
    """The weights that acted, in the convention that is nearest to the claim."""
    return [weight_near(w, part, claimed) for w in acting.hits if (part := account_of(w, "claim")) is not None]


def _claimed(history: History, name: str) -> float:
    return next((weight for one, weight in history.claims.penalties if one == name), 0.0)


def weakness(history: History, acting: Seen, name: str) -> Iterator[Finding]:
    """So weak as set that it is no part of the gradient, while samples come no closer."""
    claimed = _claimed(history, name)
    if claimed > _weights_that_work(name)[1]:
        return  # set too strong: beside losses that have run away its own part cannot be told
    if _set_to(acting, claimed) > _weights_that_work(name)[0]:
        return  # beside a gradient of losses that have run away any weight is small
    shares = sorted(part.share for w in acting.hits if (part := account_of(w, "claim")))
    share = shares[len(shares) // 2] if shares else 1.0
    far = history.step >= 60 and len(shares) >= 6 and stuck(history)
    if share < 1e-3 and (far or (_set_to(acting, claimed) < 1e-4 and len(shares) >= 4 and history.step >= 34)):
        yield Finding(
            "penalty_too_weak", f"The penalty's part of the critic's gradient is {share:.2g} of the loss's (median of "
            f"all windows), by its weight of {_set_to(acting, claimed):.2g}: it holds nothing"
            + (", and samples have not come closer to the data." if far else "."),
            {"share": share, "weight": _set_to(acting, claimed), "expected": "above 0.01"}, acting.since, "medium",
            "why it fails" if far else "not what you claimed",
        )  # fmt: skip


FAR_OFF = 10.0
"""Factor beyond the weights that are known to work from which a weight is said to be off without any damage seen."""


def _in_units(history: History, name: str, weight: float) -> list[float]:
    """A weight as it stands and, of penalties on squares of slopes, as it would be for data of deviation 1."""
    units = [value for _, value in history.series("real_std")]
    scale = sorted(units)[len(units) // 2] ** 2 if units else 0.0
    return [weight] if PLACES[name] == "interpolated" or scale <= 0 else [weight, weight / scale]


def beyond_sight(history: History, acting: Seen, name: str, weight: float) -> bool:
    """Whether a penalty is claimed so small that its part of a gradient in float32 is rounding, and acts no larger."""
    low = _weights_that_work(name)[0]
    acts = acts_with(acting, weight)
    small = max(_in_units(history, name, weight)) < low / FAR_OFF / FAR_OFF
    return small and not any(part > low for part in acts)


def settings(history: History) -> Iterator[Finding]:
    """Weights that are claimed and set an order of magnitude and more beyond all that is known to work.

    R1 and R2 punish squares of slopes, which go with the data's units: both the weight as it stands and that of data
    of standard deviation 1 must be off.
    """
    if history.step < 34:
        return
    acting = history.where(lambda w: account_of(w, "claim") is not None)
    for name, weight in history.claims.penalties:
        low, high = _weights_that_work(name)
        told = _in_units(history, name, weight)
        acts = acts_with(acting, weight)
        as_set = bool(acts) and 0.5 < sorted(acts)[len(acts) // 2] / weight < 2
        if min(told) > FAR_OFF * high and as_set and len(acts) >= 3:
            share = sorted(part.share for w in acting.hits if (part := account_of(w, "claim")))[len(acts) // 2]
            if share > 1:
                yield Finding(
                    "penalty_too_strong", f"The penalty {name} has weight {weight:.3g}, where {high:g} at most is "
                    f"known to work, and its part of the critic's gradient is {share:.3g} times the loss's.",
                    {"weight": weight, "share": share, "expected": high}, acting.since, "medium",
                    "why it fails" if stuck(history) else "unknown",
                )  # fmt: skip
        elif beyond_sight(history, acting, name, weight):
            yield Finding(
                "penalty_too_weak", f"The penalty {name} has weight {weight:.3g}, where {low:g} is the least that is "
                "known to act: the critic is as free as without.", {"weight": weight, "expected": low},
                1, "medium", "why it fails" if stuck(history) else "unknown",
            )  # fmt: skip
