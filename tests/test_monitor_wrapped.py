"""Compiled networks and those of distributed training: examined, or it is said that they were not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from monitor_loop import BATCH, LATENT, bce, mlp, ring
from tightrope.monitor import Diagnosis, Monitor

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own, on the way of compiling


def trained(g: nn.Module, d: nn.Module, *, sign: float = 1.0, watched: tuple[nn.Module, nn.Module] | None = None,
            steps: int = 9) -> Diagnosis:  # fmt: skip
    opt_g, opt_d = (torch.optim.Adam(n.parameters(), 1e-3, betas=(0.5, 0.9)) for n in (g, d))
    both, rng = watched or (g, d), torch.Generator().manual_seed(0)
    monitor = Monitor(*both, loss="bce", every=5, budget=1e9, optimizers=(opt_g, opt_d))
    for _ in range(steps):
        real, z = ring(BATCH, rng), torch.randn(BATCH, LATENT)
        opt_d.zero_grad()
        (bce(d(real), 1.0) + bce(d(g(z).detach()), 0.0)).backward()
        opt_d.step()
        opt_g.zero_grad()
        (sign * bce(d(g(z)), 1.0)).backward()
        opt_g.step()
        monitor.step(real, z)
    assert not monitor.failures
    return monitor.diagnose()


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return mlp(LATENT, 16, 2), mlp(2, 16, 1)


@pytest.mark.parametrize(("sign", "cause"), [(1.0, "healthy"), (-1.0, "generator_sign_flipped")])
def test_compiled_networks_are_examined(sign: float, cause: str) -> None:
    g, d = (torch.compile(n, backend="eager") for n in networks())
    found = trained(g, d, sign=sign)
    assert found[0].cause == cause, str(found)
    assert "the critic's gradient, of which" in " ".join(found.checked)


def test_of_networks_compiled_behind_its_back_it_says_that_nothing_was_seen() -> None:
    plain = networks()
    g, d = (torch.compile(n, backend="eager") for n in plain)
    found = trained(g, d, sign=-1.0, watched=plain)
    assert found.healthy and "pass the compiled one" in " ".join(found.not_checked)


@pytest.mark.parametrize(("sign", "cause"), [(1.0, "healthy"), (-1.0, "generator_sign_flipped")])
def test_networks_of_a_process_group_are_examined(sign: float, cause: str, tmp_path: Path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("no gloo")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        g, d = (DistributedDataParallel(n) for n in networks())
        found = trained(g, d, sign=sign)
    finally:
        torch.distributed.destroy_process_group()
    assert found[0].cause == cause, str(found)
    assert "the critic's loss at its scores" in " ".join(found.checked)
