"""Orthogonal WGAN (1911.13060) and spectral normalization (1802.05957): critics between two known distributions.

The paper on orthogonal critics could be read in part only; what it measures here is our reading. Every arm has an arm
with the same activation beside it, because the activation alone changes what a critic finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tightrope.drawing.charts import Chart, Line, Reference
from tightrope.studies.design import (
    Cell,
    Certainty,
    Claim,
    Contrast,
    Part,
    Picture,
    Row,
    Scale,
    cells,
    pairs,
    pick,
    values,
)
from tightrope.studies.findings import Finding, average, paired_difference, paired_ratio, within
from tightrope.studies.known import fitted

ORTHOGONAL, SPECTRAL, WHEN = "1911.13060", "1802.05957", "2026-11-26"
ARMS = (
    ("orthogonal", "groupsort"), ("orthogonal", "relu"), ("gradient_penalty", "groupsort"),
    ("gradient_penalty", "relu"), ("spectral_norm", "relu"), ("weight_norm", "relu"), ("clip", "relu"),
)  # fmt: skip
COSTS = {"orthogonal": 3.5, "gradient_penalty": 1.3, "spectral_norm": 1.4, "weight_norm": 1.0, "clip": 1.0}
ALONE = "the claim is about what a critic finds in the end, not how soon; all are run past their knee"


def _parts(steps: int, seeds: Sequence[int]) -> tuple[Part, ...]:
    made = tuple(cell for critic, activation in ARMS for cell in cells(
        critic=critic, activation=activation, cost=COSTS[critic], steps=steps, batch=128, rate=2e-3))  # fmt: skip
    return (Part(made, tuple(seeds), seconds=steps * 0.005),)


GRID = {"smoke": _parts(40, (7200,)), "cpu": _parts(400, range(7200, 7205)), "paper": _parts(3000, range(7200, 7220))}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One critic on the ring."""
    return fitted(cell, seed)


def _contrast(a: tuple[str, str], b: tuple[str, str], differs: tuple[str, ...]) -> Contrast:
    treated, control = ({"critic": critic, "activation": activation} for critic, activation in (a, b))
    return Contrast(treated, control, differs=differs, alone=ALONE)


SAME_SORT = _contrast(("orthogonal", "groupsort"), ("gradient_penalty", "groupsort"), ("critic",))
SAME_RELU = _contrast(("orthogonal", "relu"), ("gradient_penalty", "relu"), ("critic",))
SORTED = _contrast(("orthogonal", "groupsort"), ("orthogonal", "relu"), ("activation",))
OVER_WN = _contrast(("spectral_norm", "relu"), ("weight_norm", "relu"), ("critic",))
OVER_CLIP = _contrast(("spectral_norm", "relu"), ("clip", "relu"), ("critic",))
OVER_GP = _contrast(("spectral_norm", "relu"), ("gradient_penalty", "relu"), ("critic",))


def _of(measure: str, critic: str, activation: str, above: float | None = None, below: float | None = None) -> Any:
    def judge(rows: Sequence[Row]) -> Finding:
        return average(values(rows, measure, critic=critic, activation=activation), measure, above=above, below=below)

    return judge


def _between(measure: str, critic: str, activation: str, low: float, high: float) -> Any:
    return lambda rows: within(values(rows, measure, critic=critic, activation=activation), measure, low, high)


def _times(measure: str, contrast: Contrast, above: float) -> Any:
    return lambda rows: paired_ratio(*pairs(rows, measure, contrast), f"ratio of {measure}", above=above)


def _nearer(contrast: Contrast) -> Any:
    """By how much the treated critic's estimate is nearer to the exact distance."""

    def judge(rows: Sequence[Row]) -> Any:
        a, b = ([abs(value - 1) for value in arm] for arm in pairs(rows, "ratio", contrast))
        return paired_difference(a, b, "error of the estimate, difference", below=0.0)

    return judge


def _single(
    name: str, paper: str, place: str, sentence: str, arm: tuple[str, str], judge: Any, published: str = ""
) -> Claim:
    where = {"critic": arm[0], "activation": arm[1]}
    return Claim(name, paper, place, sentence, WHEN, judge, (where,), published=published, certainty="pilot")


def _compared(name: str, paper: str, place: str, sentence: str, contrast: Contrast, judge: Any) -> Claim:
    return Claim(name, paper, place, sentence, WHEN, judge, (contrast.treated, contrast.control), (contrast,),
                 published="no number of the paper applies", certainty="pilot")  # fmt: skip


def _elsewhere(paper: str, name: str, place: str, sentence: str, needs: str, published: str = "") -> Claim:
    sure: Certainty = "paper" if published else "none"
    return Claim(name, paper, place, sentence, WHEN, needs=needs, scale="paper", published=published, certainty=sure)


FIGURE_9 = "mostly 1 to 1.05, at rate 2e-4 (here 2e-3)"
SORT, RELU = ("orthogonal", "groupsort"), ("orthogonal", "relu")
CLAIMS = (
    _single("orth-tight", ORTHOGONAL, "abstract", "Orthogonal layers with GroupSort find 0.90 to 1.02 of the distance.",
            SORT, _between("ratio", *SORT, 0.90, 1.02)),
    _single("orth-lipschitz", ORTHOGONAL, "abstract", "Orthogonal layers keep slopes at most 1.001, far out too.",
            SORT, _of("steepest", *SORT, below=1.001)),
    _single("gp-lipschitz", ORTHOGONAL, "introduction", "A gradient penalty leaves slopes above 1.05 somewhere.",
            ("gradient_penalty", "relu"), _of("steepest", "gradient_penalty", "relu", above=1.05)),
    _single("orth-spectrum", ORTHOGONAL, "abstract", "Orthogonal layers keep a flat spectrum: stable rank above 0.95.",
            SORT, _of("rank", *SORT, above=0.95)),
    _single("gp-spectrum", ORTHOGONAL, "introduction", "A gradient penalty does not: stable rank below 0.3.",
            ("gradient_penalty", "relu"), _of("rank", "gradient_penalty", "relu", below=0.3)),
    _compared("orth-gp-sort", ORTHOGONAL, "abstract", "With GroupSort in both, orthogonal is nearer to W1 than GP.",
              SAME_SORT, _nearer(SAME_SORT)),
    _compared("orth-gp-relu", ORTHOGONAL, "abstract", "With ReLU in both, orthogonal is nearer to W1 than GP.",
              SAME_RELU, _nearer(SAME_RELU)),
    _compared("orth-activation", ORTHOGONAL, "our reading", "GroupSort finds above 1.2 times as much of W1 as ReLU.",
              SORTED, _times("ratio", SORTED, 1.2)),
    _compared("sn-rank-wn", SPECTRAL, "figure 3", "SN keeps the stable rank at least 1.5 times weight norm's.", OVER_WN,
              _times("rank", OVER_WN, 1.5)),
    _compared("sn-rank-clip", SPECTRAL, "figure 3", "SN keeps the stable rank at least 1.5 times clipping's.",
              OVER_CLIP, _times("rank", OVER_CLIP, 1.5)),
    _compared("sn-rank-gp", SPECTRAL, "figure 3", "SN keeps the stable rank at least 1.5 times a gradient penalty's.",
              OVER_GP, _times("rank", OVER_GP, 1.5)),
    _single("sn-sigma-high", SPECTRAL, "figure 9", "SN's singular values stay below 1.05 after 5 % of training.",
            ("spectral_norm", "relu"), _of("sigma_high", "spectral_norm", "relu", below=1.05), FIGURE_9),
    _single("sn-sigma-low", SPECTRAL, "figure 9", "SN's largest ones stay above 0.98 after 5 % of training.",
            ("spectral_norm", "relu"), _of("sigma_low", "spectral_norm", "relu", above=0.98), FIGURE_9),
    *(_elsewhere(ORTHOGONAL, f"orth-{name}", place, sentence, needs) for name, place, sentence, needs in (
        ("procedure", "abstract", "An improved procedure with orthogonalisation raises the critic's generalisation.",
         "the paper's procedure, which no source at hand states"),
    )),
    *(_elsewhere(SPECTRAL, f"sn-{name}", place, sentence, needs, number) for name, place, sentence, needs, number in (
        ("imagenet", "figure 5", "On ImageNet SN improves on where orthonormal stops.", "ImageNet on GPUs",
         "IS 21.1 at 450,000"),
        ("imagenet-collapse", "section 4.2", "On ImageNet no normalisation and layer norm collapse at once.",
         "ImageNet on GPUs", "they collapse"),
        ("imagenet-diversity", "section 4.2", "On ImageNet SN's samples of a class differ more than AC-GAN's.",
         "ImageNet on GPUs", "MS-SSIM 0.101 against about 0.25"),
        ("imagenet-critics", "figure 13", "On ImageNet SN beats orthonormal without labels and by projection too.",
         "ImageNet on GPUs", "curves only"),
        ("stl10", "table 2", "On STL-10 SN has a smaller FD than clipping, WGAN-GP, layer and weight norm.",
         "STL-10 and a GPU", "FID 53.1 against 55.1 to 75.6"),
        ("stl10-longer", "table 2", "On STL-10 SN gains by twice as many updates.", "STL-10 and a GPU",
         "FID 47.5 against 53.1"),
        ("frobenius", "table 7", "Divided by their Frobenius norms WGAN-GP's weights collapse early.",
         "CIFAR-10 on a GPU", "collapsed"),
        ("labels", "table 8", "With labels (AC-WGAN-GP) SN reparametrisation improves WGAN-GP.",
         "CIFAR-10 with labels on a GPU", "FID 18.6 against 19.5"),
    )),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Estimate, steepest slope and stable rank, seed by seed."""
    drawn = {}
    titles = {"ratio": "Share of the distance found", "steepest": "Steepest slope", "rank": "Stable rank"}
    for measure, title in titles.items():
        found = {f"{c}, {a}": pick(rows, critic=c, activation=a) for c, a in ARMS}
        lines = [Line(name, np.asarray([float(r.seed) for r in met]), np.asarray([r.values[measure] for r in met]))
                 for name, met in found.items() if met and all(r.status == "ok" for r in met)]  # fmt: skip
        if lines:
            drawn[title] = Chart(lines, title=title, x_label="seed", log=measure != "rank",
                                      references=[Reference("1", 1.0)])  # fmt: skip
    return drawn
