"""Several runs against each other as numbers: who is who, what forbids a ranking, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tightrope._plumbing.errors import UserError
from tightrope.drawing.numbers import count, duration
from tightrope.drawing.svg import clean
from tightrope.metrics import Measurement, Protocol
from tightrope.report.text import aligned
from tightrope.report.verdict import cells, heading, newest, over_floor, primary
from tightrope.runs.record import RunRecord


@dataclass(frozen=True)
class Named:
    """A run with the name that tells it from the others on the page."""

    name: str
    record: RunRecord

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The newest ones."""
        last = newest(self.record)
        return last.measurements if last else ()

    @property
    def distance(self) -> Measurement | None:
        """The newest primary distance."""
        return primary(newest(self.record))


def named(records: Sequence[RunRecord]) -> list[Named]:
    """Runs under their methods' names where those differ, otherwise under folder names, made distinct.

    Raises:
        UserError: Fewer than two runs.
    """
    if len(records) < 2:
        raise UserError(f"Expected at least two runs to compare, got {len(records)}; name more run folders.")
    methods = [str(record.part("method").get("name") or record.name) for record in records]
    names = methods if len(set(methods)) == len(methods) else [record.name for record in records]
    if len(set(names)) < len(names):
        names = [f"{name} ({index + 1})" for index, name in enumerate(names)]
    return [Named(name, record) for name, record in zip(names, records, strict=True)]


def ranked(runs: Sequence[Named]) -> list[Named]:
    """The best distance first where the distances compare, otherwise as given."""
    if len(protocols(runs)) != 1:
        return list(runs)
    return sorted(runs, key=lambda run: float("inf") if run.distance is None else run.distance.value)


def protocols(runs: Sequence[Named]) -> dict[Protocol, Protocol]:
    """Distinct conditions of the newest primary distances, each with one of the runs' own; the seed is no condition."""
    found = [run.distance.protocol for run in runs if run.distance is not None]
    return {msgspec.structs.replace(protocol, seed=0): protocol for protocol in found}


def cautions(runs: Sequence[Named]) -> list[str]:
    """What forbids reading the numbers against each other, one sentence each."""
    found = []
    prints = {str(run.record.part("data").get("fingerprint")) for run in runs}
    if len(prints) > 1:
        found.append("The runs were trained on different data (the fingerprints differ): distances do not compare.")
    if len(protocols(runs)) > 1:
        found.append("The newest measurements follow different protocols: they are listed, and not ranked.")
    budgets = {run.record.images_seen for run in runs}
    if len(budgets) > 1:
        low, high = min(budgets), max(budgets)
        found.append(f"The critics saw different numbers of real samples, from {count(low)} to {count(high)}.")
    if len({str(run.record.part("training").get("seed")) for run in runs}) == 1:
        found.append("One seed per run: differences of this size between seeds are common, so this ranks no method.")
    return found


def rows(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """One plain dictionary per run: name, budget, and every newest measurement; best distance first if comparable."""
    return [
        {
            "name": run.name,
            "run": str(run.record.path),
            "title": heading(run.record),
            "step": run.record.step,
            "images_seen": run.record.images_seen,
            "seconds": run.record.seconds,
            "state": run.record.state,
            "distance": None if run.distance is None else _plain(run.distance),
            "measurements": {one.name: _plain(one) for one in run.measurements},
        }
        for run in ranked(named(records))
    ]


def _plain(measured: Measurement) -> dict[str, Any]:
    found = measured.to_json()
    return {"metric": found.pop("name"), **found, "ratio": over_floor(measured)}


def text(records: Sequence[RunRecord]) -> str:
    """The table of :func:`rows` for a terminal, with what forbids reading it."""
    lines = [("run", "method on data", "steps", "samples seen", "time", "distance", "95 % interval", "floor", "ratio")]
    runs = named(records)
    for run in ranked(runs):
        spent = (count(run.record.step), count(run.record.images_seen), duration(run.record.seconds))
        measured = ("-",) * 4 if run.distance is None else cells(run.distance)
        lines.append((run.name, heading(run.record), *spent, *measured))
    return clean("\n".join([aligned(lines, left=True), *cautions(runs)]))
