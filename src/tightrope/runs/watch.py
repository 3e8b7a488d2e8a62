"""The Monitor of a run: what its method claims, and the file that its diagnosis is kept in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tightrope import constraints, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope.methods import Method
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.preflight import certain, preflight
from tightrope.monitor.what_if.respond import respond
from tightrope.optimizers.extragradient import extrapolating
from tightrope.runs.assemble import Assembled
from tightrope.runs.config import TrainingSettings
from tightrope.runs.rows import DIAGNOSIS, PREFLIGHT
from tightrope.training import Run


def monitor_of(run: Run) -> Monitor | None:
    """A monitor that knows what the run's method claims; None for methods that move both players at once.

    Their gradients are taken at one point by other means than a backward pass into ``.grad``, which it follows.
    """
    if not _alone(run) or not _watchable(run):
        return None
    optimizers = (run.generator_optimizer, run.critic_optimizer)
    return Monitor(
        run.generator, run.critic, run.method.loss, penalty=claimed(run.method), optimizers=optimizers, ema=run.average
    )


def _alone(run: Run) -> bool:
    """Whether no other process takes part: what one of several ranks sees is not the batch."""
    return run.ranks is None


def _watchable(run: Run) -> bool:
    """Whether each player's gradient is that of a backward pass of its own."""
    optimizers = (run.generator_optimizer, run.critic_optimizer)
    return not (run.method.simultaneous or run.lookahead is not None or any(map(extrapolating, optimizers)))


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


class Watch:
    """Watches a training: called after each step; the diagnosis is kept now and then, and at the end.

    Attributes:
        monitor: None where nothing can be watched.
        trouble: What was found first, in words; empty while nothing is wrong.
    """

    def __init__(self, run: Run, folder: Path, settings: TrainingSettings) -> None:
        self.run, self.folder, self.settings = run, folder, settings
        self.monitor = monitor_of(run)
        self.trouble, self._asked = "", 0

    def __call__(self) -> str:
        """Why the training should stop; empty to go on."""
        if self.monitor is None:
            return ""
        self.monitor.step(None)
        if self.run.step % self.settings.log_every:
            return ""
        found = keep(self.monitor, self.folder)
        if not found.healthy and not self.trouble:
            first = next(f for f in found if f.cause != "healthy" and f.confidence != "low")
            self.trouble = f"{first.title} ({first.cause}), since step {first.since}"
        if self.settings.on_trouble == "probe" and self.run.step >= 2 * self._asked and self.monitor.troubled():
            self._asked = max(self.run.step, 1)
            respond(self.monitor)
            keep(self.monitor, self.folder)
        return self.trouble if self.settings.on_trouble == "stop" else ""


@contextlib.contextmanager
def watching(run: Run, folder: Path, settings: TrainingSettings) -> Iterator[Watch]:
    """Watch a training while it is in this block."""
    watch = Watch(run, folder, settings)
    try:
        yield watch
    finally:
        if watch.monitor is not None:
            with contextlib.suppress(UserError, OSError):
                keep(watch.monitor, folder)
            watch.monitor.close()


def keep(monitor: Monitor, folder: Path, name: str = DIAGNOSIS) -> Diagnosis:
    """Write ``RUN/diagnosis.json``."""
    found = monitor.diagnose()
    _write(found, folder / name)
    return found


def _write(found: Diagnosis, path: Path) -> None:
    write_atomically(path, json.dumps(found.to_json(), indent=1, default=str).encode() + b"\n")


def refuse_unwatched(run: Run, settings: TrainingSettings) -> None:
    """Refuse to wait for trouble that nobody looks for.

    Raises:
        UserError: ``on_trouble`` asks for something, and the run cannot be watched.
    """
    if settings.on_trouble != "continue" and (not _alone(run) or not _watchable(run)):
        why = "moves both players at once" if _alone(run) else "is spread over several processes"
        raise UserError(
            f"Expected a training that can be watched for --on-trouble {settings.on_trouble}, got one that {why}; "
            "leave the option out."
        )


def checked(assembled: Assembled) -> Diagnosis | None:
    """A preflight of a run on its first batch, which changes nothing; None where it cannot be watched or is not asked.

    Raises:
        UserError: Something is wrong with which no training can succeed.
    """
    run, settings = assembled.run, assembled.config.training
    if not settings.preflight or not _alone(run) or not _watchable(run):
        return None
    batch = assembled.dataset.batch(assembled.sampler.indices(0))
    real = batch.x.to(run.device)
    labels = batch.labels.to(run.device) if batch.labels is not None and assembled.config.data.conditional else None
    z = run.latents(len(real), torch.Generator().manual_seed(settings.seed))
    optimizers = (run.generator_optimizer, run.critic_optimizer)
    with run.autocast():
        found = preflight(
            run.generator, run.critic, real, run.method.loss, optimizers, claimed(run.method), z=z, labels=labels
        )
    for finding in certain(found):
        raise UserError(
            f"Expected a training that can succeed, got one that cannot: {finding.title.lower()} ({finding.cause}). "
            f"{finding.sentence} {finding.remedy} --no-preflight trains all the same."
        )
    return found


def note(found: Diagnosis, folder: Path, say: Callable[[str], None]) -> None:
    """Write ``RUN/preflight.json``, and say what it found that is no reason to refuse."""
    _write(found, folder / PREFLIGHT)
    for finding in found:
        if finding.cause != "healthy" and finding.confidence != "low":
            say(f"note: {finding.title} ({finding.cause}): {finding.sentence}")
