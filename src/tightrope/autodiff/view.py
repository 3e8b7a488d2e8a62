"""How a critic is called and what of its output are scores, for every kind of critic that people have.

One rule for the output (:func:`scores_of`), one wrapper for everything else (:class:`View`), and :func:`modules_of`,
which finds the modules behind any of them, so that a check sees through a lambda as well as through a module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_whole, short
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.walk import floating_type
from tightrope.autodiff.held import attributes, names_of, reached, within

_COLUMNS, _CHANNELS = 4, 2  # of scores, at most, where the tuple has another part with a single one
_WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)


class View(nn.Module):
    """A network as the library should see it: how it is called, what of its output counts, how many samples it packs.

    It keeps hold of the module, so that parameters, modes, buffers and every check are those of the module itself.

    Example::

        View(critic, scores=lambda out: out[0])                     # returns (scores, features)
        View(critic, call=lambda critic, x: critic(condition, x))   # takes more than samples
        View(critic, rows=10)                                       # one score per 10 rows, as in PacGAN and CTGAN

    Args:
        module: The network. A plain function serves too where nothing has to be trained.
        call: ``(module, x) -> output`` in place of ``module(x)``. Use its first argument and not the network's own
            name, so that a copy of the view calls the copy.
        scores: ``output -> scores``, a tensor or a list with one per critic; of a generator, ``output -> samples``.
        rows: Samples that are judged together: one row of scores for so many rows of samples.
        labels: Classes ``[batch]``, handed on after ``x``.

    Raises:
        UserError: ``call`` does not take the module and the samples, or calls the module by its own name.
    """

    def __init__(
        self,
        module: nn.Module | Callable[..., Any],
        call: Callable[..., Any] | None = None,
        scores: Callable[[Any], Any] | None = None,
        rows: int = 1,
        *,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_whole("rows", rows, 1, 1)
        for name, function in (("module", module), ("call", call), ("scores", scores)):
            if not callable(function) and (function is not None or name == "module"):
                raise UserTypeError(f"Expected {name} as a function, got {short(function)}; see help(tightrope.View).")
        if call is not None:
            _check_call(module, call)
        self.module, self.call, self.scores, self.labels = module, call, scores, labels
        self.rows = rows * rows_of(module)
        self.classes, self.latent = getattr(module, "classes", 0), getattr(module, "latent", None)

    def forward(self, x: Tensor, *more: Any) -> Any:
        """What of the output counts, for ``x`` ``[batch, *shape]``.

        Raises:
            UserError: The samples do not fill whole packs.
        """
        if self.rows > 1 and x.shape[0] % self.rows:
            raise UserError(
                f"Expected a number of samples that {self.rows} divides, since the critic judges {self.rows} together, "
                f"got {x.shape[0]}; use another batch size."
            )
        if self.labels is not None:
            more = (self.labels, *more)
        output = self.module(x, *more) if self.call is None else self.call(self.module, x, *more)
        return output if self.scores is None else self.scores(output)

    def with_labels(self, change: Callable[[Tensor], Tensor]) -> View:
        """The same view with its labels changed, those of some or of repeated samples; itself if it has none."""
        if self.labels is None:
            return self
        rows = self.rows // rows_of(self.module)
        return View(self.module, self.call, self.scores, rows, labels=change(self.labels))


def _check_call(module: Any, call: Callable[..., Any]) -> None:
    try:
        inspect.signature(call).bind_partial(module, None)
    except TypeError as problem:
        raise UserError(
            f"Expected call as a function of the module and the samples, got one that does not take them ({problem}); "
            "write View(critic, call=lambda critic, x: critic(condition, x))."
        ) from problem
    except ValueError:  # a builtin, which does not tell
        return
    if any(held is module for held in modules_of(call)):
        raise UserError(
            "Expected call to use its first argument, got one that calls the module by its own name, which a copy of "
            "the view would not follow; write View(critic, call=lambda critic, x: critic(condition, x))."
        )


class Remembered:
    """A network that remembers what it gave for the tensors it has seen, by identity, for the length of one step.

    R1 needs the gradient at the very points whose scores the loss already computed, and clamping samples the latents
    that the loss needs: handing penalties this in the network's place saves a forward and changes no signature.
    """

    def __init__(self, network: Callable[[Tensor], Any]) -> None:
        self.network = network
        self._seen: list[tuple[Tensor, Any]] = []

    def __call__(self, x: Tensor) -> Any:
        """The network's output at ``x`` ``[batch, *shape]``; computed once per tensor object."""
        for point, output in self._seen:
            if point is x:
                return output
        output = self.network(x)
        self._seen.append((x, output))
        return output

    def knows(self, x: Tensor) -> bool:
        """Whether a call at ``x`` calls nothing."""
        return any(point is x for point, _ in self._seen)

    def remember(self, x: Tensor, output: Any) -> None:
        """Give ``output`` for ``x`` from now on."""
        self._seen.append((x, output))


def labelled(network: nn.Module, labels: Tensor | None) -> nn.Module:
    """A network with its labels ``[batch]`` as a function of its first argument; itself without labels or classes."""
    if labels is None or not getattr(network, "classes", 0):
        return network
    return View(network, labels=labels)


def taken_by(network: object, x: Tensor) -> Tensor:
    """Samples in the floating type of the network that takes them; in float32 or better where no parameter says so."""
    module = network.network if isinstance(network, Remembered) else network
    dtype = floating_type(module) if isinstance(module, nn.Module) else None
    if dtype is None:
        dtype = torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype
    return x if x.dtype is dtype else x.to(dtype)


def scores_of(output: object) -> tuple[Tensor, ...]:
    """Every critic's scores in what a critic returned, the one rule of losses, penalties and diagnostics.

    Args:
        output: A tensor is one critic's scores ``[batch, ...]``; a list or tuple of tensors is one per critic.

    Returns:
        One tensor per critic.

    Raises:
        UserError: Anything else, such as a tuple of which one part looks like features beside scores: of another number
            of rows, or with more columns or channels than scores have. Which part of it is the score is not guessed:
            say it with ``View(..., scores=...)``. A list is one tensor per critic, whatever their shapes.
    """
    if isinstance(output, Tensor) and output.is_floating_point():
        return (output,)
    parts = tuple(output) if isinstance(output, (list, tuple)) else ()
    if parts and all(isinstance(part, Tensor) and part.is_floating_point() for part in parts):
        if isinstance(output, tuple) and _with_features(parts):
            shapes = " and ".join(str(list(part.shape)) for part in parts[:4])
            raise UserError(
                f"Expected a tuple with the scores of one critic in each part, got shapes {shapes}, of which one looks "
                "like features; say which part is the score: View(critic, scores=lambda out: out[0]), or return a list "
                "if each is a critic's scores."
            )
        return parts
    raise UserError(
        "Expected scores as a tensor in floating point, or as a list or tuple with one such tensor per critic, got "
        f"{described(output)}; say which part is the score: View(critic, scores=lambda out: {_pick(output)})."
    )


def _with_features(parts: tuple[Tensor, ...]) -> bool:
    """Whether a part has other rows than the rest, or many columns or channels where another has a single one."""
    wide = [part.dim() > 1 and part.shape[1] > (_COLUMNS if part.dim() == 2 else _CHANNELS) for part in parts]
    single = any(part.dim() < 2 or part.shape[1] == 1 for part in parts)
    return len({part.shape[:1] for part in parts}) > 1 or (single and any(wide))


def samples_of(output: object) -> Tensor:
    """The samples in what a generator returned, which must be one tensor.

    Raises:
        UserError: It is something else, such as images with their latents.
    """
    if isinstance(output, Tensor):
        return output
    raise UserError(
        f"Expected samples as one tensor from the generator, got {described(output)}; say which part they are: "
        f"View(generator, scores=lambda out: {_pick(output)})."
    )


def described(output: object) -> str:
    """The kind of an output in a few words, for errors."""
    if isinstance(output, Tensor):
        return f"a tensor of {output.dtype}"
    if isinstance(output, dict):
        return f"a {type(output).__name__} with {', '.join(map(repr, list(output)[:4])) or 'nothing'}"
    if isinstance(output, (list, tuple)):
        return f"a {type(output).__name__} of {', '.join(type(part).__name__ for part in output[:4]) or 'nothing'}"
    return f"a {type(output).__name__}"


def _pick(output: object) -> str:
    return f"out[{next(iter(output))!r}]" if isinstance(output, dict) and output else "out[0]"


def rows_of(critic: object) -> int:
    """How many rows of samples share one row of scores."""
    while not isinstance(critic, View):
        if isinstance(critic, Remembered):
            critic = critic.network
            continue
        inside: Any = critic._modules if isinstance(critic, nn.Module) else {}
        if isinstance(critic, torch.jit.ScriptModule):  # wraps nothing of ours, and its dict is none
            return 1
        inner = inside.get("module") if isinstance(critic, _WRAPPERS) else inside.get("_orig_mod")
        if inner is None:
            return 1
        critic = inner
    return critic.rows


def module_of(critic: object) -> nn.Module | None:
    """The module behind a critic or generator, a ``ModuleList`` where a function calls several; None if none."""
    if isinstance(critic, Remembered):
        return module_of(critic.network)
    if isinstance(critic, View):
        return module_of(critic.module)
    if isinstance(critic, nn.Module):
        return critic
    held = modules_of(critic)
    return nn.ModuleList(held) if len(held) > 1 else module_of(held[0]) if held else None


def modules_of(*things: object) -> tuple[nn.Module, ...]:
    """Every module that a call of these reaches: modules themselves, and those that functions hold.

    Looked into are closures, defaults, ``partial``, bound methods, callable objects, lists and dicts, and the global
    names and attributes that a function's own code mentions. Nothing is executed.
    """
    if len(things) == 1:  # by far the most frequent ones, at every step
        only = things[0].network if isinstance(things[0], Remembered) else things[0]
        if isinstance(only, nn.Module) and not isinstance(only, View):
            return (only,)
    return tuple(reached_by(things, lambda thing: isinstance(thing, nn.Module)))


def reached_by(things: Iterable[object], wanted: Callable[[object], bool]) -> list[Any]:
    """What is wanted of all that a call of these reaches, each once; not looked into, unless it is a view."""
    found: dict[int, Any] = {}
    _each(things, frozenset(), _Search(wanted, found, set()))
    return list(found.values())


def replicas_of(*things: object) -> list[nn.parallel.DistributedDataParallel]:
    """Every ``DistributedDataParallel`` that a call of these reaches, also inside other modules or a compiled one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return []  # it cannot be made without a group
    inner = (module for held in modules_of(*things) for module in held.modules())
    return [module for module in inner if isinstance(module, nn.parallel.DistributedDataParallel)]


class _Search(NamedTuple):
    wanted: Callable[[object], bool]
    found: dict[int, Any]
    seen: set[int]


def _look(thing: Any, names: frozenset[str], search: _Search) -> None:
    """Collect what ``thing`` holds; of an object, those attributes that the calling code names."""
    if search.wanted(thing):
        if id(thing) not in search.found:
            search.found[id(thing)] = thing
            if isinstance(thing, View):
                _each((thing.call, thing.scores, thing.module), names, search)
        return
    if thing is None or id(thing) in search.seen or isinstance(thing, (Tensor, ModuleType, type, str)):
        return
    search.seen.add(id(thing))
    if isinstance(thing, Remembered):
        _look(thing.network, names, search)
    elif isinstance(thing, partial):
        _each((thing.func, *thing.args, *thing.keywords.values()), names, search)
    elif isinstance(thing, MethodType):
        _look(thing.__func__, names, search)
        _look(thing.__self__, names | names_of(thing.__func__), search)
    elif isinstance(thing, BuiltinMethodType):
        _look(thing.__self__, names, search)
    elif isinstance(thing, FunctionType):
        _each(reached(thing), names_of(thing), search)
    elif (inside := within(thing)) is not None:
        _each(inside, names, search)
    else:
        _each(attributes(thing, names), names, search)


def _each(things: Iterable[Any], names: frozenset[str], search: _Search) -> None:
    for thing in things:
        _look(thing, names, search)
