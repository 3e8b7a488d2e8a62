"""How much faster the symmetric form of the Frechet distance is than the general matrix square root.

Both start from the same float64 covariances and run in the same process on one thread, in turns; what is compared is
processor time, so that other work on the machine matters little. In few dimensions, well and badly conditioned and with
singular covariances, the value is compared with 50 digits of arithmetic as well. Writes docs/results/frechet.json.

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

from tightrope.metrics import FeatureStatistics, frechet_distance, frechet_from_statistics

RESULT = Path(__file__).resolve().parents[1] / "docs" / "results" / "frechet.json"


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


def by_many_digits(real: torch.Tensor, fake: torch.Tensor) -> float:
    """The distance of features [n, d] from the eigenvalues of the product of covariances, in 50 digits."""
    import mpmath

    with mpmath.workdps(50):
        means, covariances = [], []
        for x in (real, fake):
            rows, n = mpmath.matrix(x.tolist()), len(x)
            mean = mpmath.matrix([mpmath.fsum(rows[:, j]) / n for j in range(x.shape[1])])
            centred = mpmath.matrix(n, x.shape[1])
            for i in range(n):
                for j in range(x.shape[1]):
                    centred[i, j] = rows[i, j] - mean[j]
            means.append(mean)
            covariances.append(centred.T * centred / (n - 1))
        values, _ = mpmath.eig(covariances[0] * covariances[1])
        root = mpmath.fsum(mpmath.sqrt(max(mpmath.re(value), 0)) for value in values)
        shift = mpmath.fsum((a - b) ** 2 for a, b in zip(*means, strict=True))
        trace = mpmath.fsum(c[i, i] for c in covariances for i in range(real.shape[1]))
        return float(shift + trace - 2 * root)


def small_cases() -> dict[str, float]:
    """Relative difference from `by_many_digits` of features of 12 dimensions."""
    found = {}
    for name, n, decay in (
        ("well conditioned", 60, 0.0),
        ("condition 1e8", 60, -4.0),
        ("fewer samples than d", 8, 0.0),
    ):
        scale = torch.logspace(0, decay, 12, dtype=torch.float64)
        rng = torch.Generator().manual_seed(0)
        real, fake = (torch.randn(n, 12, generator=rng, dtype=torch.float64) * scale + s for s in (0.0, 0.1))
        reference = by_many_digits(real, fake)
        found[name] = abs(frechet_distance(real, fake) - reference) / reference
    return found


def timed(function, *arguments):
    start = time.process_time()
    value = function(*arguments)
    return time.process_time() - start, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULT)
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
        "relative_difference_from_50_digits": small_cases(),
        "versions": {"torch": torch.__version__, "scipy": scipy.__version__, "python": platform.python_version()},
    }
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{options.dimension} dimensions: {seconds['ours']:.2f} s against {seconds['sqrtm']:.2f} s for sqrtm, "
        f"{result['ratio']:.1f} times faster, values equal to {result['relative_difference']:.0e}"
    )
    print(f"relative difference from 50 digits: {result['relative_difference_from_50_digits']}")


if __name__ == "__main__":
    main()
