"""Does clamping the generator's Jacobian do what its paper says? Seven criteria, registered here before they were run.

    OMP_NUM_THREADS=1 python studies/jacobian_clamping.py [--only JC-3 ...]

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

The runs themselves are in `studies/clamping_runs.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from clamping_runs import SEEDS, Setup, build, run, table
from tightrope import conditioning

OUT = Path(__file__).parents[1] / "docs" / "results" / "jacobian_clamping.json"


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
