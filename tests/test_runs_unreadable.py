"""Files of a run that may not be read are said as what they are, and links out of a run are not written through."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from run_cases import config_of
from tightrope import UserError, runs
from tightrope.cli import main
from tightrope.runs import rows
from tightrope.runs.record import read_run
from tightrope.runs.serialize import read_tensors, write_tensors


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


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "name",
    [".lock", ".lock-holder", "metrics.jsonl", "evaluations.jsonl", "conditioning.jsonl", "samples", "checkpoints"],
)
def test_nothing_is_written_through_a_link_that_leaves_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, there: bool
) -> None:
    """A run from somebody else: what its files lead to is this user's."""
    mine = tmp_path / "mine"
    if there and name in ("samples", "checkpoints"):
        shutil.copytree(run / name, mine)
    elif there:
        mine.write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in [mine, *mine.rglob("*")]} if there else {}
    if (run / name).is_dir():
        shutil.rmtree(run / name)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(mine)
    assert main(["resume", str(run), "--more-steps", "1", "--quiet"]) == 2
    assert f"got {name}, a link that leads to" in capsys.readouterr().err or not there
    assert ({path: path.stat().st_mtime_ns for path in [mine, *mine.rglob("*")]} if mine.exists() else {}) == before


def test_a_link_in_the_place_of_the_lock_of_a_new_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    assert main(["train", "toy:ring", "--steps", "1", "--quiet", "--out", str(tmp_path / "run")]) == 2
    assert "a link that leads to" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"


def test_links_within_a_run_and_to_it_stay_in_use(run: Path, tmp_path: Path) -> None:
    (run / "samples").rename(run / "pictures")
    (run / "samples").symlink_to("pictures")
    (tmp_path / "link").symlink_to(run)
    assert runs.resume(tmp_path / "link", more_steps=1, quiet=True).state == "finished"


def test_a_row_is_not_appended_through_a_link_that_leaves_its_folder(tmp_path: Path) -> None:
    """As of a probe, which trains in no run folder and locks none."""
    (tmp_path / "run").mkdir()
    rows.append(tmp_path / "run" / "mine.jsonl", {"step": 1})
    (tmp_path / "run" / "probes.jsonl").symlink_to("mine.jsonl")
    rows.append(tmp_path / "run" / "probes.jsonl", {"step": 2})
    (tmp_path / "run" / "metrics.jsonl").symlink_to("../new")
    with pytest.raises(UserError, match="a link that leads to"):
        rows.append(tmp_path / "run" / "metrics.jsonl", {"step": 1})
    assert not (tmp_path / "new").exists() and len(rows.read(tmp_path / "run" / "mine.jsonl")) == 2


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("generator", "slope", 0.7), ("critic", "slope", 0.7), ("training", "latent", 5), ("data", "kind", "signals")],
)
def test_weights_are_not_used_under_other_settings_of_their_network(
    run: Path, capsys: pytest.CaptureFixture[str], section: str, key: str, value: Any
) -> None:
    """Where all shapes agree the samples would be others, without a word."""
    config = json.loads((run / "config.json").read_text())
    place = config["network"][section] if section in config["network"] else config[section]
    assert place.get(key) != value
    place[key] = value
    (run / "config.json").write_text(json.dumps(config))
    for words in (["sample", str(run), "--out", str(run.parent / "x.npz")], ["resume", str(run), "--more-steps", "1"]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert "restore the config.json that belongs to them" in err or "data" in err or section == "training", err
    assert not (run.parent / "x.npz").exists()


def test_weights_from_before_marks_are_read(run: Path) -> None:
    """And what does not fit is named."""
    weights, words = read_tensors(run / "generator.safetensors", "generator", "")
    assert words.pop("network")
    whole = runs.load(run).sample(5)
    write_tensors(run / "generator.safetensors", weights, {"step": "4"})
    assert (runs.load(run).sample(5) == whole).all()
    name = next(iter(weights))
    for changed, why in (
        ({**weights, name: weights[name][:1]}, f"{name} is of shape"),
        ({**weights, "more": weights[name]}, "it holds more, which is not in the network"),
        ({key: value for key, value in weights.items() if key != name}, f"it lacks {name}"),
    ):
        write_tensors(run / "generator.safetensors", changed, {"step": "4"})
        with pytest.raises(UserError, match=re.escape(why)):
            runs.load(run)


OURS = ("status.json", "diagnosis.json", "metrics.jsonl", "evaluations.jsonl", "generator.safetensors")
OURS += ("samples/real.png", "checkpoints/step_00000002.safetensors", "report.html")


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "folder") for name in OURS), *((f"{n}.jsonl", "pipe") for n in ("metrics", "evaluations"))],
)
def test_resume_refuses_what_is_no_file_before_anything_changes(tmp_path: Path, name: str, kind: str) -> None:
    """A pipe in place of a record would wait for a reader for ever; a folder is met in mid-run."""
    run = tmp_path / "run"
    runs.begin(run, config_of(evaluate_every=2), quiet=True)
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir() if kind == "folder" else os.mkfifo(run / name)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="something else of that name"):
        runs.resume(run, steps=6, quiet=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    if name.endswith(".jsonl"):
        with pytest.raises(UserError, match="something else of that name"):
            rows.append(run / name, {"step": 1})
