"""Train a run in its folder: log, sample, evaluate and checkpoint until the budget is spent or a stop is asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from tightrope._plumbing.errors import UserError, said_by
from tightrope._plumbing.files import make_folder
from tightrope._plumbing.progress import Progress
from tightrope.drawing.dataset import real_examples, write_samples
from tightrope.runs import conditioning
from tightrope.runs.assemble import Assembled
from tightrope.runs.budget import Clock
from tightrope.runs.checkpoint import checkpoint_paths, refuse_non_finite
from tightrope.runs.folder import remove_leftovers
from tightrope.runs.stop import Stop, stop_requests
from tightrope.runs.watch import watching
from tightrope.training import Run, distributed
from tightrope.training.loop import train_until
from tightrope.training.ranks import Ranks

T = TypeVar("T")

COMPARED_EVERY = 500
"""Steps between two comparisons of the ranks' weights."""

if TYPE_CHECKING:
    from tightrope.runs.book import Book


@dataclass
class Outcome:
    """How training ended: ``finished``, or ``stopped`` with the reason."""

    state: str
    reason: str


def fit(
    folder: Path,
    assembled: Assembled,
    *,
    seconds: float = 0.0,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Train until the configured budget is spent, keeping the run folder up to date.

    The records are a pure function of the configuration (but for times): logging, sampling and evaluating draw from
    random streams of their own and change no weight. What an evaluation meets, too few samples or an error, is written
    down, and training goes on.

    Args:
        folder: Run folder, locked by the caller.
        assembled: Run, data and configuration.
        seconds: Training time of earlier calls.
        progress: Where to show it.
        clock: From when on a budget of time counts, and what it has to leave room for; from now on if not given.

    Returns:
        How it ended. On SIGINT or SIGTERM the step is completed and saved first; an evaluation is broken off.

    Raises:
        NonFiniteError: Training met a value that is not finite; the status says so, the last checkpoint stands.
        UserError: Something could not be written. Whatever else ends the training is raised too, and the status says
            so.
    """
    from tightrope.runs.book import Book  # evaluations, spectra, pictures: not before training begins

    progress = Progress() if progress is None else progress
    counted = Clock(time.monotonic()) if clock is None else clock
    if not distributed.leads(assembled.run.ranks):
        return _follow(assembled)
    with stop_requests() as stop:
        led = Led(assembled.run.ranks, stop)

        def open_book() -> Book:
            remove_leftovers(folder)
            real = real_examples(assembled.dataset, by_class=assembled.config.data.conditional)
            write_samples(make_folder(folder / "samples") / "real.png", real, assembled.dataset)
            return Book(folder, assembled, seconds, progress, stop, counted)

        book = led(open_book)
        try:
            _train(book, led)
            if not led.asked:
                led(lambda: _finish(book))
        except BaseException as error:  # whatever it is, the run has stopped
            with contextlib.suppress(UserError, OSError):
                book.status("stopped", said_by(error))
            raise
        finally:
            progress.close()
            book.close()
        outcome = led.outcome()
        book.status(outcome.state, outcome.reason)
        return outcome


class Led:
    """What the leader of several ranks does while the others wait; in a process of its own, just done."""

    def __init__(self, ranks: Ranks | None, stop: Stop) -> None:
        self.ranks, self.stop, self._agreed = ranks, stop, False

    @property
    def asked(self) -> bool:
        """Whether to stop: as all ranks heard it when they last met, since a signal reaches each at another moment."""
        return bool(self.stop.asked) if self.ranks is None else self._agreed

    def __call__(self, work: Callable[[], T]) -> T:
        """Do it."""
        return work() if self.ranks is None else cast("T", self._meet(work))

    def wait(self) -> None:
        """Take part in one piece of the leader's work, in the order in which it comes there."""
        self._meet(None)

    def outcome(self) -> Outcome:
        """How training ended."""
        return Outcome("stopped", self.stop.reason) if self.asked else Outcome("finished", "")

    def _meet(self, work: Callable[[], T] | None) -> T | None:
        assert self.ranks is not None
        done, self._agreed = self.ranks.meet(work, stop=lambda: bool(self.stop.asked))
        if self._agreed:
            self.stop.asked = self.stop.asked or "a signal to another rank"
        return done


def _follow(assembled: Assembled) -> Outcome:
    """Train as :func:`fit` does on a rank that does not lead: nothing is written."""
    run, settings = assembled.run, assembled.config.training
    with stop_requests() as stop:
        led = Led(run.ranks, stop)
        led.wait()
        led.wait()
        over = None if settings.minutes is None else lambda: False
        if not led.asked:
            for _ in train_until(run, assembled.sampler, steps=settings.steps, images=settings.images, over=over):
                _compare(run)
                led.wait()
                if led.asked:
                    led.wait()
                    break
        if not led.asked:
            led.wait()
        return led.outcome()


def _train(book: Book, led: Led) -> None:
    settings, run, progress = book.settings, book.assembled.run, book.progress
    by_images = settings.steps is None and settings.images is not None
    seen = run.images_seen if by_images else run.step

    def before() -> None:
        book.status("running")
        if not checkpoint_paths(book.folder):
            book.save()
        if run.step == 0 and not (book.folder / conditioning.RECORD).exists():
            book.follow_conditioning()
        if run.step == 0:
            book.sample()
        book.catch_up()
        progress.stage("images" if by_images else "steps", settings.images if by_images else settings.steps, done=seen)
        book.plan()
        book.start_clock()

    led(before)
    if led.asked:  # where the run stands is saved already, and what was broken off is still due there
        return
    over = None if settings.minutes is None else book.over
    with watching(run, book.folder, settings, progress.say, book.spare) as watched:
        for step in train_until(run, book.assembled.sampler, steps=settings.steps, images=settings.images, over=over):
            _compare(run)
            trouble = watched()
            shown = led(partial(book.after, step))
            past, seen = seen, step.images_seen if by_images else step.step
            progress.advance(seen - past, shown)
            if trouble and not led.stop.asked:
                led.stop.asked = f"its monitor: {trouble}"
            if led.asked:
                led(partial(_stop, book))
                return


def _compare(run: Run) -> None:
    """Now and then, make sure that the ranks have not drifted apart."""
    if run.ranks is not None and run.step % COMPARED_EVERY == 0:
        run.ranks.compare(run.generator)
        run.ranks.compare(run.critic)


def _stop(book: Book) -> None:
    """Save, then show where it stopped."""
    book.save()
    book.sample(last=True)


def _finish(book: Book) -> None:
    """Save and sample first, so that nothing an evaluation meets can lose them."""
    refuse_non_finite(book.assembled)
    book.sample(last=True)
    book.save()
    book.release()
    step = book.assembled.run.step
    if book.settings.between_n is not None and book.last_between != step:
        book.evaluate(full=False)  # to be compared with those before
    if book.last_evaluation != step:
        book.evaluate()
