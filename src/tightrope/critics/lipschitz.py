"""The Lipschitz constant of a critic, between a slope that is attained and a bound that is proven."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import undisturbed
from tightrope.critics._certify import Trace, trace
from tightrope.critics._search import climb, starting_points


@dataclass(frozen=True)
class LayerShare:
    """One layer's part in the gap between the two ends of the interval.

    Attributes:
        name: Qualified name.
        kind: Class.
        factor: Proven operator norm.
        attained: How much the layer stretches the witness' direction; at most ``factor``.
        share: ``log(factor / attained)`` over that of all layers: the part of the budget wasted here, summing to 1.
    """

    name: str
    kind: str
    factor: float
    attained: float
    share: float


@dataclass(frozen=True)
class LipschitzInterval:
    """``lower <= sup |D(x) - D(y)| / ||x - y|| <= upper``, Euclidean norms, evaluation mode.

    Attributes:
        lower: Gradient norm at the first witness, rounding taken off.
        upper: Proven bound; infinite if some part has none.
        witnesses: Points where the gradient is steepest ``[points, *shape]``, steepest first.
        slopes: Gradient norms there ``[points]``.
        layers: The layers in the order of the forward, where the bound is finite or not.
        reasons: What makes ``upper`` infinite, by name; empty if it is finite.
    """

    lower: float
    upper: float
    witnesses: Tensor
    slopes: Tensor
    layers: tuple[LayerShare, ...]
    reasons: tuple[str, ...]

    def table(self) -> str:
        """Aligned text: the interval, one line per layer, and the reasons if there is no bound."""
        lines = [f"Lipschitz constant in [{self.lower:.6g}, {self.upper:.6g}]"]
        width = max([len(layer.name) for layer in self.layers], default=5)
        lines += [
            f"  {layer.name:<{width}}  {layer.kind:<16} at most {layer.factor:<10.4g} attained {layer.attained:<10.4g} "
            f"share of the gap {layer.share:6.1%}"
            for layer in self.layers
        ]
        return "\n".join(lines + [f"  no bound: {reason}" for reason in self.reasons])


def lipschitz_interval(
    critic: nn.Module,
    real: Tensor,
    fake: Tensor,
    *,
    labels: Tensor | None = None,
    steps: int = 30,
    keep: int = 16,
    seed: int = 0,
) -> LipschitzInterval:
    """Bound the Lipschitz constant of a critic from both sides.

    Args:
        critic: Any module from ``[batch, *shape]`` to scores; left exactly as found. Judged in evaluation mode. Several
            scores per sample count as their sum.
        real: ``[batch, *shape]``, where the search starts.
        fake: ``[batch, *shape]``, likewise.
        labels: One label ``[1]`` for a conditional critic: the interval then holds for that class.
        steps: Climbing steps; 0 takes the steepest of the starting points.
        keep: Points that climb, and witnesses returned.
        seed: Of the search's own generator.

    Returns:
        The interval, its witnesses, and each layer's share of the gap.

    The lower end is a gradient norm found by a search over data, fakes, interpolates and points three times as far out.
    The upper end follows one forward: linear layers contribute proven upper bounds of their operator norms at the input
    size they meet, residual sums add, activations, pooling and batch normalisation in evaluation mode have known
    factors. A layer, instance or group normalisation, attention, or anything unknown makes it infinite and is named in
    ``reasons``.
    A module may declare its own constant in an attribute ``lipschitz``. Layers count as such only while they run their
    class's own ``forward``; code around it, hooks and subclasses are followed. A bound that the slopes found here
    contradict, for example after a wrong declaration, is given up and the layer is named.

    Raises:
        UserError: ``real`` or ``fake`` is empty, not finite or of another shape, ``keep`` or ``labels`` is not as
            said above, or the critic's weights were made in inference mode.

    **Claim**: the true constant lies in the interval, up to rounding of the forward itself.
    **Cost**: ``5 * keep * steps`` gradients, and one operator norm per layer.

    Example:
        >>> from tightrope import constraints, critics
        >>> critic = constraints.orthogonal(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)))
        >>> interval = critics.lipschitz_interval(critic, torch.randn(32, 2), torch.randn(32, 2))
        >>> 0 < interval.lower <= interval.upper < 1.001
        True
    """
    _check(critic, real, fake, labels, keep)
    dtype = next((p.dtype for p in critic.parameters()), real.dtype)
    rng = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), undisturbed(critic), parametrize.cached():  # weights do not change here
        real, fake = real.detach().clone(), fake.detach().clone()  # tensors of inference mode have no gradients
        given = None if labels is None else labels.clone()

        def scores(x: Tensor) -> Tensor:
            out: Tensor = critic(x) if given is None else critic(x, given.expand(len(x)))
            return out

        critic.eval()
        points = starting_points(real.to(dtype), fake.to(dtype), rng)
        witnesses, slopes, gradients = climb(scores, points, rng, steps=steps, keep=keep)
        size = float(slopes[0])
        direction = gradients[:1] / size if size and math.isfinite(size) else torch.zeros_like(gradients[:1])
        followed = trace(critic, lambda x: scores(x).sum(), witnesses[:1], direction)
    lower = size * (1 - 20 * torch.finfo(dtype).eps)
    contradictions = _contradictions(lower, followed, math.sqrt(torch.finfo(dtype).eps))
    return LipschitzInterval(
        lower=lower if contradictions else min(lower, followed.upper),
        upper=math.inf if contradictions else followed.upper,
        witnesses=witnesses,
        slopes=slopes,
        layers=_shares([(s.name, s.kind, s.factor, s.attained) for s in followed.steps]),
        reasons=(*followed.reasons, *contradictions),
    )


def _check(critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None, keep: int) -> None:
    if real.shape[1:] != fake.shape[1:] or not (real.dim() and fake.dim()) or not (len(real) and len(fake)):
        raise UserError(
            "Expected two batches of at least one sample each, of one shape, "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}; pass samples as [batch, *shape]."
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise UserError("Expected finite samples, got NaN or infinity among them; remove those samples.")
    if keep < 1:
        raise UserError(f"Expected keep of at least 1, got {keep}; keep one point or more.")
    if labels is not None and labels.numel() != 1:
        raise UserError(f"Expected one label, got {labels.numel()}; ask for one class at a time.")
    if any(t.is_inference() for t in (*critic.parameters(), *critic.buffers())):
        raise UserError(
            "Expected a critic with ordinary weights, got some made in torch.inference_mode(), which have no "
            "gradients; build or load the critic outside of it."
        )


def _contradictions(lower: float, followed: Trace, slack: float) -> list[str]:
    """What the slopes that were found say against the bound, beyond rounding; empty if nothing."""
    found = [
        f"{step.kind} in {step.name or 'the network itself'}: stretches a direction by {step.attained:.6g}, "
        f"more than its factor {step.factor:.6g}, which is therefore wrong"
        for step in followed.steps
        if not step.attained <= step.factor * (1 + slack)
    ]
    if not lower <= followed.upper * (1 + slack):
        names = ", ".join(step.name for step in followed.steps if step.name) or "the network itself"
        found.append(
            f"the slope {lower:.6g} found contradicts the bound {followed.upper:.6g} "
            f"that was followed through {names}, which is therefore given up"
        )
    return found


def _shares(steps: list[tuple[str, str, float, float]]) -> tuple[LayerShare, ...]:
    waste = [max(math.log(f / a), 0.0) if f > 0 and a > 0 and math.isfinite(f) else 0.0 for _, _, f, a in steps]
    total = sum(waste)
    return tuple(
        LayerShare(*step, share=part / total if total else 0.0) for step, part in zip(steps, waste, strict=True)
    )
