"""Curves and pictures for TensorBoard and Weights & Biases, against stand-ins for their packages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from run_cases import config_of
from tightrope import UserError, runs
from tightrope.cli import main
from tightrope.runs.book import Book

SMALL = {"network": "mlp", "width": 8, "depth": 1, "latent": 4, "steps": 4, "limit": 200, "evaluate_n": 60,
         "batch_size": 8, "conditioning_every": 0, "threads": 1, "sample_every": 2}  # fmt: skip


class Told:
    """What a board was given."""

    def __init__(self) -> None:
        self.begun: list[dict[str, Any]] = []
        self.curves: list[tuple[str, float, int]] = []
        self.pictures: list[tuple[Any, int]] = []
        self.ended = 0

    def run(self, folder: Path, source: str = "digits", **settings: Any) -> Told:
        runs.begin(folder, runs.resolve(source, **(SMALL | settings)), quiet=True)
        return self


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            told.begun.append({"folder": folder, "purge_step": purge_step})

        def add_images(self, tag: str, values: torch.Tensor, step: int) -> None:
            assert values.dtype == torch.uint8 and values.shape[1] <= 3
            told.pictures.append((tuple(values.shape), step))

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            told.curves.append((tag, value, step))

        def flush(self) -> None: ...

        def close(self) -> None:
            told.ended += 1

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return told


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()

    class Run:
        def log(self, values: dict[str, Any], step: int) -> None:
            for name, value in values.items():
                if isinstance(value, float):
                    told.curves.append((name, value, step))
                else:
                    told.pictures.append((value, step))

        def finish(self) -> None:
            told.ended += 1

    def init(**words: Any) -> Run:
        told.begun.append(words)
        return Run()

    module = ModuleType("wandb")
    module.init, module.Image = init, lambda path: Path(path).read_bytes()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return told


def test_tensorboard_gets_pictures_beside_numbers(tmp_path: Path, tensorboard: Told) -> None:
    tensorboard.run(tmp_path / "run", tensorboard=True)
    tags = {tag for tag, _, _ in tensorboard.curves}
    assert "critic_loss" in tags and any(tag.startswith("evaluation/") for tag in tags)
    seen = [step for _, step in tensorboard.pictures]
    assert seen[0] == 0 and seen[-1] == 32 and tensorboard.ended == 1
    assert tensorboard.pictures[0][0][1:] == (1, 8, 8)


def test_vectors_are_no_pictures_for_tensorboard(tmp_path: Path, tensorboard: Told) -> None:
    tensorboard.run(tmp_path / "run", "toy:ring", tensorboard=True)
    assert tensorboard.curves and not tensorboard.pictures


@pytest.mark.parametrize("source", ["digits", "toy:ring"])
def test_weights_and_biases_gets_the_files_and_the_rows_of_the_run(tmp_path: Path, wandb: Told, source: str) -> None:
    folder = tmp_path / "run"
    wandb.run(folder, source, wandb="offline")
    files = {8 * int(path.stem[5:]): path.read_bytes() for path in (folder / "samples").glob("step_*.png")}
    assert len(files) == 3 and {seen: found for found, seen in wandb.pictures} == files
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    expected = [(row["images_seen"], row["critic_loss"]) for row in rows]
    assert [(seen, value) for tag, value, seen in wandb.curves if tag == "critic_loss"] == expected
    assert any(tag.startswith("evaluation/") for tag, _, _ in wandb.curves)
    seen = [step for *_, step in (*wandb.curves, *wandb.pictures)]
    assert min(seen) >= 0 and max(seen) == 32 and wandb.ended == 1
    (begun,) = wandb.begun
    assert begun["mode"] == "offline" and begun["dir"] == str(folder) and begun["name"] == "run"
    assert begun["config"]["method"]["name"] == "r1"


def test_a_resumed_run_is_the_same_run_there_and_another_folder_is_another(tmp_path: Path, wandb: Told) -> None:
    wandb.run(tmp_path / "run", wandb="offline")
    runs.resume(tmp_path / "run", more_steps=2, quiet=True)
    wandb.run(tmp_path / "other", wandb="offline")
    first, again, other = (begun["id"] for begun in wandb.begun)
    assert first == again != other and wandb.begun[1]["resume"] == "allow"


def test_no_step_of_a_curve_is_shown_twice(tmp_path: Path, tensorboard: Told) -> None:
    """The end makes the picture that was due there once more, and measures with two numbers of samples."""
    tensorboard.run(tmp_path / "run", tensorboard=True, sample_every=2, evaluate_every=2, between_n=40)
    curves = [(tag, seen) for tag, _, seen in tensorboard.curves]
    assert len(curves) == len(set(curves)) and ("last_evaluation/frechet", 32) in curves
    assert [seen for _, seen in tensorboard.pictures] == [0, 16, 32]


def test_a_run_killed_before_its_first_checkpoint_repeats_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def killed(book: Book, step: Any) -> Any:
        shown = after(book, step)
        if step.step == 3:
            for board in book.boards:
                board.flush()
            raise MemoryError
        return shown

    after, folder = Book.after, tmp_path / "run"
    config = config_of("digits", steps=4, checkpoint_every=9, tensorboard=True)
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Book, "after", killed)
        runs.begin(folder, config, quiet=True)
    runs.resume(folder, quiet=True)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("critic_loss")] == [8, 16, 24, 32]
    assert [event.step for event in events.Images("samples")] == [0, 24, 32]


def test_boards_do_not_change_what_is_trained(tmp_path: Path, tensorboard: Told, wandb: Told) -> None:
    tensorboard.run(tmp_path / "shown", tensorboard=True, wandb="online")
    tensorboard.run(tmp_path / "plain")
    one, other = (runs.load(tmp_path / name).sample(4, seed=0) for name in ("shown", "plain"))
    assert torch.equal(one, other)


@pytest.mark.parametrize("option", [["--tensorboard"], ["--wandb", "offline"]])
def test_a_missing_package_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    name = option[0].removeprefix("--")
    for module in ("torch.utils.tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["train", "digits", "--steps", "2", "--out", str(tmp_path / "run"), *option]) == 2
    assert f"pip install 'tightrope[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_no_login_is_a_sentence(tmp_path: Path, wandb: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**words: Any) -> None:
        raise RuntimeError("api_key not configured\nmore")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(UserError, match=r"begins no run \(api_key not configured\); log in with wandb login"):
        wandb.run(tmp_path / "run", wandb="online")
