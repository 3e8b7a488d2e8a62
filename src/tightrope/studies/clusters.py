"""Runs on a Ray cluster, and as jobs of Slurm: how a cell and its seeds are sent, waited for, and called back.

Slurm is asked for its queue alone. Its accounts (``sacct``), by which submitit tells a job that failed from one that
waits, are kept by few small clusters, and without them a job that was cancelled would be waited for without end.
"""

from __future__ import annotations

import importlib
import math
import os
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from tightrope._plumbing.errors import UserError
from tightrope.studies.design import Cell, Row, Scale
from tightrope.studies.registry import load
from tightrope.studies.runner import compute

PACKAGES: Final = {"ray": "ray", "slurm": "submitit"}
JOB_MINUTES: Final = 240
"""Least time that a job of Slurm may take."""
SLOWER: Final = 4
"""How many times a study's own guess of its runs a job may take."""
FOLDER: Final = "runs/slurm"
"""Of jobs and their logs; every machine must see it."""
KNOCK_SECONDS: Final = 10.0
"""How long the head of a Ray cluster may take to answer."""
ASK_SECONDS = 5.0
"""Between two looks at Slurm's queue."""
LINGER_SECONDS = 60.0
"""How long a result may take from another machine's disk to ours after its job has left the queue."""


class Future(Protocol):
    """A run under way somewhere else."""

    def done(self) -> bool:
        """Whether it has ended."""

    def rows(self) -> list[Row]:
        """What it measured."""

    def cancel(self) -> None:
        """Call it back."""


Submit = Callable[[str, Scale, Cell, list[int]], Future]


def remote(name: str, scale: Scale, cell: Cell, seeds: list[int]) -> list[Row]:
    """What a worker on another machine does: one cell, no store, one thread."""
    import torch

    torch.set_num_threads(1)
    return compute(load(name), cell, seeds, scale)


def submitter(executor: Literal["ray", "slurm"]) -> Submit:
    """What sends a cell with its seeds away.

    Raises:
        UserError: The package behind it is not installed, or there is no such cluster.
    """
    package = PACKAGES[executor]
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise UserError(
            f"Expected the package {package} for --executor {executor}, which is not installed; "
            f"pip install 'tightrope[{executor}]', or use --executor local."
        ) from None
    return _ray(module) if executor == "ray" else _slurm(module)


def _ray(ray: Any) -> Submit:
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS", "")
        try:
            _knock(address)
            ray.init(log_to_driver=False, logging_level="warning")
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"Expected a Ray cluster at RAY_ADDRESS={address}, got no answer ({_first_line(error)}); start one "
                "with ray start --head, or unset RAY_ADDRESS for one on this machine."
            ) from error
    function = ray.remote(num_cpus=1)(remote)

    class Task:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def done(self) -> bool:
            return bool(ray.wait([self.handle], timeout=0)[0])

        def rows(self) -> list[Row]:
            found: list[Row] = ray.get(self.handle)
            return found

        def cancel(self) -> None:
            ray.cancel(self.handle, force=True)

    return lambda *given: Task(function.remote(*given))


def _knock(address: str) -> None:
    """Raise OSError if nobody listens; Ray itself would try for eight minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _slurm(submitit: Any) -> Submit:
    try:
        jobs = submitit.AutoExecutor(folder=FOLDER, cluster="slurm")  # by itself it would fall back on this machine
    except RuntimeError as error:
        raise UserError(
            f"Expected Slurm on this machine for --executor slurm, got none ({_first_line(error)}); call the command "
            "where sbatch works, or use --executor local."
        ) from error
    queue = _Queue()

    class Job:
        def __init__(self, job: Any) -> None:
            self.job, self.sent, self.left = job, time.monotonic(), math.inf

        def done(self) -> bool:
            if self.job.paths.result_pickle.exists():
                return True
            if queue.holds(self.job.job_id, since=self.sent):
                self.left = math.inf
            else:
                self.left = min(self.left, time.monotonic())
            return time.monotonic() - self.left > LINGER_SECONDS

        def rows(self) -> list[Row]:
            if not self.job.paths.result_pickle.exists():
                raise ChildProcessError(
                    f"job {self.job.job_id} left Slurm's queue without a result (cancelled, out of time or memory, or "
                    f"its machine was lost); see {self.job.paths.stderr}"
                )
            found: list[Row] = self.job.result()
            return found

        def cancel(self) -> None:
            self.job.cancel(check=False)

    def submit(name: str, scale: Scale, cell: Cell, seeds: list[int]) -> Future:
        minutes = max(JOB_MINUTES, math.ceil(SLOWER * _seconds(name, scale, cell) * len(seeds) / 60))
        jobs.update_parameters(timeout_min=minutes, cpus_per_task=1, tasks_per_node=1, name="tightrope-study")
        try:
            return Job(jobs.submit(remote, name, scale, cell, seeds))
        except Exception as error:  # whatever sbatch has to say, in submitit's own kinds of errors
            raise UserError(
                f"Expected Slurm to take a job, got {_first_line(error)}; give what your cluster asks for in "
                "SBATCH_PARTITION, SBATCH_ACCOUNT and their like."
            ) from error

    return submit


def _seconds(name: str, scale: Scale, cell: Cell) -> float:
    """A study's own guess of a run."""
    return next((part.seconds for part in load(name).grid.get(scale, ()) if cell in part.cells), 0.0)


class _Queue:
    """The jobs of this user that wait or run, asked for at most every :data:`ASK_SECONDS`; silence changes nothing."""

    def __init__(self) -> None:
        self.asked, self.answered, self.jobs = -math.inf, -math.inf, set[str]()

    def holds(self, job: str, *, since: float) -> bool:
        """Whether a job sent at ``since`` is there, for all that is known."""
        now = time.monotonic()
        if now - self.asked > ASK_SECONDS:
            self.asked = now
            words = ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A"]
            found = subprocess.run(words, capture_output=True, text=True, check=False)
            if found.returncode == 0:
                self.answered, self.jobs = now, set(found.stdout.split())
        return self.answered <= since or job in self.jobs


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
