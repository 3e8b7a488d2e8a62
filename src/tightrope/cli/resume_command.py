"""``tightrope resume RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope.cli.options import parse


@dataclass(frozen=True)
class ResumeOptions:
    """Go on from a run's newest checkpoint; on one CPU the result is what it would have been, bit for bit."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    steps: int | None = None
    """New total of generator updates; any of the three replaces the run's budget."""
    images: int | None = None
    """New total of real images."""
    minutes: float | None = None
    """New total of minutes."""
    quiet: bool = False
    """Print no progress."""


def run(words: list[str]) -> int:
    """Resume and report."""
    options = parse(ResumeOptions, "resume", words)
    from tightrope import runs
    from tightrope.cli.finish import finish

    def go_on() -> runs.Outcome:
        return runs.resume(
            options.run, steps=options.steps, images=options.images, minutes=options.minutes, quiet=options.quiet
        )

    return finish(options.run, go_on, quiet=options.quiet)
