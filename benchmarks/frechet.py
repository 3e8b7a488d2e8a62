"""How much faster the symmetric form of the Frechet distance is than the general matrix square root.

Both start from the same float64 covariances and run in the same process on one thread, in turns; what is compared is
processor time, so that other work on the machine matters little. Prints the ratio and writes it as JSON.

    python benchmarks/frechet.py --dimension 2048 --samples 10000 --repeats 3
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import platform
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg
import torch

from tightrope.metrics import FeatureStatistics, frechet_from_statistics


def features(n: int, d: int, seed: int) -> torch.Tensor:
    """Correlated features [n, d] with a decaying spectrum, shifted and scaled differently for each seed."""
    rng = torch.Generator().manual_seed(seed)
    decay = torch.logspace(0, -2, d, dtype=torch.float64)
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(7), dtype=torch.float64) / d**0.5
    x = torch.randn(n, d, generator=rng, dtype=torch.float64) * decay
    return (1 + 0.1 * seed) * x @ mixing + 0.02 * seed


def by_sqrtm(real: FeatureStatistics, fake: FeatureStatistics) -> float:
    """The customary computation."""
    s, t = real.covariance.numpy(), fake.covariance.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(s @ t)
    shift = (real.mean - fake.mean).numpy()
    return float(shift @ shift + np.trace(s) + np.trace(t) - 2 * np.trace(root).real)


def timed(function, *arguments):
    start = time.process_time()
    value = function(*arguments)
    return time.process_time() - start, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    real, fake = (FeatureStatistics.of(features(options.samples, options.dimension, seed)) for seed in (0, 1))
    ours, theirs = [], []
    for _ in range(options.repeats):
        ours.append(timed(lambda: frechet_from_statistics(real, fake).value))
        theirs.append(timed(by_sqrtm, real, fake))
    seconds = {name: statistics.median(s for s, _ in runs) for name, runs in (("ours", ours), ("sqrtm", theirs))}
    result = {
        "dimension": options.dimension,
        "samples": options.samples,
        "repeats": options.repeats,
        "cpu_seconds": seconds,
        "ratio": seconds["sqrtm"] / seconds["ours"],
        "values": {"ours": ours[0][1], "sqrtm": theirs[0][1]},
        "relative_difference": abs(ours[0][1] - theirs[0][1]) / theirs[0][1],
        "versions": {"torch": torch.__version__, "scipy": scipy.__version__, "python": platform.python_version()},
    }
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{options.dimension} dimensions: {seconds['ours']:.2f} s against {seconds['sqrtm']:.2f} s for sqrtm, "
        f"{result['ratio']:.1f} times faster, values equal to {result['relative_difference']:.0e}"
    )


if __name__ == "__main__":
    main()
