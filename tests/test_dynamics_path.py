"""The path angle against fields whose angles are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tightrope import losses, toys
from tightrope.dynamics import path_angle

F64 = torch.float64


def point(*values):
    return nn.Parameter(torch.tensor(values, dtype=F64))


def test_attraction_is_a_change_of_sign_at_the_end():
    """Descent of a round bowl points at its centre: cosine 1 before it, -1 behind it, and length is distance."""
    x, y = point(3.0), point(4.0)
    game = (lambda: 0.5 * x.square().sum(), lambda: 0.5 * y.square().sum())
    start, end = torch.tensor([3.0, 4.0], dtype=F64), torch.zeros(2, dtype=F64)
    found = path_angle(game, ([x], [y]), start, end, points=16, beyond=0.5)
    assert found.positions.tolist() == pytest.approx([0.1 * k for k in range(16)])
    assert found.cosines.tolist() == pytest.approx([1.0] * 10 + [0.0] + [-1.0] * 5, abs=1e-6)
    assert found.norms.tolist() == pytest.approx([abs(5 - 0.5 * k) for k in range(16)], abs=1e-6)
    assert (x.item(), y.item()) == (3.0, 4.0) and x.grad is None


def test_rotation_is_a_bump_around_the_end():
    """The bilinear game turns: on a line that passes the centre at a distance the cosine is that of a circle's."""
    made = toys.dirac_gan(losses.wasserstein, theta=7.0, psi=-2.0)
    start, end = torch.tensor([-3.0, 1.0], dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    found = path_angle(made.losses, made.players, start, end, points=5, beyond=1.0)
    theta = -3 + 3 * found.positions
    # The generator's velocity is psi = 1 in this library's sign, the critic's is -theta.
    expected = [1 / math.hypot(1.0, t) for t in theta.tolist()]
    assert found.cosines.tolist() == pytest.approx(expected, rel=1e-6)
    assert found.norms.tolist() == pytest.approx([math.hypot(1.0, t) for t in theta.tolist()], rel=1e-6)
    assert [p.item() for player in made.players for p in player.parameters()] == [7.0, -2.0]


def test_games_that_draw_numbers_see_the_same_ones_everywhere():
    x, rng = point(1.0), torch.Generator().manual_seed(3)
    before = rng.get_state()

    def noisy():
        return (x * torch.randn(1, generator=rng, dtype=F64)).sum()

    found = path_angle(
        (noisy,), ([x],), torch.zeros(1, dtype=F64), torch.ones(1, dtype=F64), points=4, generators=[rng]
    )
    assert len(set(found.norms.tolist())) == 1 and float(found.norms[0]) > 0
    assert torch.equal(rng.get_state(), before)


def test_points_that_do_not_make_a_line_are_refused():
    x = point(1.0, 2.0)
    game, players, here = (lambda: x.square().sum(),), ([x],), torch.zeros(2, dtype=F64)
    with pytest.raises(ValueError, match="two different points"):
        path_angle(game, players, here, here)
    with pytest.raises(ValueError, match="2 parameters, got \\(3,\\)"):
        path_angle(game, players, torch.zeros(3, dtype=F64), here)
    with pytest.raises(ValueError, match="finite"):
        path_angle((lambda: x.log().sum(),), players, here - 1, here + 1, points=3)
    assert x.tolist() == [1.0, 2.0]
