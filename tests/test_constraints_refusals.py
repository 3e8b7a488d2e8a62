"""What constraints refuse instead of doing something else silently, and that they say it in one sentence."""

from __future__ import annotations

import itertools
import math
import random
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tightrope import constraints, spectra
from tightrope._plumbing.errors import UserError
from tightrope.layers.linear_map import linear_map
from tightrope.methods import build
from tightrope.penalties.orthogonality import soft_orthogonality

PARAMETRISATIONS = {
    "spectral": constraints.spectral_norm,
    "orthogonal": constraints.orthogonal,
    "weight norm": constraints.weight_norm,
    "frobenius norm": constraints.frobenius_norm,
}
NAN = math.nan


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))


def images() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(64, 1))


def values(layer: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.linalg.svdvals(linear_map(layer, shape).matrix(layer.weight.detach()))


def dense(layer: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """Singular values of what the layer really does, by its response to every unit vector."""
    identity = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    return torch.linalg.svdvals(layer(identity).detach().flatten(1))


# ------------------------------------------------------------------------------------ orthogonal at the size it meets


def sweep(convolution: type[nn.Module], axes: int, mode: str):
    rng = random.Random(0)  # every second geometry, and one of three shapes of the kernel
    for stride, kernel, dilation, padding, size in itertools.product(
        (1, 2, 3), range(1, 6), (1, 2), (0, 1, 2), range(3, 9)
    ):
        if kernel > 1 and math.gcd(stride, dilation) > 1:
            continue  # refused, as another test says
        fits = size + 2 * padding >= dilation * (kernel - 1) + 1
        if not fits or (mode == "reflect" and padding >= size) or (axes == 2 and (dilation == 2 or size in (5, 8))):
            continue
        if rng.random() < 0.5:
            continue
        channels = rng.choice(((2, 4), (4, 2), (1, 10)))
        options = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": mode, "bias": False}
        yield convolution(*channels, kernel, **options).double(), (channels[0], *(size,) * axes)


@pytest.mark.parametrize(
    ("convolution", "mode"),
    [(nn.Conv1d, "circular"), (nn.Conv1d, "zeros"), (nn.Conv1d, "reflect"), (nn.Conv2d, "circular")],
)
def test_an_orthogonal_convolution_is_never_above_one_and_orthogonal_wherever_it_says_so(convolution, mode):
    torch.manual_seed(0)
    said = 0
    for layer, shape in sweep(convolution, 1 if convolution is nn.Conv1d else 2, mode):
        constraints.orthogonal(layer, norm="operator", input_shape=shape)
        found = dense(layer, shape)
        assert found.max() <= 1 + 1e-9, (layer, shape)
        if "1-Lipschitz" not in constraints.constrained_layers(layer)[""]:
            said += 1
            assert (found - 1).abs().max() <= 1e-9, (layer, shape)
    assert said >= 20


def test_circular_padding_with_a_stride_needs_the_size_that_decides():
    def layer(**options: object) -> nn.Conv2d:
        torch.manual_seed(0)
        return nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular", **options).double()

    network = nn.Sequential(layer(stride=2))
    with pytest.raises(ValueError, match=r"input_shape for layer '0'.*stride divides"):
        constraints.orthogonal(network, norm="operator")
    assert constraints.constrained_layers(network) == {}, "a refusal must leave nothing half done"
    for size, orthogonal in ((5, False), (6, True)):
        one = constraints.orthogonal(layer(stride=2), norm="operator", input_shape=(2, size, size))
        assert ("1-Lipschitz" not in constraints.constrained_layers(one)[""]) == orthogonal
        assert bool((values(one, (2, size, size)) - 1).abs().max() < 1e-9) == orthogonal
        assert values(one, (2, size, size)).max() <= 1 + 1e-9
    unit_stride = constraints.orthogonal(layer(), norm="operator")
    assert (values(unit_stride, (2, 5, 5)) - 1).abs().max() < 1e-9


def test_tall_patches_that_leave_cells_unread_are_not_called_orthogonal():
    for shape, whole in (((1, 6, 6), True), ((1, 5, 5), False)):
        layer = nn.Conv2d(1, 6, 2, 2).double()
        constraints.orthogonal(layer, norm="operator", input_shape=shape)
        assert bool((values(layer, shape) - 1).abs().max() < 1e-9) == whole
        assert ("1-Lipschitz" not in constraints.constrained_layers(layer)[""]) == whole


# --------------------------------------------------------------------------------------------------- shared weights


def tied() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False), nn.Linear(4, 1))
    network[2].weight = network[0].weight
    return network


@pytest.mark.parametrize("name", list(PARAMETRISATIONS))
def test_a_weight_of_two_modules_is_refused_and_one_module_used_twice_is_not(name):
    constrain = PARAMETRISATIONS[name]
    with pytest.raises(ValueError, match=r"shared by '0' and '2'.*skip"):
        constrain(tied())
    with pytest.raises(ValueError, match="shared by '0' and '2'"):  # else `remove` would change the skipped one
        constrain(tied(), skip=("2",))
    assert list(constraints.constrained_layers(constrain(tied(), skip=("0", "2")))) == ["3"]
    with pytest.raises(ValueError, match="shared"):
        constrain(nn.Sequential(nn.Embedding(5, 4), tied_to(nn.Linear(4, 5, bias=False))))

    shared = nn.Linear(4, 4, bias=False)
    network = constrain(nn.Sequential(shared, nn.Tanh(), shared)).eval()
    x = torch.randn(3, 4)
    expected = network(x)
    assert torch.equal(constraints.export(network)(x), expected)
    assert torch.equal(constraints.remove(network)(x), expected)


def tied_to(layer: nn.Linear) -> nn.Sequential:
    other = nn.Linear(4, 5, bias=False)
    other.weight = layer.weight
    return nn.Sequential(layer, other)


def test_a_projection_takes_a_shared_weight_once_and_refuses_two_layers_of_it():
    with pytest.raises(ValueError, match="shared"):
        constraints.bound_singular_values_(tied())
    network = constraints.bound_singular_values_(tied(), 0.0, skip=("2",))
    assert (spectra.kernel_singular_values(network[2]) - 1).abs().max() < 1e-5


# ------------------------------------------------------------------------------------------- removal and optimisers


@pytest.mark.parametrize("name", list(PARAMETRISATIONS))
def test_an_optimiser_goes_on_after_removal_where_the_weight_keeps_its_parameter(name):
    network = PARAMETRISATIONS[name](net())
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    constraints.remove(network)
    before = network[0].weight.detach().clone()
    network(torch.ones(2, 4)).sum().backward()
    optimiser.step()
    assert not torch.equal(network[0].weight, before)


def test_removal_says_where_a_weight_is_a_new_parameter():
    network = constraints.orthogonal(images(), norm="operator")
    x = torch.randn(2, 2, 6, 6)
    expected = network(x)
    linear = network[2].parametrizations.weight.original
    assert torch.equal(constraints.export(network)(x), expected), "a copy has no optimiser, and nothing is said"
    with pytest.warns(UserWarning, match="weights of '0' are new parameters.*new optimiser"):
        constraints.remove(network)
    assert network[2].weight is linear
    assert torch.equal(network(x), expected)


# ------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (partial(constraints.clip_weights_, layers="convolution"), "layers='all' or 'convolutions'"),
        (partial(constraints.clip_weights_, bound=NAN), "positive bound"),
        (partial(constraints.bound_singular_values_, by="onestep"), "by='svd' or 'one_step'"),
        (partial(constraints.bound_singular_values_, epsilon=NAN), "epsilon"),
        (partial(constraints.bound_singular_values_, epsilon=math.inf), "epsilon"),
        (partial(constraints.bound_singular_values_, epsilon=-0.1), "epsilon"),
        (partial(constraints.bound_singular_values_, every=1.5), "every"),
        *((partial(constraints.orthogonal, bound=b), "positive bound") for b in (0, -1, NAN, math.inf)),
        *((partial(constraints.spectral_norm, bound=b), "positive bound") for b in (0, -1, NAN, math.inf)),
        (partial(constraints.spectral_norm, steps=1.5), "steps >= 1"),
        (partial(constraints.spectral_norm, steps=0), "steps >= 1"),
        (partial(constraints.spectral_norm, warmup=-1), "warmup >= 0"),
        (partial(constraints.spectral_norm, update="always"), "update="),
        (partial(constraints.spectral_norm, norm="frobenius"), "norm="),
        (partial(constraints.orthogonal, norm="frobenius"), "norm="),
    ],
)
def test_options_out_of_range_are_refused(call, match):
    network = net()
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.raises(ValueError, match=match):
        call(network)
    assert constraints.constrained_layers(network) == {}
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))


@pytest.mark.parametrize("constrain", [constraints.spectral_norm, constraints.orthogonal])
def test_a_seed_is_no_generator(constrain):
    with pytest.raises(TypeError, match=r"torch\.Generator, got 7"):
        constrain(net(), rng=7)


def test_one_name_to_skip_needs_no_tuple():
    network = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    assert list(constraints.constrained_layers(constraints.spectral_norm(network, skip="head"))) == ["body"]
    assert soft_orthogonality(constraints.remove(network), skip="head") > 0
    with pytest.raises(TypeError, match="names of submodules in `skip`, got 5"):
        constraints.spectral_norm(network, skip=5)


@pytest.mark.parametrize(
    ("shape", "error", "match"),
    [
        (8, TypeError, "tuple of whole numbers, got 8"),
        ("2,6,6", TypeError, "tuple of whole numbers"),
        ((2, 6.0, 6), TypeError, "tuple of whole numbers"),
        ((), ValueError, "positive sizes"),
        ((2, 6, -1), ValueError, "positive sizes"),
        ((3, 6, 6), ValueError, r"called with, got \(3, 6, 6\).*one sample, without the batch"),
        ((2, 9, 9), ValueError, r"called with, got \(2, 9, 9\)"),
    ],
)
@pytest.mark.parametrize("constrain", [constraints.spectral_norm, constraints.orthogonal])
def test_input_shapes_that_are_none_or_do_not_fit_are_refused(constrain, shape, error, match):
    with pytest.raises(error, match=match):
        constrain(images(), norm="operator", input_shape=shape)
    constrain(images(), norm="operator", input_shape=[2, 6, 6])


@pytest.mark.parametrize(
    "options",
    [
        {"way": "soft", "by": "qr"},
        {"way": "svd", "norm": "operator"},
        {"way": "hard", "epsilon": 0.3},
        {"way": "hard", "every": 4},
        {"way": "hard", "weight": 1.0},
        {"way": "svd", "form": "srip"},
        {"way": "svd", "epsilon": -1},
        {"way": "svd", "epsilon": NAN},
        {"way": "soft", "projection": "one_step"},
        {"way": "svd", "projection": "one_step", "epsilon": 0.2},
        {"way": "svd", "projection": "two_steps"},
    ],
)
def test_orthogonal_wgan_refuses_options_that_its_way_does_not_read(options):
    with pytest.raises(UserError, match=list(options)[-1]):
        build("orthogonal_wgan", **options)


@pytest.mark.parametrize("way", ["hard", "soft", "svd"])
def test_orthogonal_wgan_takes_the_defaults_that_a_run_folder_keeps(way):
    method = build("orthogonal_wgan", way=way)
    assert build("orthogonal_wgan", **method.hyperparameters).hyperparameters == method.hyperparameters


def test_orthogonal_wgan_reaches_the_one_step_projection():
    method = build("orthogonal_wgan", way="svd", projection="one_step", every=3)
    assert method.projection.every == 3
    network = net()
    with torch.no_grad():
        network[0].weight.mul_(20)  # from where one step alone would diverge
    method.constraint(network, (4,))
    start = network[0].weight.detach().clone()
    with torch.no_grad():
        network[0].weight.add_(0.003 * torch.randn(4, 4))
    moved = network[0].weight.detach().clone()
    method.projection(network)
    assert torch.allclose(network[0].weight, 1.5 * moved - 0.5 * moved @ moved.T @ moved, atol=1e-6)
    for weight in (start, network[0].weight.detach()):
        assert (torch.linalg.svdvals(weight) - 1).abs().max() < 1e-3


# --------------------------------------------------------------------------- networks on which it would do nothing


@pytest.mark.parametrize("name", [*PARAMETRISATIONS, "torch"])
def test_clipping_refuses_weights_that_are_computed(name):
    network = images()
    if name == "torch":
        parametrizations.weight_norm(network[0])
    else:
        PARAMETRISATIONS[name](network)
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.raises(ValueError, match=r"plain weights, got '0' already constrained.*remove"):
        constraints.clip_weights_(network, 0.01)
    with pytest.raises(ValueError, match="already constrained"):
        constraints.clip_weights_(network, 0.01, layers="convolutions")
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))


def test_clipping_convolutions_minds_no_constraint_on_other_layers():
    network = images()
    constraints.spectral_norm(network[2])
    constraints.clip_weights_(network, 0.01, layers="convolutions")
    assert network[0].weight.abs().max() <= 0.01


@pytest.mark.parametrize(
    "call",
    [
        *(partial(constraints.orthogonal, by=by) for by in ("polar", "bjorck", "qr", "cayley")),
        partial(constraints.orthogonal, norm="operator"),
        constraints.spectral_norm,
        partial(constraints.spectral_norm, exact=True, gain=True),
        constraints.weight_norm,
        constraints.frobenius_norm,
    ],
)
@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_weights_that_are_not_finite_are_named(call, bad):
    network = net()
    with torch.no_grad():
        network[2].weight[0, 1] = bad
    with pytest.raises(ValueError, match="finite weights, got '2'"):
        call(network)
    assert constraints.constrained_layers(network) == {}


def test_a_projection_that_fails_names_the_weight_that_is_not_finite():
    network = net()
    with torch.no_grad():
        network[0].weight[0, 1] = NAN
    with pytest.raises(ValueError, match="finite weights, got '0'"):
        constraints.bound_singular_values_(network)


@pytest.mark.parametrize("name", list(PARAMETRISATIONS))
def test_an_embedding_with_sparse_gradients_is_refused(name):
    def network(sparse: bool) -> nn.Sequential:
        return nn.Sequential(nn.Embedding(5, 4, sparse=sparse), nn.Linear(4, 1))

    with pytest.raises(ValueError, match="Embedding '0' with sparse=True"):
        PARAMETRISATIONS[name](network(True))
    PARAMETRISATIONS[name](network(False))
    constraints.bound_singular_values_(network(True))  # writes into the weight, and needs no gradient
