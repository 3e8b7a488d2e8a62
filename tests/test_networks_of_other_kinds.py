"""Networks that are no plain Python modules with real weights: every function works or says one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tightrope import conditioning, constraints, critics, dynamics, methods, monitor, penalties, spectra, training
from tightrope._plumbing.errors import UserError
from tightrope.methods.game import game_of

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))


def mlp(inputs: int, outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))


class Complex(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inside, self.last = nn.Parameter(torch.randn(6, inputs, dtype=torch.cfloat)), nn.Linear(6, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last((x.to(torch.cfloat) @ self.inside.mT).abs())


def in_inference(inputs: int, outputs: int) -> nn.Module:
    with torch.inference_mode():
        return mlp(inputs, outputs)


KINDS: dict[str, Callable[[int, int], nn.Module]] = {
    "scripted": lambda i, o: torch.jit.script(mlp(i, o)),
    "traced": lambda i, o: torch.jit.trace(mlp(i, o), torch.randn(3, i)),
    "on meta": lambda i, o: mlp(i, o).to("meta"),
    "lazy": lambda i, o: nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.LazyLinear(o)),
    "complex": Complex,
    "made in inference mode": in_inference,
    "compiled": lambda i, o: torch.compile(mlp(i, o), backend="aot_eager"),
    "frozen": lambda i, o: mlp(i, o).requires_grad_(False),
}
Make = Callable[[int, int], nn.Module]


def trained(make: Make, name: str) -> Any:
    run = training.start(methods.build(name), make(4, 8), make(8, 1), seed=0, latent=4)
    return list(training.train(run, [X], steps=1))


def analysed(make: Make) -> Any:
    generator, critic = make(4, 8), make(8, 1)
    game = game_of(methods.build("r1"), generator, critic, X, latent=4)
    return dynamics.eigenvalues(game, (generator, critic), k=1, check=False)


JOBS: dict[str, Callable[[Make], Any]] = {
    "r1": lambda make: penalties.r1(make(8, 1), X),
    "gradient penalty": lambda make: penalties.gradient_penalty(make(8, 1), X, X + 1),
    "finite differences": lambda make: penalties.finite_difference_r1(make(8, 1), X),
    "clamping": lambda make: penalties.jacobian_clamping(make(4, 8), X[:, :4]),
    "interval": lambda make: critics.lipschitz_interval(make(8, 1), X, X + 1, steps=1),
    "spectra": lambda make: spectra.layer_spectra(make(8, 1), X),
    "conditioning": lambda make: conditioning.measure(make(4, 8), X[:, :4]),
    "spectral norm": lambda make: constraints.spectral_norm(make(8, 1)),
    "orthogonal": lambda make: constraints.orthogonal(make(8, 1)),
    "clipping": lambda make: constraints.clip_weights_(make(8, 1)),
    "training": lambda make: trained(make, "r1"),
    "consensus": lambda make: trained(make, "consensus"),
    "dynamics": analysed,
    "monitor": lambda make: monitor.Monitor(make(4, 8), make(8, 1), loss="hinge"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_works_or_says_one_sentence(kind, job):
    if kind == "compiled":
        torch._dynamo.reset()  # beyond a number of compilations it would leave the network as it is
    try:
        JOBS[job](KINDS[kind])
    except UserError as refused:
        assert str(refused).endswith(".") or job in ("spectral norm", "orthogonal", "clipping", "spectra"), refused
        assert "\n" not in str(refused), refused


@pytest.mark.parametrize("kind", ["scripted", "traced", "complex"])
def test_penalties_of_such_critics_are_those_of_differences(kind):
    critic = KINDS[kind](8, 1)
    if kind != "complex":
        critic, x = critic.double(), X.double()
    else:
        x = X
    step = 1e-5 if x.dtype == torch.float64 else 1e-2
    with torch.no_grad():
        slopes = [(critic(x + step * e) - critic(x - step * e)) / (2 * step) for e in torch.eye(8, dtype=x.dtype)]
    wanted = torch.cat(slopes, 1).square().sum(1).mean()
    torch.testing.assert_close(penalties.r1(critic, x, gamma=2).detach(), wanted, rtol=1e-2, atol=1e-3)
