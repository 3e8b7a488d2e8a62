"""Does `tightrope estimate` say beforehand what a training then takes: predicted over measured, per configuration.

    OMP_NUM_THREADS=1 python benchmarks/estimate.py [--out docs/results/estimate.json] [--probe 2]

Predicted: `runs.estimate.estimate` with a probe of seconds, for a budget of steps. Measured: `train` from a fresh start
through as many steps, sampler included. Process CPU time, one thread. Probe and training take turns in rounds, because
other work on the machine changes what a CPU second does; the ratio is the median of the rounds', with all of them
beside it. Memory: what the estimate, from half-steps of a run of its own, says comes and goes within a step, against
torch's record of allocations over a whole step of the training.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch

from tightrope import runs
from tightrope.data import Sampler
from tightrope.runs.assemble import Assembled, assemble, open_data_of
from tightrope.runs.estimate import estimate
from tightrope.training import train
from tightrope.training.cost import most_held

ROUNDS = 5

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--probe", type=float, default=0.7, help="seconds of each probe")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for data, method, wishes, steps in CONFIGURATIONS:
        config = runs.resolve(data, method=method, steps=steps, latent=16, **wishes)
        dataset = open_data_of(config, progress=False)
        assembled = assemble(config, dataset, progress=False)
        rounds = []
        for _ in range(ROUNDS):
            found = estimate(config, dataset, seconds=options.probe)
            rounds.append((found.cpu + found.loading, measured(assembled, steps)))
        ratios = [predicted / taken for predicted, taken in rounds]
        row = {
            "data": data,
            "method": method,
            **wishes,
            "steps": steps,
            "flops_per_step": found.flops,
            "predicted_ms": round(1000 * statistics.median(predicted for predicted, _ in rounds), 3),
            "measured_ms": round(1000 * statistics.median(taken for _, taken in rounds), 3),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in sorted(ratios)],
            "memory_ratio": round(found.memory / most_memory(assembled), 3),
        }
        rows.append(row)
        said = " ".join(f"{key} {value}" for key, value in wishes.items())
        print(
            f"{data:9} {method:15} {said:60} predicted {row['predicted_ms']:9} ms, measured {row['measured_ms']:9} ms: "
            f"{row['ratio']:.2f} {row['ratios']}, memory {row['memory_ratio']:.2f}",
            flush=True,
        )
    within = sum(abs(row["ratio"] - 1) <= 0.2 for row in rows)
    print(f"{within} of {len(rows)} within 20 %")
    if options.out is not None:
        machine = {"machine": platform.platform(), "torch": str(torch.__version__), "threads": 1}
        options.out.write_text(json.dumps({**machine, "within_20_percent": within, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
