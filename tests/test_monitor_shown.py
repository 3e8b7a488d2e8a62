"""What the critic is shown and called with: order, scale, classes; constraints that are there and hold nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from monitor_loop import BATCH, CRITIC, LATENT, bce, ring
from monitor_setting import Setting
from monitor_styles import Conditional
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.pools import changed


class Painter(nn.Module):
    """Pictures ``[batch, 3, 4, 4]``."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(LATENT, 48)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.body(z)).unflatten(1, (3, 4, 4))


def pictures(n: int, rng: torch.Generator) -> Tensor:
    """Each channel has a mean of its own."""
    return (0.3 * torch.randn(n, 3, 4, 4, generator=rng) + torch.tensor([0.5, 0.0, -0.5])[:, None, None]).clamp(-1, 1)


def painted(show: Callable[[Tensor], Tensor], both: bool = False, held: bool = False, steps: int = 14) -> Diagnosis:
    rng = torch.Generator().manual_seed(0)
    d = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 1))
    s = Setting(g=Painter(), d=d, held_out=pictures(256, rng) if held else None)
    for _ in range(steps):
        real, z = pictures(BATCH, rng), torch.randn(BATCH, LATENT)
        fake = s.g(z).detach()
        s.opt_d.zero_grad()
        (bce(d(show(real)), 1.0) + bce(d(show(fake) if both else fake), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        fake = s.g(z)
        bce(d(show(fake) if both else fake), 1.0).backward()
        s.opt_g.step()
        s.monitor.step(real, z)
    assert not s.monitor.failures
    return s.monitor.diagnose()


@pytest.mark.parametrize("show", [lambda x: x.flip(1), lambda x: x.transpose(-1, -2).contiguous(),
                                  lambda x: x[:, [1, 0, 2]]])  # fmt: skip
def test_channels_in_another_order_are_named(show: Callable[[Tensor], Tensor]) -> None:
    assert painted(show)[0].cause == "channel_order"


@pytest.mark.parametrize("show", [lambda x: x.flip(1), lambda x: 0.3 * x])
def test_the_same_change_of_both_sides_is_none(show: Callable[[Tensor], Tensor]) -> None:
    assert painted(show, both=True, held=True).healthy


def test_scaled_real_rows_are_named_where_held_out_ones_are_not() -> None:
    found = painted(lambda x: 0.3 * x, held=True)[0]
    assert found.cause == "critic_shown_other_real" and abs(found.evidence["factor"] - 0.3) < 1e-4


def test_without_a_witness_a_scale_is_a_remark() -> None:
    assert painted(lambda x: 0.3 * x).healthy  # the user may have passed rows before normalisation


@pytest.mark.parametrize("show", [lambda x: x.flip(-1) if torch.rand(()) < 0.5 else x,
                                  lambda x: x + 0.05 * torch.randn_like(x), lambda x: x])  # fmt: skip
def test_augmented_rows_are_not_in_another_order(show: Callable[[Tensor], Tensor]) -> None:
    causes = [f.cause for f in painted(show, both=True) if f.confidence != "low"]
    assert "channel_order" not in causes and "critic_shown_other_real" not in causes


def test_changed_finds_the_factor_and_the_shift() -> None:
    x = torch.randn(16, 2, 5, dtype=torch.float64)
    kind, factor, shift = changed(-2.0 * x + 0.7, x)
    assert kind == "scale" and abs(factor + 2) < 1e-9 and abs(shift - 0.7) < 1e-9
    assert changed(x + 1e-3 * torch.randn_like(x), x)[0] == "" and changed(x, x)[0] == ""


def conditional(fake_as: Callable[[Tensor], Tensor], real_as: Callable[[Tensor], Tensor]) -> Diagnosis:
    torch.manual_seed(0)
    s = Setting("hinge", Conditional(LATENT, 2), Conditional(2, 1))
    for _ in range(14):
        real, z = ring(BATCH, s.rng), torch.randn(BATCH, LATENT)
        y = (torch.atan2(real[:, 1], real[:, 0]) / torch.pi * 2 + 2.2).long().clamp(0, 3)
        other = torch.randint(4, (BATCH,))
        s.opt_d.zero_grad()
        CRITIC["hinge"](s.d(real, real_as(y)), s.d(s.g(z, other).detach(), fake_as(other))).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(s.g(z, other), fake_as(other)).mean()).backward()
        s.opt_g.step()
        s.monitor.step(real, z, y)
    assert not s.monitor.failures
    return s.monitor.diagnose()


def same(y: Tensor) -> Tensor:
    return y


def test_classes_that_are_the_same_are_healthy() -> None:
    assert conditional(same, same).healthy


def test_samples_judged_under_other_classes_are_named() -> None:
    assert conditional(lambda y: torch.randint(4, y.shape), same)[0].cause == "labels_differ_between_players"


def test_real_samples_judged_under_other_classes_are_named() -> None:
    assert conditional(same, lambda y: y[torch.randperm(len(y))])[0].cause == "labels_unrelated"


class Scaled(nn.Module):
    """Multiplies."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@pytest.mark.parametrize(("factor", "cause"), [(100.0, "constraint_vacuous"), (1.0, "healthy")])
def test_scores_multiplied_behind_normalised_layers(factor: float, cause: str) -> None:
    norm = nn.utils.parametrizations.spectral_norm
    d = nn.Sequential(norm(nn.Linear(2, 16)), nn.ReLU(), norm(nn.Linear(16, 1)), Scaled(factor))
    s = Setting("hinge", d=d, penalty="spectral_norm")
    for real, z in s.updates(14):
        s.opt_d.zero_grad()
        CRITIC["hinge"](d(real), d(s.g(z).detach())).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-d(s.g(z)).mean()).backward()
        s.opt_g.step()
    assert s.monitor.diagnose()[0].cause == cause, str(s.monitor.diagnose())


@pytest.mark.parametrize(("name", "cause"), [("lr", "learning_rate_not_reached"), ("note", "healthy")])
def test_a_rate_written_beside_the_groups_is_named(name: str, cause: str) -> None:
    s = Setting()
    for group in s.opt_g.param_groups:
        group["lr"] = 1e-6
    setattr(s.opt_g, name, 1e-3)
    for real, z in s.updates(10):
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert s.monitor.diagnose()[0].cause == cause


def test_rates_are_read_by_group() -> None:
    s = Setting()
    groups = [{"params": s.g.parameters(), "lr": 1e-3}, {"params": s.d.parameters(), "lr": 1e-6}]
    optimizer = torch.optim.AdamW(groups, betas=(0.0, 0.9), weight_decay=0.0)
    optimizer.param_groups[1]["weight_decay"] = 5.0
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss="bce", every=5, optimizers=(optimizer, optimizer))
    for real, z in s.updates(6):
        optimizer.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        bce(s.d(s.g(z)), 1.0).backward(inputs=list(s.g.parameters()))
        optimizer.step()
    rates = {name: player.counters.rate for name, player in s.monitor.players.items()}
    assert rates == {"generator": 1e-3, "critic": 1e-6}
    assert s.monitor.history.windows[-1].critic.decay == 5.0 and s.monitor.history.windows[-1].generator.decay == 0.0
