"""The records of a run, kept while its loop runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from tightrope import spectra
from tightrope._plumbing.errors import UserError, why
from tightrope._plumbing.progress import Progress, clock
from tightrope.drawing.dataset import PAIRS, picture_labels, picture_size, shuffled_rows, write_nearest, write_samples
from tightrope.metrics import Measurement
from tightrope.monitor import signals
from tightrope.runs import conditioning
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.boards import boards
from tightrope.runs.budget import GUESSED, MEASURED, Budget, Clock
from tightrope.runs.cadence import spent
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
        last_evaluation: Step of the last evaluation at its full size that gave numbers; -1 for none.
        last_between: Step of the last evaluation of any size that did.
        budget: What is left of the time.
        reserved: Seconds of it kept for what comes after the last step.
        picture_at: Seconds of training after which the next picture is due whatever the step.
    """

    def __init__(
        self, folder: Path, assembled: Assembled, seconds: float, progress: Progress, stop: Stop, clock: Clock
    ) -> None:
        self.folder, self.assembled, self.progress, self.stop = folder, assembled, progress, stop
        self.settings = assembled.config.training
        self.began = time.monotonic() - seconds
        self.budget = Budget(self.settings.minutes, before=seconds, clock=clock)
        self._startup = time.monotonic() - clock.began
        self.saved_at, self.picture_at, self._shown = time.monotonic(), FIRST_PICTURE, -1
        self.reserved, self._room, self._last, self._ending = 0.0, 0.0, 0.0, False
        self._guesses: dict[int | None, float] = {}
        self._passed = self._parts(seconds)
        self._tenth = self._passed // 10
        while self.picture_at <= seconds:
            self.picture_at *= 2
        self.start_clock()
        probe = assembled.dataset.batch(shuffled_rows(assembled.dataset, PROBE))
        device = assembled.run.device
        self.probe = (probe.x.to(device), None if probe.labels is None else probe.labels.to(device))
        known = records.decode(folder / records.EVALUATIONS, records.Evaluation)[0]
        self._tried = known[-1].step if known else -1
        rows = [row for row in known if row.measurements]
        self.last_between = rows[-1].step if rows else -1
        whole = [row for row in rows if row.measurements[0].protocol.n_fake != self.settings.between_n]
        self.last_evaluation = whole[-1].step if whole else -1
        self.conditioning_every = self.settings.conditioning_every
        self.boards = boards(folder, assembled.config, assembled.run.images_seen)

    @property
    def seconds(self) -> float:
        """Training time so far, of earlier calls too."""
        return time.monotonic() - self.began

    def start_clock(self) -> None:
        """Time steps from here."""
        self._stepped = time.monotonic()
        self.last_row, self._beside = (self._stepped, self.assembled.run.step), 0.0

    def plan(self) -> None:
        """Keep time for the end: with the last evaluation, unless that would take more than half of what is left."""
        if self.settings.minutes is None:
            return
        left, ending = self.budget.left, self.budget.ending
        self._room = max(left - ending, 0.0) / 2
        self._reserve()
        if self._room == 0.0:
            self.progress.say(
                f"--minutes {self.settings.minutes:g} leaves no time for steps: it took {clock(self._startup)} to "
                f"begin, and {clock(ending)} are kept for the end"
            )
        elif self._last > self._room:
            self.progress.say(
                f"no evaluation at the end: it would take about {clock(self._last)}, and --minutes leaves {clock(left)}"
            )

    def _reserve(self) -> None:
        """Keep for the end what it is now thought to take."""
        if self.settings.minutes is not None and not self._ending:
            small = self.settings.between_n is not None  # the end makes that one too
            self._last = self._expected(full=True)[1] + (self._expected(full=False)[1] if small else 0.0)
            self.reserved = self.budget.ending + (self._last if self._last <= self._room else 0.0)

    def release(self) -> None:
        """Let the last evaluations have the time that was kept for them."""
        self._ending, self.reserved = True, self.budget.closing

    def spare(self) -> float:
        """Seconds of the budget that are left beside those kept for the end."""
        return self.budget.left - self.reserved

    def over(self) -> bool:
        """Whether the time for steps is over: one like the last would not end in it."""
        return self.spare() < max(self.budget.took("step") or 0.0, 1e-9)

    def after(self, step: Step) -> dict[str, float]:
        """Everything that is due after a step, the checkpoint last: what it holds has been recorded."""
        began, due = time.monotonic(), self._due(step.step)
        self.budget.note("step", began - self._stepped)
        shown: dict[str, float] = {}
        if due:
            self.assembled.run.settle()
        if "log" in due:
            row = self.log(step)
            shown = {"critic": row["critic_loss"], "generator": row["generator_loss"], "gap": row["gap"]}
        if "sample" in due or self.seconds >= self.picture_at:
            self.sample()
        if self.conditioning_every is not None and step.step % self.conditioning_every == 0:
            self.follow_conditioning()
        if "evaluate" in due:
            shown |= {m.name: m.value for m in self.evaluate(full=self.settings.between_n is None)[:1]}
        late = time.monotonic() - self.saved_at >= 60 * self.settings.checkpoint_minutes
        if "checkpoint" in due or late:
            self.save()
        self._stepped = time.monotonic()
        self._beside += self._stepped - began
        return shown

    def _due(self, number: int) -> set[str]:
        """What is due after a step: by its number, or by the part of the budget that has been passed with it."""
        settings = self.settings
        every = {
            "log": settings.log_every,
            "sample": settings.sample_every,
            "checkpoint": settings.checkpoint_every,
            "evaluate": settings.evaluate_every,
        }
        due = {name for name, steps in every.items() if steps is not None and number % steps == 0}
        passed, self._passed = self._passed, self._parts(self.seconds)
        new = {"log"} if self._passed > passed else set()
        new |= {"sample", "checkpoint", "evaluate"} if self._passed // 10 > passed // 10 else set()
        return due | (new & set(settings.at_tenths)) | ({"log"} if number == 1 else set())

    def _parts(self, seconds: float) -> int:
        """Hundredths of the budget that are spent, the last of them aside: what ends the run is done at its end."""
        run = self.assembled.run
        stood = {"step": run.step, "images": run.images_seen}
        share = spent(self.settings, **stood, seconds=seconds, reserved=self.reserved + self._startup)
        return min(int(100 * share), 99)

    def log(self, step: Step) -> dict[str, Any]:
        """Append a row to ``RUN/metrics.jsonl``."""
        row: dict[str, Any] = {"step": step.step, "images_seen": step.images_seen, "seconds": round(self.seconds, 3)}
        then, before = self.last_row
        spent = time.monotonic() - then - self._beside
        row["steps_per_second"] = round((step.step - before) / max(spent, 1e-9), 4)
        self.start_clock()
        row |= signals(self.assembled.run, step, *self.probe, seed=self.settings.seed)
        if self._picture_since(step.step - self.settings.log_every, step.step) or step.step == 1:
            row["spectra"] = spectra_row(self.assembled)
        records.append(self.folder / records.METRICS, row)
        curves = {name: value for name, value in row.items() if isinstance(value, float)}
        for board in self.boards:
            board.scalars(curves, step.images_seen)
        return row

    def _picture_since(self, before: int, now: int) -> bool:
        """Whether a picture is due since the row before."""
        every = self.settings.sample_every
        if every is not None:
            return now // every > before // every
        tenth, self._tenth = self._tenth, self._passed // 10
        return self._tenth > tenth

    def sample(self, *, last: bool = False) -> None:
        """Write the picture of this step; of the last one also which training images its images are nearest to."""
        if not last and not self.budget.fits("picture", self.reserved):
            return
        with self.budget.timed("picture"):
            few = self._picture()
        if last and few is not None and self.assembled.dataset.kind == "images":
            with self.budget.timed("nearest"):
                write_nearest(self.folder / "samples" / "nearest.png", few, self.assembled.dataset)

    def _picture(self) -> torch.Tensor | None:
        """Write the picture, and return some of its samples, of all classes; None if they are not finite."""
        path = self.folder / "samples" / f"step_{self.assembled.run.step:08d}.png"
        dataset, generator = self.assembled.dataset, trained(self.assembled)
        labels = picture_labels(dataset) if generator.classes else None
        n = picture_size(dataset) if labels is None else len(labels)
        x = generator.sample(n, seed=self.settings.seed, labels=labels)
        while self.picture_at <= self.seconds:
            self.picture_at *= 2
        if not bool(x.isfinite().all()):
            self.progress.say(f"no picture of step {self.assembled.run.step}: the samples hold NaN or infinity")
            return None
        write_samples(path, x, dataset)
        shown, self._shown = self._shown, self.assembled.run.step
        units = dataset.to_units(x) if dataset.kind == "images" else None
        for board in self.boards if shown < self._shown else ():
            board.picture(path, units, self.assembled.run.images_seen)
        return x if labels is None else x[torch.linspace(0, len(x) - 1, PAIRS).round().long()]

    def follow_conditioning(self) -> None:
        """Append a row to ``RUN/conditioning.jsonl``, unless the generator cannot be followed."""
        if self.conditioning_every is not None and self.budget.fits("conditioning", self.reserved):
            with self.budget.timed("conditioning"):
                reason = conditioning.follow(self.folder, self.assembled)
            if reason is not None:
                self.progress.say(f"the generator's conditioning cannot be followed: {reason}")
                self.conditioning_every = None

    def _expected(self, *, full: bool) -> tuple[float, float]:
        """About how many seconds an evaluation takes, and at most: from what the last of its size took, or a guess."""
        n = self._n(full=full)
        if (took := self.budget.took(("evaluation", n))) is not None:
            return took, MEASURED * took
        about = self.budget.slower * self._guess(n)
        return about, GUESSED * about

    def _guess(self, n: int | None) -> float:
        if n not in self._guesses:
            try:
                self._guesses[n] = expected_of_run(self.assembled, n)
            except Exception:  # it will meet the same, and say so
                return 0.0
        return self._guesses[n]

    def _learn(self, n: int | None, seconds: float) -> None:
        """Take in what an evaluation took; the first one's guess is of little worth, since much is new to it."""
        first = not any(self.budget.took(("evaluation", size)) for size in (self._n(full=True), self._n(full=False)))
        self.budget.note(("evaluation", n), seconds)
        if self.settings.minutes is not None:
            if first:
                self._guesses = {}
            else:
                self.budget.slower = max(seconds / max(self._guess(n), 0.1), 1.0)
            self._guess(n)
            self._reserve()

    def _n(self, *, full: bool) -> int | None:
        return self.settings.evaluate_n if full else self.settings.between_n

    def evaluate(self, *, full: bool = True) -> list[Measurement]:
        """Measure, and write down what was measured, or why it was not; training goes on in either case.

        Args:
            full: As the run is judged at its end; else with the fewer samples of evaluations before it.

        Raises:
            KeyboardInterrupt: It came while nobody had asked the run to stop.
            UserError: Never: what is raised inside is written down.
        """
        began, n, left = time.monotonic(), self._n(full=full), self.spare()
        try:
            with self.stop.at_once(left):
                expected, most = self._expected(full=full)
                if (expected if self._ending and full else most) > left:  # nothing after the last one needs the time
                    raise UserError(
                        f"left out: it would take about {clock(expected)}, perhaps {clock(most)}, and --minutes leaves "
                        f"{clock(max(left, 0.0))}"
                    )
                if expected > WORTH_SAYING:
                    self.progress.say(
                        f"evaluating against {len(self.assembled.test):,} held-out samples"
                        f"{'' if full else f', with {n:,} samples until the end'}, about {clock(expected)} "
                        "(features of the data, and the classifier that makes them, are computed once and cached)"
                    )
                measurements, reason = evaluate_run(self.assembled, n), ""
        except KeyboardInterrupt:
            if self.stop.asked:
                again = "; resume makes it" if self.settings.minutes is None else ""
                self.progress.say(f"evaluation at step {self.assembled.run.step} broken off{again}")
                return []
            if not self.stop.late:
                raise
            measurements, reason = [], f"broken off: it took longer than the {clock(left)} that --minutes leaves"
            self.progress.say(f"no evaluation at step {self.assembled.run.step}: {reason}")
        except Exception as error:  # whatever a measurement meets is no reason to lose a training
            measurements, reason = [], why(error)
            self.progress.say(f"no evaluation at step {self.assembled.run.step}: {reason}")
        record_evaluation(self.folder, self.assembled, measurements, self.seconds, reason)
        if measurements:
            keep_if_best(self.folder, self.assembled)
            self.last_between = self.assembled.run.step
            self.last_evaluation = self.last_between if full else self.last_evaluation
            self._learn(n, time.monotonic() - began)
        curve = "last_evaluation" if full and self.settings.between_n is not None else "evaluation"  # two sizes are two
        for board in self.boards:
            board.scalars({f"{curve}/{m.name}": m.value for m in measurements}, self.assembled.run.images_seen)
        return measurements

    def catch_up(self) -> None:
        """Make the evaluation that is due where a resumed run stands, if it was broken off there."""
        every, step = self.settings.evaluate_every, self.assembled.run.step
        if every is not None and step and step % every == 0 and self._tried < step:
            self.evaluate(full=self.settings.between_n is None)

    def save(self) -> None:
        """Write a checkpoint, and how far the run is."""
        began = time.monotonic()
        save_checkpoint(self.folder, self.assembled, seconds=self.seconds, keep=self.settings.keep)
        self.status("running")
        self.saved_at = time.monotonic()
        self.budget.note("checkpoint", self.saved_at - began)
        for board in self.boards:
            board.flush()

    def status(self, state: str, reason: str = "") -> None:
        """Write ``RUN/status.json``."""
        run = self.assembled.run
        counters = {"step": run.step, "images_seen": run.images_seen}
        records.write_status(self.folder, state, seconds=self.seconds, reason=reason, **counters)

    def close(self) -> None:
        """Let go of what is open."""
        for board in self.boards:
            board.close()


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
