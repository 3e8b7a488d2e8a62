"""Which runs train side by side, and how many at a time."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tightrope.autodiff import labelled, samples_of, undisturbed
from tightrope.layers.kernel import CONVOLUTIONS, TRANSPOSED
from tightrope.methods import Method
from tightrope.optimizers.settings import RULES, UpdateRule
from tightrope.penalties import Penalty
from tightrope.training.run import Run
from tightrope.training.seeds.weights import OWN

_SHARE = 0.5  # of the memory that is free now
_COPIES = 8  # of the parameters: themselves, gradients, two moments, averages, the runs' own, and one to spare
_GRAPHS = 10  # of a forward's outputs: forwards, their gradients, and a penalty's derivative of those


def signature(thing: Any) -> Hashable:
    """What must agree for runs to train side by side: a method without its rates and its penalties' weights."""
    if isinstance(thing, Method):
        skipped = ("name", "sources", "hyperparameters", "critic_options", "batch_size")
        return tuple(signature(getattr(thing, f.name)) for f in dataclasses.fields(thing) if f.name not in skipped)
    if isinstance(thing, UpdateRule) and type(thing) in RULES.values():
        fields = (f.name for f in dataclasses.fields(thing) if f.name != "learning_rate")
        return (type(thing), *(signature(getattr(thing, name)) for name in fields))
    if isinstance(thing, Penalty):
        kept = {name: None if name in OWN else value for name, value in thing.hyperparameters.items()}
        return (thing.function, signature(kept), thing.every, thing.per_sample, thing.player)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return (type(thing), *(signature(getattr(thing, f.name)) for f in dataclasses.fields(thing)))
    if isinstance(thing, partial):
        return (signature(thing.func), signature(thing.args), signature(thing.keywords))
    if isinstance(thing, Mapping):
        return tuple(sorted((str(name), signature(value)) for name, value in thing.items()))
    if isinstance(thing, list | tuple):
        return tuple(map(signature, thing))
    return thing if isinstance(thing, Hashable) else id(thing)


def groups(methods: Sequence[Method]) -> list[list[int]]:
    """Places of the runs that can train side by side, in the order of their first."""
    found: dict[Hashable, list[int]] = {}
    for place, method in enumerate(methods):
        found.setdefault(signature(method), []).append(place)
    return list(found.values())


def convolves(run: Run) -> bool:
    """Whether a convolution on the CPU is among the layers: many networks' at once take longer than one by one."""
    kinds = (*CONVOLUTIONS, *TRANSPOSED)
    layers = (m for network in (run.generator, run.critic) for m in network.modules())
    return run.device.type == "cpu" and any(isinstance(m, kinds) for m in layers)


def bytes_per_run(run: Run, batch: int) -> int:
    """Estimate of the memory that one run takes in a stack, for a critic's batch of this size."""
    outputs = 0

    def count(module: nn.Module, _: object, output: object) -> None:
        nonlocal outputs
        outputs += sum(part.numel() for part in tree_leaves(output) if isinstance(part, Tensor))

    networks = (run.generator, run.critic)
    handles = [m.register_forward_hook(count) for n in networks for m in n.modules() if not len(m._modules)]
    like = next(run.generator.parameters())
    try:
        with undisturbed(*networks), torch.no_grad():
            labels = torch.zeros(2, dtype=torch.long, device=like.device)
            x = samples_of(
                labelled(run.generator, labels)(torch.zeros(2, run.latent, device=like.device, dtype=like.dtype))
            )
            labelled(run.critic, labels)(x)
    finally:
        for handle in handles:
            handle.remove()
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    numbers = _COPIES * parameters + _GRAPHS * (outputs * max(batch, run.batch_size)) // 2
    return int(like.element_size() * numbers)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now, within the limit of a container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 2**31 if not hasattr(os, "sysconf") else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        return min(free, limit - int((group / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return free


def chunks(places: Sequence[int], run: Run, batch: int, at_most: int | None) -> list[list[int]]:
    """The runs in parts that fit into memory, of nearly one size."""
    most = at_most
    if most is None:
        most = max(1, int(_SHARE * free_bytes(run.device)) // bytes_per_run(run, batch))
    parts = math.ceil(len(places) / most)
    size = math.ceil(len(places) / parts)
    return [list(places[k : k + size]) for k in range(0, len(places), size)]
