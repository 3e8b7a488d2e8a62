"""Which weights a forward computes with, and how: layers that are called, weights used without calling their layer.

``F.conv2d(x, self.layer.weight, ...)`` is as good as a call where its settings are the layer's own. What is used in any
other way is named, so that nobody takes what was said of the others for the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tightrope.autodiff import frozen_constraints
from tightrope.autodiff.guard import computed_once
from tightrope.layers.kernel import LAYERS, TRANSPOSED
from tightrope.layers.torch_own import raw_parameters

_PARTS = ("_conv_forward", "_output_padding")  # what a convolution's forward calls
_CONVOLVE = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSE = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_DEFAULTS = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}


@dataclass
class Work:
    """What one forward did.

    Attributes:
        shapes: Input shapes without the batch by layer, distinct and in order; layers that did not work are missing.
        not_understood: Weights that worked in another way than their layer does, or that no layer holds, in words.
    """

    shapes: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    not_understood: dict[str, str] = field(default_factory=dict)

    def met(self, name: str, x: Tensor) -> None:
        """A layer worked on an input."""
        seen, shape = self.shapes.setdefault(name, []), tuple(x.shape[1:])
        if shape not in seen:
            seen.append(shape)


def runs(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> bool:
    """Whether a call of the module runs exactly the code of one of these classes."""
    known = next((c for c in classes if isinstance(module, c)), None)
    if known is None or type(module).__call__ is not nn.Module.__call__:
        return False
    own = ("forward", *_PARTS)
    return not any(name in vars(module) for name in own) and all(
        getattr(type(module), name, None) is getattr(known, name, None) for name in own
    )


def other_weights(network: nn.Module) -> dict[str, str]:
    """Parameters of two axes or more that are no layer's weight, by qualified name, each with the class that holds it.

    These are the weights that spectra and constraints do not see.
    """
    layers = [module for module in network.modules() if isinstance(module, LAYERS)]
    of_layers = {id(p) for layer in layers for p in raw_parameters(layer, "weight")}
    return {
        f"{name}.{key}".lstrip("."): type(module).__name__
        for name, module in network.named_modules()
        for key, p in module.named_parameters(recurse=False)
        if p.dim() >= 2 and id(p) not in of_layers
    }


def observe(network: nn.Module, call: Callable[[], Any]) -> Work:
    """Watch ``call()`` run the network once, in evaluation mode and without gradients, which the caller sees to."""
    work, own = Work(), Work()
    layers = {name: m for name, m in network.named_modules() if isinstance(m, LAYERS)}
    with frozen_constraints(), torch.no_grad(), computed_once(network):
        watch = _Watch(layers, work)
        handles = []
        for name, layer in layers.items():
            plain = runs(layer, LAYERS)
            handles.append(layer.register_forward_pre_hook(_entered(watch, name, work if plain else own, plain)))
            handles.append(layer.register_forward_hook(_left(watch, plain), always_call=True))
        try:
            with watch:
                call()
        finally:
            for handle in handles:
                handle.remove()
    for name, shapes in own.shapes.items():
        if name not in work.shapes:
            work.shapes[name] = shapes
            work.not_understood[name] = "runs a forward of its own, what is said of it holds for its weight alone"
    for name, held in other_weights(network).items():
        work.not_understood[name] = f"is held by {held}, no Linear, Conv, ConvTranspose or Embedding layer"
    return work


def _entered(watch: _Watch, name: str, into: Work, plain: bool) -> Callable[..., None]:
    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        into.met(name, arguments[0])
        watch.quiet += plain

    return hook


def _left(watch: _Watch, plain: bool) -> Callable[..., None]:
    def hook(*_: Any) -> None:
        watch.quiet -= plain

    return hook


class _Watch(TorchFunctionMode):
    """Sees the functions that get a layer's weight while the layer's own forward is not running."""

    def __init__(self, layers: dict[str, Any], work: Work) -> None:
        super().__init__()
        self.layers, self.work, self.quiet = layers, work, 0
        self.weights = {name: layer.weight for name, layer in layers.items()}  # kept, so that ids stay theirs
        self.names = {id(weight): name for name, weight in self.weights.items()}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self.quiet and not _tells_of_form(result):
            for x in (*args, *kwargs.values()):
                for item in x if isinstance(x, (tuple, list)) else (x,):
                    name = self.names.get(id(item))
                    if name is not None and item is not result:
                        self._used(name, func, args, kwargs)
        return result

    def _used(self, name: str, func: Any, args: Any, kwargs: Any) -> None:
        layer, weight = self.layers[name], self.weights[name]
        given = dict(zip(_TRANSPOSE if isinstance(layer, TRANSPOSED) else _CONVOLVE, args, strict=False)) | kwargs
        if given.get("weight") is weight and _as_the_layer(layer, func, given):
            self.work.met(name, given["input"])
        else:
            how = getattr(func, "__name__", str(func))
            self.work.not_understood[name] = (
                f"works outside its {type(layer).__name__}, in {how}, not as the layer does"
            )


def _tells_of_form(result: Any) -> bool:
    """Whether a function's result is no tensor, as that of ``weight.shape``."""
    return not isinstance(result, (Tensor, tuple, list)) or isinstance(result, torch.Size)


def _as_the_layer(layer: Any, func: Any, given: dict[str, Any]) -> bool:
    if isinstance(layer, nn.Linear):
        return func is functional.linear
    if isinstance(layer, nn.Embedding):
        return func is functional.embedding
    axes = len(layer.kernel_size)
    name = f"conv_transpose{axes}d" if isinstance(layer, TRANSPOSED) else f"conv{axes}d"

    def settings(value: Any) -> Any:
        return value if isinstance(value, str) else (value,) * axes if isinstance(value, int) else tuple(value)

    keys = [key for key in _DEFAULTS if key != "output_padding" or isinstance(layer, TRANSPOSED)]
    return (
        func is getattr(functional, name)
        and layer.padding_mode == "zeros"
        and all(settings(given.get(key, _DEFAULTS[key])) == settings(getattr(layer, key)) for key in keys)
    )
