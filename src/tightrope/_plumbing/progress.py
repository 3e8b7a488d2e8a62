"""One line on stderr that says how far a long read has come."""

from __future__ import annotations

import sys
import time
from types import TracebackType

__all__ = ["Progress", "Stages"]

BAR = 30  # characters
REDRAW_SECONDS = 0.1  # on a terminal
LINE_SECONDS = 10.0  # in a log file


class Progress:
    """Counts to a total: a bar redrawn in place on a terminal, otherwise a plain line now and then."""

    def __init__(self, total: int, what: str, show: bool = True) -> None:
        """Start the clock.

        Args:
            total: how many steps there will be.
            what: plural noun, such as ``images``.
            show: False prints nothing.
        """
        self.total, self.what, self.show = total, what, show
        self.done = 0
        self._terminal = sys.stderr.isatty()
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        now = time.monotonic()
        if self.show and now - self._last >= (REDRAW_SECONDS if self._terminal else LINE_SECONDS):
            self._last = now
            self._print(now)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.show and self.done:
            self._print(time.monotonic())
            if self._terminal:
                print(file=sys.stderr)

    def _print(self, now: float) -> None:
        rate = self.done / max(now - self._start, 1e-9)
        text = f"Reading {self.what}: {self.done:,} of {self.total:,} ({rate:,.0f}/s)"
        if self._terminal:
            filled = BAR * self.done // max(self.total, 1)
            print(f"\r[{'#' * filled}{' ' * (BAR - filled)}] {text}\033[K", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


class Stages:
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
