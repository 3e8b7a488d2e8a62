"""How the report shows what is logged: which quantities share a chart, and what metrics are called."""

from __future__ import annotations

from dataclasses import dataclass

from tightrope.evaluation import METRICS
from tightrope.monitor import SIGNALS


@dataclass(frozen=True)
class Chart:
    """Quantities that are read together, with their names below the chart's title; logarithmic if that suits them."""

    title: str
    lines: dict[str, str]
    log: bool = False


_PLAYERS = ("critic", "generator")
CHARTS: tuple[Chart, ...] = (
    Chart("Losses", {f"{player}_loss": player for player in _PLAYERS}),
    Chart("Wasserstein estimate, D(real) − D(fake)", {"wasserstein_estimate": "Wasserstein estimate"}),
    Chart(
        "Gradient norm of the critic in its input",
        {
            "input_gradient_norm_real": "at real samples",
            "input_gradient_norm_fake": "at generated samples",
            "input_gradient_norm_interpolate": "at interpolated points",
        },
        log=True,
    ),
    Chart("Critic scores", {"d_real": "D(real)", "d_fake": "D(fake)"}),
    Chart("Critic gap, D(real) − D(fake)", {"gap": "D(real) − D(fake)"}),
    Chart("Critic accuracy", {"critic_accuracy": "critic accuracy"}),
    Chart("Penalty", {"penalty": "penalty"}, log=True),
    Chart("Gradient norm in the parameters", {f"{player}_gradient_norm": player for player in _PLAYERS}, log=True),
    Chart("Learning rates", {f"{player}_learning_rate": player for player in _PLAYERS}, log=True),
    Chart("Critic steps per generator step", {"critic_steps_per_step": "chosen by the run"}),
    Chart("Speed", {"steps_per_second": "steps per second"}),
    Chart(
        "Augmentation and the critic's overfitting",
        {"augmentation_strength": "strength p", "critic_overfitting": "mean sign of real scores"},
    ),
)

CLOCK = ("step", "images_seen", "seconds")  # where a row stands, not what it measures

OTHERS = (
    (
        "floor",
        "The same metric with real training samples in place of the generated ones, at the same sizes: what a "
        "generator that has learnt the distribution would reach.",
    ),
    ("σ of a layer", "Largest singular value of its weight reshaped to a matrix: the kernel norm."),
    (
        "stable rank",
        "Sum of the squared singular values over the largest squared: how many directions share the layer's gain.",
    ),
)

_DISTANCES = {
    "frechet": "Fréchet distance",
    "frechet_extrapolated": "Fréchet distance, extrapolated",
    "kernel": "kernel distance",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "wasserstein1": "Wasserstein-1 distance",
}

_OTHER_METRICS = {"classes": "classes reached", "modes": "modes reached", "high_quality": "samples near a mode"}


def charts(keys: set[str]) -> tuple[Chart, ...]:
    """The charts for the numbers a run logged; a number unknown here gets a chart of its own.

    Args:
        keys: the keys with a number in at least one row.
    """
    known = {key for chart in CHARTS for key in chart.lines}
    own = (Chart(label(key, first=True), {key: label(key)}) for key in sorted(keys - known - set(CLOCK)))
    shown = (
        Chart(chart.title, {key: name for key, name in chart.lines.items() if key in keys}, chart.log)
        for chart in CHARTS
    )
    return (*(chart for chart in shown if chart.lines), *own)


def label(key: str, *, first: bool = False) -> str:
    """The name of a logged number for a reader, e.g. ``"critic loss"``, capital if first."""
    return _capital(SIGNALS[key].label if key in SIGNALS else key.replace("_", " "), first)


def metric_label(name: str, *, first: bool = False) -> str:
    """The name of a metric for a reader, e.g. ``"Fréchet distance"`` for ``"frechet"``, capital if first."""
    return _capital({**_DISTANCES, **_OTHER_METRICS}.get(name, name.replace("_", " ")), first)


def metric_meaning(name: str) -> str:
    """What a metric is; empty for one that ``tightrope evaluate`` does not know."""
    return _capital(METRICS.get(name, ""), True)


def is_distance(name: str) -> bool:
    """Whether a metric is a distance to the data, so that its ratio to a floor says how far the generator still is."""
    return name in _DISTANCES or any(word in name for word in ("distance", "wasserstein", "frechet"))


def _capital(text: str, first: bool) -> str:
    return text[:1].upper() + text[1:] if first else text
