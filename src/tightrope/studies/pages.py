"""A study, and the ledger of all, as self-contained pages: verdicts, figures, runs, how to run it again."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tightrope.drawing.numbers import duration, number
from tightrope.drawing.planes import Panels
from tightrope.report.render import Cell as TableCell
from tightrope.report.render import charts, piece, render, table
from tightrope.report.sections import Section
from tightrope.studies.design import Picture, Row, canonical
from tightrope.studies.judging import Judged
from tightrope.studies.registry import Study
from tightrope.studies.tables import CERTAIN, command, counts, estimate, power

_CELLS = 400
"""Rows of the table of runs that a page shows; the rest is in the file of rows."""


def study_page(study: Study, judged: Sequence[Judged], rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """The page of one study.

    Args:
        study: Loaded.
        judged: Its claims.
        rows: Of the scale shown.
        notes: What else a reader should know, such as runs that are missing.
    """
    spent = sum(row.cpu_seconds for row in rows)
    figures = study.figures(rows) if rows else {}
    drawn = [piece("titled", title, _on_page(picture)) for title, picture in figures.items()]
    sections = [
        Section("claims", "Claims and verdicts", _claims(judged)),
        *([Section("figures", "Figures", Markup("").join(drawn))] if drawn else []),
        Section("runs", "Runs", _runs(rows)),
    ]
    lines = [
        f"{len(judged)} claims: {counts(judged)}.",
        f"{len(rows)} runs, {duration(spent)} of processor time.",
        *notes,
    ]
    return render("study.html", title=f"Study: {study.name}", subtitle=study.summary, notes=lines, sections=sections)


def _on_page(picture: Picture) -> Markup:
    return piece("grid", picture.drawn()) if isinstance(picture, Panels) else charts(Markup(picture))


def ledger_page(judged: Sequence[Judged], papers: Mapping[str, str]) -> str:
    """All claims of all studies, paper by paper."""
    sections = [
        Section(f"p{paper.replace('.', '-')}", f"{title} ({paper})", _claims(mine))
        for paper, title in papers.items()
        if (mine := [one for one in judged if one.claim.paper == paper])
    ]
    line = f"{len(judged)} claims: {counts(judged)}."
    return render("study.html", title="Ledger of claims", subtitle=line, notes=[], sections=sections)


def _claims(judged: Sequence[Judged]) -> Markup:
    head = ["Claim", "What is claimed", "Verdict", "Ours", "The paper's", "Seeds"]
    rows: list[tuple[str, list[TableCell]]] = []
    for one in judged:
        claim = one.claim
        ours: TableCell = "–" if one.finding is None else [estimate(one), one.finding.quantity]
        rows.append((
            claim.id,
            [
                [claim.sentence, f"{claim.paper}, {claim.place}; registered {claim.registered}",
                 *filter(None, [command(one)])],
                [one.verdict, *([one.why] if one.why else [])],
                ours,
                [claim.published or "–", CERTAIN[claim.certainty]],
                [str(one.seeds) if one.finding is not None else "–", power(one)],
            ],
        ))  # fmt: skip
    return table("claims", head, rows)


def _runs(rows: Sequence[Row]) -> Markup:
    """Mean and spread over seeds of every number, cell by cell."""
    by_cell: dict[str, list[Row]] = {}
    for row in rows:
        by_cell.setdefault(canonical(row.cell), []).append(row)
    same = _same(rows)
    lines: list[tuple[str, list[TableCell]]] = []
    for members in list(by_cell.values())[:_CELLS]:
        name = ", ".join(f"{k} {v}" for k, v in members[0].cell.items() if k not in same)
        done = [row for row in members if row.status == "ok"]
        measures = sorted({k for row in done for k, v in row.values.items() if _number(v)})
        found = [f"{m} {_spread([float(row.values[m]) for row in done if m in row.values])}" for m in measures]
        bad = sum(row.status == "diverged" for row in members)
        lines.append((name or "all", [str(len(members)), str(bad), "; ".join(found)]))
    shown = f"The same in all: {', '.join(f'{k} {v}' for k, v in same.items())}." if same else ""
    more = f" {len(by_cell) - _CELLS} further cells are in the file of rows." if len(by_cell) > _CELLS else ""
    text = piece("text", [shown + more]) if shown or more else Markup("")
    return text + table("claims", ["Cell", "Runs", "Diverged", "Mean (standard deviation over seeds)"], lines)


def _same(rows: Sequence[Row]) -> dict[str, object]:
    if not rows:
        return {}
    return {k: v for k, v in rows[0].cell.items() if all(row.cell.get(k) == v for row in rows)}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spread(values: Sequence[float]) -> str:
    spread = f" ({number(statistics.stdev(values))})" if len(values) > 1 else ""
    return number(statistics.fmean(values)) + spread
