"""A plain PyTorch GAN on the digits; `with_tightrope.py` is the same loop with the library."""

import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope.data import open_data


def main(steps: int = 200) -> None:
    torch.manual_seed(0)
    data = open_data("digits")
    generator = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1))
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    c_adam = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))

    for step in range(steps):
        real = data.batch(torch.randint(len(data), (64,))).x
        fake = generator(torch.randn(64, 32)).detach()
        c_loss = softplus(-critic(real)).mean() + softplus(critic(fake)).mean()
        c_adam.zero_grad()
        c_loss.backward()
        c_adam.step()

        g_loss = softplus(-critic(generator(torch.randn(64, 32)))).mean()
        g_adam.zero_grad()
        g_loss.backward()
        g_adam.step()
        if step % 100 == 0:
            print(step, c_loss.item(), g_loss.item())


if __name__ == "__main__":
    main()
