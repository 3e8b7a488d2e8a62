"""The Monitor of a run: what its method claims, and the file that its diagnosis is kept in."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from tightrope import constraints, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope.methods import Method
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.preflight import certain, preflight
from tightrope.monitor.responses import open_question
from tightrope.monitor.what_if.respond import respond
from tightrope.optimizers.extragradient import extrapolating
from tightrope.runs.assemble import Assembled
from tightrope.runs.config import TrainingSettings
from tightrope.runs.diagnosis import command
from tightrope.runs.earlier import counted_from, read_earlier, together
from tightrope.runs.rows import DIAGNOSIS, PREFLIGHT
from tightrope.training import Run

SHARE, LEAST, MOST = 0.1, 5.0, 60.0
"""Of the time trained so far that copies may take when they are asked, and its ends in seconds."""


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

    def __init__(
        self,
        run: Run,
        folder: Path,
        settings: TrainingSettings,
        say: Callable[[str], None],
        left: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.run, self.folder, self.settings, self.say, self._left = run, folder, settings, say, left
        self._began = time.monotonic()
        self.monitor = monitor_of(run)
        self.trouble, self._asked = "", 0
        self._start = run.step
        self._earlier = read_earlier(folder / DIAGNOSIS) if run.step else None

    def __call__(self) -> str:
        """Why the training should stop; empty to go on."""
        if self.monitor is None:
            return ""
        self.monitor.step(None)
        if self.run.step % self.settings.log_every:
            return ""
        found = self.keep()
        if not found.healthy and not self.trouble:
            first = next(f for f in found if f.cause != "healthy" and f.confidence != "low")
            self.trouble = f"{first.title} ({first.cause}), since step {first.since}"
        if self.settings.on_trouble == "probe" and self.run.step >= 2 * self._asked and self.monitor.troubled():
            self._asked = max(self.run.step, 1)
            self._ask(self.monitor)
        return self.trouble if self.settings.on_trouble == "stop" else ""

    def _ask(self, monitor: Monitor) -> None:
        """Ask copies what would help, for at most a share of the time trained so far, and say what came out."""
        seconds = min(max(SHARE * (time.monotonic() - self._began), LEAST), MOST)
        if 2 * seconds > self._left():  # a copy's last step may be long
            return
        self.say(
            f"step {self.run.step}: samples stay far from the data; copies are asked what would help ({seconds:.0f} s)"
        )
        respond(monitor, seconds)
        found = self.keep()
        for finding in (f for f in found if f.evidence.get("change")):
            self.say(f"note: {finding.sentence} {finding.remedy} {found.next_step}")

    def keep(self) -> Diagnosis:
        """Write ``RUN/diagnosis.json``, with the command that finds out more; give what was found since the start."""
        assert self.monitor is not None
        speed = self.monitor.steps / max(time.monotonic() - self._began, 1e-9)
        found = self.monitor.diagnose()
        found = counted_from(found, self._start)
        whole = together(found, self._earlier, self._start)
        whole = replace(whole, next_step=command(self.folder, whole, speed, self.run.method.hyperparameters))
        _write(whole, self.folder / DIAGNOSIS)
        return replace(found, next_step=whole.next_step)

    def end(self) -> None:
        """Keep the diagnosis for the last time, and say where a question stays open what answers it."""
        if self.monitor is None:
            return
        with contextlib.suppress(UserError, OSError):
            found = self.keep()
            if self.monitor.troubled() and open_question(found) and found.next_step:
                self.say(f"note: samples stay far from the data, and nothing found says why. {found.next_step}")
        self.monitor.close()


@contextlib.contextmanager
def watching(
    run: Run,
    folder: Path,
    settings: TrainingSettings,
    say: Callable[[str], None] = lambda text: None,
    left: Callable[[], float] = lambda: math.inf,
) -> Iterator[Watch]:
    """Watch a training while it is in this block.

    Args:
        run: The training.
        folder: Where the diagnosis is kept.
        settings: What to do on trouble.
        say: Prints a line.
        left: Seconds that may still be used.

    Yields:
        What watches it.
    """
    watch = Watch(run, folder, settings, say, left)
    try:
        yield watch
    finally:
        watch.end()


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
