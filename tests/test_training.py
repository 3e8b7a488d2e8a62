"""The two half-steps and the loop: directions, counters, gradients that must not exist, batches, budgets, misfits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tightrope import losses
from tightrope._plumbing.errors import UserError
from tightrope.data import Sampler, open_data
from tightrope.methods import METHODS, Method, build
from tightrope.optimizers.settings import Optimizer
from tightrope.training import Run, critic_step, generator_step, scalars, start, train
from training_cases import BATCH, MLP, batches, begin, networks, rng

HALVES = [name for name in METHODS if not build(name).simultaneous]  # the others move both players at once


@pytest.fixture(scope="module")
def ring() -> Tensor:
    return open_data("toy:ring").batch(torch.arange(4096)).x


def gap(run: Run, real: Tensor, z: Tensor) -> float:
    with torch.no_grad():
        return (run.critic(real).mean() - run.critic(run.generator(z)).mean()).item()


# ------------------------------------------------------------------------------------------------------ directions


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", HALVES)
def test_critic_steps_widen_the_gap_and_a_generator_step_raises_the_fakes_scores(name, seed, ring):
    """Fixed generator moved off the data, 20 critic steps from a critic that cannot tell yet, then one generator step.

    The critic's last layer starts at zero (but not under a constraint, where zero has no direction): the gap then comes
    from learning alone. From a random start a gradient penalty first strengthens whatever slope it finds,
    right or wrong. Weights outside the box of WGAN are clipped beforehand.
    """
    method = build(name)
    generator, critic = networks(seed)
    with torch.no_grad():
        generator.last.bias.add_(torch.tensor([1.5, -0.5]))
        if from_zero := method.constraint is None:
            critic.head.dense.weight.zero_()
    run = start(method, generator, critic, seed=seed, batch_size=256)
    if run.method.projection is not None:
        run.method.projection(run.critic)
    real, z = ring[:256], torch.randn(256, 4, generator=rng(9))
    before = gap(run, real, z)
    for _ in range(20):
        critic_step(run, real)
    after = gap(run, real, z)
    assert after > before
    assert after > 0 or not from_zero

    with torch.no_grad():
        low = run.critic(run.generator(z)).mean().item()
    run.method = replace(run.method, generator_penalties=())  # a generator that is also clamped may lose some score
    generator_step(run, real)
    with torch.no_grad():
        assert run.critic(run.generator(z)).mean().item() > low


@pytest.mark.parametrize("name", HALVES)
def test_each_half_step_updates_its_own_player_and_builds_only_its_own_graph(name, ring):
    run = begin(name)
    made: list[tuple[bool, bool]] = []
    run.generator.register_forward_hook(lambda *a: made.append((torch.is_grad_enabled(), a[2].requires_grad)))

    def weights(net: nn.Module) -> list[Tensor]:
        return [p.detach().clone() for p in net.parameters()]

    def equal(a: list[Tensor], b: list[Tensor]) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    c, g = weights(run.critic), weights(run.generator)
    critic_step(run, ring[:BATCH])
    assert made == [(False, False)]  # the generator's graph is never built
    assert all(p.grad is None for p in run.generator.parameters())
    assert equal(weights(run.generator), g) and not equal(weights(run.critic), c)

    c = weights(run.critic)
    held = [None if p.grad is None else p.grad.clone() for p in run.critic.parameters()]
    generator_step(run, ring[BATCH : 2 * BATCH])
    built = [graphs for graphs in made[1:] if any(graphs)]  # clamping first looks, without a graph, for noise per row
    assert built == [(True, True)] and len(made) <= 3
    assert equal(weights(run.critic), c) and not equal(weights(run.generator), g)
    for p, old in zip(run.critic.parameters(), held, strict=True):
        assert p.requires_grad
        assert p.grad is None or (old is not None and torch.equal(p.grad, old))  # nothing was added for nothing


def test_critic_and_generator_steps_are_the_optimisers_applied_to_the_objectives(ring):
    """Plain SGD: the parameter change divided by the rate is the gradient of the loss written out here."""
    sgd = Optimizer("sgd", learning_rate=0.25)
    run = begin(Method("mine", losses.least_squares, sgd, sgd))
    real, seen = ring[:BATCH], []
    run.generator.register_forward_hook(lambda *a: seen.append(a[1][0].clone()))
    reference_g, reference_c = networks()
    half = critic_step(run, real)
    fake = reference_g(seen[0]).detach()
    loss = ((reference_c(real) - 1) ** 2).mean() + ((reference_c(fake) + 1) ** 2).mean()
    slopes = torch.autograd.grad(loss, list(reference_c.parameters()))
    for p, q, g in zip(run.critic.parameters(), reference_c.parameters(), slopes, strict=True):
        assert torch.allclose(p, q - 0.25 * g, rtol=1e-5, atol=1e-7)
    values = scalars(half)
    assert values["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert values["d_real"] == pytest.approx(reference_c(real).mean().item(), abs=1e-6)
    assert values["d_fake"] == pytest.approx(reference_c(fake).mean().item(), abs=1e-6)
    total = sum(g.double().square().sum() for g in slopes).sqrt().item()
    assert half.gradient_norm.item() == pytest.approx(total, rel=1e-5)
    assert half.objective.d_real.shape == (BATCH,) and not half.objective.total.requires_grad

    reference_c.load_state_dict(run.critic.state_dict())
    generator_step(run)
    assert seen[1].shape == (BATCH, 4) and not torch.equal(seen[0], seen[1])  # fresh latents
    loss = ((reference_c(reference_g(seen[1])) - 1) ** 2).mean()
    slopes = torch.autograd.grad(loss, list(reference_g.parameters()))
    for p, q, g in zip(run.generator.parameters(), reference_g.parameters(), slopes, strict=True):
        assert torch.allclose(p, q - 0.25 * g, rtol=1e-5, atol=1e-7)


def test_weights_are_clipped_whenever_the_generator_looks(ring):
    run = begin("wgan")
    for k in range(3):
        critic_step(run, ring[k * BATCH : (k + 1) * BATCH])
        largest = max(p.abs().max().item() for p in run.critic.parameters())
        assert largest <= 0.01 + 1e-9
    assert largest == pytest.approx(0.01)


def test_spectral_normalisation_holds_during_training(ring):
    run = begin("sn_gan")
    list(train(run, batches(ring), steps=30))
    run.critic.eval()
    for module in run.critic.modules():
        if isinstance(module, nn.Linear):
            sigma = torch.linalg.matrix_norm(module.weight.detach().double(), 2).item()
            assert 0.99 <= sigma <= 1.05  # SN-1 of the notes: the power iteration lags a little


# -------------------------------------------------------------------------------------- counters, average, schedules


@pytest.mark.parametrize(("name", "options"), [("wgan_gp", {}), ("r1", {}), ("r3gan", {"n_critic": 2})])
def test_counters_and_the_number_of_updates(name, options, ring):
    method = build(name, **options)
    run = begin(method)
    assert (run.step, run.critic_steps, run.images_seen) == (0, 0, 0)
    steps = list(train(run, batches(ring), steps=3))
    assert [s.step for s in steps] == [1, 2, 3] and run.step == 3
    assert run.critic_steps == 3 * method.n_critic
    assert [s.images_seen for s in steps] == [k * method.n_critic * BATCH for k in (1, 2, 3)]
    assert run.images_seen == steps[-1].images_seen
    assert steps[0].critic is not steps[1].critic


def test_the_authors_warm_up_is_followed_by_the_loop(ring):
    run = begin(build("wgan", authors_warm_up=True, n_critic=2))
    run.step = 24
    counts = [0, *(run.critic_steps for _ in train(run, batches(ring), steps=27))]
    assert [b - a for a, b in itertools.pairwise(counts)] == [100, 2, 2]


def test_each_critic_step_gets_its_own_batch(ring):
    run, taken = begin("wgan_gp"), []

    def watched():
        for k, x in enumerate(itertools.cycle(batches(ring))):
            taken.append(k)
            yield x

    list(train(run, watched(), steps=2))
    assert len(taken) >= 10


@pytest.mark.parametrize("ramp_up", [None, 0.05])
def test_the_average_follows_its_formula_in_images(ramp_up, ring):
    run = begin("wgan_gp", ema_half_life_images=5 * BATCH, ema_ramp_up=ramp_up)
    expected = [p.detach().clone() for p in run.generator.parameters()]
    assert not run.average.training and not any(p.requires_grad for p in run.average.parameters())
    for step in train(run, batches(ring), steps=24 if ramp_up else 4):
        half_life = 5 * BATCH if ramp_up is None else min(5 * BATCH, ramp_up * step.images_seen)
        decay = 0.5 ** (5 * BATCH / half_life)  # five critic steps, of BATCH real images each
        expected = [
            decay * a + (1 - decay) * p.detach() for a, p in zip(expected, run.generator.parameters(), strict=True)
        ]
        for a, e in zip(run.average.parameters(), expected, strict=True):
            assert torch.allclose(a, e, rtol=1e-5, atol=1e-7)
    assert any(not torch.equal(a, p) for a, p in zip(run.average.parameters(), run.generator.parameters(), strict=True))


def test_without_averaging_the_average_is_the_generator(ring):
    run = begin("r1", ema_half_life_images=0)
    list(train(run, batches(ring), steps=2))
    assert all(torch.equal(a, p) for a, p in zip(run.average.parameters(), run.generator.parameters(), strict=True))


def test_rates_and_penalties_follow_the_images_seen(ring):
    n = 8 * BATCH
    run = begin(build("r3gan", gamma_final=0.0, learning_rate_final=0.0, beta2_final=0.99, schedule_images=n))
    list(train(run, batches(ring), steps=4))
    assert run.images_seen == n // 2
    critic_step(run, ring[:BATCH])
    group = run.critic_optimizer.param_groups[0]
    middle = float(group["lr"])
    assert 0.7e-4 < middle < 1.21e-4  # halfway, give or take the images of this very step
    assert 0.945 - 0.02 < float(group["betas"][1]) < 0.945 + 0.02
    list(train(run, batches(ring), steps=12))
    before = [p.detach().clone() for p in run.critic.parameters()]
    half = critic_step(run, ring[:BATCH])
    assert scalars(half)["penalty"] == 0.0
    assert all(torch.equal(p, q) for p, q in zip(run.critic.parameters(), before, strict=True))  # the rate reached zero


def test_a_larger_generator_batch(ring):
    run, sizes = begin(build("sn_gan", generator_batch_factor=3)), []
    run.generator.register_forward_hook(lambda *a: sizes.append(len(a[2])))
    critic_step(run, ring[:BATCH])
    generator_step(run)
    assert sizes == [BATCH, 3 * BATCH]


# ------------------------------------------------------------------------------------------------- data and budgets


def test_batches_of_every_kind_give_the_same_training(ring):
    x, labels = ring[:256], torch.zeros(256, dtype=torch.int64)
    sources = {
        "tensors": list(x.split(BATCH)),
        "tuples": list(zip(x.split(BATCH), labels.split(BATCH), strict=True)),
        "lists": [[a, b] for a, b in zip(x.split(BATCH), labels.split(BATCH), strict=True)],
        "loader of tuples": DataLoader(TensorDataset(x, labels), BATCH),
        "loader of one": DataLoader(TensorDataset(x), BATCH),
        "loader of tensors": DataLoader(x, BATCH),
        "iterator": iter(x.split(BATCH)),
    }
    results = {}
    for name, source in sources.items():
        run = begin("r1")
        list(train(run, source, steps=5))
        results[name] = torch.cat([p.detach().flatten() for p in run.critic.parameters()])
    for name, value in results.items():
        assert torch.equal(value, results["tensors"]), name
    run = begin("r1")
    list(train(run, Sampler(open_data("toy:ring"), BATCH, seed=0), steps=2))
    assert run.step == 2 and run.images_seen == 2 * BATCH


def test_an_iterable_is_started_again_when_it_ends(ring):
    run = begin("r1")
    list(train(run, [ring[:BATCH], ring[BATCH : 2 * BATCH]], steps=5))
    assert run.step == 5
    with pytest.raises(UserError):
        list(train(begin("r1"), [], steps=1))
    with pytest.raises(UserError):
        list(train(begin("r1"), iter([ring[:BATCH]]), steps=3))  # a spent iterator cannot be started again


def test_budgets_are_totals(ring):
    run = begin("wgan_gp")
    assert len(list(train(run, batches(ring), steps=2))) == 2
    assert list(train(run, batches(ring), steps=2)) == []
    assert len(list(train(run, batches(ring), steps=3))) == 1
    per_step = 5 * BATCH
    assert len(list(train(run, batches(ring), images=4 * per_step))) == 1
    assert len(list(train(run, batches(ring), images=4 * per_step + 1))) == 1  # reached within a step
    assert len(list(train(run, batches(ring), steps=7, images=10**9))) == 2  # whichever comes first
    assert len(list(train(run, batches(ring), steps=10**9, images=run.images_seen + 1))) == 1
    with pytest.raises(UserError):
        list(train(run, batches(ring)))
    assert len(list(train(run, batches(ring), minutes=0.0))) <= 1
    done = run.step
    loop = train(run, batches(ring), steps=100)
    next(loop)
    loop.close()
    assert run.step == done + 1


def test_what_does_not_fit_is_said_before_the_first_step():
    generator, critic = networks()
    for network in (generator, nn.Linear(4, 2)):
        with pytest.raises(ValueError, match="7") as caught:
            start(build("r1"), network, critic, seed=0, latent=7)
        assert "4" in str(caught.value)
    with pytest.raises(UserError, match="5"):
        start(build("r1"), generator, critic, seed=0, shape=(5,))
    with pytest.raises(ValueError, match=r"3.*2|2.*3"):
        start(build("r1"), generator, MLP.critic((3,), width=8, depth=1), seed=0, shape=(2,))
    with pytest.raises(UserError, match=r"3.*2|2.*3"):
        start(build("r1"), nn.Linear(4, 2), nn.Linear(3, 1), seed=0, latent=4)
    with pytest.raises(UserError, match="latent"):
        start(build("r1"), nn.Linear(4, 2), nn.Linear(2, 1), seed=0)  # nothing says how long z is
    fine = start(build("r1"), nn.Linear(4, 2), nn.Linear(2, 1), seed=0, latent=4, shape=(2,))
    critic_step(fine, torch.zeros(3, 2))
    normalised = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"(?i)batch.?norm"):
        start(build("r1"), nn.Linear(4, 2), normalised, seed=0, latent=4)
    start(build("dcgan"), nn.Linear(4, 2), normalised, seed=0, latent=4)


class Grouped(nn.Module):
    """A critic with a statistic over groups of four samples, which no other number of samples gives."""

    def __init__(self, error=RuntimeError):
        super().__init__()
        self.score, self.error, self.seen = nn.Linear(3, 1), error, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) % 4:
            raise self.error("groups of 4")
        spread = x.unflatten(0, (-1, 4)).std(1).mean(1).repeat_interleave(4)
        return self.score(torch.cat([x, spread[:, None]], 1))


@pytest.mark.parametrize("error", [RuntimeError, ValueError, AssertionError])
def test_a_network_that_wants_whole_groups_is_tried_with_the_runs_batch(error):
    critic = Grouped(error)
    run = start(build("dcgan"), nn.Linear(4, 2), critic, seed=0, latent=4, shape=(2,), batch_size=8)
    assert critic.seen == [2, 8]
    critic_step(run, torch.randn(8, 2, generator=rng(0)))
    with pytest.raises((UserError, error), match="groups of 4"):
        start(build("dcgan"), nn.Linear(4, 2), Grouped(error), seed=0, latent=4, shape=(2,), batch_size=6)


class Looked(nn.Module):
    """Either player, with a table of one row per class whose gradient may be sparse."""

    classes, latent = 3, 2

    def __init__(self, features, *, sparse):
        super().__init__()
        torch.manual_seed(features)
        self.table, self.last = nn.Embedding(3, 2, sparse=sparse), nn.Linear(2, features)

    def forward(self, x, labels):
        return self.last(torch.tanh(x + self.table(labels)))


@pytest.mark.parametrize("name", ["dcgan", "extra_adam", "optimistic_adam", "negative_momentum"])
def test_sparse_gradients_train_as_dense_ones_do(name):
    found = []
    for sparse in (False, True):
        players = Looked(2, sparse=sparse), Looked(1, sparse=sparse)
        run = start(build(name), *players, seed=0, shape=(2,), batch_size=8)
        data = [(torch.randn(8, 2, generator=rng(k)), torch.randint(3, (8,), generator=rng(k))) for k in range(3)]
        list(train(run, data, steps=3))
        found.append([p.detach().clone() for player in players for p in player.parameters()])
    torch.testing.assert_close(found[1], found[0])
    before = Looked(2, sparse=True).table.weight
    assert not torch.equal(before, found[1][0]), "nothing has moved"
