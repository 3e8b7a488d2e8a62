"""Wasserstein estimates beside exact distances, and the generalisation score of critics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tightrope import methods
from tightrope.critics import generalisation_scores, train_critic, wasserstein_estimate
from tightrope.critics.generalisation import interval, table
from tightrope.networks.activations import GroupSort

F64 = torch.float64


def linear(weights: list[float]) -> nn.Linear:
    critic = nn.Linear(len(weights), 1, dtype=F64)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([weights]))
        critic.bias.fill_(7.0)
    return critic


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_a_shift_is_measured_exactly_by_the_linear_critic_along_it():
    fake = normal(64, 3, 0)
    real = fake + torch.tensor([2.0, 1.0, -2.0])
    found = wasserstein_estimate(linear([2.0, 1.0, -2.0]), real, fake)
    assert found.raw == pytest.approx(9.0) and found.slope == pytest.approx(3.0)
    assert found.estimate == pytest.approx(3.0) and found.exact == pytest.approx(3.0)
    assert found.tightness == pytest.approx(1.0) and "tightness 1.000" in str(found)
    other = wasserstein_estimate(linear([-2.0, -1.0, 2.0]), real, fake)
    assert other.estimate == pytest.approx(-3.0), "the sign is the critic's: real scores high"


def test_the_exact_distance_is_an_optimal_assignment():
    from itertools import permutations

    real, fake = normal(6, 2, 1), 2 * normal(6, 2, 2) + 1
    best = min(sum((real[i] - fake[j]).norm() for i, j in enumerate(p)) for p in permutations(range(6))) / 6
    assert wasserstein_estimate(linear([1.0, 0.0]), real, fake).exact == pytest.approx(best.item(), rel=1e-12)


def test_no_exact_distance_is_explained_and_bad_shapes_are_refused():
    critic = linear([1.0, 0.0])
    assert "as many" in wasserstein_estimate(critic, normal(4, 2, 0), normal(5, 2, 1)).reason
    assert wasserstein_estimate(critic, normal(4, 2, 0), normal(4, 2, 1), exact=False).exact is None
    assert "4096" in wasserstein_estimate(critic, normal(4097, 2, 0), normal(4097, 2, 1)).reason
    with pytest.raises(ValueError, match="one shape"):
        wasserstein_estimate(critic, normal(4, 2, 0), normal(4, 3, 1))


def test_the_critic_is_left_as_found():
    critic = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).train()
    state = {k: v.clone() for k, v in critic.state_dict().items()}
    wasserstein_estimate(critic, normal(8, 2, 0).float(), normal(8, 2, 1).float())
    assert critic.training and all(torch.equal(state[k], v) for k, v in critic.state_dict().items())
    assert all(p.grad is None for p in critic.parameters())


def mlp(seed: int, sort: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(2, 32), GroupSort(2) if sort else nn.ReLU(), nn.Linear(32, 32), GroupSort(2) if sort else nn.ReLU(),
        nn.Linear(32, 1),
    )  # fmt: skip


def shifted(n: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(n, 2, generator=rng) + torch.tensor([1.5, 2.0])


def test_an_orthogonal_critic_finds_most_of_a_known_distance_and_a_clipped_one_hardly_any():
    rng = torch.Generator().manual_seed(0)
    train, test = (torch.randn(n, 2, generator=rng) for n in (256, 256))
    orthogonal = methods.build("orthogonal_wgan", learning_rate=3e-3)
    clipped = methods.build("wgan", learning_rate=1e-3)
    scores = generalisation_scores(
        {"orthogonal": (orthogonal, mlp), "clipped": (clipped, lambda seed: mlp(seed, sort=False))},
        train, test, shifted, steps=120, batch_size=32, seeds=(3, 4),
    )  # fmt: skip
    by = {s.name: s for s in scores}
    best = by["orthogonal"]
    assert scores[0] is best
    assert best.tightness is not None and 0.9 < best.tightness.mean <= 1.0 + 1e-6
    assert all(c.slope <= 1 + 1e-4 for c in best.critics)
    assert all(c.test == pytest.approx(2.5, abs=0.25) for c in best.critics)
    assert 0.85 < best.generalisation.mean < 1.15
    assert by["clipped"].critics[0].slope < 0.1, "clipping leaves a critic that is nearly flat"
    assert best.score.mean + by["clipped"].score.mean == pytest.approx(2.0)
    for one, other in zip(best.critics, by["clipped"].critics, strict=True):
        assert one.exact == other.exact and one.seed == other.seed
    assert "orthogonal" in table(scores).splitlines()[1]


def test_training_is_a_function_of_its_seed_and_projects_as_often_as_asked():
    real = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    method = methods.build("orthogonal_wgan", way="svd", epsilon=0.01, every=5)

    def trained(seed: int, steps: int) -> nn.Module:
        return train_critic(method, mlp(0), real, shifted, steps=steps, batch_size=16, seed=seed)

    first, again, other = (trained(seed, 5) for seed in (1, 1, 2))
    for p, q in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
    assert any(not torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True))
    off = [(torch.linalg.svdvals(trained(1, n)[2].weight) - 1).abs().max().item() for n in (4, 5)]
    assert off[1] <= 0.0101 and off[0] != off[1]


def test_intervals_are_students():
    values = [1.0, 2.0, 4.0]
    found = interval(values)
    half = 4.302652729911275 * torch.tensor(values).double().std().item() / math.sqrt(3)  # t(0.975, 2)
    assert (found.mean, found.low, found.high) == pytest.approx((7 / 3, 7 / 3 - half, 7 / 3 + half))
    assert math.isnan(interval([1.0]).low)
    with pytest.raises(ValueError, match="at least one method"):
        generalisation_scores({}, torch.zeros(2, 2), torch.zeros(2, 2), shifted, steps=1)
