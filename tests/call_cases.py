"""Every public function and the wrong values that one argument of a right call of it is replaced by."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import math
import pathlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import call_makers as new
from call_objects import FITTING, OBJECTS, OWN, RECORDS
from call_right import RIGHT, WORDS
from tightrope import runs
from tightrope.networks import NETWORKS

Made = Callable[[], tuple[Callable[..., Any], new.Given]]
"""A function and its right arguments, anew at each call."""

HUGE = 10**30


def wrong() -> dict[str, Any]:
    """Values that hardly any argument takes, by a name for each."""
    return {
        "None": None,
        "'a'": "a",
        "''": "",
        "nan": math.nan,
        "inf": math.inf,
        "-inf": -math.inf,
        "-1": -1,
        "0": 0,
        "1.5": 1.5,
        "True": True,
        "huge": HUGE,
        "-huge": -HUGE,
        "1e300": 1e300,
        "1j": 1j,
        "[]": [],
        "()": (),
        "{}": {},
        "object": object(),
        "class": nn.Linear,
        "lambda": lambda *_, **__: None,
        "bytes": b"a",
        "(nan,)": (math.nan,),
        "[None]": [None],
        "('a','b')": ("a", "b"),
        "{'a':1}": {"a": 1},
        "path": pathlib.Path("/nowhere/at all"),
        "ndarray": np.ones((3, 3), dtype=object),
        "module": nn.Identity(),
        "set": {1, 2},
        "(1,2,3,4,5,6)": (1, 2, 3, 4, 5, 6),
        "(0,0,0)": (0, 0, 0),
        "(3,huge,huge)": (3, HUGE, HUGE),
        "(-3,16,16)": (-3, 16, 16),
        "('3','16','16')": ("3", "16", "16"),
        "(3.0,16.0,16.0)": (3.0, 16.0, 16.0),
        "t:scalar": torch.tensor(1.0),
        "t:empty": torch.empty(0, 2),
        "t:empty1": torch.empty(0),
        "t:int": torch.ones(8, 2, dtype=torch.int64),
        "t:bool": torch.ones(8, 2, dtype=torch.bool),
        "t:complex": torch.ones(8, 2, dtype=torch.cfloat),
        "t:half": torch.ones(8, 2).half(),
        "t:nan": torch.full((8, 2), math.nan),
        "t:inf": torch.full((8, 3), math.inf),
        "t:meta": torch.empty(8, 2, device="meta"),
        "t:sparse": torch.eye(3, 4).to_sparse(),
        "t:5d": torch.ones(2, 1, 1, 1, 2),
        "t:1d": torch.ones(7),
        "t:wide": torch.ones(16, 7),
        "t:1e150": torch.full((16, 2), 1e150, dtype=torch.float64),
        "t:3d": torch.ones(2, 3, 4),
    }


def public() -> list[str]:
    """Dotted names below tightrope of all public modules."""
    at = Path(__file__).parents[1] / "docs" / "public.py"
    spec = importlib.util.spec_from_file_location("public", at)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.modules())


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and class that takes something and is no record, each under its first name."""
    seen: set[int] = set()
    for dotted in public():
        module = importlib.import_module(dotted)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            key = f"{dotted}.{name}".removeprefix("tightrope.")
            if id(thing) in seen or not callable(thing) or key in RECORDS:
                continue
            seen.add(id(thing))
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield key, thing
    for name, network in NETWORKS.items():
        yield f"networks.{name}.generator", network.generator
        yield f"networks.{name}.critic", network.critic
        yield f"networks.{name}.check", network.check


def known(key: str, function: Callable[..., Any]) -> bool:
    """Whether a right call of the function is known."""
    parameters = inspect.signature(function).parameters.values()
    words = {p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return key in RIGHT or words <= {*WORDS, *new.game(), *new.numbers()}


def arguments(key: str, function: Callable[..., Any], at: Path) -> new.Given:
    """The right arguments of one function."""
    if key in RIGHT:
        return RIGHT[key](at)
    given: new.Given = new.numbers() if key.startswith("studies.statistics") else {}
    words = {**WORDS, **{name: (lambda value=value: value) for name, value in given.items()}}
    if key.startswith("networks.") and key.split(".")[1] in NETWORKS:
        words["shape"] = lambda: (2,) if ".mlp." in key else (3, 32, 32)
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if {"losses", "players"} <= set(needed):
        return new.game() | {name: words[name]() for name in needed if name not in ("losses", "players")}
    return {name: words[name]() for name in needed}


def folder(at: Path) -> Path:
    """A new.run, a copy to write into, and a file of points."""
    np.save(at / "points.npy", np.random.default_rng(0).normal(size=(40, 2)))
    (at / "copy").mkdir()
    runs.begin(at / "run", new.configured(1), quiet=True)
    return at


def consumed(result: Any) -> Any:
    """What a call gives, generators and contexts entered."""
    if inspect.isgenerator(result):
        return next(result, None)
    if isinstance(result, contextlib.AbstractContextManager) and not hasattr(result, "read"):
        with result as inside:
            return inside
    return result


def called(function: Callable[..., Any], given: new.Given) -> Any:
    """One call, its warnings aside; what comes before ``*rest`` goes by position."""
    parameters = list(inspect.signature(function).parameters.values())
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    by_name, positional = dict(given), []
    if rest is not None:
        before = parameters[: parameters.index(rest)]
        positional = [by_name.pop(p.name) for p in before if p.name in by_name]
        extra = by_name.pop(rest.name, [new.seeded(4, 2)] if rest.name == "sample" else [])
        positional += extra if isinstance(extra, list) else [extra]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return consumed(function(*positional, **by_name))


def mutable(function: Callable[..., Any]) -> list[str]:
    """The arguments that can be replaced."""
    return [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is not p.VAR_KEYWORD and p.name not in ("args", "given")
    ]


def methods_of(at: Path) -> Iterator[tuple[str, Made]]:
    """Every public function of the objects that takes something, and what calling them does."""
    for name, make in OBJECTS.items():
        kind = type(make(at))
        for word in vars(kind):
            private = word.startswith("_") and (word != "__call__" or issubclass(kind, nn.Module))
            if private or word == "forward" or not inspect.isroutine(getattr(kind, word)):
                continue
            if mutable(getattr(make(at), word)):
                yield f"{name}().{word}", functools.partial(_bound, f"{name}().{word}", make, word, at)


def _bound(key: str, make: Callable[[Path], Any], word: str, at: Path) -> tuple[Callable[..., Any], new.Given]:
    method = getattr(make(at), word)
    return method, OWN[key]() if key in OWN else {name: FITTING[name]() for name in mutable(method) if name in FITTING}
