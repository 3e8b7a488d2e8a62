"""The set: cases, seeds, and the order in which they are run."""

from __future__ import annotations

import random

from benchmarks.diagnosis.fourth import faults_a, faults_b
from benchmarks.diagnosis.fourth.oddities import ODDITIES
from benchmarks.diagnosis.fourth.steps import STEPS
from benchmarks.diagnosis.third.case import Case

SEED, SECOND_SEED, TWIN_SEEDS = 100, 101, (100, 101, 102, 103)
ORDER_SEED = 20261127
LITTLE = 40

TWINS = tuple(Case(style, "healthy", "", ()) for style in STEPS)
FAULTS: tuple[Case, ...] = (
    *faults_a.STYLEGAN, *faults_a.HIFIGAN, *faults_a.VQGAN, *faults_a.PIX2PIX, *faults_a.CYCLEGAN, *faults_a.CTGAN,
    *faults_a.R3GAN, *faults_a.SNGAN, *faults_b.WGANGP, *faults_b.LIGHTNING, *faults_b.ACCELERATE, *faults_b.DRAGAN,
    *faults_b.REVERSAL, *faults_b.RCGAN, *faults_b.AIRL, *faults_b.LSGAN,
)  # fmt: skip
CASES = {case.key: case for case in (*TWINS, *FAULTS, *ODDITIES)}


def mixed(faults: list[tuple[Case, int]], healthy: list[tuple[Case, int]], seed: int) -> list[tuple[Case, int]]:
    """Both shuffled and in turns, so that the head of the order has the same share of each."""
    draw = random.Random(seed)
    draw.shuffle(faults)
    draw.shuffle(healthy)
    tagged = [((k + 0.5) / len(part), pair) for part in (faults, healthy) for k, pair in enumerate(part)]
    return [pair for _, pair in sorted(tagged, key=lambda entry: entry[0])]


def full() -> list[tuple[Case, int]]:
    """Every fault and oddity on the first seed, twins on all of theirs."""
    healthy = [*((case, seed) for case in TWINS for seed in TWIN_SEEDS), *((case, SEED) for case in ODDITIES)]
    return mixed([(case, SEED) for case in FAULTS], healthy, ORDER_SEED)


def little() -> list[tuple[Case, int]]:
    """A sample of the faults, and all twins with a sample of the oddities, on the second seed."""
    draw = random.Random(ORDER_SEED + 1)
    faults = draw.sample(FAULTS, LITTLE)
    healthy = [*TWINS, *draw.sample(ODDITIES, LITTLE - len(TWINS))]
    return mixed([(case, SECOND_SEED) for case in faults], [(case, SECOND_SEED) for case in healthy], ORDER_SEED + 2)


def watched() -> list[tuple[Case, int, str]]:
    """What is run with a Monitor, in order: with ``full`` access and with ``real_z``, mixed by their number."""
    parts = [[(*pair, "full") for pair in full()], [(*pair, "real_z") for pair in little()]]
    tagged = [((k + 0.5) / len(part), entry) for part in parts for k, entry in enumerate(part)]
    return [entry for _, entry in sorted(tagged, key=lambda pair: pair[0])]


def unwatched() -> list[tuple[Case, int]]:
    """What is run without one, beforehand: twins on both seeds, faults and oddities on the second."""
    return [
        *((case, seed) for seed in (SEED, SECOND_SEED) for case in TWINS),
        *((case, SECOND_SEED) for case in (*FAULTS, *ODDITIES)),
    ]
