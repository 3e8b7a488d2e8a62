"""One run over several processes, each with its part of every batch: the numbers of one process with the whole batch.

Processes are started by ``torchrun``; ``torchrun --nproc-per-node 2 -m tightrope train ...`` needs no more. A loop of
one's own joins them and shares its run::

    with distributed.joined() as ranks:  # None in a process of its own
        run = start(methods.build("r1"), generator, critic, seed=0, batch_size=64)
        distributed.share(run, ranks)
        sampler = Sampler(dataset, 64, seed=0, part=distributed.part(ranks))
        for step in train(run, sampler, steps=1000):
            if distributed.leads(ranks): ...

Every rank draws the random numbers of the global batch and keeps those of its rows; gradients are averaged once per
half-step, after the backward, so whatever was differentiated inside needs no wrapper around the networks; batch
normalisation takes its statistics over all ranks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_map_only

from tightrope._plumbing.door import keep_door
from tightrope._plumbing.draws import Streams, shared
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import labelled, rows_of, undisturbed
from tightrope.autodiff.view import replicas_of
from tightrope.layers.torch_own import copied, steady
from tightrope.methods.game import critic_objective, generator_objective
from tightrope.perturbations import adaptive_of
from tightrope.training.batch_statistics import refuse_other_batch_norm
from tightrope.training.messages import PATIENCE, RankError, told
from tightrope.training.ranks import Ranks
from tightrope.training.run import Run

__all__ = ["RankError", "Ranks", "joined", "launched", "leads", "part", "share"]

_current: Ranks | None = None

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}
"""Relative difference between a loss and the mean of its halves that rounding may make, by the precision of both."""


def launched() -> bool:
    """Whether torchrun, or what sets the same variables, started this process as one of several."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")) and (
        os.environ["WORLD_SIZE"] != "1"
    )


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks | None]:
    """Join the other ranks for the block; None where this process was started alone. May be nested.

    Args:
        device: ``"cpu"``, or ``"cuda"`` for one GPU per rank by its number on the machine; ``"auto"`` takes GPUs if
            there are any.

    Raises:
        UserError: A device of a certain number, or more ranks than GPUs on a machine.
        RankError: The others did not come within three quarters of a minute.
    """
    global _current
    if _current is not None or not launched():
        yield _current
        return
    where = _device(device)
    opened = not dist.is_initialized()
    if opened:
        backend = "cpu:gloo,cuda:nccl" if where.type == "cuda" else "gloo"
        with told():
            dist.init_process_group(backend, timeout=timedelta(seconds=PATIENCE))
    _current = Ranks(dist.get_rank(), dist.get_world_size(), where)
    try:
        yield _current
    finally:
        _current = None
        if opened:
            dist.destroy_process_group()


def current() -> Ranks | None:
    """The ranks that this process has joined."""
    return _current


def leads(ranks: Ranks | None) -> bool:
    """Whether this process writes: rank 0, or the only one."""
    return ranks is None or ranks.leads


def part(ranks: Ranks | None) -> tuple[int, int]:
    """This process's part of every batch, for ``Sampler(part=...)``."""
    return (0, 1) if ranks is None else (ranks.rank, ranks.count)


def share(run: Run, ranks: Ranks | None) -> None:
    """Let all ranks train one run, in place: the leader's weights, optimisers, counters and random numbers.

    Global random states, from which dropout draws, are seeded anew on every rank but the leader's, since equal ones
    would drop the same features everywhere.

    Args:
        run: Built alike on every rank; ``run.batch_size`` is that of all ranks together.
        ranks: From :func:`joined`; with None nothing happens.

    Raises:
        UserError: The batch does not divide among the ranks, batch normalisation is not torch's own, or a loss is not a
            mean over samples, so that the mean of the ranks' losses would be something else.
    """
    if ranks is None:
        return
    if isinstance(run.rng, Streams):
        raise UserError("Expected one run, got many side by side; share each, or train them in one process.")
    _refuse_uneven(run, ranks)
    for network in (run.generator, run.critic):
        if replicas_of(network):
            raise UserError(
                "Expected networks without DistributedDataParallel, got one in it; gradients are averaged by the step."
            )
        refuse_other_batch_norm(network)
    if adaptive_of(run.method.perturbation) is not None:
        raise UserError(
            "Expected no adaptive augmentation over ranks, which would each adapt alone; use --augment diff."
        )
    _refuse_coupled(run)
    state = ranks.same(_on_cpu(run.state_dict()))
    if not ranks.leads:
        run.load_state_dict(state)
        torch.random.manual_seed(hash((run.rng.initial_seed(), ranks.rank, run.step)) % 2**63)
    run.rng = shared(run.rng, ranks.rank, ranks.count, run.batch_size // ranks.count)
    run.ranks = ranks


def _on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    return tree_map_only(torch.Tensor, lambda tensor: tensor.cpu(), state)


def _device(device: str) -> torch.device:
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if device not in ("auto", "cuda"):
        raise UserError(
            f"Expected the device cpu or cuda over several ranks, got {device!r}; each rank takes the GPU of its own "
            "number on its machine."
        )
    here, number = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    if number >= here:
        raise UserError(
            f"Expected at most as many ranks as GPUs on a machine, got rank {number} of those here and {here} GPUs; "
            "lower --nproc-per-node or train with --device cpu."
        )
    found = torch.device("cuda", number)
    torch.cuda.set_device(found)
    return found


def _refuse_uneven(run: Run, ranks: Ranks) -> None:
    pack = rows_of(run.critic)
    if run.batch_size % (ranks.count * pack):
        packs = f" in whole packs of {pack}" if pack > 1 else ""
        raise UserError(
            f"Expected a batch that divides evenly among {ranks.count} ranks{packs}, got {run.batch_size}; choose a "
            f"multiple of {ranks.count * pack}."
        )


def _refuse_coupled(run: Run) -> None:
    """Compare both players' losses on a small batch with the mean of those on its halves, as two ranks would take them.

    This finds losses, penalties and layers that look across samples, and functions that draw random numbers in a way
    that gives both halves the same. Batch normalisation and dropout, which ranks take care of, stand still.
    """
    few, many = 2 * rows_of(run.critic), run.batch_size // 2
    for dtype, n in ((torch.float64, few), (torch.float64, many), (torch.float32, few), (torch.float32, many)):
        with contextlib.suppress(RuntimeError, ValueError):  # a layer may want single precision, or whole groups
            cases, tolerance = _halves(run, n, dtype), TOLERANCE[dtype]
            break
    else:
        return  # the first step will meet the same, and say so
    for player, (whole, again, first, second) in cases.items():
        if whole != again:
            continue  # a layer draws random numbers of its own, so that nothing can be compared
        mean = (first + second) / 2
        if not abs(whole - mean) <= tolerance * max(abs(first), abs(second), abs(whole), tolerance):
            raise UserError(
                f"Expected losses that are means over samples, got one of the {player} that is {whole:.5g} on a batch "
                f"and {mean:.5g} on average over its halves: a loss, penalty or layer looks across samples, or draws "
                "from rng by other means than perturbations.normal_like; train in one process."
            )


def _halves(run: Run, n: int, dtype: torch.dtype) -> dict[str, tuple[float, ...]]:
    """By player the loss of ``2 n`` samples, twice, with other global random numbers, and of each half of them."""
    method, players = run.method, (copied(run.generator).to(dtype), copied(run.critic).to(dtype))
    like = next(players[0].parameters())
    source = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(2 * n, *shape, generator=source).to(like)

    real, fake, z = drawn(*run.sample_shape or ()), drawn(*run.sample_shape or ()), drawn(run.latent)
    classes = getattr(run.generator, "classes", 0) or getattr(run.critic, "classes", 0)
    labels = torch.arange(2 * n, device=like.device) % classes if classes else None

    def losses(rows: slice, rank: int | None) -> tuple[float, float]:
        rng = torch.Generator().manual_seed(1)
        rng = rng if rank is None else shared(rng, rank, 2, n)
        given = None if labels is None else labels[rows]
        generator, critic = (labelled(player, given) for player in players)
        found = (
            generator_objective(method, generator, critic, z[rows], real=real[rows], rng=rng),
            critic_objective(method, critic, real[rows], fake[rows], rng=rng),
        )
        return float(found[0].total.detach()), float(found[1].total.detach())

    for module in (*players[0].modules(), *players[1].modules()):
        if isinstance(module, _BatchNorm | _DropoutNd):
            module.eval()
    with undisturbed(*players), steady(*players), torch.enable_grad():
        calls = []
        for seed, (rows, rank) in enumerate(
            [(slice(None), None), (slice(None), None), (slice(0, n), 0), (slice(n, None), 1)]
        ):
            torch.random.manual_seed(seed)
            calls.append(losses(rows, rank))
    return dict(zip(("generator", "critic"), zip(*calls, strict=True), strict=True))


keep_door(__name__, __all__, first=True)
