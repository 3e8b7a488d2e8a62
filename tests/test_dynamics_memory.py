"""Optimiser memory where a second moment is zero: neutral for unused parameters, refused where a gradient wakes up."""

from __future__ import annotations

import pytest
import torch

from tightrope.dynamics import update_jacobian
from tightrope.optimizers import SIMULTANEOUS, extragradient_step, outer_step
from tightrope.optimizers.settings import Optimizer

F64 = torch.float64


def point(value):
    return torch.nn.Parameter(torch.tensor([value], dtype=F64))


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "extra_adam", "optimistic_adam"])
def test_unused_parameters_are_neutral_under_preconditioning(kind):
    """A Wasserstein critic's last bias has gradient zero and second moment zero: nothing happens along it."""
    x, y, unused = map(point, (1.0, -0.5, 0.3))
    game = (
        lambda: (x * y + 0.3 * x.square()).sum(),
        lambda: (0.2 * y.square() - x * y).sum() + (unused - unused.detach()).sum() * 0,
    )
    players = ([x], [y, unused])
    optimizers = [Optimizer(kind, 1e-3, None if kind == "rmsprop" else (0.5, 0.9)).build(p) for p in players]
    build = extragradient_step if kind.startswith("extra") else outer_step
    step = build(game, players, optimizers, SIMULTANEOUS)
    for _ in range(3):
        step()
    M = update_jacobian(step, players, optimizers)
    alone = update_jacobian(
        build((game[0], lambda: (0.2 * y.square() - x * y).sum()), ([x], [y]), optimizers, SIMULTANEOUS),
        players,
        optimizers,
    )
    assert torch.isfinite(M).all()
    column = torch.zeros(len(M), dtype=F64)
    column[2] = 1.0
    torch.testing.assert_close(M[:, 2], column)
    torch.testing.assert_close(M[:2, :2], alone[:2, :2])


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "optimistic_adam"])
def test_a_gradient_that_leaves_zero_is_refused(kind):
    """At an exact equilibrium the root of the second moment has a kink: no derivative, and no number."""
    x, y = map(point, (0.0, 0.0))
    players = ([x], [y])
    optimizers = [Optimizer(kind, 1e-3, None if kind == "rmsprop" else (0.5, 0.9)).build(p) for p in players]
    step = outer_step((lambda: (x * y).sum(), lambda: -(x * y).sum()), players, optimizers, SIMULTANEOUS)
    with pytest.raises(ValueError, match="second moment is zero"):
        update_jacobian(step, players, optimizers)
