"""Dense networks of many runs as batched products: derivatives of every order are those of each network by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tightrope.training.seeds.products import Kink, Product, products_of


def networks(kink: nn.Module) -> list[nn.Module]:
    torch.manual_seed(0)
    layers = lambda: [nn.Linear(3, 5), kink, nn.Linear(5, 5, bias=False), kink, nn.Tanh(), kink, nn.Linear(5, 1)]  # noqa: E731
    return [nn.Sequential(*layers()).double() for _ in range(3)]


@pytest.mark.parametrize("kink", [nn.ReLU(), nn.LeakyReLU(0.2)])
def test_values_and_second_derivatives_are_those_of_each_network(kink: nn.Module) -> None:
    each = networks(kink)
    products = products_of(each[0])
    assert products is not None
    names = list(dict(each[0].named_parameters()))
    stacked = {n: torch.stack([dict(e.named_parameters())[n].detach() for e in each]).requires_grad_() for n in names}
    products.use(stacked)
    x = torch.randn(3, 7, 3, dtype=torch.float64)

    def penalised(scores: Tensor, point: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(scores.sum(), point, create_graph=True)
        return scores.square().sum() + (slope.norm(dim=-1) - 1).square().sum()

    point = x.clone().requires_grad_()
    scores = products(point)
    found = torch.autograd.grad(penalised(scores, point), [*stacked.values(), point])
    for k, network in enumerate(each):
        own = x[k].clone().requires_grad_()
        alone = network(own)
        torch.testing.assert_close(scores[k], alone, rtol=1e-12, atol=1e-13)
        expected = torch.autograd.grad(penalised(alone, own), [*network.parameters(), own])
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a[k], b, rtol=1e-10, atol=1e-12)


def test_a_kink_right_behind_a_dense_layer_is_taken_in_and_another_stays() -> None:
    found = products_of(networks(nn.LeakyReLU(0.2))[0])
    assert found is not None
    kinds = [type(module) for module in found.network]  # type: ignore[attr-defined]
    assert kinds == [Product, nn.Identity, Product, nn.Identity, nn.Tanh, Kink, Product]
    assert [m.slope for m in found.network if isinstance(m, Product)] == [0.2, 0.2, None]  # type: ignore[attr-defined]
