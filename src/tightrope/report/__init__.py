"""The report of a run: one HTML file without scripts or network, and the same as text for the terminal.

Reading order: `runs.record` (what a run folder holds), `verdict` (what can be said from it), `sections` and `curves`
(parts of the page), `render` (its templates), `page` (all of it), `text` (the terminal), `comparison` (several runs).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tightrope._plumbing.door import keep_door
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import as_path, make_folder, write_atomically
from tightrope.report.comparison_page import comparison_page
from tightrope.report.findings import assessed
from tightrope.report.page import page
from tightrope.report.spectrum_page import spectrum_page
from tightrope.report.text import summarise
from tightrope.runs.record import RunRecord, read_run
from tightrope.spectra import LayerSpectrum

__all__ = ["RunRecord", "assessment", "read_run", "summary", "write_comparison", "write_report", "write_spectra"]


def write_report(run: Path, out: Path | None = None, *, refresh: int = 0, reference: bool = False) -> Path:
    """Write the report of a run as one self-contained HTML file.

    The file opens without a network, holds no script, follows the reader's light or dark setting, and prints. It states
    what the run's files show and nothing else; what is missing from them is said where it would have stood.

    Args:
        run: the run folder, finished or not.
        out: the file to write; by default ``report.html`` in the run folder.
        refresh: seconds after which a browser that shows the page is to read it again; 0 for never.
        reference: lay the training curves over the bands of reference runs of the method, where there are some.

    Returns:
        The file written.

    Raises:
        UserError: if ``run`` is not the folder of a run, or ``out`` is no .html or could not be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from tightrope import report
        >>> from tightrope.cli import main
        >>> folder = Path(tempfile.mkdtemp(), "ring")
        >>> short = "--steps 2 --latent 4 --evaluate-every 0 --evaluate-n 20 --quiet"
        >>> main(["train", "toy:ring", *short.split(), "--out", str(folder)])  # doctest: +ELLIPSIS
        report: ...report.html
        0
        >>> report.write_report(folder).name
        'report.html'
    """
    record = read_run(as_path(run))
    target = as_path(out) if out is not None else as_path(run) / "report.html"
    return _written(target, page(record, refresh=refresh, reference=reference))


def write_comparison(runs: Sequence[Path], out: Path) -> Path:
    """Write several runs side by side as one self-contained HTML file: distances, samples, curves, critic spectra.

    Args:
        runs: two run folders or more.
        out: the file to write.

    Returns:
        The file written.

    Raises:
        UserError: if there are fewer than two, one is not the folder of a run, or ``out`` is no .html or could not
            be written.
    """
    return _written(as_path(out), comparison_page([read_run(as_path(run)) for run in runs]))


def summary(run: Path) -> str:
    """The verdict on a run and its newest numbers as plain text.

    Args:
        run: the run folder.

    Returns:
        Text for a terminal.

    Raises:
        UserError: if ``run`` is not the folder of a run.
    """
    return summarise(read_run(as_path(run)))


def assessment(run: Path) -> dict[str, Any]:
    """Does the training work, and what was found: the top of the report as plain values, for machines.

    Args:
        run: the run folder.

    Returns:
        ``schema`` (1), ``run``, ``step``, ``state``, ``answer`` and ``diagnosis``; every key is explained in
        ``docs/howto/failing_run.md``.

    Raises:
        UserError: if ``run`` is not the folder of a run.
    """
    return assessed(read_run(as_path(run)))


def write_spectra(spectra: Sequence[LayerSpectrum], out: Path, title: str = "Layer spectra") -> Path:
    """Write layer spectra, as ``tightrope.spectra.layer_spectra`` finds them, as one HTML file with charts and a table.

    Args:
        spectra: at least one layer's.
        out: the file to write.
        title: heading of the page.

    Returns:
        The file written.

    Raises:
        UserError: if there is no layer, or ``out`` is no .html or could not be written.
    """
    return _written(as_path(out), spectrum_page(spectra, title))


def _written(path: Path, text: str) -> Path:
    if path.suffix.lower() not in (".html", ".htm"):  # so that no slip puts a page in the place of a record
        raise UserError(f"Expected a page to be written as an .html, got {path}; change its ending.")
    make_folder(path.parent)
    return write_atomically(path, text.encode())


keep_door(__name__, __all__, first=True)
