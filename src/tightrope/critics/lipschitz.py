"""The Lipschitz constant of a critic, between a slope that is attained and a bound that is proven."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral

import torch
from torch import Tensor, nn

from tightrope._plumbing import rich
from tightrope._plumbing.checks import check_samples, check_seed, check_whole, refuse_frozen_code
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import module_of, modules_of, undisturbed
from tightrope.autodiff.guard import computed_once
from tightrope.autodiff.types import Critic
from tightrope.critics._certify import Trace, trace
from tightrope.critics._search import climb, starting_points, steepest
from tightrope.critics._seen import function_of, samples, total


@dataclass(frozen=True)
class LayerShare:
    """One layer's part in the gap between the two ends of the interval.

    Attributes:
        name: Qualified name.
        kind: Class, or the function's name.
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
        layers: The layers in the order of the forward; none where something else has no bound. A function that does a
            layer's work (``F.conv2d(x, self.weight)``, ``x @ self.weight``, batch normalisation) is one of them, under
            the name of the module that calls it.
        reasons: What makes ``upper`` infinite, by name; empty if it is finite.
    """

    lower: float
    upper: float
    witnesses: Tensor = field(repr=False)
    slopes: Tensor
    layers: tuple[LayerShare, ...]
    reasons: tuple[str, ...]

    def table(self) -> str:
        """Aligned text: the interval, one line per layer, and the reasons if there is no bound."""
        lines = [f"Lipschitz constant in [{self.lower:.6g}, {self.upper:.6g}]"]
        width = max([len(layer.name or "(itself)") for layer in self.layers], default=5)
        lines += [
            f"  {layer.name or '(itself)':<{width}}  {layer.kind:<16} at most {layer.factor:<10.4g} "
            f"attained {layer.attained:<10.4g} share of the gap {layer.share:6.1%}"
            for layer in self.layers
        ]
        return "\n".join(lines + [f"  no bound: {reason}" for reason in self.reasons])

    def _repr_html_(self) -> str:
        """As a notebook shows it: the interval, and each layer's part in the gap."""
        rows = [
            (
                layer.name or "(itself)",
                f"{layer.kind}: at most {rich.number(layer.factor)}, attained {rich.number(layer.attained)}, "
                f"{layer.share:.1%} of the gap",
            )
            for layer in self.layers
        ]
        ends = f"[{self.lower:.4g}, {self.upper:.4g}]"
        return rich.table(f"Lipschitz constant in {ends}", rows, [f"no bound: {reason}" for reason in self.reasons])


def lipschitz_interval(
    critic: Critic,
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
        critic: Any module, ``View`` of one, or function from ``[batch, *shape]`` to scores; left exactly as found.
            Judged in evaluation mode. Several scores per sample, and several critics, count as their sum; a pack is one
            sample.
        real: ``[batch, *shape]``, where the search starts.
        fake: ``[batch, *shape]``, likewise.
        labels: One label ``[1]`` for a conditional critic: the interval then holds for that class.
        steps: Climbing steps; 0 takes the steepest of the starting points, as does a critic without an upper bound.
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
    **Cost**: one operator norm per layer, nine gradients per sample, and ``5 * keep * steps`` more where there is an
    upper bound.

    Example:
        >>> from tightrope import constraints, critics
        >>> critic = constraints.orthogonal(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)))
        >>> interval = critics.lipschitz_interval(critic, torch.randn(32, 2), torch.randn(32, 2))
        >>> 0 < interval.lower <= interval.upper < 1.001
        True
    """
    critic = getattr(critic, "_orig_mod", critic)  # compiled code cannot be followed; it is this network's
    networks = modules_of(critic)
    _check(networks, real, fake, labels, keep)
    check_whole("steps", steps, 0, 30)
    check_seed(seed)
    dtype = next((p.dtype for network in networks for p in network.parameters()), real.dtype)
    rng = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), undisturbed(critic), computed_once(*(n.eval() for n in networks)):
        real, fake = (samples(x.detach().clone().to(dtype), critic) for x in (real, fake))
        scores = function_of(critic, labels)
        points = starting_points(real, fake, rng)
        found = steepest(scores, points, keep)
        followed = _follow(critic, scores, found, norms=False)
        if bounded := math.isfinite(followed.upper):  # otherwise neither norms nor steeper points tell anything
            scale = float(points.flatten(1).std().clamp(min=1e-6))
            found = climb(scores, found, scale, rng, steps=steps)
            followed = _follow(critic, scores, found)
    witnesses, slopes, _ = found
    size = float(slopes[0])
    if not math.isfinite(size):
        raise UserError(f"Expected slopes that are finite, got {size}; look at the critic's weights.")
    lower = size * (1 - 20 * torch.finfo(dtype).eps)
    contradictions = _contradictions(lower, followed, math.sqrt(torch.finfo(dtype).eps)) if bounded else []
    return LipschitzInterval(
        lower=lower if contradictions else min(lower, followed.upper),
        upper=math.inf if contradictions else followed.upper,
        witnesses=witnesses,
        slopes=slopes,
        layers=_shares([(s.name, s.kind, s.factor, s.attained) for s in followed.steps]) if bounded else (),
        reasons=(*followed.reasons, *contradictions) if contradictions or math.isinf(followed.upper) else (),
    )


def _follow(critic: Critic, scores: Critic, found: tuple[Tensor, Tensor, Tensor], *, norms: bool = True) -> Trace:
    """The certificate, with the stretch of every layer along the steepest point's gradient."""
    witnesses, slopes, gradients = found
    size = float(slopes[0])
    direction = gradients[:1] / size if size and math.isfinite(size) else torch.zeros_like(gradients[:1])
    return trace(
        module_of(critic) or nn.ModuleList(), lambda x: total(scores(x)), witnesses[:1], direction, norms=norms
    )


def _check(networks: Sequence[nn.Module], real: Tensor, fake: Tensor, labels: Tensor | None, keep: int) -> None:
    for network in networks:
        refuse_frozen_code(network, "a bound")
    for x in (real, fake):
        if not isinstance(x, Tensor) or x.is_complex():
            check_samples(x)
    if real.shape[1:] != fake.shape[1:] or not (real.dim() and fake.dim()) or not (len(real) and len(fake)):
        raise UserError(
            "Expected two batches of at least one sample each, of one shape, "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}; pass samples as [batch, *shape]."
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise UserError("Expected finite samples, got NaN or infinity among them; remove those samples.")
    if not isinstance(keep, Integral) or keep < 1:
        raise UserError(f"Expected keep of at least 1, got {keep}; keep one point or more.")
    if labels is not None and not isinstance(labels, Tensor):
        raise UserTypeError(f"Expected one label as a tensor [1], got {labels!r}; pass torch.tensor([0]).")
    if labels is not None and labels.numel() != 1:
        raise UserError(f"Expected one label, got {labels.numel()}; ask for one class at a time.")
    if any(t.is_inference() for network in networks for t in (*network.parameters(), *network.buffers())):
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
