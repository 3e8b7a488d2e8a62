"""What one of several processes that train one run together says to the others.

A step needs one message per player: gradients, losses and scores in one flat buffer. Everything else is a round of
four small numbers, in which whoever is at work says so every few seconds, so that a rank that died is told from one
that takes its time.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Scores, scores_of
from tightrope.methods.game import Objective
from tightrope.training.batch_statistics import over_ranks
from tightrope.training.messages import RankError, mean_of_gradients, sum_, told

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

BEAT = 5.0
"""Seconds between two signs of life of a rank at work."""


@dataclass
class Ranks:
    """This process among those that train one run together; from :func:`tightrope.training.distributed.joined`.

    Attributes:
        rank: Its number; 0 leads: it alone writes.
        count: How many there are.
        device: Where it trains.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which records, saves and evaluates."""
        return self.rank == 0

    def average_(self, parameters: Sequence[Tensor], objective: Objective) -> Objective:
        """Replace the gradients of ``parameters`` by their means over ranks, in one message.

        Returns:
            The objective of the global batch, detached: losses averaged, scores of all ranks one after another.
        """
        penalty = objective.penalty
        numbers = [objective.total, objective.loss, *([] if penalty is None else [penalty])]
        scored = [objective.d_fake] if objective.d_real is None else [objective.d_real, objective.d_fake]
        parts = [part.detach() for scores in scored for part in scores_of(scores)]
        sizes = [p.numel() for p in parameters]
        wide = torch.float64 if any(p.dtype is torch.float64 for p in parameters) else torch.float32
        flat = torch.zeros(
            sum(sizes) + len(sizes) + len(numbers) + self.count * sum(part.numel() for part in parts),
            dtype=wide,
            device=parameters[0].device,
        )
        *pieces, present, means, gathered = flat.split(
            [*sizes, len(sizes), len(numbers), self.count * sum(part.numel() for part in parts)]
        )
        views = [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)]
        held = [i for i, p in enumerate(parameters) if p.grad is not None]
        torch._foreach_copy_([views[i] for i in held], [parameters[i].grad for i in held])  # type: ignore[misc]
        present.copy_(torch.tensor([float(p.grad is not None) for p in parameters]))
        means.copy_(torch.stack([number.detach().to(wide) for number in numbers]))
        boxes = [
            box.view(self.count * part.shape[0], *part.shape[1:])
            for box, part in zip(gathered.split([self.count * part.numel() for part in parts]), parts, strict=True)
        ]
        for box, part in zip(boxes, parts, strict=True):
            box[self.rank * part.shape[0] : (self.rank + 1) * part.shape[0]] = part
        sum_(flat)
        flat[: sum(sizes)].div_(self.count)
        means.div_(self.count)
        for view, p, anywhere in zip(views, parameters, present.tolist(), strict=True):
            if anywhere:
                p.grad = torch.empty_like(p).copy_(view)
        scores = iter(box.to(part.dtype) for box, part in zip(boxes, parts, strict=True))
        taken = [_like(one, scores) for one in scored]
        return replace(
            objective,
            total=means[0],
            loss=means[1],
            penalty=None if penalty is None else means[2],
            d_real=None if objective.d_real is None else taken[0],
            d_fake=taken[-1],
        )

    @contextmanager
    def averaging(self, parameters: Sequence[Tensor]) -> Iterator[None]:
        """Within the block, every gradient that autograd brings to ``parameters`` is the mean over ranks.

        For losses of gradients, such as consensus: the gradient inside is that of the global batch, and it can be
        differentiated again. Costs a message per parameter and gradient.
        """
        handles = [p.register_hook(mean_of_gradients) for p in parameters if p.requires_grad]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def meet(
        self, work: Callable[[], T] | None = None, *, stop: Callable[[], bool] = lambda: False
    ) -> tuple[T | None, bool]:
        """Do ``work``, if this rank has any, and wait until all ranks are done.

        Args:
            work: May take as long as it likes.
            stop: Whether this rank wants to stop, asked after the work.

        Returns:
            What the work gave, and whether any rank wants to stop.

        Raises:
            RankError: Another rank's work failed, or the rank is gone.
        """
        done, lost = threading.Event(), list[RankError]()

        def beat() -> None:
            while not done.wait(BEAT):
                try:
                    self._round(busy=True)
                except RankError as error:
                    lost.append(error)
                    return

        helper = None if work is None else threading.Thread(target=beat, daemon=True)
        result = None
        try:
            if work is not None and helper is not None:
                helper.start()
                result = work()
        except BaseException:
            self._finish(done, helper)
            with contextlib.suppress(RankError):
                self._round(failed=True)
            raise
        self._finish(done, helper)
        if lost:
            raise lost[0]
        busy = True
        while busy:
            busy, stopping, failed = self._round(stop=stop())
            if failed:
                raise RankError("Another rank of this run stopped; its own message says why.")
        return result, stopping

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do ``work`` on the leader first, then on the others, which find what it has left in caches."""
        first, _ = self.meet(work if self.leads else None)
        later, _ = self.meet(None if self.leads else work)
        return cast("T", first if self.leads else later)

    def compare(self, network: nn.Module) -> None:
        """Make sure that every rank holds the same parameters, bit for bit.

        Raises:
            RankError: They differ.
        """
        with torch.no_grad():
            bits = [p.detach().contiguous().view(-1).view(torch.uint8) for p in network.parameters()]
            mine = torch.stack([(i + 1) * b.sum(dtype=torch.int64) for i, b in enumerate(bits)]).sum().cpu()
        ends = torch.stack([mine, -mine])
        with told():
            dist.all_reduce(ends, op=dist.ReduceOp.MAX)
        if int(ends[0]) != -int(ends[1]):
            raise RankError(
                "Expected the same weights on every rank, got others, which their averaged gradients should never "
                "make; go on from the last checkpoint with tightrope resume, on machines of one kind."
            )

    def agree(self, flag: bool) -> bool:
        """Whether any rank says so."""
        return self.meet(stop=lambda: flag)[1]

    def same(self, value: T) -> T:
        """The leader's value."""
        box = [value]
        with told():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def first(self, place: Callable[[], str]) -> str:
        """The first answer that names a cause, since averaged gradients are not finite on any rank; each asks alone."""
        with over_ranks(False):
            mine = place()
        found: list[Any] = [None] * self.count
        with told():
            dist.all_gather_object(found, mine)
        return next((answer for answer in found if not answer.startswith(("the loss", "the gradient of "))), found[0])

    def _round(self, *, busy: bool = False, stop: bool = False, failed: bool = False) -> tuple[bool, bool, bool]:
        flags = torch.tensor([busy, stop, failed], dtype=torch.int32)
        with told():
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags[0]), bool(flags[1]), bool(flags[2])

    @staticmethod
    def _finish(done: threading.Event, helper: threading.Thread | None) -> None:
        done.set()
        if helper is not None:
            helper.join()


def _like(scores: Scores, parts: Iterator[Tensor]) -> Scores:
    return next(parts) if isinstance(scores, Tensor) else [next(parts) for _ in scores]


def together(step: F) -> F:
    """A step that ranks take together where the run is one of several: batches of one size, joint batch statistics."""

    @functools.wraps(step)
    def taken(run: Any, *given: Any, **named: Any) -> Any:
        if run.ranks is None:
            return step(run, *given, **named)
        real = given[0] if given else named.get("real")
        if isinstance(real, Tensor) and len(real) != run.local_batch_size:
            raise UserError(
                f"Expected {run.local_batch_size} samples, this rank's share of a batch of {run.batch_size} over "
                f"{run.ranks.count} ranks, got {len(real)}; hand out its own part of every batch, of this size."
            )
        with over_ranks():
            return step(run, *given, **named)

    return cast("F", taken)
