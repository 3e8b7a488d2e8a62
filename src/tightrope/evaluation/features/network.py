"""Feature networks: what turns a sample into the vector on which a metric works."""

from __future__ import annotations

import copy
import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tightrope._plumbing.checks import check_device, check_samples, check_whole, short
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff.call import called
from tightrope.metrics.transport import random_directions

BATCH = 256
"""Samples per forward pass, unless a network says otherwise. The last batch is filled up, so that no value depends on
how many samples there are or in which portions they arrive."""


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A function from samples to feature vectors with everything needed to name it in a protocol.

    Attributes:
        name: Honest name, e.g. ``"classifier digits"``; never ``"inception"`` for another network.
        digest: SHA-256 in hexadecimal of the weights.
        dimension: Number d of features.
        preprocessing: What happens to a sample in training scale before the first layer, in words.
        features: Function from samples in training scale [batch, *shape] to features [batch, d].
        head: Function from features [batch, d] to class scores [batch, classes], or None.
        accuracy: Share of held-out samples that the head classifies correctly, where known.
        device: Where the samples are sent.
        batch: Samples per forward pass.
        cheap: Its features cost no more than reading them from a file would, so they are not kept.
    """

    name: str
    digest: str
    dimension: int
    preprocessing: str
    features: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor] | None = None
    accuracy: float | None = None
    device: str = "cpu"
    batch: int = BATCH
    cheap: bool = False

    @property
    def label(self) -> str:
        """Name and the start of the digest, as a protocol records it."""
        return f"{self.name} ({self.digest[:12]})"

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Return the features of any number of samples, [n, d] on the CPU, in float32 or what is finer.

        Args:
            x: Samples in training scale [n, *shape], n >= 1.

        Raises:
            UserError: The network returned another shape than [n, d], or ``x`` are no samples.
        """
        check_samples(x)
        if x.dim() < 2:
            raise UserError(
                f"Expected samples [n, *shape], got a tensor of shape {list(x.shape)}; pass x[None] for one."
            )
        rows = []
        for chunk in x.split(self.batch):
            fill = chunk[-1:].expand(self.batch - len(chunk), *chunk.shape[1:])
            full = torch.cat([chunk, fill]).to(self.device, torch.float32)
            out = called(self.features, full, who="feature network")
            if out.shape != (self.batch, self.dimension):
                raise UserError(
                    f"{self.name} must return features of shape {(self.batch, self.dimension)} for {self.batch} "
                    f"samples, but it returned {tuple(out.shape)}; flatten or pool its output."
                )
            rows.append(out[: len(chunk)].to("cpu", torch.float64 if out.dtype == torch.float64 else torch.float32))
        return torch.cat(rows)

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Return class scores [n, classes] from features [n, d].

        Raises:
            UserError: The network has no head.
        """
        if self.head is None:
            raise UserError(f"{self.name} gives features but no class scores; use a network with a head.")
        return torch.cat([self.head(chunk.to(self.device)).cpu() for chunk in features.split(self.batch)])


def weights_digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes, types and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().to("cpu").contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_shape(shape: tuple[int, ...]) -> None:
    if not isinstance(shape, Sequence) or not shape or isinstance(shape, str):
        raise UserTypeError(f"Expected a sample shape without the batch, got {short(shape)}; e.g. (3, 32, 32).")
    for size in shape:
        check_whole("in each axis of the sample shape", size, 1, 32)
    if math.prod(shape) > 2**31:
        raise UserError(f"Expected samples that fit the memory, got the shape {short(shape)}; e.g. (3, 32, 32).")


def pixels(shape: tuple[int, ...]) -> FeatureNetwork:
    """Return the network that does nothing: the sample itself, flattened.

    Args:
        shape: Shape of one sample.
    """
    _check_shape(shape)
    return FeatureNetwork(
        name="pixels" if len(shape) == 3 else "identity",
        digest=weights_digest({}),
        dimension=math.prod(shape),
        preprocessing="training scale, flattened",
        features=lambda x: x.flatten(1),
        cheap=True,
    )


def projections(shape: tuple[int, ...], *, count: int = 256, seed: int = 0) -> FeatureNetwork:
    """Return the samples' coordinates along random directions, float64: all that a sliced distance needs of them.

    Args:
        shape: Shape of one sample.
        count: Number of directions.
        seed: Seed of the directions.
    """
    _check_shape(shape)
    directions = random_directions(count, math.prod(shape), torch.Generator().manual_seed(seed))
    return FeatureNetwork(
        name=f"{count} random directions",
        digest=weights_digest({"directions": directions}),
        dimension=count,
        preprocessing="training scale, flattened",
        features=lambda x: x.flatten(1).double() @ directions.T,
        cheap=True,
    )


def from_module(
    module: nn.Module,
    name: str,
    *,
    dimension: int,
    preprocessing: str = "training scale",
    prepare: Callable[[Tensor], Tensor] | None = None,
    head: Callable[[Tensor], Tensor] | None = None,
    device: str = "cpu",
) -> FeatureNetwork:
    """Return a feature network around a copy of a module, in eval mode.

    Args:
        module: Maps prepared samples [batch, ...] to features [batch, d]. It is copied, not changed.
        name: Name for the protocol.
        dimension: Number d of features.
        preprocessing: What ``prepare`` does, in words.
        prepare: Function from training scale to what the module expects; None passes samples on.
        head: Function from features on that device to class scores, or None.
        device: Where the copy is put.
    """
    check_device(device)
    frozen = copy.deepcopy(module).eval().requires_grad_(requires_grad=False).to(device)

    def features(x: Tensor) -> Tensor:
        out: Tensor = frozen(x if prepare is None else prepare(x))
        return out

    digest = weights_digest(dict(frozen.state_dict()))
    return FeatureNetwork(name, digest, dimension, preprocessing, features, head, device=device)


def random_convolutions(shape: tuple[int, ...], *, seed: int = 0) -> FeatureNetwork:
    """Return a small convolutional network with random weights, for images and signals without labels.

    Its features react to colours, edges and texture but know nothing of objects: a distance in them tells runs on one
    data set apart, and no more. The weights depend on ``seed`` and the number of channels alone.

    Args:
        shape: Shape of one sample: [c, h, w] or [c, length].
        seed: Seed of the weights.

    Raises:
        UserError: Samples are vectors.
    """
    _check_shape(shape)
    if len(shape) not in (2, 3):
        raise UserError(
            f"Random convolutions need samples of shape [c, h, w] or [c, length], but the shape is {shape}; "
            "use pixels() for vectors."
        )
    rng = torch.Generator().manual_seed(seed)
    widths = (shape[0], 32, 64, 96)
    kernels = {
        f"kernel{index}": torch.randn(after, before, 3, 3, generator=rng) * math.sqrt(2.0 / (9 * before))
        for index, (before, after) in enumerate(itertools.pairwise(widths))
    }

    def features(x: Tensor) -> Tensor:
        hidden, pooled = shrink(x, RANDOM_SIDE), []
        for index, kernel in enumerate(kernels.values()):
            hidden = functional.conv2d(hidden, kernel, stride=1 if index == 0 else 2, padding=1).relu()
            pooled.append(hidden.mean(dim=(2, 3)))
        return torch.cat(pooled, dim=1)

    return FeatureNetwork(
        name=f"random convolutions (seed {seed})",
        digest=weights_digest(kernels),
        dimension=sum(widths[1:]),
        preprocessing=f"training scale, box-averaged to at most {RANDOM_SIDE} pixels a side",
        features=features,
    )


RANDOM_SIDE = 64


def shrink(x: Tensor, side: int) -> Tensor:
    """Return [n, c, h, w] with h and w at most ``side``, averaging whole blocks; [n, c, length] becomes one row.

    Args:
        x: Samples [n, c, h, w] or [n, c, length].
        side: Largest height and width.

    Raises:
        UserError: They are of another shape.
    """
    x = x.unsqueeze(2) if x.ndim == 3 else x
    if x.ndim != 4:
        raise UserError(
            f"Expected images [n, channels, height, width], or [n, channels, length], got shape {list(x.shape)}; "
            "points need other features, such as those of open_features('pixels', shape)."
        )
    factors = [math.ceil(size / side) for size in x.shape[2:]]
    if max(factors) == 1:
        return x
    return functional.avg_pool2d(x, factors, ceil_mode=True)


def check_features(features: Any) -> None:
    """Refuse what is no feature network.

    Raises:
        UserTypeError: It is neither one nor None.
    """
    if features is not None and not isinstance(features, FeatureNetwork):
        raise UserTypeError(
            f"Expected features as a FeatureNetwork, got {features!r}; open one by name with evaluation.open_features."
        )
