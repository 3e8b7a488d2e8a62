"""DINOv2 features through timm or torch hub: a network trained without labels, whose weights those packages fetch."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.evaluation.features.network import FeatureNetwork, from_module
from tightrope.evaluation.features.pretrained import MEAN, STD, as_rgb, resized_bicubic

SIZES = {"small": ("s", 384), "base": ("b", 768), "large": ("l", 1024), "giant": ("g", 1536)}
"""Letter and number of features of each size."""

SIDE = 224


def dinov2(
    size: Literal["small", "base", "large", "giant"] = "small",
    *,
    via: Literal["timm", "hub"] = "timm",
    device: str = "cpu",
) -> FeatureNetwork:
    """Return the class token of a DINOv2 vision transformer with patches of 14 pixels.

    The weights are fetched by the package named, on first use, and their digest is part of every protocol. Through
    torch hub, code of the authors' repository is fetched and run as well.

    Args:
        size: ``small`` (384 features), ``base`` (768), ``large`` (1,024) or ``giant`` (1,536).
        via: ``timm`` (the extra ``tightrope[dino]``) or ``hub`` (torch hub).
        device: Where the network runs; on a CPU an image takes about a tenth of a second in the small one.

    Raises:
        UserError: The size is unknown, timm is not installed, or the weights could not be fetched.

    **Source** dinov2 (Oquab et al. 2023); dgm-eval (Stein et al. 2023) for its use in Frechet distances.
    **Departures** Images are resized to 224 by a bicubic filter, antialiased where they shrink.
    """
    if size not in SIZES:
        raise UserError(f"Expected a DINOv2 size out of {', '.join(SIZES)}, got {size!r}; choose one of them.")
    letter, dimension = SIZES[size]
    module = _from_timm(size) if via == "timm" else _from_hub(letter)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))

    def prepare(x: Tensor) -> Tensor:
        return ((resized_bicubic(as_rgb(x), SIDE) + 1) / 2 - mean) / std

    network = from_module(
        module,
        f"DINOv2 ViT-{letter.upper()}/14",
        dimension=dimension,
        preprocessing=f"[0, 1], bicubic to {SIDE}x{SIDE} (antialiased), mean .485 .456 .406, std .229 .224 .225",
        prepare=prepare,
        device=device,
    )
    return dataclasses.replace(network, batch=32)


def _from_timm(size: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"DINOv2 features need the package timm, but it cannot be imported ({error}); run pip install "
            "'tightrope[dino]', or ask for dinov2 through torch hub."
        ) from error
    try:
        module: nn.Module = timm.create_model(
            f"vit_{size}_patch14_dinov2.lvd142m", pretrained=True, num_classes=0, img_size=SIDE
        )
    except (OSError, RuntimeError) as error:
        raise _not_fetched("timm", error) from error
    return module


def _from_hub(letter: str) -> nn.Module:
    try:
        module: nn.Module = torch.hub.load("facebookresearch/dinov2", f"dinov2_vit{letter}14", trust_repo=True)
    except (OSError, RuntimeError, ImportError) as error:
        raise _not_fetched("torch hub", error) from error
    return module


def _not_fetched(where: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(
        f"The DINOv2 weights were expected from {where}, but they could not be fetched ({reason}); connect to the "
        "network once, or choose other features."
    )
