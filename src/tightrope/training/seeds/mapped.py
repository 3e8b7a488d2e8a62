"""What a method asks of one run, mapped over all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tightrope.methods.game import Objective
from tightrope.training.seeds.obstacles import explain
from tightrope.training.seeds.stack import Found, Stack


def mapped(stack: Stack, player: str, one: Callable[..., Objective], given: tuple[Tensor | None, ...]) -> Found:
    """The objective ``one`` of every run: the fields that are not None, ``[runs, ...]``.

    Args:
        stack: The runs, whose networks are ready for this half-step.
        player: Whose objective it is.
        one: Of one run's tensors, in the order of ``given``; it calls ``Player.beside``.
        given: Stacked tensors, or None.

    Raises:
        UnstackableError: ``torch.vmap`` cannot map what the networks do.
    """
    present = [k for k, x in enumerate(given) if x is not None]
    network = getattr(stack, player)

    def of_one(values: Any, tensors: Any, *xs: Tensor) -> Found:
        whole = dict(zip(present, xs, strict=True))
        objective = partial(one, *(whole.get(k) for k in range(len(given))))
        with stack.weights.are(values):
            found: Objective = network.within(objective)(tensors) if tensors else objective()
        return {name: part for name, part in vars(found).items() if part is not None}

    tensors: dict[str, Tensor] = {}
    if stack.weights.look_inside(player):
        tensors = {**dict(network.module.named_parameters()), **dict(network.module.named_buffers())}
    values = stack.weights.at(stack.together.images_seen, next(network.module.parameters()))
    try:
        result: Found = torch.vmap(of_one)(values, tensors, *(x for x in given if x is not None))
    except RuntimeError as problem:
        explain(problem)
        raise
    return result
