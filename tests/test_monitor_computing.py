"""Hooks of a user's own: those that only compute weights are made again, all others never."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from monitor_loop import LATENT, mlp, ring
from test_monitor_eighth import alarms
from tightrope.monitor import Monitor
from tightrope.monitor.ledger.computing import only_computes


class Equal:
    """A weight that is scaled before every call, as published networks that grow do it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        setattr(module, self.name, self.scaled(module))

    def scaled(self, module: nn.Module) -> Tensor:
        weight = getattr(module, self.name + "_orig")
        return weight * math.sqrt(2 / weight.data.size(1))


def equal(net: nn.Module, hook: Any) -> nn.Module:
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            weight = layer.weight
            del layer._parameters["weight"]
            layer.register_parameter("weight_orig", nn.Parameter(torch.randn_like(weight)))
            layer.register_forward_pre_hook(hook)
    return net


CALLS: list[int] = []


def counting(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    CALLS.append(1)
    module.weight = module.weight_orig * 1.0


@pytest.mark.parametrize("hook", [Equal("weight"), counting])
@pytest.mark.parametrize("weight", [5.0, 0.05])
def test_hooks_that_only_compute_weights_are_made_again(hook: object, weight: float) -> None:
    ends = []
    for watch in (True, False):
        CALLS.clear()
        torch.manual_seed(0)
        g, d = equal(mlp(LATENT, 16, 2), hook), equal(mlp(2, 16, 1), hook)
        opts = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.0, 0.9)) for net in (g, d)]
        rng = torch.Generator().manual_seed(1)
        monitor = Monitor(g, d, "wasserstein", 3, ("gp", 5.0), optimizers=tuple(opts), budget=1e9) if watch else None
        for _ in range(6):
            real, z = ring(32, rng), torch.randn(32, LATENT)
            opts[1].zero_grad()
            fake = g(z).detach()
            t = torch.rand(32, 1)
            x = (t * real + (1 - t) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
            (d(fake).mean() - d(real).mean() + weight * ((slope.norm(2, 1) - 1) ** 2).mean()).backward()
            opts[1].step()
            opts[0].zero_grad()
            (-d(g(z)).mean()).backward()
            opts[0].step()
            if monitor is not None:
                monitor.step(real, z)
        ends.append((torch.cat([p.detach().flatten() for p in (*g.parameters(), *d.parameters())]), len(CALLS)))
        if monitor is not None:
            read = [a for w in monitor.history.windows for a in w.critic.accounts]
            if hook is counting:
                assert not read
            else:
                assert alarms(monitor) == ([] if weight == 5.0 else ["penalty_weight_wrong"])
                assert all(a.kind == "claim" and abs(a.weight / weight - 1) < 0.02 for a in read)
            monitor.close()
    assert torch.equal(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1]


LOG: list[str] = []
SCALE = 0.5


def scaled(module: nn.Module) -> Tensor:
    return module.weight_orig * SCALE


def computing(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    module.weight = scaled(module)


def in_place(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    module.weight_orig.data.mul_(0.5)


def in_place_by_sign(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    weight = module.weight_orig.data
    weight *= 0.5


def by_index(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    module.weight_orig.data[0] = 0.0


def noting(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    LOG.append("called")


def through_another(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    noting(module, given)


class Counting:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.calls = self.calls + 1


class Keeping:
    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        module.last = self.seen


class Noting(Equal):
    def scaled(self, module: nn.Module) -> Tensor:
        LOG.append(self.name)
        return super().scaled(module)


def closed_over() -> object:
    calls = 0

    def hook(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        nonlocal calls
        calls += 1

    return hook


@pytest.mark.parametrize("hook", [computing, Equal("weight"), Equal("weight").__call__, lambda module, given: None])
def test_hooks_whose_code_only_computes(hook: object) -> None:
    assert only_computes(hook, nn.Linear(1, 1))


@pytest.mark.parametrize(
    "hook",
    [in_place, in_place_by_sign, by_index, noting, through_another, Counting(), Keeping(), Noting("weight"),
     closed_over(), print, LOG.append, nn.Linear(1, 1), counting],
)  # fmt: skip
def test_hooks_that_do_more_or_may(hook: object) -> None:
    assert not only_computes(hook, nn.Linear(1, 1))


class Book:
    def __init__(self) -> None:
        self.calls = 0


def writing(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    book = module.book
    book.calls = book.calls + 1


@pytest.mark.parametrize("held", [Book(), [Book()], {"calls": 0}])
def test_what_a_module_holds_could_be_written_to_by_its_hook(held: object) -> None:
    layer, conv = nn.Linear(1, 1), nn.Conv2d(1, 1, 3, padding="same")
    layer.book = held
    assert not only_computes(writing, layer)
    for plain in (conv, nn.BatchNorm1d(2), nn.LeakyReLU(), nn.Sequential(layer)):
        assert only_computes(Equal("weight"), plain)
