"""Ten points and pictures at least in every run, whatever its budget; small evaluations before the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tightrope import runs
from tightrope.runs import rows as records
from tightrope.runs.cadence import spent
from tightrope.runs.folder import BEST
from tightrope.runs.record import read_run
from tightrope.runs.serialize import read_tensors

SMALL: dict[str, Any] = {"network": "mlp", "width": 8, "depth": 2, "latent": 3, "batch_size": 8, "threads": 1}


def counted(folder: Path) -> tuple[int, int, int]:
    """Pictures, measured points and rows of metrics."""
    measured = [row for row in records.read(folder / records.EVALUATIONS) if row["measurements"]]
    pictures = list((folder / "samples").glob("step_*.png"))
    return len(pictures), len(measured), len(records.read(folder / records.METRICS))


@pytest.mark.parametrize("budget", [{"steps": 23}, {"images": 200}])
def test_a_budget_of_steps_or_images_has_ten_points_and_pictures(tmp_path: Path, budget: dict[str, int]):
    config = runs.resolve("toy:ring", limit=300, evaluate_n=60, conditioning_every=0, **budget, **SMALL)
    assert runs.begin(tmp_path / "run", config, quiet=True).state == "finished"
    pictures, points, rows = counted(tmp_path / "run")
    assert pictures >= 11 and points >= 10 and rows >= 10


@pytest.mark.parametrize("pause", [0.4, 1.0, 7.0], ids=["fast", "slow", "crawling"])
def test_a_budget_of_minutes_has_ten_points_and_pictures(tmp_path: Path, monkeypatch, pause: float):
    """A clock of its own: nothing takes time but steps, of which a budget of minutes does not know the number."""
    from tightrope.runs import book

    now = [0.0]
    monkeypatch.setattr(book.time, "monotonic", lambda: now[0])
    real = book.Book.after

    def after(self: Any, step: Any) -> Any:
        now[0] += pause
        return real(self, step)

    monkeypatch.setattr(book.Book, "after", after)
    config = runs.resolve("toy:ring", limit=300, evaluate_n=60, conditioning_every=0, minutes=2.0, **SMALL)
    assert config.training.at_tenths == ("log", "sample", "checkpoint", "evaluate")
    assert runs.begin(tmp_path / "run", config, quiet=True).state == "finished"
    pictures, points, rows = counted(tmp_path / "run")
    assert 11 <= pictures <= 14 and 10 <= points <= 11 and 10 <= rows <= 110
    assert [row for row in read_run(tmp_path / "run").rows if "spectra" in row][1:], "spectra go with pictures"


def test_what_is_kept_for_the_last_evaluation_costs_no_point_before(tmp_path: Path, monkeypatch):
    """Evaluations take four seconds of two minutes: nine before the end, and that at the end, all within the time."""
    from tightrope.runs import book

    now = [0.0]
    monkeypatch.setattr(book.time, "monotonic", lambda: now[0])

    def lasting(seconds: float, function: Any) -> Any:
        def slow(*arguments: Any, **keywords: Any) -> Any:
            now[0] += seconds
            return function(*arguments, **keywords)

        return slow

    monkeypatch.setattr(book.Book, "after", lasting(1.0, book.Book.after))
    monkeypatch.setattr(book, "evaluate_run", lasting(4.0, book.evaluate_run))
    monkeypatch.setattr(book, "expected_of_run", lambda *_: 4.0)
    config = runs.resolve("toy:ring", limit=300, evaluate_n=60, conditioning_every=0, minutes=2.0, **SMALL)
    runs.begin(tmp_path / "run", config, quiet=True)
    assert counted(tmp_path / "run")[1] >= 10 and now[0] <= 121.0


def test_what_was_chosen_stays_in_steps_whatever_the_budget():
    config = runs.resolve("toy:ring", minutes=5.0, sample_every=7, evaluate_every=0, **SMALL).training
    assert config.at_tenths == ("log", "checkpoint") and config.sample_every == 7
    assert config.evaluate_every is None and config.between_n is None


def test_the_part_of_a_budget_is_that_of_what_ends_first():
    settings = runs.TrainingSettings(steps=100, images=1000, minutes=1.0)
    assert spent(settings, step=50, images=100, seconds=3.0) == 0.5
    assert spent(settings, step=5, images=900, seconds=3.0) == 0.9
    assert spent(settings, step=5, images=10, seconds=45.0) == 0.75
    assert spent(runs.TrainingSettings(steps=0), step=0, images=0, seconds=0.0) == 1.0
    assert spent(settings, step=5, images=10, seconds=30.0, reserved=20.0) == 0.75


def test_evaluations_before_the_end_are_small_and_the_best_is_chosen_among_their_like(tmp_path: Path, capsys):
    config = runs.resolve("toy:ring", steps=20, limit=1200, conditioning_every=0, **SMALL)
    assert config.training.between_n == 500
    runs.begin(tmp_path / "run", config, quiet=True)
    rows = records.decode(tmp_path / "run" / records.EVALUATIONS, records.Evaluation)[0]
    sizes = [row.measurements[0].protocol.n_fake for row in rows]
    assert sizes == [500] * 10 + [1200] and rows[-2].step == rows[-1].step == 20
    shown = read_run(tmp_path / "run").evaluations
    assert len(shown) == 10 and shown[-1].measurements[0].protocol.n_fake == 1200, "the end is judged in full"
    stored = read_tensors(tmp_path / "run" / BEST, "best weights", "train again")
    small = {row.step: row.measurements[0].value for row in rows[:10]}
    assert small[int(stored[1]["step"])] == min(small.values()) == float(stored[1]["value"])
    before = len(rows)
    runs.resume(tmp_path / "run", quiet=True)  # nothing is left to do, and nothing is measured again
    assert len(records.read(tmp_path / "run" / records.EVALUATIONS)) == before


def test_few_data_are_measured_in_full_every_time():
    assert runs.resolve("toy:ring", limit=900, steps=20, **SMALL).training.between_n is None
    assert runs.resolve("toy:ring", limit=900, steps=20, between_n=100, **SMALL).training.between_n == 100


def test_a_failed_evaluation_does_not_hide_a_small_one_of_the_same_step(tmp_path: Path, monkeypatch):
    from tightrope.runs import book

    real = book.evaluate_run

    def small_alone(assembled: runs.Assembled, n: int | None) -> Any:
        if n is None:
            raise ValueError("no room")
        return real(assembled, n)

    monkeypatch.setattr(book, "evaluate_run", small_alone)
    config = runs.resolve("toy:ring", steps=4, limit=1200, conditioning_every=0, **SMALL)
    runs.begin(tmp_path / "run", config, quiet=True)
    last = read_run(tmp_path / "run").evaluations[-1]
    assert last.measurements and last.error == "an error stopped it, ValueError: no room"
