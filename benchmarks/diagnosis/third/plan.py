"""The set: cases, lengths, seeds, and the order in which they are run."""

from __future__ import annotations

import random

from benchmarks.diagnosis.third import faults_a, faults_b
from benchmarks.diagnosis.third.case import Case
from benchmarks.diagnosis.third.oddities import ODDITIES

STEPS = {
    "accum_flags": 70,
    "amp_digits": 90,
    "beginner_table": 180,
    "closures_grid": 170,
    "conditional_digits": 130,
    "dcgan_digits": 90,
    "ema_digits": 140,
    "functional_moons": 150,
    "gp_waves": 100,
    "lazy_rings": 150,
    "multiscale_waves": 70,
    "one_adam_moons": 100,
    "resumed_rings": 150,
    "superres_flags": 60,
    "table_by_hand": 130,
    "trainer_sn": 70,
    "wgan_grid": 140,
}
SEED, SECOND_SEED, TWIN_SEEDS = 100, 101, (100, 101, 102, 103)
ODDITY_SEEDS = (100,)
ORDER_SEED = 20261128
FACTOR = 1.5

TWINS = tuple(Case(style, "healthy", "", ()) for style in STEPS)
FAULTS: tuple[Case, ...] = (
    *faults_a.DCGAN, *faults_a.WGAN, *faults_a.GP, *faults_a.TRAINER, *faults_a.LAZY,
    *faults_b.CONDITIONAL, *faults_b.SUPERRES, *faults_b.MULTI, *faults_b.TABLE, *faults_b.FUNCTIONAL, *faults_b.ONE,
    *faults_b.ACCUM, *faults_b.AMP, *faults_b.CLOSURES, *faults_b.EMA, *faults_b.BEGINNER, *faults_b.RESUMED,
)  # fmt: skip
CASES = {case.key: case for case in (*TWINS, *FAULTS, *ODDITIES)}


def faults_in_order() -> list[Case]:
    """Shuffled, but one case of every cause before the second of any, the second before the third, and so on."""
    draw = random.Random(ORDER_SEED)
    shuffled = list(FAULTS)
    draw.shuffle(shuffled)
    seen: dict[str, int] = {}
    ranks = []
    for case in shuffled:
        seen[case.cause] = seen.get(case.cause, 0) + 1
        ranks.append(seen[case.cause])
    return [case for _, case in sorted(zip(ranks, shuffled, strict=True), key=lambda pair: pair[0])]


def healthy_in_order() -> list[tuple[Case, int]]:
    """Twins and oddities with their seeds: the first seed of every twin, then the oddities, then the other seeds."""
    draw = random.Random(ORDER_SEED + 1)
    first, odd = [(case, TWIN_SEEDS[0]) for case in TWINS], [(case, seed) for case in ODDITIES for seed in ODDITY_SEEDS]
    rest = [(case, seed) for seed in TWIN_SEEDS[1:] for case in TWINS]
    draw.shuffle(first)
    draw.shuffle(odd)
    return [*first, *odd, *rest]


def watched() -> list[tuple[Case, int, str]]:
    """What is run with a Monitor, in order: blocks of four faults and three healthy with all, one run with little."""
    faults, healthy = [(case, SEED) for case in faults_in_order()], healthy_in_order()
    little = [pair for pairs in zip(faults, healthy, strict=False) for pair in pairs]
    out: list[tuple[Case, int, str]] = []
    queues = [("full", iter(faults), 4), ("full", iter(healthy), 3), ("real_z", iter(little), 1)]
    while queues:
        for entry in list(queues):
            access, queue, share = entry
            for _ in range(share):
                pair = next(queue, None)
                if pair is None:
                    queues.remove(entry)
                    break
                out.append((*pair, access))
    return out


def unwatched() -> list[tuple[Case, int]]:
    """What is run without one, as far as there is time: twins on two seeds, then faults and oddities on the second."""
    faults, odd = faults_in_order(), list(ODDITIES)
    random.Random(ORDER_SEED + 2).shuffle(odd)
    mixed: list[Case] = []
    while faults or odd:
        mixed += [*faults[:4], *odd[:1]]
        del faults[:4], odd[:1]
    return [*((case, seed) for seed in (SEED, SECOND_SEED) for case in TWINS), *((case, SECOND_SEED) for case in mixed)]
