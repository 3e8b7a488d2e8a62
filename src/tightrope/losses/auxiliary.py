"""What other systems put beside an adversarial loss: features matched, the best scores kept, scores held, a weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrize import is_parametrized

from tightrope._plumbing.checks import check_choice, check_flag, check_number, check_whole
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import Scores, scores_of
from tightrope.losses.loss import wide


def feature_matching(real: Any, fake: Any, *, distance: Literal["l1", "l2"] = "l1") -> Tensor:
    """Distance of a critic's features of fake samples from its features of real ones, summed over layers and critics.

    The real features are a target: no gradient flows into them. HiFi-GAN takes it twice beside its adversarial loss.

    Source: Salimans et al. 2016 (1606.03498), section 3.1, in the form of Kumar et al. 2019 (1910.06711), eq. 3: layer
    by layer, and sample by sample where real and fake samples are pairs.
    Departures: no division by the number of critics or layers, as in the code of HiFi-GAN.

    Args:
        real: Features of real samples: a tensor, or lists of such, nested per critic and layer.
        fake: Features of fake samples, nested alike.
        distance: ``"l1"``, the mean absolute, or ``"l2"``, the mean squared difference of each layer.

    Returns:
        Scalar.

    Raises:
        UserError: The two are not nested alike, shapes differ, or there are no features.

    Example:
        >>> from tightrope.losses import feature_matching
        >>> real = [[torch.ones(2, 3), torch.zeros(2, 5)], [torch.ones(2, 4)]]  # two critics
        >>> fake = [[torch.zeros(2, 3), torch.zeros(2, 5)], [torch.full((2, 4), 3.0)]]
        >>> feature_matching(real, fake)
        tensor(3.)
    """
    check_choice("distance", distance, ("l1", "l2"))
    pairs = list(zip(_leaves(real), _leaves(fake), strict=False))
    if _form(real) != _form(fake) or not pairs:
        raise UserError(
            f"Expected features of the same layers for real and fake samples, got {_form(real)} and {_form(fake)}; "
            "pass what one critic returned for two batches of one size."
        )
    gaps = [wide(y) - wide(x.detach()) for x, y in pairs]
    parts = [gap.abs().mean() if distance == "l1" else gap.square().mean() for gap in gaps]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum()


def _leaves(features: Any) -> list[Tensor]:
    if isinstance(features, Tensor):
        return [features] if features.numel() else []
    if not isinstance(features, list | tuple):
        raise UserTypeError(
            f"Expected features as tensors in lists, got a {type(features).__name__}; pass lists of tensors."
        )
    return [leaf for part in features for leaf in _leaves(part)]


def _form(features: Any) -> Any:
    """Shapes, nested as the features are."""
    return list(features.shape) if isinstance(features, Tensor) else tuple(_form(part) for part in features)


def top_k(d_fake: Any, *, share: float) -> Scores:
    """The highest scores of each critic, at least one: a generator's loss of them ignores its worst samples.

    Source: Sinha et al. 2020 (2002.06224), algorithm 1; the published schedule lowers ``share`` from 1 to 0.5.

    Args:
        d_fake: Scores of fake samples ``[batch, ...]``, or a list with those of several critics. What a sample is
            ranked by is the sum of its scores.
        share: Part of the samples to keep, above 0 and at most 1.

    Returns:
        Scores ``[ceil(share * batch), ...]``, in a list for several critics.

    Raises:
        UserError: ``share`` is out of range, or there are no scores.

    Example:
        >>> from tightrope.losses import hinge, top_k
        >>> d_fake = torch.tensor([3.0, -5.0, 1.0, -9.0])
        >>> hinge.generator(top_k(d_fake, share=0.5))
        tensor(-2.)
    """
    check_number("share", share, 0.5)
    if not 0 < share <= 1:
        raise UserError(f"Expected a share above 0 and at most 1, got {share}; 0.5 keeps the better half.")
    kept = [_best(scores, share) for scores in scores_of(d_fake)]
    return kept[0] if len(kept) == 1 else kept


def _best(scores: Tensor, share: float) -> Tensor:
    if not scores.dim() or not scores.numel():
        raise UserError(f"Expected scores [batch, ...], got shape {list(scores.shape)}; pass one row per sample.")
    size = wide(scores.detach()).reshape(len(scores), -1).sum(1)
    return scores[size.topk(math.ceil(share * len(scores))).indices]


@dataclass
class ScoreAverages:
    """Exponential averages of a critic's mean scores, the anchors of :func:`lecam`.

    Attributes:
        decay: Part of the old average that stays at each update.
        real: Average mean score of real samples, 0 before the first update.
        fake: Average mean score of fake samples, likewise.
        updates: How often they were updated; the first update sets them.

    Example:
        >>> from tightrope.losses import ScoreAverages
        >>> averages = ScoreAverages(decay=0.9)
        >>> averages.update(torch.tensor([1.0, 3.0]), torch.tensor([-1.0]))
        >>> averages.update(torch.tensor([3.0]), torch.tensor([-1.0]))
        >>> round(averages.real, 3), averages.fake, averages.updates
        (2.1, -1.0, 2)
    """

    decay: float = 0.99
    real: float = 0.0
    fake: float = 0.0
    updates: int = 0

    def __post_init__(self) -> None:
        check_number("decay", self.decay, 0.99)
        if not 0 <= self.decay < 1:
            raise UserError(f"Expected a decay from 0 to below 1, got {self.decay}; 0.99 is the published value.")
        check_number("real", self.real, 0, least=-math.inf)
        check_number("fake", self.fake, 0, least=-math.inf)
        check_whole("updates", self.updates, 0, 0)

    def update(self, d_real: Any, d_fake: Any) -> None:
        """Move towards the mean scores of a batch; this waits for the device. Call it after :func:`lecam`.

        Args:
            d_real: Scores of real samples, of several critics a list.
            d_fake: Scores of fake samples, likewise.

        Raises:
            UserError: A score is not finite; nothing has changed.
        """
        means = [float(torch.stack([wide(s.detach()).mean() for s in scores_of(d)]).mean()) for d in (d_real, d_fake)]
        if not all(map(math.isfinite, means)):
            raise UserError(f"Expected finite scores, got means {means[0]} and {means[1]}; the critic has diverged.")
        decay = self.decay if self.updates else 0.0
        self.real = decay * self.real + (1 - decay) * means[0]
        self.fake = decay * self.fake + (1 - decay) * means[1]
        self.updates += 1

    def state_dict(self) -> dict[str, float]:
        """Plain numbers, for a checkpoint."""
        return {"decay": self.decay, "real": self.real, "fake": self.fake, "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            UserError: Something is missing, or out of range.
        """
        missing = [key for key in self.state_dict() if key not in state]
        if missing:
            raise UserError(
                f"Expected the state of ScoreAverages, got none of {', '.join(missing)}; pass state_dict()."
            )
        self.__dict__ |= ScoreAverages(**{key: state[key] for key in self.state_dict()}).__dict__


def lecam(d_real: Any, d_fake: Any, averages: ScoreAverages, *, rectified: bool = False) -> Tensor:
    """LeCam regularisation: scores of real samples near the average fake score, and the other way round.

    ``E (D(x) - a_F)^2 + E (D(y) - a_R)^2``, added to the critic's loss, for training on few images.

    Source: Tseng et al. 2021 (2104.03310), the regulariser of section 3; ``rectified`` is their released code, which
    counts only what exceeds the other side's anchor: ``relu(D(x) - a_F)`` and ``relu(a_R - D(y))``.

    Args:
        d_real: Scores of real samples ``[batch, ...]``; of several critics a list, whose terms are added.
        d_fake: Scores of fake samples, likewise.
        averages: The anchors ``a_R`` and ``a_F``; update them after this call.
        rectified: As in the released code.

    Returns:
        Scalar without a weight; published weights are 0.3 on CIFAR-10 and 0.001 to 0.01 elsewhere.

    Raises:
        UserError: The critics differ, or the anchors were never updated, when the term would pull scores to 0.

    Example:
        >>> from tightrope.losses import ScoreAverages, lecam
        >>> lecam(torch.tensor([2.0]), torch.tensor([-1.0]), ScoreAverages(real=1.0, fake=0.0, updates=1))
        tensor(8.)
    """
    check_flag("rectified", rectified)
    if not isinstance(averages, ScoreAverages):
        raise UserTypeError(f"Expected averages as a ScoreAverages, got {averages!r}; build one before training.")
    if not averages.updates:
        raise UserError(
            "Expected averages that have seen scores, got fresh ones, whose anchors are no averages yet; call "
            "averages.update(d_real, d_fake) after each critic step and add this term from the second on."
        )
    reals, fakes = scores_of(d_real), scores_of(d_fake)
    if len(reals) != len(fakes):
        raise UserError(f"Expected scores of the same critics, got those of {len(reals)} and {len(fakes)}; pass both.")
    if not all(scores.numel() for scores in (*reals, *fakes)):
        raise UserError("Expected scores to average, got an empty batch; pass those of at least one sample.")
    total = torch.zeros((), device=wide(reals[0]).device)
    for real, fake in zip(reals, fakes, strict=True):
        above, below = wide(real) - averages.fake, averages.real - wide(fake)
        if rectified:
            above, below = relu(above), relu(below)
        total = total + above.square().mean() + below.square().mean()
    return total


@dataclass(frozen=True)
class Balance:
    """A weight of the adversarial loss, and what it was made of.

    Attributes:
        weight: Of the adversarial loss, a detached scalar within the limits.
        reconstruction: Norm of the reconstruction loss's gradient at the last layer, a detached scalar.
        adversarial: Norm of the adversarial loss's gradient there, a detached scalar.
        saturated: Whether the weight met its limit, or the adversarial norm is no larger than ``epsilon``, which then
            makes the weight; a detached boolean scalar: the alarm. It means that hardly any gradient comes through the
            critic, and that the weight multiplies what is left of it.
    """

    weight: Tensor
    reconstruction: Tensor
    adversarial: Tensor
    saturated: Tensor


def balance(
    reconstruction: Tensor,
    adversarial: Tensor,
    last_layer: Tensor | nn.Module,
    *,
    limit: float = 1e4,
    epsilon: float = 1e-4,
) -> Balance:
    """The weight that makes the adversarial gradient at the last layer as large as the reconstruction's.

    Pure: nothing is accumulated into ``.grad``, and the graphs stay for the backward that follows.

    Source: Esser et al. 2021 (2012.09841), eq. 7, with epsilon and limit of their code (the paper has 1e-6).

    Args:
        reconstruction: Scalar loss, with its graph.
        adversarial: The generator's scalar adversarial loss, with its graph.
        last_layer: The decoder's last weight, or its last layer.
        limit: Largest weight.
        epsilon: Added to the adversarial gradient's norm.

    Returns:
        The weight with its parts: ``loss = reconstruction + found.weight * adversarial``.

    Raises:
        UserError: A loss is no scalar or does not depend on the last layer: the adversarial one is then cut off from
            the decoder, or the wrong layer was given.

    Cost: a backward of each loss as far as the last layer; the adversarial one runs through the whole critic.

    Example:
        >>> from tightrope.losses import balance
        >>> weight = torch.ones(2, requires_grad=True)
        >>> found = balance((weight * 3).sum(), (weight * 2).sum(), weight)
        >>> round(float(found.weight), 3), bool(found.saturated)
        (1.5, False)
    """
    check_number("limit", limit, 1e4)
    check_number("epsilon", epsilon, 1e-4)
    weights = _weights(last_layer)
    first = _gradient_size("reconstruction", reconstruction, weights)
    second = _gradient_size("adversarial", adversarial, weights)
    wanted = first / (second + epsilon).clamp(min=torch.finfo(second.dtype).tiny)  # 0 / 0 asks for nothing
    return Balance(wanted.clamp(max=limit), first, second, (wanted >= limit) | (second <= epsilon))


def _weights(last_layer: Any) -> list[Tensor]:
    """A weight; of a parametrised layer what its weight is made from, since the weight itself is new at every call."""
    if isinstance(last_layer, nn.Module) and is_parametrized(last_layer, "weight"):
        return list(last_layer.parametrizations.weight.parameters())  # type: ignore[union-attr]
    weight = getattr(last_layer, "weight", None) if isinstance(last_layer, nn.Module) else last_layer
    if not isinstance(weight, Tensor):
        got = type(last_layer if weight is None else weight).__name__
        raise UserTypeError(f"Expected the decoder's last layer or its weight, got a {got}; pass its weight.")
    return [weight]


def _gradient_size(name: str, loss: Any, weights: list[Tensor]) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UserError(f"Expected the {name} loss as a scalar tensor, got {got}; take its mean.")
    wanted = [weight for weight in weights if weight.requires_grad]
    found: tuple[Tensor | None, ...] = ()
    if loss.requires_grad and wanted:
        found = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
    parts = [wide(gradient.detach()).flatten() for gradient in found if gradient is not None]
    if not parts:
        raise UserError(
            f"Expected the {name} loss to depend on the last layer, got one that does not; look for detach or no_grad "
            "between the two, or pass the decoder's last weight."
        )
    return torch.linalg.vector_norm(torch.cat(parts))
