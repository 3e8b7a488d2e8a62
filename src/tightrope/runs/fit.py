"""Train a run in its folder: log, sample, evaluate and checkpoint until the budget is spent or a stop is asked for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tightrope import spectra
from tightrope._plumbing.files import remove_leftovers
from tightrope.drawing.dataset import picture_size, real_examples, write_samples
from tightrope.metrics import Measurement
from tightrope.monitor import signals
from tightrope.runs import conditioning
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.checkpoint import checkpoint_paths, save_checkpoint
from tightrope.runs.evaluate import announce, evaluate_run, record_evaluation, trained
from tightrope.runs.progress import Progress
from tightrope.training import Step, train
from tightrope.training.nonfinite import NonFiniteError

PROBE = 64
"""Samples in the fixed batch on which input gradients are measured."""

SPECTRUM_POINTS = 32
"""Singular values kept per layer in a metrics row."""


@dataclass
class Outcome:
    """How training ended: ``finished``, or ``stopped`` with the reason."""

    state: str
    reason: str


def fit(folder: Path, assembled: Assembled, *, seconds: float = 0.0, progress: Progress | None = None) -> Outcome:
    """Train until the configured budget is spent, keeping the run folder up to date.

    The records are a pure function of the configuration (but for times): logging, sampling and evaluating draw from
    random streams of their own and change no weight.

    Args:
        folder: Run folder, locked by the caller.
        assembled: Run, data and configuration.
        seconds: Training time of earlier calls.
        progress: Where to show it.

    Returns:
        How it ended. On SIGINT or SIGTERM the step is completed and saved first.

    Raises:
        NonFiniteError: Training met a value that is not finite; the status says so, the last checkpoint stands.
        UserError: Something could not be written.
    """
    settings, run = assembled.config.training, assembled.run
    progress = Progress(settings) if progress is None else progress
    book = _Book(folder, assembled, seconds)
    remove_leftovers(folder)
    (folder / "samples").mkdir(exist_ok=True)
    write_samples(folder / "samples" / "real.png", real_examples(assembled.dataset), assembled.dataset)
    book.status("running")
    if not checkpoint_paths(folder):
        book.save()
    if run.step == 0 and not (folder / conditioning.RECORD).exists():
        book.follow_conditioning(progress)
    with _stop_requests() as stop:
        try:
            for step in train(
                run,
                assembled.sampler,
                steps=settings.steps,
                images=settings.images,
                minutes=_minutes(assembled, seconds),
            ):
                book.after(step, progress)
                if stop:
                    book.save()
                    book.status("stopped", f"stopped by {stop[0]}")
                    return Outcome("stopped", f"stopped by {stop[0]}")
        except NonFiniteError as error:
            book.status("stopped", str(error))
            raise
        finally:
            progress.close()
    if book.last_evaluation != run.step:
        book.evaluate(progress)
    book.sample()
    book.save()
    book.status("finished")
    return Outcome("finished", "")


def _minutes(assembled: Assembled, seconds: float) -> float | None:
    minutes = assembled.config.training.minutes
    return None if minutes is None else max(minutes - seconds / 60, 0.0)


class _Book:
    """Keeps the folder's records while the loop runs."""

    def __init__(self, folder: Path, assembled: Assembled, seconds: float) -> None:
        self.folder, self.assembled = folder, assembled
        self.settings = assembled.config.training
        self.seconds_before, self.began = seconds, time.monotonic()
        self.saved_at = time.monotonic()
        self.last_row = (time.monotonic(), assembled.run.step)
        probe = assembled.dataset.batch(torch.arange(min(PROBE, len(assembled.dataset))))
        self.probe = (probe.x.to(assembled.run.device), None if probe.labels is None else probe.labels)
        evaluations = records.read(folder / "evaluations.jsonl")
        self.last_evaluation = int(evaluations[-1]["step"]) if evaluations else -1
        self.conditioning_every = self.settings.conditioning_every
        self.board: Any = _tensorboard(folder) if self.settings.tensorboard else None

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.began

    def after(self, step: Step, progress: Progress) -> None:
        """Everything that is due after a step, the checkpoint last: what it holds has been recorded."""
        settings, number = self.settings, step.step
        shown: dict[str, float] | None = None
        if number % settings.log_every == 0 or number == 1:
            row = self.log(step)
            shown = {"critic": row["critic_loss"], "generator": row["generator_loss"], "gap": row["gap"]}
        if number % settings.sample_every == 0:
            self.sample()
        if self.conditioning_every is not None and number % self.conditioning_every == 0:
            self.follow_conditioning(progress)
        if settings.evaluate_every is not None and number % settings.evaluate_every == 0:
            first = self.evaluate(progress)[0]
            shown = (shown or {}) | {first.name: first.value}
        due = time.monotonic() - self.saved_at >= 60 * settings.checkpoint_minutes
        if number % settings.checkpoint_every == 0 or due:
            self.save()
        progress.update(number, step.images_seen, shown)

    def log(self, step: Step) -> dict[str, Any]:
        real, labels = self.probe
        labels = labels.to(real.device) if labels is not None else None
        row: dict[str, Any] = {"step": step.step, "images_seen": step.images_seen, "seconds": round(self.seconds, 3)}
        now, (then, before) = time.monotonic(), self.last_row
        row["steps_per_second"] = round((step.step - before) / max(now - then, 1e-9), 4)
        self.last_row = (now, step.step)
        row |= signals(self.assembled.run, step, real, labels, seed=self.settings.seed)
        if step.step % self.settings.sample_every == 0 or step.step == 1:
            row["spectra"] = spectra_row(self.assembled)
        records.append(self.folder / "metrics.jsonl", row)
        if self.board is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self.board.add_scalar(name, value, step.images_seen)
        return row

    def sample(self) -> None:
        path = self.folder / "samples" / f"step_{self.assembled.run.step:08d}.png"
        dataset = self.assembled.dataset
        x = trained(self.assembled).sample(picture_size(dataset), seed=self.settings.seed)
        write_samples(path, x, dataset)

    def follow_conditioning(self, progress: Progress) -> None:
        if self.conditioning_every is not None:
            reason = conditioning.follow(self.folder, self.assembled)
            if reason is not None:
                progress.say(f"the generator's conditioning cannot be followed: {reason}")
                self.conditioning_every = None

    def evaluate(self, progress: Progress) -> list[Measurement]:
        n = self.settings.evaluate_n
        announce(trained(self.assembled), self.assembled.dataset, self.assembled.test, progress.say, n=n)
        measurements = evaluate_run(self.assembled, n=n)
        record_evaluation(self.folder, self.assembled, measurements, self.seconds)
        self.last_evaluation = self.assembled.run.step
        if self.board is not None:
            for m in measurements:
                self.board.add_scalar(f"evaluation/{m.name}", m.value, self.assembled.run.images_seen)
        return measurements

    def save(self) -> None:
        save_checkpoint(self.folder, self.assembled, seconds=self.seconds, keep=self.settings.keep)
        self.saved_at = time.monotonic()
        if self.board is not None:
            self.board.flush()

    def status(self, state: str, reason: str = "") -> None:
        run = self.assembled.run
        counters = {"step": run.step, "images_seen": run.images_seen}
        records.write_status(self.folder, state, seconds=self.seconds, reason=reason, **counters)


def spectra_row(assembled: Assembled) -> dict[str, Any]:
    """Kernel singular values of each critic layer for a metrics row: top, stable rank, and up to 32 values."""
    rows: dict[str, Any] = {}
    for name, values in spectra.kernel_spectra(assembled.run.critic).items():
        chosen = torch.linspace(0, len(values) - 1, min(len(values), SPECTRUM_POINTS)).round().long()
        rows[name] = {
            "sigma": float(values[0]),
            "stable_rank": float(values.square().sum() / values[0].square().clamp(min=1e-30)),
            "values": [float(f"{float(v):.6g}") for v in values[chosen]],
        }
    return rows


@contextmanager
def _stop_requests() -> Iterator[list[str]]:
    """A list that receives the name of SIGINT or SIGTERM instead of the process dying mid-step; a second one kills."""
    asked: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def remember(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signal.Signals(number).name)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        from tightrope._plumbing.errors import UserError

        raise UserError(
            "Expected the tensorboard package for --tensorboard, got none; run pip install 'tightrope[tensorboard]'."
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
