"""How far a network's outputs can reach: where they go when the layer behind each of them is shifted far either way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.monitor.capture import Call
from tightrope.monitor.history import Ends
from tightrope.monitor.hooks import Hook
from tightrope.monitor.ledger.replay import replayed
from tightrope.monitor.players import Player

SHIFT = 1000.0
FREE = Ends(-SHIFT, SHIFT)


class Shifted(Hook):
    """A hook that adds to a layer's output: one number, or a ramp from a tenth of it up to it."""

    def __init__(self, shift: float, *, ramp: bool = False) -> None:
        self.shift, self.ramp = shift, ramp

    def __call__(self, *given: Any) -> Any:
        """The output, shifted; of several tensors, as recurrent layers give, the first."""
        output = given[-1]
        if isinstance(output, Tensor):
            return output + self._added(output)
        if type(output) is tuple and output and isinstance(output[0], Tensor):
            return (output[0] + self._added(output[0]), *output[1:])
        return output

    def _added(self, output: Tensor) -> float | Tensor:
        if not self.ramp:
            return self.shift
        ramp = torch.linspace(0.1 * self.shift, self.shift, output.numel(), device=output.device, dtype=output.dtype)
        return ramp.view_as(output)


def ends(player: Player, call: Call, wanted: Sequence[int] | None = None, layers: int = 8) -> dict[int, Ends]:
    """Reach of a network's outputs, each under shifts of the last layer that it depends on.

    Which layer is last is the order of calls, not that of registration; activations written as functions count too.
    Networks with several heads have several last layers: an output that does not move under a ramp at the last one is
    asked for at the one before it. Of an output that a ramp moves and a shift does not (a softmax) no end is known: it
    counts as free, as does one whose layer is not among the last few.

    Args:
        player: Whose.
        call: A call to be made again.
        wanted: Which outputs; all by default.
        layers: How many layers are tried at most.

    Returns:
        By output; empty where no layer with parameters was called.
    """
    called = _layers(player.module, call)
    if not called:
        return {}
    plain = _with(player.module, call)
    open_ = [k for k in (range(len(plain)) if wanted is None else wanted) if k < len(plain)]
    found: dict[int, Ends] = {}
    for layer in called[:layers]:
        if len(found) == len(open_):
            break
        bent = _with(player.module, call, layer, Shifted(1.0, ramp=True))
        moved = [k for k in open_ if k not in found and not torch.equal(bent[k], plain[k])]
        if moved:
            shifted = [_with(player.module, call, layer, Shifted(s)) for s in (-2 * SHIFT, -SHIFT, SHIFT, 2 * SHIFT)]
            found |= {k: _ends(*(outputs[k] for outputs in shifted)) for k in moved}
    return {k: found.get(k, FREE) for k in open_}


def widest(reach: dict[int, Ends]) -> Ends | None:
    """Of several outputs the reach of the one that goes farthest."""
    return max(reach.values(), key=lambda one: one.high - one.low, default=None)


def _layers(module: nn.Module, call: Call) -> list[nn.Module]:
    """Layers with parameters of their own in the order of their last calls, the last one first."""
    met: list[nn.Module] = []
    layers = [m for m in module.modules() if not list(m.children()) and list(m.parameters(recurse=False))]
    layers += [m for m in module.modules() if nn.utils.parametrize.is_parametrized(m)]
    handles = [m.register_forward_hook(Hook(lambda module, *_: met.append(module))) for m in layers]
    try:
        with torch.no_grad():
            replayed(module, call, check=False)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(reversed(met)))


def _with(module: nn.Module, call: Call, layer: nn.Module | None = None, hook: Hook | None = None) -> list[Tensor]:
    """The outputs of the call made again, with a hook on a layer."""
    handle = None if layer is None or hook is None else layer.register_forward_hook(hook)
    try:
        with torch.no_grad():
            return [o.float() for o in replayed(module, call, check=False)]
    finally:
        if handle is not None:
            handle.remove()


def _ends(lower: Tensor, low: Tensor, high: Tensor, higher: Tensor) -> Ends:
    if bool((low == high).any()):
        return FREE
    # an end is one that a shift twice as large does not move, however far off it lies and whatever it is scaled by
    reach = float((high - low).abs().max())
    free = [bool(((a - b).abs() > 1e-3 * reach).any()) for a, b in ((lower, low), (higher, high))]
    if float((high - low).mean()) < 0:
        free.reverse()
    lowest, highest = min(float(low.min()), float(high.min())), max(float(low.max()), float(high.max()))
    return Ends(-SHIFT if free[0] else lowest, SHIFT if free[1] else highest)
