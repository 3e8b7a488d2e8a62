"""Many seeds at once: each has the numbers of the same seed trained alone, whichever way they are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tightrope.constraints import weight_norm
from tightrope.data import Sampler, open_data
from tightrope.losses import non_saturating
from tightrope.methods import METHODS, Constraint, Method, Projection, build
from tightrope.networks import NETWORKS
from tightrope.optimizers.settings import SGD, Adam
from tightrope.penalties import Penalty, dragan, jacobian_clamping, r1
from tightrope.perturbations import Augmentation, InstanceNoise
from tightrope.schedules import Linear
from tightrope.training import Run, scalars, seeds, start, train
from tightrope.training.seeds import choosing

DATA = open_data("toy:ring")
BATCH, STEPS = 4, 50
Pair = tuple[nn.Module, nn.Module]


def mlp(seed: int) -> Pair:
    rng = torch.Generator().manual_seed(seed)
    build_of, size = NETWORKS["mlp"], {"width": 12, "depth": 1, "rng": rng}
    return build_of.generator((2,), latent=4, **size).double(), build_of.critic((2,), **size).double()


def images(seed: int, *, batch_norm: bool = True) -> Pair:
    rng = torch.Generator().manual_seed(seed)
    net = NETWORKS["dcgan"]
    generator = net.generator((1, 8, 8), latent=4, width=4, rng=rng)
    assert any(isinstance(m, nn.BatchNorm2d) for m in generator.modules()) or not batch_norm
    return generator.double(), net.critic((1, 8, 8), width=4, rng=rng).double()


def alone(
    method: Method, networks: Callable[[int], Pair], seed: int, data: Any = DATA, steps: int = STEPS, **more: Any
):
    """A seed trained by ``start`` and ``train``; the run, and its scalars by step."""
    torch.manual_seed(seed)
    run = start(method, *networks(seed), seed=seed, batch_size=BATCH, **more)
    source = data(seed) if callable(data) else Sampler(data, BATCH, seed=seed)
    rows = []
    for step in train(run, source, steps=steps):
        halves = {"critic": scalars(step.critic), "generator": scalars(step.generator)}
        rows.append({f"{player}_{name}": v for player, half in halves.items() for name, v in half.items()})
    return run, rows


def assert_same(found: Run, expected: Run, tolerance: float = 1e-7) -> None:
    """Everything that a checkpoint holds."""
    one, other = found.state_dict(), expected.state_dict()

    def compare(a: Any, b: Any, path: str) -> None:
        assert type(a) is type(b), path
        if isinstance(a, dict):
            assert a.keys() == b.keys(), path
            for key in a:
                compare(a[key], b[key], f"{path}.{key}")
        elif isinstance(a, list | tuple):
            assert len(a) == len(b), path
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{path}.{k}")
        elif isinstance(a, Tensor):
            assert a.shape == b.shape and a.dtype == b.dtype, path
            if path.endswith(".seen"):  # a hash of the weight's bits
                return
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=lambda m: f"{path}: {m}")
        else:
            assert a == b, path

    compare(one, other, "run")


def check(
    method: Method, networks: Callable[[int], Pair] = mlp, chosen: tuple[int, ...] = (3, 0), data: Any = DATA,
    steps: int = STEPS, how: str = "stack", **more: Any,
) -> None:  # fmt: skip
    found = seeds.train(method, networks, data, chosen, steps=steps, batch_size=BATCH, record=1, how=how, **more)
    assert [one.seed for one in found] == list(chosen)
    for one in found:
        run, rows = alone(method, networks, one.seed, data, steps, **more)
        assert_same(one.run, run)
        began = start(method, *networks(one.seed), seed=one.seed, **more)
        assert not all(
            torch.equal(a, b) for a, b in zip(began.critic.parameters(), run.critic.parameters(), strict=True)
        )
        assert len(one.rows) == steps and one.rows[0].keys() >= rows[0].keys()
        for mine, expected in zip(one.rows, rows, strict=True):
            for name, value in expected.items():
                assert mine[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("name", METHODS)
def test_each_seed_of_a_stack_equals_the_same_seed_alone_for_every_method(name: str) -> None:
    check(build(name, n_critic=2) if build(name).n_critic > 2 else build(name))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("orthogonal_wgan", {"way": "soft"}),
        ("orthogonal_wgan", {"way": "soft", "form": "srip", "every": 2}),
        ("orthogonal_wgan", {"way": "svd", "every": 2}),
        ("sn_gan", {"update": "forward", "generator_batch_factor": 2}),
        ("sn_wgan", {"exact": True, "weight": 10.0}),
        ("r1", {"at": "both", "approximate": True}),
        ("r1", {"every": 3, "optimizer": "sgd", "learning_rate": 0.005}),
        ("wgan", {"authors_warm_up": True}),
        ("extra_adam", {"rule": "sgd"}),
        ("optimistic_adam", {"order": "alternating", "n_critic": 2}),
        ("r3gan", {"gamma_final": 0.01, "learning_rate_final": 1e-4, "beta2_final": 0.95, "schedule_images": 200}),
    ],
)
def test_options_of_methods(name: str, options: dict[str, Any]) -> None:
    check(build(name, **options), steps=1 if "authors_warm_up" in options else 12)


@pytest.mark.parametrize("name", ["r1", "sn_gan", "wgan_gp_clamped", "r3gan", "consensus"])
def test_networks_without_a_fast_path(name: str) -> None:
    def networks(seed: int) -> Pair:
        rng = torch.Generator().manual_seed(seed)
        generator = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.PReLU(), nn.Linear(8, 2))
        critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.PReLU(), nn.Linear(8, 1))
        for p in (*generator.parameters(), *critic.parameters()):
            with torch.no_grad():
                p.add_(torch.randn(p.shape, generator=rng), alpha=0.3)
        generator.latent = 4
        return generator.double(), critic.double()

    check(build(name), networks, steps=15)


@pytest.mark.parametrize("name", ["dcgan", "r1", "sn_gan", "wgan_gp", "orthogonal_wgan", "lookahead", "extra_adam"])
def test_convolutions_and_batch_normalisation(name: str) -> None:
    check(build(name), images, (1, 4), open_data("digits"), steps=4)


@pytest.mark.parametrize("augmentation", [Augmentation("diff"), Augmentation("ada", p=0.6)])
def test_augmentations_and_penalties_beside_the_data(augmentation: Augmentation) -> None:
    method = replace(build("dcgan"), perturbation=augmentation, penalties=(Penalty(dragan, {"weight": 1.0}),))
    check(method, images, (1, 4), open_data("digits"), steps=4)


def test_labels() -> None:
    digits = open_data("digits")

    def networks(seed: int) -> Pair:
        rng = torch.Generator().manual_seed(seed)
        size = {"width": 8, "depth": 1, "classes": len(digits.classes), "rng": rng}
        net = NETWORKS["mlp"]
        return net.generator(digits.shape, latent=4, **size).double(), net.critic(digits.shape, **size).double()

    for name in ("r1", "wgan_gp_clamped", "r3gan", "optimistic_adam"):
        check(build(name), networks, (2, 5), digits, steps=5)


def test_noise_and_penalties_of_ones_own() -> None:
    def own(critic: Any, real: Tensor, fake: Tensor, *, weight: float, rng: Any = None) -> Tensor:
        return weight * (critic(real).square().mean() + critic(fake).abs().amax())

    method = replace(
        build("r1", gamma=1.0),
        perturbation=InstanceNoise(Linear(0.5, 0.1, images=200)),
        penalties=(Penalty(r1, {"gamma": Linear(1.0, 0.1, images=300)}), Penalty(own, {"weight": 0.1}, every=2)),
        generator_penalties=(Penalty(jacobian_clamping, {"low": 0.5, "high": 0.7}, player="generator"),),
    )
    check(method, steps=20)


def test_a_loss_that_is_no_mean_over_the_batch() -> None:
    loss = replace(non_saturating, critic=lambda a, b: (b.sum() - a.sum()).square() + a.std())
    check(replace(build("dcgan", learning_rate=1e-3), loss=loss), steps=20)


def test_projections_and_constraints_of_ones_own() -> None:
    @torch.no_grad()
    def halve(critic: nn.Module) -> None:
        """Brings every matrix to norm one, whatever the others' are."""
        for p in critic.parameters():
            p.div_(torch.linalg.vector_norm(p).clamp(min=1.0))

    method = replace(build("r1"), projection=Projection(halve, 2), constraint=None)
    check(method, steps=11)
    check(replace(build("r1"), constraint=Constraint(weight_norm)), steps=11)


def test_rates_and_weights_of_each_seed() -> None:
    rates, gammas = (1e-3, 1e-4, 3e-4), (10.0, Linear(5.0, 1.0, images=100), 0.0)
    cases: dict[str, Callable[[int], Method]] = {
        "r1": lambda k: build("r1", learning_rate=rates[k], gamma=gammas[k] if k != 1 else 5.0, at="both"),
        "schedule": lambda k: replace(build("r1"), penalties=(Penalty(r1, {"gamma": gammas[k]}),)),
        "sgd": lambda k: replace(build("dcgan"), critic_optimizer=SGD(rates[k], 0.9), generator_optimizer=SGD(0.01)),
        "adam": lambda k: replace(build("wgan_gp", weight=k + 1.0), generator_optimizer=Adam(rates[k] * 2)),
        "extra_adam": lambda k: build("extra_adam", critic_learning_rate=rates[k], weight=float(k)),
        "optimistic_adam": lambda k: build("optimistic_adam", learning_rate=rates[k]),
        "negative_momentum": lambda k: build("negative_momentum", learning_rate=rates[k]),
        "soft": lambda k: build("orthogonal_wgan", way="soft", weight=float(k)),
        "clamped": lambda k: build("dcgan_clamped", clamping_weight=float(k)),
        "lookahead": lambda k: build("lookahead", learning_rate=rates[k]),
    }  # fmt: skip
    for name, method_of in cases.items():
        methods = [method_of(k) for k in range(3)]
        found = seeds.train(methods, mlp, DATA, (5, 6, 7), steps=6, batch_size=BATCH, how="stack")
        assert len(seeds.groups(methods)) == 1, name
        for one, method in zip(found, methods, strict=True):
            assert_same(one.run, alone(method, mlp, one.seed, steps=6)[0])


def test_methods_that_differ_in_more_train_in_stacks_of_their_own() -> None:
    methods = [build("wgan_gp", n_critic=n, weight=w) for n, w in ((1, 1.0), (2, 1.0), (1, 3.0))]
    assert seeds.groups(methods) == [[0, 2], [1]]
    found = seeds.train(methods, mlp, DATA, (4, 5, 6), steps=6, batch_size=BATCH, how="stack")
    for one, method in zip(found, methods, strict=True):
        assert_same(one.run, alone(method, mlp, one.seed, steps=6)[0])


def test_stack_chunks_and_processes_agree() -> None:
    method = build("wgan_gp", n_critic=1)
    ways: dict[str, dict[str, Any]] = {
        "chunks": {"how": "stack", "chunk": 2},
        "processes": {"how": "processes", "workers": 2},
    }
    expected = seeds.train(method, mlp, DATA, range(3), steps=5, batch_size=BATCH, record=2, how="stack")
    for way in ways.values():
        found = seeds.train(method, mlp, DATA, range(3), steps=5, batch_size=BATCH, record=2, **way)
        for a, b in zip(found, expected, strict=True):
            assert_same(a.run, b.run)
            assert [row["step"] for row in a.rows] == [row["step"] for row in b.rows] == [2, 4]
            assert a.rows[1] == pytest.approx(b.rows[1], rel=1e-6)


def test_loaders_that_draw_from_the_global_state() -> None:
    def loader(seed: int) -> Any:
        return torch.utils.data.DataLoader(DATA.batch(torch.arange(64)).x, BATCH, shuffle=True)

    def networks(seed: int) -> Pair:
        return nn.Linear(4, 2).double(), nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1)).double()

    state = torch.get_rng_state()
    check(build("r1"), networks, data=loader, steps=20, latent=4)
    seeds.train(build("r1"), networks, loader, (1,), steps=1, latent=4, how="processes")
    torch.set_rng_state(state)


def test_the_callers_random_state_stays() -> None:
    for how in ("stack", "processes"):
        torch.manual_seed(12)
        seeds.train(build("r1"), mlp, DATA, range(2), steps=2, batch_size=BATCH, how=how)
        after = torch.rand(3)
        torch.manual_seed(12)
        assert torch.equal(after, torch.rand(3))


def test_measuring_sees_ordinary_runs() -> None:
    def measure(run: Run, seed: int) -> tuple[int, dict[str, Any]]:
        return run.step, copy.deepcopy(run.state_dict())

    for how in ("stack", "processes"):
        found = seeds.train(
            build("lookahead", k=2), mlp, DATA, (1, 2), steps=5, batch_size=BATCH, measure=measure, at=(0, 3), how=how
        )
        for one in found:
            assert list(one.measured) == [0, 3] and [step for step, _ in one.measured.values()] == [0, 3]
            again = start(build("lookahead", k=2), *mlp(one.seed), seed=one.seed, batch_size=BATCH)
            assert_same(again, alone(build("lookahead", k=2), mlp, one.seed, steps=0)[0])
            again.load_state_dict(one.measured[3][1])
            sampler = Sampler(DATA, BATCH, seed=one.seed)
            sampler.load_state_dict({"batches": 3})
            for _ in train(again, sampler, steps=5):
                pass
            assert_same(again, one.run)


def test_stacks_begin_in_the_middle_too() -> None:
    method = build("lookahead", k=3)
    runs = [alone(method, mlp, seed, steps=4)[0] for seed in (1, 2)]
    stack = seeds.Stack(runs)
    for step in range(4, 8):
        x = torch.stack([Sampler(DATA, BATCH, seed=seed).dataset.batch(Sampler(DATA, BATCH, seed=seed).indices(step)).x
                         for seed in (1, 2)])  # fmt: skip
        seeds.critic_step(stack, x)
        seeds.generator_step(stack)
    for run, seed in zip(stack.release(), (1, 2), strict=True):
        assert_same(run, alone(method, mlp, seed, steps=8)[0])


@pytest.mark.parametrize(("gain", "how"), [(2.0, "stack"), (0.5, "processes")])
def test_the_choice_between_stack_and_processes_is_tried_and_told(
    monkeypatch: pytest.MonkeyPatch, gain: float, how: str
) -> None:
    real, measured = choosing._gain, []

    def tried(*given: Any) -> float:
        measured.append(real(*given))
        return gain

    monkeypatch.setattr(choosing, "_gain", tried)
    method = build("wgan_gp", n_critic=1)
    found = seeds.train(method, images, open_data("digits"), range(3), steps=70, batch_size=BATCH, workers=1)
    assert len(measured) == 1 and 0 < measured[0] < 1000
    assert {one.how for one in found} == {how} and f"{gain:.2f} times as fast" in found[0].why
    assert_same(found[2].run, alone(method, images, 2, open_data("digits"), 70)[0], 1e-6)


def test_the_choice_needs_no_trial_without_convolutions() -> None:
    found = seeds.train(build("r1"), mlp, DATA, range(2), steps=1, batch_size=BATCH)
    assert (found[0].how, found[1].why) == ("stack", "no convolution on a CPU, so many networks at once are quicker")
    found = seeds.train(build("r1"), mlp, DATA, range(2), steps=1, batch_size=BATCH, how="processes", workers=1)
    assert (found[0].how, found[1].why) == ("processes", "asked for")
