"""Metrics move the way they should when real images get noise or blur, lose classes, repeat, or are copied."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from tightrope.data import open_data
from tightrope.evaluation.features import FeatureNetwork, cifar_resnet

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parents[2] / "shared" / "data"


def script():
    spec = importlib.util.spec_from_file_location("metric_sanity", ROOT / "benchmarks" / "checks" / "metric_sanity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sanity():
    return script()


@pytest.fixture(scope="module")
def digits(sanity):
    """Series on digits, in random features with class scores by least squares: a network that needs no training."""
    train, test = open_data("digits"), open_data("digits", split="test")
    directions = torch.randn(64, 32, generator=torch.Generator().manual_seed(0)) / 8

    def features(x):
        return (x.flatten(1) @ directions).relu()

    def padded(x):
        return torch.cat([x, torch.ones(len(x), 1)], 1)

    inputs, labels = padded(features(train.batch(torch.arange(len(train))).x)), train.labels
    gram = inputs.T @ inputs + 0.1 * torch.eye(33)
    matrix = torch.linalg.solve(gram, inputs.T @ torch.nn.functional.one_hot(labels, 10).float())
    network = FeatureNetwork(
        name="random features",
        digest="0" * 64,
        dimension=32,
        preprocessing="training scale",
        features=features,
        head=lambda x: 8 * padded(x) @ matrix,
    )
    real = test.batch(torch.arange(130)).x
    return sanity.series_of(lambda rows: train.batch(rows).x, train.labels, real, network, 130)


def test_digits_move_as_expected(sanity, digits):
    """Features without a notion of texture, and few samples: the distances, the diversity and the memory must hold."""
    for series, metric, direction in (
        ("noise", "frechet", 1),
        ("noise", "kernel", 1),
        ("noise", "coverage", -1),
        ("blur", "frechet", 1),
        ("blur", "kernel", 1),
        ("removal", "frechet", 1),
        ("removal", "kernel", 1),
        ("removal", "coverage", -1),
        ("removal", "recall", -1),
        ("removal", "score", -1),
        ("removal", "class_divergence", 1),
        ("duplication", "coverage", -1),
        ("duplication", "recall", -1),
        ("copying", "memorisation", 1),
    ):
        values = [direction * step[metric] for step in digits[series]]
        assert values == sorted(values), (series, metric, values)
        assert values[-1] > values[0], (series, metric)
    assert digits["copying"][-1]["memorisation"] == 1.0
    frechet = [step["frechet"] for step in digits["copying"]]
    assert max(frechet) < 0.1 * digits["blur"][-1]["frechet"]
    precision = [step["precision"] for step in digits["removal"]]
    assert min(precision) > 0.95  # blind to what is left out


def test_expectations_that_do_not_hold_are_named(sanity, digits):
    worse = {name: [dict(step) for step in steps] for name, steps in digits.items()}
    before = set(sanity.broken(worse))
    worse["noise"][2]["frechet"] = -1.0
    worse["copying"][1]["recall"] = 0.0
    added = [sentence.split(":")[0] for sentence in sanity.broken(worse) if sentence not in before]
    assert added == ["frechet along noise", "recall along copying"]


def test_a_picture_is_drawn_of_them(sanity, digits, tmp_path, monkeypatch):
    import xml.etree.ElementTree as Tree

    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    sanity.draw(tmp_path / "x.svg", {"digits": {"steps": digits}})
    root = Tree.parse(tmp_path / "x.svg").getroot()
    paths = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if "L" in path.get("d")]
    assert len(paths) == len(sanity.SERIES) * len(sanity.DRAWN)


@pytest.mark.slow
def test_noise_on_cifar10_in_resnet_features(sanity):
    weights = DATA / "weights" / "resnet20_cifar10.safetensors"
    if not (weights.exists() and (DATA / "cifar10").exists()):
        pytest.skip(f"needs the CIFAR-10 data and the ResNet-20 weights in {DATA}")
    pytest.importorskip("pyarrow")
    network, test = cifar_resnet(weights), open_data(DATA / "cifar10", split="test", limit=800, progress=False)
    real, x = network(test.batch(torch.arange(400)).x), test.batch(torch.arange(400, 800)).x
    steps = [
        sanity.every(real, network(images), real, network, (x.flatten(1), images.flatten(1)))
        for images in (x, *(sanity.noisy(x, level) for level in sanity.SERIES["noise"]))
    ]
    for metric, direction in (("frechet", 1), ("kernel", 1), ("density", -1), ("coverage", -1), ("score", -1)):
        values = [direction * step[metric] for step in steps]
        assert values == sorted(values), metric
    assert steps[-1]["frechet"] > 20 * steps[0]["frechet"]
