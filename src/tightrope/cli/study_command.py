"""``tightrope study list | show NAME | run NAME | report NAME | report --all | power NAME``."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say
from tightrope._plumbing.words import one_of
from tightrope.cli.options import parse

if TYPE_CHECKING:
    from tightrope.studies.design import Row
    from tightrope.studies.judging import Judged
    from tightrope.studies.registry import Study
    from tightrope.studies.store import Store

ScaleName = Literal["smoke", "cpu", "paper"]


@dataclass(frozen=True)
class _Place:
    results: Path = Path("docs/results/studies")
    """Folder of the committed rows, one text file a study, and of the pages."""
    store: Path = Path("runs/studies.sqlite")
    """Where runs are kept while they come; on a local disk."""


@dataclass(frozen=True)
class _Named(_Place):
    name: Annotated[str, tyro.conf.Positional] = ""
    """The study, out of tightrope study list; or the dotted name of a module of your own."""
    scale: ScaleName = "cpu"
    """smoke: does it work; cpu: two cores; paper: the paper's own configuration."""


@dataclass(frozen=True)
class ShowOptions(_Named):
    """A study's claims, its cells, what it would cost and how far it has come."""


@dataclass(frozen=True)
class PowerOptions(_Named):
    """What the seeds of each claim can find, and how many more would decide."""


@dataclass(frozen=True)
class RunOptions(_Named):
    """Do what is missing of a study, and export its rows."""

    seeds: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """How many seeds a cell; those registered if not given."""
    executor: Literal["local", "ray", "slurm"] = "local"
    """Where runs are done; ray and slurm need the extra of that name."""
    workers: Annotated[int, Meta(ge=1, le=4096)] = 1
    """Processes of one thread, or runs at once."""
    minutes: float | None = None
    """Start no run that is not expected to end in so many minutes; the next call goes on."""
    refresh: bool = False
    """Do again what ran under another version of the library."""
    dry_run: bool = False
    """Run every cell for a few steps on a few samples, digits for images, to see that it works; keep nothing."""
    quiet: bool = False
    """Print nothing but the last line."""


@dataclass(frozen=True)
class ReportOptions(_Named):
    """Judge a study's claims and write its page, from rows alone; --all writes the ledger too."""

    all: bool = False
    """All studies, and the ledger."""
    ledger: Path = Path("docs/ledger.md")
    """Where --all writes the ledger."""
    csv: bool = False
    """Tables as CSV beside the page."""
    latex: bool = False
    """The table of claims as LaTeX beside the page."""
    figures: Literal["svg", "pdf", "png"] | None = None
    """The figures as files of this kind, for a paper, in the folder figures beside the page; needs the extra plots."""


def run(words: list[str]) -> int:
    """List, show, run, report or tell the power."""
    actions = {"list": _list, "show": _show, "run": _run, "report": _report, "power": _power}
    if not words or words[0] in ("-h", "--help"):
        say(f"usage: tightrope study {' | '.join(actions)}; the options of each follow", "")
        for name, kind in {"show": ShowOptions, "run": RunOptions, "report": ReportOptions}.items():
            with contextlib.suppress(SystemExit):
                parse(kind, f"study {name}", ["--help"])
        raise SystemExit(0)
    one_of("an action of tightrope study", words[0], actions)
    return actions[words[0]](words[1:])


def _list(words: list[str]) -> int:
    parse(_Place, "study list", words)
    from tightrope.studies.registry import summaries

    lines = summaries()
    for name, summary in lines.items():
        say(f"  {name.ljust(max(map(len, lines)))}  {summary}")
    return 0


def _open(options: _Named) -> tuple[Study, Store]:
    from tightrope.studies.exported import restore
    from tightrope.studies.registry import load
    from tightrope.studies.store import Store

    if not options.name:
        raise UserError("Expected the name of a study, got none; see tightrope study list.")
    study, store = load(options.name), Store(options.store)
    restore(study, store, options.results)
    return study, store


def _show(words: list[str]) -> int:
    options = parse(ShowOptions, "study show", words)
    study, store = _open(options)
    say(f"{study.name}: {study.summary}", "")
    for claim in study.claims:
        say(f"  {claim.id}  ({claim.paper}, {claim.place}; registered {claim.registered})", f"    {claim.sentence}")
        if claim.judge is None:
            say(f"    not tested: needs {claim.needs}")
    say("", _progress(study, store, options.scale, None))
    return 0


def _progress(study: Study, store: Store, scale: ScaleName, seeds: int | None) -> str:
    from tightrope.drawing.numbers import duration
    from tightrope.studies.runner import state

    now = state(study, store, scale, seeds)
    parts = [f"scale {scale}: {now.done} of {now.total} runs done"]
    parts += [f"{now.diverged} of them diverged"] if now.diverged else []
    parts += [f"{now.crashed} crashed"] if now.crashed else []
    parts += [f"{now.running} under way"] if now.running else []
    left = f"about {duration(now.seconds_left)} of processor time left" if now.missing else "nothing left"
    return f"{', '.join(parts)}; {duration(now.seconds_spent)} spent, {left}"


def _run(words: list[str]) -> int:
    options = parse(RunOptions, "study run", words)
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise UserError(f"Expected positive minutes, got --minutes {options.minutes:g}; leave it out for no limit.")
    from tightrope.studies.executors import execute
    from tightrope.studies.exported import export
    from tightrope.studies.runner import Order, outdated, state
    from tightrope.studies.versions import library, own_code

    study, store = _open(options)
    if not study.grid[options.scale]:
        store.close()
        own = " or ".join(f"--scale {name}" for name, parts in study.grid.items() if parts)
        raise UserError(f"{study.name} has no runs at scale {options.scale}; give {own}.")
    if options.dry_run:
        store.close()
        return _rehearse(study, options)
    code = own_code(study)
    again = store.forgive(study.name, options.scale, code)
    if options.refresh:
        again += store.forget(study.name, options.scale, code, library(study))
    outdone = outdated(study, store, options.scale, options.seeds)
    again += store.drop(study.name, options.scale, outdone, code) if outdone else 0
    if not options.quiet:
        say(_progress(study, store, options.scale, options.seeds) + (f"; {again} again" if again else ""))
    until = math.inf if options.minutes is None else time.time() + 60 * options.minutes
    order = Order(options.name, options.scale, str(options.store), options.seeds, until)
    try:
        execute(order, executor=options.executor, workers=options.workers, show=not options.quiet)
    finally:
        path = export(study, store, options.results) if options.scale != "smoke" else None
    say(_progress(study, store, options.scale, options.seeds) + (f"; rows: {path}" if path else ""))
    now = state(study, store, options.scale, options.seeds)
    for row in [row for row in store.rows(study.name, options.scale, code) if row.status == "crashed"][:5]:
        say(f"crashed: {row.cell} seed {row.seed}: {row.note.strip().splitlines()[-1]}")
    return 1 if now.crashed else 0


def _rehearse(study: Study, options: RunOptions) -> int:
    from tightrope.studies.rehearsal import rehearse

    rows = list(rehearse(study, options.scale))
    crashed = [row for row in rows if row.status == "crashed"]
    for row in crashed:
        print(f"crashed: {row.cell}: {row.note.strip().splitlines()[-1]}")
    print(f"{study.name}, scale {options.scale}: {len(rows) - len(crashed)} of {len(rows)} cells work; nothing is kept")
    return 1 if crashed else 0


def _report(words: list[str]) -> int:
    options = parse(ReportOptions, "study report", words)
    if options.all == bool(options.name):
        raise UserError(
            "Expected the name of a study or --all, got both or neither; see tightrope study report --help."
        )
    from tightrope.cli.pages import folder_for, write
    from tightrope.studies.judging import complaint
    from tightrope.studies.ledger import PAPERS
    from tightrope.studies.pages import ledger_page
    from tightrope.studies.registry import STUDIES, load
    from tightrope.studies.tables import as_csv, as_latex, claims_table, counts, ledger_markdown

    studies = [load(name) for name in (STUDIES if options.all else (options.name,))]
    judged: list[Judged] = []
    for study in studies:
        judged += _one_report(study, options)
    if options.all:
        write(folder_for(options.ledger.parent) / options.ledger.name, ledger_markdown(judged, PAPERS))
        write(options.results / "ledger.html", ledger_page(judged, PAPERS))
        if options.csv:
            write(options.results / "ledger.csv", as_csv(claims_table(judged)))
        if options.latex:
            write(options.results / "ledger.tex", as_latex(judged))
        say(f"ledger: {options.ledger} and {options.results / 'ledger.html'}; {len(judged)} claims: {counts(judged)}")
    if sentence := complaint(judged):
        say(sentence)
        return 1
    return 0


def _one_report(study: Study, options: ReportOptions) -> list[Judged]:
    from tightrope.cli.pages import folder_for, write
    from tightrope.studies.design import SCALES
    from tightrope.studies.exported import current, path_of
    from tightrope.studies.judging import complaint, judge
    from tightrope.studies.pages import study_page
    from tightrope.studies.store import Store
    from tightrope.studies.tables import as_csv, as_latex, claims_table, estimate, power, rows_table

    store = Store(options.store) if options.store.exists() else None
    found = {scale: current(study, scale, options.results, store) for scale in SCALES}
    rows, stale = found[options.scale]
    judged = judge(study, {scale: its for scale, (its, _) in found.items()})
    unused = (
        f"{stale} committed rows are of another version of the study, or of seeds seen before it, and are not used."
    )
    notes = [unused] if stale else []
    notes += [sentence] if (sentence := complaint(judged)) else []
    base = path_of(study, folder_for(options.results))
    page = base.with_suffix(".html")
    write(page, study_page(study, judged, rows, notes))
    if options.csv:
        write(base.with_suffix(".claims.csv"), as_csv(claims_table(judged)))
        write(base.with_suffix(".rows.csv"), as_csv(rows_table(rows)))
    if options.latex:
        write(base.with_suffix(".tex"), as_latex(judged))
    drawn = _figures(study, rows, base.parent / "figures", options.figures) if options.figures else []
    say(f"{study.name}: {study.summary}")
    for one in judged:
        say(f"  {one.verdict:12} {one.claim.id:40} {estimate(one)}  {power(one)}  {one.why}".rstrip())
    say(f"  page: {page}")
    for path in drawn:
        say(f"  figure: {path}")
    return judged


def _figures(study: Study, rows: Sequence[Row], folder: Path, kind: str) -> list[Path]:
    """Every figure of a study that the extra plots can draw; parts of a page given as text are left out."""
    from tightrope.cli.pages import folder_for
    from tightrope.drawing.paper import write_figure

    drawn = []
    for title, picture in (study.figures(rows) if rows else {}).items():
        if not isinstance(picture, str):
            name = re.sub(r"[^a-z0-9]+", "_", f"{study.name} {title}".lower()).strip("_")
            drawn.append(write_figure(picture, folder_for(folder) / f"{name}.{kind}"))
    return drawn


def _power(words: list[str]) -> int:
    options = parse(PowerOptions, "study power", words)
    from tightrope.studies.design import SCALES
    from tightrope.studies.exported import current
    from tightrope.studies.judging import judge
    from tightrope.studies.tables import estimate, power

    study, store = _open(options)
    judged = judge(study, {scale: current(study, scale, options.results, store)[0] for scale in SCALES})
    for one in judged:
        say(f"  {one.claim.id:40} {one.seeds} seeds  {estimate(one)}  {power(one)}  {one.why}".rstrip())
    return 0
