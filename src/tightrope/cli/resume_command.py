"""``tightrope resume RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from msgspec import Meta

from tightrope._plumbing.say import say
from tightrope.cli.options import parse


@dataclass(frozen=True)
class ResumeOptions:
    """Go on from a run's newest checkpoint; on one CPU the result is what it would have been, bit for bit."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    steps: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """New total of generator updates; any of the three replaces the run's budget."""
    more_steps: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    """So many generator updates beyond the newest checkpoint, in place of --steps."""
    images: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """New total of real images."""
    minutes: Annotated[float, Meta(ge=0)] | None = None
    """New total of minutes."""
    data: str | None = None
    """Where the data are now, if not where the run began; they must be the same."""
    quiet: bool = False
    """Print no progress."""


def run(words: list[str]) -> int:
    """Resume and report."""
    options = parse(ResumeOptions, "resume", words)
    from tightrope import runs
    from tightrope.cli.finish import finish
    from tightrope.runs.assemble import outside
    from tightrope.training import distributed

    config = runs.read_config(options.run)

    def go_on() -> runs.Outcome:
        return runs.resume(
            options.run,
            steps=options.steps,
            more_steps=options.more_steps,
            images=options.images,
            minutes=options.minutes,
            data=options.data,
            quiet=options.quiet,
        )

    with distributed.joined(config.training.device) as ranks:
        if options.data is None and distributed.leads(ranks) and (note := outside(options.run, config)):
            say(f"note: {note}", error=True)
        return finish(options.run, go_on, quiet=options.quiet)
