"""One room on one floor, strictly downward, no circle; and the lower floors cost their user torch and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import house
import tightrope

LIGHT = house.ORDER[: house.ORDER.index("runs")]  # at import these need torch alone
HEAVY = ("data", "metrics", "evaluation", "drawing")  # but for those, which read and measure


@pytest.mark.parametrize("path", house.files(), ids=lambda p: str(p.relative_to(house.ROOT)))
def test_imports_point_downwards(path):
    here = house.place(path)
    assert here in house.ORDER, f"{here} is no room of the house; place it in ORDER"
    for there, names in house.arrows([path])[here].items():
        assert there in house.ORDER, f"{here} imports {names}, which stand in no room"
        assert house.ORDER.index(there) < house.ORDER.index(here), f"{here} imports upwards: {names}"
        assert here not in house.LEAVES or there == "_plumbing", f"the leaf {here} imports {names}"


@pytest.mark.parametrize("path", house.files(), ids=lambda p: str(p.relative_to(house.ROOT)))
def test_the_lower_rooms_import_torch_alone(path):
    here = house.place(path)
    if here not in LIGHT or here in HEAVY:
        return
    for name, top, typing in house.imports(path):
        first = name.split(".")[0]
        light = first in ("tightrope", "torch") or first in sys.stdlib_module_names
        assert light or typing or not top, f"{here} imports {first} at module level"


def test_the_house_has_no_circle_and_at_most_twelve_floors():
    floors = house.floors(house.arrows())
    assert max(floors.values()) <= 12
    assert set(floors) == set(house.ORDER), "a room that is not there, or one that is not placed"


def test_a_circle_and_an_upward_arrow_are_found():
    below = {"losses": {"linalg": {"tightrope.linalg.qr"}}, "linalg": {}}
    assert house.floors(below) == {"losses": 2, "linalg": 1}
    with pytest.raises(ValueError, match="circle: losses -> linalg -> losses"):
        house.floors(below | {"linalg": {"losses": {"tightrope.losses.hinge"}}})


def test_no_circle_between_modules_even_inside_of_a_room():
    found = house.circle(house.modules())
    assert not found, "circle: " + " -> ".join(found)


def test_a_circle_inside_of_a_room_is_found_wherever_its_import_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(house, "ROOT", tmp_path)
    room = tmp_path / "room" / "inner"
    room.mkdir(parents=True)
    (tmp_path / "room" / "__init__.py").write_text("from tightrope.room.a import f\n")
    (tmp_path / "room" / "a.py").write_text("def f():\n    from tightrope.room.inner import b\n")
    (room / "b.py").write_text("import torch\n")
    assert house.modules()["tightrope.room.a"] == {"tightrope.room.inner.b"} and not house.circle(house.modules())
    for back in (
        "from ..a import f",
        "from tightrope.room import f",
        "if TYPE_CHECKING:\n    from tightrope.room.a import f",
    ):
        (room / "b.py").write_text(back + "\n")
        found = house.circle(house.modules())
        assert found[0] == found[-1] and {"tightrope.room.a", "tightrope.room.inner.b"} <= set(found)


def test_the_top_of_the_package_is_small_and_every_room_is_reachable_by_name():
    entries = {p.name for p in house.ROOT.iterdir() if p.name not in ("__pycache__", "py.typed")}
    assert len(entries) <= 30
    rooms = {Path(entry).stem for entry in entries} - {"__init__", "__main__"}
    hidden = {room for room in rooms if room.startswith("_")}
    code = f"import tightrope; [getattr(tightrope, name) for name in {sorted(rooms - hidden)!r}]"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert rooms - hidden <= set(dir(tightrope))


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import tightrope; dir(tightrope)", "torch numpy scipy PIL"),
        ("import tightrope; tightrope.losses.hinge; tightrope.training.start", "scipy PIL matplotlib pyarrow"),
    ],
)
def test_importing_costs_no_more_than_promised(statement, absent):
    code = f"import sys; {statement}; print(*[m for m in {absent.split()} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
