"""Saving and continuing bit for bit, for every method, through a file."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from tightrope.methods import METHODS, Method, build
from tightrope.networks import NETWORKS
from tightrope.penalties import Penalty, r1
from tightrope.perturbations import InstanceNoise
from tightrope.schedules import Linear
from tightrope.training import Run, scalars, start, train

BATCH, LATENT = 16, 4


def data(first: int, last: int) -> list[Tensor]:
    """Enough batches for steps ``first`` to ``last`` of any method here, the same for the same steps."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(7 * 8, BATCH, 2, generator=rng)
    return list(x[8 * first : 8 * last])


def mlp(seed: int) -> tuple[nn.Module, nn.Module]:
    rng = torch.Generator().manual_seed(seed)
    size = {"width": 16, "depth": 2}
    pair = NETWORKS["mlp"]
    return pair.generator((2,), latent=LATENT, rng=rng, **size), pair.critic((2,), rng=rng, **size)


def normalised(seed: int) -> tuple[nn.Module, nn.Module]:
    _, critic = mlp(seed)
    width = nn.Sequential(nn.Linear(LATENT, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        for i, p in enumerate(width.parameters()):
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(10 * seed + i)) / 3)
    return width, critic


noisy = Method(
    "mine",
    build("dcgan").loss,
    build("dcgan").critic_optimizer,
    build("r1").generator_optimizer,
    penalties=(Penalty(r1, {"gamma": Linear(2.0, 0.1, 100)}, every=2),),
    perturbation=InstanceNoise(Linear(0.5, 0.0, 200)),
)
CASES = {name: (build(name), mlp) for name in METHODS} | {
    "wgan_gp, batch norm in the generator": (build("wgan_gp"), normalised),
    "r1, batch norm in the generator": (build("r1"), normalised),
    "lazy r1": (build("r1", every=2, approximate=True), mlp),
    "r3gan with schedules": (
        build("r3gan", gamma_final=0.005, learning_rate_final=5e-5, beta2_final=0.99, schedule_images=100),
        mlp,
    ),
    "sn_gan at every forward": (build("sn_gan", update="forward", learning_rate_final=0.0, schedule_images=100), mlp),
    "sgd": (build("r1", optimizer="sgd"), mlp),
    "noise, schedules and lazy penalty": (noisy, normalised),
}


def begin(case: str, seed: int = 0) -> Run:
    method, pair = CASES[case]
    options = {"ema_half_life_images": 100.0, "ema_ramp_up": None}
    return start(method, *pair(seed), seed=seed, latent=LATENT, batch_size=BATCH, **options)


def flatten(value: object, name: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flatten(inner, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return {k: v for key, inner in enumerate(value) for k, v in flatten(inner, f"{name}/{key}").items()}
    return {name: value.clone() if isinstance(value, Tensor) else value}


def everything(run: Run) -> dict[str, object]:
    """All that one could compare, read from the run itself and not from its state dict."""
    return flatten(
        {
            "generator": dict(run.generator.state_dict()),
            "critic": dict(run.critic.state_dict()),
            "average": dict(run.average.state_dict()),
            "critic optimiser": run.critic_optimizer.state_dict(),
            "generator optimiser": run.generator_optimizer.state_dict(),
            "rng": run.rng.get_state(),
            "counters": [run.step, run.critic_steps, run.images_seen],
        }
    )


def assert_same(a: dict[str, object], b: dict[str, object]) -> None:
    assert a.keys() == b.keys()
    for name, x in a.items():
        y = b[name]
        assert torch.equal(x, y) if isinstance(x, Tensor) else x == y, name


def to_file(state: dict[str, object]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def from_file(content: bytes) -> dict[str, object]:
    return torch.load(io.BytesIO(content), weights_only=True)  # nothing but tensors, numbers and containers


@pytest.mark.parametrize("case", list(CASES))
def test_continuing_from_a_file_is_bit_identical_to_not_having_stopped(case):
    run = begin(case)
    list(train(run, data(0, 3), steps=3))
    file, there = to_file(run.state_dict()), everything(run)
    halves = [(scalars(s.critic), scalars(s.generator)) for s in train(run, data(3, 7), steps=7)]
    end = everything(run)
    assert not torch.equal(end["/rng"], there["/rng"])

    run.load_state_dict(from_file(file))  # back into the same run
    assert_same(everything(run), there)
    list(train(run, data(3, 7), steps=7))
    assert_same(everything(run), end)

    other = begin(case, seed=5)  # into a run that started from other weights, another seed and has gone elsewhere
    list(train(other, data(0, 1), steps=1))
    other.load_state_dict(from_file(file))
    assert_same(everything(other), there)
    again = [(scalars(s.critic), scalars(s.generator)) for s in train(other, data(3, 7), steps=7)]
    assert_same(everything(other), end)
    assert again == halves


def test_loading_does_not_tie_the_run_to_the_state():
    run, other = begin("wgan_gp"), begin("wgan_gp", seed=5)
    list(train(run, data(0, 2), steps=2))
    state = from_file(to_file(run.state_dict()))
    kept = flatten(copy.deepcopy(state))
    other.load_state_dict(state)
    list(train(other, data(2, 4), steps=4))
    assert_same(flatten(state), kept)


def test_a_run_can_be_saved_between_its_half_steps():
    from tightrope.training import critic_step, generator_step

    run, other = begin("r1"), begin("r1", seed=5)
    x = data(0, 1)[0]
    list(train(run, data(0, 2), steps=2))
    critic_step(run, x)
    other.load_state_dict(from_file(to_file(run.state_dict())))
    for one in (run, other):
        generator_step(one)
        critic_step(one, x)
    assert_same(everything(run), everything(other))


def test_a_state_that_does_not_fit_is_refused():
    run = begin("r1")
    state = from_file(to_file(run.state_dict()))
    big = start(
        build("r1"), *(n((2,), width=8, depth=1) for n in (NETWORKS["mlp"].generator, NETWORKS["mlp"].critic)), seed=0
    )
    with pytest.raises((ValueError, RuntimeError, KeyError)):
        big.load_state_dict(state)
