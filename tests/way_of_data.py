"""How far data travels: the functions of ours that hold a value on its way. ``python tests/way_of_data.py`` prints it.

Two ways are walked: ``--gamma`` from the words of the command to ``penalties.r1``, and one number of ``metrics.jsonl``
to the curve of the report. A function counts if a value marked beforehand is among its arguments when it is called:
bare, or inside a list, mapping or dataclass, three levels deep for the option; for the number of the row bare, in its
row, or in a list of numbers, but not as part of the whole record of the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

MARK = 7.12890625  # a binary fraction that nothing else has
TRAIN = "train digits --method r1 --network dcgan --width 8 --evaluate-every 0 --threads 1 --quiet"


def holds(value: Any, depth: int = 3) -> bool:
    """Whether the mark is in a value."""
    if isinstance(value, float | int | str):
        return value == MARK or (isinstance(value, str) and str(MARK) in value and len(value) < 2000)
    if depth == 0:
        return False
    if isinstance(value, Mapping):
        return any(holds(item, depth - 1) for item in list(value.values()))
    if isinstance(value, list | tuple):
        return len(value) < 1000 and any(holds(item, depth - 1) for item in value)
    if depth > 1 and dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(holds(getattr(value, field.name, None), depth - 1) for field in dataclasses.fields(value))
    return False


def place_of(frame: FrameType, depth: int) -> str:
    """Where a function stands if it is ours and was called with the mark, else nothing."""
    code = frame.f_code
    if "tightrope" not in code.co_filename or "<" in code.co_name:
        return ""
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2]
    if not any(holds(frame.f_locals.get(name), depth) for name in names):
        return ""
    return f"{code.co_filename.rpartition('tightrope' + os.sep)[2]}:{code.co_qualname}"


def callers(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and all that wait for it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


@contextlib.contextmanager
def followed(until: str = "", depth: int = 3, handed: Sequence[str] = ()) -> Iterator[list[str]]:
    """Collect the functions of the package that are called with the mark, up to the first call of ``until``.

    With ``handed`` only those that are waiting when a function of such a name is called with it: the hands that the
    value goes through, without those that hold it beside the way.
    """
    seen: list[str] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or (seen and until and re.search(until, seen[-1])):
            return
        place = place_of(frame, depth)
        if not place or (handed and not any(re.search(name, place) for name in handed)):
            return
        places = [place_of(above, depth) for above in callers(frame)][::-1] if handed else [place]
        seen.extend(dict.fromkeys(each for each in places if each and each not in seen))

    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def command(words: str) -> None:
    from tightrope.cli import main

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(words.split()) == 0, words


def way_of_gamma(folder: Path) -> list[str]:
    """From ``--gamma`` to ``penalties.r1``."""
    with followed(until=r"penalties.*:r1$") as seen:
        command(f"{TRAIN} --steps 1 --gamma {MARK} --out {folder / 'run'}")
    return seen


def hands_of_gamma(folder: Path) -> list[str]:
    """The same, only what stands between the words and the method, and between the method and the penalty."""
    with followed(until=r"penalties.*:r1$", handed=(r"methods.*:r1$", r"penalties.*:r1$")) as seen:
        command(f"{TRAIN} --steps 1 --gamma {MARK} --out {folder / 'hands'}")
    return seen


def way_of_row(folder: Path) -> list[str]:
    """From a row of ``metrics.jsonl`` to the report's curve."""
    command(f"{TRAIN} --steps 2 --log-every 1 --out {folder / 'row'}")
    path = folder / "row" / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[-1]["critic_loss"] = MARK
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with followed(depth=1) as seen:
        command(f"report {folder / 'row'}")
    return seen


def main() -> None:
    walks: dict[str, Callable[[Path], list[str]]] = {
        "--gamma to r1": way_of_gamma,
        "--gamma to r1, hand to hand": hands_of_gamma,
        "row to curve": way_of_row,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, walk in walks.items():
            seen = walk(Path(folder))
            print(f"{name}: {len(seen)} functions in {len({place.split(':')[0] for place in seen})} files")
            print("".join(f"    {place}\n" for place in seen), end="")


if __name__ == "__main__":
    main()
