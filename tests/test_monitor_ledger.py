"""The ledger against gradients written out by hand in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from monitor_loop import BATCH, LATENT, build, gp, r1
from tightrope import losses
from tightrope._plumbing.errors import UserError
from tightrope.monitor import Monitor
from tightrope.monitor.ledger.columns import COSTS, Column
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import account
from tightrope.monitor.ledger.scores import Fit, Scored, fit


def sigmoid(s: Tensor) -> Tensor:
    return 1 / (1 + (-s).exp())


def by_hand(name: str, r: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """``dL/ds`` of each critic's loss, from its equation."""
    n, m = len(r), len(f)
    return {
        "non_saturating": (-sigmoid(-r) / n, sigmoid(f) / m),
        "minimax": (-sigmoid(-r) / n, sigmoid(f) / m),
        "wasserstein": (-torch.ones_like(r) / n, torch.ones_like(f) / m),
        "hinge": (-(r < 1).double() / n, (f > -1).double() / m),
        "least_squares": (2 * (r - 1) / n, 2 * (f + 1) / m),
        "relativistic": (-sigmoid(f - r) / n, sigmoid(f - r) / n),
    }[name]


@pytest.fixture
def scores() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return (2 * torch.randn(2, 24, generator=rng, dtype=torch.float64)).unbind(0)  # type: ignore[return-value]


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize("claimed", losses.LOSSES)
def test_each_loss_is_told_from_every_other(name: str, claimed: str, scores: tuple[Tensor, Tensor]) -> None:
    r, f = scores
    found = fit(Scored(r, f, *(3.5 * g for g in by_hand(name, r, f))), claim_of(claimed), "critic")
    same = name == claimed or {name, claimed} == {"minimax", "non_saturating"}
    assert found.kind == ("claim" if same else "loss")
    if same:
        assert found.factor == pytest.approx(3.5, rel=1e-6) and found.residual < 1e-6
    else:
        assert found.residual > 0.02 and found.explained < 1e-6


@pytest.mark.parametrize("name", losses.LOSSES)
def test_signs_and_halves(name: str, scores: tuple[Tensor, Tensor]) -> None:
    r, f = scores
    a, b = by_hand(name, r, f)
    claim = claim_of(name)

    def kind(real: Tensor, fake: Tensor) -> str:
        return fit(Scored(r, f, real, fake), claim, "critic").kind

    assert kind(-a, -b) in ("flipped", "flipped loss")
    mirrored = by_hand(name, -r, -f)
    assert kind(-mirrored[0], -mirrored[1]) in ("flipped", "flipped loss")
    assert kind(a, -b) == "half flipped" and kind(-a, b) == "half flipped"
    assert kind(0 * a, b) == "no real half" and kind(a, 0 * b) == "no fake half"
    assert kind(9 * a, b) == "unequal halves"


def test_noise_is_refuted_and_not_explained(scores: tuple[Tensor, Tensor]) -> None:
    r, f = scores
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 24, generator=rng, dtype=torch.float64)
    found = fit(Scored(r, f, a, b), claim_of("hinge"), "critic")
    assert found.kind == "none" and found.residual > 0.5


@pytest.mark.parametrize(("real", "fake", "kind"), [(0.9, 0.1, "claim"), (1.0, 0.0, "claim"), (0.1, 0.9, "flipped")])
def test_targets(real: float, fake: float, kind: str, scores: tuple[Tensor, Tensor]) -> None:
    r, f = scores
    found = fit(Scored(r, f, (sigmoid(r) - real) / 24, (sigmoid(f) - fake) / 24), claim_of("bce"), "critic")
    assert found.kind == kind


def test_a_flat_loss_says_nothing(scores: tuple[Tensor, Tensor]) -> None:
    r, f = scores
    zero = torch.zeros_like(r)
    assert fit(Scored(r.abs() + 2, -f.abs() - 2, zero, zero), claim_of("hinge"), "critic").kind == "unknown"


def linear_critic_columns(x: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Penalties of ``D(x) = w x`` differentiated by hand: the input gradient is ``w`` everywhere."""
    size = float(w.norm())
    return {
        "gp": 2 * (size - 1) * w / size,
        "gp1": 2 * max(size - 1, 0.0) * w / size,
        "r1": w.clone(),
        "r2": w.clone(),
    }


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("weight", [0.03, 1.0, 70.0])
@pytest.mark.parametrize("clipping", [1.0, 0.01])
def test_the_weight_of_a_penalty_is_found(name: str, weight: float, clipping: float) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(16, 5, dtype=torch.float64), 3 * torch.randn(5, dtype=torch.float64)
    column, base = linear_critic_columns(x, w)[name], x.mean(0)
    gradient = clipping * (base + weight * column)
    found = account(gradient, base, [lambda: [Column("claim", name, column, 1.0)]], error=1e-3, sizes=[5])
    assert found.kind == "claim" and found.weight == pytest.approx(weight, rel=1e-9)
    assert found.share == pytest.approx(weight * float(column.norm() / base.norm()), rel=1e-9)


def test_a_leftover_is_found_and_no_claim_of_it_is_made_without() -> None:
    torch.manual_seed(0)
    base, old, other = torch.randn(3, 40, dtype=torch.float64)
    groups = [list, lambda: [Column("start", "old", old)]]
    assert account(base + old, base, groups, error=1e-3, sizes=[40]).kind == "start"
    assert account(2 * base, base, groups, error=1e-3, sizes=[40]).kind == "losses"
    refuted = account(base + other, base, groups, error=1e-3, sizes=[40])
    assert refuted.kind == "none" and refuted.unexplained > 0.3


def test_every_critic_step_of_an_update_is_read() -> None:
    monitor = build({"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "n_critic": 3}).run()
    assert monitor is not None
    assert all(w.critic.fit is not None and w.critic.fit.kind == "claim" for w in monitor.history.windows)


def test_a_leftover_beside_a_penalty_is_found() -> None:
    torch.manual_seed(0)
    base, old, penalty = torch.randn(3, 40, dtype=torch.float64)
    groups = [lambda: [Column("claim", "r1", penalty, 1.0)], lambda: [Column("start", "old", old)]]
    assert account(base + old + 2 * penalty, base, groups, error=1e-3, sizes=[40]).kind == "start"
    assert account(base + 2 * penalty, base, groups, error=1e-3, sizes=[40]).kind == "claim"


@pytest.mark.parametrize(("name", "planted", "claim"), [("gp", gp(4.0), 10.0), ("r1", r1(0.3), 1.0)])
def test_weights_in_a_loop(name: str, planted: object, claim: float) -> None:
    """Weights within a factor of 3.5 are no finding, and yet known to rounding."""
    loop = build({"loss": "wasserstein", "penalty": (name, claim), "extra": planted, "critic": nn.Linear(2, 1)})
    monitor = loop.run()
    assert monitor is not None
    found = [a for w in monitor.history.windows for a in w.critic.accounts]
    expected = 4.0 if name == "gp" else 0.3
    assert len(found) >= 4 and all(math.isclose(a.weight, expected, rel_tol=1e-3) for a in found)


def test_a_healthy_gradient_is_explained_to_rounding() -> None:
    monitor = build({"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(10.0)}).run()
    assert monitor is not None
    for window in monitor.history.windows:
        assert isinstance(window.critic.fit, Fit) and window.critic.fit.residual < 1e-5
        assert all(a.left < 1e-4 and abs(a.weight - 10) < 1e-3 for a in window.critic.accounts)
        assert all(a.left < 1e-6 for a in window.generator.accounts)


def test_the_share_of_another_term_is_known() -> None:
    monitor = build({"loss": "wasserstein", "generator_extra": lambda f, r: 3e-2 * f.sum(1).mean()}).run()
    assert monitor is not None
    window = monitor.history.windows[0]
    assert 0.0 < window.numbers["other_share"] < 1.0
    plain = build({"loss": "wasserstein"}).run()
    assert plain is not None and plain.history.windows[0].numbers["other_share"] < 1e-5


def test_wrong_arguments_are_refused_before_training() -> None:
    g, d = nn.Linear(LATENT, 2), nn.Linear(2, 1)
    for wrong in (
        {"loss": "wassersteen"}, {"penalty": ("gq", 1.0)}, {"penalty": ("gp", float("nan"))}, {"optimizers": 3},
        {"optimizers": {"generato": None}}, {"every": 0}, {"budget": -1.0}, {"loss": 3},
    ):  # fmt: skip
        with pytest.raises(UserError):
            Monitor(g, d, **wrong)  # type: ignore[arg-type]
    assert not g._forward_hooks and not d._forward_hooks
    assert BATCH
