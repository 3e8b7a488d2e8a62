"""The end that train and resume share: exit status, report, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tightrope import runs
from tightrope._plumbing.say import say
from tightrope.cli import EXIT_NON_FINITE, EXIT_STOPPED, began
from tightrope.training import distributed
from tightrope.training.nonfinite import NonFiniteError


def time_around() -> tuple[float, float]:
    """When the budget of time began, and what the report and the end of the process need, by how long it took to load.

    To be called when everything is imported and before data are read. The report takes about an eighth of the time
    that loading took; half of it is kept, and more than a second.
    """
    loading = time.monotonic() - began()
    return began(), 1.0 + loading / 2


def finish(folder: Path, training: Callable[[], runs.Outcome], *, quiet: bool) -> int:
    """Train, write the report whatever happened, and return the exit status; of several ranks, the leader reports."""
    leads = distributed.leads(distributed.current())
    try:
        outcome = training()
    except NonFiniteError as error:
        if not leads:
            return EXIT_NON_FINITE
        from tightrope.report import write_report

        say(f"tightrope: {error}", f"report: {write_report(folder)}", error=True)
        return EXIT_NON_FINITE
    if not leads:
        return EXIT_STOPPED if outcome.state == "stopped" else 0
    from tightrope.report import summary, write_report  # templates and charts: not before training begins

    page = write_report(folder)
    say(*(() if quiet else summary(folder).splitlines()), f"report: {page}")
    if outcome.state == "stopped":
        say(f"{outcome.reason}; go on with: tightrope resume {folder}", error=True)
        return EXIT_STOPPED
    return 0
