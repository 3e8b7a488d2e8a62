"""What a study is made of: claims, a grid of cells and seeds, rows, contrasts between arms.

A study is one module that holds ``CLAIMS``, ``GRID``, ``run_one(cell, seed, scale)`` and ``figures(rows)``; see
``docs/howto/add_a_study.md``. A *cell* is every setting of a run but its seed, as plain values, so that what two arms
differ in can be read off their cells. A *row* is what one run measured.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tightrope._plumbing.errors import UserError
from tightrope.drawing.charts import Chart
from tightrope.drawing.planes import Panels
from tightrope.studies.findings import Finding

Scale = Literal["smoke", "cpu", "paper"]
SCALES: Final[tuple[Scale, ...]] = ("smoke", "cpu", "paper")
Setting = str | int | float | bool
Cell = dict[str, Setting]
Picture = Chart | Panels | str
"""A figure of a study: what pages and papers can both draw, or a part of a page as text."""
Certainty = Literal["paper", "code", "derived", "quoted", "pilot", "memory", "none"]
"""Where the paper's number comes from: its text, its authors' code, a derivation, a text that quotes it, a pilot of
ours (the paper has none), memory alone, or there is no number."""


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        cell: Its settings.
        seed: Of weights, data order and latents; arms of one contrast share it.
        status: ``"ok"``, ``"diverged"`` (a result) or ``"crashed"`` (none).
        values: What it measured: numbers, or lists of them.
        note: Why it diverged or crashed.
        cpu_seconds: Processor time.
        code: Version of the study's own code that ran.
        library: Version of the library beneath it.
    """

    cell: Cell
    seed: int
    status: Literal["ok", "diverged", "crashed"] = "ok"
    values: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    cpu_seconds: float = 0.0
    code: str = ""
    library: str = ""


@dataclass(frozen=True)
class Part:
    """Cells that share their seeds.

    Attributes:
        cells: Of :func:`cells`.
        seeds: Fresh ones, never those of a pilot; ``--seeds N`` goes on counting from the first.
        fixed: Nothing in a run is random: one seed is all there is, whatever ``--seeds`` asks for.
        seconds: Processor seconds of a run, roughly, for the estimate before the start.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    fixed: bool = False
    seconds: float = 1.0

    def with_seeds(self, count: int | None) -> tuple[int, ...]:
        """The seeds, or ``count`` of them from the first on."""
        if count is None or self.fixed:
            return self.seeds
        return tuple(range(self.seeds[0], self.seeds[0] + count))


Grid = Mapping[Scale, Sequence[Part]]


def cells(**settings: Setting | Sequence[Setting]) -> tuple[Cell, ...]:
    """Every combination of settings; a list or tuple varies, anything else is the same in all.

    Example:
        >>> from tightrope.studies.design import cells
        >>> cells(method=["r1", "none"], steps=100)
        ({'method': 'r1', 'steps': 100}, {'method': 'none', 'steps': 100})
    """
    lists = [[value] if isinstance(value, str) or not isinstance(value, Sequence) else value for value in
             settings.values()]  # fmt: skip
    return tuple(dict(zip(settings, chosen, strict=True)) for chosen in itertools.product(*lists))


def matches(cell: Mapping[str, Setting], where: Mapping[str, Setting]) -> bool:
    """Whether a cell has the given settings."""
    return all(key in cell and cell[key] == value for key, value in where.items())


def canonical(cell: Mapping[str, Setting]) -> str:
    """A cell as JSON whose keys are sorted: equal cells, equal texts."""
    return json.dumps(dict(cell), sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Contrast:
    """Two arms that are compared, and the one thing they may differ in.

    Attributes:
        treated: Settings that pick the arm of the claim.
        control: Settings that pick the other.
        differs: All settings in which the two may differ; a study where they differ in more does not load.
        budget: What is equal: generator steps, or processor time (``steps`` times the cell's ``cost``, within 5 %).
        alone: Why the other budget is not registered, if it is not.
    """

    treated: Mapping[str, Setting]
    control: Mapping[str, Setting]
    differs: tuple[str, ...]
    budget: Literal["steps", "time"] = "steps"
    alone: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that may fail, with how it is judged, written down before the runs.

    Attributes:
        id: Unique over all studies, such as ``convergence-circle-r1``.
        paper: Number on arXiv.
        place: Section, figure or table.
        sentence: The claim, with the threshold that decides.
        registered: Date (``YYYY-MM-DD``) on which the sentence and ``judge`` were committed, before the runs.
        judge: Computes the finding from the rows of the claim's ``cells``; of :mod:`tightrope.studies.findings`. None
            where no study of it exists: then ``needs`` says what it would take.
        where: Settings that pick the claim's rows; each mapping picks some.
        contrasts: The arms compared, which the runner checks for fairness.
        check: Manipulation check, judged first: a sentence on what failed, or nothing; the claim is not tested if it
            fails.
        seeds: Fewest seeds per cell for a verdict.
        published: The paper's number, in words.
        certainty: How sure we are of that number.
        needs: What is missing, where ``judge`` is None; beside a judge, what its runs need if none has been done yet,
            or none of an arm that the contrasts name.
        scale: At which scale the verdict counts.
    """

    id: str
    paper: str
    place: str
    sentence: str
    registered: str
    judge: Callable[[Sequence[Row]], Finding] | None = None
    where: Sequence[Mapping[str, Setting]] = ()
    contrasts: Sequence[Contrast] = ()
    check: Callable[[Sequence[Row]], str] | None = None
    seeds: int = 5
    published: str = ""
    certainty: Certainty = "none"
    needs: str = ""
    scale: Scale = "cpu"


class DivergedError(RuntimeError):
    """Raised by ``run_one`` where training left all bounds: a result that is counted, with what was measured."""

    def __init__(self, why: str, **values: Any) -> None:
        super().__init__(why)
        self.values = values


def pick(rows: Iterable[Row], **where: Setting) -> list[Row]:
    """The rows whose cells have the given settings, by seed."""
    return sorted((row for row in rows if matches(row.cell, where)), key=lambda row: row.seed)


def values(rows: Iterable[Row], measure: str, **where: Setting) -> list[float]:
    """One number a run, by seed, of the runs that ended well.

    Raises:
        UserError: A run has no such number.
    """
    found = [row for row in pick(rows, **where) if row.status == "ok"]
    if missing := [row for row in found if measure not in row.values]:
        raise UserError(
            f"Expected every run to measure {measure!r}, got {', '.join(missing[0].values)} from {missing[0].cell}; "
            "return it from run_one."
        )
    return [float(row.values[measure]) for row in found]


def pairs(rows: Sequence[Row], measure: str, contrast: Contrast) -> tuple[list[float], list[float]]:
    """Numbers of two arms run by run, treated and control: one seed, and one setting but for what the arms differ in.

    Runs whose partner diverged or is missing are left out of both: count diverged runs on their own, or take
    :func:`pairs_or_diverged`.
    """
    return _paired(rows, measure, contrast, diverged=False)


def pairs_or_diverged(rows: Sequence[Row], measure: str, contrast: Contrast) -> tuple[list[float], list[float]]:
    """The same of a measure of which small is good, with infinity for a run that diverged; for ``findings.worse``."""
    return _paired(rows, measure, contrast, diverged=True)


def _paired(
    rows: Sequence[Row], measure: str, contrast: Contrast, *, diverged: bool
) -> tuple[list[float], list[float]]:
    apart = {*contrast.treated, *contrast.control, *contrast.differs, "cost"}
    apart |= {"steps"} if contrast.budget == "time" else set()

    def arm(where: Mapping[str, Setting]) -> dict[tuple[str, int], float]:
        found = [row for row in pick(rows, **where) if row.status == "ok" or (diverged and row.status == "diverged")]
        return {
            (canonical({k: v for k, v in row.cell.items() if k not in apart}), row.seed): float(row.values[measure])
            if row.status == "ok"
            else math.inf
            for row in found
        }

    a, b = arm(contrast.treated), arm(contrast.control)
    shared = sorted(a.keys() & b.keys())
    return [a[key] for key in shared], [b[key] for key in shared]
