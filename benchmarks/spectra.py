"""Time of a network's whole operator spectrum, against the plain way: full complex FFT and a batched SVD in NumPy.

    OMP_NUM_THREADS=1 python benchmarks/spectra.py [--width 128] [--rounds 3]

All convolutions of the SN ResNet critic at 32 pixels, shortcuts included, with circular padding so that a Fourier
transform is exact (with the zero padding of the network itself no public implementation gives the spectrum of layers of
this size). The NumPy way is that of conv-sv, the authors' code of 1805.10408; the torch way is the one that lip4conv
takes. All results are compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from tightrope import spectra
from tightrope.layers.find import find_layers
from tightrope.layers.linear_map import input_shapes
from tightrope.networks import NETWORKS
from timing import dearer, interleaved, options, record


def reference(weight: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Singular values of the circular convolution: FFT of the kernel over the whole image, one SVD per frequency."""
    transforms = np.fft.fft2(weight, size, axes=(2, 3))
    return np.sort(np.linalg.svd(transforms.transpose(2, 3, 0, 1), compute_uv=False).ravel())[::-1]


def full_torch(weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The same in torch and single precision."""
    transforms = torch.fft.fft2(weight, size)
    return torch.linalg.svdvals(transforms.permute(2, 3, 0, 1)).flatten().sort(descending=True).values


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--width", type=int, default=128)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = NETWORKS["sn_resnet"].critic((3, 32, 32), width=given.width, rng=torch.Generator().manual_seed(0))
    shapes = input_shapes(network, lambda: network(torch.zeros(1, 3, 32, 32)))
    layers = {n: m for n, m in find_layers(network).items() if isinstance(m, nn.Conv2d)}
    for layer in layers.values():
        if layer.kernel_size != (1, 1):
            layer.padding_mode = "circular"
            layer._reversed_padding_repeated_twice = [1, 1, 1, 1]
    found: dict[str, list[torch.Tensor]] = {}

    def taken(name: str, one: Callable[[nn.Conv2d, tuple[int, ...]], torch.Tensor]) -> Callable[[], object]:
        def all_layers() -> None:
            found[name] = [one(layer, shapes[n][0]) for n, layer in layers.items()]

        return all_layers

    variants = {
        "ours": taken("ours", lambda m, s: spectra.singular_values(m, s).values),
        "torch": taken("torch", lambda m, s: full_torch(m.weight.detach(), s[1:])),
        "numpy": taken("numpy", lambda m, s: torch.from_numpy(reference(m.weight.detach().numpy(), s[1:]).copy())),
    }
    for take in variants.values():
        take()
    worst = 0.0
    for ours, other in zip(found["ours"] * 2, found["torch"] + found["numpy"], strict=True):
        worst = max(worst, float((ours.double() - other.double()).abs().max() / other.max()))
    assert worst < 1e-4, f"the values differ by {worst:.1e}"
    spent = interleaved(variants, rounds=given.rounds, warm_up=0)
    rows = [
        dearer("over torch, all frequencies, as lip4conv", spent, "ours", "torch", 0.5),
        dearer("over NumPy, all frequencies, as conv-sv", spent, "ours", "numpy", 0.5),
    ]
    claim = f"All singular values of the {len(layers)} convolutions of the SN ResNet-32 critic, width {given.width}"
    said = f"The values agree to {worst:.0e} in single precision."
    record(given.out, claim, "an SVD at every frequency", rows, said=said, details={"difference": worst})


if __name__ == "__main__":
    main()
