"""Where runs are kept: one SQLite file in WAL mode, shared by any number of processes on one machine.

Work is claimed by lease, so that two processes never do the same run while both live. A claim whose process is gone
is free again: at once on the machine it ran on, otherwise when the lease runs out. Rows are addressed by study, scale,
cell, seed and code. WAL needs a local disk: machines share results through the exported rows (``files.py``).
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder
from tightrope.studies.design import Cell, Row, Scale, canonical

LEASE_SECONDS: Final = 120.0
"""How long a claim holds without a sign of life."""
TRIES: Final = 3
"""How often a run that raises is tried."""
DEATHS: Final = 6
"""How often a run whose process dies is tried."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, study TEXT NOT NULL, scale TEXT NOT NULL, cell TEXT NOT NULL, seed INTEGER NOT NULL,
    code TEXT NOT NULL, library TEXT NOT NULL, status TEXT NOT NULL, measured TEXT NOT NULL, note TEXT NOT NULL,
    cpu REAL NOT NULL, tries INTEGER NOT NULL, deaths INTEGER NOT NULL, owner TEXT NOT NULL, lease REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS by_study ON runs (study, scale, status);
"""
_DONE = ("ok", "diverged")


def address(study: str, scale: Scale, cell: Cell, seed: int, code: str) -> str:
    """Of a run, by everything that decides its numbers."""
    text = json.dumps([study, scale, canonical(cell), seed, code])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Store:
    """The runs of all studies in one file.

    Args:
        path: The file; it and its folder are made where they are missing.

    Raises:
        UserError: It is something else.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self.path = path
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        try:
            self._base = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"Expected a store of studies at {path}, got something else ({error}); name another file."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def rows(self, study: str, scale: Scale, code: str) -> list[Row]:
        """What is finished, crashed runs among it, in the order of cells and seeds."""
        found = self._base.execute(
            "SELECT cell, seed, status, measured, note, cpu, code, library FROM runs "
            "WHERE study = ? AND scale = ? AND code = ? AND status IN ('ok', 'diverged', 'crashed') "
            "ORDER BY cell, seed",
            (study, scale, code),
        )
        return [
            Row(json.loads(cell), seed, status, json.loads(measured), note, cpu, its, library)
            for cell, seed, status, measured, note, cpu, its, library in found
        ]

    def states(self, study: str, scale: Scale, code: str) -> dict[str, str]:
        """Status of every known run by its address; ``"claimed"`` for one whose process lives."""
        found = self._base.execute(
            "SELECT key, status, owner, lease FROM runs WHERE study = ? AND scale = ? AND code = ?",
            (study, scale, code),
        )
        return {
            key: "free" if status == "claimed" and _gone(owner, lease) else status
            for key, status, owner, lease in found
        }

    def claim(
        self, study: str, scale: Scale, wanted: Iterable[tuple[Cell, int]], code: str, library: str, *, most: int = 1
    ) -> list[tuple[Cell, int]]:
        """Take the first runs of one cell that nobody has done or is doing; nothing if there are none.

        Args:
            study: Name.
            scale: Of the runs.
            wanted: Cells and seeds in the order of their importance.
            code: Of the study.
            library: Beneath it.
            most: How many seeds of one cell are taken together.
        """
        taken: list[tuple[Cell, int]] = []
        with self._writing():
            known = {
                key: (status, tries, deaths, owner, lease)
                for key, status, tries, deaths, owner, lease in self._base.execute(
                    "SELECT key, status, tries, deaths, owner, lease FROM runs "
                    "WHERE study = ? AND scale = ? AND code = ?",
                    (study, scale, code),
                )
            }
            for cell, seed in wanted:
                if taken and (canonical(cell) != canonical(taken[0][0]) or len(taken) == most):
                    break
                key = address(study, scale, cell, seed, code)
                status, tries, deaths, owner, lease = known.get(key, ("free", 0, 0, "", 0.0))
                if status == "claimed":
                    if not _gone(owner, lease):
                        continue
                    deaths += 1
                    if deaths >= DEATHS:
                        why = f"its process died {deaths} times"
                        self._base.execute(
                            "UPDATE runs SET status='crashed', note=?, deaths=? WHERE key=?", (why, deaths, key)
                        )
                        continue
                elif status != "free":
                    continue
                self._base.execute(
                    "INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    (key, study, scale, canonical(cell), seed, code, library, "claimed", "{}", "", 0.0, tries, deaths,
                     self.owner, time.time() + LEASE_SECONDS),
                )  # fmt: skip
                taken.append((cell, seed))
        return taken

    def renew(self) -> None:
        """A sign of life for all that this process has claimed."""
        with self._writing():
            self._base.execute(
                "UPDATE runs SET lease=? WHERE owner=? AND status='claimed'", (time.time() + LEASE_SECONDS, self.owner)
            )

    def release(self) -> None:
        """Give back what this process has claimed and not done."""
        with self._writing():
            self._base.execute("UPDATE runs SET status='free' WHERE owner=? AND status='claimed'", (self.owner,))

    def forgive(self, study: str, scale: Scale, code: str) -> int:
        """Let crashed runs be tried again; returns how many there are."""
        with self._writing():
            return self._base.execute(
                "UPDATE runs SET status='free', tries=0, deaths=0 "
                "WHERE study=? AND scale=? AND code=? AND status='crashed'",
                (study, scale, code),
            ).rowcount

    def forget(self, study: str, scale: Scale, code: str, library: str) -> int:
        """Drop results that stand on another version of the library; returns how many."""
        with self._writing():
            return self._base.execute(
                "DELETE FROM runs WHERE study=? AND scale=? AND code=? AND library!=? AND status IN ('ok', 'diverged')",
                (study, scale, code, library),
            ).rowcount

    def drop(self, study: str, scale: Scale, runs: Iterable[tuple[Cell, int]], code: str) -> int:
        """Drop the results of some runs; returns how many."""
        keys = [(address(study, scale, cell, seed, code),) for cell, seed in runs]
        with self._writing():
            return self._base.executemany(
                "DELETE FROM runs WHERE key=? AND status IN ('ok', 'diverged')", keys
            ).rowcount

    def finish(self, study: str, scale: Scale, row: Row) -> None:
        """Keep a result; a result that is there already stays."""
        key = address(study, scale, row.cell, row.seed, row.code)
        with self._writing():
            known = self._base.execute("SELECT status, tries FROM runs WHERE key=?", (key,)).fetchone()
            if known is not None and known[0] in _DONE:
                return
            self._put(key, study, scale, row, status=row.status, tries=0)

    def fail(self, study: str, scale: Scale, row: Row) -> None:
        """Note that a run raised; after :data:`TRIES` times it counts as crashed."""
        key = address(study, scale, row.cell, row.seed, row.code)
        with self._writing():
            known = self._base.execute("SELECT status, tries FROM runs WHERE key=?", (key,)).fetchone()
            if known is not None and known[0] in _DONE:
                return
            tries = 1 + (known[1] if known else 0)
            self._put(key, study, scale, row, status="crashed" if tries >= TRIES else "free", tries=tries)

    def restore(self, study: str, scale: Scale, rows: Sequence[Row]) -> int:
        """Take in rows that are not there; returns how many were new."""
        new = 0
        with self._writing():
            for row in rows:
                key = address(study, scale, row.cell, row.seed, row.code)
                known = self._base.execute("SELECT status FROM runs WHERE key=?", (key,)).fetchone()
                if row.status in _DONE and (known is None or known[0] not in _DONE):
                    self._put(key, study, scale, row, status=row.status, tries=0)
                    new += 1
        return new

    def _put(self, key: str, study: str, scale: Scale, row: Row, *, status: str, tries: int) -> None:
        values: tuple[Any, ...] = (
            key, study, scale, canonical(row.cell), row.seed, row.code, row.library, status,
            json.dumps(row.values, sort_keys=True, allow_nan=False), row.note, row.cpu_seconds, tries, 0, self.owner,
            0.0,
        )  # fmt: skip
        self._base.execute("INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", values)


def _gone(owner: str, lease: float) -> bool:
    """Whether the process behind a claim is dead, or silent for longer than its lease."""
    if time.time() > lease:
        return True
    host, number, _ = (*owner.split(":"), "", "")[:3]
    if os.name != "posix" or host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
