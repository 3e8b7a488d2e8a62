"""Arms over all settings, and ways to orthogonal critics: what each arm is, and how rows become findings."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tightrope import constraints, losses
from tightrope.optimizers.settings import Adam
from tightrope.penalties import gradient_penalty
from tightrope.studies import orthogonal_ways, settings, spectral
from tightrope.studies.design import Cell, Row
from tightrope.studies.exported import read
from tightrope.studies.judging import judge
from tightrope.studies.registry import load


def cell_of(arm: str, setting: str = "D") -> Cell:
    every = [cell for part in settings.GRID["cpu"] for cell in part.cells]
    return next(cell for cell in every if (cell["part"], cell["arm"], cell["setting"]) == ("main", arm, setting))


def settings_rows(late: dict[str, dict[str, list[float]]], **more: Any) -> list[Row]:
    """By arm and setting the late log FD of seeds 9600, 9601 and on."""
    return [
        Row(cell_of(arm, name), 9600 + k, values={"late": value, "sigma_low": 1.0, "sigma_high": 1.1}, **more)
        for arm, table in late.items()
        for name, some in table.items()
        for k, value in enumerate(some)
    ]


def test_every_arm_has_the_adam_of_its_setting_in_both_players():
    for arm in settings.ARMS:
        for name, its in spectral.SETTINGS.items():
            method = settings.method(cell_of(arm, name))
            adam = Adam(its["rate"], (its["beta1"], its["beta2"]))
            assert method.critic_optimizer == method.generator_optimizer == adam
            assert method.n_critic == its["n_critic"]


def test_arms_hold_the_critic_by_what_they_are_named_after():
    made = {arm: settings.method(cell_of(arm)) for arm in settings.ARMS}
    wasserstein = [arm for arm, method in made.items() if method.loss is losses.wasserstein]
    assert wasserstein == ["wgan_gp"]
    assert {method.loss for arm, method in made.items() if arm != "wgan_gp"} == {losses.non_saturating}
    constrained = {arm: m.constraint.function for arm, m in made.items() if m.constraint}
    assert constrained["sn"] is constraints.spectral_norm and constrained["wn"] is constraints.weight_norm
    assert set(constrained) == {"sn", "wn", "orthonormal"}
    sloped = {arm for arm, m in made.items() if any(p.function is gradient_penalty for p in m.penalties)}
    assert sloped == {"gan_gp", "wgan_gp"}
    assert all(made[arm].penalties[0].hyperparameters["weight"] == 10.0 for arm in sloped)
    projection = made["clip"].projection
    assert projection is not None
    critic = nn.Linear(3, 1)
    nn.init.constant_(critic.weight, 1.0)
    projection.function(critic)
    assert float(critic.weight.detach().abs().max()) == pytest.approx(0.05)


@pytest.mark.parametrize(("arm", "kind"), [("bn", nn.BatchNorm2d), ("ln", nn.GroupNorm)])
def test_norms_stand_behind_every_convolution_without_a_gain(arm: str, kind: type[nn.Module]):
    _, D = settings.networks(cell_of(arm), (1, 16, 16), torch.Generator().manual_seed(1))
    layers: list[nn.Module] = list(D.body)
    places = [k for k, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    assert len(places) == 7
    assert all(isinstance(layers[k + 1], kind) and not list(layers[k + 1].parameters()) for k in places)
    assert arm == "bn" or {getattr(layers[k + 1], "num_groups", 0) for k in places} == {1}
    x = 3 + torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    after = nn.Sequential(*layers[: places[1] + 2])(x)
    axes = (0, 2, 3) if arm == "bn" else (1, 2, 3)
    torch.testing.assert_close(after.mean(axes), torch.zeros_like(after.mean(axes)), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.var(axes, correction=0), torch.ones_like(after.mean(axes)), atol=0.02, rtol=0)


def test_arms_of_one_initialisation_start_from_the_same_weights():
    def weights(arm: str, init: str) -> list[torch.Tensor]:
        _, D = settings.networks({**cell_of(arm), "init": init}, (1, 16, 16), torch.Generator().manual_seed(1))
        return [layer.weight for layer in D.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]

    for one, other in zip(weights("none", "he"), weights("bn", "he"), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(weights("none", "he")[0], weights("none", "n002")[0])


def claim(name: str) -> Any:
    return next(one for one in settings.CLAIMS if one.id == name)


def test_worst_and_median_are_those_of_each_seed():
    """Seed 9600: SN's worst is 6, in F, batch norm's 8, in A. Seed 9601: 7, in E, against 7.5, in B."""
    sn = dict(zip("ABCDEF", ([1.0, 2.0], [2.0, 1.0], [3.0, 3.0], [4.0, 4.0], [5.0, 7.0], [6.0, 5.0]), strict=True))
    bn = dict(zip("ABCDEF", ([8.0, 0.0], [3.0, 7.5], [3.0, 1.0], [3.0, 2.0], [2.0, 2.5], [1.0, 3.0]), strict=True))
    rows = settings_rows({"sn": sn, "bn": bn})
    found = claim("sn-worst-bn").judge(rows)
    assert found.estimate.value == pytest.approx(((6 - 8) + (7 - 7.5)) / 2)
    assert found.p_for < 0.5
    medians = [statistics.median(table[name][k] for name in "ABCDEF") for table in (sn, bn) for k in (0, 1)]
    found = claim("sn-median-bn").judge(rows)
    assert found.estimate.value == pytest.approx((medians[0] - medians[2] + medians[1] - medians[3]) / 2)
    assert found.p_for > 0.5


def test_large_rates_are_those_of_d_e_and_f_alone():
    low, high = ({name: [x if name in "DEF" else y, x] for name in "ABCDEF"} for x, y in ((1.0, 9.0), (2.0, 0.0)))
    for table in (low, high):
        table["D"][1] += 0.3
    high["E"][1] += 0.6
    found = claim("sn-aggressive-wgan-gp").judge(settings_rows({"sn": low, "wgan_gp": high}))
    assert found.estimate.value == pytest.approx((-1 - 1.2) / 2)


def test_a_seed_that_lacks_a_setting_is_left_out_and_a_diverged_one_counts_as_untrained():
    sn, bn = ({name: [x, x + 0.5, x] for name in "ABCDEF"} for x in (1.0, 2.0))
    rows = settings_rows({"sn": sn, "bn": bn})
    short = [row for row in rows if (row.cell["arm"], row.cell["setting"], row.seed) != ("bn", "C", 9602)]
    assert claim("sn-worst-bn").judge(short).estimate.n == 2
    burst = [
        Row(row.cell, row.seed, "diverged") if (row.cell["arm"], row.cell["setting"], row.seed) == ("sn", "F", 9601)
        else row
        for row in rows
    ]  # fmt: skip
    found = claim("sn-worst-bn").judge(burst)
    assert found.estimate.value == pytest.approx((-1 + (settings.UNTRAINED - 2.5) - 1) / 3)


def test_spectral_norm_that_does_not_hold_is_not_judged():
    rows = settings_rows({"sn": {"D": [1.0, 1.0]}, "bn": {"D": [1.0, 1.0]}})
    assert claim("sn-worst-bn").check(rows) == ""
    rows[0].values["sigma_high"] = 1.7
    assert "1.70" in claim("sn-worst-bn").check(rows)
    rows[0].values.update({"sigma_high": 1.0, "sigma_low": 0.4})
    assert "0.40" in claim("sn-worst-bn").check(rows)


def test_orthonormal_may_be_ahead_by_a_tenth_in_the_median_alone():
    sn, other = ({name: [x + 0.001 * k for k in range(5)] for name in "ABCDEF"} for x in (1.05, 1.0))
    other["A"][0] += 0.0005
    rows = settings_rows({"sn": sn, "orthonormal": {name: [x + 0.01 * (k % 2) for k, x in enumerate(some)]
                                                    for name, some in other.items()}})  # fmt: skip
    assert claim("sn-median-orthonormal").judge(rows).p_for < 0.01
    assert claim("sn-worst-orthonormal").judge(rows).p_for > 0.99


def test_the_papers_size_has_every_arm_of_each_figure():
    parts = {part.cells[0]["part"]: part.cells for part in settings.GRID["paper"]}
    shown = {name: {(cell["arm"], cell["setting"]) for cell in some} for name, some in parts.items()}
    assert len(shown["cifar10"]) == 9 * 6 and len(shown["stl10"]) == 6 * 6
    assert not {"bn", "gan_gp"} & {arm for arm, _ in shown["stl10"]}
    assert {cell["steps"] for some in parts.values() for cell in some} == {100_000}


def test_late_is_the_later_half_of_the_checkpoints():
    small = {**cell_of("sn"), "data": "digits", "pixels": 8, "steps": 3, "batch": 4, "n_critic": 1}
    found = settings.run_one(small, 1, "cpu")
    assert len(found["fd"]) == 3
    assert found["late"] == pytest.approx((math.log(found["fd"][1]) + math.log(found["fd"][2])) / 2)
    assert 0.9 < found["sigma_low"] <= found["sigma_high"] < 1.5


def way(arm: str, activation: str = "groupsort") -> Cell:
    every = [cell for part in orthogonal_ways.GRID["cpu"] for cell in part.cells if cell["part"] == "main"]
    return next(cell for cell in every if (cell["arm"], cell["activation"]) == (arm, activation))


def test_ways_differ_in_the_way_alone():
    made = {arm: orthogonal_ways.method(way(arm)) for arm, kind in orthogonal_ways.ARMS if kind == "groupsort"}
    forms = {arm: made[arm].penalties[0].hyperparameters["form"] for arm in orthogonal_ways.SOFT}
    assert forms == {arm: arm for arm in orthogonal_ways.SOFT}
    assert made["hard"].constraint is not None and made["svd"].projection is not None
    rates = {arm: (m.critic_optimizer.learning_rate, m.generator_optimizer.learning_rate) for arm, m in made.items()}
    assert {rates[arm] for arm in rates if arm != "ttur"} == {(5e-4, 5e-4)} and rates["ttur"] == (1e-3, 5e-4)
    assert [made[arm].n_critic for arm in ("hard", "gp", "svd", "ttur")] == [5, 5, 5, 1]


def test_ways_load_and_what_groupsort_adds_is_a_difference_of_differences():
    study = load("orthogonal_ways")
    late = {("hard", "groupsort"): [1.0, 1.2], ("hard", "relu"): [3.0, 3.0], ("gp", "groupsort"): [2.0, 2.1],
            ("gp", "relu"): [2.5, 2.5]}  # fmt: skip
    rows = [
        Row(way(*key), 9700 + k, values={"late": value, "rank": 0.9 if key[0] == "hard" else 0.3 + 0.1 * k})
        for key, some in late.items()
        for k, value in enumerate(some)
    ]
    claims = {one.id: one for one in study.claims}

    def value(name: str) -> float:
        judge = claims[name].judge
        assert judge is not None
        return judge(rows).estimate.value

    assert value("orth-sort-more") == pytest.approx(((-2 + 0.5) + (-1.8 + 0.4)) / 2)
    assert value("orth-relu") == pytest.approx(0.5)
    assert value("orth-sort") == pytest.approx(-1.9) and value("orth-sort-gp") == pytest.approx(-0.45)
    assert value("orth-images-spectrum") == pytest.approx((3.0 * 2.25) ** 0.5)


def test_a_way_that_runs_measures_its_distance_from_orthogonality():
    small: dict[str, Any] = {"data": "digits", "pixels": 8, "steps": 2, "checkpoints": 2, "batch": 4}
    hard = orthogonal_ways.run_one({**way("hard"), **small}, 1, "cpu")
    assert hard["error"] < 1e-4 and hard["rank"] == pytest.approx(1, abs=1e-4)
    svd = orthogonal_ways.run_one({**way("svd"), **small}, 1, "cpu")
    assert 1e-4 < svd["error"] < 0.06
    free = orthogonal_ways.run_one({**way("ttur"), **small}, 1, "cpu")
    assert free["error"] > 0.1 and free["rank"] < 0.9


@pytest.mark.parametrize("name", ["settings", "orthogonal_ways"])
def test_arms_start_with_the_weights_that_did_better_on_other_seeds(name: str):
    """By ``late``, on average over seeds that judge nothing; an arm is one with its activation."""
    study = load(name)
    taken: dict[Any, str] = {"settings": settings.INITS, "orthogonal_ways": orthogonal_ways.INITS}[name]
    rows = read(Path(__file__).parents[1] / "docs" / "results" / "studies" / f"{name}.jsonl")["cpu"]
    met: dict[Any, dict[str, list[float]]] = {}
    for row in rows:
        if row.cell["part"] == "choose":
            arm = (row.cell["arm"], row.cell["activation"]) if name == "orthogonal_ways" else row.cell["arm"]
            met.setdefault(arm, {}).setdefault(str(row.cell["init"]), []).append(row.values["late"])
    assert met
    better = {arm: min(found, key=lambda one: statistics.fmean(found[one])) for arm, found in met.items()}
    assert all(len(found) == 2 for found in met.values()) and better == {arm: taken[arm] for arm in better}
    chosen = {row.seed for row in rows if row.cell["part"] == "choose"}
    judging = {seed for part in study.grid["cpu"] if not part.fixed for seed in part.seeds}
    assert not chosen & judging


def test_a_claim_whose_other_arm_has_not_been_run_waits_but_a_begun_one_is_missing_runs():
    """Arms are run one after another: what compares with one that is to come says what it needs."""
    study = load("settings")
    full = {name: [1.0] * 5 for name in "ABCDEF"}

    def judged(rows: list[Row]) -> dict[str, Any]:
        return {one.claim.id: one for one in judge(study, {"cpu": rows})}

    rows = settings_rows({"sn": full})
    waiting = judged(rows)["sn-worst-bn"]
    assert (waiting.missing, waiting.verdict) == (0, "not tested") and waiting.why.startswith("needs an hour")
    begun = judged([*rows, *settings_rows({"bn": {"A": [2.0]}})])
    assert begun["sn-worst-bn"].missing == 29 and begun["sn-worst-ln"].missing == 0
    done = judged([*rows, *settings_rows({"bn": {name: [2.0, 2.1, 2.0, 2.1, 2.0] for name in "ABCDEF"}})])
    assert done["sn-worst-bn"].verdict == "reproduced" and done["sn-worst-ln"].verdict == "not tested"
