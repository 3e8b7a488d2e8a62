"""A critic of any depth, 152 layers and more, that trains without normalisation; beside the DCGAN generator."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope._plumbing.errors import UserError
from tightrope.networks.dcgan import generator
from tightrope.networks.initialise import build, fan_in
from tightrope.networks.layers import Head, require_at_least, require_labels, require_shape, sum_pool
from tightrope.networks.network import Network
from tightrope.networks.sizes import Image, require_factored

Branch = Literal["scaled", "zero"]

SMALLEST_MAP = 8


class Block(nn.Module):
    """x + scale * (ReLU, 3x3, ReLU, 3x3)(x); first halved, and x through a 1x1 convolution, where asked for."""

    def __init__(self, before: int, after: int, downsample: bool, scale: float) -> None:
        super().__init__()
        self.downsample, self.scale = downsample, scale
        self.conv1 = nn.Conv2d(before, after, 3, 1, 1)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, before, h, w]`` to ``[batch, after, ...]``."""
        if self.downsample:
            x = F.avg_pool2d(x, 2)
        h = self.conv2(F.relu(self.conv1(F.relu(x))))
        return (x if self.skip is None else self.skip(x)) + self.scale * h


class Critic(nn.Module):
    """One or two 3x3 convolutions, stages of residual blocks, ReLU, pooling, dense layer; see ``critic``."""

    def __init__(self, shape: Image, classes: int, width: int, depth: int, scale: float) -> None:
        super().__init__()
        self.shape, self.classes, self.depth = shape, classes, depth
        sizes = _plan(shape[1], depth)
        stem: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, 1, 1)]
        if depth % 2:
            stem += [nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1)]
        self.stem = nn.Sequential(*stem)
        blocks: list[nn.Module] = []
        before = width
        for stage, count in enumerate(sizes):
            after = width * 2 ** min(stage, 2)
            for index in range(count):
                blocks.append(Block(before, after, stage > 0 and index == 0, scale))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(before, classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images ``[batch, channels, size, size]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        h = F.relu(self.blocks(self.stem(x)))
        return self.head(sum_pool(h) / h.shape[2], labels)


def _plan(size: int, depth: int) -> tuple[int, ...]:
    """Residual blocks per stage: as even as possible, the earlier stages taking what is left over.

    The map is halved between stages while it is even and larger than 8 pixels.
    """
    stages = 1
    while size > SMALLEST_MAP and size % 2 == 0:
        size, stages = size // 2, stages + 1
    blocks = (depth - 2) // 2  # an odd depth has its extra layer at the start
    if blocks < stages:
        raise UserError(f"depth must be at least {2 * stages + 2} at this image size, got {depth}.")
    share, left = divmod(blocks, stages)
    return tuple(share + (stage < left) for stage in range(stages))


def check(shape: tuple[int, ...]) -> Image:
    """Return the shape; raise ``UserError`` unless it is a square image that the DCGAN generator can be built for."""
    return require_factored("deep_resnet", shape)


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 16,
    depth: int = 50,
    branch: Branch = "scaled",
    rng: torch.Generator | None = None,
) -> Critic:
    """3x3 convolution, stages of residual blocks with ReLU, pooling, dense; ``depth`` layers from image to score.

    Stage by stage the map is halved down to 8 pixels or fewer, and channels go ``width``, ``2 * width``,
    ``4 * width``, ``4 * width``, ... Depth counts the first convolution, two per block and the dense layer, as He et
    al. count: 20, 50, 152 at 32 pixels. An odd depth gets a second convolution at the start. Without normalisation
    the network keeps its scale because each of the L blocks is x + L**(-1/2) F(x): the variance grows by
    about (1 + 1/L)**L < e however deep it is.

    **Source**: the layout of He et al. 2015 (1512.03385, CIFAR networks), with the activation in front
    (1603.05027); the factor L**(-1/2) of Hayou et al. 2021 (2010.12859); ``branch="zero"``, which starts each branch
    at zero, as in Zhang et al. 2019 (1901.09321).

    **Departures**: no normalisation; biases, which start at zero; halving by average pooling; the sum over the last
    map's pixels is divided by its side, which keeps the gradient's size; labels by projection (1802.05637).

    **Claim**: at initialisation the norm of the score's gradient with respect to an image lies between 0.05 and 2 at
    20, 50 and 152 layers, and 152 layers differ from 20 by less than a factor of three.

    Args:
        shape: ``(channels, size, size)``; the sizes of ``dcgan``.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the first stage.
        depth: Layers with weights on the way from the image to the score.
        branch: ``"scaled"`` starts each branch with He initialisation, ``"zero"`` with a zero last convolution.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range, or the depth too small for one block per stage.
    """
    image = check(shape)
    require_at_least(1, width=width, depth=depth)
    require_at_least(0, classes=classes)
    if branch not in ("scaled", "zero"):
        raise UserError(f"branch must be scaled or zero, got {branch!r}.")
    scale = 1.0 / math.sqrt(sum(_plan(shape[1], depth)))

    def std(name: str, weight: Tensor) -> float:
        if branch == "zero" and name.endswith("conv2.weight"):
            return 0.0
        after_relu = ".conv" in name or name == "stem.2.weight"
        return math.sqrt((2.0 if after_relu else 1.0) / fan_in(weight))

    return build(lambda: Critic(image, classes, width, depth, scale), std, rng=rng)


DEEP_RESNET = Network(
    name="deep_resnet",
    summary="a residual critic of any depth without normalisation, beside the DCGAN generator",
    source="1512.03385, 1603.05027, 2010.12859; generator 1511.06434",
    generator=generator,
    critic=critic,
    check=check,
)
