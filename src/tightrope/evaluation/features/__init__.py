"""Networks that turn samples into the features that distances are measured on."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.evaluation.features.dino import dinov2
from tightrope.evaluation.features.inception import inception
from tightrope.evaluation.features.named import FEATURES, named_features
from tightrope.evaluation.features.network import FeatureNetwork, from_module, pixels, projections, random_convolutions
from tightrope.evaluation.features.pretrained import cifar_resnet, mobilenet_v2
from tightrope.evaluation.features.small_classifier import classifier

__all__ = [
    "FEATURES",
    "FeatureNetwork",
    "cifar_resnet",
    "classifier",
    "dinov2",
    "from_module",
    "inception",
    "mobilenet_v2",
    "named_features",
    "pixels",
    "projections",
    "random_convolutions",
]

keep_door(__name__, __all__)
