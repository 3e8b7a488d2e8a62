"""Jacobian spectra against explicit float64 Jacobians and closed forms; the generator is left as found."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from tightrope import conditioning
from tightrope.autodiff import View
from tightrope.conditioning import Conditioning
from tightrope.networks import NETWORKS

CASES = {
    "mlp": ((9,), {"width": 16, "depth": 2}),
    "dcgan": ((1, 8, 8), {"width": 4}),
    "sn_cnn": ((1, 16, 16), {"width": 4}),
    "sn_resnet": ((1, 32, 32), {"width": 2}),
    "r3gan": ((1, 8, 8), {}),
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(n: int, latent: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, latent, generator=rng(3), dtype=torch.float64).to(dtype)


def generator(name: str, classes: int = 0, latent: int = 6) -> nn.Module:
    """A float64 network in training mode, moved off its initial batch statistics."""
    shape, options = CASES[name]
    if name == "r3gan":
        options = _small(name)
    g = NETWORKS[name].generator(shape, latent=latent, classes=classes, rng=rng(1), **options).double()
    labels = torch.arange(32) % classes if classes else None
    with torch.no_grad():
        z = latents(32, latent)
        g(z) if labels is None else g(z, labels)
    return g


def _small(name: str) -> dict[str, object]:
    import inspect

    known = inspect.signature(NETWORKS[name].generator).parameters
    return {"width": 4} if "width" in known else {}


def explicit(g: nn.Module, z: Tensor, label: int | None = None) -> Tensor:
    """One reverse pass per output of one sample in eval mode: ``[outputs, latent]``."""
    g = copy.deepcopy(g).double().eval()
    arguments = () if label is None else (torch.tensor([label]),)
    return torch.autograd.functional.jacobian(lambda v: g(v[None], *arguments).flatten(), z.double(), vectorize=True)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "sn_resnet" else name for name in CASES]
)
def test_spectra_equal_an_explicit_jacobian_on_the_shared_networks(name, classes):
    n = 1 if name == "sn_resnet" else 3
    g, z = generator(name, classes), latents(n, 6)
    labels = torch.tensor([0, 2, 1])[:n] if classes else None
    J = conditioning.jacobian(g, z, labels=labels)
    values = conditioning.singular_values(g, z, labels=labels)
    for i in range(n):
        true = explicit(g, z[i], None if labels is None else int(labels[i]))
        assert torch.allclose(J[i], true, rtol=1e-9, atol=1e-12)
        assert torch.allclose(values[i], torch.linalg.svdvals(true), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_modes_budgets_and_precisions_agree(mode):
    g, z = generator("dcgan"), latents(5, 6)
    plain = conditioning.jacobian(g, z)
    assert plain.shape == (5, 64, 6)
    assert torch.allclose(conditioning.jacobian(g, z, mode=mode), plain, rtol=1e-9, atol=1e-13)
    for memory in (1, 3 * 8 * 64 * 4 * 8, 10**9):
        assert torch.allclose(conditioning.jacobian(g, z, mode=mode, memory=memory), plain, rtol=1e-9, atol=1e-13)
    single = copy.deepcopy(g).float()
    assert conditioning.jacobian(single, z.float()).dtype == torch.float32
    wide = conditioning.jacobian(single, z.float(), dtype=torch.float64)
    assert wide.dtype == torch.float64 and torch.allclose(wide, plain, rtol=1e-4, atol=1e-6)
    assert next(single.parameters()).dtype == torch.float32


def test_linear_generators_in_closed_form():
    A = torch.randn(9, 4, generator=rng(5), dtype=torch.float64)
    z = latents(7, 4)
    sigma = torch.linalg.svdvals(A)
    found = conditioning.measure(lambda z: z @ A.mT, z)
    assert torch.allclose(found.values, sigma.expand(7, 4), rtol=1e-12)
    kappa = torch.linalg.cond(A.mT @ A).log().item()
    assert found.mean == pytest.approx(kappa, rel=1e-10) == 2 * torch.linalg.cond(A).log().item()
    assert found.std == pytest.approx(0.0, abs=1e-12)
    assert found.quantiles == pytest.approx((kappa,) * 5, rel=1e-10)
    assert found.dead.tolist() == [0] * 7
    logdet = conditioning.log_determinant(found.values)
    assert torch.allclose(logdet, torch.linalg.slogdet(A.mT @ A).logabsdet.expand(7), rtol=1e-10)
    assert torch.allclose(conditioning.mean_metric(lambda z: z @ A.mT, z), A.mT @ A, rtol=1e-12)
    share = sigma.square() / sigma.square().sum()
    rank = (-(share * share.log()).sum()).exp().item()
    assert conditioning.effective_rank(found.values)[0].item() == pytest.approx(rank, rel=1e-12)


def test_an_analytic_generator():
    """Polar coordinates: the singular values are 1 and the radius."""

    def polar(z: Tensor) -> Tensor:
        return torch.stack([z[:, 0] * z[:, 1].cos(), z[:, 0] * z[:, 1].sin()], 1)

    z = torch.tensor([[0.5, 1.0], [4.0, 2.0]], dtype=torch.float64)
    values = conditioning.singular_values(polar, z)
    assert torch.allclose(values, torch.tensor([[1.0, 0.5], [4.0, 1.0]], dtype=torch.float64), rtol=1e-12)
    logs = conditioning.log_condition_number(values)
    assert logs.tolist() == pytest.approx([2 * math.log(2), 2 * math.log(4)], rel=1e-12)
    metric = conditioning.mean_metric(polar, z)
    assert torch.allclose(metric, torch.diag(torch.tensor([1.0, (0.25 + 16) / 2], dtype=torch.float64)), atol=1e-12)


def test_dead_directions_are_reported_and_kept_out_of_the_mean():
    values = torch.tensor([[4.0, 2.0, 0.0], [4.0, 2.0, 1.0], [9.0, 3.0, 1e-9]], dtype=torch.float64)
    found = Conditioning(values, floor=1e-7)
    assert found.log_condition_numbers.tolist() == pytest.approx([math.inf, 2 * math.log(4), math.inf])
    assert found.dead.tolist() == [1, 0, 1]
    assert found.mean == pytest.approx(2 * math.log(4)) and math.isnan(found.std)
    assert found.quantiles[0] == pytest.approx(2 * math.log(4)) and found.quantiles[-1] == math.inf
    row = found.to_json()
    assert row["dead_latents"] == 2 and row["quantiles"][-1] is None and row["std"] is None
    assert row["dead_directions"] == pytest.approx(2 / 3) and row["log_determinant"] is None
    assert Conditioning(values, floor=0.0).dead.tolist() == [1, 0, 0]
    zero = Conditioning(torch.zeros(2, 3, dtype=torch.float64), floor=1e-7)
    assert zero.dead.tolist() == [3, 3] and math.isnan(zero.mean) and zero.to_json()["mean"] is None
    assert conditioning.effective_rank(zero.values).tolist() == [0.0, 0.0]


def test_fewer_outputs_than_latents_leave_surplus_directions():
    found = conditioning.measure(lambda z: z[:, :2] * 3, latents(2, 5))
    assert found.values.shape == (2, 5)
    assert found.values[0].tolist() == pytest.approx([3, 3, 0, 0, 0])
    assert found.surplus == 3 and found.dead.tolist() == [0, 0]
    assert found.mean == pytest.approx(0.0, abs=1e-12) and found.mean_spectrum.tolist() == pytest.approx([3, 3])
    assert conditioning.log_condition_number(found.values).tolist() == [math.inf, math.inf]
    assert conditioning.measure(lambda z: torch.cat([z, z], 1), latents(2, 5)).surplus == 0


def test_float32_does_not_lose_large_condition_numbers_as_the_metric_would():
    sigma = torch.logspace(0, -5, 6, dtype=torch.float64)
    U, _ = torch.linalg.qr(torch.randn(40, 6, generator=rng(7), dtype=torch.float64))
    V, _ = torch.linalg.qr(torch.randn(6, 6, generator=rng(8), dtype=torch.float64))
    A = ((U * sigma) @ V).float()
    truth = 2 * 5 * math.log(10)
    found = conditioning.measure(lambda z: z @ A.mT, latents(1, 6, torch.float32)).mean
    assert found == pytest.approx(truth, abs=0.1)
    assert float(torch.linalg.cond(A.mT @ A).log()) < truth - 1


def test_the_generator_is_left_exactly_as_found():
    g = generator("dcgan").float()
    z = latents(2, 6, torch.float32)
    g(z).sum().backward()
    before = copy.deepcopy(g)
    grads = [p.grad.clone() for p in g.parameters()]
    state = torch.get_rng_state()
    conditioning.measure(g, z)
    conditioning.mean_metric(g, z, mode="reverse")
    conditioning.pulled_back_distances(g, z)
    conditioning.extremes(g, z[0])
    list(conditioning.jacobians(g, z, dtype=torch.float64))
    assert torch.equal(torch.get_rng_state(), state)
    assert g.training and all(m.training for m in g.modules())
    for (name, t), u in zip(g.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(t, u) and t.dtype == u.dtype, name
    for p, grad in zip(g.parameters(), grads, strict=True):
        assert p.requires_grad and torch.equal(p.grad, grad)


class _Square(torch.autograd.Function):
    """Has no forward-mode derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


def test_an_error_of_the_generator_is_not_mistaken_for_a_missing_forward_mode():
    calls = []

    def g(z: Tensor) -> Tensor:
        calls.append(len(z))
        if len(calls) > 1:  # the first call plans the work
            raise RuntimeError("not enough memory")
        return z

    for ask in (conditioning.jacobian, lambda g, z: conditioning.pushed_forward(g, z, z)):
        calls[:] = [0] if ask is not conditioning.jacobian else []
        with pytest.raises(RuntimeError, match="not enough memory"):
            ask(g, latents(2, 3))
        assert len(calls) == 2, "reverse mode was not tried"


def test_reverse_mode_stands_in_where_there_is_no_forward_mode():
    def g(z: Tensor) -> Tensor:
        return _Square.apply(z) @ torch.ones(3, 2, dtype=torch.float64)

    z = latents(4, 3)
    J = conditioning.jacobian(g, z)
    assert torch.allclose(J, (2 * z)[:, None, :].expand(4, 2, 3), rtol=1e-12)
    with pytest.raises(RuntimeError, match="functorch"):
        conditioning.jacobian(g, z, mode="forward")
    path = torch.stack([z[0], z[1]])
    moved = (2 * path.mean(0) * (path[1] - path[0])).sum() * torch.ones(2, dtype=torch.float64)
    assert conditioning.pulled_back_distances(g, path).item() == pytest.approx(moved.norm().item(), rel=1e-12)


def test_noise_inside_the_generator_is_the_same_for_every_column():
    class Noisy(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z * torch.randn(1, dtype=z.dtype)

    J = conditioning.jacobian(Noisy(), latents(1, 4), memory=1)
    assert torch.allclose(J[0], J[0, 0, 0] * torch.eye(4, dtype=torch.float64), rtol=1e-12)


def test_labels_may_come_bound():
    g, z, labels = generator("mlp", 3), latents(4, 6), torch.tensor([2, 1, 0, 1])
    given = conditioning.jacobian(g, z, labels=labels, memory=1)
    assert torch.equal(conditioning.jacobian(View(g, labels=labels), z, memory=1), given)


@pytest.mark.parametrize(
    ("z", "options", "message"),
    [
        (torch.zeros(3), {}, "batch, latent"),
        (torch.zeros(0, 3), {}, "batch, latent"),
        (torch.zeros(2, 3), {"mode": "sideways"}, "auto chooses"),
    ],
)
def test_refuses_what_it_cannot_do(z, options, message):
    with pytest.raises(ValueError, match=message):
        conditioning.jacobian(lambda z: z, z, **options)


def test_refuses_batch_norm_without_running_statistics_and_diverged_weights():
    g = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(ValueError, match="track_running_stats"):
        conditioning.jacobian(g, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="diverged"):
        conditioning.singular_values(lambda z: z * math.nan, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="two points"):
        conditioning.pulled_back_distances(lambda z: z, torch.zeros(1, 3))


def test_lengths_of_latent_paths():
    def circle(z: Tensor) -> Tensor:
        return 2 * torch.cat([z.cos(), z.sin()], 1)

    path = torch.linspace(0, math.pi, 101, dtype=torch.float64)[:, None]
    lengths = conditioning.pulled_back_distances(circle, path)
    assert lengths.shape == (100,) and lengths.sum().item() == pytest.approx(2 * math.pi, rel=1e-12)
    A = torch.randn(7, 3, generator=rng(2), dtype=torch.float64)
    line = latents(5, 3)
    expected = ((line[1:] - line[:-1]) @ A.mT).norm(dim=1)
    assert torch.allclose(conditioning.pulled_back_distances(lambda z: z @ A.mT, line), expected, rtol=1e-12)
    g = generator("mlp", 3)
    fine = torch.lerp(line[0].new_zeros(6), latents(1, 6)[0], torch.linspace(0, 1, 400, dtype=torch.float64)[:, None])
    images = copy.deepcopy(g).eval()(fine, torch.ones(400, dtype=torch.long)).detach()
    chords = (images[1:] - images[:-1]).norm(dim=1).sum().item()
    assert conditioning.pulled_back_distances(g, fine, label=1).sum().item() == pytest.approx(chords, rel=5e-3)  # kinks


def test_directions_of_largest_and_smallest_gain():
    A = torch.randn(7, 3, generator=rng(2), dtype=torch.float64)
    values, directions = conditioning.latent_directions(lambda z: z @ A.mT, torch.zeros(3, dtype=torch.float64))
    assert torch.allclose((directions @ A.mT).norm(dim=1), values, rtol=1e-12)
    assert torch.allclose(values, torch.linalg.svdvals(A), rtol=1e-12)
    flat, _ = conditioning.latent_directions(lambda z: z[:, :1], torch.zeros(3, dtype=torch.float64))
    assert flat.tolist() == pytest.approx([1, 0, 0])


# ------------------------------------------------------------------------------------------------------------ extremes


def spread(latent: int, outputs: int, sigma: Tensor) -> Tensor:
    U, _ = torch.linalg.qr(torch.randn(outputs, latent, generator=rng(11), dtype=torch.float64))
    V, _ = torch.linalg.qr(torch.randn(latent, latent, generator=rng(12), dtype=torch.float64))
    return (U * sigma) @ V


@pytest.mark.parametrize("method", ["krylov", "randomised"])
def test_the_largest_value_of_a_large_generator(method):
    A = spread(300, 400, torch.logspace(1, -2, 300, dtype=torch.float64))
    found = conditioning.extremes(lambda z: z @ A.mT, torch.zeros(300, dtype=torch.float64), method=method, steps=40)
    assert found.largest == pytest.approx(10.0, rel=1e-2) and found.largest <= 10.0 * (1 + 1e-12)
    assert abs(found.largest - 10.0) <= found.largest_error + 1e-9
    assert found.products < 400


def test_the_smallest_value_is_refused_when_it_cannot_be_trusted():
    A = spread(300, 400, torch.logspace(0, -6, 300, dtype=torch.float64))
    z = torch.zeros(300, dtype=torch.float64)
    for options in ({"steps": 30}, {"steps": 30, "method": "randomised"}):
        found = conditioning.extremes(lambda z: z @ A.mT, z, **options)
        assert not found.trusted
        with pytest.raises(ValueError, match="measure"):
            _ = found.log_condition_number
    whole = conditioning.extremes(lambda z: z @ A.mT, z, steps=300)
    assert whole.trusted and whole.log_condition_number == pytest.approx(12 * math.log(10), rel=1e-5)


def test_a_smallest_value_that_stands_apart_is_found_and_trusted():
    sigma = torch.cat([torch.linspace(2, 1, 299, dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64)])
    A = spread(300, 400, sigma)
    found = conditioning.extremes(lambda z: z @ A.mT, torch.zeros(300, dtype=torch.float64), steps=60)
    assert found.trusted and found.smallest == pytest.approx(0.2, rel=1e-3)
    assert found.log_condition_number == pytest.approx(2 * math.log(10), rel=1e-3)


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_the_smallest_value_is_trusted_by_its_error_relative_to_itself(scale):
    sigma = scale * torch.cat([torch.linspace(20, 1, 299, dtype=torch.float64), torch.tensor([0.2])])
    A = spread(300, 400, sigma)
    z = torch.zeros(300, dtype=torch.float64)
    found = conditioning.extremes(lambda z: z @ A.mT, z, steps=60)
    relative = found.smallest_error / found.smallest
    assert 1e-6 < relative < 10
    for factor in (0.99, 1.01):
        again = conditioning.extremes(lambda z: z @ A.mT, z, steps=60, tolerance=factor * relative)
        assert again.smallest_error == found.smallest_error and again.trusted == (factor > 1)


def test_a_dead_direction_is_found_where_outputs_are_few():
    found = conditioning.extremes(lambda z: z[:, :4] * 2, torch.zeros(40, dtype=torch.float64), steps=20)
    assert found.trusted and found.smallest == 0.0 and found.log_condition_number == math.inf


def test_extremes_of_networks_agree_with_the_whole_spectrum():
    g, z = generator("dcgan", 3, latent=12).float(), latents(1, 12)[0]
    found = conditioning.extremes(g, z.float(), label=2, steps=12)
    values = conditioning.singular_values(g, z[None].float(), labels=torch.tensor([2]), dtype=torch.float64)[0]
    assert found.largest == pytest.approx(values[0].item(), rel=1e-6)
    assert found.trusted and found.smallest == pytest.approx(values[-1].item(), rel=1e-6)
    assert conditioning.extremes(g, z[None].float(), label=2, steps=12) == found  # a batch of one
    with pytest.raises(ValueError, match="one latent"):
        conditioning.extremes(g, z.expand(2, -1))
    with pytest.raises(ValueError, match="krylov"):
        conditioning.extremes(g, z, method="guess")
