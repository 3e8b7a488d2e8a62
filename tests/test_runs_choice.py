"""What photographs are trained with where nothing was chosen: as much as the machine can do, said, and overridable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tightrope import cli, methods
from tightrope.data.open import image_sizes
from tightrope.runs import choice
from tightrope.runs.choice import LEAST_BATCH, LIST, choose
from tightrope.runs.wishes import Wishes


def photographs(folder: Path, sizes: list[tuple[int, int]]) -> str:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, (height, width) in enumerate(sizes):
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(folder / f"{index:02d}.png")
    return str(folder)


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    return photographs(tmp_path / "photos", [(150 + 5 * k, 200 - 5 * k) for k in range(12)])


def machine(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A machine on which every half-step of the cheapest pair takes so long."""
    monkeypatch.setattr(choice, "_quickest", lambda run, kinds, real: [seconds] * len(kinds))


def test_sizes_are_read_from_headers(tmp_path: Path):
    source = photographs(tmp_path / "a", [(40, 30), (20, 50)])
    (tmp_path / "a" / "broken.png").write_bytes(b"no picture")
    assert sorted(image_sizes(source)) == [(20, 50), (40, 30)]
    np.save(tmp_path / "images.npy", np.zeros((3, 20, 24, 3), np.uint8))
    assert image_sizes("digits") == image_sizes("toy:ring") == []
    assert image_sizes(tmp_path / "images.npy") in ([], [(20, 24)] * 3)


def test_a_slow_machine_gets_the_least_and_a_fast_one_the_most(mixed: str, monkeypatch):
    machine(monkeypatch, 100.0)
    slow = choose(Wishes(mixed), {})
    assert (slow.options["resolution"], slow.options["width"]) == LIST[0] and slow.options["batch_size"] == LEAST_BATCH
    assert slow.words == ["--resolution", "32", "--width", "16", "--batch-size", "16"]
    assert "--resolution" in slow.why and "--width" in slow.why and "choose others" in slow.why
    machine(monkeypatch, 1e-6)
    fast = choose(Wishes(mixed), {})
    assert (fast.options["resolution"], fast.options["width"]) == LIST[-1]
    assert fast.options["batch_size"] == methods.build("r1").batch_size


def test_more_time_gives_more(mixed: str, monkeypatch):
    machine(monkeypatch, 0.005)
    picked = [
        LIST.index((found["resolution"], found["width"]))
        for found in (choose(Wishes(mixed, minutes=minutes), {}).options for minutes in (1.0, 60.0, 6000.0))
    ]
    assert picked == sorted(picked) and picked[0] < picked[-1]


def test_the_images_are_seen_in_the_time_that_is_said(mixed: str, monkeypatch):
    """The choice against plain arithmetic: the last of the list that fits, whatever its price is made of."""
    machine(monkeypatch, 0.004)
    prices = dict(zip(LIST, [1.0, 3.0, 4.0, 10.0, 30.0, 40.0, 120.0], strict=True))
    monkeypatch.setattr(choice._Machine, "_flops", lambda self, pair, batch: prices[pair] * batch)
    wishes = Wishes(mixed, minutes=60.0, batch_size=32)
    cheapest = choice.IMAGES / 32 * (32 / 16) * 0.008 / 60  # two half-steps on 16 images; minutes for all
    expected = [pair for pair in LIST if cheapest * prices[pair] <= 60.0][-1]
    found = choose(wishes, {}).options
    assert (found["resolution"], found["width"]) == expected and expected not in (LIST[0], LIST[-1])


@pytest.mark.parametrize(
    ("given", "options", "left"),
    [
        ({"resolution": 48}, {}, {"width", "batch_size"}),
        ({}, {"width": 24}, {"resolution", "batch_size"}),
        ({"batch_size": 8}, {"critic_width": 8}, {"resolution"}),
        ({"resolution": 32, "batch_size": 8}, {"width": 8}, set()),
    ],
)
def test_what_was_given_is_kept(mixed: str, monkeypatch, given: dict[str, Any], options: dict[str, int], left):
    machine(monkeypatch, 0.01)
    found = choose(Wishes(mixed, **given), options)
    assert set(found.options) == left and bool(found.why) == bool(left)


def test_nothing_is_chosen_for_other_data_or_networks(mixed: str, tmp_path: Path, monkeypatch):
    machine(monkeypatch, 0.01)
    for wishes in (Wishes("digits"), Wishes("toy:ring"), Wishes(mixed, network="mlp"), Wishes(mixed, resolution=30)):
        assert choose(wishes, {}) == choice.Choice({})
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    if choice.distributed.launched():
        assert choose(Wishes(mixed), {}) == choice.Choice({})


def test_small_images_of_one_size_keep_it_and_others_are_made_smaller(tmp_path: Path, monkeypatch):
    machine(monkeypatch, 1e-6)
    assert "resolution" not in choose(Wishes(photographs(tmp_path / "a", [(48, 48)] * 3)), {}).options
    assert choose(Wishes(photographs(tmp_path / "b", [(30, 30)] * 3)), {}).options["resolution"] == 28
    assert choose(Wishes(photographs(tmp_path / "c", [(120, 100)] * 3)), {}).options["resolution"] == 64


def test_a_machine_is_timed_and_the_command_written_down_repeats_the_choice(mixed: str, capsys):
    short = ["--steps", "1", "--threads", "1", "--dry-run"]
    assert cli.main(["train", mixed, *short]) == 0
    said = capsys.readouterr()
    config = json.loads(said.out)
    assert "note:" in said.err and "choose others" in said.err
    words = config["command"].split()
    assert config["data"]["resolution"] == int(words[words.index("--resolution") + 1])
    assert config["network"]["critic"]["width"] == int(words[words.index("--width") + 1])
    assert cli.main(words[1:]) == 0
    again = capsys.readouterr()
    assert "choose others" not in again.err
    assert {**json.loads(again.out), "command": "", "environment": {}} == {**config, "command": "", "environment": {}}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("adam", 5e-4, 1.0)),
        (["--batch-size", "16"], ("adam", 5e-4, 1.0)),
        (["--method", "r1"], ("rmsprop", 1e-4, 10.0)),
        (["--gamma", "3"], ("rmsprop", 1e-4, 3.0)),
        (["--network", "mlp"], ("rmsprop", 1e-4, 10.0)),
    ],
)
def test_settings_are_quick_where_no_method_was_named_and_published_where_it_was(
    mixed: str, monkeypatch, capsys, words: list[str], expected: tuple[str, float, float]
):
    machine(monkeypatch, 1e-6)
    assert cli.main(["train", mixed, "--resolution", "16", "--width", "8", "--dry-run", *words]) == 0
    said = capsys.readouterr()
    config = json.loads(said.out)
    found = config["method"]["hyperparameters"]
    assert (found["optimizer"], found["learning_rate"], found["gamma"]) == expected
    quick = expected[0] == "adam"
    assert ("--method r1 is as published" in said.err) == quick
    assert ("--optimizer adam --learning-rate 0.0005 --gamma 1.0" in config["command"]) == quick, "it can be repeated"
