"""The control of the conditioning study: decoders trained by likelihood have other spectra than generators of GANs.

    OMP_NUM_THREADS=1 python studies/vae_control.py [--seeds 5] [--steps 4000]

A variational autoencoder on the embedded digits whose decoder is the very network of criterion JC-2 in
``studies/jacobian_clamping.py`` (fully connected, 128-128, latent 16, batch 64, Adam 1e-3), with Gaussian likelihood
of standard deviation 0.3; and the linear decoder of probabilistic PCA, in closed form. Score: mean natural log
condition number of J^T J over 256 latents from the prior, network in float64. Writes docs/results/vae_control.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from tightrope import conditioning
from tightrope.data import open_data
from tightrope.networks import NETWORKS

LATENT, SIGMA, BATCH = 16, 0.3, 64
TRACK = (0, 50, 100, 200, 400, 800, 1200, 1600, 2000, 2400, 2800, 3200, 3600, 4000)
OUT = Path(__file__).parents[1] / "docs" / "results" / "vae_control.json"


def digits() -> Tensor:
    data = open_data("digits")
    return data.batch(torch.arange(len(data))).x


def measured(decoder: nn.Module) -> conditioning.Conditioning:
    z = torch.randn(256, LATENT, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return conditioning.measure(decoder, z, dtype=torch.float64)


def train(seed: int, steps: int) -> dict[str, object]:
    x = digits()
    rng = torch.Generator().manual_seed(seed)
    decoder = NETWORKS["mlp"].generator(tuple(x.shape[1:]), latent=LATENT, width=128, depth=2, rng=rng)
    encoder = NETWORKS["mlp"].generator((2 * LATENT,), latent=x[0].numel(), width=128, depth=2, rng=rng)
    adam = torch.optim.Adam([*decoder.parameters(), *encoder.parameters()], 1e-3)
    curve: list[float] = []
    for step in range(steps + 1):
        if step in TRACK:
            curve.append(measured(decoder).mean)
        batch = x[torch.randint(len(x), (BATCH,), generator=rng)]
        mean, log_std = encoder(batch.flatten(1)).chunk(2, 1)
        z = mean + log_std.exp() * torch.randn(mean.shape, generator=rng)
        reconstruction = (decoder(z) - batch).square().sum((1, 2, 3)) / (2 * SIGMA**2)
        divergence = 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum(1)
        adam.zero_grad()
        (reconstruction + divergence).mean().backward()
        adam.step()
    found = measured(decoder)
    return {
        "seed": seed,
        "score": found.mean,
        "quantiles": found.quantiles,
        "effective_rank": float(conditioning.effective_rank(found.values).mean()),
        "spectrum": [float(v) for v in found.mean_spectrum],
        "curve": curve,
        "loss": float((reconstruction + divergence).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    runs = [train(seed, options.steps) for seed in range(100, 100 + options.seeds)]
    eigenvalues = torch.linalg.eigvalsh(torch.cov(digits().flatten(1).double().mT)).flip(0)
    noise = eigenvalues[LATENT:].mean()
    gains = (eigenvalues[:LATENT] - noise).sqrt()
    scores = torch.tensor([run["score"] for run in runs], dtype=torch.float64)
    result = {
        "track": TRACK,
        "score": {"mean": float(scores.mean()), "sd": float(scores.std())},
        "linear": {"score": float(2 * (gains[0] / gains[-1]).log()), "spectrum": gains.tolist()},
        "runs": runs,
        "cpu_seconds": time.process_time() - began,
    }
    options.out.write_text(json.dumps(result) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "runs"}))


if __name__ == "__main__":
    main()
