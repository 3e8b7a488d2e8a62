"""Going on otherwise: other rates, weights and cadence from the newest checkpoint on, written down with the run."""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Mapping
from typing import Any, Final, Literal

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest
from tightrope.runs.assemble import Assembled, build_method
from tightrope.runs.config import Config
from tightrope.runs.options import Option, method_options, typed

CADENCE: Final = {"log_every": "log", "sample_every": "sample", "checkpoint_every": "checkpoint",
                  "evaluate_every": "evaluate"}  # fmt: skip
"""Settings of when something happens, and what ``at_tenths`` calls it; no weight depends on them."""

SIZES: Final = ("evaluate_n", "between_n", "keep")
"""Settings of how much is measured and kept, on which no weight depends either."""


def changeable(method: str) -> dict[str, Option]:
    """The hyperparameters of a method that a checkpoint can go on with: numbers, for which no state of it was made."""
    found = {name: dataclasses.replace(option, hint=_numbers(option.hint)) for name, option in
             method_options(method).items()}  # fmt: skip
    return {name: option for name, option in found.items() if _numeric(option.hint)}


def _numbers(hint: Any) -> Any:
    """A type of numbers or words (``n_critic``: a number or auto) without the words, which may need a state."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else ()
    kept = [part for part in parts if typing.get_origin(part) is not Literal]
    numbers = [part for part in kept if part is not type(None)]
    return functools.reduce(operator.or_, kept) if numbers and len(kept) < len(parts) else hint


def _numeric(hint: Any) -> bool:
    """Whether a type is of numbers alone, or none."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union, tuple):
        return all(_numeric(part) for part in typing.get_args(hint))
    return hint in (int, float, bool, type(None)) or (
        typing.get_origin(hint) is typing.Annotated and _numeric(typing.get_args(hint)[0])
    )


def changed(config: Config, changes: Mapping[str, Any], step: int) -> Config:
    """The configuration with other settings, and a line for each in ``changes``.

    Args:
        config: Of the run.
        changes: By name: of :data:`CADENCE`, :data:`SIZES` and :func:`changeable`.
        step: From which on they hold.

    Raises:
        UserError: A name is unknown or cannot be changed, or a value is out of range.
    """
    open_ = changeable(config.method.name)
    for name in changes:
        if name in (*CADENCE, *SIZES) or name in open_:
            continue
        if name in method_options(config.method.name):
            raise UserError(
                f"Expected a number to go on with, got {name}, for which the checkpoint's state was not made; begin a "
                "run with its weights instead: tightrope train DATA --from RUN."
            )
        valid = [*CADENCE, *SIZES, *open_]
        raise UserError(
            f"A run of {config.method.name} cannot go on with another {name!r}{closest(name, valid)}; valid are "
            f"{', '.join(valid)}."
        )
    training, tenths = config.training, set(config.training.at_tenths)
    plain = {name: value for name, value in changes.items() if name in (*CADENCE, *SIZES)}
    tenths -= {CADENCE[name] for name in plain if name in CADENCE}
    if plain.get("evaluate_every") == 0:
        plain["evaluate_every"] = None
    training = dataclasses.replace(training, **plain, at_tenths=tuple(n for n in training.at_tenths if n in tenths))
    given = typed({name: value for name, value in changes.items() if name in open_}, open_)
    before, method = dict(build_method(config.method).hyperparameters), config.method
    if any(before[name] != value for name, value in given.items()):
        method = dataclasses.replace(method, hyperparameters=before | given)
        method = dataclasses.replace(method, hyperparameters=dict(build_method(method).hyperparameters))
    old = {**dataclasses.asdict(config.training), **before}
    new = {**dataclasses.asdict(training), **before, **method.hyperparameters}
    lines = tuple(f"step {step}: {name} {old[name]} -> {new[name]}" for name in changes if old[name] != new[name])
    return dataclasses.replace(config, training=training, method=method, changes=(*config.changes, *lines))


def refresh_rates_(assembled: Assembled, settings: list[list[dict[str, Any]]]) -> None:
    """Put the settings of freshly built optimisers over those that a checkpoint brought, in place.

    Args:
        assembled: The run after it was restored.
        settings: Of :func:`rates_of`, before it was.
    """
    for optimizer, groups in zip(_optimizers(assembled), settings, strict=True):
        for group, fresh in zip(optimizer.param_groups, groups, strict=True):
            group.update(fresh)


def rates_of(assembled: Assembled) -> list[list[dict[str, Any]]]:
    """Rates, betas and whatever else the optimisers were built with."""
    return [
        [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        for optimizer in _optimizers(assembled)
    ]


def _optimizers(assembled: Assembled) -> tuple[Any, Any]:
    return assembled.run.critic_optimizer, assembled.run.generator_optimizer
