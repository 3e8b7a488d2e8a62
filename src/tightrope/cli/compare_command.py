"""``tightrope compare RUN RUN ...``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import parse


@dataclass(frozen=True)
class CompareOptions:
    """Set several runs side by side in one HTML file that needs no network."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders, two or more."""
    out: Path = Path("comparison.html")
    """Where to write it."""
    json: bool = False
    """Print the table as JSON."""


def run(words: list[str]) -> int:
    """Write the page, print the table."""
    options = parse(CompareOptions, "compare", words)
    from tightrope.report import read_run, write_comparison
    from tightrope.report.comparison import rows, text

    page = write_comparison(options.runs, options.out)
    records = [read_run(path) for path in options.runs]
    if options.json:
        say_json(rows(records))
        return 0
    say(*text(records).splitlines(), f"comparison: {page}")
    return 0
