"""Arguments that many functions share, refused in one sentence each."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.draws import Streams
from tightrope._plumbing.errors import UserError, UserTypeError


def check_bound(bound: Any, usual: float = 1) -> None:
    """Refuse what is no positive finite number.

    Raises:
        UserError: It is not one.
    """
    if not isinstance(bound, Real) or not 0 < float(bound) < math.inf:
        raise UserError(f"expected a positive bound, finite, got {bound!r}; {usual:g} is the default")


def check_whole(name: str, value: Any, least: int, usual: int) -> None:
    """Refuse what is no whole number of at least ``least``.

    Raises:
        UserError: It is not one.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or operator.index(value) < least:
        raise UserError(f"expected a whole number {name} >= {least}, got {value!r}; {usual} is the default")


def check_choice(name: str, value: Any, valid: Sequence[str]) -> None:
    """Refuse what is none of the words, of which the first is the default.

    Raises:
        UserError: It is none of them.
    """
    if not isinstance(value, str) or value not in valid:
        raise UserError(f"expected {name}={' or '.join(map(repr, valid))}, got {value!r}; {valid[0]!r} is the default")


def check_weight(weight: Tensor) -> None:
    """Refuse a layer's weight of which there are no singular values to find, or whose imaginary part would be lost.

    Raises:
        UserError: It is empty, complex, not finite, or on the device meta.
    """
    if weight.is_meta or weight.is_complex() or not weight.numel():
        raise UserError(
            f"expected a real weight with values, got {list(weight.shape)}, {weight.dtype}, on {weight.device.type}; "
            "build the layer with real weights of at least one entry on a device that holds them"
        )
    if not bool(torch.isfinite(weight).all()):
        raise UserError("expected a finite weight, got NaN or infinity; look at the steps before")


def check_assigned(weight: Tensor, shape: torch.Size) -> None:
    """Refuse a weight that is assigned to a constrained layer whose own has another shape.

    Raises:
        UserError: The shapes differ.
    """
    if weight.shape != shape:
        raise UserError(
            f"expected a weight of shape {list(shape)} for this constrained layer, got {list(weight.shape)}; "
            "call constraints.remove(network) before giving a layer another size"
        )


def check_rng(rng: Any) -> None:
    """Refuse what is no generator.

    Raises:
        UserTypeError: It is neither a generator nor None.
    """
    if rng is not None and not isinstance(rng, torch.Generator | Streams):
        raise UserTypeError(f"expected rng as a torch.Generator, got {rng!r}; pass torch.Generator().manual_seed(0)")


def check_number(name: str, value: Any, usual: float, *, least: float = 0.0) -> None:
    """Refuse what is no finite number of at least ``least``; of a tensor only its shape is looked at.

    Raises:
        UserError: It is not one.
    """
    if type(value) in (float, int) and least <= value < math.inf:  # what almost everybody passes
        return
    if isinstance(value, Tensor):
        good = value.numel() == 1 and not value.is_complex()
    else:
        good = isinstance(value, Real) and not isinstance(value, bool) and least <= float(value) < math.inf
    if not good:
        bound = "" if least == -math.inf else f" >= {least:g}"
        raise UserError(f"Expected {name} as a finite number{bound}, got {short(value)}; {usual:g} is the default.")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False, such as the word "no", which counts as true.

    Raises:
        UserTypeError: It is neither.
    """
    if not isinstance(value, bool):
        raise UserTypeError(f"Expected {name}=True or False, got {short(value)}; pass one of the two.")


def check_seed(seed: Any) -> None:
    """Refuse what a generator cannot be seeded with.

    Raises:
        UserError: It is no whole number from 0 to 2**63 - 1.
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= operator.index(seed) < 2**63:
        raise UserError(f"Expected a seed as a whole number from 0 to 2**63 - 1, got {short(seed)}; 0 will do.")


def check_seeds(seeds: Iterable[Any]) -> list[int]:
    """Seeds to take a spread over.

    Raises:
        UserError: There is none, or one twice, or one is no seed.
    """
    found = list(seeds)
    twice = sorted({seed for seed in found if found.count(seed) > 1}, key=str)
    if not found or twice:
        got = f"{twice[0]} twice" if twice else "none"
        raise UserError(f"Expected at least one seed, and each once, got {got}; pass range(8), for example.")
    for seed in found:
        check_seed(seed)
    return found


def check_device(device: Any) -> torch.device:
    """The device of a name, which holds values.

    Raises:
        UserError: There is none.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, ValueError) as problem:
        first = str(problem).splitlines()[0]
        raise UserError(f"Expected a device that is there, got {device!r} ({first}); use 'cpu' or 'cuda'.") from problem
    if found.type == "meta":
        raise UserError("Expected a device that holds values, got 'meta'; use 'cpu' or 'cuda'.")
    return found


def check_module(network: Any, what: str = "network") -> None:
    """Refuse what is no module.

    Raises:
        UserTypeError: It is something else; a class of modules is no module.
    """
    if not isinstance(network, nn.Module):
        got = f"the class {network.__name__}" if isinstance(network, type) else f"a {type(network).__name__}"
        raise UserTypeError(f"Expected the {what} as a torch.nn.Module, got {got}; pass the built network itself.")


def check_samples(x: Any, what: str = "samples", *, shape: str = "[batch, *shape]") -> None:
    """Refuse what is no batch in floating point; values are not looked at.

    Raises:
        UserTypeError: It is no tensor.
        UserError: It holds whole or complex numbers, or nothing, or is nested or sparse.
    """
    if not isinstance(x, Tensor):
        remedy = "torch.as_tensor(...)" if type(x).__name__ in ("ndarray", "list", "tuple") else "the tensor itself"
        raise UserTypeError(f"Expected {what} as a tensor {shape}, got a {type(x).__name__}; pass {remedy}.")
    if x.is_nested or x.layout is not torch.strided:
        kind, remedy = (
            ("nested", "torch.nested.to_padded_tensor(x, 0.0)") if x.is_nested else ("sparse", "x.to_dense()")
        )
        raise UserError(f"Expected {what} as a dense tensor {shape}, got a {kind} one; pass {remedy}.")
    if not x.is_floating_point():
        raise UserError(
            f"Expected {what} in floating point on the training scale, got {x.dtype}; convert them, for example "
            "x.float() / 127.5 - 1."
        )
    if not x.dim() or not x.numel():
        raise UserError(f"Expected {what} {shape}, at least one of them, got shape {list(x.shape)}; pass a batch.")


def short(value: Any) -> str:
    """A value in at most 60 characters, of a tensor its layout, shape and dtype."""
    if isinstance(value, Tensor):
        kind = "meta tensor" if value.is_meta else "tensor" if value.layout is torch.strided else "sparse tensor"
        shape = "unequal rows" if value.is_nested else f"shape {list(value.shape)}"
        text = f"a {kind} of {shape}, {value.dtype}"
    else:
        try:
            text = repr(value)
        except Exception:  # such as that of a number with thousands of digits
            text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_sharded(network: nn.Module) -> bool:
    """Whether it is spread by ``fully_shard`` or ``FullyShardedDataParallel``."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None:
        return False
    kinds = tuple(getattr(fsdp, name) for name in ("FSDPModule", "FullyShardedDataParallel") if hasattr(fsdp, name))
    return any(isinstance(module, kinds) for module in network.modules())


def refuse_sharded(network: nn.Module, what: str) -> None:
    """Refuse a network whose weights FSDP takes away between a forward and what follows it.

    Raises:
        UserError: It is sharded, by ``fully_shard`` or ``FullyShardedDataParallel``.
    """
    if is_sharded(network):
        raise UserError(
            f"Expected a network with whole weights for {what}, got one in shards of FSDP, which are gathered for one "
            "forward and one backward alone; use DistributedDataParallel, or losses with finite_difference_r1."
        )


def refuse_frozen_code(network: nn.Module, what: str, *, exported: bool = True, scripts: bool = True) -> None:
    """Refuse a network that is no Python any more, which takes neither hooks nor other modes and flags.

    Args:
        network: Any module.
        what: What it is not fit for.
        exported: Refuse programs of ``torch.export``.
        scripts: Refuse TorchScript.

    Raises:
        UserTypeError: It, or a part of it, is TorchScript or an exported program.
    """
    for module in network.modules():
        program = isinstance(module, torch.fx.GraphModule) and "train" in vars(module)
        if (exported and program) or (scripts and isinstance(module, torch.jit.ScriptModule)):
            raise UserTypeError(
                f"Expected a network in Python for {what}, got {'an exported program' if program else 'TorchScript'}, "
                "whose code is fixed; pass the module that it was made from."
            )
