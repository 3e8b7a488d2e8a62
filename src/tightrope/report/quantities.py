"""The logged quantities: what each is called, what it means, and which share a chart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """The name of a logged number for a reader, and one sentence that defines it."""

    label: str
    meaning: str


@dataclass(frozen=True)
class Chart:
    """Quantities that are read together, on a logarithmic axis if that suits them."""

    title: str
    keys: tuple[str, ...]
    log: bool = False


QUANTITIES: dict[str, Quantity] = {
    "critic_loss": Quantity("critic", "What the critic's optimiser minimised at this step, with its penalties."),
    "generator_loss": Quantity("generator", "What the generator's optimiser minimised at this step."),
    "penalty": Quantity("penalty", "The part of the critic's loss that the gradient penalties contributed, weighted."),
    "wasserstein_estimate": Quantity(
        "Wasserstein estimate",
        "Mean score of the real batch minus mean score of the generated one: the Wasserstein-1 distance as the critic "
        "sees it, up to the critic's unknown Lipschitz constant, and from below.",
    ),
    "d_real": Quantity("D(real)", "Mean critic score of the real batch; the critic scores real samples high."),
    "d_fake": Quantity("D(fake)", "Mean critic score of the generated batch."),
    "gap": Quantity("D(real) − D(fake)", "How far apart the critic scores real and generated batches on average."),
    "input_gradient_norm_real": Quantity(
        "at real samples", "Mean over real samples of the Euclidean norm of the critic's gradient with respect to them."
    ),
    "input_gradient_norm_fake": Quantity(
        "at generated samples", "The same norm at generated samples: how strong a signal the generator receives."
    ),
    "input_gradient_norm_interpolate": Quantity(
        "at interpolated points", "The same norm at random points on the lines between real and generated samples."
    ),
    "critic_gradient_norm": Quantity("critic", "Euclidean norm of the gradient of the critic's loss, all parameters."),
    "generator_gradient_norm": Quantity(
        "generator", "Euclidean norm of the gradient of the generator's loss, all parameters."
    ),
    "critic_accuracy": Quantity(
        "critic accuracy",
        "Share of real samples scored above zero and of generated ones below, averaged; 0.5 is chance.",
    ),
    "critic_learning_rate": Quantity("critic", "Step size of the critic's optimiser."),
    "generator_learning_rate": Quantity("generator", "Step size of the generator's optimiser."),
    "ema_decay": Quantity("EMA decay", "Weight of the old average in the running average of the generator's weights."),
    "steps_per_second": Quantity("steps per second", "Generator updates per second, each with its critic updates."),
}

CHARTS: tuple[Chart, ...] = (
    Chart("Losses", ("critic_loss", "generator_loss")),
    Chart("Wasserstein estimate, D(real) − D(fake)", ("wasserstein_estimate",)),
    Chart(
        "Gradient norm of the critic in its input", tuple(key for key in QUANTITIES if key.startswith("input_")), True
    ),
    Chart("Critic scores", ("d_real", "d_fake")),
    Chart("Critic gap, D(real) − D(fake)", ("gap",)),
    Chart("Critic accuracy", ("critic_accuracy",)),
    Chart("Penalty", ("penalty",), True),
    Chart("Gradient norm in the parameters", ("critic_gradient_norm", "generator_gradient_norm"), True),
    Chart("Learning rates", ("critic_learning_rate", "generator_learning_rate"), True),
    Chart("EMA decay", ("ema_decay",)),
    Chart("Speed", ("steps_per_second",)),
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
    ("images or samples seen", "Real samples the critic was trained on, repetitions counted."),
)

_DISTANCES = {
    "frechet": "Fréchet distance",
    "fid": "Fréchet distance",
    "kernel": "kernel distance",
    "kid": "kernel distance",
    "wasserstein": "Wasserstein distance",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "wasserstein1": "Wasserstein-1 distance",
    "mmd": "maximum mean discrepancy",
}

_OTHER_METRICS = {
    "classes": "classes reached",
    "modes": "modes reached",
    "high_quality": "samples near a mode",
}


def charts(keys: set[str]) -> tuple[Chart, ...]:
    """The charts for the numbers a run logged; a number unknown here gets a chart of its own.

    Args:
        keys: the keys with a number in at least one row.
    """
    known = {key for chart in CHARTS for key in chart.keys}
    own = tuple(Chart(_spoken(key)[:1].upper() + _spoken(key)[1:], (key,)) for key in sorted(keys - known - set(CLOCK)))
    shown = (Chart(chart.title, tuple(key for key in chart.keys if key in keys), chart.log) for chart in CHARTS)
    return (*(chart for chart in shown if chart.keys), *own)


def label(key: str) -> str:
    """The name of a logged number."""
    return QUANTITIES[key].label if key in QUANTITIES else _spoken(key)


def title(key: str) -> str:
    """The name of a logged number where no chart's title stands above it, e.g. ``"critic loss"``."""
    for suffix, what in (
        ("_gradient_norm", "parameter gradient norm"),
        ("_loss", "loss"),
        ("_learning_rate", "learning rate"),
    ):
        if key in (f"critic{suffix}", f"generator{suffix}"):
            return f"{label(key)} {what}"
    return f"gradient norm {label(key)}" if key.startswith("input_gradient_norm_") else label(key)


def metric_label(name: str, *, first: bool = False) -> str:
    """The name of a metric for a reader, e.g. ``"Fréchet distance"`` for ``"frechet"``, capital if first."""
    spoken = {**_DISTANCES, **_OTHER_METRICS}.get(name, _spoken(name))
    return spoken[:1].upper() + spoken[1:] if first else spoken


def is_distance(name: str) -> bool:
    """Whether a metric is a distance to the data, so that its ratio to a floor says how far the generator still is."""
    return name in _DISTANCES or any(word in name for word in ("distance", "wasserstein", "frechet", "mmd"))


def _spoken(key: str) -> str:
    return key.replace("_", " ")
