"""From rows to verdicts: every claim of a study judged, or the reason why it is not tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tightrope._plumbing.errors import UserError
from tightrope.studies.design import SCALES, Claim, Contrast, Row, Scale, canonical, matches
from tightrope.studies.findings import Finding, Verdict, verdicts
from tightrope.studies.registry import Study


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        study: Name.
        claim: As registered.
        verdict: Computed.
        finding: What the rows say; None where it is not tested.
        why: Why it is not tested, or what else to know.
        runs: With a result.
        diverged: Of those.
        missing: Registered runs without a result.
        seeds: Fewest per cell.
        family: Claims that the verdict is corrected over.
    """

    study: str
    claim: Claim
    verdict: Verdict
    finding: Finding | None
    why: str
    runs: int
    diverged: int
    missing: int
    seeds: int
    family: int = 1


def judge(study: Study, rows: Mapping[Scale, Sequence[Row]]) -> list[Judged]:
    """Judge all claims of a study at the scale each names, and correct over those at one scale.

    A claim whose registered runs are not all there is not tested: to judge a part would be to choose when to stop. If
    none is there, or none of an arm that it compares, and the claim says what they need, nothing is missing either.

    Args:
        study: Loaded.
        rows: By scale, of this version of the study.
    """
    found: dict[str, Finding | None] = {}
    reasons: dict[str, str] = {}
    counts: dict[str, tuple[int, int, int, int]] = {}
    for claim in study.claims:
        grid = study.registered(claim.scale, rows.get(claim.scale, ()))
        mine = [row for row in study.rows_of(claim, grid) if row.status != "crashed"]
        lacking, seeds = _lacking(study, claim, mine)
        if claim.needs and _not_begun(claim, mine):
            lacking = 0
        counts[claim.id] = (len(mine), sum(row.status == "diverged" for row in mine), lacking, seeds)
        found[claim.id], reasons[claim.id] = _finding(claim, mine, lacking)
    decided: dict[str, Verdict] = {}
    for scale in SCALES:
        decided |= verdicts({claim.id: found[claim.id] for claim in study.claims if claim.scale == scale})
    random = {scale: sum(1 for c in study.claims if c.scale == scale and _random(found[c.id])) for scale in SCALES}
    return [
        Judged(
            study.name,
            claim,
            decided[claim.id],
            found[claim.id],
            reasons[claim.id],
            *counts[claim.id],
            family=max(random[claim.scale], 1),
        )
        for claim in study.claims
    ]


def _random(finding: Finding | None) -> bool:
    return finding is not None and not finding.exact


def _lacking(study: Study, claim: Claim, rows: Sequence[Row]) -> tuple[int, int]:
    """How many registered runs of a claim have no result, and the fewest seeds of a cell that have."""
    have = {(canonical(row.cell), row.seed) for row in rows}
    lacking, per_cell = 0, dict[str, int]()
    for part in study.grid.get(claim.scale, ()):
        for cell in part.cells:
            if any(matches(cell, where) for where in claim.where):
                text = canonical(cell)
                per_cell[text] = sum((text, seed) in have for seed in part.seeds)
                lacking += len(part.seeds) - per_cell[text]
    return lacking, min(per_cell.values(), default=0)


def _not_begun(claim: Claim, rows: Sequence[Row]) -> bool:
    """Whether a claim has no runs, or an arm of its contrasts has none, as where arms are run one after another."""
    arms = [arm for one in claim.contrasts for arm in (one.treated, one.control)]
    return not rows or any(not any(matches(row.cell, arm) for row in rows) for arm in arms)


def _finding(claim: Claim, rows: Sequence[Row], lacking: int) -> tuple[Finding | None, str]:
    if claim.judge is None or (claim.needs and _not_begun(claim, rows)):
        return None, f"needs {claim.needs}"
    if lacking:
        return None, f"{lacking} of {lacking + len(rows)} registered runs at scale {claim.scale} are missing"
    if not rows:
        return None, f"the grid has no runs for it at scale {claim.scale}"
    for contrast in claim.contrasts:
        if mixed := _mixed(contrast, rows):
            return None, f"{mixed} pairs ran under different versions of the library; run the study again"
    if claim.check is not None and (failed := claim.check(rows)):
        return None, f"its manipulation check failed: {failed}"
    try:
        finding = claim.judge(rows)
    except UserError as error:
        return None, str(error)
    if diverged := sum(row.status == "diverged" for row in rows):
        finding = finding.noted(f"{diverged} of {len(rows)} runs diverged")
    return finding, finding.note


def _mixed(contrast: Contrast, rows: Sequence[Row]) -> int:
    """Seeds whose treated and control runs stand on different versions of the library."""

    def versions(where: Mapping[str, Any]) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for row in rows:
            if matches(row.cell, where):
                found.setdefault(row.seed, set()).add(row.library)
        return found

    a, b = versions(contrast.treated), versions(contrast.control)
    return sum(len(a[seed] | b[seed]) > 1 for seed in a.keys() & b.keys())


def complaint(judged: Sequence[Judged]) -> str:
    """One sentence on what keeps a report from being whole; empty if nothing does."""
    short = [f"{one.missing} of {one.claim.id}" for one in judged if one.missing]
    return f"Registered runs are missing, run the study again: {', '.join(short)}." if short else ""
