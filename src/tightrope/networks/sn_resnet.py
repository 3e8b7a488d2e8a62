"""The residual networks of the spectral normalisation paper, chosen by the size of the image."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope._plumbing.errors import UserError
from tightrope.networks.fused import doubled, halved
from tightrope.networks.initialise import build, fan_in, fan_out
from tightrope.networks.layers import (
    ConditionalBatchNorm2d,
    Head,
    require_at_least,
    require_labels,
    require_latent,
    require_shape,
    sum_pool,
    to_map,
)
from tightrope.networks.network import Network
from tightrope.networks.sizes import Image, require_image

Conditioning = Literal["projection", "concat"]

GENERATOR_PLANS = {
    32: (4, (4, 4, 4, 4)),
    48: (6, (8, 4, 2, 1)),
    64: (4, (16, 8, 4, 2, 1)),
    128: (4, (16, 16, 8, 4, 2, 1)),
}
"""By image size: side of the first map; channels, in units of ``width``, of the first map and of each block."""

CRITIC_PLANS = {
    32: ((2, 2, 2, 2), 2, 2),
    48: ((1, 2, 4, 8, 16), 4, 3),
    64: ((1, 2, 4, 8, 16), 5, 3),
    128: ((1, 2, 4, 8, 16, 16), 5, 3),
}
"""By image size: channels of each block in units of ``width``; how many of the first blocks halve the map; after how
many blocks ``conditioning="concat"`` appends the label's embedding."""


class GeneratorBlock(nn.Module):
    """x -> upsampled x through a 1x1 convolution + (BN, ReLU, upsample, 3x3, BN, ReLU, 3x3)(x)."""

    def __init__(self, before: int, after: int, classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm2d(before, classes)
        self.conv1 = nn.Conv2d(before, after, 3, 1, 1)
        self.norm2 = ConditionalBatchNorm2d(after, classes)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Double the map x ``[batch, before, h, w]``, with labels ``[batch]``."""
        h = doubled(self.conv1, F.relu(self.norm1(x, labels)))
        h = self.conv2(F.relu(self.norm2(h, labels)))
        return h + doubled(self.skip, x)


class FirstCriticBlock(nn.Module):
    """Image -> 1x1 convolution of the halved image + (3x3, ReLU, 3x3, halve)(image): no ReLU on the image itself."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, 1, 1)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[batch, before, h, w]`` to ``[batch, after, h/2, w/2]``."""
        return halved(self.conv2, F.relu(self.conv1(x))) + self.skip(F.avg_pool2d(x, 2))


class CriticBlock(nn.Module):
    """x + (ReLU, 3x3, ReLU, 3x3)(x), no normalisation; both halved, and x through a 1x1 convolution, where needed."""

    def __init__(self, before: int, after: int, downsample: bool) -> None:
        super().__init__()
        self.downsample = downsample
        self.conv1 = nn.Conv2d(before, before, 3, 1, 1)
        self.conv2 = nn.Conv2d(before, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1) if downsample or before != after else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, before, h, w]`` to ``[batch, after, ...]``."""
        h = F.relu(self.conv1(F.relu(x)))  # never in place: the skip needs x as it was
        if self.downsample and self.skip is not None:
            return halved(self.conv2, h) + halved(self.skip, x)
        return self.conv2(h) + (x if self.skip is None else self.skip(x))


class Generator(nn.Module):
    """Dense layer, upsampling blocks, BN ReLU convolution tanh; see ``generator``."""

    channels_last = True

    def __init__(self, shape: Image, latent: int, classes: int, width: int) -> None:
        super().__init__()
        self.shape, self.latent, self.classes = shape, latent, classes
        self.base, units = GENERATOR_PLANS[shape[1]]
        widths = [unit * width for unit in units]
        self.dense = nn.Linear(latent, widths[0] * self.base**2)
        self.blocks = nn.ModuleList(GeneratorBlock(before, after, classes) for before, after in pairwise(widths))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], shape[0], 3, 1, 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z ``[batch, latent]`` and labels ``[batch]`` to images ``[batch, channels, size, size]`` in [-1, 1]."""
        require_latent(z, self.latent)
        require_labels(labels, self.classes, z.shape[0])
        h = to_map(self.dense(z), self.base, self.last.weight)
        for block in self.blocks:
            h = block(h, labels)
        return torch.tanh(self.last(F.relu(self.norm(h))))


class Critic(nn.Module):
    """Residual blocks, ReLU, sum over the pixels, dense layer without bias; see ``critic``."""

    channels_last = True

    def __init__(self, shape: Image, classes: int, width: int, conditioning: Conditioning) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        units, downsampled, join = CRITIC_PLANS[shape[1]]
        widths = [unit * width for unit in units]
        concat = classes > 0 and conditioning == "concat"
        self.join = join if concat else 0
        self.label_embedding = nn.Embedding(classes, 2 * width) if concat else None
        blocks: list[nn.Module] = [FirstCriticBlock(shape[0], widths[0])]
        for index in range(1, len(widths)):
            before = widths[index - 1] + (2 * width if index == self.join else 0)
            blocks.append(CriticBlock(before, widths[index], index < downsampled))
        self.blocks = nn.ModuleList(blocks)
        self.head = Head(widths[-1], 0 if concat else classes, bias=False)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images ``[batch, channels, size, size]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        h = x
        for index, block in enumerate(self.blocks):
            if self.label_embedding is not None and index == self.join:
                embedding = self.label_embedding(labels)[:, :, None, None]
                h = torch.cat((h, embedding.expand(-1, -1, *h.shape[2:])), dim=1)
            h = block(h)
        return self.head(sum_pool(F.relu(h)), labels)


def check(shape: tuple[int, ...]) -> Image:
    """Return the shape; raise ``UserError`` unless it is a square image of 32, 48, 64 or 128 pixels."""
    return require_image("sn_resnet", shape, lambda size: size in CRITIC_PLANS, "32, 48, 64 or 128")


def generator(
    shape: tuple[int, ...],
    *,
    latent: int = 128,
    classes: int = 0,
    width: int = 64,
    rng: torch.Generator | None = None,
) -> Generator:
    """Dense, residual blocks that each double the map, BN, ReLU, 3x3 convolution, tanh.

    Channels at width 64: 32 pixels 4x4x256, then 256, 256, 256; 48 pixels 6x6x512, then 256, 128, 64; 128 pixels
    4x4x1024, then 1024, 512, 256, 128, 64. Labels enter by conditional batch norm in the blocks.

    **Source**: 1802.05957, tables 4 to 6 and figure 8, z of 128 numbers; Glorot-uniform weights with gain sqrt(2) in
    residual convolutions and 1 elsewhere as in the authors' code.

    **Departures**: 64 pixels, which the paper does not have, is the 128-pixel network without its first block;
    conditional batch norm also at 32 and 48 pixels.

    Args:
        shape: ``(channels, size, size)`` with size 32, 48, 64 or 128.
        latent: Size of z.
        classes: Number of classes; 0 for a network without labels.
        width: Unit of the channels; 64 is the paper's.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or has another size.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, latent=latent, width=width)
    require_at_least(0, classes=classes)
    return build(lambda: Generator(image, latent, classes, width), _std, law="uniform", rng=rng)


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 64,
    conditioning: Conditioning = "projection",
    rng: torch.Generator | None = None,
) -> Critic:
    """Residual blocks without normalisation, ReLU, sum over the pixels, dense layer without bias.

    Channels at width 64 (the first ones halve the map): 32 pixels 128, 128 | 128, 128; 48 pixels 64, 128, 256, 512 |
    1024; 128 pixels 64, 128, 256, 512, 1024 | 1024. Spectral normalisation is not part of it:
    ``constraints.spectral_norm(critic)`` or a method puts it on.

    **Source**: 1802.05957, tables 4 to 6 and figure 8; initialisation as in the authors' code.

    **Departures**: labels by projection (1802.05637) unless ``conditioning="concat"``, which appends an embedding of
    ``2 * width`` numbers to the map after the third block (the paper's way at 128 pixels; after the second at 32);
    64 pixels, which the paper does not have, is the 128-pixel network without its last block.

    Args:
        shape: ``(channels, size, size)`` with size 32, 48, 64 or 128.
        classes: Number of classes; 0 for a network without labels.
        width: Unit of the channels; 64 is the paper's.
        conditioning: How the label enters; means nothing without classes.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or has another size.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, width=width)
    require_at_least(0, classes=classes)
    if conditioning not in ("projection", "concat"):
        raise UserError(f"conditioning must be projection or concat, got {conditioning!r}.")
    return build(lambda: Critic(image, classes, width, conditioning), _std, law="uniform", rng=rng)


def _std(name: str, weight: Tensor) -> float:
    """Glorot: sqrt(2 / (fan in + fan out)), times sqrt(2) in residual convolutions."""
    gain = math.sqrt(2.0) if ".conv" in name else 1.0
    return gain * math.sqrt(2.0 / (fan_in(weight) + fan_out(weight)))


SN_RESNET = Network(
    name="sn_resnet",
    summary="the ResNets of the spectral normalisation paper, for square images of 32, 48, 64 or 128 pixels",
    source="1802.05957, tables 4 to 6",
    generator=generator,
    critic=critic,
    check=check,
)
