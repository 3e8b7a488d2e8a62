"""Which studies there are, and a study loaded and checked: what its module must hold, and the rules of fairness."""

from __future__ import annotations

import ast
import datetime
import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest
from tightrope.studies.design import SCALES, Cell, Claim, Contrast, Grid, Part, Picture, Row, Scale, canonical, matches

STUDIES: Final[tuple[str, ...]] = (
    "wgan",
    "wgan_images",
    "wgan_plane",
    "orthogonal",
    "orthogonal_images",
    "orthogonal_ways",
    "generalisation",
    "spectral",
    "settings",
    "conditioning",
    "conditioning_images",
    "local_convergence",
    "convergence",
    "convergence_images",
    "questions",
    "augmentation",
    "modern",
    "modes",
    "overfitting",
    "ttur",
    "weights",
    "text",
    "published",
)
"""Modules of this package that are studies, in the order of the ledger."""

SAME_TIME = 0.05
"""Relative difference of processor time up to which two arms had the same budget."""
SAME_COST = 0.1
"""Relative difference of cost up to which equal steps are equal time."""


@dataclass(frozen=True)
class Study:
    """A study's module, checked.

    Attributes:
        name: Of the module; the whole dotted name if it is not one of ours.
        module: Dotted name.
        summary: First line of its docstring.
        claims: Registered.
        grid: Parts by scale.
        run_one: From cell, seed and scale to what was measured.
        run_stack: The same for several seeds of one cell at once, one mapping a seed; None if it has none.
        figures: From rows to pictures by title.
    """

    name: str
    module: str
    summary: str
    claims: tuple[Claim, ...]
    grid: Grid
    run_one: Callable[[Cell, int, Scale], Mapping[str, Any]]
    run_stack: Callable[[Cell, Sequence[int], Scale], Sequence[Mapping[str, Any]]] | None
    figures: Callable[[Sequence[Row]], Mapping[str, Picture]]

    def runs(self, scale: Scale, seeds: int | None = None) -> Iterator[tuple[Part, Cell, int]]:
        """Every run of a scale: part, cell and seed; pairs stand together, or stacked seeds."""
        for part in self.grid.get(scale, ()):
            chosen = part.with_seeds(seeds)
            if self.run_stack is None:
                yield from ((part, cell, seed) for seed in chosen for cell in part.cells)
            else:
                yield from ((part, cell, seed) for cell in part.cells for seed in chosen)

    def registered(self, scale: Scale, rows: Sequence[Row]) -> list[Row]:
        """The rows of the grid's cells and seeds, and of seeds that ``--seeds`` adds after the last.

        Those of a grid that was given up judge nothing, nor do seeds from before the first: they belong to a
        registration whose rows were seen before this one was written.
        """
        first: dict[str, int] = {}
        known: set[tuple[str, int]] = set()
        for part in self.grid.get(scale, ()):
            for text in map(canonical, part.cells):
                known |= {(text, seed) for seed in part.seeds}
                if not part.fixed:
                    first[text] = min(part.seeds[0], first.get(text, part.seeds[0]))
        named = [(canonical(row.cell), row) for row in rows]
        return [row for text, row in named if (text, row.seed) in known or (text in first and row.seed >= first[text])]

    def rows_of(self, claim: Claim, rows: Sequence[Row]) -> list[Row]:
        """The rows that a claim is about."""
        return [row for row in rows if any(matches(row.cell, where) for where in claim.where)]


def load(name: str) -> Study:
    """A study by name: one of :data:`STUDIES`, or the dotted name of a module of your own.

    Raises:
        UserError: There is none, it lacks a part, or it breaks a rule of fairness; the sentence says which.
    """
    dotted = f"tightrope.studies.{name}" if name in STUDIES else name
    if name not in STUDIES and not _importable(name):
        raise UserError(
            f"Expected a study out of {', '.join(STUDIES)}, got {name!r}{closest(name, STUDIES)}; a study of your own "
            "is the dotted name of its module."
        )
    module = importlib.import_module(dotted)
    if lacking := [part for part in ("CLAIMS", "GRID", "run_one", "figures") if not hasattr(module, part)]:
        raise UserError(f"Expected CLAIMS, GRID, run_one and figures in {dotted}, got none of {lacking}; add them.")
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    study = Study(
        name, dotted, summary, tuple(module.CLAIMS), module.GRID, module.run_one,
        getattr(module, "run_stack", None), module.figures,
    )  # fmt: skip
    check(study)
    return study


def summaries() -> dict[str, str]:
    """Name and first sentence of every study, without importing any."""
    found = {}
    for name in STUDIES:
        text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        found[name] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def check(study: Study) -> None:
    """Refuse a study whose claims, cells or contrasts break a rule.

    Raises:
        UserError: The first rule that is broken.
    """
    every = [cell for scale in SCALES for part in study.grid.get(scale, ()) for cell in part.cells]
    for scale in SCALES:
        texts = [canonical(cell) for part in study.grid.get(scale, ()) for cell in part.cells]
        if twice := [text for text, count in Counter(texts).items() if count > 1]:
            raise UserError(f"{study.name}: a cell stands twice at scale {scale}: {twice[0]}; leave one out.")
    if twice := [name for name, count in Counter(claim.id for claim in study.claims).items() if count > 1]:
        raise UserError(f"{study.name}: expected an id for each claim, got {twice[0]} twice; rename one.")
    for claim in study.claims:
        _check_claim(study, claim, every)


def _check_claim(study: Study, claim: Claim, every: Sequence[Cell]) -> None:
    def refuse(why: str) -> UserError:
        return UserError(f"{study.name}, claim {claim.id}: {why}")

    try:
        datetime.date.fromisoformat(claim.registered)
    except ValueError:
        raise refuse(f"expected the date of its registration, got {claim.registered!r}; write YYYY-MM-DD.") from None
    if claim.judge is None:
        if not claim.needs:
            raise refuse("expected a judge, or in needs what is missing; add one of the two.")
        return
    if not claim.where:
        raise refuse("expected the settings that pick its rows, got none; give where.")
    for where in claim.where:
        if not any(matches(cell, where) for cell in every):
            raise refuse(f"no cell of the grid has {dict(where)}; add cells, or mend where.")
    for contrast in claim.contrasts:
        _check_contrast(study, claim, contrast, every, refuse)


def _check_contrast(
    study: Study, claim: Claim, contrast: Contrast, every: Sequence[Cell], refuse: Callable[[str], UserError]
) -> None:
    """Arms differ in what is named and in nothing else, have one budget, and share seeds; see :class:`Contrast`."""
    for scale in SCALES:
        parts = study.grid.get(scale, ())
        treated = [(cell, part) for part in parts for cell in part.cells if matches(cell, contrast.treated)]
        control = [(cell, part) for part in parts for cell in part.cells if matches(cell, contrast.control)]
        if not treated and not control:
            continue
        for cell, part in treated:
            allowed = {*contrast.differs, "cost", *(("steps",) if contrast.budget == "time" else ())}
            partner = [(c, p) for c, p in control if not _differing(cell, c) - allowed]
            if len(partner) != 1:
                nearest = min((_differing(cell, c) for c, _ in control), key=len, default=set())
                raise refuse(
                    f"arms may differ in {', '.join(contrast.differs)} alone, but at scale {scale} {len(partner)} "
                    f"control cells fit {canonical(cell)} (the nearest differs in "
                    f"{', '.join(sorted(nearest)) or 'nothing'}); make them equal, or name what differs."
                )
            other, its = partner[0]
            if part.seeds != its.seeds:
                raise refuse(f"arms are paired by seed, got seeds {part.seeds} and {its.seeds} at scale {scale}.")
            _check_budget(study, claim, contrast, cell, other, refuse)
    if not any(matches(cell, contrast.treated) for cell in every):
        raise refuse(f"no cell of the grid has {dict(contrast.treated)}; add cells, or mend the contrast.")


def _check_budget(
    study: Study, claim: Claim, contrast: Contrast, a: Cell, b: Cell, refuse: Callable[[str], UserError]
) -> None:
    if "steps" not in a and "steps" not in b:
        return
    costs = float(a.get("cost", 1.0)), float(b.get("cost", 1.0))
    steps = float(a.get("steps", 0)), float(b.get("steps", 0))
    if contrast.budget == "steps":
        if steps[0] != steps[1]:
            raise refuse(
                f"expected equal steps in both arms, got {steps[0]:g} and {steps[1]:g}; or name budget='time'."
            )
        if abs(costs[0] / costs[1] - 1) > SAME_COST and not contrast.alone and not _other_budget(study, contrast):
            raise refuse(
                f"a step of one arm costs {costs[0] / costs[1]:.2f} of the other's: register the contrast at equal "
                "processor time as well, or say in alone why not."
            )
    elif abs(steps[0] * costs[0] / (steps[1] * costs[1]) - 1) > SAME_TIME:
        raise refuse(
            f"expected equal processor time, got {steps[0]:g} steps at {costs[0]:g} and {steps[1]:g} at {costs[1]:g}."
        )


def _other_budget(study: Study, contrast: Contrast) -> bool:
    """Whether some claim registers the same arms at equal time."""

    def arms(one: Contrast) -> list[dict[str, object]]:
        return [{k: v for k, v in arm.items() if k not in ("budget", "steps")} for arm in (one.treated, one.control)]

    return any(
        other.budget == "time" and arms(other) == arms(contrast) for claim in study.claims for other in claim.contrasts
    )


def _differing(a: Cell, b: Cell) -> set[str]:
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


def _importable(name: str) -> bool:
    try:
        return all(part.isidentifier() for part in name.split(".")) and importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
