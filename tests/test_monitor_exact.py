"""Exact evidence on what people's networks are called with: pairs, conditions, features, data for latents, families."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.optim.swa_utils import AveragedModel

from monitor_loop import mlp, ring
from test_monitor_windows import history, named, scheduled
from tightrope.losses import least_squares
from tightrope.monitor import Monitor
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.scores import Fit, Scored, fit
from tightrope.monitor.noise import like_noise, noise_columns
from tightrope.monitor.pairs import sides
from tightrope.monitor.window import Window


class Pair(nn.Module):
    """As vocoders' critics: real and generated samples in, scores and features of both out."""

    def __init__(self, first: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first, self.last = first, last

    def forward(self, real: Tensor, fake: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = [self.first(real).relu(), self.first(fake).relu()]
        return [self.last(h) for h in features], features


class Conditional(nn.Module):
    """A condition first, the sample behind it, both of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 16, 1)

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        return self.net(torch.cat([condition, x], 1))


def pair_loop(fault: str = "", steps: int = 9) -> Monitor:
    torch.manual_seed(0)
    generator, critic, rng = mlp(4, 16, 2), Pair(nn.Linear(2, 16), nn.Linear(16, 1)), torch.Generator().manual_seed(1)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3) for net in (generator, critic))
    monitor = Monitor(generator, critic, least_squares(targets=(0, 1)), optimizers=(first, second), budget=1e9)
    for _ in range(steps):
        real, z = ring(32, rng), torch.randn(32, 4)
        fake = generator(z)
        second.zero_grad()
        (r, f), _ = critic(real, fake.detach())
        (((r - 1) ** 2).mean() + (0.0 if fault == "no fake half" else 1.0) * (f**2).mean()).backward()
        second.step()
        first.zero_grad()
        (_, f), (a, b) = critic(real, fake.detach() if fault == "detached" else fake)
        target = 0.0 if fault == "flipped" else 1.0
        other = (fake - real).abs().mean() * (1e7 if fault == "drowned" else 0.1)
        (((f - target) ** 2).mean() + 2 * (a - b).abs().mean() + other).backward()
        first.step()
        monitor.step(real, z)
    return monitor


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("", ""),
        ("no fake half", "critic_fake_half_missing"),
        ("detached", "generator_loss_without_critic"),
        ("flipped", "generator_sign_flipped"),
        ("drowned", "reconstruction_drowns_adversarial"),
    ],
)
def test_a_critic_of_real_and_generated_samples_at_once_is_judged_by_halves(fault: str, cause: str) -> None:
    monitor = pair_loop(fault)
    found = monitor.diagnose()
    assert monitor.failures == {}
    assert found[0].cause == (cause or "healthy")
    if not fault:
        assert all(w.critic.fit and w.critic.fit.kind == "claim" for w in monitor.history.windows)
        assert all(w.numbers["other_share"] < 0.9 for w in monitor.history.windows[:3])


def test_halves_of_a_pair_leave_the_training_as_it_is() -> None:
    watched = pair_loop()
    torch.manual_seed(0)
    generator, critic, rng = mlp(4, 16, 2), Pair(nn.Linear(2, 16), nn.Linear(16, 1)), torch.Generator().manual_seed(1)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3) for net in (generator, critic))
    for _ in range(9):
        real, z = ring(32, rng), torch.randn(32, 4)
        fake = generator(z)
        second.zero_grad()
        (r, f), _ = critic(real, fake.detach())
        (((r - 1) ** 2).mean() + 1.0 * (f**2).mean()).backward()
        second.step()
        first.zero_grad()
        (_, f), (a, b) = critic(real, fake)
        (((f - 1.0) ** 2).mean() + 2 * (a - b).abs().mean() + (fake - real).abs().mean() * 0.1).backward()
        first.step()
    for a, b in zip(generator.parameters(), watched.players["generator"].module.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("flipped", [False, True])
def test_of_a_condition_and_a_sample_the_sample_is_judged(flipped: bool) -> None:
    torch.manual_seed(0)
    generator, critic, rng = mlp(2, 16, 2), Conditional(), torch.Generator().manual_seed(1)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3) for net in (generator, critic))
    monitor = Monitor(generator, critic, "hinge", optimizers=(first, second), budget=1e9)
    for _ in range(6):
        real = ring(32, rng)
        condition = real.roll(1, 1) + 0.1
        second.zero_grad()
        loss = (1 - critic(condition, real)).relu().mean()
        (loss + (1 + critic(condition, generator(condition).detach())).relu().mean()).backward()
        second.step()
        first.zero_grad()
        ((1 if flipped else -1) * critic(condition, generator(condition)).mean()).backward()
        first.step()
        monitor.step(real, condition)
    assert monitor.diagnose()[0].cause == ("generator_sign_flipped" if flipped else "healthy")
    assert all(w.critic.fit and w.critic.fit.kind == "claim" for w in monitor.history.windows)
    assert {len(call.outputs) for call in monitor.players["critic"].listener.calls} <= {1}


def test_outputs_that_depend_on_both_inputs_are_no_halves() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(2, 16), nn.Linear(16, 1)

        def forward(self, condition: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            h = self.first(condition).relu()
            return self.last(h), self.last(h + self.first(x))  # the second is of both

    torch.manual_seed(0)
    generator, critic = mlp(2, 16, 2), Mixed()
    monitor = Monitor(generator, critic, "hinge")
    listener = monitor.players["critic"].listener
    critic(torch.randn(8, 2), generator(torch.randn(8, 2)))
    assert sides(critic, listener.calls[0]) is None
    monitor.close()
    generator, critic = mlp(2, 16, 2), Pair(nn.Linear(2, 16), nn.Linear(16, 1))
    monitor = Monitor(generator, critic, "hinge")
    critic(torch.randn(8, 2), generator(torch.randn(8, 2)))
    assert sides(critic, monitor.players["critic"].listener.calls[0]) == ((0, 2), (1, 3))
    monitor.close()


SMOOTH = torch.nn.functional.avg_pool2d


@pytest.mark.parametrize(
    ("x", "noise"),
    [
        (lambda: torch.randn(16, 8), True),
        (lambda: torch.rand(64, 2) * 3 - 1, True),
        (lambda: nn.functional.normalize(torch.randn(8, 32), dim=1), True),
        (lambda: torch.randn(8, 3, 8, 8), True),
        (lambda: SMOOTH(torch.randn(8, 3, 40, 40), 8, 1), False),
        (lambda: torch.randn(16, 1, 48).cumsum(2), False),
        (lambda: torch.eye(10)[torch.randint(10, (32,))], False),
        (lambda: torch.randn(64, 1) + 0.1 * torch.randn(64, 6), False),
        (lambda: torch.randn(64, 6) + 5 * torch.arange(6), False),
    ],
)
def test_noise_is_told_from_data(x: Callable[[], Tensor], noise: bool) -> None:
    torch.manual_seed(0)
    assert [like_noise(x()) for _ in range(20)].count(noise) >= 19
    mixed = torch.cat([torch.randn(32, 5), torch.eye(3)[torch.randint(3, (32,))]], 1)
    assert noise_columns(mixed) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("kind", "cause"), [("noise", True), ("noise beside classes", True), ("images", False)])
def test_data_given_to_a_generator_are_no_latents(kind: str, cause: bool) -> None:
    """Sampled with twice the spread that was trained with: a fault of noise, another set of rows of data."""
    torch.manual_seed(0)
    width = {"noise": 4, "noise beside classes": 7, "images": 12}[kind]

    def given(n: int, scale: float) -> Tensor:
        if kind == "images":
            return scale * (torch.randn(n, 1) + 0.1 * torch.randn(n, 12))
        z = scale * torch.randn(n, 4)
        return z if kind == "noise" else torch.cat([z, torch.eye(3)[torch.randint(3, (n,))]], 1)

    generator, critic, rng = mlp(width, 16, 2), mlp(2, 16, 1), torch.Generator().manual_seed(1)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3) for net in (generator, critic))
    monitor = Monitor(
        generator, critic, "hinge", optimizers=(first, second), budget=1e9, sample=lambda: generator(given(200, 2.0))
    )
    for _ in range(9):
        real, z = ring(32, rng), given(32, 1.0)
        second.zero_grad()
        ((1 - critic(real)).relu().mean() + (1 + critic(generator(z).detach())).relu().mean()).backward()
        second.step()
        first.zero_grad()
        (-critic(generator(z)).mean()).backward()
        first.step()
        monitor.step(real, z)
    assert ("latent_mismatch" in {f.cause for f in monitor.diagnose()}) == cause


def at_scores(loss: Callable[[Tensor, Tensor], Tensor]) -> Scored:
    torch.manual_seed(0)
    r, f = (torch.randn(24, dtype=torch.float64).requires_grad_() for _ in range(2))
    at = torch.autograd.grad(loss(r, f), (r, f), allow_unused=True)
    return Scored(r.detach(), f.detach(), *(torch.zeros(24).double() if g is None else g for g in at))


def to(scores: Tensor, target: float) -> Tensor:
    return bce(scores, torch.full_like(scores, target))


def test_cross_entropy_in_place_of_soft_squares_is_another_loss() -> None:
    def claimed(r: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * ((r - 0.9) ** 2).mean() + 0.5 * ((f - 0.1) ** 2).mean(), ((f - 0.9) ** 2).mean()

    found = fit(at_scores(lambda r, f: to(r, 0.9) + to(f, 0.1)), claim_of(claimed), "critic")
    assert (found.kind, found.name) == ("loss", "non_saturating with targets 0.9 and 0.1")
    found = fit(at_scores(lambda r, f: to(f, 0.9)), claim_of(claimed), "generator")
    assert found.kind == "loss"
    found = fit(at_scores(lambda r, f: r.sin().mean() - f.cos().mean()), claim_of(claimed), "critic")
    assert found.kind == "none"


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_one_target_for_both_sides_turns_a_half(target: float) -> None:
    found = fit(at_scores(lambda r, f: to(r, target) + to(f, target)), claim_of("non_saturating"), "critic")
    assert found.kind == "half flipped"
    assert fit(at_scores(lambda r, f: to(r, 0.9) + to(f, 0.1)), claim_of("non_saturating"), "critic").kind == "claim"


@pytest.mark.parametrize(("targets", "flipped"), [((0, 1), True), ((-1, 1), False)])
def test_a_generator_s_target_of_fakes_is_turned_and_one_between_is_not(
    targets: tuple[int, int], flipped: bool
) -> None:
    def write(window: Window) -> None:
        window.critic.fit = Fit("claim", "least_squares")
        window.generator.fit = Fit("flipped", "target 0", 0.4)

    found = history(write)
    found.claim = claim_of(least_squares(targets=targets))
    assert ("generator_sign_flipped" in named(found)) == flipped


def test_a_schedule_at_every_update_counts_beside_one_of_epochs() -> None:
    rates = [1e-3 * 0.95 ** (k + k // 20) for k in range(60)]
    assert named(history(generator=scheduled(rates))).get("schedule_too_fast") == "medium"


def test_a_network_is_not_normalised_by_its_name() -> None:
    class SNGANDiscriminator(nn.Sequential):
        pass

    generator, critic = mlp(4, 8, 2), SNGANDiscriminator(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    monitor = Monitor(generator, critic, "hinge", penalty="spectral_norm")
    assert not monitor.history.statics["own_constraint"]
    monitor.close()


def test_buffers_of_a_wrapped_average_are_compared() -> None:
    torch.manual_seed(0)
    generator, critic, rng = mlp(4, 16, 2, norm=True), mlp(2, 16, 1), torch.Generator().manual_seed(1)
    average = AveragedModel(generator)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3) for net in (generator, critic))
    monitor = Monitor(generator, critic, "hinge", optimizers=(first, second), ema=average, budget=1e9)
    for _ in range(22):
        real, z = 3 + ring(32, rng), 5 * torch.randn(32, 4) + 5
        second.zero_grad()
        ((1 - critic(real)).relu().mean() + (1 + critic(generator(z).detach())).relu().mean()).backward()
        second.step()
        first.zero_grad()
        (-critic(generator(z)).mean()).backward()
        first.step()
        for a, b in zip(average.module.parameters(), generator.parameters(), strict=True):
            a.data.lerp_(b.data, 0.5)
        monitor.step(real, z)
    assert "average_buffers_not_copied" in {f.cause for f in monitor.diagnose()}
