"""``tightrope conditioning RUN [RUN ...]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import parse

if TYPE_CHECKING:
    from tightrope.report.conditioning_page import Measured
    from tightrope.runs import TrainedGenerator

COLUMNS = ("mean", "std", "5 %", "50 %", "95 %", "effective rank", "dead", "n")


@dataclass(frozen=True)
class ConditioningOptions:
    """How runs' generators stretch latent space: condition numbers, spectra, and directions of most and least gain.

    Prints a table and writes a page with the charts, conditioning.html, and one picture of latent directions per run of
    images: samples on the line through one latent along the directions of largest and smallest gain.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders."""
    n: Annotated[int, Meta(ge=2, le=100_000)] = 64
    """Latents to measure at."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Of the latents."""
    out: Path | None = None
    """Folder for page and pictures; RUN/conditioning for one run, ./conditioning for several, if not given."""
    json: bool = False
    """Print JSON instead of the table."""


def run(words: list[str]) -> int:
    """Measure, print, write; nothing in the run folders changes but for the default output folder."""
    options = parse(ConditioningOptions, "conditioning", words)
    if not options.runs:
        raise UserError("Expected at least one run folder, got none; name the folder that tightrope train wrote.")
    from tightrope._plumbing.files import write_atomically
    from tightrope.report import read_run
    from tightrope.report.conditioning_page import conditioning_page
    from tightrope.runs import load

    folder = options.out or (options.runs[0] / "conditioning" if len(options.runs) == 1 else Path("conditioning"))
    records = [read_run(path) for path in options.runs]
    generators = [load(path) for path in options.runs]
    names = [record.name for record in records]
    if len(set(names)) < len(names):
        names = [f"{name}-{index + 1}" for index, name in enumerate(names)]
    folder.mkdir(parents=True, exist_ok=True)
    measured = [_measure(*pair, folder, options) for pair in zip(names, generators, strict=True)]
    page = folder / "conditioning.html"
    write_atomically(page, conditioning_page(list(zip(names, records, strict=True)), measured).encode())
    if options.json:
        say_json([{"run": str(p), **m.row} for p, m in zip(options.runs, measured, strict=True)])
        return 0
    say("natural logarithm of the condition number of J^T J over latents, generator in eval mode, averaged weights")
    say(*_table(measured).splitlines(), f"page: {page}")
    return 0


def _measure(name: str, generator: TrainedGenerator, folder: Path, options: ConditioningOptions) -> Measured:
    from tightrope.report.conditioning_page import Measured
    from tightrope.report.directions import write_directions
    from tightrope.runs.conditioning import measure_trained

    row = measure_trained(generator, options.n, options.seed).to_json()
    if generator.config.data.kind != "images":
        return Measured(name, row)
    path, said = write_directions(folder / f"directions-{name}.png", generator, seed=options.seed)
    return Measured(name, row, path, said)


def _table(measured: list[Measured]) -> str:
    lines: list[tuple[str, ...]] = [("run", *COLUMNS)]
    for one in measured:
        row: Any = one.row
        numbers = [row["mean"], row["std"], *(row["quantiles"][i] for i in (0, 2, 4)), row["effective_rank"]]
        cells = ["infinite" if value is None else f"{value:.4g}" for value in numbers]
        lines.append((one.name, *cells, str(row["dead_latents"]), str(row["n"])))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
