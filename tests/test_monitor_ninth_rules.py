"""Rules that the ninth frozen set changed, on windows written by hand."""

from __future__ import annotations

import pytest
import torch

from test_monitor_seventh_rules import history, said
from tightrope.monitor import Monitor
from tightrope.monitor.history import Ends


@pytest.mark.parametrize(
    ("low", "high", "changed", "named"),
    [
        (-1.19, 1.06, 1.0, False),  # brightness on both sides, passed to the Monitor with it
        (-1.19, 1.06, 0.0, True),
        (-1.19, 1.06, 0.4, True),
        (0.0, 255.0, 1.0, True),
        (-2.1, 2.6, 1.0, True),
        (-1.6, 1.6, 1.0, True),
    ],
)
def test_what_is_done_to_samples_on_their_way_may_be_done_to_rows(low, high, changed, named) -> None:
    found = history(distance=0.5, outside=0.04, real_low=low, real_high=high, fake_changed=changed)
    found.ends["generator"] = Ends(-1.0, 1.0)
    assert bool(said(found, "data_range")) == named


class Silent(torch.autograd.Function):
    """Sends nothing back to its input."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return None


def test_a_loop_whose_function_sends_nothing_back_goes_on() -> None:
    torch.manual_seed(0)
    generator, critic = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    monitor = Monitor(generator, critic, loss="wasserstein", every=1)
    for _ in range(3):
        real, z = torch.randn(8, 2), torch.randn(8, 2)
        fake = generator(z)
        (critic(fake).mean() + Silent.apply(critic(real)).mean()).backward()
        monitor.step(real, z)
    assert monitor.diagnose() is not None
