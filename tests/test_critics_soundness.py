"""No finite upper end below the truth: constructions that look like a known layer or function but stretch more."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from tightrope.critics import LipschitzInterval, lipschitz_interval
from tightrope.networks import activations


class Made(nn.Module):
    """A critic from one function of ``(module, x)`` before a fixed linear head."""

    def __init__(self, how, *parts: nn.Module) -> None:
        super().__init__()
        self.how = how
        self.parts = nn.ModuleList(parts)
        self.slope = nn.Parameter(torch.tensor([3.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.how(self, x).flatten(1)
        return F.linear(y, torch.arange(1.0, y.shape[1] + 1)[None].to(y)).sum(1)


def certified(critic: nn.Module, *shape: int, points: int = 300) -> LipschitzInterval:
    """The interval, after gradients at many points were compared with it."""
    critic = critic.double()
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(16, *shape, generator=rng).double()
    found = lipschitz_interval(critic, real, real + 1, steps=5)
    critic.eval()
    for scale in (0.01, 1, 10):
        for x in (scale * torch.randn(points, 1, *shape, generator=rng).double()).unbind():
            x.requires_grad_()
            (g,) = torch.autograd.grad(critic(x).sum(), x, allow_unused=True)
            assert g is None or g.norm().item() <= found.upper * (1 + 1e-9)
    assert found.lower <= found.upper
    assert bool(found.reasons) == math.isinf(found.upper)
    return found


def view_scaled(m, x):
    y = x.clone()
    y.view(-1).mul_(10)
    return y


def slice_scaled(m, x):
    y = x.clone()
    y[:, 0].mul_(10)
    return y


def data_scaled(m, x):
    y = x.clone()
    y.data.mul_(10)
    return y


def data_replaced(m, x):
    y = x.clone()
    y.data = y.data * 10
    return y


def buffer_filled(m, x):
    buffer = torch.zeros(x.shape).to(x)
    buffer.data.add_(x)
    return buffer * 10 if not x.requires_grad else x * 10


def constant_scaled(m, x):
    return torch.full(x.shape, 10.0).to(x).mul_(x) if not x.requires_grad else x * 10


def out_written(m, x):
    return torch.mul(x, 10, out=torch.empty(x.shape).to(x)) if not x.requires_grad else x * 10


def weight_swapped(m, x):
    layer = m.parts[0]
    layer._parameters.pop("bias", None)
    layer.bias = 5 * x
    return layer(x)


def fanned(m, x):
    return x.topk(4, 1).indices.to(x) * x.sum()


REFUSED = {
    "view": (view_scaled, "written in place through another tensor"),
    "slice": (slice_scaled, "written in place through another tensor"),
    "data": (data_scaled, "written in place through another tensor"),
    "data=": (data_replaced, "assignment to .data"),
    "buffer": (buffer_filled, "written in place through another tensor"),
    "constant times": (constant_scaled, "mul_"),
    "out=": (out_written, "out="),
    "bias": (weight_swapped, "several signals"),
    "clamp": (lambda m, x: torch.clamp(x, min=5 * x), "clamp"),
    "clamp_min": (lambda m, x: x.clamp_min(5 * x), "clamp_min"),
    "prelu": (lambda m, x: F.prelu(-torch.ones(len(x), 4).to(x), 5 * x.mean(0)), "prelu"),
    "celu": (lambda m, x: F.celu(x, -0.5), "celu"),
    "softplus": (lambda m, x: F.softplus(x, threshold=0), "softplus"),
    "positions": (fanned, "jump"),
    "tensor index": (lambda m, x: x[:, : (x.sum() > 0).long() + 2], "jump"),
    "named add": (lambda m, x: torch.add(x, 5, x), "factor between"),
    "view as": (lambda m, x: x.view(torch.float32).double(), "another type"),
    "random": (lambda m, x: F.dropout(x), "random"),
    "noise": (lambda m, x: x * torch.rand(4).to(x), "a random draw"),
    "unpool": (
        lambda m, x: F.max_unpool1d(*F.max_pool1d(x[:, None], 2, return_indices=True), 2)[:, 0],
        "no known",
    ),
    "no tensor": (lambda m, x: x * len(str(x)), "number of Python"),
}


@pytest.mark.filterwarnings("ignore:This overload of add is deprecated")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_bounded_is_refused_by_name(name):
    how, reason = REFUSED[name]
    critic = Made(how, nn.Linear(4, 4))
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(16, 4, generator=rng)
    found = lipschitz_interval(critic.double(), real.double(), real.double() + 1, steps=0)
    assert math.isinf(found.upper)
    assert any(reason in text for text in found.reasons), found.reasons


HEAD = math.sqrt(30)  # norm of (1, 2, 3, 4)

BOUNDED = {
    "tuple index": (lambda m, x: x[:, (0, 0, 0, 0)], 2 * HEAD),
    "array index": (lambda m, x: x[:, np.array([0, 0, 0, 0])], 2 * HEAD),
    "list index": (lambda m, x: x[:, [3, 1, 2, 1]], math.sqrt(2) * HEAD),
    "repeat_interleave": (lambda m, x: x[:, :2].repeat_interleave(torch.tensor([3, 1]), 1), math.sqrt(3) * HEAD),
    "index_select": (lambda m, x: torch.index_select(x, 1, torch.tensor([0, 0, 0, 1])), math.sqrt(3) * HEAD),
    "gather": (lambda m, x: x.gather(1, torch.tensor([[0, 0, 1, 1]]).expand(len(x), 4)), math.sqrt(2) * HEAD),
    "mask": (lambda m, x: x[:, torch.tensor([True, False, True, False])], math.sqrt(5)),
    "expand": (lambda m, x: x[:, :1].expand(-1, 4), 2 * HEAD),
    "repeat": (lambda m, x: x[:, :1].repeat(1, 4), 2 * HEAD),
    "cat": (lambda m, x: torch.cat([x[:, :1]] * 4, 1), 2 * HEAD),
    "clamp spread": (lambda m, x: x[:, :1].clamp(min=-100 * torch.ones(4).to(x)), 2 * HEAD),
    "leaky": (lambda m, x: F.leaky_relu(x, 5), 5 * HEAD),
    "elu": (lambda m, x: F.elu(x, 4), 4 * HEAD),
    "celu": (lambda m, x: F.celu(x, 4), HEAD),
    "prelu": (lambda m, x: F.prelu(x, m.slope), 3 * HEAD),
    "in place": (lambda m, x: F.relu((x * 2).mul_(5).add_(x), inplace=True), 11 * HEAD),
    "written view": (lambda m, x: (x * 1).view(-1).mul_(10).view(x.shape), 10 * HEAD),
    "view_as": (lambda m, x: x.view_as(5 * x), HEAD),
    "interpolate": (
        lambda m, x: F.interpolate(x[:, None, :3], scale_factor=2)[:, 0],
        math.sqrt(2) * math.sqrt(91),
    ),
    "uneven interpolate": (  # the first of three entries is copied three times
        lambda m, x: F.interpolate(x[:, None, :3], scale_factor=2.1)[:, 0],
        math.sqrt(3) * math.sqrt(91),
    ),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_copies_and_slopes_are_counted(name):
    how, expected = BOUNDED[name]
    found = certified(Made(how), 4, points=20)
    assert found.upper == pytest.approx(expected, rel=1e-9)


SIZED = {"size": (9, 5)}
RESAMPLED = {
    "bilinear": {"scale_factor": 2.0, "mode": "bilinear", "align_corners": False},
    "corners": {"scale_factor": 2.0, "mode": "bilinear", "align_corners": True},
    "uneven": {"scale_factor": (2.3, 0.7), "mode": "bilinear"},
    "recomputed": {"scale_factor": 2.3, "mode": "bilinear", "recompute_scale_factor": True},
    "size": {**SIZED, "mode": "bilinear"},
    "nearest": {**SIZED, "mode": "nearest"},
    "exact": {**SIZED, "mode": "nearest-exact"},
    "bicubic": {**SIZED, "mode": "bicubic"},
    "antialias": {"size": (2, 3), "mode": "bilinear", "antialias": True},
}


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize("module", [False, True])
def test_resampling_has_the_norm_of_its_matrix(name, module):
    options = RESAMPLED[name]
    if module and {"antialias", "recompute_scale_factor"} & set(options):
        pytest.skip("nn.Upsample has no such option in every release")

    class Resampled(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.Upsample(**options) if module else lambda x: F.interpolate(x, **options)

        def forward(self, x):
            return self.up(x)

    x = torch.randn(6, 1, 4, 4, dtype=torch.float64)
    matrix = F.interpolate(torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4), **options).flatten(1)
    critic = nn.Sequential(Resampled(), nn.Flatten(), nn.Linear(matrix.shape[1], 1)).double()
    found = lipschitz_interval(critic, x, x + 1)
    norm = float(torch.linalg.matrix_norm(matrix, 2) * critic[2].weight.detach().norm())
    assert found.upper == pytest.approx(norm, rel=1e-9)
    assert found.lower <= found.upper


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(0, 3), (2, 1), (1, 2, 0, 3)])
def test_padding_by_copies_has_the_norm_of_its_matrix(mode, pad):
    shape = (1, 16) if len(pad) == 2 else (1, 4, 4)
    critic = Made(lambda m, x: F.pad(x.view(-1, *shape), pad, mode).flatten(1))
    matrix = F.pad(torch.eye(16, dtype=torch.float64).view(-1, *shape), pad, mode).flatten(1)
    head = torch.arange(1.0, matrix.shape[1] + 1).double().norm()
    assert certified(critic, 16).upper == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2) * head), rel=1e-9)


def test_uneven_copies_are_never_bounded_as_even_ones():
    grown = certified(Made(lambda m, x: F.adaptive_avg_pool2d(x.view(-1, 1, 4), (4, 4)).flatten(1)), 4, points=5)
    assert math.isinf(grown.upper)
    torch_named = Made(lambda m, x: torch.batch_norm(x, *m.stats, False, 0.1, 1e-5, False))
    torch_named.stats = [s.double() for s in (9 * torch.ones(4), torch.ones(4), torch.zeros(4), torch.ones(4))]
    assert "torch.nn.functional.batch_norm" in certified(torch_named, 4, points=5).reasons[0]


class Equalised(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * 10, self.bias)


class EqualisedConv(nn.Conv1d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight * 10, bias)


def test_a_layer_with_a_forward_of_its_own_is_followed_inside():
    torch.manual_seed(0)
    layer = Equalised(4, 1)
    found = certified(layer, 4)
    assert found.upper == pytest.approx(10 * layer.weight.norm().item(), rel=1e-9)
    conv = certified(nn.Sequential(EqualisedConv(1, 2, 2), nn.Flatten(), nn.Linear(6, 1)), 1, 4)
    assert math.isfinite(conv.upper)
    patched = nn.Linear(4, 1)
    patched.forward = lambda x: F.linear(x, patched.weight * 10, patched.bias)
    assert certified(patched, 4).upper == pytest.approx(10 * patched.weight.norm().item(), rel=1e-9)


@pytest.mark.parametrize("where", ["hook", "pre", "global"])
def test_what_hooks_do_counts(where):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    register = {
        "hook": lambda: critic[0].register_forward_hook(lambda m, a, o: o * 7),
        "pre": lambda: critic[0].register_forward_pre_hook(lambda m, a: (a[0] * 7,)),
        "global": lambda: nn.modules.module.register_module_forward_hook(
            lambda m, a, o: o * 7 if m is critic[0] else o
        ),
    }[where]
    plain = certified(critic, 4).upper
    handle = register()
    try:
        assert certified(critic, 4).upper == pytest.approx(7 * plain, rel=1e-6)
    finally:
        handle.remove()


def test_hooks_that_set_a_weight_leave_the_layer_one_step():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), torch.nn.utils.spectral_norm(nn.Linear(4, 1)))
    critic(torch.randn(2, 4))
    found = certified(critic, 4)
    assert [layer.name for layer in found.layers] == ["0", "2"]


def test_sorts_are_known_by_class_not_by_name():
    class MaxMin(nn.Module):
        def forward(self, x):
            return 5 * x

    class GroupSort(activations.GroupSort):
        def forward(self, x):
            return 5 * super().forward(x)

    torch.manual_seed(0)
    for sort in (MaxMin(), GroupSort()):
        layer = nn.Linear(4, 1)
        found = certified(nn.Sequential(sort, layer), 4)
        assert found.upper == pytest.approx(5 * layer.weight.norm().item(), rel=1e-9)
        assert [step.kind for step in found.layers] == ["Linear"]


def test_a_parametrized_weight_is_the_one_that_counts():
    class Tenfold(nn.Module):
        def forward(self, w):
            return 10 * w

    layer = nn.Linear(4, 1)
    parametrize.register_parametrization(layer, "weight", Tenfold())
    assert certified(layer, 4).upper == pytest.approx(layer.weight.norm().item(), rel=1e-9)


def test_a_transposed_convolution_with_a_size_of_its_own_is_not_taken_for_the_plain_one():
    torch.manual_seed(0)
    layer = nn.ConvTranspose1d(1, 1, 2, stride=2)
    assert math.isfinite(certified(Made(lambda m, x: m.parts[0](x), layer), 1, 4, points=5).upper)
    sized = certified(Made(lambda m, x: m.parts[0](x, output_size=[9]), layer), 1, 4, points=5)
    assert "where its settings say" in sized.reasons[0]


def test_a_wrong_declaration_is_found_out_and_named():
    class Wrong(nn.Module):
        lipschitz = 1.0

        def forward(self, x):
            return 4 * x

    critic = nn.Sequential(nn.Linear(4, 4), Wrong(), nn.Linear(4, 1)).double()
    real = torch.randn(8, 4).double()
    found = lipschitz_interval(critic, real, real + 1, steps=2)
    assert math.isinf(found.upper)
    assert "Wrong in 1: stretches a direction by 4" in found.reasons[0]
    Wrong.lipschitz = math.nan
    assert "no finite number" in lipschitz_interval(critic, real, real + 1, steps=0).reasons[0]


def test_a_slope_above_the_bound_takes_the_bound_away(monkeypatch):
    monkeypatch.setattr("tightrope.critics._certify.rule_of", lambda f: lambda call: 0.01 * call.source[1])
    real = torch.randn(8, 4).double()
    found = lipschitz_interval(Made(lambda m, x: m.parts[0](x), nn.Linear(4, 4)).double(), real, real + 1, steps=0)
    assert math.isinf(found.upper)
    assert "contradicts the bound" in found.reasons[-1]
    assert "parts.0" in found.reasons[-1]


def test_batch_statistics_have_no_bound_and_say_so():
    critic = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 1)).double()
    real = torch.randn(8, 4).double()
    found = lipschitz_interval(critic, real, real + 1, steps=0)
    assert math.isinf(found.upper)
    assert "in 1: cannot be followed" in found.reasons[0]
    assert not critic[0]._forward_hooks


def test_inference_mode_gives_the_same_interval_or_one_sentence():
    critic = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    real = torch.randn(8, 4)
    plain = lipschitz_interval(critic, real, real + 1)
    with torch.inference_mode():
        inside = lipschitz_interval(critic, real.clone(), real + 1)
        assert (inside.lower, inside.upper) == (plain.lower, plain.upper)
        made = nn.Linear(4, 1)
        with pytest.raises(ValueError, match=r"inference_mode\(\)"):
            lipschitz_interval(made, real, real)


@pytest.mark.parametrize(
    ("real", "fake", "options", "text"),
    [
        (torch.zeros(0, 4), torch.zeros(3, 4), {}, "at least one sample"),
        (torch.zeros(3, 4), torch.zeros(0, 4), {}, "at least one sample"),
        (torch.zeros(3, 4), torch.zeros(3, 5), {}, "of one shape"),
        (torch.full((3, 4), math.nan), torch.zeros(3, 4), {}, "finite samples"),
        (torch.zeros(3, 4), torch.zeros(3, 4), {"keep": 0}, "keep of at least 1"),
        (torch.zeros(3, 4), torch.zeros(3, 4), {"labels": torch.zeros(3).long()}, "one label"),
    ],
)
def test_bad_input_is_one_sentence(real, fake, options, text):
    with pytest.raises(ValueError, match=text):
        lipschitz_interval(nn.Linear(4, 1), real, fake, **options)


def test_one_number_is_enough_of_a_sample():
    found = lipschitz_interval(nn.Linear(1, 1), torch.ones(1, 1), torch.zeros(1, 1))
    assert math.isfinite(found.lower)
    assert bool(found.witnesses.isfinite().all())
