"""Spectral normalisation of other people's networks: the paper's formulas, and what training does to a module."""

from __future__ import annotations

import copy
import io
import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils import parametrize

from constraint_cases import block_diagonal, small_critic, zoo
from tightrope import constraints, spectra
from tightrope.autodiff import frozen_constraints, undisturbed
from tightrope.layers.kernel import kernel_shape


def train(
    network: nn.Module, optimiser: torch.optim.Optimizer, steps: int, seed: int = 0, cached: bool = False
) -> None:
    """Hinge steps on random data: two forwards before one backward."""
    rng = torch.Generator().manual_seed(seed)
    dtype = next(network.parameters()).dtype
    for _ in range(steps):
        real = torch.randn(8, 2, 8, 8, generator=rng, dtype=dtype) + 1
        fake = torch.randn(8, 2, 8, 8, generator=rng, dtype=dtype)
        optimiser.zero_grad()
        if cached:
            with parametrize.cached():
                loss = torch.relu(1 - network(real)).mean() + torch.relu(1 + network(fake)).mean()
                loss.backward()
        else:
            loss = torch.relu(1 - network(real)).mean() + torch.relu(1 + network(fake)).mean()
            loss.backward()
        optimiser.step()


def vectors(network: nn.Module) -> list[torch.Tensor]:
    return [b.clone() for name, b in network.named_buffers() if name.endswith((".u", ".v"))]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ---------------------------------------------------------------------------------------------- spectral normalisation


@pytest.mark.parametrize("name", list(zoo()))
def test_spectral_norm_sets_the_kernel_norm_to_the_bound(name):
    torch.manual_seed(0)
    layer = zoo()[name].double()
    raw = layer.weight.detach().clone()
    sigma = torch.linalg.matrix_norm(block_diagonal(layer), 2)
    constraints.spectral_norm(layer, exact=True, bound=2.0)
    assert torch.allclose(layer.weight, 2 * raw / sigma, rtol=1e-12)
    constraints.remove(layer)
    constraints.spectral_norm(layer, warmup=300)
    assert spectra.kernel_singular_values(layer)[0].item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", ["linear", "conv2d", "grouped", "grouped transposed"])
def test_gradient_is_the_papers_equation_12(name, exact):
    torch.manual_seed(1)
    layer = zoo()[name].double()
    constraints.spectral_norm(layer, exact=exact, warmup=2000)
    raw = layer.parametrizations.weight.original
    direction = torch.randn_like(raw)  # dL/dW_bar
    (layer.weight * direction).sum().backward()

    blocks = kernel_shape(layer).matrix(raw.detach())
    U, S, Vh = torch.linalg.svd(torch.block_diag(*blocks))
    sigma, u, v = S[0], U[:, 0], Vh[0]
    G = torch.block_diag(*kernel_shape(layer).matrix(direction))
    W_bar = torch.block_diag(*blocks) / sigma
    expected = (G - (G * W_bar).sum() * torch.outer(u, v)) / sigma
    got = torch.block_diag(*kernel_shape(layer).matrix(raw.grad))
    mask = torch.block_diag(*torch.ones_like(blocks)).bool()
    assert torch.allclose(got[mask], expected[mask], rtol=1e-6, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize("at_most", [False, True])
@pytest.mark.parametrize("bound", [1.0, 0.7])
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_first_and_second_derivatives_pass_gradcheck(at_most, bound, scale):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 2, groups=1).double()
    with torch.no_grad():
        layer.weight.mul_(scale)
    constraints.spectral_norm(layer, at_most=at_most, bound=bound)
    module = layer.parametrizations.weight[0]
    weight = layer.parametrizations.weight.original.detach().requires_grad_()
    u, v = module.u, module.v
    W = kernel_shape(layer).matrix

    def reference(w):
        sigma = u @ (W(w)[0] @ v)
        return bound * w / (sigma.clamp(min=bound) if at_most else sigma)

    with frozen_constraints():  # in evaluation mode each perturbed weight would get vectors of its own
        assert torch.allclose(module(weight), reference(weight), rtol=1e-12)
        assert torch.autograd.gradcheck(module, (weight,), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(module, (weight,))


def test_an_advance_leaves_the_gradients_of_earlier_uses_alone():
    torch.manual_seed(0)
    layer = constraints.spectral_norm(nn.Linear(4, 3).double(), warmup=1)
    raw = layer.parametrizations.weight.original
    with torch.no_grad():
        raw.mul_(torch.linspace(0.5, 2, 4).double())
    uses = [layer.weight, layer.weight]  # the first advances, the second does not
    expected = [torch.autograd.grad(use.sum(), raw, retain_graph=True)[0] for use in uses]
    with torch.no_grad():
        raw.mul_(torch.linspace(2, 0.5, 4).double())
    third = layer.weight  # advances again
    assert not torch.equal(third, uses[1])
    for use, before in zip(uses, expected, strict=True):
        assert torch.equal(torch.autograd.grad(use.sum(), raw)[0], before)


def test_at_most_leaves_small_layers_alone():
    torch.manual_seed(0)
    small, large = nn.Linear(4, 4), nn.Linear(4, 4)
    with torch.no_grad():
        small.weight.mul_(0.1)
        large.weight.mul_(10)
    raw = small.weight.detach().clone()
    constraints.spectral_norm(nn.Sequential(small, large), at_most=True, exact=True)
    assert torch.equal(small.weight, raw)
    assert spectra.kernel_singular_values(large)[0].item() == pytest.approx(1, rel=1e-6)


def test_gain_starts_where_nothing_changes_and_is_learned():
    network = small_critic()
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    before = network(x)
    constraints.spectral_norm(network, gain=True)
    assert torch.allclose(network(x), before, rtol=1e-12)
    gains = [p for name, p in network.named_parameters() if name.endswith("gain")]
    assert len(gains) == 3
    network(x).sum().backward()
    assert all(g.grad is not None and g.grad.abs() > 0 for g in gains)


def test_vectors_advance_once_per_optimiser_step_and_only_then():
    network = constraints.spectral_norm(small_critic(), warmup=1)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    start = vectors(network)
    network(x), network(x)
    assert same(vectors(network), start)
    train(network, optimiser, 1)
    assert same(vectors(network), start), "the step's own forwards ran before the weights changed"
    network.eval()
    network(x)
    assert same(vectors(network), start)
    network.train()
    with frozen_constraints():
        network(x)
    with undisturbed(network):
        network(x)
    spectra.kernel_spectra(network)
    constraints.export(network)
    assert same(vectors(network), start)
    network(x)
    moved = vectors(network)
    assert not any(torch.equal(a, b) for a, b in zip(moved[::2], start[::2], strict=True) if a.numel() > 1)
    network(x)
    assert same(vectors(network), moved)


def test_forward_updates_advance_on_every_training_forward():
    network = constraints.spectral_norm(small_critic(), update="forward", warmup=0)
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    seen = [vectors(network)]
    for _ in range(3):
        network(x)
        seen.append(vectors(network))
    assert not any(same(a, b) for a, b in itertools.pairwise(seen))
    network.eval()
    network(x)
    assert same(vectors(network), seen[-1])


def test_steps_means_rounds_per_advance():
    def moved(steps: int) -> list[torch.Tensor]:
        network = constraints.spectral_norm(small_critic(), warmup=0, steps=steps, rng=torch.Generator().manual_seed(0))
        network(torch.zeros(1, 2, 8, 8, dtype=torch.float64))
        return vectors(network)

    once, thrice = moved(1), moved(3)
    network = constraints.spectral_norm(
        small_critic(), warmup=0, update="forward", rng=torch.Generator().manual_seed(0)
    )
    network(torch.zeros(1, 2, 8, 8, dtype=torch.float64))
    assert same(vectors(network), once)
    network(torch.zeros(1, 2, 8, 8, dtype=torch.float64))
    network(torch.zeros(1, 2, 8, 8, dtype=torch.float64))
    assert same(vectors(network), thrice)


@pytest.mark.parametrize("update", ["optimizer_step", "forward"])
@pytest.mark.parametrize("extra_forward", [False, True])
def test_saving_and_loading_between_two_steps_changes_no_bit(update, extra_forward):
    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        network = constraints.spectral_norm(small_critic(dtype=torch.float32), update=update, gain=True)
        return network, torch.optim.Adam(network.parameters(), 1e-3)

    x = torch.ones(2, 2, 8, 8)
    straight, optimiser = fresh()
    train(straight, optimiser, 3, seed=1)
    if extra_forward:
        straight(x)
    saved = io.BytesIO()
    torch.save({"network": straight.state_dict(), "optimiser": optimiser.state_dict()}, saved)
    train(straight, optimiser, 3, seed=2)

    resumed, optimiser = fresh()
    train(resumed, optimiser, 2, seed=9)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    resumed.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    train(resumed, optimiser, 3, seed=2)
    assert same(list(straight.state_dict().values()), list(resumed.state_dict().values()))


def test_cached_use_gives_the_same_training():
    def run(cached: bool) -> list[torch.Tensor]:
        network = constraints.spectral_norm(small_critic())
        train(network, torch.optim.Adam(network.parameters(), 1e-3), 4, cached=cached)
        return list(network.state_dict().values())

    for a, b in zip(run(False), run(True), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-10)


def test_remove_and_export_keep_outputs_and_leave_plain_parameters():
    network = constraints.spectral_norm(small_critic(), gain=True)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    train(network, optimiser, 2)
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    network.eval()
    expected, state = network(x), vectors(network)
    copied = constraints.export(network)
    assert torch.equal(copied(x), expected)
    assert set(copied.state_dict()) == set(small_critic().state_dict())
    assert same(vectors(network), state)
    assert len(constraints.constrained_layers(network)) == 3
    raw = network[0].parametrizations.weight.original
    assert constraints.remove(network) is network
    assert torch.equal(network(x), expected)
    assert network[0].weight is raw
    assert isinstance(network[0].weight, nn.Parameter)


def test_deepcopy_is_independent_and_equal():
    network = constraints.spectral_norm(small_critic())
    twin = copy.deepcopy(network)
    train(network, torch.optim.Adam(network.parameters(), 1e-2), 2)
    train(twin, torch.optim.Adam(twin.parameters(), 1e-2), 2)
    assert same(list(network.state_dict().values()), list(twin.state_dict().values()))


def test_functional_calls_per_sample_gradients_and_stacked_seeds():
    networks = [constraints.spectral_norm(small_critic(seed), warmup=1) for seed in range(3)]
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    expected = [network.eval()(x) for network in networks]
    parameters, buffers = stack_module_state(networks)
    base = networks[0]
    got = vmap(lambda p, b: functional_call(base, (p, b), (x,)))(parameters, buffers)
    assert torch.allclose(got, torch.stack(expected), rtol=1e-12)

    def loss(p, b):
        return functional_call(base, (p, b), (x,)).sum()

    gradients = vmap(grad(loss))(parameters, buffers)
    for i, network in enumerate(networks):
        network.zero_grad()
        network(x).sum().backward()
        name = "0.parametrizations.weight.original"
        assert torch.allclose(gradients[name][i], dict(network.named_parameters())[name].grad, rtol=1e-10)

    base.train()
    per_sample = vmap(grad(lambda one: base(one[None]).sum()))(x)
    x_leaf = x.clone().requires_grad_()
    (direct,) = torch.autograd.grad(base(x_leaf).sum(), x_leaf)
    assert torch.allclose(per_sample, direct, rtol=1e-10)
    before = buffers["0.parametrizations.weight.0.u"].clone()
    parameters = {k: v * 1.5 + 0.01 for k, v in parameters.items()}
    vmap(lambda p, b: functional_call(base, (p, b), (x,)))(parameters, buffers)
    assert not torch.equal(buffers["0.parametrizations.weight.0.u"], before), "stacked vectors advance in training mode"


def test_autocast_keeps_the_norm_in_full_precision():
    network = constraints.spectral_norm(small_critic(dtype=torch.float32), exact=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.randn(2, 2, 8, 8)).float().sum().backward()
        assert network[0].weight.dtype == torch.float32
        assert spectra.kernel_singular_values(network[0])[0].item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_of_a_norm_whose_square_overflows(dtype):
    torch.manual_seed(0)
    layer = nn.Linear(64, 64).to(dtype)
    with torch.no_grad():
        layer.weight.mul_(1000)
    constraints.spectral_norm(layer, update="forward")
    assert torch.linalg.matrix_norm(layer.weight.float(), 2).item() == pytest.approx(1, abs=0.01)
    (gradient,) = torch.autograd.grad(layer.weight.float().pow(2).sum(), layer.parametrizations.weight.original)
    assert torch.isfinite(gradient).all()


def test_backward_under_autocast_is_that_without():
    torch.manual_seed(0)
    layer = constraints.spectral_norm(nn.Conv2d(4, 4, 3, groups=2))
    raw, direction = layer.parametrizations.weight.original, torch.randn(4, 2, 3, 3)
    loss = (layer.weight * direction).sum()
    (expected,) = torch.autograd.grad(loss, raw, retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (got,) = torch.autograd.grad(loss, raw)
    assert torch.equal(got, expected)


@pytest.mark.slow
def test_compiled_critic_trains_like_the_eager_one():
    eager = constraints.spectral_norm(small_critic())
    compiled = constraints.spectral_norm(small_critic())
    for a, b in zip(eager.buffers(), compiled.buffers(), strict=True):
        b.copy_(a)
    torch._dynamo.reset()
    train(eager, torch.optim.SGD(eager.parameters(), 1e-2), 3)
    train(
        torch.compile(compiled, backend="aot_eager_decomp_partition"), torch.optim.SGD(compiled.parameters(), 1e-2), 3
    )
    for a, b in zip(eager.state_dict().values(), compiled.state_dict().values(), strict=True):
        if a.is_floating_point():
            assert torch.allclose(a, b, rtol=1e-8, atol=1e-10)
