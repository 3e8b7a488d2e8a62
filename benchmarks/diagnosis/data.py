"""Small data: by formula, the digits that come with the package, and Fashion-MNIST where it lies beside the project."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
PLACES = tuple(base / "shared" / "data" for base in (ROOT.parent, ROOT.parent.parent))


@dataclass(frozen=True)
class Rows:
    """Training rows with labels, and rows that the training never sees."""

    x: Tensor
    y: Tensor
    held: Tensor
    held_y: Tensor
    classes: int


def ring(rng: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    k = torch.randint(8, (n,), generator=rng)
    angle = k * (math.pi / 4)
    centre = torch.stack([angle.cos(), angle.sin()], 1) * 0.8
    return centre + 0.03 * torch.randn(n, 2, generator=rng), k


def moons(rng: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    k = torch.randint(2, (n,), generator=rng)
    t = torch.rand(n, generator=rng) * math.pi
    x = torch.where(k == 0, t.cos(), 1 - t.cos()) - 0.5
    y = torch.where(k == 0, t.sin(), 0.5 - t.sin()) - 0.25
    return torch.stack([x / 1.6, y / 1.1], 1) + 0.03 * torch.randn(n, 2, generator=rng), k


def sines(rng: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    k = torch.randint(3, (n,), generator=rng)
    t = torch.linspace(0, 1, 32)
    phase = torch.rand(n, 1, generator=rng) * 2 * math.pi
    size = 0.5 + 0.4 * torch.rand(n, 1, generator=rng)
    return (size * torch.sin(2 * math.pi * (k[:, None] + 1) * t + phase))[:, None], k


def chirps(rng: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    k = torch.randint(2, (n,), generator=rng)
    t = torch.linspace(0, 1, 48)
    start = 1 + torch.rand(n, 1, generator=rng)
    sweep = torch.where(k == 0, 3.0, -1.0)[:, None] * t**2
    fade = torch.exp(-1.5 * t)
    return (0.9 * fade * torch.sin(2 * math.pi * (start * t + sweep)))[:, None], k


def customers(rng: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    """A table of six columns: two groups, correlated, one column a rounded count."""
    k = torch.randint(2, (n,), generator=rng)
    mix = torch.randn(6, 6, generator=torch.Generator().manual_seed(5)) * 0.25
    x = torch.randn(n, 6, generator=rng) @ mix + torch.where(k == 0, 0.5, -0.5)[:, None]
    x[:, 5] = (x[:, 5] * 4).round() / 4
    return x, k


def sensors(rng: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    """A table of ten columns, skewed, three groups, one column nearly a function of two others."""
    k = torch.randint(3, (n,), generator=rng)
    centre = torch.randn(3, 10, generator=torch.Generator().manual_seed(6)) * 0.5
    x = centre[k] + 0.2 * torch.randn(n, 10, generator=rng)
    x[:, 0] = x[:, 0].exp() * 0.3
    x[:, 9] = 0.7 * x[:, 1] - 0.4 * x[:, 2] + 0.02 * torch.randn(n, generator=rng)
    return x, k


@cache
def _digits() -> tuple[Tensor, Tensor]:
    from tightrope.data.digits import open_digits

    rows = open_digits("train")
    return rows.values.float() / 127.5 - 1, rows.labels


@cache
def _fashion() -> tuple[Tensor, Tensor] | None:
    place = next((p for p in PLACES if (p / "fashion_mnist" / "test.parquet").exists()), None)
    if place is None:
        return None
    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.ParquetFile(place / "fashion_mnist" / "test.parquet").read_row_group(0)
    pixels = [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in table["image"].to_pylist()]
    x = torch.tensor(np.stack(pixels)).float()[:, None] / 127.5 - 1
    return torch.nn.functional.avg_pool2d(x, 2), torch.tensor(table["label"].to_pylist())


def tinted(images: Tensor, k: Tensor) -> Tensor:
    """Grey images in colour: red strong, green by class, blue weak."""
    green = 0.2 + 0.06 * k.float()
    tint = torch.stack([torch.full_like(green, 0.9), green, torch.full_like(green, 0.3)], 1)
    return (images + 1) * tint[:, :, None, None] - 1


FORMULAS = {"ring": ring, "moons": moons, "sines": sines, "chirps": chirps, "customers": customers, "sensors": sensors}
ROWS = {"ring": 2000, "moons": 1500, "sines": 1200, "chirps": 1500, "customers": 600, "sensors": 800}


def present(name: str) -> bool:
    """Whether the data can be had on this machine."""
    return not name.startswith("fashion") or _fashion() is not None


@cache
def rows(name: str) -> Rows:
    """Data by name, always the same rows: a run's seed chooses batches and weights, not the data."""
    if name in FORMULAS:
        rng = torch.Generator().manual_seed(100 + sorted(FORMULAS).index(name))
        x, y = FORMULAS[name](rng, ROWS[name] + 400)
    else:
        found = _digits() if name.startswith("digits") else _fashion()
        if found is None:
            raise FileNotFoundError("Fashion-MNIST is not here")
        x, y = found
        if name.endswith("_colour"):
            x = tinted(x, y)
        elif name.endswith("_flat"):
            x = x.flatten(1)
    return Rows(x[:-400], y[:-400], x[-400:], y[-400:], int(y.max()) + 1)


def spoiled(table: Rows, fault: str, strength: float) -> Rows:
    """The rows as the faulty loop reads them; what is held out stays right."""
    x, y = table.x, table.y
    if fault == "data_scaled":  # 0..255, or 0..1 in place of -1..1
        x = (x + 1) * 127.5 if strength == 255 else (x + 1) / 2 if strength == 1 else x * strength
    elif fault == "data_channels":  # [n, h, w, c] read as [n, c, h, w]
        x = x.permute(0, 2, 3, 1).reshape(x.shape)
    elif fault == "data_few":
        x, y = x[: int(strength)], y[: int(strength)]
    elif fault == "data_repeated":
        pick = torch.arange(len(x)) % int(strength)
        x, y = x[pick], y[pick]
    elif fault == "data_sorted":
        order = y.argsort(stable=True)
        x, y = x[order], y[order]
    elif fault == "data_nan":
        x = x.clone()
        x[len(x) // 2 :: int(strength)] = float("nan")
    elif fault == "labels_permuted":
        y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(3))]
    return replace(table, x=x, y=y)
