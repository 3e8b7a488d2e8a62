"""Game optimisers against written-out recursions, their state dicts, and what they claim on bilinear games."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from optimizer_cases import F64, OPTIMIZERS, adam, bilinear, game_step, values
from tightrope import losses, penalties, toys
from tightrope.dynamics import gradient_field, update_jacobian
from tightrope.optimizers import (
    SIMULTANEOUS,
    ExtraAdam,
    ExtraSGD,
    Lookahead,
    Momentum,
    OptimisticAdam,
    OptimisticSGD,
    alternating,
    consensus,
    extragradient_step,
    in_sequence,
    lead,
    outer_step,
    symplectic,
)
from tightrope.penalties import Penalty

# The bilinear game in this library's sign: the generator's gradient is -psi, the critic's is theta.


def test_momentum_recursion():
    made = bilinear()
    step, _ = game_step("momentum", made)
    theta, psi, m, n = 1.0, 0.5, 0.0, 0.0
    for _ in range(4):
        step()
        m, n = -0.4 * m + 0.8 * -psi, -0.4 * n + 0.8 * theta
        theta, psi = theta - 0.1 * m, psi - 0.1 * n
        assert values(made) == pytest.approx([theta, psi], rel=1e-14)


def test_extragradient_recursion():
    made = bilinear()
    step, _ = game_step("extra_sgd", made)
    theta, psi = 1.0, 0.5
    for _ in range(3):
        step()
        ahead, response = theta + 0.1 * psi, psi - 0.1 * theta
        theta, psi = theta + 0.1 * response, psi - 0.1 * ahead
        assert values(made) == pytest.approx([theta, psi], rel=1e-14)


def test_optimistic_recursion():
    made = bilinear()
    step, _ = game_step("optimistic_sgd", made)
    theta, psi, before = 1.0, 0.5, None
    for _ in range(4):
        step()
        now = (-psi, theta)
        before = now if before is None else before
        theta, psi = (x - 0.1 * (2 * g - b) for x, g, b in zip((theta, psi), now, before, strict=True))
        before = now
        assert values(made) == pytest.approx([theta, psi], rel=1e-14)


@pytest.mark.parametrize("name", ["extra_adam", "optimistic_adam"])
def test_adam_variants_recursion(name):
    """One player against a fixed one: the gradient sequence is known, and so are Adam's directions."""
    x = nn.Parameter(torch.tensor([2.0], dtype=F64))
    optimizer = OPTIMIZERS[name]([x])
    position, seen = 2.0, []

    def gradient(at):
        return at**3 - 1.0

    for k in range(4):
        if name == "extra_adam":
            seen.append(gradient(position))
            x.grad = torch.tensor([gradient(x.item())], dtype=F64)
            optimizer.extrapolate()
            ahead = position - 0.1 * adam(seen)[-1]
            assert x.item() == pytest.approx(ahead, rel=1e-13)
            seen.append(gradient(ahead))
            x.grad = torch.tensor([gradient(x.item())], dtype=F64)
            optimizer.step()
            position -= 0.1 * adam(seen)[-1]
        else:
            seen.append(gradient(position))
            x.grad = torch.tensor([gradient(x.item())], dtype=F64)
            optimizer.step()
            u = adam(seen)
            position -= 0.1 * (2 * u[-1] - (u[-2] if k else u[-1]))
        assert x.item() == pytest.approx(position, rel=1e-13)


def test_lookahead_returns_part_of_the_way_for_all_players():
    made = bilinear()
    parameters = [p for player in made.players for p in player.parameters()]
    slow = Lookahead(parameters, k=3, alpha=0.25)
    optimizers = [torch.optim.SGD(p.parameters(), lr=0.1) for p in made.players]
    step = in_sequence(outer_step(made.losses, made.players, optimizers, SIMULTANEOUS), slow.step)
    fast = start = (1.0, 0.5)
    for k in range(1, 7):
        step()
        fast = (fast[0] + 0.1 * fast[1], fast[1] - 0.1 * fast[0])
        if k % 3 == 0:
            fast = start = tuple(s + 0.25 * (f - s) for s, f in zip(start, fast, strict=True))
        assert values(made) == pytest.approx(fast, rel=1e-14)


@pytest.mark.parametrize("name", [*OPTIMIZERS, "lookahead"])
def test_state_dicts_continue_bit_for_bit(name):
    def build(made):
        if name == "lookahead":
            base = [torch.optim.SGD(p.parameters(), lr=0.1, momentum=0.3) for p in made.players]
            slow = Lookahead([p for player in made.players for p in player.parameters()], k=3)
            return in_sequence(outer_step(made.losses, made.players, base), slow.step), [*base, slow]
        return game_step(name, made)

    made = toys.dirac_gan(losses.non_saturating, theta=1.0, psi=0.5)
    step, optimizers = build(made)
    for _ in range(5):
        step()
    states = [copy.deepcopy(x.state_dict()) for x in (*made.players, *optimizers)]
    for _ in range(4):
        step()
    again = toys.dirac_gan(losses.non_saturating, theta=-3.0, psi=7.0)
    step, optimizers = build(again)
    for x, state in zip((*again.players, *optimizers), states, strict=True):
        x.load_state_dict(state)
    for _ in range(4):
        step()
    assert values(again) == values(made)


def test_the_saved_direction_does_not_follow_the_gradient_buffer():
    """A stored reference to ``p.grad`` would be zeroed with it and silently double the step."""
    x = nn.Parameter(torch.tensor([1.0], dtype=F64))
    optimizer = OptimisticSGD([x], lr=1.0)
    x.grad = torch.tensor([0.5], dtype=F64)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    x.grad += 0.25
    optimizer.step()
    assert x.item() == pytest.approx(1.0 - 0.5 - (2 * 0.25 - 0.5))


def spectral_radius(step, players, optimizers):
    return torch.linalg.eigvals(update_jacobian(step, players, optimizers)).abs().max().item()


def test_claims_on_a_bilinear_game():
    """What each docstring claims: who contracts, who does not."""
    h = 0.3
    made = bilinear(0.0, 0.0)

    def radius(make, build=outer_step, order=SIMULTANEOUS, losses_=None):
        optimizers = [make(p.parameters()) for p in made.players]
        return spectral_radius(build(losses_ or made.losses, made.players, optimizers, order), made.players, optimizers)

    def sgd(p):
        return torch.optim.SGD(p, lr=h)

    assert radius(sgd) == pytest.approx((1 + h * h) ** 0.5)
    assert radius(sgd, order=alternating()) == pytest.approx(1.0)
    extra = (1 - h**2 + h**4) ** 0.5
    assert radius(lambda p: ExtraSGD(p, lr=h), extragradient_step) == pytest.approx(extra)
    assert radius(lambda p: OptimisticSGD(p, lr=h)) < 1
    assert radius(lambda p: OptimisticSGD(p, lr=0.58)) > 1  # 1 / sqrt(3) = 0.577
    assert radius(lambda p: OptimisticSGD(p, lr=0.57)) < 1
    assert radius(lambda p: Momentum(p, lr=h, momentum=-0.5), order=alternating()) < 1
    assert radius(lambda p: Momentum(p, lr=h, momentum=0.5), order=alternating()) > 1
    assert radius(lambda p: Momentum(p, lr=h, momentum=-0.5)) > 1
    rotation = (abs(1 - h * 0.7) ** 2 + h * h) ** 0.5
    assert radius(sgd, losses_=consensus(made.losses, made.players, gamma=0.7)) == pytest.approx(rotation)
    assert radius(sgd, losses_=symplectic(made.losses, made.players, weight=0.7)) == pytest.approx(rotation)


def small_network_game(seed=0):
    rng = torch.Generator().manual_seed(seed)
    generator, critic = nn.Linear(1, 1).to(F64), nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1)).to(F64)
    with torch.no_grad():
        for p in [*generator.parameters(), *critic.parameters()]:
            p.copy_(torch.randn(p.shape, generator=rng, dtype=F64))
    z, real = (torch.randn(6, 1, generator=rng, dtype=F64) for _ in range(2))
    return toys.Toy(
        generator,
        critic,
        real,
        z,
        toys.under(losses.non_saturating, penalties=(Penalty(penalties.r1, {"gamma": 0.4}),)),
    )


def dense_gradient_derivative(made):
    """``H``: derivative of all players' gradients by all parameters, by central differences."""
    tensors = [p for player in made.players for p in player.parameters()]
    columns = []
    for p in tensors:
        for i in range(p.numel()):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    p.view(-1)[i] += sign * 1e-6
                ends.append(-gradient_field(made.losses, made.players).detach())
                with torch.no_grad():
                    p.view(-1)[i] -= sign * 1e-6
            columns.append((ends[0] - ends[1]) / 2e-6)
    return torch.stack(columns, 1)


def test_consensus_and_symplectic_gradients_from_the_dense_hessian():
    made = small_network_game()
    H, xi = dense_gradient_derivative(made), -gradient_field(made.losses, made.players).detach()
    A = 0.5 * (H - H.T)
    found = -gradient_field(consensus(made.losses, made.players, gamma=0.8), made.players)
    torch.testing.assert_close(found.detach(), xi + 0.8 * H.T @ xi, rtol=0, atol=1e-7)
    found = -gradient_field(symplectic(made.losses, made.players, weight=0.8), made.players)
    torch.testing.assert_close(found.detach(), xi + 0.8 * A.T @ xi, rtol=0, atol=1e-7)
    assert (A.T @ xi).abs().max() > 1e-3


@pytest.mark.parametrize(("a", "sign"), [(1.0, 1.0), (-1.0, -1.0)])
def test_aligned_symplectic_sign(a, sign):
    """Towards a stable point the correction is added, away from an unstable one it is subtracted."""
    x, y = (nn.Parameter(torch.tensor([v], dtype=F64)) for v in (2.0, 1.5))
    game = (lambda: (a * x * x / 2 + x * y).sum(), lambda: (a * y * y / 2 - x * y).sum())
    players = ([x], [y])
    xi = torch.tensor([a * 2.0 + 1.5, a * 1.5 - 2.0], dtype=F64)
    adjustment = torch.tensor([-xi[1], xi[0]], dtype=F64)  # A^T xi of A = [[0, 1], [-1, 0]]
    for align, factor in ((False, 1.0), (True, sign)):
        found = -gradient_field(symplectic(game, players, weight=0.7, align=align), players).detach()
        torch.testing.assert_close(found, xi + 0.7 * factor * adjustment)


@pytest.mark.parametrize(("squares", "sign"), [(0.22, 1.0), (0.227, -1.0)])
def test_aligned_symplectic_sign_near_zero(squares, sign):
    """``-|xi|^4 / 2 + 0.1`` with ``|xi|^2 = 2 (x^2 + y^2)``: zero at a sum of squares of 0.2236."""
    x, y = (nn.Parameter(torch.tensor([v * squares**0.5], dtype=F64)) for v in (0.6, 0.8))
    game = (lambda: (-x * x / 2 + x * y).sum(), lambda: (-y * y / 2 - x * y).sum())
    xi = torch.tensor([(y - x).item(), (-x - y).item()], dtype=F64)
    found = -gradient_field(symplectic(game, ([x], [y]), weight=0.7, align=True), ([x], [y])).detach()
    torch.testing.assert_close(found, xi + 0.7 * sign * torch.stack([-xi[1], xi[0]]))


def test_lead_reads_the_other_players_last_move():
    made = bilinear()
    optimizers = [Momentum(p.parameters(), lr=0.2, momentum=0.1) for p in made.players]
    step = outer_step(lead(made.losses, made.players, optimizers, alpha=0.4), made.players, optimizers, SIMULTANEOUS)
    # x' = x + beta dx - h f_x - alpha f_xy dy for f = -theta psi (the file's f with psi of opposite sign).
    theta, psi, dt, dp = 1.0, 0.5, 0.0, 0.0
    for _ in range(4):
        step()
        dt, dp = 0.1 * dt + 0.2 * psi + 0.4 * dp, 0.1 * dp - 0.2 * theta - 0.4 * dt
        theta, psi = theta + dt, psi + dp
        assert values(made) == pytest.approx([theta, psi], rel=1e-13)


def test_a_clone_of_the_terms_under_detached_fakes():
    """Training code detaches the fakes in the critic's loss; the corrections still see the generator."""
    made = small_network_game(1)

    def detached():
        fake = made.generator(made.z).detach()
        total = made.method.loss.critic(made.critic(made.real), made.critic(fake))
        return total + made.method.penalties[0](made.critic, made.real, fake)

    for term in (consensus, symplectic):
        plain = gradient_field(term(made.losses, made.players), made.players)
        torch.testing.assert_close(gradient_field(term((made.losses[0], detached), made.players), made.players), plain)


@pytest.mark.parametrize(
    "build",
    [
        lambda p: Momentum(p, lr=-1.0),
        lambda p: Momentum(p, lr=0.1, momentum=1.0),
        lambda p: ExtraSGD(p, lr=float("nan")),
        lambda p: ExtraAdam(p, betas=(1.0, 0.9)),
        lambda p: OptimisticSGD(p, lr=float("inf")),
        lambda p: OptimisticAdam(p, betas=(0.5, -0.1)),
        lambda p: Lookahead(p, k=0),
        lambda p: Lookahead(p, alpha=0.0),
    ],
)
def test_refusals(build):
    with pytest.raises(ValueError, match="Expected"):
        build([nn.Parameter(torch.zeros(1))])


def test_alternating_needs_a_critic_step():
    with pytest.raises(ValueError, match="n_critic of at least 1"):
        alternating(0)


def test_closures_and_missing_gradients():
    x, y = (nn.Parameter(torch.ones(1, dtype=F64)) for _ in range(2))
    for make in OPTIMIZERS.values():
        optimizer = make([x, y])
        x.grad = torch.ones(1, dtype=F64)
        assert optimizer.step(lambda: 3.0) == 3.0
        assert y.item() == 1.0
