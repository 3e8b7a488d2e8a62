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

All runs of an arm train at once, by ``training.seeds.train``. Results are merged into FILE arm by arm. Those in
``docs/results/two_dimensional.json`` come from a stack of this study's own, which drew weights and latents of all runs
from one stream: the same seeds now give other runs of the same distribution.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from small import batches, mlp
from tightrope import losses, methods, training
from tightrope.data.toy import TOYS
from tightrope.methods import Method
from tightrope.metrics.transport import wasserstein1
from tightrope.optimizers.settings import Optimizer

NAMES = ("gaussian", "line", "circle", "segments")
OPTIMIZER = Optimizer("rmsprop", 5e-4)
POINTS, CHECKPOINTS, BATCH, LATENT, HIDDEN = 512, 16, 128, 8, (64, 64, 64)


def arm(name: str) -> Method:
    def built(method: str, **options: object) -> Method:
        return replace(methods.build(method, **options), critic_optimizer=OPTIMIZER, generator_optimizer=OPTIMIZER)

    if name == "unregularised":
        return Method(name, losses.non_saturating, OPTIMIZER, OPTIMIZER)
    return {
        "r1": lambda: built("r1", gamma=1.0),
        "r2": lambda: built("r1", gamma=1.0, at="fake"),
        "r3gan": lambda: built("r3gan", gamma=1.0),
        "gp1": lambda: built("wgan_gp", n_critic=1),
        "gp5": lambda: built("wgan_gp", n_critic=5),
        "clip": lambda: built("wgan", bound=0.1),
        "consensus": lambda: built("consensus"),
    }[name]()


ARMS = ("unregularised", "r1", "r2", "r3gan", "gp1", "gp5", "clip", "consensus")


def run_arm(name: str, steps: int, seeds: int) -> dict[str, object]:
    """All runs of an arm, number ``1000 + s`` on the first distribution, ``1100 + s`` on the second and so on."""
    cells = {1000 + 100 * k + s: data for k, data in enumerate(NAMES) for s in range(seeds)}
    streams = {seed: torch.Generator().manual_seed(seed) for seed in cells}

    def draw(seed: int, n: int) -> Tensor:
        return TOYS[cells[seed]](n, streams[seed])

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        rng = torch.Generator().manual_seed(seed)
        return mlp((LATENT, *HIDDEN, 2), rng), mlp((2, *HIDDEN, 1), rng)

    def measure(run: training.Run, seed: int) -> tuple[float, float]:
        with torch.no_grad():
            fake = run.generator(torch.randn(POINTS, LATENT, generator=streams[seed]))
        x = draw(seed, POINTS).requires_grad_()
        (slopes,) = torch.autograd.grad(run.critic(x).sum(), x)
        return wasserstein1(draw(seed, POINTS), fake), float(slopes.norm(dim=1).mean())

    began = time.process_time()
    each = steps // CHECKPOINTS
    trained = training.seeds.train(
        arm(name),
        networks,
        lambda seed: batches(partial(draw, seed), BATCH, 20_000, streams[seed]),
        cells,
        steps=steps,
        batch_size=BATCH,
        latent=LATENT,
        measure=measure,
        at=[step for step in range(each, steps + 1, each) if step > steps // 2],
        how="stack",
        ema_half_life_images=0.0,
    )
    rows: dict[str, dict[str, list[float]]] = {data: {"w1": [], "slope_at_data": []} for data in NAMES}
    for one in trained:
        lost = one.error is not None
        tail = [w1 for w1, _ in one.measured.values()]
        rows[cells[one.seed]]["w1"].append(math.inf if lost else round(statistics.fmean(tail), 5))
        slope = math.nan if lost else round(one.measured[max(one.measured)][1], 5)
        rows[cells[one.seed]]["slope_at_data"].append(slope)
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
