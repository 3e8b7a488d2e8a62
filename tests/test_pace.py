"""Critic steps chosen by the run: the rule of the study, kept in checkpoints, the same by every way of training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from run_cases import config_of, same, weights
from tightrope import UserError, losses, methods, runs, training
from tightrope.data import Sampler, open_data
from tightrope.training.as_game import run_step
from tightrope.training.seeds.obstacles import UnstackableError

AUTO = methods.build("wgan_gp", n_critic="auto", learning_rate=1e-3)


class Oracle:
    """The rule as the study ``questions`` ran it: every step by hand, nothing shared with the library's."""

    def __init__(self) -> None:
        self.steps, self.gain, self.distance = 5.0, 0.0, 0.0
        self.moved: list[torch.Tensor] | None = None

    def decide(self) -> int:
        more = self.gain > 0.01 * self.distance
        self.steps = min(max(self.steps * (1.05 if more else 1 / 1.05), 1.0), 10.0)
        return round(self.steps)

    def step(self, run: training.Run, real: torch.Tensor) -> None:
        parameters = list(run.critic.parameters())
        before = [p.detach().clone() for p in parameters]
        loss = abs(float(training.critic_step(run, real).objective.loss))
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        moved = self.moved or [torch.zeros_like(p) for p in parameters]
        gained = -sum(float((d * g).sum()) for d, g in zip(moved, gradients, strict=True))
        self.gain += 0.05 * (gained - self.gain)
        self.distance += 0.05 * (loss - self.distance)
        self.moved = [p.detach() - old for p, old in zip(parameters, before, strict=True)]


def pair(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))
    return generator, nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


def begun(method: methods.Method = AUTO) -> training.Run:
    return training.start(method, *pair(), seed=0, latent=3, shape=(2,), batch_size=16)


def batches() -> Sampler:
    return Sampler(open_data("toy:ring"), 16, seed=0)


def test_it_decides_as_the_study_did():
    run, sampler = begun(), batches()
    chosen = []
    for _ in training.train(run, sampler, steps=150):
        chosen.append(run.critic_steps - sum(chosen))
    oracle, plain, sampler = Oracle(), begun(dataclasses.replace(AUTO, play=methods.Alternating(5))), batches()
    expected = []
    for _ in range(150):
        expected.append(oracle.decide())
        for _ in range(expected[-1]):
            oracle.step(plain, sampler.next().x)
        training.generator_step(plain)
    assert chosen == expected
    assert (run.pace.gain, run.pace.distance) == (oracle.gain, oracle.distance)
    assert min(chosen) == 1 < 5 < max(chosen), "both ways were taken"


def test_a_state_carries_it():
    whole, sampler = begun(), batches()
    for _ in training.train(whole, sampler, steps=40):
        pass
    half, again, sampler = begun(), begun(), batches()
    for _ in training.train(half, sampler, steps=17):
        pass
    again.load_state_dict(half.state_dict())
    assert again.critic_steps_due == half.critic_steps_due
    for _ in training.train(again, sampler, steps=40):
        pass
    assert same(again.state_dict(), whole.state_dict())
    state = half.state_dict()
    del state["pace"]
    with pytest.raises(UserError, match="none of pace"):
        again.load_state_dict(state)


def test_a_run_folder_keeps_logs_and_resumes_it(tmp_path: Path):
    config = config_of(method=runs.MethodSettings("wgan_gp", {"n_critic": "auto"}), steps=9)
    runs.begin(tmp_path / "whole", config, quiet=True)
    short = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=5))
    runs.begin(tmp_path / "parts", short, quiet=True)
    runs.resume(tmp_path / "parts", steps=9, quiet=True)
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert all(1 <= row["critic_steps_per_step"] <= 10 for row in rows)
    assert runs.read_config(tmp_path / "whole").method.hyperparameters["n_critic"] == "auto"


def test_seeds_train_by_themselves_with_a_pace_each():
    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        return pair(seed)

    data = open_data("toy:ring")
    given = {"steps": 12, "batch_size": 16, "latent": 3}
    with pytest.raises(UnstackableError, match="n_critic 'auto'"):
        training.seeds.train(AUTO, networks, data, range(2), how="stack", **given)
    found = training.seeds.train(AUTO, networks, data, range(2), workers=1, **given)
    assert all(seed.how == "processes" and "n_critic 'auto'" in seed.why for seed in found)
    assert all(seed.run.pace.gain != 0 for seed in found)


def test_the_step_of_the_game_takes_as_many_critic_steps():
    run = begun()
    for _ in training.train(run, batches(), steps=30):
        pass
    real = batches().next().x
    fixed = begun(dataclasses.replace(AUTO, play=methods.Alternating(run.critic_steps_due)))
    fixed.load_state_dict(run.state_dict())
    for one in (run, fixed):
        run_step(one, real)()
    assert all(torch.equal(a, b) for a, b in zip(run.critic.parameters(), fixed.critic.parameters(), strict=True))


@pytest.mark.parametrize("name", ["wgan", "wgan_ttur", "sn_wgan", "orthogonal_wgan", "wgan_gp_clamped"])
def test_every_wasserstein_method_takes_it(name: str):
    run = begun(methods.build(name, n_critic="auto"))
    for _ in training.train(run, batches(), steps=3):
        pass
    assert run.pace.distance > 0 and run.critic_steps > 3


def test_it_is_refused_where_it_means_nothing():
    with pytest.raises(UserError, match="estimates none, got 'auto'"):
        dataclasses.replace(methods.build("r1"), play=methods.Alternating("auto"))
    with pytest.raises(UserError, match="Wasserstein loss alone"):
        methods.build("r1", n_critic="auto")
    with pytest.raises(UserError, match="without a warm-up"):
        methods.build("wgan", n_critic="auto", authors_warm_up=True)
    with pytest.raises(UserError, match="at least 1"):
        methods.Alternating("often")
    with pytest.raises(UserError, match="which a run chooses"):
        AUTO.critic_steps(0)
    with pytest.raises(UserError, match="n_critic"):
        methods.build("extra_adam", n_critic="auto")
    with pytest.raises(UserError, match="estimates none"):
        dataclasses.replace(AUTO, loss=losses.hinge)


def test_a_run_goes_on_with_a_number_and_not_with_auto(tmp_path: Path):
    fixed = config_of(method=runs.MethodSettings("wgan_gp", {"n_critic": 2}), steps=2)
    runs.begin(tmp_path / "fixed", fixed, quiet=True)
    with pytest.raises(UserError, match="n_critic as a whole number, got 'auto'"):
        runs.resume(tmp_path / "fixed", steps=4, changes={"n_critic": "auto"}, quiet=True)
    runs.resume(tmp_path / "fixed", steps=4, changes={"n_critic": 3}, quiet=True)
    assert weights(tmp_path / "fixed")["critic_steps"] == 2 * 2 + 2 * 3
    auto = config_of(method=runs.MethodSettings("wgan_gp", {"n_critic": "auto"}), steps=2)
    runs.begin(tmp_path / "auto", auto, quiet=True)
    before = weights(tmp_path / "auto")["critic_steps"]
    runs.resume(tmp_path / "auto", steps=4, changes={"n_critic": 1}, quiet=True)
    assert weights(tmp_path / "auto")["critic_steps"] == before + 2 and "pace" not in weights(tmp_path / "auto")
