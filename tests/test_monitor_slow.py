"""Response and slow causes: what is measured against slow oracles, and each rule beside the nearest sound case."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from monitor_loop import Loop
from test_monitor_windows import history, named
from tightrope.monitor import Monitor
from tightrope.monitor.capture import Listener
from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.directions import DIRECTIONS, read_directions
from tightrope.monitor.history import Ends
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.players import Player
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.window import Window

Write = Callable[[Window], None]


def numbers(**values: float) -> Write:
    def write(window: Window) -> None:
        window.numbers |= values

    return write


class Named(nn.Module):
    """A generator of latents and classes."""

    def __init__(self, of_latents: float) -> None:
        super().__init__()
        self.share, self.net, self.table = of_latents, nn.Linear(5, 3), nn.Embedding(4, 3)

    def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.share * self.net(z) + self.table(y)


def called(generator: nn.Module, *inputs: torch.Tensor):
    """The call that a Monitor captures of a generator."""
    critic = nn.Linear(3, 1)
    monitor = Monitor(generator, critic, loss="hinge")
    critic(generator(*inputs)).mean().backward()
    call = monitor.players["generator"].listener.calls[-1]
    monitor.close()
    return call


def participation(values: torch.Tensor) -> float:
    return float(values.sum() ** 2 / (values**2).sum())


def test_directions_are_those_of_the_jacobian_from_autograd():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 3)).double()
    z, real = (
        torch.randn(8, 6, dtype=torch.float64),
        torch.randn(40, 3, dtype=torch.float64) * torch.tensor([3, 1, 0.1]),
    )
    call = called(nn.Sequential(generator, _Single()), z)
    found = read_directions(generator, call, real)
    squares = sum(
        (j.T @ j for j in (torch.autograd.functional.jacobian(generator, row) for row in z[:4])),
        torch.zeros(6, 6).double(),
    )
    assert found["latent_rank"] == pytest.approx(participation(torch.linalg.eigvalsh(squares)), rel=0.02)
    assert found["real_rank"] == pytest.approx(participation(torch.linalg.eigvalsh(torch.cov(real.T))), rel=1e-6)
    assert found["latent_width"] == 6 and "latent_share" not in found


class _Noisy(nn.Module):
    """Draws in eval mode too, from torch's, Python's and NumPy's global streams, as people's networks do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1 * torch.randn_like(x) + random.random() + float(np.random.rand())  # noqa: NPY002 (the global stream)


def streams() -> tuple[object, ...]:
    """States of the three global streams, whole."""
    of_numpy = np.random.get_state()  # noqa: NPY002 (the global stream is what must be kept)
    return random.getstate(), of_numpy[1].tolist(), of_numpy[2], torch.get_rng_state().tolist()


class _Single(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float()


def test_of_many_latent_directions_some_are_tried_and_one_is_still_one():
    torch.manual_seed(0)
    wide = nn.Linear(4 * DIRECTIONS, 3, bias=False)
    narrow = nn.Linear(4 * DIRECTIONS, 3, bias=False)
    with torch.no_grad():
        narrow.weight.copy_(torch.outer(torch.randn(3), torch.randn(4 * DIRECTIONS)))
    z = torch.randn(8, 4 * DIRECTIONS)
    assert read_directions(narrow, called(narrow, z), None)["latent_rank"] == pytest.approx(1, abs=1e-3)
    assert 1.5 < read_directions(wide, called(wide, z), None)["latent_rank"] <= 3


def test_samples_of_one_class_tell_whether_latents_count():
    torch.manual_seed(0)
    z, y, real = torch.randn(32, 5), torch.randint(4, (32,)), torch.randn(64, 3)
    for share, low, high in ((1.0, 0.2, 2.0), (1e-4, 0.0, 1e-3)):
        generator = Named(share)
        assert low < read_directions(generator, called(generator, z, y), real)["latent_share"] < high


def test_directions_leave_statistics_modes_and_random_states():
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), _Noisy(), nn.Linear(8, 3))
    call, real = called(generator, torch.randn(16, 4)), torch.randn(16, 3)
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    state = streams()
    assert "latent_rank" in read_directions(generator, call, real)
    assert all(torch.equal(v, generator.state_dict()[k]) for k, v in before.items())
    assert streams() == state and all(m.training for m in generator.modules())


def test_pictures_as_inputs_are_no_latents():
    generator = nn.Sequential(nn.Flatten(), nn.Linear(1200, 3))
    assert read_directions(generator, called(generator, torch.randn(4, 3, 20, 20)), None) == {}


def stepped(optimizer: Callable[..., torch.optim.Optimizer], turned: bool = False) -> float | None:
    """The cosine of one step of a player with a constant gradient, after one with it or against it."""
    torch.manual_seed(0)
    module = nn.Linear(7, 5)
    player = Player("critic", module, module, Listener("critic", module, lambda: 0, lambda work: work()), ())
    stepper, found = optimizer(module.parameters()), None
    for sign in (-1.0 if turned else 1.0, 1.0):
        for p in module.parameters():
            p.grad = sign * torch.ones_like(p)
        player.take_aim()
        stepper.step()
        found = player.landed()
    return found


def test_a_plain_step_goes_down_its_gradient_and_a_heavy_one_where_the_last_one_went():
    sgd = torch.optim.SGD
    assert stepped(lambda p: sgd(p, 0.1)) == pytest.approx(1, abs=1e-5)
    assert stepped(lambda p: sgd(p, 0.1), turned=True) == pytest.approx(1, abs=1e-5)
    assert stepped(lambda p: sgd(p, 0.1, momentum=1.5), turned=True) == pytest.approx(-1, abs=1e-5)
    assert stepped(lambda p: sgd(p, 0.0)) is None  # it went nowhere


@pytest.mark.parametrize(
    ("momentum", "cosine", "confidence"), [(0.98, 0.1, "medium"), (0.98, 0.5, None), (0.9, 0.1, None)]
)
def test_momentum_is_named_where_steps_no_longer_follow_the_gradient(momentum, cosine, confidence):
    def write(window: Window) -> None:
        window.numbers["distance"] = 1.0 if window.step < 20 else 0.05
        window.critic.momentum, window.critic.downhill, window.generator.downhill = momentum, cosine, 0.5

    assert named(history(write)).get("momentum_too_high") == confidence


@pytest.mark.parametrize(
    ("loss", "score", "auc", "gone"),
    [("minimax", -7.0, 1.0, True), ("minimax", -1.0, 1.0, False), ("minimax", -7.0, 0.6, False),
     ("non_saturating", -7.0, 1.0, False)],
)  # fmt: skip
def test_the_minimax_gradient_is_gone_where_samples_count_as_fake_for_certain(loss, score, auc, gone):
    found = history(numbers(d_fake=score, auc=auc, distance=0.9))
    found.claim = claim_of(loss)
    assert ("generator_gradient_vanishes" in named(found)) == gone
    found.ends = {"critic": Ends(0.0, 1.0)}
    found.windows[-1].numbers["d_fake"] = 0.5
    for window in found.windows:
        window.numbers["d_fake"] = 0.5
    assert "generator_gradient_vanishes" not in named(found)


@pytest.mark.parametrize(
    ("rank", "real", "width", "cause"),
    [(1.0, 2.0, 4, "generator_ill_conditioned"), (1.4, 2.0, 4, None), (1.0, 1.02, 4, None),
     (None, 9.0, 1, "mode_collapse_partial"), (None, 1.9, 1, None)],
    ids=["one of four", "several", "data on a line", "one number", "one number for few directions"],
)  # fmt: skip
def test_a_generator_that_listens_to_one_direction_of_many(rank, real, width, cause):
    known = {"latent_width": width, "real_rank": real, **({} if rank is None else {"latent_rank": rank})}
    found = named(history(numbers(distance=0.2, **known)))
    assert {c for c in ("generator_ill_conditioned", "mode_collapse_partial") if found.get(c) == "medium"} == (
        {cause} if cause else set()
    )


def test_a_rank_that_falls_to_one_in_the_middle_is_not_how_the_generator_is_built():
    def write(window: Window) -> None:
        window.numbers |= {"latent_width": 4, "real_rank": 2.0, "latent_rank": 1.7 if window.step < 30 else 1.0}

    assert "generator_ill_conditioned" not in named(history(write))


@pytest.mark.parametrize(("share", "collapsed"), [(1e-3, True), (0.3, False)])
def test_latents_that_change_nothing_under_a_condition(share, collapsed):
    found = history(numbers(latent_width=6, real_rank=9.0, latent_rank=3.0, latent_share=share, spread=0.8))
    assert ("mode_collapse_total" in named(found)) == collapsed


@pytest.mark.parametrize(
    ("slope", "distance", "crippled"), [(1e-7, 0.05, True), (5e-5, 0.05, False), (5e-5, 0.9, True), (0.1, 0.9, False)]
)
def test_a_clip_that_leaves_no_slope_cripples_whatever_samples_do(slope, distance, crippled):
    def write(window: Window) -> None:
        window.numbers |= {
            "slope": slope,
            "at_clip": 0.6,
            "weight_high": 1e-3,
            "distance": distance if window.step > 20 else 1.0,
        }
        window.critic.steps = 1

    found = history(write)
    found.claims = Claims(True, clip=1e-3)
    assert ("clip_crippling" in named(found)) == crippled


@pytest.mark.parametrize(
    ("name", "weight", "share", "units", "cause"),
    [
        ("r1", 5000.0, 300.0, 1.0, "penalty_too_strong"),
        ("r1", 100.0, 300.0, 1.0, None),
        ("r1", 5000.0, 300.0, 100.0, None),
        ("gp", 5000.0, 300.0, 1.0, "penalty_too_strong"),
        ("gp", 1000.0, 300.0, 1.0, None),
        ("r1", 1e-7, 1e-8, 1.0, "penalty_too_weak"),
        ("r1", 1e-3, 0.05, 1.0, None),
        ("r1", 1e-7, 1e-3, 1e-3, None),
    ],
    ids=["R1", "large R1", "large units", "GP", "large GP", "nothing", "little", "small units"],
)
def test_weights_that_nobody_sets_are_named_where_samples_come_closer_too(name, weight, share, units, cause):
    def write(window: Window) -> None:
        window.numbers |= {"distance": 1.0 if window.step < 20 else 0.05, "real_std": units}
        window.critic.accounts = [Account("claim", "0-centred", 0.0, 1e-7, weight, share)]

    found = history(write)
    found.claims = Claims(True, penalties=((name, weight),))
    causes = {c for c in ("penalty_too_strong", "penalty_too_weak") if named(found).get(c) == "medium"}
    assert causes == ({cause} if cause else set())


def test_two_penalties_of_no_weight_are_named_though_nothing_of_them_is_found():
    def write(window: Window) -> None:
        window.critic.accounts = [Account("losses", "", 0.0, 1e-7)]
        window.numbers |= {"points": 2, "points_with_graph": 1.0}

    found = history(write)
    found.claims = Claims(True, penalties=(("r1", 1e-7), ("r2", 1e-7)))
    assert named(found).get("penalty_too_weak") == "medium"


@pytest.mark.parametrize(
    ("rate", "thrown", "critic", "generator"),
    [(0.2, True, "medium", None), (2e-3, True, None, None), (0.2, False, "low", None), (2e-2, False, "low", "low")],
)
def test_beside_an_extreme_rate_of_one_player_the_other_one_is_not_too_slow(rate, thrown, critic, generator):
    """Samples come closer all the same: the run of a critic that was thrown about and came back."""

    def write(window: Window) -> None:
        window.numbers["distance"] = 1.0 if window.step < 20 else 0.05
        window.critic.moved = 0.5 if thrown and window.step <= 3 else 2e-2
        window.generator.moved = 1e-3

    counted = Counters(steps=144, top_rate=rate, rate=rate, adaptive=True)
    other = Counters(steps=144, top_rate=rate / 100, rate=rate / 100, adaptive=True)
    found = named(history(write, critic=counted, generator=other))
    assert found.get("critic_step_too_large") == critic
    assert (found.get("generator_step_too_small") or None) == (generator if rate != 2e-3 else "low")


@pytest.mark.parametrize(("spread", "collapsed"), [((0.02, 0.03, 0.02, 0.03), True), ((0.02, 0.03, 0.2, 0.6), False)])
def test_samples_that_never_spread_have_collapsed_however_they_wobble(spread, collapsed):
    def write(window: Window) -> None:
        at = min(window.step // 40, 3)
        window.numbers |= {"spread": spread[at] * (1 + 0.2 * (window.step % 3)), "distance": 0.9}

    assert ("mode_collapse_total" in named(history(write))) == collapsed


@pytest.mark.parametrize("joint", [True, False])
def test_one_batch_through_batch_norm_is_named_beside_a_penalty_at_its_points(joint):
    torch.manual_seed(0)
    act, bce = nn.LeakyReLU(0.2), nn.functional.binary_cross_entropy
    critic = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), act, nn.Linear(16, 1), nn.Sigmoid())
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    both = torch.optim.Adam(generator.parameters(), 1e-3), torch.optim.Adam(critic.parameters(), 1e-3)
    monitor = Monitor(generator, critic, loss="non_saturating", optimizers=both, budget=1.0)
    ones = torch.ones(32, 1)
    for _ in range(12):
        real, z = torch.randn(32, 2), torch.randn(32, 4)
        fake = generator(z).detach()
        r, f = critic(torch.cat([real, fake])).split(32) if joint else (critic(real), critic(fake))
        x = (real + 0.5 * torch.rand(32, 1) * torch.rand(32, 2)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(x), x, ones, create_graph=True)
        both[1].zero_grad()
        (bce(r, ones) + bce(f, 0 * ones) + 0.5 * (slope.norm(dim=1) - 1).square().mean()).backward()
        both[1].step()
        both[0].zero_grad()
        bce(critic(generator(z)), ones).backward()
        both[0].step()
        monitor.step(real, z)
    found = monitor.diagnose()
    monitor.close()
    assert ("batch_norm_coupling" in [f.cause for f in found if f.confidence != "low"]) == joint


def test_a_sound_loop_is_said_nothing_of():
    torch.manual_seed(0)
    monitor = Loop(steps=60).run()
    assert monitor is not None and monitor.diagnose().healthy
    last = monitor.history.windows[-1]
    assert last.critic.downhill is not None and last.critic.downhill > 0
    assert any("latent_rank" in w.numbers for w in monitor.history.windows)
    assert diagnosis(monitor.history, 60, {})[0].cause == "healthy"
