"""One door to every diagnosis: of a monitor, a run folder, or the rows of a log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.files import as_path
from tightrope.doctor.what_if import ask_run
from tightrope.monitor import Diagnosis, Monitor
from tightrope.monitor.responses import open_question
from tightrope.monitor.what_if.respond import respond
from tightrope.runs.diagnosis import of_log, of_record, with_next_step
from tightrope.runs.record import read_run

_CALL = (
    "doctor.diagnose(monitor, what_if=True, seconds=60) plays copies of the training with one change each and says "
    "what would help (at most 90 s; the training is left as it is)."
)


def diagnose(thing: Monitor | Path | str, *, what_if: bool = False, seconds: float = 60.0) -> Diagnosis:
    """What is wrong with a training, ranked, each finding with its evidence, remedy and confirming experiment.

    Args:
        thing: A :class:`~tightrope.monitor.Monitor`, the folder of a run, or a ``metrics.jsonl`` with a row per line.
        what_if: Where samples do not come closer to the data and nothing else explains it, play copies of the training
            on, as it is and with one change each, to find out what would help. Of a folder its newest checkpoint is
            taken; nothing in it changes.
        seconds: About how long the copies may take.

    Returns:
        The diagnosis. Of a folder or a file it rests on logged rows, and says what they cannot tell; what the run's own
        monitor found stands first.

    Raises:
        UserError: No such folder or file, none with rows, or rows without a step or any signal of ours.

    Example:
        >>> from tightrope import doctor
        >>> from tightrope.monitor import Monitor
        >>> monitor = Monitor(nn.Linear(4, 2), nn.Linear(2, 1), loss="hinge", penalty="spectral_norm")
        >>> doctor.diagnose(monitor)[0].cause
        'constraint_missing'
    """
    check_number("seconds", seconds, 60.0)
    if isinstance(thing, Monitor):
        found = respond(thing, seconds) if what_if else thing.diagnose()
        return replace(found, next_step=_CALL) if not what_if and open_question(found) else found
    if not isinstance(thing, (str, Path)):
        raise UserTypeError(
            f"Expected a Monitor, a run folder or a metrics.jsonl, got a {type(thing).__name__}; pass one of these."
        )
    path = as_path(thing)
    if path.is_file():
        if what_if:
            raise UserError("Expected a Monitor or a run folder for what-ifs, got a file; copies need networks.")
        return of_log(path)
    record = read_run(path)
    found = of_record(record)
    return with_next_step(record, ask_run(path, found, seconds)) if what_if else found
