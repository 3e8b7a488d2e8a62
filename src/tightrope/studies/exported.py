"""Rows as text: one line of JSON a run, sorted, so that results are committed, compared and merged like sources.

Many rows go into several files, ``NAME.jsonl``, ``NAME.2.jsonl`` and so on, which are read as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder, write_atomically
from tightrope.studies.design import SCALES, Row, Scale, canonical
from tightrope.studies.registry import Study
from tightrope.studies.store import Store
from tightrope.studies.versions import own_code

MOST_BYTES = 190 << 10
"""Of one file of rows; a single row may be longer."""

FIELDS = ("scale", "cell", "seed", "status", "values", "note", "cpu_seconds", "code", "library")


def path_of(study: Study, results: Path) -> Path:
    """The file of a study's rows; there may be further parts, see :func:`parts_of`."""
    return results / f"{study.name.rpartition('.')[2]}.jsonl"


def parts_of(path: Path) -> list[Path]:
    """The files that hold a study's rows, in their order; none where there are none.

    Raises:
        UserError: One of them is missing.
    """
    found = _further(path) | ({1: path} if path.exists() else {})
    if missing := set(range(1, max(found, default=0))) - set(found):
        lost = _part(path, min(missing))
        raise UserError(f"Expected {lost.name} in {path.parent} beside later parts; restore it from version control.")
    return [found[number] for number in sorted(found)]


def _part(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}.{number}{path.suffix}")


def _further(path: Path) -> dict[int, Path]:
    """Number -> file of the parts that are there, the first aside."""
    form = re.compile(rf"{re.escape(path.stem)}\.([2-9]|[1-9][0-9]+){re.escape(path.suffix)}")
    return {int(match[1]): file for file in path.parent.glob("*") if (match := form.fullmatch(file.name))}


def read(path: Path) -> dict[Scale, list[Row]]:
    """The rows of a file and its further parts by scale; none where there is no file.

    Raises:
        UserError: A line is no row, or a part is missing; the sentence says which.
    """
    found: dict[Scale, dict[tuple[str, int], Row]] = {scale: {} for scale in SCALES}
    for part in parts_of(path):
        for number, line in enumerate(part.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                known: dict[str, Any] = json.loads(line)
                if set(known) != set(FIELDS) or known["status"] not in ("ok", "diverged"):
                    raise UserError(f"it holds {', '.join(known)}")
                rows, row = found[known.pop("scale")], Row(**known)
                rows.setdefault((canonical(row.cell), row.seed), row)  # twice only while files are written: see write
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise UserError(
                    f"Expected a row of a study in line {number} of {part}, got something else ({error}); restore the "
                    "file from version control."
                ) from error
    return {scale: list(rows.values()) for scale, rows in found.items()}


def write(path: Path, rows: Mapping[Scale, Iterable[Row]]) -> Path:
    """Write rows, at most :data:`MOST_BYTES` into one file; crashed ones are left out, since they are no results.

    The first file holds all of them until the others are as they will be, so that at no moment one is in none.
    """
    parts = [b""]
    for scale in SCALES:
        done = [row for row in rows.get(scale, ()) if row.status in ("ok", "diverged")]
        for row in sorted(done, key=lambda row: (canonical(row.cell), row.seed)):
            shown = {name: scale if name == "scale" else getattr(row, name) for name in FIELDS}
            line = f"{json.dumps(shown, allow_nan=False, ensure_ascii=False)}\n".encode()
            if parts[-1] and len(parts[-1]) + len(line) > MOST_BYTES:
                parts.append(b"")
            parts[-1] += line
    stale = {number: file for number, file in _further(path).items() if number > len(parts)}
    if stale or len(parts) > 1:
        write_atomically(path, b"".join(parts))
    for number, part in enumerate(parts[1:], 2):
        write_atomically(_part(path, number), part)
    for number in sorted(stale, reverse=True):
        stale[number].unlink()
    return write_atomically(path, parts[0])


def restore(study: Study, store: Store, results: Path) -> int:
    """Take the committed rows of this version of the study into the store; returns how many were new."""
    code, new = own_code(study), 0
    for scale, rows in read(path_of(study, results)).items():
        new += store.restore(study.name, scale, [row for row in rows if row.code == code])
    return new


def export(study: Study, store: Store, results: Path) -> Path:
    """Merge the store's finished rows into the committed ones; of one run the newest version of the code stays.

    Rows of the smoke scale judge nothing and are left out.
    """
    path, code = path_of(study, results), own_code(study)
    make_folder(results)
    with FileLock(store.path.with_name(f"{store.path.name}.{path.name}.lock")):
        known = read(path)
        merged: dict[Scale, list[Row]] = {}
        for scale in ("cpu", "paper"):
            by_run = {(canonical(row.cell), row.seed): row for row in known[scale]}
            by_run |= {(canonical(row.cell), row.seed): row for row in store.rows(study.name, scale, code)
                       if row.status != "crashed"}  # fmt: skip
            merged[scale] = list(by_run.values())
        return write(path, merged)


def current(study: Study, scale: Scale, results: Path, store: Store | None = None) -> tuple[list[Row], int]:
    """The rows of this version of a study, committed or in the store, and how many committed ones are of another.

    Cells that are in the grid no longer count as another version.
    """
    code = own_code(study)
    every = read(path_of(study, results))[scale]
    ours = study.registered(scale, [row for row in every if row.code == code])
    by_run = {(canonical(row.cell), row.seed): row for row in ours}
    stale = len(every) - len(by_run)
    if store is not None:
        for row in study.registered(scale, store.rows(study.name, scale, code)):
            by_run.setdefault((canonical(row.cell), row.seed), row)
    return [by_run[key] for key in sorted(by_run)], stale
