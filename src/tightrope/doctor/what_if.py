"""What-ifs of a run folder: its newest checkpoint played on in memory, watched, and then asked."""

from __future__ import annotations

from pathlib import Path

import torch

from tightrope._plumbing.errors import UserError
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.responses import explained, with_responses
from tightrope.monitor.what_if.respond import respond
from tightrope.runs.assemble import Assembled, assemble
from tightrope.runs.checkpoint import (
    checkpoint_paths,
    load_newest,
    random_state,
    restore,
    seed_global_,
    set_random_state,
)
from tightrope.runs.config import read_config
from tightrope.runs.diagnosis import WATCHED
from tightrope.runs.watch import monitor_of
from tightrope.training import train

HELD = 256


def ask_run(folder: Path, found: Diagnosis, seconds: float) -> Diagnosis:
    """A run's diagnosis with what copies of its newest checkpoint answer; nothing in the folder changes.

    Args:
        folder: Of the run.
        found: The diagnosis from its record; where it explains the run, nothing is played.
        seconds: About how long the copies may take.

    Raises:
        UserError: There is no checkpoint, the data have changed, or the run's method cannot be watched.
    """
    if explained(found):
        return found
    before = random_state()
    try:
        _, monitor = watched(folder)
        monitor.close()
        respond(monitor, seconds, gate=False)
    finally:
        set_random_state(before)
    return with_responses(found, monitor.history)


def watched(folder: Path) -> tuple[Assembled, Monitor]:
    """A run from its newest checkpoint, trained on for some steps in memory under a monitor.

    Raises:
        UserError: See :func:`ask_run`.
    """
    if not checkpoint_paths(folder):
        raise UserError(f"Expected a run with a checkpoint for what-ifs, got none in {folder}; train it first.")
    config = read_config(folder)
    assembled = assemble(config, progress=False)
    run = assembled.run
    start = {name: {key: value.detach().clone() for key, value in network.state_dict().items()}
             for name, network in (("generator", run.generator), ("critic", run.critic))}  # fmt: skip
    restore(assembled, load_newest(folder)[0])
    seed_global_(config.training.seed)
    monitor = monitor_of(run)
    if monitor is None:
        raise UserError(
            f"Expected a method that steps its players one after the other for what-ifs, got {config.method.name}; "
            "compare settings with tightrope probe."
        )
    rows = torch.linspace(0, len(assembled.test) - 1, min(HELD, len(assembled.test))).long()
    monitor.held_out = assembled.test.batch(rows).x.to(run.device)
    for _ in train(run, assembled.sampler, steps=run.step + WATCHED):
        monitor.step(None)
    monitor.steps, monitor.start = run.step, start
    return assembled, monitor
