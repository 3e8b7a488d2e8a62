"""``tightrope sample RUN --n 64 --out grid.png|folder|samples.npz``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope._plumbing.errors import UserError
from tightrope.cli.options import parse


@dataclass(frozen=True)
class SampleOptions:
    """Draw samples from a run's averaged generator."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    n: int = 64
    """How many."""
    out: Path = Path("samples.png")
    """A .png grid, an .npz file, or a folder for one PNG per image."""
    seed: int = 0
    """Of the latents."""
    label: int | None = None
    """Class to draw, for conditional runs; all classes if not given."""


def run(words: list[str]) -> int:
    """Sample and write."""
    options = parse(SampleOptions, "sample", words)
    if options.n < 1:
        raise UserError(f"Expected --n of at least 1, got {options.n}.")
    from tightrope.runs import load
    from tightrope.runs.samples import write_folder, write_npz, write_picture

    generator = load(options.run)
    x = generator.sample(options.n, seed=options.seed, labels=options.label)
    suffix = options.out.suffix.lower()
    if suffix == ".png":
        write_picture(options.out, x, generator.config)
    elif suffix == ".npz":
        write_npz(options.out, x, generator.config)
    elif suffix == "":
        write_folder(options.out, x, generator.config)
    else:
        raise UserError(f"Expected --out as a .png, an .npz or a folder, got {options.out}; change its ending.")
    print(options.out)
    return 0
