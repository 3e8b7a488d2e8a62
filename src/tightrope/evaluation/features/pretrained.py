"""Feature networks whose weights the user brings as safetensors: CIFAR ResNets and an ImageNet MobileNetV2."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tightrope._plumbing.cache import read_tensors
from tightrope._plumbing.errors import UserError, UserFileError
from tightrope.evaluation.features.network import FeatureNetwork

Weights = dict[str, Tensor]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cifar_resnet(path: Path | str, *, device: str = "cpu") -> FeatureNetwork:
    """Return the 64 pooled features and ten CIFAR-10 class scores of a ResNet-20, -32, -44, -56 or -110.

    Args:
        path: Safetensors with the names of the ``akamaster/pytorch_resnet_cifar10`` models (``conv1``, ``layer1.0``
            to ``layer3.n``, ``linear``); the depth is read from the file.
        device: Where the network runs.

    Raises:
        UserFileError: There is no readable safetensors file at the path.
        UserError: The file holds other tensors.

    **Source** resnet (He et al. 2016), section 4.2, with shortcuts of kind A.
    **Departures** Batch normalisation is folded into the convolutions. Images of another size than 32 are resized.
    """
    weights, digest = _read(Path(path), ("conv1.weight", "layer3.0.conv2.weight", "linear.weight"), "a CIFAR ResNet")
    units = {
        key.removesuffix(".weight"): folded(weights, key.removesuffix(".weight"), _norm_of(key), eps=1e-5)
        for key in weights
        if ".conv" in f".{key}" and key.endswith(".weight")
    }
    units = {name: (kernel.to(device), bias.to(device)) for name, (kernel, bias) in units.items()}
    blocks = len({key.split(".")[1] for key in weights if key.startswith("layer1.")})
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))
    matrix, bias = weights["linear.weight"].to(device), weights["linear.bias"].to(device)

    def features(x: Tensor) -> Tensor:
        hidden = (as_rgb(resized(x, 32)) + 1) / 2
        hidden = _conv((hidden - mean) / std, units["conv1"]).relu()
        for stage in (1, 2, 3):
            for block in range(blocks):
                hidden = _residual(hidden, units, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
        return hidden.mean(dim=(2, 3))

    return FeatureNetwork(
        name=f"CIFAR ResNet-{6 * blocks + 2}",
        digest=digest,
        dimension=matrix.shape[1],
        preprocessing="[0, 1], bilinear to 32x32 if larger or smaller, mean .485 .456 .406, std .229 .224 .225",
        features=features,
        head=lambda pooled: functional.linear(pooled, matrix, bias),
        device=device,
    )


def mobilenet_v2(path: Path | str, *, device: str = "cpu") -> FeatureNetwork:
    """Return the 1,280 pooled features and 1,001 ImageNet class scores (0 is background) of a MobileNetV2.

    Args:
        path: Safetensors with 8-bit kernels ``features.k.….weight_q``, their scales per output channel
            ``weight_scale`` and biases, batch normalisation folded in.
        device: Where the network runs.

    Raises:
        UserFileError: There is no readable safetensors file at the path.
        UserError: The file holds other tensors.

    **Source** mobilenetv2 (Sandler et al. 2018), table 2; TensorFlow's padding.
    **Departures** Kernels are 8-bit, activations float. The features are a stand-in for Inception's where its weights
    are not at hand; no value in them is an FID.
    """
    needed = ("features.0.conv.weight_q", "features.18.conv.weight_q", "classifier.weight_q")
    weights, digest = _read(Path(path), needed, "an 8-bit MobileNetV2")
    units = {}
    for key in [key.removesuffix(".weight_q") for key in weights if key.endswith(".weight_q")]:
        scale = weights[f"{key}.weight_scale"]
        kernel = weights[f"{key}.weight_q"].float() * scale.view(-1, *[1] * (weights[f"{key}.weight_q"].ndim - 1))
        units[key.removesuffix(".conv")] = (kernel.to(device), weights[f"{key}.bias"].to(device))
    matrix, bias = units["classifier"]

    def features(x: Tensor) -> Tensor:
        hidden = _same(as_rgb(resized(x, 224)), units["features.0"], 2).clamp(0, 6)
        for block in range(1, 18):
            hidden = _inverted(hidden, units, f"features.{block}", 2 if block in (2, 4, 7, 14) else 1)
        return _same(hidden, units["features.18"], 1).clamp(0, 6).mean(dim=(2, 3))

    return FeatureNetwork(
        name="MobileNetV2 (8-bit, ImageNet)",
        digest=digest,
        dimension=matrix.shape[1],
        preprocessing="[-1, 1], bilinear to 224x224 (antialiased when it shrinks)",
        features=features,
        head=lambda pooled: functional.linear(pooled, matrix, bias),
        device=device,
        batch=64,
    )


def folded(weights: Weights, conv: str, norm: str, *, eps: float) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of a convolution without bias followed by batch normalisation in eval mode.

    Args:
        weights: Tensors by name.
        conv: Name of the convolution.
        norm: Name of the normalisation.
        eps: Its constant below the root.
    """
    double = {part: weights[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")}
    gain = double["weight"] / (double["running_var"] + eps).sqrt()
    kernel = weights[f"{conv}.weight"]
    shift = double["bias"] - double["running_mean"] * gain
    return (kernel.double() * gain.view(-1, 1, 1, 1)).to(kernel), shift.to(kernel)


def as_rgb(x: Tensor) -> Tensor:
    """Return images [n, 3, h, w] from images of one or three channels.

    Raises:
        UserError: The images have another number of channels.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise UserError(
            f"A network for photographs needs images of shape [n, 1 or 3, h, w], but these have {tuple(x.shape)}; "
            "use random_convolutions() or a network of your own."
        )
    return x.expand(-1, 3, -1, -1)


def resized(x: Tensor, side: int) -> Tensor:
    """Return images [n, c, side, side], bilinear, antialiased where they shrink."""
    if x.shape[2:] == (side, side):
        return x
    return functional.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=True)


def resized_bicubic(x: Tensor, side: int) -> Tensor:
    """Return images [n, c, side, side], bicubic, antialiased where they shrink."""
    if x.shape[2:] == (side, side):
        return x
    return functional.interpolate(x, (side, side), mode="bicubic", align_corners=False, antialias=True)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, needed: tuple[str, ...], what: str) -> tuple[Weights, str]:
    stored = read_tensors(path)
    if stored is None:
        raise UserFileError(
            f"The weights of {what} must be a safetensors file, but there is none that can be read at {path}; give "
            "the path of the downloaded file."
        )
    missing = [key for key in needed if key not in stored[0]]
    if missing:
        raise UserError(
            f"The weights of {what} must hold {', '.join(needed)}, but {path.name} lacks {', '.join(missing)}; it "
            "belongs to another network."
        )
    return stored[0], file_digest(path)


def _norm_of(key: str) -> str:
    return key.replace("conv", "bn").removesuffix(".weight")


def _conv(x: Tensor, unit: tuple[Tensor, Tensor], stride: int = 1) -> Tensor:
    return functional.conv2d(x, *unit, stride=stride, padding=1)


def _residual(x: Tensor, units: dict[str, tuple[Tensor, Tensor]], name: str, stride: int) -> Tensor:
    """Two convolutions; where the shape changes, the shortcut takes every second pixel and adds empty channels."""
    out = _conv(_conv(x, units[f"{name}.conv1"], stride).relu(), units[f"{name}.conv2"])
    if stride > 1:
        extra = (out.shape[1] - x.shape[1]) // 2
        x = functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, extra, extra))
    return (out + x).relu()


def _inverted(x: Tensor, units: dict[str, tuple[Tensor, Tensor]], name: str, stride: int) -> Tensor:
    """Expansion (absent from the first block), one kernel per channel, linear projection."""
    parts = [units[f"{name}.body.{index}"] for index in range(3) if f"{name}.body.{index}" in units]
    out = x
    for index, unit in enumerate(parts[:-1]):
        out = _same(out, unit, stride if index == len(parts) - 2 else 1).clamp(0, 6)
    out = _same(out, parts[-1], 1)
    return x + out if out.shape == x.shape else out


def _same(x: Tensor, unit: tuple[Tensor, Tensor], stride: int) -> Tensor:
    """Convolve with TensorFlow's SAME padding: the odd pixel goes right and below; one group per single input plane."""
    kernel, bias = unit
    size, groups = kernel.shape[-1], x.shape[1] // kernel.shape[1]
    padding = []
    for length in (x.shape[3], x.shape[2]):
        total = max(0, (-(-length // stride) - 1) * stride + size - length)
        padding += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(x, padding), kernel, bias, stride=stride, groups=groups)
