"""Activation checkpoints inside the networks that are trained: they call a part of a network again in the backward.

Non-reentrant ones need nothing but the same constrained weights again, see ``computed_once``. Reentrant ones take no
``backward(inputs=...)`` and no ``autograd.grad``, and where none of their inputs needs a gradient, their parameters get
none either, without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import modules_in
from tightrope.autodiff import in_functional_transform
from tightrope.autodiff.graph import missing_derivative, no_second_derivative, nodes_of


def is_reentrant(total: Tensor) -> bool:
    """Whether a reentrant checkpoint lies in the graph of ``total``."""
    return any(node.name() == "CheckpointFunctionBackward" for node in nodes_of(total.grad_fn))


@contextmanager
def inputs_with_gradients(*networks: nn.Module) -> Iterator[None]:
    """Let what these networks are called with need a gradient, so that reentrant checkpoints pass one on."""

    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        wanted = torch.is_grad_enabled() and not in_functional_transform()
        return tuple(
            x.detach().requires_grad_()
            if isinstance(x, Tensor) and x.is_floating_point() and wanted and not x.requires_grad
            else x
            for x in arguments
        )

    with ExitStack() as hooks:
        for network in networks:
            if not (_compiler() and isinstance(network, torch._dynamo.OptimizedModule)):  # it would be compiled again
                hooks.enter_context(network.register_forward_pre_hook(hook))
        yield


def _compiler() -> bool:
    """Whether torch.compile has been used at all; to ask what it made would import it, which takes seconds."""
    return "torch._dynamo" in sys.modules


def refuse_reentrant(total: Tensor) -> None:
    """Refuse what has a reentrant checkpoint in its graph, to whose parameters ``autograd.grad`` finds no way.

    Raises:
        UserError: There is one.
    """
    if is_reentrant(total):
        raise UserError(_REENTRANT)


@contextmanager
def refusing_other_weights(*networks: nn.Module) -> Iterator[None]:
    """Refuse, in a backward, to call again what computes another weight at each call: torch's old spectral norm.

    Raises:
        UserError: A non-reentrant checkpoint did so.
    """

    def hook(module: nn.Module, _: Any) -> None:
        raise UserError(
            f"Expected a {type(module).__name__} that gives in the backward what it gave before, got one under torch's "
            "old spectral_norm, whose weight is another one at each call of its checkpoint; use "
            "constraints.spectral_norm(network, replace=True)."
        )

    with ExitStack() as hooks:
        for module in (m for network in networks for m in modules_in(network) if m._forward_pre_hooks and m.training):
            if any(isinstance(known, SpectralNorm) for known in module._forward_pre_hooks.values()):
                hooks.enter_context(module.register_forward_pre_hook(hook))
        yield


_REENTRANT = (
    "Expected activation checkpoints that this method's gradients can be taken through, got reentrant ones, which "
    "torch has no gradient by inputs or of gradients for; pass use_reentrant=False to "
    "torch.utils.checkpoint.checkpoint."
)


class explained:  # noqa: N801 (used like a function)
    """Say in one sentence what reentrant checkpoints, and operations without a second derivative, cannot do.

    Raises:
        UserError: Torch refused a gradient through one.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, RuntimeError) and "use_reentrant=True" in str(problem):
            raise UserError(_REENTRANT) from problem
        missing = None if problem is None else missing_derivative(problem)
        if missing is not None:
            raise UserError(no_second_derivative(f" ({missing})")) from problem
