"""The development set and the test set: which fault is planted in which loop, data, networks and recipe."""

from __future__ import annotations

from dataclasses import replace

from .bases import DEV, TEST
from .data import present
from .healthy import healthy_dev, healthy_test
from .plan import Plan
from .planted_dev import PLANTED as PLANTED_DEV
from .planted_test import PLANTED as PLANTED_TEST

SETS = {"dev": (DEV, PLANTED_DEV, healthy_dev), "test": (TEST, PLANTED_TEST, healthy_test)}


def faulty(name: str, seed: int) -> list[Plan]:
    """Every planted run of a set for one seed."""
    bases, planted, _ = SETS[name]
    plans = []
    for fault, places in planted.items():
        for base, strength in places:
            plans.append(replace(bases[base], fault=fault, strength=float(strength), seed=seed))
    return [plan for plan in plans if present(plan.data)]


def healthy(name: str, seed: int) -> list[Plan]:
    """Every healthy run of a set for one seed: plain recipes and oddities that are sound."""
    return [plan for plan in (replace(p, seed=seed) for p in SETS[name][2]()) if present(plan.data)]


def plans(name: str, seeds: int) -> list[Plan]:
    """All runs of a set; the test set's seeds are other seeds than the development set's."""
    first = 0 if name == "dev" else 50
    return [plan for seed in range(first, first + seeds) for plan in [*faulty(name, seed), *healthy(name, seed)]]
