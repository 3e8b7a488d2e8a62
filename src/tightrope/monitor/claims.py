"""What the user says the training is: the penalties, constraints and optimisers claimed, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.words import closest
from tightrope.autodiff import View, modules_of

PENALTIES = ("gp", "gp1", "r1", "r2")
CONSTRAINTS = ("spectral_norm", "orthogonal", "weight_norm")
_NAMES = {
    "gradient_penalty": "gp", "wgan-gp": "gp", "wgan_gp": "gp", "lp": "gp1", "wgan-lp": "gp1", "sn": "spectral_norm",
    "spectral": "spectral_norm", "clipping": "clip", "weight_clipping": "clip",
}  # fmt: skip
DEFAULTS = {"gp": 10.0, "gp1": 10.0, "r1": 10.0, "r2": 10.0, "clip": 0.01}

PLAYERS = ("generator", "critic")


@dataclass(frozen=True)
class Claims:
    """Penalties by name with their weights, the clip, and the constraint of the layers.

    Attributes:
        said: Whether anything was said of penalties and constraints.
        penalties: ``"gp"``, ``"gp1"``, ``"r1"``, ``"r2"``, each with its weight.
        clip: Largest weight, None without clipping.
        constraint: ``"spectral_norm"``, ``"orthogonal"`` or ``"weight_norm"``, None without.
    """

    said: bool
    penalties: tuple[tuple[str, float], ...] = ()
    clip: float | None = None
    constraint: str | None = None


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, str) or (
        isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str)
    )


def claims_of(penalty: Any) -> Claims:
    """Read ``penalty=``: None, a name, a pair of name and number, or a list of these.

    Raises:
        UserError: A name that is none, or a number that is not finite and positive.
    """
    if penalty is None:
        return Claims(False)
    one = isinstance(penalty, str) or (
        isinstance(penalty, tuple) and len(penalty) == 2 and isinstance(penalty[1], (int, float))
    )
    if not one and not (isinstance(penalty, (list, tuple)) and all(map(_is_entry, penalty))):
        raise UserError(
            f"Expected a penalty as a name, a pair of name and weight, or a list of these, got {penalty!r}; try "
            "('gp', 10.0)."
        )
    penalties, clip, constraint = [], None, None
    for entry in [penalty] if one else list(penalty):
        name, value = entry if isinstance(entry, (tuple, list)) else (entry, None)
        name = _NAMES.get(str(name).lower(), str(name).lower())
        if name in CONSTRAINTS:
            constraint = name
            continue
        if name not in DEFAULTS:
            known = [*DEFAULTS, *CONSTRAINTS]
            raise UserError(
                f"Expected a penalty out of {', '.join(known)}, got {entry!r}{closest(str(name), known)}; "
                'write ("gp", 10.0), ("r1", 1.0), ("clip", 0.01), "spectral_norm", or a list of these.'
            )
        weight = DEFAULTS[name] if value is None else float(value)
        check_number("penalty", weight, DEFAULTS[name])
        if name == "clip":
            clip = weight
        else:
            penalties.append((name, weight))
    return Claims(True, tuple(penalties), clip, constraint)


def optimizers_of(optimizers: Any) -> dict[str, tuple[torch.optim.Optimizer, ...]]:
    """Read ``optimizers=``: a pair ``(generator's, critic's)``, one that steps both, or a dict by player.

    Several optimisers of one player come in a list.

    Raises:
        UserTypeError: Something that is no optimiser.
    """
    if optimizers is None:
        return {}
    if isinstance(getattr(optimizers, "optimizer", optimizers), torch.optim.Optimizer):
        optimizers = (optimizers, optimizers)
    if isinstance(optimizers, Mapping):
        wrong = [key for key in optimizers if key not in (*PLAYERS, "discriminator")]
        if wrong:
            raise UserError(f"Expected optimisers of generator and critic, got {wrong[0]!r}; use these two names.")
        given = {("critic" if key == "discriminator" else key): value for key, value in optimizers.items()}
    elif isinstance(optimizers, Sequence) and len(optimizers) == 2:
        given = dict(zip(PLAYERS, optimizers, strict=True))
    else:
        raise UserTypeError(
            f"Expected optimizers as a pair (generator's, critic's), or one that steps both, got a "
            f"{type(optimizers).__name__}; write optimizers=(opt_generator, opt_critic)."
        )
    found = {}
    for player, value in given.items():
        each = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        each = tuple(getattr(one, "optimizer", one) for one in each)  # accelerate and Fabric wrap theirs
        for one in each:
            if not isinstance(one, torch.optim.Optimizer):
                raise UserTypeError(f"Expected the {player}'s optimiser, got a {type(one).__name__}; pass it itself.")
        found[player] = each
    return found


def inner(network: Any) -> nn.Module | None:
    """The module that is called inside views and the wrappers of distributed and compiled networks."""
    while True:
        if isinstance(network, (View, nn.parallel.DistributedDataParallel, nn.DataParallel)):
            network = network.module
        elif isinstance(network, nn.Module):
            return network
        else:
            held = modules_of(network)
            return held[0] if len(held) == 1 else None
