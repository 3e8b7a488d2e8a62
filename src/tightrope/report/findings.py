"""The top of a run's page: whether the training works, and what its monitor found, each with the curve for it."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tightrope.drawing.charts import Line, line_chart
from tightrope.drawing.numbers import count, number
from tightrope.monitor import CAUSES, Diagnosis, Finding
from tightrope.report import quantities
from tightrope.report.answer import Course, best_checkpoint, course, diversity, next_step
from tightrope.report.render import piece
from tightrope.runs.diagnosis import of_record
from tightrope.runs.record import RunRecord

SHOWN = 6
SCHEMA = 1
"""Of what machines read; raised when a key goes or changes its meaning."""

TONES = {"improving": "good", "flat": "fair", "worse": "bad", "unknown": "none"}

_LOSSES = ("critic_loss", "generator_loss")
_SLOPES = ("input_gradient_norm_real", "input_gradient_norm_fake", "input_gradient_norm_interpolate")
_NORMS = ("critic_gradient_norm", "generator_gradient_norm")
_RATES = ("critic_learning_rate", "generator_learning_rate")
CURVES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("non_finite", "sign_flipped", "loss_other", "half_missing"), _LOSSES),
    (("penalty", "constraint", "clip", "lipschitz", "norm_axes"), _SLOPES),
    (("vanishes", "detached", "accumulated", "without_critic", "gradient"), _NORMS),
    (("rate", "schedule", "step_too", "not_stepped"), _RATES),
    (("critic_too", "overfitting", "coupling", "probability", "scores", "sigmoid"), ("critic_accuracy", "gap")),
    (("rotation", "momentum", "collapse", "progress", "trouble"), ("d_real", "d_fake")),
)  # fmt: skip
"""Parts of a cause's name, and the logged quantities of which the first that a record holds show it."""


def top(record: RunRecord) -> Markup:
    """The answer and the findings of a run."""
    diagnosis = of_record(record)
    found = course(record)
    return answer(record, found, diagnosis) + cards(record, diagnosis)


def assessed(record: RunRecord) -> dict[str, Any]:
    """The answer and the findings of a run as plain values."""
    diagnosis, found = of_record(record), course(record)
    return {
        "schema": SCHEMA, "run": str(record.path), "step": record.step, "state": record.state,
        "answer": {
            "trend": found.trend, "sentence": found.sentence, "since": found.since, "best_step": found.best,
            "best_weights": best_checkpoint(record, found), "diversity": diversity(record),
            "next": next_step(record, found, diagnosis),
        },
        "diagnosis": diagnosis.to_json(), "problems": list(record.problems),
    }  # fmt: skip


def answer(record: RunRecord, found: Course, diagnosis: Diagnosis) -> Markup:
    """Does my training work: its course, the best weights, its diversity, and what to do next."""
    lines = [found.sentence, best_checkpoint(record, found), diversity(record)]
    return piece("answer", TONES[found.trend], [line for line in lines if line], next_step(record, found, diagnosis))


def cards(record: RunRecord, diagnosis: Diagnosis) -> Markup:
    """A card per finding, coloured by severity."""
    shown = [
        (severity(f), f.title, _head(f), f.sentence, f.remedy, f.confirm, _candidates(f), curve(record, f))
        for f in diagnosis.findings[:SHOWN]
    ]
    return piece("findings", shown, len(diagnosis.findings) - len(shown), "; ".join(diagnosis.checked))


def severity(finding: Finding) -> str:
    """``"good"``, ``"bad"``, ``"fair"`` or ``"none"``: how a finding is coloured."""
    if finding.cause == "healthy":
        return "good"
    if finding.confidence == "low" or finding.damage == "harmless":
        return "none"
    return "bad" if finding.damage == "why it fails" or finding.confidence == "high" else "fair"


def _head(finding: Finding) -> str:
    if finding.cause == "healthy":
        return f"{finding.confidence} confidence"
    since = f", since step {count(finding.since)}" if finding.since else ""
    return f"{finding.confidence} confidence{since}; {finding.damage}"


def _candidates(finding: Finding) -> str:
    return ", ".join(CAUSES[c].title if c in CAUSES else c for c in finding.candidates)


def curve(record: RunRecord, finding: Finding) -> Markup:
    """The logged curve that shows a finding; nothing if the record holds none with two values."""
    if finding.cause == "healthy":
        return Markup("")
    wanted = next((keys for words, keys in CURVES if any(word in finding.cause for word in words)), ())
    series = {key: record.series(key) for key in wanted}
    series = {key: one for key, one in series.items() if len(one) > 1}
    if not series:
        return Markup("")
    axis = "images seen" if record.images_seen else "steps"
    since = f" (found at step {number(finding.since)})" if finding.since else ""
    return line_chart(
        [Line(quantities.label(key), one.images, one.values) for key, one in series.items()],
        title=", ".join(quantities.label(key, first=not k) for k, key in enumerate(series)) + since,
        x_label=axis,
        log=any("norm" in key or "rate" in key for key in series),
    )
