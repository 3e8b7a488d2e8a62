"""One Dirac-GAN variant under one update rule: spectra at the equilibrium, verdict, trajectory, field and sweeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.dynamics import Prediction, field_jacobian, gradient_field, predict
from tightrope.optimizers import SIMULTANEOUS, Order, Step, alternating, outer_step
from tightrope.toys.variants import PARAMETER, Variant, dirac_variant

PUBLISHED: Final[tuple[tuple[str, dict[str, float]], ...]] = (
    ("gan", {}),
    ("nsgan", {}),
    ("wgan", {"bound": 1.0}),
    ("wgan_gp", {"gamma": 0.7, "target": 1.0}),
    ("instance_noise", {"sigma": 0.7}),
    ("r1", {"gamma": 0.3}),
    ("r1", {"gamma": 1.0}),
    ("consensus", {"gamma": 1.0}),
    ("nsgan_r1", {"gamma": 0.3}),
)
"""The paper's panels with the settings of its authors' notebook: name and hyperparameters."""

SCHEMES: Final[tuple[tuple[str, Order], ...]] = (
    ("simultaneous", SIMULTANEOUS),
    ("alternating, 1 critic step", alternating(1)),
    ("alternating, 5 critic steps", alternating(5)),
)


@dataclass(frozen=True)
class DiracStudy:
    """What one variant does at its equilibrium and from where the authors start.

    Attributes:
        name: Of the variant.
        hyperparameters: Those it was built with.
        learning_rate: Of both players.
        scheme: The order of the players, in words.
        field: complex128 ``[2]`` eigenvalues of the gradient field at the equilibrium; None where it has no derivative.
        prediction: From the update's spectrum at the equilibrium; None where ``field`` is.
        kink: Why there is no derivative; empty otherwise.
        trajectory: ``[steps + 1, 2]`` positions ``(theta, psi)``, from (1, -1); cut where it leaves all bounds.
    """

    name: str
    hyperparameters: dict[str, float]
    learning_rate: float
    scheme: str
    field: Tensor | None
    prediction: Prediction | None
    kink: str
    trajectory: Tensor

    @property
    def radius(self) -> float:
        """Largest distance from the equilibrium over the last fifth of the trajectory."""
        tail = self.trajectory[-max(len(self.trajectory) // 5, 1) :]
        return float(torch.linalg.vector_norm(tail, dim=1).max())

    @property
    def label(self) -> str:
        """The variant with its hyperparameters, for titles."""
        return ", ".join([self.name, *(f"{key} {value:g}" for key, value in self.hyperparameters.items())])


def study(
    name: str,
    *,
    learning_rate: float = 0.2,
    order: Literal["alternating", "simultaneous"] = "alternating",
    n_critic: int = 1,
    steps: int = 500,
    **hyperparameters: float,
) -> DiracStudy:
    """Analyse one variant of the Dirac-GAN under plain gradient steps of its real losses.

    Source: Mescheder et al. 2018 (1801.04406), sections 2 and 3; settings of the authors' notebook (rate 0.2, start
    (1, 1) with ``psi`` of the opposite sign, 500 steps).
    Departures: instance noise is an exact expectation, theirs a Monte-Carlo mean; consensus optimisation is the true
    gradient, theirs halves one term.

    Args:
        name: Key in ``toys.PARAMETER``.
        learning_rate: Of both players.
        order: ``"alternating"``: critic first; or ``"simultaneous"``.
        n_critic: Critic steps per generator step, in alternating order.
        steps: Length of the trajectory.
        **hyperparameters: Of :func:`~tightrope.toys.dirac_variant`: ``gamma``, ``sigma``, ``bound``, ``target``.

    Raises:
        UserError: Unknown variant, a rate that is not positive, or several critic steps in simultaneous order.
    """
    if not 0 < learning_rate < math.inf:
        raise UserError(f"Expected a positive learning rate, got {learning_rate}; the paper uses 0.2.")
    if order == "simultaneous" and n_critic != 1:
        raise UserError(
            f"Expected one critic step when both players move at once, got {n_critic}; use the alternating order."
        )
    chosen = SIMULTANEOUS if order == "simultaneous" else alternating(n_critic)
    words = order if order == "simultaneous" else f"{order}, {n_critic} critic step{'s' if n_critic != 1 else ''}"
    return _study(name, hyperparameters, learning_rate, chosen, words, steps)


def published(*, learning_rate: float = 0.2, steps: int = 500) -> list[DiracStudy]:
    """Every panel of the paper's Dirac figures: nine variants under three schemes, in that order."""
    return [
        _study(name, options, learning_rate, order, words, steps)
        for name, options in PUBLISHED
        for words, order in SCHEMES
    ]


def _study(
    name: str, hyperparameters: dict[str, float], rate: float, order: Order, scheme: str, steps: int
) -> DiracStudy:
    still = dirac_variant(name, theta=0.0, psi=0.0, **hyperparameters)
    field: Tensor | None = None
    prediction: Prediction | None = None
    kink = ""
    try:
        field = torch.linalg.eigvals(field_jacobian(still.losses, still.toy.players))
    except ValueError as error:
        kink = str(error)
    if field is not None:
        step, optimizers = _step(still, rate, order)
        prediction = predict(step, still.toy.players, optimizers)
    moving = dirac_variant(name, theta=1.0, psi=-1.0, **hyperparameters)
    walked = _walk(_step(moving, rate, order)[0], moving, steps)
    return DiracStudy(name, hyperparameters, rate, scheme, field, prediction, kink, walked)


def _step(variant: Variant, rate: float, order: Order) -> tuple[Step, list[torch.optim.Optimizer]]:
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.SGD(player.parameters(), lr=rate) for player in variant.toy.players
    ]
    return outer_step(variant.losses, variant.toy.players, optimizers, order, project=variant.project), optimizers


def _walk(step: Callable[[], object], variant: Variant, steps: int) -> Tensor:
    points = [_position(variant)]
    for _ in range(steps):
        try:
            step()
        except ValueError:  # the loss left the range of float64: the trajectory ends here
            break
        points.append(_position(variant))
        if not bool(torch.isfinite(points[-1]).all()) or float(points[-1].abs().max()) > 1e3:
            break
    return torch.stack(points)


def _position(variant: Variant) -> Tensor:
    return torch.cat([next(player.parameters()).detach().reshape(-1) for player in variant.toy.players])


def field_grid(
    name: str, hyperparameters: Mapping[str, float], *, reach: float = 2.0, count: int = 10
) -> tuple[Tensor, Tensor]:
    """The gradient field on a square grid around the equilibrium: points and velocities, ``[count^2, 2]`` each.

    Clipping and other projections do not show in it; where the field is not finite it is zero.
    """
    places = torch.linspace(-reach, reach, count, dtype=torch.float64)
    points = torch.cartesian_prod(places, places)
    variant = dirac_variant(name, **hyperparameters)
    theta, psi = (next(player.parameters()) for player in variant.toy.players)
    velocities = torch.zeros_like(points)
    for k, (t, p) in enumerate(points.tolist()):
        with torch.no_grad():
            theta.fill_(t), psi.fill_(p)
        try:
            velocities[k] = gradient_field(variant.losses, variant.toy.players).detach()
        except ValueError:
            continue
    return points, velocities


def sweep_weight(name: str, weights: Sequence[float], **hyperparameters: float) -> Tensor:
    """Eigenvalues of the field at the equilibrium as a variant's hyperparameter sweeps: complex128 ``[weights, 2]``.

    Raises:
        UserError: A variant without a hyperparameter, or with a kink at the equilibrium.
    """
    parameter = PARAMETER.get(name, "")
    if not parameter:
        known = [key for key, value in PARAMETER.items() if value]
        raise UserError(f"Expected a variant with a hyperparameter out of {', '.join(known)}, got {name!r}.")
    rows = []
    for weight in weights:
        variant = dirac_variant(name, theta=0.0, psi=0.0, **(hyperparameters | {parameter: weight}))
        rows.append(torch.linalg.eigvals(field_jacobian(variant.losses, variant.toy.players, check=False)))
    return torch.stack(rows)


def sweep_rate(name: str, rates: Sequence[float], order: Order, **hyperparameters: float) -> Tensor:
    """Eigenvalues of one outer step at the equilibrium as the step size sweeps: complex128 ``[rates, 2]``."""
    variant = dirac_variant(name, theta=0.0, psi=0.0, **hyperparameters)
    rows = []
    for rate in rates:
        step, optimizers = _step(variant, rate, order)
        values = predict(step, variant.toy.players, optimizers).eigenvalues
        rows.append(values)
    return torch.stack(rows)
