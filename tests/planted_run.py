"""A run of ours whose monitor is told something wrong, so that it finds a fault."""

from __future__ import annotations

import pytest

from tightrope.monitor import Monitor
from tightrope.runs import watch
from tightrope.training import Run

WRONG = "penalty_weight_wrong"


def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor believes in another weight of the penalty than is trained with."""
    claimed = watch.monitor_of

    def other(run: Run) -> Monitor | None:
        monitor = claimed(run)
        assert monitor is not None
        monitor.history.claims = type(monitor.history.claims)(True, (("r1", 1000.0),))
        return monitor

    monkeypatch.setattr(watch, "monitor_of", other)
