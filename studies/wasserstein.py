"""Criteria C1, C2, C3 and C6: parallel lines, gradients through depth, loss against quality, 25 Gaussians.

    OMP_NUM_THREADS=1 python studies/wasserstein.py C1 C2 C3 C3R C6 C6R [--seeds 5] [--out FILE]

Fixed before the first run; fresh seeds 3000, 3001, ...; all seeds of an arm train at once, by ``training.seeds.train``.
The results in ``docs/results`` come from a stack of this study's own, which drew weights and latents of all seeds from
one stream: the same seeds now give other runs of the same distribution. C3's losses are now those of fresh samples at a
checkpoint, of as many as the 20 batches before it had.

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
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

from small import batches, mlp
from tightrope import constraints, losses, methods, penalties, training
from tightrope.data.toy import ROLL_NOISE, ROLL_SCALE, TOYS
from tightrope.methods import Alternating, Method, Projection
from tightrope.metrics.transport import wasserstein1
from tightrope.optimizers.settings import Optimizer, UpdateRule
from tightrope.penalties import Penalty

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


def uniform(z: Tensor) -> Tensor:
    """Standard normal numbers as uniform ones."""
    return torch.special.ndtr(z)


class Line(nn.Module):
    """The line ``(theta, u)``, ``u`` uniform, as a generator that stays where it is: its rate is 0."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z: Tensor) -> Tensor:
        """Points for latents ``[batch, 1]``."""
        u = uniform(z[:, 0])
        return torch.stack([self.theta + 0 * u, u], 1)


class NoisySwissRoll(nn.Module):
    """The swiss roll plus N(0, 1) as a generator that stays where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, z: Tensor) -> Tensor:
        """Points for latents ``[batch, 5]``."""
        t = 1.5 * math.pi * (1 + 2 * uniform(z[:, :1]))
        roll = torch.cat([t * t.cos(), t * t.sin()], 1)
        return (roll + ROLL_NOISE * z[:, 1:3]) / ROLL_SCALE + z[:, 3:5] + self.shift


def at_rest(method: Method) -> Method:
    """The method with a generator that does not move."""
    return replace(method, generator_optimizer=Optimizer("sgd", 0.0))


def c1(seeds: int) -> dict[str, object]:
    adam = Optimizer("adam", 1e-3, (0.5, 0.9))
    theta = {FIRST_SEED + 100 * k + s: t for k, t in enumerate(THETAS) for s in range(seeds)}
    out: dict[str, object] = {}

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        return Line(theta[seed]), mlp((2, 64, 64, 1), torch.Generator().manual_seed(seed))

    def real(seed: int, n: int = 64) -> Iterator[Tensor]:
        rng = torch.Generator().manual_seed(seed)
        while True:
            u = torch.rand(n, generator=rng)
            yield torch.stack([torch.zeros_like(u), u], 1)

    for name, method in {"gp": gp(adam), "clip": clip(0.1, 1e-3), "logistic": logistic(adam)}.items():
        options = {"steps": 1500, "batch_size": 64, "latent": 1, "how": "stack"}
        values = []
        for one in training.seeds.train(at_rest(method), networks, real, theta, **options):
            with torch.no_grad():
                fake = one.run.generator(torch.randn(2000, 1, generator=torch.Generator().manual_seed(one.seed)))
                a, b = one.run.critic(next(real(one.seed, 2000))), one.run.critic(fake)
                if name == "logistic":
                    both = torch.nn.functional.softplus(-a) + torch.nn.functional.softplus(b)
                    values.append(math.log(2) - 0.5 * both.mean())
                else:
                    values.append(a.mean() - b.mean())
        table = torch.stack([torch.as_tensor(v) for v in values]).reshape(len(THETAS), seeds)
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

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        return NoisySwissRoll(), mlp((2, *[128] * 12, 1), torch.Generator().manual_seed(seed), slope=0.0)

    def real(seed: int) -> Iterator[Tensor]:
        rng = torch.Generator().manual_seed(seed)
        while True:
            yield TOYS["swissroll"](128, rng)

    for name, method in arms.items():
        options = {"steps": 800, "batch_size": 128, "latent": 5, "how": "stack"}
        slopes, vanished = [], []
        chosen = range(FIRST_SEED, FIRST_SEED + seeds)
        for one in training.seeds.train(at_rest(method), networks, real, chosen, **options):
            x = next(real(one.seed + 10_000))
            y = one.run.generator(torch.randn(128, 5, generator=torch.Generator().manual_seed(one.seed))).detach()
            y_real, y_fake = hidden(one.run.critic, x), hidden(one.run.critic, y)
            total = y_fake[-1].mean() - y_real[-1].mean()
            norms = []
            for pair in zip(y_real[:-1], y_fake[:-1], strict=True):
                found = torch.autograd.grad(total, pair, retain_graph=True)
                norms.append(torch.cat([part.flatten() for part in found]).norm())
            column = torch.stack(norms).log10()
            finite = torch.isfinite(column)  # layers whose gradient is exactly zero in float32 are counted, not fitted
            at = finite.nonzero().flatten().float()
            level = column[finite]
            slope = ((at - at.mean()) * level).sum() / (at - at.mean()).square().sum()
            slopes.append(round(float(slope), 3))
            vanished.append(len(column) - len(level))
        out[name] = {"slope": slopes, "layers_at_zero": vanished}
    return out


def hidden(critic: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs of every dense layer, before the activation that follows."""
    found = []
    x = x.requires_grad_()
    for layer in critic.children():
        x = layer(x)
        if isinstance(layer, nn.Linear):
            found.append(x)
    return found


def gan(method: Method, data: str, seeds: int, steps: int, checkpoints: int, *, offset: float = 0.0, points: int = 512):
    """Losses of the critic and W1 at each checkpoint, ``[checkpoints][seeds]`` each."""
    rngs = {FIRST_SEED + s: torch.Generator().manual_seed(FIRST_SEED + s) for s in range(seeds)}

    def draw(seed: int, n: int) -> Tensor:
        return TOYS[data](n, rngs[seed])

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        rng = torch.Generator().manual_seed(seed)
        return mlp((8, 64, 64, 64, 2), rng, offset=offset), mlp((2, 64, 64, 64, 1), rng)

    def measure(run: training.Run, seed: int) -> tuple[float, float]:
        with torch.no_grad():
            fake = run.generator(torch.randn(points, 8, generator=rngs[seed]))
            a = run.critic(draw(seed, 20 * 128))
            b = run.critic(run.generator(torch.randn(20 * 128, 8, generator=rngs[seed])))
        if method.loss is losses.wasserstein:
            level = a.mean() - b.mean()
        else:
            both = torch.nn.functional.softplus(-a) + torch.nn.functional.softplus(b)
            level = math.log(2) - 0.5 * both.mean()
        return float(level), wasserstein1(draw(seed, points), fake)

    each = steps // checkpoints
    trained = training.seeds.train(
        method,
        networks,
        lambda seed: batches(partial(draw, seed), 128, 20_000, rngs[seed]),
        rngs,
        steps=steps,
        batch_size=128,
        latent=8,
        measure=measure,
        at=range(each, each * checkpoints + 1, each),
        how="stack",
        ema_half_life_images=0.0,
    )
    for one in trained:
        if one.error is not None:
            raise one.error
    found = [[one.measured[each * (k + 1)] for one in trained] for k in range(checkpoints)]
    return [[level for level, _ in row] for row in found], [[w1 for _, w1 in row] for row in found]


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
