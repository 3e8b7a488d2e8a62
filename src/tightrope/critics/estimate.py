"""What a critic says the Wasserstein-1 distance is, beside the exact distance between the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_flag, check_samples, check_seed, refuse_frozen_code
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import critic_scores, modules_of, undisturbed
from tightrope.autodiff.guard import computed_once
from tightrope.autodiff.types import Critic
from tightrope.critics._search import gradient_norms, starting_points
from tightrope.critics._seen import function_of, samples

_MOST_EXACT = 4096  # an assignment of this size takes about ten seconds and half a GiB


@dataclass(frozen=True)
class WassersteinEstimate:
    """A critic's estimate of Wasserstein-1, in units of the samples.

    Attributes:
        raw: ``mean D(real) - mean D(fake)``.
        slope: Largest gradient norm found over data, fakes, interpolates and far points.
        estimate: ``raw / slope``: the estimate of the critic scaled to slope 1. It is a lower bound of the distance
            between the samples if the critic is nowhere steeper than found.
        exact: Distance between the same samples by optimal assignment; None where it is not computable.
        reason: Why ``exact`` is None; empty otherwise.
    """

    raw: float
    slope: float
    estimate: float
    exact: float | None
    reason: str

    @property
    def tightness(self) -> float | None:
        """``estimate / exact``: 1 for an optimal critic; None without an exact distance above zero."""
        return None if not self.exact else self.estimate / self.exact

    def __str__(self) -> str:
        exact = f"exact {self.exact:.4g}" if self.exact is not None else f"no exact distance: {self.reason}"
        share = "" if self.tightness is None else f", tightness {self.tightness:.3f}"
        return f"estimate {self.estimate:.4g} (raw {self.raw:.4g} over slope {self.slope:.4g}), {exact}{share}"


def wasserstein_estimate(
    critic: Critic, real: Tensor, fake: Tensor, *, exact: bool = True, seed: int = 0
) -> WassersteinEstimate:
    """A critic's Wasserstein-1 estimate on samples, and the exact distance between those samples where computable.

    The exact distance is that of the two empirical distributions: for real and fake samples from one distribution it is
    above zero, and the more so the higher the dimension. It therefore judges the critic, not the generator.

    Args:
        critic: Any module, ``View`` of one, or function from ``[batch, *shape]`` to scores; left exactly as found,
            judged in evaluation mode. Several critics count as their sum, and a pack of samples is one sample.
        real: ``[n, *shape]``.
        fake: ``[n, *shape]``.
        exact: Also solve the assignment, if both sets have one size of at most 4,096 samples.
        seed: Of the interpolates and far points where the slope is sought.

    Raises:
        UserError: Fewer than two samples, shapes that differ, or samples, scores or slopes that are not finite.

    **Source**: the duality of Wasserstein GAN (arXiv 1701.07875), eq. 2 and 3, with the constant K divided out.
    **Cost**: nine gradients per sample, and an assignment of cubic cost (SciPy).

    Example:
        >>> from tightrope import critics
        >>> critic = nn.Linear(2, 1, bias=False)  # D(x) = 2 x_1, of slope 2
        >>> _ = critic.weight.data.copy_(torch.tensor([[2.0, 0.0]]))
        >>> fake = torch.randn(16, 2)
        >>> found = critics.wasserstein_estimate(critic, fake + torch.tensor([3.0, 0.0]), fake)
        >>> round(found.estimate, 3), round(found.exact, 3)
        (3.0, 3.0)
    """
    check_samples(real, "real samples")
    check_samples(fake, "fake samples")
    check_seed(seed)
    check_flag("exact", exact)
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise UserError("Expected finite samples, got NaN or infinity among them; remove those samples.")
    if real.shape[1:] != fake.shape[1:] or min(len(real), len(fake)) < 2:
        raise UserError(
            f"Expected two sets of at least 2 samples of one shape, got {tuple(real.shape)} and {tuple(fake.shape)}."
        )
    real, fake = samples(real, critic), samples(fake, critic)
    for network in modules_of(critic):
        refuse_frozen_code(network, "an estimate in evaluation mode", scripts=False)
    with undisturbed(critic), torch.no_grad(), computed_once(*(network.eval() for network in modules_of(critic))):
        raw = mean_gap(function_of(critic), real, fake)
        slope = steepest(function_of(critic), real, fake, seed=seed)
    if not (math.isfinite(raw) and math.isfinite(slope)):
        raise UserError(f"Expected finite scores and slopes, got {raw} and {slope}; look at the critic's weights.")
    distance, reason = (None, "not asked for") if not exact else _exact(real, fake)
    return WassersteinEstimate(raw, slope, raw / slope if slope > 0 else 0.0, distance, reason)


def mean_gap(critic: Critic, real: Tensor, fake: Tensor) -> float:
    """``mean D(real) - mean D(fake)`` without gradients, in float64 over the samples."""
    with torch.no_grad():
        means = [torch.cat([_summed(critic, part) for part in x.split(512)]).double().mean() for x in (real, fake)]
    return float(means[0] - means[1])


def _summed(critic: Critic, x: Tensor) -> Tensor:
    """All critics' scores of each sample together ``[batch]``."""
    return torch.stack(critic_scores(critic, x)).sum(0)


def steepest(critic: Critic, real: Tensor, fake: Tensor, *, seed: int = 0) -> float:
    """Largest gradient norm over data, fakes, interpolates and points three times as far out."""
    points = starting_points(real, fake, torch.Generator().manual_seed(seed))
    return float(gradient_norms(critic, points)[0].max())


def _exact(real: Tensor, fake: Tensor) -> tuple[float | None, str]:
    if len(real) != len(fake):
        return None, f"it needs as many real as fake samples, got {len(real)} and {len(fake)}"
    if len(real) > _MOST_EXACT:
        return None, f"{len(real)} samples are more than the {_MOST_EXACT} that an assignment is solved for"
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(
        real.detach().flatten(1).double().cpu(),
        fake.detach().flatten(1).double().cpu(),
        compute_mode="donot_use_mm_for_euclid_dist",
    ).numpy()
    return float(cost[linear_sum_assignment(cost)].mean()), ""
