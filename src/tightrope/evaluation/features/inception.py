"""The Inception-v3 of the FID literature, from a weight file that the user brings."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tightrope._plumbing.errors import UserError, UserFileError
from tightrope.evaluation.features.network import FeatureNetwork
from tightrope.evaluation.features.pretrained import Weights, as_rgb, file_digest, folded

WEIGHTS_SHA256 = "6726825d"
"""Start of the SHA-256 of the converted 2015-12-05 graph, which is also part of its customary file name."""

NAME = "Inception-v3 2015-12-05"
SIDE, CLASSES, DIMENSION = 299, 1008, 2048
PREPROCESSING = "8 bits, bilinear to 299x299 as in TensorFlow 1 (corners at pixel 0, no antialiasing), (x - 128) / 128"

Units = dict[str, tuple[Tensor, Tensor]]


def inception(path: Path | str, *, device: str = "cpu") -> FeatureNetwork:
    """Return the 2,048 pooled features and 1,008 class scores that FID, KID and the Inception score are defined by.

    Args:
        path: The file ``pt_inception-2015-12-05-6726825d.pth``, downloaded by the user: the state dict of the
            published TensorFlow graph, converted for PyTorch.
        device: Where the network runs; on a CPU 10,000 images take tens of minutes.

    Raises:
        UserFileError: There is no file at the path.
        UserError: The file has another SHA-256: values in other weights are not FIDs.

    **Source** inception-v3 (Szegedy et al. 2016); ttur (Heusel et al. 2017) for the features; improved-gan (Salimans
    et al. 2016) for the scores, which leave out the last layer's bias as the authors' code does.
    **Departures** Batch normalisation is folded into the convolutions.
    """
    path = Path(path)
    if not path.is_file():
        raise UserFileError(
            f"The Inception weights were expected at {path}, but there is no such file; download "
            "pt_inception-2015-12-05-6726825d.pth and give its path."
        )
    digest = file_digest(path)
    if not digest.startswith(WEIGHTS_SHA256):
        raise UserError(
            f"The Inception weights must have a SHA-256 that begins with {WEIGHTS_SHA256}, but that of {path.name} "
            f"begins with {digest[:8]}; download the file again, because other weights do not give FIDs."
        )
    return inception_network(torch.load(path, map_location="cpu", weights_only=True), digest, device=device)


def inception_network(weights: Weights, digest: str, *, device: str = "cpu") -> FeatureNetwork:
    """Return the network for a state dict whose origin the caller has checked; see `inception`.

    Args:
        weights: Tensors by name: ``<block>.<branch>.conv.weight``, ``….bn.weight`` and so on, ``fc.weight``.
        digest: SHA-256 of the file they came from.
        device: Where the network runs.

    Raises:
        UserError: A tensor is missing.
    """
    names = [key.removesuffix(".conv.weight") for key in weights if key.endswith(".conv.weight")]
    try:
        units = {name: folded(weights, f"{name}.conv", f"{name}.bn", eps=1e-3) for name in names}
        matrix = weights["fc.weight"].to(device)
    except KeyError as error:
        raise UserError(f"Inception weights must hold {error}, but they do not; take the published file.") from None
    units = {name: (kernel.to(device), bias.to(device)) for name, (kernel, bias) in units.items()}
    return FeatureNetwork(
        name=NAME,
        digest=digest,
        dimension=DIMENSION,
        preprocessing=PREPROCESSING,
        features=lambda x: pooled(_prepared(x), units),
        head=lambda features: functional.linear(features, matrix),
        device=device,
        batch=32,
    )


def is_reference(network: FeatureNetwork) -> bool:
    """Return whether values in a network's features may be called FID, KID and Inception score."""
    return network.name == NAME and network.digest.startswith(WEIGHTS_SHA256)


def resize_like_tensorflow1(x: Tensor, side: int) -> Tensor:
    """Return images [n, c, side, side] by TensorFlow 1's bilinear resize: output i reads the input at i * size / side.

    Args:
        x: Images [n, c, h, w].
        side: Height and width of the result.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        place = torch.arange(side, device=x.device, dtype=x.dtype) * (size / side)
        low = place.floor().long().clamp(max=size - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = side
        share = (place - low).view(shape)
        x_low, x_high = (x.index_select(axis, i) for i in (low, (low + 1).clamp(max=size - 1)))
        x = x_low + (x_high - x_low) * share
    return x


def pooled(x: Tensor, units: Units) -> Tensor:
    """Return the pooled features [n, 2048] of prepared images [n, 3, 299, 299]."""
    x = _unit(x, units, "Conv2d_1a_3x3", stride=2)
    x = _unit(x, units, "Conv2d_2a_3x3")
    x = _unit(x, units, "Conv2d_2b_3x3", padding=1)
    x = functional.max_pool2d(x, 3, 2)
    x = _unit(_unit(x, units, "Conv2d_3b_1x1"), units, "Conv2d_4a_3x3")
    x = functional.max_pool2d(x, 3, 2)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = _mixed_35(x, units, name)
    x = _reduce_35(x, units, "Mixed_6a")
    for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = _mixed_17(x, units, name)
    x = _reduce_17(x, units, "Mixed_7a")
    x = _mixed_8(x, units, "Mixed_7b", _mean3(x))
    x = _mixed_8(x, units, "Mixed_7c", functional.max_pool2d(x, 3, 1, 1))
    return x.mean(dim=(2, 3))


def _prepared(x: Tensor) -> Tensor:
    eight_bits = as_rgb(x).add(1).mul(127.5).round().clamp(0, 255)
    return (resize_like_tensorflow1(eight_bits, SIDE) - 128) / 128


def _unit(x: Tensor, units: Units, name: str, *, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
    kernel, bias = units[name]
    return functional.conv2d(x, kernel, bias, stride, padding).relu_()


def _chain(x: Tensor, units: Units, *names: str) -> Tensor:
    """Apply convolutions one after another, each padded so that it keeps the size."""
    for name in names:
        kernel = units[name][0]
        x = _unit(x, units, name, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2))
    return x


def _mean3(x: Tensor) -> Tensor:
    """Mean over 3x3 neighbours; at the border over those that exist."""
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _mixed_35(x: Tensor, units: Units, name: str) -> Tensor:
    """Grid 35x35: kernels 1, 5, 3 of 3, and a pooled branch."""
    branches = (
        _chain(x, units, f"{name}.branch1x1"),
        _chain(x, units, f"{name}.branch5x5_1", f"{name}.branch5x5_2"),
        _chain(x, units, *(f"{name}.branch3x3dbl_{i}" for i in (1, 2, 3))),
        _chain(_mean3(x), units, f"{name}.branch_pool"),
    )
    return torch.cat(branches, dim=1)


def _reduce_35(x: Tensor, units: Units, name: str) -> Tensor:
    """Grid 35x35 to 17x17."""
    double = _chain(x, units, f"{name}.branch3x3dbl_1", f"{name}.branch3x3dbl_2")
    branches = (
        _unit(x, units, f"{name}.branch3x3", stride=2),
        _unit(double, units, f"{name}.branch3x3dbl_3", stride=2),
        functional.max_pool2d(x, 3, 2),
    )
    return torch.cat(branches, dim=1)


def _mixed_17(x: Tensor, units: Units, name: str) -> Tensor:
    """Grid 17x17: kernels of 7 split into rows and columns."""
    branches = (
        _chain(x, units, f"{name}.branch1x1"),
        _chain(x, units, *(f"{name}.branch7x7_{i}" for i in (1, 2, 3))),
        _chain(x, units, *(f"{name}.branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))),
        _chain(_mean3(x), units, f"{name}.branch_pool"),
    )
    return torch.cat(branches, dim=1)


def _reduce_17(x: Tensor, units: Units, name: str) -> Tensor:
    """Grid 17x17 to 8x8."""
    long = _chain(x, units, *(f"{name}.branch7x7x3_{i}" for i in (1, 2, 3)))
    branches = (
        _unit(_chain(x, units, f"{name}.branch3x3_1"), units, f"{name}.branch3x3_2", stride=2),
        _unit(long, units, f"{name}.branch7x7x3_4", stride=2),
        functional.max_pool2d(x, 3, 2),
    )
    return torch.cat(branches, dim=1)


def _mixed_8(x: Tensor, units: Units, name: str, around: Tensor) -> Tensor:
    """Grid 8x8: rows and columns of 3 side by side; ``around`` is the mean or maximum over neighbours."""
    single = _chain(x, units, f"{name}.branch3x3_1")
    double = _chain(x, units, f"{name}.branch3x3dbl_1", f"{name}.branch3x3dbl_2")
    branches = (
        _chain(x, units, f"{name}.branch1x1"),
        _chain(single, units, f"{name}.branch3x3_2a"),
        _chain(single, units, f"{name}.branch3x3_2b"),
        _chain(double, units, f"{name}.branch3x3dbl_3a"),
        _chain(double, units, f"{name}.branch3x3dbl_3b"),
        _chain(around, units, f"{name}.branch_pool"),
    )
    return torch.cat(branches, dim=1)
