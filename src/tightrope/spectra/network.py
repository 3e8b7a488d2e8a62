"""The spectra of all layers of a network, each at the input size it really meets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing import rich
from tightrope._plumbing.checks import check_module, check_number, check_whole, refuse_frozen_code
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import module_of, undisturbed
from tightrope.autodiff.call import called
from tightrope.constraints import constrained_layers
from tightrope.layers.at_work import observe
from tightrope.layers.find import find_layers
from tightrope.layers.kernel import Layer
from tightrope.spectra.kernel import condition_number, effective_rank, kernel_singular_values, stable_rank
from tightrope.spectra.layer import Spectrum, map_of, map_spectrum
from tightrope.spectra.operator import OperatorNorm, map_norm


@dataclass(frozen=True)
class LayerSpectrum:
    """One layer at one input size.

    Attributes:
        name: Qualified name of the layer.
        kind: Its class, for example ``"Conv2d"``.
        input_shape: Without the batch.
        kernel: Singular values of the kernel matrix, descending.
        operator: Singular values of the layer as a linear map, where asked for.
        norm: Its operator norm between proven bounds.
        constraint: What constrains the weight, in words; empty for a plain one.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    kernel: Tensor
    operator: Spectrum | None
    norm: OperatorNorm
    constraint: str

    @property
    def kernel_norm(self) -> float:
        """Largest singular value of the kernel matrix."""
        return float(self.kernel[0])

    @property
    def stable_rank(self) -> float:
        """Of the kernel matrix."""
        return float(stable_rank(self.kernel))

    @property
    def effective_rank(self) -> float:
        """Of the kernel matrix."""
        return float(effective_rank(self.kernel))

    @property
    def condition_number(self) -> float:
        """Of the kernel matrix itself, not of its Gram matrix."""
        return float(condition_number(self.kernel))


class LayerSpectra(list[LayerSpectrum]):
    """One entry per layer and distinct input size, and what is missing among them.

    Attributes:
        not_understood: Weights with two axes or more that the forward may use and no entry tells of, or not the whole,
            each with the reason, by name; empty if there are none.
    """

    def __init__(self, found: Iterable[LayerSpectrum] = (), not_understood: Mapping[str, str] | None = None) -> None:
        super().__init__(found)
        self.not_understood = dict(not_understood or {})

    def _repr_html_(self) -> str:
        """As a notebook shows them: both norms of every layer, and what is missing."""
        rows = [
            (
                s.name or "(itself)",
                f"{s.kind} of {'×'.join(map(str, s.input_shape))}: kernel norm {rich.number(s.kernel_norm)}, operator "
                f"norm {rich.number(s.norm.value)} ({s.norm.lower:.4g} to {s.norm.upper:.4g}), stable rank "
                f"{s.stable_rank:.1f} of {s.kernel.numel()}",
            )
            for s in self
        ]
        missing = [f"not understood: {name} {why}" for name, why in self.not_understood.items()]
        return rich.table("Layers as linear maps", rows, missing)


def layer_spectra(
    network: nn.Module,
    *sample: Tensor,
    complete: bool = True,
    memory_limit_bytes: int = 2**27,
    tolerance: float | None = None,
) -> LayerSpectra:
    """Spectra of every layer that one forward on ``sample`` reaches, in the order of ``named_modules``.

    Args:
        network: Any module, or a :class:`~tightrope.View` of one, left exactly as found.
        *sample: Arguments of one call, for example ``x [batch, channels, height, width]``; the batch may be 1.
        complete: Also all singular values of each layer as a linear map, where they fit the memory limit; operator
            norms come in any case.
        memory_limit_bytes: See :func:`~tightrope.spectra.singular_values`.
        tolerance: To what residual the norms of layers too large to decompose are iterated, see
            :func:`~tightrope.spectra.operator_norm`; None for what a fraction of a second gives, usually within 0.1 %
            of the truth from below. The bounds are proven in any case, and the residual says how far it came.

    Returns:
        One entry per layer and distinct input size, that of a weight used as its layer would use it included; and in
        ``not_understood`` the weights that work in another way.

    Raises:
        UserError: The network has no layer that the forward reaches.

    **Cost**: 4 to 5 s of one core for the largest period critic of HiFi-GAN on 8,192 samples.

    Example:
        >>> from tightrope import constraints, spectra
        >>> critic = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 1))
        >>> for layer in spectra.layer_spectra(constraints.orthogonal(critic), torch.randn(1, 1, 4, 4)):
        ...     print(layer.name, layer.kind, layer.input_shape, f"{layer.kernel_norm:.3f}", f"{layer.stable_rank:.2f}")
        0 Conv2d (1, 4, 4) 1.000 4.00
        2 Linear (64,) 1.000 1.00
    """
    given, network = network, module_of(network) or network
    check_module(network)
    if not sample or not all(isinstance(one, Tensor) for one in sample):
        got = ", ".join(type(one).__name__ for one in sample) or "none"
        raise UserTypeError(f"Expected a sample as a tensor [batch, *shape], got {got}; pass one batch of inputs.")
    if memory_limit_bytes < 0:
        raise UserError(f"Expected memory_limit_bytes >= 0, got {memory_limit_bytes}; 2**27 is the default.")
    if tolerance is not None:
        check_number("tolerance", tolerance, 1e-5)
    refuse_frozen_code(network, "spectra of its layers")
    layers = find_layers(network)
    with undisturbed(network):
        work = observe(network.eval(), lambda: called(given, *(one.clone() for one in sample), who="network"))
    words = constrained_layers(network)
    found = [
        _one(name, layer, shape, memory_limit_bytes if complete else None, tolerance, words.get(name, ""))
        for name, layer in layers.items()
        for shape in work.shapes.get(name, [])
    ]
    if not found:
        raise UserError(
            "expected a network whose forward reaches a Linear, Conv or Embedding layer, got none"
            + "".join(f"; {name} {why}" for name, why in work.not_understood.items())
        )
    return LayerSpectra(found, work.not_understood)


def _one(
    name: str, layer: Layer, shape: tuple[int, ...], limit: int | None, tolerance: float | None, constraint: str
) -> LayerSpectrum:
    kernel = kernel_singular_values(layer)
    of, weight = map_of(layer, shape)
    operator, run = (None, None) if limit is None else map_spectrum(of, weight, limit)
    if operator is not None and operator.complete:
        top, error = float(operator.values[0]), operator.error
        norm = OperatorNorm(top, top - error, top + error, 0.0, operator.way)
    else:
        norm = map_norm(of, weight, tolerance, run)
    return LayerSpectrum(name, type_name(layer), shape, kernel, operator, norm, constraint)


def type_name(layer: nn.Module) -> str:
    """Class name without the prefix that parametrisation adds."""
    return type(layer).__name__.removeprefix("Parametrized")


def table(spectra: list[LayerSpectrum]) -> str:
    """Aligned text, one line per layer: both norms, ranks, condition number, and how the spectrum was found.

    A line for every weight that was not understood follows.
    """
    head = ("layer", "kind", "input", "kernel norm", "operator norm", "bounds", "stable rank", "condition", "way")
    rows = [head]
    for s in spectra:
        bounds = f"[{s.norm.lower:.4g}, {s.norm.upper:.4g}]"
        size = "x".join(map(str, s.input_shape))
        rank = f"{s.stable_rank:.1f}/{s.kernel.numel()}"
        way = s.operator.way if s.operator is not None else s.norm.way
        row = (s.name or "(itself)", s.kind, size, f"{s.kernel_norm:.4g}", f"{s.norm.value:.4g}", bounds, rank)
        rows.append((*row, f"{s.condition_number:.3g}", way))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    missing = spectra.not_understood if isinstance(spectra, LayerSpectra) else {}
    return "\n".join(lines + [f"not understood: {name} {why}" for name, why in missing.items()])


@torch.no_grad()
def evenly_picked(values: Tensor, most: int = 32) -> Tensor:
    """At most ``most`` of the values, the first and the last among them, evenly spread over their order."""
    check_whole("most", most, 0, 32)
    if values.dim() != 1:
        raise UserError(f"Expected values [n], got shape {list(values.shape)}; flatten them.")
    if values.numel() <= most:
        return values
    index = torch.linspace(0, values.numel() - 1, most).round().long()
    return values[index.to(values.device)]
