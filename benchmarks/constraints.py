"""What each constraint adds to a critic step, as a ratio to the same step without constraint.

    OMP_NUM_THREADS=1 python benchmarks/constraints.py [--network dcgan|resnet] [--rounds N] [--only NAME ...] [--out F]

One step: hinge loss on 64 real and 64 fake images of 3x32x32 in two forwards under `parametrize.cached()`, backward,
fused Adam. One thread, process CPU time, variants interleaved; the ratio is the median over rounds of the quotient with
the plain step of the same round (quartiles behind it), and beside it the quotient of the fastest rounds, which a busy
machine disturbs less. torch's own parametrisations stand beside ours, and geotorch, orthogonium and deel-torchlip where
they are installed (`pip install geotorch; pip install --no-deps orthogonium deel-torchlip`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from tightrope import constraints
from tightrope.layers.find import find_layers
from tightrope.networks import NETWORKS
from tightrope.penalties.orthogonality import soft_orthogonality

SHAPE = (3, 32, 32)
CLAIMS = {
    ("dcgan", "spectral norm, kernel"): 1.03,
    ("dcgan", "spectral norm, operator"): 1.10,
    ("dcgan", "orthogonal polar, kernel"): 1.25,
    ("resnet", "orthogonal polar, kernel"): 1.10,
}


def critic(network: str) -> nn.Module:
    rng = torch.Generator().manual_seed(0)
    if network == "resnet":
        return NETWORKS["sn_resnet"].critic(SHAPE, rng=rng)
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(256 * 16, 1),
    )  # fmt: skip


def torch_spectral_norm(network: nn.Module) -> nn.Module:
    for layer in find_layers(network).values():
        parametrizations.spectral_norm(layer)
    return network


def torch_orthogonal(network: nn.Module) -> nn.Module:
    for layer in find_layers(network).values():
        parametrizations.orthogonal(layer)
    return network


def geotorch_orthogonal(network: nn.Module) -> nn.Module:
    import geotorch

    for layer in find_layers(network).values():
        geotorch.orthogonal(layer, "weight")
    return network


def replaced(network: nn.Module, convolution: Callable[..., nn.Module], linear: Callable[..., nn.Module]) -> nn.Module:
    """The same network with every layer exchanged for another package's, of equal geometry."""
    for name, layer in list(find_layers(network).items()):
        new = (
            linear(layer.in_features, layer.out_features)
            if isinstance(layer, nn.Linear)
            else convolution(layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0],
                             layer.padding[0])
        )  # fmt: skip
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, new)
    return network


def orthogonium_layers(network: nn.Module) -> nn.Module:
    from orthogonium.layers import AdaptiveOrthoConv2d, OrthoLinear

    def convolution(cin: int, cout: int, kernel: int, stride: int, padding: int) -> nn.Module:
        module: nn.Module = AdaptiveOrthoConv2d(
            cin, cout, kernel, stride=stride, padding=padding, padding_mode="circular", bias=True
        )
        return module

    return replaced(network, convolution, OrthoLinear)


def torchlip_layers(network: nn.Module) -> nn.Module:
    from deel.torchlip import SpectralConv2d, SpectralLinear

    def convolution(cin: int, cout: int, kernel: int, stride: int, padding: int) -> nn.Module:
        module: nn.Module = SpectralConv2d(cin, cout, kernel, stride=stride, padding=padding, padding_mode="circular")
        return module

    return replaced(network, convolution, SpectralLinear)


def same(network: nn.Module) -> nn.Module:
    return network


orthogonal = constraints.orthogonal
project = constraints.bound_singular_values_
VARIANTS: dict[str, dict[str, Callable[..., object]]] = {
    "plain": {},
    "spectral norm, kernel": {"constrain": constraints.spectral_norm},
    "spectral norm, operator": {"constrain": partial(constraints.spectral_norm, norm="operator", input_shape=SHAPE)},
    "spectral norm, exact": {"constrain": partial(constraints.spectral_norm, exact=True)},
    "spectral norm of torch": {"constrain": torch_spectral_norm},
    "weight norm": {"constrain": constraints.weight_norm},
    "orthogonal polar, kernel": {"constrain": orthogonal},
    "orthogonal bjorck, kernel": {"constrain": partial(orthogonal, by="bjorck")},
    "orthogonal qr, kernel": {"constrain": partial(orthogonal, by="qr")},
    "orthogonal cayley, kernel": {"constrain": partial(orthogonal, by="cayley")},
    "orthogonal polar, operator": {"constrain": partial(orthogonal, norm="operator")},
    "orthogonal of torch (householder)": {"constrain": torch_orthogonal},
    "orthogonal of geotorch": {"constrain": geotorch_orthogonal},
    "layers of orthogonium": {"constrain": orthogonium_layers},
    "layers of deel-torchlip": {"constrain": torchlip_layers},
    "projection by svd, every step": {
        "constrain": partial(project, epsilon=0.0),
        "project": partial(project, epsilon=0.0),
    },
    "projection, one step": {
        "constrain": partial(project, epsilon=0.0),
        "project": partial(project, epsilon=0.0, by="one_step"),
    },
    "soft orthogonality": {"penalty": soft_orthogonality},
    "clipping": {"project": constraints.clip_weights_},
}


def stepper(network: str, variant: dict[str, Callable[..., object]], real: Tensor, fake: Tensor) -> Callable[[], None]:
    model = variant.get("constrain", same)(critic(network))
    assert isinstance(model, nn.Module)
    optimiser = torch.optim.Adam(model.parameters(), 2e-4, betas=(0.0, 0.9), fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with parametrize.cached():
            loss = torch.relu(1 - model(real)).mean() + torch.relu(1 + model(fake)).mean()
            if "penalty" in variant:
                loss = loss + variant["penalty"](model)
            loss.backward()
        optimiser.step()
        if "project" in variant:
            variant["project"](model)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=["dcgan", "resnet"], default="dcgan")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(64, *SHAPE, generator=rng) for _ in range(2))
    steppers: dict[str, Callable[[], None]] = {}
    for name in dict.fromkeys(["plain", *options.only]):
        try:
            steppers[name] = stepper(options.network, VARIANTS[name], real, fake)
        except ImportError as missing:
            print(f"{name}: left out, {missing}")
    times: dict[str, list[float]] = {name: [] for name in steppers}
    for index in range(options.rounds + 1):
        names = list(steppers)
        first = index % len(names)  # every variant stands in every place, for what ran before warms or cools the caches
        for name in names[first:] + names[:first]:
            step = steppers[name]
            started = time.process_time()
            step()
            if index:  # the first round warms up
                times[name].append(time.process_time() - started)
    rows = {}
    for name, seconds in times.items():
        quotients = sorted(s / p for s, p in zip(seconds, times["plain"], strict=True))
        ratio, quarter = statistics.median(quotients), len(quotients) // 4
        spread = [quotients[quarter], quotients[-1 - quarter]]
        fastest = min(seconds) / min(times["plain"])
        milliseconds = 1e3 * statistics.median(seconds)
        rows[name] = {"ms": milliseconds, "ratio": ratio, "quartiles": spread, "of_fastest": fastest}
        claim = CLAIMS.get((options.network, name))
        verdict = "" if claim is None else f"  claimed at most {claim:g}: {'PASS' if ratio <= claim else 'FAIL'}"
        print(
            f"{name:<36} {milliseconds:8.1f} ms  ratio {ratio:.3f} ({spread[0]:.3f} to {spread[1]:.3f}), "
            f"of the fastest {fastest:.3f}{verdict}"
        )
    if options.out:
        record = {"network": options.network, "rounds": options.rounds, "torch": torch.__version__,
                  "load_average": round(os.getloadavg()[0], 1), "variants": rows}  # fmt: skip
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
