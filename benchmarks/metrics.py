"""Metrics on features against the functions of torch-fidelity, prdc and POT: the same value, and how long each takes.

    pip install --target /tmp/peers --no-deps torch-fidelity==0.4.0 prdc==0.2 POT==0.9.7.post1 tqdm requests
    OMP_NUM_THREADS=1 PYTHONPATH=/tmp/peers python benchmarks/metrics.py [--n 3000] [--dimension 512] [--rounds 5]

The values must agree before anything is timed. torch-fidelity imports torchvision, which its functions of features
never call, so an empty stand-in is enough. Packages that are not there are named.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.metadata
import io
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tightrope.metrics import (
    FeatureStatistics,
    block_kernel_distance,
    frechet_from_statistics,
    kernel_distance,
    precision_recall_density_coverage,
    sliced_wasserstein,
    split_classifier_score,
    wasserstein1,
    weighted_wasserstein1,
)
from tightrope.metrics.transport import _by_linear_programme, random_directions
from timing import faster, interleaved, options, record

Case = tuple[Callable[[], Any], Callable[[], Any], bool]
"""Ours, theirs, and whether the values must agree (not where each draws its own random blocks)."""


class Empty(types.ModuleType):
    """A module whose every name is a class that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def features(n: int, d: int, seed: int) -> torch.Tensor:
    """Features [n, d] that are positive, correlated and skewed, as those of networks are."""
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(7), dtype=torch.float64) / d**0.5
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x @ mixing + 0.1 * seed).relu()


def fidelity_cases(real: torch.Tensor, fake: torch.Tensor) -> dict[str, Case]:
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets"):
        module = sys.modules[name] = Empty(name)
        module.__spec__, module.__path__ = importlib.machinery.ModuleSpec(name, None), []
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    def kid(blocks: int, size: int) -> float:
        found = kid_features_to_metric(fake, real, kid_subsets=blocks, kid_subset_size=size, verbose=False)
        return found["kernel_inception_distance_mean"]

    def prc() -> list[float]:
        found = prc_features_to_metric(fake, real, prc_neighborhood=3, verbose=False)
        return [round(found[name] * len(real)) / len(real) for name in ("precision", "recall")]  # shares in float32

    def ours_prc() -> list[float]:
        scores = precision_recall_density_coverage(real, fake, k=3)
        return [scores.precision, scores.recall]

    logits, n = 3 * fake[:, :10], len(real)
    statistics_ = [FeatureStatistics.of(v) for v in (real, fake)]
    theirs = [fid_features_to_statistics(v) for v in (real, fake)]
    rng = torch.Generator().manual_seed(0)
    return {
        "frechet from statistics (torch-fidelity)": (
            lambda: frechet_from_statistics(*statistics_).value,
            lambda: fid_statistics_to_metric(*theirs, False)["frechet_inception_distance"],
            True,
        ),
        "kernel, all samples, with its error (torch-fidelity, without)": (
            lambda: kernel_distance(real, fake).value,
            lambda: kid(1, n),
            True,
        ),
        "kernel, 20 blocks of 1,000 (torch-fidelity)": (
            lambda: block_kernel_distance(real, fake, blocks=20, size=1000, rng=rng).value,
            lambda: kid(20, 1000),
            False,
        ),
        "precision, recall (torch-fidelity; ours gives density and coverage too)": (ours_prc, prc, True),
        "score in 10 splits (torch-fidelity)": (
            lambda: split_classifier_score(logits, splits=10).value,
            lambda: isc_features_to_metric(logits, splits=10, shuffle=False)["inception_score_mean"],
            True,
        ),
    }


def prdc_cases(real: torch.Tensor, fake: torch.Tensor) -> dict[str, Case]:
    import sklearn.metrics
    from prdc import prdc

    def on_one_thread(x: Any, y: Any = None) -> Any:
        return sklearn.metrics.pairwise_distances(x, x if y is None else y, metric="euclidean", n_jobs=1)

    prdc.compute_pairwise_distance = on_one_thread
    order = ("precision", "recall", "density", "coverage")

    def ours() -> list[float]:
        scores = precision_recall_density_coverage(real, fake, k=5)
        return [getattr(scores, name) for name in order]

    def theirs() -> list[float]:
        with contextlib.redirect_stdout(io.StringIO()):
            found = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
        return [float(found[name]) for name in order]

    return {"precision, recall, density, coverage (prdc)": (ours, theirs, True)}


def transport_cases() -> dict[str, Case]:
    import ot

    rng = torch.Generator().manual_seed(1)
    x, y = (torch.randn(1000, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    a, b = x.numpy(), y.numpy()
    equal = np.full(1000, 1e-3)
    p, q = (torch.rand(n, generator=rng, dtype=torch.float64) for n in (900, 800))
    p, q = p / p.sum(), q / q.sum()
    few = [weights.numpy() / float(weights.sum()) for weights in (p[:150], q[:130])]
    cost = ot.dist(a[:150], b[:130], metric="euclidean")
    directions = random_directions(256, 64, torch.Generator().manual_seed(5))
    u, v = (torch.randn(3000, 64, generator=rng, dtype=torch.float64) for _ in range(2))
    return {
        "wasserstein1, 1,000 points in the plane (POT)": (
            lambda: wasserstein1(x, y),
            lambda: ot.emd2(equal, equal, ot.dist(a, b, metric="euclidean")),
            True,
        ),
        "wasserstein1, 900 and 800 weighted points (POT, which ours calls)": (
            lambda: weighted_wasserstein1(x[:900], y[:800], p, q),
            lambda: ot.emd2(p.numpy(), q.numpy(), ot.dist(a[:900], b[:800], metric="euclidean")),
            True,
        ),
        "150 and 130 weighted points without POT, by a linear programme (POT)": (
            lambda: _by_linear_programme(cost, *few),
            lambda: ot.emd2(*few, cost),
            True,
        ),
        "sliced, 3,000 points, 64 dimensions, 256 directions (POT)": (
            lambda: sliced_wasserstein(u, v, rng=torch.Generator().manual_seed(5)),
            lambda: ot.sliced_wasserstein_distance(u.numpy(), v.numpy(), projections=directions.T.numpy(), p=1),
            True,
        ),
    }


def agree(name: str, case: Case) -> str:
    """How far the values are apart; raises where they must agree and do not."""
    ours, theirs = (np.atleast_1d(one()).astype(float) for one in case[:2])
    if not case[2]:
        return "own random blocks"
    difference = float((np.abs(ours - theirs) / np.abs(theirs)).max())
    assert difference < 1e-10, f"{name}: {ours} and {theirs}"
    return f"{difference:.0e}"


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--dimension", type=int, default=512)
    given = parser.parse_args()
    torch.set_num_threads(1)
    real, fake = (features(given.n, given.dimension, seed) for seed in (0, 1))
    groups = {
        "torch-fidelity": lambda: fidelity_cases(real, fake),
        "prdc": lambda: prdc_cases(real, fake),
        "POT": transport_cases,
    }
    rows, absent, apart, versions = [], [], {}, {}
    for package, make in groups.items():
        try:
            cases = make()
        except ImportError as missing:
            absent.append(f"{package} ({missing})")
            continue
        versions[package] = importlib.metadata.version(package)
        for name, case in cases.items():
            apart[name] = agree(name, case)
            spent = interleaved({"ours": case[0], "theirs": case[1]}, rounds=given.rounds)
            rows.append(faster(name, spent, "ours", "theirs"))
    versions |= {name: importlib.metadata.version(name) for name in ("scipy", "scikit-learn", "numpy")}
    said = f"Features: {given.n:,} of {given.dimension} numbers, float64. Versions: "
    said += ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
    table = [("value", "relative difference from theirs"), *apart.items()]
    claim = "Metrics of features against the packages that people use"
    record(given.out, claim, "torch-fidelity, prdc and POT", rows, absent, said=said, table=table)


if __name__ == "__main__":
    main()
