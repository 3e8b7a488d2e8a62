"""What optimisers remember of many runs: put together, taken apart, and cut to some of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def keep_memory_(target: torch.optim.Optimizer, sources: Sequence[torch.optim.Optimizer], k: int | None = None) -> None:
    """Write the state of ``sources`` into ``target``: stacked, or run ``k`` of the one that is stacked."""
    for number, p in enumerate(_parameters(target)):
        parts = [(_parameters(source)[number], source) for source in sources]
        states: list[dict[str, Any]] = [source.state.get(q, {}) for q, source in parts]
        found: dict[str, Any] = {}
        for name, value in states[0].items():
            q = parts[0][0]
            per_entry = isinstance(value, Tensor) and value.shape == q.shape and (name != "step")
            if k is not None:
                found[name] = value[k].contiguous().clone() if per_entry else _copied(value)
            elif per_entry:
                found[name] = torch.empty_like(p).copy_(torch.stack([state[name] for state in states]))
            else:
                found[name] = _copied(value)
        if parts[0][0] in sources[0].state:
            target.state[p] = found
    for mine, theirs in zip(target.param_groups, sources[0].param_groups, strict=True):
        mine.update({name: value for name, value in theirs.items() if name != "params"})


def part_of_memory_(optimizer: torch.optim.Optimizer, rows: Tensor) -> None:
    """Keep the state of these runs; called before the parameters are cut."""
    for p, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == p.shape and name != "step":
                part = value[rows]
                by_columns = value.dim() > 2 and value.stride() == p.stride() and value.stride(-1) != 1
                state[name] = part.mT.contiguous().mT if by_columns else part.contiguous()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
