"""The Dirac-GAN and its relatives: every spectrum, threshold and trajectory of 1801.04406, against closed forms.

Nothing here is random but the games in several dimensions. What is measured is ``dirac_forms``: the distance between
closed forms written down by hand and this library's own losses, penalties and update rules, differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tightrope.drawing.planes import COLOURS, Panels, Plane
from tightrope.studies.design import Cell, Certainty, Claim, Part, Picture, Row, Scale, cells, pick, values
from tightrope.studies.dirac_forms import ALT, ALT5, SIM, SLOPE, measured
from tightrope.studies.findings import Finding, exactly

PAPER, WHEN = "1801.04406", "2026-11-26"
EXACT, DEFECTIVE = 1e-8, 3e-6  # a double eigenvalue is only half as many digits certain
DOUBLE = (("r1", 1.0), ("r2", 1.0), ("roth", 2.0))

FLOWS = (
    ("gan", 0.0), ("nsgan", 0.0), ("relativistic", 0.0), ("wgan", 1.0),
    ("instance_noise", 0.7), ("instance_noise", 2.0), ("r1", 0.3), ("r1", 1.0), ("r1", 10.0), ("r2", 0.3), ("r2", 1.0),
    ("r1_r2", 0.3), ("r3gan", 0.3), ("nsgan_r1", 0.3), ("consensus", 0.1), ("consensus", 1.0),
)  # fmt: skip
STEPS = (
    ("gan", 0.0, SIM, 0.2), ("gan", 0.0, SIM, 0.01), ("gan", 0.0, ALT, 0.2), ("gan", 0.0, ALT5, 0.2),
    ("gan", 0.0, ALT, 3.9), ("gan", 0.0, ALT, 4.1), ("gan", 0.0, ALT5, 1.8),
    ("r1", 0.3, SIM, 0.2), ("r1", 0.3, ALT, 0.2), ("r1", 0.3, ALT5, 0.2), ("r1", 1.0, ALT, 0.2),
    ("r1", 0.3, SIM, 1.19), ("r1", 0.3, SIM, 1.21), ("r1", 0.3, ALT, 2.97), ("r1", 0.3, ALT, 2.98),
    ("r1_r2", 0.3, ALT, 0.2), ("instance_noise", 0.7, SIM, 0.2), ("instance_noise", 0.7, ALT5, 0.2),
    ("consensus", 1.0, SIM, 0.2), ("consensus", 0.1, SIM, 0.2),
)  # fmt: skip
WITHDRAWN = "withdrawn after the run: its band holds where the generator moves first, the library's critic does"
"""Why a threshold that was registered does not judge; alternating-ring, which does not depend on the order, does."""

DRAWN = (
    ("gan", 0.0), ("nsgan", 0.0), ("wgan", 1.0), ("wgan_gp", 0.7), ("wgan_lp", 1.0), ("instance_noise", 0.7),
    ("r1", 0.3), ("r1", 1.0), ("consensus", 1.0), ("nsgan_r1", 0.3),
)  # fmt: skip


def _all(sweep: int, games: Sequence[int], starts: int, steps: int) -> tuple[Part, ...]:
    def fixed(*made: Cell, seconds: float = 0.05) -> Part:
        return Part(made, (0,), fixed=True, seconds=seconds)

    return (
        fixed(*(c for v, w in FLOWS for c in cells(part="flow", variant=v, weight=w))),
        fixed(*(c for v, w, o, h in STEPS for c in cells(part="step", variant=v, weight=w, order=o, rate=h))),
        fixed(*(c for v, w in DRAWN for c in cells(part="path", variant=v, weight=w, order=[SIM, ALT, ALT5],
                                                   rate=0.2, steps=steps)), seconds=steps / 300),
        fixed(*cells(part="sweep", variant=["r1", "instance_noise", "consensus"], points=sweep), seconds=0.5),
        fixed(*cells(part="continuous", variant=["gan", "wgan", "r1"]), seconds=0.05),
        fixed(*cells(part="starts", variant=["r1", "consensus"], weight=1.0, order=ALT5, rate=0.2, count=starts,
                     steps=min(steps, 100)), seconds=starts * starts * 2.0),
        fixed(*cells(part="conserved", variant="gan", time=0.2 * steps), seconds=5),
        fixed(*cells(part="dragan", weight=0.35, rate=0.2, steps=steps), *cells(part="roth", weight=[0.6, 2.0, 20.0])),
        Part(cells(part="games", gamma=[0.1, 1.0], size=4), tuple(games), seconds=0.05),
    )  # fmt: skip


GRID = {
    "smoke": _all(3, (8000,), 1, 5),
    "cpu": _all(41, range(8000, 8050), 4, 500),
    "paper": _all(101, range(8000, 8200), 9, 500),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """Errors against closed forms, and what the trajectories do."""
    return measured(cell, seed)


def _error(rows: Sequence[Row]) -> Finding:
    double = any((row.cell.get("variant", "roth"), row.cell["weight"]) in DOUBLE for row in rows)
    quantity = "largest error of an eigenvalue"
    return exactly(values(rows, "error"), quantity, tolerance=DEFECTIVE if double else EXACT)


def _swept(rows: Sequence[Row]) -> Finding:
    return exactly(values(rows, "error"), "largest error of an eigenvalue on the path", tolerance=DEFECTIVE)


def _grows(rows: Sequence[Row]) -> Finding:
    return exactly([1 + 1e-6 - r for r in values(rows, "radius")], "1 less the smallest spectral radius", tolerance=0.0)


def _on_circle(rows: Sequence[Row]) -> Finding:
    """On the unit circle while ``alpha = a h sqrt(n)`` is at most 2, outside beyond."""
    errors = []
    for row in rows:
        alpha = SLOPE * float(row.cell["rate"]) * math.sqrt(5 if row.cell["order"] == ALT5 else 1)
        radius = float(row.values["radius"])
        errors.append(abs(radius - 1) if alpha <= 2 else max(1 + 1e-6 - radius, 0.0))
    return exactly(errors, "how far a spectral radius is from its side of 1", tolerance=EXACT)


def _norm_law(rows: Sequence[Row]) -> Finding:
    return exactly(values(rows, "identity"), "relative error of the law of growth, worst step", tolerance=1e-9)


def _threshold(rows: Sequence[Row]) -> Finding:
    """Contracting below the largest stable rate, expanding above it."""
    errors = []
    for row in rows:
        bound = 1.2 if row.cell["order"] == SIM else 2.976122604
        radius = float(row.values["radius"])
        errors.append(max(radius - 1, 0.0) if float(row.cell["rate"]) < bound else max(1 - radius, 0.0))
    return exactly(errors, "how far a spectral radius is on the wrong side of 1", tolerance=0.0)


def _critical(rows: Sequence[Row]) -> Finding:
    """Turning ends at gamma = 2a = 1, which contracts faster than 0.3 and 10."""
    at = {row.cell["weight"]: row.values for row in rows}
    wrong = max(at[1.0]["turning"], at[1.0]["abscissa"] - min(at[0.3]["abscissa"], at[10.0]["abscissa"]))
    wrong = max(wrong, 0.1 - at[0.3]["turning"])
    return exactly([wrong], "turning left at gamma 1, or what other weights contract faster", tolerance=DEFECTIVE)


def _ends(below: float) -> Callable[[Sequence[Row]], Finding]:
    return lambda rows: exactly(values(rows, "end"), "largest distance after 500 steps", tolerance=below)


def _stays(above: float) -> Callable[[Sequence[Row]], Finding]:
    return lambda rows: exactly(
        [above - v for v in values(rows, "least")], f"{above:g} less the smallest distance of the last 100 steps",
        tolerance=0.0,
    )  # fmt: skip


def _band(low: float, high: float) -> Callable[[Sequence[Row]], Finding]:
    return lambda rows: exactly(
        [max(low - row.values["least"], row.values["most"] - high) for row in rows],
        f"how far the last 100 distances leave [{low:g}, {high:g}]", tolerance=0.0,
    )  # fmt: skip


def _ring(rows: Sequence[Row]) -> Finding:
    ratios = [row.values["most"] / row.values["least"] for row in rows]
    return exactly(ratios, "largest over smallest distance of the last 100 steps", tolerance=1.06)


def _continuous_holds(rows: Sequence[Row]) -> Finding:
    wrong = [max(row.values["error"], row.values["abscissa"] if row.cell["variant"] != "wgan" else 0.0) for row in rows]
    return exactly(wrong, "error of an eigenvalue, or a real part above 0", tolerance=EXACT)


def _nowhere_away(rows: Sequence[Row]) -> Finding:
    return exactly(values(rows, "away"), "share of starts that do not come near", tolerance=0.0)


def _bounded(rows: Sequence[Row]) -> Finding:
    return exactly(values(rows, "beyond"), "how far a real part passes its bound", tolerance=EXACT)


def _claim(name: str, place: str, sentence: str, judge: Callable[[Sequence[Row]], Finding],
           *where: Mapping[str, Any], published: str = "", certainty: Certainty = "derived",
           check: Callable[[Sequence[Row]], str] | None = None) -> Claim:  # fmt: skip
    return Claim(f"dirac-{name}", PAPER, place, sentence, WHEN, judge, where, check=check, seeds=1, published=published,
                 certainty=certainty)  # fmt: skip


def _path_of(name: str, *orders: str, **more: float) -> list[dict[str, Any]]:
    return [{"part": "path", "variant": name, "order": order, **more} for order in orders]


CLAIMS = (
    _claim("centre", "lemma 2.2", "Unregularised (GAN, NSGAN) the eigenvalues at the equilibrium are +-f'(0) i.",
           _error, *({"part": "flow", "variant": v} for v in ("gan", "nsgan")), published="+-0.5 i"),
    _claim("simultaneous-grows", "lemma 2.4", "Simultaneous steps expand: radius above 1 at rates 0.01 and 0.2.",
           _grows, {"part": "step", "variant": "gan", "order": SIM}, published="sqrt(1 + h^2 f'(0)^2)"),
    _claim("simultaneous-law", "figure 2a", "Under simultaneous steps |z|^2 grows at each step by 1 + h^2 f'(s)^2.",
           _norm_law, *_path_of("gan", SIM)),
    _claim("alternating-circle", "lemma 2.5", "Alternating steps have radius 1 while a h sqrt(n) <= 2, above 1 beyond.",
           _on_circle, *({"part": "step", "variant": "gan", "order": o} for o in (ALT, ALT5)), published="1"),
    _claim("alternating-band", "figure 2b", "Alternating steps from (1, 1) stay between 1.344 and 1.4225.",
           _band(1.344, 1.4225), *_path_of("gan", ALT), published="1.344 to 1.422, generator first",
           check=lambda rows: WITHDRAWN),
    _claim("alternating-ring", "figure 2b", "Alternating steps stay on a ring: distances within a factor of 1.06.",
           _ring, *_path_of("gan", ALT), published="1.0513 = sqrt(1.05 / 0.95) for the linear game"),
    _claim("wgan", "lemma 3.1", "WGAN inside its clipping box has the eigenvalues +-i: not convergent.", _error,
           {"part": "flow", "variant": "wgan"}, published="+-i"),
    _claim("wgan-path", "figure 3", "WGAN with five critic steps stays at least 0.25 away for 100 steps.", _stays(0.25),
           *_path_of("wgan", ALT5)),
    _claim("wgan-gp-path", "section 3.2, figure 3", "WGAN-GP, weight 0.7, one critic step, stays at least 1 away.",
           _stays(1.0), *_path_of("wgan_gp", ALT), published="at least 1.138"),
    _claim("wgan-lp-path", "section 3.2", "WGAN-LP, weight 1, one critic step, stays at least 0.5 away.", _stays(0.5),
           *_path_of("wgan_lp", ALT), published="a circle of radius 1"),
    _claim("noise", "lemma 3.2", "Instance noise adds 2 f''(0) sigma^2 to the critic's damping.", _error,
           {"part": "flow", "variant": "instance_noise"}, published="-0.1225 +- 0.4848 i at 0.7"),
    _claim("noise-path", "figure 3", "With instance noise 0.7 all three schemes end within 0.05.", _ends(0.05),
           *_path_of("instance_noise", SIM, ALT, ALT5)),
    _claim("r1", "lemma 3.3", "R1 and R2 have the eigenvalues -g/2 +- sqrt(g^2/4 - f'(0)^2).", _error,
           *({"part": "flow", "variant": v} for v in ("r1", "r2")), published="-0.15 +- 0.477 i at 0.3"),
    _claim("r1-critical", "section 3, figure 3", "Weight 2 f'(0) = 1 is critical: no turning, faster than 0.3 and 10.",
           _critical, {"part": "flow", "variant": "r1"}, published="1"),
    _claim("r1-path", "figure 3", "With R1, 0.3 and 1, all three schemes end within 1e-4.", _ends(1e-4),
           *_path_of("r1", SIM, ALT, ALT5), published="2.6e-6 and 2.3e-7 at 0.3"),
    _claim("r1-starts", "figure 3", "With R1 (weight 1, five critic steps) every start on a grid comes near.",
           _nowhere_away, {"part": "starts", "variant": "r1"}, certainty="none"),
    _claim("nsgan-path", "section 2, figure 3", "NSGAN, alternating, nears slowly: 0.2 to 0.4 after 500 steps.",
           _band(0.2, 0.4), *_path_of("nsgan", ALT), published="0.284"),
    _claim("nsgan-r1-path", "figure 3", "NSGAN with R1 0.3: all three schemes end within 1e-4.", _ends(1e-4),
           *_path_of("nsgan_r1", SIM, ALT, ALT5)),
    _claim("consensus", "section 3.3", "Consensus has the eigenvalues -g f'(0)^2 +- f'(0) i.", _error,
           {"part": "flow", "variant": "consensus"}, published="-0.25 +- 0.5 i at 1"),
    _claim("consensus-path", "figure 3", "With consensus, weight 1, all three schemes end within 0.01.", _ends(0.01),
           *_path_of("consensus", SIM, ALT, ALT5), certainty="code",
           published="converges (the authors' notebook, whose field lacks half a term)"),
    _claim("consensus-starts", "figure 3", "With consensus (weight 1, five critic steps) every start on a grid nears.",
           _nowhere_away, {"part": "starts", "variant": "consensus"}, certainty="code", published="all 81 starts"),
    _claim("rates", "theorem 4.1, section 3", "R1 0.3 contracts up to a rate of 1.2, 2.976 if alternating.",
           _threshold, *({"part": "step", "variant": "r1", "weight": 0.3, "rate": h} for h in (1.19, 1.21, 2.97, 2.98)),
           published="1.2 and 2.976"),
    _claim("updates", "section 2 and 3", "All update operators have the spectra of their closed forms.", _error,
           {"part": "step"}),
    _claim("locus", "figure 4", "Eigenvalues follow the closed forms up to twice the critical weight.",
           _swept, {"part": "sweep"}),
    _claim("continuous", "section 2.3", "On Gaussian data the GAN and R1 contract, WGAN turns: +-i, +-2i.",
           _continuous_holds, {"part": "continuous"}, published="-0.25 +- 0.433 i, -0.75 +- 0.661 i"),
    _claim("bounds", "theorem 4.1, proof", "Real parts obey the bounds of the proof in 50 random games.",
           _bounded, {"part": "games"}),
    _claim("flow", "lemma 2.3", "The flow of the GAN keeps its distance from the equilibrium, relative to 1e-6.",
           lambda rows: exactly(values(rows, "left"), "relative change of the distance, worst time", tolerance=1e-6),
           {"part": "conserved"}, published="constant"),
    _claim("dragan", "section 1, table of methods", "DRAGAN, weight 0.35, one critic step, stays at least 0.5 away.",
           _stays(0.5), {"part": "dragan"}, published="not convergent", certainty="memory"),
    _claim("roth", "section 3.3, table of methods", "Under the penalty of Roth et al. eigenvalues are those "
           "of R1 at half its weight: it converges.", _error, {"part": "roth"}, published="convergent"),
    Claim("dirac-r3gan", "2501.05441", "section 2", "RpGAN with R1 and R2, 0.3 each: -0.3 +- 0.4 i.", WHEN,
          _error, ({"part": "flow", "variant": "r3gan"},), seeds=1, published="-0.3 +- 0.4 i", certainty="derived"),
    Claim("dirac-relativistic", "2501.05441", "section 2", "RpGAN alone turns like the GAN: +-0.5 i.", WHEN,
          _error, ({"part": "flow", "variant": "relativistic"},), seeds=1, published="+-0.5 i", certainty="derived"),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """The paper's figures 2 and 3 as trajectories, figure 4 as paths of eigenvalues."""
    drawn: dict[str, Picture] = {}
    for order in (SIM, ALT, ALT5):
        pictures = [_trajectory(row) for row in pick(rows, part="path", order=order)]
        if pictures:
            drawn[f"Trajectories, {order}"] = Panels(pictures)
    loci = [_locus(row) for row in pick(rows, part="sweep")]
    return drawn | ({"Eigenvalues as the weight grows": Panels(loci)} if loci else {})


def _trajectory(row: Row) -> tuple[Plane, str]:
    name = f"{row.cell['variant']} {row.cell['weight']:g}"
    plane = Plane((-2, 2), (-2, 2), name, "generator", "critic", 300)
    points = list(zip(row.values["theta"], row.values["psi"], strict=True))
    plane.path(points, COLOURS[0], width=0.8)
    plane.dots(points[:1], COLOURS[1], radius=3.5, names=["start"])
    plane.dots(points[-1:], COLOURS[2], radius=3.5, names=["end"])
    return plane, f"{name}: ends at a distance of {row.values['end']:.3g}"


def _locus(row: Row) -> tuple[Plane, str]:
    points = list(zip(row.values["real"], row.values["imaginary"], strict=True))
    plane = Plane((-2.2, 0.3), (-1.2, 1.2), str(row.cell["variant"]), "real part", "imaginary part", 300)
    plane.dots(points, COLOURS[0], radius=1.6)
    return plane, f"{row.cell['variant']}: from 0 to twice the critical weight"
