"""The standard CNN of the spectral normalisation paper, with the widths of its table."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope.networks.activations import Activation, make_activation
from tightrope.networks.initialise import build
from tightrope.networks.layers import (
    ConditionalBatchNorm2d,
    Head,
    require_at_least,
    require_labels,
    require_latent,
    require_shape,
    to_map,
    to_vector,
)
from tightrope.networks.network import Network
from tightrope.networks.sizes import Image, require_image

GENERATOR_WIDTHS = (8, 4, 2, 1)
CRITIC_LAYERS = ((1, 3, 1), (1, 4, 2), (2, 3, 1), (2, 4, 2), (4, 3, 1), (4, 4, 2), (8, 3, 1))
"""Channels in units of ``width``, kernel size and stride of the critic's convolutions, all with padding 1."""


class Generator(nn.Module):
    """Dense layer and three strided transposed convolutions with batch norm; see ``generator``."""

    def __init__(self, shape: Image, latent: int, classes: int, width: int) -> None:
        super().__init__()
        self.shape, self.latent, self.classes = shape, latent, classes
        self.base = shape[1] // 8
        widths = [units * width for units in GENERATOR_WIDTHS]
        self.first = nn.Linear(latent, widths[0] * self.base**2)
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(channels, classes) for channels in widths)
        self.deconvs = nn.ModuleList(nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], shape[0], 3, 1, 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z ``[batch, latent]`` and labels ``[batch]`` to images ``[batch, channels, size, size]`` in [-1, 1]."""
        require_latent(z, self.latent)
        require_labels(labels, self.classes, z.shape[0])
        h = to_map(self.first(z), self.base, self.last.weight)
        h = F.relu(self.norms[0](h, labels))
        for deconv, norm in zip(self.deconvs, self.norms[1:], strict=True):
            h = F.relu(norm(deconv(h), labels))
        return torch.tanh(self.last(h))


class Critic(nn.Module):
    """Seven convolutions without normalisation and a dense layer; see ``critic``."""

    def __init__(self, shape: Image, classes: int, width: int, activation: Activation, slope: float) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        layers: list[nn.Module] = []
        before = shape[0]
        for units, kernel, stride in CRITIC_LAYERS:
            after = units * width
            layers += [nn.Conv2d(before, after, kernel, stride, 1), make_activation(activation, slope, after)]
            before = after
        self.body = nn.Sequential(*layers)
        self.head = Head(before * (shape[1] // 8) ** 2, classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images ``[batch, channels, size, size]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        return self.head(to_vector(self.body(x)), labels)


def check(shape: tuple[int, ...]) -> Image:
    """Return the shape; raise ``UserError`` unless it is a square image of a size divisible by 8."""
    return require_image("sn_cnn", shape, lambda size: size % 8 == 0, "a multiple of 8")


def generator(
    shape: tuple[int, ...],
    *,
    latent: int = 128,
    classes: int = 0,
    width: int = 64,
    rng: torch.Generator | None = None,
) -> Generator:
    """Dense to size/8, 512 channels; 4x4 stride-2 transposed convolutions 256, 128, 64, each BN ReLU; 3x3 conv, tanh.

    **Source**: 1802.05957, table 3, z of 128 numbers; N(0, 0.02) weights and batch norm after the dense layer as in the
    authors' code.

    **Departures**: the last layer is a 3x3 convolution as in the paper's table (the authors' code: a transposed one);
    z ~ N(0, 1) as in the paper (their code: uniform); labels enter by conditional batch norm, which the paper uses in
    its ResNets only.

    Args:
        shape: ``(channels, size, size)`` with size divisible by 8.
        latent: Size of z.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the last hidden map; 64 is the paper's.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size is not divisible by 8.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, latent=latent, width=width)
    require_at_least(0, classes=classes)
    return build(lambda: Generator(image, latent, classes, width), _std, rng=rng)


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 64,
    activation: Activation = "leaky_relu",
    slope: float = 0.1,
    rng: torch.Generator | None = None,
) -> Critic:
    """Convolutions 64 (3x3), 64 (4x4 /2), 128, 128 /2, 256, 256 /2, 512 with leaky ReLU 0.1, then dense to the score.

    Spectral normalisation is not part of it: ``constraints.spectral_norm(critic)`` or a method puts it on.

    **Source**: 1802.05957, table 3; N(0, 0.02) weights as in the authors' code.

    **Departures**: the widths are the table's. The authors' code and most ports use 64, 128, 128, 256, 256, 512, 512
    and slope 0.2: a larger critic. Labels, which the paper has only for its 128-pixel ResNet, enter by projection
    (1802.05637) on the flattened last map.

    Args:
        shape: ``(channels, size, size)`` with size divisible by 8.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the first map; 64 is the paper's. Divisible by 4 for ``groupsort``, by 2 for ``maxmin``.
        activation: Activation after each convolution.
        slope: Negative slope of leaky ReLU.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size is not divisible by 8.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, width=width)
    require_at_least(0, classes=classes)
    return build(lambda: Critic(image, classes, width, activation, slope), _std, rng=rng)


def _std(name: str, weight: Tensor) -> float:
    """N(0, 0.02) for all weights."""
    return 0.02


SN_CNN = Network(
    name="sn_cnn",
    summary="the standard CNN of the spectral normalisation paper, for square images of a multiple of 8 pixels",
    source="1802.05957, table 3",
    generator=generator,
    critic=critic,
    check=check,
)
