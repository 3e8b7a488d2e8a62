"""Keep somebody else's critic Lipschitz: one call, any network; train; hand on plain weights with the same outputs.

python examples/constrain_my_critic.py
"""

import torch
from torch import nn

from tightrope import constraints
from tightrope.networks import GroupSort


def my_critic() -> nn.Sequential:
    """Wide, strided, grouped: whatever you have."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), GroupSort(2),
        nn.Conv2d(8, 16, 4, stride=2, padding=1, groups=2), GroupSort(2),
        nn.Flatten(), nn.Linear(16 * 16, 1),
    )  # fmt: skip


def main(steps: int = 60) -> dict[str, float]:
    torch.manual_seed(0)
    choices = {
        "spectral norm of the kernel": lambda c: constraints.spectral_norm(c),
        "spectral norm of the operator": lambda c: constraints.spectral_norm(c, "operator", input_shape=(1, 8, 8)),
        "orthogonal kernel": lambda c: constraints.orthogonal(c),
        "orthogonal operator": lambda c: constraints.orthogonal(c, norm="operator", input_shape=(1, 8, 8)),
    }
    real, fake = torch.randn(64, 1, 8, 8) + 0.3, torch.randn(64, 1, 8, 8)
    estimates = {}
    for name, constrain in choices.items():
        critic = constrain(my_critic())  # before the optimiser is built
        adam = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
        for _ in range(steps):
            loss = critic(fake).mean() - critic(real).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        plain = constraints.export(critic.eval())  # no parametrisation left: deploy, convert, save as you like
        difference = (plain(real) - critic(real)).abs().max().item()
        estimates[name] = (plain(real).mean() - plain(fake).mean()).item()
        print(
            f"{name:<32} estimate {estimates[name]:.3f} (the means are 2.4 apart), export differs by {difference:.1e}"
        )
    print("\nper layer, what the last one achieved:")
    for layer, words in constraints.constrained_layers(critic).items():
        print(f"  {layer}: {words}")
    return estimates


if __name__ == "__main__":
    main()
