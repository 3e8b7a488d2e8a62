"""Derivatives without zeros: torch's values and derivatives of every order, and less of a graph to walk."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from tightrope import conditioning, constraints
from tightrope.autodiff import input_gradients, lean, lean_derivatives
from tightrope.autodiff.convolution import weight_gradient
from tightrope.methods import build
from tightrope.methods.game import critic_objective
from tightrope.networks import NETWORKS
from tightrope.penalties import gradient_penalty, r1
from tightrope.training import critic_step, generator_step, joint_step, start

only_where_hooks_show = pytest.mark.skipif(
    lean._saved_hooks is None, reason="this torch does not say whether an activation checkpoint is open"
)


@pytest.fixture(autouse=True)
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers are torch's own, being faster; here they stand for large ones."""
    if request.function is not test_small_layers_are_torchs_own:
        monkeypatch.setattr(lean, "LEAST_PRODUCTS", 0)
        monkeypatch.setattr(lean, "LEAST_ELEMENTS", 0)


LAYERS = {
    "conv": nn.Conv2d(3, 5, 4, 2, 1),
    "conv without bias": nn.Conv2d(3, 4, 3, 1, 1, bias=False),
    "rectangles": nn.Conv2d(3, 2, (3, 5), (2, 3), (0, 2)),
    "no padding": nn.Conv2d(3, 2, 3, 2, 0),
    "groups": nn.Conv2d(3, 6, 3, 2, 1, groups=3),
    "dilated": nn.Conv2d(3, 2, 3, 2, 2, dilation=2),
    "same": nn.Conv2d(3, 2, 3, padding="same"),
    "circular": nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"),
    "transposed": nn.ConvTranspose2d(3, 5, 4, 2, 1),
    "transposed with groups": nn.ConvTranspose2d(3, 6, 3, 2, 1, output_padding=1, groups=3, dilation=2, bias=False),
    "signal": nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 5, 2, 2), nn.ReLU(), nn.ConvTranspose1d(4, 2, 4, 2)),
    "volume": nn.Sequential(nn.Unflatten(2, (2, 4)), nn.Conv3d(3, 2, 2, (1, 2, 2)), nn.ReLU()),
    "relu in place": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3)),
    "leaky in place": nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.3, inplace=True), nn.Conv2d(4, 2, 3)),
    "slope below zero": nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(-0.5), nn.Conv2d(4, 2, 3)),
    "pool": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.LeakyReLU(0.1), nn.AvgPool2d(3, 2, 1)),
    "pool with options": nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d((2, 3), 2, (1, 0), True, False, 3)),
    "smooth": nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 2, 3), nn.ReLU(), nn.Tanh()),
    "max pool": nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.SiLU(), nn.Conv2d(4, 2, 2)),
}


def samples(n: int = 4) -> Tensor:
    return torch.randn(n, 3, 8, 9 if n == 4 else 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def gradients(network: nn.Module, x: Tensor, lean: bool) -> list[Tensor]:
    """Value, input gradient, and derivatives of a function of both by the input and by every parameter."""
    x = x.clone().requires_grad_()
    with lean_derivatives(network if lean else None):
        out = network(x)
    (gradient,) = torch.autograd.grad(torch.tanh(out).sum(), x, create_graph=True)
    wanted = [x, *network.parameters()]
    second = torch.autograd.grad((gradient * x.cos()).sum() + out.square().sum(), wanted, allow_unused=True)
    return [out, gradient, *(torch.zeros(()) if g is None else g for g in second)]


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_agree_with_torch(name: str) -> None:
    torch.manual_seed(0)
    network = copy.deepcopy(LAYERS[name]).double()
    x = samples()[..., :8]
    for plain, leaner in zip(gradients(network, x, False), gradients(network, x, True), strict=True):
        torch.testing.assert_close(leaner, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["conv", "groups", "transposed", "pool", "smooth", "leaky in place"])
def test_derivatives_agree_with_finite_differences(name: str) -> None:
    torch.manual_seed(1)
    network = copy.deepcopy(LAYERS[name]).double()
    names, values = zip(*((n, p.detach().requires_grad_()) for n, p in network.named_parameters()), strict=True)
    x = samples(1)[..., :6, :6].requires_grad_()

    def lean(x: Tensor, *parameters: Tensor) -> Tensor:
        with lean_derivatives(network):
            out: Tensor = torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (x,))
            return torch.tanh(out)

    assert torch.autograd.gradcheck(lean, (x, *values), fast_mode=True)
    assert torch.autograd.gradgradcheck(lean, (x, *values), fast_mode=True)


def critic_called(name: str) -> nn.Module:
    options = {"depth": 8} if name == "deep_resnet" else {}
    width, rng = 16 if name == "r3gan" else 4, torch.Generator().manual_seed(0)
    critic = NETWORKS[name].critic((3, 32, 32), width=width, rng=rng, **options).double()
    for p in critic.parameters():  # no zeros, which hide mistakes
        nn.init.normal_(p, 0.0, 0.1, generator=rng) if not p.any() else None
    return critic


@pytest.mark.parametrize("name", ["dcgan", "sn_resnet", "mescheder_resnet", "deep_resnet", "sn_cnn", "r3gan"])
@pytest.mark.parametrize("constrain", [None, constraints.spectral_norm, weight_norm], ids=["free", "spectral", "torch"])
def test_penalties_of_reference_critics_agree_with_plain_torch(
    name: str, constrain: Callable[..., nn.Module] | None
) -> None:
    critic = critic_called(name)
    if constrain is weight_norm:
        for layer in list(critic.modules()):
            if isinstance(layer, nn.Conv2d):
                weight_norm(layer)
    elif constrain is not None:
        critic = constrain(critic)
    critic.eval()
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    point = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
    plain = 10 * (torch.linalg.vector_norm(g.flatten(1), dim=1) - 1).square().mean()
    parameters = list(critic.parameters())
    expected = torch.autograd.grad(plain, parameters, allow_unused=True)
    ours = gradient_penalty(critic, x, x)
    found = torch.autograd.grad(ours, parameters, allow_unused=True)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    scale = max(float(e.abs().max()) for e in expected if e is not None)
    for p, e, f in zip(parameters, expected, found, strict=True):  # torch has zeros where a last bias has nothing
        e, f = (torch.zeros_like(p) if t is None else t for t in (e, f))
        torch.testing.assert_close(f, e, rtol=1e-10, atol=1e-12 * scale)


def walked(total: Tensor) -> set[str]:
    """Kinds of the autograd nodes that a backward from here meets."""
    nodes, seen = [total.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
    return {node.name() for node in seen}


@only_where_hooks_show
def test_a_penalty_of_a_piecewise_linear_critic_does_not_walk_through_its_forward() -> None:
    critic = NETWORKS["sn_resnet"].critic((3, 32, 32), width=2)
    x = torch.rand(2, 3, 32, 32)
    penalty = gradient_penalty(critic, x, x)
    kinds = walked(penalty)
    assert "_ConvolutionBackward" in kinds
    assert not {"ConvolutionBackward0", "ReluBackward0", "AvgPool2DBackward0"} & kinds


@only_where_hooks_show
def test_an_inner_gradient_computes_no_weight_gradient() -> None:
    head = nn.Linear(64, 1)
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), head)
    x = torch.rand(2, 3, 8, 8)
    input_gradients(critic, x)  # looks at how the critic's scores depend on its samples, once
    with Calls() as calls:
        (gradient,) = input_gradients(critic, x)
    assert "convolution_backward" not in calls.names
    with Calls() as calls:
        gradient.square().sum().backward()
    assert calls.names.count("convolution_backward") == 2  # of what a layer sent back, by its weight and by that


def test_weights_that_are_leaves_or_not_get_their_gradients() -> None:
    conv, x = nn.Conv2d(3, 4, 3).double(), samples(2)
    with lean_derivatives(conv):
        total = conv(x).sum()
    by_weight, by_bias = torch.autograd.grad(total, [conv.weight, conv.bias], retain_graph=True)
    (alone,) = torch.autograd.grad(total, [conv.bias], retain_graph=True)
    total.backward(inputs=[conv.weight], retain_graph=True)
    assert conv.bias.grad is None and torch.equal(conv.weight.grad, by_weight)
    total.backward()
    assert torch.equal(conv.weight.grad, 2 * by_weight) and torch.equal(by_bias, alone)
    assert torch.allclose(by_bias, torch.full((4,), 2.0 * 36, dtype=torch.float64))


def test_forward_mode_and_functional_transforms_are_torchs_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Unflatten(1, (3, 2, 2)), nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.Conv2d(4, 2, 3, 1, 1)
    ).double()
    z = torch.randn(2, 12, dtype=torch.float64)
    plain = conditioning.jacobian(network, z, mode="forward")
    with lean_derivatives(network):
        assert torch.equal(conditioning.jacobian(network, z, mode="forward"), plain)
        assert torch.allclose(conditioning.jacobian(network, z, mode="reverse"), plain, rtol=1e-12)
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(z, torch.ones_like(z))
            tangent = torch.autograd.forward_ad.unpack_dual(network(dual)).tangent
    assert torch.allclose(tangent.flatten(1), plain.sum(-1), rtol=1e-12)


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 2, 3), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = checkpoint(self.inner, x, use_reentrant=False)
        return h.sum((1, 2, 3))


def test_activation_checkpoints_recompute_what_they_saved() -> None:
    torch.manual_seed(0)
    critic, x = Checkpointed().double(), samples(2)
    value = r1(critic, x)
    found = torch.autograd.grad(value, list(critic.inner[0].parameters())[:1])
    plain = r1(nn.Sequential(critic.inner, nn.Flatten()), x)
    expected = torch.autograd.grad(plain, list(critic.inner[0].parameters())[:1])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_what_may_be_changed_in_place_stays_the_same() -> None:
    conv, x = nn.Conv2d(3, 4, 3).double(), samples(2)

    def changed(lean: bool) -> Tensor:
        with lean_derivatives(conv if lean else None):
            h = F.leaky_relu(conv(x), 0.2)
            h += 1
            k = conv(x)
            k *= 2
            view = conv(x)[:, :2]
            F.relu(view, inplace=True)
        total = h.square().sum() + k.square().sum() + view.sum()
        return torch.autograd.grad(total, conv.weight)[0]

    torch.testing.assert_close(changed(True), changed(False), rtol=1e-12, atol=1e-12)


@only_where_hooks_show
def test_networks_without_convolutions_take_no_detour() -> None:
    x = torch.randn(4, 3)
    with lean_derivatives(nn.Linear(3, 2)):
        assert type(F.relu(x.requires_grad_()).grad_fn).__name__ == "ReluBackward0"
    with lean_derivatives(nn.Conv1d(1, 1, 1)), lean_derivatives(nn.Conv1d(1, 1, 1)):
        assert type(F.relu(x).grad_fn).__name__ == "_KinkedBackward"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("penalty", [gradient_penalty, lambda critic, x, y, rng: r1(critic, x)], ids=["gp", "r1"])
def test_autocast_casts_as_it_does(dtype: torch.dtype, penalty: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    critic = NETWORKS["dcgan"].critic((3, 16, 16), width=16).to(memory_format=torch.channels_last)
    x = torch.rand(4, 3, 16, 16)
    exact = penalty(critic, x, x + 0.1, rng=torch.Generator().manual_seed(0))
    expected = torch.cat(
        [g.flatten() for g in torch.autograd.grad(exact, [p for p in critic.parameters() if p.dim() > 1])]
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = penalty(critic, x, x + 0.1, rng=torch.Generator().manual_seed(0))
    found = torch.cat(
        [g.flatten() for g in torch.autograd.grad(value, [p for p in critic.parameters() if p.dim() > 1])]
    )
    assert value.dtype == torch.float32
    bound = 0.999 if dtype == torch.bfloat16 else 1 - 1e-6
    assert F.cosine_similarity(found, expected, dim=0) > bound


@pytest.mark.parametrize("sizes", [(4, 2, 1), (3, 1, 1), (5, 3, 2)])
def test_the_matrix_weight_gradient_is_the_weight_gradient(sizes: tuple[int, int, int]) -> None:
    kernel, stride, padding = sizes
    x = samples(2)
    weight = torch.randn(5, 3, kernel, kernel, dtype=torch.float64, requires_grad=True)
    y = F.conv2d(x, weight, None, stride, padding)
    g = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, weight, g)
    found = weight_gradient(x, g, (kernel, kernel), (stride, stride), (padding, padding))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["dcgan", "sn_gan", "r1", "consensus"])
def test_bf16_steps_stay_near_fp32_and_copies_are_independent(method: str) -> None:
    shape, losses = (3, 16, 16), {}
    real = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for precision in ("fp32", "bf16"):
        rng = torch.Generator().manual_seed(0)
        network = NETWORKS["dcgan"]
        generator = network.generator(shape, latent=8, width=16, rng=rng)
        critic = network.critic(shape, width=16, rng=rng)
        run = start(build(method), generator, critic, seed=0, shape=shape, batch_size=8, precision=precision)
        if run.method.simultaneous:
            losses[precision] = [float(joint_step(run, real)[0].objective.loss) for _ in range(3)]
            continue
        losses[precision] = [float(critic_step(run, real).objective.loss) for _ in range(3)]
        generator_step(run)
        with torch.no_grad():
            assert not torch.equal(run.average(torch.ones(2, 8)), run.generator.eval()(torch.ones(2, 8)))
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.03)


def kinds(out: Tensor) -> set[str]:
    """Names of all functions behind a tensor."""
    waiting, found = [out.grad_fn], set[str]()
    while waiting:
        node = waiting.pop()
        if node is not None and id(node) not in found:
            found |= {type(node).__name__}
            waiting += [above for above, _ in node.next_functions]
    return found


@only_where_hooks_show
def test_small_layers_are_torchs_own() -> None:
    own = {"_ConvolutionBackward", "_KinkedBackward", "_AveragePoolBackward"}
    for layers in (
        [nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.AvgPool2d(2)],
        [nn.ConvTranspose2d(3, 16, 4, 2, 1), nn.ReLU()],
    ):
        network = nn.Sequential(*layers)
        with lean_derivatives(network):
            small, large = network(torch.randn(2, 3, 16, 16)), network(torch.randn(64, 3, 64, 64))
        assert not kinds(small) & own
        assert kinds(large) & own >= {"_ConvolutionBackward", "_KinkedBackward"}


@only_where_hooks_show
@pytest.mark.parametrize(("name", "expected"), [("r1", True), ("r3gan", True), ("wgan_gp", False), ("dcgan", False)])
def test_a_loss_takes_the_detour_where_a_penalty_uses_its_forwards(name: str, expected: bool) -> None:
    critic = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 1))
    x = torch.randn(4, 1, 8, 8)
    objective = critic_objective(build(name), critic, x, x + 1, rng=torch.Generator().manual_seed(0))
    assert ("_ConvolutionBackward" in kinds(objective.loss)) is expected


@pytest.mark.parametrize("trained", ["weight", "bias"])
@pytest.mark.parametrize("layer", ["conv", "transposed"])
def test_a_layer_of_which_a_part_is_trained(layer: str, trained: str) -> None:
    conv = copy.deepcopy(LAYERS[layer]).double()
    x, found = samples(2)[..., :8], []
    for name, p in conv.named_parameters():
        p.requires_grad_(name == trained)
    for leaner in (False, True):
        conv.zero_grad()
        with lean_derivatives(conv if leaner else None):
            conv(x).sin().sum().backward()
        found.append([p.grad for p in conv.parameters() if p.grad is not None])
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
    assert len(found[0]) == 1


@only_where_hooks_show
def test_a_backward_that_is_not_differentiated_is_one_call() -> None:
    """As torch's own: weight, bias and input together."""
    conv = nn.Conv2d(3, 4, 3, padding=1)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with lean_derivatives(conv):
        out = conv(x).square().sum()
    with Calls() as calls:
        out.backward()
    assert calls.names.count("convolution_backward") == 1 and "convolution" not in calls.names


class Calls(TorchDispatchMode):
    """Which operations ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))
