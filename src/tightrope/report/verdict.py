"""What can be said about a run from its files alone: facts, no diagnosis."""

from __future__ import annotations

import re
from typing import Any, Literal

from tightrope.drawing.numbers import count, duration, number, plural, ratio
from tightrope.report.quantities import is_distance, metric_label
from tightrope.runs.record import Evaluation, Reading, RunRecord, is_number

Tone = Literal["finished", "open", "stopped", "nonfinite"]


def verdict(record: RunRecord) -> str:
    """The verdict line: the newest distance against its floor, coverage, losses, and how the run ended."""
    return "; ".join(facts(record)) + "."


def facts(record: RunRecord) -> tuple[str, ...]:
    """The parts of the verdict line, each a statement with its evidence.

    Args:
        record: the run.

    Returns:
        How far the samples are from the data (or that nothing was measured), how many classes or modes they reach,
        whether every logged loss is finite, and how the run ended. Each part is a clause
        without a stop.
    """
    found = [*_distance(record), *_coverage(record), _losses(record), _ending(record)]
    return (found[0][:1].upper() + found[0][1:], *found[1:])


def tone(record: RunRecord) -> Tone:
    """How the run ended: finished, still open (or unknown), stopped early, or stopped at a value that is not finite."""
    if re.search(r"non-?finite|not finite|\bnan\b|\binf(inity)?\b", record.reason, re.IGNORECASE):
        return "nonfinite"
    if record.state == "finished":
        return "finished"
    return "stopped" if record.state == "stopped" else "open"


def recorded_reason(record: RunRecord) -> str:
    """Why the run ended, in its own words; empty for one that spent its budget."""
    reason = record.reason.strip()
    return f"Recorded reason: {reason}" if reason and tone(record) != "finished" else ""


def newest(record: RunRecord) -> Evaluation | None:
    """The last evaluation that holds a measurement."""
    return next((one for one in reversed(record.evaluations) if one.readings), None)


def primary(readings: tuple[Reading, ...]) -> Reading | None:
    """The measurement that the verdict names: the first distance with a floor, else the first distance."""
    distances = [reading for reading in readings if is_distance(reading.name)]
    return next((reading for reading in distances if reading.floor is not None), distances[0] if distances else None)


def floor_name(reading: Reading) -> str:
    """What the floor of a measurement is, by the split that the reference samples came from."""
    if not is_distance(reading.name):
        return "real training samples"
    return "train-versus-test floor" if reading.protocol.get("split") == "test" else "floor of real samples"


def against_floor(reading: Reading) -> str:
    """A measurement beside its floor, as a ratio where the floor is positive."""
    value = number(reading.value)
    if reading.floor is None:
        return f"{value}, measured without a floor"
    if not has_ratio(reading):
        return f"{value} against a {floor_name(reading)} of {number(reading.floor)}"
    return f"{ratio(reading.value / reading.floor)} its {floor_name(reading)} ({value} against {number(reading.floor)})"


def has_ratio(reading: Reading) -> bool:
    """Whether value over floor means something: for a distance with a floor above zero."""
    return reading.floor is not None and reading.floor > 0 and is_distance(reading.name)


def protocol_text(protocol: dict[str, Any]) -> str:
    """The conditions of a measurement in one line: features, preprocessing, sample sizes, split, seed."""
    fields = dict(protocol)
    fields.pop("metric", None)
    parts = []
    for key in ("features", "preprocessing"):
        if fields.get(key):
            parts.append(f"{key}: {fields[key]}")
        fields.pop(key, None)
    sizes = [fields.pop(key, None) for key in ("n_real", "n_fake", "split")]
    if sizes[0] == 0 and sizes[1] is not None:
        parts.append(f"{_size(sizes[1])} generated samples")
    elif sizes[0] is not None or sizes[1] is not None:
        split = f" {sizes[2]}" if sizes[2] else ""
        parts.append(f"{_size(sizes[0])} real{split} samples against {_size(sizes[1])} generated")
    if fields.get("seed") is not None:
        parts.append(f"seed {fields.pop('seed')}")
    parts += [f"{key}: {value}" for key, value in fields.items() if value is not None]
    return "; ".join(parts) or "no protocol was stored with it"


def _size(value: Any) -> str:
    return count(value) if is_number(value) else "an unknown number of"


def _distance(record: RunRecord) -> list[str]:
    evaluation = newest(record)
    if evaluation is None:
        return ["the distance to the data was not measured"]
    reading = primary(evaluation.readings)
    if reading is None:
        return ["no distance to the data was measured"]
    when = f" at step {count(evaluation.step)}" if evaluation.step != record.step else ""
    return [f"{metric_label(reading.name)} {against_floor(reading)}{when}"]


def _coverage(record: RunRecord) -> list[str]:
    evaluation = newest(record)
    for reading in evaluation.readings if evaluation else ():
        match = re.search(r"\b(modes|classes)\b", reading.name.replace("_", " "))
        if not match or reading.value != round(reading.value):
            continue
        kind, total = match.group(1), _classes(record) if match.group(1) == "classes" else 0
        if total:
            return [
                f"the samples reach {'all' if reading.value == total else f'{count(reading.value)} of'} {total} {kind}"
            ]
        beside = f", real training samples {count(reading.floor)}" if reading.floor is not None else ""
        return [f"the samples reach {count(reading.value)} {kind}{beside}"]
    return []


def _classes(record: RunRecord) -> int:
    stored = record.part("data").get("classes")
    return len(stored) if isinstance(stored, list) else int(stored) if is_number(stored) else 0


def _losses(record: RunRecord) -> str:
    rows = len(record.rows)
    if not rows:
        return "no losses were logged"
    short = min(len(record.series(key)) for key in ("critic_loss", "generator_loss"))
    if short == rows:
        return f"losses finite in {'the one logged row' if rows == 1 else f'all {count(rows)} logged rows'}"
    return f"a finite loss is missing in {count(rows - short)} of {plural(rows, 'logged row')}"


def _ending(record: RunRecord) -> str:
    done = plural(record.step, "step")
    if record.images_seen:
        kind = record.part("data").get("kind")
        done += f" ({plural(record.images_seen, 'image' if kind in (None, 'images') else 'sample')} seen)"
    if record.seconds:
        done += f" in {duration(record.seconds)}"
    if tone(record) == "nonfinite":
        return f"the run stopped at a value that is not finite, after {done}"
    if record.state == "finished":
        return f"the run finished after {done}"
    if record.state == "stopped":
        return f"the run stopped early, after {done}"
    if record.state == "running":
        return f"the run had not ended when this was written, last at {done}"
    return "how the run ended is not recorded" + (f"; the last row is at {done}" if record.rows else "")
