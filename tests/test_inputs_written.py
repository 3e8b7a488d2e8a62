"""Networks that write into their inputs, as a first nn.ReLU(inplace=True) does: right, or refused in a sentence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tightrope import conditioning, critics, methods, penalties, spectra, training
from tightrope._plumbing.errors import UserError


class Scaled(nn.Module):
    """Two layers of twice the input plus one."""

    def __init__(self, outputs, *, inplace):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.inplace = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs)), inplace

    def forward(self, x):
        return self.body(x.mul_(2).add_(1) if self.inplace else 2 * x + 1)


def samples():
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(1))


DIAGNOSTICS = {
    "singular values": lambda net, x: conditioning.singular_values(net, x),
    "own type": lambda net, x: conditioning.singular_values(net, x, dtype=None),
    "reverse": lambda net, x: conditioning.jacobian(net, x[:1], mode="reverse"),
    "score": lambda net, x: torch.tensor(conditioning.measure(net, x).mean),
    "extremes": lambda net, x: torch.tensor(conditioning.extremes(net, x[0]).largest),
    "pushed": lambda net, x: conditioning.pushed_forward(net, x, torch.ones_like(x)),
    "gain": lambda net, x: conditioning.finite_gain(net, x, rng=torch.Generator().manual_seed(2)),
    "spectra": lambda net, x: torch.tensor([layer.kernel_norm for layer in spectra.layer_spectra(net, x)]),
}


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_diagnostics_give_a_copy(name):
    """Singular values were those of another point at every look, and the caller's latents another batch."""
    x = samples()
    found = [DIAGNOSTICS[name](Scaled(5, inplace=inplace), x) for inplace in (False, True)]
    torch.testing.assert_close(found[1], found[0])
    assert torch.equal(x, samples())


CALLS = {
    "r1": lambda net, x: penalties.r1(net, x),
    "gp": lambda net, x: penalties.gradient_penalty(net, x, x + 1),
    "interval": lambda net, x: critics.lipschitz_interval(net, x, x + 1),
    "estimate": lambda net, x: critics.wasserstein_estimate(net, x, x + 1),
    "step": lambda net, x: training.critic_step(
        training.start(methods.build("r1"), nn.Linear(3, 4), net, seed=0, latent=3, batch_size=8), x
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_by_inputs_that_are_gone_are_refused(name):
    with pytest.raises(UserError, match="leave their inputs as they are"):
        CALLS[name](Scaled(1, inplace=True), samples())
    CALLS[name](Scaled(1, inplace=False), samples())
