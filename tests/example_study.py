"""Descent on a bowl: with a rate of 0.5 it ends nearer than with 0.05. A study in its smallest form, for the tests."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tightrope.drawing.charts import Line, line_chart
from tightrope.studies.design import Cell, Claim, Contrast, DivergedError, Part, Row, Scale, cells, pairs, values
from tightrope.studies.findings import Finding, average, paired_ratio

FAST, SLOW = {"arm": "fast"}, {"arm": "slow"}
ARMS = Contrast(FAST, SLOW, differs=("arm", "rate"))


def _nearer(rows: Sequence[Row]) -> Finding:
    return paired_ratio(*pairs(rows, "distance", ARMS), "distance, fast over slow", below=0.5)


def _near(rows: Sequence[Row]) -> Finding:
    return average(values(rows, "distance", **FAST), "distance", below=0.1)


CLAIMS = (
    Claim(
        id="example-nearer",
        paper="0000.00000",
        place="section 1",
        sentence="A rate of 0.5 ends at less than half the distance of a rate of 0.05.",
        registered="2026-11-26",
        judge=_nearer,
        where=(FAST, SLOW),
        contrasts=(ARMS,),
    ),
    Claim(
        id="example-near",
        paper="0000.00000",
        place="section 1",
        sentence="A rate of 0.5 ends within 0.1 of the bottom on average.",
        registered="2026-11-26",
        judge=_near,
        where=(FAST,),
    ),
    Claim(
        id="example-elsewhere",
        paper="0000.00000",
        place="section 2",
        sentence="The same holds on a larger machine.",
        registered="2026-11-26",
        needs="a larger machine",
    ),
)


def _arms(steps: int) -> tuple[Cell, ...]:
    return cells(arm="fast", rate=0.5, steps=steps) + cells(arm="slow", rate=0.05, steps=steps)


GRID = {
    "smoke": (Part(_arms(5), seeds=(100,), seconds=0.01),),
    "cpu": (Part(_arms(20), seeds=tuple(range(100, 108)), seconds=0.01),),
    "paper": (Part(_arms(1000), seeds=tuple(range(100, 110)), seconds=0.1),),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """Descend from a random place, with noise."""
    if folder := os.environ.get("EXAMPLE_STUDY_PROCESSES"):
        (Path(folder) / str(os.getpid())).touch()
    time.sleep(float(os.environ.get("EXAMPLE_STUDY_SECONDS", "0")))
    rng = torch.Generator().manual_seed(seed)
    x = 3 + torch.randn(2, generator=rng, dtype=torch.float64)
    for _ in range(int(cell["steps"])):
        x = x - float(cell["rate"]) * (x + 0.01 * torch.randn(2, generator=rng, dtype=torch.float64))
    distance = float(x.norm())
    if not math.isfinite(distance):
        raise DivergedError("the distance is not finite")
    return {"distance": distance}


def figures(rows: Sequence[Row]) -> Mapping[str, str]:
    """Distance by seed."""
    import numpy as np

    lines = [
        Line(name, np.asarray([float(r.seed) for r in found]), np.asarray([r.values["distance"] for r in found]))
        for name in ("fast", "slow")
        if (found := [row for row in rows if row.cell["arm"] == name and row.status == "ok"])
    ]
    return {"Distance from the bottom": line_chart(lines, title="Distance", x_label="seed", log=True)} if lines else {}
