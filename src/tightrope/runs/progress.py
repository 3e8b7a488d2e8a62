"""One line of progress on a terminal, plain lines otherwise: step, images seen, rate, time left, the few numbers."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from tightrope.runs.config import TrainingSettings


class Progress:
    """Prints where a run stands. On a terminal one line is rewritten; elsewhere a line appears every so often."""

    def __init__(
        self,
        settings: TrainingSettings,
        *,
        stream: TextIO | None = None,
        quiet: bool = False,
        every_seconds: float = 10.0,
    ) -> None:
        self.settings = settings
        self.stream = sys.stderr if stream is None else stream
        self.quiet = quiet
        self.live = self.stream.isatty()
        self.every_seconds = 0.2 if self.live else every_seconds
        self._began = time.monotonic()
        self._first: int | None = None
        self._printed = 0.0
        self._width = 0
        self.numbers: dict[str, float] = {}

    def update(self, step: int, images_seen: int, numbers: Mapping[str, float] | None = None) -> None:
        """Show a step; ``numbers`` replaces the values shown until the next call that brings some."""
        now = time.monotonic()
        if self._first is None:  # the first step warms up caches and says nothing about the rate
            self._first, self._began = step, now
        if numbers:
            self.numbers |= numbers
        if self.quiet or now - self._printed < self.every_seconds:
            return
        self._printed = now
        self._write(self.line(step, images_seen, now))

    def line(self, step: int, images_seen: int, now: float) -> str:
        """The text for one step at a monotonic time ``now``."""
        done = step - (step if self._first is None else self._first)
        spent = max(now - self._began, 1e-9)
        rate = done / spent
        left = self._left(step, images_seen, spent, rate)
        total = f"/{self.settings.steps}" if self.settings.steps is not None else ""
        parts = [f"step {step}{total}", f"{images_seen:,} images"]
        if done:
            parts.append(f"{rate:.1f} steps/s")
        if left is not None:
            parts.append(f"{clock(left)} left")
        parts += [f"{name} {value:.4g}" for name, value in self.numbers.items()]
        return "  ".join(parts)

    def _left(self, step: int, images_seen: int, spent: float, rate: float) -> float | None:
        estimates: list[float] = []
        if self.settings.steps is not None and rate > 0:
            estimates.append((self.settings.steps - step) / rate)
        if self.settings.images is not None and rate > 0 and step > 0:
            estimates.append((self.settings.images - images_seen) / (rate * images_seen / step))
        if self.settings.minutes is not None:
            estimates.append(60 * self.settings.minutes - spent)
        return max(min(estimates), 0.0) if estimates else None

    def say(self, text: str) -> None:
        """Print a whole line of its own."""
        if not self.quiet:
            self._clear()
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """Leave the last line standing."""
        if self.live and self._width and not self.quiet:
            print(file=self.stream, flush=True)
            self._width = 0

    def _write(self, text: str) -> None:
        if not self.live:
            print(text, file=self.stream, flush=True)
            return
        print("\r" + text.ljust(self._width), end="", file=self.stream, flush=True)
        self._width = len(text)

    def _clear(self) -> None:
        if self.live and self._width:
            print("\r" + " " * self._width + "\r", end="", file=self.stream)
            self._width = 0


def clock(seconds: float) -> str:
    """A duration as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
