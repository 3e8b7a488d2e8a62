"""Hooks of a user's own that only compute a module's weights, as equalised learning rates do, and may run once more.

Told by their code: nothing is written but attributes of modules, which are put back; no container, tensor or variable
outside is changed; every name that is looked up is a module, a function of torch or of the language, or another such
function of the user's. What cannot be told so counts as a hook that does more.
"""

from __future__ import annotations

import builtins
import dis
import types
from typing import Any

import torch
from torch import Tensor, nn

CONSTANTS = (str, int, float, bool, complex, type(None))
HARMLESS = frozenset({
    "getattr", "setattr", "hasattr", "isinstance", "len", "range", "float", "int", "bool", "str", "max", "min",
    "abs", "sum", "tuple", "zip", "enumerate", "reversed", "map", "sorted", "round", "pow", "divmod", "any",
    "all",
})  # fmt: skip
"""Functions of the language that change nothing but attributes."""
CHANGING = frozenset({
    "append", "extend", "insert", "update", "pop", "popitem", "remove", "clear", "sort", "add", "discard",
    "setdefault", "write", "print", "backward", "step", "register_buffer", "register_parameter", "add_module",
    "share_memory", "grad", "resize", "set", "data_ptr",
})  # fmt: skip
"""Names that change something, or by which something else than values is reached."""
_CODE = (type, types.FunctionType, types.BuiltinFunctionType)
_EVERY = frozenset(vars(nn.Module()))
LIBRARIES = ("torch", "math", "numpy")


def only_computes(hook: Any, module: nn.Module) -> bool:
    """Whether a hook of a module leaves nothing behind but attributes of modules, as far as its code tells.

    Objects of other kinds that the module holds could be written to through it, so it may hold none.
    """
    try:
        return all(map(_plain, _own(module).values())) and _called(hook, frozenset())
    except Exception:  # no code that could be read
        return False


def _own(module: nn.Module) -> dict[str, Any]:
    """What a module holds beside what every module does."""
    return {name: value for name, value in vars(module).items() if name not in _EVERY}


def _plain(value: Any) -> bool:
    """Nothing that an attribute could be set on, or that is reached through it, but tensors."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    return isinstance(value, (*CONSTANTS, Tensor, torch.dtype, torch.device, *_CODE))


def _called(hook: Any, met: frozenset[int]) -> bool:
    if isinstance(hook, types.FunctionType):
        return _function(hook, None, met)
    if isinstance(hook, types.MethodType):
        return not isinstance(hook.__self__, types.ModuleType) and _of(hook.__self__, hook.__func__, met)
    call = type(hook).__call__  # of a class without one that of its metaclass, which is no function of the user's
    return isinstance(call, types.FunctionType) and _of(hook, call, met)


def _of(holder: Any, function: Any, met: frozenset[int]) -> bool:
    """A method of an object that holds constants alone."""
    held = all(_constant(value) for value in getattr(holder, "__dict__", {"": object()}).values())
    return held and isinstance(function, types.FunctionType) and _function(function, type(holder), met)


def _constant(value: Any) -> bool:
    return isinstance(value, CONSTANTS) or (isinstance(value, tuple) and all(map(_constant, value)))


def _function(function: types.FunctionType, owner: type | None, met: frozenset[int]) -> bool:
    if id(function) in met:
        return True
    if function.__closure__ or not all(map(_constant, function.__defaults__ or ())):
        return False
    return _code(function.__code__, function.__globals__, owner, met | {id(function)})


def _code(code: types.CodeType, around: dict[str, Any], owner: type | None, met: frozenset[int]) -> bool:
    own = code.co_varnames[0] if owner is not None and code.co_argcount else None
    before = None
    for at in dis.get_instructions(code):
        name, given = at.opname, at.argval
        if name.startswith(("STORE_GLOBAL", "STORE_DEREF", "LOAD_DEREF", "LOAD_CLOSURE", "DELETE_", "STORE_SUBSCR",
                            "STORE_SLICE", "STORE_NAME", "IMPORT_", "INPLACE_", "LOAD_NAME")):  # fmt: skip
            return False
        if name == "BINARY_OP" and at.argrepr.endswith("="):
            return False
        if name == "STORE_ATTR" and (before is None or before.argval == own or before.opname != "LOAD_FAST"):
            return False
        if name.startswith("LOAD_GLOBAL") and not _looked_up(given, around, met):
            return False
        if name.startswith(("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR")) and not _attribute(given, owner, met):
            return False
        before = at
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return all(not part.co_freevars and _code(part, around, owner, met) for part in inner)


def _attribute(name: Any, owner: type | None, met: frozenset[int]) -> bool:
    """A name behind a dot: of the object's own class a method that only computes, else none that changes anything."""
    if not isinstance(name, str) or name in CHANGING or (name.endswith("_") and not name.startswith("__")):
        return False
    own = vars(owner).get(name) if owner is not None else None
    own = own.__func__ if isinstance(own, (staticmethod, classmethod)) else own
    return not isinstance(own, types.FunctionType) or _function(own, owner, met)


def _looked_up(name: Any, around: dict[str, Any], met: frozenset[int]) -> bool:
    if name not in around:
        return name in HARMLESS and hasattr(builtins, name)
    found = around[name]
    if isinstance(found, types.ModuleType):
        return found.__name__.partition(".")[0] in LIBRARIES
    if _constant(found):
        return True
    if (getattr(found, "__module__", None) or "").partition(".")[0] in LIBRARIES:
        return not str(name).endswith("_")
    return isinstance(found, types.FunctionType) and _function(found, None, met)
