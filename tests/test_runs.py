"""Run folders: state files without pickle, locks, resume, records, loading."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tightrope
from tightrope import runs
from tightrope._plumbing import files as _files
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope.runs import rows as records
from tightrope.runs.assemble import describe_data, open_dataset, resolve_network
from tightrope.runs.serialize import read_state, write_state


def small_config(source: str = "toy:ring", **training: Any) -> runs.Config:
    data = runs.DataSettings(source, limit=300)
    data = describe_data(data, open_dataset(data, progress=False))
    settings = {"batch_size": 8, "latent": 3, "steps": 6, "log_every": 2, "sample_every": 3, "checkpoint_every": 2}
    settings |= {"evaluate_n": 60, "threads": 1} | training
    return runs.Config(
        data,
        runs.MethodSettings("r1", {"gamma": 1.0}),
        resolve_network("mlp", data.shape, {"width": 8, "depth": 2}),
        runs.TrainingSettings(**settings),
        command="tightrope train toy:ring",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    outcome = runs.begin(folder, small_config(), quiet=True)
    assert outcome.state == "finished"
    return folder


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


# --- state files -------------------------------------------------------------------------------------------------


def test_state_survives_the_file(tmp_path: Path) -> None:
    state = {
        "tensors": {"a": torch.arange(6.0).reshape(2, 3), "empty": torch.empty(0), "scalar": torch.tensor(3)},
        "bf16": torch.randn(4).bfloat16(),
        "f64": torch.randn(3, dtype=torch.float64),
        "layout": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "shared": (x := torch.ones(3), x),
        0: {"step": 1, "betas": (0.0, 0.9), "names": ["x", None, True], "lr": 1e-300},
    }
    path = write_state(tmp_path / "s.safetensors", state)
    back = read_state(path)
    assert same(state, back)
    assert back["layout"].is_contiguous(memory_format=torch.channels_last)


def test_state_refuses_objects(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Expected tensors and plain values.*state\.a"):
        write_state(tmp_path / "s", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_truncated_state_is_refused(tmp_path: Path, cut: int) -> None:
    path = write_state(tmp_path / "s.safetensors", {"a": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"truncated or damaged.*delete it"):
        read_state(path)


def test_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = write_state(tmp_path / "s.safetensors", {"a": torch.randn(100)})
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="checksum differs"):
        read_state(path)


# --- writing -----------------------------------------------------------------------------------------------------


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomically(tmp_path / "f", b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(UserError, match=r"full disk.*saved before is intact"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_full_disk_while_training_leaves_a_resumable_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third checkpoint meets a full disk; afterwards the run resumes to the same end."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runs.begin(whole, small_config(), quiet=True)
    from tightrope.runs import checkpoint

    calls = 0
    real = checkpoint.write_state

    def sometimes(path: Path, state: Any) -> Path:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise UserError("Could not save: expected free space, got a full disk.")
        return real(path, state)

    monkeypatch.setattr(checkpoint, "write_state", sometimes)
    with pytest.raises(UserError, match="full disk"):
        runs.begin(broken, small_config(), quiet=True)
    monkeypatch.setattr(checkpoint, "write_state", real)
    runs.resume(broken, quiet=True)
    assert same(weights(whole), weights(broken))


def weights(folder: Path) -> Any:
    state, _ = runs.load_newest(folder)
    return state["run"]


# --- locks -------------------------------------------------------------------------------------------------------


def test_second_process_is_refused(trained: Path) -> None:
    with (
        runs.locked(trained),
        pytest.raises(UserError, match=r"Expected .* to be free, got another process \(process \d+\)"),
    ):
        runs.resume(trained, quiet=True)


# --- resume ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["wgan", "wgan_gp", "wgan_ttur", "dcgan", "sn_gan", "r1", "r3gan"])
@pytest.mark.parametrize("stop", [2, 4])
def test_resume_is_bit_exact_for_every_method(tmp_path: Path, method: str, stop: int) -> None:
    config = dataclasses.replace(small_config(steps=6), method=runs.MethodSettings(method))
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    runs.begin(whole, config, quiet=True)
    torch.rand(stop)  # a run is a function of its seed, whatever the global random state
    half = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=stop))
    runs.begin(halves, half, quiet=True)
    runs.resume(halves, steps=6, quiet=True)
    assert same(weights(whole), weights(halves))
    a, b = (
        [{k: v for k, v in row.items() if "second" not in k} for row in records.read(f / "metrics.jsonl")]
        for f in (whole, halves)
    )
    assert a == b


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resume_is_bit_exact_with_images_batch_norm_noise_and_labels(tmp_path: Path, precision: str) -> None:
    data = runs.DataSettings("digits", limit=200, flip=True, conditional=True)
    data = describe_data(data, open_dataset(data, progress=False))
    base = small_config()
    config = dataclasses.replace(
        base,
        data=data,
        method=runs.MethodSettings("r3gan", {}, instance_noise=0.1, instance_noise_images=1000),
        network=resolve_network("dcgan", data.shape, {"width": 4}),
        training=dataclasses.replace(
            base.training, steps=4, checkpoint_every=3, evaluate_every=None, precision=precision
        ),
    )
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    runs.begin(whole, config, quiet=True)
    runs.begin(halves, dataclasses.replace(config, training=dataclasses.replace(config.training, steps=2)), quiet=True)
    runs.resume(halves, steps=4, quiet=True)
    assert same(weights(whole), weights(halves))


def test_watching_does_not_disturb(tmp_path: Path) -> None:
    """Logging, sampling and evaluating at every step, or never, ends with the same weights."""
    often = small_config(log_every=1, sample_every=1, evaluate_every=1, checkpoint_every=1)
    never = small_config(log_every=100, sample_every=100, evaluate_every=None, checkpoint_every=100)
    for name, config in (("often", often), ("never", never)):
        runs.begin(tmp_path / name, dataclasses.replace(config, method=runs.MethodSettings("sn_gan")), quiet=True)
    assert same(weights(tmp_path / "often"), weights(tmp_path / "never"))


def test_resume_forgets_rows_after_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.begin(folder, small_config(), quiet=True)
    records.append(folder / "metrics.jsonl", {"step": 7, "critic_loss": 1.0})
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "crit')
    runs.resume(folder, steps=8, quiet=True)
    steps = [row["step"] for row in records.read(folder / "metrics.jsonl")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 8


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    runs.begin(tmp_path / "run", small_config(keep=2, checkpoint_every=1), quiet=True)
    assert [p.stem for p in runs.checkpoint_paths(tmp_path / "run")] == ["step_00000005", "step_00000006"]


def test_existing_run_is_not_overwritten(trained: Path) -> None:
    with pytest.raises(UserError, match="holds a run; resume it"):
        runs.begin(trained, small_config(), quiet=True)


def test_changed_data_is_refused(trained: Path, tmp_path: Path) -> None:
    config = runs.read_config(trained)
    other = dataclasses.replace(config, data=dataclasses.replace(config.data, fingerprint="0" * 64))
    with pytest.raises(UserError, match="fingerprint differs"):
        runs.begin(tmp_path / "run", other, quiet=True)


def test_config_of_another_version_is_refused(trained: Path, tmp_path: Path) -> None:
    found = json.loads((trained / "config.json").read_text())
    for change, words in (
        ({"format": 99, "tightrope": "7.0.0"}, "format 99 written by tightrope 7.0.0"),
        ({"training": {"unheard_of": 1}}, "got others in"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(found | change))
        with pytest.raises(UserError, match=words):
            runs.read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="Expected JSON"):
        runs.read_config(tmp_path)
    with pytest.raises(UserError, match=r"Expected a run folder with a config\.json"):
        runs.read_config(tmp_path / "nowhere")


def test_config_survives_the_file(trained: Path) -> None:
    config = runs.read_config(trained)
    assert json.loads(json.dumps(config.to_json())) == json.loads((trained / "config.json").read_text())
    assert config.data.shape == (2,)


def test_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    runs.begin(folder, small_config(), quiet=True)
    newest = runs.checkpoint_paths(folder)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"truncated or damaged.*resume from an older one"):
        runs.resume(folder, quiet=True)
    newest.unlink()
    assert runs.resume(folder, quiet=True).state == "finished"


# --- loading -----------------------------------------------------------------------------------------------------


def test_load_gives_the_averaged_generator(trained: Path) -> None:
    generator = tightrope.load(trained)
    state, _ = runs.load_newest(trained)
    assert same(dict(generator.generator.state_dict()), dict(state["run"]["average"]))
    before = torch.get_rng_state()
    x = generator.sample(50, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert x.shape == (50, 2)
    assert torch.equal(x, generator.sample(50, seed=3))
    assert not torch.equal(x, generator.sample(50, seed=4))
    torch.testing.assert_close(x, generator.sample(50, seed=3, batch_size=7))


def test_load_refuses_labels_for_an_unconditional_generator(trained: Path) -> None:
    with pytest.raises(UserError, match="Expected no labels"):
        tightrope.load(trained).sample(2, labels=0)


def test_own_modules_train_resume_and_load(tmp_path: Path) -> None:
    def build() -> tuple[nn.Module, nn.Module]:
        torch.manual_seed(0)
        generator = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
        return generator, nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))

    config = dataclasses.replace(small_config(), network=runs.NetworkSettings("own"))
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    generator, critic = build()
    runs.begin(whole, config, generator=generator, critic=critic, quiet=True)
    generator, critic = build()
    half = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=3))
    runs.begin(halves, half, generator=generator, critic=critic, quiet=True)
    generator, critic = build()
    runs.resume(halves, steps=6, generator=generator, critic=critic, quiet=True)
    assert same(weights(whole), weights(halves)), "dropout draws from the global random state, which resumes too"
    with pytest.raises(UserError, match="modules of the caller's own"):
        tightrope.load(halves)
    assert tightrope.load(halves, generator=build()[0]).sample(4).shape == (4, 2)


# --- records -----------------------------------------------------------------------------------------------------


def test_records_leave_out_what_is_not_finite(tmp_path: Path) -> None:
    records.append(tmp_path / "m", {"step": 1, "a": float("nan"), "b": {"c": float("inf"), "d": 2.0}})
    assert records.read(tmp_path / "m") == [{"step": 1, "b": {"d": 2.0}}]


def test_non_finite_training_stops_and_says_so(tmp_path: Path) -> None:
    config = dataclasses.replace(small_config(steps=200), method=runs.MethodSettings("dcgan", {"learning_rate": 1e30}))
    from tightrope.training.nonfinite import NonFiniteError

    with pytest.raises(NonFiniteError, match=r"Training stopped after step \d+.*last finite metrics"):
        runs.begin(tmp_path / "run", config, quiet=True)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "stopped"
    assert "not finite" in status["reason"]
