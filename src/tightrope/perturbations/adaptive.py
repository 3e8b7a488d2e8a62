"""Adaptive discriminator augmentation: its transformations at probability p, and p by the critic's overfitting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from torch import Tensor

from tightrope._plumbing.checks import check_choice, check_number, check_rng, check_whole
from tightrope._plumbing.draws import Rng
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import scores_of
from tightrope.perturbations import colour, geometry
from tightrope.perturbations.diff_augment import check_images, diff_augment, words_of
from tightrope.perturbations.noise import InstanceNoise
from tightrope.schedules import Value, check_value, extremes, value_at


def ada_augment(x: Tensor, *, p: float, kinds: str = "bgc", rng: Rng | None = None) -> Tensor:
    """Each transformation with probability ``p``: flips, quarter turns and shifts, scalings and turns, colours.

    At ``p`` below about 0.8 the distribution of the augmented images tells that of the images, so that the generator
    does not learn the augmentation (section 3 of the paper); the same ``p`` holds for real and fake samples.

    Source: Karras et al. 2020 (2006.06676), appendix B, transformations 1 to 13 with their ranges.
    Departures: resampling is bilinear with reflected borders and without the paper's wavelet filter, so strong
    reductions alias; neither filtering nor noise nor cutout, which did not help there.

    Args:
        x: Images ``[batch, channels, height, width]``; values from -1 to 1.
        p: Probability of each transformation, 0 to 1; 0 returns ``x`` itself.
        kinds: ``b`` for flips, quarter turns and whole shifts, ``g`` for scalings, turns and shifts, ``c`` for
            brightness, contrast, luma flip, hue and saturation; some of the letters.
        rng: Source of the draws; it may live on the CPU whatever the device of ``x``.

    Returns:
        Images of the same shape; differentiable in ``x`` as often as wanted.

    Raises:
        UserError: ``x`` are no images, ``p`` or ``kinds`` is out of range, or colours of other than 1 or 3 channels.

    Example:
        >>> from tightrope.perturbations import ada_augment
        >>> x = torch.rand(4, 3, 8, 8)
        >>> ada_augment(x, p=0.0) is x, ada_augment(x, p=0.6).shape
        (True, torch.Size([4, 3, 8, 8]))
    """
    check_images(x)
    check_rng(rng)
    check_number("p", p, 0.0)
    _check_probability(p)
    _check_kinds(kinds)
    if "c" in kinds and x.shape[1] not in (1, 3):
        raise UserError(f"Expected 1 or 3 channels for colours, got {x.shape[1]}; use kinds='bg'.")
    if p == 0:
        return x
    if "b" in kinds or "g" in kinds:
        x = geometry.resampled(x, geometry.placed(x, float(p), kinds, rng))
    return colour.recoloured(x, colour.mixed(x, float(p), rng)) if "c" in kinds else x


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise UserError(f"Expected a probability p from 0 to 1, got {p}; more than 0.8 leaks into the samples.")


def _check_kinds(kinds: Any) -> None:
    if not isinstance(kinds, str) or not kinds or set(kinds) - set("bgc"):
        raise UserError(f"Expected kinds as letters of 'bgc', got {kinds!r}; use 'bgc' for all three.")


@dataclass
class AdaptiveStrength:
    """The probability of augmentations that keeps a critic's overfitting at a target.

    Overfitting is read from ``r_t = E sign D(x)`` on the real samples of training: 0 for none, 1 for all. Every
    ``every`` batches ``p`` rises or falls by the images seen since, over ``images``. It is a schedule with a memory:
    its ``p`` is the value now.

    Source: Karras et al. 2020 (2006.06676), section 3.1: ``r_t``, target 0.6, 500,000 images, every 4 batches.

    Attributes:
        target: ``r_t`` to aim at.
        images: Real images over which ``p`` may go from 0 to 1.
        every: Batches from one change to the next.
        p: Probability now.
        signs: Sum of the signs since the last change.
        count: Scores since the last change.
        seen: Real images since the last change.
        batches: Batches since the last change.
        overfitting: The last ``r_t``, NaN before the first.

    Example:
        >>> from tightrope.perturbations import AdaptiveStrength
        >>> strength = AdaptiveStrength(images=1000, every=1)
        >>> strength.observe(torch.ones(50))  # every real sample is known for real
        >>> strength.p, strength.overfitting
        (0.05, 1.0)
    """

    target: float = 0.6
    images: int = 500_000
    every: int = 4
    p: float = 0.0
    signs: float = 0.0
    count: int = 0
    seen: int = 0
    batches: int = 0
    overfitting: float = math.nan

    def __post_init__(self) -> None:
        check_number("target", self.target, 0.6, least=-1.0)
        check_whole("images", self.images, 1, 500_000)
        check_whole("every", self.every, 1, 4)
        for name in ("count", "seen", "batches"):
            check_whole(name, getattr(self, name), 0, 0)
        check_number("signs", self.signs, 0, least=-math.inf)
        check_number("p", self.p, 0)
        if self.target >= 1 or not 0 <= self.p <= 1:
            raise UserError(
                f"Expected a target below 1 and a probability from 0 to 1, got {self.target} and {self.p}; 0.6 is the "
                "published target."
            )

    def observe(self, d_real: Any) -> None:
        """Take a batch's scores of real samples, of several critics a list, into account.

        Waits for the device. Scores that are not finite count as nothing.
        """
        scores = scores_of(d_real)
        self.signs += sum(float(one.detach().sign().nan_to_num(0.0).sum()) for one in scores)
        self.count += sum(one.numel() for one in scores)
        self.seen += len(scores[0])
        self.batches += 1
        if self.batches < self.every:
            return
        self.overfitting = self.signs / self.count
        step = self.seen / self.images * ((self.overfitting > self.target) - (self.overfitting < self.target))
        self.p = min(max(self.p + step, 0.0), 1.0)
        self.signs, self.count, self.seen, self.batches = 0.0, 0, 0, 0

    def state_dict(self) -> dict[str, float]:
        """What changes, as plain numbers, for a checkpoint."""
        return {key: getattr(self, key) for key in ("p", "signs", "count", "seen", "batches", "overfitting")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            UserError: Something is missing, or out of range.
        """
        missing = [key for key in self.state_dict() if key not in state]
        if missing:
            raise UserError(
                f"Expected the state of AdaptiveStrength, got none of {', '.join(missing)}; pass state_dict()."
            )
        self.__dict__ |= replace(self, **{key: state[key] for key in self.state_dict()}).__dict__


@dataclass(frozen=True)
class Augmentation:
    """An augmentation of what the critic sees, as a Method carries it.

    Attributes:
        kind: ``"diff"`` for :func:`diff_augment`, ``"ada"`` for :func:`ada_augment`.
        p: Probability of each transformation of ``"ada"``: a number, a schedule, or an :class:`AdaptiveStrength`.
        policy: Of :func:`diff_augment`, or the letters of :func:`ada_augment`; the whole of either if empty.

    Example:
        >>> from tightrope.perturbations import Augmentation
        >>> augmentation = Augmentation("ada", p=0.5, policy="b")
        >>> augmentation(torch.rand(4, 1, 8, 8), images_seen=0).shape
        torch.Size([4, 1, 8, 8])
    """

    kind: Literal["diff", "ada"] = "diff"
    p: Value | AdaptiveStrength = field(default_factory=AdaptiveStrength)
    policy: str = ""

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("diff", "ada"))
        if not isinstance(self.p, AdaptiveStrength):
            check_value("p", self.p)
            for end in extremes(self.p):
                _check_probability(end)
        if self.policy:
            (words_of if self.kind == "diff" else _check_kinds)(self.policy)

    @property
    def adaptive(self) -> AdaptiveStrength | None:
        """What has to be told the scores of real samples, if anything has."""
        return self.p if self.kind == "ada" and isinstance(self.p, AdaptiveStrength) else None

    def fresh(self) -> Augmentation:
        """The same augmentation with a memory of its own."""
        return self if self.adaptive is None else replace(self, p=replace(self.adaptive))

    def __call__(self, x: Tensor, *, images_seen: int, rng: Rng | None = None) -> Tensor:
        """Augment images ``[batch, channels, height, width]`` at the strength that holds now."""
        if self.kind == "diff":
            return diff_augment(x, rng=rng, **({"policy": self.policy} if self.policy else {}))
        now = self.p.p if isinstance(self.p, AdaptiveStrength) else value_at(self.p, images_seen)
        p = min(max(now, 0.0), 1.0)
        return ada_augment(x, p=p, kinds=self.policy or "bgc", rng=rng)


@dataclass(frozen=True)
class InOrder:
    """Several perturbations, one after the other.

    Attributes:
        parts: The first is applied first.

    Example:
        >>> from tightrope.perturbations import Augmentation, InOrder, InstanceNoise
        >>> both = InOrder((Augmentation("diff"), InstanceNoise(0.1)))
        >>> both(torch.rand(4, 1, 8, 8), images_seen=0).shape
        torch.Size([4, 1, 8, 8])
    """

    parts: tuple[Augmentation | InstanceNoise, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple) or not self.parts:
            raise UserError(f"Expected perturbations in a tuple, at least one, got {self.parts!r}; give them.")
        for part in self.parts:
            if not isinstance(part, Augmentation | InstanceNoise):
                raise UserError(f"Expected InstanceNoise or an Augmentation, got {part!r}; build one first.")

    @property
    def adaptive(self) -> AdaptiveStrength | None:
        """What has to be told the scores of real samples, if anything has."""
        return next((p.adaptive for p in self.parts if isinstance(p, Augmentation) and p.adaptive is not None), None)

    def fresh(self) -> InOrder:
        """The same perturbations with memories of their own."""
        return InOrder(tuple(part.fresh() if isinstance(part, Augmentation) else part for part in self.parts))

    def __call__(self, x: Tensor, *, images_seen: int, rng: Rng | None = None) -> Tensor:
        """Perturb ``x`` ``[batch, *shape]`` by each in turn."""
        for part in self.parts:
            x = part(x, images_seen=images_seen, rng=rng)
        return x


Perturbation: TypeAlias = InstanceNoise | Augmentation | InOrder
"""What a Method may carry."""


def adaptive_of(perturbation: Perturbation | None) -> AdaptiveStrength | None:
    """What has to be told the scores of real samples, if anything has."""
    return None if perturbation is None or isinstance(perturbation, InstanceNoise) else perturbation.adaptive
