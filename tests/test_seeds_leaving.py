"""Seeds that diverge leave the others alone; and what cannot be trained side by side is refused in a sentence."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from test_seeds import BATCH, DATA, alone, assert_same, mlp
from tightrope import optimizers
from tightrope.methods import Method, Simultaneous, build
from tightrope.optimizers.settings import SGD
from tightrope.perturbations import Augmentation
from tightrope.training import NonFiniteError, seeds
from tightrope.training.seeds import plan
from tightrope.training.seeds.obstacles import UnstackableError


def poisoned(at: int, seed_of: int) -> Any:
    """Batches of the ring, of which one seed's number ``at`` holds a NaN."""

    def source(seed: int) -> list[Tensor]:
        found = [DATA.batch(torch.arange(BATCH) + 10 * k + seed).x for k in range(40)]
        if seed == seed_of:
            found[at][0, 0] = math.nan
        return found

    return source


def run_alone(method: Method, seed: int, data: Any, steps: int) -> tuple[Any, NonFiniteError | None]:
    """The run where it ended, and its error."""
    from tightrope.training import start, train

    run = start(method, *mlp(seed), seed=seed, batch_size=BATCH)
    try:
        for _ in train(run, data(seed), steps=steps):
            pass
    except NonFiniteError as error:
        return run, error
    return run, None


@pytest.mark.parametrize("name", ["r1", "wgan_gp", "sn_gan", "r3gan", "extra_adam", "consensus", "lookahead", "wgan",
                                  "sn_wgan", "orthogonal_wgan"])  # fmt: skip
@pytest.mark.parametrize("at", [0, 9])
def test_a_seed_that_diverges_leaves_with_the_state_and_the_error_it_has_alone(name: str, at: int) -> None:
    method, data = build(name), poisoned(at, 1)
    found = seeds.train(method, mlp, data, (2, 1, 0), steps=6, batch_size=BATCH, how="stack", record=1)
    for one in found:
        run, error = run_alone(method, one.seed, data, 6)
        assert (one.error is None) == (error is None)
        if one.seed == 1 and (at == 0 or name in ("wgan_gp", "wgan", "r3gan")):
            assert error is not None
        if error is not None:
            assert one.error is not None
            assert (one.error.step, one.error.player, one.error.where) == (error.step, error.player, error.where)
            assert one.error.last == pytest.approx(error.last, rel=1e-5)
            assert len(one.rows) == error.step
        else:
            assert len(one.rows) == 6
        assert_same(one.run, run)
        assert one.run.generator(torch.zeros(2, 4, dtype=torch.float64)).shape == (2, 2)


def large(seed: int) -> tuple[nn.Module, nn.Module]:
    """Of seed 1 one hidden layer of the critic is so large that the squares of its gradients overflow."""
    generator, critic = mlp(seed)
    with torch.no_grad():
        first = next(p for p in critic.parameters() if p.dim() == 2)
        first.mul_(1e200 if seed == 1 else 1.0)
    return generator, critic


@pytest.mark.parametrize("name", ["r1", "wgan_gp", "consensus"])
def test_a_gradient_that_overflows_is_named_as_it_is_alone(name: str) -> None:
    """Nothing but the gradient is not finite, and that is in the stack's tensors, not in the run's own."""
    from tightrope.training import start, train

    run = start(build(name), *large(1), seed=1, batch_size=BATCH)
    with pytest.raises(NonFiniteError) as expected:
        list(train(run, poisoned(0, 9)(1), steps=2))
    found = seeds.train(build(name), large, poisoned(0, 9), (0, 1), steps=2, batch_size=BATCH, how="stack")
    assert found[0].error is None and found[1].error is not None
    error = found[1].error
    assert (error.step, error.player, error.where) == (0, expected.value.player, expected.value.where)
    assert "gradient" in error.where


def test_rates_that_explode() -> None:
    """Where parameters overflow at different steps, each seed stops where it stops alone."""
    methods = [replace(build("dcgan", loss="least_squares"), critic_optimizer=SGD(rate), generator_optimizer=SGD(rate))
               for rate in (1e-3, 1e3, 1e2, 1e-2)]  # fmt: skip
    found = seeds.train(methods, mlp, DATA, range(4), steps=12, batch_size=BATCH, how="stack")
    assert [one.error is None for one in found] == [True, False, False, True]
    for one, method in zip(found, methods, strict=True):
        try:
            expected = alone(method, mlp, one.seed, steps=12)[0]
        except NonFiniteError as error:
            assert one.error is not None and (one.error.step, one.error.player) == (error.step, error.player)
        else:
            assert_same(one.run, expected)


def test_every_seed_may_leave() -> None:
    for name in ("r1", "extra_adam"):
        data = lambda seed: [torch.full((BATCH, 2), math.inf)]  # noqa: E731
        found = seeds.train(build(name), mlp, data, (0, 1), steps=3, batch_size=BATCH, how="stack", record=1)
        assert all(one.error is not None and one.error.step == 0 and not one.rows for one in found)


def test_processes_report_seeds_that_diverge() -> None:
    found = seeds.train(build("r1"), mlp, poisoned(2, 1), (0, 1), steps=4, batch_size=BATCH, how="processes", workers=2)
    assert found[0].error is None and found[1].error is not None and found[1].error.step == 2
    assert found[1].run.step == 2


def dropout(seed: int) -> tuple[nn.Module, nn.Module]:
    generator = nn.Linear(4, 2)
    generator.latent = 4  # type: ignore[assignment]
    return generator, nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layer(x)
        return scores if float(scores.detach().sum()) > 0 else 2 * scores


class Replacing(Deciding):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + x.mean().detach()
        scores: Tensor = self.layer(x)
        return scores + self.calls


def with_critic(kind: type[nn.Module]) -> Any:
    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        generator = nn.Linear(4, 2)
        generator.latent = 4  # type: ignore[assignment]
        return generator, kind()

    return networks


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        (dropout, "draws by itself"),
        (with_critic(Deciding), "Python decisions"),
        (with_critic(Replacing), "calls replaced"),
    ],
)
def test_networks_that_cannot_be_stacked_are_refused_by_name_or_train_alone(networks: Any, said: str) -> None:
    method = build("dcgan")
    with pytest.raises(UnstackableError, match=said):
        seeds.train(method, networks, DATA, (0, 1), steps=2, batch_size=BATCH, how="stack")
    found = seeds.train(method, networks, DATA, (0, 1), steps=2, batch_size=BATCH)
    for one in found:
        assert_same(one.run, alone(method, networks, one.seed, steps=2)[0])


def test_methods_and_precisions_that_cannot_be_stacked() -> None:
    own = partial(lambda losses, players: losses)
    with pytest.raises(UnstackableError, match="how='processes'"):
        method = replace(build("consensus"), play=Simultaneous(own))
        seeds.train(method, mlp, DATA, (0, 1), steps=1, batch_size=BATCH, how="stack")
    with pytest.raises(UnstackableError, match="within a factor"):
        methods = [build("r1", learning_rate=rate) for rate in (1e-9, 1e-2)]
        seeds.train(methods, mlp, DATA, (0, 1), steps=1, batch_size=BATCH, how="stack")
    with pytest.raises(UnstackableError, match="adaptive ones"):
        method = replace(build("r1"), perturbation=Augmentation("ada"))
        seeds.train(method, mlp, DATA, (0, 1), steps=1, batch_size=BATCH, how="stack")
    with pytest.raises(UnstackableError, match="precision"):
        seeds.train(build("r1"), mlp, DATA, (0, 1), steps=1, batch_size=BATCH, how="stack", precision="bf16")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 2, 1)}, "1 twice"),
        ({"seeds": (1, -2)}, "Expected a seed"),
        ({"method": [build("r1")]}, "one per seed, 2, got 1"),
        ({"method": "r1"}, "Expected a Method"),
        ({"networks": mlp(0)}, "networks as a function of the seed"),
        ({"networks": lambda seed: mlp(seed)[0]}, "a generator and a critic"),
        ({"data": [torch.zeros(4, 2)]}, "function of the seed"),
        ({"data": lambda seed: [torch.zeros(4 + seed, 2)], "how": "stack"}, "one shape"),
        ({"steps": 0}, "steps"),
        ({"how": "loop"}, "how="),
        ({"chunk": 0}, "chunk"),
        ({"workers": 0}, "workers"),
        ({"at": (7,)}, "at most 2, got 7"),
        ({"seed": 3}, "no seed beside"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_calls_are_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"method": build("r1"), "networks": mlp, "data": DATA, "seeds": (0, 1), "steps": 2}
    given |= changes
    with pytest.raises(ValueError if "as a" not in said else (ValueError, TypeError), match=said):
        seeds.train(**given)


def test_one_set_of_networks_for_all_seeds_is_refused() -> None:
    pair = mlp(0)
    with pytest.raises(ValueError, match="networks of its own"):
        seeds.train(build("r1"), lambda seed: pair, DATA, (0, 1), steps=1, batch_size=BATCH)


def test_networks_of_other_sizes_are_refused() -> None:
    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        generator = nn.Linear(4, 2)
        generator.latent = 4  # type: ignore[assignment]
        return generator, nn.Sequential(nn.Linear(2, 8 + seed), nn.ReLU(), nn.Linear(8 + seed, 1))

    with pytest.raises(UnstackableError, match="weights alone"):
        seeds.train(build("r1"), networks, DATA, (0, 1), steps=1, batch_size=BATCH, how="stack")


def test_the_chunk_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    from tightrope.training import start

    run = start(build("r1"), *mlp(0), seed=0, batch_size=64)
    need = plan.bytes_per_run(run, 64)
    assert need > 8 * sum(p.numel() for p in run.critic.parameters())
    assert plan.bytes_per_run(run, 6400) > 20 * need
    monkeypatch.setattr(plan, "free_bytes", lambda device: 2 * 5 * need)
    assert [len(part) for part in plan.chunks(range(8), run, 64, None)] == [4, 4]
    monkeypatch.setattr(plan, "free_bytes", lambda device: 1)
    assert [len(part) for part in plan.chunks(range(3), run, 64, None)] == [1, 1, 1]
    assert [len(part) for part in plan.chunks(range(7), run, 64, 3)] == [3, 3, 1]


def test_corrections_keep_refusing_losses_that_are_no_scalars() -> None:
    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    losses = optimizers.consensus((lambda: x * y, lambda: -x * y), ([x], [y]))
    with pytest.raises(RuntimeError):
        losses[0]()
