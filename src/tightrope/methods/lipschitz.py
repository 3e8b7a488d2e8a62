"""Methods whose critic is Lipschitz by construction or projection: spectral normalisation and orthogonality."""

from __future__ import annotations

from functools import partial
from typing import Literal

from tightrope import constraints, losses
from tightrope.methods._hyperparameters import one_of, ramps
from tightrope.methods.method import Method
from tightrope.optimizer_settings import Optimizer


def sn_gan(
    *,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["hinge", "standard"] = "hinge",
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
        power_iterations: Per update of the singular vectors.
        update: When the singular vectors advance.
        generator_batch_factor: Samples in the generator's batch per sample in the critic's.
        learning_rate_final: Linear decay to this rate, over ``schedule_images``.
        schedule_images: Length of the decay in real images.
    """
    one_of("loss", loss, ("hinge", "standard"))
    (rate,) = ramps(schedule_images, (learning_rate, learning_rate_final), shape="linear")
    optimizer = Optimizer("adam", rate, betas)
    return Method(
        "sn_gan",
        losses.hinge if loss == "hinge" else losses.non_saturating,
        optimizer,
        optimizer,
        n_critic=n_critic,
        constrain=partial(constraints.spectral_norm, norm="kernel", steps=power_iterations, update=update),
        generator_batch_factor=generator_batch_factor,
    )
