"""What the critic is shown, against what was passed and what was generated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from tightrope.monitor.finding import Confidence, Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.rules._said import exact
from tightrope.monitor.window import Window

UNITS = 2.5
"""Ratio of spreads from which rows are in other units, which differ by powers of ten and by 255."""


def shown(history: History) -> Iterator[Finding]:
    """Real rows in another order of channels or axes, or scaled, beside generated rows shown as they are."""
    as_made = history.where(lambda w: "shown_order" in w.numbers and w.numbers.get("fake_changed", 1.0) == 0.0)
    turned = Seen([w for w in as_made.hits if w.numbers["shown_order"] == 1.0], as_made.hits)
    moved = Seen([w for w in as_made.hits if w.words.get("shown_moved")], as_made.hits)
    yield from _bent(history)
    yield from _apart(history)
    same_way = [w for w in moved.hits if w.words["shown_moved"] == moved.last.words["shown_moved"]]
    if len(moved) >= 3 and moved.now and len(same_way) == len(moved):  # a draw of its own each time is augmentation
        found = exact(
            "critic_shown_other_real", moved,
            f"The critic is shown the real rows that were passed {moved.last.words['shown_moved']}, and generated rows "
            "as they are made.", damage="why it fails", expected="the batch that was passed",
        )  # fmt: skip
        yield Finding(**{**vars(found), "confidence": "medium"})
    if len(turned) >= 2 and turned.now:
        yield exact(
            "channel_order", turned,
            "The critic is shown real rows with channels or axes in another order than in the batch that was passed, "
            "and generated rows as they are made.", damage="why it fails", expected="the batch that was passed",
        )  # fmt: skip
    scaled = Seen([w for w in as_made.hits if w.numbers["shown_scaled"] == 1.0], as_made.hits)
    same = [w for w in scaled.hits if _near(w.numbers["shown_factor"], scaled.last.numbers["shown_factor"], 1.001)]
    if len(same) >= 2 and len(same) == len(scaled) and scaled.now:
        numbers = scaled.last.numbers
        held, passed, shown = (numbers.get(key, 0.0) for key in ("held_std", "real_std", "shown_real_std"))
        apart = not _near(held, shown, 1.25)
        confidence: Confidence = "medium" if held and apart and _near(held, passed, 1.25) else "low"
        yield Finding(
            "critic_shown_other_real",
            f"The critic is shown {numbers['shown_factor']:.3g} times the real rows that were passed, plus "
            f"{numbers['shown_shift']:.3g}; held-out rows are {'as passed' if confidence == 'medium' else 'no witness'}"
            ", and generated rows are shown as they are.",
            {"factor": numbers["shown_factor"], "shift": numbers["shown_shift"], "expected": 1.0, "exact": True},
            scaled.since, confidence, "why it fails",
        )  # fmt: skip


CLOSE, APART = 0.15, 1.4
"""Share of what is shown that an augmentation may have added where the multiple of the rest is told, and the ratio of
both sides' multiples from which it is not the same augmentation."""


def _apart(history: History) -> Iterator[Finding]:
    """Rows of both sides with a little added, as an augmentation does it, and one side scaled besides."""
    among = history.where(
        lambda w: 0 < w.numbers.get("real_left", 0.0) < CLOSE and 0 < w.numbers.get("fake_noise", 0.0) < CLOSE
    )
    ratios = {w.step: w.numbers["real_factor"] / w.numbers["fake_factor"] for w in among.hits
              if w.numbers["fake_factor"] > 0}  # fmt: skip
    seen = Seen([w for w in among.hits if ratios.get(w.step, 1.0) > APART or 0 < ratios.get(w.step, 1.0) < 1 / APART],
                among.hits)  # fmt: skip
    if len(seen) >= 3 and len(seen) == len(among.hits):
        real, fake = (seen.last.numbers[f"{side}_factor"] for side in ("real", "fake"))
        found = exact(
            "critic_shown_other_real", seen,
            f"Beside what is added to the rows of both sides the critic is shown {real:.3g} times the real rows that "
            f"were passed, and {fake:.3g} times the generated ones.", damage="why it fails", real=real, fake=fake,
            expected="both alike",
        )  # fmt: skip
        yield replace(found, confidence="medium")


def units(history: History) -> Iterator[Finding]:
    """Training rows and held-out rows that are not in the same units; generated rows tell which of them is off.

    The middle feature's spread, in all windows: rows of another draw differ by far less than :data:`UNITS`, and a
    network starts at about its rows' units if these are sound.
    """
    seen = history.where(lambda w: "units" in w.numbers)
    apart = Seen([w for w in seen.hits if max(w.numbers["units"], 1 / w.numbers["units"]) > UNITS], seen.hits)
    made = [w.numbers["shown_fake_std"] for w in seen.among[:3] if w.numbers.get("shown_fake_std", 0.0) > 0]
    if len(apart) < 3 or len(apart) < len(seen) or not made:
        return
    numbers = apart.last.numbers
    ratio, held, own = numbers["units"], numbers["units_held"], numbers.get("real_std", 0.0)
    if not held or not own:
        return
    fed = numbers.get("latent_std", 1.0)
    given = max(fed / own, own / max(fed, 1e-12)) < UNITS and max(fed, 1 / max(fed, 1e-12)) > UNITS
    if given:
        made = [1.0]  # a generator that is given rows in the same units gives such: only what is usual tells
    rows_off = abs(math.log(own / made[0])) > abs(math.log(held / made[0]))
    began = ", which are in usual ones" if given else f", and the generator began at {made[0]:.2g}, near to the latter"
    words = f"{began}." if rows_off else "; the generator began nearer to the former."
    found = exact(
        "data_scale", apart,
        f"Rows that are trained on spread {ratio:.3g} times as far as held-out rows: they are not in the same units"
        + words,
        damage="why it fails" if rows_off else "unknown", ratio=ratio, expected=1.0,
    )  # fmt: skip
    yield replace(found, confidence="medium" if rows_off else "low")


def order(history: History) -> Iterator[Finding]:
    """Rows that are trained on whose features are held-out rows' in another order: their means are, one for one."""
    seen = history.where(lambda w: "held_apart" in w.numbers)
    other = Seen([w for w in seen.hits if other_rows(w) and w.numbers["held_order"] == 0.0], seen.hits)
    units = [w.numbers["units"] for w in other.hits]
    if len(other) >= 5 and len(other) >= 0.8 * len(seen) and max(max(units), 1 / min(units)) < UNITS:
        share = other.last.numbers["held_apart"]
        found = exact(
            "channel_order", other,
            f"In {100 * share:.3g} % of the features the mean of rows that are trained on is not that of held-out "
            "rows, and with the features of both in the order of their means in none: features or axes were exchanged.",
            damage="why it fails", share=share, expected=0.0,
        )  # fmt: skip
        yield replace(found, confidence="medium")


MUCH = 0.25
"""Share of features with other means from which rows are not drawn as the held-out ones were."""


def other_rows(window: Window) -> bool:
    """Whether the rows of a window are others than held-out ones, by the means of many features."""
    return window.numbers.get("held_apart", 0.0) >= MUCH


def _bent(history: History) -> Iterator[Finding]:
    """Generated rows turned or noised on their way to the critic, beside real rows shown as they are."""
    among = history.where(lambda w: "fake_factor" in w.numbers and w.numbers.get("real_changed", 1.0) == 0.0)
    turned = Seen([w for w in among.hits if w.numbers["fake_factor"] < -0.3 and w.numbers["fake_noise"] < 0.05],
                  among.hits)  # fmt: skip
    noised = Seen([w for w in among.hits if 0.05 < w.numbers["fake_noise"] < 0.9], among.hits)
    for seen, words in (
        (turned, f"{turned.hits[-1].numbers['fake_factor']:.3g} times the generated samples" if turned else ""),
        (noised, f"generated samples with {noised.hits[-1].numbers['fake_noise']:.2g} of something else"
         if noised else ""),
    ):  # fmt: skip
        if len(seen) >= 3 and seen.now:
            found = exact(
                "critic_shown_other_real", seen,
                f"The critic is shown {words}, and real rows as they were passed.", damage="why it fails",
                expected="both alike",
            )  # fmt: skip
            # a pool of earlier samples, as CycleGAN's, looks like noise where these resemble the present ones
            yield replace(found, confidence="low", damage="unknown") if seen is noised else found


def _near(a: float, b: float, ratio: float) -> bool:
    return a * b > 0 and max(a / b, b / a) < ratio
