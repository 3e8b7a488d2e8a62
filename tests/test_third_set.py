import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks/diagnosis/third").is_dir():
    pytest.skip("the benchmarks are not here", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks.diagnosis.third import report, rows  # noqa: E402
from benchmarks.diagnosis.third.desk import STYLES, play, text_of  # noqa: E402
from benchmarks.diagnosis.third.plan import (  # noqa: E402
    CASES,
    FAULTS,
    ODDITIES,
    STEPS,
    faults_in_order,
    healthy_in_order,
    unwatched,
    watched,
)


def test_every_change_fits_its_script_once_and_leaves_a_script():
    assert len(CASES) == len(FAULTS) + len(ODDITIES) + len(STEPS)
    for case in CASES.values():
        text = text_of(case.style, case.changes)
        compile(text, case.key, "exec")
        assert (text == text_of(case.style)) == (not case.changes)
    with pytest.raises(ValueError, match="found 0 times"):
        text_of("wgan_grid", (("no such line", ""),))


def test_the_order_holds_everything_once_and_one_of_each_cause_first():
    assert set(STEPS) == {path.stem for path in STYLES.glob("*.py")}
    order = faults_in_order()
    causes = {case.cause for case in FAULTS}
    assert {case.cause for case in order[: len(causes)]} == causes
    keys = [(case.key, seed, access) for case, seed, access in watched()]
    assert len(keys) == len(set(keys))
    full = sum(access == "full" for *_, access in keys)
    assert full == len(FAULTS) + len(healthy_in_order())
    assert len(set(unwatched())) == len(unwatched())


@pytest.mark.parametrize("style", ["wgan_grid", "table_by_hand", "resumed_rings"])
def test_a_script_runs_the_same_with_and_without_a_monitor(style):
    alone, seen = play(style, (), 3, "none", 6), play(style, (), 3, "full", 6)
    assert not alone.error and not seen.error
    assert alone.updates == seen.updates == 6
    assert alone.distance == seen.distance
    assert [r["at"] for r in seen.readings] == [1, 2, 3, 5, 6]


def test_counts():
    accepted = ("a", "b")
    sure, unsure = ({"cause": "b", "confidence": c, "candidates": []} for c in ("high", "low"))
    other = {"cause": "c", "confidence": "medium", "candidates": ["a"]}
    unnamed = {"cause": "unknown_trouble", "confidence": "high", "candidates": []}
    assert report.right([sure], accepted)
    assert not report.right([unsure], accepted) and not report.right([], accepted)
    assert report.wrong([other, sure], accepted)
    assert not report.wrong([unnamed], accepted) and not report.wrong([unsure], ())
    assert report.among_three([unsure], accepted) and report.among_three([other], accepted)
    assert not report.among_three([unnamed, unnamed, unnamed, sure], accepted)
    far = {("s/healthy", 100): 1.0, ("s/healthy", 101): 3.0, ("s/x", 100): 5.0, ("s/x", 101): 3.0, ("s/y", 101): 6.0}
    assert report.ratio("s/x", far) == 2.0
    assert report.ratio("s/y", far) == 2.0
    assert report.ratio("s/z", far) is None
    for k, n in ((5, 50), (0, 12), (12, 12)):
        for end in report.wilson(k, n):  # the ends solve (k / n - p)^2 = z^2 p (1 - p) / n
            assert (k / n - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, abs=1e-12)


def test_rows_go_into_files_that_are_read_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST_BYTES", 100)
    path = tmp_path / "x.jsonl"
    assert rows.load(path) == []
    for number in range(20):
        rows.append(path, {"n": number, "text": "x" * 10})
    assert [row["n"] for row in rows.load(path)] == list(range(20))
    assert [file.name for file in rows.parts(path)[:2]] == ["x.jsonl", "x.2.jsonl"]
    assert all(file.stat().st_size <= 100 for file in rows.parts(path))


def test_all_rows_of_the_set_are_here():
    found = {(row["key"], row["seed"], row["access"]) for row in rows.load(ROOT / "docs/results/diagnosis/third.jsonl")}
    assert found == {(case.key, seed, access) for case, seed, access in watched()}
