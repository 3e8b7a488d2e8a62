"""The residual networks of R3GAN: 1x1, grouped 3x3, 1x1 blocks that start at zero, and no normalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope._plumbing.errors import UserError
from tightrope.networks.activations import gain
from tightrope.networks.initialise import Std, build, fan_in
from tightrope.networks.layers import Head, require_at_least, require_labels, require_latent, require_shape, with_label
from tightrope.networks.network import Network
from tightrope.networks.sizes import Image, factored, require_factored

SLOPE = 0.2
EXPANSION = 2
GROUP_SIZE = 16


class Block(nn.Module):
    """x + (1x1, leaky ReLU, grouped 3x3, leaky ReLU, 1x1)(x), twice as wide inside; the last layer starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        self.conv1 = nn.Conv2d(width, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, 1, 1, groups=_groups(inner))
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, width, h, w]`` to the same shape."""
        h = F.leaky_relu(self.conv1(x), SLOPE)
        return x + self.conv3(F.leaky_relu(self.conv2(h), SLOPE))


class Resample(nn.Module):
    """Double or halve a map with the separable filter [1, 3, 3, 1], zeros outside; each is the adjoint of the other.

    The authors write [1, 2, 1] and their resamplers convolve it with [1, 1].
    """

    kernel: Tensor

    def __init__(self, *, up: bool) -> None:
        super().__init__()
        self.up = up
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4.0 if up else 8.0)
        self.register_buffer("kernel", torch.outer(row, row)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, channels, h, w]`` to ``[batch, channels, 2 h, 2 w]`` or ``[batch, channels, h/2, w/2]``."""
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, -1, -1, -1)
        if self.up:
            return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=channels)


class Generator(nn.Module):
    """A learned map scaled per channel by z, stages of blocks with upsampling between, 1x1 convolution."""

    channels_last = True

    def __init__(
        self,
        shape: Image,
        latent: int,
        classes: int,
        width: int,
        blocks: int,
        embedding: int,
        tanh: bool,
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.classes, self.tanh = shape, latent, classes, tanh
        base, doublings = factored(shape[1])
        self.label_embedding = nn.Embedding(classes, embedding) if classes else None
        self.basis = nn.Parameter(torch.empty(width, base, base))
        self.dense = nn.Linear(latent + (embedding if classes else 0), width, bias=False)
        stages: list[nn.Module] = _stage(width, blocks)
        for _ in range(doublings):
            stages += [Resample(up=True), *_stage(width, blocks)]
        self.stages = nn.Sequential(*stages)
        self.last = nn.Conv2d(width, shape[0], 1, bias=False)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z ``[batch, latent]`` and labels ``[batch]`` to images ``[batch, channels, size, size]``."""
        require_latent(z, self.latent)
        require_labels(labels, self.classes, z.shape[0])
        z = with_label(z, self.label_embedding, labels)
        x = self.last(self.stages(self.basis * self.dense(z)[:, :, None, None]))
        return torch.tanh(x) if self.tanh else x


class Critic(nn.Module):
    """1x1 convolution, stages of blocks with downsampling between, one filter per channel over the last map, dense."""

    channels_last = True

    def __init__(self, shape: Image, classes: int, width: int, blocks: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        base, doublings = factored(shape[1])
        self.first = nn.Conv2d(shape[0], width, 1, bias=False)
        stages: list[nn.Module] = _stage(width, blocks)
        for _ in range(doublings):
            stages += [Resample(up=False), *_stage(width, blocks)]
        self.stages = nn.Sequential(*stages)
        self.basis = nn.Conv2d(width, width, base, groups=width, bias=False)
        self.head = Head(width, classes, bias=False)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images ``[batch, channels, size, size]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        return self.head(self.basis(self.stages(self.first(x))).flatten(1), labels)


def _stage(width: int, blocks: int) -> list[nn.Module]:
    """The blocks at one size."""
    return [Block(width) for _ in range(blocks)]


def _groups(channels: int) -> int:
    """Groups of 16 channels, or one group where there are fewer."""
    return max(1, channels // GROUP_SIZE)


def _require_width(width: int) -> None:
    """Refuse widths whose inner channels do not divide into groups of 16."""
    inner = EXPANSION * width
    if inner > GROUP_SIZE and inner % GROUP_SIZE:
        raise UserError(f"width must be below 8 or a multiple of 8, for groups of {GROUP_SIZE} channels, got {width}.")


def check(shape: tuple[int, ...]) -> Image:
    """Return the shape; raise ``UserError`` unless it is a square image whose size ``sizes.factor`` can write."""
    return require_factored("r3gan", shape)


def generator(
    shape: tuple[int, ...],
    *,
    latent: int = 64,
    classes: int = 0,
    width: int = 128,
    blocks: int = 2,
    embedding: int = 32,
    tanh: bool = True,
    rng: torch.Generator | None = None,
) -> Generator:
    """Learned map times dense(z), ``blocks`` residual blocks per size, [1, 3, 3, 1] upsampling between, 1x1 conv.

    **Source**: Huang et al. 2024, R3GAN (2501.05441), config E: 1x1, grouped 3x3, 1x1 blocks twice as wide inside,
    groups of 16, gain L**(-1/4) for L blocks, last layer of each block zero, leaky ReLU 0.2, resampling with
    [1, 3, 3, 1].

    **Departures**: one width at all sizes, far smaller than theirs; a tanh at the end unless ``tanh=False``, as the
    other generators here have; the label's embedding is appended to z without their scaling.

    Args:
        shape: ``(channels, size, size)``.
        latent: Size of z.
        classes: Number of classes; 0 for a network without labels.
        width: Channels at all sizes; a multiple of 8 from 8 on.
        blocks: Residual blocks at each size.
        embedding: Size of the label's embedding; unused without classes.
        tanh: Whether images pass through tanh; False is the paper's.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, latent=latent, width=width, blocks=blocks, embedding=embedding)
    require_at_least(0, classes=classes)
    _require_width(width)
    count = blocks * (1 + factored(shape[1])[1])
    return build(lambda: Generator(image, latent, classes, width, blocks, embedding, tanh), _std(count), rng=rng)


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 128,
    blocks: int = 2,
    rng: torch.Generator | None = None,
) -> Critic:
    """1x1 convolution, ``blocks`` residual blocks per size with [1, 3, 3, 1] downsampling between, filter, dense.

    **Source**: Huang et al. 2024, R3GAN (2501.05441), config E; see ``generator``.

    **Departures**: one width at all sizes, far smaller than theirs; labels by projection (1802.05637) without their
    scaling.

    Args:
        shape: ``(channels, size, size)``.
        classes: Number of classes; 0 for a network without labels.
        width: Channels at all sizes; a multiple of 8 from 8 on.
        blocks: Residual blocks at each size.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, width=width, blocks=blocks)
    require_at_least(0, classes=classes)
    _require_width(width)
    count = blocks * (1 + factored(shape[1])[1])
    return build(lambda: Critic(image, classes, width, blocks), _std(count), rng=rng)


def _std(blocks: int) -> Std:
    """He initialisation times L**(-1/4) in the L blocks, zero at their ends, unit gain elsewhere."""

    def std(name: str, weight: Tensor) -> float:
        if name.endswith("conv3.weight"):
            return 0.0
        if name == "basis" or name.startswith("label_embedding"):
            return 1.0
        scale = gain("leaky_relu", SLOPE) * blocks**-0.25 if ".conv" in name else 1.0
        return scale / math.sqrt(fan_in(weight))

    return std


R3GAN = Network(
    name="r3gan",
    summary="small residual networks after R3GAN, no normalisation, for the same sizes as dcgan",
    source="2501.05441, config E",
    generator=generator,
    critic=critic,
    check=check,
)
