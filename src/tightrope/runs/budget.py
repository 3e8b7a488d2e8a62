"""The time that ``--minutes`` gives a run, all of it: start-up, steps, what is measured and drawn, and the report."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

GUESSED, MEASURED = 1.5, 1.25
"""How much longer a thing may take than was guessed, or than it took the last time, before it does not fit."""


@dataclass(frozen=True)
class Clock:
    """What of a budget of time lies outside the training.

    Attributes:
        began: When it began, by ``time.monotonic``.
        closing: Seconds that what comes after the training takes: the report, and the end of the process.
    """

    began: float
    closing: float = 0.0


class Budget:
    """What is left of the time, and whether something can still end in it.

    Attributes:
        seconds: Of the whole budget; infinite without one.
        slower: How many times longer evaluations took here than was guessed; at least 1.
    """

    def __init__(self, minutes: float | None, *, before: float, clock: Clock) -> None:
        """Count from ``clock`` on.

        Args:
            minutes: The budget; None for none.
            before: Seconds of it that earlier calls have used.
            clock: When this call began, and what follows it.
        """
        self.seconds = math.inf if minutes is None else 60 * minutes
        self._began, self._closing = clock.began - before, clock.closing
        self._took: dict[object, float] = {}
        self.slower = 1.0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._began + self.seconds - time.monotonic()

    @property
    def closing(self) -> float:
        """Seconds for what comes after the training, and for what nobody foresees."""
        return self._closing + 0.02 * min(self.seconds, 50.0)

    @property
    def ending(self) -> float:
        """Seconds for what has to come after the last step: a picture and its nearest images, a checkpoint, closing."""
        pictures = 2 * self._took.get("picture", 0.0) + self._took.get("nearest", 0.0)
        return pictures + 2 * self._took.get("checkpoint", 0.0) + self.closing

    def note(self, what: object, seconds: float) -> None:
        """Remember how long something took."""
        self._took[what] = seconds

    @contextmanager
    def timed(self, what: object) -> Iterator[None]:
        """Remember how long this block takes."""
        began = time.monotonic()
        yield
        self.note(what, time.monotonic() - began)

    def took(self, what: object) -> float | None:
        """Seconds that something took the last time; None if it has not been done yet."""
        return self._took.get(what)

    def fits(self, what: object, reserved: float) -> bool:
        """Whether something, if it takes as long as the last time, ends before the ``reserved`` seconds."""
        return MEASURED * self._took.get(what, 0.0) <= self.left - reserved
