"""One battery over the ways people call a critic: every penalty and diagnostic gives what the plain module gives.

Or it says in a sentence why it cannot. A new way, or a new function of critics, is enrolled by one line.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from tightrope import View, conditioning, critics, losses, methods, penalties, spectra
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import input_gradient, undisturbed
from tightrope.dynamics import gradient_field
from tightrope.methods.game import critic_objective
from tightrope.monitor import input_gradient_norms
from tightrope.perturbations import AdaptiveStrength, Augmentation, InOrder, InstanceNoise, diff_augment

SHAPE = (2, 6, 6)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(norm: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), norm or nn.Identity(), nn.Tanh(), nn.Flatten(), nn.Linear(144, 1)
    )


def samples(batch: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, *SHAPE, generator=rng(1)), torch.randn(batch, *SHAPE, generator=rng(2)) + 0.5


class Holder:
    """A trainer as people write them: it holds the critic beside things that a check must not look at."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.generator = net, nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

    def score(self, x: Tensor) -> Tensor:
        return self.net(x)


class Checkpointed(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.net, x, use_reentrant=False)


def through(net: nn.Module, x: Tensor) -> Tensor:
    return net(x)


WAYS: dict[str, Callable[[nn.Module], Any]] = {
    "lambda": lambda net: lambda x: net(x),
    "lambda in a lambda": lambda net: (lambda inner: lambda x: inner(x))(lambda x: net(x)),
    "default argument": lambda net: lambda x, held=net: held(x),
    "list in a closure": lambda net: (lambda nets: lambda x: nets[0](x))([net]),
    "partial": lambda net: partial(through, net),
    "bound method": lambda net: Holder(net).score,
    "attribute in a closure": lambda net: (lambda holder: lambda x: holder.net(x))(Holder(net)),
    "View": View,
    "View of a function": lambda net: View(lambda x: net(x)),
    "View with call and scores": lambda net: View(net, lambda net, x: (net(x), x), lambda out: out[0]),
    "checkpointed": Checkpointed,
    "distributed": DistributedDataParallel,
    "compiled": lambda net: torch.compile(net, backend="eager"),
}


@pytest.fixture(scope="module", autouse=True)
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def with_gradient(value: Tensor, net: nn.Module) -> list[Tensor]:
    """A value and its gradient by the network's parameters."""
    value.backward()
    return [value.detach(), *(torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters())]


def penalised(name: str) -> Callable[[Any, nn.Module], list[Tensor]]:
    def run(critic: Any, net: nn.Module) -> list[Tensor]:
        return with_gradient(penalties.PENALTIES[name](critic, *samples(), rng=rng()), net)

    return run


def clamped(critic: Any, net: nn.Module) -> list[Tensor]:
    return with_gradient(penalties.jacobian_clamping(critic, samples()[0], low=3.0, rng=rng()), net)


def field(critic: Any, net: nn.Module) -> list[Tensor]:
    real, fake = samples()
    return [gradient_field([lambda: losses.hinge.critic(critic(real), critic(fake))], [net])]


def interval(critic: Any, net: nn.Module) -> list[Tensor]:
    found = critics.lipschitz_interval(critic, *samples(), steps=2, keep=2)
    return [torch.tensor(found.lower), torch.tensor(found.upper), found.slopes]


def estimate(critic: Any, net: nn.Module) -> list[Tensor]:
    found = critics.wasserstein_estimate(critic, *samples())
    return [torch.tensor([found.raw, found.slope, found.exact])]


def perturbed(critic: Any, net: nn.Module) -> list[Tensor]:
    method = dataclasses.replace(
        methods.build("r1"), perturbation=InOrder((Augmentation("ada", p=0.8, policy="bg"), InstanceNoise(0.1)))
    )
    return with_gradient(critic_objective(method, critic, *samples(), rng=rng()).total, net)


def anchored(critic: Any, net: nn.Module) -> list[Tensor]:
    averages, strength = losses.ScoreAverages(), AdaptiveStrength(every=1)
    real, fake = (critic(x) for x in samples())
    averages.update(real, fake)
    strength.observe(real)
    return [*with_gradient(losses.lecam(real, fake, averages), net), torch.tensor(strength.overfitting)]


def balanced(critic: Any, net: nn.Module) -> list[Tensor]:
    real, fake = (critic(x) for x in samples())
    found = losses.balance(real.square().mean(), fake.mean(), net[-1].weight)
    return with_gradient(found.weight * fake.mean() + losses.feature_matching([real], [fake]), net)


JOBS: dict[str, Callable[[Any, nn.Module], list[Tensor]]] = {
    **{name: penalised(name) for name in penalties.PENALTIES},
    "soft_orthogonality": lambda critic, net: with_gradient(penalties.soft_orthogonality(critic), net),
    "jacobian_clamping": clamped,
    "consistency": lambda critic, net: with_gradient(
        penalties.consistency(critic, *samples(), augment=diff_augment, rng=rng()), net
    ),
    "latent_consistency": lambda critic, net: with_gradient(
        penalties.latent_consistency(critic, torch.tanh, samples()[0], sigma=0.3, rng=rng()), net
    ),
    "latent_diversity": lambda critic, net: with_gradient(
        penalties.latent_diversity(critic, samples()[0], sigma=0.3, rng=rng()), net
    ),
    "gradient_noise": lambda critic, net: [
        torch.tensor(dataclasses.astuple(penalties.gradient_noise(penalties.dragan, critic, *samples(), rng=rng())))
    ],
    "augmented and noisy objective": perturbed,
    "lecam and adaptive strength": anchored,
    "balance and feature_matching": balanced,
    "top_k": lambda critic, net: with_gradient(
        losses.hinge.generator(losses.top_k(critic(samples()[1]), share=0.5)), net
    ),
    "input gradient norms": lambda critic, net: [
        torch.tensor([*input_gradient_norms(critic, *samples(), rng=rng()).values()])
    ],
    "lipschitz_interval": interval,
    "wasserstein_estimate": estimate,
    "layer_spectra": lambda critic, net: [s.kernel for s in spectra.layer_spectra(critic, samples()[0])],
    "conditioning": lambda critic, net: [conditioning.singular_values(critic, samples()[0][:2])],
    "conditioning in float64": lambda critic, net: [
        conditioning.singular_values(critic, samples()[0][:2], dtype=torch.float64)
    ],
    "vector field": field,
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("job", list(JOBS))
def test_every_way_gives_what_the_plain_module_gives(job, way):
    if way == "checkpointed" and job in ("lipschitz_interval", "conditioning in float64") and torch.__version__ < "2.8":
        pytest.skip("checkpoints of torch 2.6 know no vmap")
    plain, net = network(), network()
    torch._dynamo.reset()
    torch.manual_seed(1)
    expected = JOBS[job](plain, plain)
    torch.manual_seed(1)
    found = JOBS[job](WAYS[way](net), net)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "compiled"])
def test_batch_norm_is_found_however_the_critic_is_called(way):
    for name, penalty in penalties.PENALTIES.items():
        critic = WAYS[way](network(nn.BatchNorm2d(4)))
        with pytest.raises(UserError, match="batch normalisation in training mode"):
            penalty(critic, *samples(), rng=rng())
        net = network(nn.BatchNorm2d(4)).eval()
        assert torch.isfinite(penalty(WAYS[way](net), *samples(), rng=rng())), name


@pytest.mark.parametrize("way", [way for way in WAYS if way != "distributed"])
def test_a_network_is_left_as_it_was_however_it_is_called(way):
    net = network(nn.BatchNorm2d(4))
    critic = WAYS[way](net)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with undisturbed(critic):
        critic(samples()[0])
    critics.lipschitz_interval(critic, *samples(), steps=1, keep=2)
    critics.wasserstein_estimate(critic, *samples())
    conditioning.singular_values(critic, samples()[0][:1])
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(m.training for m in net.modules()) and all(p.requires_grad for p in net.parameters())


# ------------------------------------------------------------------------------------------------------- precisions


def run_in(kind: str, penalty: Callable[..., Tensor]) -> tuple[Tensor, nn.Module]:
    """A penalty's value where networks and samples come in other precisions or layouts."""
    net, (real, fake) = network(), samples()
    context: Any = nullcontext()
    if kind == "float64":
        net, real, fake = net.double(), real.double(), fake.double()
    elif kind == "channels last":
        net = net.to(memory_format=torch.channels_last)
        real, fake = (x.contiguous(memory_format=torch.channels_last) for x in (real, fake))
    elif kind.startswith("autocast"):
        dtype = torch.float16 if "float16" in kind.split() else torch.bfloat16
        context = torch.autocast("cpu", dtype=dtype)
        if "samples" in kind:
            real, fake = real.to(dtype), fake.to(dtype)
    elif kind == "bfloat16 network":
        net, real, fake = net.bfloat16(), real.bfloat16(), fake.bfloat16()
    with context:
        value = penalty(net, real, fake)
    value.backward()
    return value.detach(), net


KINDS = {
    "float64": (torch.float64, 1e-5),
    "channels last": (torch.float32, 1e-5),
    "autocast bfloat16": (torch.float32, 2e-2),
    "autocast float16": (torch.float32, 3e-3),
    "autocast bfloat16 samples": (torch.float32, 2e-2),
    "autocast float16 samples": (torch.float32, 3e-3),
    "bfloat16 network": (torch.float32, 3e-2),
}


def flipped(x: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
    return x.flip(-1)


PRECISE: dict[str, Callable[..., Tensor]] = {
    "r1": penalties.r1,
    "r2": penalties.r2,
    # at real == fake the interpolates do not depend on the draw, and without a scale nor do DRAGAN's points
    "gradient_penalty": lambda net, real, fake: penalties.gradient_penalty(net, real, real, target=0.0),
    "dragan": lambda net, real, fake: penalties.dragan(net, real, target=0.0, scale=0.0),
    "consistency": lambda net, real, fake: penalties.consistency(net, real, fake, augment=flipped),
    "latent_consistency": lambda net, real, fake: penalties.latent_consistency(net, Step(real, fake), real),
    "latent_diversity": lambda net, real, fake: penalties.latent_diversity(Step(real, fake, net), real),
    "soft_orthogonality": lambda net, real, fake: penalties.soft_orthogonality(net),
    "lecam": lambda net, real, fake: losses.lecam(net(real), net(fake), losses.ScoreAverages(real=1.0, updates=1)),
}


class Step(nn.Module):
    """Gives one batch at its first call, another at the next, so that no step is drawn."""

    def __init__(self, first: Tensor, second: Tensor, net: nn.Module | None = None) -> None:
        super().__init__()
        self.points, self.net = [first, second], net or nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        return self.net(self.points.pop(0))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", list(PRECISE))
def test_every_precision_gives_the_float32_value_in_float32_or_better(name, kind):
    penalty = PRECISE[name]
    dtype, tolerance = KINDS[kind]
    value, net = run_in(kind, penalty)
    expected, plain = run_in("float32", penalty)
    assert value.dtype == dtype
    assert value.item() == pytest.approx(expected.item(), rel=tolerance)
    for p, q in zip(net.parameters(), plain.parameters(), strict=True):
        assert q.grad is None or torch.allclose(
            p.grad.float(), q.grad, rtol=10 * tolerance, atol=5 * tolerance * float(q.grad.abs().max())
        )


def test_half_precision_samples_do_not_round_a_small_penalty_to_zero():
    net = nn.Linear(3, 1)
    with torch.no_grad():
        net.weight.fill_(1e-5)
    x = torch.randn(4, 3, generator=rng())
    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype=dtype):
            value = penalties.r1(net, x.to(dtype))
        assert value.dtype == torch.float32 and value.item() == pytest.approx(5 * 3e-10, rel=2e-2)


def test_scaled_fp16_training_unscales_to_the_plain_gradient():
    """What ``GradScaler`` does: the loss with its penalty is multiplied before backward, the gradient divided after."""
    net, plain, (real, fake) = network(), network(), samples()
    with torch.autocast("cpu", dtype=torch.float16):
        total = losses.hinge.critic(net(real), net(fake)) + penalties.r1(net, real)
    (2.0**12 * total).backward()
    (losses.hinge.critic(plain(real), plain(fake)) + penalties.r1(plain, real)).backward()
    for p, q in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(p.grad / 2**12, q.grad, rtol=2e-2, atol=2e-2 * float(q.grad.abs().max()))


# ---------------------------------------------------------------------------------------------- what cannot be done


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.out = nn.Linear(8, 24), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x.reshape(-1, 9, 8)).chunk(3, -1)
        mixed = nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return self.out(mixed).mean((1, 2))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty"])
def test_fused_attention_is_exchanged_for_the_form_with_a_second_derivative(name):
    torch.manual_seed(0)
    net = Attention().double()
    real, fake = (x.double() for x in samples())
    enabled = torch.backends.cuda.flash_sdp_enabled()
    value = penalties.PENALTIES[name](net, real, fake, rng=rng())
    value.backward()
    (p,) = [p for key, p in net.named_parameters() if key == "q.weight"]
    direction = torch.randn(p.shape, generator=rng(3), dtype=torch.float64)
    values = []
    for step in (1e-5, -1e-5):
        moved = copy.deepcopy(net)
        with torch.no_grad():
            moved.q.weight += step * direction
        values.append(penalties.PENALTIES[name](moved, real, fake, rng=rng()).item())
    assert (p.grad * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)
    assert torch.backends.cuda.flash_sdp_enabled() == enabled
    found = critics.lipschitz_interval(net, real, fake, steps=2)
    assert found.upper == float("inf") and "attention" in found.reasons[0] and found.lower > 0


def test_what_torch_cannot_differentiate_twice_is_said_in_a_sentence():
    real, fake = samples()
    torch._dynamo.reset()  # after a few compilations of one forward torch gives up and runs it as it is
    compiled = torch.compile(network(), backend="aot_eager")
    for critic in (compiled, View(compiled), lambda x: compiled(x)):
        with pytest.raises(UserError, match="compiled by torch"):
            penalties.r1(critic, real)
    static = DistributedDataParallel(network(), static_graph=True)
    for critic in (static, View(static), lambda x: static(x)):
        for penalty in (penalties.r1, penalties.r2, penalties.gradient_penalty):
            with pytest.raises(UserError, match="static_graph"):
                penalty(critic, real, fake)

    class Reentrant(Checkpointed):
        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.net, x, use_reentrant=True)

    with pytest.raises(UserError, match="use_reentrant=False"):
        penalties.r1(Reentrant(network()), real)


def test_scores_that_are_not_one_row_per_sample_are_refused():
    net, (real, fake) = network(), samples()
    wrong = {
        "mean over the batch": lambda x: net(x).mean(),
        "packs": lambda x: net(x.reshape(2, 2, *SHAPE)[:, 0]),
        "squeezed": lambda x: net(x).mean(0),
        "twice as many": lambda x: net(torch.cat([x, x])),
    }
    for critic in wrong.values():
        for penalty in penalties.PENALTIES.values():
            with pytest.raises(UserError, match="one row of scores per sample"):
                penalty(critic, real, fake)
    with pytest.raises(UserError, match=r"View\(critic, rows=2\)"):
        penalties.r1(wrong["packs"], real)
    with pytest.raises(UserError, match="floating point"):
        input_gradient(net, torch.zeros(2, *SHAPE, dtype=torch.uint8))
