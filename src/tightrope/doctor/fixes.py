"""What ``tightrope probe --try`` takes: one change to a method, spelt ``name=value``."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import torch
from torch import nn

from tightrope import methods, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest
from tightrope.autodiff.types import PenaltyFunction
from tightrope.methods import Method
from tightrope.methods.play import Alternating
from tightrope.optimizers.settings import SGD, Adam, Momentum, RMSprop, UpdateRule
from tightrope.penalties import Penalty

SPELT = ("lr", "lr_critic", "lr_generator", "beta1", "beta2", "n_critic", "penalty")
PENALTIES: dict[str, tuple[PenaltyFunction, str, float]] = {
    "r1": (penalties.r1, "gamma", 1.0),
    "r2": (penalties.r2, "gamma", 1.0),
    "gp": (penalties.gradient_penalty, "weight", 10.0),
}


def fixed(method: Method, fix: str) -> Method:
    """A method with one thing changed.

    Args:
        method: As it was trained by.
        fix: ``lr=1e-4`` (both players), ``lr_critic=``, ``lr_generator=``, ``beta1=``, ``beta2=``, ``n_critic=``,
            ``penalty=none``, ``penalty=r1`` (``r2``, ``gp``; with ``:5`` behind it for a weight), or a hyperparameter
            of the method, such as ``gamma=1``. Several with ``+`` between them are one fix:
            ``lr_critic=1e-4+beta1=0``.

    Raises:
        UserError: No such thing to change, a value of another type, or one that changes nothing.
    """
    parts = re.split(r"\+(?=\s*[A-Za-z])", fix)
    for part in sorted(parts, key=lambda part: _name(part) not in method.hyperparameters):  # those build it anew
        method = _fixed_once(method, part)
    return method


def _name(part: str) -> str:
    return part.partition("=")[0].strip().replace("-", "_")


def _fixed_once(method: Method, fix: str) -> Method:
    _, equals, text = fix.partition("=")
    name = _name(fix)
    if not equals or not text.strip():
        raise UserError(f"Expected a fix as name=value, got {fix!r}; try lr_critic=1e-4, n_critic=5 or penalty=r1.")
    known = [*SPELT, *method.hyperparameters]
    if name not in known:
        raise UserError(f"Expected a fix of {', '.join(known)}, got {name!r}{closest(name, known)}.")
    if name == "penalty":
        found = _with_penalty(method, text.strip())
    elif name in SPELT and name not in method.hyperparameters:
        found = _respelt(method, name, _number(name, text))
    else:
        value = _value(name, text, method.hyperparameters[name])
        found = methods.build(method.name, **{**method.hyperparameters, name: value})
        found = dataclasses.replace(found, perturbation=method.perturbation)
    if dataclasses.replace(found, hyperparameters=method.hyperparameters) == method:
        raise UserError(f"Expected a fix that changes something, got {fix!r}, which is how the run was trained.")
    if (found.constraint, found.projection) != (method.constraint, method.projection):
        raise UserError(f"Expected a fix for the middle of a run, got {fix!r}, which holds from the first step on.")
    return found


def _value(name: str, text: str, like: Any) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = text.strip()
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(like, float) and number:
        return float(value)
    if like is not None and (isinstance(like, bool) != isinstance(value, bool) or isinstance(like, str) == number):
        raise UserError(f"Expected {name} as a {type(like).__name__}, got {text!r}; the run has {like!r}.")
    return tuple(value) if isinstance(value, list) else value


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"Expected {name} as a number, got {text!r}; try {name}=1e-4.") from None


def _respelt(method: Method, name: str, value: float) -> Method:
    if name == "n_critic":
        if not isinstance(method.play, Alternating) or value != int(value):
            raise UserError(f"Expected a whole n_critic of a method that alternates, got {value:g} of {method.name}.")
        return dataclasses.replace(method, play=dataclasses.replace(method.play, n_critic=int(value)))
    kind, _, player = name.partition("_")
    if player in ("", "generator"):
        method = dataclasses.replace(method, generator_optimizer=_rule(method.generator_optimizer, kind, value))
    if player in ("", "critic"):
        method = dataclasses.replace(method, critic_optimizer=_rule(method.critic_optimizer, kind, value))
    return method


def _rule(rule: UpdateRule, name: str, value: float) -> UpdateRule:
    if name == "lr":
        return dataclasses.replace(rule, learning_rate=value)
    if isinstance(rule, Adam):
        return dataclasses.replace(rule, betas=(value, rule.betas[1]) if name == "beta1" else (rule.betas[0], value))
    if name == "beta1" and isinstance(rule, SGD | RMSprop | Momentum):
        return dataclasses.replace(rule, momentum=value)
    raise UserError(f"Expected an optimiser with {name}, got {rule.kind}; try lr_critic= or lr_generator=.")


def _with_penalty(method: Method, text: str) -> Method:
    kind, _, weight = text.partition(":")
    if kind == "none":
        return dataclasses.replace(method, penalties=())
    if kind not in PENALTIES:
        raise UserError(f"Expected a penalty out of none, {', '.join(PENALTIES)}, got {kind!r}; try penalty=r1:1.")
    function, parameter, default = PENALTIES[kind]
    value = _number("the penalty's weight", weight) if weight else default
    return dataclasses.replace(method, penalties=(Penalty(function, {parameter: value}),))


def write_numbers(optimizer: torch.optim.Optimizer, before: UpdateRule, after: UpdateRule) -> None:
    """Give an optimiser in the middle of its run the numbers in which two rules differ.

    Raises:
        UserError: They are rules of two kinds, whose states have nothing in common.
    """
    if type(before) is not type(after):
        raise UserError(f"Expected the optimiser that the run has, {before.kind}, got {after.kind}; start a new run.")
    old, new = (rule.build([nn.Parameter(torch.zeros(1))]).param_groups[0] for rule in (before, after))
    for group in optimizer.param_groups:
        group.update({key: value for key, value in new.items() if key != "params" and old.get(key) != value})
