"""``tightrope report RUN``, and with ``--watch`` as long as it trains."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import parse


@dataclass(frozen=True)
class ReportOptions:
    """Write a run's report: one HTML file that needs no network."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    out: Path | None = None
    """Where to write it; RUN/report.html if not given."""
    watch: bool = False
    """Write it again and again while the run trains; a browser that shows it follows. Ends with the run."""
    every: Annotated[int, Meta(ge=1, le=3600)] = 10
    """Seconds between two writings with --watch."""
    reference: bool = False
    """Lay the training curves over the bands of short reference runs of the same method."""
    json: bool = False
    """Print the answer and the diagnosis as JSON."""


def run(words: list[str]) -> int:
    """Write it and print its path."""
    options = parse(ReportOptions, "report", words)
    from tightrope.report import assessment, summary, write_report

    if options.watch:
        _watch(options)
    page = write_report(options.run, options.out, reference=options.reference)
    if options.json:
        say_json({**assessment(options.run), "report": str(page)})
        return 0
    say(*summary(options.run).splitlines(), f"report: {page}")
    return 0


def _watch(options: ReportOptions) -> None:
    """Keep the page up to date until nobody trains in the folder or Ctrl-C comes; the last page is the caller's."""
    from tightrope.report import write_report
    from tightrope.runs.lock import in_training

    said = False
    try:
        while in_training(options.run):
            began = time.monotonic()
            try:
                page = write_report(options.run, options.out, refresh=options.every, reference=options.reference)
            except UserError:
                if (options.run / "config.json").exists():
                    raise
                time.sleep(1.0)  # it has taken the folder and written nothing yet
                continue
            if not said:
                say(f"watching {options.run} until it ends or Ctrl-C: {page.resolve().as_uri()}")
                said = True
            time.sleep(max(options.every, 4 * (time.monotonic() - began)))
        if not said and options.run.is_dir():
            say(f"note: nobody trains in {options.run}; the report is as it stands.", error=True)
    except KeyboardInterrupt:
        say(f"{options.run} goes on; no longer watched.", error=True)
