"""``tightrope sample RUN --n 64 --out grid.png|folder|samples.npz``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from msgspec import Meta

from tightrope.cli.options import parse


@dataclass(frozen=True)
class SampleOptions:
    """Draw samples from a run's averaged generator: those that tightrope evaluate measures for the same n and seed."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    n: Annotated[int, Meta(ge=1, le=2**40)] = 64
    """How many."""
    out: Path = Path("samples.png")
    """A .png grid, an .npz file, or a new folder for one PNG per image."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Of the latents."""
    label: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    """Class to draw, for conditional runs; all classes if not given."""
    data: str | None = None
    """Where the run's data are now, for vectors and signals, whose scale is theirs."""


def run(words: list[str]) -> int:
    """Sample and write."""
    options = parse(SampleOptions, "sample", words)
    from tightrope.runs import load
    from tightrope.runs.assemble import outside, with_source
    from tightrope.runs.samples import check_form, draw, write

    generator = load(options.run)
    config = with_source(generator.config, options.data)
    check_form(options.out, config)
    if config.data.kind != "images" and options.data is None and (note := outside(options.run, config)):
        print(f"note: {note}", file=sys.stderr)
    write(options.out, draw(generator, options.n, seed=options.seed, label=options.label), config)
    print(options.out)
    return 0
