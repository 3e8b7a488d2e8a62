"""Runs whose evaluation fails, that are interrupted, or whose time is short."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from data_cases import encoded, noise, write_files
from run_cases import config_of, same, weights
from tightrope import UserError, runs
from tightrope.cli import main
from tightrope.runs import rows as records
from tightrope.runs.book import Book
from tightrope.runs.serialize import read_state

# --- evaluations -------------------------------------------------------------------------------------------------


class MuteError(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (UserError("Expected samples, got NaN; train on."), "Expected samples, got NaN; train on."),
        (ValueError("samples hold NaN"), "an error stopped it, ValueError: samples hold NaN"),
        (MemoryError(), "memory is full"),
        (RuntimeError("no\nsuch kernel"), "an error stopped it, RuntimeError: no"),
        (KeyError("x"), "an error stopped it, KeyError: 'x'"),
        (OSError(28, "No space left on device", "/x"), "No space left on device (/x), says the system"),
        (MuteError(), "an error stopped it, MuteError"),
    ],
)
def test_an_evaluation_that_fails_is_written_down_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    from tightrope.report import write_report

    def fail(assembled: runs.Assembled, n: int | None) -> Any:
        raise error

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runs.begin(whole, config_of(evaluate_every=2), quiet=True)
    monkeypatch.setattr("tightrope.runs.book.evaluate_run", fail)
    assert runs.begin(broken, config_of(evaluate_every=2), quiet=True).state == "finished"
    rows = records.read(broken / "evaluations.jsonl")
    assert rows[0]["step"] == 2 and all(row["error"] == why for row in rows)
    assert same(weights(whole), weights(broken))
    assert write_report(broken).stat().st_size > 1000


def test_too_few_samples_end_no_training(tmp_path: Path) -> None:
    words = ["train", "digits", "--limit", "60", "--steps", "2", "--batch-size", "8", "--width", "8", "--latent", "3"]
    assert main([*words, "--evaluate-n", "2", "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"
    assert (tmp_path / "run" / "report.html").exists()


def test_an_interrupt_while_measuring_is_answered_at_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tightrope.runs import book

    real = book.evaluate_run

    def interrupted(assembled: runs.Assembled, n: int | None) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(600):
            time.sleep(0.05)
        pytest.fail("the interrupt was not answered")

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runs.begin(whole, config_of(evaluate_every=3), quiet=True)
    for _ in range(2):  # the second time it is the evaluation that resume makes up for, and no step is taken past it
        monkeypatch.setattr(book, "evaluate_run", interrupted)
        began = (
            runs.resume(broken, quiet=True)
            if broken.exists()
            else runs.begin(broken, config_of(evaluate_every=3), quiet=True)
        )
        assert began.state == "stopped" and "SIGINT" in began.reason
        assert json.loads((broken / "status.json").read_text())["step"] == 3
        assert read_state(runs.checkpoint_paths(broken)[-1])["run"]["step"] == 3
    monkeypatch.setattr(book, "evaluate_run", real)
    assert runs.resume(broken, quiet=True).state == "finished"
    assert same(weights(whole), weights(broken))
    made = [[(row["step"], row["measurements"]) for row in records.read(folder / "evaluations.jsonl")]
            for folder in (whole, broken)]  # fmt: skip
    assert [step for step, _ in made[0]] == [3, 4] and made[0] == made[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("call", [2, 3])
def test_after_an_interrupt_no_measurement_begins_and_resume_makes_the_one_that_was_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, call: int
) -> None:
    """The interrupt comes while the picture before an evaluation is drawn: of step 2, and of the end."""
    from tightrope.runs import book

    config = config_of(sample_every=2, evaluate_every=2, checkpoint_every=3)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runs.begin(whole, config, quiet=True)
    write, measure, calls = book.write_samples, book.evaluate_run, []

    def interrupted(*arguments: Any) -> Any:
        calls.append("drawn")
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return write(*arguments)

    def late(*arguments: Any) -> Any:
        assert len(calls) < call, "a measurement began"
        return measure(*arguments)

    monkeypatch.setattr(book, "write_samples", interrupted)
    monkeypatch.setattr(book, "evaluate_run", late)
    assert runs.begin(broken, config, quiet=True).state == "stopped"
    monkeypatch.undo()
    assert runs.resume(broken, quiet=True).state == "finished"
    assert same(weights(whole), weights(broken))
    rows = [
        [(row["step"], row["measurements"]) for row in records.read(folder / "evaluations.jsonl")]
        for folder in (whole, broken)
    ]
    assert [step for step, _ in rows[0]] == [2, 4] and rows[0] == rows[1]


def test_sigterm_ends_the_reading_of_data_as_sigint_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is half built in the cache goes with it."""
    from tightrope.data import store

    photos = write_files(tmp_path / "photos", {f"{i}.png": encoded(one) for i, one in enumerate(noise(30))})
    real, before = store.decode, {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "cache"))
    words = ["tightrope", "train", str(photos), "--steps", "1", "--out", str(tmp_path / "run"), "--quiet"]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) == signal.SIG_IGN:  # tests under nohup, or behind a shell's &: it stays ignored
            continue

        reading, lock = [True], threading.Lock()

        def killed(
            *arguments: Any, number: int = number, reading: list[bool] = reading, lock: Any = lock, **named: Any
        ) -> Any:
            with lock:  # one signal, and none from a thread that decodes on after the end
                if reading:
                    reading.clear()
                    assert signal.getsignal(number) is signal.default_int_handler  # else it would end the tests
                    os.kill(os.getpid(), number)
            time.sleep(0.02)
            return real(*arguments, **named)

        monkeypatch.setattr(store, "decode", killed)
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        try:
            assert main() == 130
        finally:
            with lock:
                reading.clear()
            for other, handler in before.items():
                signal.signal(other, handler)
        assert not list((tmp_path / "cache").glob(".building-*"))
        assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system closes no terminals by a signal")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed_is_a_request_to_stop(tmp_path: Path, ignored: bool) -> None:
    """As when a connection drops; under nohup the training goes on."""
    config = config_of(steps=6)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        real = Book.after

        def hang_up(book: Book, step: Any) -> Any:
            if step.step == 3:
                os.kill(os.getpid(), signal.SIGHUP)
            return real(book, step)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Book, "after", hang_up)
            outcome = runs.begin(tmp_path / "run", config, quiet=True)
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
    step = json.loads((tmp_path / "run" / "status.json").read_text())["step"]
    assert (outcome.state, step) == (("finished", 6) if ignored else ("stopped", 3))
    assert runs.load_newest(tmp_path / "run")[0]["run"]["step"] == step


def test_save_and_sample_come_before_the_last_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(assembled: runs.Assembled, n: int | None) -> Any:
        assert (tmp_path / "run" / "samples" / "step_00000004.png").exists()
        assert runs.checkpoint_paths(tmp_path / "run")[-1].stem == "step_00000004"
        raise ValueError("seen")

    monkeypatch.setattr("tightrope.runs.book.evaluate_run", look)
    runs.begin(tmp_path / "run", config_of(checkpoint_every=3), quiet=True)
    assert [row["error"] for row in records.read(tmp_path / "run" / "evaluations.jsonl")] == [
        "an error stopped it, ValueError: seen"
    ]


def clock_of_its_own(
    monkeypatch: pytest.MonkeyPatch, *, step: float, evaluation: list[float], guess: float
) -> list[float]:
    """A clock that only steps, pictures (half a second) and evaluations move; the moments of their beginnings."""
    from tightrope.runs import book

    now, real = [0.0], book.evaluate_run
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(book, "expected_of_run", lambda assembled, n: guess)
    after, picture = Book.after, Book._picture

    def stepped(self: Any, done: Any) -> Any:
        now[0] += step
        return after(self, done)

    def drawn(self: Any) -> Any:
        now[0] += 0.5
        return picture(self)

    def measured(*given: Any) -> Any:
        now[0] += evaluation[0] if len(evaluation) == 1 else evaluation.pop(0)
        return real(*given)

    monkeypatch.setattr(Book, "after", stepped)
    monkeypatch.setattr(Book, "_picture", drawn)
    monkeypatch.setattr(book, "evaluate_run", measured)
    return now


def test_nothing_begins_that_cannot_end_within_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock_of_its_own(monkeypatch, step=9.0, evaluation=[1.0], guess=1000.0)
    config = config_of(steps=None, minutes=1.0, evaluate_every=2)
    assert runs.begin(tmp_path / "run", config).state == "finished"
    rows = records.read(tmp_path / "run" / "evaluations.jsonl")
    assert rows and all("left out: it would take about 16:40" in row["error"] for row in rows)
    assert "no evaluation at the end" in capsys.readouterr().err


@pytest.mark.parametrize(("step", "took", "guess"), [(5.0, 60.0, 60.0), (5.0, 90.0, 60.0), (7.0, 20.0, 20.0)])
def test_the_last_evaluation_is_part_of_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float, took: float, guess: float
) -> None:
    """One and a half times what it is guessed to take is kept, and no step begins that would not end before it."""
    now = clock_of_its_own(monkeypatch, step=step, evaluation=[took], guess=guess)
    runs.begin(tmp_path / "run", config_of(steps=None, minutes=5.0, evaluate_every=None), quiet=True)
    assert records.read(tmp_path / "run" / "evaluations.jsonl")[-1]["measurements"]
    assert 300 - 1.5 * guess + took - step - 4 <= now[0] <= 300


@pytest.mark.parametrize(("spare", "made"), [(45.0, True), (35.0, False)])
def test_the_last_evaluation_is_begun_if_it_is_expected_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: float, made: bool
) -> None:
    """A busy machine has used a part of the time that was kept: there is nothing else to use the rest for."""
    now = clock_of_its_own(monkeypatch, step=5.0, evaluation=[40.0], guess=40.0)
    release = Book.release

    def late(self: Any) -> None:
        release(self)
        now[0] += self.spare() - spare

    monkeypatch.setattr(Book, "release", late)
    runs.begin(tmp_path / "run", config_of(steps=None, minutes=5.0, evaluate_every=None), quiet=True)
    assert bool(records.read(tmp_path / "run" / "evaluations.jsonl")[-1].get("measurements")) == made
    assert now[0] <= 300


def test_what_comes_before_and_after_the_training_is_part_of_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock_of_its_own(monkeypatch, step=2.0, evaluation=[1.0], guess=1.0)
    config = config_of(steps=None, minutes=2.0, evaluate_every=None)
    now[0] = 1000.0
    runs.begin(tmp_path / "run", config, quiet=True, began=970.0, closing=20.0)
    assert 1065 <= now[0] <= 1070  # two minutes from 970 on, but for 20 seconds
    assert records.read(tmp_path / "run" / "evaluations.jsonl")[-1]["measurements"]


def test_estimates_learn_from_what_evaluations_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is ten times slower than guessed, which the small evaluations show before the large one."""
    from tightrope.runs import book

    now = clock_of_its_own(monkeypatch, step=3.0, evaluation=[10.0], guess=1.0)
    monkeypatch.setattr(book, "expected_of_run", lambda assembled, n: 1.0 if n == 4 else 4.0)
    real = book.evaluate_run
    monkeypatch.setattr(
        book, "evaluate_run", lambda a, n: (now.__setitem__(0, now[0] + 30.0 * (n != 4)), real(a, n))[1]
    )
    settings = config_of(steps=None, minutes=5.0, evaluate_every=9, between_n=4, evaluate_n=8)
    runs.begin(tmp_path / "run", settings, quiet=True)
    rows = records.read(tmp_path / "run" / "evaluations.jsonl")
    assert len(rows) > 3 and rows[-1]["measurements"][0]["protocol"]["n_fake"] == 8
    assert all(row.get("measurements") or "left out" in row["error"] for row in rows)
    assert now[0] <= 300


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no clock that interrupts")
def test_an_evaluation_that_outlasts_the_minutes_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(assembled: runs.Assembled, n: int | None) -> Any:
        time.sleep(60)

    monkeypatch.setattr("tightrope.runs.book.expected_of_run", lambda assembled, n: 0.01)
    monkeypatch.setattr("tightrope.runs.book.evaluate_run", endless)
    began = time.monotonic()
    run = tmp_path / "run"
    assert runs.begin(run, config_of(steps=None, minutes=0.06, evaluate_every=2), quiet=True).state == "finished"
    assert time.monotonic() - began < 30
    rows = records.read(run / "evaluations.jsonl")
    assert "broken off: it took longer than" in rows[0]["error"]
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0 and json.loads((run / "status.json").read_text())["step"] > 0


# --- locks -------------------------------------------------------------------------------------------------------
