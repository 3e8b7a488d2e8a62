"""``tightrope probe RUN --try FIX``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import parse


@dataclass(frozen=True)
class ProbeOptions:
    """Does a fix help? A checkpoint trained on with and without it, over seeds, on the same rows and latents.

    A fix is lr=, lr_critic=, lr_generator=, beta1=, beta2=, n_critic=, penalty=r1 (r2, gp, none; r1:5 for a weight), or
    a hyperparameter of the run's method, as in gamma=1; several with + between them are one fix. --fix may be written
    --try.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    fix: str
    """What to change, name=value; several with commas between them are tried one by one."""
    steps: int = 100
    """Steps of each arm."""
    seeds: int = 4
    """Pairs of arms."""
    anew: bool = False
    """Begin with the run's first weights, not with its checkpoint: for a run whose weights are past saving."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Train the arms, print, and append to RUN/probes.jsonl."""
    words = ["--fix" + word[5:] if word.partition("=")[0] == "--try" else word for word in words]
    options = parse(ProbeOptions, "probe", words)
    from tightrope.doctor import probe

    fixes = [part.strip() for part in options.fix.split(",") if part.strip()]
    found = probe(options.run, fixes, steps=options.steps, seeds=options.seeds, anew=options.anew)
    if options.json:
        say_json([trial.to_json() for trial in found])
        return 0
    say(*map(str, found), f"Measured: {found[0].measure}, mean over the second half of each arm.")
    return 0
