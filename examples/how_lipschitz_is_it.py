"""How Lipschitz is a critic, which layer wastes the budget, and what are its layers' real singular values?

python examples/how_lipschitz_is_it.py
"""

from pathlib import Path

import torch
from torch import nn

from tightrope import constraints, critics, spectra
from tightrope.critics import LipschitzInterval
from tightrope.report import write_spectra


def main(page: Path = Path("runs/spectra.html")) -> tuple[LipschitzInterval, LipschitzInterval]:
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(8, 16, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.Linear(16 * 16, 1),
    )  # fmt: skip
    constraints.spectral_norm(critic)  # as published: by the norm of the reshaped kernel
    real, fake = torch.rand(16, 3, 8, 8) * 2 - 1, torch.randn(16, 3, 8, 8).clamp(-1, 1)

    print("kernel norms are 1, operator norms are not:\n")
    print(spectra.table(spectra.layer_spectra(critic, real[:1])))

    published = critics.lipschitz_interval(critic, real, fake)
    print("\nspectral norm of the kernel:", published.table(), sep="\n")
    print(f"the steepest point found lies {published.witnesses[0].norm():.1f} from zero")

    constraints.remove(critic)
    constraints.spectral_norm(critic, "operator", input_shape=(3, 8, 8))
    exact = critics.lipschitz_interval(critic, real, fake)
    print("\nspectral norm of the operator:", exact.table(), sep="\n")

    print("\nspectra drawn in", write_spectra(spectra.layer_spectra(critic, real[:1]), page))
    return published, exact


if __name__ == "__main__":
    main()
