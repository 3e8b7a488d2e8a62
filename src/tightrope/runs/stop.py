"""Signals while a run trains: remembered until a step is whole, answered at once while it is measured."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TIMER = getattr(signal, "ITIMER_REAL", 0)


class Stop:
    """What was asked for.

    Attributes:
        asked: Name of the first signal; empty for none.
        late: Whether the last block of :meth:`at_once` took longer than it might.
    """

    def __init__(self) -> None:
        self.asked, self.late = "", False
        self._at_once = False

    @property
    def reason(self) -> str:
        """In words."""
        return f"stopped by {self.asked}"

    @contextmanager
    def at_once(self, seconds: float = math.inf) -> Iterator[None]:
        """Let a signal raise ``KeyboardInterrupt`` in here, one from before too: nothing in here need be whole.

        Args:
            seconds: After these, at least one, the same is raised and ``late`` is set, where a clock can interrupt.

        Raises:
            KeyboardInterrupt: A signal has come.
        """
        self.late = False
        if self.asked:
            raise KeyboardInterrupt
        self._at_once = True
        try:
            with self._alarm(seconds):
                yield
        finally:
            self._at_once = False

    @contextmanager
    def _alarm(self, seconds: float) -> Iterator[None]:
        main = threading.current_thread() is threading.main_thread()
        if not (main and math.isfinite(seconds) and hasattr(signal, "setitimer")) or signal.getitimer(TIMER)[0]:
            yield
            return

        def ring(number: int, frame: object) -> None:
            self.late = True
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(TIMER, max(seconds, 1.0))  # guesses are no better
            yield
        finally:
            signal.setitimer(TIMER, 0.0)
            signal.signal(signal.SIGALRM, before)

    def remember(self, number: int, frame: object) -> None:
        """The handler; a second signal interrupts wherever it comes."""
        again, self.asked = bool(self.asked), self.asked or signal.Signals(number).name
        if again or self._at_once:
            raise KeyboardInterrupt


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Receive SIGINT, SIGTERM and SIGHUP, as of a terminal that was closed, instead of dying from them.

    SIGHUP stays ignored where it is, as under nohup. In other threads than the main one nothing is asked.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on every system
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        numbers.append(hangup)
    before = {number: signal.signal(number, stop.remember) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
