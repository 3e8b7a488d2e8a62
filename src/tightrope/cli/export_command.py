"""``tightrope export RUN --out model.onnx|model.pt2|folder``, or ``--push owner/name``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope._plumbing.say import say
from tightrope.cli.options import parse


@dataclass(frozen=True)
class ExportOptions:
    """Write a run's averaged generator in a form that needs no tightrope.

    Attributes:
        run: Run folder.
        out: A .pt2 for torch.export.load, an .onnx, or a new folder with safetensors and a model card.
        push: Upload the folder to the Hugging Face hub as owner/name instead, as a private repository if it is new.
        step: The generator of this step if its checkpoint is kept, or the best by the run's own evaluations.
    """

    run: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("generator.pt2")
    push: str | None = None
    step: str = "newest"


def run(words: list[str]) -> int:
    """Load and write."""
    options = parse(ExportOptions, "export", words)
    from tightrope.runs import load
    from tightrope.runs.export import export

    step = int(options.step) if options.step.isascii() and options.step.isdigit() else options.step
    if options.push is not None:
        from tightrope.runs import push_to_hub

        say(push_to_hub(options.run, options.push, step=step))
        return 0
    generator = load(options.run, step=step)
    say(export(generator, options.out, evaluations=options.run))
    return 0
