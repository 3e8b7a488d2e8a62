"""What a step costs against batch, width, depth, resolution and number of seeds: a picture, and the growth as ratios.

    OMP_NUM_THREADS=1 python benchmarks/cost_curves.py [--rounds 3]

One step is a critic and a generator update. Batch, width and resolution: DCGAN of width 16 at 32 pixels and batch 32,
one of them varied. Depth: an MLP of width 64 on points of the plane, batch 128. Seeds: that MLP with depth 2 and width
32, `training.seeds.train(how="stack")`, per seed. A ratio is the last place over the first of the same round. There is
nothing to agree with: each curve is one computation at several sizes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import torch

from pictures import Panel, write_panels
from tightrope import methods
from tightrope.data import open_data
from tightrope.networks import NETWORKS
from tightrope.training import critic_step, generator_step, seeds, start
from timing import dearer, interleaved, options, record

METHODS = {
    "plain": partial(methods.build, "dcgan"),
    "R1": partial(methods.build, "r1", optimizer="adam"),
    "WGAN-GP": partial(methods.build, "wgan_gp", n_critic=1),
}
PLACES = {
    "batch": (8, 16, 32, 64),
    "width": (8, 16, 32, 64),
    "resolution": (16, 32, 64),
    "depth": (1, 2, 4, 8),
    "seeds": (1, 4, 16),
}
LABELS = {"resolution": "pixels", "depth": "hidden layers", "seeds": "seeds in one stack"}
STEPS = 10


def step(method: str, network: str, shape: tuple[int, ...], batch: int, **sizes: int) -> Callable[[], object]:
    rng = torch.Generator().manual_seed(0)
    kind = NETWORKS[network]
    generator, critic = kind.generator(shape, latent=16, rng=rng, **sizes), kind.critic(shape, rng=rng, **sizes)
    run = start(METHODS[method](), generator, critic, seed=0, batch_size=batch)
    real = torch.rand(batch, *shape, generator=rng) * 2 - 1

    def both() -> None:
        critic_step(run, real)
        generator_step(run)

    return both


def many(method: str, count: int) -> Callable[[], object]:
    """Steps of a stack of seeds; starting it is part of it."""
    network = NETWORKS["mlp"]

    def networks(seed: int) -> tuple[torch.nn.Module, torch.nn.Module]:
        sizes = {"width": 32, "depth": 2, "rng": torch.Generator().manual_seed(seed)}
        return network.generator((2,), latent=8, **sizes), network.critic((2,), **sizes)

    data, built = open_data("toy:ring"), METHODS[method]()
    return partial(seeds.train, built, networks, data, range(count), steps=STEPS, batch_size=128, how="stack")


def variant(axis: str, method: str, place: int) -> Callable[[], object]:
    if axis == "seeds":
        return many(method, place)
    if axis == "depth":
        return step(method, "mlp", (2,), 128, width=64, depth=place)
    image = {"batch": 32, "width": 16, "resolution": 32} | {axis: place}
    side = image["resolution"]
    return step(method, "dcgan", (3, side, side), image["batch"], width=image["width"])


def main() -> None:
    given = options(__doc__, rounds=3).parse_args()
    torch.set_num_threads(1)
    rows, panels, curves = [], [], {}
    table: list[list[object]] = [["axis", "method", "places", "ms per step (of one seed)"]]
    for axis, places in PLACES.items():
        lines: dict[str, list[float]] = {}
        for method in METHODS:
            spent = interleaved({str(place): variant(axis, method, place) for place in places}, rounds=given.rounds)
            shares = {p: (STEPS * p if axis == "seeds" else 1) for p in places}
            spent = {str(p): [seconds / shares[p] for seconds in spent[str(p)]] for p in places}
            lines[method] = [1e3 * statistics.median(spent[str(p)]) for p in places]
            case = f"{axis} {places[0]} to {places[-1]}, {method}"
            rows.append(dearer(case, spent, str(places[-1]), str(places[0])))
            shown = ", ".join(f"{ms:.3g}" for ms in lines[method])
            table.append([axis, method, ", ".join(map(str, places)), shown])
        curves[axis] = {"places": places, "ms": lines}
        panels.append(Panel(f"ms a step, {axis}", places, [str(p) for p in places], lines, log=True))
    given.out.mkdir(parents=True, exist_ok=True)
    labels = [LABELS.get(axis, axis) for axis in PLACES]
    title = "Processor time of a critic and a generator step"
    write_panels(given.out / "cost_curves.svg", title, [panels], labels)
    claim = "What a step costs against batch, width, depth, resolution and seeds"
    record(
        given.out,
        claim,
        "the first place of the same curve",
        rows,
        table=table,
        picture="cost_curves.svg",
        details=curves,
    )


if __name__ == "__main__":
    main()
