"""DRAGAN and consistency against closed forms on linear critics and loops over plain numbers."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tightrope import UserError, View, penalties
from tightrope.autodiff import Remembered


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def test_dragan_looks_beside_the_data():
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return x.square().sum(1) / 2  # its gradient is the point itself

    real = normal(5, 3)
    value = penalties.dragan(critic, real, weight=7.0, target=2.0, scale=0.8, rng=rng(4))
    flat = real.flatten().tolist()
    mean = math.fsum(flat) / len(flat)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in flat) / len(flat))
    noise = torch.rand(5, 3, generator=rng(4), dtype=torch.float64)
    points = [
        [x + 0.8 * spread * u for x, u in zip(xs, us, strict=True)]
        for xs, us in zip(real.tolist(), noise.tolist(), strict=True)
    ]
    assert torch.allclose(seen[-1], torch.tensor(points, dtype=torch.float64), atol=1e-12)
    slow = 7 * math.fsum((math.sqrt(math.fsum(v * v for v in p)) - 2) ** 2 for p in points) / 5
    assert value.item() == pytest.approx(slow, rel=1e-12)


def test_dragan_adds_over_critics_and_reaches_the_parameters():
    one, two = nn.Linear(3, 1).double(), nn.Linear(3, 1).double()
    real = normal(6, 3)
    both = penalties.dragan(lambda x: [one(x), two(x)], real, rng=rng())
    each = [penalties.dragan(net, real, rng=rng()) for net in (one, two)]
    assert both.item() == pytest.approx(sum(value.item() for value in each), rel=1e-12)
    both.backward()
    assert float(one.weight.grad.norm()) > 0


def shifted(x: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
    return x + torch.rand(len(x), 1, generator=rng, dtype=x.dtype)


def test_consistency_is_the_squared_change_of_scores():
    w = normal(3)
    critic = lambda x: (x * w).sum(1)  # noqa: E731
    real, fake = normal(4, 3, seed=1), normal(4, 3, seed=2).requires_grad_()
    value = penalties.consistency(critic, real, fake, augment=shifted, weight_real=3.0, weight_fake=2.0, rng=rng(9))
    steps = rng(9)
    first, second = (torch.rand(4, 1, generator=steps, dtype=torch.float64).flatten().tolist() for _ in range(2))
    total = math.fsum(w.tolist())
    slow = 3 * math.fsum((s * total) ** 2 for s in first) / 4 + 2 * math.fsum((s * total) ** 2 for s in second) / 4
    assert value.item() == pytest.approx(slow, rel=1e-12)


def test_consistency_takes_augmentations_that_draw_from_no_rng():
    """As torchvision's and kornia's modules do."""
    critic, real, fake = nn.Linear(2, 1), torch.randn(6, 2), torch.randn(6, 2)
    found = penalties.consistency(critic, real, fake, augment=lambda x: 2 * x, rng=rng(0))
    torch.testing.assert_close(found, 10 * ((real @ critic.weight.T) ** 2 + (fake @ critic.weight.T) ** 2).mean())
    assert penalties.consistency(critic, real, fake, augment=nn.Identity()) == 0
    assert penalties.consistency(critic, real, fake, augment=nn.Dropout(0.5)) > 0
    with pytest.raises(UserError, match="leave rng out"):
        penalties.consistency(critic, real, fake, augment=nn.Dropout(0.5), rng=rng(0))


class Checkpointed(nn.Linear):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=True)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_two_forwards_without_a_way_back_to_the_parameters_are_refused():
    """Torch only warns, and a loss beside the penalty would hide it."""
    critic, x = Checkpointed(2, 1), torch.randn(6, 2)
    for penalty in (penalties.finite_difference_r1, partial(penalties.consistency, augment=shifted)):
        with pytest.raises(UserError, match="use_reentrant=False"):
            penalty(critic, x, x)
        with torch.no_grad():
            assert penalty(critic, x, x) > 0
    with pytest.raises(UserError, match="detach or no_grad"):
        penalties.finite_difference_r1(View(critic, scores=lambda out: out.detach()), x)


def test_consistency_shares_dropout_and_constrained_weights():
    net = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 1)).double()
    x = normal(8, 3)
    same = penalties.consistency(net, x, x, augment=lambda x, *, rng=None: x.clone())
    assert same.item() == 0.0
    constrained = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4).double())
    moved = penalties.consistency(constrained, x, x, augment=lambda x, *, rng=None: x.clone())
    assert moved.item() == pytest.approx(0.0, abs=1e-20)


def test_consistency_uses_scores_already_made_and_gives_the_generator_nothing():
    calls = []

    class Counted(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(len(x))
            return super().forward(x)

    net = Counted(3, 1).double()
    real, fake = normal(4, 3), normal(4, 3, seed=1).requires_grad_()
    penalties.consistency(net, real, fake, augment=shifted, weight_fake=0.0)  # its first use tries the critic once
    calls.clear()
    scored = Remembered(net)
    scored(real)
    penalties.consistency(scored, real, fake, augment=shifted, weight_fake=0.0).backward()
    assert len(calls) == 2 and fake.grad is None
    method_penalty = penalties.Penalty(partial(penalties.consistency, augment=shifted), {"weight_real": 1.0})
    assert torch.isfinite(method_penalty(net, real, fake, images_seen=0, rng=rng()))


def test_latent_consistency_and_diversity_are_opposites_on_a_linear_pair():
    generator, critic = nn.Linear(2, 3, bias=False).double(), nn.Linear(3, 1, bias=False).double()
    z = normal(5, 2)
    step = 0.1 * torch.randn(5, 2, generator=rng(3), dtype=torch.float64)
    moved = step @ generator.weight.T
    pulled = penalties.latent_consistency(critic, generator, z, sigma=0.1, weight=4.0, rng=rng(3))
    assert pulled.item() == pytest.approx(4 * float((moved @ critic.weight.T).detach().square().mean()), rel=1e-9)
    pushed = penalties.latent_diversity(generator, z, sigma=0.1, weight=0.5, rng=rng(3))
    assert pushed.item() == pytest.approx(-0.5 * float(moved.detach().square().mean()), rel=1e-9)
    pulled.backward()
    assert generator.weight.grad is None and critic.weight.grad is not None
    pushed.backward()
    assert generator.weight.grad is not None


def test_wrong_use_is_refused():
    net, x = nn.Linear(3, 1), torch.randn(4, 3)
    for call in (
        lambda: penalties.consistency(net, x, x, augment=None),
        lambda: penalties.consistency(net, x, x, augment=lambda x, *, rng=None: x[:2]),
        lambda: penalties.consistency(net, x, x, augment=shifted, weight_real=-1.0),
        lambda: penalties.dragan(net, x, scale=-1.0),
        lambda: penalties.dragan(nn.Sequential(nn.BatchNorm1d(3), net), x),
        lambda: penalties.latent_diversity(net, x, sigma=0.0),
        lambda: penalties.latent_consistency(net, net, None),
    ):
        with pytest.raises(UserError, match=r"expected|Expected|couples"):
            call()
