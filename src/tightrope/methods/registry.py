"""The methods by name."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.typed import converted
from tightrope._plumbing.words import closest, one_of
from tightrope.methods.baseline import dcgan
from tightrope.methods.clamped import dcgan_clamped, wgan_gp_clamped
from tightrope.methods.game_optimizers import (
    consensus,
    extra_adam,
    lookahead,
    negative_momentum,
    optimistic_adam,
    symplectic,
)
from tightrope.methods.lipschitz import orthogonal_wgan, sn_gan, sn_wgan
from tightrope.methods.method import Method
from tightrope.methods.settings import DECIDED, refuse_overlap, with_setting
from tightrope.methods.wasserstein import wgan, wgan_gp, wgan_ttur
from tightrope.methods.zero_centred import r1, r3gan

METHODS: Final[dict[str, Callable[..., Method]]] = {
    "wgan": wgan,
    "wgan_gp": wgan_gp,
    "wgan_ttur": wgan_ttur,
    "dcgan": dcgan,
    "sn_gan": sn_gan,
    "sn_wgan": sn_wgan,
    "orthogonal_wgan": orthogonal_wgan,
    "r1": r1,
    "r3gan": r3gan,
    "dcgan_clamped": dcgan_clamped,
    "wgan_gp_clamped": wgan_gp_clamped,
    "consensus": consensus,
    "symplectic": symplectic,
    "extra_adam": extra_adam,
    "optimistic_adam": optimistic_adam,
    "negative_momentum": negative_momentum,
    "lookahead": lookahead,
}


def build(name: str, *, setting: str | None = None, **hyperparameters: Any) -> Method:
    """Build a published method with some hyperparameters overridden.

    Args:
        name: Key in :data:`METHODS`.
        setting: ``"A"`` to ``"F"``: Adam and the critic steps of :data:`tightrope.methods.SETTINGS` instead of the
            method's own.
        **hyperparameters: Keyword arguments of its builder.

    Returns:
        The method, with ``hyperparameters`` holding every value it was built from.

    Raises:
        UserError: Unknown method or hyperparameter; the message lists the valid ones.

    Example:
        >>> from tightrope import methods
        >>> method = methods.build("r1", gamma=1.0)
        >>> method.loss.name, method.n_critic, method.hyperparameters["gamma"]
        ('non_saturating', 1, 1.0)
        >>> methods.build("r1", gama=1.0)  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        UserError: Method r1 has no hyperparameter 'gama' (did you mean gamma?); valid are gamma, learning_rate, ...
    """
    one_of("a method", name if isinstance(name, str) else repr(name), METHODS)
    builder = METHODS[name]
    valid = inspect.signature(builder).parameters
    for given in hyperparameters:
        if given not in valid:
            raise UserError(
                f"Method {name} has no hyperparameter {given!r}{closest(given, valid)}; valid are {', '.join(valid)}."
            )
    hints = typing.get_type_hints(builder)
    resolved = {key: parameter.default for key, parameter in valid.items()}
    for key, value in hyperparameters.items():
        remedy = f"the default of method {name} is {resolved[key]!r}"
        if value == "auto" and key == "n_critic":
            remedy += "; a run chooses critic steps with a Wasserstein loss alone"
        resolved[key] = converted(value, hints[key], key, remedy=remedy)
    method = builder(**resolved)
    if setting is not None:
        refuse_overlap(setting, hyperparameters)
        method = with_setting(method, setting)
        resolved = {key: value for key, value in resolved.items() if key not in DECIDED} | {"setting": setting}
    return replace(method, hyperparameters=resolved)
