"""Studies that stack the seeds of a cell: every seed has what it has alone."""

from __future__ import annotations

import pytest

from tightrope.studies import convergence
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
