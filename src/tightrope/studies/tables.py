"""What a study found as text: numbers with intervals, the ledger in Markdown, tables as CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence

from tightrope.drawing.numbers import MINUS, number
from tightrope.studies.design import Row, canonical
from tightrope.studies.judging import Judged

VERDICTS = ("reproduced", "contradicted", "undecided", "not tested")
CERTAIN = {
    "paper": "read in the paper", "code": "read in the authors' code", "derived": "derived and checked",
    "quoted": "quoted elsewhere", "pilot": "threshold of our own, from a pilot", "memory": "from memory, not confirmed",
    "none": "the paper gives no number",
}  # fmt: skip
HEAD = ("claim", "paper", "place", "what is claimed", "verdict", "quantity", "ours", "low", "high", "published",
        "how sure", "seeds", "more seeds", "detectable", "registered", "command")  # fmt: skip


def estimate(one: Judged) -> str:
    """Our number with its interval."""
    if one.finding is None:
        return "–"
    found = one.finding.estimate
    ends = "" if math.isnan(found.low) else f" [{number(found.low)}, {number(found.high)}]"
    return f"{number(found.value)}{ends}"


def power(one: Judged) -> str:
    """What so many seeds can find, and how many more would decide."""
    if one.finding is None or one.finding.exact:
        return "–"
    parts = [] if math.isnan(one.finding.detectable) else [f"finds {number(one.finding.detectable)}"]
    if one.verdict == "undecided":
        more = one.finding.more(one.family)
        parts.append("needs more seeds than can be said" if more is None else f"needs {more} more")
    return ", ".join(parts) or "–"


def reason(one: Judged) -> str:
    """The verdict with why, where there is something to say."""
    return f"{one.verdict} ({one.why})" if one.why and one.verdict == "not tested" else one.verdict


def command(one: Judged) -> str:
    """What makes the runs behind a verdict."""
    return "" if one.claim.judge is None else f"tightrope study run {one.study} --scale {one.claim.scale}"


def counts(judged: Sequence[Judged]) -> str:
    """How many claims have which verdict."""
    return ", ".join(f"{sum(one.verdict == verdict for one in judged)} {verdict}" for verdict in VERDICTS)


def ledger_markdown(judged: Sequence[Judged], papers: dict[str, str]) -> str:
    """The ledger: one section a paper, one line a claim."""
    lines = [
        "# Ledger of claims",
        "",
        "Made by `tightrope study report --all` from the rows in `docs/results/studies/`; no line is written by hand.",
        "",
        f"{len(judged)} claims: {counts(judged)}.",
        "",
        "*Ours* is the quantity named, with its 95 % interval over seeds. A verdict is corrected (Holm) over the",
        "claims of its study. *Power*: the smallest distance from the threshold (a logarithm for ratios) that so many",
        "seeds find in four of five cases. Dates and thresholds stand in each study's module.",
    ]
    for paper, title in papers.items():
        mine = [one for one in judged if one.claim.paper == paper]
        if not mine:
            continue
        lines += ["", f"## {title} ({paper})", "", f"{len(mine)} claims: {counts(mine)}.", ""]
        lines += ["| claim | place | what is claimed | verdict | ours | the paper's | seeds | power | command |",
                  "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
        lines += [_line(one) for one in mine]
    return "\n".join(lines) + "\n"


def _line(one: Judged) -> str:
    ours = "–" if one.finding is None else f"{one.finding.quantity}: {estimate(one)}"
    note = f"; {one.finding.note}" if one.finding is not None and one.finding.note else ""
    theirs = f"{one.claim.published or '–'} ({CERTAIN[one.claim.certainty]})"
    shown = command(one)
    cells = (
        f"`{one.claim.id}`", one.claim.place, one.claim.sentence, f"**{one.verdict}**"
        + (f": {one.why}" if one.verdict == "not tested" else ""), ours + note, theirs,
        str(one.seeds) if one.finding is not None else "–", power(one), f"`{shown}`" if shown else "–",
    )  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def claims_table(judged: Sequence[Judged]) -> list[list[str]]:
    """Head and rows for CSV and LaTeX."""
    body = []
    for one in judged:
        found = one.finding
        ends = (
            ("", "", "")
            if found is None
            else (repr(found.estimate.value), repr(found.estimate.low), repr(found.estimate.high))
        )
        body.append([
            one.claim.id, one.claim.paper, one.claim.place, one.claim.sentence, one.verdict,
            "" if found is None else found.quantity, *ends, one.claim.published, CERTAIN[one.claim.certainty],
            str(one.seeds), "" if found is None else str(found.more(one.family) or ""),
            "" if found is None or math.isnan(found.detectable) else repr(found.detectable), one.claim.registered,
            command(one),
        ])  # fmt: skip
    return [list(HEAD), *body]


def rows_table(rows: Sequence[Row]) -> list[list[str]]:
    """Head and one line a run: settings, seed, status, every number measured."""
    settings = sorted({name for row in rows for name in row.cell})
    measures = sorted({name for row in rows for name, value in row.values.items() if isinstance(value, int | float)})
    body = [
        [*(str(row.cell.get(name, "")) for name in settings), str(row.seed), row.status,
         *(repr(row.values[name]) if name in row.values else "" for name in measures)]
        for row in sorted(rows, key=lambda row: (canonical(row.cell), row.seed))
    ]  # fmt: skip
    return [[*settings, "seed", "status", *measures], *body]


def as_csv(table: Sequence[Sequence[str]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


_SPECIAL = {"\\": r"\textbackslash{}", **{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}",
            "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", MINUS: "$-$", "·": r"$\cdot$",
            "×": r"$\times$", "–": "--"}  # fmt: skip
_RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"


def _latex(text: str) -> str:
    """A text whose signs pdfLaTeX knows."""
    known = "".join(_SPECIAL.get(c, c) for c in text)
    level = str.maketrans(_RAISED, "-0123456789")
    return re.sub(f"[{_RAISED}]+", lambda power: f"$^{{{power[0].translate(level)}}}$", known)


def as_latex(judged: Sequence[Judged]) -> str:
    """The claims as a LaTeX table (booktabs): claim, verdict, estimate with interval, seeds."""
    lines = [
        r"\begin{tabular}{p{0.5\linewidth}lll}",
        r"\toprule",
        r"Claim & Verdict & Ours [95\,\%] & Seeds \\",
        r"\midrule",
    ]
    for one in judged:
        cells = (one.claim.sentence, one.verdict, estimate(one), str(one.seeds))
        lines.append(" & ".join(map(_latex, cells)) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
