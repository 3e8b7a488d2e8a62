"""Critics that are given real and generated samples in one call, and judge each of them by itself.

Vocoders call theirs so: ``critic(real, fake)`` returns the scores and features of both. Which output belongs to which
input is found by making the call again with one input changed; a critic whose outputs depend on both, such as a
conditional one, is no such pair. A pair then counts as two calls, each with its own input, outputs and gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    refuse_foreign_hooks(module, computing=True)
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


def judged_input(call: Call, made: Sequence[Call], known: dict[int, int]) -> Call:
    """The call with the input that is judged as its first: the generator's sample, at the place where samples are.

    Args:
        call: A critic's, of a condition and a sample perhaps.
        made: The generator's.
        known: Place of the samples by number of inputs in floating point, found once.
    """
    tensors = [t for t in (*call.args, *call.kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point()]
    if call.half is not None or call.part or len(tensors) != len(call.inputs) or len(tensors) < 2:
        return call
    if len(tensors) not in known:
        places = [k for k, (_, attached) in enumerate(call.inputs) if attached]  # samples that were changed on the way
        for y in (y for one in made for y in one.outputs if y.dim() > 1):
            hits = [k for k, t in enumerate(tensors) if t.shape == y.shape and torch.equal(t, y.to(t.dtype))]
            if len(hits) == 1:
                places = hits
                break
        if len(places) != 1:
            return call
        known[len(tensors)] = places[0]
    k = known[len(tensors)]
    alike = any(t.shape == tensors[k].shape for j, t in enumerate(tensors) if j != k)  # else the first one is judged
    if not alike and call.x is not None and tensors[k].data_ptr() == call.x.data_ptr():
        return call
    leaf, attached = call.inputs[k]
    return replace(call, x=tensors[k], leaf=leaf, attached=attached, half=Half(call, tuple(range(len(call.outputs)))))


class Pairs:
    """What was found of a critic's calls: sides by number of outputs, and the place of samples by number of inputs."""

    def __init__(self) -> None:
        self.sides: dict[int, tuple[tuple[int, ...], tuple[int, ...]] | None] = {}
        self.places: dict[int, int] = {}

    def part(self, listener: Listener, made: Sequence[Call]) -> None:
        """Put halves in the place of calls that are pairs, and the sample first where a condition is given with it.

        Args:
            listener: The critic's.
            made: The generator's calls.
        """
        calls: list[Call] = []
        for call in listener.calls:
            inputs = given(call)
            if inputs and len(call.outputs) not in self.sides:
                try:
                    self.sides[len(call.outputs)] = sides(listener.module, call)
                except (CannotReplayError, RuntimeError):
                    self.sides[len(call.outputs)] = None
            found = self.sides.get(len(call.outputs)) if inputs else None
            if found is None:
                calls.append(judged_input(call, made, self.places))
            else:
                calls += [_half(call, x, k, found[k]) for k, x in enumerate(inputs)]
        listener.calls = calls


def _half(call: Call, x: Tensor, k: int, picked: tuple[int, ...]) -> Call:
    leaf, attached = call.inputs[k] if len(call.inputs) > k else (call.leaf, call.attached)
    return replace(
        call, x=x, leaf=leaf, attached=attached, half=Half(call, picked),
        outputs=[call.outputs[j] for j in picked], events=[call.events[j] for j in picked],
        ends=[call.ends[j] for j in picked] if call.ends else [],
    )  # fmt: skip
