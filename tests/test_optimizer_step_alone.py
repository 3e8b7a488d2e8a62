"""A step without torch's wrapper is the same step, and whoever listens to steps still hears them."""

import pytest
import torch
from torch import nn
from torch.optim import optimizer as torch_optimizer

from tightrope.optimizers._bare import step_


def stepped(rule, take):
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = rule(layer.parameters())
    for _ in range(3):
        for p in layer.parameters():
            p.grad = torch.randn_like(p)
        take(optimizer)
    return [p.detach().clone() for p in layer.parameters()]


@pytest.mark.parametrize("rule", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_is_the_optimisers_own_step(rule):
    ours = stepped(lambda ps: rule(ps, lr=0.1), step_)
    theirs = stepped(lambda ps: rule(ps, lr=0.1), lambda optimizer: optimizer.step())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture
def sgd():
    layer = nn.Linear(2, 1)
    for p in layer.parameters():
        p.grad = torch.ones_like(p)
    return torch.optim.SGD(layer.parameters(), lr=0.1)


@pytest.mark.parametrize("register", ["register_step_pre_hook", "register_step_post_hook"])
def test_hooks_of_the_optimiser_are_called(sgd, register):
    heard = []
    getattr(sgd, register)(lambda *_: heard.append(1))
    step_(sgd)
    assert heard == [1]


@pytest.mark.parametrize("register", ["register_optimizer_step_pre_hook", "register_optimizer_step_post_hook"])
def test_hooks_of_all_optimisers_are_called(sgd, register):
    heard = []
    handle = getattr(torch_optimizer, register)(lambda *_: heard.append(1))
    try:
        step_(sgd)
    finally:
        handle.remove()
    assert heard == [1]


def test_a_step_that_a_scheduler_wraps_is_called(sgd):
    torch.optim.lr_scheduler.StepLR(sgd, 1)  # replaces sgd.step, to know of it
    step_(sgd)
    assert sgd._opt_called


def test_a_step_of_ones_own_is_called(sgd):
    heard = []
    sgd.step = lambda: heard.append(1)
    step_(sgd)
    assert heard == [1]


def test_a_profiler_that_runs_sees_the_step(sgd):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        step_(sgd)
    assert any(event.name == "Optimizer.step#SGD.step" for event in seen.events())
