"""Kill a training process at random moments and resume: the end is the same, bit for bit, and nothing else is lost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STEPS = 60
KILLS = 22

SCRIPT = """
import sys, time, torch
from pathlib import Path
from tightrope import runs
from tightrope._files import write_atomically
import tightrope._files as files
folder, slow = Path(sys.argv[1]), sys.argv[2] == "slow"
if slow:
    # Make writing take as long as training, so that kills land inside it as well.
    real_fsync = files.os.fsync
    def lagging(handle):
        time.sleep(0.004)
        real_fsync(handle)
    files.os.fsync = lagging
print("ready", flush=True)
data = runs.DataSettings("toy:ring", limit=500)
config = runs.Config(
    data,
    runs.MethodSettings("wgan_gp", {"n_critic": 2}),
    runs.NetworkSettings("mlp", {"width": 16, "depth": 2}, {"width": 16, "depth": 2}),
    runs.TrainingSettings(batch_size=16, latent=4, steps=STEPS, log_every=3, sample_every=20, checkpoint_every=4,
                          evaluate_every=None, evaluate_n=100, keep=2, threads=1),
)
if (folder / "config.json").exists():
    runs.resume(folder, quiet=True)
else:
    from tightrope.runs.assemble import describe_data, open_dataset
    import dataclasses
    dataset = open_dataset(data, progress=False)
    config = dataclasses.replace(config, data=describe_data(data, dataset))
    runs.begin(folder, config, dataset, quiet=True)
""".replace("STEPS", str(STEPS))


@contextmanager
def launch(folder: Path, speed: str = "fast") -> Iterator[subprocess.Popen[str]]:
    """A training process that has finished importing; what it began is what gets killed."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(folder), speed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def train_to_the_end(folder: Path) -> None:
    with launch(folder) as process:
        assert process.wait(timeout=300) == 0


def final_state(folder: Path) -> str:
    newest = sorted((folder / "checkpoints").glob("step_*.safetensors"))[-1]
    assert newest.name == f"step_{STEPS:08d}.safetensors"
    from tightrope.runs.serialize import read_state

    state = read_state(newest)
    digest = hashlib.sha256()
    add(digest, {key: value for key, value in state.items() if key != "seconds"})
    return digest.hexdigest()


def add(digest: hashlib._Hash, value: object) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    elif isinstance(value, dict):
        for key, child in value.items():
            digest.update(repr(key).encode())
            add(digest, child)
    elif isinstance(value, list | tuple):
        for child in value:
            add(digest, child)
    else:
        digest.update(repr(value).encode())


def metrics(folder: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "steps_per_second")} for row in rows]


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    train_to_the_end(whole)
    expected, expected_rows = final_state(whole), metrics(whole)

    rng = random.Random(20_261_122)
    folder, kills, finished, span = tmp_path / "killed", 0, 0, 1.0
    while kills < KILLS:
        with launch(folder, "slow") as process:
            time.sleep(rng.uniform(0.0, span))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                span = min(span * 1.15, 8.0)  # a kill before the first new checkpoint makes no progress: wait longer
            else:
                assert process.returncode == 0
                finished += 1
                assert final_state(folder) == expected
                assert metrics(folder) == expected_rows
                folder, span = tmp_path / f"killed-{finished}", 1.0
        check_nothing_lost(folder)
    train_to_the_end(folder)
    assert final_state(folder) == expected
    assert metrics(folder) == expected_rows
    assert not list(folder.rglob(".*.part"))


def check_nothing_lost(folder: Path) -> None:
    """After a kill every file of a final name is whole; only temporary files may be left over."""
    from tightrope.runs.serialize import read_state

    for path in (folder / "checkpoints").glob("step_*.safetensors"):
        read_state(path)
    for name in ("config.json", "status.json"):
        if (folder / name).exists():
            json.loads((folder / name).read_text())
