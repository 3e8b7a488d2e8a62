"""Train a run in its folder: log, sample, evaluate and checkpoint until the budget is spent or a stop is asked for."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder
from tightrope._plumbing.progress import Progress, clock
from tightrope.drawing.dataset import real_examples, write_samples
from tightrope.runs import conditioning
from tightrope.runs.assemble import Assembled
from tightrope.runs.checkpoint import checkpoint_paths, refuse_non_finite
from tightrope.runs.folder import remove_leftovers
from tightrope.runs.stop import stop_requests
from tightrope.runs.watch import watching
from tightrope.training import train

if TYPE_CHECKING:
    from tightrope.runs.book import Book


@dataclass
class Outcome:
    """How training ended: ``finished``, or ``stopped`` with the reason."""

    state: str
    reason: str


def fit(folder: Path, assembled: Assembled, *, seconds: float = 0.0, progress: Progress | None = None) -> Outcome:
    """Train until the configured budget is spent, keeping the run folder up to date.

    The records are a pure function of the configuration (but for times): logging, sampling and evaluating draw from
    random streams of their own and change no weight. What an evaluation meets, too few samples or an error, is written
    down, and training goes on.

    Args:
        folder: Run folder, locked by the caller.
        assembled: Run, data and configuration.
        seconds: Training time of earlier calls.
        progress: Where to show it.

    Returns:
        How it ended. On SIGINT or SIGTERM the step is completed and saved first; an evaluation is broken off.

    Raises:
        NonFiniteError: Training met a value that is not finite; the status says so, the last checkpoint stands.
        UserError: Something could not be written. Whatever else ends the training is raised too, and the status says
            so.
    """
    from tightrope.runs.book import Book  # evaluations, spectra, pictures: not before training begins

    progress = Progress() if progress is None else progress
    remove_leftovers(folder)
    write_samples(make_folder(folder / "samples") / "real.png", real_examples(assembled.dataset), assembled.dataset)
    with stop_requests() as stop:
        book = Book(folder, assembled, seconds, progress, stop)
        try:
            _train(book)
            if not stop.asked:
                _finish(book)
        except BaseException as error:  # whatever it is, the run has stopped
            with contextlib.suppress(UserError, OSError):
                book.status("stopped", str(error) or type(error).__name__)
            raise
        finally:
            progress.close()
            book.close()
        outcome = Outcome("stopped", stop.reason) if stop.asked else Outcome("finished", "")
        book.status(outcome.state, outcome.reason)
        return outcome


def _train(book: Book) -> None:
    settings, run, progress = book.settings, book.assembled.run, book.progress
    book.status("running")
    if not checkpoint_paths(book.folder):
        book.save()
    if run.step == 0 and not (book.folder / conditioning.RECORD).exists():
        book.follow_conditioning()
    if run.step == 0:
        book.sample()
    by_images = settings.steps is None and settings.images is not None
    seen = run.images_seen if by_images else run.step
    progress.stage("images" if by_images else "steps", settings.images if by_images else settings.steps, done=seen)
    book.start_clock()
    with watching(run, book.folder, settings.log_every) as watched:
        for step in train(
            run, book.assembled.sampler, steps=settings.steps, images=settings.images, minutes=_minutes(book)
        ):
            watched()
            shown = book.after(step)
            before, seen = seen, step.images_seen if by_images else step.step
            progress.advance(seen - before, shown)
            if book.stop.asked:
                book.save()
                return


def _minutes(book: Book) -> float | None:
    """What the budget leaves for steps: all but the last evaluation, unless that would take more than half."""
    if book.settings.minutes is None:
        return None
    left, last = book.left(), book.expected()
    reserved = 1.5 * last + 2 * book.saving + 1.0  # estimates are rough, and a picture and a checkpoint come before it
    if reserved > left / 2:
        book.progress.say(
            f"no evaluation at the end: it would take about {clock(last)}, and --minutes leaves {clock(max(left, 0))}"
        )
        reserved = 0.0
    book.reserved = reserved
    return max(left - reserved, 0.0) / 60


def _finish(book: Book) -> None:
    """Save and sample first, so that nothing an evaluation meets can lose them."""
    refuse_non_finite(book.assembled)
    book.sample()
    book.save()
    book.reserved = 0.0
    if book.last_evaluation != book.assembled.run.step:
        book.evaluate()
