"""The second frozen set for the Monitor holds together: names, order, each twist read by the loop it is put in."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.diagnosis.second import case as cases
from benchmarks.diagnosis.second import plan, report, run, watch

from tightrope.monitor import CAUSES


def test_names_are_unique_and_accepted_causes_exist() -> None:
    every = plan.faults() + plan.oddities() + plan.twins()
    assert len({c.name for c in every}) == len(every)
    assert all(name in CAUSES for c in every for name in c.causes)
    assert not any(c.causes for c in plan.oddities() + plan.twins())


def test_any_head_of_the_order_has_faults_and_healthy_runs() -> None:
    head = run.planned("full")[:160]
    faults = [c for c, _ in head if c.causes]
    assert len(faults) >= 90
    assert len(head) - len(faults) >= 58
    assert len({c.causes[0] for c in faults}) == len({c.causes[0] for c in plan.faults()})


@pytest.mark.filterwarnings("ignore:Detected call of")  # a schedule per batch begins before the generator steps
@pytest.mark.parametrize("style", sorted({c.base.style for c in plan.twins()}))
def test_each_loop_reads_its_twists(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    has = cases.Case.has

    def noted(self: cases.Case, twist: str) -> Any:
        asked.add(twist)
        return has(self, twist)

    monkeypatch.setattr(cases.Case, "has", noted)
    seen: set[str] = set()
    for c in plan.faults() + plan.oddities():
        if c.base.style != style or c.twist in seen or c.twist in ("set", "eval_left_on"):
            continue
        seen.add(c.twist)
        asked.clear()
        row = watch.run(dataclasses.replace(c, base=dataclasses.replace(c.base, steps=2)), 100)
        assert "error" not in row, row
        assert {c.twist, *dict(c.also)} <= asked, c.name


def test_verdicts_and_counts(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "end": [["critic_frozen", "h"], ["double_sigmoid", "m"]],
        "first": [[1, None], [3, "critic_frozen"]],
    }
    assert report.verdict(row, ("critic_frozen",)) == "right"
    assert report.verdict(row, ("double_sigmoid",)) == "wrong"
    assert report.among(row, ("double_sigmoid",))
    assert report.verdict({"end": [["critic_frozen", "l"]]}, ("critic_frozen",)) == "abstained"
    assert report.verdict({"end": [["unknown_trouble", "m", ["clip_other"]]]}, ("clip_other",)) == "abstained"
    assert report.among({"end": [["unknown_trouble", "m", ["clip_other"]]]}, ("clip_other",))
    assert report.found_at(row, ("critic_frozen",)) == 3
    assert [report.windows(s) for s in (1, 3, 34, 40, 60)] == [1, 3, 8, 9, 10]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"case": "a", "seed": 1, "access": "full"}) + "\n")
    assert run.done(path) == {("a", 1, "full")}
