"""Does each metric move the way it should? Real images made worse step by step, and every metric at each step.

    OMP_NUM_THREADS=1 python benchmarks/checks/metric_sanity.py --data ../shared/data [--n 5000] [--only cifar10]

Reference: n test images. Samples: n training images, then the same number made worse in five series (`SERIES`): noise,
blur, classes left out, a few images repeated, and images copied from a training set of n others. CIFAR-10 is measured
in ResNet-20 features, Fashion-MNIST in those of a classifier of its own labels. `EXPECTED` was fixed after a trial with
300 images and before the first full run; the script prints every expectation that does not hold, and writes values,
verdicts and a picture to docs/results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))
from pictures import Panel, write_panels
from tightrope.evaluation.features import FeatureNetwork
from tightrope.metrics import (
    class_coverage,
    class_histogram,
    classifier_score,
    frechet_distance,
    kernel_distance,
    memorisation,
    precision_recall_density_coverage,
    sliced_wasserstein,
)

SERIES: dict[str, tuple[float, ...]] = {
    "noise": (0.02, 0.05, 0.1, 0.2),  # standard deviation, as a share of the range of pixels
    "blur": (0.5, 0.75, 1.0, 1.5),  # standard deviation of the Gaussian in pixels
    "removal": (2, 5, 8, 9),  # classes left out of ten, the others drawn more often
    "duplication": (4, 16, 64, 256),  # times that each image occurs
    "copying": (0.25, 0.5, 0.75, 1.0),  # share of samples taken from the training set
}
UP, DOWN, STILL = "up", "down", "still"
EXPECTED: dict[str, dict[str, str]] = {
    "noise": {"frechet": UP, "kernel": UP, "precision": DOWN, "density": DOWN, "coverage": DOWN, "score": DOWN},
    "blur": {"frechet": UP, "kernel": UP, "precision": DOWN, "density": DOWN, "coverage": DOWN, "score": DOWN},
    "removal": {
        "frechet": UP,
        "kernel": UP,
        "precision": STILL,
        "recall": DOWN,
        "coverage": DOWN,
        "score": DOWN,
        "classes": DOWN,
        "class_divergence": UP,
    },
    "duplication": {"frechet": UP, "kernel": UP, "precision": STILL, "recall": DOWN, "coverage": DOWN},
    "copying": {"memorisation": UP, "frechet": STILL, "precision": STILL, "recall": STILL, "coverage": STILL},
}
"""How a metric moves along a series: never the other way and elsewhere in the end, or within `TOLERANCE` throughout."""

TOLERANCE = 0.05
"""For `STILL`: of a share; and for a Frechet distance this part of its value at the worst step of the noise series."""

DRAWN = ("frechet", "kernel", "precision", "recall", "density", "coverage", "score", "memorisation")
"""Metrics in the picture."""

Values = dict[str, float]


def noisy(x: Tensor, level: float, seed: int = 0) -> Tensor:
    """Images [n, c, h, w] in [-1, 1] with noise of a standard deviation given as a share of the range."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return stored(x + 2 * level * noise)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Images [n, c, h, w] after a Gaussian blur, the border repeated."""
    reach = math.ceil(3 * sigma)
    line = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * sigma**2))
    kernel = (line / line.sum()).repeat(x.shape[1], 1)
    out = functional.pad(x, (reach,) * 4, mode="replicate")
    out = functional.conv2d(out, kernel[:, None, None, :], groups=x.shape[1])
    return stored(functional.conv2d(out, kernel[:, None, :, None], groups=x.shape[1]))


def stored(x: Tensor) -> Tensor:
    """Images rounded to 8 bits."""
    return x.add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


def rows_without(labels: Tensor, rows: Tensor, classes: int, n: int) -> Tensor:
    """The first n of the rows whose label is at least ``classes``."""
    chosen = rows[labels[rows] >= classes][:n]
    if len(chosen) < n:
        raise ValueError(f"The classes from {classes} on have {len(chosen)} images, but {n} are needed; lower n.")
    return chosen


def every(
    real: Tensor, fake: Tensor, training: Tensor, network: FeatureNetwork, pixels: tuple[Tensor, Tensor]
) -> Values:
    """All metrics of features [n, d] and pixels [n, p]."""
    scores = precision_recall_density_coverage(real, fake)
    values = {
        "frechet": frechet_distance(real, fake),
        "kernel": kernel_distance(real, fake).value,
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
        "sliced": sliced_wasserstein(*pixels, projections=64, rng=torch.Generator().manual_seed(0)),
        "memorisation": memorisation(training, fake, real).probability,
    }
    if network.head is not None:
        logits, expected = network.logits(fake), class_histogram(network.logits(real))
        classes = class_coverage(class_histogram(logits), expected)
        values |= {"score": classifier_score(logits).value, "classes": float(classes.covered)}
        values["class_divergence"] = classes.divergence
    return values


def series_of(
    read: Callable[[Tensor], Tensor], labels: Tensor, real: Tensor, network: FeatureNetwork, n: int
) -> dict[str, list[Values]]:
    """Metrics of the untouched samples followed by those of each level, for every series.

    Args:
        read: Training images of given rows [n, c, h, w] in [-1, 1].
        labels: Their classes.
        real: Reference images [n, c, h, w].
        network: Feature network.
        n: Number of samples at each step.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    base, others = order[:n], order[n:]
    x, real_features = read(base), network(real)
    features, training = network(x), network(read(others[:n]))
    points = real.flatten(1)

    def measured(fake: Tensor, images: Tensor) -> Values:
        return every(real_features, fake, training, network, (points, images.flatten(1)))

    untouched = measured(features, x)
    found: dict[str, list[Values]] = {name: [untouched] for name in SERIES}
    for name, change in (("noise", noisy), ("blur", blurred)):
        for level in SERIES[name]:
            images = change(x, level)
            found[name].append(measured(network(images), images))
    for level in SERIES["removal"]:
        images = read(rows_without(labels, order, int(level), n))
        found["removal"].append(measured(network(images), images))
    for level in SERIES["duplication"]:
        rows = torch.arange(n) % max(1, n // int(level))
        found["duplication"].append(measured(features[rows], x[rows]))
    for level in SERIES["copying"]:
        count = int(level * n)
        images = torch.cat([read(others[:count]), x[count:]])
        found["copying"].append(measured(torch.cat([training[:count], features[count:]]), images))
    return found


def broken(found: Mapping[str, Sequence[Values]]) -> list[str]:
    """The expectations that do not hold, one sentence each."""
    sentences = []
    worst = found["noise"][-1]["frechet"]
    for series, expected in EXPECTED.items():
        for metric, direction in expected.items():
            if metric not in found[series][0]:
                continue
            values = [step[metric] for step in found[series]]
            room = TOLERANCE * (worst if metric == "frechet" else 1.0)
            holds = {
                UP: values == sorted(values) and values[0] < values[-1],
                DOWN: values == sorted(values, reverse=True) and values[0] > values[-1],
                STILL: all(abs(value - values[0]) <= room for value in values),
            }[direction]
            if not holds:
                sentences.append(f"{metric} along {series}: expected {direction}, got {shown(values)}")
    return sentences


def shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def cifar10(data: Path, n: int) -> dict[str, list[Values]]:
    from tightrope.data import open_data
    from tightrope.evaluation.features import cifar_resnet

    network = cifar_resnet(data / "weights" / "resnet20_cifar10.safetensors")
    train, test = (open_data(data / "cifar10", split=split, progress=False) for split in ("train", "test"))
    return series_of(lambda rows: train.batch(rows).x, train.labels, test.batch(first(test, n)).x, network, n)


def fashion_mnist(data: Path, n: int) -> dict[str, list[Values]]:
    from tightrope.data import open_data
    from tightrope.evaluation.features import classifier

    train, test = (open_data(data / "fashion_mnist", split=split, progress=False) for split in ("train", "test"))
    network = classifier(train, test)
    print(f"classifier of Fashion-MNIST: accuracy {network.accuracy:.4f}", flush=True)
    return series_of(lambda rows: train.batch(rows).x, train.labels, test.batch(first(test, n)).x, network, n)


def first(data, n: int) -> Tensor:
    return torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[:n]


def draw(path: Path, results: Mapping[str, dict]) -> None:
    """One row of panels per metric, one column per series."""

    def panel(metric: str, series: str) -> Panel:
        lines = {name: [step[metric] for step in one["steps"][series]] for name, one in results.items()}
        ticks = ["0", *(f"{level:g}" for level in SERIES[series])]
        return Panel(f"{metric}, {series}", range(len(ticks)), ticks, lines)

    rows = [[panel(metric, series) for series in SERIES] for metric in DRAWN]
    labels = ("standard deviation / range", "radius in pixels", "classes left out", "copies of each", "share copied")
    write_panels(path, "How each metric moves when real images are made worse", rows, labels, shared=True)


SETS = {"cifar10": cifar10, "fashion_mnist": fashion_mnist}


def rounded(value: Any) -> Any:
    """Numbers to six digits, in dictionaries and lists."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def main() -> None:
    here = Path(__file__).resolve()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=here.parents[3] / "shared" / "data")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--only", choices=SETS, nargs="+", default=list(SETS))
    parser.add_argument("--out", type=Path, default=here.parents[2] / "docs" / "results" / "metric_sanity.json")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"Left out: expected the data sets in {options.data}, found no such folder; give --data.")
        return
    results = json.loads(options.out.read_text())["sets"] if options.out.exists() else {}
    for name in options.only:
        start = time.process_time()
        found = SETS[name](options.data, options.n)
        sentences = broken(found)
        results[name] = {"steps": found, "broken": sentences, "cpu_seconds": round(time.process_time() - start)}
        for series, steps in found.items():
            for metric in steps[0]:
                print(f"{name:<14} {series:<12} {metric:<17} {shown([step[metric] for step in steps])}")
        print(f"{name}: {sum(map(len, EXPECTED.values())) - len(sentences)} expectations hold")
        print("\n".join(f"  broken: {sentence}" for sentence in sentences), flush=True)
    draw(options.out.with_suffix(".svg"), results)
    text = {"n": options.n, "levels": SERIES, "expected": EXPECTED, "tolerance": TOLERANCE, "sets": results}
    options.out.write_text(json.dumps(rounded(text), indent=1) + "\n")


if __name__ == "__main__":
    main()
