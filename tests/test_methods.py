"""Methods: published settings, what is refused, and that every hyperparameter reaches the built Method."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import json
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from method_cases import BETAS, CHANGES, PUBLISHED, RATE
from tightrope import losses, methods, penalties, spectra
from tightrope._plumbing.errors import UserError
from tightrope.methods import METHODS, SETTINGS, Constraint, Method, Projection, build
from tightrope.methods.play import Alternating, Simultaneous, WarmUp
from tightrope.optimizers.settings import Optimizer
from tightrope.schedules import Cosine, Linear, value_at


def effective(penalty: penalties.Penalty) -> dict[str, object]:
    """Hyperparameters of a bound penalty with the function's own defaults filled in."""
    keywords = inspect.signature(penalty.function).parameters.values()
    defaults = {p.name: p.default for p in keywords if p.kind is p.KEYWORD_ONLY and p.name != "rng"}
    return defaults | dict(penalty.hyperparameters)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_defaults_are_the_published_settings(name):
    loss, critic, generator, n_critic, expected, batch = PUBLISHED[name]
    method = build(name)
    assert method.name == name and method.loss is losses.LOSSES[loss] and method.sources
    for settings, (kind, rate, decay) in ((method.critic_optimizer, critic), (method.generator_optimizer, generator)):
        assert (settings.kind, settings.learning_rate, getattr(settings, "eps", 1e-8)) == (kind, rate, 1e-8)
        assert getattr(settings, "betas" if "adam" in kind else "alpha", None) == decay
        assert getattr(settings, "momentum", 0) == (-0.5 if kind == "momentum" else 0)
    assert [method.critic_steps(k) for k in (0, 1, 24, 25, 499, 500, 1000)] == [n_critic] * 7
    assert [(p.function.__name__, effective(p), p.every) for p in method.penalties] == [(n, h, 1) for n, h in expected]
    assert method.perturbation is None and method.play.generator_batch_factor == 1
    assert (method.projection is not None) == (name == "wgan")
    assert (method.constraint is not None) == (name in ("sn_gan", "sn_wgan", "orthogonal_wgan"))
    assert batch is None or method.batch_size == batch
    assert METHODS[name]().name == name


def test_every_method_has_a_row_above():
    assert set(METHODS) == set(PUBLISHED)


def test_hyperparameters_take_the_type_of_their_option_whatever_numbers_are_given():
    given = {"gamma": np.float32(0.5), "n_critic": np.int64(2), "optimizer": "adam", "betas": [np.float64(0.1), 0]}
    found = build("r1", **given).hyperparameters
    assert found | {"gamma": 0.5, "n_critic": 2, "betas": (0.1, 0.0)} == found
    assert [type(found[key]) for key in ("gamma", "n_critic", "betas")] == [float, int, tuple]
    json.dumps(found)


def test_methods_are_frozen_and_remember_what_they_were_built_from():
    method = build("r1", gamma=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.batch_size = 2  # type: ignore[misc]
    signature = inspect.signature(METHODS["r1"]).parameters
    assert dict(method.hyperparameters) == {n: p.default for n, p in signature.items()} | {"gamma": 1.0}
    for name in METHODS:
        again = build(name, **build(name).hyperparameters)
        from_a_run = build(name, **json.loads(json.dumps(dict(build(name).hyperparameters))))
        assert canonical(again) == canonical(from_a_run) == canonical(build(name))


# -------------------------------------------------------------------------------- every hyperparameter does something


def canonical(value: object) -> object:
    """A comparable form of a Method, without the record of what it was built from."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        skip = "hyperparameters" if isinstance(value, Method) else ""
        fields = [f.name for f in dataclasses.fields(value) if f.name != skip]
        return type(value).__name__, tuple((f, canonical(getattr(value, f))) for f in fields)
    if isinstance(value, functools.partial):
        return canonical(value.func), canonical(value.args), canonical(value.keywords)
    if inspect.isfunction(value):
        cells = [c.cell_contents for c in value.__closure__ or ()]
        return value.__qualname__, canonical(cells), canonical(value.__defaults__), canonical(value.__kwdefaults__)
    if isinstance(value, Mapping):
        return tuple(sorted((k, canonical(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return tuple(canonical(v) for v in value)
    return value


PAIRS = [(name, option) for name in METHODS for option in inspect.signature(METHODS[name]).parameters]


@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_each_hyperparameter_changes_the_built_method(name, option):
    other, beside = CHANGES[name][option]
    plain = build(name, **beside)
    assert canonical(plain) == canonical(build(name, **beside))  # the comparison itself is stable
    assert canonical(build(name, **(beside | {option: other}))) != canonical(plain)


def test_hyperparameters_land_where_they_should():
    for name in METHODS:
        if "n_critic" in CHANGES[name]:
            beside = CHANGES[name]["n_critic"][1]
            assert build(name, **(beside | {"n_critic": 3})).critic_steps(1000) == 3
    for name in ("wgan", "wgan_gp", "dcgan", "sn_gan", "r1", "r3gan"):
        method = build(name, learning_rate=RATE)
        assert method.critic_optimizer.learning_rate == method.generator_optimizer.learning_rate == RATE
    ttur = build("wgan_ttur", critic_learning_rate=0.5, generator_learning_rate=0.25)
    assert (ttur.critic_optimizer.learning_rate, ttur.generator_optimizer.learning_rate) == (0.5, 0.25)
    for name in ("wgan_gp", "wgan_ttur", "dcgan", "sn_gan"):
        method = build(name, betas=BETAS)
        assert method.critic_optimizer.betas == method.generator_optimizer.betas == BETAS
    assert (
        build("r3gan", beta2=0.7).critic_optimizer.betas
        == build("r3gan", beta2=0.7).generator_optimizer.betas
        == (0, 0.7)
    )
    for name in ("wgan_gp", "wgan_ttur", "r1", "r3gan"):
        assert {p.every for p in build(name, every=8).penalties} == {8}
    for kind, options in (("adam", {"betas": BETAS}), ("rmsprop", {"alpha": 0.5}), ("sgd", {})):
        method = build("r1", optimizer=kind, **options)
        assert method.critic_optimizer.kind == method.generator_optimizer.kind == kind
    at = {a: [p.function for p in build("r1", at=a).penalties] for a in ("real", "fake", "both")}
    assert at == {"real": [penalties.r1], "fake": [penalties.r2], "both": [penalties.r1, penalties.r2]}
    rough = build("r1", at="both", approximate=True, sigma=0.2, gamma=3.0).penalties
    assert [p.function for p in rough] == [penalties.finite_difference_r1, penalties.finite_difference_r2]
    assert [effective(p) for p in rough] == [{"gamma": 3.0, "sigma": 0.2, "draws": 1}] * 2
    (penalty,) = build("wgan_gp", weight=2.0, target=0.0, one_sided=True).penalties
    assert effective(penalty) == {"weight": 2.0, "target": 0.0, "one_sided": True}
    assert build("sn_gan", loss="standard").loss is losses.non_saturating
    for loss in ("minimax", "least_squares", "non_saturating"):
        assert build("dcgan", loss=loss).loss is losses.LOSSES[loss]


def test_a_setting_of_several_critic_steps_does_not_fit_both_players_at_once():
    assert build("consensus", setting="C").critic_optimizer.kind == "adam"
    with pytest.raises(UserError, match="n_critic 5"):
        build("consensus", setting="A")


@pytest.mark.parametrize(
    "name", [n for n in METHODS if not build(n).simultaneous and build(n).critic_optimizer.kind != "momentum"]
)
def test_the_six_settings_decide_optimisers_and_critic_steps_of_any_method(name):
    table = {  # table 1 of 1802.05957
        "A": (1e-4, (0.5, 0.9), 5), "B": (1e-4, (0.5, 0.999), 1), "C": (2e-4, (0.5, 0.999), 1),
        "D": (1e-3, (0.5, 0.9), 5), "E": (1e-3, (0.5, 0.999), 5), "F": (1e-3, (0.9, 0.999), 5),
    }  # fmt: skip
    assert set(SETTINGS) == set(table)
    for letter, (rate, betas, n_critic) in table.items():
        method = build(name, setting=letter)
        for settings in (method.critic_optimizer, method.generator_optimizer):
            assert (settings.kind, settings.learning_rate, settings.betas) == ("adam", rate, betas)
        assert [method.critic_steps(k) for k in (0, 500, 501)] == [n_critic] * 3
        plain = build(name)
        assert (method.loss, method.penalties) == (plain.loss, plain.penalties)
        assert canonical(build(name, **method.hyperparameters)) == canonical(method)


def test_settings_refuse_what_they_decide_and_what_they_do_not_know():
    with pytest.raises(UserError, match="n_critic"):
        build("wgan_gp", setting="D", n_critic=1)
    with pytest.raises(UserError, match="A, B, C, D, E, F"):
        build("wgan_gp", setting="G")


def test_settings_keep_an_update_rule_that_is_the_method_or_are_refused():
    method = build("extra_adam", setting="C")
    assert {method.critic_optimizer.kind, method.generator_optimizer.kind} == {"extra_adam"}
    assert (method.critic_optimizer.learning_rate, method.critic_optimizer.betas) == (2e-4, (0.5, 0.999))
    for name, letter in (("negative_momentum", "C"), ("extra_adam", "D"), ("consensus", "A")):
        with pytest.raises(UserError, match=f"Setting {letter} means Adam"):
            build(name, setting=letter)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.LeakyReLU(), nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 1))
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3.0)
    return net


def test_orthogonal_wgan_holds_its_critic_in_the_way_it_was_asked_to():
    """Singular values after construction and after the projection that a run would call."""
    hard = build("orthogonal_wgan").constraint(layers(), (1, 4, 4))
    for values in spectra.kernel_spectra(hard).values():
        assert (values - 1).abs().max() < 1e-5
    operator = build("orthogonal_wgan", norm="operator")
    assert operator.constraint.by_shape
    critic = operator.constraint(layers(), (1, 4, 4))
    for layer in spectra.layer_spectra(critic, torch.zeros(1, 1, 4, 4)):
        assert layer.norm.value < 1 + 1e-5, layer.name
    projected = layers()
    build("orthogonal_wgan", way="svd", epsilon=0.25).projection(projected)
    for values in spectra.kernel_spectra(projected).values():
        assert values.min() >= 0.8 - 1e-6 and values.max() <= 1.25 + 1e-6
    (term,) = build("orthogonal_wgan", way="soft", weight=2.0, form="off_diagonal").penalties
    net, x = layers(), torch.zeros(2, 1, 4, 4)
    expected = penalties.soft_orthogonality(net, weight=2.0, form="off_diagonal")
    assert term(net, x, x).item() == pytest.approx(expected.item(), rel=1e-12)


def test_projections_come_every_so_many_critic_steps():
    from tightrope.training import critic_step, start

    calls: list[int] = []
    count = Projection(lambda critic: calls.append(run.critic_steps if calls or run else 0), every=3)
    method = dataclasses.replace(build("wgan"), projection=count)
    run = None
    run = start(method, nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), seed=0, latent=2)
    calls.clear()
    calls.append(-1)
    for _ in range(7):
        critic_step(run, torch.zeros(4, 3))
    assert calls[1:] == [3, 6]


def test_batch_norm_is_no_obstacle_to_a_penalty_on_weights():
    from tightrope.training import critic_step, start

    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    run = start(build("orthogonal_wgan", way="soft"), nn.Linear(2, 3), critic, seed=0, latent=2)
    assert float(critic_step(run, torch.randn(8, 3)).objective.penalty) >= 0


def test_wgan_clips_what_it_is_told_to():
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.fill_(-1.0 if i % 2 else 1.0)

    def largest(**options: object) -> dict[str, float]:
        other = copy.deepcopy(net)
        build("wgan", **options).projection(other)
        for p, q in zip(other.parameters(), net.parameters(), strict=True):
            assert torch.equal(p.sign(), q.sign())
        return {n: round(p.abs().max().item(), 6) for n, p in other.named_parameters()}

    names = [n for n, _ in net.named_parameters()]
    assert largest() == dict.fromkeys(names, 0.01)
    assert largest(bound=0.1) == dict.fromkeys(names, 0.1)
    assert largest(clip_norm_layers=False) == {n: 1.0 if n.startswith("1.") else 0.01 for n in names}
    without = largest(clip_biases=False)
    assert without == {n: 1.0 if n in ("0.bias", "2.bias") else without[n] for n in names}
    assert without["0.weight"] == without["2.weight"] == without["1.weight"] == 0.01


# ------------------------------------------------------------------------------------------------------- schedules


def test_schedules_at_start_middle_and_end():
    """R3GAN's cosines for CIFAR-10, and the linear decay to zero of the spectral normalisation ResNets."""
    n = 20_000_000
    r3 = build("r3gan", gamma_final=0.005, learning_rate_final=5e-5, beta2_final=0.99, schedule_images=n)
    for images, gamma, rate, beta2 in (
        (0, 0.05, 2e-4, 0.9),
        (n // 2, 0.0275, 1.25e-4, 0.945),
        (n, 0.005, 5e-5, 0.99),
        (2 * n, 0.005, 5e-5, 0.99),
    ):
        for settings in (r3.critic_optimizer, r3.generator_optimizer):
            assert value_at(settings.learning_rate, images) == pytest.approx(rate, rel=1e-12)
            assert value_at(settings.betas[1], images) == pytest.approx(beta2, rel=1e-12)
            assert value_at(settings.betas[0], images) == 0
        for penalty in r3.penalties:
            assert value_at(penalty.hyperparameters["gamma"], images) == pytest.approx(gamma, rel=1e-12)
    assert isinstance(r3.penalties[0].hyperparameters["gamma"], Cosine)
    sn = build("sn_gan", learning_rate_final=0.0, schedule_images=1000)
    assert sn.critic_optimizer.learning_rate == sn.generator_optimizer.learning_rate == Linear(2e-4, 0.0, 1000)
    assert value_at(sn.critic_optimizer.learning_rate, 250) == pytest.approx(1.5e-4, rel=1e-12)


def test_a_bound_penalty_follows_its_schedule():
    x = torch.ones(2, 3, dtype=torch.float64)
    weight = torch.full((3,), 2.0, dtype=torch.float64)
    penalty = penalties.Penalty(penalties.r1, {"gamma": Linear(4.0, 0.0, 100)}, every=3)
    for images, gamma in ((0, 4.0), (50, 2.0), (75, 1.0), (100, 0.0), (1000, 0.0)):
        value = penalty(lambda x: x @ weight, x, x, images_seen=images).item()
        assert value == pytest.approx(3 * gamma / 2 * 12, rel=1e-12)  # every * gamma/2 * |w|^2
    assert penalty(lambda x: x @ weight, x, x).item() == pytest.approx(72.0, rel=1e-12)  # at 0 images unless told
    with pytest.raises(dataclasses.FrozenInstanceError):
        penalty.every = 1  # type: ignore[misc]


def test_the_wgan_authors_schedule_of_critic_steps():
    """Their code: 100 critic steps during the first 25 generator steps and at every 500th."""
    method = build("wgan", authors_warm_up=True)
    for step in range(1101):
        expected = 100 if step < 25 or step in (500, 1000) else 5
        assert method.critic_steps(step) == expected, step
    assert build("wgan", authors_warm_up=True, n_critic=2).critic_steps(26) == 2


# ------------------------------------------------------------------------------------------------- what is refused


def test_unknown_names_are_answered_with_the_valid_ones():
    with pytest.raises(UserError) as caught:
        build("wgan_pg")
    assert "wgan_pg" in str(caught.value) and all(name in str(caught.value) for name in METHODS)
    for name, builder in METHODS.items():
        with pytest.raises(UserError) as caught:
            build(name, gama=1.0)
        message = str(caught.value)
        assert "gama" in message and name in message
        assert all(option in message for option in inspect.signature(builder).parameters)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dcgan", {"loss": "wasserstein"}),  # nothing bounds its critic
        ("dcgan", {"loss": "other"}),
        ("sn_gan", {"loss": "other"}),
        ("r1", {"at": "nowhere"}),
        ("r1", {"optimizer": "nadam"}),
        ("r1", {"n_critic": 0}),
        ("r1", {"n_critic": 10**6}),
        ("r1", {"every": 0}),
        ("r1", {"learning_rate": -1e-4}),
        ("wgan_gp", {"betas": (0.0, 1.0)}),
        ("sn_gan", {"generator_batch_factor": 0}),
        ("sn_gan", {"learning_rate_final": 0.0}),  # no length
        ("sn_gan", {"schedule_images": 1000}),  # nowhere to go
        ("r3gan", {"gamma_final": 0.005}),
        ("r3gan", {"schedule_images": 1000}),
    ],
)
def test_values_without_a_meaning_are_refused(name, options):
    with pytest.raises(ValueError):
        build(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "idle"),
    [
        ("r1", {"betas": BETAS}, "betas"),
        ("r1", {"optimizer": "adam", "alpha": 0.5}, "alpha"),
        ("r1", {"optimizer": "sgd", "betas": BETAS}, "betas"),
        ("r1", {"sigma": 0.5}, "sigma"),
        ("extra_adam", {"rule": "sgd", "betas": BETAS}, "betas"),
        ("optimistic_adam", {"rule": "sgd", "betas": BETAS}, "betas"),
        ("sn_wgan", {"every": 4}, "every"),
    ],
)
def test_options_that_another_choice_leaves_unread_are_refused(name, options, idle):
    with pytest.raises(
        UserError, match=f"^Option {idle} is read with .* alone: expected none here, got .*; leave it out"
    ):
        build(name, **options)


def test_a_wasserstein_loss_with_an_unbounded_critic_is_refused():
    def method(**pieces: object) -> Method:
        return Method("mine", losses.wasserstein, Optimizer(), Optimizer(), **pieces)

    with pytest.raises(ValueError, match=r"(?i)wasserstein"):
        method()
    for pieces in (
        {"penalties": (penalties.Penalty(penalties.gradient_penalty),)},
        {"constraint": Constraint(lambda net: net)},
        {"projection": Projection(lambda net: net)},
    ):
        assert method(**pieces).loss is losses.wasserstein
    assert Method("mine", losses.hinge, Optimizer(), Optimizer()).penalties == ()
    mine = method(projection=Projection(lambda net: net))
    with pytest.raises(ValueError, match=r"(?i)wasserstein"):
        dataclasses.replace(mine, projection=None)
    assert methods.Method is Method


@pytest.mark.parametrize(
    "warm_up", [None, WarmUp(100, first=25, every=500), WarmUp(7, first=0, every=3), WarmUp(2, first=9, every=4)]
)
def test_critic_steps_are_counted_without_walking(warm_up):
    play = Alternating(n_critic=5, warm_up=warm_up)
    for step in (0, 1, 3, 8, 9, 10, 12, 13, 25, 26, 500, 501, 1003):
        assert play.critic_steps_before(step) == sum(map(play.critic_steps, range(step)))
    assert Simultaneous().critic_steps_before(9) == 9
    assert play.critic_steps_before(2**53) > 2**53  # at once
