"""The Monitor never changes a training, survives its own failures and other people's, and lets networks be copied."""

from __future__ import annotations

import copy
import gc
import pickle
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from monitor_loop import LATENT, Loop, Noisy, build, clamp, gp, mlp, r1, spectral
from tightrope import constraints
from tightrope.monitor import Monitor
from tightrope.monitor.observe import Observer
from tightrope.monitor.steps import StepListener


class OwnStream(nn.Module):
    """Adds noise from a stream of NumPy's that it holds."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.rng = body, np.random.default_rng(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x + 0.1 * torch.from_numpy(self.rng.normal(size=x.shape)).float())


CASES = {
    "dropout and batch norm": {
        "generator": lambda: mlp(LATENT, 16, 2, norm=True),
        "critic": lambda: mlp(2, 16, 16, 1, norm=True, drop=0.3),
    },
    "torch's spectral norm": {"loss": "hinge", "penalty": "spectral_norm", "critic": lambda: spectral(mlp(2, 16, 1))},
    "our spectral norm": {
        "loss": "hinge",
        "critic": lambda: constraints.spectral_norm(mlp(2, 16, 1), update="forward"),
    },
    "old spectral norm": {"loss": "hinge", "critic": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 1)))},
    "wgan-gp": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "n_critic": 2},
    "wgan-gp of another claim": {"loss": "wasserstein", "penalty": ("r1", 10.0), "extra": gp(), "claim": "hinge"},
    "r1": {"penalty": ("r1", 1.0), "extra": r1(1.0)},
    "clip": {"loss": "wasserstein", "penalty": ("clip", 0.1), "after_critic": clamp(0.1)},
    "noise": {"critic": lambda: Noisy(mlp(2, 16, 1))},
    "a stream of the network's own": {"critic": lambda: OwnStream(mlp(2, 16, 1))},
    "gradients not cleared": {"zero_critic": False, "zero_generator": False},
    "sampling": {"options": {"sample": 1.0}, "generator": lambda: mlp(LATENT, 16, 2, norm=True)},
}


def state(loop: Loop) -> list[torch.Tensor]:
    return [*loop.g.state_dict().values(), *loop.d.state_dict().values(), torch.get_rng_state()]


@pytest.mark.parametrize("name", CASES)
def test_training_is_bit_identical(name: str) -> None:
    found = []
    for watch in (True, False):
        loop = build(CASES[name], steps=40, watch=watch)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        monitor = loop.run()
        if monitor is not None:
            assert not monitor.failures
            monitor.diagnose()
        found.append([*state(loop), torch.tensor([random.random(), np.random.rand()])])  # noqa: NPY002
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def drawn_by(kind: str) -> tuple[Callable[[int], torch.Tensor], Callable[[], float]]:
    """A stream of the loop's own, how it draws latents, and what it gives next."""
    if kind == "torch":
        stream = torch.Generator().manual_seed(0)
        return lambda n: torch.randn(n, LATENT, generator=stream), lambda: torch.rand(1, generator=stream).item()
    if kind == "python":
        numbers = random.Random(0)
        return lambda n: torch.tensor([[numbers.gauss(0, 1) for _ in range(LATENT)] for _ in range(n)]), numbers.random
    old = kind == "numpy, old"
    rng = np.random.RandomState(0) if old else np.random.default_rng(0)
    return lambda n: torch.from_numpy(rng.normal(size=(n, LATENT))).float(), lambda: float(rng.normal())


class Sampler:
    def __init__(self, loop: Loop, latents: Callable[[int], torch.Tensor]) -> None:
        self.loop, self.latents = loop, latents

    def __call__(self) -> torch.Tensor:
        return self.loop.g(self.latents(64))

    def draw(self) -> torch.Tensor:
        return self()


HELD = {
    "a function that another calls": lambda loop, latents: lambda: loop.g(latents(64)),
    "a method": lambda loop, latents: Sampler(loop, latents).draw,
    "an object": Sampler,
    "partial": lambda loop, latents: partial(lambda draw, n: loop.g(draw(n)), latents, 64),
}


@pytest.mark.parametrize("kind", ["torch", "python", "numpy", "numpy, old"])
@pytest.mark.parametrize("held", HELD)
def test_streams_of_the_loops_own_are_where_they_would_be(kind: str, held: str) -> None:
    found = []
    for watch in (True, False):
        latents, following = drawn_by(kind)
        loop = Loop(steps=8, watch=watch, latents=latents)

        def noisy(
            real: torch.Tensor, fake: torch.Tensor, following: Callable[[], float] = following
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return (fake - 0.1 * following() - 0.1 * torch.rand(())).mean() - real.mean(), -fake.mean()

        loop.claim, loop.options = noisy, {"sample": HELD[held](loop, latents)}
        monitor = loop.run()
        if monitor is not None:
            assert not monitor.failures
            monitor.diagnose()
        found.append([*state(loop), torch.tensor(following())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("method", ["start", "end", "before_step", "after_step", "count_cycle", "begin"])
def test_its_own_failure_stays_inside(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(Observer, method, fail)
    loop = build({}, steps=6)
    monitor = loop.run()
    assert monitor is not None
    assert "planted" in str(monitor.failures)
    assert "planted" in str(monitor.diagnose())
    monkeypatch.undo()
    with_failure = state(loop)
    loop = build({}, steps=6, watch=False)
    loop.run()
    assert all(torch.equal(a, b) for a, b in zip(with_failure, state(loop), strict=True))


def test_errors_of_the_loop_pass_through_and_leave_no_hook() -> None:
    loop = build({}, critic_loss=lambda r, f: r.mean() @ f)
    with pytest.raises(RuntimeError):
        loop.run()


def test_closing_takes_every_hook_off() -> None:
    loop = build({}, steps=3)
    monitor = loop.run()
    assert monitor is not None
    assert loop.d._forward_pre_hooks
    gc.collect()
    monitor.close()
    others = StepListener.living()
    assert monitor._steps not in others
    assert not loop.d._forward_pre_hooks and not loop.d._forward_hooks and not loop.g._forward_pre_hooks
    before = monitor.diagnose().to_json()
    loop.watch = False
    loop.run()
    assert monitor.diagnose().to_json() == before


def test_a_monitor_that_is_gone_is_silent() -> None:
    loop = build({}, steps=3)
    loop.run()  # the monitor dies here
    gc.collect()
    loop._critic(torch.randn(8, 2))
    assert all(listener.before() is not None for listener in StepListener.living())


def test_copies_and_pickles_carry_no_hook_along() -> None:
    loop = build({}, steps=2)
    monitor = loop.run()
    assert monitor is not None
    calls = monitor.players["critic"].listener.count
    twin, again = copy.deepcopy(loop.d), pickle.loads(pickle.dumps(loop.d))
    x = torch.randn(5, 2)
    assert torch.equal(twin(x), again(x))
    assert monitor.players["critic"].listener.count == calls
    loop.d(x)
    assert monitor.players["critic"].listener.count == calls + 1


def test_hooks_of_the_user_are_not_called_more_often() -> None:
    counts = []
    for watch in (True, False):
        loop = build({}, critic=mlp(2, 8, 1), steps=5, watch=watch)
        seen: list[int] = []
        assert isinstance(loop.critic, nn.Sequential)
        loop.critic[0].register_forward_hook(lambda *_, seen=seen: seen.append(1))
        monitor = loop.run()
        counts.append(len(seen))
        if monitor is not None:
            assert "hooks" in " ".join(monitor.diagnose().not_checked)
    assert counts[0] == counts[1]


def test_windows_are_put_off_to_keep_the_budget() -> None:
    monitor = Monitor(mlp(LATENT, 8, 2), mlp(2, 8, 1), every=1, budget=1e-9)
    real, z = torch.randn(4, 2), torch.randn(4, LATENT)
    for _ in range(60):
        monitor.step(real, z)
    windows = [w.step for w in monitor.history.windows]
    assert windows == [1, 2, 3, 5, 8, 13, 21, 34, 55]
    monitor.close()
