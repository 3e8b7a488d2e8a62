"""What a step costs: operations against counting by hand, messages, lazy penalties, and the command that says so."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
import torch
from torch import nn

from tightrope import cli, methods, penalties, runs, training
from tightrope.data import open_data
from tightrope.runs.estimate import estimate
from tightrope.training import cost

LATENT, WIDTH = 3, 8


def run_of(method, *, norm=False, batch=16):
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(WIDTH)] if norm else []
    generator = nn.Sequential(nn.Linear(LATENT, WIDTH), *middle, nn.ReLU(), nn.Linear(WIDTH, 2))
    critic = nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
    return training.start(method, generator, critic, seed=0, latent=LATENT, batch_size=batch)


def counted(run, size, ranks=1):
    return {
        part.player: cost.count(run, part, lambda n: (torch.zeros(n, 2), None), size, rows=1, ranks=ranks)
        for part in cost.parts(run.method)
    }


@pytest.mark.parametrize("size", [2, 16, 64])
def test_operations_of_a_plain_step_are_those_counted_by_hand(size):
    generator, first, last = LATENT * WIDTH + WIDTH * 2, 2 * WIDTH, WIDTH
    found = counted(run_of(methods.build("dcgan"), batch=size), size)
    # fakes; then for real and fake a forward, gradients by both weights, and by what lies between the layers
    assert found["critic"].flops == 2 * size * (generator + 2 * (2 * (first + last) + last))
    # forwards; the critic's gradient by its samples; the generator's by weights and by what lies between
    assert found["generator"].flops == 2 * size * (generator + 2 * (first + last) + generator + WIDTH * 2)


def test_messages_are_one_per_half_step_and_those_of_batch_statistics():
    run = run_of(methods.build("dcgan"), norm=True)
    found = counted(run, 8, ranks=2)
    assert (found["critic"].messages, found["generator"].messages) == (1 + 2, 1 + 4)
    critic = sum(p.numel() for p in run.critic.parameters())
    assert 4 * critic < found["critic"].message_bytes < 4 * critic + 1000
    assert counted(run_of(methods.build("consensus")), 8, ranks=2)["both"].messages > 20


@pytest.mark.parametrize("options", [{"gamma": 1.0}, {"gamma": 1.0, "approximate": True}])
def test_a_network_that_is_new_to_a_penalty_costs_what_a_known_one_does(options):
    """A penalty looks a network over the first time, which counted for the few samples and not for the many."""
    found = []
    for size in (64, 2):
        run = run_of(methods.build("r1", **options))
        (critic,) = (part for part in cost.parts(run.method) if part.player == "critic")
        found.append(cost.count(run, critic, lambda n: (torch.randn(n, 2), None), size, rows=1).flops)
    assert found[0] == pytest.approx(32 * found[1], rel=1e-9)


def test_lazy_penalties_count_by_how_often_they_are_due():
    method = methods.build("wgan_gp", every=4)
    shares = [(part.index, part.share) for part in cost.parts(method) if part.player == "critic"]
    assert shares == [(0, 0.25), (1, 0.75)]
    run = run_of(method)
    flops = {
        part.index: cost.count(run, part, lambda n: (torch.zeros(n, 2), None), 16, rows=1).flops
        for part in cost.parts(method)[:2]
    }
    assert flops[0] > 1.5 * flops[1]
    both = dataclasses.replace(method, penalties=(penalties.Penalty(penalties.r1, every=2), *method.penalties))
    assert sum(part.share for part in cost.parts(both) if part.player == "critic") == 1.0


def test_counting_takes_no_notice_of_the_optimiser():
    method = methods.build("r1")
    moving, still = counted(run_of(method), 16), counted(run_of(cost.standing_still(method)), 16)
    assert {k: c.flops for k, c in moving.items()} == {k: c.flops for k, c in still.items()}


def test_an_estimate_adds_up():
    config = runs.resolve("toy:ring", method="wgan", steps=100, authors_warm_up=True, width=8, batch_size=16)
    found = estimate(config, open_data("toy:ring"), devices=2, seconds=0.05, bandwidth=1e3, latency=0.0)
    assert found.generator_updates == 100
    assert found.critic_updates == 25 * 100 + 75 * 5
    assert found.per_step == found.critic_updates / 100
    assert found.batch == 8
    assert found.sending == pytest.approx(found.message_bytes / 1e3)
    assert found.seconds == pytest.approx(found.compute + found.loading + found.sending)
    assert found.total == pytest.approx(100 * found.seconds)
    with pytest.raises(ValueError, match="divides evenly"):
        estimate(config, open_data("toy:ring"), devices=3, seconds=0)


def test_the_command_and_the_dry_run_say_what_a_training_costs(capsys):
    words = ["toy:ring", "--method", "r1", "--width", "8", "--steps", "10", "--batch-size", "16"]
    assert cli.main(["estimate", *words, "--probe", "0.05", "--devices", "4"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("FLOP", "4 devices with 4 samples each", "messages", "per step", "10 steps"))
    assert cli.main(["train", *words, "--dry-run"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["training"]["steps"] == 10
    assert "cost: 10 steps" in output.err
    assert cli.main(["estimate", *words, "--device", "8"]) == 2


def test_memory_is_what_was_held_at_once_at_most_and_what_operations_hold_inside(capfd):
    kept = []

    def step():
        first = torch.empty(3000)
        del first
        kept.append(torch.empty(1000))
        torch.empty(4000)  # gone at once
        kept.append(torch.empty(2000))

    device = torch.device("cpu")
    assert cost.most_held(step, device) == 4 * 5000
    x = torch.rand(64, 64, dtype=torch.float64)
    assert cost.most_held(lambda: torch.linalg.svdvals(x), device) > x.nbytes  # its result has 64 numbers
    assert capfd.readouterr() == ("", "")  # nothing of the profiler's own words


def test_what_fails_while_memory_is_recorded_is_raised_and_errors_are_heard_again(capfd):
    with pytest.raises(ZeroDivisionError):
        cost.most_held(lambda: 1 / 0, torch.device("cpu"))
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
