"""The six systems in their owners' own code, from checkouts outside the repository.

``TIGHTROPE_SYSTEMS`` names a folder with ``hifi-gan``, ``taming-transformers``, ``BasicSR``, ``CTGAN``, ``R3GAN`` and
``imitation`` as cloned. What their modules import and the networks do not need is stood in for; ``imitation`` alone
needs two packages, gymnasium and stable-baselines3. Layers are as narrow as their own arguments allow, and HiFi-GAN's,
whose critics have none, are built from convolutions of a 32nd of the channels.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

from systems import basicsr, ctgan, hifigan, r3gan, vqgan
from systems import imitation as imitating
from systems.system import Pair, System, normal, seeded
from tightrope import View, losses, penalties

FOLDER = Path(os.environ.get("TIGHTROPE_SYSTEMS", "absent"))
FOLDERS = {
    "HiFi-GAN": "hifi-gan",
    "VQGAN": "taming-transformers",
    "BasicSR": "BasicSR",
    "CTGAN": "CTGAN",
    "R3GAN": "R3GAN",
    "imitation": "imitation",
}
NARROW = 32


def theirs(folder: str, name: str, *, stand_in: tuple[str, ...] = (), packages: tuple[str, ...] = ()) -> Any:
    """A module of a checkout.

    Args:
        folder: The checkout, or where its modules begin, below :data:`FOLDER`.
        name: The module.
        stand_in: Modules that answer anything, where they are not installed.
        packages: Packages whose own ``__init__`` is left out.
    """
    root = FOLDER / folder
    for one in stand_in:
        try:
            importlib.import_module(one)
        except ImportError:
            sys.modules[one] = MagicMock(name=one)
            sys.modules[one].__spec__ = ModuleSpec(one, None)  # torch asks which packages there are by their specs
    for one in packages:
        made = types.ModuleType(one)
        made.__path__ = [str(root.joinpath(*one.split(".")))]
        sys.modules.setdefault(one, made)
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(root))


def commit(name: str) -> str:
    """Which state of their code lies there: as git says, or a file ``COMMIT`` in an exported folder."""
    folder = FOLDER / FOLDERS[name]
    said = folder / "COMMIT"
    if said.is_file():
        return said.read_text().strip()
    words = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _narrow(kind: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A convolution with a part of the channels and as many groups as they still allow."""

    def build(inputs: int, outputs: int, *rest: Any, groups: int = 1, **options: Any) -> nn.Module:
        inputs, outputs = max(inputs // NARROW, 1), max(outputs // NARROW, 1)
        most = next(g for g in range(groups, 0, -1) if inputs % g == outputs % g == 0)
        return kind(inputs, outputs, *rest, groups=most, **options)

    return build


def settled(critic: nn.Module, *inputs: Tensor) -> None:
    """Called a few times, as training does: torch's spectral norm begins with random vectors and a norm far too low."""
    with torch.no_grad():
        for _ in range(20):
            critic(*inputs)


class BothCritics(nn.Module):
    """Period and scale critics side by side, as the trainer has them in two variables."""

    def __init__(self, models: Any) -> None:
        super().__init__()
        self.periods, self.scales = models.MultiPeriodDiscriminator(), models.MultiScaleDiscriminator()

    def forward(self, y: Tensor, y_hat: Tensor) -> tuple[Any, ...]:
        both = self.periods(y, y_hat), self.scales(y, y_hat)
        return tuple(one + other for one, other in zip(*both, strict=True))


def hifi_gan() -> System:
    theirs("hifi-gan", "utils", stand_in=("matplotlib", "matplotlib.pylab"))
    models = theirs("hifi-gan", "models")
    sizes = {"resblock": "2", "upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 16,
             "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 2]]}  # fmt: skip
    with seeded():
        generator = models.Generator(types.SimpleNamespace(**sizes))
        wide = models.Conv1d, models.Conv2d
        models.Conv1d, models.Conv2d = map(_narrow, wide)
        try:
            critic = BothCritics(models)
        finally:
            models.Conv1d, models.Conv2d = wide
        settled(critic, normal(2, 1, 64), normal(2, 1, 64))

    def pairs(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        d_real, d_fake, f_real, f_fake = system.critic(real, fake)
        ours = losses.least_squares(targets=(0, 1))
        return {
            "critic": (ours.critic(d_real, d_fake), models.discriminator_loss(d_real, d_fake)[0]),
            "generator": (ours.generator(d_fake), models.generator_loss(d_fake)[0]),
            "features": (2 * losses.feature_matching(f_real, f_fake), models.feature_loss(f_real, f_fake)),
        }

    return System(
        critic, generator, hifigan.judge_of(critic), hifigan.maker_of(generator, 80), normal(2, 1, 64).tanh(),
        normal(2, 80 * 4, seed=1), pairs, hifigan.their_penalties, losses.least_squares(targets=(0, 1)), most=3,
    )  # fmt: skip


def tokenizer() -> System:
    discriminator = theirs("taming-transformers", "taming.modules.discriminator.model", packages=("taming",))
    decoder = theirs("taming-transformers", "taming.modules.diffusionmodules.model")
    others = ("torchvision", "taming.modules.losses.lpips")
    trained = theirs(
        "taming-transformers",
        "taming.modules.losses.vqperceptual",
        stand_in=others,
        packages=("taming.modules.losses",),
    )
    with seeded(), contextlib.redirect_stdout(None):
        critic = discriminator.NLayerDiscriminator(ndf=4, n_layers=2).apply(discriminator.weights_init)
        generator = decoder.Decoder(
            ch=32, out_ch=3, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=[], in_channels=3, resolution=16,
            z_channels=2,
        )  # fmt: skip

    def pairs(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        d_real, d_fake = system.critic(real), system.critic(fake)
        out = system.maker(system.z)
        parts = (real - out).abs().mean(), -system.critic(out).mean()
        weigh = trained.VQLPIPSWithDiscriminator.calculate_adaptive_weight
        weight = weigh(types.SimpleNamespace(discriminator_weight=1.0), *parts, last_layer=generator.conv_out.weight)
        return {
            "critic": (0.5 * losses.hinge.critic(d_real, d_fake), trained.hinge_d_loss(d_real, d_fake)),
            "vanilla": (0.5 * losses.non_saturating.critic(d_real, d_fake), trained.vanilla_d_loss(d_real, d_fake)),
            "generator": (losses.hinge.generator(d_fake), -d_fake.mean()),
            "weight": (losses.balance(*parts, generator.conv_out).weight, weight),
        }

    return System(
        critic, generator, critic, vqgan.maker_of(generator, 2, 8), normal(2, 3, 16, 16), normal(2, 2 * 64, seed=1),
        pairs, vqgan.their_penalties, losses.hinge,
    )  # fmt: skip


def super_resolution() -> System:
    packages = ("basicsr", "basicsr.utils", "basicsr.archs", "basicsr.losses")
    archs = theirs("BasicSR", "basicsr.archs.discriminator_arch", packages=packages)
    upscale = theirs("BasicSR", "basicsr.archs.srvgg_arch")
    written = theirs("BasicSR", "basicsr.losses.gan_loss")
    with seeded():
        critic = archs.UNetDiscriminatorSN(3, num_feat=4)
        generator = upscale.SRVGGNetCompact(3, 3, num_feat=8, num_conv=2, upscale=2)
        settled(critic, normal(2, 3, 16, 16))

    def pairs(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        system.critic.eval()  # torch's spectral norm moves on with every forward of training
        r, f = system.critic(real), system.critic(fake)
        system.critic.train()
        kinds = {
            "vanilla": losses.non_saturating,
            "lsgan": losses.least_squares(targets=(0, 1)),
            "wgan": losses.wasserstein,
            "wgan_softplus": losses.non_saturating,
            "hinge": losses.hinge,
        }
        found: dict[str, Pair] = {}
        for name, ours in kinds.items():
            own = written.GANLoss(name)
            found[f"{name} critic"] = ours.critic(r, f), own(r, True, is_disc=True) + own(f, False, is_disc=True)
            found[f"{name} generator"] = ours.generator(f), own(f, True)
        return found

    def r1(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        system.critic.eval()
        x = real.clone().requires_grad_()
        pair = penalties.r1(system.judge, real, gamma=2.0), written.r1_penalty(system.critic(x), x)
        system.critic.train()
        return {"R1": pair}

    return System(
        critic, generator, critic, basicsr.maker_of(generator, 8), normal(2, 3, 16, 16), normal(2, 3 * 64, seed=1),
        pairs, r1, losses.non_saturating,
    )  # fmt: skip


def tables() -> System:
    stubs = ("pandas", "rdt", "rdt.transformers", "joblib")
    packages = ("ctgan", "ctgan.synthesizers")
    synthesizer = theirs("CTGAN", "ctgan.synthesizers.ctgan", stand_in=stubs, packages=packages)
    with seeded():
        critic, generator = synthesizer.Discriminator(8, (16, 16)), synthesizer.Generator(6, (8, 8), 8)

    def gp(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        system.critic.eval()  # dropout draws anew at every forward
        ours = penalties.gradient_penalty(system.judge, real, fake, weight=10.0, rng=torch.Generator().manual_seed(3))
        torch.manual_seed(3)  # they draw the share of the generated rows, we that of the first samples
        own = system.critic.calc_gradient_penalty(fake.clone().requires_grad_(), real, "cpu", pac=10, lambda_=10)
        turned = penalties.gradient_penalty(system.judge, fake, real, weight=10.0, rng=torch.Generator().manual_seed(3))
        system.critic.train()
        nearest = min((ours, turned), key=lambda one: abs(float(one - own)))
        return {"GP": (nearest, own)}

    return System(
        critic, generator, View(critic, rows=10), generator, normal(60, 8), normal(60, 6, seed=1),
        ctgan.their_losses, gp, losses.wasserstein, (penalties.Penalty(penalties.gradient_penalty, {"weight": 10.0}),),
    )  # fmt: skip


def r3_gan() -> System:
    kernels = ("torch_utils", "torch_utils.ops")
    operators = theirs("R3GAN", "R3GAN.FusedOperators", stand_in=kernels, packages=("R3GAN",))
    operators.BiasedActivation = operators.BiasedActivationReference  # the kernels need a GPU; these are theirs, too
    resamplers = theirs("R3GAN", "R3GAN.Resamplers")
    resamplers.InterpolativeUpsampler = resamplers.InterpolativeUpsamplerReference
    resamplers.InterpolativeDownsampler = resamplers.InterpolativeDownsamplerReference
    networks, trainer = theirs("R3GAN", "R3GAN.Networks"), theirs("R3GAN", "R3GAN.Trainer").AdversarialTraining
    with seeded(5):
        critic = networks.Discriminator([16, 16], [2, 2], [1, 1], 2, 3, 8)
        generator = networks.Generator(6, [16, 16], [2, 2], [1, 1], 2, 3, 8)
        for module in (*critic.modules(), *generator.modules()):
            if hasattr(module, "DataType"):
                module.DataType = torch.float64
        for p in (*critic.parameters(), *generator.parameters()):
            if not p.any():
                p.data.normal_(0, 0.1)  # as after some training: branches begin at zero

    def both(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        def own(x: Tensor) -> Tensor:
            x = x.clone().requires_grad_()
            return 0.5 * trainer.ZeroCenteredGradientPenalty(x, system.judge(x)).mean()

        return {
            "R1": (penalties.r1(system.judge, real, gamma=1.0), own(real)),
            "R2": (penalties.r2(system.judge, None, fake, gamma=1.0), own(fake)),
        }

    return System(
        critic, generator, r3gan.judge_of(critic), r3gan.maker_of(generator), normal(6, 3, 8, 8), normal(6, 6, seed=1),
        r3gan.their_losses, both, losses.relativistic, most=32,
    )  # fmt: skip


def imitation() -> System:
    stubs = ("pandas", "matplotlib", "matplotlib.figure", "matplotlib.pyplot", "datasets", "huggingface_sb3")
    packages = ("imitation", "imitation.algorithms", "imitation.algorithms.adversarial")
    rewards = theirs("imitation/src", "imitation.rewards.reward_nets", stand_in=stubs, packages=packages)
    airl = theirs("imitation/src", "imitation.algorithms.adversarial.airl")
    spaces = importlib.import_module("gymnasium.spaces")
    state, action = (spaces.Box(-1, 1, (n,)) for n in (imitating.STATE, imitating.ACTION))
    with seeded():
        critic, generator = (
            rewards.BasicRewardNet(state, action, use_next_state=True, use_done=True),
            imitating.Policy(),
        )

    def pairs(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
        ours = [critic(*imitating.parts(x)) - imitating.density(x) for x in (real, fake)]
        whole = types.SimpleNamespace(_reward_net=critic)
        logits = [
            airl.AIRL.logits_expert_is_high(whole, *imitating.parts(x), imitating.density(x)) for x in (real, fake)
        ]
        label = torch.cat((torch.ones(len(real)), torch.zeros(len(fake)))).double()
        written = nn.functional.binary_cross_entropy_with_logits(torch.cat(logits), label)
        return {"critic": (0.5 * losses.minimax.critic(*ours), written)}

    return System(
        critic, generator, imitating.judge_of(critic), generator, normal(6, sum(imitating.PARTS)),
        normal(6, imitating.STATE, seed=1), pairs, imitating.their_penalties, losses.non_saturating,
    )  # fmt: skip


PUBLIC: dict[str, Callable[[], System]] = {
    "HiFi-GAN": hifi_gan,
    "VQGAN": tokenizer,
    "BasicSR": super_resolution,
    "CTGAN": tables,
    "R3GAN": r3_gan,
    "imitation": imitation,
}
