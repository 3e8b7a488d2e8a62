"""One run over two processes against one process; and torch's own wrappers, in a group of one process."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope import constraints, methods, penalties, runs
from tightrope._plumbing import draws
from tightrope._plumbing.errors import UserError
from tightrope.data import Sampler, open_data

dist = pytest.importorskip("torch.distributed")
if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("needs torch with gloo", allow_module_level=True)


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1))


def parts(network, real, fake):
    loss = softplus(-network(real)).mean() + softplus(network(fake)).mean()
    return loss, penalties.r1(network, real, fake, gamma=1.0)


def test_one_backward_of_loss_and_penalty_works_with_ddp(group):
    plain = critic()
    wrapped = nn.parallel.DistributedDataParallel(copy.deepcopy(plain))
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    for network in (plain, wrapped):
        for _ in range(2):  # the second step is the one that an unfinished first one would spoil
            network.zero_grad()
            sum(parts(network, real, fake)).backward()
    for p, q in zip(plain.parameters(), wrapped.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad)


class Within(nn.Module):
    """A module that holds the wrapped network."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


@pytest.mark.parametrize("inside", [Within, nn.Sequential, partial(torch.compile, backend="eager")])
def test_ddp_inside_another_module_is_found(group, inside):
    """It waits for every parameter, of which a penalty in a backward of its own does not reach the last bias."""
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    wrapped = inside(nn.parallel.DistributedDataParallel(critic()))
    penalties.r1(wrapped, real).backward()
    assert all(p.grad is not None for p in wrapped.parameters())
    static = inside(nn.parallel.DistributedDataParallel(critic(), static_graph=True))
    with pytest.raises(UserError, match="static_graph"):
        penalties.r1(static, real, fake)


@pytest.mark.parametrize("constrain", [constraints.spectral_norm, constraints.orthogonal, constraints.weight_norm])
def test_a_network_is_constrained_before_it_is_wrapped(group, constrain):
    for wrapped in (
        nn.parallel.DistributedDataParallel(critic()),
        Within(nn.parallel.DistributedDataParallel(critic())),
    ):
        with pytest.raises(UserError, match="constrained before DistributedDataParallel"):
            constrain(wrapped)
    nn.parallel.DistributedDataParallel(constrain(critic()))


@pytest.mark.parametrize("penalty", [penalties.r1, penalties.r2, penalties.gradient_penalty, penalties.dragan])
def test_a_penalty_with_its_own_backward_works_with_ddp(group, penalty):
    plain = critic()
    wrapped = nn.parallel.DistributedDataParallel(copy.deepcopy(plain))
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    for network in (plain, wrapped):
        for _ in range(2):  # at the second forward torch stops if a parameter had no part in the backward before
            network.zero_grad()
            parts(network, real, fake)[0].backward()
            penalty(network, real, fake, rng=torch.Generator().manual_seed(0)).backward()
    for p, q in zip(plain.parameters(), wrapped.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad)


ALL = [penalties.r1, penalties.r2, penalties.gradient_penalty, penalties.dragan, penalties.finite_difference_r1,
       partial(penalties.consistency, augment=lambda x: x + 1)]  # fmt: skip


@pytest.mark.parametrize("penalty", ALL)
def test_a_backward_between_a_penalty_and_its_own_is_refused_with_ddp(group, penalty):
    """Several ranks would each keep its own gradients of the second one."""
    wrapped = nn.parallel.DistributedDataParallel(critic())
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    loss, value = wrapped(real).mean() - wrapped(fake).mean(), penalty(wrapped, real, fake)
    loss.backward()
    with pytest.raises(UserError, match="one backward of loss and penalty"):
        value.backward()
    with wrapped.no_sync():  # where nothing is averaged, nothing comes too late
        value = penalty(wrapped, real, fake)
        wrapped(real).mean().backward()
        value.backward()
    hooks = wrapped.module[0].weight._post_accumulate_grad_hooks
    penalty(wrapped, real, fake)  # thrown away
    penalty(wrapped, real, fake).backward()
    assert not hooks


def test_finite_differences_work_with_a_static_graph(group):
    """They differentiate no gradient; on two ranks they agreed with one process to 4e-7."""
    plain = critic()
    wrapped = nn.parallel.DistributedDataParallel(copy.deepcopy(plain), static_graph=True)
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    for network in (plain, wrapped):
        for step in range(3):
            network.zero_grad()
            penalty = penalties.finite_difference_r1(network, real, rng=torch.Generator().manual_seed(step))
            (softplus(-network(real)).mean() + softplus(network(fake)).mean() + penalty).backward()
    for p, q in zip(plain.parameters(), wrapped.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad)


@pytest.mark.skipif(torch.__version__ < "2.8", reason="FSDP2 there wants CUDA")
def test_fsdp2_stops_at_the_gradient_of_a_gradient(group):
    from torch.distributed.fsdp import fully_shard

    network = critic()
    fully_shard(network, mesh=dist.init_device_mesh("cpu", (1,)))
    with pytest.raises(UserError, match="in shards of FSDP"):
        sum(parts(network, torch.randn(16, 2), torch.randn(16, 2))).backward()


def two_processes(*command: str) -> list[subprocess.Popen[str]]:
    """Start a Python command as ranks 0 and 1, with the variables that torchrun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    source = str(Path(__file__).parents[1] / "src")
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    common["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def ended(processes: list[subprocess.Popen[str]], seconds: float = 400.0) -> list[tuple[int, str, str]]:
    """Exit status and output of each; they are killed if they take longer."""
    try:
        said = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


@pytest.fixture(scope="module")
def found():
    leader, other = ended(two_processes(str(Path(__file__).with_name("ranks_worker.py"))))
    assert leader[0] == other[0] == 0, leader[2] + other[2]
    return json.loads(leader[1]) | {"errors": [leader[2], other[2]]}


@pytest.mark.parametrize("name", methods.METHODS)
def test_two_ranks_are_one_process_with_the_whole_batch(found, name):
    differences = found["methods"][name]
    assert differences["moved"] > 0.01, "nothing was trained"
    assert differences["weights"] <= 2e-6
    assert differences["metrics"] <= 2e-6
    assert differences["scores"] <= 2e-6


@pytest.mark.parametrize("name", ["noise", "srip", "finite", "conditional", "critic_norm", "auto"])
def test_noise_labels_and_batch_statistics_over_two_ranks(found, name):
    differences = found["more"][name]
    assert differences["weights"] <= 2e-6
    assert differences["metrics"] <= 1e-5  # finite differences divide rounding by their step


@pytest.mark.parametrize("name", ["two_then_one", "one_then_two"])
def test_a_run_goes_on_with_another_number_of_ranks(found, name):
    assert found["resumed"][name] <= 2e-6


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loss", "generator that is"),
        ("draws", "critic that is"),
        ("layer", "looks across samples"),
        ("norm", "OtherNorm"),
        ("uneven", "multiple of 2"),
        ("adaptive", "adaptive augmentation over ranks"),
        ("batch", "Expected 8 samples"),
    ],
)
def test_what_two_ranks_would_get_wrong_is_refused(found, name, words):
    assert words in found["refusals"][name]


def test_a_bad_sample_on_one_rank_is_found_from_both(found):
    assert all("first in the real samples" in said for said in found["finite_of_both"])


def test_ranks_drop_different_features(found):
    assert 0.4 < found["masks"] < 0.6


def test_a_fault_of_the_leader_ends_the_others(found):
    assert "the leader's own fault" in found["errors"][0]
    assert "Another rank of this run stopped" in found["errors"][1]


def test_ranks_draw_the_rows_of_one_batch():
    plain = torch.Generator().manual_seed(3)
    ranks = [draws.shared(plain, rank, 2, 4) for rank in range(2)]
    z = [[draws.normal((4, 3), rng), draws.uniform((8, 1), rng), torch.rand(2, generator=rng)] for rng in ranks]
    torch.testing.assert_close(torch.cat([z[0][0], z[1][0]]), draws.normal((8, 3), plain))
    two = draws.uniform((16, 1), plain)  # of two batches of four rows on each rank: first rank 0's, then rank 1's
    torch.testing.assert_close(torch.cat([z[0][1][:4], z[1][1][:4], z[0][1][4:], z[1][1][4:]]), two)
    torch.testing.assert_close(z[0][2], z[1][2])
    assert torch.equal(ranks[0].get_state(), ranks[1].get_state())


def test_parts_of_a_sampler_make_up_its_batches():
    data = open_data("digits")
    whole, *parts = (Sampler(data, 6, seed=0, flip=True, part=part) for part in ((0, 1), (0, 3), (1, 3), (2, 3)))
    for _ in range(3):
        torch.testing.assert_close(torch.cat([part.next().x for part in parts]), whole.next().x)
    with pytest.raises(ValueError, match="multiple of the number of ranks"):
        Sampler(data, 7, seed=0, part=(0, 2))


TRAIN = (
    "-m",
    "tightrope",
    "train",
    "digits",
    "--steps",
    "100000",
    "--width",
    "4",
    "--batch-size",
    "8",
    "--latent",
    "4",
)
SPARING = ("--evaluate-every", "0", "--conditioning-every", "0", "--checkpoint-every", "5", "--quiet")


def wait_for(condition, processes, seconds=400.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "took too long"
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        time.sleep(0.1)


def test_the_command_is_stopped_killed_and_resumed_over_ranks(tmp_path):
    out = tmp_path / "run"
    processes = two_processes(*TRAIN, *SPARING, "--out", str(out))
    wait_for(lambda: len(runs.checkpoint_paths(out)) > 1, processes)
    processes[1].send_signal(signal.SIGTERM)
    stopped = ended(processes)
    assert [code for code, _, _ in stopped] == [130, 130], [text for _, _, text in stopped]
    state = json.loads((out / "status.json").read_text())
    assert (state["state"], state["reason"]) == ("stopped", "stopped by a signal to another rank")
    assert runs.load_newest(out)[0]["run"]["step"] == state["step"]

    processes = two_processes("-m", "tightrope", "resume", str(out), "--quiet")
    wait_for(lambda: runs.load_newest(out)[0]["run"]["step"] > state["step"], processes)
    processes[1].kill()
    leader, _ = ended(processes)
    assert leader[0] == 2
    assert "Lost another rank of this run" in leader[2]
    assert "Lost another rank" in json.loads((out / "status.json").read_text())["reason"]

    last = runs.load_newest(out)[0]["run"]["step"]
    outcome = runs.resume(out, steps=last + 2, quiet=True)
    assert outcome.state == "finished"
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows}), "rows of two writers"
