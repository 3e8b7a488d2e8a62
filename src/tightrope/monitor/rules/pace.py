"""Which player is ahead, by how far each moves and by the critic's verdict, and whether both turn without damping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History
from tightrope.monitor.rules.moves import HIGH_RATE, LARGE, middle, movements
from tightrope.monitor.rules.slow import encodings, stuck

BEHIND, LAGS = 0.25, 0.25
"""Share of pairs in which the critic ranks the real row first, below which it is wrong more often than by chance, and
the critic's movement per update over the generator's, below which it cannot follow."""
SURE, RUNS, AHEAD = 0.95, 0.08, 10.0
"""The same share above which it is sure; its movement, window after window, that carries it by its own size within a
dozen updates; and that movement, or its rate, over the generator's."""
TURNED, BACK, SWING = 1.3, 0.6, 3.0
"""Spread of samples over that of the data past which they overshot, to what share of it they come back, and the ratio
of largest to smallest."""


def lagging(history: History) -> Iterator[Finding]:
    """A critic that moves far less than the generator and was seen to rank generated rows first; samples stay away.

    The verdict alone says little: sound Wasserstein critics rank generated rows first for dozens of updates and turn.
    One that lags cannot turn before the generator has gone where the old verdict points.

    Of 351 sound runs none moved below a quarter and stayed away; weak critics were at 0.01 to 0.15.

    Source: Heusel et al. 2017 (1706.08500), theorem 1: the critic has to be on the faster time scale.
    """
    ranks = [value for step, value in history.series("auc") if step >= 3]
    ratios = [w.critic.moved / w.generator.moved for w in history.windows[1:] if w.generator.moved > 0]
    if history.step < 34 or len(ratios) < 5 or len(ranks) < 5 or not stuck(history):
        return
    moves, ratio, wrong = movements(history), middle(ratios), sum(value < BEHIND for value in ranks)
    still = middle([w.critic.moved for w in history.windows[1:]]) == 0  # which other rules explain
    if 0 < ratio < LAGS and not still and wrong >= 2 and moves.most["generator"] <= LARGE:
        if "generator" in moves.thrown:
            return
        distance = history.series("distance")[-1][1]
        yield Finding(
            "critic_too_weak", f"The critic moves by {ratio:.2g} times what the generator moves per update (median, "
            f"relative to their sizes), ranked generated rows before real ones in {wrong} of {len(ranks)} windows, and "
            f"samples have not come closer to the data (distance {distance:.3g}).",
            {"moved_ratio": ratio, "ranked_wrong": wrong, "expected": "above 0.25"}, history.windows[-8:][0].step,
            "medium", "why it fails",
        )  # fmt: skip


def running(history: History) -> Iterator[Finding]:
    """A critic without any constraint that runs: sure of its verdict, and faster than the generator by far.

    Of 172 sound runs without a constraint none was faster than 0.05, and no adaptive optimiser had a rate of 0.01.

    Source: Arjovsky and Bottou 2017 (1701.04862), theorem 2.4: the better such a critic, the smaller what reaches the
    generator, or the noisier.
    """
    early = [w for w in history.windows if 2 <= w.step <= 34]
    ranks = [value for step, value in history.series("auc") if step >= 3]
    if history.step < 34 or len(early) < 5 or len(ranks) < 5 or bounded(history):
        return
    moved, other = (middle([w.player(name).moved for w in early]) for name in ("critic", "generator"))
    counted = history.counters
    rate, beside = counted["critic"].top_rate, counted["generator"].top_rate
    sure = middle(ranks) > SURE
    by_rate = sure and counted["critic"].adaptive and rate >= HIGH_RATE and rate >= AHEAD * beside
    if moved > AHEAD / 2 * other and (by_rate or (moved > RUNS and moved > AHEAD * other)):
        first = f"ranks the real row first in {100 * middle(ranks):.3g} % of pairs and " if sure else ""
        yield Finding(
            "critic_too_strong" if sure else "critic_step_too_large",
            f"No constraint acts on the critic; it {first}moves by {moved:.2g} of its size per update at rate "
            f"{rate:.2g}, the generator by {other:.2g} at rate {beside:.2g}.",
            {"moved": moved, "generator": other, "rate": rate, "expected": "below 0.05"}, early[0].step, "medium",
            "why it fails" if stuck(history) else "unknown",
        )  # fmt: skip


def turning(history: History) -> Iterator[Finding]:
    """Samples swing past the spread of the data and back while neither player is ahead, and nothing damps them.

    In sound runs the spread of samples comes up to that of the data, and where it goes past it comes back by little.
    One swing is a remark: it may be the last one of a motion that is damped. Undamped it comes again.

    Source: Mescheder et al. 2018 (1801.04406), section 3: without a penalty the players circle their equilibrium.
    """
    spreads, ranks = ([value for _, value in history.series(name)] for name in ("spread", "auc"))
    if history.step < 50 or len(spreads) < 8 or len(ranks) < 8 or bounded(history) or not stuck(history):
        return
    most = max(spreads)
    after = spreads[spreads.index(most) :]
    if most > TURNED and min(after) < BACK * most and most > SWING * min(spreads[-8:]) and middle(ranks[-8:]) < SURE:
        fixed = not encodings(history)  # which move as what makes them learns, and are no data to swing around
        again = fixed and swings(spreads) > (1 if history.told or history.claims.said else 2)  # unnamed damping
        distances = [value for _, value in history.series("distance")[-8:]]
        yield Finding(
            "rotation_undamped", f"Samples spread to {most:.2g} times what the data do and came back to "
            f"{min(after):.2g}, their distance to the data swings from {min(distances):.2g} to {max(distances):.2g}, "
            "and no penalty or constraint damps it.",
            {"most": most, "back": min(after), "swings": swings(spreads), "expected": "about 1"},
            history.windows[-8:][0].step, "medium" if again else "low", "why it fails" if again else "unknown",
            candidates=("momentum_too_high",),
        )  # fmt: skip


def swings(spreads: Sequence[float]) -> int:
    """How often samples spread past the data by :data:`TURNED` and came back, each time by as much as counts."""
    count, peak = 0, 0.0
    for value in spreads:
        peak = max(peak, value)
        if peak > TURNED and value < BACK * peak:
            count, peak = count + 1, 0.0
    return count


def bounded(history: History) -> bool:
    """Whether a penalty or constraint is claimed, was seen to act, or may act unseen."""
    claims, statics = history.claims, history.statics
    if claims.penalties or claims.clip is not None or claims.constraint or statics.get("constrained"):
        return True
    if any(w.numbers.get("at_clip", 0.0) > 0.02 for w in history.windows):
        return True
    accounts = [a for w in history.windows for a in w.critic.accounts]
    return not accounts or any(a.kind != "losses" for a in accounts)
