"""The page of one run around its sections: one file, no scripts, and a policy that forbids any connection."""

from __future__ import annotations

from statistics import median_low

from tightrope.drawing.numbers import count, duration, number
from tightrope.report.findings import top
from tightrope.report.quantities import metric_label
from tightrope.report.reference import References
from tightrope.report.render import render
from tightrope.report.sections import sections
from tightrope.report.verdict import heading, newest, noun, primary, protocol_text, recorded_reason, tone, verdict
from tightrope.runs.record import RunRecord

_STATES = {
    "finished": "Run finished",
    "open": "Run not ended",
    "stopped": "Run stopped early",
    "nonfinite": "Run stopped at a non-finite value",
}


def page(record: RunRecord, *, refresh: int = 0, reference: bool = False) -> str:
    """The report of one run as a complete HTML document.

    Args:
        record: the run, as `tightrope.runs.record.read_run` loads it.
        refresh: seconds after which a browser is to read the file again, 0 for never.
        reference: whether the training curves lie over those of reference runs.

    Returns:
        The document. The same record gives the same text.
    """
    version = record.config.get("tightrope")
    return render(
        "run.html",
        title=f"{heading(record)} · {record.name}",
        heading=heading(record),
        subtitle=_subtitle(record) + (f" · read again every {refresh} s while it trains" if refresh else ""),
        refresh=refresh,
        tone=tone(record),
        state=_STATES[tone(record)],
        verdict=verdict(record),
        how=_how(record),
        tiles=_tiles(record),
        top=top(record),
        problems=record.problems,
        sections=sections(record, references=References(record) if reference else None),
        footer=f"Made by Tightrope{f' {version}' if version else ''} from the files in {record.name}. "
        "No scripts, no network.",
    )


def _subtitle(record: RunRecord) -> str:
    network, training = record.part("network").get("name"), record.part("training")
    parts = [f"run {record.name}"]
    parts += [f"network {network}"] if network else []
    parts += [f"batch size {training['batch_size']}"] if "batch_size" in training else []
    parts += [f"seed {training['seed']}"] if "seed" in training else []
    return " · ".join(parts)


def _how(record: RunRecord) -> list[str]:
    reason, measured = recorded_reason(record), primary(newest(record))
    found = [reason] if reason else []
    if measured is not None:
        said = f"{metric_label(measured.name, first=True)} measured with {protocol_text(measured.protocol)}."
        found.append(" ".join([said, *measured.notes]))
    return found


def _tiles(record: RunRecord) -> list[tuple[str, str, str]]:
    """Names, values and notes of the few numbers at the top."""
    measured = primary(newest(record))
    tiles = []
    if measured is not None:
        floor = f"floor {number(measured.floor)}" if measured.floor is not None else ""
        tiles.append((metric_label(measured.name, first=True), number(measured.value), floor))
    tiles.append(("Steps", count(record.step), ""))
    if record.images_seen:
        tiles.append((f"{noun(record).capitalize()}s seen", count(record.images_seen), ""))
    if record.seconds:
        tiles.append(("Time", duration(record.seconds), "with evaluations" if record.evaluations else ""))
    speed = record.series("steps_per_second").values
    if len(speed):  # steps over time would count evaluations as training; the median of the rows passes over them
        tiles.append(("Steps per second", number(median_low(speed.tolist())), "median"))
    return tiles
