"""Conditioning followed through training: rows, cost plan, nothing disturbed, resume; and measured on a trained run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tightrope import cli, conditioning, runs
from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.runs import rows as records
from tightrope.runs.assemble import build_networks
from tightrope.runs.cadence import SHARE, plan
from tightrope.runs.conditioning import RECORD, draw_latents, follow, measure_trained, measurements
from tightrope.runs.config import MethodSettings
from tightrope.runs.resolve import with_data_scale

TRAIN = "train digits --method dcgan --width 16 --latent 6 --batch-size 16 --evaluate-every 0 --threads 1 --quiet"


def train(out: Path, *words: str) -> Path:
    assert cli.main([*TRAIN.split(), "--out", str(out), *words]) == 0
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "a", "--steps", "20", "--conditioning-every", "5")


def test_rows_hold_the_spectrum_of_the_generator_in_training(run):
    rows = records.read(run / RECORD)
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 20]
    last = rows[-1]
    state, _ = runs.load_newest(run)
    config = runs.read_config(run)
    generator, _ = build_networks(config.network, config.data, config.training)
    generator.load_state_dict(state["run"]["generator"])
    z, labels = draw_latents(config.training.conditioning_n, 6, 0, config.training.seed)
    assert labels is None and last["n"] == len(z) == config.training.conditioning_n
    found = conditioning.measure(generator, z)
    assert last["mean"] == pytest.approx(found.mean, rel=1e-5)
    assert last["quantiles"] == pytest.approx(list(found.quantiles), rel=1e-5)
    assert last["values"] == pytest.approx(found.mean_spectrum.tolist(), rel=1e-4)
    assert last["took_seconds"] > 0 and "J^T J" in last["convention"]


def test_following_leaves_training_bit_identical(run, tmp_path):
    never = train(tmp_path / "never", "--steps", "20", "--conditioning-every", "0")
    assert not (never / RECORD).exists()
    one, other = (runs.load_newest(folder)[0] for folder in (run, never))

    def equal(a: object, b: object) -> bool:
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a if k != "seconds")
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(map(equal, a, b))
        return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

    assert equal(one, other)


def test_resuming_gives_the_same_rows(run, tmp_path):
    part = train(tmp_path / "part", "--steps", "12", "--conditioning-every", "5", "--checkpoint-every", "6")
    records.append(part / RECORD, {"step": 99, "mean": 1.0})  # of steps that will be run again
    assert cli.main(["resume", str(part), "--steps", "20", "--quiet"]) == 0
    rows, whole = records.read(part / RECORD), records.read(run / RECORD)
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 20]
    n = min(rows[0]["n"], whole[0]["n"])
    assert n == rows[0]["n"] == whole[0]["n"]
    assert [row["mean"] for row in rows] == [row["mean"] for row in whole]


@pytest.mark.parametrize(
    ("length", "latent", "batch"), [(10_000, 128, 64), (500, 128, 64), (2_000, 16, 64), (60, 64, 8)]
)
def test_the_plan_keeps_to_its_share_of_the_work(length, latent, batch):
    every, n = plan(length, None, latent=latent, batch_size=batch)
    assert 2 <= n <= 16 and 1 <= every <= length
    work = (length // every + 1) * n * 0.23 * latent / batch
    assert work <= SHARE * length or n == 2
    chosen, fewer = plan(length, 1, latent=latent, batch_size=batch)
    assert chosen == 1 and fewer <= n


def test_a_generator_without_forward_mode_is_named_once_and_left_alone(run, tmp_path):
    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(6, 3)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return Opaque.apply(self.dense(z))

    assembled = runs.assemble(runs.read_config(run))
    assembled.run.generator = Network()
    reason = follow(tmp_path, assembled)
    assert reason
    (row,) = records.read(tmp_path / RECORD)
    assert row["error"] == reason and row["step"] == 0


def test_trained_generators_and_evaluate(run, capsys):
    generator = runs.load(run)
    found = measure_trained(generator, 8, seed=3)
    z, _ = draw_latents(8, 6, 0, 3)
    assert torch.equal(found.values, conditioning.singular_values(generator.generator, z))
    log_condition, rank = measurements(generator, 3)
    assert log_condition.value == pytest.approx(measure_trained(generator, seed=3).mean)
    assert log_condition.interval[0] < log_condition.value < log_condition.interval[1]
    assert "J^T J" in log_condition.notes[0] and 1 <= rank.value <= 6
    with pytest.raises(UserError, match="at least 2"):
        measure_trained(generator, 1)
    assert cli.main(["evaluate", str(run), "--metrics", "conditioning", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in shown] == ["log_condition_number", "effective_rank"]


def test_a_condition_number_that_is_infinite_everywhere_is_said(run):
    generator = runs.load(run)
    with torch.no_grad():
        generator.generator.hidden[0].weight[:, 2] = 0.0
    (rank,) = measurements(generator, 0)
    assert rank.name == "effective_rank" and rank.value < 6 and "infinite" in rank.notes[-1]


def test_bounds_of_clamped_methods_take_the_scale_of_data_that_are_no_images():
    ring, digits = open_data("toy:ring"), open_data("digits")
    settings = MethodSettings("dcgan_clamped", {})
    filled = with_data_scale(settings, ring, 2).hyperparameters
    assert filled["reference_gain"] == pytest.approx(1.0, rel=0.02)
    assert with_data_scale(settings, ring, 8).hyperparameters["reference_gain"] == pytest.approx(0.5, rel=0.02)
    assert with_data_scale(settings, digits, 16) == settings  # images: the published bounds
    asked = with_data_scale(MethodSettings("wgan_gp_clamped", {"units": "data"}), digits, 16).hyperparameters
    assert asked["reference_gain"] == pytest.approx(1.08, rel=0.02)
    for kept in ({"units": "absolute"}, {"reference_gain": 3.0}):
        assert with_data_scale(MethodSettings("dcgan_clamped", kept), ring, 2).hyperparameters == kept
    assert "reference_gain" not in runs.resolve("toy:ring", method="r1").method.hyperparameters


def test_the_command_writes_the_scale_into_the_configuration(capsys):
    assert cli.main(["train", "toy:ring", "--method", "dcgan_clamped", "--latent", "2", "--dry-run", "--quiet"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["method"]["hyperparameters"]["reference_gain"] == pytest.approx(1.0, rel=0.02)
    assert config["training"]["conditioning_every"] > 0


def test_latents_are_the_same_each_time_and_labels_cover_the_classes():
    (z, labels), (again, _) = draw_latents(64, 3, 4, 7), draw_latents(64, 3, 4, 7)
    assert torch.equal(z, again) and sorted(set(labels.tolist())) == [0, 1, 2, 3]
    assert not torch.equal(z, draw_latents(64, 3, 4, 8)[0])
