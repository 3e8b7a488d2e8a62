"""Does clamping the generator's Jacobian do what its paper says? Seven criteria, registered here before they were run.

    OMP_NUM_THREADS=1 python benchmarks/jacobian_clamping.py [--only JC-3 ...]

Writes docs/results/jacobian_clamping.json. Networks: fully connected, two hidden layers of 128 (library defaults), no
batch normalisation. Training: non-saturating loss, Adam (0.5, 0.999), batch 64, one critic step, weight of the clamping
1, last weights (no averaging). Seeds 100 to 119; the pilot that set the sizes used 0 to 7. "score" is the mean natural
log condition number of J^T J over 256 latents, network in float64. "W1" is the exact Wasserstein-1 distance of 800
samples to 800 test points: for blobs in four factors (centroid x and y, mass, spread), each divided by its standard
deviation over real samples; for 2-D data in the plane.

JC-1  linear generator: mean Q^2 within 2 % of tr(A^T A)/latent, score within 1e-6 of 2 ln kappa(A)
JC-2  digits, latent 16, rate 1e-3: score at step 200, 5 % of a training of 4000, minus score at step 0 >= 2 in every
      seed (stopped at step 800, after which the criterion does not look)
JC-3  blobs, latent 4, rate 2e-3, 1500 steps, bounds (0.5, 5), epsilon 0.5: score with clamping lower by >= 0.5, Welch
      p < 0.01; ratio of the standard deviations of W1 <= 0.6 or Brown-Forsythe p < 0.05; mean W1 not higher
JC-4  25-grid, latent 2, rate 3e-3, 1500 steps, bounds (0.5, 3), epsilon 0.5: mean W1 lower, Welch p < 0.05; fewest
      modes covered over seeds higher
JC-5  blobs without clamping, rates 5e-4, 1e-3, 2e-3, 4e-3 times widths 32, 128, five seeds each: Spearman correlation
      of score and W1 over all runs >= 0.5, its 95 % bootstrap interval above 0
JC-6  ring of 8, latent 2, rate 1e-3, 2500 steps, bounds (0.5, 3), epsilon 0.5: mean W1 higher with clamping, p < 0.05
      (a negative control: modes that are apart need high gain between them)
JC-7  blobs, WGAN-GP, rate 5e-4, 1000 steps, five seeds: W1 of one critic step with clamping <= 1.1 times that of five
      without, processor time <= 60 %

Registered after JC-3 and JC-4 had failed with the library's networks (leaky ReLU, He initialisation), whose generators
are well conditioned without help, and before being run:

JC-3R, JC-4R  the same two with ReLU networks in torch's default initialisation; ten seeds, 200 to 209

Many seeds train at once: parameters are stacked and the library's two half-steps mapped over them by ``torch.func``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from tightrope import conditioning, methods
from tightrope.conditioning import GeneratorPenalty, jacobian_clamping
from tightrope.data import open_data
from tightrope.game import critic_objective, generator_objective
from tightrope.methods import Method
from tightrope.metrics import frechet_distance, mode_coverage, wasserstein1
from tightrope.networks import NETWORKS

SEEDS = tuple(range(100, 120))
POINTS = 800
LATENTS = 256
OUT = Path(__file__).parents[1] / "docs" / "results" / "jacobian_clamping.json"
Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Setup:
    """Data and training of one experiment."""

    data: str
    latent: int
    learning_rate: float
    steps: int
    bounds: tuple[float, float] = (0.5, 5.0)
    epsilon: float = 0.5
    width: int = 128
    batch: int = 64
    plain_relu: bool = False


def blobs(n: int, seed: int) -> Tensor:
    """Images [n, 1, 10, 10] in [-1, 1] of one Gaussian bump: centre U[2, 7]^2, width U[0.8, 1.6], height U[0.4, 1]."""
    rng = torch.Generator().manual_seed(seed)
    u = torch.rand(n, 4, generator=rng)
    x, y, w, a = 2 + 5 * u[:, 0], 2 + 5 * u[:, 1], 0.8 + 0.8 * u[:, 2], 0.4 + 0.6 * u[:, 3]
    grid = torch.arange(10.0)
    squares = (grid[None, None, :] - x[:, None, None]) ** 2 + (grid[None, :, None] - y[:, None, None]) ** 2
    return (2 * a[:, None, None] * (-squares / (2 * w[:, None, None] ** 2)).exp() - 1)[:, None]


def factors(images: Tensor) -> Tensor:
    """Centroid x and y, mass and spread of images in [-1, 1]: [n, 4]."""
    light = ((images[:, 0].double() + 1) / 2).clamp(min=0)
    mass = light.sum((1, 2)).clamp(min=1e-9)
    grid = torch.arange(10.0, dtype=torch.float64)
    x, y = (light.sum(1) * grid).sum(1) / mass, (light.sum(2) * grid).sum(1) / mass
    squares = (grid[None, None, :] - x[:, None, None]) ** 2 + (grid[None, :, None] - y[:, None, None]) ** 2
    return torch.stack([x, y, mass, ((light * squares).sum((1, 2)) / mass).sqrt()], 1)


def table(name: str, split: str) -> Tensor:
    """All real samples of a data set in training scale."""
    if name == "blobs":
        return blobs(20_000 if split == "train" else 10_000, {"train": 7, "test": 8}[split])
    data = open_data(name, split=split)
    return data.batch(torch.arange(len(data))).x


def networks(setup: Setup, shape: tuple[int, ...], seed: int) -> tuple[nn.Module, nn.Module]:
    if setup.plain_relu:
        return relu_networks(setup, shape, seed)
    rng = torch.Generator().manual_seed(seed)
    build = NETWORKS["mlp"]
    options = {"width": setup.width, "depth": 2, "rng": rng}
    return build.generator(shape, latent=setup.latent, **options), build.critic(shape, **options)


def relu_networks(setup: Setup, shape: tuple[int, ...], seed: int) -> tuple[nn.Module, nn.Module]:
    """Two hidden layers, ReLU, torch's default initialisation; images end in tanh."""
    d, w = torch.Size(shape).numel(), setup.width
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ends = [nn.Tanh(), nn.Unflatten(1, shape)] if len(shape) == 3 else []
        hidden = [nn.Linear(setup.latent, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU()]
        generator = nn.Sequential(*hidden, nn.Linear(w, d), *ends)
        scores = [nn.Linear(d, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1)]
        return generator, nn.Sequential(nn.Flatten(), *scores)


def stacked(modules: list[nn.Module]) -> Parameters:
    """Parameters of equal modules with a leading seed axis, as leaves."""
    names = dict(modules[0].named_parameters())
    return {k: torch.stack([dict(m.named_parameters())[k].detach() for m in modules]).requires_grad_() for k in names}


class Stack:
    """Networks of many seeds that train together; the seeds share nothing but the clock."""

    def __init__(self, setup: Setup, method: Method, seeds: tuple[int, ...], real: Tensor, randomness: str) -> None:
        pairs = [networks(setup, tuple(real.shape[1:]), seed) for seed in seeds]
        self.setup, self.method, self.real, self.seeds = setup, method, real, seeds
        (self.generator, self.critic) = pairs[0]
        self.g, self.c = stacked([g for g, _ in pairs]), stacked([c for _, c in pairs])
        self.g_adam = self._adam(self.g, method.generator_optimizer.learning_rate)
        self.c_adam = self._adam(self.c, method.critic_optimizer.learning_rate)
        self.streams = [torch.Generator().manual_seed(1_000_003 * seed + 1) for seed in seeds]
        self.critic_gradient = vmap(grad_and_value(self._critic_loss), randomness=randomness)
        self.generator_gradient = vmap(grad_and_value(self._generator_loss), randomness=randomness)
        self.samples = vmap(lambda g, z: functional_call(self.generator, g, (z,)))

    def _adam(self, parameters: Parameters, rate: Any) -> torch.optim.Optimizer:
        betas = self.method.generator_optimizer.betas
        return torch.optim.Adam(list(parameters.values()), rate, betas=(float(betas[0]), float(betas[1])), foreach=True)

    def _critic_loss(self, c: Parameters, real: Tensor, fake: Tensor) -> Tensor:
        return critic_objective(self.method, lambda x: functional_call(self.critic, c, (x,)), real, fake).total

    def _generator_loss(self, g: Parameters, c: Parameters, z: Tensor) -> Tensor:
        return generator_objective(
            self.method,
            lambda z: functional_call(self.generator, g, (z,)),
            lambda x: functional_call(self.critic, c, (x,)),
            z,
        ).total

    def latents(self) -> Tensor:
        """Latents [seeds, batch, latent], each seed's from its own stream."""
        size = (self.setup.batch, self.setup.latent)
        return torch.stack([torch.randn(size, generator=rng) for rng in self.streams])

    def step(self) -> None:
        """One generator update with its critic updates, of every seed."""
        for _ in range(self.method.n_critic):
            rows = torch.stack([torch.randint(len(self.real), (self.setup.batch,), generator=r) for r in self.streams])
            with torch.no_grad():
                fake = self.samples(self.g, self.latents())
            self._update(self.c_adam, self.c, self.critic_gradient(self.c, self.real[rows], fake)[0])
        self._update(self.g_adam, self.g, self.generator_gradient(self.g, self.c, self.latents())[0])

    def _update(self, adam: torch.optim.Optimizer, parameters: Parameters, gradients: Parameters) -> None:
        for name, p in parameters.items():
            p.grad = gradients[name].detach().contiguous()
        adam.step()

    def generators(self) -> list[nn.Module]:
        """One module per seed, holding copies of its weights."""
        found = []
        for i, _ in enumerate(self.seeds):
            module, _ = networks(self.setup, tuple(self.real.shape[1:]), 0)
            module.load_state_dict({name: p.detach()[i] for name, p in self.g.items()})
            found.append(module)
        return found


def build(setup: Setup, *, clamp: bool, name: str = "dcgan", **options: Any) -> Method:
    """A method of the library at the setup's rate, with or without clamping at the setup's bounds."""
    method = methods.build(name, learning_rate=setup.learning_rate, **options)
    if not clamp:
        return method
    bounds = {"low": setup.bounds[0], "high": setup.bounds[1], "epsilon": setup.epsilon}
    return replace(method, generator_penalties=(GeneratorPenalty(jacobian_clamping, bounds),))


def score(generator: nn.Module, latent: int) -> conditioning.Conditioning:
    z = torch.randn(LATENTS, latent, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return conditioning.measure(generator, z, dtype=torch.float64)


def judge(setup: Setup, generator: nn.Module, test: Tensor) -> dict[str, Any]:
    """Score and distance of one generator."""
    measured = score(generator, setup.latent)
    z = torch.randn(POINTS, setup.latent, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        fake = generator(z)
    row: dict[str, Any] = {"score": measured.mean, "quantiles": measured.quantiles, "dead": int(measured.dead.sum())}
    row["spectrum"] = [float(v) for v in measured.mean_spectrum]
    if setup.data == "blobs":
        real = factors(test[:POINTS])
        scale = factors(test).std(0)
        row["w1"] = wasserstein1(real / scale, factors(fake) / scale)
    elif setup.data.startswith("toy:"):
        row["w1"] = wasserstein1(test[:POINTS], fake)
        mixture = open_data(setup.data, limit=10).mixture
        assert mixture is not None
        row["modes"] = int(mode_coverage(fake, mixture.means, mixture.std).covered)
    else:
        row["pixel_frechet"] = frechet_distance(test.flatten(1), fake.flatten(1))
    return row


def run(
    setup: Setup, method: Method, seeds: tuple[int, ...] = SEEDS, *, track: tuple[int, ...] = ()
) -> tuple[list[dict[str, Any]], float]:
    """Train all seeds and judge each; the second value is the processor time of the training alone."""
    torch.manual_seed(seeds[0])  # directions of the clamping and interpolation coefficients, drawn inside vmap
    stack = Stack(setup, method, seeds, table(setup.data, "train"), "different")
    test = table(setup.data, "test")
    curves: list[list[float]] = [[] for _ in seeds]
    seconds = 0.0
    for step in range(setup.steps + 1):
        if step in track:
            for curve, generator in zip(curves, stack.generators(), strict=True):
                curve.append(score(generator, setup.latent).mean)
        if step < setup.steps:
            began = time.process_time()
            stack.step()
            seconds += time.process_time() - began
    rows = [judge(setup, generator, test) for generator in stack.generators()]
    for row, seed, curve in zip(rows, seeds, curves, strict=True):
        row["seed"] = seed
        if track:
            row["curve"] = curve
    return rows, seconds


def column(rows: list[dict[str, Any]], name: str) -> np.ndarray[Any, Any]:
    return np.asarray([row[name] for row in rows], np.float64)


def described(rows: list[dict[str, Any]], *names: str) -> dict[str, Any]:
    return {n: {"mean": float(column(rows, n).mean()), "sd": float(column(rows, n).std(ddof=1))} for n in names}


def pair(setup: Setup, seeds: tuple[int, ...] = SEEDS) -> dict[str, Any]:
    """The same setup without and with clamping, and the tests of the difference."""
    arms = (run(setup, build(setup, clamp=clamp), seeds) for clamp in (False, True))
    (plain, seconds), (clamped, seconds_clamped) = arms
    names = [n for n in ("score", "w1", "modes") if n in plain[0]]
    tests = {n: float(stats.ttest_ind(column(plain, n), column(clamped, n), equal_var=False).pvalue) for n in names}
    spread = stats.levene(column(plain, "w1"), column(clamped, "w1"), center="median").pvalue
    return {
        "setup": vars(setup),
        "plain": described(plain, *names),
        "clamped": described(clamped, *names),
        "welch_p": tests,
        "brown_forsythe_p_w1": float(spread),
        "sd_ratio_w1": float(column(clamped, "w1").std(ddof=1) / column(plain, "w1").std(ddof=1)),
        "spearman_plain": float(stats.spearmanr(column(plain, "score"), column(plain, "w1")).statistic),
        "seconds_plain": seconds,
        "seconds_clamped": seconds_clamped,
        "runs": {"plain": plain, "clamped": clamped},
    }


def jc1() -> dict[str, Any]:
    rng = torch.Generator().manual_seed(100)
    A = torch.randn(30, 6, generator=rng, dtype=torch.float64)
    z = torch.randn(20_000, 6, generator=rng, dtype=torch.float64)
    q2 = float(conditioning.finite_gain(lambda z: z @ A.mT, z, rng=rng).square().mean())
    expected = float((A.mT @ A).trace() / 6)
    found = conditioning.measure(lambda z: z @ A.mT, z[:4]).mean
    truth = 2 * float(torch.linalg.cond(A).log())
    result = {"mean_q2": q2, "trace_over_latent": expected, "score": found, "closed_form": truth}
    return result | {"passed": abs(q2 / expected - 1) < 0.02 and abs(found - truth) < 1e-6}


def jc2() -> dict[str, Any]:
    setup = Setup("digits", 16, 1e-3, 800)
    gain = conditioning.reference_gain(table("digits", "train"), latent=16)
    setup = replace(setup, bounds=(0.4 * gain, 4 * gain), epsilon=1.0)
    track = (0, 25, 50, 100, 200, 400, 600, 800)
    seeds = SEEDS[:10]
    (plain, _), (clamped, _) = (run(setup, build(setup, clamp=c), seeds, track=track) for c in (False, True))
    rises = [row["curve"][track.index(200)] - row["curve"][0] for row in plain]
    return {
        "setup": vars(setup),
        "track": track,
        "rise_by_5_percent": rises,
        "plain": described(plain, "score", "pixel_frechet"),
        "clamped": described(clamped, "score", "pixel_frechet"),
        "runs": {"plain": plain, "clamped": clamped},
        "passed": min(rises) >= 2,
    }


BLOBS = Setup("blobs", 4, 2e-3, 1500)


def jc3(setup: Setup = BLOBS, seeds: tuple[int, ...] = SEEDS) -> dict[str, Any]:
    found = pair(setup, seeds)
    plain, clamped = found["plain"], found["clamped"]
    parts = {
        "score": clamped["score"]["mean"] - plain["score"]["mean"] <= -0.5 and found["welch_p"]["score"] < 0.01,
        "spread": found["sd_ratio_w1"] <= 0.6 or found["brown_forsythe_p_w1"] < 0.05,
        "mean": clamped["w1"]["mean"] <= plain["w1"]["mean"],
    }
    return found | {"parts": parts, "passed": all(parts.values())}


GRID = Setup("toy:grid", 2, 3e-3, 1500, bounds=(0.5, 3.0))


def jc4(setup: Setup = GRID, seeds: tuple[int, ...] = SEEDS) -> dict[str, Any]:
    found = pair(setup, seeds)
    fewest = {arm: int(column(rows, "modes").min()) for arm, rows in found["runs"].items()}
    lower = found["clamped"]["w1"]["mean"] < found["plain"]["w1"]["mean"] and found["welch_p"]["w1"] < 0.05
    parts = {"w1": lower, "modes": fewest["clamped"] > fewest["plain"]}
    return found | {"fewest_modes": fewest, "parts": parts, "passed": all(parts.values())}


OTHER_SEEDS = tuple(range(200, 210))


def jc3r() -> dict[str, Any]:
    return jc3(replace(BLOBS, plain_relu=True), OTHER_SEEDS)


def jc4r() -> dict[str, Any]:
    return jc4(replace(GRID, plain_relu=True), OTHER_SEEDS)


def jc5() -> dict[str, Any]:
    cells, rows = [], []
    for rate in (5e-4, 1e-3, 2e-3, 4e-3):
        for width in (32, 128):
            setup = Setup("blobs", 4, rate, 1500, width=width)
            done, _ = run(setup, build(setup, clamp=False), SEEDS[:5])
            rows += done
            cells.append({"rate": rate, "width": width, **described(done, "score", "w1")})
    scores, distances = column(rows, "score"), column(rows, "w1")
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(2000):
        chosen = rng.integers(len(rows), size=len(rows))
        draws.append(stats.spearmanr(scores[chosen], distances[chosen]).statistic)
    interval = [float(q) for q in np.quantile(draws, [0.025, 0.975])]
    value = float(stats.spearmanr(scores, distances).statistic)
    points = [{"score": float(a), "w1": float(b)} for a, b in zip(scores, distances, strict=True)]
    passed = value >= 0.5 and interval[0] > 0
    return {"spearman": value, "interval": interval, "cells": cells, "points": points, "passed": passed}


def jc6() -> dict[str, Any]:
    found = pair(Setup("toy:ring", 2, 1e-3, 2500, bounds=(0.5, 3.0)))
    hurts = found["clamped"]["w1"]["mean"] > found["plain"]["w1"]["mean"] and found["welch_p"]["w1"] < 0.05
    return found | {"passed": hurts}


def jc7() -> dict[str, Any]:
    setup = Setup("blobs", 4, 5e-4, 1000)
    arms: dict[str, Any] = {}
    for name, clamp, n_critic in (("five", False, 5), ("one", False, 1), ("one clamped", True, 1)):
        method = build(setup, clamp=clamp, name="wgan_gp", n_critic=n_critic)
        rows, seconds = run(setup, method, SEEDS[:5])
        arms[name] = {**described(rows, "score", "w1"), "seconds": seconds, "runs": rows}
    ratio = arms["one clamped"]["w1"]["mean"] / arms["five"]["w1"]["mean"]
    share = arms["one clamped"]["seconds"] / arms["five"]["seconds"]
    unclamped = arms["one"]["w1"]["mean"] / arms["five"]["w1"]["mean"]
    return {
        "setup": vars(setup),
        "w1_ratio": ratio,
        "w1_ratio_without_clamping": unclamped,
        "time_share": share,
        "arms": arms,
        "passed": ratio <= 1.1 and share <= 0.6,
    }


CRITERIA: dict[str, Callable[[], dict[str, Any]]] = {
    "JC-1": jc1,
    "JC-2": jc2,
    "JC-3": jc3,
    "JC-4": jc4,
    "JC-3R": jc3r,
    "JC-4R": jc4r,
    "JC-5": jc5,
    "JC-6": jc6,
    "JC-7": jc7,
}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(CRITERIA), default=list(CRITERIA))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for name in options.only:
        began = time.process_time()
        result = CRITERIA[name]()
        result["cpu_seconds"] = time.process_time() - began
        found[name] = rounded(result)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found) + "\n")
        short = {k: v for k, v in found[name].items() if k not in ("runs", "arms", "points", "cells", "setup", "track")}
        print(name, "PASSED" if result["passed"] else "FAILED", json.dumps(short), flush=True)


if __name__ == "__main__":
    main()
