"""Write docs/performance.md from the records of the benchmarks.

python benchmarks/page.py [--records docs/results/bench] [--page docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from timing import figure

HERE = Path(__file__).parents[1] / "docs"

INTRODUCTION = """# Performance

Every number is a ratio to a baseline of the same run: process CPU time of one thread, ours and the baseline in turns,
the median of the rounds with the smallest and the largest. Loss and gradients are compared before anything is timed.
`make bench` measures them again; this page is written by `benchmarks/page.py` from the records in `docs/results/bench`.
"""


def section(name: str, found: dict[str, Any]) -> str:
    """One benchmark as a table."""
    machine = found["machine"]
    lines = [f"## {found['claim']}", "", f"`benchmarks/{name}.py`, against {found['baseline']}."]
    lines += ["", "| case | ratio | range | target | reached |", "|---|---|---|---|---|"]
    for row in found["rows"]:
        target = "" if row["target"] is None else f"{row['bound']} {row['target']:g}"
        reached = {None: "", True: "yes", False: "**no**"}[row["reached"]]
        spread = f"{figure(row['low'])} to {figure(row['high'])}"
        lines.append(f"| {row['case']} | {figure(row['median'])} | {spread} | {target} | {reached} |")
    if "said" in found:
        lines += ["", found["said"]]
    if "table" in found:
        first, *others = [[str(cell) for cell in row] for row in found["table"]]
        lines += ["", *(f"| {' | '.join(row)} |" for row in (first, ["---"] * len(first), *others))]
    if "picture" in found:
        lines += ["", f"![{found['claim']}](results/bench/{found['picture']})"]
    lines += ["", f"{machine['processor']}; torch {machine['torch']}, Python {machine['python']}; commit "]
    lines[-1] += f"`{machine['commit']}`; load of the machine {machine['load']}."
    if found["absent"]:
        lines += ["", f"Not there to compare with: {', '.join(found['absent'])}."]
    return "\n".join(wrapped(lines))


def wrapped(lines: list[str]) -> list[str]:
    """Paragraphs in lines of at most 120; tables and pictures as they are."""
    apart = ("|", "![", "#")
    return [
        part
        for line in lines
        for part in ([line] if not line or line.startswith(apart) else textwrap.wrap(line, 120, break_on_hyphens=False))
    ]


def page(records: Path) -> str:
    """The whole page."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(records.glob("*.json"))}
    return "\n".join([INTRODUCTION, *(section(name, content) + "\n" for name, content in found.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=Path, default=HERE / "results" / "bench")
    parser.add_argument("--page", type=Path, default=HERE / "performance.md")
    given = parser.parse_args()
    given.page.write_text(page(given.records), encoding="utf-8")
    print(f"{given.page.name}: {len(list(given.records.glob('*.json')))} records")


if __name__ == "__main__":
    main()
