"""Averages of constrained generators, and evaluation mode where the vectors are those of another weight."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from constraint_cases import block_diagonal, zoo
from tightrope import constraints
from tightrope._plumbing.errors import UserError
from tightrope.layers.torch_own import HOOKS
from tightrope.training.average import averaged_copy, update_average_


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


def each(wrap):
    def wrapped(network: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            for layer in network:
                if isinstance(layer, nn.Linear):
                    wrap(layer)
        return network

    return wrapped


WRAPS = {
    "kernel": constraints.spectral_norm,
    "operator": lambda n: constraints.spectral_norm(n, "operator", input_shape=(5,)),
    "orthogonal": constraints.orthogonal,
    "cayley": lambda n: constraints.orthogonal(n, "cayley"),
    "torch": each(nn.utils.parametrizations.spectral_norm),
    "torch, old": each(nn.utils.spectral_norm),
}


def largest(network: nn.Module) -> float:
    network(torch.zeros(1, 5))  # the old hooks compute their weight in the forward
    return max(torch.linalg.matrix_norm(m.weight.detach(), 2).item() for m in network if isinstance(m, nn.Linear))


def scramble_(network: nn.Module, seed: int) -> None:
    """Another weight every time, and power iterations that follow it."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=rng))
        for _ in range(20):
            network(torch.zeros(1, 5))


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_the_averaged_generator_keeps_the_norm_it_was_promised(wrap):
    generator = wrap(net())
    scramble_(generator, 0)
    average = averaged_copy(generator)
    for seed in range(1, 6):
        scramble_(generator, seed)
        update_average_(average, generator, 0.7)
    before = copy.deepcopy(average.state_dict())
    assert largest(average) == pytest.approx(1, abs=1e-5)
    assert all(torch.equal(before[key], value) for key, value in average.state_dict().items())
    assert average.state_dict().keys() == generator.state_dict().keys(), "checkpoints of before still load"


def test_only_weights_and_batch_statistics_are_averaged():
    class Own(nn.BatchNorm1d):
        def __init__(self) -> None:
            super().__init__(3)
            self.register_buffer("counter", torch.tensor(0.0))
            self.register_buffer("direction", torch.tensor([1.0, 0.0]))
            self.scale = nn.Parameter(torch.tensor([1.0 + 1j]))

    generator = Own()
    average = averaged_copy(generator)
    with torch.no_grad():
        generator.counter.fill_(10)
        generator.direction.copy_(torch.tensor([0.0, 1.0]))
        generator.running_mean.fill_(2)
        generator.num_batches_tracked.fill_(7)
        generator.scale.fill_(3 - 1j)
    update_average_(average, generator, 0.75)
    assert average.counter == 10 and average.num_batches_tracked == 7
    assert torch.equal(average.direction, torch.tensor([0.0, 1.0]))
    assert torch.allclose(average.running_mean, torch.full((3,), 0.5))
    assert torch.allclose(average.scale, torch.tensor([1.5 + 0.5j]))


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_decay_that_is_no_share_is_refused_and_nothing_moves(decay):
    generator = net()
    average = averaged_copy(generator)
    scramble_(generator, 1)
    before = copy.deepcopy(average.state_dict())
    with pytest.raises(UserError, match=r"a decay in \[0, 1\]"):
        update_average_(average, generator, decay)
    assert all(torch.equal(before[key], value) for key, value in average.state_dict().items())


def test_an_average_of_another_structure_is_refused():
    average = averaged_copy(net())
    with pytest.raises(UserError, match="own structure"):
        update_average_(average, constraints.spectral_norm(net()), 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_average_of_half_precision_moves_by_small_steps(dtype):
    generator = nn.Linear(3, 2).to(dtype)
    nn.init.ones_(generator.weight)
    average = averaged_copy(generator)
    nn.init.constant_(generator.weight, 1.5)
    for _ in range(100):
        update_average_(average, generator, 0.9999)
    assert average.weight.dtype == torch.float32
    assert average.weight.mean().item() == pytest.approx(1.5 - 0.5 * 0.9999**100, rel=1e-5)
    with pytest.raises(UserError, match="an average in float32"):
        update_average_(copy.deepcopy(generator), generator, 0.9999)
    update_average_(copy.deepcopy(generator), generator, 0.0)


def cases() -> dict[str, tuple[nn.Module, str]]:
    kernel = {name: (layer, "kernel") for name, layer in zoo().items()}
    return kernel | {f"{name}, operator": (zoo()[name], "operator") for name in ("linear", "conv2d", "grouped")}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", cases())
def test_in_evaluation_mode_every_weight_has_its_own_vectors_and_the_state_stays(name, dtype):
    torch.manual_seed(0)
    layer, norm = cases()[name]
    layer.to(dtype)
    shape = {"linear": (7,), "conv2d": (3, 8, 8), "grouped": (4, 6, 6)}.get(name.removesuffix(", operator"))
    constraints.spectral_norm(layer, norm, input_shape=shape if norm == "operator" else None).eval()
    raw = layer.parametrizations.weight.original
    with torch.no_grad():
        raw.copy_(torch.randn_like(raw))
    before = copy.deepcopy(layer.state_dict())
    if norm == "kernel":
        assert torch.linalg.matrix_norm(block_diagonal(layer), 2).item() == pytest.approx(1, rel=1e-5)
    else:
        from tightrope.spectra import operator_norm

        assert operator_norm(layer, shape).value == pytest.approx(1, rel=1e-5)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())
    with torch.no_grad():
        raw.mul_(torch.linspace(0.1, 3, raw.shape[1], dtype=dtype).reshape(-1, *[1] * (raw.dim() - 2)))
    moved = constraints.export(layer).weight.detach()
    assert torch.equal(layer.weight, moved), "what is kept of the weight before is not used for the next"


def test_the_mean_of_two_state_dicts_is_normalised():
    first, second = constraints.spectral_norm(net()), constraints.spectral_norm(net())
    scramble_(first, 1), scramble_(second, 2)
    mean = {key: (value + second.state_dict()[key]) / 2 for key, value in first.state_dict().items()}
    first.load_state_dict(mean)
    assert largest(first.eval()) == pytest.approx(1, rel=1e-5)


def test_under_vmap_every_weight_of_a_stack_is_normalised_too():
    networks = [constraints.spectral_norm(net()).eval() for _ in range(3)]
    for seed, network in enumerate(networks):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
    x = torch.randn(4, 5)
    state = stack_module_state(networks)
    got = vmap(lambda p, b: functional_call(networks[0], (p, b), (x,)))(*state)
    assert torch.allclose(got, torch.stack([network(x) for network in networks]), atol=1e-6)
    (first, second), (a, b) = networks[:2], torch.randn(2, 4, 5)
    weights = {
        name: torch.stack([p, q]) for (name, p), q in zip(first.named_parameters(), second.parameters(), strict=True)
    }
    got = vmap(lambda p: vmap(lambda z: functional_call(first, p, (z,)))(torch.stack([a, b])))(weights)
    assert torch.allclose(got[1], torch.stack([second(a), second(b)]), atol=1e-6), "one buffer, several weights"


def test_traced_and_compiled_in_evaluation_mode_give_what_the_network_gives():
    network = constraints.spectral_norm(net()).eval()
    with torch.no_grad():
        network[0].parametrizations.weight.original.copy_(torch.randn(16, 5))
    x = torch.randn(4, 5)
    assert torch.allclose(torch.jit.trace(network, x)(x), network(x), atol=1e-6)
    compiled = torch.compile(network, backend="aot_eager")
    assert torch.allclose(compiled(x), network(x), atol=1e-6)


def test_a_weight_that_is_not_finite_stays_so_in_evaluation_mode():
    layer = constraints.spectral_norm(nn.Linear(4, 3)).eval()
    with torch.no_grad():
        layer.parametrizations.weight.original[0, 0] = torch.nan
    assert not torch.isfinite(layer.weight).all()


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.spectral_norm], ids=["weight", "spectral"])
def test_old_hooks_can_be_averaged_and_exported(wrap, trained):
    network = each(wrap)(net())
    network.seen = [network(torch.randn(3, 5))] if trained else []  # a tensor of a past forward, as some networks keep
    x = torch.randn(6, 5)
    average = averaged_copy(network)
    update_average_(average, network, 0.5)
    exported = constraints.export(network)
    assert not any(isinstance(h, HOOKS) for m in exported.modules() for h in m._forward_pre_hooks.values())
    assert isinstance(exported[0].weight, nn.Parameter) and len(list(exported.parameters())) == 6
    assert torch.equal(exported(x), network.eval()(x))
    expected: Tensor = average(x)
    assert torch.isfinite(expected).all()
    if wrap is nn.utils.weight_norm:
        assert torch.allclose(expected, network(x), atol=1e-6)
