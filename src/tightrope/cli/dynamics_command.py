"""``tightrope dynamics RUN``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import parse
from tightrope.cli.pages import folder_for, numbers, write

if TYPE_CHECKING:
    from tightrope.runs.dynamics import RunDynamics


@dataclass(frozen=True)
class DynamicsOptions:
    """Does it contract, how fast, and how does it turn: a run at a checkpoint. Small games: tightrope toy."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    k: int = 6
    """Number of eigenvalues."""
    which: Literal["LM", "LR", "LI", "SR", "SM", "SI"] = "LM"
    """Largest modulus, real part or imaginary part, or the smallest."""
    batches: int = 2
    """Further batches, to measure the noise of one."""
    batch_size: int | None = None
    """Real samples; the run's, but at most 64, if not given."""
    seed: int = 0
    """Of batches, latents and noise."""
    step: int | None = None
    """Checkpoint; the newest if not given."""
    predict: Literal["auto", "yes", "no"] = "auto"
    """The update's spectrum; auto computes it for small runs."""
    out: Path | None = None
    """Folder for the page and its picture; RUN/dynamics if not given."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Analyse, print, draw; ``dynamics dirac`` is the old spelling of ``toy dirac``."""
    from tightrope.cli import toy_command

    if toy_command.game_first(words)[:1] == ["dirac"]:
        return toy_command.run(words)
    return _run(parse(DynamicsOptions, "dynamics", words))


def _run(options: DynamicsOptions) -> int:
    from tightrope.report.dynamics_page import angle_charts, run_page, spectrum_plane
    from tightrope.runs.dynamics import run_dynamics

    path = options.run
    if not path.exists():
        raise UserError(
            f"Expected a run folder, got {str(path)!r}, which does not exist; small games: tightrope toy --help."
        )
    found = run_dynamics(
        path, k=options.k, which=options.which, batches=options.batches, batch_size=options.batch_size,
        seed=options.seed, step=options.step, predicted={"auto": None, "yes": True, "no": False}[options.predict],
    )  # fmt: skip
    sentences = _run_sentences(found)
    picture = spectrum_plane(found.spectrum, f"field's eigenvalues at step {found.step}, {options.which}")
    charts = "" if found.angle is None else angle_charts(found.angle, found.since or 0, found.step)
    folder = folder_for(options.out or path / "dynamics")
    write(folder / f"spectrum_{found.step:08d}.svg", picture)
    page = folder / "dynamics.html"
    write(
        page,
        run_page(f"Game dynamics of {path.name}", [*sentences, *str(found.spectrum).splitlines()], [picture], charts),
    )
    if options.json:
        say_json(_run_json(found))
        return 0
    say(*str(found.spectrum).splitlines(), *sentences, f"page: {page}")
    return 0


def _run_sentences(found: RunDynamics) -> list[str]:
    values = found.spectrum.values
    turning = float((values.imag.abs() > 1e-3 * values.abs()).float().mean())
    lines = [
        f"Step {found.step}: {found.parameters:,} parameters seen on one batch of {found.batch}; {turning:.0%} of the "
        f"{len(values)} leading eigenvalues turn, the rightmost real part among them is {float(values.real.max()):.4g}."
    ]
    if found.stable_rate > 0:
        lines.append(
            f"Plain simultaneous steps contract along these directions up to a rate of {found.stable_rate:.3g}."
        )
    else:
        lines.append("Some of these directions do not contract under plain steps, however small.")
    lines.append(f"Prediction: {found.note or found.prediction}.")
    if found.angle is None:
        lines.append("Path angle: none, there is only one checkpoint to look back from.")
    else:
        c = found.angle.cosines
        lines.append(
            f"Path angle from step {found.since}: cosine {float(c[0]):.3f} there, {float(c[-1]):.3f} beyond, "
            f"{int((c[1:].sign() != c[:-1].sign()).sum())} changes of sign."
        )
    return lines


def _run_json(found: RunDynamics) -> dict[str, Any]:
    p, s, a = found.prediction, found.spectrum, found.angle
    return {
        "step": found.step, "parameters": found.parameters, "batch": found.batch,
        "eigenvalues": numbers(s.values), "residuals": s.residuals.tolist(),
        "noise": None if s.noise is None else s.noise.tolist(), "products": s.products,
        "stable_rate": found.stable_rate if math.isfinite(found.stable_rate) else None, "note": found.note,
        "prediction": None if p is None else {
            "verdict": p.verdict, "rate": p.rate, "displacement": p.displacement,
            "period_steps": p.period_steps if math.isfinite(p.period_steps) else None,
        },
        "path_angle": None if a is None else {
            "since": found.since, "positions": a.positions.tolist(), "cosines": a.cosines.tolist(),
            "norms": a.norms.tolist(),
        },
    }  # fmt: skip
