"""Pieces that several reference networks share: label handling, the critic's head, conditional batch norm."""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import short
from tightrope._plumbing.errors import UserError


def to_vector(h: Tensor) -> Tensor:
    """Flatten a map ``[batch, channels, height, width]`` to ``[batch, channels * height * width]``.

    For maps in channels-last memory the gradient is handed back in channels-last memory too. Left alone it would come
    back in the order of the vector, and the backward of the convolution below would meet two layouts at once, which
    costs bf16 on the CPU more than half of its advantage.
    """
    if h.requires_grad and _channels_last(h):
        h.register_hook(_in_channels_last)
    return h.flatten(1)


def _in_channels_last(gradient: Tensor | None) -> Tensor | None:
    """A gradient in that layout; None where a function above sent nothing back."""
    return None if gradient is None else gradient.contiguous(memory_format=torch.channels_last)


def to_map(h: Tensor, base: int, weight: Tensor) -> Tensor:
    """Unflatten a vector to a map ``[batch, channels, base, base]`` in the memory layout of a kernel ``weight``."""
    h = h.unflatten(1, (-1, base, base))
    return h.contiguous(memory_format=torch.channels_last) if _channels_last(weight) else h


def _channels_last(x: Tensor) -> bool:
    if torch._C._functorch.is_batchedtensor(x):  # the layout of one sample is not defined under vmap
        return False
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class Head(nn.Module):
    """Scores from features: a dense layer and, with classes, the inner product with an embedding of the label.

    **Source**: Miyato, Koyama 2018 (1802.05637), the projection discriminator.

    Args:
        features: Length of the feature vector.
        classes: Number of classes; 0 leaves the embedding out.
        bias: Whether the dense layer has a bias.
    """

    def __init__(self, features: int, classes: int = 0, *, bias: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(features, 1, bias=bias)
        self.embedding = nn.Embedding(classes, features) if classes else None

    def forward(self, h: Tensor, labels: Tensor | None) -> Tensor:
        """Map features ``[batch, features]`` and labels ``[batch]`` to scores ``[batch]``."""
        scores = self.dense(h).squeeze(1)
        if self.embedding is None:
            return scores
        return scores + (self.embedding(labels) * h).sum(1)


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose scale and shift belong to the label; ordinary batch norm without classes.

    **Source**: Dumoulin, Shlens, Kudlur 2017 (1610.07629); used in the generators of 1802.05957.
    """

    def __init__(self, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        self.scale = nn.Embedding(classes, channels) if classes else None
        self.shift = nn.Embedding(classes, channels) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise x ``[batch, channels, height, width]``, then scale and shift by labels ``[batch]``."""
        x = self.norm(x)
        if self.scale is None or self.shift is None:
            return x
        return x * self.scale(labels)[:, :, None, None] + self.shift(labels)[:, :, None, None]

    @torch.no_grad()
    def reset_labels_(self) -> None:
        """Start with scale one and shift zero for every label."""
        if self.scale is not None and self.shift is not None:
            self.scale.weight.fill_(1.0)
            self.shift.weight.zero_()


def with_label(z: Tensor, embedding: nn.Embedding | None, labels: Tensor | None) -> Tensor:
    """Append the embedding of labels ``[batch]`` to z ``[batch, latent]``; z itself without an embedding."""
    return z if embedding is None else torch.cat((z, embedding(labels)), dim=1)


def sum_pool(x: Tensor) -> Tensor:
    """Sum x ``[batch, channels, height, width]`` over its pixels."""
    return x.sum((2, 3))


def require_latent(z: Tensor, latent: int) -> None:
    """Refuse a z that is not ``[batch, latent]``.

    Raises:
        UserError: Naming the expected and the given shape.
    """
    if z.ndim != 2 or z.shape[1] != latent:
        raise UserError(f"the generator expects z of shape [batch, {latent}], got {list(z.shape)}.")


def require_shape(x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse an x that is not ``[batch, *shape]``.

    Raises:
        UserError: Naming the expected and the given shape.
    """
    if tuple(x.shape[1:]) != shape:
        raise UserError(f"the critic was built for samples of shape {list(shape)}, got a batch of {list(x.shape)}.")


def require_labels(labels: Tensor | None, classes: int, batch: int) -> None:
    """Refuse labels where there are no classes, missing labels where there are, and labels that are not ``[batch]``.

    Raises:
        UserError: Saying what to pass or how to build the network.
    """
    if classes == 0:
        if labels is not None:
            raise UserError("the network was built with classes=0 and takes no labels: leave them out or set classes.")
    elif labels is None:
        raise UserError(f"the network was built with classes={classes}: pass labels, int64 of shape [{batch}].")
    elif labels.shape != (batch,) or labels.is_floating_point():
        raise UserError(
            f"labels must be int64 of shape [{batch}] with values 0 to {classes - 1}, "
            f"got {labels.dtype} of shape {list(labels.shape)}."
        )


WIDEST, DEEPEST = 2**20, 10_000
"""Units or channels, and layers, that an option may ask for."""


def require_at_least(minimum: int, **options: int) -> None:
    """Refuse options that are no whole numbers of at least ``minimum``, or beyond all use.

    Raises:
        UserError: Naming the option and its value.
    """
    for name, value in options.items():
        most = DEEPEST if name in ("depth", "blocks", "extra_layers") else WIDEST
        if not isinstance(value, Integral) or isinstance(value, bool) or value > most:
            raise UserError(f"{name} must be a whole number from {minimum} to {most}, got {short(value)}.")
        if value < minimum:
            raise UserError(f"{name} must be at least {minimum}, got {value}.")
