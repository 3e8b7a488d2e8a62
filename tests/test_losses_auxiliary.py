"""What other systems put beside an adversarial loss, against loops over plain numbers and the formulas they run."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from tightrope import UserError, losses


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("targets", [(0.0, 1.0), (-1.0, 1.0, 0.0), (0.1, 0.9, 0.7)])
def test_least_squares_aims_at_its_targets(targets: tuple[float, ...]):
    real, fake = [0.3, -1.2, 2.0], [0.4, 0.9]
    loss = losses.least_squares(targets=targets)
    a, b, c = (*targets, targets[1])[:3]
    critic = sum((x - b) ** 2 for x in real) / 3 + sum((y - a) ** 2 for y in fake) / 2
    as_f64 = lambda values: torch.tensor(values, dtype=torch.float64)  # noqa: E731
    assert float(loss.critic(as_f64(real), as_f64(fake))) == pytest.approx(critic, abs=1e-12)
    wanted = sum((y - c) ** 2 for y in fake) / 2
    assert float(loss.generator(as_f64(fake))) == pytest.approx(wanted, abs=1e-12)
    assert loss.name == "least_squares" and loss.targets == (a, b, c)


def test_least_squares_with_targets_is_what_vocoders_write():
    real, fake = [numbers(4, 9), numbers(4, 5, seed=1)], [numbers(4, 9, seed=2), numbers(4, 5, seed=3)]
    critic = sum((((1 - r) ** 2).mean() + (f**2).mean() for r, f in zip(real, fake, strict=True)), torch.zeros(()))
    loss = losses.least_squares(targets=(0.0, 1.0))
    assert torch.allclose(loss.critic(real, fake), critic, atol=1e-12)
    each = loss.critic(real, fake, reduce="none")
    assert each.shape == (2,) and torch.allclose(each.sum(), critic, atol=1e-12)
    assert torch.allclose(each.mean(), loss.critic(real, fake, reduce="mean"), atol=1e-12)


def test_a_loss_with_targets_travels():
    loss = pickle.loads(pickle.dumps(copy.deepcopy(losses.least_squares(targets=(0.0, 1.0)))))
    assert float(loss.critic(torch.ones(3), torch.zeros(3))) == 0.0


def test_targets_may_come_without_their_name():
    assert losses.least_squares((0.0, 1.0)).targets == losses.least_squares(targets=(0.0, 1.0)).targets


@pytest.mark.parametrize("targets", [(1.0, 1.0), (0.0,), 1.0, (0.0, math.nan), "01", (0.0, "one"), (1, 2, 3, 4)])
def test_targets_that_are_none_are_refused(targets: object):
    with pytest.raises(UserError, match=r"[Ee]xpected"):
        losses.least_squares(targets=targets)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_feature_matching_is_a_sum_over_layers_and_critics(distance: str):
    real = [[numbers(3, 2, 5), numbers(3, 4, seed=1)], [numbers(3, 7, seed=2)]]
    fake = [[numbers(3, 2, 5, seed=3), numbers(3, 4, seed=4)], [numbers(3, 7, seed=5)]]
    for part in (*real[0], *real[1], *fake[0], *fake[1]):
        part.requires_grad_()
    total = losses.feature_matching(real, fake, distance=distance)
    power = 1 if distance == "l1" else 2
    slow = 0.0
    for x, y in ((real[0][0], fake[0][0]), (real[0][1], fake[0][1]), (real[1][0], fake[1][0])):
        gaps = [abs(a - b) ** power for a, b in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)]
        slow += sum(gaps) / len(gaps)
    assert float(total.detach()) == pytest.approx(slow, abs=1e-12)
    total.backward()
    assert real[0][0].grad is None and fake[0][0].grad is not None


def test_feature_matching_refuses_what_does_not_match():
    for real, fake in (
        ([torch.ones(2, 3)], [torch.ones(2, 3), torch.ones(2, 3)]),
        ([torch.ones(2, 3)], [torch.ones(4, 3)]),
        ([], []),
        ([[torch.ones(2)], [torch.ones(2)]], [torch.ones(2), torch.ones(2)]),
        ({"a": torch.ones(2)}, {"a": torch.ones(2)}),
        (torch.ones(2, 3), None),
    ):
        with pytest.raises(UserError, match=r"[Ee]xpected"):
            losses.feature_matching(real, fake)


def test_top_k_keeps_the_best_of_each_critic():
    scores = torch.tensor([[0.0, 4.0], [3.0, 3.0], [-1.0, 0.0]], requires_grad=True)
    kept = losses.top_k(scores, share=0.5)  # sums are 4, 6, -1
    assert sorted(kept.tolist()) == [[0.0, 4.0], [3.0, 3.0]]
    kept.sum().backward()
    assert scores.grad.tolist() == [[1, 1], [1, 1], [0, 0]]
    first, second = losses.top_k([scores, -scores[:, 0]], share=0.3)
    assert first.tolist() == [[3.0, 3.0]] and second.tolist() == [1.0]
    assert losses.top_k(scores, share=1.0).shape == scores.shape
    for share in (0.0, 1.5, math.nan, "half"):
        with pytest.raises(UserError, match=r"[Ee]xpected"):
            losses.top_k(scores, share=share)


def test_lecam_is_the_distance_from_the_other_anchor():
    real, fake = numbers(6), numbers(4, seed=1)
    averages = losses.ScoreAverages(real=0.7, fake=-0.4, updates=3)
    slow = sum((x + 0.4) ** 2 for x in real.tolist()) / 6 + sum((y - 0.7) ** 2 for y in fake.tolist()) / 4
    assert float(losses.lecam(real, fake, averages)) == pytest.approx(slow, abs=1e-12)
    half = sum(max(x + 0.4, 0) ** 2 for x in real.tolist()) / 6
    half += sum(max(0.7 - y, 0) ** 2 for y in fake.tolist()) / 4
    assert float(losses.lecam(real, fake, averages, rectified=True)) == pytest.approx(half, abs=1e-12)
    both = losses.lecam([real, fake], [fake, real], averages)
    assert torch.allclose(both, losses.lecam(real, fake, averages) + losses.lecam(fake, real, averages))


def test_anchors_are_exponential_averages_that_survive_a_checkpoint():
    averages = losses.ScoreAverages(decay=0.75)
    with pytest.raises(UserError, match="have seen scores"):
        losses.lecam(torch.ones(2), torch.ones(2), averages)
    real = fake = 0.0
    for k in range(4):
        averages.update(torch.full((3,), k + 1.0), [torch.tensor([-1.0 * k]), torch.tensor([-3.0 * k])])
        keep = 0.75 if k else 0.0
        real, fake = keep * real + (1 - keep) * (k + 1.0), keep * fake + (1 - keep) * (-2.0 * k)
    assert averages.real == pytest.approx(real) and averages.fake == pytest.approx(fake)
    other = losses.ScoreAverages()
    other.load_state_dict(averages.state_dict())
    assert other == averages
    with pytest.raises(UserError, match="finite"):
        averages.update(torch.tensor([math.nan]), torch.zeros(1))
    assert averages == other


def decoder() -> tuple[nn.Sequential, torch.Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).double()
    return net, numbers(6, 3)


def test_balance_is_the_ratio_of_gradients_at_the_last_layer():
    net, x = decoder()
    critic = nn.Linear(4, 1).double()
    out = net(x)
    reconstruction, adversarial = (out - numbers(6, 4, seed=1)).abs().mean(), -critic(out).mean()
    found = losses.balance(reconstruction, adversarial, net[2].weight)
    sizes = []
    for loss in (lambda o: (o - numbers(6, 4, seed=1)).abs().mean(), lambda o: -critic(o).mean()):
        gradient = torch.zeros_like(net[2].weight)
        for i in range(4):
            for j in range(5):
                values = []
                for step in (1e-6, -1e-6):
                    moved = copy.deepcopy(net)
                    with torch.no_grad():
                        moved[2].weight[i, j] += step
                    values.append(float(loss(moved(x)).detach()))
                gradient[i, j] = (values[0] - values[1]) / 2e-6
        sizes.append(float(gradient.norm()))
    assert float(found.weight) == pytest.approx(sizes[0] / (sizes[1] + 1e-4), rel=1e-5)
    assert not found.saturated and not found.weight.requires_grad
    assert all(p.grad is None for p in net.parameters())
    (reconstruction + found.weight * adversarial).backward()  # the graphs are still there


def test_balance_of_doubles_is_of_double_precision():
    net, x = decoder()
    out = net(x)
    reconstruction, adversarial = out.abs().mean(), out.square().mean()
    found = losses.balance(reconstruction, adversarial, net[2].weight)
    first, second = (
        torch.autograd.grad(loss, net[2].weight, retain_graph=True)[0].norm() for loss in (reconstruction, adversarial)
    )
    assert float(found.weight) == pytest.approx(float(first / (second + 1e-4)), rel=1e-14)


def test_balance_raises_the_alarm_at_its_limit():
    net, x = decoder()
    out = net(x)
    found = losses.balance(out.abs().mean(), 1e-9 * out.mean(), net[2], limit=100.0)
    assert bool(found.saturated) and float(found.weight) == 100.0


@pytest.mark.parametrize(("size", "alarm"), [(1e-9, True), (0.0, True), (1.0, False)])
def test_balance_raises_the_alarm_where_epsilon_makes_the_weight(size, alarm):
    """With a small reconstruction gradient the limit is out of reach, however little comes through the critic."""
    weight = torch.ones(3, requires_grad=True)
    found = losses.balance(0.1 * weight.sum(), size * weight.sum(), weight)
    assert bool(found.saturated) == alarm
    assert float(found.weight) < 1e4


def test_balance_of_two_gradients_that_are_zero_is_a_number():
    weight = torch.ones(3, requires_grad=True)
    for reconstruction, wanted in ((0.0, 0.0), (1.0, 1e4)):
        found = losses.balance(reconstruction * weight.sum(), 0.0 * weight.sum(), weight, epsilon=0.0)
        assert float(found.weight) == wanted and found.saturated


@pytest.mark.parametrize("parametrised", [spectral_norm, weight_norm])
def test_balance_of_a_parametrised_layer(parametrised):
    net, x = decoder()
    parametrised(net[2])
    out = net(x)
    found = losses.balance(3.0 * out.mean(), out.mean(), net[2], epsilon=0.0)
    assert float(found.weight) == pytest.approx(3.0)


def test_balance_refuses_what_is_cut_off():
    net, x = decoder()
    out = net(x)
    with pytest.raises(UserError, match="the adversarial loss to depend on the last layer"):
        losses.balance(out.mean(), out.detach().mean(), net[2])
    with pytest.raises(UserError, match="scalar"):
        losses.balance(out, out.mean(), net[2])
    with pytest.raises(UserError, match="last layer"):
        losses.balance(out.mean(), out.mean(), net[1])
