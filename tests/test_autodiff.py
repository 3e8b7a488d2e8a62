"""Input gradients, per-sample norms, functional transforms, and the guard that leaves no trace."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from tightrope import autodiff, losses, penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered, differentiable, frozen, gradient_norm, input_gradient, undisturbed


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth_critic(seed: int = 0, d: int = 3) -> nn.Module:
    net = nn.Sequential(nn.Linear(d, 5), nn.Tanh(), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(0.7 * normal(*p.shape, seed=100 * seed + i))
    return net


# ------------------------------------------------------------------------------------------------ norms and sums


def test_norms_run_over_all_axes_of_a_sample():
    x = normal(4, 2, 3, 5)
    for i, sample in enumerate(x.flatten(1).tolist()):
        total = sum(v * v for v in sample)
        assert autodiff.squared_norm(x)[i].item() == pytest.approx(total, rel=1e-13)
        assert autodiff.norm(x)[i].item() == pytest.approx(total**0.5, rel=1e-13)
    assert autodiff.norm(x).shape == autodiff.squared_norm(x).shape == (4,)
    zero = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(autodiff.norm(zero).sum(), zero)
    assert torch.equal(g, torch.zeros(2, 3))


def test_scores_of_a_sample_are_summed_in_single_precision_or_better():
    s = normal(3, 2, 4)
    assert autodiff.per_sample(s).tolist() == pytest.approx([sum(v) for v in s.flatten(1).tolist()], rel=1e-13)
    assert torch.equal(autodiff.per_sample(s[:, 0, 0]), s[:, 0, 0])
    many = torch.ones(2, 1000, dtype=torch.bfloat16)  # bfloat16 cannot count beyond 256
    assert autodiff.per_sample(many).dtype == torch.float32
    assert autodiff.per_sample(many).tolist() == [1000.0, 1000.0]
    assert autodiff.per_sample(s).dtype == torch.float64


def test_gradient_norm_is_global_and_skips_parameters_without_a_gradient():
    a, b, c = (torch.zeros(2, 2, requires_grad=True) for _ in range(3))
    a.grad, b.grad = torch.full((2, 2), 2.0), torch.full((2, 2), -1.5)
    assert gradient_norm([a, b, c]).item() == pytest.approx(5.0)  # sqrt(4 * 4 + 4 * 2.25)
    assert gradient_norm([a, b]).shape == ()
    assert gradient_norm([c]).item() == 0.0


# -------------------------------------------------------------------------------------------------- input gradients


def test_input_gradient_of_a_network_equals_numerical_differentiation():
    critic, x, h = smooth_critic(), normal(4, 3, seed=1), 1e-6
    g = input_gradient(critic, x)
    for i in range(4):
        for j in range(3):
            step = torch.zeros_like(x)
            step[i, j] = h
            slope = (critic(x + step)[i] - critic(x - step)[i]).item() / (2 * h)
            assert g[i, j].item() == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert g.requires_grad and not input_gradient(critic, x, create_graph=False).requires_grad
    assert not x.requires_grad and x.grad is None
    assert all(p.grad is None for p in critic.parameters())


def test_an_input_gradient_asked_for_under_no_grad_is_not_silently_zero():
    critic, x = smooth_critic(), normal(4, 3, seed=1)
    expected = input_gradient(critic, x).detach()
    with torch.no_grad():  # where people call diagnostics
        assert torch.allclose(input_gradient(critic, x, create_graph=False), expected)


def test_scores_that_do_not_depend_on_the_samples_are_refused_and_a_gradient_of_zero_is_not():
    bias, x, net = torch.tensor(2.0, dtype=torch.float64, requires_grad=True), normal(3, 2), smooth_critic(d=2)

    def without_grad(x: Tensor) -> Tensor:
        with torch.no_grad():
            return net(x)

    no_way_back = {
        "constant": lambda x: bias.expand(len(x)),
        "detached samples": lambda x: net(x.detach()),
        "detached scores": lambda x: net(x).detach(),
        "detached part": lambda x: net[1:](net[:1](x).detach()),
        "no_grad": without_grad,
        "one of two": lambda x: [net(x), bias.expand(len(x))],
    }
    for name, critic in no_way_back.items():
        for penalty in (penalties.r1, penalties.r2, penalties.gradient_penalty):
            with pytest.raises(UserError, match="depend on the samples"):
                penalty(critic, x, x)
            assert name
    first_only = nn.Linear(2, 1).double()
    with torch.no_grad():
        first_only.weight.zero_()
    assert torch.equal(input_gradient(first_only, x), torch.zeros(3, 2))  # zero weights
    assert penalties.gradient_penalty(first_only, x, x, weight=3.0, target=2.0).item() == 12.0
    unused = input_gradient(lambda x: x[:, 0], x)  # an input that nothing reads
    assert torch.equal(unused, torch.tensor([[1.0, 0.0]]).double().expand(3, 2))
    frozen_net = smooth_critic(d=2).requires_grad_(False)
    assert torch.allclose(input_gradient(frozen_net, x), input_gradient(smooth_critic(d=2), x))


def test_leaves_are_used_as_they_are_and_everything_else_is_detached():
    leaf, plain = normal(2, 3).requires_grad_(), normal(2, 3)
    assert differentiable(leaf) is leaf
    for x in (plain, 2 * leaf):
        y = differentiable(x)
        assert y is not x and y.is_leaf and y.requires_grad and torch.equal(y, x)
    assert not plain.requires_grad


def test_remembered_outputs_are_told_apart_by_identity():
    calls, critic = [], smooth_critic()

    def counted(x: Tensor) -> Tensor:
        calls.append(x)
        return critic(x)

    scored, x = Remembered(counted), normal(2, 3)
    same = x.clone()
    first = scored(x)
    assert scored(x) is first and len(calls) == 1
    assert torch.equal(scored(same), first) and len(calls) == 2
    for k in range(20):  # short-lived tensors, whose addresses are handed out again
        y = normal(2, 3, seed=k)
        assert torch.equal(scored(y), critic(y))


def test_functional_transforms_give_the_eager_values_and_gradients():
    """Many critics at once by vmap, and the gradient of a loss that contains a penalty by torch.func.grad."""
    critics = [smooth_critic(s) for s in range(3)]
    parameters, _ = stack_module_state(critics)
    skeleton = copy.deepcopy(critics[0])
    real, fake = normal(5, 3, seed=1), normal(5, 3, seed=2)
    cases = {  # at real == fake the interpolates do not depend on the draw
        "two-sided": lambda c: penalties.gradient_penalty(c, real, real, target=0.5),
        "one-sided": lambda c: penalties.gradient_penalty(c, real, real, target=0.1, one_sided=True),
        "r1": lambda c: penalties.r1(c, real, fake, gamma=0.7),
        "r2": lambda c: penalties.r2(c, real, fake, gamma=0.7),
    }
    for name, penalty in cases.items():

        def loss(p: dict[str, Tensor], penalty=penalty) -> Tensor:
            stateless = partial(functional_call, skeleton, p)
            return losses.hinge.critic(stateless(real), stateless(fake)) + penalty(stateless)

        values = vmap(loss, randomness="same")(parameters)
        slopes = vmap(grad(loss), randomness="same")(parameters)
        for i, critic in enumerate(critics):
            eager = losses.hinge.critic(critic(real), critic(fake)) + penalty(critic)
            assert values[i].item() == pytest.approx(eager.item(), rel=1e-10), name
            alone = grad(loss)({k: v[i] for k, v in parameters.items()})
            exact = torch.autograd.grad(eager, list(critic.parameters()), allow_unused=True, materialize_grads=True)
            for k, g in zip(parameters, exact, strict=True):
                assert torch.allclose(slopes[k][i], g, rtol=1e-9, atol=1e-12), (name, k)
                assert torch.allclose(alone[k], g, rtol=1e-9, atol=1e-12), (name, k)


# ------------------------------------------------------------------------------------------- leaving things alone


def test_frozen_lets_gradients_through_and_restores_each_flag():
    net, x = smooth_critic(), normal(2, 3).requires_grad_()
    net[0].bias.requires_grad_(False)
    flags = [p.requires_grad for p in net.parameters()]
    with frozen(net):
        assert not any(p.requires_grad for p in net.parameters())
        net(x).sum().backward()
    assert [p.requires_grad for p in net.parameters()] == flags and flags.count(False) == 1
    assert x.grad.abs().max() > 0 and all(p.grad is None for p in net.parameters())
    with pytest.raises(RuntimeError, match="stop"), frozen(net):
        raise RuntimeError("stop")
    assert [p.requires_grad for p in net.parameters()] == flags


class Busy(nn.Module):
    """Everything a forward pass can disturb: statistics, dropout masks, a counter, a power iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
        nn.utils.parametrizations.spectral_norm(self.body[0])
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.body(x)


def snapshot(*nets: nn.Module) -> list[object]:
    state: list[object] = [torch.get_rng_state()]
    for net in nets:
        state += [m.training for m in net.modules()]
        state += [b.clone() for b in net.buffers()]
        for p in net.parameters():
            state += [p.detach().clone(), p.requires_grad, None if p.grad is None else p.grad.clone()]
    return state


def same(a: list[object], b: list[object]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y) if isinstance(x, Tensor) and isinstance(y, Tensor) else x is y
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("fails", [False, True])
def test_undisturbed_leaves_no_trace_even_of_a_failure(fails):
    torch.manual_seed(0)
    nets = Busy(), Busy()
    nets[0].body[2].eval()
    nets[1].eval().body[1].train()
    nets[0](torch.randn(4, 3)).sum().backward()
    nets[0].body[3].bias.grad = None
    nets[1].body[3].weight.requires_grad_(False)
    before = snapshot(*nets)

    def disturb() -> None:
        for net in nets:
            net.train()
            net.requires_grad_(True)
            net.zero_grad(set_to_none=True)
            net(torch.randn(4, 3)).sum().backward()
            net.eval()
            net(torch.randn(4, 3))
            net.zero_grad(set_to_none=True)
            net.body[1].running_mean.fill_(7.0)
        torch.rand(5)
        if fails:
            raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt), undisturbed(*nets):
            disturb()
    else:
        with undisturbed(*nets):
            disturb()
    assert same(snapshot(*nets), before)
    following = torch.rand(3)
    with undisturbed(*nets):
        disturb_free = nets[0](torch.randn(4, 3))
    assert disturb_free.shape == (4, 1) and torch.rand(3).ne(following).all()


def test_undisturbed_restores_gradients_that_the_block_accumulates_into():
    net = nn.Linear(2, 1)
    net(torch.ones(1, 2)).sum().backward()
    value = net.weight.grad.clone()
    with undisturbed(net, lambda x: x):  # plain functions are ignored
        for _ in range(2):
            net(torch.ones(1, 2)).sum().backward()  # the second adds in place
        assert not torch.equal(net.weight.grad, value)
    assert torch.equal(net.weight.grad, value)


def test_undisturbed_restores_buffers_that_the_block_replaces():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls = self.calls + 1  # a new tensor, not an edit
            return x

    net = Counting()
    with undisturbed(net):
        net(torch.ones(1))
        net(torch.ones(1))
    assert net.calls == 0 and list(dict(net.named_buffers())) == ["calls"]


@pytest.mark.parametrize("kind", ["centred", "softmax", "whitened"])
def test_scores_whose_sum_depends_on_no_sample_are_refused(kind):
    class Over(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, x):
            scores = self.body(x)
            if kind == "softmax":
                return scores.softmax(0)
            centred = scores - scores.mean()
            return centred if kind == "centred" else centred / scores.std()

    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    for penalty in (penalties.r1, penalties.gradient_penalty):
        with pytest.raises(ValueError, match="whose sum depends on none"):
            penalty(Over(), x, x + 1)
    flat = Over().body
    nn.init.zeros_(flat[2].weight)
    assert float(penalties.r1(flat, x).detach()) == 0  # a critic that begins flat is one
