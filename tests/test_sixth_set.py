import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks/diagnosis/sixth").is_dir():
    pytest.skip("the benchmarks are not here", allow_module_level=True)
sys.path.insert(0, str(ROOT))
pytest.importorskip("sklearn")

from benchmarks.diagnosis.sixth.desk import STYLES, play, text_of  # noqa: E402
from benchmarks.diagnosis.sixth.plan import CASES, FAULTS, ODDITIES, TWINS, full, little, unwatched, watched  # noqa: E402
from benchmarks.diagnosis.sixth.steps import STEPS  # noqa: E402


def test_every_change_fits_its_script_once_and_leaves_a_script():
    assert set(STEPS) == {path.stem for path in STYLES.glob("*.py")}
    assert len(CASES) == len(FAULTS) + len(ODDITIES) + len(STEPS)
    for case in CASES.values():
        text = text_of(case.style, case.changes)
        compile(text, case.key, "exec")
        assert (text == text_of(case.style)) == (not case.changes)


def test_the_counts_are_those_of_the_frozen_page():
    kinds = [sum(case.kind == kind for case in FAULTS) for kind in ("exact", "response", "slow")]
    counts = [len(TWINS), len(FAULTS), *kinds, len(ODDITIES), len(full()), len(little()), len(unwatched())]
    page = (ROOT / "benchmarks/diagnosis/sixth/FROZEN.md").read_text()
    line = next(line for line in page.splitlines() if line.startswith("Counts: "))
    assert [int(word) for word in line.replace(",", " ").replace(".", " ").split() if word.isdigit()] == counts


def test_the_order_holds_everything_once():
    keys = [(case.key, seed, access) for case, seed, access in watched()]
    assert len(keys) == len(set(keys)) == len(full()) + len(little())
    assert watched() == watched()
    assert len(set(unwatched())) == len(unwatched())
    assert sum(not case.cause for case, _ in full()) >= 110


def test_a_script_runs_without_a_monitor_and_is_the_same_again():
    once, again = (play("lazyreg_roll", (), 3, "none", 6) for _ in range(2))
    assert not once.error
    assert once.updates == 6
    assert once.distance == again.distance != play("lazyreg_roll", (), 4, "none", 6).distance
