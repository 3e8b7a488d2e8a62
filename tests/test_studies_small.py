"""What the studies of modes, of the critic's overfitting and of WGAN-TTUR's spectra measure and judge."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tightrope.studies import modes, overfitting, ttur, weights
from tightrope.studies.design import Cell, Row
from tightrope.studies.registry import Study, load


def claim(study: Study, name: str) -> Any:
    (found,) = [one for one in study.claims if one.id == name]
    return found


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).mean(1)


class Fakes(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return -torch.ones(len(z), 1, 2, 2)


def test_a_gap_is_what_held_out_images_lack_of_the_estimate() -> None:
    run: Any = SimpleNamespace(critic=Mean(), generator=Fakes(), latent=3)
    few, others = torch.full((5, 1, 2, 2), 3.0), torch.full((7, 1, 2, 2), 1.0)
    lead, gap = overfitting.scored(run, few, others, torch.Generator())
    assert (lead, gap) == (pytest.approx(4.0), pytest.approx(0.5))
    assert run.critic.training and run.generator.training


def overfitted(**gaps: float) -> list[Row]:
    (part,) = overfitting.GRID["cpu"]
    return [
        Row(cell, seed, values={"gap": gaps[str(cell["arm"])] + 0.001 * (seed % 3), "lead": 1.0, "trail": [0.0, 1.0]})
        for cell in part.cells
        for seed in part.seeds
    ]


def test_sn_overfits_least_only_if_it_is_below_both_others() -> None:
    judge = claim(load("overfitting"), "sn-overfit").judge
    assert judge(overfitted(gp=0.5, gp_wn=0.3, gp_sn=0.2)).estimate.value == pytest.approx(-0.1)
    between = judge(overfitted(gp=0.5, gp_wn=0.1, gp_sn=0.2))
    assert between.estimate.value == pytest.approx(0.1) and between.p_against < 0.01


def test_a_critic_that_tells_nothing_apart_is_not_judged() -> None:
    check = claim(load("overfitting"), "sn-overfit").check
    rows = overfitted(gp=0.5, gp_wn=0.3, gp_sn=0.2)
    assert check(rows) == ""
    rows[0].values["lead"] = 0.01
    assert "0.010" in check(rows)


def counted(cell: Cell, seed: int, met: int) -> Row:
    return Row(cell, seed, values={"modes": met, "kl": 1.0, "sure": 0.1, "accuracy": 0.99})


def test_a_run_with_few_modes_or_none_at_all_has_collapsed() -> None:
    one = claim(load("modes"), "wgan-no-mode-collapse")
    (part,) = modes.GRID["cpu"]
    cell = next(cell for cell in part.cells if cell["method"] == "wgan_gp")
    rows = [counted(cell, 1, 25), counted(cell, 2, 26), Row(cell, 3, "diverged"), counted(cell, 4, 900)]
    assert one.judge(rows).estimate.value == 0.5
    assert one.check(rows) == ""
    rows[1].values["sure"] = 0.001
    assert "sure of 0.001" in one.check(rows)


def test_convolutions_are_told_from_the_dense_layer_and_compared_with_their_start() -> None:
    critic = ttur._critic((1, 16, 16), 8)
    dense = critic[-3]
    assert isinstance(dense, nn.Linear)
    nn.init.eye_(dense.weight)
    ranks = ttur._ranks(critic)
    assert len(ranks) == ttur.CONVOLUTIONS + 1 and ranks[-1] == pytest.approx(1.0, rel=1e-4) and max(ranks[:-1]) < 0.99
    (part,) = ttur.GRID["cpu"]
    spectra = {"convolutions": 0.1, "convolutions_before": 0.4, "dense": 0.2, "dense_before": 0.25}
    rows = [Row(part.cells[0], seed, values=spectra) for seed in part.seeds]
    finding = claim(load("ttur"), "orth-ttur-spectrum").judge(rows)
    assert finding.estimate.value == pytest.approx(0.25 / 0.8) and finding.p_for < 0.01


@pytest.mark.parametrize("name", ["wgan_gp", "r1"])
def test_the_weight_of_a_cell_reaches_the_penalty(name: str) -> None:
    met = {
        weight: weights.method({"method": name, "weight": weight, "rate": 1e-3}).penalties[0].hyperparameters
        for weight in weights.WEIGHTS
    }
    assert all(weight in found.values() for weight, found in met.items())
