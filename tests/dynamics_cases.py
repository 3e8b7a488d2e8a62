"""Small games that several test files analyse."""

from __future__ import annotations

import torch
from torch import nn

from tightrope import losses, penalties, toys
from tightrope.penalties import Penalty

F64 = torch.float64


def mlp_game(seed=0, *, gamma=0.5, detach=False, batch=12, width=5, dim=2):
    """A small smooth GAN: losses, players."""
    rng = torch.Generator().manual_seed(seed)
    generator = nn.Sequential(nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, dim)).to(F64)
    critic = nn.Sequential(nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, 1)).to(F64)
    with torch.no_grad():
        for p in [*generator.parameters(), *critic.parameters()]:
            p.copy_(torch.randn(p.shape, generator=rng, dtype=F64) * 0.6)
    z, real = (torch.randn(batch, dim, generator=rng, dtype=F64) for _ in range(2))

    def generator_loss():
        return losses.non_saturating.generator(critic(generator(z)))

    def critic_loss():
        fake = generator(z).detach() if detach else generator(z)
        total = losses.non_saturating.critic(critic(real), critic(fake))
        return total + penalties.r1(critic, real, fake, gamma=gamma) + penalties.r2(critic, real, fake, gamma=gamma)

    return (generator_loss, critic_loss), (generator, critic)


def bilinear(seed, m=7, n=5, gamma=0.4, loss=losses.minimax):
    """A random n-dimensional game of known Jacobian: ``[[0, a P^T], [-a P, -gamma I]]`` in this library's sign."""
    P = torch.randn(m, n, generator=torch.Generator().manual_seed(seed), dtype=F64)
    made = toys.dirac_gan(
        loss, theta=[0.0] * n, psi=[0.0] * m, coupling=P, penalties=(Penalty(penalties.r1, {"gamma": gamma}),)
    )
    a = 1.0 if loss is losses.wasserstein else 0.5
    J = torch.cat(
        (
            torch.cat((torch.zeros(n, n, dtype=F64), a * P.T), 1),
            torch.cat((-a * P, -gamma * torch.eye(m, dtype=F64)), 1),
        )
    )
    return made, J


def tensors_of(players):
    return [p for player in players for p in player.parameters()]


def differences(function, tensors, epsilon=1e-6):
    """Jacobian of ``function() -> [m]`` by central differences over every entry of ``tensors``."""
    columns = []
    with torch.no_grad():
        for t in tensors:
            for i in range(t.numel()):
                flat = t.view(-1)
                before = flat[i].item()
                flat[i] = before + epsilon
                with torch.enable_grad():
                    ahead = function().detach().clone()
                flat[i] = before - epsilon
                with torch.enable_grad():
                    behind = function().detach().clone()
                flat[i] = before
                columns.append((ahead - behind) / (2 * epsilon))
    return torch.stack(columns, 1)
