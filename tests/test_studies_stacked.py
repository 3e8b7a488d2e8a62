"""Studies that stack the seeds of a cell: every seed has what it has alone."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from scipy import stats

from tightrope.data.toy import MIXTURES, TOYS
from tightrope.studies import convergence, planar_trails, wgan_plane
from tightrope.studies.design import Cell, DivergedError

CELLS = {cell["method"]: cell for part in convergence.GRID["cpu"] for cell in part.cells if cell["data"] == "circle"}


def short(cell: Cell) -> Cell:
    return {**cell, "steps": 8, "checkpoints": 2, "width": 16}


@pytest.mark.parametrize("name", [name for name in CELLS if name != "gp5"])
def test_a_seed_has_in_the_stack_what_it_has_alone(name: str) -> None:
    cell = short(CELLS[name])
    together = convergence.run_stack(cell, (5, 3), "cpu")
    for seed, found in zip((5, 3), together, strict=True):
        alone = convergence.run_one(cell, seed, "cpu")
        assert found["slope"] == pytest.approx(alone["slope"], rel=1e-4)
        assert found["w1"] == pytest.approx(alone["w1"], rel=1e-4)
        assert found["trail"] == pytest.approx(alone["trail"], rel=1e-4)


def test_a_seed_that_diverges_is_counted_as_such() -> None:
    cell = {**short(CELLS["none"]), "rate": 1e30}
    assert all(isinstance(one, DivergedError) for one in convergence.run_stack(cell, (5, 3), "cpu"))


PLANE = [cell for part in wgan_plane.GRID["cpu"] for cell in part.cells]
CASES = [cell for cell in PLANE if cell["part"] in ("circle", "ring") and cell["arm"] in ("clip", "gp")]


@pytest.mark.parametrize("cell", CASES, ids=[f"{c['part']}-{c['arm']}-{c['critic']}-{c['beta']}" for c in CASES])
def test_the_trails_of_a_seed_are_its_own_in_any_stack(cell: Cell) -> None:
    small = short(cell) | {"steps": 4}
    together = wgan_plane.run_stack(small, (5, 3), "cpu")
    for seed, found in zip((5, 3), together, strict=True):
        alone = wgan_plane.run_one(small, seed, "cpu")
        for key in ("trail", "gaps", "estimates", "costs"):
            assert found[key] == pytest.approx(alone[key], rel=1e-3, abs=2e-6)
    assert together[0]["trail"] != together[1]["trail"]


def test_trails_that_diverge_are_counted_as_such() -> None:
    cell = {**short(next(cell for cell in PLANE if cell["part"] == "circle")), "rate": 1e30, "critic_rate": 1e30}
    assert all(isinstance(one, DivergedError) for one in wgan_plane.run_stack(cell, (5, 3), "cpu"))
    with pytest.raises(DivergedError):
        wgan_plane.run_one(cell, 5, "cpu")


def test_what_a_checkpoint_measures_is_what_closed_forms_say() -> None:
    """A critic that scores 3 x on the ring, a generator that puts everything on the first mode."""
    first = MIXTURES["ring"].means[0]
    run = SimpleNamespace(critic=lambda x: 3 * x[:, 0], generator=lambda z: first.repeat(len(z), 1))
    found = planar_trails._measured(run, "ring", 8, torch.Generator().manual_seed(1))
    real = TOYS["ring"](planar_trails.SAMPLES, torch.Generator().manual_seed(1)).double()
    scores, fooled = 3 * real[:, 0], 3 * float(first[0])
    assert found["gap"] == pytest.approx(float(scores.mean()) - fooled, rel=1e-4)
    log_d, log_not = float(scores.sigmoid().log().mean()), math.log(1 - 1 / (1 + math.exp(-fooled)))
    assert found["js"] == pytest.approx(math.log(2) + 0.5 * (log_d + log_not), rel=1e-4)
    assert found["cost"] == pytest.approx(-math.log(1 / (1 + math.exp(-fooled))), rel=1e-4)
    points = real[: planar_trails.POINTS]
    assert found["w1"] == pytest.approx(float((points - first).norm(dim=1).mean()), rel=1e-5)
    assert (found["modes"], found["shares"]) == (1, 1)


def test_a_generator_starts_beside_the_data_by_its_offset() -> None:
    cell = {**short(PLANE[3]), "steps": 1, "checkpoints": 1, "rate": 1e-9, "critic_rate": 1e-9}
    near, far = (wgan_plane.run_one({**cell, "offset": offset}, 5, "cpu")["trail"][0] for offset in (0.0, 30.0))
    assert far - near == pytest.approx(30, rel=0.05)


def test_a_slope_is_the_probability_s_for_a_gan_and_the_score_s_for_a_critic() -> None:
    x = -torch.tensor([[0.0, 0.0], [2.0, 5.0]])

    def critic(x: torch.Tensor) -> torch.Tensor:
        return 3 * x[:, 0] + 4 * x[:, 1]

    assert wgan_plane._slopes(critic, lambda scores: scores, x).tolist() == [5.0, 5.0]
    squashed = wgan_plane._slopes(critic, torch.sigmoid, x).tolist()
    assert squashed == pytest.approx([1.25, 5 * math.exp(-26)], rel=1e-5)


def test_ranks_are_scipy_s_and_nothing_follows_what_does_not_vary() -> None:
    x, y = [1.0, 5.0, 2.0, 9.0, 3.0], [2.0, 1.0, 4.0, 7.0, 3.0]
    assert wgan_plane._rank(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert wgan_plane._rank(x, [1.0] * 5) == 0.0 and wgan_plane._rank(x[:3], y[:3]) == 0.0
