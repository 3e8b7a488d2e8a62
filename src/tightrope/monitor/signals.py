"""What to look at while a GAN trains: signals read without disturbing the run.

Reading them draws from a random stream of its own and leaves modes, buffers, gradients and power iterations as found,
so a run that is watched and one that is not end with the same weights, bit for bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tightrope.autodiff import bind, input_gradient, norm, per_sample, undisturbed
from tightrope.autodiff.types import Critic
from tightrope.penalties import interpolate
from tightrope.training import Run, Step


def input_gradient_norms(
    critic: Critic, real: Tensor, fake: Tensor, *, rng: torch.Generator | None = None
) -> dict[str, float]:
    """Mean norm of the critic's gradient with respect to its input, at real, fake and interpolated points.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        real: Real samples ``[batch, *shape]``.
        fake: Fake samples of the same shape.
        rng: Source of the interpolation coefficients.

    Returns:
        ``real``, ``fake`` and ``interpolate``: means over samples of ``||grad_x D(x)||``, in score units per unit of
        the training scale.

    Cost: three forwards and backwards of the critic.
    """
    points = {"real": real, "fake": fake, "interpolate": interpolate(real, fake, rng=rng)}
    return {
        name: float(norm(input_gradient(critic, x.detach(), create_graph=False)).mean()) for name, x in points.items()
    }


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
    real_scores, fake_scores = per_sample(d_real), per_sample(critic.d_fake)
    gap = float(d_real.float().mean() - critic.d_fake.float().mean())
    row = {
        "critic_loss": float(critic.loss),
        "generator_loss": float(generator.loss),
        "penalty": 0.0 if critic.penalty is None else float(critic.penalty),
        "wasserstein_estimate": gap,
        "d_real": float(d_real.float().mean()),
        "d_fake": float(critic.d_fake.float().mean()),
        "gap": gap,
        "critic_accuracy": float((real_scores > 0).float().mean() + (fake_scores < 0).float().mean()) / 2,
        "critic_gradient_norm": float(step.critic.gradient_norm),
        "generator_gradient_norm": float(step.generator.gradient_norm),
    }
    rng = torch.Generator().manual_seed((seed * 1_000_003 + step.step) % 2**63)
    with undisturbed(run.generator, run.critic):
        with torch.no_grad(), run.autocast():
            fake = bind(run.generator, labels)(run.latents(real.shape[0], rng)).to(real.dtype)
        norms = input_gradient_norms(bind(run.critic, labels), real, fake, rng=rng)
    row |= {f"input_gradient_norm_{name}": value for name, value in norms.items()}
    row["critic_learning_rate"] = float(run.critic_optimizer.param_groups[0]["lr"])
    row["generator_learning_rate"] = float(run.generator_optimizer.param_groups[0]["lr"])
    return row
