"""The command line as a user meets it: every command once, and one sentence with exit status 2 for each mistake."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tightrope.cli import COMMANDS, main
from tightrope.cli.train_command import TrainOptions
from tightrope.methods import METHODS
from tightrope.networks import NETWORKS
from tightrope.runs.options import joint_options, method_options

TINY = ["--steps", "4", "--batch-size", "8", "--latent", "3", "--width", "8", "--evaluate-n", "60", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "digits", "--limit", "120", "--method", "r1", "--out", str(folder), *TINY]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence that a command prints when it refuses, with exit status 2."""
    try:
        status = main([str(word) for word in words])
    except SystemExit as exit:
        status = int(exit.code or 0)
    output = capsys.readouterr()
    assert status == 2, output
    assert "Traceback" not in output.err
    return output.err.replace("\n", " ").strip()


def test_help_is_fast_and_imports_no_torch() -> None:
    code = "import sys; from tightrope.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for name, summary in COMMANDS.items():
        assert name in done.stdout
        assert summary in done.stdout


def test_train_leaves_a_complete_run(run: Path) -> None:
    for name in ("config.json", "metrics.jsonl", "evaluations.jsonl", "status.json", "report.html"):
        assert (run / name).stat().st_size > 0, name
    assert (run / "samples" / "real.png").exists()
    assert (run / "samples" / "step_00000004.png").exists()
    assert (run / "generator.safetensors").exists()
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    for key in (
        "critic_loss",
        "gap",
        "input_gradient_norm_real",
        "input_gradient_norm_interpolate",
        "wasserstein_estimate",
    ):
        assert isinstance(row[key], float)
    config = json.loads((run / "config.json").read_text())
    assert config["command"].startswith("tightrope train digits")
    assert config["method"]["hyperparameters"]["gamma"] == 10.0


def test_resume_trains_further(run: Path, tmp_path: Path) -> None:
    assert main(["resume", str(run), "--steps", "6", "--quiet"]) == 0
    assert json.loads((run / "status.json").read_text())["step"] == 6


def test_sample_writes_all_three_forms(run: Path, tmp_path: Path) -> None:
    assert main(["sample", str(run), "--n", "5", "--out", str(tmp_path / "grid.png")]) == 0
    assert main(["sample", str(run), "--n", "5", "--out", str(tmp_path / "x.npz")]) == 0
    assert main(["sample", str(run), "--n", "5", "--out", str(tmp_path / "folder")]) == 0
    with np.load(tmp_path / "x.npz") as file:
        assert file["x"].shape == (5, 1, 8, 8)
        assert file["x"].dtype == np.uint8
    assert len(list((tmp_path / "folder").glob("*.png"))) == 5
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_prints_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--n", "60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["name"] == "frechet"
    assert found[0]["protocol"]["n_fake"] == 60
    assert found[0]["floor"] > 0


def test_report_again(run: Path, tmp_path: Path) -> None:
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert "<html" in (tmp_path / "page.html").read_text()


def test_a_home_that_no_shell_has_put_in_is_not_made_into_a_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in ``--out=~/x``, or in a word in quotes."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "run").symlink_to(run)
    assert main(["sample", "~/run", "--n", "2", "--out=~/x.npz"]) == 0
    assert main(["evaluate", "~/run", "--n", "60"]) == 0
    assert main(["compare", "~/run", str(run), "--out", "~/y.html"]) == 0
    assert (tmp_path / "x.npz").exists() and (tmp_path / "y.html").exists()
    assert not list((tmp_path / "here").iterdir())
    assert main(["sample", "~nobody-of-that-name/run"]) == 2
    assert "no such home folder" in capsys.readouterr().err


def test_list_and_cite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    for name in ("wgan_gp", "r3gan", "dcgan", "sn_resnet", "digits", "toy:ring"):
        assert name in output
    assert main(["cite", "wgan_gp"]) == 0
    output = capsys.readouterr().out
    assert "1704.00028" in output
    assert "1701.07875" in output
    assert "1801.04406" not in output or "Mescheder" in output


def test_overrides_reach_the_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = "train digits --method wgan_gp --betas 0 0.9 --n-critic 2 --one-sided --width 8 --critic-width 16 --dry-run"
    assert main(words.split()) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["method"]["hyperparameters"]["betas"] == [0.0, 0.9]
    assert config["method"]["hyperparameters"]["n_critic"] == 2
    assert config["method"]["hyperparameters"]["one_sided"] is True
    assert config["network"]["generator"]["width"] == 8
    assert config["network"]["critic"]["width"] == 16


@pytest.mark.parametrize("words", [("--gama", "1"), ("--network", "resnext"), ("--network", "mlp", "--blocks", "3")])
def test_unknown_options_are_refused_before_the_data_are_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    module = importlib.import_module("tightrope.runs.assemble")
    monkeypatch.setattr(module, "open_dataset", lambda *_, **__: pytest.fail("the data were read"))
    sentence = refused(capsys, "train", "digits", *words)
    assert words[-2] in sentence or words[-1] in sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("fly", "Expected a command out of"),
        ("train nowhere/at/all", "nowhere/at/all"),
        ("train digits --method wgann", "did you mean wgan"),
        ("train digits --gama 1", "did you mean --gamma"),
        ("train digits --method wgan --gamma 1", "method wgan takes --learning-rate, --bound"),
        ("train digits --network resnext", "Expected a network out of"),
        ("train digits --network sn_resnet", "8"),
        ("train digits --steps -1", "--steps as a whole number of at least 0"),
        ("train digits --resolution 37", "37"),
        ("train toy:rung", "toy:ring"),
        ("train toy:ring --conditional --dry-run", "needs labels"),
        ("train digits --conditional --limit 5 --dry-run", "got 10 classes and 5 samples"),
        ("train toy:ring --flip", "Flips need images"),
        ("train digits --device cuda:77", "Expected a device"),
        ("train digits --method dcgan --loss wasserstein", "wasserstein"),
        ("resume nowhere", "Expected a run folder"),
        ("sample nowhere", "Expected a run folder"),
        ("evaluate nowhere", "Expected a run folder"),
        ("cite nothing", "Expected a method out of"),
        ("resume x --nothing", "no option '--nothing'"),
    ],
)
def test_mistakes_get_one_sentence(capsys: pytest.CaptureFixture[str], words: str, sentence: str) -> None:
    assert sentence in refused(capsys, *words.split())


def test_gradient_penalty_through_batch_norm_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [
        "train",
        "digits",
        "--resolution",
        "16",
        "--method",
        "wgan_gp",
        "--critic-batch-norm",
        "--out",
        str(tmp_path / "r"),
        *TINY,
    ]
    message = refused(capsys, *words)
    assert "batch normalisation in training mode couples the samples" in message


def test_folder_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty" in refused(capsys, "train", str(empty))
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for i in range(12):
        size = 12 if i == 7 else 8  # too small for what chooses a resolution itself
        Image.new("RGB", (size, size), (10 * i, 0, 0)).save(mixed / f"{i:02d}.png")
    out = ["--out", str(tmp_path / "r"), *TINY]
    assert "resolution" in refused(capsys, "train", str(mixed), *out)
    (mixed / "07.png").write_bytes(b"not a picture")
    assert "07.png" in refused(capsys, "train", str(mixed), *out)
    assert not (tmp_path / "r").exists()


def test_sample_refuses_an_unknown_ending(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "a .png, an .npz or a folder" in refused(capsys, "sample", str(run), "--out", str(tmp_path / "x.jpg"))
    assert "unconditional generator" in refused(
        capsys, "sample", str(run), "--label", "1", "--out", str(tmp_path / "x.png")
    )


def test_non_finite_training_has_its_own_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "toy:ring", "--method", "dcgan", "--learning-rate", "1e30", "--out", str(tmp_path / "r")]
    assert main([*words, "--steps", "200", "--batch-size", "8", "--quiet"]) == 3
    assert "Training stopped after step" in capsys.readouterr().err
    assert "not finite" in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.slow
def test_ctrl_c_saves_and_resumes(tmp_path: Path) -> None:
    import signal

    words = [
        "train",
        "toy:ring",
        "--steps",
        "100000",
        "--batch-size",
        "8",
        "--width",
        "8",
        "--evaluate-n",
        "50",
        "--out",
        str(tmp_path / "r"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "tightrope", *words, "--quiet"], stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "r" / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "tightrope resume" in err
    step = json.loads((tmp_path / "r" / "status.json").read_text())["step"]
    assert main(["resume", str(tmp_path / "r"), "--steps", str(step + 2), "--quiet"]) == 0


def test_no_option_of_a_method_hides_one_of_a_network_or_a_general_one() -> None:
    general = {field.name for field in dataclasses.fields(TrainOptions)}
    of_methods = {name: set(method_options(name)) for name in METHODS}
    of_networks = set(joint_options(NETWORKS))
    assert not general & of_networks
    for name, options in of_methods.items():
        assert not options & (general | of_networks), name
