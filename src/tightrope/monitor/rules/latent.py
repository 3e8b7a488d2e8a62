"""What the generator makes of its latents: how many directions of them it listens to."""

from __future__ import annotations

from collections.abc import Iterator

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History
from tightrope.monitor.rules.moves import BURST, HIGH_RATE

ONE, NEARLY, SEVERAL, NOTHING = 1.03, 1.1, 1.3, 0.01
"""Participation ratios of one direction (median, and most) and of data that vary in several; a share that is none."""


def directions(history: History) -> Iterator[Finding]:
    """All of latent space but one direction is ignored from the first readings on, or all of it.

    Generators of rows of two numbers come down to one direction now and then, and those that were thrown far away stay
    there: that is a consequence.

    Source: Odena et al. 2018 (1802.08768), section 2: spectrum of the generator's Jacobian.
    """
    read = [w.numbers for w in history.windows if "latent_width" in w.numbers]
    if len(read) < 5 or history.step < 34:
        return
    since = next(w.step for w in history.windows if "latent_width" in w.numbers)
    real = sorted(n["real_rank"] for n in read if "real_rank" in n)
    ranks = sorted(n["latent_rank"] for n in read if "latent_rank" in n)
    shares = [n["latent_share"] for n in read[-4:] if "latent_share" in n]
    width = int(read[-1]["latent_width"])
    if len(shares) >= 3 and max(shares) < NOTHING:
        yield Finding(
            "mode_collapse_total", f"Under the same conditions samples of different latents differ {shares[-1]:.2g} "
            "times as much as real rows.", {"spread": shares[-1], "expected": "about 1"}, since, "medium",
            "why it fails", candidates=("latents_constant", "generator_ill_conditioned"),
        )  # fmt: skip
    if not real:
        return
    narrow = list(_bottleneck(read, real, since, width))
    yield from narrow
    if narrow or real[0] < SEVERAL:
        return
    if len(ranks) >= 5 and ranks[len(ranks) // 2] < ONE and ranks[-1] < NEARLY:
        counted = history.counters["generator"]
        thrown = any(w.generator.moved > BURST for w in history.windows)
        thrown = thrown or (counted.adaptive and counted.top_rate >= HIGH_RATE)
        yield Finding(
            "generator_ill_conditioned", f"Of {width} latent directions the generator listens to "
            f"{ranks[len(ranks) // 2]:.3g}, and the data vary along {real[len(real) // 2]:.2g} (participation ratios).",
            {"rank": ranks[len(ranks) // 2], "data": real[len(real) // 2], "expected": "as many as the data"}, since,
            "low" if thrown else "medium", "why it fails", candidates=("mode_collapse_partial",),
        )  # fmt: skip
    elif width == 1 and real[0] > 2 * SEVERAL:
        yield Finding(
            "mode_collapse_partial", f"The generator is given one number per sample, and the data vary along "
            f"{real[len(real) // 2]:.2g} directions (participation ratio): samples lie on one line through them.",
            {"latents": width, "data": real[len(real) // 2], "expected": "as many as the data"}, since, "medium",
            "why it fails", candidates=("generator_ill_conditioned",),
        )  # fmt: skip


EXACTLY, PLANE = 1.001, 1.15
"""Participation ratio of one direction but for the curvature met within a step, and of data along more than one."""


def _bottleneck(read: list[dict[str, float]], real: list[float], since: int, width: int) -> Iterator[Finding]:
    """At each single latent the generator moves in one direction alone, to rounding: a layer of one number inside.

    Which direction it is may change from latent to latent; samples lie on a curve all the same.
    """
    most = [n["latent_rank_most"] for n in read if "latent_rank_most" in n]
    if width > 1 and len(most) >= 5 and max(most) < EXACTLY and real[len(real) // 2] > PLANE:
        yield Finding(
            "generator_ill_conditioned", f"At every latent that was tried, in {len(most)} windows, the generator's "
            f"samples move in one direction alone (participation ratio at most {max(most):.5g}), and the data vary "
            f"along {real[len(real) // 2]:.2g}: samples lie on a curve, as behind a layer of one number.",
            {"rank": max(most), "data": real[len(real) // 2], "expected": "as many as the data"}, since, "medium",
            "why it fails", candidates=("mode_collapse_partial",),
        )  # fmt: skip
