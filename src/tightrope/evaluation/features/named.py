"""Feature networks by name, as the command line asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from tightrope._plumbing.cache import cache_folder
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import expanded
from tightrope._plumbing.words import closest
from tightrope.evaluation.features.dino import dinov2
from tightrope.evaluation.features.inception import inception
from tightrope.evaluation.features.network import FeatureNetwork, pixels, random_convolutions
from tightrope.evaluation.features.pretrained import cifar_resnet, mobilenet_v2

FEATURES: dict[str, str] = {
    "pixels": "the samples themselves",
    "random": "small convolutions with random weights: colours and texture, no objects",
    "cifar_resnet[:FILE]": "64 features of a ResNet trained on CIFAR-10, from a safetensors file",
    "mobilenet_v2[:FILE]": "1,280 features of a MobileNetV2 trained on ImageNet, from a safetensors file",
    "inception[:FILE]": "2,048 features of the Inception-v3 of the FID literature: the only ones to give an FID",
    "dinov2[:SIZE]": "DINOv2 through timm: small, base, large or giant",
    "dinov2_hub[:SIZE]": "DINOv2 through torch hub",
}
"""Names of feature networks with a line each."""

WEIGHTS = {
    "cifar_resnet": "resnet20_cifar10.safetensors",
    "mobilenet_v2": "mobilenet_v2_imagenet_int8.safetensors",
    "inception": "pt_inception-2015-12-05-6726825d.pth",
}
"""Customary name of each weight file, looked for in ``weights`` of the cache folder where no file is given."""


def named_features(
    name: str, shape: tuple[int, ...], *, cache: Path | None = None, device: str = "cpu"
) -> FeatureNetwork:
    """Return a feature network by its name.

    Args:
        name: A name out of `FEATURES`, with a weight file or size after a colon where it takes one.
        shape: Shape of one sample.
        cache: Folder whose ``weights`` sub-folder holds weight files; by default ``$TIGHTROPE_CACHE`` or the user's
            cache folder.
        device: Where the network runs.

    Raises:
        UserError: The name is unknown, or there is no weight file where one is needed.
        UserFileError: The file cannot be read.
            The file holds something else.
    """
    plain, _, detail = name.partition(":")
    if plain in WEIGHTS:
        builder = {"cifar_resnet": cifar_resnet, "mobilenet_v2": mobilenet_v2, "inception": inception}[plain]
        _check_images(plain, shape)
        return builder(_weights(plain, detail, cache), device=device)
    if plain in ("dinov2", "dinov2_hub"):
        _check_images(plain, shape)
        size = cast("Literal['small', 'base', 'large', 'giant']", detail or "small")
        return dinov2(size, via="hub" if plain == "dinov2_hub" else "timm", device=device)
    if plain not in ("pixels", "random") or detail:
        hint = closest(plain, [key.partition("[")[0] for key in FEATURES])
        raise UserError(f"Expected features out of {', '.join(FEATURES)}, got {name!r}{hint}; choose one of them.")
    return pixels(shape) if plain == "pixels" else random_convolutions(shape)


def _weights(name: str, given: str, cache: Path | None) -> Path:
    if given:
        return expanded(given)
    path = cache_folder(cache) / "weights" / WEIGHTS[name]
    if not path.is_file():
        raise UserError(
            f"The features {name} need a weight file, but none was given and there is no {path}; put it there, or give "
            f"its path after a colon, as in {name}:{WEIGHTS[name]}."
        )
    return path


def _check_images(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise UserError(
            f"The features {name} are for images, but the samples have shape {shape}; choose pixels or leave it out."
        )
