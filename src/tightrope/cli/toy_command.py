"""``tightrope toy dirac --method r1 --gamma 1 --lr 0.2``."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say, say_json
from tightrope._plumbing.words import closest
from tightrope.cli.options import group, parse, spelt
from tightrope.cli.pages import folder_for, numbers, write

if TYPE_CHECKING:
    from tightrope.studies.dirac import DiracStudy


@dataclass(frozen=True)
class ToyOptions:
    """A small game under a method: does it contract, how fast, how does it turn, and what does a run from afar do.

    Hyperparameters of the method follow as options: --gamma 1 for r1; --sigma 0.7 for instance_noise; --bound 1 for
    wgan; --gamma and --target for wgan_gp and wgan_lp; for methods that train images those of tightrope train.
    """

    game: Annotated[Literal["dirac"], tyro.conf.Positional]
    """The game: dirac, the Dirac-GAN."""
    method: str = "r1"
    """gan, nsgan, wgan, wgan_gp, wgan_lp, instance_noise, r1, r2, r1_r2, nsgan_r1, finite_difference_r1, relativistic,
    r3gan, consensus, least_squares or hinge under plain gradient steps; or a method of tightrope list, by its own."""
    lr: float | None = None
    """Rate of both players; the method's own if not given, 0.2 for those with plain gradient steps."""
    order: Literal["alternating", "simultaneous"] | None = None
    """Who moves when; alternating, or the method's own, if not given."""
    n_critic: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Critic steps per generator step."""
    steps: Annotated[int, Meta(ge=0, le=10_000_000)] = 500
    """Length of the run from (1, -1)."""
    all: bool = False
    """All the paper's figures."""
    out: Path | None = None
    """Folder for the page and its pictures; none are written if not given."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Analyse, print, draw."""
    words = game_first(words)
    names = spelt(words)
    method = names.get("method") or ToyOptions.method
    hyperparameters = _hyperparameters(method)
    general = [field.name for field in dataclasses.fields(ToyOptions)]

    def unknown(option: str) -> None:
        shown, valid = f"--{option.replace('_', '-')}", [f"--{key.replace('_', '-')}" for key in hyperparameters]
        near = closest(shown, [*valid, *(f"--{key.replace('_', '-')}" for key in general)])
        raise UserError(
            f"tightrope toy has no option {shown}{near}: the method {method} takes {', '.join(valid) or 'none'}; for "
            "the rest see tightrope toy --help."
        )

    options: Any = parse(_command(method, hyperparameters, general), "toy", words, unknown)
    return _dirac(options, {name: value for name, value in vars(options.hyperparameters).items() if name in names})


def _command(method: str, hyperparameters: dict[str, Any], general: list[str]) -> type:
    """The options of the command and of one method in one dataclass."""
    kind = group(f"Of {method}.", hyperparameters, general)
    field = ("hyperparameters", kind, dataclasses.field(default_factory=kind))
    return dataclasses.make_dataclass(
        "Toy", [field], bases=(ToyOptions,), frozen=True, namespace={"__doc__": ToyOptions.__doc__}
    )


def game_first(words: list[str]) -> list[str]:
    """The words with the game in front, wherever it stands as itself and not as the value of an option."""
    for i, word in enumerate(words):
        if word == "dirac" and (not i or not words[i - 1].startswith("--") or words[i - 1] in ("--json", "--all")):
            return [word, *words[:i], *words[i + 1 :]]
    return words


def _hyperparameters(method: str) -> dict[str, Any]:
    """The options of a method: numbers for the paper's variants, those of training for the others."""
    from tightrope.methods import METHODS
    from tightrope.runs.options import Option, options_of
    from tightrope.studies.dirac import method_of
    from tightrope.toys import VARIANTS

    if method in VARIANTS:
        parameters = inspect.signature(VARIANTS[method]).parameters
        return {name: Option(float, parameter.default, "") for name, parameter in parameters.items()}
    if method not in METHODS:
        method_of(method)  # which says what there is
    return {name: one for name, one in options_of(METHODS[method]).items() if name not in ("n_critic", "order")}


def _refuse_beside_all(options: ToyOptions, hyperparameters: Mapping[str, Any]) -> None:
    others = [name for name in ("method", "order", "n_critic") if getattr(options, name) not in (None, "r1")]
    given = [f"--{name.replace('_', '-')}" for name in (*others, *hyperparameters)]
    if given:
        raise UserError(f"Expected no {given[0]} beside --all, which draws every panel of the paper; leave one out.")


def _dirac(options: ToyOptions, chosen: Mapping[str, Any]) -> int:
    from tightrope.studies.dirac import published, study

    if options.all:
        _refuse_beside_all(options, chosen)
        studies = published(learning_rate=options.lr, steps=options.steps)
        title = "The Dirac-GAN under nine methods and three schemes"
    else:
        studies = [
            study(options.method, learning_rate=options.lr, order=options.order, n_critic=options.n_critic,
                  steps=options.steps, **chosen)
        ]  # fmt: skip
        title = f"The Dirac-GAN: {studies[0].label}"
    if options.json:
        say_json([_json(s) for s in studies])
    else:
        say(*"\n\n".join(_text(s) for s in studies).splitlines())
    if options.out is not None:
        _write(options.out, studies, title, quiet=options.json)
    return 0


def _text(study: DiracStudy) -> str:
    from tightrope.report.dynamics_page import values_text
    from tightrope.studies.dirac_page import rate_of, verdict_of
    from tightrope.toys import VARIANTS

    rate = "" if study.learning_rate is None and study.name not in VARIANTS else f"rate {rate_of(study):g}; "
    lines = [f"{study.label}; {rate}{study.scheme}",
             f"  field's eigenvalues at the equilibrium   {values_text(study.field)}"]  # fmt: skip
    if study.prediction is not None:
        lines.append(f"  step's eigenvalues at the equilibrium    {values_text(study.prediction.eigenvalues)}")
    return "\n".join([*lines, f"  {verdict_of(study)}"])


def _json(study: DiracStudy) -> dict[str, Any]:
    from tightrope.studies.dirac_page import rate_of

    p = study.prediction
    return {
        "method": study.name, "hyperparameters": study.hyperparameters, "learning_rate": rate_of(study),
        "scheme": study.scheme, "field_eigenvalues": numbers(study.field), "note": study.kink,
        "update_eigenvalues": numbers(None if p is None else p.eigenvalues),
        "verdict": None if p is None else p.verdict, "rate": None if p is None else p.rate,
        "period_steps": None if p is None or math.isinf(p.period_steps) else p.period_steps,
        "steps": len(study.trajectory) - 1, "radius": study.radius, "end": study.trajectory[-1].tolist(),
        "outcome": study.outcome,
    }  # fmt: skip


def _write(folder: Path, studies: list[DiracStudy], title: str, *, quiet: bool) -> None:
    from tightrope.studies.dirac_page import dirac_page, portrait, rate_path, weight_path

    folder = folder_for(folder)
    for number, s in enumerate(studies):
        name = f"{number + 1:02d}_{s.name}" if len(studies) > 1 else s.name
        pictures = {f"{name}.svg": portrait(s)}
        if len(studies) == 1:
            pictures |= {f"{name}_weight.svg": weight_path(s) or "", f"{name}_rate.svg": rate_path(s) or ""}
        for file, picture in pictures.items():
            if picture:
                write(folder / file, picture)
    write(folder / "dirac.html", dirac_page(studies, title=title))
    if not quiet:
        say("", f"page: {folder / 'dirac.html'}")
