"""A study rehearsed: every cell of a scale for a few steps on a few samples, before it is run for days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tightrope.studies.design import Cell, Row, Scale, Setting, canonical
from tightrope.studies.registry import Study
from tightrope.studies.runner import compute

SMALL: Final = {"steps": 4, "batch": 4, "checkpoints": 2, "n_critic": 1, "images": 100, "fakes": 100}


def rehearse(study: Study, scale: Scale) -> Iterator[Row]:
    """Run each cell once, shrunk; nothing is kept, and what it measures means nothing.

    Networks keep their widths and depths. Cells that become equal are run once.
    """
    done = set[str]()
    for _, cell, seed in study.runs(scale, 1):
        small = shrunk(cell)
        if (text := canonical(small)) not in done:
            done.add(text)
            yield from compute(study, small, [seed], scale)


def shrunk(cell: Cell) -> Cell:
    """A cell of few steps and samples, images (cells with ``pixels``) are the embedded digits, features untrained.

    Exact cells, which name no batch, stay.
    """
    if "batch" not in cell:
        return dict(cell)
    small = {key: min(int(cell[key]), value) for key, value in SMALL.items() if key in cell}
    plain: dict[str, Setting] = {"data": "digits", "pixels": 8} if "pixels" in cell else {}
    return {**cell, **small, **plain, **({"features": "random"} if "features" in cell else {})}
