"""How many samples are enough: each metric of real images, and of slightly noisy ones, by the number of samples.

    OMP_NUM_THREADS=1 python benchmarks/checks/sample_size.py --data ../shared/data [--repeats 5]

CIFAR-10 in ResNet-20 features: random subsets of n training images, as they are and with noise of 2 % of the range,
against as many test images. The mean over subsets shows the bias of a size, their standard deviation the spread.
Writes docs/results/sample_size.json and .svg.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch

from metric_sanity import noisy
from pictures import Panel, write_panels
from tightrope.data import open_data
from tightrope.evaluation.features import cifar_resnet
from tightrope.metrics import (
    classifier_score,
    frechet_distance,
    frechet_extrapolated,
    kernel_distance,
    precision_recall_density_coverage,
)

SIZES = (100, 200, 500, 1000, 2000, 5000, 10000)
NOISE = 0.02
TITLES = {
    "frechet": "Frechet distance",
    "frechet_extrapolated": "Frechet, extrapolated",
    "kernel": "kernel distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "score": "classifier score",
}


def every(real: torch.Tensor, fake: torch.Tensor, logits: torch.Tensor) -> dict[str, float]:
    scores = precision_recall_density_coverage(real, fake)
    values = {"frechet": frechet_distance(real, fake), "kernel": kernel_distance(real, fake).value}
    if len(real) > 2 * (real.shape[1] + 1):
        rng = torch.Generator().manual_seed(0)
        values["frechet_extrapolated"] = frechet_extrapolated(real, fake, rng=rng).value
    values |= {name: getattr(scores, name) for name in ("precision", "recall", "density", "coverage")}
    return values | {"score": classifier_score(logits).value}


def main() -> None:
    here = Path(__file__).resolve()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=here.parents[3] / "shared" / "data")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=here.parents[2] / "docs" / "results" / "sample_size.json")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"Left out: expected the data sets in {options.data}, found no such folder; give --data.")
        return
    network = cifar_resnet(options.data / "weights" / "resnet20_cifar10.safetensors")
    train, test = (open_data(options.data / "cifar10", split=split, progress=False) for split in ("train", "test"))
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: max(SIZES)]
    images = train.batch(rows).x
    real, sets = network(test.batch(torch.arange(len(test))).x), {"real": network(images)}
    sets[f"noise {NOISE:.0%}"] = network(noisy(images, NOISE))
    results: dict[str, dict[str, dict[str, list[float]]]] = {name: {} for name in sets}
    rng = torch.Generator().manual_seed(2)
    for n in SIZES:
        repeats = options.repeats if n < max(SIZES) else 1
        found: dict[str, list[dict[str, float]]] = {name: [] for name in sets}
        for _ in range(repeats):
            a, b = (torch.randperm(len(v), generator=rng)[:n] for v in (real, rows))
            for name, features in sets.items():
                found[name].append(every(real[a], features[b], network.logits(features[b])))
        for name, values in found.items():
            for metric in values[0]:
                one = [value[metric] for value in values]
                spread = statistics.stdev(one) if len(one) > 1 else float("nan")
                results[name].setdefault(metric, {})[str(n)] = [statistics.fmean(one), spread]
            print(n, name, {metric: round(v[str(n)][0], 4) for metric, v in results[name].items() if str(n) in v})
    text = {"sizes": SIZES, "repeats": options.repeats, "noise": NOISE, "mean and spread": results}
    options.out.write_text(json.dumps(text, indent=1).replace("NaN", "null") + "\n")
    panels = [panel(metric, results) for metric in TITLES]
    title = "CIFAR-10 in ResNet-20 features against as many test images: mean over subsets"
    write_panels(options.out.with_suffix(".svg"), title, [panels[:4], panels[4:]], ["samples of each set"] * 4)


def panel(metric: str, results: dict[str, dict[str, dict[str, list[float]]]]) -> Panel:
    lines = {name: [found[metric].get(str(n), [float("nan")])[0] for n in SIZES] for name, found in results.items()}
    ticks = [f"{n // 1000}k" if n >= 1000 else str(n) for n in SIZES]
    return Panel(TITLES[metric], SIZES, ticks, lines)


if __name__ == "__main__":
    main()
