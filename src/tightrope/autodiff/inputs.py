"""Derivatives with respect to inputs, per-sample norms, and the guard that lets a diagnostic look without touching.

Every gradient penalty and every gradient diagnostic goes through :func:`input_gradient`, so that one place decides
how scores of any shape are summed, in which precision, and how the second derivative is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.autodiff.types import Critic


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
    return x.reshape(x.shape[0], -1).square().sum(1)


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of each sample over all its axes: ``[batch, *shape] -> [batch]``.

    Its gradient at zero is zero (``vector_norm``'s subgradient); the root of a sum of squares would give NaN there.
    """
    return torch.linalg.vector_norm(x.reshape(x.shape[0], -1), dim=1)


def differentiable(x: Tensor) -> Tensor:
    """Return ``x`` itself if it is a leaf that requires a gradient, otherwise a detached leaf that does.

    A caller who has already scored ``x`` may thus share that forward pass with a penalty, see :class:`Scored`.
    """
    if in_functional_transform() or (x.requires_grad and x.is_leaf):
        return x
    return x.detach().requires_grad_()


def in_functional_transform() -> bool:
    """Whether this code runs inside ``torch.func`` or ``torch.compile``, which differentiate functions, not leaves."""
    level = getattr(torch._C._functorch, "maybe_current_level", None)
    return torch.compiler.is_compiling() or (level is not None and level() is not None)


def input_gradient(critic: Critic, x: Tensor, *, create_graph: bool = True) -> Tensor:
    """Gradient of each sample's summed score with respect to that sample.

    Correct per sample only if the critic treats samples independently: batch normalisation in training mode does not,
    and is refused by the penalties that can see it.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        x: Where to differentiate, ``[batch, *shape]``. A leaf that requires a gradient is used as it is.
        create_graph: Keep the graph, so that the result can be differentiated with respect to the critic's parameters.

    Returns:
        Gradient of the same shape as ``x``; zero where the score does not depend on ``x``.

    Cost: one forward and one backward through the critic; differentiating the result costs about two more backwards.
    Inside ``torch.compile`` and ``torch.func`` transforms the same value comes from ``torch.func.vjp``, the only form
    that they can differentiate again.
    """
    if in_functional_transform():
        pulled: tuple[Any, ...] = torch.func.vjp(lambda point: per_sample(critic(point)), x)
        gradient: Tensor = pulled[1](torch.ones_like(pulled[0]))[0]
        return gradient
    with torch.enable_grad():  # a diagnostic called under no_grad must not read zeros
        x = differentiable(x)
        total = per_sample(critic(x)).sum()
        if not total.requires_grad:
            return torch.zeros_like(x)
        (found,) = torch.autograd.grad(total, x, create_graph=create_graph, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


class Scored:
    """A critic that remembers the scores of the tensors it has seen, by identity, for the length of one step.

    R1 needs the gradient at the very points whose scores the loss already computed. Calling the critic again would
    cost a forward pass; handing penalties this wrapper in its place saves it and changes no penalty's signature.
    """

    def __init__(self, critic: Critic) -> None:
        self.critic = critic
        self._seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Scores of ``x`` ``[batch, *shape]``; computed once per tensor object."""
        for point, scores in self._seen:
            if point is x:
                return scores
        scores = self.critic(x)
        self._seen.append((x, scores))
        return scores


@dataclass(frozen=True)
class Bound:
    """A conditional network with its labels, as a function of its first argument.

    Attributes:
        network: Called as ``network(x, labels)``.
        labels: Classes ``[batch]``.
    """

    network: nn.Module
    labels: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """``network(x, labels)``."""
        result: Tensor = self.network(x, self.labels)
        return result


def module_of(critic: object) -> nn.Module | None:
    """The module behind a critic as penalties receive it (itself, :class:`Scored` or :class:`Bound`), None if none."""
    while not isinstance(critic, nn.Module):
        inner = getattr(critic, "critic", None) if isinstance(critic, Scored) else getattr(critic, "network", None)
        if inner is None:
            return None
        critic = inner
    return critic


def unbound(network: Any, labels: Tensor | None) -> tuple[Any, Tensor | None]:
    """A network and its labels: those of a :class:`Bound`, otherwise what was given."""
    return (network.network, network.labels) if isinstance(network, Bound) else (network, labels)


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Let no parameter of these modules require a gradient inside the block, and restore each flag afterwards.

    Gradients still flow *through* the modules. The generator's step uses it, so that no gradient of the critic's
    parameters is computed only to be thrown away.
    """
    flagged = [p for module in modules for p in module.parameters() if p.requires_grad]
    for p in flagged:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in flagged:
            p.requires_grad_(True)


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """Global Euclidean norm of the gradients of ``parameters``, a scalar tensor; those without one are skipped."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def bind(network: nn.Module, labels: Tensor | None) -> Callable[[Tensor], Tensor]:
    """The network as a function of its first argument; the module itself without labels or classes."""
    if labels is None or not getattr(network, "classes", 0):
        return network
    return Bound(network, labels)
