"""The fifth to the ninth frozen set of the diagnosis: their scripts, changes, counts and order."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("sklearn")


@dataclass(frozen=True)
class Frozen:
    """A set's modules and page, how many healthy runs it has at least, and a script of it that is quick."""

    page: Path
    plan: ModuleType
    desk: ModuleType
    steps: ModuleType
    healthy: int
    quick: str


@pytest.fixture(
    params=[
        ("fifth", 112, "simgd_rings"),
        ("sixth", 115, "lazyreg_roll"),
        ("seventh", 125, "oneopt_helix"),
        ("eighth", 121, "ebgan_plumes"),
        ("ninth", 126, "amp_gaits"),
    ],
    ids=["fifth", "sixth", "seventh", "eighth", "ninth"],
)
def frozen(request: pytest.FixtureRequest) -> Frozen:
    name, healthy, quick = request.param
    folder = ROOT / "benchmarks/diagnosis" / name
    if not folder.is_dir():
        pytest.skip("needs the folder benchmarks/, which a source distribution leaves out")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    plan, desk, steps = (importlib.import_module(f"benchmarks.diagnosis.{name}.{part}")
                         for part in ("plan", "desk", "steps"))  # fmt: skip
    return Frozen(folder / "FROZEN.md", plan, desk, steps, healthy, quick)


def test_every_change_fits_its_script_once_and_leaves_a_script(frozen):
    plan, text_of = frozen.plan, frozen.desk.text_of
    assert set(frozen.steps.STEPS) == {path.stem for path in frozen.desk.STYLES.glob("*.py")}
    assert len(plan.CASES) == len(plan.FAULTS) + len(plan.ODDITIES) + len(frozen.steps.STEPS)
    for case in plan.CASES.values():
        text = text_of(case.style, case.changes)
        compile(text, case.key, "exec")
        assert (text == text_of(case.style)) == (not case.changes)


def test_the_counts_are_those_of_the_frozen_page(frozen):
    plan = frozen.plan
    kinds = [sum(case.kind == kind for case in plan.FAULTS) for kind in ("exact", "response", "slow")]
    runs = [len(listed()) for listed in (plan.full, plan.little, plan.unwatched)]
    counts = [len(plan.TWINS), len(plan.FAULTS), *kinds, len(plan.ODDITIES), *runs]
    line = next(line for line in frozen.page.read_text().splitlines() if line.startswith("Counts: "))
    assert [int(word) for word in line.replace(",", " ").replace(".", " ").split() if word.isdigit()] == counts


def test_the_order_holds_everything_once(frozen):
    plan = frozen.plan
    keys = [(case.key, seed, access) for case, seed, access in plan.watched()]
    assert len(keys) == len(set(keys)) == len(plan.full()) + len(plan.little())
    assert plan.watched() == plan.watched()
    assert len(set(plan.unwatched())) == len(plan.unwatched())
    assert sum(not case.cause for case, _ in plan.full()) == frozen.healthy


def test_a_script_runs_without_a_monitor_and_is_the_same_again(frozen):
    play = frozen.desk.play
    once, again = (play(frozen.quick, (), 3, "none", 6) for _ in range(2))
    assert not once.error
    assert once.updates == 6
    assert once.distance == again.distance != play(frozen.quick, (), 4, "none", 6).distance
