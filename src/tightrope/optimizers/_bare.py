"""An optimiser's step without the note that torch makes for a profiler that is not running: 3 % of a small step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim import optimizer as _torch

_global_hooks = [
    hooks
    for name in ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
    if (hooks := getattr(_torch, name, None)) is not None
]

_profiled: Callable[[], bool] = getattr(torch.autograd, "_profiler_enabled", lambda: True)


def step_(optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()``; what wraps it is called only where somebody listens: a profiler, a hook, a scheduler."""
    step = type(optimizer).step
    inside = getattr(step, "__wrapped__", None)
    if (
        inside is None
        or not getattr(step, "hooked", False)
        or "step" in vars(optimizer)
        or optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or len(_global_hooks) != 2
        or any(_global_hooks)
        or _profiled()
    ):
        optimizer.step()
    else:
        inside(optimizer)
