"""What to say when a number stops being finite: the step, the layer, and the last metrics that were."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tightrope._plumbing.checks import short
from tightrope._plumbing.errors import UserTypeError
from tightrope.autodiff import undisturbed


class NonFiniteError(RuntimeError):
    """Training met a NaN or an infinity and stopped before the optimiser could spread it.

    Attributes:
        step: Generator steps completed.
        player: ``"critic"`` or ``"generator"``.
        where: The first place found that is not finite.
        last: Metrics of the last half-step of that player that was finite; may be empty.
        stained: Buffers, such as running statistics, that have taken in what is not finite; usually none.

    Raises:
        UserTypeError: ``last`` holds no numbers by name, or ``stained`` no names.
    """

    def __init__(
        self, step: int, player: str, where: str, last: Mapping[str, float], stained: Sequence[str] = ()
    ) -> None:
        if not isinstance(last, Mapping) or not all(isinstance(value, Real) for value in last.values()):
            raise UserTypeError(f"Expected last as numbers by name, got {short(last)}; pass {{}} where none are known.")
        if isinstance(stained, str) or not all(isinstance(name, str) for name in _items(stained)):
            raise UserTypeError(f"Expected stained as names of buffers, got {short(stained)}; pass () where none are.")
        moved = [name for name in stained if where != f"the buffer {name}"]
        self.step, self.player, self.where, self.last, self.stained = step, player, where, dict(last), tuple(moved)
        spread = f", but {', '.join(moved[:3])} {'has' if len(moved) == 1 else 'have'} taken it in" if moved else ""
        known = ", ".join(f"{name} {value:.4g}" for name, value in last.items()) or "none yet"
        super().__init__(
            f"Training stopped after step {step}: the {player}'s step gave a value that is not finite, first in "
            f"{where}; last finite metrics: {known}. The parameters are those before it{spread}; lower the "
            "learning rate or strengthen the penalty, and resume from the last checkpoint."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """What it is built from anew where it goes through a pickle, as out of a process of a pool."""
        return type(self), (self.step, self.player, self.where, self.last, self.stained)


def _items(given: object) -> Sequence[object]:
    return given if isinstance(given, Sequence) else (given,)


def is_finite(loss: Tensor, size: Tensor) -> bool:
    """Whether a half-step's loss and gradient norm are finite; waits once for the device."""
    if loss.device.type == "cpu":
        return math.isfinite(loss.item()) and math.isfinite(size.item())
    return math.isfinite(float(loss.detach() + size))


def locate(
    networks: Mapping[str, nn.Module],
    objective: Callable[[], Tensor] | None = None,
    *,
    samples: Tensor | None = None,
) -> str:
    """Name the first thing that is not finite: the data, a parameter, the output of a layer, or a gradient.

    Args:
        networks: Name to module; searched in order.
        objective: Recomputes the objective from the latents on, so that the outputs of all layers can be watched in the
            order in which they come about; called once, undisturbed.
        samples: Real samples of the batch ``[batch, *shape]``.

    Returns:
        For example ``"the output of critic.layers.2"``, or ``"the buffer critic.layers.2.scale"`` where that layer only
        reads a buffer that is not finite, so that it cannot have taken it in; ``"the loss"`` if nothing earlier is to
        blame.
    """
    if samples is not None and not bool(torch.isfinite(samples.detach()).all()):
        return "the real samples"
    for name, network in networks.items():
        for key, p in network.named_parameters():
            if not bool(torch.isfinite(p.detach()).all()):
                return f"the parameter {name}.{key}"
    culprit = _first_output(networks, objective) if objective is not None else None
    if culprit is not None:
        return culprit
    for name, network in networks.items():
        for key, p in network.named_parameters():
            if p.grad is not None and not bool(torch.isfinite(p.grad).all()):
                return f"the gradient of {name}.{key}"
    return "the loss"


def stained(networks: Mapping[str, nn.Module]) -> list[str]:
    """Names of the buffers that hold what is not finite: a forward moves running statistics before any step."""
    return [
        f"{name}.{key}"
        for name, network in networks.items()
        for key, buffer in network.named_buffers()
        if not bool(torch.isfinite(buffer.detach()).all())
    ]


def _first_output(networks: Mapping[str, nn.Module], objective: Callable[[], Tensor]) -> str | None:
    found: list[str] = []
    versions: dict[int, int] = {}

    def before(module: nn.Module, inputs: object) -> None:
        versions.update({id(buffer): buffer._version for buffer in module.buffers(recurse=False)})

    def watch(path: str, label: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if found or _finite(output):
                return
            read = (  # what the forward writes is found moved, as running statistics are
                f"the buffer {path}.{key}"
                for key, buffer in module.named_buffers(recurse=False)
                if versions.get(id(buffer)) == buffer._version and not _finite(buffer)
            )
            found.append(next(read, label))

        return hook

    handles = []
    for name, network in networks.items():
        for key, module in network.named_modules():
            path, label = (
                (f"{name}.{key}", f"the output of {name}.{key}") if key else (name, f"the output of the {name}")
            )
            handles += [module.register_forward_pre_hook(before), module.register_forward_hook(watch(path, label))]
    try:
        with undisturbed(*networks.values()):
            objective()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _finite(values: object) -> bool:
    parts = [part.detach() for part in tree_leaves(values) if isinstance(part, Tensor)]
    return all(bool(torch.isfinite(part).all()) for part in parts)
