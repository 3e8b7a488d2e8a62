"""What each constraint adds to a critic step, as a ratio to the same step without constraint.

    OMP_NUM_THREADS=1 python benchmarks/constraints.py [--networks dcgan resnet] [--rounds N] [--only NAME ...]

One step: hinge loss on 64 real and 64 fake images of 3x32x32 in two forwards under `parametrize.cached()`, backward,
fused Adam. torch's own parametrisations stand beside ours, and geotorch, orthogonium and deel-torchlip where they are
installed (`pip install --no-deps geotorch orthogonium deel-torchlip einops`). Before anything is timed, torch's
spectral norm must give our loss and gradients; the others are other functions, of which what they promise is checked:
orthogonal matrices in the last two dimensions (torch, geotorch), layers that lengthen no difference (the rest).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from tightrope import constraints
from tightrope.layers.find import find_layers
from tightrope.networks import NETWORKS
from tightrope.penalties.orthogonality import soft_orthogonality
from timing import Row, dearer, interleaved, options, record

SHAPE = (3, 32, 32)
TARGETS = {
    ("dcgan", "spectral norm, kernel"): 1.03,
    ("dcgan", "spectral norm, operator"): 1.10,
    ("dcgan", "orthogonal polar, kernel"): 1.25,
    ("resnet", "orthogonal polar, kernel"): 1.10,
}
TITLES = {"dcgan": "DCGAN-32", "resnet": "SN ResNet-32"}


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
        row = isinstance(layer, nn.Linear)  # one orthogonal row is a point of the sphere; as a matrix it takes minutes
        (geotorch.sphere if row else geotorch.orthogonal)(layer, "weight")
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
    "spectral norm, kernel": {"constrain": constraints.spectral_norm},
    "spectral norm, operator": {"constrain": partial(constraints.spectral_norm, norm="operator", input_shape=SHAPE)},
    "spectral norm, exact": {"constrain": partial(constraints.spectral_norm, exact=True)},
    "torch, spectral norm": {"constrain": torch_spectral_norm},
    "weight norm": {"constrain": constraints.weight_norm},
    "orthogonal polar, kernel": {"constrain": orthogonal},
    "orthogonal bjorck, kernel": {"constrain": partial(orthogonal, by="bjorck")},
    "orthogonal qr, kernel": {"constrain": partial(orthogonal, by="qr")},
    "orthogonal cayley, kernel": {"constrain": partial(orthogonal, by="cayley")},
    "orthogonal polar, operator": {"constrain": partial(orthogonal, norm="operator")},
    "torch, orthogonal": {"constrain": torch_orthogonal},
    "geotorch, orthogonal": {"constrain": geotorch_orthogonal},
    "orthogonium": {"constrain": orthogonium_layers},
    "deel-torchlip": {"constrain": torchlip_layers},
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
FEW = ("spectral norm, kernel", "torch, spectral norm", "orthogonal polar, kernel")
"""Of the larger network, whose step takes seconds."""


def stepper(network: str, name: str, real: Tensor, fake: Tensor) -> Callable[[], None]:
    """A critic step under the constraint of this name; ``plain`` has none."""
    variant = VARIANTS.get(name, {})
    model = variant.get("constrain", same)(critic(network))
    assert isinstance(model, nn.Module)
    promised(name, model)
    optimiser = torch.optim.Adam(model.parameters(), 2e-4, betas=(0.0, 0.9), fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with parametrize.cached():
            loss = hinge(model, real, fake)
            if "penalty" in variant:
                loss = loss + variant["penalty"](model)
            loss.backward()
        optimiser.step()
        if "project" in variant:
            variant["project"](model)

    return step


def hinge(model: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return torch.relu(1 - model(real)).mean() + torch.relu(1 + model(fake)).mean()


def agree(real: Tensor, fake: Tensor) -> None:
    """Raise unless loss and gradients of torch's spectral norm are ours once both power iterations stand still."""
    models = [constrain(critic("dcgan")).double() for constrain in (constraints.spectral_norm, torch_spectral_norm)]
    values, gradients = [], []
    for model in models:
        for layer in find_layers(model).values():
            with torch.no_grad():
                for _ in range(600):
                    layer.parametrizations.weight.original.mul_(1.0 + 1e-12)  # ours advances where a weight changed
                    _ = layer.weight
        model.eval()
        loss = hinge(model, real[:8].double(), fake[:8].double())
        values.append(loss)
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    torch.testing.assert_close(*values, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3 * float(theirs.abs().max()))


def promised(name: str, model: nn.Module) -> None:
    """Raise unless another package's layers are what they say."""
    if name not in ("torch, orthogonal", "geotorch, orthogonal", "orthogonium", "deel-torchlip"):
        return
    rng = torch.Generator().manual_seed(1)
    for layer, size in zip(find_layers(model).values(), (32, 16, 8, 0), strict=False):
        if "orthogonal" in name:
            W = layer.weight.detach()
            W = W.mT if W.shape[-2] < W.shape[-1] else W
            torch.testing.assert_close(
                W.mT @ W, torch.eye(W.shape[-1]).expand(*W.shape[:-2], -1, -1), rtol=0, atol=1e-3
            )
        else:
            inputs = (2, layer.in_channels, size, size) if size else (2, layer.in_features)
            x = torch.randn(*inputs, generator=rng)
            with torch.no_grad():
                y = layer(x)
            assert (y[0] - y[1]).norm() <= 1.05 * (x[0] - x[1]).norm(), f"{name}: a layer lengthens a difference"


def compared(network: str, names: list[str], rounds: int, real: Tensor, fake: Tensor) -> tuple[list[Row], list[str]]:
    """Rows of one network, and what is absent."""
    steps: dict[str, Callable[[], None]] = {}
    absent = []
    for name in names:
        try:
            steps[name] = stepper(network, name, real, fake)
        except ImportError as missing:
            absent.append(f"{name} ({missing})")
    spent = interleaved(steps, rounds=rounds)
    title, others = TITLES[network], [name for name in steps if name != "plain"]
    return [dearer(f"{title}, {name}", spent, name, "plain", TARGETS.get((network, name))) for name in others], absent


def main() -> None:
    parser = options(__doc__, rounds=15)
    parser.add_argument("--networks", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(64, *SHAPE, generator=rng) for _ in range(2))
    agree(real, fake)
    rows: list[Row] = []
    absent: list[str] = []
    for network in given.networks:
        few = [name for name in given.only if network == "dcgan" or name in FEW]
        more, missing = compared(
            network, ["plain", *few], given.rounds if network == "dcgan" else -(-given.rounds // 5), real, fake
        )
        rows, absent = rows + more, absent + missing
    record(given.out, "What a constraint adds to a critic step", "the same step without constraint", rows, absent)


if __name__ == "__main__":
    main()
