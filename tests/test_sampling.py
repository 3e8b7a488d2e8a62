"""What ``tightrope sample`` offers: classes by name, truncation, walks, the best step; and more steps on resuming."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tightrope import UserError, load
from tightrope.cli import main
from tightrope.runs import rows
from tightrope.runs.samples import arc

TINY = ["--steps", "6", "--batch-size", "8", "--latent", "4", "--width", "4", "--depth", "1", "--network", "mlp",
        "--log-every", "1", "--evaluate-every", "2", "--evaluate-n", "60", "--checkpoint-every", "2", "--keep", "2",
        "--conditioning-every", "0", "--threads", "1", "--quiet"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run on images in folders whose names are numbers out of order."""
    root = tmp_path_factory.mktemp("sampling")
    draws = np.random.default_rng(0)
    for name in ("1", "0", "stop"):
        (root / "images" / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8)).save(root / "images" / name / f"{i}.png")
    folder = root / "run"
    words = ["train", str(root / "images"), "--conditional", "--method", "r1", "--out", str(folder), *TINY]
    assert main(words) == 0
    return folder


def sampled(run: Path, out: Path, *words: str) -> Path:
    assert main(["sample", str(run), "--out", str(out), *words]) == 0
    return out


def test_classes_go_by_name_and_labels_are_written(run, tmp_path):
    generator = load(run)
    assert set(generator.classes) == {"0", "1", "stop"}
    for name in generator.classes:
        assert generator.label_of(name) == generator.classes.index(name)
    with np.load(sampled(run, tmp_path / "x.npz", "--n", "5", "--label", "stop")) as file:
        assert file["labels"].tolist() == [generator.classes.index("stop")] * 5
    with np.load(sampled(run, tmp_path / "y.npz", "--n", "300")) as file:  # two calls of at most 256
        assert file["x"].shape == (300, 1, 8, 8) and set(file["labels"].tolist()) == {0, 1, 2}
        drawn = generator.decode(*generator.drawn(256, seed=int(np.random.SeedSequence(0).generate_state(2)[0])))
        assert np.array_equal(file["x"][:256], drawn.add(1).mul(127.5).round().clamp(0, 255).byte().numpy())
    with pytest.raises(UserError, match=r"did you mean stop"):
        generator.label_of("stpo")
    assert generator.label_of("2") == 2  # a number where no class is called so


@pytest.mark.parametrize(
    ("classes", "typed", "found"),
    [
        (("00001", "00002", "00003"), "1", "write 00001, or 00002 for class number 1"),
        (("00001", "00002", "00003"), "3", "write 00003."),
        (("00001", "00002", "00003"), "0", 0),  # nothing else is called so
        (("000", "001", "002"), "2", 2),  # both readings are one
        (("000", "001", "002"), "002", 2),
        (("00002", "13", "cat"), "2", "write 00002, or cat for class number 2"),
        (("00013", "00002", "13"), "13", 2),
        (("a", "b"), "1", 1),
        (("a", "b"), "01", 1),
        (("a", "b"), "9" * 5000, "number below 2"),
    ],
)
def test_numbers_that_may_be_two_classes_are_refused(run, classes, typed, found):
    generator = dataclasses.replace(load(run), classes=classes)
    if isinstance(found, int):
        assert generator.label_of(typed) == found
    else:
        with pytest.raises(UserError, match=re.escape(found)):
            generator.label_of(typed)


def test_a_grid_by_class_has_a_row_for_each(run, tmp_path, capsys):
    with Image.open(sampled(run, tmp_path / "x.png", "--by-class")) as picture:
        assert picture.size == (8 * 50 + 2, 3 * 50 + 2)  # tiles of 48 with gaps of 2: 8 of each class
    assert main(["sample", str(run), "--out", str(tmp_path / "y.png"), "--by-class", "--n", "10"]) == 2
    assert "as many samples of each class" in capsys.readouterr().err
    assert main(["sample", str(run), "--out", str(tmp_path / "y.png"), "--by-class", "--label", "0"]) == 2


def test_truncated_latents_stay_within_and_keep_the_distribution_inside():
    from scipy.stats import kstest, truncnorm

    from tightrope.runs.trained import TrainedGenerator

    generator = TrainedGenerator(torch.nn.Identity(), 50, (), (50,), None)
    z, labels = generator.drawn(400, seed=1, truncation=0.7)
    assert labels is None and float(z.abs().max()) <= 0.7
    assert kstest(z.flatten().numpy(), truncnorm(-0.7, 0.7).cdf).pvalue > 1e-3
    whole, _ = generator.drawn(4, seed=1)
    assert torch.equal(whole, torch.randn(4, 50, generator=torch.Generator().manual_seed(1)))
    for wrong in (0.0, -1.0, math.nan, "a lot"):
        with pytest.raises(UserError, match="truncation"):
            generator.drawn(4, truncation=wrong)


def test_the_way_between_latents_keeps_their_length():
    start, end = torch.randn(5, 9, dtype=torch.float64), torch.randn(5, 9, dtype=torch.float64)
    assert torch.allclose(arc(start, end, 0.0), start) and torch.allclose(arc(start, end, 1.0), end)
    unit_start, unit_end = start / start.norm(dim=1, keepdim=True), end / end.norm(dim=1, keepdim=True)
    middle = arc(unit_start, unit_end, 0.3)
    assert torch.allclose(middle.norm(dim=1), torch.ones(5, dtype=torch.float64))
    angle = lambda a, b: torch.acos((a * b).sum(1))  # noqa: E731
    assert torch.allclose(angle(unit_start, middle), 0.3 * angle(unit_start, unit_end))
    assert torch.allclose(arc(start, start, 0.4), start)


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_a_walk_is_a_moving_picture(run, tmp_path, ending, capsys):
    path = sampled(run, tmp_path / f"walk.{ending}", "--walk", "2", "--n", "2", "--truncation", "1.0")
    with Image.open(path) as picture:
        assert picture.n_frames > 2 and picture.size == (102, 52)
    assert main(["sample", str(run), "--out", str(tmp_path / "x.png"), "--walk", "3"]) == 2
    assert ".gif, .webp or .mp4" in capsys.readouterr().err


def test_the_best_and_kept_steps(run, tmp_path, capsys):
    measured = [row for row in rows.read(run / "evaluations.jsonl") if row["measurements"]]
    values = {row["step"]: row["measurements"][0]["value"] for row in measured}
    assert sorted(values) == [2, 4, 6]
    best = min(values, key=values.get)
    weights = load(run, step="best").generator.state_dict()
    if best in (4, 6):
        kept = load(run, step=best).generator.state_dict()
        assert all(torch.equal(weights[key], kept[key]) for key in weights)
    newest = load(run).generator.state_dict()
    assert all(torch.equal(newest[key], value) for key, value in load(run, step=6).generator.state_dict().items())
    with pytest.raises(UserError, match="step as a whole number or a text, got True"):
        load(run, step=True)
    for step in (2, "first"):
        with pytest.raises(UserError, match=r"checkpoint that is kept \(4, 6\)"):
            load(run, step=step)
    sampled(run, tmp_path / "a.npz", "--step", "best")
    sampled(run, tmp_path / "b.npz", "--step", "4")
    assert main(["sample", str(run), "--out", str(tmp_path / "c.npz"), "--step", "5"]) == 2


def test_more_steps_go_beyond_the_newest_checkpoint(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", "toy:ring", "--limit", "200", "--method", "r1", "--out", str(folder), *TINY]) == 0
    assert main(["resume", str(folder), "--more-steps", "3", "--quiet"]) == 0
    assert json.loads((folder / "status.json").read_text())["step"] == 9
    assert main(["resume", str(folder), "--more-steps", "3", "--steps", "20", "--quiet"]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_pictures_come_at_step_0_and_at_doubling_times(tmp_path, monkeypatch):
    from tightrope.runs import book

    monkeypatch.setattr(book, "FIRST_PICTURE", 1e-9)  # every power of two of it is over at once
    folder = tmp_path / "run"
    words = ["train", "toy:ring", "--limit", "200", "--method", "r1", "--out", str(folder), *TINY]
    assert main([*words, "--sample-every", "6"]) == 0
    steps = [step for step, _ in rows.pictures(folder)]
    assert steps[0] == 0 and steps[-1] == 6
    assert len(steps) > 2, "none of them was due by its step"
