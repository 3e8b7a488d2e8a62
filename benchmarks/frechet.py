"""How much faster the symmetric form of the Frechet distance is than the general matrix square root.

Both start from the same float64 covariances. In few dimensions, well and badly conditioned and with singular
covariances, the value is compared with 50 digits of arithmetic as well, where mpmath is installed.

    OMP_NUM_THREADS=1 python benchmarks/frechet.py [--dimension 2048] [--samples 10000] [--rounds 3]
"""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import scipy.linalg
import torch

from tightrope.metrics import FeatureStatistics, frechet_distance, frechet_from_statistics
from timing import faster, interleaved, options, record


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
    """Relative difference from `by_many_digits` of features of 12 dimensions; empty without mpmath."""
    found: dict[str, float] = {}
    if importlib.util.find_spec("mpmath") is None:
        return found
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


def agree(real: FeatureStatistics, fake: FeatureStatistics) -> tuple[float, dict[str, float]]:
    """Relative differences from the customary value and, in few dimensions, from 50 digits; raises beyond rounding."""
    theirs = by_sqrtm(real, fake)
    difference = abs(frechet_from_statistics(real, fake).value - theirs) / theirs
    assert difference < 1e-6, f"the values differ by {difference:.1e}"
    small = small_cases()
    assert max(small.values(), default=0.0) < 1e-12, small
    return difference, small


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=10_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sets = (features(given.samples, given.dimension, seed) for seed in (0, 1))
    real, fake = (FeatureStatistics.of(x) for x in sets)
    difference, small = agree(real, fake)
    spent = interleaved(
        {"ours": lambda: frechet_from_statistics(real, fake).value, "theirs": lambda: by_sqrtm(real, fake)},
        rounds=given.rounds,
        warm_up=0,
    )
    rows = [faster(f"{given.dimension:,} features, from covariances", spent, "ours", "theirs")]
    said = f"The values differ by {difference:.0e}. "
    if small:
        said += "From 50 digits of arithmetic, 12 features: "
        said += ", ".join(f"{name} {value:.0e}" for name, value in small.items()) + "."
    absent = [] if small else ["mpmath (50 digits)"]
    claim = "The Frechet distance by its symmetric form"
    record(given.out, claim, "`scipy.linalg.sqrtm` of the product", rows, absent, said=said, details=small)


if __name__ == "__main__":
    main()
