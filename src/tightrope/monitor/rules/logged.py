"""What the rows of a log tell without the networks: not a number, dead or fading gradients, rates, slopes, accuracy.

Rows say *that* something is wrong. A cause is named where a row is its direct reading; else candidates are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tightrope.monitor.finding import Diagnosis, Finding, ranked

Rows = Sequence[Mapping[str, Any]]
Series = list[tuple[int, float]]

_SLOPES = ("input_gradient_norm_interpolate", "input_gradient_norm_real", "input_gradient_norm_fake")


def from_rows(rows: Rows, *, claims: Sequence[str] = (), reason: str = "") -> Diagnosis:
    """Diagnose a log.

    Args:
        rows: Rows with ``step`` and numbers by the keys of ``SIGNALS``; others are ignored.
        claims: What is known to be claimed: ``"gp"``, ``"wasserstein"``.
        reason: Why the run ended, in the words of its status.

    Returns:
        The diagnosis; without a cause it says what rows cannot tell.
    """
    rows = [row for row in rows if isinstance(row.get("step"), int)]
    found = [*_not_finite(rows, reason), *_gradients(rows), *_rates(rows), *_slopes(rows, claims), *_accuracy(rows)]
    step = max((int(row["step"]) for row in rows), default=0)
    keys = sorted({key for row in rows for key in row} - {"step"})
    checked = (f"{len(rows)} rows up to step {step}", *(["their " + ", ".join(keys[:8])] if keys else []))
    order = ranked(found)
    if rows and all(f.confidence == "low" for f in order):
        sentence = f"Nothing is wrong as far as {len(rows)} rows tell."
        order = (Finding("healthy", sentence, {"rows": len(rows)}, 0, "low", "harmless"), *order)
    missing = ("losses, penalties, optimisers and data as such: rows do not hold them; put a Monitor into the loop",)
    return Diagnosis(order, step, checked, missing)


def series(rows: Rows, key: str) -> Series:
    """Steps and values of the rows that hold a finite number."""
    found = [(int(row["step"]), row.get(key)) for row in rows]
    return [(s, float(v)) for s, v in found if isinstance(v, (int, float)) and math.isfinite(v)]


def _not_finite(rows: Rows, reason: str) -> Iterator[Finding]:
    """A loss that other rows hold and one does not, or holds as no number: the writer leaves such numbers out."""
    for key in ("critic_loss", "generator_loss"):
        said = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
        if not said:
            continue
        bad = [int(r["step"]) for r in rows if not isinstance(r.get(key), (int, float)) or not math.isfinite(r[key])]
        if bad:
            yield Finding(
                "non_finite", f"The {key.replace('_', ' ')} is not finite in {len(bad)} rows, first at step {bad[0]}."
                + (f" {reason}" if reason else ""), {"rows": len(bad), "key": key}, bad[0], "high", "why it fails",
            )  # fmt: skip
            return
    if any(word in reason.lower() for word in ("not finite", "non-finite", "nan")):
        step = int(rows[-1]["step"]) if rows else 0
        yield Finding("non_finite", reason, {"reason": reason}, step, "high", "why it fails")


def _gradients(rows: Rows) -> Iterator[Finding]:
    """Gradients that are exactly zero, or a ten-thousandth of what they were while the critic is certain."""
    for player, cause in (("critic", "critic_no_gradient"), ("generator", "generator_detached")):
        norms = series(rows, f"{player}_gradient_norm")
        zero = [step for step, value in norms if value == 0.0]
        if len(norms) >= 3 and len(zero) == len(norms):
            yield Finding(
                cause, f"The {player}'s gradient is exactly zero in all {len(norms)} rows.",
                {"norm": 0.0}, zero[0], "medium", "why it fails",
            )  # fmt: skip
    norms, accuracy = series(rows, "generator_gradient_norm"), dict(series(rows, "critic_accuracy"))
    if len(norms) >= 8:
        start = sorted(value for _, value in norms[: max(3, len(norms) // 10)])[1]
        faded = [(s, v) for s, v in norms[-5:] if v < 1e-4 * start and accuracy.get(s, 1.0) > 0.99]
        if len(faded) >= 4:
            yield Finding(
                "generator_gradient_vanishes",
                f"The generator's gradient norm is {faded[-1][1]:.2g}, after {start:.2g} at the start, before a critic "
                "that is always right.", {"norm": faded[-1][1], "start": start}, faded[0][0], "medium", "why it fails",
                candidates=("critic_too_strong", "generator_loss_other"),
            )  # fmt: skip


def _rates(rows: Rows) -> Iterator[Finding]:
    for player in ("critic", "generator"):
        rates = series(rows, f"{player}_learning_rate")
        if len(rates) >= 3 and all(value == 0.0 for _, value in rates):
            yield Finding("learning_rate_zero", f"The {player}'s rate is 0 in all rows.", {"rate": 0.0}, rates[0][0],
                          "high", "why it fails")  # fmt: skip


def _slopes(rows: Rows, claims: Sequence[str]) -> Iterator[Finding]:
    """A slope at interpolates far from the 1 of WGAN-GP, or growing a thousandfold under any loss."""
    for key in _SLOPES:
        norms = series(rows, key)
        if len(norms) < 6:
            continue
        last = sorted(value for _, value in norms[-5:])[2]
        start = sorted(value for _, value in norms[:3])[1]
        if "gp" in claims and key == _SLOPES[0] and last > 5.0:
            since = next(step for step, value in norms if value > 5.0)
            yield Finding(
                "penalty_too_weak",
                f"The critic's gradient norm at interpolates is {last:.3g}, not 1: the penalty does not hold it.",
                {"norm": last, "expected": 1.0}, since, "medium", "why it fails",
                candidates=("penalty_detached", "penalty_weight_wrong", "penalty_too_weak"),
            )  # fmt: skip
            return
        if start > 0 and last > 1000 * start and last > 100:
            since = next(step for step, value in norms if value > 100 * start)
            yield Finding(
                "unknown_trouble", f"The critic's slope ({key.replace('_', ' ')}) grew from {start:.3g} to {last:.3g}.",
                {"start": start, "end": last}, since, "medium", "why it fails",
                candidates=("loss_needs_lipschitz", "rotation_undamped", "critic_step_too_large"),
            )  # fmt: skip
            return


def _accuracy(rows: Rows) -> Iterator[Finding]:
    """A critic that is always right, or never better than chance, over most of the log: a remark, no cause."""
    values = series(rows, "critic_accuracy")
    if len(values) < 10:
        return
    late = [value for _, value in values[len(values) // 2 :]]
    if sum(value > 0.99 for value in late) >= 0.9 * len(late):
        yield Finding(
            "critic_too_strong", "The critic has been right on 99 % and more since half of the log.",
            {"accuracy": sum(late) / len(late)}, values[len(values) // 2][0], "low", "why it fails",
            candidates=("critic_too_strong", "generator_gradient_vanishes", "critic_overfitting"),
        )  # fmt: skip
