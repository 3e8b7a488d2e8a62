"""Ten leading eigenvalues of a DCGAN-32 game: time, memory, and the cost of a Jacobian product against a gradient.

    python benchmarks/dynamics_scale.py [--width 64] [--batch 64] [--threads 2] [--k 10] [--out FILE]

The game is non-saturating with R1 (gamma 10) on images of noise blobs, float32, both networks of about 1.7 million
parameters together at width 64. Limits: 5 minutes on two cores, peak resident memory 3 GiB, and a product at most 3
times the plain gradient of both players. Products and gradients are timed in turns in this process, medians compared;
``--k 0`` stops after that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path

import torch

from tightrope.dynamics import eigenvalues, field_products, gradient_field
from tightrope.methods import build
from tightrope.methods.game import game_of
from tightrope.networks import NETWORKS


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    network = NETWORKS["dcgan"]
    generator = network.generator((3, 32, 32), latent=128, width=options.width, rng=rng)
    critic = network.critic((3, 32, 32), width=options.width, rng=rng)
    real = torch.nn.functional.interpolate(
        torch.randn(options.batch, 3, 4, 4, generator=rng), 32, mode="bicubic"
    ).tanh()
    losses, players = game_of(build("r1"), generator, critic, real, latent=128), (generator, critic)
    size = sum(p.numel() for player in players for p in player.parameters())
    with field_products(losses, players) as J:
        exact = J.transpose_is_exact()
        v = torch.randn(size, generator=rng)
        kinds = {"transposed": lambda: J.transposed(v), "forward": lambda: J.forward(v)}
        times: dict[str, list[float]] = {"gradient": [], **{k: [] for k in kinds if exact or k == "forward"}}
        for name in list(times)[1:]:
            kinds[name]()  # the first forward product imports torch's decomposition tables, which takes seconds
        for _ in range(options.rounds):
            times["gradient"].append(seconds(lambda: gradient_field(losses, players)))
            for name in list(times)[1:]:
                kinds[name]() if name == "transposed" else None  # rebuilds the kept graph, which is paid once
                times[name].append(seconds(kinds[name]))
    medians = {name: statistics.median(values) for name, values in times.items()}
    result: dict[str, object] = {
        "parameters": size,
        "batch": options.batch,
        "threads": options.threads,
        "load_average": round(os.getloadavg()[0], 1),
        "gradient_seconds": round(medians["gradient"], 3),
        "product_over_gradient": {k: round(v / medians["gradient"], 2) for k, v in medians.items() if k != "gradient"},
        "rounds": options.rounds,
        "limits": {"seconds": 300, "peak_gib": 3.0, "product_over_gradient": 3.0},
    }
    write(result, options.out)  # what is known already; a busy machine may not live to see the rest
    if options.k:
        began, cpu = time.perf_counter(), time.process_time()
        spectrum = eigenvalues(losses, players, k=options.k, which="LM")
        result |= {
            "seconds": round(time.perf_counter() - began, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "products": spectrum.products,
            "transposed": spectrum.transposed,
            "eigenvalues": [[round(v.real, 6), round(v.imag, 6)] for v in spectrum.values.tolist()],
            "residuals": [float(f"{r:.2g}") for r in spectrum.residuals.tolist()],
        }
    result["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    write(result, options.out)


def write(result: dict[str, object], out: Path | None) -> None:
    print(json.dumps(result, indent=1), flush=True)
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
