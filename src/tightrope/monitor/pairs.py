"""Critics that are given real and generated samples in one call, and judge each of them by itself.

Vocoders call theirs so: ``critic(real, fake)`` returns the scores and features of both. Which output belongs to which
input is found by making the call again with one input changed; a critic whose outputs depend on both, such as a
conditional one, is no such pair. A pair then counts as two calls, each with its own input, outputs and gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tightrope.monitor.capture import Call, Listener
from tightrope.monitor.ledger.replay import CannotReplayError, refuse_foreign_hooks, replayed


@dataclass(frozen=True)
class Half:
    """What of a call belongs to one of its two inputs.

    Attributes:
        whole: The call.
        outputs: Which of its outputs.
    """

    whole: Call
    outputs: tuple[int, ...]


def given(call: Call) -> list[Tensor]:
    """The two inputs of a call that may both be judged: alike in shape, and nothing else in floating point."""
    tensors = [t for t in (*call.args, *call.kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point()]
    alike = len(tensors) == 2 and tensors[0].dim() > 1 and tensors[0].shape[1:] == tensors[1].shape[1:]
    apart = alike and tensors[0].data_ptr() != tensors[1].data_ptr()
    return tensors if apart and len(call.outputs) > 1 and not call.part and call.half is None else []


def sides(module: nn.Module, call: Call) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Outputs that depend on the first input alone, and on the second alone; None unless that is all of them.

    Raises:
        CannotReplayError: The call cannot be made again.
    """
    refuse_foreign_hooks(module)
    found = []
    with torch.no_grad():
        before = [t.detach() for t in replayed(module, call, check=False)]
        for x in given(call):
            moved = x + 0.1 * (x.float().std().to(x.dtype) + 1e-3) * torch.linspace(-1, 1, x.numel()).to(x).view_as(x)
            after = replayed(module, call, moved, old=x, check=False)
            if len(after) != len(before):
                return None
            found.append({k for k, (a, b) in enumerate(zip(after, before, strict=True)) if not torch.equal(a, b)})
    first, second = found
    if first & second or not first or not second or len(first | second) != len(before):
        return None
    return tuple(sorted(first)), tuple(sorted(second))


def part(listener: Listener, known: dict[int, tuple[tuple[int, ...], tuple[int, ...]] | None]) -> None:
    """Put halves in the place of calls that are pairs.

    Args:
        listener: The critic's.
        known: Sides by number of outputs, found once.
    """
    calls: list[Call] = []
    for call in listener.calls:
        inputs = given(call)
        if inputs and len(call.outputs) not in known:
            try:
                known[len(call.outputs)] = sides(listener.module, call)
            except (CannotReplayError, RuntimeError):
                known[len(call.outputs)] = None
        found = known.get(len(call.outputs)) if inputs else None
        calls += [call] if found is None else [_half(call, x, k, picked) for k, (x, picked) in
                                               enumerate(zip(inputs, found, strict=True))]  # fmt: skip
    listener.calls = calls


def _half(call: Call, x: Tensor, k: int, picked: tuple[int, ...]) -> Call:
    leaf, attached = call.inputs[k] if len(call.inputs) > k else (call.leaf, call.attached)
    return replace(
        call, x=x, leaf=leaf, attached=attached, half=Half(call, picked),
        outputs=[call.outputs[j] for j in picked], events=[call.events[j] for j in picked],
        ends=[call.ends[j] for j in picked] if call.ends else [],
    )  # fmt: skip
