"""Records of a run, one JSON object per line: what a row of each may hold, appending, reading, and the run's status."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import refuse_link, write_atomically
from tightrope.metrics import Measurement

METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
CONDITIONING = "conditioning.jsonl"
DIAGNOSIS = "diagnosis.json"
PREFLIGHT = "preflight.json"

Kind = TypeVar("Kind")


class Layer(msgspec.Struct, frozen=True):
    """A critic layer's kernel in a row of metrics: largest singular value, stable rank, and up to 32 of the values.

    Of a weight that spectra do not understand, why.
    """

    sigma: float | None = None
    stable_rank: float | None = None
    values: tuple[float, ...] = ()
    not_understood: str = ""


Logged = dict[str, int | float | dict[str, Layer]]
"""A row of ``metrics.jsonl``: numbers by key, of which ``step`` is always there, and ``spectra``."""


class Evaluation(msgspec.Struct, frozen=True):
    """A row of ``evaluations.jsonl``: all measurements made at one step, or why there are none."""

    step: int
    measurements: tuple[Measurement, ...]
    images_seen: float | None = None
    seconds: float | None = None
    error: str = ""

    @property
    def images(self) -> float:
        """Real samples seen, or the step where a row does not say."""
        return self.step if self.images_seen is None else self.images_seen


class Followed(msgspec.Struct, frozen=True):
    """A row of ``conditioning.jsonl``: the generator's conditioning at one step, or why there is none."""

    step: int
    images_seen: float | None = None
    error: str = ""
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float | None, ...] = ()
    effective_rank: float | None = None
    values: tuple[float | None, ...] = ()
    dead_latents: int = 0
    surplus_latents: int = 0
    n: int = 0
    latent: int = 0
    took_seconds: float = 0.0

    @property
    def images(self) -> float:
        """Real samples seen, or the step where a row does not say."""
        return self.step if self.images_seen is None else self.images_seen


class Status(msgspec.Struct, frozen=True):
    """``RUN/status.json``: ``running``, ``finished`` or ``stopped``, where the run stands, and why it ended."""

    state: str = "unknown"
    step: int | None = None
    images_seen: float | None = None
    seconds: float | None = None
    reason: str = ""


def append(path: Path, row: dict[str, Any]) -> None:
    """Append one row; numbers that are not finite are left out, since JSON has none.

    Raises:
        UserError: The file could not be written, is none, or is a link out of its folder.
    """
    refuse_link(path)
    if path.exists() and not path.is_file():  # a pipe would wait for a reader
        raise UserError(f"Expected a file {path}, got something else of that name; remove it.")
    line = json.dumps(_finite(row), separators=(",", ":"))
    try:
        with path.open("a") as file:
            file.write(line + "\n")
            file.flush()
    except OSError as error:
        raise UserError(
            f"Could not write to {path} ({error.strerror or error}); free some space or check the folder, then resume."
        ) from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items() if not (isinstance(v, float) and not math.isfinite(v))}
    if isinstance(value, list):
        return [_finite(v) for v in value if not (isinstance(v, float) and not math.isfinite(v))]
    return value


def decode(path: Path, kind: type[Kind], *, foreign: bool = False) -> tuple[list[Kind], list[str]]:
    """Rows of a record, and a phrase for every line that holds none, e.g. the one that a kill cut short.

    Args:
        path: The file; one that is missing has no rows.
        kind: What a row holds: one of the types above, or ``dict``.
        foreign: Another program wrote it, so that numbers may be NaN or infinite.

    Returns:
        The rows, and ``"line 3: Expected `int`, got `str` - at `$.step`"`` for each line left out.
    """
    rows: list[Kind] = []
    wrong: list[str] = []
    if not path.is_file():
        return rows, wrong
    decoder: msgspec.json.Decoder[Kind] = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip():
                    rows.append(decoder.decode(line))
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                try:
                    rows.append(msgspec.convert(_pythonic(line, foreign=foreign), kind))
                except (ValueError, RecursionError):
                    wrong.append(f"line {number}: {_named(error, line, kind)}")
    return rows, wrong


def _pythonic(line: bytes, *, foreign: bool) -> Any:
    """A line with NaN or Infinity, as Python's own ``json`` writes them.

    Raises:
        ValueError: It is something else, or of a run of ours, which writes no such numbers.
    """
    found = json.loads(line) if foreign else None
    if not isinstance(found, dict) or all(math.isfinite(v) for v in found.values() if isinstance(v, float)):
        raise ValueError("no numbers that JSON lacks")
    return found


def _named(error: Exception, line: bytes, kind: Any) -> str:
    """What is wrong with a line, with the key of a free mapping where msgspec writes ``[...]``."""
    try:
        found = json.loads(line).items() if "$[...]" in str(error) else ()
    except (ValueError, RecursionError):  # it is worse than that
        found = ()
    for key, value in found:
        try:
            msgspec.convert({key: value}, kind)
        except msgspec.ValidationError as wrong:
            return str(wrong).replace("$[...]", f"$.{key}", 1)
    return str(error)


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a record as they are; a line cut short by a kill is left out."""
    return decode(path, dict[str, Any])[0]


class _Place(msgspec.Struct):
    step: int = 0


def forget_after(path: Path, step: int) -> None:
    """Drop the rows of steps after ``step`` and a line cut short by a kill, atomically; other lines stay as they are.

    The dropped steps will be run again from the checkpoint.
    """
    if not path.is_file():
        return
    place = msgspec.json.Decoder(_Place)
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            late = place.decode(line).step > step
        except (msgspec.DecodeError, ValueError, RecursionError):
            late = not line.endswith(b"\n")  # whole, though no row: it is not ours to lose
        if not late:
            kept.append(line if line.endswith(b"\n") else line + b"\n")
    write_atomically(path, b"".join(kept))


def forget_pictures_after(folder: Path, step: int) -> None:
    """Delete the pictures of steps after ``step`` in ``RUN/samples``: they will be drawn again."""
    for number, picture in pictures(folder):
        if number > step:
            picture.unlink(missing_ok=True)


def pictures(folder: Path) -> list[tuple[int, Path]]:
    """Steps and sample pictures of a run folder, oldest first."""
    found = ((re.fullmatch(r"step_(\d+)\.png", path.name), path) for path in (folder / "samples").glob("step_*.png"))
    return sorted((int(match.group(1)), path) for match, path in found if match)


def write_status(run: Path, state: str, *, step: int, images_seen: int, seconds: float, reason: str = "") -> None:
    """Write ``RUN/status.json``."""
    status = Status(state, step, images_seen, round(seconds, 3), reason)
    write_atomically(run / "status.json", msgspec.json.encode(status) + b"\n")
