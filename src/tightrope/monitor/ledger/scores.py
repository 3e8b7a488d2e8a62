"""The ledger at the scores: which loss of real and fake scores gives the ``dL/ds`` that the backward pass brought.

One number per score, compared up to a positive factor. The claim is tried first and alternatives only when it fails;
nothing is recomputed through the network, so this is exact whatever the critic is made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tightrope.monitor.ledger.hypotheses import Claim, Halves, Hypothesis, alternatives, claims, slopes

ROUNDING, HALF_ROUNDING = 2e-3, 0.03
CLEARLY = 0.01
"""A claim is refuted from this residual on, if at all; identical gradients (hinge inside its margin) stay below."""


@dataclass(frozen=True)
class Scored:
    """Scores of one window and what arrived at them: ``[n]`` each, in float64.

    Attributes:
        real: Scores of real samples.
        fake: Scores of fake samples.
        at_real: ``dL/ds`` there; zero where nothing arrived.
        at_fake: Likewise.
        half: Whether they were computed in half precision.
        column: Whether the critic returned them as ``[n, 1]``.
    """

    real: Tensor
    fake: Tensor
    at_real: Tensor
    at_fake: Tensor
    half: bool = False
    column: bool = False


@dataclass(frozen=True)
class Fit:
    """How well a loss explains the gradients at the scores.

    Attributes:
        kind: Of the hypothesis that fits: ``"claim"``, an alternative's, ``"none"`` if nothing fits, or ``"unknown"``
            where the scores cannot tell.
        name: It in words.
        residual: Relative residual of the claim.
        explained: Relative residual of what fits best.
        factor: Factor of the hypothesis.
        weights: Factors of the real and of the fake half, from the claim's halves apart.
        contained: Cosine of the claim's gradient with the one found.
    """

    kind: str
    name: str = ""
    residual: float = 0.0
    explained: float = 0.0
    factor: float = 0.0
    weights: tuple[float, float] = (0.0, 0.0)
    contained: float = 1.0


def fit(scored: Scored, claim: Claim | None, player: str, *, probabilities: bool = False) -> Fit:
    """The claim, or what else explains the gradients at the scores.

    Args:
        scored: What was captured.
        claim: None to find out which loss it is.
        player: Whose loss.
        probabilities: The critic's scores are confined to 0..1.
    """
    inside = _inside(scored, probabilities)
    if player == "generator" and not bool(scored.at_real.any()):  # real scores that the generator's loss only compares
        inside = torch.zeros_like(inside[0]), inside[1]
    found = torch.cat([scored.at_real[inside[0]], scored.at_fake[inside[1]]])
    if found.numel() == 1 and claim is not None:
        return _by_sign(scored, claim, player, inside, found, probabilities)
    if found.numel() < 2 or not bool(torch.isfinite(found).all()):
        return Fit("unknown", "too few usable scores")
    limit = HALF_ROUNDING if scored.half else ROUNDING
    compare = _Comparison(scored, inside, found, limit)
    first: _Tried | None = None
    if claim is not None:
        first = compare.best(claims(claim, player, probabilities))
        if first is None:
            return Fit("unknown", "the claimed loss says nothing of this player")
        if not math.isfinite(first.residual):
            return Fit("unknown", "the claimed loss is not finite at these scores")
        if first.silent:
            return Fit("unknown", "the claimed loss is flat here", residual=first.residual)
        if first.factor > 0 and first.residual <= max(limit, CLEARLY):
            return first.fit("claim", first)
    other = _refuted(compare, claim, player, probabilities, first, limit)
    if other.kind == "none" and claim is not None and first is not None:
        usual = _usual(scored, claim, player, inside, limit, probabilities)
        usual = usual or _family(scored, claim, player, inside, limit)
        if usual is not None:
            return first.fit(usual[0], first, name=usual[1], explained=0.0)
    if other.kind == "none" and (chosen := _chosen(scored)) is not None:
        of_some = fit(chosen, claim, player, probabilities=probabilities)
        if of_some.kind not in ("none", "unknown"):
            return replace(of_some, name=f"{of_some.name}, of a part of the scores")
    return other


def _chosen(scored: Scored) -> Scored | None:
    """The scores that a loss was taken of, where others got nothing: the best ones, or those of some of the rows."""
    sides = [scored.at_real != 0, scored.at_fake != 0]
    counts = [int(side.sum()) for side in sides]
    if sum(counts) < 4 or 1 in counts or all(n in (0, len(side)) for n, side in zip(counts, sides, strict=True)):
        return None
    real, fake = (side if n else ~side for n, side in zip(counts, sides, strict=True))  # a missing half stays so
    parts = scored.real[real], scored.fake[fake], scored.at_real[real], scored.at_fake[fake]
    return Scored(*parts, scored.half, scored.column)


def _by_sign(
    scored: Scored,
    claim: Claim,
    player: str,
    inside: tuple[Tensor, Tensor],
    found: Tensor,
    probabilities: bool,
) -> Fit:
    """Of a critic that returns one number for a batch: whether it is pushed the way that the claim says."""
    first = _Comparison(scored, inside, found, ROUNDING).best(claims(claim, player, probabilities))
    if first is None or first.silent or not math.isfinite(first.factor) or first.factor == 0.0:
        return Fit("unknown", "too few usable scores")
    if first.factor > 0:
        return first.fit("claim", first, name=f"{claim.name}, by its sign alone")
    return first.fit("flipped", first, name=f"minus the {claim.name} loss, by its sign alone", explained=0.0)


def _refuted(
    compare: _Comparison,
    claim: Claim | None,
    player: str,
    probabilities: bool,
    first: _Tried | None,
    limit: float,
) -> Fit:
    """The alternative that fits to rounding and ten times better than the claim, else ``none``."""
    if first is not None and claim is not None and player == "critic":
        forms = [form for form in compare.all(claims(claim, player, probabilities)) if not form.silent]
        form = min(forms, key=lambda one: max(one.apart), default=first)
        if half := _halves(form, limit):
            return form.fit(half[0], first, name=half[1], explained=half[2])
    tried = compare.best(alternatives(claim, player, probabilities))
    bar = limit if first is None else min(limit, first.residual / 10)
    if tried is not None and tried.factor > 0 and not tried.silent and tried.residual <= max(bar, 1e-6):
        return tried.fit(tried.hypothesis.kind, first)
    if first is None:
        return Fit("none", explained=1.0 if tried is None else tried.residual)
    return first.fit("none", first)


@dataclass(frozen=True)
class _Tried:
    hypothesis: Hypothesis
    factor: float
    residual: float
    silent: bool
    cosine: float
    halves: tuple[float, float]
    apart: tuple[float, float]

    def fit(self, kind: str, claimed: _Tried | None, *, name: str = "", explained: float | None = None) -> Fit:
        """As a :class:`Fit`, whose residual is the claim's."""
        return Fit(
            kind,
            name or self.hypothesis.name,
            self.residual if claimed is None else claimed.residual,
            self.residual if explained is None else explained,
            self.factor,
            self.halves,
            self.cosine if claimed is None else claimed.cosine,
        )


class _Comparison:
    """Predictions of hypotheses at captured scores, against what arrived."""

    def __init__(self, scored: Scored, inside: tuple[Tensor, Tensor], found: Tensor, limit: float) -> None:
        self.scored, self.inside, self.found, self.limit = scored, inside, found, limit

    def all(self, hypotheses: Iterable[Hypothesis]) -> list[_Tried]:
        return [one for one in map(self._try, hypotheses) if one is not None]

    def best(self, hypotheses: Iterable[Hypothesis]) -> _Tried | None:
        tried = self.all(hypotheses)
        good = [one for one in tried if one.factor > 0 and not one.silent] or tried
        return min(good, key=lambda one: one.residual, default=None)

    def _try(self, hypothesis: Hypothesis) -> _Tried | None:
        scored = self.scored
        predicted = predicted_slopes(hypothesis.function, scored.real, scored.fake, column=scored.column)
        if predicted is None:
            return None
        r, f = predicted[0][self.inside[0]], predicted[1][self.inside[1]]
        both = torch.cat([r, f])
        size = float(self.found.norm())
        noise = 1e-6 / max(len(self.scored.fake), 1) * len(self.found) ** 0.5
        silent = float(both.norm()) < 30 * noise
        if silent or size == 0.0:
            return _Tried(hypothesis, 0.0, 1.0, silent, 0.0, (0.0, 0.0), (1.0, 1.0))
        factor = float(self.found @ both / both.square().sum())
        left = float((self.found - factor * both).norm())
        residual = max(left - abs(factor) * noise, 0.0) / size
        cosine = float(self.found @ both / (both.norm() * size))
        real, fake = self.found[: len(r)], self.found[len(r) :]
        halves = (_alone(real, r), _alone(fake, f))
        return _Tried(
            hypothesis, factor, residual, False, cosine, (halves[0][0], halves[1][0]), (halves[0][1], halves[1][1])
        )


def predicted_slopes(
    function: Halves, real: Tensor, fake: Tensor, *, column: bool = False
) -> tuple[Tensor, Tensor] | None:
    """``dL/ds`` of a loss; where no real scores came, of one that does not ask what they are.

    A user's function of both sides may refuse a generator's turn, in which there are none: whatever stands in for them
    must then leave the slopes at fake scores as they are.
    """
    found = slopes(function, real, fake, column=column)
    if len(real) or not len(fake) or (found is not None and bool(torch.isfinite(found[1]).all()) and found[1].any()):
        return found
    tried = [slopes(function, stand_in, fake, column=column) for stand_in in (fake, fake.flip(0) + 1.0)]
    first, second = (None if one is None else one[1] for one in tried)
    same = first is not None and second is not None and torch.allclose(first, second, rtol=1e-9, atol=1e-12)
    return (torch.zeros_like(real), first) if same and first is not None else found


def _alone(found: Tensor, predicted: Tensor) -> tuple[float, float]:
    """Factor and relative residual of one half."""
    square = float(predicted.square().sum())
    if not len(found) or square == 0.0:
        return 0.0, 1.0 if len(found) and float(found.norm()) > 0 else 0.0
    factor = float(found @ predicted) / square
    size = float(found.norm())
    return factor, float((found - factor * predicted).norm()) / size if size else 0.0


def _halves(tried: _Tried, limit: float) -> tuple[str, str, float] | None:
    """What is wrong if each half of the claim fits by itself, with factors that are not alike."""
    (a, b), worst = tried.halves, max(tried.apart)
    if worst > limit:
        return None
    if a == 0.0 and b > 0:
        return "no real half", "no real half", worst
    if b == 0.0 and a > 0:
        return "no fake half", "no fake half", worst
    if a < 0 < b or b < 0 < a:
        return "half flipped", "the real half negated" if a < 0 else "the fake half negated", worst
    if a < 0 and b < 0:
        return "flipped", "minus the claimed loss", worst
    return "unequal halves", f"real half {a / b:.3g} times the fake half", worst


def _inside(scored: Scored, probabilities: bool) -> tuple[Tensor, Tensor]:
    """Which scores can be used: of probabilities those that are not rounded to 0 or 1."""
    if not probabilities:
        return torch.ones_like(scored.real, dtype=torch.bool), torch.ones_like(scored.fake, dtype=torch.bool)
    return tuple((s > 1e-3) & (s < 1 - 1e-3) for s in (scored.real, scored.fake))  # type: ignore[return-value]


def _usual(
    scored: Scored, claim: Claim, player: str, inside: tuple[Tensor, Tensor], limit: float, probabilities: bool
) -> tuple[str, str] | None:
    """Known forms of a claim, as kind and words: other targets, softened, exchanged or a few wrong labels.

    Least squares: ``dL/ds = k (s - t)``; logistic: ``k (sigmoid(s) - t)``, of a probability ``k (p - t) / p (1 - p)``;
    ``t`` is the target of each half.
    """
    squares = claim.family == "least_squares"
    if not squares and claim.family not in ("non_saturating", "minimax"):
        return None
    sides = []
    for s, g, used in ((scored.real, scored.at_real, inside[0]), (scored.fake, scored.at_fake, inside[1])):
        p, slope = s[used], g[used]
        if not squares:
            p, slope = (p, slope * p * (1 - p)) if probabilities else (torch.sigmoid(p), slope)
        sides.append((p, slope))
    fake = _line(*sides[1], limit)
    if player == "generator":
        if fake is None or claim.family == "minimax":
            return None
        return "claim" if fake > 0.45 else "flipped", f"target {fake:.3g}"
    real = _line(*sides[0], limit)
    if real is not None and fake is not None and abs(real - fake) > 0.2:
        kind, words = ("claim", "targets") if real > fake else ("flipped", "exchanged targets")
        return kind, f"{words} {real:.3g} and {fake:.3g}"
    if real is not None and fake is not None:
        return "half flipped", f"targets {real:.3g} and {fake:.3g}, of both sides alike"
    return None if squares else _soft(sides)


def _family(
    scored: Scored, claim: Claim, player: str, inside: tuple[Tensor, Tensor], limit: float
) -> tuple[str, str] | None:
    """A loss of another family with targets of its own: squares for cross-entropy, or the reverse."""
    targets = {}
    for name in ("least_squares", "non_saturating"):
        sides = [(scored.real, scored.at_real, inside[0]), (scored.fake, scored.at_fake, inside[1])]
        found = [_line(torch.sigmoid(s[used]) if name == "non_saturating" else s[used], g[used], limit)
                 for s, g, used in (sides if player == "critic" else sides[1:])]  # fmt: skip
        if all(t is not None and -0.25 < t < 1.25 for t in found):
            targets[name] = [t for t in found if t is not None]
    if len(targets) != 1:
        return None
    (name, found_so) = next(iter(targets.items()))
    if (player == "critic" and found_so[0] - found_so[1] < 0.3) or (player == "generator" and found_so[0] < 0.6):
        return None
    own = {"least_squares": "least_squares", "non_saturating": "non_saturating", "minimax": "non_saturating"}
    words = " and ".join(f"{t:.3g}" for t in found_so)
    return None if own.get(claim.family) == name else ("loss", f"{name} with targets {words}")


def _line(x: Tensor, y: Tensor, limit: float) -> float | None:
    """``t`` where ``y = k (x - t)`` with ``k > 0`` holds to rounding; None where not, or ``x`` hardly varies."""
    if len(x) < 4 or float(x.std()) < 1e-4 * (1 + float(x.abs().mean())):
        return None
    centred = x - x.mean()
    k = float(centred @ (y - y.mean()) / centred.square().sum())
    if k <= 0.0:
        return None
    t = float(x.mean() - y.mean() / k)
    return t if float((y - k * (x - t)).norm()) <= limit * float(y.norm()) else None


def _soft(sides: Sequence[tuple[Tensor, Tensor]]) -> tuple[str, str] | None:
    """Labels drawn per sample: every implied target in a band, most on their own side."""
    for factor in (1.0, 0.5):
        real, fake = (p - slope * len(p) / factor for p, slope in sides)
        both = torch.cat([real, 1 - fake])
        if len(real) > 2 and float(both.min()) > -0.35 and float(both.max()) < 1.35:
            mean = float(real.mean()), float(fake.mean())
            if mean[0] > 0.65 and mean[1] < 0.35:
                return "claim", f"labels drawn per sample, {mean[0]:.2g} and {mean[1]:.2g} on average"
            if mean[0] < 0.35 and mean[1] > 0.65:
                return "flipped", f"exchanged labels drawn per sample, {mean[0]:.2g} and {mean[1]:.2g} on average"
    return None
