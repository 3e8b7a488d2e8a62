"""Six systems by eight functions: each cell equals their own formula, or is one sentence; four sentences at most.

``python tests/test_systems.py`` writes the table to ``docs/results/systems.json``; with ``TIGHTROPE_SYSTEMS`` it writes
that of their own code instead (``systems/public.py``).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from systems import SYSTEMS
from systems.cells import COLUMNS, cell, central_differences
from systems.public import FOLDER, PUBLIC, commit

TABLE = Path(__file__).parents[1] / "docs" / "results" / "systems.json"
REFUSED = {
    ("HiFi-GAN", "dynamics"): "deterministic game",  # torch's spectral norm moves on with every forward
    ("BasicSR", "dynamics"): "deterministic game",
    ("VQGAN", "R1 / GP"): "batch normalisation in training mode",
}
"""Refused in training mode, each with a number in evaluation mode."""

EXACT = 1e-6
CELLS = [
    pytest.param(name, column, marks=[pytest.mark.slow] if column == "dynamics" else [])
    for name in SYSTEMS
    for column in COLUMNS
]


@pytest.mark.parametrize(("name", "column"), CELLS)
def test_a_cell_is_their_number_or_a_sentence(name: str, column: str) -> None:
    found = cell(column, SYSTEMS[name])
    assert found.error is not None and found.error <= EXACT, found
    assert REFUSED.get((name, column), "") in found.refusal, found
    assert bool(found.refusal) == ((name, column) in REFUSED), found


def test_at_most_four_cells_are_refused() -> None:
    assert len(REFUSED) <= 4


def test_upper_bounds_are_finite_for_all_six() -> None:
    for name, make in SYSTEMS.items():
        assert "inf" not in cell("interval", make).note, name


def test_the_committed_table_is_of_these_cells() -> None:
    if not TABLE.is_file():
        pytest.skip("needs the folder docs/, which a source distribution leaves out")
    told = json.loads(TABLE.read_text())
    for table in (told["cells"], told["public"]["cells"]):
        assert set(table) == set(SYSTEMS)
        for name, row in table.items():
            assert set(row) == set(COLUMNS)
            for column, found in row.items():
                assert found["error"] <= EXACT
                assert bool(found["refusal"]) == ((name, column) in REFUSED)


def test_a_jacobian_by_differences_is_not_fooled_by_a_kink_within_its_step() -> None:
    kink = 3.5e-7
    x = torch.tensor([0.5, 2.0], dtype=torch.float64)

    def field() -> torch.Tensor:
        bent = torch.where(x[0] - 0.5 + kink > 0, x[0] - 0.5 + kink, 0.2 * (x[0] - 0.5 + kink))
        slope = 1.0 if float(bent) > 0 else 0.2
        return torch.stack((-slope * x[1], bent))

    found = central_differences(field, [x])
    assert torch.allclose(found, torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64), atol=1e-6)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs checkouts of their code, named by TIGHTROPE_SYSTEMS")
@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "dynamics"])
@pytest.mark.parametrize("name", PUBLIC)
def test_a_cell_of_their_own_code(name: str, column: str) -> None:
    found = cell(column, PUBLIC[name])
    assert found.error is not None and found.error <= EXACT, found


def write() -> None:
    """Measure every cell of the miniatures, or of their own code where that is at hand, and write the table."""
    told = json.loads(TABLE.read_text()) if TABLE.is_file() else {}
    tables = PUBLIC if FOLDER.is_dir() else SYSTEMS
    cells: dict[str, dict[str, object]] = {name: {} for name in tables}
    for name, make in tables.items():
        for column in COLUMNS:
            cells[name][column] = vars(cell(column, make))
            print(name, column, cells[name][column], flush=True)
    found = {"command": "python tests/test_systems.py", "error": "relative to the oracle, float64", "cells": cells}
    if tables is PUBLIC:
        found["command"] = f"TIGHTROPE_SYSTEMS=FOLDER {found['command']}"
        told |= {"public": found | {"code": {name: commit(name) for name in PUBLIC}}}
    else:
        told |= found
    TABLE.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    write()
