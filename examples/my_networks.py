"""Your own two networks, your own loop, the library's method: metrics, averaging and stopping are the caller's.

python examples/my_networks.py
"""

import torch
from torch import nn

from tightrope import methods
from tightrope.data import Sampler, open_data
from tightrope.metrics import wasserstein1
from tightrope.monitor import signals
from tightrope.training import start, train


def main(steps: int = 400) -> float:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))
    critic = nn.Sequential(
        nn.Linear(2, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
    )

    data, test = open_data("toy:ring"), open_data("toy:ring", split="test")
    method = methods.build("r1", gamma=1.0, optimizer="adam", learning_rate=1e-3)
    run = start(method, generator, critic, seed=0, latent=8, shape=data.shape)

    probe = data.batch(torch.arange(64)).x
    for step in train(run, Sampler(data, 128, seed=0), steps=steps):
        if step.step % 100 == 0:
            row = signals(run, step, probe)
            print(step.step, {name: round(row[name], 3) for name in ("critic_loss", "gap", "input_gradient_norm_real")})

    with torch.no_grad():
        fake = run.average(run.latents(500))
    distance = wasserstein1(test.batch(torch.arange(500)).x, fake)
    print(f"Wasserstein-1 distance to held-out data: {distance:.3f}")
    return distance


if __name__ == "__main__":
    main()
