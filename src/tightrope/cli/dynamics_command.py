"""``tightrope dynamics dirac --method r1`` and ``tightrope dynamics RUN``."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from tightrope._plumbing.errors import UserError
from tightrope.cli.options import parse

if TYPE_CHECKING:
    from tightrope.runs.dynamics import RunDynamics
    from tightrope.studies.dirac import DiracStudy

DIRAC = ("method", "gamma", "sigma", "target", "bound", "lr", "order", "n_critic", "steps", "all")
RUN = ("k", "which", "batches", "batch_size", "seed", "step", "predict")


@dataclass(frozen=True)
class DynamicsOptions:
    """Does it contract, how fast, and how does it turn: the Dirac-GAN under a method, or a run at a checkpoint."""

    what: Annotated[str, tyro.conf.Positional]
    """dirac, or a run folder."""
    method: str | None = None
    """dirac: gan, nsgan, wgan, wgan_gp, wgan_lp, instance_noise, r1, r2, r1_r2, nsgan_r1, finite_difference_r1,
    relativistic, r3gan, consensus, least_squares, hinge."""
    gamma: float | None = None
    """dirac: weight, with the half (1 if not given)."""
    sigma: float | None = None
    """dirac: of instance noise."""
    target: float | None = None
    """dirac: gradient norm that one-centred penalties aim at."""
    bound: float | None = None
    """dirac: of clipping."""
    lr: float = 0.2
    """dirac: rate of both players."""
    order: Literal["alternating", "simultaneous"] = "alternating"
    """dirac: who moves when."""
    n_critic: int = 1
    """dirac: critic steps per generator step."""
    steps: int = 500
    """dirac: length of the trajectory."""
    all: bool = False
    """dirac: all the paper's figures."""
    k: int = 6
    """run: number of eigenvalues."""
    which: Literal["LM", "LR", "LI", "SR", "SM", "SI"] = "LM"
    """run: largest modulus, real part or imaginary part, or the smallest."""
    batches: int = 2
    """run: further batches, to measure the noise of one."""
    batch_size: int | None = None
    """run: real samples; the run's, but at most 64, if not given."""
    seed: int = 0
    """run: of batches, latents and noise."""
    step: int | None = None
    """run: checkpoint; the newest if not given."""
    predict: Literal["auto", "yes", "no"] = "auto"
    """run: the update's spectrum; auto computes it for small runs."""
    out: Path | None = None
    """Folder for the page and its pictures; none are written for dirac, RUN/dynamics for a run, if not given."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Analyse, print, draw."""
    options = parse(DynamicsOptions, "dynamics", words)
    _refuse_strangers(options)
    if options.what == "dirac":
        return _dirac(options)
    return _run(options)


def _refuse_strangers(options: DynamicsOptions) -> None:
    """Raise if options of the other kind were given: they would do nothing."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    strangers = RUN if options.what == "dirac" else DIRAC
    given = [name for name in strangers if getattr(options, name) != defaults[name]]
    if given:
        kind, names = ("dirac", "a run") if options.what == "dirac" else ("a run", "dirac")
        raise UserError(
            f"Expected options of {kind}, got --{given[0].replace('_', '-')}, which belongs to {names}; leave it out."
        )


def _dirac(options: DynamicsOptions) -> int:
    from tightrope.studies.dirac import published, study

    if options.all:
        studies = published(learning_rate=options.lr, steps=options.steps)
        title = "The Dirac-GAN under nine methods and three schemes"
    else:
        given = {key: getattr(options, key) for key in ("gamma", "sigma", "target", "bound")}
        chosen = {key: value for key, value in given.items() if value is not None}
        studies = [
            study(options.method or "r1", learning_rate=options.lr, order=options.order, n_critic=options.n_critic,
                  steps=options.steps, **chosen)
        ]  # fmt: skip
        title = f"The Dirac-GAN: {studies[0].label}"
    if options.json:
        print(json.dumps([_dirac_json(s) for s in studies], indent=2))
    else:
        print("\n\n".join(_dirac_text(s) for s in studies))
    if options.out is not None:
        _write_dirac(options.out, studies, title, quiet=options.json)
    return 0


def _dirac_text(study: DiracStudy) -> str:
    from tightrope.report.dynamics_page import values_text
    from tightrope.studies.dirac_page import verdict_of

    lines = [f"{study.label}; rate {study.learning_rate:g}; {study.scheme}",
             f"  field's eigenvalues at the equilibrium   {values_text(study.field)}"]  # fmt: skip
    if study.prediction is not None:
        lines.append(f"  step's eigenvalues at the equilibrium    {values_text(study.prediction.eigenvalues)}")
    return "\n".join([*lines, f"  {verdict_of(study)}"])


def _dirac_json(study: DiracStudy) -> dict[str, Any]:
    p = study.prediction
    return {
        "method": study.name, "hyperparameters": study.hyperparameters, "learning_rate": study.learning_rate,
        "scheme": study.scheme, "field_eigenvalues": _numbers(study.field), "note": study.kink,
        "update_eigenvalues": _numbers(None if p is None else p.eigenvalues),
        "verdict": None if p is None else p.verdict, "rate": None if p is None else p.rate,
        "period_steps": None if p is None or math.isinf(p.period_steps) else p.period_steps,
        "steps": len(study.trajectory) - 1, "radius": study.radius, "end": study.trajectory[-1].tolist(),
    }  # fmt: skip


def _write_dirac(folder: Path, studies: list[DiracStudy], title: str, *, quiet: bool) -> None:
    from tightrope.studies.dirac_page import dirac_page, portrait, rate_path, weight_path

    folder = _folder(folder)
    for number, s in enumerate(studies):
        name = f"{number + 1:02d}_{s.name}" if len(studies) > 1 else s.name
        pictures = {f"{name}.svg": portrait(s)}
        if len(studies) == 1:
            pictures |= {f"{name}_weight.svg": weight_path(s) or "", f"{name}_rate.svg": rate_path(s) or ""}
        for file, picture in pictures.items():
            if picture:
                _write(folder / file, picture)
    _write(folder / "dirac.html", dirac_page(studies, title=title))
    if not quiet:
        print(f"\npage: {folder / 'dirac.html'}")


def _run(options: DynamicsOptions) -> int:
    from tightrope.report.dynamics_page import angle_charts, run_page, spectrum_plane
    from tightrope.runs.dynamics import run_dynamics

    path = Path(options.what)
    if not path.exists():
        raise UserError(f"Expected dirac or a run folder, got {options.what!r}, which does not exist; see --help.")
    found = run_dynamics(
        path, k=options.k, which=options.which, batches=options.batches, batch_size=options.batch_size,
        seed=options.seed, step=options.step, predicted={"auto": None, "yes": True, "no": False}[options.predict],
    )  # fmt: skip
    sentences = _run_sentences(found)
    picture = spectrum_plane(found.spectrum, f"field's eigenvalues at step {found.step}, {options.which}")
    charts = "" if found.angle is None else angle_charts(found.angle, found.since or 0, found.step)
    folder = _folder(options.out or path / "dynamics")
    _write(folder / f"spectrum_{found.step:08d}.svg", picture)
    page = folder / "dynamics.html"
    _write(
        page,
        run_page(f"Game dynamics of {path.name}", [*sentences, *str(found.spectrum).splitlines()], [picture], charts),
    )
    if options.json:
        print(json.dumps(_run_json(found), indent=2))
        return 0
    print("\n".join([str(found.spectrum), *sentences, f"page: {page}"]))
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
        "eigenvalues": _numbers(s.values), "residuals": s.residuals.tolist(),
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


def _numbers(values: Any) -> list[list[float]] | None:
    return None if values is None else [[complex(v).real, complex(v).imag] for v in values.tolist()]


def _folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Could not create {folder} ({error.strerror or error}); choose another --out.") from error
    return folder


def _write(path: Path, text: str) -> None:
    from tightrope._plumbing.files import write_atomically

    write_atomically(path, text.encode("utf-8"))
