"""The GAN of `plain.py` with R1, an averaged generator, a non-finite check and signals worth logging."""

import torch
from torch import nn

from tightrope import methods
from tightrope.data import Sampler, open_data
from tightrope.monitor import signals
from tightrope.training import start, train


def main(steps: int = 200) -> None:
    torch.manual_seed(0)
    data = open_data("digits")
    generator = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    critic = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1))
    method = methods.build("r1", gamma=1.0, optimizer="adam", learning_rate=2e-4, betas=(0.5, 0.999))
    run = start(method, generator, critic, seed=0, latent=32, shape=data.shape)

    probe = data.batch(torch.arange(64)).x
    for step in train(run, Sampler(data, 64, seed=0), steps=steps):
        if step.step % 100 == 0:
            print(step.step, signals(run, step, probe))


if __name__ == "__main__":
    main()
