"""``tightrope diagnose RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import parse


@dataclass(frozen=True)
class DiagnoseOptions:
    """Say what is wrong with a run, from its record: causes, evidence, remedies, experiments."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, or a metrics.jsonl with a row per line."""
    what_if: bool = False
    """Where nothing else explains it, play copies of the newest checkpoint with one change each: what would help?"""
    seconds: float = 60.0
    """About how long the copies may take."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Print the diagnosis."""
    options = parse(DiagnoseOptions, "diagnose", words)
    from tightrope.doctor import diagnose

    found = diagnose(options.run, what_if=options.what_if, seconds=options.seconds)
    say_json(found.to_json()) if options.json else say(*str(found).splitlines())
    return 0
