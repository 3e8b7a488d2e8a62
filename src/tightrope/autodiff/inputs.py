"""Derivatives with respect to inputs, and per-sample norms.

Every gradient penalty and every gradient diagnostic goes through :func:`input_gradients`, so that one place decides
how scores of any shape are summed, in which precision, how the second derivative is kept, and what is no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_module, check_samples, check_whole
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import parameters_in
from tightrope.autodiff.call import called
from tightrope.autodiff.graph import COMPILED, STAIRS, leads_back, missing_derivative, no_derivative, refuse_ends
from tightrope.autodiff.guard import in_functional_transform
from tightrope.autodiff.lean import lean_derivatives
from tightrope.autodiff.stacked import gradient_beside, is_stacked, leaf
from tightrope.autodiff.types import Critic
from tightrope.autodiff.view import Remembered, View, rows_of, scores_of

_HALF = (torch.bfloat16, torch.float16)


class NoGradientError(UserError):
    """The scores do not depend on the samples, so far as reverse mode can see."""


def per_sample(scores: Tensor) -> Tensor:
    """Sum the scores of each sample in float32 or better: ``[batch, ...] -> [batch]``.

    A critic with several outputs per sample (PatchGAN) is penalised through the sum of its outputs, as the R1 of the
    literature is; taking the mean instead would rescale ``gamma`` by the squared number of outputs.
    """
    if scores.dtype in (torch.bfloat16, torch.float16):
        scores = scores.float()
    return scores if scores.dim() == 1 else scores.reshape(scores.shape[0], -1).sum(1)


def squared_norm(x: Tensor) -> Tensor:
    """Squared Euclidean norm of each sample over all its axes: ``[batch, *shape] -> [batch]``."""
    x = x.abs() if x.is_complex() else x
    return x.reshape(x.shape[0], -1).square().sum(1)


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of each sample over all its axes: ``[batch, *shape] -> [batch]``.

    Its gradient at zero is zero (``vector_norm``'s subgradient); the root of a sum of squares would give NaN there.
    """
    return torch.linalg.vector_norm(x.reshape(x.shape[0], -1), dim=1)


def differentiable(x: Tensor) -> Tensor:
    """Return ``x`` itself if it is a leaf that requires a gradient, otherwise a detached leaf that does.

    A caller who has already scored ``x`` may thus share that forward pass with a penalty, see :class:`Remembered`.

    Raises:
        UserError: ``x`` holds whole numbers, which have no gradient.
    """
    if in_functional_transform() or (x.requires_grad and x.is_leaf):
        return x
    check_samples(x)
    return x.detach().requires_grad_()


class twice_differentiable:  # noqa: N801 (used like a function)
    """Let ``scaled_dot_product_attention`` use its plain form, the only one whose derivative has a derivative."""

    def __enter__(self) -> None:
        use = torch.backends.cuda
        self._found = None
        if use.flash_sdp_enabled() or use.mem_efficient_sdp_enabled() or use.cudnn_sdp_enabled():
            self._found = use.flash_sdp_enabled(), use.mem_efficient_sdp_enabled(), use.cudnn_sdp_enabled()
            self._math = use.math_sdp_enabled()
            _set_attention(False, False, False)
            use.enable_math_sdp(True)

    def __exit__(self, *_: object) -> None:
        if self._found is not None:
            _set_attention(*self._found)
            torch.backends.cuda.enable_math_sdp(self._math)


def _set_attention(flash: bool, efficient: bool, cudnn: bool) -> None:
    torch.backends.cuda.enable_flash_sdp(flash)
    torch.backends.cuda.enable_mem_efficient_sdp(efficient)
    torch.backends.cuda.enable_cudnn_sdp(cudnn)


def critic_scores(critic: Critic, x: Tensor, rows: int | None = None) -> list[Tensor]:
    """Every critic's scores of ``x`` ``[batch, *shape]``, summed per sample (or pack): ``[batch / rows]`` each.

    ``rows`` says how many samples a pack has where ``critic`` cannot tell, see :func:`rows_of`.

    Raises:
        UserError: No scores, see :func:`scores_of`, or not one row of them per sample.
    """
    if rows is None:
        rows = rows_of(critic)
    else:
        check_whole("rows", rows, 1, 1)
    return [per_sample(_checked(scores, len(x), rows)) for scores in scores_of(called(critic, x))]


def _scores(critic: Critic, x: Tensor) -> list[Tensor]:
    """Each critic's scores, the gradient of whose sum is that of :func:`critic_scores` with fewer operations."""
    rows = rows_of(critic)
    return [_checked(scores, len(x), rows) for scores in scores_of(called(critic, x))]


def _checked(scores: Tensor, samples: int, rows: int) -> Tensor:
    """``scores``, if there is one row of them per ``rows`` samples."""
    if scores.dim() and scores.shape[0] * rows == samples and scores.numel():
        return scores
    shape = list(scores.shape)
    if not samples or not scores.numel():
        raise UserError(
            f"Expected at least one sample and a score for each, got {samples} samples and scores of shape {shape}; "
            "look for an empty batch or a layer of size 0."
        )
    if scores.dim() and shape[0] and not samples % (shape[0] * rows):
        pack = samples // shape[0]
        raise UserError(
            f"Expected one row of scores per {_samples(rows)}, got {shape[0]} for {samples}; return one each, or say "
            f"that the critic judges {pack} samples together: View(critic, rows={pack})."
        )
    raise UserError(
        f"Expected one row of scores per {_samples(rows)}, got scores of shape {shape} for {samples}; return them as "
        "[batch, ...], neither squeezed nor averaged over the batch."
    )


def _samples(rows: int) -> str:
    return "sample" if rows == 1 else f"{rows} samples"


def input_gradient(critic: Critic, x: Tensor, *, create_graph: bool = True) -> Tensor:
    """Gradient of each sample's summed score, over all critics, with respect to that sample.

    Correct per sample only if the critic treats samples independently: batch normalisation in training mode does not,
    and is refused by the penalties; minibatch statistics do not either, and count as published code counts them. What
    a part of the critic detaches, or computes under ``no_grad``, counts as constant, as it does in training.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``, or to a list of such scores; see :class:`View`.
        x: Where to differentiate, ``[batch, *shape]``. A leaf that requires a gradient is used as it is, and samples of
            half precision are differentiated in float32.
        create_graph: Keep the graph, so that the result can be differentiated with respect to the critic's parameters.

    Returns:
        Gradient of the same shape as ``x``, in float32 or better.

    Raises:
        UserError: The scores are none, are not one row per sample, or (:class:`NoGradientError`) do not depend on the
            samples.

    Cost: one forward and one backward through the critic; differentiating the result costs about two more backwards.
    Inside ``torch.compile`` and ``torch.func`` transforms the same value comes from ``torch.func.vjp``, the only form
    that they can differentiate again.
    """
    return _gradients(critic, x, create_graph, together=True)[0]


def input_gradients(critic: Critic, x: Tensor, *, create_graph: bool = True) -> list[Tensor]:
    """:func:`input_gradient` of each critic's own scores, ``[batch, *shape]`` each.

    Of a critic that judges packs the gradient of a pack is one sample: ``[batch / rows, rows, *shape]``.

    Cost: one forward, and a backward per critic.
    """
    found = _gradients(critic, x, create_graph, together=False)
    rows = rows_of(critic)
    return found if rows == 1 else [packed(g, rows) for g in found]


def packed(x: Tensor, rows: int) -> Tensor:
    """``[batch, *shape] -> [batch / rows, rows, *shape]``: samples that are judged together as one sample.

    Raises:
        UserError: They are no whole number of packs.
    """
    check_whole("rows", rows, 1, 1)
    if not x.dim() or len(x) % rows:
        raise UserError(f"Expected samples in whole packs of {rows}, got shape {list(x.shape)}; drop the rest.")
    return x.reshape(x.shape[0] // rows, rows, *x.shape[1:])


def _gradients(critic: Critic, x: Tensor, create_graph: bool, *, together: bool) -> list[Tensor]:
    if in_functional_transform():
        return _beside(critic, x, create_graph, together) if is_stacked(critic) else _pulled_back(critic, x, together)
    check_samples(x)
    wanted = create_graph and torch.is_grad_enabled()
    with torch.enable_grad(), twice_differentiable() if create_graph else nullcontext():
        if x.dtype in _HALF:
            leaf = x.detach().float().requires_grad_()
            given = leaf if torch.is_autocast_enabled(x.device.type) else leaf.to(x.dtype)
        else:
            given = leaf = differentiable(x)
        known = isinstance(critic, Remembered) and critic.knows(given)  # nothing will be called
        with lean_derivatives(critic) if create_graph and not known else nullcontext():
            scores = _scores(critic, given)
        totals = [one.sum() for one in scores]
        if together:
            totals = [_sum(totals)]
        found = [_gradient(total, leaf, create_graph, k + 1 < len(totals)) for k, total in enumerate(totals)]
    if wanted:
        network: Any = critic  # what is the same at every step
        while isinstance(network, Remembered | View):
            network = network.network if isinstance(network, Remembered) else network.module
        for gradient, total in zip(found, totals, strict=True):
            new = refuse_ends(gradient, network)
            if (new or gradient.grad_fn is None) and not leads_back(total, leaf):
                raise NoGradientError(STAIRS)
            if new and len(found) == len(scores) == 1:
                _refuse_cancelled(gradient, scores[0], leaf)
    return found


def _refuse_cancelled(gradient: Tensor, scores: Tensor, x: Tensor) -> None:
    """Raise if scores depend on the samples and their sum does not."""
    (own,) = torch.autograd.grad(scores[0].sum(), x, retain_graph=True, allow_unused=True)
    if own is not None and bool(gradient.detach().abs().max() < 1e-5 * own.abs().max()):
        raise UserError(
            "Expected scores that each depend on their own sample, got scores whose sum depends on none, such as those "
            "centred or normalised over the batch; return them as they are before that, and do it in the loss."
        )


def _gradient(total: Tensor, x: Tensor, create_graph: bool, more: bool) -> Tensor:
    found = None
    if total.requires_grad:
        try:
            (found,) = torch.autograd.grad(
                total, x, create_graph=create_graph, retain_graph=create_graph or more, allow_unused=True
            )
        except RuntimeError as problem:
            if "non-zero size" in str(problem):
                raise UserError(
                    "Expected a critic whose feature maps have values, got one with maps of size zero, through which "
                    "torch takes no gradient; use larger samples or fewer strides."
                ) from problem
            if "donated buffers" in str(problem):
                raise UserError(COMPILED) from problem
            if (missing := missing_derivative(problem)) is not None:
                raise UserError(no_derivative(missing)) from problem
            if "use_reentrant" not in str(problem):
                raise
            raise UserError(
                "Expected a critic whose gradient by its samples can be taken, got one with reentrant checkpointing, "
                "where torch cannot; pass use_reentrant=False to the checkpoint."
            ) from problem
    if found is None:
        raise NoGradientError(
            "Expected scores that depend on the samples, got scores without a way back to them, whose gradient would "
            "be zero whatever the critic; look for detach, no_grad or inference_mode inside the critic."
        )
    return torch.add(found, x.detach(), alpha=0)  # NaN where the samples are, which a ReLU would hide


def _beside(critic: Critic, x: Tensor, create_graph: bool, together: bool) -> list[Tensor]:
    x = leaf(x)
    totals = [one.sum() for one in _scores(critic, x)]
    if together:
        totals = [_sum(totals)]
    return [
        gradient_beside(total, x, lambda all, points: _gradient(all, points, create_graph, True)) for total in totals
    ]


def _pulled_back(critic: Critic, x: Tensor, together: bool) -> list[Tensor]:
    def totals(point: Tensor) -> tuple[Tensor, ...]:
        found = critic_scores(critic, point)
        return (_sum(found),) if together else tuple(found)

    pulled: tuple[Any, ...] = torch.func.vjp(totals, x)
    values = pulled[0]
    ones = [torch.ones_like(v) for v in values]
    return [
        pulled[1](tuple(one if k == i else torch.zeros_like(one) for i, one in enumerate(ones)))[0]
        for k in range(len(values))
    ]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class frozen:  # noqa: N801 (used like a function)
    """Let no parameter of these modules require a gradient inside the block, and restore each flag afterwards.

    Gradients still flow *through* the modules. The generator's step uses it, so that no gradient of the critic's
    parameters is computed only to be thrown away.

    Args:
        *modules: Networks.
    """

    def __init__(self, *modules: nn.Module) -> None:
        for module in modules:
            if not isinstance(module, nn.Module):
                check_module(module)
        self._modules = modules

    def __enter__(self) -> None:
        self._flagged = [p for module in self._modules for p in parameters_in(module) if p.requires_grad]
        for p in self._flagged:
            p.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for p in self._flagged:
            p.requires_grad_(True)


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """Global Euclidean norm of the gradients of ``parameters``, a scalar tensor; those without one are skipped."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
