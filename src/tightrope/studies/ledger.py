"""The papers whose claims the ledger holds, in its order."""

from __future__ import annotations

from typing import Final

PAPERS: Final = {
    "1701.07875": "Wasserstein GAN",
    "1911.13060": "Orthogonal Wasserstein GANs",
    "1802.08768": "Is Generator Conditioning Causally Related to GAN Performance?",
    "1802.05957": "Spectral Normalization for GANs",
    "1801.04406": "Which Training Methods for GANs do actually Converge?",
    "1704.00028": "Improved Training of Wasserstein GANs",
    "2501.05441": "The GAN is dead; long live the GAN!",
    "2006.10738": "Differentiable Augmentation for Data-Efficient GAN Training",
}
