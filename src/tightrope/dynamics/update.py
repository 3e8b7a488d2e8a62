"""The Jacobian of one whole training step as it is really taken: all half-steps, optimiser memory, preconditioning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.dynamics.players import Player, flatten, modules_of, unflatten, write_
from tightrope.dynamics.smooth import check_step
from tightrope.dynamics.state import Replay, replay
from tightrope.dynamics.tangents import push_forward

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


def update_jacobian(
    step: Callable[[], object],
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer] = (),
    *,
    generators: Sequence[torch.Generator] = (),
    check: bool | None = None,
) -> Tensor:
    r"""The Jacobian :math:`F'(s)` of one outer step :math:`s \mapsto F(s)` of parameters and optimiser memory.

    Near a fixed point training contracts if the spectral radius is below one. ``step`` may be any code that updates the
    players in place, a user's own loop body included: it is run, not modelled. Buffers (batch statistics, power
    iterations) and step counters are taken as constants; what is written through ``.data`` is not seen.

    Source: Mescheder et al. 2018 (1801.04406), section 2, for the plain update operators.

    Args:
        step: Takes one outer step in place, for example ``optimizers.outer_step(...)``.
        players: The parameters that the step moves.
        optimizers: Those whose memory is part of the state.
        generators: Random-number generators that the step draws from; each evaluation starts them from the present.
        check: Test first that the step is differentiable here, for six steps; None for float64 alone, see
            ``eigenvalues``.

    Returns:
        ``[s, s]`` over all parameters and then the memory tensors, in the order of :func:`state_tensors`.

    Raises:
        UserError: A step that is not differentiable here, or an operation without forward derivative.

    Cost: ``s`` steps at two to three times a step. Everything is left as found.

    Example:
        >>> from tightrope import dynamics
        >>> x = torch.ones(1, dtype=torch.float64, requires_grad=True)
        >>> sgd = torch.optim.SGD([x], lr=0.1)
        >>> def step():
        ...     sgd.zero_grad()
        ...     (0.5 * x.square().sum()).backward()
        ...     sgd.step()
        >>> dynamics.update_jacobian(step, ([x],), (sgd,))
        tensor([[0.9000]], dtype=torch.float64)
    """
    with replay(step, players, optimizers, generators) as at:
        M = dense_update(at, step)
        if wants_check(at, check):  # afterwards: what is not finite has a sentence of its own
            check_update(step, at, players)
        return M


def wants_check(at: Replay, check: bool | None) -> bool:
    """Whether to test for a kink: in float64 unless told otherwise."""
    return at.state[0].dtype == torch.float64 if check is None else check


def check_update(step: Callable[[], object], at: Replay, players: Sequence[Player]) -> None:
    """:func:`check_step`, and its derivative in forward mode against differences along one direction.

    Differences see buffers move, which are constants here: with buffers there is nothing to compare.

    Raises:
        UserError: The step jumps or has a kink here, or its derivative is not that of the step.
    """
    check_step(step, at)
    if any(b.is_floating_point() for m in modules_of(players) for b in m.buffers()):
        return
    start = flatten([p.detach() for p in at.parameters]).clone()
    draw = torch.Generator().manual_seed(1)
    d = torch.randn(start.shape, generator=draw, dtype=torch.float64).to(start)
    epsilon = (1e-5 if start.dtype == torch.float64 else 2e-3) / float(torch.linalg.vector_norm(d))
    rest = start.new_zeros(sum(t.numel() for t in at.state) - start.numel())
    pushed = _product(step, at, torch.cat([d, rest]))[: start.numel()]
    ends = []
    try:
        for side in (epsilon, -epsilon):
            at.rewind()
            write_(at.parameters, start + side * d)
            step()
            ends.append(flatten([p.detach() for p in at.parameters]).clone())
    finally:
        at.rewind()
    found = (ends[0] - ends[1]) / (2 * epsilon)
    least = 1e-6 * float(torch.linalg.vector_norm(d))
    gap = float(torch.linalg.vector_norm(pushed - found) / torch.linalg.vector_norm(found - d).clamp(min=least))
    if start.dtype == torch.float64 and gap > 1e-3:
        raise UserError(
            "The step's derivative in forward mode is not that of the step (they differ by "
            f"{gap:.2g} of what it adds to the identity): expected operations that torch differentiates rightly; "
            "replace the one that it does not."
        )


def dense_update(at: Replay, step: Callable[[], object]) -> Tensor:
    """:func:`update_jacobian` inside a :func:`~tightrope.dynamics.state.replay`."""
    size = sum(t.numel() for t in at.state)
    basis = torch.eye(size, dtype=at.state[0].dtype, device=at.state[0].device)
    return torch.stack([_product(step, at, basis[j]) for j in range(size)], dim=1)


def update_operator(at: Replay, step: Callable[[], object]) -> LinearOperator:
    """:func:`update_jacobian` as a SciPy operator of products, inside a :func:`~tightrope.dynamics.state.replay`."""
    from scipy.sparse.linalg import LinearOperator

    like = flatten(at.state)

    def matvec(v: Any) -> Any:
        vector = torch.as_tensor(v, dtype=torch.float64).reshape(-1).to(like)
        return _product(step, at, vector).double().cpu().numpy()

    size = like.numel()
    return LinearOperator((size, size), matvec=matvec, dtype="float64")


def _product(step: Callable[[], object], at: Replay, direction: Tensor) -> Tensor:
    at.rewind()

    def take() -> list[Tensor]:
        step()
        return at.tensors()

    column = flatten(push_forward(take, at.tensors(), unflatten(direction, at.state), parameters=at.parameters))
    at.rewind()
    if column.numel() != direction.numel():
        raise UserError(
            f"Expected a step that keeps its memory's size, got {direction.numel()} numbers before and "
            f"{column.numel()} after it; take whole cycles as one step."
        )
    if not bool(torch.isfinite(column).all()):
        raise UserError(
            "The step's derivative is not finite here: expected a differentiable step; Adam and RMSProp have none "
            "where their second moment is zero, so analyse them after some steps on real gradients."
        )
    return column
