"""What can be said about a run from its files alone: facts, no diagnosis."""

from __future__ import annotations

import re
from typing import Literal

from tightrope.drawing.numbers import count, duration, number, plural, ratio
from tightrope.metrics import Measurement, Protocol
from tightrope.report.quantities import is_distance, metric_label
from tightrope.runs.record import RunRecord
from tightrope.runs.rows import Evaluation

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


def heading(record: RunRecord) -> str:
    """What was trained on what, e.g. ``r1 on digits``."""
    return f"{record.part('method').get('name') or 'Training run'} on {data_name(record)}"


def data_name(record: RunRecord) -> str:
    """What the run was trained on."""
    data = record.part("data")
    return str(data.get("name") or data.get("source") or "unnamed data")


def noun(record: RunRecord) -> str:
    """What one sample of the run's data is called."""
    return "image" if record.part("data").get("kind") in (None, "images") else "sample"


def newest(record: RunRecord) -> Evaluation | None:
    """The last evaluation that holds a measurement."""
    return next((one for one in reversed(record.evaluations) if one.measurements), None)


def primary(evaluation: Evaluation | None) -> Measurement | None:
    """The measurement that the verdict names: the first distance with a floor, else the first distance."""
    distances = [one for one in evaluation.measurements if is_distance(one.name)] if evaluation else []
    return next((one for one in distances if one.floor is not None), distances[0] if distances else None)


def floor_name(measured: Measurement) -> str:
    """What the floor of a measurement is, by the split that the reference samples came from."""
    if not is_distance(measured.name):
        return "real training samples"
    return "train-versus-test floor" if measured.protocol.split == "test" else "floor of real samples"


def against_floor(measured: Measurement) -> str:
    """A measurement beside its floor, as a ratio where the floor is positive."""
    value, share = number(measured.value), over_floor(measured)
    if measured.floor is None:
        return f"{value}, measured without a floor"
    if share is None:
        return f"{value} against a {floor_name(measured)} of {number(measured.floor)}"
    return f"{ratio(share)} its {floor_name(measured)} ({value} against {number(measured.floor)})"


def over_floor(measured: Measurement) -> float | None:
    """Value over floor where that means something: for a distance with a floor above zero."""
    floor = measured.floor
    return measured.value / floor if floor is not None and floor > 0 and is_distance(measured.name) else None


def cells(measured: Measurement) -> tuple[str, str, str, str]:
    """Value, 95 % interval, floor and ratio of a measurement as texts; ``–`` or ``none`` for what there is not."""
    ends, share = measured.interval, over_floor(measured)
    return (
        number(measured.value),
        "–" if ends is None else f"{number(ends[0])} to {number(ends[1])}",
        "none" if measured.floor is None else number(measured.floor),
        "–" if share is None else ratio(share),
    )


def protocol_text(protocol: Protocol, *, seed: bool = True) -> str:
    """The conditions of a measurement in one line: features, preprocessing, sample sizes, split, seed, data."""
    stored = (("features", protocol.features), ("preprocessing", protocol.preprocessing))
    parts = [f"{key}: {value}" for key, value in stored if value]
    if protocol.n_real == 0:
        parts.append(f"{count(protocol.n_fake)} generated samples")
    else:
        split = f" {protocol.split}" if protocol.split else ""
        parts.append(f"{count(protocol.n_real)} real{split} samples against {count(protocol.n_fake)} generated")
    parts += [f"seed {protocol.seed}"] if seed else []
    parts += [f"data: {protocol.data}"] if protocol.data else []
    return "; ".join(parts)


def _distance(record: RunRecord) -> list[str]:
    evaluation = newest(record)
    if evaluation is None:
        return ["the distance to the data was not measured"]
    measured = primary(evaluation)
    if measured is None:
        return ["no distance to the data was measured"]
    when = f" at step {count(evaluation.step)}" if evaluation.step != record.step else ""
    return [f"{metric_label(measured.name)} {against_floor(measured)}{when}"]


def _coverage(record: RunRecord) -> list[str]:
    evaluation = newest(record)
    for one in evaluation.measurements if evaluation else ():
        match = re.search(r"\b(modes|classes)\b", one.name.replace("_", " "))
        if not match or one.value != round(one.value):
            continue
        kind, total = match.group(1), _classes(record) if match.group(1) == "classes" else 0
        if total:
            return [f"the samples reach {'all' if one.value == total else f'{count(one.value)} of'} {total} {kind}"]
        beside = f", real training samples {count(one.floor)}" if one.floor is not None else ""
        return [f"the samples reach {count(one.value)} {kind}{beside}"]
    return []


def _classes(record: RunRecord) -> int:
    stored = record.part("data").get("classes")
    return len(stored) if isinstance(stored, list) else stored if isinstance(stored, int) else 0


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
        done += f" ({plural(record.images_seen, noun(record))} seen)"
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
