"""Fully connected generator and critic for vectors, signals and small images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.networks.activations import Activation, gain, make_activation
from tightrope.networks.initialise import Std, build, fan_in
from tightrope.networks.layers import Head, require_at_least, require_labels, require_latent, require_shape, with_label
from tightrope.networks.network import Network
from tightrope.networks.sizes import require_sizes


class Generator(nn.Module):
    """Dense layers from z, with the label's embedding appended, to a sample; see ``generator``."""

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int,
        classes: int,
        width: int,
        depth: int,
        activation: nn.Module,
        embedding: int,
    ) -> None:
        super().__init__()
        self.shape, self.latent, self.classes = shape, latent, classes
        self.label_embedding = nn.Embedding(classes, embedding) if classes else None
        self.hidden = _hidden(latent + (embedding if classes else 0), width, depth, activation)
        self.last = nn.Linear(width, math.prod(shape))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z ``[batch, latent]`` and labels ``[batch]`` to samples ``[batch, *shape]``."""
        require_latent(z, self.latent)
        require_labels(labels, self.classes, z.shape[0])
        z = with_label(z, self.label_embedding, labels)
        x = self.last(self.hidden(z)).reshape(-1, *self.shape)
        return torch.tanh(x) if len(self.shape) == 3 else x


class Critic(nn.Module):
    """Dense layers from a flattened sample to a score; see ``critic``."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, depth: int, activation: nn.Module) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.hidden = _hidden(math.prod(shape), width, depth, activation)
        self.head = Head(width, classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map samples ``[batch, *shape]`` and labels ``[batch]`` to scores ``[batch]``."""
        require_shape(x, self.shape)
        require_labels(labels, self.classes, x.shape[0])
        return self.head(self.hidden(x.flatten(1)), labels)


def _hidden(features: int, width: int, depth: int, activation: nn.Module) -> nn.Sequential:
    """``depth`` dense layers of ``width`` units, each followed by the activation (which has no parameters)."""
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [nn.Linear(width if index else features, width), activation]
    return nn.Sequential(*layers)


def check(shape: tuple[int, ...]) -> None:
    """Raise ``UserError`` for a sample shape without entries; every other shape can be built."""
    require_sizes("mlp", shape)
    if not shape or min(shape) < 1:
        raise UserError(f"network 'mlp' builds any sample shape of at least one number, got {tuple(shape)}.")


def generator(
    shape: tuple[int, ...],
    *,
    latent: int = 32,
    classes: int = 0,
    width: int = 256,
    depth: int = 3,
    activation: Activation = "leaky_relu",
    slope: float = 0.2,
    embedding: int = 32,
    rng: torch.Generator | None = None,
) -> Generator:
    """Fully connected generator: z -> (dense, activation) x depth -> dense -> sample; images end in tanh.

    **Source**: the MLP generator of 1701.07875 (authors' code: 3 hidden ReLU layers of 512, linear output), that is
    ``width=512, depth=3, activation="relu", latent=100``.

    **Departures**: leaky ReLU and 256 units by default; images get a tanh, which the authors' MLP lacks; He
    initialisation with zero biases instead of the framework's default; labels are embedded and appended to z.

    Args:
        shape: Sample shape without the batch axis: ``(d,)``, ``(channels, length)`` or ``(channels, height, width)``.
        latent: Size of z.
        classes: Number of classes; 0 for a network without labels.
        width: Units of each hidden layer.
        depth: Number of hidden layers.
        activation: Activation after each hidden layer.
        slope: Negative slope of leaky ReLU.
        embedding: Size of the label's embedding; unused without classes.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the shape is empty.
            If an option is out of range.
    """
    check(shape)
    require_at_least(1, latent=latent, width=width, depth=depth, embedding=embedding)
    require_at_least(0, classes=classes)
    layer = make_activation(activation, slope, width)
    return build(
        lambda: Generator(tuple(shape), latent, classes, width, depth, layer, embedding),
        _std(activation, slope),
        rng=rng,
    )


def critic(
    shape: tuple[int, ...],
    *,
    classes: int = 0,
    width: int = 256,
    depth: int = 3,
    activation: Activation = "leaky_relu",
    slope: float = 0.2,
    rng: torch.Generator | None = None,
) -> Critic:
    """Fully connected critic: flattened sample -> (dense, activation) x depth -> score.

    **Source**: the MLP critic of 1701.07875's code, with leaky ReLU instead of ReLU; labels by projection
    (1802.05637); sorting activations from 1811.05381.

    **Departures**: He initialisation with zero biases instead of the framework's default.

    Args:
        shape: Sample shape without the batch axis.
        classes: Number of classes; 0 for a network without labels.
        width: Units of each hidden layer; divisible by 4 for ``groupsort`` and by 2 for ``maxmin``.
        depth: Number of hidden layers.
        activation: Activation after each hidden layer.
        slope: Negative slope of leaky ReLU.
        rng: Determines the weights; None draws from torch's global state.

    Raises:
        UserError: If the shape is empty.
            If an option is out of range.
    """
    check(shape)
    require_at_least(1, width=width, depth=depth)
    require_at_least(0, classes=classes)
    layer = make_activation(activation, slope, width)
    return build(lambda: Critic(tuple(shape), classes, width, depth, layer), _std(activation, slope), rng=rng)


def _std(activation: Activation, slope: float) -> Std:
    """He initialisation where an activation follows, unit gain at the ends, N(0, 1) for the label's embedding."""

    def std(name: str, weight: Tensor) -> float:
        if name.startswith("label_embedding"):
            return 1.0
        following = gain(activation, slope) if name.startswith("hidden") else 1.0
        return following / math.sqrt(fan_in(weight))

    return std


MLP = Network(
    name="mlp",
    summary="fully connected, for vectors, signals and small images of any shape",
    source="MLP of 1701.07875; projection 1802.05637",
    generator=generator,
    critic=critic,
    check=check,
)
