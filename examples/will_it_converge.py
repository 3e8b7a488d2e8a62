"""Will my own two networks hold? Losses in, verdict out; run it by python examples/will_it_converge.py.

A small GAN is trained to near its equilibrium, then asked about three weights of R1 and two learning rates. Moduli
within a thousandth of one count as neutral: a flat critic leaves its hidden layer without any force.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope import penalties
from tightrope.dynamics import Prediction, eigenvalues, predict
from tightrope.optimizers import outer_step

Pair = tuple[nn.Module, nn.Module]


def my_networks() -> Pair:
    torch.manual_seed(0)
    generator = nn.Linear(1, 1)
    critic = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    return generator.double(), critic.double()


def my_losses(networks: Pair, z: torch.Tensor, real: torch.Tensor, gamma: float):
    """One function without arguments per player, on one fixed batch: exactly what my training loop minimises."""
    G, D = networks

    def generator_loss() -> torch.Tensor:
        return softplus(-D(G(z))).mean()

    def critic_loss() -> torch.Tensor:
        fake = G(z).detach()
        return softplus(-D(real)).mean() + softplus(D(fake)).mean() + penalties.r1(D, real, fake, gamma=gamma)

    return generator_loss, critic_loss


def main(steps: int = 1500) -> dict[tuple[float, float], Prediction]:
    z = torch.randn(64, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    networks, found = my_networks(), {}
    for gamma, rate in ((0.0, 0.1), (1.0, 0.1), (1.0, 2.0), (30.0, 0.1)):
        losses = my_losses(networks, z, 2 * z + 1, gamma)
        near = [torch.optim.SGD(player.parameters(), lr=0.1) for player in networks]
        settle = outer_step(my_losses(networks, z, 2 * z + 1, 1.0), networks, near)
        for _ in range(steps if not found else 0):
            settle()
        optimizers = [torch.optim.SGD(player.parameters(), lr=rate) for player in networks]
        step = outer_step(losses, networks, optimizers)
        found[gamma, rate] = predict(step, networks, optimizers, tolerance=1e-3)
        print(f"gamma {gamma:<5g} rate {rate:<4g} {found[gamma, rate]}")
    print("\nEigenvalues of the gradient field at gamma 1, furthest right first:")
    print(eigenvalues(my_losses(networks, z, 2 * z + 1, 1.0), networks, k=4))
    return found


if __name__ == "__main__":
    main()
