"""Time of a network's whole operator spectrum, against the plain way: full complex FFT and a batched SVD in NumPy.

    OMP_NUM_THREADS=1 python benchmarks/spectra.py [--width 128] [--rounds 3] [--out FILE]

All convolutions of the SN ResNet critic at 32 pixels, shortcuts included, with circular padding so that a Fourier
transform is exact (with the zero padding of the network itself no public implementation gives the spectrum of layers of
this size). The NumPy way is that of conv-sv, the authors' code of 1805.10408; the torch way is the one that lip4conv
takes. All results are compared. One thread, process CPU time, interleaved, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tightrope import spectra
from tightrope.layers.find import find_layers
from tightrope.layers.linear_map import input_shapes
from tightrope.networks import NETWORKS


def reference(weight: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Singular values of the circular convolution: FFT of the kernel over the whole image, one SVD per frequency."""
    transforms = np.fft.fft2(weight, size, axes=(2, 3))
    return np.sort(np.linalg.svd(transforms.transpose(2, 3, 0, 1), compute_uv=False).ravel())[::-1]


def full_torch(weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The same in torch and single precision."""
    transforms = torch.fft.fft2(weight, size)
    return torch.linalg.svdvals(transforms.permute(2, 3, 0, 1)).flatten().sort(descending=True).values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = NETWORKS["sn_resnet"].critic((3, 32, 32), width=options.width, rng=torch.Generator().manual_seed(0))
    shapes = input_shapes(network, lambda: network(torch.zeros(1, 3, 32, 32)))
    layers = {n: m for n, m in find_layers(network).items() if isinstance(m, nn.Conv2d)}
    for layer in layers.values():
        if layer.kernel_size != (1, 1):
            layer.padding_mode = "circular"
            layer._reversed_padding_repeated_twice = [1, 1, 1, 1]
    seconds: dict[str, list[float]] = {"tightrope": [], "torch, all frequencies": [], "numpy, all frequencies": []}
    worst = 0.0
    for _ in range(options.rounds):
        results = {}
        for name, run in {
            "tightrope": lambda m, s: spectra.singular_values(m, s).values,
            "torch, all frequencies": lambda m, s: full_torch(m.weight.detach(), s[1:]),
            "numpy, all frequencies": lambda m, s: torch.from_numpy(reference(m.weight.detach().numpy(), s[1:]).copy()),
        }.items():
            started = time.process_time()
            results[name] = [run(layer, shapes[n][0]) for n, layer in layers.items()]
            seconds[name].append(time.process_time() - started)
        for ours, theirs in zip(results["tightrope"], results["numpy, all frequencies"], strict=True):
            worst = max(worst, float((ours.double() - theirs.double()).abs().max() / theirs.max()))
    rows = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in rows.items():
        print(f"{name:<26} {value:6.2f} s  ratio {value / rows['numpy, all frequencies']:.2f}")
    print(f"{len(layers)} convolutions of width {options.width}; largest relative difference {worst:.1e}")
    best = min(value for name, value in rows.items() if name != "tightrope")
    share = rows["tightrope"] / best
    print(f"{'PASS' if share <= 0.5 else 'FAIL'} at most half the time of the best other: {share:.2f}")
    if options.out:
        record = {
            "width": options.width,
            "torch": torch.__version__,
            "load": "taken on a machine shared with other jobs",
            "seconds": rows,
            "largest_relative_difference": worst,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
