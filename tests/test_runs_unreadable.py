"""Files of a run that this account may not read: said as what they are, never called damaged."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from run_cases import config_of
from tightrope import runs
from tightrope.cli import main
from tightrope.runs.record import read_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    runs.begin(folder, config_of(), quiet=True)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.mark.parametrize("name", ["config.json", "generator.safetensors", "checkpoints/step_00000004.safetensors"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(
    run: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice to delete it would lose what only another account may read."""
    closed(run / name, monkeypatch)
    words = ("resume", run) if name.startswith("checkpoints") else ("sample", run, "--out", run / "x.npz")
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert f"Expected to read {run / name}, but that fails (Permission denied)" in said
    assert "damaged" not in said and "Errno" not in said


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluations.jsonl", "status.json", "diagnosis.json"])
def test_a_record_that_may_not_be_read_is_left_out_and_said(
    run: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "diagnosis.json").write_text("{}")
    closed(run / name, monkeypatch)
    assert f"{name} could not be read: Permission denied." in read_run(run).problems


def closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbid reading a file, to the superuser too."""
    real = Path.open

    def opened(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
