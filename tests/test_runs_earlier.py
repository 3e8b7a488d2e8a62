"""What a run's monitor found before the run was stopped stays known when it is resumed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data_cases import encoded, noise, write_files
from planted_run import WRONG, planted
from tightrope import doctor
from tightrope.cli import main
from tightrope.monitor import Diagnosis, Finding
from tightrope.monitor.finding import Confidence
from tightrope.runs.earlier import BEFORE, counted_from, read_earlier, together

WORDS = ["--network", "mlp", "--steps", "12", "--quiet", "--evaluate-every", "100", "--log-every", "5"]


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "diagnosis.json").read_text())
    return found


def resume(folder: Path, *more: str) -> None:
    assert main(["resume", str(folder), "--quiet", *more]) == 0


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of twelve steps in which something was found; nothing is planted afterwards."""
    folder = tmp_path / "a"
    with monkeypatch.context() as held:
        planted(held)
        assert main(["train", "digits", "--method", "r1", *WORDS, "--out", str(folder)]) == 0
    assert kept(folder)["findings"][0]["cause"] == WRONG
    return folder


def test_a_finding_outlives_a_resume(faulty: Path) -> None:
    before = (faulty / "diagnosis.json").read_bytes()
    resume(faulty)  # at its end: nothing more is seen
    assert json.loads(before)["findings"] == kept(faulty)["findings"]
    assert kept(faulty)["step"] == 12
    resume(faulty, "--steps", "18")
    found = kept(faulty)
    assert (found["findings"][0]["cause"], found["healthy"], found["step"]) == (WRONG, False, 18)
    assert any(said.startswith(f"{BEFORE} 12: ") for said in found["checked"])
    assert "steps from 12 on, where the run was resumed; sentences count from there" in found["checked"]
    assert doctor.diagnose(faulty)[0].cause == WRONG
    assert main(["report", str(faulty)]) == 0


def test_it_ends_when_the_run_was_watched_for_as_long_again(faulty: Path) -> None:
    resume(faulty, "--steps", "24")
    assert kept(faulty)["healthy"]
    assert kept(faulty)["step"] == 24


def test_another_run_from_there_on_begins_anew(faulty: Path) -> None:
    resume(faulty, "--steps", "14", "--gamma", "5")
    assert [finding["cause"] for finding in kept(faulty)["findings"] if finding["confidence"] != "low"] in (
        [],
        ["healthy"],
    )


def test_steps_count_from_the_first_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    assert main(["train", "digits", "--method", "r1", *WORDS, "--out", str(folder)]) == 0
    planted(monkeypatch)
    resume(folder, "--steps", "24")
    first = kept(folder)["findings"][0]
    assert first["cause"] == WRONG
    assert 12 <= first["since"] <= 24


def finding(cause: str, confidence: Confidence = "high") -> Finding:
    return Finding(cause, cause, confidence=confidence)


def test_together() -> None:
    earlier = Diagnosis((finding(WRONG), finding("no_progress", "low")), 100, ("rows",))
    healthy = Diagnosis((finding("healthy"),), 110, ("windows",))
    assert [f.cause for f in together(healthy, earlier, 100)] == [WRONG]
    assert together(healthy, earlier, 100).checked == ("windows", "before step 100: rows")
    assert together(replace(healthy, step=200), earlier, 100).findings == healthy.findings
    assert together(replace(healthy, step=100, findings=()), earlier, 100) is earlier
    assert together(healthy, None, 100) is healthy
    twice = Diagnosis((replace(finding(WRONG), since=105),), 110)
    assert [f.since for f in together(twice, earlier, 100)] == [105]
    sound = Diagnosis((finding("healthy"),), 100)
    assert [f.cause for f in together(Diagnosis((), 101), sound, 100)] == ["healthy"]
    again = together(healthy, replace(earlier, checked=("before step 50: old",)), 100)
    assert again.checked == ("windows", "before step 50: old")
    assert counted_from(sound, 0) is sound


def test_a_damaged_file_is_no_earlier_diagnosis(tmp_path: Path) -> None:
    for content in (b"", b"{", b"[]", b'{"findings": [{"cause": "nobody", "sentence": ""}]}', b'{"step": "x"}'):
        (tmp_path / "diagnosis.json").write_bytes(content)
        assert read_earlier(tmp_path / "diagnosis.json") is None
    assert read_earlier(tmp_path / "none.json") is None


def test_a_preflight_that_was_not_written_down_is_made_up_for(tmp_path: Path) -> None:
    """Ended between its configuration and its first checkpoint: the same run, with all its files."""
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        assert main(["train", "digits", "--method", "r1", *WORDS, "--out", str(folder)]) == 0
    for path in [*folders[1].rglob("*")]:
        if path.is_file() and path.name != "config.json":
            path.unlink()
    resume(folders[1])
    first, again = ((folder / "preflight.json").read_bytes() for folder in folders)
    assert first == again
    a, b = (load_file(folder / "generator.safetensors") for folder in folders)
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    assert kept(folders[0])["findings"] == kept(folders[1])["findings"]


def test_names_that_are_no_utf8_are_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a configuration nor a checkpoint of such a name could be read again."""
    folder, source = (tmp_path / os.fsdecode(name) for name in (b"out\xe9", b"data\xe9"))
    assert main(["train", "toy:ring", *WORDS, "--out", str(folder)]) == 2
    assert "Expected a folder whose name can be written as UTF-8, got " in capsys.readouterr().err
    write_files(source, {f"{i}.png": encoded(noise(1, seed=i)[0]) for i in range(20)})
    assert main(["train", str(source), *WORDS, "--out", str(tmp_path / "b")]) == 2
    assert "Expected a path that can be written as UTF-8, got " in capsys.readouterr().err
    assert not folder.exists() and not (tmp_path / "b").exists()
