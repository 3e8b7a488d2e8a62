"""Look at networks without touching them: modes, buffers, gradients, random states, power iterations stay as found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import modules_in, parameters_in
from tightrope.autodiff.view import modules_of

_frozen = 0


def in_functional_transform() -> bool:
    """Whether this code runs inside ``torch.func`` or ``torch.compile``, which differentiate functions, not leaves."""
    level = getattr(torch._C._functorch, "maybe_current_level", None)
    return torch.compiler.is_compiling() or (level is not None and level() is not None)


@contextmanager
def frozen_constraints() -> Iterator[None]:
    """Keep power-iteration vectors where they are while a diagnostic calls a network in training mode."""
    global _frozen
    _frozen += 1
    try:
        yield
    finally:
        _frozen -= 1


def constraints_are_frozen() -> bool:
    """Whether the code runs inside :func:`frozen_constraints`, or in a backward, where checkpoints call again."""
    return _frozen > 0 or (not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1)


class computed_once:  # noqa: N801 (used like a function)
    """Compute every parametrised weight here, once; forwards *and backwards* in the block use that one tensor.

    ``parametrize.cached`` alone computes a weight where it is first used. If that is inside an activation checkpoint,
    the recomputation in the backward does not find what the forward saved; if it is under ``no_grad``, later uses have
    no gradient.

    Args:
        *networks: Whose weights are computed.
        within: Makes the context of the computation, such as an autocast.
    """

    def __init__(self, *networks: nn.Module, within: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self._networks, self._within = networks, within

    def __enter__(self) -> None:
        self._cached = parametrize.cached()
        self._cached.__enter__()
        found = [m for network in self._networks for m in modules_in(network) if "parametrizations" in m._modules]
        if not found:
            return
        try:
            with self._within():
                for module in found:
                    for name in module._modules["parametrizations"]:  # type: ignore[union-attr]
                        getattr(module, name)
        except BaseException:
            self._cached.__exit__(None, None, None)
            raise

    def __exit__(self, *problem: Any) -> None:
        self._cached.__exit__(*problem)


@contextmanager
def undisturbed(*modules: object) -> Iterator[None]:
    """Leave everything a training run depends on exactly as found, whatever happens inside the block.

    Restores of these modules: train or eval mode of every submodule, buffers (objects and values), parameter gradients
    (absent inside the block) and ``requires_grad`` flags; and the global random states of torch, on the CPU and on the
    modules' CUDA devices. Power iterations of constraints do not advance inside. Embeddings with ``max_norm`` look up
    rows that are within it already and write nothing. Other parameters are not copied: a diagnostic that edits weights
    works on a ``deepcopy``.

    Args:
        *modules: Networks that the block calls, or functions that call networks, see :func:`modules_of`.
    """
    networks: tuple[nn.Module, ...] = modules_of(*modules)
    modes = [(m, m.training) for network in networks for m in network.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module, _ in modes
        for name, buffer in module.named_buffers(recurse=False)
    ]
    gradients = [(p, p.grad, p.requires_grad) for network in networks for p in network.parameters()]
    devices = sorted(
        {p.device.index for p, _, _ in gradients if p.device.type == "cuda" and p.device.index is not None}
    )
    for p, _, _ in gradients:
        p.grad = None
    try:
        with torch.random.fork_rng(devices=devices), frozen_constraints(), _within_norm(modes):
            yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                buffer.copy_(value)
                module._buffers[name] = buffer
        for p, gradient, flag in gradients:
            p.grad = gradient
            p.requires_grad_(flag)


@contextmanager
def _within_norm(modules: list[tuple[nn.Module, bool]]) -> Iterator[None]:
    """Let embeddings that would shorten rows in place, at each look-up, hold the short rows meanwhile."""
    held = [
        (m, m.max_norm, m.weight.data, m.weight)
        for m, _ in modules
        if isinstance(m, (nn.Embedding, nn.EmbeddingBag))
        and m.max_norm is not None
        and isinstance(m._parameters.get("weight"), nn.Parameter)
    ]
    try:
        for module, most, value, weight in held:
            weight.data = torch.renorm(value, module.norm_type, 0, most)
            module.max_norm = None
        yield
    finally:
        for module, most, value, weight in held:
            module.max_norm, weight.data = most, value


@contextmanager
def unwritten(*networks: nn.Module) -> Iterator[None]:
    """Refuse a forward that writes into its own parameters, which no transform of functions survives.

    Raises:
        UserError: It does.
    """
    held = [(p, p.data) for network in networks for p in parameters_in(network)]
    written = False
    try:
        yield
    except RuntimeError as problem:
        if "mutate a captured" not in str(problem):
            raise
        raise UserError(_WRITES) from problem
    finally:
        for p, value in held:
            if _storage(p) != value.data_ptr():
                p.data, written = value, True
    if written:
        raise UserError(_WRITES)


_WRITES = (
    "Expected a network that reads its parameters, got one that writes into them in its forward; compute what it needs "
    "beside them, as in F.conv2d(x, standardised(self.weight))."
)


def _storage(p: torch.Tensor) -> int:
    try:
        return p.data_ptr()
    except RuntimeError:  # what a transform has left there
        return -1
