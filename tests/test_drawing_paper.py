"""Figures for papers: what matplotlib draws is what the chart holds, and the same numbers give the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tightrope._plumbing.errors import UserError
from tightrope.cli import main as command
from tightrope.drawing.charts import Chart, Line, Reference
from tightrope.drawing.paper import KINDS, _chart, _panels, write_figure
from tightrope.drawing.planes import Panels, Plane

matplotlib = pytest.importorskip("matplotlib", reason="needs the extra plots")
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "studies"


def chart(level: float = 0.5, *, log: bool = True) -> Chart:
    x = np.asarray([1.0, 2.0, 3.0])
    lines = (Line("r1", x, x**2), Line("none", x, 1 / x, low=0.5 / x, high=2 / x))
    return Chart(lines, "Distance", "steps", log, (Reference("floor", level),))


def plane() -> Plane:
    made = Plane((-1, 1), (-2, 2), "gan", "generator", "critic", equal=False)
    made.path([(0.0, 1.0), (0.5, -1.0)], dashed=True)
    made.dots([(0.25, 0.75)])
    made.rings([(0.5, 0.5)], [0.125])
    made.arrows([(0.0, 0.0), (0.5, 0.0)], [(0.0, 0.0), (3.0, 4.0)], 0.5)
    return made


def axes() -> Any:
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", [chart(), Panels([(plane(), "a"), (plane(), "b")])], ids=["chart", "panels"])
def test_the_same_numbers_give_the_same_bytes(picture: Chart | Panels, kind: str, tmp_path: Path) -> None:
    one, two = (write_figure(picture, tmp_path / f"{name}.{kind}").read_bytes() for name in "ab")
    assert one == two
    assert one[:5] in (b"<?xml", b"%PDF-", b"\x89PNG\r")


def test_a_chart_holds_its_lines_intervals_and_levels() -> None:
    place = axes()
    _chart(place, chart())
    drawn = {line.get_label(): line.get_ydata() for line in place.lines}
    assert drawn["r1"].tolist() == [1.0, 4.0, 9.0]
    assert drawn["none"] == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert list(drawn["floor"]) == [0.5, 0.5]
    area = place.collections[0].get_paths()[0].vertices[:, 1]
    assert (area.min(), area.max()) == pytest.approx((1 / 6, 2.0))
    assert place.get_yscale() == "log"
    assert place.get_xlabel() == "steps"


@pytest.mark.parametrize(("level", "log", "scale"), [(0.5, False, "linear"), (-0.5, True, "asinh")])
def test_a_value_at_or_below_zero_is_shown_and_not_cut_by_a_logarithm(level: float, log: bool, scale: str) -> None:
    place = axes()
    _chart(place, chart(level, log=log))
    assert place.get_yscale() == scale


def test_planes_hold_their_marks_in_units_of_the_plane() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    _panels(figure, Panels([(plane(), "")]))
    place = figure.axes[0]
    line, dots = place.lines
    assert np.stack(line.get_data(), 1).tolist() == [[0.0, 1.0], [0.5, -1.0]]
    assert line.get_linestyle() == "--"
    assert np.stack(dots.get_data(), 1).tolist() == [[0.25, 0.75]]
    assert (*place.patches[0].center, place.patches[0].radius) == (0.5, 0.5, 0.125)
    arrows = place.collections[0]
    assert np.stack([arrows.U, arrows.V], 1) == pytest.approx(np.asarray([[0.3, 0.4]])), "unit of length, none at rest"
    assert place.get_xlim() == (-1, 1)
    assert place.get_ylim() == (-2, 2)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.svg, \.pdf or \.png, got a\.gif"):
        write_figure(chart(), tmp_path / "a.gif")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"tightrope\[plots\]"):
        write_figure(chart(), tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not RESULTS.is_dir(), reason="needs the committed rows, which a source distribution leaves out")
def test_the_report_of_a_study_draws_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "local_convergence.jsonl").write_bytes((RESULTS / "local_convergence.jsonl").read_bytes())
    words = ["study", "report", "local_convergence", "--results", str(tmp_path), "--figures", "svg"]
    assert command([*words, "--store", str(tmp_path / "none.sqlite")]) in (0, 1)
    named = [Path(line.split(": ")[1]) for line in capsys.readouterr().out.splitlines() if "figure:" in line]
    assert len(named) == 4
    assert all(path.parent == tmp_path / "figures" and path.stat().st_size > 5000 for path in named)
