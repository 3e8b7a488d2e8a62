"""The options of methods and networks, read from their builders: type, default and sentence of each."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.typed import converted
from tightrope._plumbing.words import closest, one_of
from tightrope.methods import METHODS, SETTINGS
from tightrope.networks import NETWORKS

PLAYERS = ("generator", "critic")
DECIDED = ("shape", "classes", "latent", "rng")
"""Parameters of networks that the data, the run or the seed decide."""


@dataclass(frozen=True)
class Option:
    """One hyperparameter of a method or one option of a network.

    Attributes:
        hint: Its type.
        default: Of the builder.
        sentence: From the builder's docstring.
    """

    hint: Any
    default: Any
    sentence: str


def method_options(name: str) -> dict[str, Option]:
    """Hyperparameters of a method, and ``setting``.

    Raises:
        UserError: Unknown method.
    """
    one_of("a method", name, METHODS)
    sentence = "A to F: Adam's rate and betas and n_critic of table 1 in 1802.05957; the method's own if not given."
    return {**options_of(METHODS[name]), "setting": Option(Literal[tuple(SETTINGS)] | None, None, sentence)}


def network_options(name: str) -> dict[str, dict[str, Option]]:
    """Options of a network's two builders by player, without those the data or the seed decide.

    Raises:
        UserError: Unknown network.
    """
    one_of("a network", name, NETWORKS)
    builders = (NETWORKS[name].generator, NETWORKS[name].critic)
    found = {player: options_of(builder) for player, builder in zip(PLAYERS, builders, strict=True)}
    return {player: {k: v for k, v in options.items() if k not in DECIDED} for player, options in found.items()}


def joint_options(names: Iterable[str]) -> dict[str, Option]:
    """The options of one or more networks as one table, the plain ones first, then each with its player before it.

    Where two networks give one name different types, either is taken.
    """
    plain: dict[str, Option] = {}
    single: dict[str, Option] = {}
    for name in names:
        for player, options in network_options(name).items():
            for key, option in options.items():
                for table, spelt in ((plain, key), (single, f"{player}_{key}")):
                    known = table.setdefault(spelt, option)
                    table[spelt] = Option(known.hint | option.hint, known.default, known.sentence)
    return plain | single


def typed(values: Mapping[str, Any], options: Mapping[str, Option]) -> dict[str, Any]:
    """Values as their options say.

    Raises:
        UserError: One is of another type or not finite.
    """
    return {key: converted(value, options[key].hint, key) if key in options else value for key, value in values.items()}


def refuse_unknown(
    names: Iterable[str], method: str, network: str | None, *, general: Iterable[str] = (), dashes: bool = False
) -> None:
    """Raise for the first name that neither the method nor the network (None for any of them) knows.

    Args:
        names: Options by their Python names.
        method: Name of the method.
        network: Name of the network, None while the data have not chosen it.
        general: Names that every run knows, of which one may have been meant.
        dashes: Spell options as on the command line.

    Raises:
        UserError: There is one.
    """

    def spelt(name: str) -> str:
        return f"--{name.replace('_', '-')}" if dashes else name

    rest = "tightrope train --help" if dashes else "runs.Wishes"
    hyperparameters = method_options(method)
    options = joint_options(NETWORKS if network is None else [network])
    plain = [spelt(key) for key in options if not key.startswith(PLAYERS)]
    for name in names:
        if name not in hyperparameters and name not in options:
            near = closest(spelt(name), map(spelt, [*hyperparameters, *general, *options]))
            raise UserError(
                f"No option {spelt(name)}{near}: method {method} takes {', '.join(map(spelt, hyperparameters))}; "
                f"network {network or 'of any kind'} takes {', '.join(plain)} (with {spelt('generator_')} or "
                f"{spelt('critic_')[2 * dashes :]} before it for one player); for the rest see {rest}."
            )


@functools.cache
def options_of(builder: Callable[..., Any]) -> Mapping[str, Option]:
    """What a builder's signature and docstring say of its parameters, in order."""
    from docstring_parser import parse

    hints = typing.get_type_hints(builder)
    described = {one.arg_name: one.description or "" for one in parse(inspect.getdoc(builder) or "").params}
    return {
        key: Option(hints[key], parameter.default, " ".join(described.get(key, "").split()))
        for key, parameter in inspect.signature(builder).parameters.items()
    }
