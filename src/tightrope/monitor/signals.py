"""What to look at while a GAN trains: the table of all that is logged, and signals read without disturbing the run.

Writer, report and documentation take their words from the table (``docs/conventions.md`` is tested against it). Reading
signals draws from a random stream of its own and leaves modes, buffers, gradients and power iterations as found, so a
run that is watched and one that is not end with the same weights, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope.autodiff import (
    Scores,
    input_gradient,
    labelled,
    norm,
    packed,
    per_sample,
    rows_of,
    scores_of,
    undisturbed,
)
from tightrope.autodiff.types import Critic
from tightrope.autodiff.view import taken_by
from tightrope.methods.game import mean_score
from tightrope.penalties import interpolate
from tightrope.perturbations import adaptive_of
from tightrope.training import Run, Step

METRICS, EVALUATIONS, CONDITIONING = "metrics.jsonl", "evaluations.jsonl", "conditioning.jsonl"


@dataclass(frozen=True)
class Signal:
    """A quantity in a record of a run.

    Attributes:
        key: In the row.
        label: For a reader, without a capital.
        unit: Empty for a pure number.
        meaning: One sentence that defines it.
        file: The record whose rows hold it.
    """

    key: str
    label: str
    unit: str
    meaning: str
    file: str = METRICS


_INPUT = "score units per unit of the training scale"
_TABLE = (
    Signal("step", "step", "", "Generator updates so far, each with its critic updates."),
    Signal("images_seen", "images or samples seen", "", "Real samples the critic was trained on, repetitions counted."),
    Signal(
        "seconds", "time", "seconds",
        "Since the run began, resumes added up, with everything that was done between steps: evaluations, pictures, "
        "checkpoints.",
    ),
    Signal("steps_per_second", "steps per second", "", "Since the row before: steps over the time that they took, "
           "without what was done between them."),
    Signal("critic_loss", "critic loss", "", "Adversarial part of what the critic minimises, without its penalties."),
    Signal("generator_loss", "generator loss", "", "Adversarial part of what the generator minimises, without its "
           "penalties."),
    Signal("penalty", "penalty", "", "What the critic's penalties due at that step add to its loss, weights included."),
    Signal(
        "wasserstein_estimate", "Wasserstein estimate", "score units",
        "Mean score of the real batch minus mean score of the generated one, whatever the loss: an estimate from below "
        "of K times the Wasserstein-1 distance, for a critic that is K-Lipschitz and near its optimum.",
    ),
    Signal("d_real", "D(real)", "score units", "Mean critic score of the real batch; the critic scores real samples "
           "high."),
    Signal("d_fake", "D(fake)", "score units", "Mean critic score of the generated batch."),
    Signal(
        "gap", "D(real) − D(fake)", "score units",
        "Mean score of the real batch minus mean score of the generated one: how far apart the critic holds them, the "
        "number of the Wasserstein estimate without its claim. Near 0 it scores both alike on average. Its size "
        "depends on the critic's own scale, so follow it within a run rather than compare runs.",
    ),
    Signal(
        "critic_accuracy", "critic accuracy", "",
        "Share of real samples scored above zero and of generated ones below, averaged; 0.5 is chance.",
    ),
    Signal("critic_gradient_norm", "critic parameter gradient norm", "", "Euclidean norm of the gradient of all that "
           "the critic minimises, all parameters, before the update."),
    Signal("generator_gradient_norm", "generator parameter gradient norm", "", "Euclidean norm of the gradient of all "
           "that the generator minimises, all parameters, before the update."),
    Signal(
        "input_gradient_norm_real", "gradient norm at real samples", _INPUT,
        "Mean over a fixed batch of real samples of the Euclidean norm of the critic's gradient with respect to them.",
    ),
    Signal(
        "input_gradient_norm_fake", "gradient norm at generated samples", _INPUT,
        "The same norm at fresh generated samples: how strong a signal the generator receives.",
    ),
    Signal(
        "input_gradient_norm_interpolate", "gradient norm at interpolated points", _INPUT,
        "The same norm at random points on the lines between real and generated samples.",
    ),
    Signal("critic_learning_rate", "critic learning rate", "", "Step size of the critic's optimiser."),
    Signal("generator_learning_rate", "generator learning rate", "", "Step size of the generator's optimiser."),
    Signal("critic_steps_per_step", "critic steps per generator step", "", "Of runs that choose them (n_critic auto): "
           "how many critic steps precede the next generator step."),
    Signal("augmentation_strength", "augmentation strength", "", "Of runs with adaptive augmentation: the probability "
           "of each transformation of what the critic sees."),
    Signal("critic_overfitting", "critic overfitting", "", "Of the same runs: mean sign of the critic's scores of the "
           "last few training batches, 0 for none, 1 if every real sample is known for real."),
    Signal(
        "spectra", "critic layer spectra", "",
        "Of some rows: per critic layer the largest singular value of its effective weight reshaped to a matrix (its "
        "kernel norm), the stable rank, and up to 32 of the singular values.",
    ),
    Signal("measurements", "measurements", "", "Values of metrics, each with protocol, interval, floor and notes.",
           EVALUATIONS),
    Signal(
        "mean", "mean log condition number of JᵀJ", "",
        "Natural logarithm of the condition number of JᵀJ, J the generator's Jacobian in its latents: twice the "
        "logarithm of the ratio of its largest to its smallest gain. The generator is in eval mode; latents with a "
        "dead direction are left out of the mean.", CONDITIONING,
    ),
    Signal("std", "standard deviation", "", "Of the same logarithm over latents.", CONDITIONING),
    Signal("quantiles", "quantiles", "", "Of the same logarithm: 5, 25, 50, 75 and 95 %.", CONDITIONING),
    Signal("effective_rank", "effective rank", "latent directions", "Exponential of the entropy of J's squared "
           "singular values as shares of their sum, mean over latents.", CONDITIONING),
    Signal("values", "singular values of J", "", "Geometric mean over latents of each, at most 32 of them.",
           CONDITIONING),
    Signal("log_determinant", "log determinant", "", "Natural logarithm of the determinant of JᵀJ, mean over latents.",
           CONDITIONING),
    Signal("dead_latents", "latents with dead directions", "", "How many latents have a direction without gain.",
           CONDITIONING),
    Signal("dead_directions", "dead directions", "", "Mean over latents of how many directions have no gain.",
           CONDITIONING),
    Signal("surplus_latents", "surplus latents", "", "Latent directions beyond the number of outputs, which have no "
           "gain whatever the weights.", CONDITIONING),
    Signal("n", "latents measured at", "", "Latents at which J was computed, the same ones each time.", CONDITIONING),
    Signal("latent", "size of the latents", "", "Dimensions of latent space.", CONDITIONING),
    Signal("took_seconds", "time taken", "seconds", "By this measurement.", CONDITIONING),
    Signal("convention", "convention", "", "Which logarithm of which matrix the numbers are of.", CONDITIONING),
    Signal("error", "error", "", "Instead of all these: why the generator could not be measured.", CONDITIONING),
)  # fmt: skip
SIGNALS: dict[str, Signal] = {signal.key: signal for signal in _TABLE}
"""Everything that a run logs, by key, in the order of the rows; all records begin with ``step`` and ``images_seen``."""


def input_gradient_norms(
    critic: Critic, real: Tensor, fake: Tensor, *, rng: torch.Generator | None = None
) -> dict[str, float]:
    """Mean norm of the critic's gradient with respect to its input, at real, fake and interpolated points.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``; of several critics the sum of the scores counts.
        real: Real samples ``[batch, *shape]``.
        fake: Fake samples of the same shape.
        rng: Source of the interpolation coefficients.

    Returns:
        ``real``, ``fake`` and ``interpolate``: means over samples of ``||grad_x D(x)||``, in score units per unit of
        the training scale.

    Cost: three forwards and backwards of the critic.
    """
    rows = rows_of(critic)
    points = {"real": real, "fake": fake, "interpolate": interpolate(real, fake, rows=rows, rng=rng)}
    slopes = {name: input_gradient(critic, x.detach(), create_graph=False) for name, x in points.items()}
    return {name: float(norm(slope if rows == 1 else packed(slope, rows)).mean()) for name, slope in slopes.items()}


def signals(run: Run, step: Step, real: Tensor, labels: Tensor | None = None, *, seed: int = 0) -> dict[str, float]:
    """One row of metrics: what the step computed, and the critic's input gradients on a probe batch.

    Args:
        run: Read, not disturbed.
        step: What ``train`` yielded.
        real: Probe batch ``[batch, *shape]``; the same one through a run makes its curves comparable.
        labels: Its classes ``[batch]``.
        seed: With the step number it decides the latents of the probe.

    Returns:
        Metric name to value, in the order of the documentation; see ``docs/conventions.md`` for definitions. The
        Wasserstein estimate is ``E D(real) - E D(fake)`` of the step's batch, whatever the loss.

    Cost: one generator forward and three critic forwards and backwards on the probe batch.

    Example:
        >>> from tightrope import methods, monitor, training
        >>> generator, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> run = training.start(methods.build("r1"), generator, critic, seed=0, latent=4, shape=(2,))
        >>> step = next(training.train(run, [torch.randn(16, 2)], steps=1))
        >>> row = monitor.signals(run, step, torch.randn(16, 2))
        >>> round(row["d_real"] - row["d_fake"], 4) == round(row["gap"], 4), row["input_gradient_norm_real"] > 0
        (True, True)
    """
    critic, generator = step.critic.objective, step.generator.objective
    d_real = critic.d_fake if critic.d_real is None else critic.d_real
    real_mean, fake_mean = mean_score(d_real), mean_score(critic.d_fake)
    gap = float(real_mean - fake_mean)
    row = {
        "critic_loss": float(critic.loss),
        "generator_loss": float(generator.loss),
        "penalty": 0.0 if critic.penalty is None else float(critic.penalty),
        "wasserstein_estimate": gap,
        "d_real": float(real_mean),
        "d_fake": float(fake_mean),
        "gap": gap,
        "critic_accuracy": _accuracy(d_real, critic.d_fake),
        "critic_gradient_norm": float(step.critic.gradient_norm),
        "generator_gradient_norm": float(step.generator.gradient_norm),
    }
    real = taken_by(run.critic, real)
    rng = torch.Generator().manual_seed((seed * 1_000_003 + step.step) % 2**63)
    with undisturbed(run.generator, run.critic):
        with torch.no_grad(), run.autocast():
            fake = labelled(run.generator, labels)(run.latents(real.shape[0], rng)).to(real.dtype)
        norms = input_gradient_norms(labelled(run.critic, labels), real, fake, rng=rng)
    row |= {f"input_gradient_norm_{name}": value for name, value in norms.items()}
    row["critic_learning_rate"] = float(run.critic_optimizer.param_groups[0]["lr"])
    row["generator_learning_rate"] = float(run.generator_optimizer.param_groups[0]["lr"])
    if run.pace is not None:
        row["critic_steps_per_step"] = float(run.pace.due)
    adaptive = adaptive_of(run.method.perturbation)
    if adaptive is not None:
        row["augmentation_strength"] = adaptive.p
        if adaptive.overfitting == adaptive.overfitting:
            row["critic_overfitting"] = adaptive.overfitting
    return row


def _accuracy(d_real: Scores, d_fake: Scores) -> float:
    """Share of samples on their side of zero, averaged over real and fake, and over critics."""
    shares = [
        float((per_sample(r) > 0).float().mean() + (per_sample(f) < 0).float().mean()) / 2
        for r, f in zip(scores_of(d_real), scores_of(d_fake), strict=True)
    ]
    return sum(shares) / len(shares)
