"""Planted faults are named first; healthy recipes, oddities and other people's loops give no finding of weight."""

from __future__ import annotations

import pytest

from monitor_cases import FAULTS, HARMLESS
from monitor_loop import build
from monitor_styles import FAULTY, SOUND
from tightrope.monitor import CAUSES


@pytest.mark.parametrize("name", FAULTS)
def test_the_planted_cause_is_named_first(name: str) -> None:
    cause, case = FAULTS[name]
    monitor = build(case).run()
    assert monitor is not None
    diagnosis = monitor.diagnose()
    assert not monitor.failures and not diagnosis.healthy
    assert diagnosis[0].cause == cause, str(diagnosis)
    assert diagnosis[0].since <= 13
    assert diagnosis[0].remedy.startswith(CAUSES[cause].remedy)  # then from where to go on, if samples have run away
    assert diagnosis[0].title in str(diagnosis)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_wrong_is_healthy(name: str) -> None:
    monitor = build(HARMLESS[name]).run()
    assert monitor is not None
    diagnosis = monitor.diagnose()
    assert diagnosis.healthy and not monitor.failures, str(diagnosis)
    assert diagnosis[0].cause == "healthy"


@pytest.mark.parametrize("name", SOUND)
def test_other_styles_are_healthy(name: str) -> None:
    monitor = SOUND[name]()
    diagnosis = monitor.diagnose()
    assert diagnosis.healthy and not monitor.failures, str(diagnosis)


@pytest.mark.parametrize("name", FAULTY)
def test_faults_in_other_styles(name: str) -> None:
    cause, run = FAULTY[name]
    monitor = run()
    assert not monitor.failures
    assert monitor.diagnose()[0].cause == cause, str(monitor.diagnose())
