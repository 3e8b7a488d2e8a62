"""Soft orthogonality: penalties that pull kernel matrices towards orthonormal rows or columns.

With ``W`` the kernel matrix turned so that it is tall, ``G = W^T W`` and ``I`` of the same size, per layer:

    gram              ||G - I||_F^2
    off_diagonal      ||G o (1 - I)||_F^2          lengths are free, as in BigGAN
    srip              sigma_max(G - I)^2           by two power steps from a fresh random vector
    mutual_coherence  max |G o (1 - I)|
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number, check_rng, refuse_sharded
from tightrope._plumbing.draws import normal
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import module_of
from tightrope.autodiff.types import Critic
from tightrope.layers.find import find_layers, refuse_other_weights
from tightrope.layers.kernel import kernel_shape
from tightrope.linalg.precision import full_precision
from tightrope.losses.loss import wide

Form = Literal["gram", "off_diagonal", "srip", "mutual_coherence"]


def soft_orthogonality(
    critic: Critic | nn.Module,
    real: Tensor | None = None,
    fake: Tensor | None = None,
    *,
    weight: float = 10.0,
    form: Form = "gram",
    skip: tuple[str, ...] = (),
    rng: torch.Generator | None = None,
) -> Tensor:
    """``weight`` times the sum over layers of one of this module's four measures of non-orthogonality.

    Args:
        critic: A module; its Linear, Conv, ConvTranspose and Embedding layers count.
        real: Ignored; there so that it stands where every critic penalty stands.
        fake: Ignored.
        weight: Factor of the sum. With a Wasserstein loss values below about 1 let the critic run away.
        form: Which measure.
        skip: Names of submodules that do not count.
        rng: Source of the starting vector of ``"srip"``; the global one by default.

    Returns:
        Scalar.

    Raises:
        UserError: ``form`` is unknown, or the critic has no such layer.
        UserTypeError: The critic is a function that holds no module whose weights could be seen, or a module outside
            ``skip`` holds a weight that no such layer does, which would be passed over.

    **Source**: gram: Brock et al. (arXiv 1609.07093), eq. 3, and the orthonormal regularisation that Spectral
    Normalization (arXiv 1802.05957) compares with; off_diagonal: BigGAN (arXiv 1809.11096), eq. 3; srip and
    mutual_coherence: Bansal et al. (arXiv 1810.09102). Orthogonal Wasserstein GANs (arXiv 1911.13060) names a soft
    constraint without a formula in the text available to us: ``"gram"`` is our reading.
    **Departures**: always the Gram matrix of the smaller side, the one that can be the identity; BigGAN's code takes
    the side of the outputs. The default ``weight`` is ours. srip keeps its weight; its authors lower it in stages.
    **Claim**: zero exactly for orthonormal kernel matrices (off_diagonal, mutual_coherence: orthogonal ones).
    **Cost**: about one product of each weight with itself.
    """
    check_number("weight", weight, 10)
    check_rng(rng)
    if not isinstance(form, str) or form not in _FORMS:
        raise UserError(f"expected form {', '.join(_FORMS)}, got {form!r}; 'gram' is the common one")
    network = module_of(critic)
    if network is None:
        raise UserTypeError(f"expected the critic as a module, got {type(critic).__name__}; pass the network itself")
    refuse_sharded(network, "a penalty on them")
    layers = find_layers(network, skip=skip)
    refuse_other_weights(network, skip=skip)
    total: Tensor | None = None
    for layer in layers.values():
        matrix = wide(kernel_shape(layer).matrix(layer.weight))
        if matrix.shape[1] < matrix.shape[2]:
            matrix = matrix.mT
        with full_precision(matrix.device.type):
            gram = matrix.mT @ matrix
            value = _FORMS[form](gram, rng)
        total = value if total is None else total + value
    if total is None:
        raise UserError("expected a network with Linear, Conv, ConvTranspose or Embedding layers, got none")
    return weight * total


def _minus_identity(gram: Tensor) -> Tensor:
    return gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)


def _off_diagonal(gram: Tensor) -> Tensor:
    return gram * (1 - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device))


def _srip(gram: Tensor, rng: torch.Generator | None) -> Tensor:
    """Largest of the groups' squared spectral norms, each by two power steps; gradient through the whole iteration."""
    defect = _minus_identity(gram)
    shape = (gram.shape[0], gram.shape[-1], 1)
    x = (torch.randn(shape, device=gram.device) if rng is None else normal(shape, rng, per_sample=False)).to(gram)
    for _ in range(2):
        x = defect @ (x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=1e-12))
    return x.square().sum((1, 2)).amax()


_FORMS: dict[str, Callable[[Tensor, torch.Generator | None], Tensor]] = {
    "gram": lambda gram, _: _minus_identity(gram).square().sum(),
    "off_diagonal": lambda gram, _: _off_diagonal(gram).square().sum(),
    "srip": _srip,
    "mutual_coherence": lambda gram, _: _off_diagonal(gram).abs().amax(),
}
