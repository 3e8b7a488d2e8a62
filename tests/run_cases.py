"""Small runs on toy data, their weights, and whether two states are the same bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from tightrope import runs
from tightrope.runs.assemble import describe_data, open_dataset, resolve_network


def config_of(source: str = "toy:ring", method: runs.MethodSettings | None = None, **training: Any) -> runs.Config:
    data = runs.DataSettings(source, limit=300)
    data = describe_data(data, open_dataset(data, progress=False))
    settings = {"batch_size": 8, "latent": 3, "steps": 4, "log_every": 1, "sample_every": 3, "checkpoint_every": 2}
    settings |= {"evaluate_n": 60, "threads": 1} | training
    return runs.Config(
        data,
        method or runs.MethodSettings("r1", {"gamma": 1.0}),
        resolve_network("mlp", data.shape, {"width": 8, "depth": 2}),
        runs.TrainingSettings(**settings),
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and bool((a == b).all())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def weights(folder: Path) -> Any:
    return runs.load_newest(folder)[0]["run"]
