"""The runner of studies: claims of work, crashes, kills, rows as text, executors, versions of the code."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tightrope._plumbing.errors import UserError
from tightrope.cli import main
from tightrope.studies import executors, exported, store, versions
from tightrope.studies.design import Row
from tightrope.studies.executors import execute
from tightrope.studies.judging import judge
from tightrope.studies.registry import Study, load
from tightrope.studies.runner import Order, compute, state, work
from tightrope.studies.store import DEATHS, TRIES, Store

KILLS = int(os.environ.get("TIGHTROPE_KILLS", "2"))
"""By hand: TIGHTROPE_KILLS=10 pytest tests/test_studies_runner.py -k killed."""


@pytest.fixture
def study() -> Study:
    return load("example_study")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "studies.sqlite"


def whole(study: Study) -> list[Row]:
    """Every run of the cpu scale without a store."""
    return [row for _, cell, seed in study.runs("cpu") for row in compute(study, cell, [seed], "cpu")]


def bare(rows: list[Row]) -> list[tuple[object, ...]]:
    """Rows without what they cost."""
    return sorted((json.dumps(r.cell, sort_keys=True), r.seed, r.status, json.dumps(r.values), r.code) for r in rows)


def written(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, **parts: str) -> str:
    """A study whose ``run_one`` is given; returns its name."""
    text = (Path(__file__).parent / "example_study.py").read_text()
    head, _, rest = text.partition("def run_one(")
    tail = rest[rest.index("def figures(") :]
    body = textwrap.indent(textwrap.dedent(parts["run_one"]), "    ")
    made = f"{head}def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:\n{body}\n\n\n{tail}"
    for old, new in parts.items():
        made = made.replace(old, new) if old != "run_one" else made
    (folder / f"{name}.py").write_text(made)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    return name


def test_a_study_runs_to_its_end_and_a_second_call_does_nothing(study: Study, place: Path) -> None:
    assert work(Order("example_study", "cpu", str(place))) == 16
    assert work(Order("example_study", "cpu", str(place))) == 0
    kept = Store(place)
    now = state(study, kept, "cpu")
    assert (now.total, now.ok, now.missing, now.crashed, now.running) == (16, 16, 0, 0, 0)
    assert bare(kept.rows("example_study", "cpu", versions.own_code(study))) == bare(whole(study))


def test_more_seeds_go_on_from_those_that_are_there(study: Study, place: Path) -> None:
    work(Order("example_study", "cpu", str(place), seeds=3))
    assert state(study, Store(place), "cpu", 3).missing == 0
    assert state(study, Store(place), "cpu").missing == 10
    assert work(Order("example_study", "cpu", str(place), seeds=10)) == 14


def test_nothing_is_started_that_cannot_end_in_time(place: Path) -> None:
    assert work(Order("example_study", "cpu", str(place), until=time.time() - 1)) == 0


def test_two_never_hold_one_claim_and_a_dead_ones_claim_is_free(study: Study, place: Path) -> None:
    wanted = [(cell, seed) for _, cell, seed in study.runs("cpu")]
    first, second = Store(place), Store(place)
    taken = [s.claim("x", "cpu", wanted, "c", "l") for s in (first, second) * 8]
    assert sorted(map(str, (run for (run,) in taken))) == sorted(map(str, wanted))
    assert not first.claim("x", "cpu", wanted, "c", "l")
    first.release()
    assert len([second.claim("x", "cpu", wanted, "c", "l") for _ in range(8)]) == 8
    gone = Store(place)
    gone.owner = gone.owner.replace(f":{os.getpid()}:", f":{_dead_process()}:")
    second.release()
    assert gone.claim("x", "cpu", wanted, "c", "l")
    assert first.claim("x", "cpu", wanted[:1], "c", "l") == wanted[:1]


def _dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_silent_lease_runs_out_and_a_renewed_one_does_not(
    study: Study, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [(cell, seed) for _, cell, seed in study.runs("cpu")][:1]
    first, second = Store(place), Store(place)
    assert first.claim("x", "cpu", wanted, "c", "l") and not second.claim("x", "cpu", wanted, "c", "l")
    later = time.time() + store.LEASE_SECONDS / 2
    monkeypatch.setattr(store, "time", SimpleNamespace(time=lambda: later))
    first.renew()
    monkeypatch.setattr(store, "time", SimpleNamespace(time=lambda: later + store.LEASE_SECONDS - 1))
    assert not second.claim("x", "cpu", wanted, "c", "l")
    monkeypatch.setattr(store, "time", SimpleNamespace(time=lambda: later + store.LEASE_SECONDS + 1))
    assert second.claim("x", "cpu", wanted, "c", "l") == wanted


def test_a_run_whose_process_dies_again_and_again_is_given_up(study: Study, place: Path) -> None:
    wanted = [(cell, seed) for _, cell, seed in study.runs("cpu")][:1]
    dead = _dead_process()
    for _ in range(DEATHS):
        kept = Store(place)
        kept.owner = f"{kept.owner.split(':')[0]}:{dead}:x"
        assert kept.claim("x", "cpu", wanted, "c", "l")
    assert not Store(place).claim("x", "cpu", wanted, "c", "l")
    (row,) = Store(place).rows("x", "cpu", "c")
    assert row.status == "crashed" and "died" in row.note
    assert Store(place).forgive("x", "cpu", "c") == 1


def test_a_run_that_raises_is_tried_again_and_then_reported(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = written(tmp_path, "raising_study", monkeypatch, run_one=f"""
        with open({str(tmp_path / "tries")!r}, "a") as file:
            file.write(f"{{seed}}\\n")
        if seed == 101 and cell["arm"] == "fast":
            raise KeyError("a fault")
        return {{"distance": 1.0}}""")  # fmt: skip
    work(Order(name, "cpu", str(place)))
    tried = (tmp_path / "tries").read_text().split()
    assert tried.count("101") == TRIES + 1
    now = state(load(name), Store(place), "cpu")
    assert (now.ok, now.crashed) == (15, 1)
    (row,) = [r for r in Store(place).rows(name, "cpu", versions.own_code(load(name))) if r.status == "crashed"]
    assert "a fault" in row.note


def test_a_diverged_run_is_a_result_with_what_it_measured(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = written(tmp_path, "diverging_study", monkeypatch, run_one="""
        if seed == 100:
            raise DivergedError("left all bounds", distance=1e9)
        return {"distance": float("nan") if seed == 101 else 1.0, "other": [1.0, 2.0]}""")  # fmt: skip
    work(Order(name, "cpu", str(place)))
    rows = Store(place).rows(name, "cpu", versions.own_code(load(name)))
    found = {(row.seed, row.status, "distance" in row.values) for row in rows}
    assert {(100, "diverged", True), (101, "diverged", False), (102, "ok", True)} <= found
    assert state(load(name), Store(place), "cpu").diverged == 4


def test_stacked_seeds_are_claimed_together_and_kept_one_by_one(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = written(tmp_path, "stacked_study", monkeypatch, run_one='return {"distance": 1.0 * seed}')
    path = tmp_path / f"{name}.py"
    path.write_text(path.read_text() + (
        '\n\ndef run_stack(cell, seeds, scale):\n    """All."""\n    assert len(seeds) == 8\n'
        '    return [{"distance": 1.0 * seed} for seed in seeds]\n'))  # fmt: skip
    work(Order(name, "cpu", str(place)))
    rows = Store(place).rows(name, "cpu", versions.own_code(load(name)))
    assert [row.values["distance"] for row in rows] == [float(row.seed) for row in rows] and len(rows) == 16


def test_rows_as_text_rebuild_a_store_and_say_which_line_is_damaged(study: Study, place: Path, tmp_path: Path) -> None:
    work(Order("example_study", "cpu", str(place), seeds=4))
    path = exported.export(study, Store(place), tmp_path / "out")
    assert len(path.read_text().splitlines()) == 8
    other = Store(tmp_path / "other.sqlite")
    assert exported.restore(study, other, tmp_path / "out") == 8
    other.close()
    assert work(Order("example_study", "cpu", str(tmp_path / "other.sqlite"))) == 8
    again = exported.export(study, Store(tmp_path / "other.sqlite"), tmp_path / "out")
    assert bare(exported.read(again)["cpu"]) == bare(whole(study))
    before = again.read_bytes()
    assert exported.export(study, Store(place), tmp_path / "out").read_bytes() == before  # an older store loses nothing
    again.write_text(again.read_text().replace('"seed": 103', '"sed": 103', 1))
    with pytest.raises(UserError, match="line 4"):
        exported.read(again)


def test_rows_of_another_version_are_counted_and_not_used(study: Study, place: Path, tmp_path: Path) -> None:
    work(Order("example_study", "cpu", str(place), seeds=2))
    path = exported.export(study, Store(place), tmp_path)
    rows = exported.read(path)
    exported.write(path, {"cpu": [replace(row, code="older") if row.seed == 100 else row for row in rows["cpu"]]})
    found, stale = exported.current(study, "cpu", tmp_path)
    assert len(found) == 2 and stale == 2


def test_going_on_under_another_library_leaves_no_pair_of_two_versions(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From committed rows, some of which are missing: the runs paired with the missing ones are done again."""
    monkeypatch.chdir(tmp_path)
    words = ["study", "run", "example_study", "--results", "out", "--quiet"]
    assert main([*words, "--store", "first.sqlite"]) == 0
    path = exported.path_of(study, Path("out"))
    rows = exported.read(path)["cpu"]
    old = [replace(row, library="older") for row in rows if (row.cell["arm"], row.seed) != ("fast", 103)]
    exported.write(path, {"cpu": old})
    assert main([*words, "--store", "second.sqlite"]) == 0
    found = exported.read(path)["cpu"]
    assert bare(found) == bare(rows)
    assert {row.seed for row in found if row.library != "older"} == {103}
    assert all(one.verdict == "reproduced" for one in judge(study, {"cpu": found})[:2])
    assert main([*words, "--store", "second.sqlite"]) == 0
    assert exported.read(path)["cpu"] == found


def test_the_version_is_that_of_the_code_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(number: int, **parts: str) -> str:
        return versions.own_code(load(written(tmp_path, f"version_{number}", monkeypatch, **parts)))

    run = "return {'distance': float(_arms(3)[0]['rate'])}"
    same = {
        version(0, run_one=run),
        version(1, run_one=f"# a comment\n{run}"),
        version(2, run_one=run, **{"within 0.1 of the bottom": "near the bottom", "below=0.5)": "below=0.4)"}),
    }
    assert len(same) == 1
    assert version(3, run_one=run, **{"rate=0.5, steps": "rate=0.4, steps"}) not in same  # a helper that it reaches
    assert version(4, run_one="return {'distance': 1.0}") not in same


def start(place: Path) -> subprocess.Popen[bytes]:
    code = f"from tightrope.studies.runner import *; work(Order('example_study', 'cpu', {str(place)!r}))"
    environment = {**os.environ, "EXAMPLE_STUDY_SECONDS": "0.3", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


@pytest.mark.slow
def test_killed_at_random_moments_two_runners_end_with_the_same_table(study: Study, place: Path) -> None:
    chance = random.Random(5)
    runners = [start(place), start(place)]
    try:
        for _ in range(KILLS):
            until = time.monotonic() + 60
            while time.monotonic() < until and not (place.exists() and _claimed(place)):
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 0.4))
            victim = chance.randrange(2)
            runners[victim].send_signal(signal.SIGKILL)
            runners[victim].wait()
            runners[victim] = start(place)
        for runner in runners:
            assert runner.wait(timeout=300) == 0
    finally:
        for runner in runners:
            runner.kill()
            runner.wait()
    rows = Store(place).rows("example_study", "cpu", versions.own_code(study))
    assert bare(rows) == bare(whole(study))


def _claimed(place: Path) -> bool:
    try:
        states = Store(place).states("example_study", "cpu", versions.own_code(load("example_study")))
    except UserError:
        return False
    return "claimed" in states.values()


def test_an_executor_that_is_not_installed_is_named_with_the_remedy(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'tightrope\[ray\]'"):
        execute(Order("example_study", "cpu", str(place)), executor="ray")
    with pytest.raises(UserError, match="from 1 to 4,096 workers"):
        execute(Order("example_study", "cpu", str(place)), workers=0)


def fake_ray(broken: set[int]) -> ModuleType:
    """What ``executors`` asks of Ray, in this process; the tasks numbered fail as a lost machine does."""
    ray, count = ModuleType("ray"), iter(range(10_000))

    def remote(**resources: object) -> object:
        def wrap(function: object) -> object:
            return SimpleNamespace(remote=lambda *given: (next(count), function, given))

        return wrap

    def get(task: tuple[int, object, tuple[object, ...]]) -> object:
        number, function, given = task
        if number in broken:
            raise ConnectionError("lost")
        return function(*given)  # type: ignore[operator]

    vars(ray).update(is_initialized=lambda: True, remote=remote, get=get, wait=lambda tasks, timeout: (tasks, []))
    return ray


def test_remote_workers_get_cells_and_their_losses_are_tried_again(
    study: Study, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", fake_ray({0, 5}))
    execute(Order("example_study", "cpu", str(place)), executor="ray", workers=3)
    assert bare(Store(place).rows("example_study", "cpu", versions.own_code(study))) == bare(whole(study))


def test_slurm_jobs_bring_their_rows(study: Study, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AutoExecutor:
        def __init__(self, folder: str, cluster: str) -> None:
            assert cluster == "slurm"

        def update_parameters(self, **parameters: object) -> None:
            assert parameters["cpus_per_task"] == 1

        def submit(self, function: object, *given: object) -> object:
            found = SimpleNamespace(result_pickle=place.parent)  # there
            return SimpleNamespace(paths=found, result=lambda: function(*given))  # type: ignore[operator]

    module = ModuleType("submitit")
    vars(module).update(AutoExecutor=AutoExecutor)
    monkeypatch.setitem(sys.modules, "submitit", module)
    execute(Order("example_study", "smoke", str(place)), executor="slurm", workers=2)
    assert state(study, Store(place), "smoke").missing == 0


def test_a_worker_of_another_version_is_refused(study: Study, place: Path) -> None:
    future = SimpleNamespace(rows=lambda: [Row({"arm": "fast"}, 1, code="another")])
    (row,) = executors._rows((future, {"arm": "fast"}, [1]), "here")  # type: ignore[arg-type]
    assert row.status == "crashed" and "another" in row.note and row.code == "here"


@pytest.mark.slow
def test_several_processes_share_the_work(study: Study, place: Path) -> None:
    execute(Order("example_study", "cpu", str(place)), workers=2)
    assert bare(Store(place).rows("example_study", "cpu", versions.own_code(study))) == bare(whole(study))


def test_a_file_that_is_no_store_is_refused(place: Path) -> None:
    place.write_text("no store")
    with pytest.raises(UserError, match="name another file"):
        Store(place)
