"""Penalties under ``DistributedDataParallel``, which averages gradients at its own time."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.autodiff.view import replicas_of


class _InTime:
    """Of a penalty's gradient: refuses the backward of one that another backward came before since its forward.

    ``DistributedDataParallel`` averages gradients in the first backward after a forward. What comes in a second one
    stays each rank's own, without a word.
    """

    def __init__(self, parameter: Tensor) -> None:
        self.others: set[int] = set()
        self.handle = parameter.register_post_accumulate_grad_hook(partial(_note, self.others))

    def __call__(self, gradient: Tensor) -> None:
        self.handle.remove()
        if self.others:
            raise UserError(
                "Expected the backward of a penalty under DistributedDataParallel before any other one since its "
                "forward, got it after that, where the ranks would keep gradients of their own; take one backward of "
                "loss and penalty together, or compute the penalty after the loss's backward."
            )

    def __del__(self) -> None:
        self.handle.remove()


def _note(others: set[int], parameter: Tensor) -> None:
    others.add(id(parameter))


def reaching_all(critic: object, penalty: Tensor) -> Tensor:
    """``penalty``, under ``DistributedDataParallel`` with a way of gradient zero to every parameter of the critic.

    It waits for all of them at every backward, and a penalty in a backward of its own has no gradient for the last
    bias: each rank would keep its own gradients, and torch would stop at the next forward only. Nor does it average
    what comes in a second backward after one forward, which is refused there.
    """
    wrapped = replicas_of(critic)
    if not wrapped or not penalty.requires_grad:
        return penalty
    parameters = [p for held in wrapped for p in held.parameters() if p.requires_grad]
    penalty = penalty + torch.stack([(0.0 * p.sum()).to(penalty) for p in parameters]).sum()
    if all(held.require_backward_grad_sync for held in wrapped):
        penalty.register_hook(_InTime(parameters[0]))
    return penalty
