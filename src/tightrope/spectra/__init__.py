"""Where a network's singular values lie, of its kernel matrices and of its layers as linear maps.

Two norms, never one name: the *kernel norm* is that of the reshaped weight, which spectral normalisation divides by;
the *operator norm* is that of the layer as a linear map with its padding, stride and input size.
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.spectra.kernel import (
    KernelSpectra,
    condition_number,
    effective_rank,
    kernel_singular_values,
    kernel_spectra,
    stable_rank,
    stable_rank_fraction,
)
from tightrope.spectra.layer import Spectrum, singular_values
from tightrope.spectra.network import LayerSpectra, LayerSpectrum, evenly_picked, layer_spectra, table
from tightrope.spectra.operator import OperatorNorm, operator_norm

__all__ = [
    "KernelSpectra",
    "LayerSpectra",
    "LayerSpectrum",
    "OperatorNorm",
    "Spectrum",
    "condition_number",
    "effective_rank",
    "evenly_picked",
    "kernel_singular_values",
    "kernel_spectra",
    "layer_spectra",
    "operator_norm",
    "singular_values",
    "stable_rank",
    "stable_rank_fraction",
    "table",
]

keep_door(__name__, __all__)
