"""Every constraint holds after many optimiser steps and after everything else that happens to a module; soft forms."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from tightrope import constraints, spectra
from tightrope.layers.find import find_layers
from tightrope.layers.kernel import kernel_shape
from tightrope.layers.linear_map import linear_map
from tightrope.penalties.orthogonality import soft_orthogonality

SHAPE = (2, 8, 8)


def critic(seed: int = 0, padding_mode: str = "zeros") -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, padding_mode=padding_mode),
        nn.LeakyReLU(0.1),
        nn.Conv2d(6, 8, 4, 2, 1, padding_mode=padding_mode),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(8 * 16, 1),
    )


def kernel_values(network: nn.Module) -> list[torch.Tensor]:
    return list(spectra.kernel_spectra(network).values())


def operator_values(network: nn.Module) -> list[torch.Tensor]:
    shapes = [SHAPE, (6, 8, 8), (128,)]
    layers = find_layers(network).values()
    return [
        torch.linalg.svdvals(linear_map(layer, shape).matrix(layer.weight.detach().double()))
        for layer, shape in zip(layers, shapes, strict=True)
    ]


def near_one(values: list[torch.Tensor]) -> None:
    for v in values:
        assert (v - 1).abs().max() <= 1e-3, v


def top_is_one(values: list[torch.Tensor]) -> None:
    for v in values:
        assert abs(v.max().item() - 1) <= 1e-3, v.max()


def top_at_most_one(values: list[torch.Tensor]) -> None:
    for v in values:
        assert v.max().item() <= 1 + 1e-3, v.max()


HARD = {
    "spectral exact": (lambda c: constraints.spectral_norm(c, exact=True), lambda c: top_is_one(kernel_values(c))),
    "spectral at most": (
        lambda c: constraints.spectral_norm(c, exact=True, at_most=True),
        lambda c: top_at_most_one(kernel_values(c)),
    ),
    "spectral power": (lambda c: constraints.spectral_norm(c, steps=5), lambda c: top_is_one(kernel_values(c))),
    "operator exact": (
        lambda c: constraints.spectral_norm(c, "operator", exact=True, input_shape=SHAPE),
        lambda c: top_is_one(operator_values(c)),
    ),
    "operator power": (
        lambda c: constraints.spectral_norm(c, "operator", steps=10, input_shape=SHAPE),
        lambda c: top_is_one(operator_values(c)),
    ),
    "weight norm": (
        constraints.weight_norm,
        lambda c: near_one([kernel_shape(m).matrix(m.weight).norm(dim=-1).detach() for m in find_layers(c).values()]),
    ),
    "frobenius norm": (
        constraints.frobenius_norm,
        lambda c: near_one([v.square().sum()[None] for v in kernel_values(c)]),
    ),
    **{
        f"orthogonal {by}": (
            lambda c, by=by: constraints.orthogonal(c, by),
            lambda c: near_one(kernel_values(c)),
        )
        for by in ("polar", "bjorck", "qr", "cayley")
    },
    **{
        f"orthogonal operator {by}": (
            lambda c, by=by: constraints.orthogonal(c, by, norm="operator"),
            lambda c: top_at_most_one(operator_values(c)),
        )
        for by in ("polar", "bjorck", "qr", "cayley")
    },
}


def train(network: nn.Module, steps: int = 200, seed: int = 0, after=lambda network, step: None) -> None:
    rng = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3, betas=(0.5, 0.9))
    for step in range(steps):
        real = torch.randn(4, *SHAPE, generator=rng) + 1
        fake = torch.randn(4, *SHAPE, generator=rng)
        optimiser.zero_grad()
        (torch.relu(1 - network(real)).mean() + torch.relu(1 + network(fake)).mean()).backward()
        optimiser.step()
        after(network, step)


@pytest.mark.parametrize("steps", [25, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", list(HARD))
def test_hard_constraints_hold_through_training_and_all_that_surrounds_it(name, steps):
    constrain, check = HARD[name]
    network = constrain(critic())
    before = [layer.weight.detach().clone() for layer in find_layers(network).values()]
    train(network, steps)
    moved = [(a - layer.weight).abs().max() for a, layer in zip(before, find_layers(network).values(), strict=True)]
    assert min(moved) > 1e-3, "the weights must have been free to learn"
    network(torch.zeros(1, *SHAPE))  # the power iteration sees the last step
    check(network)
    assert len(constraints.constrained_layers(network)) == 3

    twin = copy.deepcopy(network)
    check(twin)
    loaded = constrain(critic(seed=1))
    loaded.load_state_dict(network.state_dict())
    check(loaded)
    x = torch.randn(3, *SHAPE)
    network.eval(), loaded.eval(), twin.eval()
    expected = network(x)
    assert torch.equal(loaded(x), expected)
    assert torch.equal(functional_call(network, dict(network.state_dict()), (x,)), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(x)
        check(network)
    plain = constraints.export(twin)
    assert torch.equal(plain(x), expected)
    check(plain)
    check(twin)
    assert set(plain.state_dict()) == set(critic().state_dict())
    with pytest.raises(ValueError, match="already constrained"):
        constrain(network)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spectral power", "operator power", "orthogonal polar", "orthogonal operator polar"])
def test_hard_constraints_hold_under_compilation(name):
    constrain, check = HARD[name]
    network = constrain(critic())
    torch._dynamo.reset()
    train_on = torch.compile(network, backend="aot_eager_decomp_partition")
    train(train_on, steps=30)
    network(torch.zeros(1, *SHAPE))
    check(network)


REPLICATED = ("spectral power", "operator power", "orthogonal polar", "orthogonal operator polar", "weight norm")


def _replica(rank: int, folder: str) -> None:
    """One of two data-parallel processes: its own data, two forwards before each backward."""
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name in REPLICATED:
        constrain, check = HARD[name]
        network = constrain(critic())
        replicated = DistributedDataParallel(network)
        start = [p.detach().clone() for p in network.parameters()]
        train(replicated, steps=60, seed=rank)
        network(torch.zeros(1, *SHAPE))
        check(network)
        assert min((p - q).abs().max() for p, q in zip(network.parameters(), start, strict=True)) > 1e-3
        for tensor in (*network.parameters(), *network.buffers()):
            other = [torch.empty_like(tensor) for _ in range(2)]
            distributed.all_gather(other, tensor.detach().contiguous())
            assert torch.equal(other[0], other[1]), f"{name}: the replicas differ"
    distributed.destroy_process_group()


@pytest.mark.slow
def test_hard_constraints_hold_in_data_parallel_replicas(tmp_path):
    torch.multiprocessing.spawn(_replica, args=(str(tmp_path),), nprocs=2)


@pytest.mark.parametrize("name", ["operator power", "weight norm", "orthogonal polar", "orthogonal operator qr"])
def test_stacked_seeds_compute_what_single_networks_do(name):
    networks = [HARD[name][0](critic(seed)).double() for seed in range(2)]
    x = torch.randn(3, *SHAPE, dtype=torch.float64)
    expected = torch.stack([network.eval()(x) for network in networks])
    parameters, buffers = stack_module_state(networks)
    got = vmap(lambda p, b: functional_call(networks[0], (p, b), (x,)))(parameters, buffers)
    assert torch.allclose(got, expected, atol=1e-9)


@pytest.mark.parametrize("gain", [False, True])
def test_gains_of_weight_and_frobenius_norm_start_where_nothing_changes(gain):
    for constrain in (constraints.weight_norm, constraints.frobenius_norm):
        network = critic()
        x = torch.randn(2, *SHAPE)
        before = network(x)
        constrain(network, gain=gain)
        assert torch.allclose(network(x), before, atol=1e-6) == gain


def test_orthogonal_starts_at_the_polar_factor_and_keeps_an_orthogonal_weight():
    layer = nn.Linear(6, 4)
    raw = layer.weight.detach().double()
    constraints.orthogonal(layer)
    U, _, Vh = torch.linalg.svd(raw, full_matrices=False)
    assert torch.allclose(layer.weight.double(), U @ Vh, atol=1e-6)
    for by in ("polar", "bjorck", "cayley"):
        layer = constraints.orthogonal(nn.Linear(6, 4), by)
        layer.weight = (U @ Vh).float()
        assert torch.allclose(layer.weight.double(), U @ Vh, atol=1e-5)


OPERATORS = [
    (nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), (3, 6, 6), True),
    (nn.Conv2d(8, 3, 3, padding=1, padding_mode="circular"), (8, 6, 6), True),
    (nn.Conv2d(3, 16, 4, 2, 1, padding_mode="circular"), (3, 8, 8), True),
    (nn.Conv2d(8, 4, 4, 2, 1, padding_mode="circular"), (8, 8, 8), True),
    (nn.Conv2d(4, 20, 3, 2, 1, padding_mode="circular"), (4, 8, 8), True),
    (nn.Conv2d(3, 8, 6, 2, 2, padding_mode="circular"), (3, 8, 8), True),
    (nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2, padding_mode="circular"), (4, 6, 6), True),
    (nn.Conv2d(4, 8, (3, 1), padding=(1, 0), padding_mode="circular"), (4, 6, 5), True),
    (nn.Conv1d(2, 4, 5, padding=2, padding_mode="circular"), (2, 9), True),
    (nn.Conv3d(2, 3, 3, padding=1, padding_mode="circular"), (2, 4, 4, 4), True),
    (nn.Conv2d(3, 8, 4, padding="same", padding_mode="circular"), (3, 6, 6), True),
    (nn.Conv2d(3, 8, 5, 3, 2, padding_mode="circular"), (3, 9, 9), True),
    (nn.Conv2d(3, 8, 3, 3, dilation=2, padding=1, padding_mode="circular"), (3, 9, 9), True),
    (nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular"), (1, 6, 6), True),
    (nn.Conv2d(3, 12, 2, 2), (3, 6, 6), True),
    (nn.ConvTranspose2d(8, 2, 2, 2), (8, 4, 4), True),
    (nn.Linear(5, 3), (5,), True),
    (nn.Conv2d(3, 8, 3, padding=1), (3, 6, 6), False),
    (nn.Conv2d(3, 8, 4, 2, 1), (3, 8, 8), False),
    (nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), (3, 6, 6), False),
    (nn.Conv2d(3, 8, 3, padding=1, padding_mode="replicate"), (3, 6, 6), False),
    (nn.Conv2d(3, 8, 2, padding=1, padding_mode="circular"), (3, 6, 6), False),
    (nn.ConvTranspose2d(8, 3, 4, 2, 1), (8, 4, 4), False),
]


@pytest.mark.parametrize("case", range(len(OPERATORS)))
def test_orthogonal_convolutions_are_orthogonal_as_dense_matrices_and_say_so(case):
    template, shape, orthogonal = OPERATORS[case]
    layer = copy.deepcopy(template).double()
    constraints.orthogonal(layer, norm="operator", input_shape=shape, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in layer.parametrizations.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1), dtype=p.dtype))
    values = torch.linalg.svdvals(linear_map(layer, shape).matrix(layer.weight.detach()))
    assert values.max() <= 1 + 1e-6
    said = constraints.constrained_layers(layer)[""]
    if orthogonal:
        assert (values - 1).abs().max() <= 1e-6
        assert "1-Lipschitz" not in said
    else:
        assert "1-Lipschitz" in said
        assert values.max() > 0.4


def test_stride_sharing_a_factor_with_dilation_is_refused():
    with pytest.raises(ValueError, match="common factor"):
        constraints.orthogonal(nn.Conv2d(2, 2, 3, stride=2, dilation=2), norm="operator")


@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_projection_clips_the_singular_values_and_nothing_else(epsilon):
    network = critic().double()
    raw = [layer.weight.detach().clone() for layer in find_layers(network).values()]
    constraints.bound_singular_values_(network, epsilon)
    for layer, before in zip(find_layers(network).values(), raw, strict=True):
        U, S, Vh = torch.linalg.svd(before.reshape(before.shape[0], -1), full_matrices=False)
        expected = (U * S.clamp(1 / (1 + epsilon), 1 + epsilon)) @ Vh
        assert torch.allclose(layer.weight.reshape(before.shape[0], -1), expected, atol=1e-9)


def test_projection_acts_on_multiples_of_every_and_asks_for_the_step():
    network = critic()
    raw = network[0].weight.detach().clone()
    with pytest.raises(ValueError, match="step"):
        constraints.bound_singular_values_(network, every=10)
    constraints.bound_singular_values_(network, every=10, step=7)
    assert torch.equal(network[0].weight, raw)
    constraints.bound_singular_values_(network, every=10, step=20)
    assert not torch.equal(network[0].weight, raw)


@pytest.mark.parametrize(("by", "tolerance"), [("svd", 1e-6), ("one_step", 5e-3)])
def test_projected_training_stays_orthogonal(by, tolerance):
    network = constraints.bound_singular_values_(critic(), 0.0)
    train(network, after=lambda network, step: constraints.bound_singular_values_(network, 0.0, by=by))
    assert max((v - 1).abs().max().item() for v in kernel_values(network)) <= tolerance


@pytest.mark.parametrize("form", ["gram", "off_diagonal", "srip", "mutual_coherence"])
def test_soft_forms_vanish_on_orthogonal_weights_and_pull_towards_them(form):
    rng = torch.Generator().manual_seed(0)
    network = critic().double()
    with torch.no_grad():
        for layer in find_layers(network).values():
            layer.weight.mul_(3)

    def defect() -> float:
        return max((v - 1).abs().max().item() for v in kernel_values(network)[:2])

    start = soft_orthogonality(network, form=form, rng=rng)
    assert start > 0
    optimiser = torch.optim.SGD(network.parameters(), 1e-3)
    begun = defect()
    for _ in range(300):
        optimiser.zero_grad()
        soft_orthogonality(network, form=form, rng=rng, weight=1.0).backward()
        optimiser.step()
    assert soft_orthogonality(network, form=form, rng=rng) < (0.6 if form == "mutual_coherence" else 0.2) * start
    if form == "gram":
        assert defect() < 0.1 < begun
    constraints.bound_singular_values_(network, 0.0)
    assert soft_orthogonality(network, form=form, rng=rng).item() == pytest.approx(0, abs=1e-9)


def test_soft_forms_are_their_formulas():
    layer = nn.Linear(3, 5).double()
    W = layer.weight.detach()
    G = W.T @ W
    off = G - torch.diag(torch.diagonal(G))
    eye = torch.eye(3, dtype=torch.float64)
    assert soft_orthogonality(layer, weight=2.0).item() == pytest.approx(2 * (G - eye).square().sum().item())
    assert soft_orthogonality(layer, weight=1.0, form="off_diagonal").item() == pytest.approx(off.square().sum().item())
    assert soft_orthogonality(layer, weight=1.0, form="mutual_coherence").item() == pytest.approx(
        off.abs().max().item()
    )
    best = torch.linalg.eigvalsh(G - eye).abs().max().item() ** 2
    tries = [
        soft_orthogonality(layer, weight=1.0, form="srip", rng=torch.Generator().manual_seed(i)).item()
        for i in range(30)
    ]
    assert max(tries) <= best * (1 + 1e-12)
    assert max(tries) >= 0.98 * best
    wide = nn.Linear(5, 3).double()
    with torch.no_grad():
        wide.weight.copy_(W.T)
    assert soft_orthogonality(wide).item() == pytest.approx(soft_orthogonality(layer).item())
    with pytest.raises(ValueError, match="form"):
        soft_orthogonality(layer, form="nothing")
