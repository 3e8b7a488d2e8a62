"""Networks whose forward changes what the next one computes with: right, or refused in a sentence."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope import conditioning, constraints, dynamics, penalties, spectra
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import undisturbed
from tightrope.penalties.clamping import finite_gain

F64 = torch.float64
X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=F64)


class Labelled(nn.Module):
    """An embedding that shortens its rows at every look-up."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(3, 4, max_norm=0.5), nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        label = torch.arange(len(x)) % 3
        return (self.embedding(label) * torch.tanh(self.body(x))).sum(1, keepdim=True)


class Standardised(nn.Linear):
    """Weight standardisation as often written, into the parameter; ``how`` it is written there."""

    how = "replaced"

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            weight = self.weight - self.weight.mean(1, keepdim=True)
            weight = weight / weight.norm(dim=1, keepdim=True)
            if self.how == "replaced":
                self.weight.data = weight
            elif self.how == "through data":
                self.weight.data.copy_(weight)
            else:
                self.weight.copy_(weight)
        return super().forward(x)


class Following(nn.Module):
    """A codebook that follows the data in training mode: a buffer, a parameter without gradient, or neither."""

    def __init__(self, held: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.body, self.head, self.dropout = nn.Linear(2, 4), nn.Linear(4, 1), nn.Dropout(dropout)
        code = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
        if held == "buffer":
            self.register_buffer("code", code)
        else:
            self.code = nn.Parameter(code, requires_grad=False) if held == "parameter" else [code.double()]

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x))
        code = self.code if isinstance(self.code, Tensor) else self.code[0]
        near = torch.softmax(-(h[:, None] - code).square().sum(-1), 1)
        if self.training:
            code.data.mul_(0.9).add_(near.detach().T @ h.detach(), alpha=0.1 / len(x))
        return self.head(self.dropout(near @ code + h))


def following(held: str, **more: float) -> nn.Module:
    torch.manual_seed(0)
    return Following(held, **more).double()


def standardised(how: str) -> nn.Module:
    torch.manual_seed(0)
    first = Standardised(2, 4)
    first.how = how
    return nn.Sequential(first, nn.Tanh(), nn.Linear(4, 1)).double()


def labelled() -> nn.Module:
    torch.manual_seed(0)
    return Labelled().double()


def slope(critic: nn.Module) -> Tensor:
    """The gradient at ``X`` of one forward of a copy."""
    x = X.clone().requires_grad_()
    (found,) = torch.autograd.grad(copy.deepcopy(critic)(x).sum(), x)
    return found


WHICH = {
    "a codebook in a buffer": lambda: following("buffer"),
    "a codebook in a parameter": lambda: following("parameter"),
    "max_norm": labelled,
    "a weight replaced": lambda: standardised("replaced"),
    "a weight written": lambda: standardised("in place"),
}


@pytest.mark.parametrize("make", WHICH.values(), ids=WHICH)
def test_two_forwards_that_are_compared_start_from_one_state(make):
    critic, once = make(), make()
    wanted = slope(critic)
    found = penalties.finite_difference_r1(
        critic, X, gamma=2, sigma=1e-4, draws=64, rng=torch.Generator().manual_seed(0)
    )
    assert found.item() == pytest.approx(wanted.square().sum(1).mean().item(), rel=0.1)
    once(X)  # the state afterwards is that after one forward, not after 65 of them
    torch.testing.assert_close(critic.state_dict(), once.state_dict(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("make", WHICH.values(), ids=WHICH)
def test_r1_is_that_of_the_forward(make):
    critic = make()
    wanted = slope(critic).square().sum(1).mean()
    torch.testing.assert_close(penalties.r1(critic, X, gamma=2), wanted)


def test_the_gain_with_draws_starts_from_one_state():
    gains = [
        finite_gain(following("buffer", dropout=p), X, epsilon=1e-4, rng=torch.Generator().manual_seed(0)).max()
        for p in (0.0, 0.3)
    ]
    assert gains[1].item() < 3 * gains[0].item()


def test_a_critic_that_changes_by_other_means_is_refused_and_in_eval_mode_is_not():
    with pytest.raises(UserError, match="one function while two of its forwards are compared"):
        penalties.finite_difference_r1(following("neither"), X)
    assert penalties.finite_difference_r1(following("neither").eval(), X).item() > 0


WRITING = {
    "max_norm": labelled,
    "a weight replaced": lambda: standardised("replaced"),
    "a weight written through data": lambda: standardised("through data"),
    "a weight written": lambda: standardised("in place"),
    "a codebook in a buffer": lambda: following("buffer"),
    "a codebook in a parameter": lambda: following("parameter"),
    "a codebook in a list": lambda: following("neither"),
}


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("make", WRITING.values(), ids=WRITING)
def test_a_game_whose_forwards_write_has_no_spectrum(make, dtype):
    critic = make().to(dtype)
    if isinstance(critic, Following) and isinstance(critic.code, list):
        critic.code[0] = critic.code[0].to(dtype)
    before = [p.detach().clone() for p in critic.parameters() if p.requires_grad]

    def loss() -> Tensor:
        return F.softplus(-critic(X.to(dtype))).mean()

    with pytest.raises(UserError, match=r"reads?|parameters alone|deterministic"):
        dynamics.eigenvalues((loss,), (critic,), k=1)
    after = [p for p in critic.parameters() if p.requires_grad]
    assert all(map(torch.equal, after, before))


def test_a_game_whose_buffers_only_record_has_one():
    class Recording(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 1, dtype=F64)
            self.register_buffer("seen", torch.zeros((), dtype=F64))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += x.square().mean()
            return super().forward(x)

    critic = Recording()
    found = dynamics.field_jacobian((lambda: critic(X).square().mean(),), (critic,))
    inputs = torch.cat((X, torch.ones(len(X), 1, dtype=F64)), 1)
    torch.testing.assert_close(found, -2 * inputs.T @ inputs / len(X))


def test_gains_of_a_generator_with_short_rows_are_those_of_its_forward():
    generator = labelled()
    wanted = slope(generator).norm(dim=1)
    before = generator.embedding.weight.detach().clone()
    found = conditioning.jacobian(generator, X)
    torch.testing.assert_close(found[:, 0].norm(dim=1), wanted)
    assert generator.embedding.weight.equal(before)
    assert generator.embedding.max_norm == 0.5


@pytest.mark.parametrize("how", ["replaced", "in place"])
def test_gains_of_a_generator_that_writes_its_weights_are_refused(how):
    generator = standardised(how)
    with pytest.raises(UserError, match="reads its parameters"):
        conditioning.jacobian(generator, X)
    assert generator(X).isfinite().all()


def test_spectra_and_constraints_refuse_rows_that_are_shortened():
    with pytest.raises(UserError, match="max_norm"):
        spectra.layer_spectra(labelled(), X)
    with pytest.raises(UserError, match="max_norm"):
        constraints.spectral_norm(labelled())
    with pytest.raises(UserError, match="max_norm"):
        constraints.orthogonal(labelled())


def test_a_diagnostic_leaves_rows_as_found():
    critic = labelled()
    before = critic.embedding.weight.detach().clone()
    with undisturbed(critic):
        critic(X)
    assert critic.embedding.weight.equal(before)
    critic(X)
    assert not critic.embedding.weight.equal(before)
