"""A critic that learns its few rows by heart is told from one that does not by rows that it has not seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope.monitor import Monitor


@pytest.mark.parametrize("few", [True, False])
def test_overfitting_is_seen_on_held_out_rows(few: bool) -> None:
    torch.manual_seed(0)
    generator = nn.utils.parametrizations.orthogonal(nn.Linear(20, 20, bias=False))  # its samples are as the data
    critic = nn.Sequential(
        nn.Linear(20, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )
    rows = torch.randn(320 if few else 20_000, 20)
    first = torch.optim.Adam(generator.parameters(), 1e-4, betas=(0.5, 0.9))
    second = torch.optim.Adam(critic.parameters(), 2e-3 if few else 1e-4, betas=(0.5, 0.9))
    monitor = Monitor(
        generator,
        critic,
        "non_saturating",
        optimizers=(first, second),
        held_out=torch.randn(256, 20),
        every=10,
        budget=1e9,
    )
    for _ in range(240):
        real = rows[torch.randint(len(rows), (64,))]
        loss = softplus(-critic(real)).mean() + softplus(critic(generator(torch.randn(64, 20)).detach())).mean()
        second.zero_grad()
        loss.backward()
        second.step()
        z = torch.randn(64, 20)
        first.zero_grad()
        softplus(-critic(generator(z))).mean().backward()
        first.step()
        monitor.step(real, z)
    read = [w.numbers["held_out_drop"] for w in monitor.history.windows if "held_out_drop" in w.numbers]
    assert len(read) >= 5
    causes = [finding.cause for finding in monitor.diagnose()]
    assert ("critic_overfitting" in causes) == few
