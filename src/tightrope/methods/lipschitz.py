"""Methods whose critic is Lipschitz by construction or projection: spectral normalisation and orthogonality."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from tightrope import constraints, losses, penalties
from tightrope._plumbing.checks import check_choice, check_number, check_whole
from tightrope._plumbing.source import Source
from tightrope._plumbing.words import one_of
from tightrope.methods._hyperparameters import ramps, refuse_idle
from tightrope.methods.method import Constraint, Method, Projection
from tightrope.methods.play import Alternating, CriticSteps
from tightrope.optimizers.settings import Adam
from tightrope.penalties import Penalty


def sn_gan(
    *,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["hinge", "standard"] = "hinge",
    norm: Literal["kernel", "operator"] = "kernel",
    power_iterations: int = 1,
    update: Literal["optimizer_step", "forward"] = "optimizer_step",
    generator_batch_factor: int = 1,
    learning_rate_final: float | None = None,
    schedule_images: int | None = None,
) -> Method:
    """Spectral normalisation of every layer of the critic, with the hinge or the standard loss.

    Source: Miyato et al. 2018 (1802.05957), algorithm 1, setting C of table 1, eq. 16 and 17.
    Departures: the power iteration advances once per critic step; the authors' code advances at every forward
    (``update="forward"``). The ResNets of the paper use learning rate 2e-4, betas (0, 0.9), ``n_critic`` 5 and, in the
    code, twice the batch for the generator and a rate that falls linearly to 0.

    Args:
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step.
        loss: ``"hinge"``, or ``"standard"`` for the non-saturating logistic loss.
        norm: Which norm is brought to 1: the reshaped kernel's, as in the paper, or the layer's as a linear map.
        power_iterations: Per update of the singular vectors.
        update: When the singular vectors advance.
        generator_batch_factor: Samples in the generator's batch per sample in the critic's.
        learning_rate_final: Linear decay to this rate, over ``schedule_images``.
        schedule_images: Length of the decay in real images.
    """
    one_of("loss", loss, ("hinge", "standard"))
    one_of("norm", norm, ("kernel", "operator"))
    check_whole("power_iterations", power_iterations, 1, 1)
    check_choice("update", update, ("optimizer_step", "forward"))
    (rate,) = ramps(schedule_images, (learning_rate, learning_rate_final), shape="linear")
    optimizer = Adam(rate, betas)
    return Method(
        "sn_gan",
        losses.hinge if loss == "hinge" else losses.non_saturating,
        optimizer,
        optimizer,
        Alternating(n_critic, generator_batch_factor=generator_batch_factor),
        constraint=Constraint(
            partial(constraints.spectral_norm, norm=norm, steps=power_iterations, update=update),
            by_shape=norm == "operator",
        ),
        sources=(Source("1802.05957", "algorithm 1, setting C of table 1, eq. 16 and 17"),),
    )


def sn_wgan(
    *,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    n_critic: CriticSteps = 5,
    norm: Literal["kernel", "operator"] = "kernel",
    exact: bool = False,
    power_iterations: int = 1,
    update: Literal["optimizer_step", "forward"] = "optimizer_step",
    weight: float = 0.0,
    every: int = 1,
) -> Method:
    """Wasserstein GAN whose critic is spectrally normalised, alone or beside a gradient penalty.

    Source: Miyato et al. 2018 (1802.05957), appendix E and table 7: spectral normalisation under a Wasserstein loss,
    with WGAN-GP's optimiser (1704.00028).
    Departures: the paper keeps the penalty and a learned gain per layer; here the penalty is off by default
    (``weight=10`` switches it on) and there is no gain, so that the normalisation alone holds the critic.

    Args:
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step, ``"auto"`` for as many as still pay (``training.Pace``).
        norm: Which norm is brought to 1: the reshaped kernel's, as in the paper, or the layer's as a linear map.
        exact: Divide by the exact largest singular value instead of the power iteration's.
        power_iterations: Per update of the singular vectors.
        update: When the singular vectors advance.
        weight: Of an additional gradient penalty on interpolates; 0 for none.
        every: Apply that penalty lazily, every so many critic steps.
    """
    one_of("norm", norm, ("kernel", "operator"))
    check_whole("power_iterations", power_iterations, 1, 1)
    check_choice("update", update, ("optimizer_step", "forward"))
    refuse_idle(sn_wgan, {"every": every}, {"every": (weight != 0, "a weight of the penalty")})
    optimizer = Adam(learning_rate, betas)
    return Method(
        "sn_wgan",
        losses.wasserstein,
        optimizer,
        optimizer,
        Alternating(n_critic),
        penalties=(Penalty(penalties.gradient_penalty, {"weight": weight}, every=every),) if weight else (),
        constraint=Constraint(
            partial(constraints.spectral_norm, norm=norm, exact=exact, steps=power_iterations, update=update),
            by_shape=norm == "operator",
        ),
        sources=(Source("1802.05957", "appendix E and table 7"), Source("1704.00028", "its optimiser")),
    )


def orthogonal_wgan(
    *,
    way: Literal["hard", "soft", "svd"] = "hard",
    learning_rate: float = 5e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    n_critic: CriticSteps = 5,
    by: Literal["polar", "bjorck", "qr", "cayley"] = "polar",
    norm: Literal["kernel", "operator"] = "kernel",
    weight: float = 10.0,
    form: Literal["gram", "off_diagonal", "srip", "mutual_coherence"] = "gram",
    epsilon: float = 0.05,
    every: int = 1,
    projection: Literal["svd", "one_step"] = "svd",
) -> Method:
    """Wasserstein GAN whose critic has orthogonal weights, in one of three ways.

    ``hard``: orthogonal by construction at each use. ``soft``: a penalty that pulls there. ``svd``: the singular values
    are brought back to an interval around 1 after critic steps. An option that the chosen way does not read is refused.

    Source: Mueller et al. 2019 (1911.13060) names these three ways; formulas, coefficients and optimiser settings are
    our reading, as the text available to us does not give them.
    Departures: cannot be told apart from the reading. The optimiser is WGAN-GP's at five times its rate, which did
    better on digits and Fashion-MNIST (one seed, ``docs/orthogonal_wgan.md``). The critic asks for sorting activations,
    as without them an orthogonal critic misses about a third of the distance.
    Its layer normalisation is an option of the network, and off, because it has no Lipschitz bound.

    Args:
        way: ``"hard"``, ``"soft"`` or ``"svd"``.
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step, ``"auto"`` for as many as still pay (``training.Pace``).
        by: Orthogonaliser of the hard way.
        norm: Of the hard way: the reshaped kernel, or the convolution as a linear map.
        weight: Of the soft way's penalty; below about 1 a Wasserstein critic can run away.
        form: Measure of the soft way.
        epsilon: Half width of the interval of the svd way with ``projection="svd"``.
        every: Critic steps between the penalties of the soft way, or between the projections of the svd way.
        projection: Of the svd way: in full, or one cheap step from weights that start orthogonal.

    Raises:
        UserError: A choice is unknown, ``epsilon`` is out of range, or an option is given that the way does not read.
    """
    one_of("way", way, ("hard", "soft", "svd"))
    one_of("by", by, ("polar", "bjorck", "qr", "cayley"))
    one_of("norm", norm, ("kernel", "operator"))
    one_of("form", form, ("gram", "off_diagonal", "srip", "mutual_coherence"))
    one_of("projection", projection, ("svd", "one_step"))
    check_number("epsilon", epsilon, 0.05)
    given = {"by": by, "norm": norm, "weight": weight, "form": form, "epsilon": epsilon, "every": every}
    reads = dict.fromkeys(("by", "norm"), (way == "hard", "way 'hard'"))
    reads |= dict.fromkeys(("weight", "form"), (way == "soft", "way 'soft'"))
    reads |= {"projection": (way == "svd", "way 'svd'"), "every": (way != "hard", "way 'soft' or 'svd'")}
    reads |= {"epsilon": (way == projection == "svd", "way 'svd' and projection 'svd'")}
    refuse_idle(orthogonal_wgan, given | {"projection": projection}, reads)
    optimizer = Adam(learning_rate, betas)
    soft = Penalty(penalties.soft_orthogonality, {"weight": weight, "form": form}, every=every, per_sample=False)
    start = Constraint(partial(constraints.bound_singular_values_, epsilon=0.0))
    in_full = Projection(partial(constraints.bound_singular_values_, epsilon=epsilon), every)
    one_step = Projection(partial(constraints.bound_singular_values_, by="one_step"), every)
    hard = Constraint(partial(constraints.orthogonal, by=by, norm=norm), by_shape=norm == "operator")
    ways: dict[str, dict[str, Any]] = {
        "hard": {"constraint": hard},
        "soft": {"penalties": (soft,), "constraint": start},
        "svd": {"projection": in_full} if projection == "svd" else {"constraint": start, "projection": one_step},
    }
    return Method(
        "orthogonal_wgan",
        losses.wasserstein,
        optimizer,
        optimizer,
        Alternating(n_critic),
        critic_options={"activation": "groupsort"},
        sources=(Source("1911.13060", "the three ways by name; formulas and settings are our reading"),),
        **ways[way],
    )
