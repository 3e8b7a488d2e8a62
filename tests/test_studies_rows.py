"""Rows of studies as files of text: in several parts where there are many, and none is lost while they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tightrope._plumbing.errors import UserError
from tightrope.studies import exported
from tightrope.studies.design import Row


def study_rows(seeds: range, text: str = "", code: str = "c") -> list[Row]:
    return [Row({"a": 1}, seed, "ok", {"x": float(seed), "text": text}, "", 0.0, code, "l") for seed in seeds]


def test_many_rows_go_into_files_that_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "MOST_BYTES", 1000)
    path, rows = tmp_path / "s.jsonl", study_rows(range(40), "\u00e9" * 9)
    (tmp_path / "s.other.jsonl").write_text("no part")
    assert exported.write(path, {"cpu": rows}) == path
    parts = exported.parts_of(path)
    assert [part.name for part in parts[:3]] == ["s.jsonl", "s.2.jsonl", "s.3.jsonl"] and len(parts) > 5
    assert all(part.stat().st_size <= 1000 for part in parts)
    assert exported.read(path)["cpu"] == rows
    exported.write(path, {"cpu": rows[:12]})
    assert exported.read(path)["cpu"] == rows[:12] and len(exported.parts_of(path)) < len(parts)
    exported.parts_of(path)[-2].unlink()
    with pytest.raises(UserError, match=r"Expected s(\.\d)?\.jsonl in .* restore it"):
        exported.read(path)
    path.unlink(missing_ok=True)
    exported.write(path, {"cpu": rows[:2]})
    assert {file.name for file in tmp_path.iterdir()} == {"s.jsonl", "s.other.jsonl"}
    long = study_rows(range(3), "x" * 2000)  # a row that fits into no file has one of its own
    exported.write(path, {"cpu": long})
    assert exported.read(path)["cpu"] == long and len(exported.parts_of(path)) == 3


@pytest.mark.parametrize(("before", "after"), [(10, 40), (40, 10), (40, 0), (25, 26)])
def test_files_of_rows_lose_none_wherever_writing_them_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    """Rows move from file to file as others come, grow or go."""
    monkeypatch.setattr(exported, "MOST_BYTES", 1000)
    old, new = study_rows(range(before), "x" * 30), study_rows(range(after), code="d")
    real, steps = exported.write_atomically, 0
    for end in range(60):
        folder = tmp_path / str(end)
        folder.mkdir()
        exported.write(folder / "s.jsonl", {"cpu": old})
        left = [end]

        def dying(path: Path, content: bytes, left: list[int] = left) -> Path:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(path, content)

        monkeypatch.setattr(exported, "write_atomically", dying)
        try:
            exported.write(folder / "s.jsonl", {"cpu": new})
        except KeyboardInterrupt:
            steps += 1
        monkeypatch.setattr(exported, "write_atomically", real)
        found = {row.seed: row for row in exported.read(folder / "s.jsonl")["cpu"]}
        assert set(range(min(before, after))) <= set(found)
        for row in new if end else []:
            assert found[row.seed] == row
        if not left[0] and not end:
            assert list(found.values()) == old
        if left[0]:
            break
    assert steps > 1
    assert exported.read(folder / "s.jsonl")["cpu"] == new
