"""The Monitor of a run: what its method claims, and the file that its diagnosis is kept in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from tightrope import constraints, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope.methods import Method
from tightrope.monitor import Monitor
from tightrope.optimizers.extragradient import extrapolating
from tightrope.runs.rows import DIAGNOSIS
from tightrope.training import Run


def monitor_of(run: Run) -> Monitor | None:
    """A monitor that knows what the run's method claims; None for methods that move both players at once.

    Their gradients are taken at one point by other means than a backward pass into ``.grad``, which it follows.
    """
    optimizers = (run.generator_optimizer, run.critic_optimizer)
    alone = run.ranks is None  # what one of several ranks sees is not the batch
    if not alone or run.method.simultaneous or run.lookahead is not None or any(map(extrapolating, optimizers)):
        return None
    return Monitor(
        run.generator, run.critic, run.method.loss, penalty=claimed(run.method), optimizers=optimizers, ema=run.average
    )


def claimed(method: Method) -> list[object] | None:
    """Penalties with one weight throughout, the clip and the norm of a method, as a Monitor takes them."""
    found: list[object] = []
    for penalty in method.penalties:
        given = penalty.hyperparameters
        weight = given.get("gamma", given.get("weight"))
        if not isinstance(weight, (int, float)) or given.get("target", 1.0) != 1.0:
            return None  # a schedule, or another target: not what a monitor can be told
        kind = {penalties.r1: "r1", penalties.r2: "r2", penalties.gradient_penalty: "gp"}.get(penalty.function)
        if kind is None:
            return None
        found.append(("gp1" if kind == "gp" and given.get("one_sided") else kind, float(weight)))
    if method.constraint is not None and method.constraint.function is constraints.spectral_norm:
        found.append("spectral_norm")
    return found or None


@contextlib.contextmanager
def watching(run: Run, folder: Path, every: int) -> Iterator[Callable[[], None]]:
    """Watch a training: call what is given after each step; the diagnosis is kept now and then, and at the end."""
    monitor = monitor_of(run) if run.ranks is None else None  # what one rank sees is not the batch

    def after() -> None:
        if monitor is not None:
            monitor.step(None)
            if run.step % every == 0:
                keep(monitor, folder)

    try:
        yield after
    finally:
        if monitor is not None:
            with contextlib.suppress(UserError, OSError):
                keep(monitor, folder)
            monitor.close()


def keep(monitor: Monitor, folder: Path) -> None:
    """Write ``RUN/diagnosis.json``."""
    text = json.dumps(monitor.diagnose().to_json(), indent=1, default=str)
    write_atomically(folder / DIAGNOSIS, text.encode() + b"\n")
