"""Convolutions fused with pooling or upsampling: the same function of the same parameters, found by all who look."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

from tightrope import constraints, spectra
from tightrope.autodiff import lean_derivatives
from tightrope.methods import build
from tightrope.networks import NETWORKS
from tightrope.networks import fused as module
from tightrope.networks.fused import doubled, halved, upsample
from tightrope.training import critic_step, generator_step, start

CONVS = {
    "3x3": nn.Conv2d(3, 4, 3, 1, 1),
    "3x3 without bias": nn.Conv2d(3, 4, 3, 1, 1, bias=False),
    "1x1": nn.Conv2d(3, 4, 1),
    "strided": nn.Conv2d(3, 4, 3, 2, 1),
    "5x5": nn.Conv2d(3, 4, 5, 1, 2),
    "no padding": nn.Conv2d(3, 4, 3),
    "groups": nn.Conv2d(3, 6, 3, 1, 1, groups=3),
    "dilated": nn.Conv2d(3, 4, 3, 1, 1, dilation=2),
    "circular": nn.Conv2d(3, 4, 3, 1, 1, padding_mode="circular"),
    "same": nn.Conv2d(3, 4, 3, 1, "same"),
}
PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "halved": (halved, lambda conv, x: F.avg_pool2d(conv(x), 2)),
    "doubled": (doubled, lambda conv, x: conv(upsample(x))),
}


def samples(height: int = 8, width: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 3, height, width, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transposed form is taken in float32 alone, for its speed; here in float64 as well, for its exactness."""
    monkeypatch.setattr(module, "TRANSPOSED", (torch.float32, torch.float64))


def derivatives(call: Callable[..., Tensor], conv: nn.Module, x: Tensor, lean: bool) -> list[Tensor]:
    x = x.clone().requires_grad_()
    with lean_derivatives(conv if lean else None):
        out = call(conv, x)
    (gradient,) = torch.autograd.grad(torch.tanh(out).sum(), x, create_graph=True)
    return [out, gradient, *torch.autograd.grad((gradient * x.cos()).sum() + out.sum(), [x, *conv.parameters()])]


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", CONVS)
def test_value_and_derivatives_are_those_of_two_steps(name: str, pair: str, lean: bool) -> None:
    conv = copy.deepcopy(CONVS[name]).double()
    ours, plain = PAIRS[pair]
    for height, width in ((8, 6), (7, 6), (9, 9)):
        x = samples(height, width)
        for a, b in zip(derivatives(ours, conv, x, lean), derivatives(plain, conv, x, False), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_convolution_does_it(pair: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = (
        nn.Conv2d(3, 4, 3, 1, 1).to(memory_format=layout),
        samples(dtype=torch.float32).contiguous(memory_format=layout),
    )
    expected = PAIRS[pair][1](conv, x)
    monkeypatch.setattr(conv, "_conv_forward", None)  # whoever calls the layer fails
    found = PAIRS[pair][0](conv, x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert found.is_contiguous(memory_format=layout)


class Half(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class Own(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


@pytest.mark.parametrize("pair", PAIRS)
def test_what_stands_in_a_layers_way_is_honoured(pair: str) -> None:
    ours, plain = PAIRS[pair]
    x, seen = samples(), []
    hooked, halves = copy.deepcopy(CONVS["3x3"]).double(), copy.deepcopy(CONVS["3x3"]).double()
    hooked.register_forward_hook(lambda m, inputs, out: seen.append(tuple(inputs[0].shape)) or out + 1)
    register_parametrization(halves, "weight", Half())
    replaced = copy.deepcopy(CONVS["3x3"]).double()
    replaced.forward = lambda x: F.conv2d(x, 3 * replaced.weight, None, 1, 1)  # type: ignore[method-assign]
    old = torch.nn.utils.spectral_norm(copy.deepcopy(CONVS["3x3"]).double()).eval()
    for conv in (
        hooked,
        halves,
        replaced,
        old,
        Own(3, 4, 3, 1, 1).double(),
        spectral_norm(nn.Conv2d(3, 4, 1)).double().eval(),
    ):
        torch.testing.assert_close(ours(conv, x), plain(conv, x), rtol=1e-12, atol=1e-12)
    assert seen[0] == seen[1]


def test_global_hooks_see_the_layer() -> None:
    seen: list[nn.Module] = []
    conv = nn.Conv2d(3, 4, 3, 1, 1).double()
    handle = nn.modules.module.register_module_forward_hook(lambda m, *_: seen.append(m))
    try:
        halved(conv, samples())
    finally:
        handle.remove()
    assert seen == [conv]


def plain_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_unobserved", lambda conv: False)


@pytest.mark.parametrize("name", ["sn_resnet", "mescheder_resnet"])
@pytest.mark.parametrize("size", [32, 64])
def test_networks_are_the_functions_they_were(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    generator = NETWORKS[name].generator((3, size, size), latent=5, width=2, rng=rng).double()
    critic = NETWORKS[name].critic((3, size, size), width=2, rng=rng).double()
    for p in (*generator.parameters(), *critic.parameters()):
        nn.init.normal_(p, 0.0, 0.1, generator=rng) if not p.any() else None
    z = torch.randn(3, 5, dtype=torch.float64, generator=rng)

    def both() -> list[Tensor]:
        image = generator(z)
        scores = critic(image)
        return [image, scores, *torch.autograd.grad(scores.sum(), [*generator.parameters(), *critic.parameters()])]

    ours = both()
    plain_networks(monkeypatch)
    for a, b in zip(ours, both(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(b.detach().abs().max()) + 1e-13)


def test_spectra_and_constraints_find_the_layers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked() -> tuple[list[str], dict[str, Tensor], list[object]]:
        critic = NETWORKS["sn_resnet"].critic((3, 32, 32), width=2, rng=torch.Generator().manual_seed(0))
        names = [name for name, _ in critic.named_parameters()]
        found = spectra.layer_spectra(critic, torch.zeros(1, 3, 32, 32), complete=False)
        torch.manual_seed(0)
        constraints.spectral_norm(critic, norm="operator", input_shape=(3, 32, 32))
        sizes = [(layer.name, layer.input_shape, layer.norm.upper) for layer in found]
        return names, {n: p.detach() for n, p in critic.state_dict().items()}, sizes

    ours = looked()
    plain_networks(monkeypatch)
    plain = looked()
    assert ours[0] == plain[0] and ours[1].keys() == plain[1].keys() and ours[2] == plain[2]
    for name, tensor in ours[1].items():
        torch.testing.assert_close(tensor, plain[1][name])


@pytest.mark.parametrize("name", ["sn_resnet", "mescheder_resnet", "r3gan"])
@pytest.mark.parametrize("method", ["wgan_gp", "r1", "sn_gan"])
def test_resume_is_bit_exact_in_the_networks_own_layout(name: str, method: str, tmp_path: object) -> None:
    def begun() -> object:
        rng = torch.Generator().manual_seed(0)
        width = 16 if name == "r3gan" else 4
        generator = NETWORKS[name].generator((3, 32, 32), latent=5, width=width, rng=rng)
        critic = NETWORKS[name].critic((3, 32, 32), width=width, rng=rng)
        return start(build(method), generator, critic, seed=0, batch_size=2)

    real = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    run = begun()
    assert run.channels_last
    critic_step(run, real), generator_step(run)
    torch.save(run.state_dict(), tmp_path / "state.pt")
    critic_step(run, real), generator_step(run)
    again = begun()
    again.load_state_dict(torch.load(tmp_path / "state.pt"))
    critic_step(again, real), generator_step(again)
    for a, b in zip(run.critic.state_dict().values(), again.critic.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(run.generator.state_dict().values(), again.generator.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_state_in_another_layout_gives_the_same_updates() -> None:
    def begun() -> object:
        rng = torch.Generator().manual_seed(0)
        generator = NETWORKS["sn_resnet"].generator((3, 32, 32), latent=5, width=4, rng=rng)
        critic = NETWORKS["sn_resnet"].critic((3, 32, 32), width=4, rng=rng)
        return start(build("wgan_gp"), generator, critic, seed=0, batch_size=2)

    real = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    run = begun()
    critic_step(run, real)
    state = copy.deepcopy(run.state_dict())
    for remembered in state["critic_optimizer"]["state"].values():  # as a run without channels_last wrote them
        for key, value in remembered.items():
            remembered[key] = value.contiguous() if value.dim() == 4 else value
    again = begun()
    again.load_state_dict(state)
    critic_step(run, real), critic_step(again, real)
    for a, b in zip(run.critic.parameters(), again.critic.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_network_that_does_not_ask_for_it_keeps_its_layout() -> None:
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1))
    critic(torch.rand(1, 3, 32, 32))
    generator = NETWORKS["sn_resnet"].generator((3, 32, 32), latent=5, width=4)
    run = start(build("r1"), generator, critic, seed=0, batch_size=2)
    assert not run.channels_last and critic[0].weight.is_contiguous()
    critic_step(run, torch.rand(2, 3, 32, 32))
