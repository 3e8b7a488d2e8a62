"""Beginning a run in a new folder, and resuming one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder
from tightrope._plumbing.progress import Progress
from tightrope.data import Dataset
from tightrope.runs import rows as records
from tightrope.runs import watch
from tightrope.runs.assemble import Assembled, assemble, with_source
from tightrope.runs.budget import Clock
from tightrope.runs.change import changed, rates_of, refresh_rates_
from tightrope.runs.checkpoint import checkpoint_paths, load_newest, restore, seed_global_
from tightrope.runs.config import Config, check, read_config, write_config
from tightrope.runs.fine_tuning import begin_with
from tightrope.runs.fit import Outcome, fit
from tightrope.runs.folder import checkpoint_steps, met_before, refuse_no_files, refuse_strangers
from tightrope.runs.lock import locked
from tightrope.training import distributed
from tightrope.training.ranks import Ranks

T = TypeVar("T")


def begin(
    folder: Path,
    config: Config,
    dataset: Dataset | None = None,
    *,
    generator: nn.Module | None = None,
    critic: nn.Module | None = None,
    quiet: bool = False,
    began: float | None = None,
    closing: float = 0.0,
) -> Outcome:
    """Create a run folder and train in it. Seeds the global random states from the run's seed.

    Args:
        folder: New or empty folder.
        config: Resolved configuration.
        dataset: The data if it is open already.
        generator: The caller's own generator, with ``critic``, for the network name ``"own"``.
        critic: The caller's own critic.
        quiet: Print no progress.
        began: When a budget of minutes began, by ``time.monotonic``; with this call if not given.
        closing: Seconds that it has to leave for what the caller does afterwards.

    Returns:
        How it ended.

    Raises:
        UserError: The folder holds a run already, or the configuration does not fit together.
        NonFiniteError: Training met a value that is not finite.
    """
    clock = Clock(time.monotonic() if began is None else began, closing)
    if not distributed.launched():  # else the leader refuses below, where the others hear of it
        refuse_strangers(folder)
    check(config)
    torch.set_num_threads(config.training.threads)
    with distributed.joined(config.training.device) as ranks, ExitStack() as held:
        show = not quiet and distributed.leads(ranks)
        assembled = _in_turn(
            ranks, lambda: assemble(config, dataset, generator=generator, critic=critic, progress=show)
        )
        watch.refuse_unwatched(assembled.run, config.training)

        def take() -> None:
            held.enter_context(locked(make_folder(folder)))
            refuse_strangers(folder)
            write_config(folder, assembled.config)
            met_before(folder, config.data.source)

        progress = Progress(show=show)
        _fine_tune(config, assembled, progress)
        found = watch.checked(assembled)
        _led(ranks, take)
        if found is not None:
            watch.note(found, folder, progress.say)
        seed_global_(config.training.seed)
        _share(assembled, ranks)
        return fit(folder, assembled, progress=progress, clock=clock)


def resume(
    folder: Path,
    *,
    steps: int | None = None,
    more_steps: int | None = None,
    images: int | None = None,
    minutes: float | None = None,
    data: str | None = None,
    changes: Mapping[str, Any] | None = None,
    generator: nn.Module | None = None,
    critic: nn.Module | None = None,
    quiet: bool = False,
    began: float | None = None,
    closing: float = 0.0,
) -> Outcome:
    """Go on from the newest checkpoint, as if nothing had happened; on one CPU bit for bit.

    With another rate or weight among ``changes`` it is another run from there on; that is said, and written down in
    the configuration.

    Nothing in the folder changes before everything has been read and fits together.

    Args:
        folder: Run folder.
        steps: New total number of steps; any of the three replaces the configured budget, and is written down.
        more_steps: Steps beyond the newest checkpoint, in place of ``steps``.
        images: New total of real images.
        minutes: New total of minutes.
        data: Where the data are now, if not where the run began; they must be the same.
        changes: Other settings by name from here on: hyperparameters of the method that are numbers, and when and how
            much is logged, drawn, saved, measured and kept (``log_every`` and so on).
        generator: The caller's own generator, for runs that trained one.
        critic: The caller's own critic.
        quiet: Print no progress.
        began: When a budget of minutes began, by ``time.monotonic``; with this call if not given.
        closing: Seconds that it has to leave for what the caller does afterwards.

    Returns:
        How it ended.

    Raises:
        UserError: Not a run folder, held by another process, damaged, or the data has changed.
        NonFiniteError: Training met a value that is not finite.
    """
    clock = Clock(time.monotonic() if began is None else began, closing)
    stored = config = read_config(folder)
    refuse_no_files(folder)
    if more_steps is not None:
        if steps is not None:
            raise UserError("Expected a new total of steps or steps beyond it, got both; leave one out.")
        check_whole("more_steps", more_steps, 1, 1000)
        steps = max(checkpoint_steps(folder), default=0) + more_steps
    if steps is not None or images is not None or minutes is not None:
        budget = dataclasses.replace(config.training, steps=steps, images=images, minutes=minutes)
        config = dataclasses.replace(config, training=budget)
    if changes:
        config = changed(config, changes, max(checkpoint_steps(folder), default=0))
    otherwise = config.method != stored.method
    config = check(with_source(config, data))
    with distributed.joined(config.training.device) as ranks, ExitStack() as held:
        show = not quiet and distributed.leads(ranks)
        _led(ranks, lambda: held.enter_context(locked(folder)))
        torch.set_num_threads(config.training.threads)
        assembled = _in_turn(ranks, lambda: assemble(config, generator=generator, critic=critic, progress=show))
        seed_global_(config.training.seed)

        progress = Progress(show=show)

        def restored() -> float:
            seconds = 0.0
            if checkpoint_paths(folder):
                state, _ = load_newest(folder)
                built = rates_of(assembled)
                seconds = restore(assembled, state)
                if config.changes:  # also of an earlier call, which may have ended before its first checkpoint
                    refresh_rates_(assembled, built)
                if otherwise:
                    now = ", ".join(config.changes[len(stored.changes) :])
                    progress.say(f"{now}: from here on it is another run, and no longer bit for bit the one that began")
                _refuse_less({"steps": steps, "images": images, "minutes": minutes}, assembled, seconds)
            else:
                progress.say(
                    f"{folder} holds no checkpoint, since it ended before its first one: training begins at step 0"
                )
                _fine_tune(config, assembled, progress)
                if (found := watch.checked(assembled)) is not None:
                    watch.note(found, folder, progress.say)  # it may have ended before this was written down
                seed_global_(config.training.seed)
            if otherwise:
                (folder / records.DIAGNOSIS).unlink(missing_ok=True)  # of another run
            if assembled.config != stored:
                write_config(folder, assembled.config)
            for record in (records.METRICS, records.EVALUATIONS, records.CONDITIONING):
                records.forget_after(folder / record, assembled.run.step)
            records.forget_pictures_after(folder, assembled.run.step)
            return seconds

        seconds = _led(ranks, restored) or 0.0
        _share(assembled, ranks)
        return fit(folder, assembled, seconds=seconds, progress=progress, clock=clock)


def _in_turn(ranks: Ranks | None, work: Callable[[], T]) -> T:
    """What every rank does, the leader first."""
    return work() if ranks is None else ranks.in_turn(work)


def _led(ranks: Ranks | None, work: Callable[[], T]) -> T | None:
    """What the leader does while the others wait; None from these."""
    if ranks is None:
        return work()
    return ranks.meet(work if ranks.leads else None)[0]


def _share(assembled: Assembled, ranks: Ranks | None) -> None:
    """Bring every rank to where the leader stands."""
    distributed.share(assembled.run, ranks)
    if ranks is not None:
        assembled.sampler.load_state_dict(ranks.same(assembled.sampler.state_dict()))


def _fine_tune(config: Config, assembled: Assembled, progress: Progress) -> None:
    """Begin with the weights of another run where the configuration says so."""
    if config.training.from_run:
        for note in begin_with(assembled.run, Path(config.training.from_run)):
            progress.say(note)


def _refuse_less(given: dict[str, float | None], assembled: Assembled, seconds: float) -> None:
    """Refuse a new total that the run has passed; one that it has just reached lets it end."""
    stand = {"steps": assembled.run.step, "images": assembled.run.images_seen, "minutes": seconds / 60}
    for name, reached in stand.items():
        total = given[name]
        if total is not None and total < reached:
            raise UserError(
                f"Expected a new total of {name} of at least {reached:.10g}, where the run stands, got {total:.10g}; "
                f"--{name} counts from the beginning."
            )
