"""Criteria C1, C2, C3 and C6: parallel lines, gradients through depth, loss against quality, 25 Gaussians.

    OMP_NUM_THREADS=1 python studies/wasserstein.py C1 C2 C3 C3R C6 C6R [--seeds 5] [--out FILE]

Fixed before the first run; fresh seeds 3000, 3001, ...; all seeds of an arm train as one stacked network.

C1: lines at theta in {-1, -.6, -.3, -.1, 0, .1, .3, .6, 1}, critic of two hidden layers of 64, 1,500 steps, batches
of 64: WGAN-GP (Adam 1e-3, betas .5, .9), clipping at 0.1 (RMSProp 1e-3), logistic (Adam 1e-3). GP: Pearson
correlation of the estimate with |theta| >= .99 and relative error <= 10 % for |theta| >= .1; clip: Pearson >= .97;
logistic JS estimate >= .65 for all theta but 0, where it is <= .02.
C2: critic of 12 layers of 128 ReLU units between the swiss roll and itself plus N(0, 1), 800 steps, batches of 128.
Slope per layer of log10 of the gradient norm at the activations: clip .001 and .01 >= .5, clip .1 <= -.3, GP within
.15 of 0.
C3: circle, 3 hidden layers of 64, generator's output starting 3 to the right, five critic steps, 1,200 steps (the
criterion was found with 3,000), 30 checkpoints. WGAN-GP and clip .1: Spearman correlation of loss and exact W1 >= .7
and loss last/first <= .6; non-saturating: JS estimate last/first >= 2 (first and last: means of five checkpoints).
C3R (registered after C3 had failed at 1,200 steps and before it was run): the same with the criterion's 3,000 steps,
RMSProp 5e-4 for all three arms as in C4, and first and last being single checkpoints.
C6: 25 Gaussians, 3 hidden layers of 64, Adam (5e-4, 0, .99), gamma .1, 3,000 steps (the criterion was found with
10,000): exact W1 of 512 points, mean over the last 4 of 8 checkpoints; every regularised arm <= .8 x unregularised.
C6R (registered after C6 had just failed at 3,000 steps and before it was run): the same with the criterion's 10,000.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from stacked import StackedMLP, batches, begin
from tightrope import constraints, losses, methods, penalties
from tightrope.data.toy import TOYS
from tightrope.methods import Alternating, Method, Projection
from tightrope.methods.game import critic_objective
from tightrope.metrics.transport import wasserstein1
from tightrope.optimizers.settings import Optimizer, UpdateRule
from tightrope.penalties import Penalty
from tightrope.training import train

FIRST_SEED = 3000
GP = (Penalty(penalties.gradient_penalty, {"weight": 10.0}),)
THETAS = (-1.0, -0.6, -0.3, -0.1, 0.0, 0.1, 0.3, 0.6, 1.0)


def gp(optimizer: UpdateRule) -> Method:
    return Method("gp", losses.wasserstein, optimizer, optimizer, penalties=GP)


def clip(bound: float, rate: float) -> Method:
    optimizer = Optimizer("rmsprop", rate)
    project = partial(constraints.clip_weights_, bound=bound)
    return Method("clip", losses.wasserstein, optimizer, optimizer, projection=Projection(project))


def logistic(optimizer: UpdateRule) -> Method:
    return Method("logistic", losses.non_saturating, optimizer, optimizer)


def train_critic(method: Method, critic: StackedMLP, draw: Callable[[], tuple[Tensor, Tensor]], steps: int) -> None:
    optimizer = method.critic_optimizer.build(critic.parameters())
    rng = torch.Generator().manual_seed(FIRST_SEED)
    if method.projection is not None:
        method.projection(critic)
    for _ in range(steps):
        optimizer.zero_grad()
        critic_objective(method, critic, *draw(), rng=rng).total.backward()
        optimizer.step()
        if method.projection is not None:
            method.projection(critic)


def c1(seeds: int) -> dict[str, object]:
    adam = Optimizer("adam", 1e-3, (0.5, 0.9))
    theta = torch.tensor(THETAS).repeat_interleave(seeds)  # run = 9 distances x seeds
    out: dict[str, object] = {}
    for name, method in {"gp": gp(adam), "clip": clip(0.1, 1e-3), "logistic": logistic(adam)}.items():
        rng = torch.Generator().manual_seed(FIRST_SEED)
        critic = StackedMLP(len(theta), (2, 64, 64, 1), rng=rng, scores=True)

        def draw(n: int = 64, rng: torch.Generator = rng) -> tuple[Tensor, Tensor]:
            u, w = torch.rand(2, len(theta), n, generator=rng)
            real = torch.stack([torch.zeros_like(u), u], -1)
            fake = torch.stack([theta[:, None].expand_as(w), w], -1)
            return real.flatten(0, 1), fake.flatten(0, 1)

        train_critic(method, critic, draw, 1500)
        with torch.no_grad():
            real, fake = draw(2000)
            a, b = (critic(x).reshape(len(theta), -1) for x in (real, fake))
            if name == "logistic":
                value = math.log(2) - 0.5 * (torch.nn.functional.softplus(-a) + torch.nn.functional.softplus(b)).mean(1)
            else:
                value = a.mean(1) - b.mean(1)
        table = value.reshape(len(THETAS), seeds)
        distance = torch.tensor(THETAS).abs()
        out[name] = {
            "by_theta": [round(float(row.mean()), 4) for row in table],
            "pearson": [round(float(pearsonr(distance, table[:, s])[0]), 4) for s in range(seeds)],
            "worst_relative_error": round(
                max(float(((row - t) / t).abs().max()) for row, t in zip(table, distance, strict=True) if t > 0.05), 4
            ),
            "least_away_from_0": round(float(table[distance > 0].min()), 4),
            "largest_at_0": round(float(table[len(THETAS) // 2].max()), 4),
        }
    return out


def c2(seeds: int) -> dict[str, object]:
    arms = {
        "clip_0.001": clip(1e-3, 5e-5),
        "clip_0.01": clip(1e-2, 5e-5),
        "clip_0.1": clip(1e-1, 5e-5),
        "gp": gp(Optimizer("adam", 1e-4, (0.5, 0.9))),
    }
    out: dict[str, object] = {}
    for name, method in arms.items():
        rng = torch.Generator().manual_seed(FIRST_SEED)
        critic = StackedMLP(seeds, (2, *[128] * 12, 1), rng=rng, slope=0.0, scores=True)

        def draw(rng: torch.Generator = rng) -> tuple[Tensor, Tensor]:
            real = TOYS["swissroll"](2 * 128 * seeds, rng)
            return real[: 128 * seeds], real[128 * seeds :] + torch.randn(128 * seeds, 2, generator=rng)

        train_critic(method, critic, draw, 800)
        real, fake = draw()
        total, norms = 0.0, []
        hidden = [list(critic.layers(x.requires_grad_())) for x in (real, fake)]
        total = hidden[1][-1].mean() - hidden[0][-1].mean()
        for pair in zip(*(layers[:-1] for layers in hidden), strict=True):
            found = torch.autograd.grad(total, pair, retain_graph=True)
            norms.append(torch.cat(found, 1).flatten(1).norm(dim=1))
        levels = torch.stack(norms).log10()
        slopes, vanished = [], []
        for column in levels.T:  # layers whose gradient is exactly zero in float32 are counted, not fitted
            at = torch.isfinite(column).nonzero().flatten().float()
            y = column[torch.isfinite(column)]
            slopes.append(round(float(((at - at.mean()) * y).sum() / (at - at.mean()).square().sum()), 3))
            vanished.append(len(column) - len(y))
        out[name] = {"slope": slopes, "layers_at_zero": vanished}
    return out


def gan(method: Method, data: str, seeds: int, steps: int, checkpoints: int, *, offset: float = 0.0, points: int = 512):
    """Losses of the critic and W1 at each checkpoint, ``[checkpoints][seeds]`` each."""
    rng = torch.Generator().manual_seed(FIRST_SEED)
    rngs = [torch.Generator().manual_seed(FIRST_SEED + s) for s in range(seeds)]
    draw = [lambda n, r=r: TOYS[data](n, r) for r in rngs]
    G = StackedMLP(seeds, (8, 64, 64, 64, 2), rng=rng)
    with torch.no_grad():
        G.biases[-1][..., 0] = offset
    D = StackedMLP(seeds, (2, 64, 64, 64, 1), rng=rng, scores=True)
    run = begin(method, G, D, latent=8, batch=128 * seeds, seed=FIRST_SEED)
    values, distances = [], []
    recent: list[Tensor] = []
    for step in train(run, batches(draw, 128, 20_000, rng), steps=steps):
        now = step.critic.objective
        assert now.d_real is not None
        recent.append(torch.stack([now.d_real.reshape(seeds, -1), now.d_fake.reshape(seeds, -1)]))
        if step.step % (steps // checkpoints) == 0:
            a, b = torch.stack(recent[-20:]).transpose(0, 1)
            if method.loss is losses.wasserstein:
                level = (a.mean(-1) - b.mean(-1)).mean(0)
            else:
                level = math.log(2) - 0.5 * (torch.nn.functional.softplus(-a) + torch.nn.functional.softplus(b)).mean(
                    -1
                ).mean(0)
            values.append(level.tolist())
            recent.clear()
            with torch.no_grad():
                fake = G(torch.randn(seeds * points, 8, generator=rng)).reshape(seeds, points, 2)
            distances.append([wasserstein1(d(points), f) for d, f in zip(draw, fake, strict=True)])
    return values, distances


def c3(seeds: int, *, steps: int = 1200, ends: int = 5, optimizer: UpdateRule | None = None) -> dict[str, object]:
    rmsprop = Optimizer("rmsprop", 5e-4)
    arms = {
        "gp": replace(gp(optimizer or Optimizer("adam", 1e-4, (0.5, 0.9))), play=Alternating(5)),
        "clip": replace(clip(0.1, 5e-4), play=Alternating(5)),
        "non_saturating": replace(logistic(rmsprop), play=Alternating(5)),
    }
    out: dict[str, object] = {}
    for name, method in arms.items():
        values, distances = gan(method, "circle", seeds, steps, 30, offset=3.0, points=256)
        by_seed = list(zip(zip(*values, strict=True), zip(*distances, strict=True), strict=True))
        out[name] = {
            "spearman": [round(float(spearmanr(v, d)[0]), 3) for v, d in by_seed],
            "loss_last_over_first": [
                round(statistics.fmean(v[-ends:]) / statistics.fmean(v[:ends]), 3) for v, _ in by_seed
            ],
            "w1_first_last": [[round(statistics.fmean(part), 3) for part in (d[:ends], d[-ends:])] for _, d in by_seed],
        }
    return out


def c3r(seeds: int) -> dict[str, object]:
    return c3(seeds, steps=3000, ends=1, optimizer=Optimizer("rmsprop", 5e-4))


def c6(seeds: int, *, steps: int = 3000) -> dict[str, object]:
    adam = Optimizer("adam", 5e-4, (0.0, 0.99))

    def with_adam(method: Method) -> Method:
        return replace(method, critic_optimizer=adam, generator_optimizer=adam)

    arms = {
        "unregularised": logistic(adam),
        "r1": with_adam(methods.build("r1", gamma=0.1)),
        "r1_r2": with_adam(methods.build("r1", gamma=0.1, at="both")),
        "r3gan": with_adam(methods.build("r3gan", gamma=0.1)),
    }
    out: dict[str, object] = {}
    for name, method in arms.items():
        _, distances = gan(method, "grid", seeds, steps, 8)
        out[name] = [round(statistics.fmean(row[s] for row in distances[-4:]), 4) for s in range(seeds)]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("criteria", nargs="+", choices=("C1", "C2", "C3", "C3R", "C6", "C6R"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.criteria:
        began = time.process_time()
        result = {"C1": c1, "C2": c2, "C3": c3, "C3R": c3r, "C6": c6, "C6R": partial(c6, steps=10_000)}[name](
            options.seeds
        )
        entry = {"seeds": options.seeds, "cpu_seconds": round(time.process_time() - began, 1), "result": result}
        print(name, json.dumps(entry), flush=True)
        if options.out:
            known = json.loads(options.out.read_text()) if options.out.exists() else {}
            options.out.write_text(json.dumps(known | {name: entry}, indent=1) + "\n")


if __name__ == "__main__":
    main()
