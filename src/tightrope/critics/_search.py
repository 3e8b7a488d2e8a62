"""Where a critic is steepest: gradient norms at many points, then a climb from the best of them."""

from __future__ import annotations

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import NoGradientError, input_gradient, norm
from tightrope.autodiff.types import Critic


def starting_points(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Data, fakes, interpolates, and the same three times as far from the data's mean; ``[points, *shape]``."""
    pairs = min(len(real), len(fake))
    share = torch.rand(pairs, *[1] * (real.dim() - 1), generator=rng).to(real)
    between = torch.lerp(real[:pairs], fake[:pairs], share)
    near = torch.cat([real, fake, between]).detach()
    centre = real.mean(0, keepdim=True)
    far = centre + 3 * (near - centre)
    spread = real.std() if real.numel() > 1 else 1.0
    wide = centre + 3 * spread * torch.randn(near.shape, generator=rng).to(real)
    return torch.cat([near, far, wide])


def gradient_norms(critic: Critic, x: Tensor, batch: int = 256) -> tuple[Tensor, Tensor]:
    """Norm of the critic's input gradient at each point ``[points]``, and the gradients ``[points, *shape]``."""
    with torch.enable_grad():
        parts = [input_gradient(critic, part.detach().requires_grad_(), create_graph=False) for part in x.split(batch)]
    gradients = torch.cat(parts).detach()
    return norm(gradients), gradients


def slopes(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`gradient_norms`, zero where scores do not depend on the samples so far as reverse mode can see."""
    try:
        return gradient_norms(critic, x)
    except NoGradientError:
        return torch.zeros_like(x.flatten(1)[:, 0]), torch.zeros_like(x)


def steepest(critic: Critic, points: Tensor, keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ``keep`` steepest of the points; returns them, their norms and gradients, steepest first."""
    norms, gradients = slopes(critic, points)
    best = norms.argsort(descending=True)[:keep]
    return points[best], norms[best], gradients[best]


def climb(
    critic: Critic, found: tuple[Tensor, Tensor, Tensor], scale: float, rng: torch.Generator, *, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Move what :func:`steepest` found to steeper points; returns points, norms and gradients, steepest first.

    Proposals per point and step: along and against its gradient (where a piecewise linear critic switches on more
    units), up the gradient of the gradient's norm (zero for such a critic), and at random; a proposal is taken if it is
    steeper. Step sizes grow on success and shrink otherwise.
    """
    x, value, g = found
    size = torch.full_like(value, scale)
    ones = [1] * (x.dim() - 1)
    for _ in range(steps):
        reach = (size / value.clamp(min=1e-12)).reshape(-1, *ones)
        uphill = _ascent(critic, x)
        uphill = uphill / norm(uphill).clamp(min=1e-12).reshape(-1, *ones)
        noise = torch.randn(x.shape, generator=rng).to(x)
        noise = noise / norm(noise).reshape(-1, *ones)
        radius = size.reshape(-1, *ones)
        proposals = torch.stack([x + reach * g, x - reach * g, x + radius * uphill, x + radius * noise])
        new, new_g = slopes(critic, proposals.flatten(0, 1))
        new, new_g = new.reshape(len(proposals), -1), new_g.reshape(proposals.shape)
        top = new.argmax(0)
        rows = torch.arange(len(x), device=x.device)
        better = new[top, rows] > value
        chosen = better.reshape(-1, *ones)
        x = torch.where(chosen, proposals[top, rows], x)
        g = torch.where(chosen, new_g[top, rows], g)
        value = torch.where(better, new[top, rows], value)
        size = torch.where(better, size * 1.5, size * 0.6)
    order = value.argsort(descending=True)
    return x[order], value[order], g[order]


def _ascent(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of the gradient's norm; zero where the critic is locally linear or has no second derivative."""
    up = None
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        try:
            steepness = norm(input_gradient(critic, leaf)).sum()
            if steepness.requires_grad:
                (up,) = torch.autograd.grad(steepness, leaf, allow_unused=True)
        except UserError:  # compiled, or constant: no derivative to follow
            up = None
        except RuntimeError as problem:
            if "not implemented" not in str(problem):
                raise
    return torch.zeros_like(x) if up is None else up.detach()
