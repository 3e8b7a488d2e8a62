"""Methods with Jacobian clamping: a baseline method whose generator's gain is held between two bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.source import Source
from tightrope._plumbing.words import one_of
from tightrope.methods.baseline import dcgan
from tightrope.methods.method import Method
from tightrope.methods.play import CriticSteps
from tightrope.methods.wasserstein import wgan_gp
from tightrope.penalties import Penalty, jacobian_clamping

Units = Literal["auto", "absolute", "data"]

PUBLISHED = (1.0, 20.0)
"""Bounds of the gain in sample units per latent unit, for images in [-1, 1]."""

RELATIVE = (0.4, 4.0)
"""Bounds in units of the data's own scale, ``conditioning.reference_gain``."""


def dcgan_clamped(
    *,
    low: float | None = None,
    high: float | None = None,
    epsilon: float = 1.0,
    units: Units = "auto",
    reference_gain: float | None = None,
    clamping_weight: float = 1.0,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
) -> Method:
    """The unregularised GAN with Jacobian clamping of the generator.

    Source: Odena et al. 2018 (1802.08768), algorithm 1, bounds 1 and 20, radius 1, weight 1, on the GAN of Radford et
    al. 2016 (1511.06434).
    Departures: the mean over the batch, see ``conditioning.jacobian_clamping``. For data other than images the bounds
    are 0.4 and 4 times the data's own scale, which the command measures.

    Args:
        low: Gain below which the generator pays; 1, or 0.4 in units of the data.
        high: Gain above which it pays; 20, or 4 in units of the data.
        epsilon: Radius of the latent perturbation.
        units: Of the bounds: ``"absolute"``, ``"data"``, or ``"auto"``: absolute for images, otherwise data.
        reference_gain: The data's scale; the command measures it where it is needed.
        clamping_weight: Of the clamping penalty.
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    plain = dcgan(learning_rate=learning_rate, betas=betas, n_critic=n_critic, loss=loss)
    penalty = _clamping(low, high, epsilon, units, reference_gain, clamping_weight)
    sources = (Source("1802.08768", "algorithm 1, bounds 1 and 20, radius 1, weight 1"), *plain.sources)
    return replace(plain, name="dcgan_clamped", generator_penalties=(penalty,), sources=sources)


def wgan_gp_clamped(
    *,
    low: float | None = None,
    high: float | None = None,
    epsilon: float = 1.0,
    units: Units = "auto",
    reference_gain: float | None = None,
    clamping_weight: float = 1.0,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    weight: float = 10.0,
    target: float = 1.0,
    one_sided: bool = False,
    n_critic: CriticSteps = 1,
    every: int = 1,
) -> Method:
    """WGAN-GP with Jacobian clamping of the generator and one critic step instead of five.

    Source: Odena et al. 2018 (1802.08768), algorithm 1 and its experiment with fewer critic steps, on WGAN-GP
    (1704.00028). That one step is the number there is from memory, not from the text.
    Departures: as for ``dcgan_clamped``.

    Args:
        low: Gain below which the generator pays; 1, or 0.4 in units of the data.
        high: Gain above which it pays; 20, or 4 in units of the data.
        epsilon: Radius of the latent perturbation.
        units: Of the bounds: ``"absolute"``, ``"data"``, or ``"auto"``: absolute for images, otherwise data.
        reference_gain: The data's scale; the command measures it where it is needed.
        clamping_weight: Of the clamping penalty.
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        weight: Of the critic's gradient penalty (lambda).
        target: Gradient norm aimed at.
        one_sided: Punish only larger norms (WGAN-LP).
        n_critic: Critic steps per generator step, ``"auto"`` for as many as still pay (``training.Pace``).
        every: Apply the gradient penalty lazily, every so many critic steps.
    """
    plain = wgan_gp(
        learning_rate=learning_rate,
        betas=betas,
        weight=weight,
        target=target,
        one_sided=one_sided,
        n_critic=n_critic,
        every=every,
    )
    penalty = _clamping(low, high, epsilon, units, reference_gain, clamping_weight)
    sources = (Source("1802.08768", "algorithm 1 and its experiment with fewer critic steps"), *plain.sources)
    return replace(plain, name="wgan_gp_clamped", generator_penalties=(penalty,), sources=sources)


def _clamping(
    low: float | None, high: float | None, epsilon: float, units: Units, reference_gain: float | None, weight: float
) -> Penalty:
    one_of("units", units, ("auto", "absolute", "data"))
    if units == "data" and reference_gain is None:
        raise UserError(
            "Bounds in units of the data need its scale: expected reference_gain, got none; compute it with "
            "conditioning.reference_gain(samples, latent=...) or choose units='absolute'."
        )
    relative = units == "data" or (units == "auto" and reference_gain is not None)
    scale = float(reference_gain) if relative and reference_gain is not None else 1.0
    bounds = RELATIVE if relative else PUBLISHED
    least = (bounds[0] if low is None else low) * scale
    most = (bounds[1] if high is None else high) * scale
    if not 0 <= least <= most or epsilon <= 0:
        raise UserError(
            f"Expected bounds 0 <= low <= high and epsilon > 0, got low {least:g}, high {most:g} and epsilon "
            f"{epsilon:g}; the published values are 1, 20 and 1."
        )
    values = {"low": least, "high": most, "epsilon": epsilon, "weight": weight}
    return Penalty(jacobian_clamping, values, player="generator")
