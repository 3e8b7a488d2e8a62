"""Reach of both networks, rows, latents, labels, the average. Thresholds are those of the pilot where one is named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from tightrope.monitor.finding import Confidence, Finding
from tightrope.monitor.history import Ends, History, Seen
from tightrope.monitor.rules._said import exact
from tightrope.monitor.rules.shown import shown
from tightrope.monitor.rules.slow import LEVELS, encodings
from tightrope.monitor.window import Window

PHOTOGRAPH = 1024
"""Numbers a sample from which on neighbours tell little of classes.

Of 504 photographs of 12 animals at 64 pixels 7.9 % have the class of the nearest other one, by chance 8.3 %; of digits
of 8 pixels almost all.
"""


AROUND = 0.15
"""Share of the data's width by which an augmentation may take values beyond the generator's ends.

Brightness of a fifth of tanh's half-width is 0.09 of it; pixels of bytes lie beyond by all of theirs, rows divided by
the deviation of photographs by 0.26.
"""

FREE = Ends(-1000.0, 1000.0)
"""Of a generator whose reach is not known."""


def reach(history: History) -> Iterator[Finding]:
    """What the networks can give against what data and loss ask for."""
    yield from _range(history)
    ends, claim = history.ends.get("critic"), history.claim
    if ends is None or claim is None or not history.windows or ends.kind in ("free", "above"):
        return
    if not (math.isfinite(ends.low) and math.isfinite(ends.high)):  # of scores that are no numbers, another rule speaks
        return
    evidence = {"low": ends.low, "high": ends.high, "expected": "unbounded on both sides", "exact": True}
    if ends.kind == "rectified":
        yield Finding(
            "rectified_scores", f"The critic's scores end at {ends.low:.3g} from below, whatever its last layer gives.",
            evidence, 1, "high", "why it fails",
        )  # fmt: skip
    elif ends.kind == "probability":
        if claim.like in ("non_saturating", "minimax"):
            yield Finding(
                "double_sigmoid", f"The critic ends in a sigmoid (its scores stay in 0..1), and the function that was "
                f"claimed is the {claim.like} loss of scores: it takes the sigmoid once more.",
                {**evidence, "claimed": claim.like}, 1, "high", "why it fails",
            )  # fmt: skip
        elif claim.family in ("wasserstein", "hinge", "relativistic"):
            yield Finding(
                "probability_as_score",
                f"The critic ends in a sigmoid (its scores stay in 0..1), and the {claim.family} loss takes scores.",
                evidence, 1, "high", "why it fails",
            )  # fmt: skip
    elif claim.family in ("wasserstein", "hinge", "non_saturating", "minimax", "relativistic"):
        confidence: Confidence = "medium" if claim.family == "hinge" and ends.high >= 1 else "high"
        yield Finding(
            "bounded_scores", f"The critic's scores stay in {ends.low:.3g}..{ends.high:.3g}.", evidence, 1, confidence,
            "why it fails",
        )  # fmt: skip


def _far_out(window: Window, ends: Ends) -> bool:
    """Whether real values lie further out than what is done to samples on their way to the critic may explain.

    Brightness or noise takes both sides beyond the generator's ends; rows may have been passed to the Monitor after it.
    """
    n = window.numbers
    if n.get("fake_changed", 0.0) < 0.5:
        return True
    low, high = n.get("real_low", 0.0), n.get("real_high", 0.0)
    return max(ends.low - low, high - ends.high) > AROUND * (high - low)


def _range(history: History) -> Iterator[Finding]:
    ends = history.ends.get("generator") or FREE
    seen = history.where(lambda w: w.numbers.get("outside", 0.0) > 0.02 and _far_out(w, ends))
    if seen and seen.now:
        numbers = seen.last.numbers
        low, high = numbers.get("real_low", 0.0), numbers.get("real_high", 0.0)
        cause = "generator_range_rectified" if ends.kind == "rectified" else "data_range"
        words = f"{ends.low:.3g}.." + (f"{ends.high:.3g}" if ends.kind != "rectified" else "")
        yield exact(
            cause, seen,
            f"{100 * numbers['outside']:.3g} % of the real values lie outside of what the generator can give: they run "
            f"from {low:.3g} to {high:.3g}, it gives {words}.", needed=1, damage="why it fails",
            outside=numbers["outside"], expected=0.0, generator=[ends.low, ends.high],
        )  # fmt: skip
    elif (cut := history.where(_cut_off)) and cut.now and len(cut) >= 3:
        numbers = cut.last.numbers
        found = exact(
            "generator_range_rectified", cut,
            f"In {numbers['sided']:.0f} of {numbers.get('features', 0.0):.0f} features all of "
            f"{numbers['sided_rows']:.0f} samples lie on one side of zero and end there, and up to "
            f"{100 * numbers['sided_share']:.3g} % of the data lie on the other side.", needed=99,
            damage="why it fails", features=numbers["sided"], beyond=numbers["sided_share"], expected=0.0,
        )  # fmt: skip
        # samples that another fault drove to one side look the same: exact evidence of it goes before
        yield replace(found, evidence={**found.evidence, "exact": False})
    elif len(tiny := history.where(_tiny)) >= 5 and len(tiny) == len(tiny.among):
        numbers = tiny.last.numbers
        yield Finding(
            "data_range",
            f"The generator gives values in {numbers['shown_fake_low']:.3g}..{numbers['shown_fake_high']:.3g}, and the "
            f"data's deviation is {numbers['shown_real_std'] / max(numbers['shown_fake_std'], 1e-12):.3g} times that "
            "of samples: they are in units, as in a file.",
            {"real_std": numbers["shown_real_std"], "fake_std": numbers["shown_fake_std"], "expected": "alike"},
            tiny.since, "medium", "why it fails",
        )  # fmt: skip
    elif ends.kind in ("bounded", "probability"):
        width = ends.high - ends.low
        small = history.where(
            lambda w: 0 < w.numbers.get("shown_real_high", width) - w.numbers.get("shown_real_low", 0.0) < 0.1 * width
        )
        if len(small) >= 2 and small.now:
            numbers = small.last.numbers
            yield exact(
                "data_scale", small,
                f"Real values run from {numbers['shown_real_low']:.3g} to {numbers['shown_real_high']:.3g}, a small "
                f"part of the generator's {ends.low:.3g}..{ends.high:.3g}.", damage="why it fails",
                real=[numbers["shown_real_low"], numbers["shown_real_high"]],
            )  # fmt: skip


ENOUGH = 256
"""Samples after which none beyond zero is no chance."""


def _cut_off(window: Window) -> bool:
    """Features whose samples all end at zero, where many of the data's lie beyond."""
    return window.numbers.get("sided", 0.0) > 0 and window.numbers["sided_rows"] >= ENOUGH


def _tiny(window: Window) -> bool:
    """Samples inside of -1..1, as heads that are bounded one by one give, beside data of twenty times the spread."""
    low, high = window.numbers.get("shown_fake_low", -2.0), window.numbers.get("shown_fake_high", 2.0)
    real, fake = window.numbers.get("shown_real_std", 0.0), window.numbers.get("shown_fake_std", 1.0)
    return low >= -1.0 and high <= 1.0 and real > 20 * max(fake, 0.05)


def batches(history: History) -> Iterator[Finding]:
    """Rows that repeat, are few, constant or ordered."""
    again = history.where(lambda w: w.numbers.get("batch_again", 0) > 0)
    windows = len(history.windows)
    one_batch = len(again) >= 2 and len(again) >= windows - 2
    constant = history.where(lambda w: w.numbers.get("real_std", 1.0) == 0.0)
    if len(constant) >= 2:
        yield exact("data_constant", constant, "Real samples have no variation.", damage="why it fails", std=0.0)
        return
    if one_batch:
        yield exact("batch_repeated", again, f"The same batch in all of {windows} windows.", damage="why it fails",
                    expected="a new batch in each")  # fmt: skip
    scarce = [] if one_batch else list(_few(history, windows))
    yield from scarce
    inside = history.where(
        lambda w: w.numbers.get("distinct_in_batch", 1.0) < 0.5 and w.numbers.get("batch", 0) > 8
        and w.numbers.get("values_per_row", 1.0) > 0.9
    )  # fmt: skip
    if len(inside) >= 2 and inside.now and history.windows[-1].numbers.get("real_std", 1.0) > 0:
        share = inside.last.numbers["distinct_in_batch"]
        found = exact("rows_repeated", inside, f"Only {100 * share:.3g} % of the rows of a batch are different.",
                      distinct=share, expected=1.0)  # fmt: skip
        alone = not any(f.confidence != "low" for f in scarce)  # of few rows some are drawn twice
        yield replace(found, confidence="medium" if alone else "low")
    noise = history.where(
        lambda w: w.numbers.get("real_noise", 0.0) > 0.1 and w.numbers.get("fake_changed", 1.0) == 0.0
    )
    if len(noise) >= 2 and noise.now:
        share = noise.last.numbers["real_noise"]
        found = exact(
            "critic_shown_other_real", noise, f"{100 * share:.3g} % of what the critic is shown as real are not in the "
            "batch that was passed, while generated samples are shown as they are.", damage="why it fails", share=share,
        )  # fmt: skip
        yield Finding(**{**vars(found), "confidence": "medium"})
    yield from shown(history)
    order = history.series("order")
    if len(order) >= 2 and all(value > 8 for _, value in order[-2:]) and not one_batch and not encodings(history):
        yield Finding(
            "unshuffled",
            f"Means of batches vary {order[-1][1]:.3g} times as much as samples within batches explain.",
            {"ratio": order[-1][1], "expected": "1, at most 4"}, order[0][0], "high" if len(order) > 2 else "medium",
            "why it fails",
        )  # fmt: skip


def _few(history: History, windows: int) -> Iterator[Finding]:
    last = history.windows[-1].numbers if history.windows else {}
    distinct, batch = last.get("distinct_rows", 1e9), last.get("batch", 0.0) * last.get("distinct_in_batch", 1.0)
    if windows >= 8 and batch and distinct < max(1.5 * batch, 40) and distinct * 3 < windows * batch:
        coded = last.get("levels", LEVELS) < LEVELS  # words, bonds and other codes are few by nature
        yield Finding(
            "few_rows", f"{windows} windows of {batch:.0f} rows hold {distinct:.0f} different rows in all.",
            {"distinct": distinct, "batch": batch}, history.step, "low" if coded else "medium", "why it fails",
        )  # fmt: skip


def latents(history: History) -> Iterator[Finding]:
    """Latents that repeat, do not vary, or differ between training and sampling."""
    again = history.where(lambda w: w.numbers.get("latents_again", 0) > 0)
    if len(again) >= 2 and len(again) >= len(history.windows) - 2:
        yield exact("latents_reused", again, f"The same latents in all of {len(history.windows)} windows.",
                    damage="why it fails", expected="new ones in each")  # fmt: skip
    flat = history.where(lambda w: w.numbers.get("latent_rows_std", 1.0) == 0.0)
    if len(flat) >= 2 and flat.now:
        yield exact("latents_constant", flat, "All latents of a batch are equal.", damage="why it fails", std=0.0)
    seen = history.where(_mismatch)
    if seen:
        numbers = seen.last.numbers
        narrow = 0.45 < numbers["sampled_std"] / max(numbers["latent_std"], 1e-12) < 1 and not _apart(numbers)
        found = exact(
            "latent_mismatch", seen,
            f"Trained with latents of mean {numbers['latent_mean']:.3g} and standard deviation "
            f"{numbers['latent_std']:.3g}, sampled with {numbers['sampled_mean']:.3g} and "
            f"{numbers['sampled_std']:.3g}.",
            needed=1, damage="why it fails", trained=[numbers["latent_mean"], numbers["latent_std"]],
            sampled=[numbers["sampled_mean"], numbers["sampled_std"]],
        )  # fmt: skip
        # drawn closer together around the same mean: the truncation of published samples
        yield Finding(**{**vars(found), "confidence": "low", "damage": "harmless"}) if narrow else found


def _slack(numbers: dict[str, float]) -> float:
    return 4 / float(min(numbers["sampled_size"], numbers["latent_size"])) ** 0.5


def _apart(numbers: dict[str, float]) -> bool:
    """Whether the means are a third of a deviation apart."""
    difference = abs(numbers["latent_mean"] - numbers["sampled_mean"])
    return difference > (0.3 + _slack(numbers)) * max(numbers["latent_std"], 1e-12)


def _mismatch(window: Window) -> bool:
    """Ratio of standard deviations beyond 1.25, or means apart."""
    numbers = window.numbers
    if "sampled_std" not in numbers or "latent_std" not in numbers:
        return False
    a, b = max(numbers["latent_std"], 1e-12), max(numbers["sampled_std"], 1e-12)
    if numbers.get("latent_noise", 1.0) == 0.0:  # data: those of samples are others, of other means and spreads
        return False
    return max(a / b, b / a) > 1.25 + _slack(numbers) or _apart(numbers)


def labels(history: History) -> Iterator[Finding]:
    """Labels under which samples were not made, or that neighbours do not share: accuracy at the pool's chance."""
    told = history.where(lambda w: "labels_moved" in w.numbers)
    moved = Seen([w for w in told.hits if w.numbers["labels_moved"] > 0.3], told.hits)
    if len(moved) >= 2 and moved.now:
        share = moved.last.numbers["labels_moved"]
        yield exact(
            "labels_differ_between_players", moved,
            f"{100 * share:.3g} % of the generated samples are judged under another label than they were made with.",
            damage="why it fails", share=share, expected=0.0,
        )  # fmt: skip
    given = history.where(lambda w: "labels_exchanged" in w.numbers)
    exchanged = Seen([w for w in given.hits if w.numbers["labels_exchanged"] > 0.3], given.hits)
    if len(exchanged) >= 2 and exchanged.now:
        share = exchanged.last.numbers["labels_exchanged"]
        yield exact(
            "labels_unrelated", exchanged,
            f"{100 * share:.3g} % of the real samples are judged under another label than they were passed with.",
            damage="why it fails", share=share, expected=0.0,
        )  # fmt: skip
    seen = history.where(_by_chance)
    if len(seen) >= 2 and seen.last is history.windows[-1]:
        numbers = seen.last.numbers
        photographs, known = numbers.get("label_axes", 0) > PHOTOGRAPH, numbers.get("labels_told", 1.0) == 1.0
        caution = "; of photographs the nearest in pixels seldom shows the same, so this may be sound"
        other = "; nobody said that the whole numbers given to the critic are labels (labels=)"
        yield Finding(
            "labels_unrelated",
            f"The nearest neighbour of a real sample has its label in {100 * numbers['label_accuracy']:.3g} % of "
            f"cases; by chance it would in {100 * numbers['label_chance']:.3g} %"
            + f"{caution * photographs}{other * (not known)}.",
            {"accuracy": numbers["label_accuracy"], "chance": numbers["label_chance"]}, seen.since,
            "low" if photographs or not known else "medium", candidates=("labels_unrelated",),
            damage="unknown" if photographs or not known else "why it fails",
        )  # fmt: skip


def _by_chance(window: Window) -> bool:
    """Whether neighbours share labels no more often than by chance; the smaller the pool, the nearer to it."""
    pool, chance = window.numbers.get("label_pool", 0.0), window.numbers.get("label_chance", 1.0)
    if pool < 200 or chance >= 0.6:
        return False
    error = (0.25 / pool) ** 0.5 if pool >= 300 else (chance * (1 - chance) / pool) ** 0.5
    return window.numbers["label_accuracy"] < chance + (3 if pool >= 300 else 2) * error
