"""``train --from RUN``: weights of another run, on other data, with other classes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tightrope import UserError, load, runs
from tightrope.cli import main
from tightrope.runs.assemble import assemble
from tightrope.runs.fine_tuning import begin_with

TINY = ["--batch-size", "8", "--log-every", "1", "--evaluate-every", "0", "--evaluate-n", "60", "--limit", "200",
        "--conditioning-every", "0", "--threads", "1", "--quiet"]  # fmt: skip
NET = ["--latent", "4", "--width", "4", "--depth", "1", "--network", "mlp"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "run"
    words = ["train", "digits", "--method", "r1", "--steps", "6", "--out", str(folder), *NET, *TINY]
    assert main(words) == 0
    return folder


def test_a_run_begins_where_another_stands(first, tmp_path):
    folder = tmp_path / "next"
    words = ["train", "digits", "--from", str(first), "--method", "wgan_gp", "--steps", "1", "--seed", "9"]
    assert main([*words, "--out", str(folder), *TINY]) == 0
    config = json.loads((folder / "config.json").read_text())
    assert config["training"]["from_run"] == str(first) and config["training"]["latent"] == 4
    assert config["network"]["name"] == "mlp" and config["network"]["generator"]["width"] == 4
    began, there = load(folder, step=0).generator.state_dict(), load(first).generator.state_dict()
    assert all(torch.equal(began[key], there[key]) for key in there)
    assert main(["resume", str(folder), "--more-steps", "1", "--quiet"]) == 0  # whose weights need not be read again


def test_a_run_is_trained_as_the_other_one_was_unless_a_method_is_named(tmp_path, capsys):
    there = tmp_path / "there"
    words = ["train", "digits", "--method", "wgan_gp", "--n-critic", "1", "--learning-rate", "0.003", "--steps", "1"]
    assert main([*words, "--out", str(there), *NET, *TINY]) == 0
    capsys.readouterr()

    def method(*more: str) -> tuple[str, dict, int]:
        assert main(["train", "digits", "--from", str(there), "--dry-run", "--limit", "200", *more]) == 0
        config = json.loads(capsys.readouterr().out)
        return config["method"]["name"], config["method"]["hyperparameters"], config["training"]["batch_size"]

    name, settings, batch = method()
    assert (name, settings["n_critic"], settings["learning_rate"], batch) == ("wgan_gp", 1, 0.003, 8)
    name, settings, batch = method("--learning-rate", "0.1", "--batch-size", "16")
    assert (name, settings["n_critic"], settings["learning_rate"], batch) == ("wgan_gp", 1, 0.1, 16)
    name, settings, batch = method("--method", "wgan_gp")
    assert (name, settings["n_critic"], batch) == ("wgan_gp", 5, 64)
    assert method("--method", "r1")[0] == "r1"
    assert runs.resolve("digits", from_run=there).method.hyperparameters["learning_rate"] == 0.003
    assert runs.resolve("digits", from_run=there, method="wgan_gp").method.hyperparameters["n_critic"] == 5
    assert main(["train", "digits", "--from", str(there), "--dry-run", "--limit", "200"]) == 0
    said = re.search(r"by wgan_gp \((.*?)\)", capsys.readouterr().err)
    assert said and set(said[1].split(", ")) == {"batch_size 8", "n_critic 1", "learning_rate 0.003"}


@pytest.mark.parametrize("sizes", [[(20, 20)], [(20, 20), (31, 17)], [(8, 8)]])
def test_images_of_another_size_or_in_colour_are_brought_to_that_run_s(first, tmp_path, capsys, sizes):
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for k in range(20):
        picture = rng.integers(0, 255, (*sizes[k % len(sizes)], 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{k}.png")
    words = ["train", str(folder), "--from", str(first), "--method", "r1", "--dry-run"]
    assert main([*words, *TINY]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["data"]["shape"] == [1, 8, 8]
    assert f"note: as in {first}: " in said.err and ("resolution 8" in said.err) == (sizes != [(8, 8)])
    assert main([*words, *TINY, "--resolution", "12"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["shape"] == [1, 12, 12]


def test_optimisers_and_counters_begin_anew_and_what_does_not_fit_is_named(first):
    config = runs.resolve("digits", method="r1", from_run=first, conditional=True, steps=1, threads=1)
    assembled = assemble(config, progress=False)
    own = {key: value.clone() for key, value in assembled.run.generator.state_dict().items()}
    notes = begin_with(assembled.run, first)
    there = load(first).config
    assert there.training.latent == assembled.run.latent and assembled.run.step == 0
    fresh = [key for key, value in assembled.run.generator.state_dict().items() if torch.equal(value, own[key])]
    assert fresh and all(any(key in note for note in notes) for key in fresh[:3])
    assert not assembled.run.generator_optimizer.state


def test_a_critic_under_another_constraint_begins_anew(first):
    config = runs.resolve("digits", method="sn_gan", from_run=first, steps=1, threads=1)
    assembled = assemble(config, progress=False)
    before = {key: value.clone() for key, value in assembled.run.critic.state_dict().items()}
    notes = begin_with(assembled.run, first)
    assert any("critic begins anew" in note for note in notes)
    assert all(torch.equal(before[key], value) for key, value in assembled.run.critic.state_dict().items())


def test_another_network_is_refused(first, tmp_path, capsys):
    config = runs.resolve("digits", method="r1", from_run=first, width=16, steps=1, threads=1)
    with pytest.raises(UserError, match="same network"):
        begin_with(assemble(config, progress=False).run, first)
    assert main(["train", "digits", "--from", str(tmp_path / "none"), "--out", str(tmp_path / "x"), *TINY]) == 2
    assert "run folder" in capsys.readouterr().err
