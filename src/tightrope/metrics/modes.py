"""How many of the known modes or classes the samples reach, and how evenly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError
from tightrope.metrics._checks import Array, as_features, as_float64


@dataclass(frozen=True)
class Coverage:
    """How samples spread over known modes or classes.

    Attributes:
        reached: For each mode or class, whether it counts as reached.
        counts: Samples assigned to each.
        divergence: KL divergence in nats of the histogram of samples from the reference histogram; 0 when they agree.
        high_quality: Share of samples near a mode; 1.0 where nearness has no meaning (classes).
    """

    reached: tuple[bool, ...]
    counts: tuple[int, ...]
    divergence: float
    high_quality: float = 1.0

    @property
    def covered(self) -> int:
        """Number of modes or classes that count as reached."""
        return sum(self.reached)

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of those that do not."""
        return tuple(index for index, reached in enumerate(self.reached) if not reached)


def mode_coverage(samples: Array, mixture_means: Array, std: float, within: float = 3.0) -> Coverage:
    """Count the modes of a mixture of equally likely isotropic Gaussians that samples reach.

    Args:
        samples: Samples [n, d] in the units of the means.
        mixture_means: Means [modes, d].
        std: Standard deviation of each component, > 0.
        within: A sample is of high quality when its Euclidean distance to the nearest mean is at most this many
            standard deviations; a mode is covered when it is the nearest of at least one sample of high quality.

    Returns:
        Coverage whose histogram holds every sample at its nearest mode, near or not, against the uniform one.

    Raises:
        UserError: Shapes do not fit, an entry is not finite, or ``std`` or ``within`` is not positive.

    **Source** veegan (Srivastava et al. 2017), section 4.1, for the two counts; pacgan (Lin et al. 2018) for the
    divergence of the histogram.
    **Claim** For samples of the mixture itself, well separated, the share of high quality is the chi distribution's
    mass below ``within``: 0.9889 in two dimensions for 3.
    """
    check_number("std", std, 0.1, least=-math.inf)
    check_number("within", within, 3, least=-math.inf)
    if not (std > 0 and within > 0):
        raise UserError(f"std and within must be positive, but they are {std} and {within}; give both in data units.")
    points, means = as_features(samples, "given"), as_features(mixture_means, "mean")
    if points.shape[1] != means.shape[1]:
        raise UserError(
            f"Samples and means must have the same dimension, but they have {points.shape[1]} and {means.shape[1]}; "
            "compare them in the space of the means."
        )
    distances = torch.cdist(points, means, compute_mode="donot_use_mm_for_euclid_dist")
    distance, nearest = distances.min(dim=1)
    near = distance <= within * std
    covered = torch.bincount(nearest[near], minlength=len(means)) > 0
    counts = torch.bincount(nearest, minlength=len(means))
    uniform = torch.full((len(means),), 1.0 / len(means), dtype=torch.float64)
    return Coverage(
        tuple(covered.tolist()), tuple(counts.tolist()), _divergence(counts, uniform), float(near.double().mean())
    )


def class_histogram(logits: Array) -> Tensor:
    """Count the samples that a classifier gives to each class.

    Args:
        logits: Scores [n, classes].

    Returns:
        Counts [classes], int64.

    Raises:
        UserError: The shape is wrong or an entry is not finite.
    """
    scores = as_features(logits, "given")
    return torch.bincount(scores.argmax(dim=1), minlength=scores.shape[1])


def class_coverage(counts: Array, reference: Array, *, least: float = 0.1) -> Coverage:
    """Count the classes that samples reach, given the histogram of real data.

    Args:
        counts: Samples per class [classes].
        reference: Real samples per class [classes]; a class without any counts as reached.
        least: A class is covered when its share among the samples is at least this part of its real share. The field's
            custom is one single sample, which a classifier with a few per cent of errors reaches by mistake.

    Raises:
        UserError: The histograms differ in length or one is empty.

    **Source** veegan (Srivastava et al. 2017), stacked MNIST, for the idea.
    **Departures** The threshold ``least`` instead of one sample; the divergence is from the real histogram.
    """
    check_number("least", least, 0.1)
    counts, reference = (as_float64(values, "histogram") for values in (counts, reference))
    for histogram in (counts, reference):
        if not bool(((histogram >= 0) & (histogram < math.inf) & (histogram == histogram.round())).all()):
            raise UserError(f"A histogram must hold counts, but it holds {histogram.tolist()}; use class_histogram.")
    if counts.shape != reference.shape or counts.ndim != 1:
        raise UserError(
            f"Both histograms must have shape [classes], but they have shapes {tuple(counts.shape)} and "
            f"{tuple(reference.shape)}; use one classifier for both."
        )
    total, real_total = int(counts.sum()), int(reference.sum())
    if total == 0 or real_total == 0:
        raise UserError(f"Both histograms must hold samples, but they hold {total} and {real_total}; draw some.")
    share, real_share = counts.double() / total, reference.double() / real_total
    reached = (share >= least * real_share) & ((counts > 0) | (reference == 0))
    # A class that real data never shows would make the divergence infinite, so it takes no part.
    present = reference > 0
    return Coverage(
        tuple(reached.tolist()), tuple(counts.long().tolist()), _divergence(counts[present], real_share[present])
    )


def _divergence(counts: Tensor, reference: Tensor) -> float:
    """Return KL(histogram || reference) in nats of counts [k] and shares [k] > 0; the most it can be without counts."""
    total = int(counts.sum())
    if total == 0:
        return -math.log(float(reference.min()))
    share = counts.double() / total
    return max(0.0, float(torch.special.xlogy(share, share / reference).sum()))
