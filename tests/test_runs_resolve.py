"""From wishes to a configuration, in Python and on the command line; samples that are measured as the run is."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tightrope import runs
from tightrope._plumbing.errors import UserError
from tightrope.cli import main
from tightrope.data import open_data
from tightrope.methods import METHODS
from tightrope.networks import NETWORKS
from tightrope.runs.options import joint_options, method_options, network_options, typed


def test_python_and_the_command_line_give_one_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = "train digits --method wgan_gp --weight 1 --steps 100 --width 16 --critic-depth 2 --betas 0 0.9 --dry-run"
    assert main(words.split()) == 0
    shown = json.loads(capsys.readouterr().out)
    config = runs.resolve("digits", method="wgan_gp", weight=1.0, steps=100, width=16, critic_depth=2, betas=(0.0, 0.9))
    found = json.loads(json.dumps(config.to_json()))
    for part in ("data", "method", "network", "training"):
        assert found[part] == shown[part], part
    assert found["network"]["critic"]["depth"] == 2 != found["network"]["generator"]["depth"]
    assert found["method"]["hyperparameters"]["weight"] == 1.0


def test_a_resolved_configuration_trains(tmp_path: Path) -> None:
    config = runs.resolve("toy:ring", method="wgan", steps=2, batch_size=8, width=8, threads=1, evaluate_n=60)
    assert runs.begin(tmp_path / "run", config, quiet=True).state == "finished"
    kept = runs.read_config(tmp_path / "run")
    assert kept.data.test_fingerprint == open_data("toy:ring", split="test").fingerprint
    assert dataclasses.replace(kept, data=dataclasses.replace(kept.data, test_fingerprint="")) == config


@pytest.mark.parametrize(
    ("wishes", "wrong"),
    [
        ({"method": "r2"}, "a method out of"),
        ({"gama": 1.0}, "did you mean gamma"),
        ({"gamma": "ten"}, "gamma as a finite number"),
        ({"gamma": float("nan")}, "gamma as a finite number"),
        ({"steps": "5"}, "steps as a whole number of at least 0"),
        ({"steps": -5}, "steps as a whole number of at least 0"),
        ({"steps": True}, "steps as a whole number"),
        ({"minutes": float("inf")}, "minutes as a finite number of at least 0"),
        ({"batch_size": 2**40}, "batch_size"),
        ({"width": 1.5}, "width as a whole number"),
        ({"width": -1}, "width"),
        ({"width": 10**9}, "width"),
        ({"activation": "gelu"}, "activation as one of"),
        ({"betas": (0.5,)}, "betas as 2 values"),
        ({"network": "mlp", "blocks": 3}, "No option blocks"),
        ({"blocks": 3}, "has no option 'blocks'"),
        ({"network": "sn_resnet"}, "8"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_in_a_sentence(wishes: dict[str, object], wrong: str) -> None:
    with pytest.raises(UserError) as refused:
        runs.assemble(runs.resolve("digits", limit=100, **wishes), progress=False)
    assert wrong in str(refused.value)


def test_every_option_has_a_type_a_sentence_and_a_default_of_its_type() -> None:
    for name in METHODS:
        for key, option in method_options(name).items():
            assert option.sentence, (name, key)
            assert typed({key: option.default}, {key: option}) == {key: option.default}
    for name in NETWORKS:
        for options in network_options(name).values():
            for key, option in options.items():
                assert option.sentence, (name, key)
                assert typed({key: option.default}, {key: option}) == {key: option.default}
    both = joint_options(NETWORKS)
    assert {"width", "generator_width", "critic_width", "blocks", "critic_batch_norm"} <= set(both)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("--steps 99999999999999999999", "of at least 0 and at most 9.0072e+15, got 99999999999999999999"),
        ("--steps abc", "Expected --steps as a whole number of at least 0, got 'abc'"),
        ("--steps", "Expected a whole number of at least 0 after --steps, got 0 of 1 values"),
        ("--steps=", "Expected --steps as a whole number"),
        ("--minutes nan", "--minutes as a finite number of at least 0, got nan"),
        ("--precision fp16", "--precision as one of fp32, bf16, got 'fp16'"),
        ("--channels 2", "--channels as one of 1, 3, got '2'"),
        ("--betas 0.5", "after --betas, got 1 of 2 values"),
        ("--betas 0.5 x", "Expected --betas as 2 values"),
        ("--gamma ten", "Expected --gamma as a finite number, got 'ten'"),
        ("--gamma inf", "gamma as a finite number, got inf"),
        ("--critic-width x", "Expected --critic-width as a whole number, got 'x'"),
        ("--seed -1", "--seed as a whole number of at least 0, got -1"),
        ("more", "Expected options that begin with --, got 'more'"),
        ("--latent 99999999999", "--latent"),
        ("--method wgan --gamma 1", "method wgan takes --learning-rate"),
        ("--network mlp --blocks 3", "No option --blocks"),
        ("--step 5", "No option --step (did you mean --steps?)"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: str, wrong: str
) -> None:
    assert main(["train", "digits", *words.split()]) == 2
    err = capsys.readouterr().err
    assert wrong in err and "type matching" not in err and err.count("\n") == 1


def test_help_shows_the_options_of_method_and_network_below(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--method", "wgan_gp", "--network", "mlp", "--help"])
    text = capsys.readouterr().out
    order = [text.index(f"--{name} ") for name in ("steps", "weight", "depth")]
    assert order == sorted(order)
    assert "--critic-depth" not in text and "--blocks" not in text


@pytest.mark.parametrize("command", ["resume", "sample", "evaluate", "report", "compare", "conditioning", "cite"])
def test_a_command_without_its_words_says_what_it_wants(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command]) == 2
    err = capsys.readouterr().err
    assert "Expected" in err and "got" in err and "Traceback" not in err


# --- samples -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "run"
    words = ["train", "digits", "--limit", "300", "--steps", "3", "--batch-size", "8", "--width", "8", "--quiet"]
    assert main([*words, "--evaluate-n", "60", "--out", str(folder)]) == 0
    return folder


def test_samples_are_measured_alike_as_folder_file_and_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    numbers = []
    for out in ("folder", "samples.npz"):
        assert main(["sample", str(run), "--n", "270", "--seed", "3", "--out", str(tmp_path / out)]) == 0
    with Image.open(tmp_path / "folder" / "000000.png") as image, np.load(tmp_path / "samples.npz") as file:
        assert image.size == (8, 8)
        assert np.array_equal(np.asarray(image), file["x"][0, 0])
    shared = ["--metrics", "frechet,kernel", "--features", "pixels", "--seed", "3", "--json"]
    for words in (
        [str(run), "--n", "270"],
        ["--real", "digits", "--split", "test", "--fake", str(tmp_path / "folder")],
        ["--real", "digits", "--split", "test", "--fake", str(tmp_path / "samples.npz")],
    ):
        capsys.readouterr()
        assert main(["evaluate", *words, *shared]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {m["protocol"]["n_fake"] for m in found} == {270}
        numbers.append([m["value"] for m in found])
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-9) and numbers[2] == pytest.approx(numbers[0], rel=1e-9)


def test_samples_mix_with_no_older_files(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert main(["sample", str(run), "--n", "3", "--out", str(tmp_path)]) == 2
    assert "new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("n", ["1000000000000", "99999999999999999999999999", "-1", "0"])
def test_an_absurd_number_of_samples_is_a_sentence(run: Path, capsys: pytest.CaptureFixture[str], n: str) -> None:
    assert main(["sample", str(run), "--n", n]) == 2
    assert "Expected" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-this-name/x", "a\0b", "x" * 300])
def test_paths_that_cannot_be_are_a_sentence(run: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    for words in (["train", name], ["evaluate", name], ["sample", str(run), "--out", f"{name}/y.png"]):
        if words[0] != "sample" or not name.startswith("~"):
            assert main(words) == 2, words
            err = capsys.readouterr().err
            assert "Traceback" not in err and err.startswith("tightrope: ")


def test_a_full_disk_for_the_cache_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno

    from PIL import Image

    (tmp_path / "photos").mkdir()
    for i in range(12):
        Image.new("L", (8, 8), i).save(tmp_path / "photos" / f"{i}.png")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    assert main(["train", str(tmp_path / "photos"), "--dry-run", "--quiet"]) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_a_console_that_knows_ascii_only_gets_codes_for_other_letters(run: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tightrope", "sample", str(run), "--n", "2", "--out", str(tmp_path / "é.png")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\\xe9.png" in done.stdout
