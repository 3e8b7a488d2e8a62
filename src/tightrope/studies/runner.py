"""Running a study: claim a run, do it, keep its row, until nothing is left or the time is over.

Any number of processes may run one study; each claims from the same store. Every run is one thread. A run that raises
is tried again, a run that leaves all bounds is a result, a process that is killed loses its claim and nothing else.
"""

from __future__ import annotations

import math
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from tightrope._plumbing.errors import UserError
from tightrope.studies.design import Cell, DivergedError, Row, Scale, canonical, matches
from tightrope.studies.registry import Study, load
from tightrope.studies.store import LEASE_SECONDS, Store, address
from tightrope.studies.versions import library, own_code
from tightrope.training import NonFiniteError

WAIT_SECONDS: Final = 0.3
"""Between two looks at runs that other processes are doing."""


@dataclass(frozen=True)
class Order:
    """What a worker is to do; plain values, so that it travels to other processes and machines.

    Attributes:
        study: Name.
        scale: Of the runs.
        store: File.
        seeds: How many; None for those registered.
        until: Time (``time.time()``) after which no run is started.
    """

    study: str
    scale: Scale
    store: str
    seeds: int | None = None
    until: float = math.inf


@dataclass(frozen=True)
class State:
    """How far a study has come.

    Attributes:
        total: Runs.
        ok: Done.
        diverged: Done, as a result.
        crashed: Given up.
        running: Claimed by living processes.
        seconds_left: Processor seconds of what is not done, by what finished runs took.
        seconds_spent: Processor seconds of what is.
    """

    total: int
    ok: int
    diverged: int
    crashed: int
    running: int
    seconds_left: float
    seconds_spent: float

    @property
    def done(self) -> int:
        """Runs that have a result."""
        return self.ok + self.diverged

    @property
    def missing(self) -> int:
        """Runs that have none."""
        return self.total - self.done


def state(study: Study, store: Store, scale: Scale, seeds: int | None = None) -> State:
    """Count a study's runs, and estimate what remains from finished runs of a cell, or the guess of its part."""
    code = own_code(study)
    states = store.states(study.name, scale, code)
    rows = store.rows(study.name, scale, code)
    seconds = _seconds(study, scale, rows)
    wanted = {address(study.name, scale, cell, seed, code): cell for _, cell, seed in study.runs(scale, seeds)}
    counts = {
        status: sum(states.get(key) == status for key in wanted) for status in ("ok", "diverged", "crashed", "claimed")
    }
    left = sum(seconds[canonical(cell)] for key, cell in wanted.items() if states.get(key) not in ("ok", "diverged"))
    spent = sum(row.cpu_seconds for row in rows)
    return State(len(wanted), counts["ok"], counts["diverged"], counts["crashed"], counts["claimed"], left, spent)


def _seconds(study: Study, scale: Scale, rows: Sequence[Row]) -> dict[str, float]:
    took: dict[str, list[float]] = {}
    for row in rows:
        if row.status == "ok":
            took.setdefault(canonical(row.cell), []).append(row.cpu_seconds)
    return {
        canonical(cell): sum(known) / len(known) if (known := took.get(canonical(cell))) else part.seconds
        for part in study.grid.get(scale, ())
        for cell in part.cells
    }


def outdated(study: Study, store: Store, scale: Scale, seeds: int | None = None) -> list[tuple[Cell, int]]:
    """Runs to do again, since a run that a contrast pairs with them was or will be done under another library.

    Pairs of two versions are not compared, so a study that goes on under a new one would never be judged.
    """
    now = library(study)
    known = {
        (canonical(row.cell), row.seed): row.library
        for row in store.rows(study.name, scale, own_code(study))
        if row.status != "crashed"
    }
    wanted = [(cell, seed) for _, cell, seed in study.runs(scale, seeds)]
    versions = {key: known.get(key, now) for key in ((canonical(cell), seed) for cell, seed in wanted)}
    groups: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for number, one in enumerate(one for claim in study.claims if claim.scale == scale for one in claim.contrasts):
        for cell, seed in wanted:
            if matches(cell, one.treated) or matches(cell, one.control):
                groups.setdefault((number, seed), []).append((canonical(cell), seed))
    while mixed := [group for group in groups.values() if len({versions[key] for key in group}) > 1]:
        versions |= {key: now for group in mixed for key in group}
    return [run for run in wanted if (key := (canonical(run[0]), run[1])) in known and known[key] != versions[key]]


def work(order: Order, each: Callable[[int], object] = lambda count: None) -> int:
    """Do runs until none is free or time is over; waits for runs of others, which may die.

    Args:
        order: What to do.
        each: Called after every claim with the number of runs done.

    Returns:
        Runs done.
    """
    study, store, done = load(order.study), Store(Path(order.store)), 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with alive(store), stoppable():
            while time.time() < order.until:
                taken = take(study, store, order)
                if taken:
                    keep(study, store, order.scale, compute(study, taken[0][0], [s for _, s in taken], order.scale))
                    done += len(taken)
                    each(len(taken))
                elif others_at_work(study, store, order):
                    time.sleep(WAIT_SECONDS)
                else:
                    break
    finally:
        torch.set_num_threads(threads)
        store.release()
        store.close()
    return done


def take(study: Study, store: Store, order: Order) -> list[tuple[Cell, int]]:
    """Claim the next run, or the seeds of the next cell where the study stacks them, that can end in time."""
    wanted = [(cell, seed) for _, cell, seed in study.runs(order.scale, order.seeds)]
    code = own_code(study)
    if not math.isinf(order.until):
        seconds = _seconds(study, order.scale, store.rows(study.name, order.scale, code))
        left = order.until - time.time()
        wanted = [(cell, seed) for cell, seed in wanted if seconds[canonical(cell)] <= left]
    most = 1 if study.run_stack is None else len(wanted)
    return store.claim(study.name, order.scale, wanted, code, library(study), most=most)


def others_at_work(study: Study, store: Store, order: Order) -> bool:
    """Whether other processes are doing runs of this order, which would be free again if they died."""
    code = own_code(study)
    states = store.states(study.name, order.scale, code)
    mine = (
        address(study.name, order.scale, cell, seed, code) for _, cell, seed in study.runs(order.scale, order.seeds)
    )
    return "claimed" in {states.get(key) for key in mine}


def compute(study: Study, cell: Cell, seeds: Sequence[int], scale: Scale) -> list[Row]:
    """One run, or the seeds of one cell stacked, without a store; a run that raises gives a crashed row."""
    code, beneath, began = own_code(study), library(study), time.process_time()
    try:
        results: Sequence[Mapping[str, Any] | DivergedError]
        if study.run_stack is not None and len(seeds) > 1:
            results = list(study.run_stack(dict(cell), seeds, scale))
        else:
            results = [_one(study, cell, seed, scale) for seed in seeds]
        if len(results) != len(seeds):
            raise UserError(f"Expected a result for each of {len(seeds)} seeds, got {len(results)}; mend run_stack.")
        each = (time.process_time() - began) / len(seeds)
        return [_row(cell, seed, found, each, code, beneath) for seed, found in zip(seeds, results, strict=True)]
    except Exception:  # whatever a run raises is noted and the study goes on
        note = traceback.format_exc(limit=-3)[-1500:]
        each = (time.process_time() - began) / len(seeds)
        return [Row(cell, seed, "crashed", {}, note, each, code, beneath) for seed in seeds]


def keep(study: Study, store: Store, scale: Scale, rows: Sequence[Row]) -> None:
    """Put results into the store, one by one; a crash counts towards giving the run up."""
    for row in rows:
        (store.fail if row.status == "crashed" else store.finish)(study.name, scale, row)


def _one(study: Study, cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any] | DivergedError:
    try:
        return study.run_one(dict(cell), seed, scale)
    except DivergedError as error:
        return error
    except NonFiniteError as error:
        return DivergedError(str(error), step=error.step)


def _row(
    cell: Cell, seed: int, found: Mapping[str, Any] | DivergedError, seconds: float, code: str, beneath: str
) -> Row:
    measured = dict(found.values) if isinstance(found, DivergedError) else dict(found)
    wild = [name for name, value in measured.items() if not _finite(value)]
    for name in wild:
        del measured[name]
    note = str(found) if isinstance(found, DivergedError) else f"{', '.join(wild)} not finite" if wild else ""
    return Row(cell, seed, "diverged" if note else "ok", measured, note, round(seconds, 3), code, beneath)


def _finite(value: Any) -> bool:
    """Whether a measured value is a finite number or text, or a list of them.

    Raises:
        UserError: It is of another kind.
    """
    if isinstance(value, list | tuple):
        return all(_finite(one) for one in value)
    if isinstance(value, str | bool):
        return True
    if isinstance(value, int | float):
        return math.isfinite(value)
    raise UserError(f"Expected numbers, texts or lists of them from run_one, got {type(value).__name__}; convert it.")


@contextmanager
def alive(store: Store) -> Iterator[None]:
    """Renew this process's leases from a thread while runs go on."""
    ended = threading.Event()

    def renew() -> None:
        beside = Store(store.path)
        beside.owner = store.owner
        while not ended.wait(LEASE_SECONDS / 4):
            beside.renew()
        beside.close()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM stops as Ctrl-C does: what was claimed is given back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
