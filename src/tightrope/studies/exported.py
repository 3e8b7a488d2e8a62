"""Rows as text: one line of JSON a run, sorted, so that results are committed, compared and merged like sources."""

from __future__ import annotations

import json
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

FIELDS = ("scale", "cell", "seed", "status", "values", "note", "cpu_seconds", "code", "library")


def path_of(study: Study, results: Path) -> Path:
    """The file of a study's rows."""
    return results / f"{study.name.rpartition('.')[2]}.jsonl"


def read(path: Path) -> dict[Scale, list[Row]]:
    """The rows of a file by scale; none where there is no file.

    Raises:
        UserError: A line is no row; the sentence says which.
    """
    found: dict[Scale, list[Row]] = {scale: [] for scale in SCALES}
    if not path.exists():
        return found
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            known: dict[str, Any] = json.loads(line)
            if set(known) != set(FIELDS) or known["status"] not in ("ok", "diverged"):
                raise UserError(f"it holds {', '.join(known)}")
            found[known.pop("scale")].append(Row(**known))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"Expected a row of a study in line {number} of {path}, got something else ({error}); restore the file "
                "from version control."
            ) from error
    return found


def write(path: Path, rows: Mapping[Scale, Iterable[Row]]) -> Path:
    """Write rows; crashed ones are left out, since they are no results."""
    lines = []
    for scale in SCALES:
        done = [row for row in rows.get(scale, ()) if row.status in ("ok", "diverged")]
        for row in sorted(done, key=lambda row: (canonical(row.cell), row.seed)):
            shown = {name: scale if name == "scale" else getattr(row, name) for name in FIELDS}
            lines.append(json.dumps(shown, allow_nan=False, ensure_ascii=False))
    return write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


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
