"""One optimiser that steps both players: in groups, by turns or at once; whose step it is, the gradients tell."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from monitor_loop import mlp, ring
from tightrope._plumbing.errors import UserTypeError
from tightrope.monitor import Monitor
from tightrope.monitor.preflight import preflight
from tightrope.monitor.what_if.game import game_of

KINDS = {
    "adam": lambda groups: torch.optim.Adam(groups, 1e-3, betas=(0.5, 0.9)),
    "sgd": lambda groups: torch.optim.SGD(groups, 1e-2, momentum=0.5),
}


def watched(
    turns: str = "ccg", *, sign: float = 1.0, clear: bool = True, say: bool = True, kind: str = "adam",
    to_none: bool = True, steps: int = 24, loss: str = "non_saturating",
) -> tuple[Monitor, torch.optim.Optimizer]:  # fmt: skip
    """A loop by turns; without ``clear`` the critic keeps what the generator's backward pass brings it."""
    torch.manual_seed(0)
    generator, critic, rng = mlp(4, 16, 2), mlp(2, 16, 1), torch.Generator().manual_seed(1)
    optimizer = KINDS[kind]([{"params": generator.parameters(), "lr": 5e-4}, {"params": critic.parameters()}])
    given = {"optimizers": optimizer} if say else {}
    monitor = Monitor(generator, critic, loss, every=5, budget=1e9, **given)
    for _ in range(steps):
        for turn in turns:
            real, z = ring(32, rng), torch.randn(32, 4)
            optimizer.zero_grad(set_to_none=to_none)
            if turn == "c":
                (softplus(-critic(real)) + softplus(critic(generator(z).detach()))).mean().backward()
            else:
                (sign * softplus(-critic(generator(z))).mean()).backward()
                if clear:
                    critic.zero_grad(set_to_none=to_none)
            optimizer.step()
        monitor.step(real, z)
    return monitor, optimizer


def steps_of(monitor: Monitor) -> tuple[int, int]:
    return monitor.history.counters["critic"].steps, monitor.history.counters["generator"].steps


@pytest.mark.parametrize("say", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to_none", [True, False])
def test_whose_gradient_is_applied_is_stepped(say: bool, kind: str, to_none: bool) -> None:
    monitor, _ = watched(say=say, kind=kind, to_none=to_none)
    assert steps_of(monitor) == (48, 24)
    assert monitor.diagnose().healthy and not monitor.failures
    assert {a.kind for w in monitor.history.windows for a in w.critic.accounts} == {"losses"}
    assert all(w.generator.fit is not None and w.generator.fit.kind == "claim" for w in monitor.history.windows)
    assert {w.generator.rate for w in monitor.history.windows} == {5e-4}


def test_faults_are_found_as_with_two() -> None:
    assert watched(sign=-1.0)[0].diagnose()[0].cause == "generator_sign_flipped"
    assert watched("cggg")[0].diagnose()[0].cause == "n_critic_swapped"
    assert watched(loss="wasserstein")[0].diagnose()[0].cause == "critic_loss_other"


def test_the_critic_moved_by_the_generators_loss_is_said() -> None:
    found = watched(clear=False)[0]
    assert steps_of(found) == (72, 24)
    said = found.diagnose()[0]
    assert (said.cause, said.confidence) == ("generator_gradient_in_critic", "high"), said
    assert "1 of its 3 steps" in said.sentence
    assert watched("cg", clear=False)[0].diagnose()[0].cause == "generator_gradient_in_critic"


def test_both_at_once() -> None:
    torch.manual_seed(0)
    generator, critic, rng = mlp(4, 16, 2), mlp(2, 16, 1), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam([*generator.parameters(), *critic.parameters()], 1e-3, betas=(0.5, 0.9))
    monitor = Monitor(generator, critic, "non_saturating", optimizers=optimizer, every=5, budget=1e9)
    for _ in range(24):
        real, z = ring(32, rng), torch.randn(32, 4)
        optimizer.zero_grad()
        fake = generator(z)
        softplus(-critic(fake)).mean().backward()
        critic.zero_grad()
        (softplus(-critic(real)) + softplus(critic(fake.detach()))).mean().backward()
        optimizer.step()
        monitor.step(real, z)
    assert steps_of(monitor) == (24, 24)
    assert monitor.diagnose().healthy and not monitor.failures


def test_preflight_counts_each_player_alone() -> None:
    generator, critic, rng = mlp(4, 16, 2), mlp(2, 16, 1), torch.Generator().manual_seed(1)
    both = torch.optim.Adam([*generator.parameters(), *critic.parameters()], 1e-3)
    found = preflight(generator, critic, ring(32, rng), loss="hinge", optimizers=both, z=torch.randn(32, 4))
    assert found.healthy, found
    alone = torch.optim.Adam(critic.parameters(), 1e-3)
    found = preflight(generator, critic, ring(32, rng), loss="hinge", optimizers=alone, z=torch.randn(32, 4))
    assert found[0].cause == "generator_not_stepped", found


def test_a_copy_steps_each_player_by_its_own_part() -> None:
    monitor, optimizer = watched(steps=40)
    before = copy.deepcopy(optimizer.state_dict())
    state = game_of(monitor).copied()
    for player, network in (("generator", state.generator), ("critic", state.critic)):
        (own,) = state.optimizers[player]
        assert {id(p) for group in own.param_groups for p in group["params"]} == {id(p) for p in network.parameters()}
        assert [group["lr"] for group in own.param_groups] == [5e-4 if player == "generator" else 1e-3]
        assert all(p in own.state for p in network.parameters())
    still = [p.detach().clone() for p in state.critic.parameters()]
    for p in (*state.critic.parameters(), *state.generator.parameters()):
        p.grad = torch.ones_like(p)
    state.optimizers["generator"][0].step()
    assert all(torch.equal(a, b) for a, b in zip(still, state.critic.parameters(), strict=True))
    assert repr(before) == repr(optimizer.state_dict())


def test_what_is_no_optimiser_is_refused() -> None:
    with pytest.raises(UserTypeError, match=r"as a pair .* or one that steps both, got a Linear"):
        Monitor(mlp(4, 16, 2), mlp(2, 16, 1), "hinge", optimizers=nn.Linear(2, 2))
