"""What a player might minimise, as functions of scores: the claim, and the alternatives tried when it is refuted.

A hypothesis predicts ``dL/ds`` up to a positive factor; ``claim`` marks those that count as what was claimed (a loss of
probabilities for a critic that ends in one, other targets of least squares).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.streams import global_streams_kept
from tightrope._plumbing.words import closest
from tightrope.autodiff.streams import streams_kept, streams_of
from tightrope.losses import LOSSES, Loss

ALIASES = {
    "bce": "non_saturating", "vanilla": "non_saturating", "logistic": "non_saturating", "ns": "non_saturating",
    "nonsaturating": "non_saturating", "dcgan": "non_saturating", "gan": "non_saturating", "saturating": "minimax",
    "wgan": "wasserstein", "wgan-gp": "wasserstein", "wgan_gp": "wasserstein", "lsgan": "least_squares",
    "mse": "least_squares", "rpgan": "relativistic",
}  # fmt: skip

Halves = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Hypothesis:
    """A loss of real and fake scores.

    Attributes:
        kind: ``"claim"``, ``"flipped"``, ``"loss"``, ``"sigmoid"``, ``"half"`` and so on; decides the cause.
        name: In words.
        function: ``(d_real, d_fake) -> scalar``.
    """

    kind: str
    name: str
    function: Halves


@dataclass(frozen=True)
class Claim:
    """The loss that was claimed, for both players; a player's function is None where nothing was said of it.

    Attributes:
        name: What it is called.
        critic: The critic's, of real and fake scores.
        generator: The generator's.
        needs_lipschitz: Whether it needs a critic of bounded slope.
        paired: Whether the generator's may use real scores.
        like: The known loss whose critic's part a user's function equals up to a factor; empty if none.
    """

    name: str
    critic: Halves | None
    generator: Halves | None
    needs_lipschitz: bool = False
    paired: bool = False
    like: str = ""

    @property
    def family(self) -> str:
        """The known loss that it is: its own name, or what a user's function equals."""
        return self.like or self.name


def claim_of(loss: Any) -> Claim | None:
    """A claim from what a user gives as ``loss``.

    Args:
        loss: A name, a :class:`~tightrope.losses.Loss`, a function ``(d_real, d_fake) -> (critic, generator)``, or
            None.

    Returns:
        The claim, None for None.

    Raises:
        UserError: No such loss.
    """
    if loss is None:
        return None
    if isinstance(loss, str):
        key = ALIASES.get(loss.lower(), loss.lower().replace("-", "_"))
        if key not in LOSSES:
            raise UserError(
                f"Expected a loss out of {', '.join(LOSSES)}, or a function of both scores, got {loss!r}"
                f"{closest(loss, [*LOSSES, *ALIASES])}; leave it out if it is none of them."
            )
        loss = LOSSES[key]
    if isinstance(loss, Loss):
        given = loss
        return Claim(
            given.name,
            partial(_of_loss, given, "critic"),
            partial(_of_loss, given, "generator"),
            given.needs_lipschitz,
            given.paired,
        )
    if callable(loss):
        name, critic, generator = getattr(loss, "__name__", "loss"), _part(loss, 0), _part(loss, 1)
        return Claim(name, critic, generator, paired=True, like=_equal_to(critic, generator))  # paired for all we know
    raise UserError(f"Expected loss as a name, a Loss or a function, got a {type(loss).__name__}; see losses.LOSSES.")


@contextmanager
def _undrawn(loss: Any, scores: Tensor) -> Iterator[None]:
    """Leave the random streams that a user's loss draws from, for noisy labels say, where they are."""
    devices = [scores.device] if scores.is_cuda else []
    with streams_kept(streams_of(loss)), global_streams_kept(), torch.random.fork_rng(devices=devices):
        yield


def _of_loss(given: Loss, player: str, r: Tensor, f: Tensor) -> Tensor:
    """A player's part of a :class:`~tightrope.losses.Loss` at real and fake scores."""
    with nullcontext() if LOSSES.get(given.name) is given else _undrawn((given.critic, given.generator), r):
        return given.critic(r, f) if player == "critic" else given.generator(f, r if given.paired else None)


def slopes(function: Halves, real: Tensor, fake: Tensor, *, column: bool = False) -> tuple[Tensor, Tensor] | None:
    """``dL/ds`` of a loss at real and fake scores ``[n]``; None where it cannot be computed.

    A user's function is written for scores as its critic returns them: it is given these ``[n, 1]`` for ``column``, and
    in the other shape if it refuses the first.
    """
    found = _slopes(function, real, fake, column)
    return _slopes(function, real, fake, not column) if found is None else found


def _slopes(function: Halves, real: Tensor, fake: Tensor, column: bool) -> tuple[Tensor, Tensor] | None:
    with torch.enable_grad():
        r, f = real.detach().clone().requires_grad_(), fake.detach().clone().requires_grad_()
        try:
            value = function(r.unsqueeze(1), f.unsqueeze(1)) if column else function(r, f)
            found = torch.autograd.grad(value, (r, f), allow_unused=True)
        except Exception:  # a user's function may refuse anything, such as batches of different sizes
            return None
    of_real, of_fake = (torch.zeros_like(s) if g is None else g for s, g in zip((r, f), found, strict=True))
    return of_real, of_fake


EQUAL = 1e-5
"""Relative difference of slopes up to which two losses are one and the same, whatever their factor."""


def _equal_to(critic: Halves, generator: Halves) -> str:
    """The known loss to whose critic's part a function of scores is proportional, both halves by one factor.

    Of two with that part in common it is the one whose generator's part fits too, else the one that is in use.
    """
    found = [name for name, loss in LOSSES.items() if any(_proportional(critic, form) for form in _critics(name, loss))]
    whole = [name for name in found if _proportional(generator, _player(LOSSES[name], "generator"))]
    usual = [name for name in found if name != "minimax"]
    return next(iter([*whole, *usual, *found]), "")


def _critics(name: str, loss: Loss) -> list[Halves]:
    return [_player(loss, "critic"), *([_zero_one_critic] if name == "least_squares" else [])]


def _proportional(one: Halves, other: Halves) -> bool:
    """Whether two losses have the same slopes at a few scores, up to a positive factor."""
    steps = torch.linspace(-2.4, 2.4, 8, dtype=torch.float64)
    told = [slopes(function, steps + 0.13, steps.flip(0) - 0.21) for function in (one, other)]
    if told[0] is None or told[1] is None:
        return False
    a, b = torch.cat(told[0]), torch.cat(told[1])
    if not bool(torch.isfinite(a).all()) or not bool(b.any()):
        return False
    factor = float(a @ b / b.square().sum())
    return factor > 0 and float((a - factor * b).norm()) <= EQUAL * float(a.norm())


def _part(loss: Callable[..., Any], index: int) -> Halves:
    def half(r: Tensor, f: Tensor) -> Tensor:
        with _undrawn(loss, r):
            both = loss(r, f)
        if isinstance(both, (tuple, list)):
            return both[index]
        if index:
            raise NotImplementedError
        return both

    return half


def of_probabilities(function: Halves) -> Halves:
    """The same loss for a critic that returns probabilities: of their logits, ``softplus(-logit p) = -log p``."""
    return lambda r, f: function(torch.logit(r, 1e-12), torch.logit(f, 1e-12))


def _negated(function: Halves) -> Halves:
    return lambda r, f: -function(r, f)


def _mirrored(function: Halves) -> Halves:
    return lambda r, f: function(-r, -f)


def _squashed(function: Halves) -> Halves:
    return lambda r, f: function(torch.sigmoid(r), torch.sigmoid(f))


def _player(loss: Loss, player: str) -> Halves:
    if player == "critic":
        return lambda r, f: loss.critic(r, f)
    return lambda r, f: loss.generator(f, r if loss.paired else None)


def _zero_one_critic(r: Tensor, f: Tensor) -> Tensor:
    return (r - 1).square().mean() + f.square().mean()


def _logs(r: Tensor, f: Tensor, *, clamped: bool) -> tuple[Tensor, Tensor, Tensor]:
    """``-log s`` of real and of fake scores and ``-log(1 - s)`` of fake ones, where ``s`` is no probability."""

    def of(s: Tensor) -> Tensor:
        return -(s.clamp(min=1e-8) if clamped else s.abs() + 1e-12).log().mean()

    return of(r), of(f), of(1 - f)


def _logged(player: str) -> Iterator[Hypothesis]:
    for clamped in (False, True):
        name = "the logarithm of scores that are no probabilities (a sigmoid is missing)"

        def critic(r: Tensor, f: Tensor, clamped: bool = clamped) -> Tensor:
            of_real, _, of_fake = _logs(r, f, clamped=clamped)
            return of_real + of_fake

        def non_saturating(r: Tensor, f: Tensor, clamped: bool = clamped) -> Tensor:
            return _logs(r, f, clamped=clamped)[1]

        def saturating(r: Tensor, f: Tensor, clamped: bool = clamped) -> Tensor:
            return -_logs(r, f, clamped=clamped)[2]

        for function in (critic,) if player == "critic" else (non_saturating, saturating):
            yield Hypothesis("loss", name, function)


def _slips(player: str) -> Iterator[Hypothesis]:
    """Forms that published code had by mistake."""
    if player == "generator":
        yield Hypothesis("loss", "rectified hinge", lambda r, f: -relu(f).mean())
        yield Hypothesis("loss", "critic's hinge of real scores", lambda r, f: relu(1 - f).mean())
    a_side = "real" if player == "critic" else "generated"

    def repeated(r: Tensor, f: Tensor) -> Tensor:
        a, b = (r, f) if player == "critic" else (f, r)
        return softplus(b.mean() - a).mean()

    yield Hypothesis("loss", f"relativistic average of {a_side} scores alone (its other half is missing)", repeated)


def _relativistic_average(r: Tensor, f: Tensor) -> Tensor:
    return softplus(-(r - f.mean())).mean() + softplus(f - r.mean()).mean()


def claims(claim: Claim, player: str, probabilities: bool) -> Iterator[Hypothesis]:
    """The forms in which people write the claimed loss of a player."""
    function = claim.critic if player == "critic" else claim.generator
    if function is None:
        return
    if probabilities and claim.name in ("non_saturating", "minimax"):
        yield Hypothesis("claim", f"{claim.name} of probabilities", of_probabilities(function))
    else:
        yield Hypothesis("claim", claim.name, function)
    if claim.name == "least_squares" and player == "critic":
        yield Hypothesis("claim", "least squares with targets 0 and 1", _zero_one_critic)
    if claim.name == "relativistic":
        swapped = _relativistic_average if player == "critic" else (lambda r, f: _relativistic_average(f, r))
        yield Hypothesis("claim", "relativistic average", swapped)


def alternatives(claim: Claim | None, player: str, probabilities: bool) -> Iterator[Hypothesis]:
    """What else a player might minimise, the likeliest first."""
    own = None if claim is None else claim.critic if player == "critic" else claim.generator
    if own is not None and claim is not None:
        if probabilities and claim.name in ("non_saturating", "minimax"):
            yield Hypothesis("double_sigmoid", "a sigmoid too many", own)
            own = of_probabilities(own)
            mirrored: Halves = of_probabilities(_mirrored(claim.critic if player == "critic" else claim.generator))  # type: ignore[arg-type]
        else:
            mirrored = _mirrored(own)
        yield Hypothesis("flipped", f"{claim.name} of minus the scores", mirrored)
        yield Hypothesis("flipped", f"minus the {claim.name} loss", _negated(own))
        kind = "double_sigmoid" if claim.name in ("non_saturating", "minimax") else "probability"
        yield Hypothesis(kind, f"{claim.name} of sigmoid(scores)", _squashed(own))
        if kind == "double_sigmoid":  # labels the other way round, which is a matter of orientation
            given = claim.critic if player == "critic" else claim.generator
            turned = _mirrored(given) if given is not None else own
            yield Hypothesis(kind, "a sigmoid too many", turned if probabilities else _squashed(turned))
    if not probabilities:
        yield from _logged(player)
        yield from _slips(player)
    for name, loss in LOSSES.items():
        function = _player(loss, player)
        if claim is None or name != claim.name:
            yield Hypothesis("loss", name, function)
            if probabilities and name in ("non_saturating", "minimax"):
                yield Hypothesis("loss", f"{name} of probabilities", of_probabilities(function))
            yield Hypothesis("flipped loss", f"minus the {name} loss", _negated(function))
            yield Hypothesis("flipped loss", f"{name} of minus the scores", _mirrored(function))
