"""How a generator stretches latent space: singular values of its Jacobian, and the numbers made from them.

``M = J^T J`` is the metric that the generator pulls back to latent space; its eigenvalues are the squared singular
values of ``J``. Everything here works on singular values of ``J`` itself: forming ``M`` in float32 loses every
condition number above about ``e^21``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tightrope import spectra
from tightrope._plumbing.checks import check_number, check_samples
from tightrope._plumbing.errors import UserError
from tightrope.autodiff.types import Generator
from tightrope.conditioning.jacobian import MEMORY, Mode, evaluated, jacobians, one_latent, product

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Which quantiles over latents are reported."""


def singular_values(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    labels: Tensor | None = None,
    mode: Mode = "auto",
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Singular values of the Jacobian at each latent, by a float64 decomposition of the Jacobian itself.

    Args:
        generator: Maps ``[n, latent]`` (and labels ``[n]``) to ``[n, *shape]``; modules are evaluated in eval mode and
            left as found.
        z: Latents ``[batch, *latent_shape]``.
        labels: Classes ``[batch]``.
        mode: As for :func:`tightrope.conditioning.jacobian`.
        dtype: Type the generator is evaluated in. Its own (None) gives values to about 1e-7 of the largest in float32;
            ``torch.float64`` gives them to 1e-15.
        memory: Bytes of activations per piece; Jacobians are never all held.

    Returns:
        float64 ``[batch, latent]``, descending; zeros where there are fewer outputs than latents.

    Raises:
        UserError: As for :func:`tightrope.conditioning.jacobian`, or a derivative that is not finite.

    Example:
        >>> from tightrope import conditioning
        >>> generator = nn.Linear(2, 3, bias=False)
        >>> _ = generator.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5], [0.0, 0.0]]))
        >>> conditioning.singular_values(generator, torch.zeros(1, 2))  # a linear generator stretches alike everywhere
        tensor([[3.0000, 0.5000]], dtype=torch.float64)
    """
    return _values(generator, z, labels=labels, mode=mode, dtype=dtype, memory=memory)[0]


def _values(generator: Generator | nn.Module, z: Tensor, **options: Any) -> tuple[Tensor, int]:
    """Singular values ``[batch, latent]``, and the number of outputs."""
    parts, outputs = [], 0
    for J in jacobians(generator, z, **options):
        if not torch.isfinite(J).all():
            raise UserError("Expected finite derivatives, got NaN or infinity; the generator's weights have diverged.")
        values = torch.linalg.svdvals(J.double())
        parts.append(nn.functional.pad(values, (0, J.shape[2] - values.shape[1])))
        outputs = J.shape[1]
    return torch.cat(parts), outputs


def log_condition_number(values: Tensor, *, floor: float = 0.0) -> Tensor:
    """Natural logarithm of the condition number of ``J^T J``, ``2 (ln sigma_max - ln sigma_min)``: ``[batch]``.

    Twice the logarithm of the condition number of ``J``, as the paper has it. Infinite where a direction is dead.

    Source: Odena et al. 2018 (1802.08768), section 2.

    Args:
        values: Singular values of ``J`` ``[batch, latent]``, descending.
        floor: A direction whose gain is at most this share of the largest counts as dead.

    Raises:
        UserError: Values of another shape, or a floor that is no share.
    """
    _check_values(values)
    check_number("floor", floor, 0)
    if floor >= 1:
        raise UserError(f"Expected a floor below 1, a share of the largest gain, got {floor!r}; 0 is the default.")
    largest, smallest = values[:, 0], values[:, -1]
    dead = (smallest <= floor * largest) | (smallest <= 0)
    ratio = 2 * (largest.log() - smallest.log())
    return torch.where(dead, torch.full_like(ratio, math.inf), ratio)


def log_determinant(values: Tensor) -> Tensor:
    """Natural logarithm of ``det J^T J`` from singular values ``[batch, latent]``: ``[batch]``, -inf if one is zero."""
    _check_values(values)
    return 2 * values.log().sum(1)


def effective_rank(values: Tensor) -> Tensor:
    """Exponential of the entropy of ``sigma^2 / sum sigma^2``: how many directions share the gain, ``[batch]``.

    Source: Roy and Vetterli 2007, with squared singular values, the eigenvalues of the metric. Zero for ``J = 0``.

    Args:
        values: Singular values of ``J`` ``[batch, latent]``.
    """
    return spectra.effective_rank(values.square())


@dataclass(frozen=True)
class Conditioning:
    """Singular values of a generator's Jacobian at a batch of latents, and what they say.

    Attributes:
        values: float64 ``[batch, latent]``, descending.
        floor: Share of the largest gain below which a direction counts as dead: what the generator's precision cannot
            tell from zero.
        surplus: Latents that outnumber the outputs. As many directions have no gain whatever the weights; they are
            counted here alone and left out of everything below.
    """

    values: Tensor
    floor: float
    surplus: int = 0

    @property
    def alive(self) -> Tensor:
        """Singular values that the weights decide, ``[batch, latent - surplus]``."""
        return self.values[:, : self.values.shape[1] - self.surplus]

    @property
    def log_condition_numbers(self) -> Tensor:
        """Natural log of the condition number of ``J^T J``, ``[batch]``; infinite where a direction is dead."""
        return log_condition_number(self.alive, floor=self.floor)

    @property
    def dead(self) -> Tensor:
        """Number of dead directions at each latent, int64 ``[batch]``."""
        return ((self.alive <= self.floor * self.alive[:, :1]) | (self.alive <= 0)).sum(1)

    @property
    def mean(self) -> float:
        """Mean log condition number of ``J^T J`` over latents without a dead direction; NaN if there is none."""
        logs = self.log_condition_numbers
        alive = logs[logs.isfinite()]
        return float(alive.mean()) if len(alive) else math.nan

    @property
    def std(self) -> float:
        """Standard deviation that belongs to :attr:`mean`; NaN for fewer than two latents."""
        logs = self.log_condition_numbers
        alive = logs[logs.isfinite()]
        return float(alive.std()) if len(alive) > 1 else math.nan

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Quantiles 5, 25, 50, 75 and 95 % of the log condition number over all latents; infinite for dead ones."""
        ordered = self.log_condition_numbers.sort().values
        return tuple(float(ordered[round(q * (len(ordered) - 1))]) for q in QUANTILES)

    @property
    def mean_spectrum(self) -> Tensor:
        """Geometric mean over latents of each singular value, float64 ``[latent - surplus]``; zero where one is."""
        return self.alive.log().mean(0).exp()

    def to_json(self, points: int = 32) -> dict[str, object]:
        """Plain values for a record: ``None`` for what is not finite, at most ``points`` of the mean spectrum."""
        spectrum = spectra.evenly_picked(self.mean_spectrum, points)
        return {
            "convention": "natural log of the condition number of J^T J",
            "mean": _plain(self.mean),
            "std": _plain(self.std),
            "quantiles": [_plain(q) for q in self.quantiles],
            "dead_latents": int((self.dead > 0).sum()),
            "dead_directions": float(self.dead.double().mean()),
            "surplus_latents": self.surplus,
            "log_determinant": _plain(float(log_determinant(self.alive).mean())),
            "effective_rank": _plain(float(effective_rank(self.alive).mean())),
            "values": [_plain(float(f"{float(v):.6g}")) for v in spectrum],
            "n": len(self.values),
            "latent": self.values.shape[1],
        }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def measure(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    labels: Tensor | None = None,
    mode: Mode = "auto",
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Conditioning:
    """Conditioning of a generator at the latents ``z`` ``[batch, latent]``; arguments as for :func:`singular_values`.

    Batch normalisation is evaluated with its running statistics, as when sampling. A gain below 1e-7 of the largest
    (1e-14 in float64) counts as dead.

    Example:
        >>> from tightrope import conditioning
        >>> generator = nn.Linear(2, 3, bias=False)
        >>> _ = generator.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5], [0.0, 0.0]]))
        >>> found = conditioning.measure(generator, torch.randn(4, 2))
        >>> round(found.mean, 3), found.dead.tolist()  # ln (3 / 0.5)^2
        (3.584, [0, 0, 0, 0])
    """
    values, outputs = _values(generator, z, labels=labels, mode=mode, dtype=dtype, memory=memory)
    floor = 1e-14 if (dtype or z.dtype) == torch.float64 else 1e-7
    return Conditioning(values, floor, max(0, values.shape[1] - outputs))


def mean_metric(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    labels: Tensor | None = None,
    mode: Mode = "auto",
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Mean over latents of the metric tensor ``J^T J``, float64 ``[latent, latent]``; arguments as above.

    Its spectrum says which latent directions matter on average; a direction that is dead at each point may differ from
    point to point, and then shows here as alive.
    """
    latent = z[:1].numel()
    total = torch.zeros(latent, latent, dtype=torch.float64, device=z.device)
    for J in jacobians(generator, z, labels=labels, mode=mode, dtype=dtype, memory=memory):
        tall = J.double().flatten(0, 1)
        total += tall.mT @ tall
    return total / len(z)


def pulled_back_distances(
    generator: Generator | nn.Module,
    path: Tensor,
    *,
    label: int | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Length of each segment of a latent path in the pulled-back metric; their sum is the length of the image path.

    ``sqrt(d^T M d)`` with ``M`` at the segment's middle and ``d`` its direction: exact for a linear generator, to
    second order in the segments' length otherwise. A jump between modes shows as one long segment.

    Args:
        generator: Maps ``[n, latent]`` (and labels ``[n]``) to ``[n, *shape]``.
        path: Points in order ``[points, *latent_shape]``, two at least.
        label: Class of a conditional generator, the same along the path.
        dtype: Type the generator is evaluated in.

    Returns:
        ``[points - 1]``, in sample units.

    Raises:
        UserError: Fewer than two points.
    """
    if path.dim() < 2 or len(path) < 2:
        raise UserError(
            f"Expected a path of shape [points, *latent_shape] with two points at least, got {list(path.shape)}; "
            "give its points in order."
        )
    path = path.detach() if dtype is None else path.detach().to(dtype)
    steps = path[1:] - path[:-1]
    labels = None if label is None else torch.full((len(steps),), label, device=path.device)
    with evaluated(generator, labels, dtype) as function:
        moved = product(function)((path[1:] + path[:-1]) / 2, steps)
    return torch.linalg.vector_norm(moved.flatten(1), dim=1)


def latent_directions(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    label: int | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Singular values and right singular vectors at one latent: directions from the largest to the smallest gain.

    Args:
        generator: Maps ``[n, latent]`` (and labels ``[n]``) to ``[n, *shape]``.
        z: One latent ``[latent]`` or ``[1, *latent_shape]``; directions are those of the flattened latent.
        label: Its class.
        dtype: Type the generator is evaluated in.

    Returns:
        float64 values ``[latent]``, descending, and unit vectors ``[latent, latent]``, one per row in the same order.
    """
    labels = None if label is None else torch.full((1,), label, device=z.device)
    (J,) = jacobians(generator, one_latent(z), labels=labels, dtype=dtype)
    tall = J[0].double()
    if tall.shape[0] < tall.shape[1]:
        tall = nn.functional.pad(tall, (0, 0, 0, tall.shape[1] - tall.shape[0]))
    _, values, right = torch.linalg.svd(tall, full_matrices=False)
    return values, right


def _check_values(values: Any) -> None:
    check_samples(values, "singular values", shape="[batch, latent]")
    if values.dim() != 2 or not bool(((values >= 0) & (values < math.inf)).all()):
        raise UserError(
            f"Expected finite singular values >= 0 of shape [batch, latent], got shape {list(values.shape)} or other "
            "values; pass those of conditioning.singular_values."
        )
