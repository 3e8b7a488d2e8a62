"""Overfitting of WGAN-GP's critic on few images, with and without normalised weights.

Figure 15 of spectral normalization (1802.05957) and figure 5b of improved WGAN training (1704.00028) draw a critic's
loss on training and on validation images. Here 200 of the embedded digits (8 pixels) train, 400 others are held out;
``gap`` is the mean score of the training images less that of held-out ones at the end, in units of the critic's
estimate on training images (0: none; 1: held-out images count as fakes), so that the scale of the scores, which
normalised weights change, does not enter. Five critic steps each, one rate for all, DCGAN of width 16, He's weights.

Sizes and thresholds come from pilots of one seed (11190): after 100 and 150 steps on 300 images
gaps were 0.03 to 0.06, SN's the largest. WGAN-GP's critic counts as overfitting above 0.02.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tightrope import constraints, methods
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Constraint, Method
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference
from tightrope.studies.modern import digits, stacks
from tightrope.studies.orthogonal_ways import networks
from tightrope.training import Run, start, train

SPECTRAL, IMPROVED, WHEN = "1802.05957", "1704.00028", "2026-11-28"
COSTS = {"gp": 1.0, "gp_wn": 1.1, "gp_sn": 1.1}


def _parts(steps: int, seeds: Sequence[int], **other: Any) -> tuple[Part, ...]:
    shared: dict[str, Any] = {
        "part": "few", "data": "digits", "pixels": 8, "images": 200, "held_out": 400, "width": 16, "latent": 32,
        "batch": 32, "rate": 1e-3, "n_critic": 5, "activation": "leaky_relu", "init": "he", "steps": steps,
        "checkpoints": 4, **other,
    }  # fmt: skip
    made = tuple(cell for arm, cost in COSTS.items() for cell in cells(**shared, arm=arm, cost=cost))
    return (Part(made, tuple(seeds), seconds=steps * 0.06),)


GRID = {
    "smoke": _parts(4, (11100,), batch=8),
    "cpu": _parts(100, range(11100, 11105)),
    "paper": _parts(50_000, range(11100, 11110), data="mnist", pixels=16, images=1000, held_out=10_000, width=64),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One GAN on few images.

    Returns:
        ``gap`` at the end, ``trail`` of it at the checkpoints, and ``lead``, the critic's estimate on training images.
    """
    source, pixels, latent = str(cell["data"]), int(cell["pixels"]), int(cell["latent"])
    weights, order, judge = (torch.Generator().manual_seed(1000 * seed + k) for k in range(3))
    x = digits(source, pixels, "train")[0]
    some = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))]
    few, others = some[: int(cell["images"])], some[int(cell["images"]) :][: int(cell["held_out"])]
    G, D = networks(cell, tuple(x.shape[1:]), weights)
    batch, steps, count = int(cell["batch"]), int(cell["steps"]), int(cell["checkpoints"])
    run = start(method(cell), G, D, seed=seed, latent=latent, shape=tuple(x.shape[1:]), batch_size=batch,
                ema_half_life_images=0.0)  # fmt: skip
    trail, lead = list[float](), 0.0
    for step in train(run, stacks(few, 1, batch, order), steps=steps):
        if step.step * count % steps < count:
            lead, gap = scored(run, few, others, judge)
            trail.append(gap)
    return {"gap": trail[-1], "trail": trail, "lead": lead}


def method(cell: Cell) -> Method:
    """WGAN-GP as it is, or with normalised weights."""
    arm = str(cell["arm"])
    built = methods.build("wgan_gp", learning_rate=float(cell["rate"]), n_critic=int(cell["n_critic"]))
    normal = {"gp_wn": constraints.weight_norm, "gp_sn": constraints.spectral_norm}
    return replace(built, constraint=Constraint(normal[arm])) if arm in normal else built


@torch.no_grad()
def scored(run: Run, few: Tensor, others: Tensor, rng: torch.Generator) -> tuple[float, float]:
    """The critic's estimate on training images, and what of it held-out images lack."""
    run.critic.eval(), run.generator.eval()
    fake = run.generator(torch.randn(len(others), run.latent, generator=rng))
    seen, held, low = (float(torch.cat([run.critic(b) for b in x.split(500)]).mean()) for x in (few, others, fake))
    run.critic.train(), run.generator.train()
    return seen - low, (seen - held) / (seen - low)


NEEDS = "5 processor minutes: tightrope study run overfitting"
ALONE = "how much a critic has learnt, and so overfitted, goes by its steps"
LARGE: dict[str, Any] = {"part": "few", "data": "mnist"}
SMALL: dict[str, Any] = {"part": "few", "data": "digits"}


def _over(control: str, where: Mapping[str, Any]) -> Contrast:
    return Contrast({**where, "arm": "gp_sn"}, {**where, "arm": control}, differs=("arm",), alone=ALONE)


def _least(where: Mapping[str, Any]) -> Any:
    """SN's gap less the smaller one of the other two, by seed."""

    def judge(rows: Sequence[Row]) -> Finding:
        sn, gp = pairs(rows, "gap", _over("gp", where))
        same, wn = pairs(rows, "gap", _over("gp_wn", where))
        assert sn == same
        smaller = [min(two) for two in zip(gp, wn, strict=True)]
        return paired_difference(sn, smaller, "gap of WGAN-GP with SN less the smaller of the others", below=0.0)

    return judge


def _less(control: str) -> Any:
    quantity = f"gap of WGAN-GP with SN less {control}"
    return lambda rows: paired_difference(*pairs(rows, "gap", _over(control, SMALL)), quantity, below=0.0)


def _parted(where: Mapping[str, Any]) -> Any:
    return lambda rows: average(values(rows, "gap", **where, arm="gp"), "gap over the estimate", above=0.02)


def _grows(rows: Sequence[Row]) -> Finding:
    ended = [row.values["trail"] for row in pick(rows, **SMALL, arm="gp") if row.status == "ok"]
    return average([trail[-1] - trail[0] for trail in ended], "gap at the end less that at a quarter", above=0.0)


def _estimates(rows: Sequence[Row]) -> str:
    """A gap has no meaning where a critic tells nothing apart."""
    lowest = min((float(row.values["lead"]) for row in rows if row.status == "ok"), default=0.0)
    return "" if lowest > 0.1 else f"a critic's estimate on training images is {lowest:.3f}, below 0.1"


def _claim(name: str, paper: str, place: str, sentence: str, judge: Any, *contrasts: Contrast, **more: Any) -> Claim:
    where = [arm for one in contrasts for arm in (one.treated, one.control)]
    given = {"where": where, "needs": NEEDS, **more}
    return Claim(name, paper, place, sentence, WHEN, judge, contrasts=contrasts, check=_estimates,
                 published="curves only", certainty="paper", **given)  # fmt: skip


def _figure_15(name: str, sentence: str, where: Mapping[str, Any], **more: Any) -> Claim:
    return _claim(name, SPECTRAL, "figure 15", sentence, _least(where), _over("gp", where), _over("gp_wn", where),
                  **more)  # fmt: skip


PLAIN = ({**SMALL, "arm": "gp"},)
CLAIMS = (
    _figure_15("sn-overfit", "On 200 digits, of WGAN-GP, with WN and with SN, the critic with SN overfits least.",
               SMALL),
    _claim("sn-overfit-gp", SPECTRAL, "figure 15", "On 200 digits WGAN-GP's critic overfits less with SN than without.",
           _less("gp"), _over("gp", SMALL)),
    _claim("sn-overfit-wn", SPECTRAL, "figure 15", "On 200 digits WGAN-GP's critic overfits less with SN than with WN.",
           _less("gp_wn"), _over("gp_wn", SMALL)),
    _claim("wgan-gp-overfitting", IMPROVED, "figure 5b", "On 200 digits WGAN-GP's critic parts: held-out images lack "
           "more than 0.02 of its estimate.", _parted(SMALL), where=PLAIN),
    _claim("wgan-gp-overfitting-grows", IMPROVED, "figure 5b", "That gap is larger at the end than at a quarter of "
           "training.", _grows, where=PLAIN),
    _figure_15("sn-overfit-mnist", "On 1,000 MNIST digits, trained long, the critic with SN overfits least.", LARGE,
               needs="MNIST and a GPU", scale="paper"),
    _claim("wgan-gp-overfitting-mnist", IMPROVED, "figure 5b", "On 1,000 MNIST digits, trained long, held-out images "
           "lack more than 0.02 of its estimate.", _parted(LARGE), where=({**LARGE, "arm": "gp"},),
           needs="MNIST and a GPU", scale="paper"),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """The gap along training, mean over seeds."""
    found = {arm: [row.values["trail"] for row in pick(rows, arm=arm) if row.status == "ok"] for arm in COSTS}
    lines = [Line(arm, np.arange(1.0, len(met[0]) + 1), np.mean(met, 0)) for arm, met in found.items() if met]
    return {"What held-out images lack": Chart(lines, title="of the estimate", x_label="checkpoint")} if lines else {}
