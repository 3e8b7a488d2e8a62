"""What one Jacobian of DCGAN-32 with its spectrum costs, against a forward of 128 samples and against reverse mode.

    OMP_NUM_THREADS=1 python benchmarks/conditioning.py [--rounds 9] [--out docs/results/conditioning.json]

One process, one thread, variants in turn, medians of processor time. Generator: DCGAN-32 of width 64, latent 128,
images 3x32x32, float32. Goals: Jacobian and spectrum at most 1.8 forwards of a batch of 128 (batch equal to the
latents), and at least 5 times faster than reverse mode. The row loop is what public code does, one reverse pass per
pixel; a part of its rows is timed and scaled up. The batched reverse mode is ``torch.func.jacrev`` in pieces of 64 rows
(256 at a time took 7.2 s). Accuracy is the largest relative error of the singular values against an explicit float64
Jacobian.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tightrope import conditioning
from tightrope.networks import NETWORKS

LATENT, SHAPE, ROWS = 128, (3, 32, 32), 96
OUT = Path(__file__).parents[1] / "docs" / "results" / "conditioning.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    generator = NETWORKS["dcgan"].generator(SHAPE, latent=LATENT, width=64, rng=rng).eval()
    z, batch = torch.randn(1, LATENT, generator=rng), torch.randn(128, LATENT, generator=rng)
    outputs = torch.Size(SHAPE).numel()

    def forward() -> Tensor:
        with torch.no_grad():
            return generator(batch)

    def row_loop() -> Tensor:
        point = z.clone().requires_grad_()
        flat = generator(point).flatten()
        rows = [
            torch.autograd.grad(flat[i], point, retain_graph=True)[0][0] for i in range(0, outputs, outputs // ROWS)
        ]
        return torch.stack(rows)

    def batched_reverse() -> Tensor:
        found: Tensor = torch.func.jacrev(lambda v: generator(v[None]).flatten(), chunk_size=64)(z[0])
        return found.detach()

    variants: dict[str, tuple[Callable[[], Tensor], float]] = {
        "forward of 128": (forward, 1.0),
        "jacobian": (lambda: conditioning.jacobian(generator, z), 1.0),
        "jacobian and spectrum": (lambda: conditioning.singular_values(generator, z), 1.0),
        "reverse mode, 64 rows at a time": (batched_reverse, 1.0),
        "reverse mode, one row at a time": (row_loop, outputs / ROWS),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for function, _ in variants.values():
        function()
    for _ in range(options.rounds):
        for name, (function, scale) in variants.items():
            began = time.process_time()
            function()
            times[name].append(scale * (time.process_time() - began))
    seconds = {name: statistics.median(values) for name, values in times.items()}

    double = generator.double()
    true = torch.autograd.functional.jacobian(lambda v: double(v[None]).flatten(), z[0].double(), vectorize=False)
    sigma = torch.linalg.svdvals(true)
    found = conditioning.singular_values(double, z.double())[0]
    single = conditioning.singular_values(generator.float(), z)[0]
    ours = seconds["jacobian and spectrum"]
    result = {
        "network": "dcgan width 64, latent 128, 3x32x32, one thread, one latent",
        "seconds": seconds,
        "over_forward_of_128": ours / seconds["forward of 128"],
        "faster_than_batched_reverse": seconds["reverse mode, 64 rows at a time"] / ours,
        "faster_than_row_loop": seconds["reverse mode, one row at a time"] / ours,
        "relative_error_float64": float(((found - sigma).abs() / sigma).max()),
        "relative_error_float32": float(((single - sigma).abs() / sigma).max()),
        "torch": torch.__version__,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
