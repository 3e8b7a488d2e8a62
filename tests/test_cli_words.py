"""Options as people of other programs type them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tightrope._plumbing.words import OF_COMMANDS, nearest
from tightrope.cli import main
from tightrope.cli.evaluate_command import EvaluateOptions
from tightrope.cli.export_command import ExportOptions
from tightrope.cli.report_command import ReportOptions
from tightrope.cli.resume_command import ResumeOptions
from tightrope.cli.sample_command import SampleOptions
from tightrope.cli.train_command import TrainOptions
from tightrope.networks import NETWORKS
from tightrope.runs.options import joint_options, method_options


def test_options_of_other_commands_are_options_there():
    for command, names in OF_COMMANDS.items():
        fields = {field.name.replace("_", "-") for field in dataclasses.fields(OPTIONS[command][0])}
        assert set(names.split()) <= fields


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "digits", "--lr", "0.1"], "did you mean --learning-rate?"),
        (["train", "digits", "--batch", "16"], "did you mean --batch-size?"),
        (["train", "digits", "--image-size", "32"], "did you mean --resolution?"),
        (["train", "digits", "--epochs", "3"], "did you mean --images?"),
        (["train", "digits", "--gpu", "0"], "did you mean --device?"),
        (["train", "digits", "--diffaug"], "did you mean --augment?"),
        (["train", "--data", "digits"], "Expected DATA without --data before it: tightrope train digits"),
        (["sample", "run", "--trunc", "0.7"], "did you mean --truncation?"),
        (["sample", "run", "--class", "3"], "did you mean --label?"),
        (["sample", "--run", "x"], "Expected RUN without --run before it"),
        (["train", "digits", "--truncation", "0.7"], "No option --truncation (tightrope sample has it)"),
        (["train", "digits", "--psi", "0.7"], "No option --psi (tightrope sample has it)"),
        (["sample", "run", "--more-steps", "5"], "no option '--more-steps' (tightrope resume has it)"),
        (["sample", "run", "--truncation", "0"], "Expected --truncation as a finite number above 0, got 0.0"),
        (["sample", "run", "--walk", "20000"], "a whole number of at least 2 and at most 10000, got 20000"),
        (["train", "digits", "--steps", "1e4"], "Expected --steps in digits, got '1e4'; write 10000."),
        (["train", "digits", "--resolution=64.0"], "Expected --resolution in digits, got '64.0'; write 64."),
        (["sample", "run", "--n", "1e2"], "Expected --n in digits, got '1e2'; write 100."),
        (["trian", "digits"], "got 'trian' (did you mean train?)"),
        (["probe", "run"], "Expected --fix, got none; see tightrope probe --help."),
    ],
)
def test_the_option_that_was_meant_is_named(words, meant, capsys):
    assert main(words) == 2
    assert meant in capsys.readouterr().err.replace("\n", " ")


OPTIONS = {
    "train": (TrainOptions, [*method_options("r1"), *joint_options(NETWORKS)]),
    "sample": (SampleOptions, []),
    "resume": (ResumeOptions, []),
    "evaluate": (EvaluateOptions, []),
    "export": (ExportOptions, []),
    "report": (ReportOptions, []),
}
MEANT = {
    "train": {
        "learning-rate": "lr learning_rate lerning-rate learningrate learning-rat dlr lr_g",
        "batch-size": "batch_size batchSize batchsize bs batch bach-size train_batch_size",
        "resolution": "img_size image_size imageSize image-resolution resoluton size sz crop-size load_size",
        "images": "epochs n_epochs num-epochs max_epochs kimg",
        "steps": "niter iters max_iter num_steps total-iters n_iters train-iters step stpes",
        "device": "gpu gpus gpu_ids cuda use-cuda no_cuda devcie",
        "latent": "nz z_dim latent_dim latent_size noise-dim",
        "width": "ngf ndf",
        "out": "outf output_dir outdir save_dir log-dir checkpoint_dir exp-name results",
        "threads": "workers num_workers n-cpu",
        "seed": "manualSeed random_state",
        "betas": "beta1 b1 beta_2 adam_beta1",
        "n-critic": "critic_iters n_dis",
        "gamma": "lambda r1_gamma r1 gp-weight gama",
        "augment": "diffaugment diff_aug ada augmentation agument",
        "flip": "horizontal-flip hflip random-flip mirror",
        "channels": "grayscale greyscale nc num-channels",
        "from-run": "resume pretrained finetune ckpt",
        "checkpoint-every": "save_freq save_interval checkpoint",
        "sample-every": "sample_interval sample_freq",
        "evaluate-every": "eval_freq eval-interval fid",
        "log-every": "display_freq log_interval print-freq",
        "precision": "fp16 half bfloat16 amp mixed_precision dtype",
        "network": "model arch backbone",
        "method": "loss algorithm gan_type gan-mode methd",
        "limit": "max_images num-images max-samples subset",
        "minutes": "time hours max-time",
        "conditional": "class_cond cond condtional",
        "optimizer": "optimiser optim opt",
        "ema-half-life-images": "ema_decay ema",
        "wandb": "use_wandb wandb_project",
        "tensorboard": "tb tensorbord",
        "skip-broken": "skip_errors skip-brokn",
        "": "verbose deterministic zzz local_rank fp",
    },
    "sample": {
        "truncation": "trunc psi truncation_psi truncatoin",
        "n": "num num_samples count n_samples",
        "label": "class cls category labels",
        "walk": "interpolation interp video",
        "step": "checkpoint ckpt epoch",
        "out": "outdir output",
        "": "gpu batch_size nrow",
    },
    "resume": {"more-steps": "more_steps extra-steps epochs additional_steps", "keep": "kep"},
    "evaluate": {
        "metrics": "fid metric",
        "real": "reference ref",
        "fake": "generated gen samples",
        "resolution": "image-size",
        "features": "feature-extractor",
    },
    "export": {"out": "output", "push": "hub push_to_hub"},
    "report": {"watch": "live follow"},
}


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [(c, typed, meant) for c, row in MEANT.items() for meant, words in row.items() for typed in words.split()],
)
def test_what_was_typed_leads_to_what_was_meant_or_to_nothing(command, typed, meant):
    kind, more = OPTIONS[command]
    names = [field.name for field in dataclasses.fields(kind)] + [*more]
    valid = [f"--{name.replace('_', '-')}" for name in names if name not in ("data", "run")]
    assert not meant or f"--{meant}" in valid
    assert nearest(f"--{typed}", valid) == (f"--{meant}" if meant else "")


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "1_0"],
        ["--steps=1_0"],
        ["--steps", "\uff11\uff12"],
        ["--gamma", "1_0.5"],
        ["--minutes", "1_0"],
        ["--limit", "1_00"],
        ["--betas", "0.5", "0_1"],
    ],
)
def test_numbers_are_written_in_digits(words, capsys):
    assert main(["train", "digits", "--dry-run", *words]) == 2
    assert re.search(r"Expected --\w+ in digits, got '.*'; write it", capsys.readouterr().err)


def test_texts_and_paths_may_look_like_numbers(tmp_path, capsys):
    assert main(["train", "digits", "--dry-run", "--quiet", "--steps", "3", "--out", str(tmp_path / "1_0")]) == 0
    assert main(["sample", str(tmp_path), "--label", "1_0"]) == 2
    assert "in digits" not in capsys.readouterr().err


def test_one_of_a_kind_may_be_asked_for_in_the_singular(capsys):
    assert main(["list", "method"]) == 0
    assert "wgan_gp" in capsys.readouterr().out


PAGE = Path(__file__).parents[1] / "docs" / "howto" / "from_other_trainers.md"
ROW = re.compile(r"^\| `(--[\w-]+)` \| (?:`(--[\w-]+)`)? ?\| (.*?) ?\|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else []


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the folder docs/")
@pytest.mark.parametrize(
    "row", ROW.findall(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else [], ids=lambda r: r[0]
)
def test_the_page_for_those_who_come_from_elsewhere_says_what_the_command_says(row, capsys):
    """What stands beside a foreign option is what the command names when the foreign one is typed."""
    theirs, ours, note = row
    words = ["sample", "run"] if "of `tightrope sample`" in note else ["train", "digits", "--method", "r1"]
    if theirs == ours or theirs == "--evaluate-every":  # that one exists, and means something else
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert ours in capsys.readouterr().out
        return
    assert main([*words, theirs, "1"]) == 2, "a foreign word must not be taken for something"
    said = " ".join(capsys.readouterr().err.split())
    if ours:
        named = {"--from": "--from-run"}.get(ours, ours)
        assert f"did you mean {named}?" in said or (theirs == "--data" and "without --data" in said)


def test_the_page_is_read_whole():
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else pytest.skip("needs the folder docs/")
    rows = ROW.findall(text)
    assert len(rows) == text.count("\n| `--") > 60
    assert {"--aug-prob", "--trunc-psi", "--kimg", "--cond"} <= {theirs for theirs, _, _ in rows}
