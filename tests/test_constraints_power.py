"""The power iteration where it used to lose the norm: zero, changed and grouped weights, transforms, NaN."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.autograd.forward_ad as forward_mode
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from constraint_cases import block_diagonal
from tightrope import constraints
from tightrope.autodiff import frozen_constraints
from tightrope.constraints._normalise import fingerprint
from tightrope.constraints._power import advance
from tightrope.layers.kernel import kernel_shape


def original(layer: nn.Module) -> Tensor:
    return layer.get_parameter("parametrizations.weight.original")


def norm_of(layer: nn.Module) -> float:
    return torch.linalg.matrix_norm(layer.weight.detach().float().flatten(1), 2).item()


@pytest.mark.parametrize("update", ["optimizer_step", "forward"])
@pytest.mark.parametrize("from_the_start", [False, True])
def test_zero_weight_stays_finite_and_recovers(update, from_the_start):
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    if from_the_start:
        nn.init.zeros_(layer.weight)
    constraints.spectral_norm(layer, update=update)
    raw = layer.parametrizations.weight.original
    with torch.no_grad():
        raw.zero_()
    (gradient,) = torch.autograd.grad(layer.weight.sum(), raw)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        raw.copy_(torch.diag(torch.tensor([3.0, 1.0, 0.5])))
    for _ in range(30):
        assert torch.isfinite(layer.weight).all()
        raw.data.mul_(1.0001)
    layer.eval()
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("always", [False, True])
def test_under_vmap_only_the_due_vectors_advance_and_a_zero_weight_keeps_its_own(always):
    of, ones = kernel_shape(nn.Linear(3, 2)), torch.ones(2, 3)
    weights = torch.stack([torch.zeros(2, 3), ones, ones])  # zero, changed, seen before
    u, v = torch.eye(2)[[0, 1, 0]], torch.eye(3)
    seen = torch.stack([torch.tensor(7), torch.tensor(7), fingerprint(ones).long()])
    new_u, new_v = vmap(lambda *state: advance(of, *state, 1, always))(weights, u, v, seen)
    assert torch.equal(u, new_u) and torch.equal(v, new_v), "the buffers hold what was returned"
    assert torch.equal(u[0], torch.tensor([1.0, 0.0])) and torch.equal(v[0], torch.tensor([1.0, 0.0, 0.0]))
    advanced = (torch.full((2,), 0.5**0.5), torch.full((3,), 3**-0.5))
    assert torch.allclose(u[1], advanced[0]) and torch.allclose(v[1], advanced[1])
    assert torch.allclose(v[2], advanced[1] if always else torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_zero_layer_trains_by_plain_gradient_descent(dtype):
    torch.manual_seed(0)
    layer = nn.Linear(6, 4).to(dtype)
    nn.init.zeros_(layer.weight)
    constraints.spectral_norm(layer)
    x = torch.randn(32, 6).to(dtype)
    y = x[:, :4]
    first = nn.functional.mse_loss(layer(x), y)
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    for step in range(50):
        optimiser.zero_grad()
        nn.functional.mse_loss(layer(x), y).backward()
        assert original(layer).grad.abs().max() < 1e4, f"step {step}"
        optimiser.step()
    assert nn.functional.mse_loss(layer(x), y) < first
    assert norm_of(layer) == pytest.approx(1, abs=0.02)


def test_the_functional_gradient_at_zero_is_that_of_the_weight_itself():
    torch.manual_seed(0)
    layer = nn.Linear(6, 4)
    nn.init.zeros_(layer.weight)
    constraints.spectral_norm(layer)
    direction = torch.randn(4, 6)
    got = grad(lambda w: (layer.parametrizations.weight[0](w) * direction).sum())(torch.zeros(4, 6))
    assert torch.allclose(got, direction)


def test_a_weight_that_was_not_a_number_leaves_no_trace():
    torch.manual_seed(0)
    layer = constraints.spectral_norm(nn.Linear(6, 4))
    good, before = original(layer).detach().clone(), layer.weight.detach().clone()
    with torch.no_grad():
        original(layer)[0, 0] = torch.nan
    assert not torch.isfinite(layer.weight).all()
    with torch.no_grad():
        original(layer).copy_(good)
    assert torch.allclose(layer.weight, before, atol=1e-3)


@pytest.mark.parametrize("change", ["sign", "rows"])
def test_changes_that_the_fingerprint_cannot_see_keep_the_norm(change):
    torch.manual_seed(0)
    layer = constraints.spectral_norm(nn.Linear(6, 4), warmup=200)
    raw = original(layer)
    with torch.no_grad():
        raw.copy_(-raw if change == "sign" else raw[[1, 0, 3, 2]])
    assert norm_of(layer) < (1.001 if change == "sign" else 2.001), "at worst by the cosine that counts as stale"
    with torch.no_grad():
        raw.mul_(1.01)
    assert norm_of(layer) == pytest.approx(1, rel=0.02)


def test_every_group_notices_a_change_of_sign():
    torch.manual_seed(0)
    layer = constraints.spectral_norm(nn.Conv2d(4, 4, 3, groups=2, bias=False), warmup=200).eval()
    before = layer.weight.detach().clone()
    original(layer).data.neg_()
    assert torch.allclose(layer.weight, -before, atol=1e-5)


@pytest.mark.parametrize("how", ["assigned", "loaded"])
def test_a_new_weight_in_evaluation_mode_is_not_divided_by_a_stale_sigma(how):
    for seed in range(10):
        torch.manual_seed(seed)
        layer, other = (constraints.spectral_norm(nn.Linear(6, 4)).eval() for _ in range(2))
        if how == "assigned":
            layer.weight = torch.randn(4, 6)
            assert norm_of(layer) == pytest.approx(1, rel=0.02), "assigning is the time to find new vectors"
        else:
            layer.load_state_dict(dict(other.named_parameters()), strict=False)
            assert norm_of(layer) == pytest.approx(1, rel=1e-6), "new vectors, since the old are another weight's"


@pytest.mark.parametrize("norm", ["kernel", "operator"])
@pytest.mark.parametrize("kind", ["conv", "transposed", "depthwise"])
def test_every_group_keeps_its_vectors_and_the_largest_decides(kind, norm):
    torch.manual_seed(0)
    layer: nn.Module = {
        "conv": nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
        "transposed": nn.ConvTranspose2d(4, 6, 3, padding=1, groups=2, bias=False),
        "depthwise": nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
    }[kind]
    shape = (4, 6, 6)
    plain = copy.deepcopy(layer)
    constraints.spectral_norm(layer, norm=norm, input_shape=shape if norm == "operator" else None)
    raw = original(layer)
    half = len(raw) // 2

    def train(steps):
        for _ in range(steps):
            with torch.no_grad():
                raw.add_(1e-4 * torch.randn_like(raw))
            layer(torch.zeros(1, *shape))

    def sigma():
        plain.weight.data.copy_(layer.weight)
        if norm == "kernel":
            return torch.linalg.matrix_norm(block_diagonal(plain), 2).item()
        basis = torch.eye(4 * 36).reshape(-1, *shape)
        return torch.linalg.matrix_norm(plain(basis).flatten(1), 2).item()

    with torch.no_grad():
        raw[:half] *= 5
    train(100)
    assert sigma() == pytest.approx(1, rel=0.02)
    with torch.no_grad():
        raw[half:] *= 25
    train(100)
    assert sigma() == pytest.approx(1, rel=0.02)
    with torch.no_grad():
        raw[:half] = 0
    train(100)
    assert sigma() == pytest.approx(1, rel=0.02)


def test_training_by_functional_gradients_holds_the_norm():
    torch.manual_seed(0)
    network = constraints.spectral_norm(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)))
    x, y = torch.randn(64, 8) + 0.5, torch.randn(64, 8)

    def loss(parameters):
        return functional_call(network, parameters, (y,)).mean() - functional_call(network, parameters, (x,)).mean()

    twin = copy.deepcopy(network)
    for _ in range(300):
        gradients = grad(loss)({name: p.detach() for name, p in network.named_parameters()})
        twin.zero_grad()
        (twin(y).mean() - twin(x).mean()).backward()
        with torch.no_grad():
            for (name, p), q in zip(network.named_parameters(), twin.parameters(), strict=True):
                assert torch.allclose(gradients[name], q.grad, rtol=1e-3, atol=1e-5)
                p -= 1e-3 * gradients[name].sign()
                q.copy_(p)
    network.eval()
    assert norm_of(network[0]) == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize("norm", ["kernel", "operator"])
def test_forward_over_reverse_is_the_hessian_product(norm):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3).double()
    constraints.spectral_norm(layer, norm=norm, input_shape=(2, 5, 5) if norm == "operator" else None)
    module, W = layer.parametrizations.weight[0], original(layer).detach()
    tangent = torch.randn_like(W)

    def f(w):
        return module(w).pow(3).sum()

    with frozen_constraints(), forward_mode.dual_level():
        w = W.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(f(forward_mode.make_dual(w, tangent)), w)
        got = forward_mode.unpack_dual(gradient).tangent
    with frozen_constraints():  # the vectors are constants of the Hessian product
        slope = [torch.func.grad(f)(W + sign * 1e-5 * tangent) for sign in (1, -1)]
    assert torch.allclose(got, (slope[0] - slope[1]) / 2e-5, rtol=1e-5, atol=1e-5 * got.abs().max().item())


def test_batched_gradients_and_vectorised_jacobians():
    torch.manual_seed(0)
    layer = constraints.spectral_norm(nn.Linear(6, 4))
    y, raw, rows = layer(torch.randn(1, 6)), original(layer), torch.eye(4)[:, None]
    (got,) = torch.autograd.grad(y, raw, rows, is_grads_batched=True, retain_graph=True)
    expected = [torch.autograd.grad(y, raw, row, retain_graph=True)[0] for row in rows]
    assert torch.allclose(got, torch.stack(expected), atol=1e-6)


def test_a_network_in_evaluation_mode_can_be_traced():
    torch.manual_seed(0)
    network = constraints.spectral_norm(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1))).eval()
    x = torch.randn(3, 6)
    traced = torch.jit.trace(network, x)
    assert torch.allclose(traced(x), network(x), atol=1e-6)
