"""How far something has come: a bar on a terminal or in a notebook, a plain line every ten seconds in a log."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tightrope._plumbing.say import say

__all__ = ["Progress", "clock"]

LINE_SECONDS = 10.0
"""Between two lines of a log."""


class Progress:
    """Counts through one stage after another."""

    def __init__(self, *, show: bool = False) -> None:
        """Start without a stage.

        Args:
            show: False prints nothing.
        """
        self.show = show
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stage(self, what: str, total: int | None, *, done: int = 0) -> None:
        """Begin to count to ``total``, None for no end that is known.

        Args:
            what: plural noun, such as ``generated samples``.
            total: how many there will be.
            done: how many there are already.
        """
        self.close()
        if self.show:
            self._bar = _bar(what, total, done)

    def advance(self, count: int = 1, numbers: Mapping[str, float] | None = None) -> None:
        """Count some more as done; ``numbers`` are shown behind the count until others come."""
        if self._bar is not None:
            if numbers:
                self._bar.set_postfix_str("  ".join(f"{key} {value:.4g}" for key, value in numbers.items()), False)
            self._bar.update(count)

    def say(self, text: str) -> None:
        """Print a line of its own."""
        if not self.show:
            return
        beside = contextlib.nullcontext() if self._bar is None else self._bar.external_write_mode(file=sys.stderr)
        with beside:
            say(text, error=True)

    def close(self) -> None:
        """End the stage and wipe its line from a terminal."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def clock(seconds: float) -> str:
    """A duration as ``1:02:03`` or ``02:03``."""
    from tqdm.std import tqdm

    return str(tqdm.format_interval(round(seconds)))


class _Lines(io.TextIOBase):
    """What tqdm draws over and over in place, as lines of stderr."""

    def write(self, text: str) -> int:
        if line := text.strip("\r\n "):
            say(line, error=True)
        return len(text)


def _bar(what: str, total: int | None, done: int) -> Any:
    from tqdm import auto

    class Bar(auto.tqdm):  # type: ignore[misc, unused-ignore]
        monitor_interval = 0  # no thread that watches the bars: runs fork and count themselves

    shared = {"desc": what, "total": total, "initial": done, "leave": False, "miniters": 1}
    if (sys.stderr is not None and sys.stderr.isatty()) or auto.notebook_tqdm is not auto.std_tqdm:
        return Bar(**shared, file=sys.stderr, dynamic_ncols=True)
    left = "" if total is None else " of {total_fmt}, {remaining} left"
    line = "{desc}: {n_fmt}" + left + ", {elapsed} so far, {rate_fmt}{postfix}"
    return Bar(**shared, file=_Lines(), mininterval=LINE_SECONDS, delay=LINE_SECONDS, bar_format=line)
