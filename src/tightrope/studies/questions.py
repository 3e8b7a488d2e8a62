"""Open questions of reading Wasserstein GAN (1701.07875): how many critic steps, and how deep a critic.

*Pace*: critic steps per generator step chosen by the run itself (``training.Pace``), against 1, 5 and 10, in the
plane, at equal compute: every arm spends the same number of critic updates, a generator's update counted as half a one
(0.49 and 0.53 at widths 64 and 128, process time of both updates in turns). *Depth*: residual critics of 12 and 152
layers without normalisation on images, with gradient penalty and with clipped weights, one critic step; a second time
with 152 layers for 40 steps on seeds of their own, since all clipped runs of 200 steps had diverged by step 21, which
the claim first registered about them could not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope import constraints, methods
from tightrope.data.toy import TOYS
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Alternating, Method, Projection
from tightrope.metrics.transport import wasserstein1
from tightrope.networks import NETWORKS
from tightrope.networks.mlp import critic as mlp_critic
from tightrope.networks.mlp import generator as mlp_generator
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.studies.design import (
    Cell,
    Claim,
    Contrast,
    Part,
    Picture,
    Row,
    Scale,
    cells,
    pairs,
    pairs_or_diverged,
    pick,
)
from tightrope.studies.findings import paired_ratio, share, worse
from tightrope.studies.pictures import train_images
from tightrope.studies.planar import POINTS, late
from tightrope.training import critic_step, generator_step, start

PAPER, WHEN = "1701.07875", "2026-11-27"
GENERATOR_COST = 0.5
PLANES = ("ring", "circle", "swissroll")
PACES = ("1", "5", "10", "auto")


def _pace(updates: int, planes: Sequence[str], seeds: Sequence[int], width: int = 64) -> Part:
    made = cells(part="pace", data=list(planes), pace=list(PACES), aim=0.01, steps=updates, width=width, depth=3,
                 latent=8, batch=64, rate=5e-4, weight=1.0, checkpoints=8)  # fmt: skip
    return Part(made, tuple(seeds), seconds=updates * 0.003)


def _depth(steps: int, arms: Sequence[tuple[str, int]], data: str, seeds: Sequence[int], batch: int = 32) -> Part:
    made = tuple(
        cell
        for critic, depth in arms
        for cell in cells(part="depth", critic=critic, layers=depth, data=data, pixels=8, width=8, generator="dcgan",
                          latent=16, batch=batch, steps=steps, checkpoints=4,
                          cost={"gp": 0.036, "clip": 0.02}[critic] * depth)
    )  # fmt: skip
    return Part(made, tuple(seeds), seconds=steps * 0.3)


ARMS = (("gp", 12), ("gp", 152), ("clip", 12), ("clip", 152))
GRID = {
    "smoke": (_pace(24, ("ring",), (7300,), 16), _depth(2, (("gp", 12), ("clip", 20)), "digits", (7300,), 8)),
    "cpu": (
        _pace(3000, PLANES, range(7300, 7308)),
        _depth(200, ARMS, "digits", range(7300, 7305)),
        _depth(40, ARMS[1::2], "digits", range(7400, 7410)),
    ),
    "paper": (_pace(100_000, PLANES, range(7300, 7315), 512), _depth(20_000, ARMS, "digits", range(7300, 7310), 64)),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One GAN in the plane at a pace, or one on images with a deep critic."""
    if cell["part"] == "pace":
        return _paced(cell, seed)
    found = train_images(_deep_method(str(cell["critic"])), cell, seed, networks=_deep_networks)
    return {key: found[key] for key in ("log_fd", "spread", "collapsed", "fd")}


def _paced(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Exact W1 at evenly spaced shares of the compute, its mean over the second half, and the mean pace."""
    weights, stream, judge = (torch.Generator().manual_seed(1000 * seed + k) for k in range(3))
    width, depth, latent = int(cell["width"]), int(cell["depth"]), int(cell["latent"])
    G = mlp_generator((2,), latent=latent, width=width, depth=depth, rng=weights)
    D = mlp_critic((2,), width=width, depth=depth, rng=weights)
    batch, data = int(cell["batch"]), TOYS[str(cell["data"])]
    adam = Adam(float(cell["rate"]), (0.5, 0.9))
    n_critic: Any = "auto" if cell["pace"] == "auto" else int(str(cell["pace"]))
    method = replace(methods.build("wgan_gp", weight=float(cell["weight"]), n_critic=n_critic),
                     critic_optimizer=adam, generator_optimizer=adam)  # fmt: skip
    run = start(method, G, D, seed=seed, latent=latent, shape=(2,), batch_size=batch, ema_half_life_images=0.0)
    if run.pace is not None:
        run.pace.aim = float(cell["aim"])
    budget, spent, trail = float(cell["steps"]), 0.0, list[float]()
    marks = [budget * (k + 1) / int(cell["checkpoints"]) for k in range(int(cell["checkpoints"]))]
    while len(trail) < len(marks):
        count = run.critic_steps_due
        for _ in range(count):
            critic_step(run, data(batch, stream))
        generator_step(run)
        spent += count + GENERATOR_COST
        while len(trail) < len(marks) and spent >= marks[len(trail)]:
            with torch.no_grad():
                fake = G(torch.randn(POINTS, latent, generator=judge))
            trail.append(round(wasserstein1(data(POINTS, judge), fake), 6))
    return {"w1": late(trail), "trail": trail, "pace": run.critic_steps / run.step}


def _deep_method(critic: str) -> Method:
    if critic == "gp":
        return replace(methods.build("wgan_gp", n_critic=1), critic_optimizer=Adam(5e-4, (0.0, 0.9)),
                       generator_optimizer=Adam(5e-4, (0.0, 0.9)))  # fmt: skip
    clip = Projection(partial(constraints.clip_weights_, bound=0.05))
    return replace(methods.build("wgan"), critic_optimizer=RMSprop(5e-4), generator_optimizer=RMSprop(5e-4),
                   play=Alternating(n_critic=1), projection=clip)  # fmt: skip


def _deep_networks(cell: Cell, shape: Sequence[int], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    size, width = tuple(shape), int(cell["width"])
    G = NETWORKS["dcgan"].generator(size, latent=int(cell["latent"]), width=2 * width, rng=rng)
    return G, NETWORKS["deep_resnet"].critic(size, width=width, depth=int(cell["layers"]), rng=rng)


def _paces(treated: str, control: str, data: str) -> Contrast:
    a, b = ({"part": "pace", "data": data, "pace": pace} for pace in (treated, control))
    return Contrast(a, b, differs=("pace",), alone="steps are units of compute, so both budgets are one")


def _pace_claim(data: str, fixed: str, threshold: float, sentence: str) -> Claim:
    contrast = _paces("auto", fixed, data)

    def judge(rows: Sequence[Row]) -> Any:
        return paired_ratio(*pairs(rows, "w1", contrast), f"W1 of auto over n_critic {fixed}", below=threshold)

    return Claim(f"pace-{data}-{fixed}", PAPER, "section 3 and algorithm 1 (our question)", sentence, WHEN, judge,
                 (contrast.treated, contrast.control), (contrast,), certainty="none")  # fmt: skip


def _deep_claim(name: str, sentence: str, contrast: Contrast, *, below: float | None, above: float | None) -> Claim:
    def judge(rows: Sequence[Row]) -> Any:
        a, b = pairs(rows, "log_fd", contrast)
        a, b = [math.exp(x) for x in a], [math.exp(x) for x in b]
        return paired_ratio(a, b, "Frechet distance, treated over control", below=below, above=above)

    return Claim(f"deep-{name}", PAPER, "section 3 (our question)", sentence, WHEN, judge,
                 (contrast.treated, contrast.control), (contrast,), certainty="none")  # fmt: skip


NEEDS = "6 processor minutes: tightrope study run questions"
BOUND = "the claim is whether it trains at all, not at what price"
DEEP_GP, DEEP_CLIP = ({"critic": critic, "layers": 152, "steps": 200} for critic in ("gp", "clip"))
SHORT_GP, SHORT_CLIP = ({**one, "steps": 40} for one in (DEEP_GP, DEEP_CLIP))
DEEPER = Contrast(DEEP_GP, {"critic": "gp", "layers": 12}, ("layers", "cost"), alone=BOUND)
CLIPPED = Contrast(DEEP_CLIP, DEEP_GP, ("critic", "cost"), alone=BOUND)
FAILING = Contrast(SHORT_CLIP, SHORT_GP, ("critic", "cost"), alone=BOUND)


def _fails(rows: Sequence[Row]) -> Any:
    return worse(*pairs_or_diverged(rows, "log_fd", FAILING), "share of pairs in which clipping is the worse",
                 above=0.5)  # fmt: skip


def _diverges(rows: Sequence[Row]) -> Any:
    clipped = pick(rows, **SHORT_CLIP)
    return share(sum(row.status == "diverged" for row in clipped), len(clipped), "share of clipped runs that diverge",
                 above=0.5)  # fmt: skip


CLAIMS = (
    *(_pace_claim(data, "1", 1.15, f"On {data} the pace is at most 15 % worse than one critic step, at equal compute.")
      for data in PLANES),
    *(_pace_claim(data, "5", 1.15, f"On {data} the pace is at most 15 % worse than five critic steps.")
      for data in PLANES),
    *(_pace_claim(data, "10", 1.15, f"On {data} the pace is at most 15 % worse than ten critic steps.")
      for data in PLANES),
    _deep_claim("gp", "A residual critic of 152 layers without normalisation trains under the gradient penalty: at "
                "equal steps its Frechet distance is below 1.5 times that of 12 layers.", DEEPER,
                below=1.5, above=None),
    _deep_claim("clip", "With 152 layers clipped weights (0.05) end at more than the gradient penalty's distance.",
                CLIPPED, below=None, above=1.0),
    Claim("deep-clip-fails", PAPER, "section 3 (our question)", "With 152 layers, 40 steps, paired by seed: clipped "
          "weights (0.05) diverge or end at a larger Frechet distance than the gradient penalty in more than half of "
          "the pairs.", WHEN, _fails, (SHORT_CLIP, SHORT_GP), (FAILING,), needs=NEEDS, seeds=10, certainty="none"),
    Claim("deep-clip-diverges", PAPER, "section 3 (our question)", "More than half of the runs with 152 layers and "
          "clipped weights (0.05) diverge within 40 steps.", WHEN, _diverges, (SHORT_CLIP,), needs=NEEDS, seeds=10,
          certainty="none"),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """W1 against compute, mean over seeds, for each distribution."""
    drawn = {}
    for data in PLANES:
        lines = [_mean(pace, found) for pace in PACES if (found := pick(rows, part="pace", data=data, pace=pace))]
        if lines:
            drawn[f"Pace on {data}"] = Chart(lines, title=f"W1, {data}", x_label="share of compute", log=True)
    return drawn


def _mean(pace: str, rows: Sequence[Row]) -> Line:
    trails = np.asarray([row.values["trail"] for row in rows if row.status == "ok"], dtype=float)
    return Line(f"n_critic {pace}", np.arange(1.0, trails.shape[1] + 1) / trails.shape[1], trails.mean(0))
