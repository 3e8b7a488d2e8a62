r"""Critic penalties with one signature, ``(critic, real, fake, *, hyperparameters, rng=None) -> scalar``.

Swapping R1 for WGAN-GP in somebody's loop changes one name. With :math:`g(x) = \nabla_x D(x)` per sample:

====================== ==============================================================================
``gradient_penalty``   weight E (||g(x')|| - target)^2,   x' = e x + (1 - e) y,   e ~ U[0, 1] per sample
one-sided              weight E max(0, ||g(x')|| - target)^2
``dragan``             weight E (||g(x + u)|| - target)^2,   u ~ scale std(x) U[0, 1] per entry
``r1``                 gamma/2 E ||g(x)||^2   at real samples
``r2``                 gamma/2 E ||g(y)||^2   at fake samples
``finite_difference_`` ``r1``, ``r2``: gamma/(2 sigma^2) E (D(x + sigma e) - D(x))^2,   e ~ N(0, I)
``consistency``        weight E (D(x) - D(T(x)))^2 at real and at fake samples, with an augmentation T
``soft_orthogonality`` weight sum_layers ||W^T W - I||^2 and three other forms
====================== ==============================================================================

Two factor conventions meet here and are kept as published: zero-centred penalties carry ``gamma / 2``, the others a
plain ``weight``. The authors' code of R1 (``GAN_stability``) has no half: its ``reg_param`` is ``gamma / 2``, see
:func:`from_gan_stability`.

One penalty is the generator's, with the signature ``(generator, z, *, hyperparameters, rng=None) -> scalar``:
``jacobian_clamping``, see :mod:`tightrope.conditioning`.

``critic`` is a module, a :class:`~tightrope.View` of one, or any function of ``x`` (close over labels). Norms run over
all axes of a sample. Several critics, which return a list of scores, are penalised one by one and the penalties added.
Samples of half precision are differentiated in float32, and under autocast the penalty is computed in float32; with
fp16 autocast scale the loss that contains it, as ``torch.amp.GradScaler`` does.

A penalty is refused where it would be no penalty: batch normalisation in training mode and fewer scores than samples
(no gradient per sample), scores that do not depend on the samples (a zero), ``DistributedDataParallel`` with
``static_graph=True`` (wrong gradients) and compiled critics (no second derivative).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor

from tightrope._plumbing.door import keep_door
from tightrope.autodiff.types import PenaltyFunction
from tightrope.penalties.around import consistency, dragan, latent_consistency, latent_diversity
from tightrope.penalties.clamping import jacobian_clamping
from tightrope.penalties.gradient import (
    finite_difference_r1,
    finite_difference_r2,
    from_gan_stability,
    gradient_penalty,
    interpolate,
    r1,
    r2,
    refuse_coupled,
)
from tightrope.penalties.noise import GradientNoise, gradient_noise
from tightrope.penalties.orthogonality import soft_orthogonality
from tightrope.penalties.penalty import Penalty, lazy

__all__ = [
    "GENERATOR_PENALTIES",
    "PENALTIES",
    "GradientNoise",
    "Penalty",
    "consistency",
    "dragan",
    "finite_difference_r1",
    "finite_difference_r2",
    "from_gan_stability",
    "gradient_noise",
    "gradient_penalty",
    "interpolate",
    "jacobian_clamping",
    "latent_consistency",
    "latent_diversity",
    "lazy",
    "r1",
    "r2",
    "refuse_coupled",
    "soft_orthogonality",
]

keep_door(__name__, __all__)

PENALTIES: Final[dict[str, PenaltyFunction]] = {
    "gradient_penalty": gradient_penalty,
    "dragan": dragan,
    "r1": r1,
    "r2": r2,
    "finite_difference_r1": finite_difference_r1,
    "finite_difference_r2": finite_difference_r2,
}

GENERATOR_PENALTIES: Final[dict[str, Callable[..., Tensor]]] = {"jacobian_clamping": jacobian_clamping}
