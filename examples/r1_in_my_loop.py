"""Door 1: one penalty in an existing loop. Only the line marked is new.

python examples/r1_in_my_loop.py
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope import penalties


def main(steps: int = 300) -> float:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
    critic = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    g_adam = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    c_adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))

    for _ in range(steps):
        angle = 6.2832 * torch.rand(128)
        real = torch.stack((angle.cos(), angle.sin()), dim=1)
        fake = generator(torch.randn(128, 4)).detach()
        loss = softplus(-critic(real)).mean() + softplus(critic(fake)).mean()
        loss = loss + penalties.r1(critic, real, fake, gamma=1.0)  # <- swap for penalties.gradient_penalty(...)
        c_adam.zero_grad()
        loss.backward()
        c_adam.step()

        loss = softplus(-critic(generator(torch.randn(128, 4)))).mean()
        g_adam.zero_grad()
        loss.backward()
        g_adam.step()

    radius = generator(torch.randn(2000, 4)).norm(dim=1).mean().item()
    print(f"mean radius of the samples: {radius:.3f} (the circle's is 1)")
    return radius


if __name__ == "__main__":
    main()
