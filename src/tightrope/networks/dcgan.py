"""DCGAN: strided convolutions, widths doubling towards the smallest map, for images of 6 pixels and up."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tightrope.networks.activations import Activation, make_activation
from tightrope.networks.initialise import build
from tightrope.networks.layers import (
    Head,
    require_at_least,
    require_labels,
    require_latent,
    require_shape,
    to_map,
    to_vector,
    with_label,
)
from tightrope.networks.network import Network
from tightrope.networks.sizes import Image, factored, require_factored

WIDEST = 16


class Generator(nn.Module):
    """Dense layer to the smallest map, then strided transposed convolutions; see ``generator``."""

    def __init__(
        self,
        shape: Image,
        latent: int,
        classes: int,
        width: int,
        batch_norm: bool,
        extra_layers: int,
        embedding: int,
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.classes = shape, latent, classes
        self.base, widths = _plan(shape[1], width)
        self.label_embedding = nn.Embedding(classes, embedding) if classes else None
        bias = not batch_norm
        inputs = latent + (embedding if classes else 0)
        self.first = nn.Linear(inputs, widths[-1] * self.base**2, bias=bias)
        layers = _norm_relu(widths[-1], batch_norm)
        for before, after in zip(widths[:0:-1], widths[-2::-1], strict=True):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias), *_norm_relu(after, batch_norm)]
        for _ in range(extra_layers):
            layers += [nn.Conv2d(widths[0], widths[0], 3, 1, 1, bias=bias), *_norm_relu(widths[0], batch_norm)]
        self.body = nn.Sequential(*layers)
        self.last = nn.ConvTranspose2d(widths[0], shape[0], 4, 2, 1, bias=bias)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z ``[batch, latent]`` and labels ``[batch]`` to images ``[batch, channels, size, size]`` in [-1, 1]."""
        require_latent(z, self.latent)
        require_labels(labels, self.classes, z.shape[0])
        z = with_label(z, self.label_embedding, labels)
        h = to_map(self.first(z), self.base, self.last.weight)
        return torch.tanh(self.last(self.body(h)))


class Critic(nn.Module):
    """Strided convolutions to the smallest map, then a dense layer; see ``critic``."""

    def __init__(
        self,
        shape: Image,
        classes: int,
        width: int,
        batch_norm: bool,
        extra_layers: int,
        activation: Activation,
        slope: float,
    ) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        base, widths = _plan(shape[1], width)
        bias = not batch_norm
        plan = [(shape[0], widths[0], 4)] + [(widths[0], widths[0], 3)] * extra_layers
        plan += [(before, after, 4) for before, after in pairwise(widths)]
        layers: list[nn.Module] = []
        for index, (before, after, kernel) in enumerate(plan):
            layers.append(nn.Conv2d(before, after, kernel, 2 if kernel == 4 else 1, 1, bias=bias))
            if batch_norm and index > 0:
                layers.append(nn.BatchNorm2d(after))
            layers.append(make_activation(activation, slope, after))
        self.body = nn.Sequential(*layers)
        self.head = Head(widths[-1] * base**2, classes, bias=bias)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images ``[batch, channels, size, size]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        return self.head(to_vector(self.body(x)), labels)


def _plan(size: int, width: int) -> tuple[int, tuple[int, ...]]:
    """Side of the smallest map, and the channels of each map from the largest to the smallest."""
    base, doublings = factored(size)
    return base, tuple(width * min(2**index, WIDEST) for index in range(doublings))


def _norm_relu(channels: int, batch_norm: bool) -> list[nn.Module]:
    """Batch norm if wanted, then ReLU."""
    return [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]


def check(shape: tuple[int, ...]) -> Image:
    """Return the shape; raise ``UserError`` unless it is a square image whose size ``sizes.factor`` can write."""
    return require_factored("dcgan", shape)


def generator(
    shape: tuple[int, ...],
    *,
    latent: int = 100,
    classes: int = 0,
    width: int = 64,
    batch_norm: bool = True,
    extra_layers: int = 0,
    embedding: int = 32,
    rng: torch.Generator | None = None,
) -> Generator:
    """DCGAN generator: dense to base x base, then 4x4 stride-2 transposed convolutions, each BN ReLU, tanh at the end.

    Widths halve with every doubling of the map, from ``width * 2**(doublings - 1)`` to ``width``; at 64 pixels and
    width 64: 4x4x512, 256, 128, 64, image.

    **Source**: Radford, Metz, Chintala 2016 (1511.06434); sizes other than 64 as in the code of 1701.07875.

    **Departures**: the smallest map is 4, 5, 6 or 7 pixels wide, not only 4; widths stop growing at ``16 * width``;
    without batch norm the layers have biases (the code of 1701.07875 has none); labels are embedded and appended to z.

    Args:
        shape: ``(channels, size, size)``.
        latent: Size of z.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the largest hidden map.
        batch_norm: Whether every hidden layer is followed by batch norm.
        extra_layers: 3x3 convolutions added at the largest hidden map, as in the code of 1701.07875.
        embedding: Size of the label's embedding; unused without classes.
        rng: Determines the weights, N(0, 0.02) and N(1, 0.02) for batch norm; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, latent=latent, width=width, embedding=embedding)
    require_at_least(0, classes=classes, extra_layers=extra_layers)
    return build(
        lambda: Generator(image, latent, classes, width, batch_norm, extra_layers, embedding),
        _std,
        norm_std=0.02,
        rng=rng,
    )


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 64,
    critic_batch_norm: bool = False,
    extra_layers: int = 0,
    activation: Activation = "leaky_relu",
    slope: float = 0.2,
    rng: torch.Generator | None = None,
) -> Critic:
    """DCGAN critic: 4x4 stride-2 convolutions with leaky ReLU 0.2, widths doubling from ``width``, dense to the score.

    **Source**: Radford, Metz, Chintala 2016 (1511.06434); sizes other than 64 as in the code of 1701.07875.

    **Departures**: no batch norm unless asked for, because per-sample gradient penalties are wrong with it; without it
    the layers have biases; labels by projection (1802.05637) on the flattened last map; the smallest map is 4, 5, 6 or
    7 pixels wide; widths stop growing at ``16 * width``.

    Args:
        shape: ``(channels, size, size)``.
        classes: Number of classes; 0 for a network without labels.
        width: Channels of the largest hidden map; divisible by 4 for ``groupsort`` and by 2 for ``maxmin``.
        critic_batch_norm: Whether every convolution but the first is followed by batch norm, as published.
        extra_layers: 3x3 convolutions added after the first one, as in the code of 1701.07875.
        activation: Activation after each convolution.
        slope: Negative slope of leaky ReLU.
        rng: Determines the weights, N(0, 0.02) and N(1, 0.02) for batch norm; None draws from torch's global state.

    Raises:
        UserError: If the image is not square or its size cannot be built.
            If an option is out of range.
    """
    image = check(shape)
    require_at_least(1, width=width)
    require_at_least(0, classes=classes, extra_layers=extra_layers)
    return build(
        lambda: Critic(image, classes, width, critic_batch_norm, extra_layers, activation, slope),
        _std,
        norm_std=0.02,
        rng=rng,
    )


def _std(name: str, weight: Tensor) -> float:
    """N(0, 0.02) for all weights, N(0, 1) for the generator's label embedding, which stands beside z."""
    return 1.0 if name.startswith("label_embedding") else 0.02


DCGAN = Network(
    name="dcgan",
    summary="strided convolutions, for square images of 4 to 7 times a power of two pixels",
    source="1511.06434; sizes as in the code of 1701.07875",
    generator=generator,
    critic=critic,
    check=check,
)
