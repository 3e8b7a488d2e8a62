"""Every performance script has a record, and docs/performance.md is what the records give."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
RECORDS = ROOT / "docs" / "results" / "bench"

if not FOLDER.is_dir():
    pytest.skip("the benchmarks are not here", allow_module_level=True)


def module(name: str):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found  # a dataclass looks its module up
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def timing(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    for name in ("timing", "page"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield module("timing")
    sys.modules.pop("timing", None)


def scripts() -> set[str]:
    helpers = re.search(r"^HELPERS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert helpers
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert set(helpers[1].split()) <= names
    return names - set(helpers[1].split())


@pytest.mark.parametrize("name", sorted(scripts()))
def test_a_performance_script_writes_a_record_and_is_on_the_page(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert re.search(r"^from timing import .*\brecord\b", text, re.MULTILINE)
    assert re.search(r"^ +record\(", text, re.MULTILINE)
    assert json.loads((RECORDS / f"{name}.json").read_text())["rows"]
    assert f"`benchmarks/{name}.py`" in (ROOT / "docs" / "performance.md").read_text()


def test_the_page_is_what_the_records_give(timing):
    assert {path.stem for path in RECORDS.glob("*.json")} == scripts()
    assert module("page").page(RECORDS) == (ROOT / "docs" / "performance.md").read_text()
    sys.modules.pop("page", None)


def test_a_ratio_keeps_its_target_by_the_side_it_is_bound_on(timing):
    one, two = [1.0, 1.0, 1.0], [2.0, 1.0, 4.0]
    spent = {"a": one, "b": two}
    assert timing.faster("x", spent, "a", "b").median == 2.0
    assert timing.dearer("x", spent, "a", "b").median == 0.5
    for bound, target, reached in (
        ("at least", 2.1, False),
        ("at most", 2.1, True),
        ("off one by at most", 0.9, False),
        ("off one by at most", 1.0, True),
    ):
        assert timing.row("x", two, one, two, target=target, bound=bound).reached is reached
    assert timing.row("x", two, one, two).reached is None


def test_a_record_holds_what_the_page_shows(timing, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["some.py"])
    rows = [timing.row("case", [0.0123], [1.0], [2.0], target=0.01)]
    timing.record(tmp_path, "Claim", "baseline", rows, ["peer"], said="Told.", table=[["a"], [1]], picture="some.svg")
    shown = module("page").page(tmp_path)
    sys.modules.pop("page", None)
    for part in ("0.012", "**no**", "Told.", "| 1 |", "results/bench/some.svg", "peer"):
        assert part in shown
