"""Walks over a network in a tenth of the time of ``network.modules()``, for what is done at every step."""

from __future__ import annotations

import torch
from torch import nn

from tightrope._plumbing.errors import UserError


def modules_in(network: nn.Module) -> list[nn.Module]:
    """Every module of a network once, itself first, in the order of ``network.modules()``."""
    found: dict[nn.Module, None] = {}
    waiting = [network]
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found[module] = None
        if module._modules:
            waiting += [child for child in reversed(module._modules.values()) if child is not None]
    return list(found)


def parameters_in(network: nn.Module) -> list[nn.Parameter]:
    """Every parameter of a network once, in the order of ``network.parameters()``."""
    found: dict[int, nn.Parameter] = {}  # by id: a tensor's own hash is a call of Python
    for module in modules_in(network):
        for p in module._parameters.values():
            if p is not None:
                found[id(p)] = p
    return list(found.values())


def first_parameter(network: nn.Module) -> nn.Parameter:
    """``next(network.parameters())``.

    Raises:
        UserError: There is none.
    """
    waiting = [network]
    while waiting:
        module = waiting.pop()
        for p in module._parameters.values():
            if p is not None:
                return p
        waiting += [child for child in reversed(module._modules.values()) if child is not None]
    raise UserError("Expected a network with parameters, got one without; pass the module that holds them.")


def floating_type(network: nn.Module) -> torch.dtype | None:
    """The dtype of a network's first parameter in floating point; None without one."""
    waiting = [network]
    while waiting:
        module = waiting.pop()
        for p in module._parameters.values():
            if p is not None and p.is_floating_point():
                return p.dtype
        waiting += [child for child in reversed(module._modules.values()) if child is not None]
    return None
