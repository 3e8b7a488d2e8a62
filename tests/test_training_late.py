"""Finite checks that are read one half-step late: the same numbers, the same error, and nothing has moved.

A GPU needs them; the rule is the same on a CPU, whose fused optimisers skip a step too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tightrope import methods, training

LATENT, BATCH = 3, 8


def started(name: str = "dcgan", *, late: bool, generator: nn.Module | None = None, **options: Any) -> training.Run:
    torch.manual_seed(0)
    makes = generator or nn.Sequential(nn.Linear(LATENT, 8), nn.Softplus(), nn.Linear(8, 2))
    judges = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1))
    run = training.start(methods.build(name, **options), makes, judges, seed=0, latent=LATENT, batch_size=BATCH)
    assert not run.late_checks, "on a CPU nothing waits"
    run.late_checks = late
    return run


def batches(n: int, wrong: int = -1) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    made = [torch.randn(BATCH, 2, generator=rng) + 1 for _ in range(n)]
    if wrong >= 0:
        made[wrong][3, 1] = torch.nan
    return made


def held(run: training.Run) -> list[Tensor]:
    """Weights and all that the optimisers remember."""
    found = [*run.generator.parameters(), *run.critic.parameters()]
    for optimizer in (run.critic_optimizer, run.generator_optimizer):
        found += [value for state in optimizer.state.values() for value in state.values()]
    return [value.detach().clone() for value in found]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Breaking(nn.Module):
    """A generator whose samples are not a number at one call."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(LATENT, 8), nn.Softplus(), nn.Linear(8, 2))
        self.at, self.calls = at, 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return self.layers(z) * (torch.nan if self.calls >= self.at else 1.0)


@pytest.mark.parametrize("name", ["dcgan", "sn_gan", "wgan_gp", "r3gan", "lookahead"])
def test_the_numbers_are_those_of_checks_at_once(name: str) -> None:
    found = []
    for late in (False, True):
        run = started(name, late=late)
        rows = [training.scalars(step.critic) for step in training.train(run, batches(40), steps=12)]
        found.append((held(run), run.counters, rows, run.rng.get_state()))
    assert same(found[0][0], found[1][0]) and found[0][1:3] == found[1][1:3]
    assert torch.equal(found[0][3], found[1][3])


def test_a_critics_step_is_told_at_the_next_half_step_and_has_moved_nothing() -> None:
    said = []
    for late in (False, True):
        run = started(late=late)
        *good, bad = batches(4, wrong=3)
        for real in good:
            training.critic_step(run, real)
            training.generator_step(run)
        run.settle()
        before, counters = held(run), run.counters
        with pytest.raises(training.NonFiniteError) as caught:
            training.critic_step(run, bad)
            assert late, "at once"
            assert not same(before, [torch.zeros(())]) and same(before, held(run))
            training.generator_step(run)
        assert same(before, held(run)) and run.counters == counters
        said.append(str(caught.value))
        training.critic_step(run, good[0])  # the run stands where it stood and goes on
        run.settle()
        assert not same(before, held(run))
    assert said[0] == said[1]
    assert "the critic's step gave a value that is not finite, first in the real samples" in said[0]


def test_a_generators_step_is_blamed_although_the_critic_is_at_work() -> None:
    run = started(late=True, generator=Breaking(at=5))  # one call of the start, then two for each step
    calls: Any = run.generator
    calls.calls = 0
    (good,) = batches(1)
    for _ in range(2):
        training.critic_step(run, good)
        training.generator_step(run)
    calls.at = 6
    training.critic_step(run, good)
    training.generator_step(run)
    before = held(run)
    with pytest.raises(training.NonFiniteError) as caught:
        training.critic_step(run, good)
    assert (caught.value.player, caught.value.step, run.step) == ("generator", 2, 2)
    assert "the output of the generator" in caught.value.where
    assert same(before, held(run))


def test_a_gradient_counts_where_the_loss_is_finite() -> None:
    run = started(late=True)
    (good,) = batches(1)
    before = [p.detach().clone() for p in run.critic.parameters()]
    next(run.critic.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    training.critic_step(run, good)
    with pytest.raises(training.NonFiniteError, match=r"first in the gradient of critic\.0\.weight"):
        run.settle()
    assert same(before, [*run.critic.parameters()])


def test_the_end_of_a_loop_reads_the_last_half_step() -> None:
    generator = Breaking(at=1000)
    run = started(late=True, generator=generator)
    generator.at = generator.calls + 2  # the critic's fakes, then the generator's own
    with pytest.raises(training.NonFiniteError, match="the generator's step"):
        [*training.train(run, batches(1), steps=1)]


def test_a_state_that_is_loaded_leaves_the_half_step_behind() -> None:
    """As somebody does who goes back to a checkpoint, be it with an error on the way."""
    run, (good, bad) = started(late=True), (batches(1)[0], batches(1, wrong=0)[0])
    training.critic_step(run, good)
    state, before = run.state_dict(), held(run)
    state = {**state, "critic": {k: v.clone() for k, v in state["critic"].items()}}
    training.critic_step(run, bad)
    run.load_state_dict(state)
    run.settle()
    assert same(before, held(run)) and run.critic_steps == 1


def test_numbers_of_the_half_step_that_failed_are_forgotten() -> None:
    run = started(late=True)
    training.critic_step(run, batches(1, wrong=0)[0])
    with pytest.raises(training.NonFiniteError, match="last finite metrics: none yet"):
        run.settle()
    assert "critic" not in run._last


@pytest.mark.parametrize("read", [training.Run.settle, training.Run.state_dict])
def test_whoever_reads_the_state_is_told(read: Callable[[training.Run], object]) -> None:
    run = started(late=True)
    training.critic_step(run, batches(1, wrong=0)[0])
    with pytest.raises(training.NonFiniteError, match="the real samples"):
        read(run)
    read(run)  # once


class Reads(TorchDispatchMode):
    """Counts how often a tensor's value is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["dcgan", "wgan_gp", "wgan_ttur"])  # spectral norm reads on a CPU, where that is free
def test_a_half_step_reads_nothing_but_what_the_one_before_it_left(name: str) -> None:
    run = started(name, late=True)
    (real,) = batches(1)
    training.critic_step(run, real)  # finds out how its networks are called
    training.generator_step(run)
    run.settle()
    for first, expected in ((True, 0), (False, 1)):
        with Reads() as reads:
            training.critic_step(run, real)
        assert reads.count == expected, f"first: {first}"
    with Reads() as reads:
        training.generator_step(run)
    assert reads.count == 1


def test_an_optimiser_that_cannot_skip_is_asked_at_once() -> None:
    run = started("wgan", late=True)  # RMSProp has no fused form
    before = held(run)
    with pytest.raises(training.NonFiniteError, match="the real samples"):
        training.critic_step(run, batches(1, wrong=0)[0])
    assert same(before, held(run))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_step_on_a_gpu_waits_for_nothing_it_has_begun() -> None:
    torch.manual_seed(0)
    makes = nn.Sequential(nn.Linear(LATENT, 8), nn.Softplus(), nn.Linear(8, 2))
    judges = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1))
    method = methods.build("sn_gan")
    run = training.start(method, makes, judges, seed=0, latent=LATENT, batch_size=BATCH, device="cuda")
    assert run.late_checks
    real = batches(1)[0].cuda()
    for _ in range(3):
        training.critic_step(run, real)
        training.generator_step(run)
    run.settle()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.critic_step(run, real)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    run.settle()
