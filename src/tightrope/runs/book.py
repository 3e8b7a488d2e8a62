"""The records of a run, kept while its loop runs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from tightrope import spectra
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import Progress, clock
from tightrope.drawing.dataset import picture_size, shuffled_rows, write_samples
from tightrope.metrics import Measurement
from tightrope.monitor import signals
from tightrope.runs import conditioning
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.checkpoint import save_checkpoint
from tightrope.runs.evaluate import evaluate_run, expected_of_run, keep_if_best, record_evaluation, trained
from tightrope.runs.stop import Stop
from tightrope.training import Step

PROBE = 64
"""Samples in the fixed batch on which input gradients are measured."""

SPECTRUM_POINTS = 32
"""Singular values kept per layer in a metrics row."""

FIRST_PICTURE = 60.0
"""Seconds of training after which a picture is made whatever the cadence; then at twice the time, and so on."""

WORTH_SAYING = 5.0
"""Seconds from which an evaluation is announced."""


class Book:
    """Writes down what is due after each step, within what the budget of time leaves.

    Attributes:
        last_evaluation: Step of the last evaluation that gave numbers; -1 for none.
        reserved: Seconds of the budget kept for the last evaluation.
        saving: Seconds that the last checkpoint took.
        picture_at: Seconds of training after which the next picture is due whatever the step.
    """

    def __init__(self, folder: Path, assembled: Assembled, seconds: float, progress: Progress, stop: Stop) -> None:
        self.folder, self.assembled, self.progress, self.stop = folder, assembled, progress, stop
        self.settings = assembled.config.training
        self.began = time.monotonic() - seconds
        self.saved_at, self.picture_at = time.monotonic(), FIRST_PICTURE
        while self.picture_at <= seconds:
            self.picture_at *= 2
        self.start_clock()
        probe = assembled.dataset.batch(shuffled_rows(assembled.dataset, PROBE))
        device = assembled.run.device
        self.probe = (probe.x.to(device), None if probe.labels is None else probe.labels.to(device))
        rows = records.read(folder / records.EVALUATIONS)
        measured = [row["step"] for row in rows if row.get("measurements") and isinstance(row.get("step"), int)]
        self.last_evaluation = measured[-1] if measured else -1
        self.reserved, self.saving, self._took = 0.0, 0.0, 0.0
        self.conditioning_every = self.settings.conditioning_every
        self.board: Any = _tensorboard(folder, assembled.run.images_seen) if self.settings.tensorboard else None

    @property
    def seconds(self) -> float:
        """Training time so far, of earlier calls too."""
        return time.monotonic() - self.began

    def start_clock(self) -> None:
        """Time steps from here."""
        self.last_row, self._beside = (time.monotonic(), self.assembled.run.step), 0.0

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return math.inf if self.settings.minutes is None else 60 * self.settings.minutes - self.seconds

    def after(self, step: Step) -> dict[str, float]:
        """Everything that is due after a step, the checkpoint last: what it holds has been recorded."""
        settings, number, began = self.settings, step.step, time.monotonic()
        shown: dict[str, float] = {}
        if number % settings.log_every == 0 or number == 1:
            row = self.log(step)
            shown = {"critic": row["critic_loss"], "generator": row["generator_loss"], "gap": row["gap"]}
        if number % settings.sample_every == 0 or self.seconds >= self.picture_at:
            self.sample()
        if self.conditioning_every is not None and number % self.conditioning_every == 0:
            self.follow_conditioning()
        if settings.evaluate_every is not None and number % settings.evaluate_every == 0:
            shown |= {m.name: m.value for m in self.evaluate()[:1]}
        due = time.monotonic() - self.saved_at >= 60 * settings.checkpoint_minutes
        if number % settings.checkpoint_every == 0 or due:
            self.save()
        self._beside += time.monotonic() - began
        return shown

    def log(self, step: Step) -> dict[str, Any]:
        """Append a row to ``RUN/metrics.jsonl``."""
        row: dict[str, Any] = {"step": step.step, "images_seen": step.images_seen, "seconds": round(self.seconds, 3)}
        then, before = self.last_row
        spent = time.monotonic() - then - self._beside
        row["steps_per_second"] = round((step.step - before) / max(spent, 1e-9), 4)
        self.start_clock()
        row |= signals(self.assembled.run, step, *self.probe, seed=self.settings.seed)
        every, row_before = self.settings.sample_every, step.step - self.settings.log_every
        if step.step // every > row_before // every or step.step == 1:  # a picture is due since the row before
            row["spectra"] = spectra_row(self.assembled)
        records.append(self.folder / records.METRICS, row)
        if self.board is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self.board.add_scalar(name, value, step.images_seen)
        return row

    def sample(self) -> None:
        """Write the picture of this step."""
        path = self.folder / "samples" / f"step_{self.assembled.run.step:08d}.png"
        dataset = self.assembled.dataset
        write_samples(path, trained(self.assembled).sample(picture_size(dataset), seed=self.settings.seed), dataset)
        while self.picture_at <= self.seconds:
            self.picture_at *= 2

    def follow_conditioning(self) -> None:
        """Append a row to ``RUN/conditioning.jsonl``, unless the generator cannot be followed."""
        if self.conditioning_every is not None:
            reason = conditioning.follow(self.folder, self.assembled)
            if reason is not None:
                self.progress.say(f"the generator's conditioning cannot be followed: {reason}")
                self.conditioning_every = None

    def expected(self) -> float:
        """About how many seconds an evaluation takes: the last one's, or an estimate."""
        try:
            return self._took or expected_of_run(self.assembled)
        except Exception:  # it will meet the same, and say so
            return 0.0

    def evaluate(self) -> list[Measurement]:
        """Measure, and write down what was measured, or why it was not; training goes on in either case."""
        began = time.monotonic()
        try:
            with self.stop.at_once():
                expected = self.expected()
                if expected > (left := self.left() - self.reserved):
                    raise UserError(
                        f"left out: it would take about {clock(expected)}, and --minutes leaves {clock(max(left, 0.0))}"
                    )
                if expected > WORTH_SAYING:
                    self.progress.say(
                        f"evaluating against {len(self.assembled.test):,} held-out samples, about {clock(expected)} "
                        "(features of the data, and the classifier that makes them, are computed once and cached)"
                    )
                measurements, reason = evaluate_run(self.assembled), ""
        except KeyboardInterrupt:
            if not self.stop.asked:
                raise
            self.progress.say(f"evaluation at step {self.assembled.run.step} broken off; resume makes it")
            return []
        except Exception as error:  # whatever a measurement meets is no reason to lose a training
            measurements, reason = [], str(error).partition("\n")[0] or type(error).__name__
            self.progress.say(f"no evaluation at step {self.assembled.run.step}: {reason}")
        record_evaluation(self.folder, self.assembled, measurements, self.seconds, reason)
        if measurements:
            keep_if_best(self.folder, self.assembled)
            self.last_evaluation, self._took = self.assembled.run.step, time.monotonic() - began
        if self.board is not None:
            for m in measurements:
                self.board.add_scalar(f"evaluation/{m.name}", m.value, self.assembled.run.images_seen)
        return measurements

    def save(self) -> None:
        """Write a checkpoint, and how far the run is."""
        began = time.monotonic()
        save_checkpoint(self.folder, self.assembled, seconds=self.seconds, keep=self.settings.keep)
        self.status("running")
        self.saved_at = time.monotonic()
        self.saving = self.saved_at - began
        if self.board is not None:
            self.board.flush()

    def status(self, state: str, reason: str = "") -> None:
        """Write ``RUN/status.json``."""
        run = self.assembled.run
        counters = {"step": run.step, "images_seen": run.images_seen}
        records.write_status(self.folder, state, seconds=self.seconds, reason=reason, **counters)

    def close(self) -> None:
        """Let go of what is open."""
        if self.board is not None:
            self.board.close()


def spectra_row(assembled: Assembled) -> dict[str, Any]:
    """Kernel singular values of each critic layer for a metrics row: top, stable rank, and up to 32 values."""
    rows: dict[str, Any] = {}
    found = spectra.kernel_spectra(assembled.run.critic)
    for name, values in found.items():
        chosen = torch.linspace(0, len(values) - 1, min(len(values), SPECTRUM_POINTS)).round().long()
        rows[name] = {
            "sigma": float(values[0]),
            "stable_rank": float(values.square().sum() / values[0].square().clamp(min=1e-30)),
            "values": [float(f"{float(v):.6g}") for v in values[chosen]],
        }
    return rows | {name: {"not_understood": f"held by {held}"} for name, held in found.not_understood.items()}


def _tensorboard(folder: Path, images_seen: int) -> Any:
    """A writer that goes on behind what was seen: events of steps that are run again are dropped."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "Expected the tensorboard package for --tensorboard, got none; run pip install 'tightrope[tensorboard]'."
        ) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=images_seen + 1 if images_seen else None)
