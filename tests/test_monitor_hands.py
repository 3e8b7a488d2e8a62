"""Gradients by hand, by closures, by one pass of both players, without optimisers: named where faulty, else silent."""

from __future__ import annotations

import pytest

from monitor_hands import FAULTY, SOUND


@pytest.mark.parametrize("name", SOUND)
def test_sound_loops_are_healthy(name: str) -> None:
    monitor = SOUND[name]()
    diagnosis = monitor.diagnose()
    assert diagnosis.healthy and not monitor.failures, str(diagnosis)
    assert not any(f.cause == "refuted_unexplained" for f in diagnosis), str(diagnosis)


@pytest.mark.parametrize("name", FAULTY)
def test_faults_are_named_first(name: str) -> None:
    cause, run = FAULTY[name]
    monitor = run()
    assert not monitor.failures
    assert monitor.diagnose()[0].cause == cause, str(monitor.diagnose())
