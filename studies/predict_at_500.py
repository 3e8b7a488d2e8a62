"""How often ``predict`` at step 500 tells the outcome at step 5,000, on small 2-D GANs from initialisation.

    OMP_NUM_THREADS=1 python studies/predict_at_500.py [--arms r1] [--rates 1e-3] [--out FILE]

Fixed before the first run: 48 runs: unregularised, R1 (gamma 1), R3GAN (gamma 0.1) and WGAN-GP with one critic step,
each with RMSProp at 1e-3 and 1e-2, on circle, segments and gaussian with two seeds; MLPs with one hidden layer of 8
units, latents of 2, batches of 64. The six runs of a method and rate train as one stacked network (``stacked.py``) and
are taken apart, optimiser memory included, to be predicted.

Prediction: the verdict of ``predict`` on one whole step at step 500, on one batch: convergent or marginal means
*holds*, divergent means *lost*. Outcome: *holds* if the exact Wasserstein-1 distance (256 points each, mean of 5
checkpoints 20 steps apart) at step 5,000 is at most that at step 500, else *lost*; values not finite are *lost*.
Reported: agreement with its 95 % Wilson interval, the share of the commoner outcome (what a constant guess reaches),
and the chance that of two runs with different outcomes the lost one had the larger predicted factor.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from stacked import StackedMLP, batches, begin
from tightrope import losses, methods
from tightrope.data.toy import TOYS
from tightrope.dynamics import predict
from tightrope.methods import Method
from tightrope.metrics.transport import wasserstein1
from tightrope.optimizers.settings import Optimizer
from tightrope.training import Run, train
from tightrope.training.as_game import run_optimizers, run_step
from tightrope.training.nonfinite import NonFiniteError

ARMS, DATA, RATES, SEEDS = (
    ("unregularised", "r1", "r3gan", "wgan_gp"),
    ("circle", "segments", "gaussian"),
    (1e-3, 1e-2),
    2,
)
BATCH, POINTS, FIRST, LAST, FIRST_SEED = 64, 256, 500, 5000, 2000


def method_of(name: str, rate: float) -> Method:
    settings = Optimizer("rmsprop", rate)
    if name == "unregularised":
        return Method(name, losses.non_saturating, settings, settings)
    options = {"r1": {"gamma": 1.0}, "r3gan": {"gamma": 0.1}, "wgan_gp": {"n_critic": 1}}[name]
    return replace(methods.build(name, **options), critic_optimizer=settings, generator_optimizer=settings)


def taken_apart(run: Run, k: int, runs: int) -> Run:
    """Run ``k`` of a stack as a run of its own; its gradients are ``runs`` times as large as in the stack's mean."""
    rng = torch.Generator().manual_seed(0)
    generator, critic = StackedMLP(1, (2, 8, 2), rng=rng), StackedMLP(1, (2, 8, 1), rng=rng, scores=True)
    alone = begin(run.method, generator, critic, latent=2, batch=BATCH, seed=0)
    pairs = ((alone.generator, run.generator, alone.generator_optimizer, run.generator_optimizer),
             (alone.critic, run.critic, alone.critic_optimizer, run.critic_optimizer))  # fmt: skip
    for own, stack, optimizer, memory in pairs:
        for p, q in zip(own.parameters(), stack.parameters(), strict=True):
            with torch.no_grad():
                p.copy_(q[k : k + 1])
            found = memory.state[q]
            optimizer.state[p] = {"step": found["step"].clone(), "square_avg": runs**2 * found["square_avg"][k : k + 1]}
    return alone


def stack(arm: str, rate: float) -> list[dict[str, object]]:
    cells = [(data, FIRST_SEED + s) for data in DATA for s in range(SEEDS)]
    rng = torch.Generator().manual_seed(FIRST_SEED)
    streams = [torch.Generator().manual_seed(s) for _, s in cells]
    draw = [lambda n, d=data, r=stream: TOYS[d](n, r) for (data, _), stream in zip(cells, streams, strict=True)]
    G = StackedMLP(len(cells), (2, 8, 2), rng=rng)
    D = StackedMLP(len(cells), (2, 8, 1), rng=rng, scores=True)
    run = begin(method_of(arm, rate), G, D, latent=2, batch=BATCH * len(cells), seed=FIRST_SEED)
    rows: list[dict[str, object]] = [{"arm": arm, "data": data, "rate": rate, "seed": seed} for data, seed in cells]
    near: dict[int, list[list[float]]] = {FIRST: [], LAST: []}
    try:
        for step in train(run, batches(draw, BATCH, 20_000, rng), steps=LAST):
            for end, found in near.items():
                if end - 80 <= step.step <= end and (end - step.step) % 20 == 0:
                    with torch.no_grad():
                        fake = G(torch.randn(len(cells) * POINTS, 2, generator=rng)).reshape(len(cells), POINTS, 2)
                    found.append([wasserstein1(d(POINTS), f) for d, f in zip(draw, fake, strict=True)])
            if step.step == FIRST:
                for k, row in enumerate(rows):
                    one = taken_apart(run, k, len(cells))
                    seen = predict(run_step(one, draw[k](BATCH)), (one.generator, one.critic), run_optimizers(one))
                    row |= {"verdict": seen.verdict, "factor": round(seen.rate, 6)}
    except NonFiniteError:  # ends all six runs of the stack
        near[LAST] = [[math.inf] * len(cells)]
    for k, row in enumerate(rows):
        early, late = (statistics.fmean(values[k] for values in near[end]) for end in (FIRST, LAST))
        row |= {"early": round(early, 4), "late": round(late, 4), "outcome": "holds" if late <= early else "lost"}
    return rows


def wilson(hits: int, n: int) -> tuple[float, float]:
    z = 1.959964
    p, scale = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / scale, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return round(middle - half, 3), round(middle + half, 3)


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    told = [("lost" if r["verdict"] == "divergent" else "holds") == r["outcome"] for r in rows]
    lost = [float(r["factor"]) for r in rows if r["outcome"] == "lost"]
    held = [float(r["factor"]) for r in rows if r["outcome"] == "holds"]
    pairs = [(a > b) + 0.5 * (a == b) for a in lost for b in held]
    return {
        "runs": len(rows),
        "told": sum(told),
        "share": round(sum(told) / len(rows), 3),
        "wilson_95": wilson(sum(told), len(rows)),
        "convergent_verdicts": sum(r["verdict"] != "divergent" for r in rows),
        "held": len(held),
        "commoner_outcome": round(max(len(held), len(lost)) / len(rows), 3),
        "lost_has_larger_factor": round(statistics.fmean(pairs), 3) if pairs else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = options.out is not None and options.out.exists()
    rows: list[dict[str, object]] = json.loads(options.out.read_text())["rows"] if known else []
    for arm in options.arms:
        for rate in options.rates:
            rows = [row for row in rows if (row["arm"], row["rate"]) != (arm, rate)] + stack(arm, rate)
            print(arm, rate, f"{time.process_time():.0f} s", json.dumps(summary(rows)), flush=True)
            if options.out:
                options.out.write_text(json.dumps({"summary": summary(rows), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
