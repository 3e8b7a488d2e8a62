"""``tightrope evaluate RUN``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope.cli.options import parse


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a run's averaged generator against held-out data, with the real-versus-real floor beside it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    n: int | None = None
    """Generated samples; as many as the floor uses if not given."""
    seed: int | None = None
    """Of the samples; the run's own if not given."""
    metrics: str | None = None
    """Names with commas between them; those that suit the data if not given."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Measure and print; nothing in the run folder changes."""
    options = parse(EvaluateOptions, "evaluate", words)
    from tightrope.metrics import evaluate
    from tightrope.runs import load
    from tightrope.runs.assemble import open_dataset
    from tightrope.runs.fit import announce, sample_function

    generator = load(options.run)
    config = generator.config
    train, test = (open_dataset(config.data, split) for split in ("train", "test"))
    announce(generator, train, test, lambda text: print(text, file=sys.stderr), n=options.n)
    measurements = evaluate(
        sample_function(generator),
        train,
        test,
        n=options.n,
        seed=config.training.seed if options.seed is None else options.seed,
        metrics=options.metrics.split(",") if options.metrics else None,
    )
    if options.json:
        print(json.dumps([m.to_json() for m in measurements], indent=2))
        return 0
    for m in measurements:
        p = m.protocol
        floor = "" if m.floor is None else f"   floor {m.floor:.4g}"
        print(f"{m.name:<14} {m.value:.5g}{floor}")
        print(f"    {p.features}; {p.n_fake} generated against {p.n_real} of {p.split}; seed {p.seed}")
        for note in m.notes:
            print(f"    {note}")
    return 0
