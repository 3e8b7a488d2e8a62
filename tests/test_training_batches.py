"""Networks and batches as people have them: what trains, and what is refused in a sentence before anything moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from tightrope._plumbing.errors import UserError
from tightrope.methods import build
from tightrope.monitor import signals
from tightrope.training import Batches, Run, critic_step, generator_step, scalars, start, train
from tightrope.training.as_game import run_game


def mlp(inputs: int, outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))


class Conditional(nn.Module):
    classes = 3

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.embedding, self.dense = nn.Embedding(3, 4), nn.Linear(inputs + 4, outputs)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.dense(torch.cat([x, self.embedding(labels)], 1))


def begin(*, double: bool = False, conditional: bool = False, method: str = "r1") -> Run:
    torch.manual_seed(0)
    players = (Conditional(8, 2), Conditional(2, 1)) if conditional else (mlp(8, 2), mlp(2, 1))
    return start(build(method), *(p.double() if double else p for p in players), seed=0, latent=8, batch_size=8)


def weights(run: Run) -> Tensor:
    return torch.cat([p.detach().double().flatten() for p in (*run.generator.parameters(), *run.critic.parameters())])


def samples() -> Tensor:
    return torch.randn(8, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["dcgan", "r1", "wgan_gp", "consensus", "r3gan"])
def test_samples_take_the_networks_dtype_and_latents_the_generators(method):
    results = {}
    for double in (False, True):
        for dtype in (torch.float32, torch.float64):
            run = begin(double=double, method=method)
            list(train(run, [samples().to(dtype)], steps=2))
            results[double, dtype] = weights(run)
            wanted = torch.float64 if double else torch.float32
            assert run.latents(2).dtype == wanted == next(run.average.parameters()).dtype
    for double in (False, True):
        assert torch.equal(results[double, torch.float32], results[double, torch.float64])
    assert torch.allclose(results[False, torch.float32], results[True, torch.float32], atol=1e-3)


MIXED = [
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.bfloat16),
    (torch.float32, torch.float64),
    (torch.float64, torch.bfloat16),
]


@pytest.mark.parametrize("method", ["dcgan", "r1", "wgan_gp", "consensus", "r3gan", "sn_gan", "orthogonal_wgan"])
@pytest.mark.parametrize("types", MIXED)
def test_networks_in_other_floating_types_train_as_in_float32(method, types):
    """Losses and penalty of the first step are those of float32 up to rounding, and what reads a run works."""
    found = {}
    for kinds in (types, (torch.float32, torch.float32)):
        torch.manual_seed(0)
        generator, critic = mlp(8, 2).bfloat16().to(kinds[0]), mlp(2, 1).bfloat16().to(kinds[1])
        run = start(build(method), generator, critic, seed=0, latent=8, shape=(2,), batch_size=8)
        for data in (torch.bfloat16, torch.float32):  # what of a float32 batch is left is the same
            step = next(train(run, [samples().bfloat16().to(data)], steps=run.step + 1))
            found.setdefault(kinds, step)
        assert (next(generator.parameters()).dtype, next(run.critic.parameters()).dtype) == kinds
        assert signals(run, step, samples()).keys() and "NaN" not in repr(step)
        assert torch.isfinite(run.average(run.latents(4)).float()).all()
        assert [loss().item() for loss in run_game(run, samples())]
    for half in ("critic", "generator"):
        got, wanted = (scalars(getattr(found[kinds], half)) for kinds in found)
        for name in ("loss", "penalty") if "penalty" in wanted else ("loss",):
            assert got[name] == pytest.approx(wanted[name], rel=0.05, abs=0.02), (half, name)


def test_weights_in_float16_are_refused():
    with pytest.raises(UserError, match="float16, in which the squares of small gradients are zero"):
        start(build("r1"), mlp(8, 2), mlp(2, 1).half(), seed=0, latent=8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(8, 2, dtype=torch.uint8), "floating point"),
        ({"image": torch.zeros(8, 2)}, "dict with 'image'"),
        ("pictures", "a str"),
        ((), "nothing"),
        ([{"image": torch.zeros(8, 2)}, torch.zeros(8)], "dict with 'image'"),
    ],
)
def test_batches_that_are_no_samples_are_refused_and_nothing_moves(batch, message):
    run = begin()
    before = weights(run)
    with pytest.raises(UserError, match=message):
        list(train(run, [batch], steps=1))
    assert torch.equal(weights(run), before) and run.critic_steps == 0


def test_labels_that_nobody_asked_for_are_left_alone():
    results = []
    for batch in (samples(), (samples(), ["cat"] * 8), (samples(), torch.rand(8, 3)), [samples(), None]):
        run = begin()
        list(train(run, [batch], steps=2))
        results.append(weights(run))
    assert all(torch.equal(w, results[0]) for w in results)


def test_whole_numbers_of_every_kind_are_labels():
    results = []
    labels = torch.arange(8) % 3
    for dtype in (torch.int64, torch.int32, torch.int16, torch.uint8):
        run = begin(conditional=True)
        list(train(run, [(samples(), labels.to(dtype))], steps=2))
        results.append(weights(run))
    assert all(torch.equal(w, results[0]) for w in results)


LABELS = torch.arange(8) % 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.float(), r"labels\.long\(\)"),
        (LABELS[:, None], r"labels\.flatten\(\)"),
        (one_hot(LABELS, 3), r"labels\.argmax\(1\)"),
        (LABELS + 1, "from 0 to 2"),
        (LABELS - 1, "from 0 to 2"),
        (LABELS[:5], "5 for 8"),
        (["cat"] * 8, "a list|a dense tensor"),
        (None, "none"),
    ],
)
def test_labels_that_are_no_classes_are_refused_and_nothing_moves(labels, message):
    run = begin(conditional=True)
    before = weights(run)
    with pytest.raises(UserError, match=message):
        list(train(run, [(samples(), labels)], steps=1))
    with pytest.raises(UserError, match=message):
        critic_step(run, samples(), labels)
    assert torch.equal(weights(run), before)
    critic_step(run, samples(), LABELS)
    if labels is None:
        with pytest.raises(UserError, match=message):
            generator_step(run)


@pytest.mark.parametrize("player", ["generator", "critic"])
def test_players_with_nothing_to_train_are_refused(player):
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :2] if player == "generator" else x[:, 0]

    frozen = mlp(8, 2) if player == "generator" else mlp(2, 1)
    for unfit, what in ((Fixed(), "got none"), (frozen.requires_grad_(False), "frozen ones only")):
        players = {"generator": mlp(8, 2), "critic": mlp(2, 1)} | {player: unfit}
        with pytest.raises(UserError, match=what) as caught:
            start(build("r1"), *players.values(), seed=0, latent=8)
        assert player in str(caught.value)
    partly = mlp(8, 2), mlp(2, 1)
    for network in partly:
        network[0].requires_grad_(False)
    kept = [network[0].weight.clone() for network in partly]
    run = start(build("r1"), *partly, seed=0, latent=8, batch_size=8)
    list(train(run, [samples()], steps=2))
    assert all(torch.equal(network[0].weight, w) for network, w in zip(partly, kept, strict=True))


@pytest.mark.parametrize("given", [(), ([torch.zeros(2, 2)],), (3, "x")])
def test_the_description_of_batches_is_not_built_but_classes_may_name_it(given):
    with pytest.raises(UserError, match=r"^Expected an object with next.*; pass tightrope\.data\.Sampler"):
        Batches(*given)

    class Mine(Batches):
        def __init__(self, *given: object) -> None:
            self.given = given

    assert Mine(*given).given == given
