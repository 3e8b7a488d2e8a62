"""Seconds that the spectra of HiFi-GAN's period critics take, every layer on 8,192 samples, against 5 s.

The shape of the public critics: five periods, kernels of five cells along the folded wave, widths 32 to 1,024, weight
norm. Time depends on the shapes alone, so the weights are random.

    python benchmarks/spectra_audio.py [--rounds 2]
"""

from __future__ import annotations

import time
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tightrope import spectra
from timing import dearer, options, record

LIMIT = 5.0
SAMPLES = 8192
PERIODS = (2, 3, 5, 7, 11)


class Period(nn.Module):
    """Folds the wave into ``period`` columns and convolves along them."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        sizes = list(pairwise((1, 32, 128, 512, 1024, 1024)))
        layers = [nn.Conv2d(a, b, (5, 1), (3 if b > a else 1, 1), (2, 0)) for a, b in sizes]
        self.layers = nn.ModuleList(
            weight_norm(layer) for layer in [*layers, nn.Conv2d(1024, 1, (3, 1), padding=(1, 0))]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[batch, 1, cells, period]`` of waves ``[batch, 1, samples]``."""
        x = nn.functional.pad(x, (0, -x.shape[-1] % self.period), "reflect").unflatten(-1, (-1, self.period))
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.1)
        return x


def main() -> None:
    given = options(__doc__, rounds=2).parse_args()
    torch.set_num_threads(1)
    rows = []
    for period in PERIODS:
        torch.manual_seed(period)
        critic, spent = Period(period), []
        for _ in range(given.rounds):
            began = time.process_time()
            found = spectra.layer_spectra(critic, torch.zeros(1, 1, SAMPLES))
            spent.append(time.process_time() - began)
        assert all(s.norm.lower <= s.norm.value <= s.norm.upper <= 1.05 * s.norm.lower for s in found)
        limit = [LIMIT] * len(spent)
        rows.append(dearer(f"period {period}", {"ours": spent, "limit": limit}, "ours", "limit", 1.0))
    claim = "Spectra and operator norms of every layer of a HiFi-GAN period critic, 8,192 samples"
    record(given.out, claim, "5 s of one core", rows)


if __name__ == "__main__":
    main()
