"""Spectral normalisation of the kernel matrix, as the paper's algorithm 1, on somebody else's network.

    v <- W^T u / ||W^T u||,   u <- W v / ||W v||          (steps times per optimiser step; u is kept)
    sigma = u^T W v,           W_bar = W / sigma           (u, v constants; the gradient flows through W in both places)

The layer keeps the raw ``W`` for the optimiser; ``layer.weight`` is ``W_bar``, computed on every access.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tightrope._modules import (
    KernelShape,
    constrainable_layers,
    constraints_are_frozen,
    frozen_constraints,
    kernel_shape,
)
from tightrope.linalg import block_add_outer, block_matvec, block_rmatvec, power_step, top_singular_pair, unit

M = TypeVar("M", bound=nn.Module)
Update = Literal["optimizer_step", "forward"]

_BITS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}


def fingerprint(weight: Tensor) -> Tensor:
    """Scalar int64 that changes when the weight does: the sum of its bit patterns modulo 2^32 (2^64 for float64).

    Integer sums do not depend on the order of summation, so the value is the same for any number of threads.
    """
    bits = weight.detach().view(_BITS[weight.element_size()])
    dtype = torch.int64 if bits.dtype == torch.int64 else torch.int32
    return bits.sum(dtype=dtype).to(torch.int64)


def may_write(buffer: Tensor) -> bool:
    """Whether a buffer may be written here: outside functorch transforms, or when it belongs to the innermost one."""
    level = torch._C._functorch.maybe_current_level()
    return level is None or torch._C._functorch.maybe_get_level(buffer) == level


def _normalise(
    W: Tensor, u: Tensor, v: Tensor, shape: KernelShape, bound: float, at_most: bool
) -> tuple[Tensor, Tensor]:
    """``bound W / d`` and ``d``, where ``d = sigma`` or ``max(sigma, bound)``; differentiable in ``W``."""
    if torch.compiler.is_compiling():  # the compiler fuses this itself, and cannot trace a Function with a jvp
        return _formula(W, u, v, shape, bound, at_most)
    W_bar, d = _Normalise.apply(W, u, v, shape, bound, at_most)
    return W_bar, d


def _formula(W: Tensor, u: Tensor, v: Tensor, shape: KernelShape, bound: float, at_most: bool) -> tuple[Tensor, Tensor]:
    sigma = torch.dot(u, block_matvec(shape.matrix(W), v)).clamp(min=1e-12)
    d = sigma.clamp(min=bound) if at_most else sigma
    return W * (bound / d), d


class _Normalise(torch.autograd.Function):
    """``W_bar = bound W / d`` with ``d = sigma`` or ``max(sigma, bound)``, and ``d``; ``u, v`` constants.

    The paper's eq. 12 in one pass over the gradient, where autograd would make four. Differentiable twice.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        W: Tensor, u: Tensor, v: Tensor, shape: KernelShape, bound: float, at_most: bool
    ) -> tuple[Tensor, Tensor]:
        return _formula(W, u, v, shape, bound, at_most)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, u, v, ctx.shape, ctx.bound, ctx.at_most = inputs
        W_bar, d = output
        ctx.save_for_backward(W_bar, d, u, v)
        ctx.save_for_forward(W_bar, d, u, v)

    @staticmethod
    def backward(ctx: Any, g: Tensor, g_d: Tensor) -> tuple[Tensor | None, ...]:
        W_bar, d, u, v = ctx.saved_tensors
        # dL/dW = (bound / d) (G - lambda u v^T), lambda = <G, W_bar> / bound, plus the path through the second output
        rank_one = g_d * (d / ctx.bound) - torch.dot(g.reshape(-1), W_bar.reshape(-1)) / ctx.bound
        if ctx.at_most:
            rank_one = torch.where(d > ctx.bound, rank_one, torch.zeros_like(rank_one))
        matrix = block_add_outer(ctx.shape.matrix(g), rank_one * u, v)
        return ctx.shape.weight(matrix, g.shape).mul_(ctx.bound / d), None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, t: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        W_bar, d, u, v = ctx.saved_tensors
        t_d = torch.dot(u, block_matvec(ctx.shape.matrix(t), v))
        if ctx.at_most:
            t_d = torch.where(d > ctx.bound, t_d, torch.zeros_like(t_d))
        return (ctx.bound * t - W_bar * t_d) / d, t_d


def advance(matrix: Tensor, u: Tensor, v: Tensor, seen: Tensor, rounds: int, always: bool) -> tuple[Tensor, Tensor]:
    """Advance the buffers in place if the matrix changed since ``seen``, and return copies of what they now hold.

    Without a branch on the flag wherever reading it would cost a synchronisation or stop a transform.
    """
    if rounds == 0:
        return u.clone(), v.clone()
    now = fingerprint(matrix)
    moved = torch.ones_like(now, dtype=torch.bool) if always else now != seen
    plain = now.device.type == "cpu" and torch._C._functorch.maybe_current_level() is None
    if plain and not bool(moved):
        return u.clone(), v.clone()
    new_u, new_v = u, v
    for _ in range(rounds):
        new_u, new_v = power_step(matrix, new_u)
    new_u, new_v = torch.where(moved, new_u, u), torch.where(moved, new_v, v)
    u.copy_(new_u)
    v.copy_(new_v)
    seen.copy_(now)
    return new_u, new_v


# Opaque to the compiler, which would otherwise recompute u in the backward from a buffer that has moved on by then.
@torch.library.custom_op("tightrope::kernel_pair", mutates_args=("u", "v", "seen"))
def _kernel_pair(
    matrix: Tensor, u: Tensor, v: Tensor, seen: Tensor, rounds: int, always: bool
) -> tuple[Tensor, Tensor]:
    return advance(matrix, u, v, seen, rounds, always)


@_kernel_pair.register_fake
def _(matrix: Tensor, u: Tensor, v: Tensor, seen: Tensor, rounds: int, always: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(v)


class KernelSpectralNorm(nn.Module):
    """Parametrisation ``W -> bound * W / sigma(W)`` with the state of the power iteration in buffers.

    Buffers: ``u [outputs]``, ``v [inputs * kernel]`` (per group, concatenated) and ``seen``, the fingerprint of the
    weight at the last advance. All of the state is here: loading it reproduces a run bit for bit.
    """

    u: Tensor
    v: Tensor
    seen: Tensor

    def __init__(
        self,
        weight: Tensor,
        shape: KernelShape,
        *,
        steps: int,
        update: Update,
        exact: bool,
        at_most: bool,
        gain: bool,
        bound: float,
        warmup: int,
        rng: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.shape, self.steps, self.update = shape, steps, update
        self.exact, self.at_most, self.bound = exact, at_most, bound
        if not exact:
            self._start(weight, warmup, rng)
        self.gain = nn.Parameter(self._starting_gain(weight)) if gain else None

    @torch.no_grad()
    def _start(self, weight: Tensor, warmup: int, rng: torch.Generator | None) -> None:
        matrix = self.shape.matrix(weight.detach())
        device = rng.device if rng is not None else weight.device
        u = torch.randn(self.shape.groups * self.shape.rows, generator=rng, device=device, dtype=torch.float32)
        u = unit(u.to(weight))
        v = unit(block_rmatvec(matrix, u))
        for _ in range(warmup):
            u, v = power_step(matrix, u)
        self.register_buffer("u", u)
        self.register_buffer("v", v)
        self.register_buffer("seen", fingerprint(weight) + (warmup == 0))

    @torch.no_grad()
    def _starting_gain(self, weight: Tensor) -> Tensor:
        """The gain with which the output is the raw weight."""
        u, v = self._pair(weight)
        _, d = _normalise(weight.detach(), u, v, self.shape, self.bound, self.at_most)
        return d / self.bound

    def forward(self, weight: Tensor) -> Tensor:
        """Normalised weight, same shape."""
        with torch.autocast(weight.device.type, enabled=False):
            u, v = self._pair(weight)
            normalised, _ = _normalise(weight, u, v, self.shape, self.bound, self.at_most)
            return normalised if self.gain is None else self.gain * normalised

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a weight stores it raw; it is normalised when read."""
        return weight

    @torch.no_grad()
    def _pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors to use now, never aliases of the buffers."""
        matrix = self.shape.matrix(weight.detach())
        if self.exact:
            return top_singular_pair(matrix)
        live = self.training and not constraints_are_frozen() and may_write(self.u)
        rounds = self.steps if live else 0
        if torch.compiler.is_compiling() and torch._C._functorch.maybe_current_level() is None:
            pair = torch.ops.tightrope.kernel_pair(matrix, self.u, self.v, self.seen, rounds, self.update == "forward")
            return pair[0], pair[1]
        return advance(matrix, self.u, self.v, self.seen, rounds, self.update == "forward")

    def extra_repr(self) -> str:
        """Settings, for ``print(network)``."""
        how = "exact" if self.exact else f"steps={self.steps}, update={self.update!r}"
        return f"sigma {'<=' if self.at_most else '='} {self.bound:g}, {how}"


def spectral_norm(
    network: M,
    norm: Literal["kernel"] = "kernel",
    *,
    steps: int = 1,
    update: Update = "optimizer_step",
    exact: bool = False,
    at_most: bool = False,
    gain: bool = False,
    bound: float = 1.0,
    warmup: int = 15,
    input_shape: tuple[int, ...] | None = None,
    skip: tuple[str, ...] = (),
    rng: torch.Generator | None = None,
) -> M:
    """Divide the weight of every layer by its largest singular value, in place and removably.

    Call it **before** building the optimiser (a learned gain is a new parameter; without one the order is free).

    Args:
        network: The critic; Linear, Conv1d/2d/3d, ConvTranspose and Embedding layers are normalised.
        norm: ``"kernel"``, the paper's: the weight as ``[outputs, inputs * kernel]``, one block per group.
        steps: Power-iteration rounds per advance.
        update: When ``u`` advances in training mode. ``"optimizer_step"``: at the first use after the weight changed,
            so that real, fake and penalty forwards of one step see the same weights. ``"forward"``: at each use.
        exact: Largest singular pair by a float64 eigendecomposition at each use; no state, no iteration error.
        at_most: Divide by ``max(1, sigma / bound)``, so that smaller layers are left alone.
        gain: Learn one scalar per layer that multiplies the result, starting where the output is unchanged.
            The network is then no longer Lipschitz-bounded by this constraint.
        bound: The value that sigma is brought to.
        warmup: Rounds at construction, so that the first step already sees a good sigma; 0 starts as the paper does.
        input_shape: Only for ``norm="operator"``.
        skip: Names of submodules to leave alone.
        rng: Source of the starting ``u``; the global one by default.

    Returns:
        The same network.

    Raises:
        TypeError: A module keeps a weight matrix that no constraint here knows; name it in ``skip``.
        ValueError: An option is out of range, a layer is already constrained, or there is no layer.

    **Source**: Spectral Normalization (arXiv 1802.05957), algorithm 1, eq. 6-12; the gain is eq. 32.
    **Departures**: ``u`` advances once per optimiser step (the authors' code: on each forward, ``update="forward"``),
    and never in evaluation mode or inside a diagnostic (their linear layer does). 15 warm-up rounds (theirs: none).
    Groups are normalised as the block-diagonal matrix they are. A gain starts at sigma, as in their code.
    **Claim**: after any number of steps the kernel norm of each effective weight is ``bound`` up to the lag of the
    power iteration; the autograd gradient is the paper's eq. 12.
    **Cost**: one advance reads the weight three times; each use adds one product ``W v`` and its backward.
    """
    if steps < 1 or warmup < 0 or not bound > 0:
        raise ValueError(
            f"expected steps >= 1, warmup >= 0 and bound > 0, got steps={steps}, warmup={warmup}, bound={bound}; "
            "the defaults are 1, 15 and 1"
        )
    if update not in ("optimizer_step", "forward"):
        raise ValueError(f"expected update='optimizer_step' or 'forward', got {update!r}; the first is the default")
    for layer in constrainable_layers(network, skip=skip).values():
        norm_of_layer = KernelSpectralNorm(
            layer.weight,
            kernel_shape(layer),
            steps=steps,
            update=update,
            exact=exact,
            at_most=at_most,
            gain=gain,
            bound=bound,
            warmup=warmup,
            rng=rng,
        )
        norm_of_layer.train(layer.training)
        with frozen_constraints():
            parametrize.register_parametrization(layer, "weight", norm_of_layer)
    return network
