"""Generator conditioning: how a generator stretches latent space, measured and clamped.

The paper's quantity is the mean over latents of the natural logarithm of the condition number of ``J^T J``, the metric
that the generator pulls back from sample space. :func:`measure` gives it with its quantiles and the whole spectrum;
:func:`jacobian_clamping` is the paper's regulariser. Modules are evaluated in eval mode (batch normalisation uses its
running statistics) and left exactly as found.
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.conditioning.extremes import Extremes, extremes
from tightrope.conditioning.gain import reference_gain
from tightrope.conditioning.jacobian import jacobian, jacobians, pushed_forward
from tightrope.conditioning.spectrum import (
    Conditioning,
    effective_rank,
    latent_directions,
    log_condition_number,
    log_determinant,
    mean_metric,
    measure,
    pulled_back_distances,
    singular_values,
)
from tightrope.penalties.clamping import finite_gain, jacobian_clamping

__all__ = [
    "Conditioning",
    "Extremes",
    "effective_rank",
    "extremes",
    "finite_gain",
    "jacobian",
    "jacobian_clamping",
    "jacobians",
    "latent_directions",
    "log_condition_number",
    "log_determinant",
    "mean_metric",
    "measure",
    "pulled_back_distances",
    "pushed_forward",
    "reference_gain",
    "singular_values",
]

keep_door(__name__, __all__)
