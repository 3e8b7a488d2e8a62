"""Scores that a View computes from what a critic returns, such as the difference of two classes' logits.

What arrives is the gradient at what was returned, ``dL/do``. Where the loss is one of the scores alone it is ``dL/ds
ds/do``, and ``dL/ds`` is found from it: per row the part along ``ds/do``, which must be all of it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from tightrope.autodiff import View, scores_of
from tightrope.monitor.capture import Event
from tightrope.monitor.cycle import Entries

LEFT = 1e-4
"""Share of a gradient that may lie beside the scores' own direction, by rounding."""


def at_scores(network: nn.Module, entries: Entries) -> Entries | None:
    """Entries as if the critic had returned its View's scores.

    Args:
        network: The critic as the user gave it.
        entries: Its calls with what arrived at what they returned.

    Returns:
        The entries with one output each; None where there is no View, where it picks one of several outputs, or where
        the loss is not one of the scores alone.
    """
    if not isinstance(network, View) or network.scores is None or not entries:
        return None
    found: Entries = []
    for one, events in entries:
        returned = one.call.outputs
        if len(returned) != 1 or returned[0].dim() < 2 or not isinstance(one.call.nest, Tensor):
            return None
        computed = _computed(network, returned[0])
        if computed is None:
            return None
        scores, slope = computed
        told = [_along(event, slope, scores) for event in events[0]]
        if any(event is None for event in told):
            return None
        kept = [event for event in told if event is not None]
        call = replace(one.call, outputs=[scores], events=[kept], ends=[True], nest=scores)
        found.append((replace(one, call=call), [kept]))
    return found


def _computed(network: View, returned: Tensor) -> tuple[Tensor, Tensor] | None:
    """Scores, one for each row of what was returned, and their gradient there; None where they are no such function."""
    assert network.scores is not None
    with torch.enable_grad():
        given = returned.detach().float().requires_grad_()
        try:
            scores = scores_of(network.scores(given))
        except Exception:  # a function of the user's that expects another nest
            return None
        if len(scores) != 1 or scores[0] is given or scores[0].numel() != len(given) or not scores[0].requires_grad:
            return None
        (slope,) = torch.autograd.grad(scores[0].sum(), given)
    return scores[0].detach().flatten(), slope.flatten(1)


def _along(event: Event, slope: Tensor, scores: Tensor) -> Event | None:
    """What arrived as a gradient at the scores, if it is one."""
    arrived = event.value.float().flatten(1)
    square = slope.square().sum(1)
    at = (arrived * slope).sum(1) / square.clamp(min=1e-30)
    left = float((arrived - at.unsqueeze(1) * slope).norm())
    fits = left <= LEFT * float(arrived.norm())
    return replace(event, value=at.reshape(scores.shape)) if fits else None
