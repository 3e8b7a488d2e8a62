"""One line on stderr that says how far a measurement has come."""

from __future__ import annotations

import sys
import time

REDRAW_SECONDS, LINE_SECONDS = 0.2, 10.0


class Progress:
    """Counts through one stage after another: redrawn in place on a terminal, otherwise a plain line now and then."""

    def __init__(self, *, show: bool = False) -> None:
        """Start without a stage.

        Args:
            show: False prints nothing.
        """
        self.show = show
        self._terminal = show and sys.stderr.isatty()
        self._what, self._total, self._done, self._width = "", 0, 0, 0
        self._start = self._last = time.monotonic()

    def stage(self, what: str, total: int) -> None:
        """Begin to count to ``total``; ``what`` is a plural noun, such as ``generated samples``."""
        self.close()
        self._what, self._total, self._done = what, total, 0
        self._start = self._last = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count some more as done."""
        self._done += count
        now = time.monotonic()
        if self.show and now - self._last >= (REDRAW_SECONDS if self._terminal else LINE_SECONDS):
            self._last = now
            self._print(now)

    def close(self) -> None:
        """Wipe the line of a terminal."""
        if self._terminal and self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
        self._width = 0

    def _print(self, now: float) -> None:
        left = (now - self._start) / self._done * (self._total - self._done)
        text = f"{self._what}: {self._done:,} of {self._total:,}, about {left:,.0f} s left"
        if self._terminal:
            print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)
