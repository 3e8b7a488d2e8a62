"""Copies played on: what they name, that they equal the training they copy, and that the training never notices."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from monitor_loop import LATENT, Loop, clamp, gp, mlp, r1, spectral
from tightrope import doctor
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.claims import Claims
from tightrope.monitor.history import History
from tightrope.monitor.recent import ROWS, Form, Kept, Slot
from tightrope.monitor.responses import worth_asking
from tightrope.monitor.what_if import branch, respond
from tightrope.monitor.what_if.changes import AS_IS, Change, changes
from tightrope.monitor.what_if.gains import Gain, Response
from tightrope.monitor.what_if.game import CannotPlayError, aside, game_of
from tightrope.monitor.what_if.verdict import LARGE_STEP, findings, moves
from tightrope.monitor.window import Window

UNDISTURBED: dict[str, dict[str, Any]] = {
    "dropout and batch norm": {
        "generator": lambda: mlp(LATENT, 16, 2, norm=True), "critic": lambda: mlp(2, 16, 16, 1, norm=True, drop=0.3),
    },
    "spectral norm": {"loss": "hinge", "penalty": "spectral_norm", "critic": lambda: spectral(mlp(2, 16, 1))},
    "old spectral norm": {"loss": "hinge", "critic": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 1)))},
    "wgan-gp": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "n_critic": 2},
    "clip": {"loss": "wasserstein", "penalty": ("clip", 0.1), "after_critic": clamp(0.1)},
    "momentum": {"optimizer": lambda p, rate: torch.optim.SGD(p, rate, momentum=0.9)},
    "schedule": {"tweak": lambda loop: setattr(
        loop, "schedule", torch.optim.lr_scheduler.ExponentialLR(loop.opt_d, 0.9))},
}  # fmt: skip


def state(loop: Loop) -> list[torch.Tensor]:
    held = [t for o in (loop.opt_g, loop.opt_d) for s in o.state.values() for t in s.values() if torch.is_tensor(t)]
    gradients = [p.grad for n in (loop.g, loop.d) for p in n.parameters() if p.grad is not None]
    return [*loop.g.state_dict().values(), *loop.d.state_dict().values(), *held, *gradients, torch.get_rng_state()]


@pytest.mark.parametrize("name", UNDISTURBED)
def test_the_training_is_left_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = UNDISTURBED[name]
    torch.manual_seed(3)
    built = {key: value() if key in ("generator", "critic") else value for key, value in case.items()}
    loop = Loop(steps=12, **built)
    monkeypatch.setattr(respond, "worth_asking", lambda history, found: True)
    monitor = loop.run()
    assert monitor is not None
    before = [t.clone() for t in state(loop)]
    versions = [p._version for n in (loop.g, loop.d) for p in n.parameters()]
    counts = copy.deepcopy(monitor.history.counters)
    play = respond._Play.__init__
    monkeypatch.setattr(respond._Play, "__init__", lambda self, m, g, t, r, until: play(self, m, g, t, 3, until))
    respond.respond(monitor)
    said = monitor.history.responses[1]
    assert "changes on copies" in said, said
    after = state(loop)
    assert len(before) == len(after) and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert versions == [p._version for n in (loop.g, loop.d) for p in n.parameters()]
    assert monitor.history.counters == counts
    assert not monitor.failures
    assert all(m.training for n in (loop.g, loop.d) for m in n.modules())


def test_a_copy_plays_what_the_training_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next critic and generator step of a copy, on the batches of the training, move it as the training moves."""
    loop = Loop(steps=12, penalty=("r1", 2.0), extra=r1(2.0), seed=4)
    monitor = loop.run()
    assert monitor is not None
    game = game_of(monitor)
    copied = game.copied()
    rng = torch.Generator().manual_seed(9)
    real, z1, z2 = loop.batch(32, rng), torch.randn(32, LATENT), torch.randn(32, LATENT)
    drawn = iter([(real,), (z1,), *[(real,), (z1,)] * 8, (real,), (z2,)])
    monkeypatch.setattr(branch, "_drawn", lambda rows, n, order: next(drawn))
    table = branch.table_of(game, None)
    with aside(game, 0):
        branch._round(game, table, copied, rng)
    latents = iter([z1])
    loop.latents = lambda n: next(latents)
    loop._critic(real)
    loop._generator(z2, real)
    for mine, theirs in ((loop.g, copied.generator), (loop.d, copied.critic)):
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_branches_of_one_seed_share_their_randomness() -> None:
    monitor = Loop(steps=8).run()
    assert monitor is not None
    game = game_of(monitor)
    table = branch.table_of(game, None)

    def once(seed: int, change: Callable[..., Any] = AS_IS.apply) -> list[float]:
        with aside(game, seed):
            return branch.played(game, table, change, seed, 4)

    assert once(1) == once(1) != once(2)
    nothing = Change("none", "", "", lambda s: s)
    assert once(1, nothing.apply) == once(1)


def test_the_change_that_helps_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "REPLICATES", 3)
    monkeypatch.setattr(respond, "MOST_ROUNDS", 40)
    networks = {"generator": mlp(LATENT, 32, 32, 2), "critic": mlp(2, 32, 32, 1)}
    monitor = Loop(steps=40, penalty=("r1", 3000.0), extra=r1(3000.0), rates=(3e-3, 3e-3), **networks).run()
    assert monitor is not None
    (found,), said = findings(monitor, respond.asked(monitor, 300))
    assert found.cause == "penalty_too_strong" and found.confidence == "medium", str(found)
    mean, half = found.evidence["log_gain"]
    assert mean - half > 0 and found.evidence["changed"] < found.evidence["distance"]
    assert "changes on copies from the first weights" in said


def gain(name: str, kind: str, *ratios: float) -> Gain:
    return Gain(Change(name, f"{name} done", kind, lambda s: s), [(0.5, 0.5 * ratio) for ratio in ratios])


def named(monitor: Monitor, *gains: Gain) -> tuple[str, str, tuple[str, ...]]:
    (found,), _ = findings(monitor, [Response(True, 0.5, 0.5, "stuck", 40, 4, list(gains))])
    return found.cause, found.confidence, found.candidates


def test_a_cause_is_named_only_where_the_settings_make_it_credible() -> None:
    def adam(beta: float) -> Callable[..., torch.optim.Optimizer]:
        return lambda p, rate: torch.optim.Adam(p, rate, betas=(beta, 0.9))

    usual = Loop(steps=8, optimizer=adam(0.5), penalty=("r1", 1.0), extra=r1(1.0)).run()
    heavy = Loop(steps=8, optimizer=adam(0.95), penalty=("r1", 1.0), extra=r1(1.0)).run()
    assert usual is not None and heavy is not None
    calm = gain("beta1 = 0", "momentum", 0.2, 0.21, 0.19, 0.2)
    assert named(usual, calm) == ("unknown_trouble", "low", ())  # less momentum calms any game that turns
    assert named(heavy, calm) == ("momentum_too_high", "medium", ())
    slow = gain("generator rate / 16", "generator rate down", 0.2, 0.21, 0.19, 0.2)
    assert moves(usual)["generator"] < LARGE_STEP and named(usual, slow)[0] == "unknown_trouble"
    weak = gain("penalty x 0.01", "penalty weaker", 0.19, 0.2, 0.21, 0.2)
    assert named(usual, weak) == ("penalty_too_strong", "medium", ())
    assert named(heavy, weak, calm) == ("momentum_too_high", "medium", ())  # alike, and one is set beyond all use
    better = gain("penalty x 0.01", "penalty weaker", 0.05, 0.051, 0.052, 0.05)
    assert named(heavy, calm, better)[0] == "penalty_too_strong"


def test_what_no_interval_tells_apart_are_candidates() -> None:
    monitor = Loop(steps=8, loss="wasserstein", penalty=[("clip", 0.01), ("gp", 1.0)], after_critic=clamp(0.01)).run()
    assert monitor is not None
    pair = [gain("penalty x 0.01", "penalty weaker", 0.2, 0.3, 0.25), gain("clip x 10", "clip wider", 0.3, 0.2, 0.2)]
    cause, confidence, candidates = named(monitor, *pair)
    assert (cause, confidence) == ("unknown_trouble", "low")
    assert set(candidates) == {"penalty_too_strong", "clip_crippling"}


@pytest.mark.parametrize("ratios", [(0.2, 0.2), (0.8, 0.81, 0.79), (0.2, 3.0, 0.1), (2.0, 2.1, 2.2)])
def test_few_small_uncertain_or_negative_gains_name_nothing(ratios: tuple[float, ...]) -> None:
    monitor = Loop(steps=8).run()
    assert monitor is not None
    few = gain("penalty x 0.01", "penalty weaker", *ratios)
    assert findings(monitor, [Response(True, 0.9, 0.5, "stuck", 40, 4, [few])])[0] == []


@pytest.mark.parametrize(
    ("distances", "ask"),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35], False),  # it comes closer by itself
        ([1.0, 0.5, 0.2, 0.1, 0.05, 0.06, 0.05, 0.06, 0.05], False),  # it is there
        ([0.5, 0.5, 0.51, 0.49, 0.5, 0.5, 0.5, 0.51, 0.5], True),  # it stands still
        ([0.5, 0.6, 0.4, 2.0, 2.5, 1.0, 0.3, 1.5, 0.4], True),  # it swings
        ([0.5, 0.5, 0.5], False),  # too early to say
    ],
)
def test_when_copies_are_asked(distances: list[float], ask: bool) -> None:
    history = History(None, Claims(False))
    for k, value in enumerate(distances):
        history.add(Window(10 + 10 * k, numbers={"distance": value}))
    assert worth_asking(history, Diagnosis((), 100)) == ask


def test_nothing_is_asked_while_something_stronger_stands() -> None:
    monitor = Loop(steps=30, generator_loss=lambda f, r: f.mean() * 100).run()
    assert monitor is not None
    before = monitor.diagnose()
    assert before[0].cause == "generator_sign_flipped"
    assert not worth_asking(monitor.history, before)
    assert doctor.diagnose(monitor, what_if=True)[0].cause == "generator_sign_flipped"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tell": False, "optimizer": lambda p, rate: torch.optim.Adam(p, rate), "steps": 1}, "too few"),
        ({"generator_extra": lambda f, r: 5 * f.square().mean()}, "terms that are not known"),
    ],
)
def test_what_cannot_be_played_is_said(options: dict[str, Any], words: str) -> None:
    monitor = Loop(**options).run()
    assert monitor is not None
    with pytest.raises(CannotPlayError, match=words):
        game_of(monitor)


def test_gain_and_interval_against_a_plain_computation() -> None:
    gain = Gain(AS_IS, [(0.4, 0.1), (0.5, 0.1), (0.3, 0.1), (0.4, 0.2)])
    logs = [math.log(a / b) for a, b in gain.pairs]
    mean = sum(logs) / 4
    sd = (sum((v - mean) ** 2 for v in logs) / 3) ** 0.5
    assert gain.mean == pytest.approx(mean)
    assert gain.half_width == pytest.approx(3.182446 * sd / 2, rel=1e-3)
    assert Gain(AS_IS, [(0.4, 0.1)]).half_width == math.inf
    held_still = Response(False, 0.1, 0.4, "stuck", 40, 4, [gain])
    assert held_still.helping() == []  # it ends above where it began: only the others got worse
    assert Response(False, 0.4, 0.4, "stuck", 40, 4, [gain]).helping() == [gain]


def test_the_distance_is_the_energy_distance() -> None:
    x, y = torch.randn(60, 3).double(), torch.randn(50, 3).double() + 1
    cross = sum(float((a - b).norm()) for a in x for b in y) / 3000
    own = [sum(float((s[i] - s[j]).norm()) for i in range(len(s)) for j in range(i)) / (len(s) * (len(s) - 1) / 2)
           for s in (x, y)]  # fmt: skip
    assert branch.energy(x, y) == pytest.approx((2 * cross - own[0] - own[1]) / own[1], rel=1e-6)
    assert branch.energy(x * float("nan"), y) == branch.WORST


def test_kept_rows_are_bounded_copies() -> None:
    kept = Kept()
    rows = torch.randn(200, 2)
    for _ in range(9):
        kept.add((rows,))
    assert ROWS <= len(kept) < ROWS + 200
    rows.zero_()
    assert bool(kept.rows()[0].any())
    kept.add((torch.randn(10, 3),))
    assert len(kept) == 10 and kept.size == 10


def test_a_form_calls_with_labels_and_what_was_constant() -> None:
    from tightrope.monitor.capture import Listener

    class Both(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
            return scale * x.sum(1) + y

    module = Both()
    listener = Listener("critic", module, lambda: 0, lambda work: work())
    listener.listen(True)
    x, y = torch.randn(5, 2), torch.arange(5)
    module(x, y, scale=3.0)
    form, rows = Form.of(listener.calls[0])
    assert form.more == 1 and rows[0].shape == (5, 2) and torch.equal(rows[1], y)
    other = torch.randn(4, 2), torch.arange(4)
    assert torch.equal(form.call(module, other), module(*other, scale=3.0))
    with torch.autocast("cpu", torch.bfloat16):
        listener.forget()
        module(x, y)
    layer = nn.Linear(2, 3)
    form = dataclasses.replace(Form.of(listener.calls[0])[0], args=(Slot(0),))
    assert form.call(layer, (x,)).dtype == torch.bfloat16 and layer(x).dtype == torch.float32


def test_trouble_of_its_own_is_said_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(respond, "asked", fails)
    monitor = Loop(steps=8).run()
    assert monitor is not None
    assert "ZeroDivisionError: on purpose" in str(respond.respond(monitor, gate=False).checked)


def test_all_changes_change_what_they_say() -> None:
    monitor = Loop(steps=8, penalty=("r1", 2.0), extra=r1(2.0)).run()
    assert monitor is not None
    game = game_of(monitor)
    plain = game.copied()
    for change in changes(game):
        state = change.apply(game.copied())
        rates = [s.optimizers[p][0].param_groups[0]["lr"] for s in (plain, state) for p in ("generator", "critic")]
        betas = [s.optimizers["critic"][0].param_groups[0]["betas"][0] for s in (plain, state)]
        same = rates[:2] == rates[2:] and betas[0] == betas[1] and plain.settings == state.settings
        assert not same, change.name
    assert [g["lr"] for g in loop_groups(monitor)] == [1e-3, 1e-3]


def loop_groups(monitor: Monitor) -> list[dict[str, Any]]:
    return [group for p in ("generator", "critic") for o in monitor.steppers(p) for group in o.param_groups]
