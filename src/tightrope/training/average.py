"""Exponential moving average of the generator: parameters and batch statistics, with its half-life in images."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.spectral_norm import SpectralNorm as OldSpectralNorm

from tightrope._plumbing.checks import check_module, is_sharded, refuse_frozen_code, refuse_sharded
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import modules_in
from tightrope.constraints._normalise import fingerprint
from tightrope.constraints._transforms import plain
from tightrope.layers.torch_own import copied, hooks_of
from tightrope.linalg import block_matvec, top_singular_pair

_STATISTICS = ("running_mean", "running_var")
_HALF = (torch.float16, torch.bfloat16)


def averaged_copy(generator: nn.Module) -> nn.Module:
    """A copy of ``generator`` in eval mode that takes no gradients, to be moved by :func:`update_average_`.

    Half-precision tensors become float32, since small steps of an average would be rounded away; such a copy takes
    latents of half precision, too. In evaluation mode, layers under a spectral norm, ours or torch's, are divided by
    the largest singular value of the averaged weight itself.

    **Cost**: in evaluation mode one pass over each such weight per use, and an eigendecomposition of its smaller side
    whenever it has changed (for our ``norm="operator"``, Lanczos).
    """
    check_module(generator, "generator")
    refuse_sharded(generator, "a copy that is averaged")
    refuse_frozen_code(generator, "a copy that is averaged", exported=False)
    average = copied(generator)
    for module in average.modules():  # each, since a wrapper or the network itself may narrow what it hands on
        own = (*module.parameters(recurse=module is average), *module.buffers(recurse=module is average))
        if any(t.dtype in _HALF for t in own):
            module.register_forward_pre_hook(_widened, with_kwargs=True)
    average._apply(lambda t: t.float() if t.dtype in _HALF else t)
    for p in average.parameters():
        p.requires_grad_(False)
    for module in average.modules():
        for constraint in (module, *hooks_of(module).values()):
            if type(constraint) in _SETTLED:
                constraint.__class__ = _SETTLED[type(constraint)]
    return average.eval()


def _widened(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def wide(x: Any) -> Any:
        return x.float() if isinstance(x, Tensor) and x.dtype in _HALF else x

    return tuple(map(wide, given)), {name: wide(x) for name, x in named.items()}


def decay_for(images: int, images_seen: int, *, half_life_images: float, ramp_up: float | None = 0.05) -> float:
    """Decay over ``images`` images: ``0.5 ** (images / half_life)``.

    Args:
        images: Real images since the last update.
        images_seen: Real images seen so far; early in training the half-life is at most ``ramp_up`` of it.
        half_life_images: Half-life; 0 means no averaging.
        ramp_up: Share of ``images_seen`` that caps the half-life, None for no cap.

    Source: Karras et al. 2020 (1912.04958), half-life; its code, ramp-up 0.05.
    """
    half_life = half_life_images if ramp_up is None else min(half_life_images, ramp_up * images_seen)
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0


@torch.no_grad()
def update_average_(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Move ``average`` towards ``generator`` in place: ``average <- decay * average + (1 - decay) * generator``.

    Parameters and batch statistics (buffers ``running_mean`` and ``running_var``) are averaged; every other buffer is
    copied, since the mean of two counters, tables or unit vectors is none.

    Args:
        average: From :func:`averaged_copy`.
        generator: The network being trained, of the same structure.
        decay: Share of the average that stays, in [0, 1].

    Raises:
        UserError: ``decay`` is outside [0, 1], the two networks differ, or the average is in half precision, where it
            would stand still.
    """
    if not 0 <= decay <= 1:
        raise UserError(f"Expected a decay in [0, 1], got {decay}; 0 copies the generator and 1 keeps the average.")
    whole = [not is_sharded(network) for network in (average, generator)]
    if whole[0] != whole[1]:
        refuse_sharded(generator if whole[0] else average, "an average beside whole ones")
    (targets, means), (sources, _) = _with_means(average), _with_means(generator)
    if len(targets) != len(sources) or any(t.shape != s.shape for t, s in zip(targets, sources, strict=True)):
        raise UserError(
            "Expected an average of the generator's own structure, got other parameters or buffers; build it by "
            "averaged_copy(generator) after constraining the generator."
        )
    averaged: tuple[list[Tensor], list[Tensor]] = ([], [])
    other: tuple[list[Tensor], list[Tensor]] = ([], [])
    for target, source in zip(targets, sources, strict=True):
        dtype = target.dtype
        if id(target) not in means or not (dtype.is_floating_point or dtype.is_complex):
            other[0].append(target)
            other[1].append(source)
            continue
        if dtype in _HALF and 0 < decay < 1:
            raise UserError(
                f"Expected an average in float32, got {dtype}, in which small steps are rounded away; build it by "
                "averaged_copy(generator)."
            )
        averaged[0].append(target)
        averaged[1].append(source if source.dtype is dtype else source.to(dtype))
    if averaged[0]:
        torch._foreach_lerp_(*averaged, 1 - decay)
    if other[0]:
        torch._foreach_copy_(*other)


def _with_means(network: nn.Module) -> tuple[list[Tensor], set[int]]:
    """Parameters and buffers, and the ids of those that have a mean: parameters and batch statistics."""
    tensors: dict[int, Tensor] = {}
    modules = modules_in(network)
    for module in modules:
        for p in module._parameters.values():
            if p is not None:
                tensors[id(p)] = p
    means = set(tensors)
    for module in modules:
        for name, buffer in module._buffers.items():
            if buffer is not None:
                tensors[id(buffer)] = buffer
                if name in _STATISTICS:
                    means.add(id(buffer))
    return list(tensors.values()), means


_SIGMAS: WeakKeyDictionary[Any, tuple[tuple[object, ...], Tensor]] = WeakKeyDictionary()


def _largest(owner: Any, matrix: Tensor) -> Tensor:
    """Largest singular value of a matrix; found anew whenever the matrix has changed."""
    key = fingerprint(matrix).item(), matrix.dtype, matrix.device
    kept = _SIGMAS.get(owner)
    if kept is None or kept[0] != key:
        sigma = matrix.sum() * torch.nan
        if bool(torch.isfinite(matrix).all()):
            u, v = top_singular_pair(matrix[None])
            sigma = torch.dot(u, block_matvec(matrix[None], v))
        kept = _SIGMAS[owner] = key, sigma
    return kept[1]


class _SettledNorm(parametrizations._SpectralNorm):
    """Torch's spectral norm, which in evaluation mode trusts vectors that are not those of an averaged weight."""

    def forward(self, weight: Tensor) -> Tensor:
        if self.training or weight.dim() == 1 or not plain(weight):
            return super().forward(weight)
        return weight / _largest(self, self._reshape_weight_to_matrix(weight).detach()).clone()


class _SettledHook(OldSpectralNorm):
    """The same of torch's older hook."""

    def compute_weight(self, module: nn.Module, do_power_iteration: bool) -> Tensor:
        weight: Tensor = getattr(module, self.name + "_orig")
        if do_power_iteration or not plain(weight):
            return super().compute_weight(module, do_power_iteration)
        return weight / _largest(self, self.reshape_weight_to_matrix(weight).detach()).clone()


_SETTLED: dict[type, type] = {parametrizations._SpectralNorm: _SettledNorm, OldSpectralNorm: _SettledHook}
