"""Which samples a critic was shown is told by rows; several outputs of which one is made of another count once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from monitor_loop import mlp, ring
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.capture import Call
from tightrope.monitor.roles import judged


def loop(
    critic_step: Callable[[nn.Module, Tensor, Tensor], None], penalty: object = ("r1", 1.0), steps: int = 20
) -> Diagnosis:
    """The critic's step backpropagates by itself, so that it may do so in parts."""
    torch.manual_seed(0)
    generator, critic, rng = mlp(4, 16, 2), mlp(2, 16, 1), torch.Generator().manual_seed(1)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in (generator, critic))
    monitor = Monitor(
        generator, critic, "non_saturating", penalty=penalty, optimizers=(first, second), every=5, budget=1e9
    )
    for _ in range(steps):
        real, z = ring(32, rng), torch.randn(32, 4)
        second.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(32, 4))
        critic_step(critic, real, fake)
        second.step()
        first.zero_grad()
        softplus(-critic(generator(z))).mean().backward()
        first.step()
        monitor.step(real, z)
    return monitor.diagnose()


def with_r1(critic: nn.Module, real: Tensor, fake: Tensor, at: Tensor, share: float = 1.0) -> None:
    x = at.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    loss = softplus(-critic(real)).mean() + softplus(critic(fake)).mean() + 0.5 * slope.square().sum(1).mean()
    (share * loss).backward()


def in_parts(critic: nn.Module, real: Tensor, fake: Tensor) -> None:
    for a, b in zip(real.chunk(2), fake.chunk(2), strict=True):
        with_r1(critic, a, b, a, 0.5)


def beside_a_bank() -> Callable[[nn.Module, Tensor, Tensor], None]:
    bank: list[Tensor] = []

    def step(critic: nn.Module, real: Tensor, fake: Tensor) -> None:
        bank.append(fake)
        old = torch.cat(bank)[torch.randint(32 * len(bank), (16,))]
        with_r1(critic, real, torch.cat([fake[:16], old]), real)

    return step


def noised(critic: nn.Module, real: Tensor, fake: Tensor) -> None:
    a, b = (x + 0.7 * torch.randn_like(x) for x in (real, fake))
    with_r1(critic, a, b, a)


def shuffled_joint(critic: nn.Module, real: Tensor, fake: Tensor) -> None:
    order = torch.randperm(64)
    scores = critic(torch.cat([real, fake])[order])
    sign = torch.where(order < 32, -1.0, 1.0).unsqueeze(1)
    x = real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    (softplus(sign * scores).sum() / 32 + 0.5 * slope.square().sum(1).mean()).backward()


def half_forgotten(critic: nn.Module, real: Tensor, fake: Tensor) -> None:
    for a, b in zip(real.chunk(2), fake.chunk(2), strict=True):
        (softplus(-critic(a)).mean() + softplus(critic(b)).mean().detach()).backward()


@pytest.mark.parametrize("step", [in_parts, beside_a_bank(), noised, shuffled_joint], ids=lambda f: f.__name__)
def test_sound_steps_are_healthy(step: Callable[[nn.Module, Tensor, Tensor], None]) -> None:
    found = loop(step)
    assert found.healthy, str(found)


def test_a_half_that_is_missing_in_all_parts_is_named() -> None:
    assert loop(half_forgotten, penalty=None)[0].cause == "critic_fake_half_missing"


def test_a_joint_batch_in_any_order_is_read() -> None:
    said = " ".join(loop(shuffled_joint).checked)
    assert "the critic's loss at its scores, as claimed in 7 of 7" in said


def test_a_penalty_at_generated_samples_is_named_in_parts_too() -> None:
    def step(critic: nn.Module, real: Tensor, fake: Tensor) -> None:
        for a, b in zip(real.chunk(2), fake.chunk(2), strict=True):
            with_r1(critic, a, b, b, 0.5)

    assert loop(step)[0].cause == "penalty_other_place"


def test_rows_of_few_values_that_both_sides_share_decide_nothing() -> None:
    torch.manual_seed(0)
    x, y = torch.randint(2, (64, 2)).float(), torch.randint(2, (64, 2)).float()
    judged_real, made = call_of(x), call_of(torch.randn(64, 4), y)
    assert [one.role for one in judged([judged_real], [made], None)] == ["unknown"]


def call_of(x: Tensor, *outputs: Tensor) -> Call:
    """A call without a gradient."""
    return Call("critic", 0, (x,), {}, x, False, False, True, [], (), {}, 0, False, None, outputs=list(outputs))


class Vocoder(nn.Module):
    """Returns flattened scores, and as features all that they were made of, the scores' own last layer included."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(1, 4, 3, 2, 1), nn.Conv1d(4, 1, 3, 1, 1)])

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        features = []
        for k, layer in enumerate(self.layers):
            x = layer(x) if k else torch.nn.functional.leaky_relu(layer(x), 0.1)
            features.append(x)
        return [x.flatten(1)], [features]


def vocoder(sign: float = 1.0) -> Diagnosis:
    torch.manual_seed(0)
    generator, critic = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Unflatten(1, (1, 16))), Vocoder()
    first, second = (torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in (generator, critic))
    monitor = Monitor(generator, critic, "hinge", optimizers=(first, second), every=5, budget=1e9)
    for _ in range(20):
        real, z = 0.3 * torch.randn(32, 1, 16).cumsum(2).tanh(), torch.randn(32, 4)
        second.zero_grad()
        (relu(1 - critic(real)[0][0]).mean() + relu(1 + critic(generator(z).detach())[0][0]).mean()).backward()
        second.step()
        first.zero_grad()
        made = generator(z)
        scores, features = critic(made)
        theirs = critic(real)[1][0]
        matching = sum((a.detach() - b).abs().mean() for a, b in zip(theirs, features[0], strict=True))
        (-sign * scores[0].mean() + 2 * matching + 5 * (made - real).abs().mean()).backward()
        first.step()
        monitor.step(real, z)
    return monitor.diagnose()


def test_features_that_scores_are_made_of_count_once() -> None:
    found = vocoder()
    assert found.healthy, str(found)
    assert "the critic's loss at its scores, as claimed in 7 of 7" in found.checked
    left = next(words for words in found.checked if words.startswith("the critic's gradient"))
    assert float(left.split()[5]) < 1e-5, left


def test_a_sign_beside_feature_matching_is_found() -> None:
    assert vocoder(-1.0)[0].cause == "generator_sign_flipped"


def test_real_rows_that_resemble_the_samples_of_their_classes_are_real() -> None:
    torch.manual_seed(0)
    centres = 2 * torch.randn(4, 6)
    generator, critic = nn.Linear(10, 6), mlp(6, 16, 1)
    with torch.no_grad():  # samples of a class lie where the class does
        generator.weight.copy_(torch.cat([centres, 0.1 * torch.randn(6, 6)]).T)
        generator.bias.zero_()
    optimizers = [torch.optim.Adam(net.parameters(), 1e-4, betas=(0.0, 0.9)) for net in (generator, critic)]
    monitor = Monitor(generator, critic, "least_squares", optimizers=optimizers, every=5, budget=1e9)
    for _ in range(12):
        classes = torch.nn.functional.one_hot(torch.randint(4, (32,)), 4).float()
        real = classes @ centres + 0.1 * torch.randn(32, 6)
        z = torch.cat([classes, torch.randn(32, 6)], 1)
        optimizers[0].zero_grad()
        (critic(generator(z)) - 1).square().mean().backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        ((critic(real) - 1).square().mean() + critic(generator(z)).square().mean()).backward()  # not detached
        optimizers[1].step()
        monitor.step(real, z)
    assert {a.kind for w in monitor.history.windows for a in w.critic.accounts} == {"losses"}
    assert not any(f.cause == "generator_gradient_in_critic" for f in monitor.diagnose())
