"""How often ``predict`` at step 500 tells the outcome at step 5,000, on small 2-D GANs from initialisation.

    OMP_NUM_THREADS=1 python benchmarks/checks/predict_at_500.py [--arms r1] [--rates 1e-3] [--out FILE]

Fixed before the first run: 48 runs: unregularised, R1 (gamma 1), R3GAN (gamma 0.1) and WGAN-GP with one critic step,
each with RMSProp at 1e-3 and 1e-2, on circle, segments and gaussian with two seeds; MLPs with one hidden layer of 8
units, latents of 2, batches of 64. The six runs of a method and rate train at once, by ``training.seeds.train``; each
is predicted from as the run it is, optimiser memory included. The results in ``docs/results`` come from a stack of this
study's own, which drew weights and latents of all six from one stream, and ended all of them with the first that met
a value that is not finite: the same seeds now give other runs of the same distribution, and each ends for itself.

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
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from small import batches, mlp
from tightrope import losses, methods
from tightrope.data.toy import TOYS
from tightrope.dynamics import predict
from tightrope.methods import Method
from tightrope.metrics.transport import wasserstein1
from tightrope.optimizers.settings import Optimizer
from tightrope.training import Run, seeds
from tightrope.training.as_game import run_optimizers, run_step

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


def stack(arm: str, rate: float) -> list[dict[str, object]]:
    """The six runs of a method and rate; number ``2000 + s`` on the first distribution, ``2010 + s`` on the second."""
    cells = {FIRST_SEED + 10 * k + s: (data, FIRST_SEED + s) for k, data in enumerate(DATA) for s in range(SEEDS)}
    streams = {seed: torch.Generator().manual_seed(seed) for seed in cells}

    def draw(seed: int, n: int) -> Tensor:
        return TOYS[cells[seed][0]](n, streams[seed])

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        rng = torch.Generator().manual_seed(seed)
        return mlp((2, 8, 2), rng), mlp((2, 8, 1), rng)

    def measure(run: Run, seed: int) -> dict[str, Any]:
        with torch.no_grad():
            fake = run.generator(torch.randn(POINTS, 2, generator=streams[seed]))
        found: dict[str, Any] = {"w1": wasserstein1(draw(seed, POINTS), fake)}
        if run.step == FIRST:
            seen = predict(run_step(run, draw(seed, BATCH)), (run.generator, run.critic), run_optimizers(run))
            found |= {"verdict": seen.verdict, "factor": round(seen.rate, 6)}
        return found

    near = {end: range(end - 80, end + 1, 20) for end in (FIRST, LAST)}
    trained = seeds.train(
        method_of(arm, rate),
        networks,
        lambda seed: batches(partial(draw, seed), BATCH, 20_000, streams[seed]),
        cells,
        steps=LAST,
        batch_size=BATCH,
        latent=2,
        measure=measure,
        at=[step for steps in near.values() for step in steps],
        how="stack",
        ema_half_life_images=0.0,
    )
    rows: list[dict[str, object]] = []
    for one in trained:
        data, seed = cells[one.seed]
        at_first = one.measured.get(FIRST, {"verdict": "divergent", "factor": math.inf})
        early, late = (
            statistics.fmean(one.measured[step]["w1"] for step in steps) if steps[-1] in one.measured else math.inf
            for steps in near.values()
        )
        row = {"arm": arm, "data": data, "rate": rate, "seed": seed, "early": round(early, 4), "late": round(late, 4)}
        row |= {name: at_first[name] for name in ("verdict", "factor")}
        rows.append(row | {"outcome": "holds" if math.isfinite(late) and late <= early else "lost"})
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
