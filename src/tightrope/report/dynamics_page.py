"""Pages and pictures of game dynamics: the Dirac-GAN under a method, and the spectrum of a training run."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from torch import Tensor

from tightrope.drawing.charts import Line, line_chart
from tightrope.drawing.planes import COLOURS, SOFT, Plane, pairs, span
from tightrope.dynamics import PathAngle, Spectrum
from tightrope.report.render import render


def spectrum_plane(spectrum: Spectrum, title: str) -> Markup:
    """Eigenvalues of a run's field in the complex plane, with residual and minibatch noise as rings, as SVG."""
    points = pairs(spectrum.values)
    noise = [0.0] * len(points) if spectrum.noise is None else spectrum.noise.tolist()
    radii = [float(r) + n for r, n in zip(spectrum.residuals.tolist(), noise, strict=True)]
    widest = max((abs(c) for p in points for c in p), default=1.0) or 1.0
    plane = Plane(
        span([x for x, _ in points], least=0.1 * widest), span([y for _, y in points], least=0.1 * widest),
        title, "real part", "imaginary part", 480, equal=False,
    )  # fmt: skip
    plane.path([(0.0, plane.y[0]), (0.0, plane.y[1])], SOFT, width=1.2, dashed=True)
    plane.rings(points, radii)
    plane.dots(points, COLOURS[0], names=[f"{complex(v):.5g}" for v in spectrum.values.tolist()])
    return plane.render()


def angle_charts(angle: PathAngle, first: int, second: int) -> Markup:
    """Cosine and length of the field along the line between two checkpoints, as two figures of a report."""
    x = angle.positions.numpy()
    along = f"position: 0 is step {first}, 1 is step {second}"
    cosine = Line("cosine", x, angle.cosines.double().numpy())
    length = Line("length", x, angle.norms.double().numpy())
    return line_chart([cosine], title="Path angle: cosine between field and line", x_label=along) + line_chart(
        [length], title="Length of the gradient field", x_label=along, log=True
    )


def run_page(title: str, sentences: Sequence[str], pictures: Sequence[Markup], charts: Markup | str) -> str:
    """The page of a run's dynamics."""
    return render("dynamics.html", title=title, sentences=sentences, pictures=pictures, charts=charts)


def values_text(values: Tensor | None) -> str:
    """Eigenvalues as a reader writes them."""
    return "none: a kink" if values is None else ", ".join(f"{complex(v):.6g}" for v in values.tolist())
