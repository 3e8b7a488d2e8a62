"""The Lipschitz interval contains the truth wherever it is known, and says by name where it has no bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from tightrope import constraints
from tightrope.autodiff import View
from tightrope.critics import _steps, lipschitz_interval
from tightrope.networks.activations import GroupSort, MaxMin


def samples(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(16, *shape, generator=rng).double(), torch.randn(16, *shape, generator=rng).double() + 1


def mlp(activation: nn.Module, width: int = 16, inputs: int = 2, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, width), activation, nn.Linear(width, width), activation, nn.Linear(width, 1)
    ).double()


def test_linear_critic_is_known_exactly():
    critic = nn.Linear(5, 1).double()
    found = lipschitz_interval(critic, *samples(5))
    truth = critic.weight.norm().item()
    assert found.lower == pytest.approx(truth, rel=1e-12)
    assert found.upper == pytest.approx(truth, rel=1e-12)
    assert found.lower <= truth <= found.upper
    assert [layer.name for layer in found.layers] == [""]
    assert not found.reasons


def test_the_search_finds_the_steepest_slope_of_a_one_dimensional_critic():
    critic = mlp(nn.Tanh(), inputs=1)
    grid = torch.linspace(-30, 30, 200001, dtype=torch.float64)[:, None].requires_grad_()
    (slopes,) = torch.autograd.grad(critic(grid).sum(), grid)
    found = lipschitz_interval(critic, *samples(1))
    assert found.lower >= slopes.abs().max().item() * (1 - 1e-4)
    assert found.lower <= found.upper
    assert found.slopes[0] == found.slopes.max()
    x = found.witnesses[:1].clone().requires_grad_()
    (g,) = torch.autograd.grad(critic(x).sum(), x)
    assert g.norm().item() == pytest.approx(found.slopes[0].item(), rel=1e-12)


@pytest.mark.parametrize("activation", [GroupSort(4), MaxMin()])
def test_an_orthogonal_sorting_critic_has_the_interval_at_one(activation):
    critic = constraints.orthogonal(mlp(activation, inputs=16))
    found = lipschitz_interval(critic, *samples(16))
    assert found.upper == pytest.approx(1, abs=1e-9)
    assert found.lower == pytest.approx(1, abs=1e-6)
    assert not found.reasons


class Zoo(nn.Module):
    """Everything that has a rule, in one forward with Python control flow on shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")
        self.block = nn.Conv2d(4, 4, 3, padding=1)
        self.skip = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(4, 6, 4, 2, 1)
        self.head = nn.Linear(12, 3)
        self.weight = nn.Parameter(torch.randn(3, 1))
        self.embedding = nn.Embedding(2, 12)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        if x.dim() != 4 or len(x) < 1:
            raise ValueError("expected images")
        h = functional.leaky_relu(self.stem(x), 0.2)
        h = 0.5 * self.block(functional.relu(h)) + self.skip(functional.avg_pool2d(h, 1))
        h = functional.silu(self.norm(h)) / 2 - h.mean((2, 3), keepdim=True)
        h = functional.max_pool2d(self.down(h), 2)
        h = torch.cat([h.sum((2, 3)), functional.adaptive_avg_pool2d(h, 1).flatten(1)], dim=1)
        extra = 0 if labels is None else (self.embedding(labels) * h).sum(1)
        h = functional.elu(self.head(h[:, :12].clamp(-50, 50)), 1.5)
        return (h @ self.weight).squeeze(1) + extra


def gradient_norms(critic: nn.Module, x: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(critic(x, *labels).sum(), x)
    return g.flatten(1).norm(dim=1)


@pytest.mark.parametrize("seed", range(4))
def test_upper_bound_holds_for_a_network_of_all_kinds_of_parts(seed):
    torch.manual_seed(seed)
    critic = Zoo().double()
    with torch.no_grad():
        critic.norm.running_var.uniform_(0.2, 2)
        critic.norm.weight.uniform_(-2, 2)
    real, fake = samples(2, 8, 8, seed=seed)
    found = lipschitz_interval(critic, real, fake)
    assert not found.reasons
    assert math.isfinite(found.upper)
    critic.eval()
    rng = torch.Generator().manual_seed(seed)
    for scale in (0.01, 1, 30):
        steepest = gradient_norms(critic, scale * torch.randn(200, 2, 8, 8, generator=rng).double()).max().item()
        assert steepest <= found.upper
    assert found.lower <= found.upper
    labels = torch.zeros(1, dtype=torch.int64)
    conditional = lipschitz_interval(critic, real, fake, labels=labels)
    assert conditional.lower <= conditional.upper
    assert conditional.upper > found.upper
    names = {"stem", "block", "skip", "norm", "down", "head", ""}  # the last is the product with a weight of its own
    assert {layer.name for layer in found.layers} == names
    assert all(layer.attained <= layer.factor * (1 + 1e-9) for layer in found.layers)
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)
    assert "share of the gap" in found.table()


def test_bounds_multiply_along_a_chain_and_add_over_a_residual_sum():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)

        def forward(self, x):
            return self.b(x + torch.relu(self.a(x)))

    critic = Residual().double()
    with torch.no_grad():
        critic.a.weight.copy_(2 * torch.eye(3))
        critic.b.weight.copy_(torch.tensor([[0.0, 3.0, 4.0]]))
    found = lipschitz_interval(critic, *samples(3))
    assert found.upper == pytest.approx(5 * (1 + 2), rel=1e-9)
    assert found.lower == pytest.approx(15, rel=1e-6)


def test_the_share_points_at_the_wasteful_layer():
    critic = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)).double()
    constraints.orthogonal(critic)
    constraints.remove(critic)
    with torch.no_grad():  # stretches a direction that the head never reads
        v = critic[2].weight[0] @ critic[1].weight
        other = torch.linalg.svd(v[None])[2][1]
        critic[1].weight += 9 * torch.outer(critic[1].weight @ other, other)
    found = lipschitz_interval(critic, *samples(4))
    assert found.upper == pytest.approx(10, rel=1e-9)
    assert found.lower == pytest.approx(1, rel=1e-9)
    assert max(found.layers, key=lambda layer: layer.share).name == "1"


class Strange(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.linear = nn.Linear(4, 1)
        self.norm = {"layer": nn.LayerNorm(4), "group": nn.GroupNorm(2, 4)}.get(how, nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        if self.how == "product":
            x = x * x
        if self.how == "item":
            x = x * x.detach().abs().max().item()
        if self.how == "branch" and x.sum() > 0:
            x = x + 1
        if self.how == "function":
            x = Cube.apply(x)
        if self.how == "aten":
            x = torch.ops.aten.relu.default(x)
        if self.how == "hidden":
            with torch._C.DisableTorchFunction():
                x = x.exp()
        if self.how == "slice":
            y = torch.zeros_like(x)
            y[:, :2] = x[:, :2]
            x = y
        if self.how == "erfinv":
            x = torch.erfinv(x.tanh())
        if self.how == "where":
            x = torch.where(x > 0, x, -x)
        if self.how == "keyword":
            return self.linear(input=x)
        return self.linear(x)


class Cube(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g

    @staticmethod
    def jvp(ctx, t):
        return 3 * ctx.saved_tensors[0] ** 2 * t


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("layer", "layer_norm in norm"),
        ("group", "group_norm in norm"),
        ("product", "product or quotient"),
        ("item", "number of Python"),
        ("branch", "number of Python"),
        ("function", "grows faster"),
        ("aten", "no known Lipschitz bound"),
        ("hidden", "cannot be followed"),
        ("slice", "assignment to a slice"),
        ("erfinv", "erfinv"),
        ("where", "jump"),
    ],
)
def test_what_has_no_bound_is_named(how, reason):
    found = lipschitz_interval(Strange(how).double(), *samples(4), steps=2)
    assert math.isinf(found.upper)
    assert any(reason in text for text in found.reasons), found.reasons
    assert "no bound" in found.table()


def test_arguments_by_keyword_are_followed_and_declared_constants_believed():
    critic = Strange("keyword").double()
    found = lipschitz_interval(critic, *samples(4))
    assert found.upper == pytest.approx(critic.linear.weight.norm().item(), rel=1e-9)

    class Triple(nn.Module):
        lipschitz = 3.0

        def forward(self, x):
            return 3 * torch.sin(x)

    assert lipschitz_interval(Triple().double(), *samples(1)).upper == 3


def test_the_critic_is_left_as_it_was():
    critic = constraints.spectral_norm(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))).double()
    state = {k: v.clone() for k, v in critic.state_dict().items()}
    rng = torch.get_rng_state()
    lipschitz_interval(critic, *samples(4), steps=3)
    assert torch.equal(torch.get_rng_state(), rng)
    assert critic.training
    assert critic[1].training
    assert all(torch.equal(v, state[k]) for k, v in critic.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())
    assert not critic[0]._forward_hooks


def test_float32_critics_and_operator_norm_constraints_certify_at_most_one():
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 1)
    )
    constraints.spectral_norm(critic, "operator", exact=True, input_shape=(2, 8, 8))
    real, fake = (x.float() for x in samples(2, 8, 8))
    found = lipschitz_interval(critic, real, fake)
    assert found.upper == pytest.approx(1, abs=1e-3)
    assert 0.01 < found.lower <= found.upper


def test_functions_are_followed_and_the_modules_they_hold_are_named():
    net = mlp(nn.Tanh())
    plain, found = (lipschitz_interval(c, *samples(2), steps=3) for c in (net, lambda x: net(x)))
    assert found.upper == plain.upper < math.inf and found.lower == plain.lower
    assert [layer.factor for layer in found.layers] == [layer.factor for layer in plain.layers]
    alone = lipschitz_interval(lambda x: 3 * x.sum(1), *samples(4))
    assert alone.upper == pytest.approx(3 * 2, rel=1e-12) and alone.lower == pytest.approx(3 * 2, rel=1e-6)


def test_activations_without_a_second_derivative_are_searched_by_the_first():
    critic = nn.Sequential(nn.Linear(2, 8), nn.Hardsigmoid(), nn.Linear(8, 1)).double()
    found = lipschitz_interval(critic, *samples(2))
    a, b = (torch.linalg.matrix_norm(critic[i].weight, 2).item() for i in (0, 2))
    assert 0 < found.lower <= found.upper and found.upper == pytest.approx(a * b / 6, rel=1e-9)


def test_what_has_no_bound_costs_no_norms_and_no_climb(monkeypatch):
    computed: list[object] = []
    norm = _steps.map_upper
    monkeypatch.setattr(_steps, "map_upper", lambda *given: computed.append(given) or norm(*given))

    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(1, 3, 3), nn.Linear(108, 1)
            self.calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.last(self.first(functional.pad(x.square(), (1, 1, 1, 1))).flatten(1))  # a square has no bound

    critic = Squared().double()
    found = lipschitz_interval(critic, *samples(1, 6, 6))
    assert math.isinf(found.upper) and found.reasons
    assert found.lower > 0 and found.layers == () and critic.calls < 5
    assert not computed
    lipschitz_interval(nn.Linear(2, 1).double(), *samples(2))
    assert len(computed) == 1  # the one norm that a bound needs


def test_parts_that_no_score_uses_do_not_count():
    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.head(x), x.square()

    critic = Features().double()
    found = lipschitz_interval(View(critic, scores=lambda out: out[0]), *samples(4))
    assert found.upper == pytest.approx(critic.head.weight.norm().item(), rel=1e-9) and found.reasons == ()


@pytest.mark.parametrize("how", ["sum", "mean", "linear"])
def test_feature_maps_of_size_zero_give_a_bound_or_a_reason(how):
    class Empty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head, self.none = nn.Conv2d(1, 2, 3), nn.Linear(32, 1), nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.conv(x)
            empty = h[:, :, 5:]
            extra = {
                "sum": lambda: empty.sum((1, 2, 3)),
                "mean": lambda: empty.mean((2, 3)).nan_to_num().sum(1),
                "linear": lambda: self.none(empty.permute(0, 2, 3, 1)).sum((1, 2, 3)),
            }[how]()
            return self.head(h.flatten(1))[:, 0] + extra

    found = lipschitz_interval(Empty().double(), *samples(1, 6, 6), steps=2)
    assert found.lower > 0 and bool(found.reasons) == math.isinf(found.upper)
