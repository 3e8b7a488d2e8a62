"""Many seeds at once against one after another, through the public calls, in the same process.

    OMP_NUM_THREADS=1 python benchmarks/seeds.py [--rounds 7] [--cases "mlp 32 gp"] [--jax PYTHON]

`loop` is `training.start` and `training.train` for one seed, whose cost per seed does not depend on their number;
`seeds` is `training.seeds.train(..., how="stack")` for all of them, start-up and unstacking included. One step is a
critic and a generator update. Both draw from `Sampler(data, batch, seed=seed)`. Before anything is timed, two seeds of
the stack are compared with the same seeds alone. Interleaved rounds, process CPU time, one thread, the median of the
rounds' ratios with the lowest and highest. Convolutions are trained in processes of one thread, which take as much
processor time as the loop: their ratio is of wall-clock time, so it needs idle cores, and the number of cores is said.
`auto` says what it took and why, in the last round.
JAX is not part of this project: `--jax PYTHON` names the Python of an environment that has it, in which
`benchmarks/seeds_in_jax.py` is run in turns with the case of 128 seeds; otherwise it is named absent. There a step is
what 40 further steps cost, on both sides; the start (ours: networks, checks, stacking, handing back; theirs: initial
weights and compilation) stands beside it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tightrope import methods
from tightrope.data import Sampler, open_data
from tightrope.methods import Method
from tightrope.networks import NETWORKS
from tightrope.training import seeds, start, train
from timing import Row, options, record, row

CASES: dict[str, dict[str, Any]] = {
    f"mlp {width} {name}": {
        "data": "toy:ring", "network": "mlp", "size": {"width": width, "depth": 2}, "latent": 8, "batch": 128,
        "method": method, "seeds": 32, "steps": 100 if width == 32 else 30, "how": "stack",
    }
    for width in (32, 128)
    for name, method in (
        ("gp", methods.build("wgan_gp", n_critic=1)),
        ("r1", methods.build("r1", optimizer="adam")),
    )
} | {
    "digits dcgan 16 gp": {
        "data": "digits", "network": "dcgan", "size": {"width": 16}, "latent": 16, "batch": 64,
        "method": methods.build("wgan_gp", n_critic=1), "seeds": 8, "steps": 12, "how": "processes",
    }
}  # fmt: skip
CASES |= {
    "mlp 32 gp, 128 seeds": CASES["mlp 32 gp"] | {"seeds": 128, "steps": 40},
    "digits dcgan 16 gp, stacked": CASES["digits dcgan 16 gp"] | {"how": "stack", "steps": 10},
    "digits dcgan 16 gp, auto": CASES["digits dcgan 16 gp"] | {"how": "auto", "steps": 60},
}

TARGETS = {
    "mlp 32 gp": 6.0,
    "mlp 32 r1": 6.0,
    "mlp 128 gp": 2.0,
    "mlp 128 r1": 2.0,
    "digits dcgan 16 gp, auto": 1.5,
}
CLAIM = "Many seeds at once: time per seed and step"
JAX = "mlp 32 gp, 128 seeds, over JAX's step"


def parts(case: dict[str, Any]) -> tuple[Any, Callable[[int], tuple[nn.Module, nn.Module]]]:
    data = open_data(case["data"])
    network = NETWORKS[case["network"]]

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        rng = torch.Generator().manual_seed(seed)
        size = case["size"] | {"rng": rng}
        return network.generator(data.shape, latent=case["latent"], **size), network.critic(data.shape, **size)

    return data, networks


def one(case: dict[str, Any], data: Any, networks: Any, seed: int, steps: int) -> Any:
    method: Method = case["method"]
    run = start(method, *networks(seed), seed=seed, batch_size=case["batch"])
    for _ in train(run, Sampler(data, case["batch"], seed=seed), steps=steps):
        pass
    return run


def agreement(case: dict[str, Any]) -> float:
    """Largest difference of a parameter between seeds of a stack and the same seeds alone, after five steps."""
    data, networks = parts(case)
    found = seeds.train(case["method"], networks, data, (0, 1), steps=5, batch_size=case["batch"], how=case["how"])
    worst = 0.0
    for seed in found:
        alone = one(case, data, networks, seed.seed, 5)
        for a, b in zip(alone.critic.parameters(), seed.run.critic.parameters(), strict=True):
            worst = max(worst, float((a - b).detach().abs().max()))
    if worst > 1e-4:
        raise SystemExit(f"a seed in a stack differs from the same seed alone by {worst:.2g}: nothing to time")
    return worst


def measure(name: str, rounds: int) -> tuple[Row, str]:
    """The row of a case, and what it took and why."""
    case = CASES[name]
    data, networks = parts(case)
    count, steps = case["seeds"], case["steps"]
    repeats = 1 if case["how"] == "stack" else count
    options = {"steps": steps, "batch_size": case["batch"], "how": case["how"]}
    clocks = {"process_time": time.process_time, "perf_counter": time.perf_counter}
    spent: dict[str, dict[str, list[float]]] = {clock: {"loop": [], "seeds": []} for clock in clocks}
    for round_ in range(-1, rounds):
        readings = [{name: clock() for name, clock in clocks.items()}]
        for seed in range(repeats):
            one(case, data, networks, seed, steps)
        readings.append({name: clock() for name, clock in clocks.items()})
        found = seeds.train(case["method"], networks, data, range(count), **options)
        readings.append({name: clock() for name, clock in clocks.items()})
        for name in clocks if round_ >= 0 else ():
            began, between, ended = (reading[name] for reading in readings)
            spent[name]["loop"].append((between - began) / (repeats * steps))
            spent[name]["seeds"].append((ended - between) / (count * steps))
    used = "process_time" if found[0].how == "stack" else "perf_counter"  # which children's processor time escapes
    times = spent[used]
    ratios = [a / b for a, b in zip(times["loop"], times["seeds"], strict=True)]
    found_row = row(f"{name}, {count} seeds", ratios, *times.values(), target=TARGETS.get(name), bound="at least")
    return found_row, f"{found[0].how}: {found[0].why}; {used}"


def against_jax(case: dict[str, Any], python: Path, rounds: int) -> tuple[Row, list[float]] | None:
    """Our step over JAX's in turns, and both starts in seconds of processor time."""
    data, networks = parts(case)
    count, more = case["seeds"], 40
    options = {"batch_size": case["batch"], "how": case["how"]}
    script = [python, Path(__file__).with_name("seeds_in_jax.py"), "--seeds", str(count), "--rounds", "3"]
    ours, theirs, starts = [], [], []
    for _ in range(rounds):
        spent = []
        for steps in (10, 10 + more):
            began = time.process_time()
            seeds.train(case["method"], networks, data, range(count), steps=steps, **options)
            spent.append(time.process_time() - began)
        told = subprocess.run([str(part) for part in script], capture_output=True, text=True, check=True).stdout
        if not told.startswith("{"):
            return None
        answer = json.loads(told)
        ours.append((spent[1] - spent[0]) / (more * count))
        theirs.append(statistics.median(answer["step"]) / 1e6)
        starts.append((spent[0] - 10 * (spent[1] - spent[0]) / more, answer["start"]))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    medians = [statistics.median(side) for side in zip(*starts, strict=True)]
    return row(JAX, ratios, theirs, ours, target=1.2), medians


def main() -> None:
    parser = options(__doc__, rounds=7)
    parser.add_argument("--jax", type=Path, help="Python of an environment with JAX")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    table: list[list[object]] = [["case", "how", "largest difference from the seeds alone, after 5 steps"]]
    beside = None
    for name in given.cases:
        differs = agreement(CASES[name])
        found, how = measure(name, given.rounds)
        rows.append(found)
        table.append([name, how, f"{differs:.1e}"])
        if given.jax and "128 seeds" in name:
            beside = against_jax(CASES[name], given.jax, given.rounds)
            rows += [beside[0]] if beside else []
    said = f"Cores: {len(os.sched_getaffinity(0))}."
    if beside:
        said += " Seconds until the first step, ours and JAX's: {:.2f} and {:.2f}.".format(*beside[1])
    absent = [] if beside else ["JAX"]
    record(
        given.out, CLAIM, "the loop over single runs; JAX's jit, vmap and scan", rows, absent, said=said, table=table
    )


if __name__ == "__main__":
    main()
