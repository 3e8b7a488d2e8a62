"""Criteria C4 and C5: seven methods and consensus optimisation on the paper's four 2-D distributions.

    OMP_NUM_THREADS=1 python studies/two_dimensional.py --arms r1 r2 [--steps 4000] [--seeds 5] [--out FILE]

Fixed before the first run: seeds 1000 to 1004, MLPs of 3 hidden layers of 64 units, leaky ReLU 0.2, latents of 8,
batches of 128, RMSProp 5e-4, gamma 1, clip 0.1, GP weight 10, 4,000 steps (the criteria were found with 8,000); exact
Wasserstein-1 between 512 generated and 512 fresh real points at the last 8 of 16 evenly spaced checkpoints, averaged;
the floor is the same distance between two real samples.

C4: on each of the singular three (line, circle, segments) unregularised W1 >= 1.8 x R1; on the Gaussian R1 within 25
% of unregularised; R1 and R2 within 25 % of each other everywhere (means over seeds).
C5: mean norm of the critic's gradient at the data after the last step: R1 and R3GAN <= 0.1, GP in [0.5, 1.5] on
Gaussian and circle, unregularised on the circle >= 10.

All runs of an arm train as one stacked network. Results are merged into FILE arm by arm.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from stacked import StackedMLP, batches, begin
from tightrope import losses, methods
from tightrope.data.toy import TOYS
from tightrope.methods import Method
from tightrope.metrics.transport import wasserstein1
from tightrope.optimizers.settings import Optimizer
from tightrope.training import train

NAMES = ("gaussian", "line", "circle", "segments")
OPTIMIZER = Optimizer("rmsprop", 5e-4)
POINTS, CHECKPOINTS, BATCH, LATENT, HIDDEN = 512, 16, 128, 8, (64, 64, 64)


def arm(name: str, runs: int) -> Method:
    def built(method: str, **options: object) -> Method:
        from dataclasses import replace

        return replace(methods.build(method, **options), critic_optimizer=OPTIMIZER, generator_optimizer=OPTIMIZER)

    if name == "unregularised":
        return Method(name, losses.non_saturating, OPTIMIZER, OPTIMIZER)
    if name == "consensus":  # the squared field of a mean over runs is a runs-th of each run's own
        return built("consensus", gamma=10.0 * runs)
    return {
        "r1": lambda: built("r1", gamma=1.0),
        "r2": lambda: built("r1", gamma=1.0, at="fake"),
        "r3gan": lambda: built("r3gan", gamma=1.0),
        "gp1": lambda: built("wgan_gp", n_critic=1),
        "gp5": lambda: built("wgan_gp", n_critic=5),
        "clip": lambda: built("wgan", bound=0.1),
    }[name]()


ARMS = ("unregularised", "r1", "r2", "r3gan", "gp1", "gp5", "clip", "consensus")


def run_arm(name: str, steps: int, seeds: int) -> dict[str, object]:
    rng = torch.Generator().manual_seed(1000)
    cells = [(data, 1000 + s) for data in NAMES for s in range(seeds)]
    streams = [torch.Generator().manual_seed(s) for _, s in cells]
    draw = [lambda n, d=data, r=stream: TOYS[d](n, r) for (data, _), stream in zip(cells, streams, strict=True)]
    G = StackedMLP(len(cells), (LATENT, *HIDDEN, 2), rng=rng)
    D = StackedMLP(len(cells), (2, *HIDDEN, 1), rng=rng, scores=True)
    run = begin(arm(name, len(cells)), G, D, latent=LATENT, batch=BATCH * len(cells), seed=1000)
    trail: list[list[float]] = [[] for _ in cells]
    began = time.process_time()
    for step in train(run, batches(draw, BATCH, 20_000, rng), steps=steps):
        if step.step % (steps // CHECKPOINTS) == 0 and step.step > steps // 2:
            with torch.no_grad():
                fake = G(torch.randn(len(cells) * POINTS, LATENT, generator=rng)).reshape(len(cells), POINTS, 2)
            for k, d in enumerate(draw):
                trail[k].append(wasserstein1(d(POINTS), fake[k]))
    x = torch.cat([d(POINTS) for d in draw]).requires_grad_()
    (slopes,) = torch.autograd.grad(D(x).sum(), x)
    norms = slopes.norm(dim=1).reshape(len(cells), POINTS).mean(1).tolist()
    tails = [statistics.fmean(t) for t in trail]
    rows = {
        data: {
            "w1": [round(t, 5) for (d, _), t in zip(cells, tails, strict=True) if d == data],
            "slope_at_data": [round(t, 5) for (d, _), t in zip(cells, norms, strict=True) if d == data],
        }
        for data in NAMES
    }
    return {"steps": steps, "seeds": seeds, "cpu_seconds": round(time.process_time() - began, 1), "data": rows}


def floors(seeds: int = 20) -> dict[str, float]:
    rng = torch.Generator().manual_seed(999)
    return {
        d: statistics.fmean(wasserstein1(TOYS[d](POINTS, rng), TOYS[d](POINTS, rng)) for _ in range(seeds))
        for d in NAMES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.arms:
        result = run_arm(name, options.steps, options.seeds)
        print(name, json.dumps(result), flush=True)
        if options.out:
            known = json.loads(options.out.read_text()) if options.out.exists() else {"floors": floors(), "arms": {}}
            known["arms"][name] = result
            options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
