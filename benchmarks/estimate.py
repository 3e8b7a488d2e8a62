"""Does `tightrope estimate` say beforehand what a training then takes: predicted over measured, per configuration.

    OMP_NUM_THREADS=1 python benchmarks/estimate.py [--rounds 5] [--probe 2]

Predicted: `runs.estimate.estimate` with a probe of seconds, for a budget of steps. Measured: `train` from a fresh start
through as many steps, sampler included. Probe and training take turns in rounds, because other work on the machine
changes what a CPU second does. Memory: what the estimate, from half-steps of a run of its own, says comes and goes
within a step, against torch's record of allocations over a whole step of the training.
"""

from __future__ import annotations

import time

import torch

from tightrope import runs
from tightrope.data import Sampler
from tightrope.runs.assemble import Assembled, assemble, open_data_of
from tightrope.runs.estimate import estimate
from tightrope.training import train
from tightrope.training.cost import most_held
from timing import Row, options, record, row

WITHIN = 0.2

CONFIGURATIONS = [
    ("toy:ring", "r1", {"network": "mlp", "width": 32, "batch_size": 128}, 75),
    ("toy:ring", "wgan_gp", {"network": "mlp", "width": 128, "batch_size": 128}, 20),
    ("toy:ring", "sn_gan", {"network": "mlp", "width": 128, "batch_size": 64}, 50),
    ("toy:ring", "extra_adam", {"network": "mlp", "width": 64, "batch_size": 64}, 30),
    ("toy:ring", "consensus", {"network": "mlp", "width": 64, "batch_size": 64}, 20),
    ("digits", "r1", {"network": "dcgan", "width": 16, "batch_size": 64}, 20),
    ("digits", "r1", {"network": "dcgan", "width": 32, "batch_size": 16}, 20),
    ("digits", "wgan_gp", {"network": "dcgan", "width": 16, "batch_size": 32}, 7),
    ("digits", "wgan_gp", {"network": "dcgan", "width": 16, "batch_size": 32, "every": 4}, 10),
    ("digits", "orthogonal_wgan", {"network": "dcgan", "width": 16, "batch_size": 32}, 6),
    ("digits", "sn_gan", {"network": "dcgan", "width": 32, "batch_size": 32}, 12),
    ("digits", "dcgan_clamped", {"network": "dcgan", "width": 16, "batch_size": 64}, 15),
    ("digits", "sn_gan", {"network": "sn_resnet", "width": 16, "resolution": 32, "batch_size": 16}, 3),
    ("digits", "r3gan", {"network": "dcgan", "width": 32, "resolution": 32, "batch_size": 32}, 4),
    ("digits", "r1", {"network": "dcgan", "width": 16, "resolution": 32, "batch_size": 32, "precision": "bf16"}, 4),
]


def measured(assembled: Assembled, steps: int) -> float:
    """CPU seconds per step, after one step that is not counted."""
    loop = train(assembled.run, assembled.sampler, steps=assembled.run.step + steps + 1)
    next(loop)
    began = time.process_time()
    for _ in loop:
        pass
    return (time.process_time() - began) / steps


def most_memory(assembled: Assembled) -> int:
    """Bytes that torch holds above what is there, at most, within a whole step of ``train``, sampler included."""
    run = assembled.run
    sampler = Sampler(assembled.dataset, run.batch_size, seed=1)
    loop = train(run, sampler, steps=run.step + 2)
    next(loop)
    return most_held(lambda: next(loop), run.device)


def title(data: str, method: str, wishes: dict[str, object]) -> str:
    return f"{data}, {method}: " + ", ".join(str(v) if k == "network" else f"{k} {v}" for k, v in wishes.items())


def summary(rows: list[Row], memory: list[float]) -> list[Row]:
    """How many lie within 20 %, of times and of memory, of which at least 12 should."""
    found = []
    for name, ratios in (("time", [r.median for r in rows]), ("memory", memory)):
        within = sum(abs(ratio - 1) <= WITHIN for ratio in ratios)
        case = f"{name} within 20 % ({within} of {len(ratios)} configurations), over 12"
        found.append(row(case, [within / 12], [0.0], [0.0], target=1.0, bound="at least"))
    return found


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--probe", type=float, default=0.7, help="seconds of each probe")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows, memory, flops = [], [], []
    for data, method, wishes, steps in CONFIGURATIONS:
        config = runs.resolve(data, method=method, steps=steps, latent=16, **wishes)
        dataset = open_data_of(config, progress=False)
        assembled = assemble(config, dataset, progress=False)
        predicted, taken = [], []
        for _ in range(given.rounds):
            found = estimate(config, dataset, seconds=given.probe)
            predicted.append(found.cpu + found.loading)
            taken.append(measured(assembled, steps))
        ratios = [a / b for a, b in zip(predicted, taken, strict=True)]
        case = title(data, method, wishes)
        rows.append(row(case, ratios, taken, predicted, target=WITHIN, bound="off one by at most"))
        memory.append(found.memory / most_memory(assembled))
        flops.append(found.flops)
    said = "Memory, predicted over measured, in the same order: " + ", ".join(f"{ratio:.2f}" for ratio in memory) + "."
    claim = "Predicted time of a training step over what it then takes"
    details = {"memory": memory, "flops_per_step": flops}
    record(given.out, claim, "the training", [*summary(rows, memory), *rows], said=said, details=details)


if __name__ == "__main__":
    main()
