"""Studies on the real systems: a Ray cluster of two nodes on this machine, and Slurm where it answers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tightrope._plumbing.errors import UserError
from tightrope.cli import main
from tightrope.studies import clusters
from tightrope.studies.executors import execute
from tightrope.studies.runner import Order

STUDY = "example_study"
RUNS = 16
PATIENCE = 300.0

with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray: pip install ray")
with_slurm = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None
    or shutil.which("sinfo") is None
    or subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False, timeout=60).returncode != 0,
    reason="needs the extra slurm (submitit) and a Slurm that answers",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a study runs; what its processes leave stands in the folder ``processes``."""
    (tmp_path / "processes").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXAMPLE_STUDY_PROCESSES", str(tmp_path / "processes"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def start(place: Path, executor: str, seconds: float) -> subprocess.Popen[bytes]:
    """The public command, beside this process."""
    words = [sys.executable, "-m", "tightrope", "study", "run", STUDY, *folders(executor), "--executor", executor]
    environment = {**os.environ, "EXAMPLE_STUDY_SECONDS": str(seconds)}
    return subprocess.Popen([*words, "--workers", "2"], cwd=place, env=environment)


def folders(executor: str) -> list[str]:
    return ["--results", executor, "--store", f"{executor}.sqlite"]


def table(executor: str) -> dict[str, bytes]:
    """What the report says in figures, byte for byte."""
    assert main(["study", "report", STUDY, *folders(executor), "--csv"]) == 0
    return {kind: Path(executor, f"{STUDY}.{kind}.csv").read_bytes() for kind in ("rows", "claims")}


def same_as_local(executor: str) -> None:
    assert main(["study", "run", STUDY, *folders("local"), "--quiet"]) == 0
    assert table(executor) == table("local")


def wait_for(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited for {PATIENCE:g} seconds")


def processes(place: Path) -> set[int]:
    return {int(path.name) for path in (place / "processes").iterdir()}


@pytest.fixture
def two_nodes(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of a head and a second node, one processor each."""
    monkeypatch.setenv("EXAMPLE_STUDY_SECONDS", "1")  # read where runs are done, which Ray starts from here
    cluster = started(3)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


def started(tries: int) -> Any:
    """Two nodes; Ray gives each 30 seconds, which on a busy machine are too few at times."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=80 << 20, include_dashboard=False)
    except Exception as error:  # a plain one
        cluster.shutdown()
        if tries == 1 or "timed out" not in str(error):
            raise
        return started(tries - 1)
    return cluster


@pytest.mark.slow
@with_ray
@pytest.mark.filterwarnings("ignore")
def test_two_nodes_of_ray_give_the_local_table_though_a_worker_and_a_node_are_lost(place: Path, two_nodes: Any) -> None:
    run = start(place, "ray", 1)
    try:
        wait_for(lambda: len(processes(place)) >= 2)
        os.kill(min(processes(place)), signal.SIGKILL)
        wait_for(lambda: len(processes(place)) >= 3)
        two_nodes.remove_node(next(node for node in two_nodes.worker_nodes), allow_graceful=False)
        assert run.wait(PATIENCE) == 0
    finally:
        run.kill()
        run.wait()
    same_as_local("ray")


@with_ray
@pytest.mark.filterwarnings("ignore")
def test_no_ray_at_the_address_is_said_in_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UserError, match=r"RAY_ADDRESS=127\.0\.0\.1:9, got no answer .*; start one"):
        execute(Order(STUDY, "smoke", str(place / "s.sqlite")), executor="ray")


def queued() -> list[str]:
    return subprocess.run(["squeue", "-h", "-o", "%A %T"], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )


def running() -> list[str]:
    return [line.split()[0] for line in queued() if line.endswith(" RUNNING")]


@pytest.fixture
def no_jobs_left() -> Iterator[None]:
    yield
    for job in (line.split()[0] for line in queued() if line):
        with contextlib.suppress(OSError):
            subprocess.run(["scancel", job], check=False)


@pytest.mark.slow
@with_slurm
def test_jobs_of_slurm_give_the_local_table_though_one_is_cancelled_and_the_command_killed(
    place: Path, no_jobs_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(place, "slurm", 1)
    wait_for(lambda: len(processes(place)) >= 2)
    run.send_signal(signal.SIGTERM)  # calls its jobs back
    assert run.wait(PATIENCE) != 0
    wait_for(lambda: not running())
    run = start(place, "slurm", 1)
    wait_for(lambda: len(processes(place)) >= 5)
    run.kill()  # its jobs go on, for nobody
    run.wait()
    monkeypatch.setattr(clusters, "LINGER_SECONDS", 2.0)
    monkeypatch.setattr(clusters, "ASK_SECONDS", 0.5)
    cancelled: list[str] = []
    asked = clusters._Queue.holds

    def cancelling(queue: Any, job: str, *, since: float) -> bool:
        if not cancelled and job in running():
            cancelled.append(job)
            subprocess.run(["scancel", job], check=True)
        return asked(queue, job, since=since)

    monkeypatch.setattr(clusters._Queue, "holds", cancelling)
    assert main(["study", "run", STUDY, *folders("slurm"), "--executor", "slurm", "--workers", "2", "--quiet"]) == 0
    assert cancelled
    same_as_local("slurm")


@with_slurm
def test_a_job_that_slurm_does_not_take_is_said_in_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    with pytest.raises(UserError, match=r"invalid partition specified: nowhere.*SBATCH_PARTITION"):
        execute(Order(STUDY, "smoke", str(place / "s.sqlite")), executor="slurm")


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs the extra slurm: pip install submitit")
def test_no_slurm_is_said_in_a_sentence_and_nothing_runs_here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(UserError, match="Expected Slurm on this machine"):
        execute(Order(STUDY, "smoke", str(place / "s.sqlite")), executor="slurm")
    assert not processes(place)
