"""``tightrope report RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope._plumbing.say import say
from tightrope.cli.options import parse


@dataclass(frozen=True)
class ReportOptions:
    """Write a run's report: one HTML file that needs no network."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    out: Path | None = None
    """Where to write it; RUN/report.html if not given."""


def run(words: list[str]) -> int:
    """Write it and print its path."""
    options = parse(ReportOptions, "report", words)
    from tightrope.report import summary, write_report

    page = write_report(options.run, options.out)
    say(*summary(options.run).splitlines(), f"report: {page}")
    return 0
