"""A small classifier of the data's own labels, trained once and kept: the feature network for data with classes."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from tightrope._plumbing.cache import cache_folder, read_kept, write_tensors
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import Progress
from tightrope.evaluation.features.network import BATCH, FeatureNetwork, shrink, weights_digest

if TYPE_CHECKING:
    from tightrope.data import Dataset

ARCHITECTURE = "classifier-1"
"""Version of the network and of its training; part of the cache's key. Change it with either."""

SIDE = 32
EPOCHS, MAX_SEEN = 20, 150_000
TRAIN_BATCH, LEARNING_RATE, WEIGHT_DECAY, SEED = 128, 3e-3, 1e-2, 0


class Convolutional(nn.Module):
    """Four convolutions with batch normalisation and a mean over positions: 128 features.

    Args:
        channels: Channels of the input [batch, c, h, w].
        classes: Number of classes.
    """

    dimension = 128

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((channels, 32, 1), (32, 64, 2), (64, 128, 2), (128, self.dimension, 1)):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(self.dimension, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [batch, 128] of samples [batch, c, h, w] or [batch, c, length]."""
        hidden: Tensor = self.body(shrink(x, SIDE))
        return hidden.mean(dim=(2, 3))


class Dense(nn.Module):
    """Three dense layers with batch normalisation: 64 features.

    Args:
        inputs: Length of an input vector.
        classes: Number of classes.
    """

    dimension = 64

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((inputs, 128), (128, 128), (128, self.dimension)):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(self.dimension, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [batch, 64] of samples [batch, d]."""
        out: Tensor = self.body(x.flatten(1))
        return out


def classifier(
    train: Dataset, test: Dataset, *, cache: Path | None = None, progress: Progress | None = None
) -> FeatureNetwork:
    """Return the features and class scores of a small classifier of the data's own labels.

    The first call trains it (some seconds for the digits, minutes for sets like MNIST) and stores the weights; later
    calls read them. Training starts from a fixed seed, so that two machines get equivalent networks, but not the same
    bits: the digest in the protocol tells them apart.

    Args:
        train: Labelled training split.
        test: Labelled test split; it serves to measure the accuracy and nothing else.
        cache: Folder for the weights; by default ``$TIGHTROPE_CACHE`` or the user's cache folder.
        progress: Where to show the training.

    Raises:
        UserError: A split has no labels or fewer than two classes.
    """
    for split in (train, test):
        if split.labels is None or len(train.classes) < 2:
            raise UserError(
                f"A classifier needs labels of at least 2 classes, but {split.source} ({split.split}) has "
                f"{len(split.classes)}; use random_convolutions() or pixels()."
            )
    path = classifier_path(train, test, cache)
    network = _build(train)
    stored = read_kept(path)
    if stored is not None:
        network.load_state_dict(stored[0])
        accuracy = float(stored[1]["accuracy"])
    else:
        _fit_(network, train, progress or Progress())
        accuracy = _accuracy(network, test)
        weights = dict(network.state_dict())
        words = {"accuracy": repr(accuracy), "data": train.fingerprint, "architecture": ARCHITECTURE}
        write_tensors(path, weights, words)
    return _frozen(network, train.name, accuracy)


def classifier_path(train: Dataset, test: Dataset, cache: Path | None) -> Path:
    """Return the file in which `classifier` keeps the weights for these splits."""
    key = hashlib.sha256(f"{ARCHITECTURE} {train.fingerprint} {test.fingerprint}".encode()).hexdigest()
    return cache_folder(cache) / "classifiers" / f"{ARCHITECTURE}-{key[:24]}.safetensors"


def training_steps(n: int) -> int:
    """Return the number of steps that `classifier` trains for on n samples."""
    return math.ceil(min(EPOCHS * n, max(MAX_SEEN, n)) / min(TRAIN_BATCH, n))


def untrained_classifier(train: Dataset) -> FeatureNetwork:
    """Return the network of `classifier` before training: as fast, and of no other use."""
    return _frozen(_build(train), train.name, None)


def _frozen(network: Convolutional | Dense, data: str, accuracy: float | None) -> FeatureNetwork:
    network.eval().requires_grad_(requires_grad=False)
    dense = isinstance(network, Dense)
    return FeatureNetwork(
        name=f"classifier {data}",
        digest=weights_digest(dict(network.state_dict())),
        dimension=network.dimension,
        preprocessing="training scale" + ("" if dense else f", box-averaged to at most {SIDE} pixels a side"),
        features=network,
        head=network.head,
        accuracy=accuracy,
    )


def _build(data: Dataset) -> Convolutional | Dense:
    """Return the network for the data's shape, its weights drawn from `SEED` without touching the global generator."""
    classes = len(data.classes)
    with torch.random.fork_rng(devices=[]):  # the constructors draw weights that are replaced below
        network = Dense(data.shape[0], classes) if len(data.shape) == 1 else Convolutional(data.shape[0], classes)
    rng = torch.Generator().manual_seed(SEED)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.Conv2d):  # a quarter faster on CPUs
            module.weight = nn.Parameter(module.weight.detach().contiguous(memory_format=torch.channels_last))
    return network


def _fit_(network: Convolutional | Dense, data: Dataset, progress: Progress) -> None:
    """Train by AdamW with a one-cycle rate for `EPOCHS` passes, or as many as `MAX_SEEN` samples make."""
    n, rng = len(data), torch.Generator().manual_seed(SEED)
    size, steps = min(TRAIN_BATCH, n), training_steps(n)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    order = torch.empty(0, dtype=torch.int64)
    network.train()
    progress.stage("training steps of the feature network", steps)
    for step in range(steps):
        done = step / steps
        rate = min(done / 0.1, 1.0) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate
        if len(order) < size:
            order = torch.randperm(n, generator=rng)
        rows, order = order[:size], order[size:]
        batch = data.batch(rows)
        x = _shifted(batch.x, rng) if data.kind == "images" else batch.x
        loss = functional.cross_entropy(network.head(network(x)), _labels(batch.labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.advance()
    network.eval()


def _shifted(x: Tensor, rng: torch.Generator) -> Tensor:
    """Return images moved by up to one pixel in each direction (all of a batch alike), the border repeated."""
    down, right = (int(v) for v in torch.randint(3, (2,), generator=rng))
    h, w = x.shape[2:]
    return functional.pad(x, (1, 1, 1, 1), mode="replicate")[:, :, down : down + h, right : right + w]


@torch.no_grad()
def _accuracy(network: Convolutional | Dense, data: Dataset) -> float:
    correct = 0
    for rows in torch.arange(len(data)).split(BATCH):
        batch = data.batch(rows)
        correct += int((network.head(network(batch.x)).argmax(dim=1) == _labels(batch.labels)).sum())
    return correct / len(data)


def _labels(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise UserError("A classifier needs labels, but the batch has none; open the data with its labels.")
    return labels
