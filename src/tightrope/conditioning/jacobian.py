"""The generator's Jacobian with respect to its latents, by forward mode, in pieces that fit a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from tightrope._plumbing.checks import check_number, check_samples, refuse_frozen_code
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import View, modules_of, samples_of, twice_differentiable, undisturbed
from tightrope.autodiff.call import called
from tightrope.autodiff.guard import unwritten
from tightrope.autodiff.types import Generator
from tightrope.layers.find import find_batch_norm

Mode = Literal["auto", "forward", "reverse"]

MEMORY = 2**28
"""Bytes of activations that one piece of the work may take, by default."""


def jacobian(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    labels: Tensor | None = None,
    mode: Mode = "auto",
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Jacobian of the generator at each latent: ``J[b, i, j]`` is the derivative of output ``i`` in latent ``j``.

    A module is evaluated in eval mode, so that batch normalisation uses its running statistics and each sample depends
    on its own latent alone; it is left exactly as found. A plain function must treat samples independently.

    Source: Odena et al. 2018 (1802.08768), section 2, ``J_z``.
    Departures: forward mode, one column per latent, where the public code of the time makes one reverse pass per
    output; the values are the same.
    Cost: for DCGAN-32 and 128 latents about 1.3 forwards of a batch of 128 per latent vector; reverse mode costs more
    than ten times as much (``docs/results/bench/conditioning.json``).

    Args:
        generator: Maps ``[n, latent]`` (and labels ``[n]``) to ``[n, *shape]``.
        z: Latents ``[batch, latent]``, or of any other shape ``[batch, *latent_shape]``, such as images; they count
            flattened.
        labels: Classes ``[batch]`` of a conditional generator.
        mode: ``"forward"``; ``"reverse"``, one pass per output, for modules without forward-mode derivatives; or
            ``"auto"``: forward, and reverse where forward fails.
        dtype: Evaluate the module with parameters, buffers and latents of this type, for example ``torch.float64``;
            its own if None.
        memory: Bytes of activations per piece, roughly.

    Returns:
        ``[batch, outputs, latent]``, outputs flattened.

    Raises:
        UserError: ``z`` has no latent axis, or batch normalisation has no running statistics to use.
    """
    pieces = list(jacobians(generator, z, labels=labels, mode=mode, dtype=dtype, memory=memory))
    return torch.cat(pieces)


def jacobians(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    labels: Tensor | None = None,
    mode: Mode = "auto",
    dtype: torch.dtype | None = None,
    memory: int = MEMORY,
) -> Iterator[Tensor]:
    """:func:`jacobian` of a few latents at a time, ``[some, outputs, latent]``, so that spectra never need them all.

    Arguments, and what is raised, as for :func:`jacobian`. The generator is undisturbed while a piece is in the
    caller's hands, too.
    """
    _check_latents(z)
    if z.dim() < 2 or not z.numel():
        raise UserError(
            f"Expected latents of shape [batch, latent] or [batch, *latent_shape], got {list(z.shape)}; give one row "
            "per sample."
        )
    check_type(dtype)
    check_number("memory", memory, MEMORY)
    if mode not in ("auto", "forward", "reverse"):
        raise UserError(f"Expected mode auto, forward or reverse, got {mode!r}; auto chooses.")
    if labels is not None:
        check_labels(labels, len(z))
        generator = View(generator, labels=labels)
    shape = tuple(z.shape[1:])
    z = z.detach().flatten(1) if dtype is None else z.detach().flatten(1).to(dtype)
    at_once, columns = _plan(generator, z, shape, dtype, memory)
    for start in range(0, len(z), at_once):
        rows = slice(start, start + at_once)
        with evaluated(_rows_of(generator, rows), dtype=dtype, shape=shape) as function:
            piece = _one(function, z[rows], mode, columns)
        yield piece


def _rows_of(generator: Generator | nn.Module, rows: slice) -> Generator | nn.Module:
    """The generator for some of the latents: with their labels, where it has labels."""
    return generator.with_labels(lambda labels: labels[rows]) if isinstance(generator, View) else generator


def _one(function: Generator, z: Tensor, mode: Mode, columns: int) -> Tensor:
    if mode == "reverse":
        return _reverse(function, z)
    try:
        return _forward(function, z, columns)
    except RuntimeError as error:
        if mode == "forward" or not lacks_forward_mode(error):
            raise
        return _reverse(function, z)


def _check_latents(z: Any) -> None:
    check_samples(z, "latents", shape="[batch, latent] or [batch, *latent_shape]")
    if not bool(z.isfinite().all()):
        raise UserError("Expected finite latents, got NaN or infinity, of which every gain would be none; remove them.")


def check_type(dtype: Any) -> None:
    """Refuse what is no floating type of torch.

    Raises:
        UserTypeError: It is neither one nor None.
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise UserTypeError(f"Expected dtype as a floating type of torch, got {dtype!r}; torch.float64 is exact.")


def check_labels(labels: Any, count: int) -> None:
    """Refuse what is not one label per latent.

    Raises:
        UserError: It is no tensor, or of another length.
    """
    if not isinstance(labels, Tensor) or not labels.dim() or len(labels) != count:
        got = list(labels.shape) if isinstance(labels, Tensor) else f"a {type(labels).__name__}"
        raise UserError(f"Expected labels as a tensor with one per latent, {count}, got {got}; pass those of z.")


def one_latent(z: Tensor) -> Tensor:
    """One latent as a batch ``[1, *latent_shape]``, from ``[latent]`` or from such a batch.

    Raises:
        UserError: It is a batch of several.
    """
    _check_latents(z)
    if z.dim() == 1:
        return z.detach()[None]
    if not z.dim() or len(z) != 1:
        raise UserError(f"Expected one latent [latent] or [1, *latent_shape], got {list(z.shape)}; give one row.")
    return z.detach()


def lacks_forward_mode(error: RuntimeError) -> bool:
    """Whether torch says that something has no forward derivative or cannot be mapped over columns.

    Anything else, such as memory running out or shapes that do not fit, is an error of its own: falling back to
    reverse mode would hide it, or take minutes without a word.
    """
    reasons = ("forward AD", "forward mode", "functorch", "vmap")
    return isinstance(error, NotImplementedError) or any(reason in str(error) for reason in reasons)


@contextmanager
def evaluated(
    generator: Generator | nn.Module,
    labels: Tensor | None = None,
    dtype: torch.dtype | None = None,
    shape: tuple[int, ...] = (),
) -> Iterator[Generator]:
    """The generator as a smooth function of its latents: eval mode, labels bound, nothing disturbed afterwards.

    With a ``shape``, latents come flat ``[n, latent]`` and are brought into it.

    Yields:
        The function.

    Raises:
        UserError: Batch normalisation without running statistics couples the samples even in eval mode, or, at a call,
            the network writes into its parameters.
    """
    if labels is not None:
        generator = View(generator, labels=labels)
    networks = modules_of(generator)
    for network in networks:
        refuse_frozen_code(network, "its Jacobian")
        _refuse_batch_statistics(network)
    bound: Callable[[Tensor], Any] = generator if dtype is None or not networks else _in_type(generator, dtype)

    def function(z: Tensor) -> Tensor:
        point = (z.reshape(z.shape[0], *shape) if len(shape) > 1 else z).clone()  # for generators that write into it
        with unwritten(*networks):
            samples = samples_of(called(bound, point, who="generator", what="latents"))
        return samples if samples.dim() > 1 else samples[:, None]

    with undisturbed(*networks), twice_differentiable():
        for network in networks:
            network.eval().requires_grad_(False)
        yield function


def _refuse_batch_statistics(network: nn.Module) -> None:
    for name in find_batch_norm(network):
        if getattr(network.get_submodule(name), "running_mean", None) is None:
            raise UserError(
                f"Expected batch normalisation with running statistics, got none at {name!r}, which couples the "
                "samples in eval mode too; set track_running_stats=True."
            )


class _Calls(nn.Module):
    """A call of a generator as a module that owns everything the call reaches."""

    def __init__(self, generator: Generator | nn.Module) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules_of(generator))
        self._call = partial(lambda function, z: function(z), generator)

    def forward(self, z: Tensor) -> Any:
        return self._call(z)


def _in_type(generator: Generator | nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Any]:
    """The generator with parameters and buffers of another type, while its own stay as they are."""
    whole = _Calls(generator)
    everything = {**dict(whole.named_parameters()), **dict(whole.named_buffers())}
    state = {name: t.detach().to(dtype) for name, t in everything.items() if t.is_floating_point()}
    return lambda z: torch.func.functional_call(whole, state, (z,))


def _forward(function: Generator, z: Tensor, columns: int) -> Tensor:
    """All samples share one tangent per column: each output depends on its own latent alone."""
    basis = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)

    def column(direction: Tensor) -> Tensor:
        moved: Tensor = torch.func.jvp(function, (z,), (direction.expand_as(z),))[1]
        return moved.flatten(1)

    parts = []
    random = torch.get_rng_state()  # a generator with noise inputs sees the same noise in every part
    with torch.no_grad():
        for chunk in basis.split(columns):
            torch.set_rng_state(random)
            parts.append(torch.func.vmap(column, randomness="same")(chunk))
    return torch.cat(parts).permute(1, 2, 0)


def _reverse(function: Generator, z: Tensor) -> Tensor:
    """One reverse pass per output, for all samples at once."""
    with torch.enable_grad():
        z = z.clone().requires_grad_()
        flat = function(z).flatten(1).sum(0)
        rows = [
            torch.autograd.grad(output, z, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
            for output in flat
        ]
    return torch.stack(rows, 1).detach()


def _plan(
    generator: Generator | nn.Module, z: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None, memory: int
) -> tuple[int, int]:
    """How many samples, and how many columns of each, fit the budget: three of the largest activations per column."""
    largest = z.shape[1]

    def look(module: nn.Module, given: Any, output: Any) -> None:
        nonlocal largest

        def measure(tensor: Tensor) -> Tensor:
            nonlocal largest
            largest = max(largest, tensor.numel())
            return tensor

        tree_map_only(Tensor, measure, output)

    for network in modules_of(generator):
        refuse_frozen_code(network, "its Jacobian")
    hooks = [m.register_forward_hook(look) for network in modules_of(generator) for m in network.modules()]
    try:
        with evaluated(_rows_of(generator, slice(1)), dtype=dtype, shape=shape) as function, torch.no_grad():
            largest = max(largest, function(z[:1]).numel())
    finally:
        for hook in hooks:
            hook.remove()
    fits = max(1, int(memory // (3 * largest * z.element_size())))
    columns = min(z.shape[1], fits)
    return max(1, fits // z.shape[1]), columns


def pushed_forward(
    generator: Generator | nn.Module,
    z: Tensor,
    direction: Tensor,
    *,
    labels: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """``J_z d`` for each sample: ``[batch, *shape]`` from latents and directions ``[batch, *latent_shape]``."""
    _check_latents(z)
    if not isinstance(direction, Tensor) or direction.shape != z.shape or not direction.is_floating_point():
        got = list(direction.shape) if isinstance(direction, Tensor) else f"a {type(direction).__name__}"
        raise UserError(f"Expected a direction for each latent, of shape {list(z.shape)}, got {got}; pass such.")
    direction = direction.to(z)
    with evaluated(generator, labels, dtype) as function:
        return product(function)(z.detach(), direction)


def product(function: Generator) -> Callable[[Tensor, Tensor], Tensor]:
    """``(z, d) -> J_z d``, by forward mode, or by two reverse passes where there is none."""

    def apply(z: Tensor, direction: Tensor) -> Tensor:
        try:
            with torch.no_grad():
                moved: Tensor = torch.func.jvp(function, (z,), (direction,))[1]
            return moved
        except RuntimeError as error:
            if not lacks_forward_mode(error):
                raise
            doubled: Tensor = torch.autograd.functional.jvp(function, z, direction)[1]
            return doubled

    return apply
