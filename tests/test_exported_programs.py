"""Networks that are no Python any more, programs of torch.export and TorchScript: right, or refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tightrope import conditioning, constraints, critics, losses, methods, optimizers, penalties, spectra, training
from tightrope._plumbing.errors import UserError
from tightrope.monitor import Monitor
from tightrope.training.average import averaged_copy, update_average_

X, Y = torch.randn(8, 6), torch.randn(8, 6)


def plain(constrain: Any = None) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    return net if constrain is None else constrain(net)


def program(net: nn.Module) -> nn.Module:
    return torch.export.export(net, (X,)).module()


REFUSED = {
    "layer_spectra": lambda net: spectra.layer_spectra(net, X),
    "export": constraints.export,
    "remove": constraints.remove,
    "lipschitz_interval": lambda net: critics.lipschitz_interval(net, X, Y),
    "measure": lambda net: conditioning.measure(net, X),
    "soft_orthogonality": penalties.soft_orthogonality,
    "spectral_norm": constraints.spectral_norm,
    "start": lambda net: training.start(methods.build("r1"), nn.Linear(3, 6), net, seed=0, latent=3),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("constrain", [None, constraints.spectral_norm])
def test_what_needs_python_is_refused(name: str, constrain: Any) -> None:
    with pytest.raises(UserError):
        REFUSED[name](program(plain(constrain)))


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "soft_orthogonality"])
def test_torchscript_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        REFUSED[name](torch.jit.trace(plain(), X))


def test_an_estimate_wants_a_mode_that_a_program_does_not_have() -> None:
    with pytest.raises(UserError, match="Python for an estimate in evaluation mode"):
        critics.wasserstein_estimate(program(plain()), X, Y)
    net = plain()
    assert critics.wasserstein_estimate(torch.jit.trace(net, X), X, Y).raw == pytest.approx(
        critics.wasserstein_estimate(net, X, Y).raw, abs=1e-6
    )


def test_the_program_itself_is_no_module() -> None:
    whole = torch.export.export(plain(), (X,))
    for call in (lambda: penalties.r1(whole, X), lambda: penalties.gradient_penalty(whole, X, Y)):
        with pytest.raises(UserError, match=r"ExportedProgram; pass its \.module\(\)"):
            call()
    with pytest.raises(UserError, match="ExportedProgram"):
        averaged_copy(whole)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")  # torch about its own copying
def test_what_works_gives_what_the_module_gives() -> None:
    net = plain()
    for penalty in (penalties.r1, penalties.r2):
        torch.testing.assert_close(penalty(program(net), X, Y), penalty(net, X, Y))
    average = averaged_copy(program(net))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1.0)
    update_average_(average, program(net), 0.5)
    with torch.no_grad():
        for p in net.parameters():
            p.sub_(0.5)
    torch.testing.assert_close(average(X), net(X).detach())


def test_averages_of_scripts_are_refused() -> None:
    with pytest.raises(UserError, match="TorchScript"):
        averaged_copy(torch.jit.trace(plain(), X))


def test_a_monitor_watches_a_program() -> None:
    """A penalty of ten times the stated weight is found as with the module."""
    torch.manual_seed(1)
    generator, critic = nn.Linear(3, 6), program(plain())
    optimizers = tuple(torch.optim.Adam(net.parameters(), lr=1e-3) for net in (generator, critic))
    monitor = Monitor(generator, critic, losses.non_saturating, penalty=("r1", 1.0), optimizers=optimizers)
    for _ in range(40):
        fake, real = generator(torch.randn(8, 3)), torch.randn(8, 6)
        optimizers[1].zero_grad()
        penalty = penalties.r1(critic, real, gamma=10.0)
        (losses.non_saturating.critic(critic(real), critic(fake.detach())) + penalty).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        losses.non_saturating.generator(critic(generator(torch.randn(8, 3)))).backward()
        optimizers[0].step()
        monitor.step(real)
    found = monitor.diagnose()
    assert [finding.cause for finding in found] == ["penalty_weight_wrong"] and not found.not_checked


def test_an_optimiser_wants_parameters_not_a_script() -> None:
    with pytest.raises(UserError, match="pass network"):
        optimizers.ExtraAdam(torch.jit.trace(plain(), X))
