from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tightrope.metrics import memorisation, nearest, precision_recall_density_coverage


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_scores(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """The four definitions, sample by sample."""

    def radius(set_, i):
        return sorted(float((set_[i] - set_[j]).norm()) for j in range(len(set_)) if j != i)[k - 1]

    r, f = [radius(real, i) for i in range(len(real))], [radius(fake, j) for j in range(len(fake))]
    distance = [[float((x - y).norm()) for y in fake] for x in real]
    n, m = range(len(real)), range(len(fake))
    precision = sum(any(distance[i][j] <= r[i] for i in n) for j in m) / len(fake)
    recall = sum(any(distance[i][j] <= f[j] for j in m) for i in n) / len(real)
    density = sum(distance[i][j] <= r[i] for i in n for j in m) / (k * len(fake))
    coverage = sum(any(distance[i][j] <= r[i] for j in m) for i in n) / len(real)
    return precision, recall, density, coverage


def values(scores) -> tuple[float, float, float, float]:
    return scores.precision, scores.recall, scores.density, scores.coverage


@pytest.mark.parametrize(("n", "m", "d", "k"), [(30, 20, 3, 5), (20, 31, 2, 1), (15, 15, 12, 3)])
def test_the_definitions_sample_by_sample(n, m, d, k, monkeypatch):
    real, fake = normal(n, d), 0.5 + 1.3 * normal(m, d, seed=1)
    expected = slow_scores(real, fake, k)
    assert values(precision_recall_density_coverage(real, fake, k=k)) == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) > 2
    monkeypatch.setattr("tightrope.metrics._products.ENTRIES", 64)
    monkeypatch.setattr("tightrope.metrics._products.WHOLE", 0)
    assert values(precision_recall_density_coverage(real, fake, k=k)) == pytest.approx(expected, rel=1e-12)


def test_expectations_for_one_distribution():
    """400 draws: mean density is 1 and mean coverage the closed form, within four standard errors."""
    rng, n, m, k = torch.Generator().manual_seed(0), 30, 20, 3
    scores = [
        precision_recall_density_coverage(
            torch.randn(n, 4, generator=rng, dtype=torch.float64),
            torch.randn(m, 4, generator=rng, dtype=torch.float64),
            k=k,
        )
        for _ in range(400)
    ]
    missed = math.prod((n - 1 - j) / (n + m - 1 - j) for j in range(k))
    for observed, expected in (
        (torch.tensor([s.density for s in scores]), 1.0),
        (torch.tensor([s.coverage for s in scores]), 1 - missed),
    ):
        assert abs(observed.mean() - expected) < 4 * observed.std() / 20


def test_each_score_moves_the_right_way():
    centres = 8 * normal(6, 5, seed=9)
    real, fresh = (centres[torch.arange(300) % 6] + normal(300, 5, seed=s) for s in (1, 2))
    good = precision_recall_density_coverage(real, fresh)
    lost = precision_recall_density_coverage(real, fresh[torch.arange(300) % 6 < 3])
    noise = precision_recall_density_coverage(real, fresh + 4 * normal(300, 5, seed=3))
    repeated = precision_recall_density_coverage(real, fresh[:6].repeat(50, 1))
    far = precision_recall_density_coverage(real, fresh + 100)
    assert min(good.precision, good.recall, good.coverage) > 0.9
    assert good.density == pytest.approx(1.0, abs=0.15)
    assert lost.recall < 0.6
    assert lost.coverage < 0.6
    assert lost.precision > 0.9
    assert noise.precision < 0.3
    assert noise.density < 0.3
    assert repeated.recall < 0.1
    assert repeated.coverage < 0.3
    assert values(far) == (0.0, 0.0, 0.0, 0.0)


def test_collapse_and_copies_far_from_the_origin_are_exact():
    real = 1e4 + normal(40, 6)
    assert values(precision_recall_density_coverage(real, real, k=3)) == pytest.approx(
        (1.0, 1.0, slow_scores(real, real, 3)[2], 1.0)
    )
    collapsed = precision_recall_density_coverage(real, real[:1].expand(20, 6), k=3)
    assert values(collapsed) == pytest.approx(slow_scores(real, real[:1].expand(20, 6), 3))
    assert collapsed.precision == 1.0
    assert collapsed.recall == 1 / 40


def test_nearest_against_loops():
    x, y = normal(9, 3), normal(7, 3, seed=1)
    distance, index = nearest(x, y)
    for i in range(9):
        all_distances = (x[i] - y).norm(dim=1)
        assert distance[i] == pytest.approx(float(all_distances.min()))
        assert index[i] == all_distances.argmin()


def test_memorisation_of_fresh_samples_copies_and_near_copies():
    train, fresh, test = normal(200, 4), normal(150, 4, seed=1), normal(180, 4, seed=2)
    honest = memorisation(train, fresh, test)
    assert honest.copies == 0
    assert abs(honest.probability - 0.5) < 4 * honest.standard_error
    assert honest.standard_error == pytest.approx(math.sqrt(331 / (12 * 150 * 180)))
    copied = memorisation(train, train[:50], test)
    assert copied.copies == 50
    assert copied.probability == 1.0
    assert copied.nearest.tolist() == list(range(50))
    near = memorisation(train, train[:50] + 0.05 * fresh[:50], test)
    assert near.copies == 0
    assert near.probability > 0.9
    assert memorisation(train, 10 * fresh, test).probability < 0.2


def test_memorisation_counts_pairs_and_ties():
    train = torch.zeros(1, 1)
    fake, test = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[2.0], [3.0]])
    # (1 < 2, 1 < 3), (2 = 2, 2 < 3), (4, 4): 3.5 of 6 pairs.
    assert memorisation(train, fake, test).probability == pytest.approx(3.5 / 6)


def test_refusals():
    with pytest.raises(ValueError, match="At least 6 fake"):
        precision_recall_density_coverage(normal(10, 2), normal(5, 2))
    with pytest.raises(ValueError, match="dimension"):
        nearest(normal(10, 2), normal(5, 3))
    with pytest.raises(ValueError, match="finite"):
        nearest(normal(10, 2), normal(5, 2) / 0)
