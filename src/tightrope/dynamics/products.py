"""Products with the Jacobian of a game's gradient field and with its transpose, without forming it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.autodiff.graph import missing_derivative
from tightrope.dynamics.detached import Attached
from tightrope.dynamics.field import descent, gradient_field
from tightrope.dynamics.players import Losses, Player, all_parameters, flatten, repeatable, unflatten, write_
from tightrope.dynamics.tangents import ForwardDerivativeError, push_forward

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

_ACCURATE = {torch.float64: 1e-5, torch.float32: 2e-2}
_FALSE = 1e-3  # relative: no product of a smooth game differs so much from differences in float64
_SEEN = "compute the fakes inside the critic's loss, without no_grad"


class FieldProducts:
    """Products ``J w`` and ``J^T u`` at the present point; made by :func:`field_products`.

    Attributes:
        size: Number of parameters of all players.
        count: Products taken so far.
    """

    def __init__(self, losses: Losses, players: Sequence[Player], rewind: Callable[[], None]) -> None:
        self._losses, self._players, self._rewind = losses, players, rewind
        self._parts = all_parameters(losses, players)
        self._tensors = [p for part in self._parts for p in part]
        self._field: Tensor | None = None
        self._exact: bool | None = None
        self._missing: ForwardDerivativeError | None = None
        self._seen = f", or {_SEEN}"  # what else would help, unless reverse mode lacks a derivative too
        self._verified: float | None = None  # by how much forward mode and differences disagree, relative
        self.size = sum(p.numel() for p in self._tensors)
        self.count = 0

    def forward(self, w: Tensor) -> Tensor:
        """``J w`` for ``w [n]``: forward over reverse mode; about three times the cost of a gradient.

        The first product is compared to differences of the gradient, for two gradients more. Where an operation has no
        forward derivative, or a wrong one, by reverse mode alone, for about twice as much.

        Raises:
            UserError: That is so, and reverse mode cannot see all of the Jacobian; or ``w`` is of another shape.
        """
        self._check(w)
        pushed = self._push(w)
        if pushed is not None and self._verified is None and bool(w.any()):
            pushed = self._judged(pushed, self._difference(w))
        if pushed is not None:
            return pushed
        if not self.transpose_is_exact():
            raise UserError(f"{str(self._missing).rstrip('.')}{self._seen}.") from self._missing
        return self._push_by_reverse(w)

    def transposed(self, u: Tensor) -> Tensor:
        """``J^T u`` for ``u [n]``: reverse over reverse mode on a graph that is kept; about twice a gradient.

        Raises:
            UserError: Reverse mode cannot see all of the Jacobian, see :meth:`transpose_is_exact`; or ``u`` is of
                another shape.
        """
        self._check(u)
        if not self.transpose_is_exact():
            raise UserError(
                "Reverse mode does not see the whole Jacobian of this game: expected losses through which every "
                f"player's parameters reach every gradient; {_SEEN}, or use products with J instead of its transpose."
            )
        return self._pull_back(u)

    def transpose_is_exact(self) -> bool:
        """Whether reverse mode gives the transpose of the forward product, tested once on this game.

        It does not if a loss computes the other player's output under ``no_grad`` or from stored tensors, or if a
        stop-gradient inside a network would change a gradient when looked through.
        """
        if self._exact is None:
            try:
                self._exact = self._same_gradient() and all(self._adjoint(j) for j in range(len(self._parts)))
            except RuntimeError as problem:  # an operation that torch differentiates once only
                if missing_derivative(problem) is None:
                    raise
                self._field, self._exact, self._seen = None, False, ""
        return self._exact

    def dense(self) -> Tensor:
        """``J [n, n]``, by ``n`` products of the cheaper kind."""
        basis = torch.eye(self.size, dtype=self._tensors[0].dtype, device=self._tensors[0].device)
        if self.transpose_is_exact():
            return torch.stack([self.transposed(row) for row in basis])
        return torch.stack([self.forward(column) for column in basis], dim=1)

    def linear_operator(self) -> LinearOperator:
        """This object as a real SciPy operator ``[n, n]`` with ``matvec`` and ``rmatvec``."""
        from scipy.sparse.linalg import LinearOperator

        shape = (self.size, self.size)
        like = self._tensors[0]
        return LinearOperator(
            shape, matvec=_numpy(self.forward, like), rmatvec=_numpy(self.transposed, like), dtype="float64"
        )

    def transposed_operator(self) -> LinearOperator:
        """``J^T`` as a SciPy operator with ``matvec`` alone: the same spectrum by cheaper products."""
        from scipy.sparse.linalg import LinearOperator

        matvec = _numpy(self.transposed, self._tensors[0])
        return LinearOperator((self.size, self.size), matvec=matvec, dtype="float64")

    def _check(self, vector: Tensor) -> None:
        if vector.shape != (self.size,):
            raise UserError(
                f"Expected one number per parameter of all players, [{self.size}], got {list(vector.shape)}; "
                "put their tensors flat one behind the other."
            )

    def _push(self, w: Tensor) -> Tensor | None:
        """``J w`` in forward mode; None where an operation has no forward derivative."""
        if self._missing is not None:
            return None
        self._field = None  # the products below write into the parameters, which ends the life of a kept graph
        self._rewind()
        self.count += 1
        try:
            return _finite(flatten(push_forward(self._gradients, self._tensors, unflatten(w, self._tensors))))
        except ForwardDerivativeError as error:
            self._missing = error
            return None

    def _push_by_reverse(self, w: Tensor) -> Tensor:
        """``J w`` as the derivative of ``<J^T u, w>`` by ``u``."""
        self._rewind()
        self.count += 1
        with Attached():
            field = gradient_field(self._losses, self._players, create_graph=True)
        if not field.requires_grad:
            return torch.zeros_like(w)
        u = torch.zeros_like(field).requires_grad_()
        pulled = torch.autograd.grad(field, self._tensors, u, create_graph=True, allow_unused=True)
        total = [(g * x).sum() for g, x in zip(pulled, unflatten(w, self._tensors), strict=True) if g is not None]
        (found,) = torch.autograd.grad(torch.stack(total).sum(), u)
        return _finite(found)

    def _difference(self, w: Tensor) -> Tensor:
        """``J w`` by central differences, with which :meth:`transpose_is_exact` makes do without forward mode."""
        self._field = None
        start = flatten([p.detach() for p in self._tensors])
        step = (1e-5 if start.dtype == torch.float64 else 2e-3) / float(torch.linalg.vector_norm(w))
        ends = []
        try:
            for side in (step, -step):
                self._rewind()
                write_(self._tensors, start + side * w)
                ends.append(gradient_field(self._losses, self._players).detach())
        finally:
            write_(self._tensors, start)
        return (ends[0] - ends[1]) / (2 * step)

    def _gradients(self) -> list[Tensor]:
        return [g for i, part in enumerate(self._parts) for g in descent(self._losses[i], part, i)]

    def _pull_back(self, u: Tensor) -> Tensor:
        if self._field is None:
            self._rewind()
            with Attached():
                self._field = gradient_field(self._losses, self._players, create_graph=True)
        self.count += 1
        if not self._field.requires_grad:
            return torch.zeros_like(u)
        found = torch.autograd.grad(self._field, self._tensors, u.to(self._field), retain_graph=True, allow_unused=True)
        return _finite(
            flatten([torch.zeros_like(p) if g is None else g for p, g in zip(self._tensors, found, strict=True)])
        )

    def _same_gradient(self) -> bool:
        """Whether looking through ``detach`` leaves the gradient itself as it is."""
        self._rewind()
        plain = gradient_field(self._losses, self._players).detach()
        self._rewind()
        with Attached():
            seen = gradient_field(self._losses, self._players).detach()
        return _close(plain, seen)

    def _adjoint(self, player: int) -> bool:
        """Whether ``<J w, u> = <w, J^T u>`` for moves ``w`` of one player and answers ``u`` of all others."""
        draw = torch.Generator().manual_seed(player)
        masks = [torch.full((p.numel(),), float(j == player)) for j, part in enumerate(self._parts) for p in part]
        mask = torch.cat(masks).to(self._tensors[0])
        w = torch.randn(self.size, generator=draw).to(mask) * mask
        pushed = self._push(w)
        if pushed is not None and self._agrees(pushed, w, mask):
            return True
        answer = self._difference(w)
        seen = (pushed is None or _apart(pushed, answer) > _ACCURATE[answer.dtype]) and self._agrees(answer, w, mask)
        if seen and pushed is not None:
            self._missing = _wrong(pushed, answer)
        elif pushed is not None:
            self._refuse_wrong(pushed, answer)
        return seen

    def _agrees(self, answer: Tensor, w: Tensor, mask: Tensor) -> bool:
        """Whether the transpose, applied to an answer ``J w``, finds ``w`` again."""
        parts = (answer * (1 - mask), answer * mask)
        return all(_close((answer * u).sum(), (self._pull_back(u) * w).sum()) for u in parts)

    def _judged(self, pushed: Tensor, answer: Tensor) -> Tensor | None:
        """``J w`` of forward mode, unless differences and reverse mode both say that it is wrong."""
        self._verified = _apart(pushed, answer)
        if self._verified <= _ACCURATE[answer.dtype] or (self.transpose_is_exact() and self._missing is None):
            return pushed
        if self._missing is None:
            self._refuse_wrong(pushed, answer)
            return pushed
        return None

    def _refuse_wrong(self, pushed: Tensor, answer: Tensor) -> None:
        """In float32 differences are too rough for a refusal."""
        if answer.dtype == torch.float64 and _apart(pushed, answer) > _FALSE:
            error = _wrong(pushed, answer)
            raise UserError(f"{str(error).rstrip('.')}, or {_SEEN}.") from error


@contextmanager
def field_products(
    losses: Losses, players: Sequence[Player], *, generators: Sequence[torch.Generator] = ()
) -> Iterator[FieldProducts]:
    """Products with the Jacobian of ``gradient_field`` and its transpose at the present point.

    Everything is left as found when the block ends; do not train inside it.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors, in the order of the losses.
        generators: Random-number generators that the losses draw from; each evaluation starts them from the present.

    Yields:
        The products.

    Raises:
        UserError: The losses are no function of the parameters: they write into them, as a network does that normalises
            its weights in place, or give other values at a second call.

    Cost: memory for one gradient with its graph, several times that of a gradient, while transposed products last.
    """
    with repeatable(players, generators) as rewind:
        _refuse_changing(losses, players, rewind)
        yield FieldProducts(losses, players, rewind)


def _refuse_changing(losses: Losses, players: Sequence[Player], rewind: Callable[[], None]) -> None:
    """Refuse losses that are no function of the parameters, or bring those back to where they were.

    Neither mode of differentiation sees it, and differences see it in their own way.
    """
    tensors = [p for part in all_parameters(losses, players) for p in part]
    start = [p.detach().clone() for p in tensors]
    moved = [value * 1.001 for value in start]
    values = []
    try:
        _put(tensors, moved)
        for _ in range(2):
            rewind()
            values.append([loss().detach() for loss in losses])
        written = not all(map(torch.equal, tensors, moved))
    finally:
        _put(tensors, start)
    if written:
        raise UserError(
            "Expected losses that read the players' parameters, got some that write into them (a layer that normalises "
            "or clips its weights in its forward, an embedding with max_norm); compute the weight beside the "
            "parameter, as in F.conv2d(x, standardised(self.weight))."
        )
    if not all(
        torch.allclose(a, b, rtol=1e-9 if a.dtype == torch.float64 else 1e-4) for a, b in zip(*values, strict=True)
    ):
        raise UserError(
            "Expected losses that depend on the players' parameters alone, got other values at a second call; keep "
            "random draws and what networks change in their forwards (a codebook, a running scale) fixed, for example "
            "by network.eval(), or pass the generators that they draw from as `generators`."
        )


@torch.no_grad()
def _put(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for p, value in zip(tensors, values, strict=True):
        p.copy_(value)


def _numpy(product: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Any], Any]:
    def on_arrays(v: Any) -> Any:
        vector = torch.as_tensor(v).reshape(-1).to(device=like.device, dtype=like.dtype)
        return product(vector).double().cpu().numpy()

    return on_arrays


def _close(a: Tensor, b: Tensor) -> bool:
    tolerance = 1e-6 if a.dtype == torch.float64 else 2e-2
    scale = torch.maximum(torch.linalg.vector_norm(a), torch.linalg.vector_norm(b))
    return bool(torch.linalg.vector_norm(a - b) <= tolerance * scale)


def _apart(a: Tensor, b: Tensor) -> float:
    """Relative distance of two products."""
    scale = torch.maximum(torch.linalg.vector_norm(a), torch.linalg.vector_norm(b))
    return float(torch.linalg.vector_norm(a - b) / scale.clamp(min=torch.finfo(a.dtype).tiny))


def _wrong(pushed: Tensor, answer: Tensor) -> ForwardDerivativeError:
    return ForwardDerivativeError(
        "The game uses an operation whose derivative torch gets wrong in forward mode (its product with the Jacobian "
        f"differs from differences by {_apart(pushed, answer):.2g}, relative); replace it."
    )


def _finite(product: Tensor) -> Tensor:
    if not bool(torch.isfinite(product).all()):
        raise UserError(
            "A derivative of the game's gradient is not finite here: expected a twice differentiable point; move the "
            "parameters a little, or check the weights for overflow."
        )
    return product
