"""What a run folder promises when something goes wrong: damage is named, strangers are left alone, nothing is lost."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_cases import encoded, idx, noise, write_files
from run_cases import config_of
from tightrope import runs
from tightrope._plumbing.errors import UserError
from tightrope.cli import main
from tightrope.runs import rows as records
from tightrope.runs.config import check
from tightrope.training.nonfinite import NonFiniteError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    runs.begin(folder, config_of(), quiet=True)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def content(folder: Path) -> dict[str, str]:
    """Digest of every file, but for those that a lock needs."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def sentence(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a refused command says, in one sentence with exit status 2."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err and "type matching" not in err
    return err


# --- damage ------------------------------------------------------------------------------------------------------


def damaged(path: Path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    data = path.read_bytes()
    assert old in data, old
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize("name", ["generator.safetensors", "checkpoints/step_00000004.safetensors"])
@pytest.mark.parametrize("what", ["byte", "dtype", "shape", "step", "tree"])
def test_damage_of_the_same_size_is_refused_by_name(run: Path, name: str, what: str) -> None:
    path = run / name
    if what == "byte":
        data = bytearray(path.read_bytes())
        data[-3] ^= 4
        path.write_bytes(bytes(data))
    elif what == "dtype":
        damaged(path, b'"F32"', b'"I32"')
    elif what == "shape":
        damaged(path, b'"shape":[8,3]', b'"shape":[3,8]')
    elif name.startswith("generator"):
        damaged(path, b'"step":"4"', b'"step":"3"')
    elif what == "step":
        damaged(path, rb'["step", {\"value\": 4}]'.replace(b'"step"', rb"\"step\""), rb"[\"step\", {\"value\": 3}]")
    else:
        damaged(path, rb"{\"value\": 0.99}", rb"{\"value\": 0.95}")
    with pytest.raises(UserError, match=path.name):
        runs.load(run) if name.startswith("generator") else runs.resume(run, steps=6, quiet=True)


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("config.json", '{"format": 1, "a": ' + "[" * 100_000, "config.json"),
        ("config.json", "[" * 100_000, "config.json"),
        ("config.json", "5", "config.json"),
        ("config.json", None, "training.steps"),
    ],
)
def test_hostile_json_is_refused_by_file_and_field(
    run: Path, capsys: pytest.CaptureFixture[str], file: str, text: str | None, wrong: str
) -> None:
    if text is None:
        config = json.loads((run / file).read_text())
        config["training"]["steps"] = 10**30
        text = json.dumps(config)
    (run / file).write_text(text)
    for command in ("resume", "sample", "evaluate"):
        assert wrong in sentence(capsys, command, run)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "batch_size", -3),
        ("training", "batch_size", "8"),
        ("training", "seed", -1),
        ("training", "threads", 10**9),
        ("training", "minutes", math.nan),
        ("training", "ema_half_life_images", math.inf),
        ("data", "shape", [2, "x"]),
        ("data", "shape", [-2]),
        ("data", "limit", 1.5),
        ("method", "hyperparameters", 5),
        ("method", "hyperparameters", {"gamma": math.nan}),
        ("network", "name", None),
    ],
)
def test_settings_out_of_range_are_named(trained: Path, section: str, key: str, value: Any) -> None:
    config = runs.read_config(trained)
    part = dataclasses.replace(getattr(config, section), **{key: value})
    with pytest.raises(UserError, match=rf"{key}|finite"):
        check(dataclasses.replace(config, **{section: part}))


def test_a_mistyped_hyperparameter_or_option_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((run / "config.json").read_text())
    for section, change in (
        ("method", {"hyperparameters": {"gamma": "ten"}}),
        ("network", {"generator": {"width": "wide"}}),
        ("network", {"generator": {"windth": 8}}),
    ):
        wrong = config | {section: config[section] | change}
        (run / "config.json").write_text(json.dumps(wrong))
        assert "Expected" in sentence(capsys, "resume", run, "--quiet")


# --- checkpoints -------------------------------------------------------------------------------------------------


def test_checkpoints_go_by_number_and_exact_name(run: Path) -> None:
    folder = run / "checkpoints"
    for name in ("step_99999999", "step_100000000", "step_00000003_backup", "step_x", "step_5"):
        shutil.copy(folder / "step_00000004.safetensors", folder / f"{name}.safetensors")
    assert [p.stem for p in runs.checkpoint_paths(run)][-2:] == ["step_99999999", "step_100000000"]
    assert len(runs.checkpoint_paths(run)) == 5


def test_the_newest_of_many_digits_is_kept(run: Path) -> None:
    assembled = runs.assemble(runs.read_config(run), progress=False)
    for step in (99_999_998, 99_999_999, 100_000_000):
        assembled.run.step = step
        runs.save_checkpoint(run, assembled, seconds=0.0, keep=1)
    assert [p.stem for p in runs.checkpoint_paths(run)] == ["step_100000000"]


def test_status_follows_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tightrope.runs.book import Book

    seen: list[tuple[str, int]] = []

    def look(self: Book, *, last: bool = False) -> None:
        found = json.loads((tmp_path / "run" / "status.json").read_text())
        seen.append((found["state"], found["step"]))

    monkeypatch.setattr(Book, "sample", look)
    runs.begin(tmp_path / "run", config_of(), quiet=True)
    assert seen[0] == ("running", 0) and seen[1] == ("running", 2)


def test_tensorboard_repeats_no_step_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    runs.begin(folder, config_of(steps=6, tensorboard=True), quiet=True)
    for path in runs.checkpoint_paths(folder)[1:]:
        path.unlink()
    runs.resume(folder, steps=6, quiet=True)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    steps = [event.step for event in events.Scalars("critic_loss")]
    assert steps == sorted(set(steps)) and len(steps) == 6


def test_weights_that_are_not_finite_after_the_last_step_are_no_finish(tmp_path: Path) -> None:
    config = config_of(method=runs.MethodSettings("dcgan", {"learning_rate": 1e39}), steps=1)
    with pytest.raises(NonFiniteError, match="the parameter"):
        runs.begin(tmp_path / "run", config, quiet=True)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "stopped" and "not finite" in status["reason"]
    assert [p.stem for p in runs.checkpoint_paths(tmp_path / "run")] == ["step_00000000"]


@pytest.mark.parametrize("player", ["generator", "critic", "average"])
def test_what_the_last_step_leaves_is_looked_at_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, player: str
) -> None:
    """No step comes after it that would meet the NaN."""
    fit = importlib.import_module("tightrope.runs.fit")

    def spoiling(run: Any, *arguments: Any, **budget: Any) -> Any:
        yield from train(run, *arguments, **budget)
        with torch.no_grad():
            next(getattr(run, player).parameters()).view(-1)[0] = float("nan")

    train = fit.train_until
    monkeypatch.setattr(fit, "train_until", spoiling)
    with pytest.raises(NonFiniteError, match=f"the parameter {player}"):
        runs.begin(tmp_path / "run", config_of(steps=1), quiet=True)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"
    assert [p.stem for p in runs.checkpoint_paths(tmp_path / "run")] == ["step_00000000"]
    assert [p.stem for p in (tmp_path / "run" / "samples").glob("step_*")] == ["step_00000000"]


# --- whose files -------------------------------------------------------------------------------------------------


def test_a_folder_of_somebody_is_refused_and_untouched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    (folder / "samples").mkdir(parents=True)
    for name in ("report.html", "samples/real.png", ".a.txt.12345678.part", "samples/.notes.md.abcdefgh.part"):
        (folder / name).write_text("mine")
    before = content(folder)
    words = ["train", "toy:ring", "--steps", "1", "--batch-size", "8", "--width", "8", "--quiet", "--out", folder]
    assert "new or empty folder" in sentence(capsys, *words)
    assert content(folder) == before
    (tmp_path / "file").write_text("mine")
    assert "Expected a new folder" in sentence(capsys, *words[:-1], tmp_path / "file")


def test_a_folder_that_a_killed_begin_left_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", ".config.json.a1b2c3d4.part"):
        (folder / name).write_text("")
    assert runs.begin(folder, config_of(steps=1), quiet=True).state == "finished"
    assert not list(folder.rglob("*.part"))


def test_leftovers_are_deleted_by_our_own_names_only(run: Path) -> None:
    ours = [".status.json.a1b2c3d4.part", "samples/.step_00000003.png.a1b2c3d4.part"]
    ours += ["checkpoints/.step_00000004.safetensors.a1b2c3d4.part"]
    others = [".mine.txt.a1b2c3d4.part", "samples/.photo.png.a1b2c3d4.part", "deep/.status.json.a1b2c3d4.part"]
    (run / "deep").mkdir()
    for name in (*ours, *others):
        (run / name).write_text("x")
    runs.resume(run, quiet=True)
    assert [name for name in (*ours, *others) if (run / name).exists()] == others


# --- whose data --------------------------------------------------------------------------------------------------


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "points.npz", x=rng.normal(size=(200, 3)).astype(np.float32) * 7)
    return tmp_path / "points.npz"


@pytest.fixture
def on_vectors(vectors: Path, tmp_path: Path) -> Path:
    runs.begin(tmp_path / "run", config_of(str(vectors)), quiet=True)
    return tmp_path / "run"


def test_other_data_at_the_same_place_are_refused_everywhere(
    on_vectors: Path, vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(vectors, x=np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32))
    before = content(on_vectors)
    for words in (
        ("sample", on_vectors, "--out", tmp_path / "x.npz"),
        ("evaluate", on_vectors),
        ("resume", on_vectors),
    ):
        assert "fingerprint differs" in sentence(capsys, *words)
    assert not (tmp_path / "x.npz").exists()
    assert content(on_vectors) == before


def test_other_held_out_data_are_refused_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The training images are the same; a distance to other test images would be another number without a word."""
    train, test = noise(20, 8, 8, 1), noise(20, 8, 8, 1, seed=1)
    source = write_files(tmp_path / "d", {f"train/{i}.png": encoded(one) for i, one in enumerate(train)})
    write_files(source, {f"test/{i}.png": encoded(one) for i, one in enumerate(test)})
    runs.begin(tmp_path / "run", config_of(str(source), evaluate_n=20), quiet=True)
    write_files(source, {f"test/{i}.png": encoded(one // 3) for i, one in enumerate(test)})
    before = content(tmp_path / "run")
    for words in (("evaluate",), ("resume", "--more-steps", "1", "--quiet")):
        assert "other test data" in sentence(capsys, words[0], tmp_path / "run", *words[1:])
    assert content(tmp_path / "run") == before
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    del settings["data"]["test_fingerprint"]  # as of a run from before there was one: it is written down now
    (tmp_path / "run" / "config.json").write_text(json.dumps(settings))
    assert main(["resume", str(tmp_path / "run"), "--more-steps", "1", "--quiet"]) == 0
    assert runs.read_config(tmp_path / "run").data.test_fingerprint


def test_a_beginning_that_does_not_fit_leaves_no_folder(run: Path, tmp_path: Path) -> None:
    config = config_of(from_run=str(run), latent=99)
    with pytest.raises(UserError, match="same network"):
        runs.begin(tmp_path / "new", dataclasses.replace(config, network=runs.NetworkSettings("mlp", {"width": 5}, {})))
    assert not (tmp_path / "new").exists()


def test_moved_data_are_found_with_data_and_what_is_read_is_said(
    on_vectors: Path,
    vectors: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "another machine"))  # where the run did not begin
    capsys.readouterr()
    assert main(["evaluate", str(on_vectors)]) == 0
    assert str(vectors) in capsys.readouterr().err
    moved = tmp_path / "elsewhere.npz"
    vectors.rename(moved)
    before = content(on_vectors)
    for words in (("sample", "--out", tmp_path / "x.npz"), ("evaluate",), ("resume", "--steps", "6", "--quiet")):
        assert "points.npz" in sentence(capsys, words[0], on_vectors, *words[1:])
        assert content(on_vectors) == before
        assert main([words[0], str(on_vectors), *map(str, words[1:]), "--data", str(moved)]) == 0
    assert runs.read_config(on_vectors).data.source == str(moved.resolve())
    assert main(["resume", str(on_vectors), "--steps", "7", "--quiet"]) == 0


@pytest.mark.parametrize("form", ["folder", "idx"])
def test_a_test_split_of_another_size_is_refused_before_training(tmp_path: Path, form: str) -> None:
    """Met only by the evaluation it would cost the whole training."""
    train, test = noise(20, 8, 8, 1), noise(10, 9, 9, 1)
    files = {f"train/{i}.png": encoded(one) for i, one in enumerate(train)}
    files |= {f"test/{i}.png": encoded(one) for i, one in enumerate(test)}
    if form == "idx":
        files = {"train-images-idx3-ubyte": idx(train[..., 0]), "t10k-images-idx3-ubyte": idx(test[..., 0])}
    source = write_files(tmp_path / "d", files)
    with pytest.raises(UserError, match=r"test samples of shape \[1, 8, 8\].* got \[1, 9, 9\]; give a resolution"):
        runs.begin(tmp_path / "run", config_of(str(source)), quiet=True)
    assert not (tmp_path / "run").exists()


# --- resume ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("--minutes", "nan"), ("--minutes", "inf"), ("--steps", "-5"), ("--images", "-1"), ("--steps", "1e3")]
)
def test_resume_checks_what_train_checks(run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    before = content(run)
    assert words[0] in sentence(capsys, "resume", run, *words)
    assert content(run) == before
    if words[1] != "1e3":  # in Python that is a number
        total = float(words[1]) if words[0] == "--minutes" else int(words[1])
        with pytest.raises(UserError, match=words[0][2:]):
            runs.resume(run, quiet=True, **{words[0][2:]: total})
        assert content(run) == before


def test_a_failed_resume_changes_nothing(run: Path) -> None:
    records.append(run / "metrics.jsonl", {"step": 9, "critic_loss": 1.0})
    newest = runs.checkpoint_paths(run)[-1]
    newest.write_bytes(newest.read_bytes()[:-9])
    before = content(run)
    with pytest.raises(UserError, match="damaged"):
        runs.resume(run, steps=100, quiet=True)
    with pytest.raises(UserError, match="steps"):
        runs.resume(run, steps=-5, quiet=True)
    with pytest.raises(UserError, match="finite"):
        runs.resume(run, minutes=math.nan, quiet=True)
    assert content(run) == before


def test_a_file_system_without_locks_is_said_and_names_no_past_process(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def without(handle: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    (run / ".lock").write_text("process 1")
    monkeypatch.setattr(fcntl, "flock", without)
    with pytest.warns(UserWarning, match="cannot lock files"), runs.locked(run):
        pass
