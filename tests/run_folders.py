"""Run folders as `tightrope train` leaves them, made from formulas: for the tests of what reads them."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from tightrope.drawing.samples import write_grid

CONFIG = {
    "format": 1,
    "tightrope": "0.1.0",
    "command": "tightrope train digits --method r1 --gamma 10 --steps 2000 --seed 0 --out runs/digits-r1",
    "data": {
        "source": "digits",
        "name": "digits",
        "kind": "images",
        "split": "train",
        "resolution": 8,
        "channels": 1,
        "shape": [1, 8, 8],
        "classes": [str(digit) for digit in range(10)],
        "n": 1437,
        "fingerprint": "6f1d2a9b" * 8,
    },
    "method": {
        "name": "r1",
        "hyperparameters": {
            "gamma": 10.0,
            "loss": "nonsaturating",
            "n_critic": 1,
            "learning_rate": 2e-4,
            "betas": [0.0, 0.99],
        },
    },
    "network": {
        "name": "dcgan",
        "generator": {"latent": 64, "width": 64, "depth": 3},
        "critic": {"width": 64, "depth": 3},
    },
    "training": {
        "batch_size": 64,
        "seed": 0,
        "precision": "float32",
        "ema_half_life_images": 10000,
        "flip": False,
        "budget": {"steps": 2000},
    },
    "environment": {
        "commit": "0123abc",
        "python": "3.11.9",
        "torch": "2.13.0",
        "platform": "Linux x86_64",
        "threads": 2,
    },
}

LAYERS = ("blocks.0.conv", "blocks.1.conv", "blocks.2.conv", "head")


def row(step: int, last: int, rng: np.random.Generator) -> dict[str, object]:
    """One row of metrics: curves that calm down, with noise."""
    t = step / last
    noise = rng.normal(size=8)
    d_real, d_fake = 0.9 - 0.6 * t + 0.15 * noise[0], -0.8 + 0.5 * t + 0.15 * noise[1]
    return {
        "step": step,
        "images_seen": 64 * step,
        "seconds": 0.05 * step,
        "steps_per_second": 20.0 + noise[2],
        "critic_loss": 1.1 - 0.2 * t + 0.08 * noise[3],
        "generator_loss": 0.75 + 0.3 * t + 0.08 * noise[4],
        "penalty": 0.2 * math.exp(-3 * t) + 0.01 * abs(noise[5]),
        "wasserstein_estimate": d_real - d_fake,
        "d_real": d_real,
        "d_fake": d_fake,
        "gap": d_real - d_fake,
        "critic_gradient_norm": math.exp(0.5 * noise[6] - t),
        "generator_gradient_norm": 0.3 * math.exp(0.5 * noise[7] - 2 * t),
        "input_gradient_norm_real": 0.02 + 0.6 * math.exp(-4 * t) * math.exp(0.3 * noise[6]),
        "input_gradient_norm_fake": 0.1 + 2.0 * math.exp(-3 * t) * math.exp(0.3 * noise[7]),
        "input_gradient_norm_interpolate": 0.05 + 1.1 * math.exp(-3.5 * t) * math.exp(0.3 * noise[5]),
        "critic_learning_rate": 2e-4,
        "generator_learning_rate": 2e-4,
        "critic_accuracy": 0.5 + 0.35 * math.exp(-2 * t) + 0.03 * noise[2],
    }


def layer_spectra(t: float) -> dict[str, dict[str, object]]:
    """Spectra of four layers that grow and flatten over training."""
    layers: dict[str, dict[str, object]] = {}
    for index, name in enumerate(LAYERS):
        values = [
            (1.0 + index + 2 * t) * math.exp(-(3.0 - 1.5 * t) * k / 31) for k in range(1 if name == "head" else 32)
        ]
        stable = sum(v * v for v in values) / values[0] ** 2
        layers[name] = {"sigma": values[0], "stable_rank": stable, "values": values}
    return layers


def evaluation(step: int, last: int) -> dict[str, object]:
    """One evaluation: a distance that falls towards its floor, and the number of classes that appear."""
    value = 0.42 + 11.0 * math.exp(-4 * step / last)
    protocol = {
        "features": "classifier digits (1f0c9a2e)",
        "preprocessing": "bytes divided by 255",
        "n_real": 360,
        "n_fake": 2000,
        "split": "test",
        "seed": 0,
    }
    return {
        "step": step,
        "images_seen": 64 * step,
        "seconds": 0.05 * step,
        "measurements": [
            {
                "name": "frechet",
                "value": value,
                "interval": [0.93 * value, 1.08 * value],
                "floor": 0.31,
                "notes": [],
                "protocol": {"metric": "frechet", **protocol},
            },
            {
                "name": "classes_covered",
                "value": 10.0,
                "interval": None,
                "floor": 10.0,
                "notes": ["A class counts as covered from a tenth of its share among real samples."],
                "protocol": {"metric": "classes_covered", **protocol},
            },
        ],
    }


def digits(rng: np.random.Generator, sharpness: float) -> np.ndarray:
    """Pictures [64, 1, 8, 8] of strokes that come out of noise."""
    y, x = np.mgrid[0:8, 0:8]
    pictures = []
    for _ in range(64):
        angle, offset = rng.uniform(0, math.pi), rng.uniform(-1, 1)
        stroke = np.exp(-(((x - 3.5) * math.cos(angle) + (y - 3.5) * math.sin(angle) - offset) ** 2))
        pictures.append(sharpness * stroke + (1 - sharpness) * rng.uniform(size=(8, 8)))
    return (255 * np.clip(np.stack(pictures), 0, 1)).astype(np.uint8)[:, None]


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")


def make_run(
    folder: Path, *, steps: int = 2000, every: int = 10, evaluated: bool = True, pictures: bool = True
) -> Path:
    """A whole run of ``steps`` steps in ``folder``, logged every ``every``."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    rows = [row(step, steps, rng) for step in range(every, steps + 1, every)]
    marks = [steps // 8 * k for k in range(1, 9)]
    for one in rows:
        if one["step"] in marks:
            one["spectra"] = layer_spectra(one["step"] / steps)
    write_rows(folder / "metrics.jsonl", rows)
    if evaluated:
        write_rows(folder / "evaluations.jsonl", [evaluation(step, steps) for step in marks])
    if pictures:
        for step in marks:
            write_grid(folder / "samples" / f"step_{step:08d}.png", digits(rng, 0.2 + 0.75 * step / steps))
        write_grid(folder / "samples" / "real.png", digits(rng, 1.0))
    status = {
        "state": "finished",
        "step": steps,
        "images_seen": 64 * steps,
        "seconds": 0.05 * steps,
        "reason": "budget",
    }
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")
    return folder


def pixels(picture: Path | bytes) -> np.ndarray:
    """The pixels of a PNG."""
    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=["PNG"]) as opened:
        return np.asarray(opened)
