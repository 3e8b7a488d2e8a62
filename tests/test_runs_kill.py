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
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

STEPS = 60

# A nursery imports everything once; each training is a fork of it, so that a kill costs no start-up. For each line it
# reads (folder, speed) it prints the process number of a new training and, when that has ended, its wait status.
NURSERY = """
import dataclasses, os, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from tightrope import runs
from tightrope._plumbing import files
from tightrope.runs.assemble import describe_data, open_dataset
import tightrope.metrics
torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first optimiser imports seconds' worth of torch

def train(folder, slow):
    if slow:  # writing takes about as long as training, so that kills land inside it as well
        real_fsync = os.fsync
        def lagging(handle):
            time.sleep(0.01)
            real_fsync(handle)
        files.os.fsync = lagging
    if (folder / "config.json").exists():
        runs.resume(folder, quiet=True)
        return
    data = runs.DataSettings("toy:ring", limit=500)
    dataset = open_dataset(data, progress=False)
    small = {"width": 16, "depth": 2}
    config = runs.Config(
        describe_data(data, dataset),
        runs.MethodSettings("wgan_gp", {"n_critic": "auto"}),
        runs.NetworkSettings("mlp", small, small),
        runs.TrainingSettings(batch_size=16, latent=4, steps=STEPS, log_every=3, sample_every=20, checkpoint_every=4,
                              evaluate_every=None, evaluate_n=100, keep=2, threads=1),
    )
    runs.begin(folder, config, dataset, quiet=True)

print("ready", flush=True)
for line in sys.stdin:
    folder, speed = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(Path(folder), speed == "slow")
            status = 0
        finally:
            os._exit(status)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
""".replace("STEPS", str(STEPS))


@contextmanager
def nursery() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", NURSERY]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=env) as process:
        assert answer(process) == "ready"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def launch(process: subprocess.Popen[str], folder: Path, speed: str = "fast") -> int:
    assert process.stdin is not None
    process.stdin.write(f"{folder}\t{speed}\n")
    return int(answer(process))


def train_to_the_end(process: subprocess.Popen[str], folder: Path) -> float:
    began = time.monotonic()
    launch(process, folder)
    assert answer(process) == "0"
    return time.monotonic() - began


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
@pytest.mark.parametrize("times", [8, pytest.param(22, marks=pytest.mark.long)])
def test_kills_at_random_moments_change_nothing(tmp_path: Path, times: int) -> None:
    with nursery() as trainer:
        whole = tmp_path / "whole"
        length = train_to_the_end(trainer, whole)
        expected, expected_rows = final_state(whole), metrics(whole)

        rng = random.Random(20_261_122)
        folder, kills, finished = tmp_path / "killed", 0, 0
        while kills < times:
            child = launch(trainer, folder, "slow")
            time.sleep(rng.uniform(0.0, length))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            status = int(answer(trainer))
            if os.WIFSIGNALED(status):
                assert os.WTERMSIG(status) == signal.SIGKILL
                kills += 1
                check_nothing_lost(folder)
            else:
                assert status == 0
                finished += 1
                assert final_state(folder) == expected
                assert metrics(folder) == expected_rows
                folder = tmp_path / f"killed-{finished}"
        train_to_the_end(trainer, folder)
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
