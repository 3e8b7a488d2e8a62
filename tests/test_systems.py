"""Six systems by eight functions: each cell equals their own formula, or is one sentence; four sentences at most.

``python tests/test_systems.py`` writes the table to ``docs/results/systems.json``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from systems import SYSTEMS
from systems.cells import COLUMNS, cell

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
    table = json.loads(TABLE.read_text())["cells"]
    assert set(table) == set(SYSTEMS)
    for name, row in table.items():
        assert set(row) == set(COLUMNS)
        for column, found in row.items():
            assert found["error"] <= EXACT
            assert bool(found["refusal"]) == ((name, column) in REFUSED)


def write() -> None:
    """Measure every cell and write the table."""
    cells = {name: {column: vars(cell(column, make)) for column in COLUMNS} for name, make in SYSTEMS.items()}
    told = {"command": "python tests/test_systems.py", "error": "relative to the oracle, float64", "cells": cells}
    TABLE.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    write()
