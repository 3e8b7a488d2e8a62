"""Critics that change by jumps: no penalty of them is a plausible number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tightrope import penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import NoGradientError

X = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))


class Through(nn.Module):
    """A critic with something between its layers."""

    def __init__(self, between):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.between = nn.Linear(2, 8), nn.Linear(8, 1), between

    def forward(self, x):
        return self.last(self.between(self.first(x)))


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def exact(penalty, critic):
    return penalty(critic, X, X + 1, rng=torch.Generator().manual_seed(0))


PENALTIES = [penalties.r1, penalties.r2, penalties.gradient_penalty, penalties.dragan, penalties.finite_difference_r1]
STEPS = {
    "sign": torch.sign,
    "sgn": torch.sgn,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "decimals": lambda x: torch.round(x, decimals=1),
    "trunc": torch.trunc,
    "divided": lambda x: torch.div(x, 0.1, rounding_mode="floor"),
    "more than once": lambda x: torch.cat([x[:, :4].sign(), x[:, 4:].floor()], 1),
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", STEPS)
def test_scores_by_steps_alone_have_no_gradient_whose_size_means_anything(penalty, name):
    for critic in (Through(STEPS[name]), lambda x: STEPS[name](x).sum(1)):
        with pytest.raises(NoGradientError, match=r"more than steps"):
            exact(penalty, critic)


def test_a_way_beside_the_steps_counts_alone_as_it_does_in_training():
    critic = Through(lambda x: torch.cat([x[:, :4].sign(), x[:, 4:]], 1))
    with torch.no_grad():
        (row,) = critic.last.weight[:, 4:] @ critic.first.weight[4:]
    torch.testing.assert_close(penalties.r1(critic, X), 5 * row.square().sum())


def test_dead_and_constant_places_are_flat_and_not_refused():
    for between in (lambda x: torch.relu(x - 100), lambda x: x.clamp(5, 6), torch.frac):
        for penalty in (penalties.r1, penalties.finite_difference_r1):
            assert exact(penalty, Through(between)).item() >= 0
    assert penalties.r1(Through(lambda x: torch.relu(x - 100)), X).item() == 0


JUMPS = {
    "argmax": lambda x: nn.functional.one_hot(x.argmax(-1), 8).to(x.dtype),
    "straight through": Straight.apply,
    "rounded straight through": lambda x: x + ((10 * x).round() / 10 - x).detach(),
    "fake quantised": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -127, 127),
    "jump beside": lambda x: x + 3 * (x > 0).to(x.dtype),
}


@pytest.mark.parametrize("name", JUMPS)
def test_differences_over_jumps_are_refused(name):
    """The first three gave 50 for no gradient, 0 for 0.096 and 6.3 for 0.096."""
    x = torch.randn(512, 2, generator=torch.Generator().manual_seed(1))
    critic = Through(JUMPS[name])
    for _ in range(2):  # and again: a refused critic is not known as a good one
        with pytest.raises(UserError, match=r"jump|without a way back"):
            penalties.finite_difference_r1(critic, x, sigma=0.05, rng=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("between", [lambda x: torch.sin(300 * x), lambda x: 50 * torch.relu(x), torch.tanh])
def test_what_is_curved_or_steep_is_not_taken_for_a_jump(between):
    for sigma in (1e-3, 0.01, 1.0):
        assert penalties.finite_difference_r1(Through(between), X, sigma=sigma).item() > 0


def test_scores_of_samples_that_meet_are_not_taken_for_jumps():
    def beside(x):
        return x + x.std(0).mean() + 3 * x.flip(0)

    value = penalties.finite_difference_r1(Through(beside), X, rng=torch.Generator().manual_seed(0))
    assert value.item() > 0


def test_an_operation_that_torch_does_not_differentiate_is_named():
    critic = Through(lambda x: torch.heaviside(x, torch.tensor(0.5)))
    for penalty in PENALTIES:
        with pytest.raises(UserError, match=r"does not differentiate \(heaviside\)"):
            exact(penalty, critic)


@pytest.mark.parametrize("train", [True, False])
def test_the_first_look_leaves_the_graph_as_it_was(train):
    """A buffer that a graph holds must not be written, not even with its own value."""

    class Buffered(nn.Module):
        def __init__(self, outputs):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(2, 8), nn.Linear(8, outputs)
            self.norm = nn.BatchNorm1d(8)
            self.register_buffer("scale", torch.full((8,), 2.0))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            hidden = self.norm(self.first(x)) if train else self.norm.eval()(self.first(x))
            return self.last(hidden.tanh() * self.scale)

    generator = Buffered(3)
    for calls in (1, 2):
        penalties.jacobian_clamping(generator, X, low=2, high=3).backward()
        assert generator.calls == calls and generator.first.weight.grad.abs().sum() > 0
        assert generator.norm.num_batches_tracked == (calls if train else 0)
    if not train:
        critic = Buffered(1)
        critic.norm.eval()
        for _ in range(2):
            penalties.finite_difference_r1(critic, X, rng=torch.Generator().manual_seed(0)).backward()
        assert critic.first.weight.grad.abs().sum() > 0
