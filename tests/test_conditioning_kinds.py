"""Conditioning of generators as people have them: latents of any shape, several outputs, functions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tightrope import conditioning, penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import View
from tightrope.penalties.clamping import finite_gain

LATENT = (2, 3, 3)


def latents(n: int = 3) -> Tensor:
    return torch.randn(n, *LATENT, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def generator() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.BatchNorm2d(3), nn.Conv2d(3, 5, 1)).double()


def by_hand(g: nn.Module, z: Tensor) -> Tensor:
    """Jacobian ``[batch, outputs, 18]`` in eval mode, a sample at a time, by torch's own function."""
    g.eval()
    rows = [torch.autograd.functional.jacobian(lambda p: g(p[None]).flatten(), point).flatten(1) for point in z]
    g.train()
    return torch.stack(rows)


WAYS = {
    "module": lambda g: g,
    "function": lambda g: lambda z: g(z),
    "tuple": lambda g: View(g, call=lambda g, z: (g(z), z), scores=lambda out: out[0]),
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_latents_of_any_shape_count_flattened(way, dtype):
    g, z = generator(), latents()
    J = by_hand(g, z)
    given, z = WAYS[way](g), z if dtype is None else z.float().double()
    found = conditioning.jacobian(given, z, dtype=dtype, memory=1)
    assert found.shape == (3, 20, 18)
    assert torch.allclose(found, by_hand(g, z), rtol=1e-9, atol=1e-12)
    assert torch.allclose(conditioning.jacobian(given, z, mode="reverse"), by_hand(g, z), rtol=1e-9, atol=1e-12)
    z = latents()
    values = torch.linalg.svdvals(J)
    assert torch.allclose(conditioning.singular_values(given, z), values, rtol=1e-8, atol=1e-10)
    measured = conditioning.measure(given, z)
    assert measured.surplus == 0 and measured.values.shape == (3, 18)
    metric = torch.einsum("noi,noj->ij", J, J) / 3
    assert torch.allclose(conditioning.mean_metric(given, z), metric, rtol=1e-8, atol=1e-10)
    extremes = conditioning.extremes(given, z[:1], steps=18)
    assert extremes.largest == pytest.approx(values[0, 0].item(), rel=1e-8)
    assert torch.allclose(conditioning.latent_directions(given, z[:1])[0], values[0], rtol=1e-8, atol=1e-10)
    moved = conditioning.pushed_forward(given, z, latents().flip(0))
    assert torch.allclose(moved.flatten(1), (J @ z.flip(0).flatten(1)[..., None])[..., 0], rtol=1e-9, atol=1e-12)
    length = conditioning.pulled_back_distances(given, z[:2])
    middle = by_hand(g, (z[:1] + z[1:2]) / 2)[0] @ (z[1] - z[0]).flatten()
    assert length.item() == pytest.approx(middle.norm().item(), rel=1e-9)
    assert g.training and g[2].num_batches_tracked == 0


def test_several_latents_are_not_taken_for_one_and_tuples_are_refused():
    for function in (conditioning.extremes, conditioning.latent_directions):
        with pytest.raises(ValueError, match="one latent"):
            function(generator(), latents())
    with pytest.raises(UserError, match=r"View\(generator, scores"):
        conditioning.singular_values(lambda z: (z, z), latents())
    with pytest.raises(UserError, match=r"View\(generator, scores"):
        penalties.jacobian_clamping(lambda z: (z, z), latents())


def test_labels_go_with_their_latents_through_views():
    g = View(nn.Linear(2, 4).double(), call=lambda net, z, y: net(z) * y[:, None], labels=torch.tensor([1.0, 2.0, 3.0]))
    z = torch.randn(3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    J = conditioning.jacobian(g, z, memory=1)
    assert torch.allclose(J, torch.stack([k * g.module.weight.detach() for k in (1.0, 2.0, 3.0)]), rtol=1e-12)
    gains = finite_gain(g, z, rng=torch.Generator().manual_seed(3))
    assert gains.shape == (3,)


def test_gains_in_image_latents_are_finite_differences_of_unit_length():
    A = torch.randn(18, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    seen: list[Tensor] = []

    def linear(z: Tensor) -> Tensor:
        seen.append(z)
        return z.flatten(1) @ A

    gains = finite_gain(linear, latents(6), epsilon=0.3, rng=torch.Generator().manual_seed(5))
    step = (seen[0][6:] - seen[0][:6]).flatten(1)
    assert torch.allclose(step.norm(dim=1), torch.full((6,), 0.3, dtype=torch.float64), rtol=1e-12)
    assert torch.allclose(gains, (step @ A).norm(dim=1) / 0.3, rtol=1e-10)
    value = penalties.jacobian_clamping(linear, latents(6), low=0.0, high=2.0, rng=torch.Generator().manual_seed(5))
    assert value.item() > 0


def test_attention_in_a_generator_has_a_forward_derivative():
    class Attention(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(z, z, z)

    z = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    J = conditioning.jacobian(Attention(), z, mode="forward")
    assert torch.allclose(J, by_hand(Attention(), z), rtol=1e-8, atol=1e-10)
