"""Where runs are done: in this process, in several, on a Ray cluster, or as jobs of Slurm.

Local workers claim from the store themselves. Remote ones never see it (SQLite in WAL mode needs a local disk): this
process claims for them, sends a cell with its seeds, and keeps the rows that come back.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from pathlib import Path
from typing import Final, Literal

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import Progress
from tightrope.studies.clusters import Future, Submit, submitter
from tightrope.studies.design import Cell, Row
from tightrope.studies.registry import load
from tightrope.studies.runner import WAIT_SECONDS, Order, alive, keep, others_at_work, state, stoppable, take, work
from tightrope.studies.store import Store
from tightrope.studies.versions import own_code

Executor = Literal["local", "ray", "slurm"]
MOST_WORKERS: Final = 4096


def execute(order: Order, *, executor: Executor = "local", workers: int = 1, show: bool = False) -> None:
    """Do what is missing of a study.

    Args:
        order: Study, scale, store.
        executor: Where.
        workers: Processes, or runs at once.
        show: Print progress.

    Raises:
        UserError: The package behind an executor is not installed.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise UserError(f"Expected from 1 to {MOST_WORKERS:,} workers, got {workers}; leave --workers out for one.")
    with Progress(show=show) as progress:
        study, store = load(order.study), Store(Path(order.store))
        now = state(study, store, order.scale, order.seeds)
        progress.stage("runs", now.total, done=now.done)
        if executor != "local":
            _remote(order, submitter(executor), workers, progress)
        elif workers == 1:
            store.close()
            work(order, progress.advance)
        else:
            _processes(order, workers, progress, store)


def _processes(order: Order, workers: int, progress: Progress, store: Store) -> None:
    """Several processes beside each other; one that dies is seen by what it leaves undone."""
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=work, args=(order,)) for _ in range(workers)]
    study = load(order.study)
    for process in started:
        process.start()
    try:
        before = state(study, store, order.scale, order.seeds).done
        while any(process.is_alive() for process in started):
            time.sleep(WAIT_SECONDS)
            now = state(study, store, order.scale, order.seeds).done
            progress.advance(now - before)
            before = now
    finally:
        for process in started:
            process.terminate()
            process.join()
        store.close()


def _remote(order: Order, submit: Submit, workers: int, progress: Progress) -> None:
    study, store = load(order.study), Store(Path(order.store))
    under_way: list[tuple[Future, Cell, list[int]]] = []
    try:
        with alive(store), stoppable():
            while True:
                while len(under_way) < workers and time.time() < order.until and (taken := take(study, store, order)):
                    cell, seeds = taken[0][0], [seed for _, seed in taken]
                    under_way.append((submit(order.study, order.scale, cell, seeds), cell, seeds))
                if not under_way and (time.time() >= order.until or not others_at_work(study, store, order)):
                    break
                for entry in [entry for entry in under_way if entry[0].done()]:
                    under_way.remove(entry)
                    rows = _rows(entry, own_code(study))
                    keep(study, store, order.scale, rows)
                    progress.advance(sum(row.status != "crashed" for row in rows))
                time.sleep(WAIT_SECONDS)
    finally:
        for future, _, _ in under_way:  # stopped, or refused: nobody would fetch what they find
            with contextlib.suppress(Exception):
                future.cancel()
        store.release()
        store.close()


def _rows(entry: tuple[Future, Cell, list[int]], code: str) -> list[Row]:
    future, cell, seeds = entry
    try:
        found = future.rows()
        if other := {row.code for row in found} - {code}:
            raise UserError(f"it runs version {other.pop()} of the study, here is {code}")
        return found
    except Exception as error:  # the machine, not the run: noted, and tried again
        why = f"the worker failed: {error}"[:500]
        return [Row(cell, seed, "crashed", {}, why, code=code) for seed in seeds]
