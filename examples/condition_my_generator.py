"""Door 1: how does my generator stretch latent space, and what does Jacobian clamping change? Marked lines are new.

python examples/condition_my_generator.py
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope import conditioning, penalties


def train(clamp: bool, steps: int) -> nn.Module:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    critic = nn.Sequential(nn.Linear(8, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    c_adam = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.5, 0.999))
    mixing = torch.randn(4, 8)
    gain = conditioning.reference_gain(torch.randn(2000, 4) @ mixing, latent=4)  # <- the data's own scale

    for _ in range(steps):
        real = torch.randn(64, 4) @ mixing
        fake = generator(torch.randn(64, 4)).detach()
        loss = softplus(-critic(real)).mean() + softplus(critic(fake)).mean()
        c_adam.zero_grad()
        loss.backward()
        c_adam.step()

        z = torch.randn(64, 4)
        loss = softplus(-critic(generator(z))).mean()
        if clamp:
            loss = loss + penalties.jacobian_clamping(generator, z, low=0.4 * gain, high=4 * gain)  # <-
        g_adam.zero_grad()
        loss.backward()
        g_adam.step()
    return generator


def main(steps: int = 500) -> dict[str, conditioning.Conditioning]:
    z = torch.randn(256, 4, generator=torch.Generator().manual_seed(1))
    found = {}
    for name, clamp in (("plain", False), ("clamped", True)):
        generator = train(clamp, steps)
        found[name] = conditioning.measure(generator, z)  # <- leaves the network as it was
        low, median, high = found[name].quantiles[0], found[name].quantiles[2], found[name].quantiles[-1]
        print(f"{name:8} log condition number of J^T J: median {median:.2f}, 5 to 95 % {low:.2f} to {high:.2f}")
        values, _ = conditioning.latent_directions(generator, z[0])
        print(f"{'':8} gains at one latent: {[round(v, 2) for v in values.tolist()]}")
    return found


if __name__ == "__main__":
    main()
