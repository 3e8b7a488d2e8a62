"""What commands print: names never act on a terminal, a reader who leaves ends nothing, a full disk is said."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tightrope._plumbing.say import say, say_json
from tightrope.cli import main

EVIL = "a\x1b[2J\u202eb\nzz"
FULL = Path("/dev/full")
TINY = ["--steps", "2", "--batch-size", "8", "--latent", "3", "--width", "8", "--evaluate-n", "60", "--threads", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / EVIL
    assert main(["train", "toy:ring", "--out", str(folder), *TINY, "--quiet"]) == 0
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "RUN", "--n", "2", "--out", f"{EVIL}.png"),
        ("export", "RUN", "--out", EVIL),
        ("report", "RUN"),
        ("report", "RUN", "--out", f"{EVIL}.html"),
        ("compare", "RUN", "RUN", "--out", f"{EVIL}.html"),
        ("conditioning", "RUN", "--n", "3"),
        ("conditioning", "RUN", "--n", "3", "--json"),
        ("dynamics", "RUN", "--k", "2", "--batches", "0", "--predict", "no"),
        ("diagnose", "RUN"),
        ("evaluate", "RUN", "--n", "20"),
        ("resume", "RUN", "--steps", "3"),
        ("train", "toy:ring", *TINY, "--out", EVIL),
        ("cite", EVIL),
    ],
    ids=lambda words: " ".join(words).replace(EVIL, "EVIL")[:40],
)
def test_names_do_not_act_on_a_terminal(
    run: Path,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    main([word.replace("RUN", str(run)) for word in words])
    out, err = capsys.readouterr()
    for line in (out + err).split("\n"):
        assert line.isprintable(), line
        assert not line.startswith("zz"), "a line that a name began"


def test_a_warning_is_a_note_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "argv", ["tightrope", "--version"])
    assert main() == 0
    warnings.showwarning(UserWarning(f"{EVIL} cannot be locked."), UserWarning, __file__, 1)
    assert capsys.readouterr().err == "note: a\\x1b[2J\\u202eb\\nzz cannot be locked.\n"


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"name": f"{EVIL}\x7f"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": f"{EVIL}\x7f"}
    assert text.isascii() and all(line.isprintable() for line in text.splitlines())


def command(*words: str, **streams: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tightrope", *words], text=True, check=False, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("words", [("list",), ("sample", "--help"), ("--version",)])
def test_a_reader_who_leaves_ends_nothing(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody:  # noqa: PTH123 (a descriptor)
        done = command(*words, stdout=nobody, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_training_whose_reader_leaves_goes_on(tmp_path: Path) -> None:
    """``tightrope train ... 2>&1 | head -1``: what was asked for is the training, not its progress."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as nobody:  # noqa: PTH123 (a descriptor)
        done = command("train", "toy:ring", *TINY, "--out", str(tmp_path / "run"), stdout=nobody, stderr=nobody)
    assert done.returncode == 0
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", [("list",), ("sample", "--help")])
def test_a_full_disk_behind_stdout_is_said(words: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = command(*words, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith("tightrope: Could not go on: No space left")
    assert done.stderr.count("\n") == 1


def test_streams_that_were_closed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    say("nobody hears it")
    assert main(["list"]) == 0
    assert main(["fly"]) == 2


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_or_terminal_that_is_gone(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stdout", Gone())
    say("nobody hears it")


def test_training_that_is_not_finite_from_its_first_step_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "toy:ring", "--instance-noise", "1e26", "--dry-run"]) == 3
    assert capsys.readouterr().err.startswith("tightrope: Training stopped after step 0")


def test_what_a_study_is_not_called_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "report", "nothing", "--results", str(tmp_path / "results")]) == 2
    assert not (tmp_path / "results").exists()
    assert "Expected a study out of" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_page_takes_no_record_s_place(run: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(run)] * (2 if command == "compare" else 1)
    before = (run / "metrics.jsonl").read_bytes()
    assert main([command, *runs, "--out", str(run / "metrics.jsonl")]) == 2
    assert "as an .html" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_full_disk_under_an_export(run: Path, tmp_path: Path) -> None:
    """Torch's own writer would end the process."""
    resource = pytest.importorskip("resource")
    code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    code += f"resource.setrlimit({resource.RLIMIT_FSIZE}, (100, 100)); from tightrope.cli import main; sys.exit(main())"
    out = tmp_path / "x.pt2"
    words = [sys.executable, "-c", code, "export", str(run), "--out", str(out)]
    done = subprocess.run(words, text=True, check=False, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"tightrope: Could not save {out}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("--batches", "10001"), ("--batches", "-1"), ("--batch-size", "9" * 20)])
def test_absurd_sizes_of_an_analysis(run: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dynamics", str(run), "--k", "2", option, value]) == 2
    assert "10,000" in capsys.readouterr().err
