"""What the graph of a derivative is made of, and whether it can be differentiated once more."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import refuse_sharded
from tightrope._plumbing.errors import UserError
from tightrope.autodiff.view import modules_of

_ENDS = re.compile(r"NotImplemented|^torch::autograd::Error$|^(Cdist|Pdist|EmbeddingBag)BackwardBackward")
_SAID = re.compile(r"derivative for '?(?:aten::)?_?(\w+?)(?:_backward)?'? is not implemented")
_STEPS = re.compile(r"^(Sign|Sgn|Floor|Ceil|Round|Trunc|FloorDivide)Backward")
_KNOWN: WeakSet[nn.Module] = WeakSet()


def nodes_of(node: Any) -> Iterator[Any]:
    """Every node of the graph behind one, itself first."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions]


def leads_back(total: Tensor, x: Tensor) -> bool:
    """Whether there is a way from ``total`` to the leaf ``x`` without ``sign``, ``floor`` and their like on it."""
    ends = torch.autograd.graph.get_gradient_edge(x).node
    waiting, seen = [total.grad_fn], set()
    while waiting:
        node: Any = waiting.pop()
        if node is ends:
            return True
        if node is not None and node not in seen and not _is_stairs(node):
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    return False


def _is_stairs(node: Any) -> bool:
    name = node.name()
    if _STEPS.match(name):
        return not (name.startswith("Sgn") and node._saved_self.is_complex())
    return name.startswith("DivBackward") and getattr(node, "_saved_rounding_mode", None) is not None


def refuse_shards(critic: object) -> None:
    """Raise if weights that a call reaches are in shards, which are gathered for one derivative alone.

    Raises:
        UserError: They are.
    """
    if "torch.distributed.fsdp" in sys.modules:  # else there are no shards
        for held in modules_of(critic):
            refuse_sharded(held, "a derivative of its gradient")


def refuse_ends(found: Tensor, critic: object) -> bool:
    """Raise if a gradient cannot be differentiated; a module that can is looked at once, functions every time.

    Returns:
        Whether this was the first look at a module.

    Raises:
        UserError: A part was compiled, torch has no second derivative of an operation, or the weights are in shards.
    """
    if found.grad_fn is None:
        return False
    compiled, known = _compiled_before(), isinstance(critic, nn.Module) and critic in _KNOWN
    if known and not compiled:
        return False
    refuse_shards(critic)
    for node in nodes_of(found.grad_fn):
        name = node.name()
        if compiled and name.startswith("CompiledFunction"):
            raise UserError(COMPILED)
        if _ENDS.search(name):
            raise UserError(no_second_derivative(_spoken(name)))
    if isinstance(critic, nn.Module):
        _KNOWN.add(critic)
    return not known


COMPILED = (
    "Expected a critic that can be differentiated twice, got one compiled by torch.compile, or with a part that is, "
    "whose backward cannot be; pass the network it was made from (critic._orig_mod), or compile with backend='eager'."
)


def no_second_derivative(what: str) -> str:
    """The sentence about an operation that torch differentiates once only."""
    return (
        "Expected a critic that can be differentiated twice, got one with an operation that torch differentiates once "
        f"only{what}; write it in plain operations, as (a[:, None] - b).norm(dim=-1) for torch.cdist, or take a "
        "penalty without a second derivative, finite_difference_r1."
    )


STAIRS = (
    "Expected scores that depend on the samples by more than steps, got scores whose every way back leads through one "
    "of sign, floor, ceil, round and trunc, so that their gradient is zero whatever the critic; leave it out, or give "
    "it a gradient of its own (straight-through)."
)


def no_derivative(what: str) -> str:
    """The sentence about an operation that torch does not differentiate at all."""
    return (
        f"Expected a critic that can be differentiated, got one with an operation that torch does not differentiate "
        f"({what}); write it in operations that have a gradient."
    )


def missing_derivative(problem: BaseException) -> str | None:
    """Which operation torch says has no derivative, such as ``"cdist"``; None if it says something else."""
    found = _SAID.search(str(problem)) if isinstance(problem, RuntimeError) else None
    return None if found is None else found[1]


def _spoken(name: str) -> str:
    return "" if "NotImplemented" in name or "::" in name else f" ({name.partition('Backward')[0].lower()})"


def _compiled_before() -> bool:
    """Whether this process has compiled anything with a backward of its own; importing what knows takes seconds."""
    known = sys.modules.get("torch._dynamo.utils")
    return known is not None and bool(known.counters["aot_autograd"])
