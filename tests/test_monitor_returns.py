"""Runs that go back to a checkpoint of their own in mid-run, with and without what the optimisers had gathered."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import softplus

from monitor_loop import LATENT, mlp, ring
from tightrope.monitor import Monitor


def causes(back: str) -> set[str]:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    networks = (mlp(LATENT, 16, 2), mlp(2, 16, 1))
    adams = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in networks]
    monitor = Monitor(*networks, "non_saturating", every=10, optimizers=tuple(adams), budget=1e9)
    saved: list[dict] = []
    for step in range(80):
        if step == 30:
            saved = [copy.deepcopy(one.state_dict()) for one in (*networks, *adams)]
        if step == 60:
            wanted = (*networks, *adams) if back == "all of it" else networks
            for one, state in zip(wanted, saved, strict=False):
                one.load_state_dict(state)
            if back == "weights alone":
                for adam in adams:
                    adam.state.clear()
        real = ring(32, rng)
        adams[1].zero_grad()
        fake = networks[0](torch.randn(32, LATENT)).detach()
        (softplus(-networks[1](real)).mean() + softplus(networks[1](fake)).mean()).backward()
        adams[1].step()
        adams[0].zero_grad()
        z = torch.randn(32, LATENT)
        softplus(-networks[1](networks[0](z))).mean().backward()
        adams[0].step()
        monitor.step(real, z)
    return {finding.cause for finding in monitor.diagnose() if finding.confidence != "low"}


@pytest.mark.parametrize(("back", "lost"), [("all of it", False), ("weights alone", True)])
def test_a_return_to_a_checkpoint_loses_nothing_if_optimisers_return_too(back: str, lost: bool) -> None:
    assert ("optimizer_lost_on_resume" in causes(back)) == lost
