"""The generator's Jacobian with respect to its latents, by forward mode, in pieces that fit a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import module_of, unbound, undisturbed
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
    than ten times as much (``docs/results/conditioning.json``).

    Args:
        generator: Maps ``[n, latent]`` (and labels ``[n]``) to ``[n, *shape]``.
        z: Latents ``[batch, latent]``.
        labels: Classes ``[batch]`` of a conditional generator.
        mode: ``"forward"``; ``"reverse"``, one pass per output, for modules without forward-mode derivatives; or
            ``"auto"``: forward, and reverse where forward fails.
        dtype: Evaluate the module with parameters, buffers and latents of this type, for example ``torch.float64``;
            its own if None.
        memory: Bytes of activations per piece, roughly.

    Returns:
        ``[batch, outputs, latent]``, outputs flattened.

    Raises:
        UserError: ``z`` is not ``[batch, latent]``, or batch normalisation has no running statistics to use.
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
    if z.dim() != 2 or not z.numel():
        raise UserError(f"Expected latents of shape [batch, latent], got {list(z.shape)}; give one row per sample.")
    if mode not in ("auto", "forward", "reverse"):
        raise UserError(f"Expected mode auto, forward or reverse, got {mode!r}; auto chooses.")
    generator, labels = unbound(generator, labels)
    z = z.detach() if dtype is None else z.detach().to(dtype)
    at_once, columns = _plan(generator, z, labels, dtype, memory)
    for start in range(0, len(z), at_once):
        rows = slice(start, start + at_once)
        some = None if labels is None else labels[rows]
        with evaluated(generator, some, dtype) as function:
            piece = _one(function, z[rows], mode, columns)
        yield piece


def _one(function: Generator, z: Tensor, mode: Mode, columns: int) -> Tensor:
    if mode == "reverse":
        return _reverse(function, z)
    try:
        return _forward(function, z, columns)
    except RuntimeError as error:
        if mode == "forward" or not lacks_forward_mode(error):
            raise
        return _reverse(function, z)


def lacks_forward_mode(error: RuntimeError) -> bool:
    """Whether torch says that something has no forward derivative or cannot be mapped over columns.

    Anything else, such as memory running out or shapes that do not fit, is an error of its own: falling back to
    reverse mode would hide it, or take minutes without a word.
    """
    reasons = ("forward AD", "forward mode", "functorch", "vmap")
    return isinstance(error, NotImplementedError) or any(reason in str(error) for reason in reasons)


@contextmanager
def evaluated(
    generator: Generator | nn.Module, labels: Tensor | None = None, dtype: torch.dtype | None = None
) -> Iterator[Generator]:
    """The generator as a smooth function of its latents: eval mode, labels bound, nothing disturbed afterwards.

    Raises:
        UserError: Batch normalisation without running statistics couples the samples even in eval mode.
    """
    network = module_of(generator)
    if network is None:
        conditional: Callable[..., Tensor] = generator
        with undisturbed():
            yield generator if labels is None else lambda z: conditional(z, labels)
        return
    for name in find_batch_norm(network):
        if getattr(network.get_submodule(name), "running_mean", None) is None:
            raise UserError(
                f"Expected batch normalisation with running statistics, got none at {name!r}, which couples the "
                "samples in eval mode too; set track_running_stats=True."
            )
    _, labels = unbound(generator, labels)
    arguments = () if labels is None else (labels,)
    state: dict[str, Tensor] = {}
    if dtype is not None:
        everything = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        state = {name: t.detach().to(dtype) for name, t in everything.items() if t.is_floating_point()}
    with undisturbed(network):
        network.eval().requires_grad_(False)

        def function(z: Tensor) -> Tensor:
            if state:
                result: Tensor = torch.func.functional_call(network, state, (z, *arguments))
                return result
            called: Tensor = network(z, *arguments)
            return called

        yield function


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
    generator: Generator | nn.Module, z: Tensor, labels: Tensor | None, dtype: torch.dtype | None, memory: int
) -> tuple[int, int]:
    """How many samples, and how many columns of each, fit the budget: three of the largest activations per column."""
    largest, some = z.shape[1], None if labels is None else labels[:1]

    def look(module: nn.Module, given: Any, output: Any) -> None:
        nonlocal largest

        def measure(tensor: Tensor) -> Tensor:
            nonlocal largest
            largest = max(largest, tensor.numel())
            return tensor

        tree_map_only(Tensor, measure, output)

    network = module_of(generator)
    hooks = [m.register_forward_hook(look) for m in network.modules()] if network is not None else []
    try:
        with evaluated(generator, some, dtype) as function, torch.no_grad():
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
    """``J_z d`` for each sample: ``[batch, *shape]`` from latents and directions ``[batch, latent]``."""
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
