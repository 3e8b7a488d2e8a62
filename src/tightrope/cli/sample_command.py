"""``tightrope sample RUN --n 64 --out grid.png|folder|samples.npz``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say
from tightrope.cli.options import parse


@dataclass(frozen=True)
class SampleOptions:
    """Draw samples from a run's averaged generator: those that tightrope evaluate measures for the same n and seed."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, exported folder, or hub:OWNER/NAME."""
    n: Annotated[int, Meta(ge=1, le=2**40)] | None = None
    """How many; 64 if not given, 8 of each class with --by-class, 16 side by side with --walk."""
    out: Path = Path("samples.png")
    """A .png grid, an .npz file, a new folder for one PNG per image, or a .gif, .webp or .mp4 for --walk."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Of the latents."""
    label: str | None = None
    """Class to draw, by name or number, for conditional runs; all classes if not given."""
    truncation: Annotated[float, Meta(gt=0)] | None = None
    """Cut the latents' distribution at this size: fewer odd samples, less variety; 0.5 is strong, 2 hardly any."""
    by_class: bool = False
    """As many samples of each class, class by class: in a grid, a class per row."""
    step: str = "newest"
    """The generator of this step if its checkpoint is kept, or the best by the run's own evaluations."""
    walk: Annotated[int, Meta(ge=2, le=10_000)] | None = None
    """Write a .gif, .webp or .mp4 that moves through latent space by so many points, a second each, --n at once."""
    data: str | None = None
    """Where the run's data are now, for vectors and signals, whose scale is theirs."""


def run(words: list[str]) -> int:
    """Sample and write."""
    options = parse(SampleOptions, "sample", words)
    from tightrope.runs import load
    from tightrope.runs.assemble import outside, with_source
    from tightrope.runs.samples import check_form, draw, walk, write

    step = options.step
    generator = load(options.run, step=int(step) if step.isascii() and step.isdigit() else step)
    label = None if options.label is None else generator.label_of(options.label)
    chosen: dict[str, Any] = {"seed": options.seed, "label": label, "truncation": options.truncation}
    if options.walk is not None:
        refuse_both(options.by_class, "--walk and --by-class")
        walk(generator, options.out, options.n or 16, options.walk, **chosen)
        say(options.out)
        return 0
    refuse_both(options.by_class and label is not None, "--label and --by-class")
    config = with_source(generator.config, options.data)
    check_form(options.out, config)
    if config.data.kind != "images" and options.data is None and (note := outside(options.run, config)):
        say(f"note: {note}", error=True)
    n = options.n or (8 * max(len(generator.classes), 1) if options.by_class else 64)
    x, labels = draw(generator, n, by_class=options.by_class, **chosen)
    write(options.out, x, config, labels, n // len(generator.classes) if options.by_class else None)
    say(options.out)
    return 0


def refuse_both(both: bool, names: str) -> None:
    """Raise where two options contradict each other.

    Raises:
        UserError: They do.
    """
    if both:
        raise UserError(f"Expected one of {names}, got both; leave one out.")
