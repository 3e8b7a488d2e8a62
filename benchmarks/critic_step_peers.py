"""Critic steps against public trainers: mimicry's SNGAN and WGAN-GP, GAN_stability's R1, R3GAN's.

    TIGHTROPE_PEERS=/tmp/peers OMP_NUM_THREADS=1 python benchmarks/critic_step_peers.py

The folder holds checkouts named ``mimicry`` (github.com/kwotsin/mimicry), ``GAN_stability``
(github.com/LMescheder/GAN_stability) and ``R3GAN`` (github.com/brownvc/R3GAN); absent ones are named. Each trainer runs
its own step code on its own network in fp32, as published; ours has the same weights, images, loss and penalty, and
goes through ``critic_step``. Both are handed the same fakes, since the generators differ. Loss and gradients are
compared first. mimicry's ReLUs work in place and change what its skip connections add, so the comparison uses a copy of
its critic whose ReLUs do not.
"""

from __future__ import annotations

import copy
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from packaging.version import parse
from torch import Tensor, nn

from tightrope import constraints, methods
from tightrope.methods.game import critic_objective
from tightrope.networks import NETWORKS
from tightrope.training import Run, critic_step, start
from timing import Row, faster, interleaved, options, record

SHAPE = (3, 32, 32)
NAMES = ("mimicry", "GAN_stability", "R3GAN")


class Fakes(nn.Module):
    """A generator that hands out the same images again and again, to both sides."""

    latent = 1

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.images: Any = [images]

    def forward(self, z: Tensor, *_: Any) -> Tensor:
        """As our step and two of the trainers call it."""
        return self.images[0][: len(z)] + 0 * self.unused

    def generate_images(self, num_images: int, device: object = None) -> Tensor:
        """As mimicry calls it."""
        return self.images[0][:num_images]


def images(n: int, seed: int) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def bare_package(name: str, folder: Path) -> None:
    """Make a package importable without running its ``__init__``, which imports what is not needed here."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def ours(method: str, critic: nn.Module, fake: Tensor, precision: str, **settings: Any) -> Run:
    built = methods.build(method, **settings)
    return start(built, Fakes(fake), critic, seed=0, batch_size=len(fake), precision=precision)


def copied(critic: nn.Module, pairs: Iterator[tuple[Tensor, Tensor]]) -> nn.Module:
    with torch.no_grad():
        for target, source in pairs:
            target.copy_(source.reshape(target.shape))
    return critic


def agree(
    case: str, parameters: list[Tensor], found: Tensor, theirs: list[Tensor], expected: Tensor, tolerance: float
) -> None:
    """Raise unless both losses and all gradients agree, relative to the largest gradient."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    mine = torch.autograd.grad(found, parameters, allow_unused=True)
    other = torch.autograd.grad(expected, theirs, allow_unused=True)
    scale = max(float(g.abs().max()) for g in other if g is not None)
    worst = 0.0
    for a, b in zip(mine, other, strict=True):
        if a is not None and b is not None:
            worst = max(worst, float((a - b.reshape(a.shape)).abs().max()) / scale)
    print(f"{case}: loss {found.item():.6f} and {expected.item():.6f}, gradients differ by {worst:.1e}", flush=True)
    assert worst < tolerance, f"{case}: the gradients differ by {worst:.1e}"


def mimicry_critic(folder: Path, kind: str) -> Any:
    if "torch_mimicry" not in sys.modules:
        root = folder / "torch_mimicry"
        for name in ("", ".nets", ".nets.gan", ".nets.basemodel", ".nets.sngan", ".nets.wgan_gp"):
            bare_package(f"torch_mimicry{name}", root.joinpath(*name.split(".")))
    name = "SNGANDiscriminator32" if kind == "sngan" else "WGANGPDiscriminator32"
    return getattr(importlib.import_module(f"torch_mimicry.nets.{kind}.{kind}_32"), name)()


def as_mimicry(theirs: nn.Module, pooled_by_mean: bool) -> nn.Module:
    """Our ResNet with their weights; their WGAN-GP critic averages the last 8x8 map, ours adds it."""
    critic = NETWORKS["sn_resnet"].critic(SHAPE, width=64)
    weights = {name.removesuffix("_orig"): p for name, p in theirs.named_parameters()}

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for index, block in enumerate(critic.blocks, 1):
            for mine, other in (("conv1", "c1"), ("conv2", "c2"), ("skip", "c_sc")):
                layer = getattr(block, mine)
                if layer is not None:
                    yield layer.weight, weights[f"block{index}.{other}.weight"]
                    yield layer.bias, weights[f"block{index}.{other}.bias"]
        yield critic.head.dense.weight, weights["l5.weight"] / (64 if pooled_by_mean else 1)

    return copied(critic, pairs())


def mimicry_sides(critic: nn.Module, theirs: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The convolutions' weights of both, in one order."""
    mine, other = [], []
    there = {name.removesuffix("_orig"): p for name, p in theirs.named_parameters()}
    names = {name.replace("parametrizations.weight.original", "weight"): p for name, p in critic.named_parameters()}
    for index in range(4):
        for ours_name, name in (("conv1", "c1"), ("conv2", "c2"), ("skip", "c_sc")):
            if f"block{index + 1}.{name}.weight" in there:
                mine.append(names[f"blocks.{index}.{ours_name}.weight"])
                other.append(there[f"block{index + 1}.{name}.weight"])
    return mine, other


def mimicry(folder: Path, kind: str, batch: int) -> dict[str, Callable[[], object]]:
    gp = kind == "wgan_gp"
    theirs = mimicry_critic(folder, kind)
    real, fake = images(batch, 1), images(batch, 2)
    nn.init.zeros_(theirs.l5.bias)
    case = f"mimicry, {'WGAN-GP' if gp else 'SNGAN'}"
    plain, few = copy.deepcopy(theirs).double(), (real[:4].double(), fake[:4].double())
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    if gp:
        check = as_mimicry(plain, gp).double()
        torch.manual_seed(5)
        torch.set_default_dtype(torch.float64)  # of the coefficients that it draws
        penalty = plain.compute_gradient_penalty_loss(*few, gp_scale=10.0)
        torch.set_default_dtype(torch.float32)
        loss = plain.compute_gan_loss(output_real=plain(few[0]), output_fake=plain(few[1]))
        objective = critic_objective(methods.build("wgan_gp"), check, *few, rng=torch.Generator().manual_seed(5))
        expected = loss + penalty
    else:
        check = constraints.spectral_norm(as_mimicry(plain, gp).double(), exact=True)
        with torch.no_grad():
            for _ in range(300):  # until the power iteration stands still
                plain(few[0][:1])
        plain.eval()
        expected = plain.compute_gan_loss(output_real=plain(few[0]), output_fake=plain(few[1]))
        objective = critic_objective(methods.build("sn_gan"), check, *few)
    mine, other = mimicry_sides(check, plain)
    agree(case, mine, objective.total, other, expected, 1e-8 if gp else 5e-3)
    adam = torch.optim.Adam(theirs.parameters(), 2e-4, (0.0, 0.9))
    log = SimpleNamespace(add_metric=lambda *a, **k: None)
    step = partial(theirs.train_step, (real, None), Fakes(fake), adam, log)
    runs = {p: ours("wgan_gp" if gp else "sn_gan", as_mimicry(theirs, gp), fake, p) for p in ("fp32", "bf16")}
    return {"theirs": step} | {p: partial(critic_step, run, real) for p, run in runs.items()}


def gan_stability(folder: Path, batch: int) -> dict[str, Callable[[], object]]:
    sys.path.insert(0, str(folder))
    network = importlib.import_module("gan_training.models.resnet")
    trainer = importlib.import_module("gan_training.train")
    theirs = network.Discriminator(z_dim=1, nlabels=1, size=32, nfilter=64, nfilter_max=512)
    real, fake, y = images(batch, 1), images(batch, 2), torch.zeros(batch, dtype=torch.long)

    def same() -> nn.Module:
        critic = NETWORKS["mescheder_resnet"].critic(SHAPE, width=64, max_width=512)
        return copied(critic, zip(critic.parameters(), sources, strict=True))

    plain = copy.deepcopy(theirs).double()
    blocks = [f"resnet.{k}." for k in (0, 2, 4, 6)]
    names = ["conv_img.weight", "conv_img.bias"]
    for block in blocks:
        names += [f"{block}{c}.{w}" for c in ("conv_0", "conv_1") for w in ("weight", "bias")]
        names += [f"{block}conv_s.weight"] if hasattr(theirs.get_submodule(block[:-1]), "conv_s") else []
    names += ["fc.weight", "fc.bias"]
    sources, wide = ([dict(network.named_parameters())[name] for name in names] for network in (theirs, plain))
    check, few = same().double(), (real[:4].double().requires_grad_(), fake[:4].double())
    d_real, d_fake = plain(few[0], y[:4]), plain(few[1], y[:4])
    entropy = nn.functional.binary_cross_entropy_with_logits
    expected = entropy(d_real, torch.ones_like(d_real)) + entropy(d_fake, torch.zeros_like(d_fake))
    expected = expected + 10 * trainer.compute_grad2(d_real, few[0]).mean()
    objective = critic_objective(methods.build("r1", gamma=20.0), check, *few)
    agree("GAN_stability, R1", list(check.parameters()), objective.total, wide, expected, 1e-8)
    optimizer = torch.optim.RMSprop(theirs.parameters(), lr=1e-4, alpha=0.99, eps=1e-8)
    generator = Fakes(fake)
    loop = trainer.Trainer(generator, theirs, None, optimizer, "standard", "real", 10.0)
    z = torch.zeros(batch, 1)
    runs = {p: ours("r1", same(), fake, p, gamma=20.0) for p in ("fp32", "bf16")}
    return {"theirs": lambda: loop.discriminator_trainstep(real.clone(), y, z)} | {
        p: partial(critic_step, run, real) for p, run in runs.items()
    }


def r3gan(folder: Path, batch: int) -> dict[str, Callable[[], object]]:
    sys.path.insert(0, str(folder))
    sys.modules.setdefault("pkg_resources", SimpleNamespace(parse_version=parse))
    network, trainer = importlib.import_module("R3GAN.Networks"), importlib.import_module("R3GAN.Trainer")
    width, stages = 128, 4
    theirs = network.Discriminator([width] * stages, [2 * width // 16] * stages, [2] * stages, 2)
    real, fake = images(batch, 1), images(batch, 2)
    for module in theirs.modules():  # the last layer of each block starts at zero, which hides mistakes
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, 0.0, 0.02)

    def in_order(theirs: Any) -> list[Tensor]:
        found = [theirs.ExtractionLayer.Layer.weight]
        for stage in theirs.MainLayers:
            for block in list(stage.Layers)[:-1]:
                found += [block.LinearLayer1.Layer.weight, block.NonLinearity1.Bias, block.LinearLayer2.Layer.weight]
                found += [block.NonLinearity2.Bias, block.LinearLayer3.Layer.weight]
        last = theirs.MainLayers[-1].Layers[-1]
        return [*found, last.Basis.weight, last.LinearLayer.weight]

    def same() -> nn.Module:
        critic = NETWORKS["r3gan"].critic(SHAPE, width=width, blocks=2)
        return copied(critic, zip(critic.parameters(), in_order(theirs), strict=True))

    check, plain = same().double(), copy.deepcopy(theirs).double()
    for stage in plain.MainLayers:
        stage.DataType = torch.float64
    for module in plain.modules():
        if hasattr(module, "Kernel"):  # their resampling insists on a kernel in float32
            module.Kernel = module.Kernel.float()
    points = [real[:4].double().requires_grad_(), fake[:4].double().requires_grad_()]
    d_real, d_fake = (plain(x) for x in points)
    penalty = trainer.AdversarialTraining.ZeroCenteredGradientPenalty
    expected = nn.functional.softplus(d_fake - d_real).mean()
    expected = expected + 0.5 * (penalty(points[0], d_real) + penalty(points[1], d_fake)).mean()
    objective = critic_objective(methods.build("r3gan", gamma=1.0), check, *points)
    agree("R3GAN", list(check.parameters()), objective.total, in_order(plain), expected, 1e-8)
    adam = torch.optim.Adam(theirs.parameters(), 2e-4, (0.0, 0.99))
    loop = trainer.AdversarialTraining(Fakes(fake), theirs)
    z = torch.zeros(batch, 1)

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        loop.AccumulateDiscriminatorGradients(z, real, None, 1.0)
        adam.step()

    runs = {p: ours("r3gan", same(), fake, p, gamma=1.0) for p in ("fp32", "bf16")}
    return {"theirs": step} | {p: partial(critic_step, run, real) for p, run in runs.items()}


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", choices=("sngan", "wgan_gp", "r1", "r3gan"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    peers = Path(os.environ.get("TIGHTROPE_PEERS", "peers-are-nowhere"))
    absent = [name for name in NAMES if not (peers / name).is_dir()]
    for name in absent:
        print(f"absent: {name}; put a checkout into the folder that TIGHTROPE_PEERS names")
    cases: dict[str, tuple[str, float, float, Callable[[], dict[str, Callable[[], object]]]]] = {
        "sngan": ("mimicry", 1.6, 4.5, lambda: mimicry(peers / "mimicry", "sngan", given.batch)),
        "wgan_gp": ("mimicry", 1.8, 5.0, lambda: mimicry(peers / "mimicry", "wgan_gp", given.batch)),
        "r1": ("GAN_stability", 1.4, 2.8, lambda: gan_stability(peers / "GAN_stability", given.batch)),
        "r3gan": ("R3GAN", 1.3, 1.8, lambda: r3gan(peers / "R3GAN", given.batch)),
    }
    rows: list[Row] = []
    for name, (peer, fp32, bf16, prepare) in cases.items():
        if peer in absent or given.only not in (None, name):
            continue
        spent = interleaved(prepare(), rounds=given.rounds)
        title = f"{peer}, {name}"
        rows += [
            faster(f"{title}, fp32", spent, "fp32", "theirs", fp32),
            faster(f"{title}, bf16 against fp32", spent, "bf16", "theirs", bf16),
        ]
        claim = f"A critic step of batch {given.batch} against the trainers that people use, same weights and images"
        record(given.out, claim, "their own step code in fp32, one thread", rows, absent)


if __name__ == "__main__":
    main()
