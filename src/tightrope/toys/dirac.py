r"""Games small enough to be understood completely, built from the parts that train images.

The Dirac-GAN and its relatives are ordinary modules in float64; what each player minimises is what a Method asks of it
in training, and everything about them is found by differentiating, nothing is derived by hand.

==================== ============================ ======================= ==============================
function             generator                    critic                  data
==================== ============================ ======================= ==============================
``dirac_gan``        a point ``P theta``          ``psi . x``             the origin, or a normal cloud
``gaussian_quadratic`` ``mu + sigma z``           ``psi_1 x + psi_2 x^2`` standard normal
``parallel_lines``   ``(theta, z)``               any                     ``(0, u)``, ``u`` uniform
==================== ============================ ======================= ==============================
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tightrope import losses as adversarial
from tightrope._plumbing.checks import check_number, check_whole, short
from tightrope._plumbing.errors import UserError
from tightrope.dynamics.quadrature import equal_weight_normal
from tightrope.losses import Loss
from tightrope.methods import Method
from tightrope.penalties import Penalty
from tightrope.perturbations import InstanceNoise
from tightrope.toys.toy import Toy, method_of, toy


class Point(nn.Module):
    """The generator ``G(z) = P theta + spread z``: a point, or a cloud that moves rigidly.

    Args:
        theta: Start ``[n]``.
        coupling: ``P [m, n]``, fixed; the identity if None.
        spread: Factor of the latents ``[batch, m]``; 0 ignores them.

    Raises:
        UserError: The coupling does not fit the start.
    """

    coupling: Tensor | None

    def __init__(self, theta: Tensor, coupling: Tensor | None = None, spread: float = 0.0) -> None:
        super().__init__()
        self.theta = nn.Parameter(_start("theta", theta).clone())
        if coupling is not None and (coupling.dim() != 2 or coupling.shape[1] != len(theta)):
            raise UserError(
                f"Expected a coupling [m, {len(theta)}] of a start [{len(theta)}], got {list(coupling.shape)}; make "
                "them fit."
            )
        self.register_buffer("coupling", coupling)
        check_number("spread", spread, 0)
        self.spread = spread

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[batch, m]`` to samples ``[batch, m]``."""
        point = self.theta if self.coupling is None else self.coupling @ self.theta
        return point + self.spread * z if self.spread else point.expand(z.shape[0], -1)


class Linear(nn.Linear):
    """The critic ``D(x) = psi . x`` without bias, a layer that constraints find; ``psi [m]`` is where it starts."""

    def __init__(self, psi: Tensor) -> None:
        super().__init__(_start("psi", psi).numel(), 1, bias=False, dtype=torch.float64)
        self.weight = nn.Parameter(psi.clone()[None])

    @property
    def psi(self) -> Tensor:
        """The slope, the layer's weight ``[1, m]``."""
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Map samples ``[batch, m]`` to scores ``[batch]``."""
        return x @ self.weight[0]


class Affine(nn.Module):
    """The generator ``G(z) = mu + sigma z`` of one-dimensional latents and samples."""

    def __init__(self, mean: float, scale: float) -> None:
        super().__init__()
        self.mean = nn.Parameter(_start("mean", _vector(mean), 1))
        self.scale = nn.Parameter(_start("scale", _vector(scale), 1))

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[batch, 1]`` to samples ``[batch, 1]``."""
        return self.mean + self.scale * z


class Quadratic(nn.Module):
    """The critic ``D(x) = psi_1 x + psi_2 x^2`` of one-dimensional samples; starts at ``psi [2]``."""

    def __init__(self, psi: Tensor) -> None:
        super().__init__()
        self.psi = nn.Parameter(_start("psi", psi, 2).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map samples ``[batch, 1]`` to scores ``[batch]``."""
        return torch.cat((x, x.square()), dim=1) @ self.psi


class Line(nn.Module):
    """The generator ``G(z) = (theta, z)``: a vertical line at ``theta``."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(_start("theta", _vector(theta), 1))

    def forward(self, z: Tensor) -> Tensor:
        """Map latents ``[batch, 1]`` to samples ``[batch, 2]``."""
        return torch.cat((self.theta.expand(z.shape[0], 1), z), dim=1)


def dirac_gan(
    method: Method | Loss = adversarial.minimax,
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
        method: Any method, ``methods.build("r1", gamma=1.0)``; its constraint is put on the critic. Or one of
            ``tightrope.losses``, which stands for :func:`under` with the two arguments that follow.
        penalties: Critic penalties beside a loss.
        perturbation: Instance noise beside a loss; its expectation is exact for one-dimensional samples.
        theta: Where the generator starts, one number or ``n``.
        psi: Where the critic starts, one number or ``m``.
        coupling: ``P [m, n]``: the generator is the point ``P theta``; the game's Jacobian at the equilibrium is then
            ``[[0, -a P^T], [a P, -Q]]``.
        spread: Standard deviation of both distributions (one-dimensional samples); 0 for points.

    Raises:
        UserError: Penalties or a perturbation beside a whole method, sizes that do not fit, or noise or spread in more
            than one dimension.

    Example:
        >>> from tightrope import methods, toys
        >>> from tightrope.dynamics import field_jacobian
        >>> game = toys.dirac_gan(methods.build("r1", gamma=1.0), theta=0.0, psi=0.0)
        >>> field_jacobian(game.losses, game.players)  # [[0, a], [-a, -gamma]] with a = 1/2
        tensor([[ 0.0000,  0.5000],
                [-0.5000, -1.0000]], dtype=torch.float64)
    """
    method = method_of(method, penalties, perturbation)
    start, score = _start("theta", _vector(theta)), _start("psi", _vector(psi))
    if coupling is not None and coupling.dim() != 2:
        raise UserError(f"Expected a coupling [m, n], got shape {list(coupling.shape)}; give it two axes.")
    P = None if coupling is None else coupling.to(torch.float64)
    n, m = (score.numel(), score.numel()) if P is None else (P.shape[1], P.shape[0])
    if start.numel() != n or score.numel() != m:
        raise UserError(
            f"Expected theta of {n} and psi of {m} numbers, got {start.numel()} and {score.numel()}; without a "
            "coupling both have one size, with P [m, n] theta has n and psi has m."
        )
    if m > 1 and (spread or method.perturbation is not None):
        raise UserError(
            f"Exact expectations over noise need one-dimensional samples, got {m} dimensions; leave out spread and "
            "perturbation."
        )
    if method.loss.paired and method.perturbation is not None:
        raise UserError(
            f"The {method.loss.name} loss meets two independent noises at once: expected a loss of one sample per term "
            "for an exact expectation; leave out perturbation."
        )
    nodes = equal_weight_normal() if spread else torch.zeros(1, m, dtype=torch.float64)
    return toy(Point(start, P, spread), Linear(score), spread * nodes, nodes, method)


def gaussian_quadratic(
    method: Method | Loss = adversarial.minimax,
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
        method: Any method, or one of ``tightrope.losses``, see :func:`dirac_gan`.
        penalties: Critic penalties beside a loss.
        mean: Where the generator's mean starts.
        scale: Where the generator's scale starts.
        psi: Where the critic's two coefficients start.
    """
    nodes = equal_weight_normal()
    return toy(Affine(mean, scale), Quadratic(_vector(psi)), nodes, nodes.clone(), method_of(method, penalties))


def parallel_lines(
    theta: float = 1.0,
    *,
    critic: nn.Module | None = None,
    method: Method | Loss = adversarial.wasserstein,
    penalties: Sequence[Penalty] = (),
    samples: int = 64,
) -> Toy:
    """Two parallel vertical segments at distance ``|theta|``: the distance that gradients can feel is Wasserstein's.

    Their Wasserstein-1 distance is ``|theta|``; their Jensen-Shannon divergence is ``log 2`` unless ``theta`` is 0.

    Source: Arjovsky et al. 2017 (1701.07875), example 1.

    Args:
        theta: Where the generator's line starts.
        critic: Maps ``[batch, 2]`` to scores; a linear one if None.
        method: Any method, or one of ``tightrope.losses``, see :func:`dirac_gan`.
        penalties: Critic penalties beside a loss.
        samples: Equally spaced points per line.
    """
    check_whole("samples", samples, 1, 64)
    u = ((torch.arange(samples, dtype=torch.float64) + 0.5) / samples)[:, None]
    real = torch.cat((torch.zeros_like(u), u), dim=1)
    scorer = Linear(torch.zeros(2, dtype=torch.float64)) if critic is None else critic.double()
    return toy(Line(theta), scorer, real, u, method_of(method, penalties))


def _start(name: str, values: Tensor, size: int | None = None) -> Tensor:
    """Where a player starts, one axis of finite real numbers, ``size`` of them if that is known.

    Raises:
        UserError: It is not.
    """
    fits = values.dim() == 1 and values.numel() > 0 and values.numel() == (size or values.numel())
    if not fits or not values.is_floating_point() or values.is_meta or not bool(torch.isfinite(values).all()):
        raise UserError(
            f"Expected {name} as {size or 'one or more'} finite numbers in floating point, got {short(values)}; 0 and "
            "1 are common starts."
        )
    return values


def _vector(values: float | Sequence[float]) -> Tensor:
    return torch.atleast_1d(torch.as_tensor(values, dtype=torch.float64))
