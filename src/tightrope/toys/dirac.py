r"""Games small enough to be understood completely, built from the parts that train images.

The Dirac-GAN and its relatives are ordinary modules in float64; their losses, penalties and perturbations are this
library's own, and everything about them is found by differentiating, nothing is derived by hand.

==================== ============================ ======================= ==============================
function             generator                    critic                  data
==================== ============================ ======================= ==============================
``dirac_gan``        a point ``P theta``          ``psi . x``             the origin, or a normal cloud
``gaussian_quadratic`` ``mu + sigma z``           ``psi_1 x + psi_2 x^2`` standard normal
``parallel_lines``   ``(theta, z)``               any                     ``(0, u)``, ``u`` uniform
==================== ============================ ======================= ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tightrope import losses as adversarial
from tightrope.dynamics.quadrature import equal_weight_normal, expectation
from tightrope.losses import Loss
from tightrope.penalties import Penalty, finite_difference_r1, finite_difference_r2
from tightrope.perturbations import InstanceNoise


class Point(nn.Module):
    """The generator ``G(z) = P theta + spread z``: a point, or a cloud that moves rigidly.

    Args:
        theta: Start ``[n]``.
        coupling: ``P [m, n]``, fixed; the identity if None.
        spread: Factor of the latents ``[batch, m]``; 0 ignores them.
    """

    coupling: Tensor | None

    def __init__(self, theta: Tensor, coupling: Tensor | None = None, spread: float = 0.0) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta.clone())
        self.register_buffer("coupling", coupling)
        self.spread = spread

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[batch, m]`` to samples ``[batch, m]``."""
        point = self.theta if self.coupling is None else self.coupling @ self.theta
        return point + self.spread * z if self.spread else point.expand(z.shape[0], -1)


class Linear(nn.Module):
    """The critic ``D(x) = psi . x`` without bias; ``psi [m]`` is where it starts."""

    def __init__(self, psi: Tensor) -> None:
        super().__init__()
        self.psi = nn.Parameter(psi.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map samples ``[batch, m]`` to scores ``[batch]``."""
        return x @ self.psi


class Affine(nn.Module):
    """The generator ``G(z) = mu + sigma z`` of one-dimensional latents and samples."""

    def __init__(self, mean: float, scale: float) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([mean], dtype=torch.float64))
        self.scale = nn.Parameter(torch.tensor([scale], dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[batch, 1]`` to samples ``[batch, 1]``."""
        return self.mean + self.scale * z


class Quadratic(nn.Module):
    """The critic ``D(x) = psi_1 x + psi_2 x^2`` of one-dimensional samples; starts at ``psi [2]``."""

    def __init__(self, psi: Tensor) -> None:
        super().__init__()
        self.psi = nn.Parameter(psi.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map samples ``[batch, 1]`` to scores ``[batch]``."""
        return torch.cat((x, x.square()), dim=1) @ self.psi


class Line(nn.Module):
    """The generator ``G(z) = (theta, z)``: a vertical line at ``theta``."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta], dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[batch, 1]`` to samples ``[batch, 2]``."""
        return torch.cat((self.theta.expand(z.shape[0], 1), z), dim=1)


@dataclass(frozen=True)
class Toy:
    """A small game: two modules, a data set, and the loss, penalties and perturbation they are trained by.

    Attributes:
        generator: Player 0.
        critic: Player 1.
        real: The whole data set ``[batch, m]``.
        z: All latents ``[batch, latent]``.
        loss: The pair of losses.
        penalties: Added to the critic's loss.
        perturbation: Of real and fake samples in both losses; its expectation is exact.
    """

    generator: nn.Module
    critic: nn.Module
    real: Tensor
    z: Tensor
    loss: Loss
    penalties: tuple[Penalty, ...] = ()
    perturbation: InstanceNoise | None = None

    @property
    def players(self) -> tuple[nn.Module, nn.Module]:
        """``(generator, critic)``."""
        return self.generator, self.critic

    @property
    def losses(self) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        """``(generator_loss, critic_loss)``, evaluated at the parameters of the moment; lazy penalties are due."""
        return self.losses_at(0)

    def losses_at(self, critic_step: int) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        """The losses at a critic step, which decides the lazy penalties that are due."""
        due = [p for p in self.penalties if p.due(critic_step)]
        noisy = self.perturbation is not None
        finite = any(p.function in (finite_difference_r1, finite_difference_r2) for p in due)
        generator, critic = self._generator_loss, partial(self._critic_loss, due)
        return (
            partial(expectation, generator) if noisy else generator,
            partial(expectation, critic) if noisy or finite else critic,
        )

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.perturbation is None else self.perturbation(x, images_seen=0)

    def _generator_loss(self) -> Tensor:
        fake = self._seen(self.generator(self.z))
        d_real = self.critic(self._seen(self.real)) if self.loss.paired else None
        return self.loss.generator(self.critic(fake), d_real)

    def _critic_loss(self, due: Sequence[Penalty]) -> Tensor:
        real, fake = self._seen(self.real), self._seen(self.generator(self.z))
        total = self.loss.critic(self.critic(real), self.critic(fake))
        for penalty in due:
            total = total + penalty(self.critic, real, fake)
        return total


def dirac_gan(
    loss: Loss = adversarial.minimax,
    *,
    penalties: Sequence[Penalty] = (),
    perturbation: InstanceNoise | None = None,
    theta: float | Sequence[float] = 1.0,
    psi: float | Sequence[float] = 1.0,
    coupling: Tensor | None = None,
    spread: float = 0.0,
) -> Toy:
    """The Dirac-GAN: data at the origin, a generator that is one point, a linear critic.

    The equilibrium is ``theta = 0``, ``psi = 0``; training turns around it.

    Source: Mescheder et al. 2018 (1801.04406), definition 2.1.
    Departures: the critic's score is high for *real* samples, so ``psi`` has the opposite sign of the paper's; spectra
    are the same.

    Args:
        loss: One of ``tightrope.losses``.
        penalties: Critic penalties, ``(Penalty(penalties.r1, {"gamma": 1.0}),)``.
        perturbation: Instance noise; its expectation is exact for one-dimensional samples.
        theta: Where the generator starts, one number or ``n``.
        psi: Where the critic starts, one number or ``m``.
        coupling: ``P [m, n]``: the generator is the point ``P theta``; the game's Jacobian at the equilibrium is then
            ``[[0, -a P^T], [a P, -Q]]``.
        spread: Standard deviation of both distributions (one-dimensional samples); 0 for points.

    Raises:
        ValueError: Sizes that do not fit, or noise or spread in more than one dimension.

    Example:
        >>> from tightrope import dynamics, toys
        >>> toy = toys.dirac_gan(theta=0.0, psi=0.0)
        >>> dynamics.eigenvalues(toy.losses, toy.players).values  # imaginary: training turns and comes no closer
        tensor([0.+0.5000j, 0.-0.5000j], dtype=torch.complex128)
    """
    start, score = _vector(theta), _vector(psi)
    P = None if coupling is None else coupling.to(torch.float64)
    n, m = (score.numel(), score.numel()) if P is None else (P.shape[1], P.shape[0])
    if start.numel() != n or score.numel() != m:
        raise ValueError(
            f"Expected theta of {n} and psi of {m} numbers, got {start.numel()} and {score.numel()}; without a "
            "coupling both have one size, with P [m, n] theta has n and psi has m."
        )
    if m > 1 and (spread or perturbation is not None):
        raise ValueError(
            f"Exact expectations over noise need one-dimensional samples, got {m} dimensions; leave out spread and "
            "perturbation."
        )
    if loss.paired and perturbation is not None:
        raise ValueError(
            f"The {loss.name} loss meets two independent noises at once: expected a loss of one sample per term for an "
            "exact expectation; leave out perturbation."
        )
    nodes = equal_weight_normal() if spread else torch.zeros(1, m, dtype=torch.float64)
    return Toy(Point(start, P, spread), Linear(score), spread * nodes, nodes, loss, tuple(penalties), perturbation)


def gaussian_quadratic(
    loss: Loss = adversarial.minimax,
    *,
    penalties: Sequence[Penalty] = (),
    mean: float = 0.0,
    scale: float = 1.0,
    psi: Sequence[float] = (0.0, 0.0),
) -> Toy:
    """Standard normal data, an affine generator, a quadratic critic: the simplest game with absolutely continuous data.

    The equilibrium is ``mean 0, scale 1, psi 0``. Samples are six points with the moments of the normal distribution
    up to degree five, which makes the Jacobian at the equilibrium exact; elsewhere they are the data set.

    Source: an instance of Mescheder et al. 2018 (1801.04406), section 2.3 (Nagarajan and Kolter's case).

    Args:
        loss: One of ``tightrope.losses``.
        penalties: Critic penalties.
        mean: Where the generator's mean starts.
        scale: Where the generator's scale starts.
        psi: Where the critic's two coefficients start.
    """
    nodes = equal_weight_normal()
    return Toy(Affine(mean, scale), Quadratic(_vector(psi)), nodes, nodes.clone(), loss, tuple(penalties))


def parallel_lines(
    theta: float = 1.0,
    *,
    critic: nn.Module | None = None,
    loss: Loss = adversarial.wasserstein,
    penalties: Sequence[Penalty] = (),
    samples: int = 64,
) -> Toy:
    """Two parallel vertical segments at distance ``|theta|``: the distance that gradients can feel is Wasserstein's.

    Their Wasserstein-1 distance is ``|theta|``; their Jensen-Shannon divergence is ``log 2`` unless ``theta`` is 0.

    Source: Arjovsky et al. 2017 (1701.07875), example 1.

    Args:
        theta: Where the generator's line starts.
        critic: Maps ``[batch, 2]`` to scores; a linear one if None.
        loss: One of ``tightrope.losses``.
        penalties: Critic penalties.
        samples: Equally spaced points per line.
    """
    u = ((torch.arange(samples, dtype=torch.float64) + 0.5) / samples)[:, None]
    real = torch.cat((torch.zeros_like(u), u), dim=1)
    scorer = Linear(torch.zeros(2, dtype=torch.float64)) if critic is None else critic.double()
    return Toy(Line(theta), scorer, real, u, loss, tuple(penalties))


def _vector(values: float | Sequence[float]) -> Tensor:
    return torch.atleast_1d(torch.as_tensor(values, dtype=torch.float64))
