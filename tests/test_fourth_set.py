import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks/diagnosis/fourth").is_dir():
    pytest.skip("the benchmarks are not here", allow_module_level=True)
sys.path.insert(0, str(ROOT))
pytest.importorskip("sklearn")

from benchmarks.diagnosis.fourth.desk import STYLES, play, text_of  # noqa: E402
from benchmarks.diagnosis.fourth.plan import CASES, FAULTS, ODDITIES, full, little, unwatched, watched  # noqa: E402
from benchmarks.diagnosis.fourth.run import short  # noqa: E402
from benchmarks.diagnosis.fourth.steps import STEPS  # noqa: E402

from tightrope.monitor import CAUSES  # noqa: E402

STATES = {
    "healthy",
    "unknown_trouble",
    "evaluation_too_few_samples",
    "refuted_unexplained",
    "no_progress",
}


def test_every_change_fits_its_script_once_and_leaves_a_script():
    assert set(STEPS) == {path.stem for path in STYLES.glob("*.py")}
    assert len(CASES) == len(FAULTS) + len(ODDITIES) + len(STEPS)
    for case in CASES.values():
        text = text_of(case.style, case.changes)
        compile(text, case.key, "exec")
        assert (text == text_of(case.style)) == (not case.changes)
    with pytest.raises(ValueError, match="found 0 times"):
        text_of("airl_policy", (("no such line", ""),))


def test_the_order_holds_everything_once():
    keys = [(case.key, seed, access) for case, seed, access in watched()]
    assert len(keys) == len(set(keys)) == len(full()) + len(little())
    assert watched() == watched()
    assert len(set(unwatched())) == len(unwatched())
    assert {case.cause for case in FAULTS} == set(CAUSES) - STATES - {"generator_memorising"}
    healthy = [case for case, _, access in watched() if access == "full" and not case.cause]
    assert len(healthy) >= 100


def test_a_script_runs_without_a_monitor_and_is_the_same_again():
    once, again = (play("reversal_pinwheel", (), 3, "none", 6) for _ in range(2))
    assert not once.error
    assert once.updates == 6
    assert once.distance == again.distance != play("reversal_pinwheel", (), 4, "none", 6).distance


def test_readings_are_kept_where_something_changes_and_at_the_end():
    def reading(at, *causes):
        return {
            "at": at,
            "findings": [
                {"cause": c, "confidence": "high", "candidates": [], "since": 1, "sentence": "s" * 300} for c in causes
            ],
        }

    kept = short(
        [reading(1), reading(2), reading(3, "a"), reading(5, "a"), reading(8, "a", "b"), reading(13, "a", "b")]
    )
    assert [r["at"] for r in kept] == [1, 3, 8, 13]
    assert [len(f.get("sentence", "")) for f in kept[-1]["findings"]] == [140, 0]
    assert all("sentence" not in f for r in kept[:-1] for f in r["findings"])
