"""The set: cases, seeds, and the order in which they are run."""

from __future__ import annotations

import random

from benchmarks.diagnosis.fourth.plan import mixed
from benchmarks.diagnosis.ninth import faults_a, faults_b, faults_c, faults_d, faults_e, oddities
from benchmarks.diagnosis.ninth.steps import STEPS
from benchmarks.diagnosis.sixth.plan import cases
from benchmarks.diagnosis.third.case import Case

SEED, SECOND_SEED, TWIN_SEEDS = 100, 101, (100, 101, 102, 103)
ORDER_SEED = 20261130
LITTLE_FAULTS, LITTLE_HEALTHY = 60, 30


TWINS = tuple(Case(style, "healthy", "", ()) for style in STEPS)
FAULTS = cases(faults_a, faults_b, faults_c, faults_d, faults_e)
ODDITIES = cases(oddities)
CASES = {case.key: case for case in (*TWINS, *FAULTS, *ODDITIES)}


def full() -> list[tuple[Case, int]]:
    """Every fault and oddity on the first seed, twins on all of theirs."""
    healthy = [*((case, seed) for case in TWINS for seed in TWIN_SEEDS), *((case, SEED) for case in ODDITIES)]
    return mixed([(case, SEED) for case in FAULTS], healthy, ORDER_SEED)


def little() -> list[tuple[Case, int]]:
    """A sample of the faults, and of twins and oddities together, on the second seed."""
    draw = random.Random(ORDER_SEED + 1)
    faults = draw.sample(FAULTS, LITTLE_FAULTS)
    healthy = draw.sample((*TWINS, *ODDITIES), LITTLE_HEALTHY)
    return mixed([(case, SECOND_SEED) for case in faults], [(case, SECOND_SEED) for case in healthy], ORDER_SEED + 2)


def watched() -> list[tuple[Case, int, str]]:
    """What is run with a Monitor, in order: with ``full`` access and with ``real_z``, mixed by their number."""
    parts = [[(*pair, "full") for pair in full()], [(*pair, "real_z") for pair in little()]]
    tagged = [((k + 0.5) / len(part), entry) for part in parts for k, entry in enumerate(part)]
    return [entry for _, entry in sorted(tagged, key=lambda pair: pair[0])]


def unwatched() -> list[tuple[Case, int]]:
    """What is run without one: twins on both seeds, faults and oddities on the second."""
    return [
        *((case, seed) for seed in (SEED, SECOND_SEED) for case in TWINS),
        *((case, SECOND_SEED) for case in (*FAULTS, *ODDITIES)),
    ]
