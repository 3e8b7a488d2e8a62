"""The loop, as a Python generator: the caller's ``for`` logs, samples, saves and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any, Protocol, Self

from torch import Tensor

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.methods import Simultaneous
from tightrope.training.batches import samples_and_labels
from tightrope.training.half_steps import critic_step, generator_step
from tightrope.training.joint import joint_step
from tightrope.training.run import Run, Step


class Batches(Protocol):
    """Anything that hands out batches one by one, such as ``tightrope.data.Sampler``.

    Raises:
        UserTypeError: It is called: it describes objects, and is none to be built.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Let classes that name it as their base be built as ever."""
        if cls is Batches:
            raise UserTypeError(
                "Expected an object with next(), got a call of training.Batches, which only describes such objects; "
                "pass tightrope.data.Sampler(dataset, batch_size, seed=0), or any iterable of batches."
            )
        return super().__new__(cls)

    def next(self) -> Any:
        """The next batch, with attributes ``x`` ``[batch, *shape]`` and ``labels`` ``[batch]`` or None."""


def train(
    run: Run,
    data: Batches | Iterable[Any],
    *,
    steps: int | None = None,
    images: int | None = None,
    minutes: float | None = None,
) -> Iterator[Step]:
    """Train until a total is reached, yielding after every step; the caller logs, samples, saves and stops.

    Args:
        run: Trained in place.
        data: A sampler with ``next()``, or any iterable of tensors or ``(samples, labels, ...)`` tuples, such as a
            ``DataLoader``; an iterable is started again when it ends.
        steps: Stop when ``run.step`` reaches it.
        images: Stop when ``run.images_seen`` reaches it.
        minutes: Stop when this call has lasted as long.

    Yields:
        One :class:`Step` per generator update.

    Raises:
        NonFiniteError: A half-step met a value that is not finite.
        UserError: No budget was given, or the iterable is empty.

    Example:
        >>> from tightrope import methods, training
        >>> generator, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> run = training.start(methods.build("r1"), generator, critic, seed=0, latent=4, shape=(2,))
        >>> for step in training.train(run, [torch.randn(16, 2), torch.randn(16, 2)], steps=3):
        ...     print(step.step, step.images_seen)
        1 16
        2 32
        3 48
    """
    if steps is None and images is None and minutes is None:
        raise UserError("Expected a budget, got none; pass steps=, images= or minutes=.")
    _check_budget(steps=steps, images=images, minutes=minutes)
    began = time.monotonic()
    over = None if minutes is None else lambda: time.monotonic() - began >= 60 * minutes
    yield from train_until(run, data, steps=steps, images=images, over=over)


def train_until(
    run: Run,
    data: Batches | Iterable[Any],
    *,
    steps: int | None = None,
    images: int | None = None,
    over: Callable[[], bool] | None = None,
) -> Iterator[Step]:
    """Train as :func:`train` does, until a total is reached or ``over``, asked before each step, is true on a rank."""
    following, play = reader(data), run.method.play
    conditional = bool(getattr(run.generator, "classes", 0))
    while not (
        (steps is not None and run.step >= steps)
        or (images is not None and run.images_seen >= images)
        or (over is not None and _over(run, over()))
    ):
        if isinstance(play, Simultaneous):
            critic_half, generator_half = joint_step(run, *following())
            yield Step(run.step, run.images_seen, critic_half, generator_half)
            continue
        for _ in range(run.critic_steps_due):
            real, labels = following()
            critic_half = critic_step(run, real, labels)
        if run.method.loss.paired or conditional:
            real, labels = following()
            generator_half = generator_step(run, real, labels)
        else:
            generator_half = generator_step(run)
        yield Step(run.step, run.images_seen, critic_half, generator_half)
    run.settle()


def _over(run: Run, over: bool) -> bool:
    """Whether time is up, on any rank."""
    return over if run.ranks is None else run.ranks.agree(over)


def _check_budget(**given: float | None) -> None:
    for name, value in given.items():
        if value is not None and (not isinstance(value, Real) or isinstance(value, bool) or math.isnan(value)):
            raise UserError(f"Expected {name} as a number, got {value!r}, at which training would not end; set it.")
        if value is not None and value < 0:
            raise UserError(f"Expected {name} >= 0, got {value!r}; the total at which to stop counts from 0.")


def reader(data: Batches | Iterable[Any]) -> Callable[[], tuple[Tensor, Tensor | None]]:
    """A function that gives the next batch and its labels, without end."""
    if hasattr(data, "next"):
        sampler: Any = data

        def from_sampler() -> tuple[Tensor, Tensor | None]:
            batch = sampler.next()
            return batch.x, batch.labels

        return from_sampler
    if not isinstance(data, Iterable):
        raise UserTypeError(
            f"Expected batches, as a Sampler or an iterable of tensors, got a {type(data).__name__}; for a data set of "
            "this library pass tightrope.data.Sampler(dataset, batch_size, seed=0)."
        )
    endless = _cycle(data)

    def from_iterable() -> tuple[Tensor, Tensor | None]:
        return samples_and_labels(next(endless))

    return from_iterable


def _cycle(data: Iterable[Any]) -> Iterator[Any]:
    while True:
        empty = True
        for batch in data:
            empty = False
            yield batch
        if empty:
            raise UserError("Expected at least one batch, got an empty data set or an exhausted iterator.")
