"""The Dirac-GAN under its methods as one page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tightrope.drawing.planes import COLOURS, SOFT, Plane, pairs, span
from tightrope.report.dynamics_page import values_text
from tightrope.report.render import render, table
from tightrope.schedules import value_at
from tightrope.studies.dirac import DiracStudy, field_grid, parameter_of, sweep_rate, sweep_weight


def portrait(study: DiracStudy, *, reach: float = 2.0) -> str:
    """Field and trajectory of a variant from where the authors start, as SVG."""
    grid, velocities = field_grid(study.method, reach=reach)
    plane = Plane((-reach, reach), (-reach, reach), f"{study.label}; {study.scheme}", "generator θ", "critic ψ", 320)
    plane.arrows(pairs(grid), pairs(velocities), 0.55 * 2 * reach / 9)
    walked = pairs(study.trajectory)
    plane.path(walked, COLOURS[0], width=0.8)
    plane.dots(walked[:60], COLOURS[0], radius=1.5)
    plane.dots(walked[:1], COLOURS[1], radius=3.5, names=["start"])
    plane.dots(walked[-1:], COLOURS[2], radius=3.5, names=[f"after {len(walked) - 1} steps"])
    return plane.render()


def weight_path(study: DiracStudy, *, points: int = 61) -> str | None:
    """Path of the field's eigenvalues as the variant's hyperparameter sweeps from 0, as SVG; None if it has none."""
    parameter = parameter_of(study.name)
    if not parameter or study.field is None or parameter == "bound":
        return None
    present = study.hyperparameters.get(parameter, 1.0)
    last = max(2 * present, 2.0)
    weights = [max(last * k / (points - 1), 1e-6) for k in range(points)]
    values = sweep_weight(study.name, weights, **study.hyperparameters)
    flat = pairs(values.flatten())
    plane = Plane(
        span([x for x, _ in flat], least=0.2), span([y for _, y in flat], least=0.2),
        f"eigenvalues of the field, {parameter} 0 to {last:g}", "real part", "imaginary part", 320,
    )  # fmt: skip
    shade = [f"{parameter} {w:.3g}" for w in weights]
    for k in range(2):
        plane.dots(pairs(values[:, k]), COLOURS[0], radius=1.6, names=shade)
    plane.dots(pairs(study.field), COLOURS[1], radius=4, names=[f"{parameter} {present:g}"] * 2)
    return plane.render()


def rate_path(study: DiracStudy, *, points: int = 61) -> str | None:
    """Path of the update's eigenvalues as the step size sweeps, with the unit circle, as SVG; None at a kink."""
    if study.prediction is None:
        return None
    now_at = rate_of(study)
    last = max(4 * now_at, 1.0)
    rates = [last * (k + 1) / points for k in range(points)]
    values = sweep_rate(study.method, rates, study.order)
    circle = [(math.cos(2 * math.pi * k / 90), math.sin(2 * math.pi * k / 90)) for k in range(91)]
    plane = Plane((-1.7, 1.7), (-1.3, 1.3), f"eigenvalues of a step, rate 0 to {last:g}", "real part", "imaginary", 320)
    plane.path(circle, SOFT, width=1.0, dashed=True)
    names = [f"rate {rate:.3g}" for rate in rates]
    for k in range(values.shape[1]):
        plane.dots(pairs(values[:, k]), COLOURS[0], radius=1.6, names=names)
    now = pairs(study.prediction.eigenvalues)
    plane.dots(now, COLOURS[1], radius=4, names=[f"rate {now_at:g}"] * len(now))
    return plane.render()


def verdict_of(study: DiracStudy) -> str:
    """What is predicted near the equilibrium, what the run from afar does, and where the two differ."""
    steps = len(study.trajectory) - 1
    if study.outcome == "left":
        walked = f"the run from (1, -1) left: after {steps} steps it has been {study.radius:.4g} away"
    else:
        walked = f"after {steps} steps from (1, -1) it is within {study.radius:.4g} of the equilibrium"
    if study.prediction is None:
        what = "no derivative at the equilibrium" if study.field is None else "no derivative of the step there"
        what = "the constraint leaves no equilibrium" if "no equilibrium" in study.kink else what
        return f"{what}, so no spectrum there; {walked}"
    return f"near the equilibrium {study.prediction}; {walked}{_difference(study)}"


def _difference(study: DiracStudy) -> str:
    """How the run contradicts the local verdict; nothing where it does as predicted."""
    assert study.prediction is not None
    verdict, rate = study.prediction.verdict, study.prediction.rate
    if verdict == "convergent" and study.outcome != "came nearer":
        if study.outcome == "stayed away" and rate ** (len(study.trajectory) - 1) > 0.25:
            return ": too few steps for so slow a factor"
        return ", so the verdict is local: it holds for small distances only, and this start is beyond them"
    if verdict == "divergent" and study.outcome != "left":
        return ", so the verdict is local: small distances grow, but the run from this start stays within bounds"
    return ""


def dirac_page(studies: Sequence[DiracStudy], *, title: str) -> str:
    """A page of portraits with their verdicts; a single study also gets its eigenvalue paths."""
    paths = []
    for s in studies[:1] if len(studies) == 1 else [s for s in studies if s.label == "r1, gamma 1"][:1]:
        paths = [(picture, s.label) for picture in (weight_path(s), rate_path(s)) if picture]
    head = (
        *("variant", "players", "field's eigenvalues", "verdict near it", "factor per step", "radius at the end"),
        "run from (1, -1)",
    )
    rows = []
    for s in studies:
        p = s.prediction
        factor = ("no derivative", "") if p is None else (p.verdict, f"{p.rate:.6g}")
        rows.append((s.label, [s.scheme, values_text(s.field), *factor, f"{s.radius:.4g}", s.outcome]))
    return render(
        "dirac.html",
        title=title,
        subtitle="Mescheder et al. 2018 (1801.04406), through the losses, penalties and optimisers that train images; "
        f"{_rates(studies)}. The critic scores real high, so ψ has the opposite sign of the paper's.",
        table=table("values", head, rows),
        portraits=[(portrait(s), verdict_of(s)) for s in studies],
        paths=paths,
    )


def rate_of(study: DiracStudy) -> float:
    """Rate of the critic."""
    return value_at(study.method.critic_optimizer.learning_rate, 0)


def _rates(studies: Sequence[DiracStudy]) -> str:
    return "rate " + ", ".join(f"{rate:g}" for rate in sorted({rate_of(s) for s in studies}))
