"""Where a network's singular values lie, of its kernel matrices and of its layers as linear maps."""

from __future__ import annotations

from tightrope.spectra.kernel import (
    condition_number,
    effective_rank,
    kernel_singular_values,
    kernel_spectra,
    stable_rank,
    stable_rank_fraction,
)

__all__ = [
    "condition_number",
    "effective_rank",
    "kernel_singular_values",
    "kernel_spectra",
    "stable_rank",
    "stable_rank_fraction",
]
