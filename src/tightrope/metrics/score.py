"""The score that a classifier's predictions give to samples: sure about each, evenly spread over all."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.metrics._checks import Array, as_features, check_count
from tightrope.metrics.result import Estimate


def classifier_score(logits: Array) -> Estimate:
    """Return ``exp E KL(p(label | x) || p(label))`` over all samples at once, with its standard error.

    Called the Inception score only when the logits are those of the Inception network of the FID literature.

    Args:
        logits: Class scores [n, classes], n >= 2, before the softmax.

    Returns:
        A value between 1 and the number of classes; the error is the delta method's.

    Raises:
        UserError: The shape is wrong or an entry is not finite.

    **Source** improved-gan (Salimans et al. 2016), section 4.
    **Departures** One split, so that the order of samples does not matter; see `split_classifier_score`.
    """
    divergences = _divergences(torch.log_softmax(as_features(logits, "given", least=2), dim=1))
    value = math.exp(float(divergences.mean()))
    return Estimate(value, value * float(divergences.std()) / math.sqrt(len(divergences)))


def split_classifier_score(logits: Array, *, splits: int = 10) -> Estimate:
    """Return the mean score of consecutive parts of the samples, as the literature reports it.

    Args:
        logits: Class scores [n, classes] in the order of generation.
        splits: Number of parts, 1 to n; sizes differ by at most one.

    Returns:
        The mean over parts and, as its error, their standard deviation (not that of the mean). A smaller part gives a
        smaller score, so that the number of splits belongs to the protocol.

    Raises:
        UserError: The shape is wrong, an entry is not finite, or there are more splits than samples.

    **Source** improved-gan (Salimans et al. 2016), authors' code.
    """
    scores = as_features(logits, "given")
    n = len(scores)
    check_count("splits", splits)
    if not 1 <= splits <= n:
        raise UserError(f"There must be 1 to {n} splits of {n} samples, but {splits} were asked for; 10 are usual.")
    log_p = torch.log_softmax(scores, dim=1)
    parts = [log_p[i * n // splits : (i + 1) * n // splits] for i in range(splits)]
    values = torch.stack([_divergences(part).mean().exp() for part in parts])
    return Estimate(float(values.mean()), float(values.std(correction=0)))


def _divergences(log_p: Tensor) -> Tensor:
    """Return KL(p_i || mean p) in nats [n] of log probabilities [n, classes]."""
    log_mean = torch.logsumexp(log_p, dim=0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_mean)).sum(dim=1)
