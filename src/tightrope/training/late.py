"""The finite check of a half-step, read one half-step later, where reading it at once would make a device wait.

On a GPU the host runs ahead; asking whether a loss is finite empties its queue once per half-step. A fused optimiser
can be told on the device to leave its parameters and counters as they are (``found_inf``, which torch's GradScaler
uses), so that nothing moves by what is not finite although nobody has read it yet. The answer is read just before the
next half-step's optimiser acts, while the device is busy with that half-step's backward; and whenever the run's state
is read. Then the run is put back to where the half-step began, and the error is the one that would have come at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tightrope.optimizers._bare import step_


@dataclass
class LateCheck:
    """At most one half-step whose finite check has not been read."""

    _size: Tensor | None = None
    _failed: Callable[[], Exception] = field(default=RuntimeError)

    def settle(self) -> None:
        """Read the check that is waiting, if any.

        Raises:
            Exception: What was handed in with it, where it was not finite.
        """
        size, self._size = self._size, None
        if size is not None and not math.isfinite(float(size)):
            raise self._failed()

    def step(self, optimizer: torch.optim.Optimizer, size: Tensor, failed: Callable[[], Exception]) -> None:
        """Step where ``size`` is finite, as its device finds out, and leave that to be read by the next call.

        Args:
            optimizer: One that :func:`can_skip`; the check before is read already.
            size: Finite where all of the half-step is, scalar.
            failed: The error, made when the check is read.
        """
        told: dict[str, object] = vars(optimizer)  # no field of the class: fused steps look for it, if it is there
        told["found_inf"] = (~torch.isfinite(size)).to(torch.float32)
        try:
            step_(optimizer)
        finally:
            del told["found_inf"]
        self._size, self._failed = size, failed


def can_skip(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimiser leaves parameters and counters alone where its ``found_inf`` says so, as fused ones do."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))
