"""The residual networks of the convergence paper: x + 0.1 F(x), no normalisation anywhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope.networks.fused import doubled, upsample
from tightrope.networks.initialise import build, fan_in
from tightrope.networks.layers import require_at_least, require_labels, require_latent, require_shape, to_map, to_vector
from tightrope.networks.network import Network
from tightrope.networks.sizes import Image, factored, require_factored

SLOPE = 0.2
BRANCH_SCALE = 0.1


class Block(nn.Module):
    """x + 0.1 F(x), F = (leaky ReLU, 3x3, leaky ReLU, 3x3); x through a 1x1 convolution where channels change."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        hidden = min(before, after)
        self.conv1 = nn.Conv2d(before, hidden, 3, 1, 1)
        self.conv2 = nn.Conv2d(hidden, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor, double: bool = False) -> Tensor:
        """Map ``[batch, before, h, w]`` to ``[batch, after, h, w]``, or the upsampled x if ``double``."""
        h = F.leaky_relu(x, SLOPE)
        h = doubled(self.conv1, h) if double else self.conv1(h)
        h = self.conv2(F.leaky_relu(h, SLOPE))
        if self.skip is not None:
            x = doubled(self.skip, x) if double else self.skip(x)
        elif double:
            x = upsample(x)
        return x + BRANCH_SCALE * h


class Generator(nn.Module):
    """Dense layer, blocks with nearest-neighbour upsampling, convolution, tanh; see ``generator``."""

    channels_last = True

    def __init__(
        self, shape: Image, latent: int, classes: int, widths: tuple[int, ...], base: int, embedding: int
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.classes, self.base = shape, latent, classes, base
        self.label_embedding = nn.Embedding(classes, embedding) if classes else None
        self.dense = nn.Linear(latent + (embedding if classes else 0), widths[-1] * base**2)
        self.blocks = nn.ModuleList(
            Block(before, after) for before, after in zip(widths[::-1], (*widths[-2::-1], widths[0]), strict=True)
        )
        self.last = nn.Conv2d(widths[0], shape[0], 3, 1, 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z ``[batch, latent]`` and labels ``[batch]`` to images ``[batch, channels, size, size]`` in [-1, 1]."""
        require_latent(z, self.latent)
        require_labels(labels, self.classes, z.shape[0])
        if self.label_embedding is not None:
            z = torch.cat((z, F.normalize(self.label_embedding(labels), dim=1)), dim=1)
        h = self.blocks[0](to_map(self.dense(z), self.base, self.last.weight))
        for block in self.blocks[1:]:
            h = block(h, double=True)
        return torch.tanh(self.last(F.leaky_relu(h, SLOPE)))


class Critic(nn.Module):
    """Convolution, blocks with average pooling between them, dense layer with one score per class; see ``critic``."""

    channels_last = True

    def __init__(self, shape: Image, classes: int, widths: tuple[int, ...], base: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.first = nn.Conv2d(shape[0], widths[0], 3, 1, 1)
        self.blocks = nn.ModuleList(
            Block(before, after) for before, after in zip((widths[0], *widths), widths, strict=False)
        )
        self.dense = nn.Linear(widths[-1] * base**2, max(classes, 1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images ``[batch, channels, size, size]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        h = self.blocks[0](self.first(x))
        for block in self.blocks[1:]:
            h = block(F.avg_pool2d(h, 3, 2, 1))
        scores = self.dense(to_vector(F.leaky_relu(h, SLOPE)))
        return scores.squeeze(1) if labels is None else scores.gather(1, labels[:, None]).squeeze(1)


def _plan(size: int, width: int, max_width: int) -> tuple[tuple[int, ...], int]:
    """Channels of each map from the largest to the smallest, and the side of the smallest."""
    base, doublings = factored(size)
    return tuple(min(width * 2**index, max_width) for index in range(doublings + 1)), base


def check(shape: tuple[int, ...]) -> Image:
    """Return the shape; raise ``UserError`` unless it is a square image whose size ``sizes.factor`` can write."""
    return require_factored("mescheder_resnet", shape)


def generator(
    shape: tuple[int, ...],
    *,
    latent: int = 256,
    classes: int = 0,
    width: int = 64,
    max_width: int = 1024,
    embedding: int = 256,
    rng: torch.Generator | None = None,
) -> Generator:
    """Dense to the smallest map, blocks x + 0.1 F(x) each followed by nearest upsampling, last block, conv, tanh.

    Channels double from ``width`` at full size to at most ``max_width`` at the smallest map.

    **Source**: 1801.04406, code GAN_stability (``nfilter`` = ``width``, ``nfilter_max`` = ``max_width``): 64 and 1024,
    its settings for LSUN at 256 pixels, are the defaults; for celebA-HQ at 1024 pixels it has 16 and 512.

    **Departures**: without classes no label embedding is appended (the code appends a constant one); biases start at
    zero; the smallest map may be 5, 6 or 7 pixels wide, not only 4.

    Args:
        shape: ``(channels, size, size)``.
        latent: Size of z.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the largest map.
        max_width: Most channels of any map.
        embedding: Size of the label's embedding, which is scaled to length one; unused without classes.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, latent=latent, width=width, max_width=max_width, embedding=embedding)
    require_at_least(0, classes=classes)
    widths, base = _plan(shape[1], width, max_width)
    return build(lambda: Generator(image, latent, classes, widths, base, embedding), _std, law="uniform", rng=rng)


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 64,
    max_width: int = 1024,
    rng: torch.Generator | None = None,
) -> Critic:
    """3x3 convolution, blocks x + 0.1 F(x) with 3x3 average pooling of stride 2 before each but the first, dense.

    With classes, the dense layer has one score per class and the label picks one.

    **Source**: 1801.04406, code GAN_stability (``nfilter`` = ``width``, ``nfilter_max`` = ``max_width``).

    **Departures**: biases start at zero; the smallest map may be 5, 6 or 7 pixels wide, not only 4.

    Args:
        shape: ``(channels, size, size)``.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the largest map.
        max_width: Most channels of any map.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, width=width, max_width=max_width)
    require_at_least(0, classes=classes)
    widths, base = _plan(shape[1], width, max_width)
    return build(lambda: Critic(image, classes, widths, base), _std, law="uniform", rng=rng)


def _std(name: str, weight: Tensor) -> float:
    """The framework's default, U(-1/sqrt(fan in), 1/sqrt(fan in)); unit variance for the label's embedding."""
    return 1.0 if name.startswith("label_embedding") else 1.0 / math.sqrt(3.0 * fan_in(weight))


MESCHEDER_RESNET = Network(
    name="mescheder_resnet",
    summary="residual networks without normalisation, x + 0.1 F(x), for the same sizes as dcgan",
    source="1801.04406, code GAN_stability",
    generator=generator,
    critic=critic,
    check=check,
)
