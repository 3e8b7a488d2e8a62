"""The Dirac-GAN under one method: spectra at the equilibrium, verdict, trajectory, field and sweeps."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import one_of
from tightrope.dynamics import Prediction, field_jacobian, gradient_field, predict
from tightrope.methods import METHODS, Method, build
from tightrope.optimizers import SIMULTANEOUS, Order, alternating
from tightrope.toys import PARAMETER, VARIANTS, Toy, dirac_gan, variant

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

SCHEMES: Final[tuple[tuple[Literal["alternating", "simultaneous"], int], ...]] = (
    ("simultaneous", 1),
    ("alternating", 1),
    ("alternating", 5),
)
"""The paper's orders of the players, with the critic steps per generator step."""

START: Final = (1.0, -1.0)
"""Where the authors start, ``psi`` with the opposite sign."""


@dataclass(frozen=True)
class DiracStudy:
    """What one method does at the Dirac-GAN's equilibrium and from where the authors start.

    Attributes:
        method: The method.
        hyperparameters: Those that were given.
        learning_rate: Of both players; None for the method's own rates.
        scheme: The order of the players, in words.
        order: The same, as ``optimizers.outer_step`` takes it.
        field: complex128 ``[2]`` eigenvalues of the gradient field at the equilibrium; None where it has no derivative.
        prediction: From the update's spectrum at the equilibrium; None where that has no derivative.
        kink: Why there is no derivative; empty otherwise.
        trajectory: ``[steps + 1, 2]`` positions ``(theta, psi)``, from (1, -1); cut where it leaves all bounds.
        steps: How long the trajectory was to be.
    """

    method: Method
    hyperparameters: dict[str, Any]
    learning_rate: float | None
    scheme: str
    order: Order
    field: Tensor | None
    prediction: Prediction | None
    kink: str
    trajectory: Tensor
    steps: int

    @property
    def name(self) -> str:
        """Of the method."""
        return self.method.name

    @property
    def radius(self) -> float:
        """Largest distance from the equilibrium over the last fifth of the trajectory."""
        tail = self.trajectory[-max(len(self.trajectory) // 5, 1) :]
        return float(torch.linalg.vector_norm(tail, dim=1).max())

    @property
    def outcome(self) -> Literal["left", "came nearer", "stayed away"]:
        """What the trajectory did: it ended further out than it began, at less than half that distance, or between."""
        began = float(torch.linalg.vector_norm(self.trajectory[0]))
        if len(self.trajectory) <= self.steps or not self.radius <= 1.02 * began:
            return "left"
        return "came nearer" if self.radius < began / 2 else "stayed away"

    @property
    def label(self) -> str:
        """The method with its hyperparameters, for titles."""
        given = self.hyperparameters.items()
        return ", ".join([self.name, *(f"{k} {v:g}" if isinstance(v, int | float) else f"{k} {v}" for k, v in given)])


def method_of(name: str, **hyperparameters: Any) -> Method:
    """A method by name: one of the paper's variants of the Dirac-GAN, otherwise one that trains images.

    Raises:
        UserError: Unknown name, or a hyperparameter that it does not read.
    """
    one_of("a method", name, dict.fromkeys((*VARIANTS, *METHODS)))
    return variant(name, **hyperparameters) if name in VARIANTS else build(name, **hyperparameters)


def study(
    name: str | Method,
    *,
    learning_rate: float | None = None,
    order: Literal["alternating", "simultaneous"] | None = None,
    n_critic: int | None = None,
    steps: int = 500,
    **hyperparameters: Any,
) -> DiracStudy:
    """Analyse the Dirac-GAN under one method: its real losses, its rule, its play.

    Source: Mescheder et al. 2018 (1801.04406), sections 2 and 3; settings of the authors' notebook (rate 0.2, start
    (1, 1) with ``psi`` of the opposite sign, 500 steps).
    Departures: instance noise is an exact expectation, theirs a Monte-Carlo mean; consensus optimisation is the true
    gradient, theirs halves one term.

    Args:
        name: Key in ``toys.VARIANTS``, whose methods take plain gradient steps at rate 0.2, alternating; or in
            ``methods.METHODS``; or a method.
        learning_rate: Of both players; the method's own if None.
        order: ``"alternating"``: critic first; or ``"simultaneous"``; the method's own if None (a variant's is
            alternating, whatever it corrects).
        n_critic: Critic steps per generator step, in alternating order.
        steps: Length of the trajectory.
        **hyperparameters: Of the method.

    Raises:
        UserError: Unknown name or hyperparameter, a rate that is not positive, or several critic steps in simultaneous
            order.
    """
    if isinstance(name, Method) and hyperparameters:
        raise UserError(
            f"Expected hyperparameters beside the name of a method, got {', '.join(hyperparameters)} beside a built "
            "one; build it with them."
        )
    method = name if isinstance(name, Method) else method_of(name, **hyperparameters)
    if learning_rate is not None:
        if not 0 < learning_rate < math.inf:
            raise UserError(f"Expected a positive learning rate, got {learning_rate}; the paper uses 0.2.")
        method = at_rate(method, learning_rate)
    plain = isinstance(name, str) and name in VARIANTS
    chosen = order or ("alternating" if plain or n_critic is not None or not method.simultaneous else "simultaneous")
    if chosen == "simultaneous" and n_critic not in (None, 1):
        raise UserError(
            f"Expected one critic step when both players move at once, got {n_critic}; use the alternating order."
        )
    count = method.n_critic if n_critic is None else n_critic
    return _study(method, hyperparameters, learning_rate, chosen, count, steps)


def published(*, learning_rate: float | None = None, steps: int = 500) -> list[DiracStudy]:
    """Every panel of the paper's Dirac figures: nine variants under three schemes, in that order."""
    return [
        study(name, learning_rate=learning_rate, order=order, n_critic=n_critic, steps=steps, **options)
        for name, options in PUBLISHED
        for order, n_critic in SCHEMES
    ]


def _study(
    method: Method,
    hyperparameters: dict[str, Any],
    rate: float | None,
    scheme: Literal["alternating", "simultaneous"],
    n_critic: int,
    steps: int,
) -> DiracStudy:
    order = SIMULTANEOUS if scheme == "simultaneous" else alternating(n_critic)
    words = scheme if scheme == "simultaneous" else f"{scheme}, {n_critic} critic step{'s' if n_critic != 1 else ''}"
    slow = method.play.lookahead
    words += "" if slow is None else f", lookahead every {slow.k}"
    still = dirac_gan(method, theta=0.0, psi=0.0)
    field: Tensor | None = None
    prediction: Prediction | None = None
    kink = ""
    try:
        _require_equilibrium(method)
        field = torch.linalg.eigvals(field_jacobian(still.losses, still.players))
        optimizers = still.optimizers()
        prediction = predict(still.step(optimizers, order=order), still.players, optimizers)
    except ValueError as error:
        kink = str(error)
    moving = dirac_gan(method, theta=START[0], psi=START[1])
    walked = walk(moving, order, steps)
    return DiracStudy(method, hyperparameters, rate, words, order, field, prediction, kink, walked, steps)


def _require_equilibrium(method: Method) -> None:
    """Raise where the method's constraint keeps the critic away from zero, which is where it ought to end."""
    toy = dirac_gan(method, theta=0.0, psi=1e-9)
    slope = float(toy.critic(torch.ones(1, 1, dtype=torch.float64)).detach())
    if abs(slope) > 1e-6:
        raise UserError(
            f"The constraint of {method.name} gives the critic a slope of {slope:.3g}, however small its weight: "
            "expected a critic that can be zero, so there is no equilibrium to analyse; look at the trajectory."
        )


def at_rate(method: Method, rate: float) -> Method:
    """The method with one learning rate for both players."""
    return replace(
        method,
        critic_optimizer=replace(method.critic_optimizer, learning_rate=rate),
        generator_optimizer=replace(method.generator_optimizer, learning_rate=rate),
    )


def walk(toy: Toy, order: Order, steps: int) -> Tensor:
    """Positions ``[at most steps + 1, 2]`` from where a game starts; cut where it leaves all bounds."""
    step, points = toy.step(toy.optimizers(), order=order), [_position(toy)]
    for _ in range(steps):
        try:
            step()
        except ValueError:  # the loss left the range of float64: the trajectory ends here
            break
        points.append(_position(toy))
        if not bool(torch.isfinite(points[-1]).all()) or float(points[-1].abs().max()) > 1e3:
            break
    return torch.stack(points)


def _position(toy: Toy) -> Tensor:
    return torch.cat([next(player.parameters()).detach().reshape(-1) for player in toy.players])


def field_grid(method: Method, *, reach: float = 2.0, count: int = 10) -> tuple[Tensor, Tensor]:
    """The gradient field on a square grid around the equilibrium: points and velocities, ``[count^2, 2]`` each.

    Clipping and other projections do not show in it; where the field is not finite it is zero.
    """
    places = torch.linspace(-reach, reach, count, dtype=torch.float64)
    points = torch.cartesian_prod(places, places)
    toy = dirac_gan(method)
    theta, psi = (next(player.parameters()) for player in toy.players)
    velocities = torch.zeros_like(points)
    for k, (t, p) in enumerate(points.tolist()):
        with torch.no_grad():
            theta.fill_(t), psi.fill_(p)
        try:
            velocities[k] = gradient_field(toy.losses, toy.players).detach()
        except ValueError:
            continue
    return points, velocities


def parameter_of(name: str) -> str:
    """The hyperparameter that a method is about, whose sweep is a path of eigenvalues; empty if there is none."""
    if name in PARAMETER:
        return PARAMETER[name]
    return "gamma" if name in METHODS and "gamma" in inspect.signature(METHODS[name]).parameters else ""


def sweep_weight(name: str, weights: Sequence[float], **hyperparameters: Any) -> Tensor:
    """Eigenvalues of the field at the equilibrium as a method's hyperparameter sweeps: complex128 ``[weights, 2]``.

    Raises:
        UserError: A method without such a hyperparameter.
            A kink at the equilibrium.
    """
    parameter = parameter_of(name)
    if not parameter:
        known = [key for key, value in PARAMETER.items() if value]
        raise UserError(
            f"Expected a method with a hyperparameter to sweep, such as {', '.join(known)}, got {name!r}; choose one."
        )
    rows = []
    for weight in weights:
        toy = dirac_gan(method_of(name, **(hyperparameters | {parameter: weight})), theta=0.0, psi=0.0)
        rows.append(torch.linalg.eigvals(field_jacobian(toy.losses, toy.players, check=False)))
    return torch.stack(rows)


def sweep_rate(method: Method, rates: Sequence[float], order: Order) -> Tensor:
    """Eigenvalues of one outer step at the equilibrium as the step size sweeps: complex128 ``[rates, numbers]``."""
    rows = []
    for rate in rates:
        toy = dirac_gan(at_rate(method, rate), theta=0.0, psi=0.0)
        optimizers = toy.optimizers()
        rows.append(predict(toy.step(optimizers, order=order), toy.players, optimizers).eigenvalues)
    return torch.stack(rows)
