"""Curves over the bands of reference runs: what is drawn, what is said, and that the bands are what the page claims."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from run_folders import make_run
from tightrope import losses, report
from tightrope.cli import main
from tightrope.drawing.charts import Band, Line, line_chart
from tightrope.report.reference import SHOWN, References

ROOT = Path(__file__).parents[1]
KEPT = json.loads((ROOT / "src" / "tightrope" / "report" / "reference.json").read_text())


def run_of(folder: Path, method: str, data: str = "digits") -> Path:
    make_run(folder, steps=80, every=10, pictures=False)
    config = json.loads((folder / "config.json").read_text())
    config["method"]["name"], config["data"]["name"] = method, data
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_band_lies_behind_the_curve_between_its_ends() -> None:
    x = np.linspace(0.0, 10.0, 11)
    line = Line("own", x, x)
    plain = line_chart([line], title="t", x_label="x")
    chart = line_chart([line], title="t", x_label="x", band=Band("sound", x, x + 20, x + 30))
    assert 'class="band"' in chart and "sound" in chart and 'class="band"' not in plain
    assert chart.index('class="band"') < chart.index('class="line')
    path = re.search(r'class="band" d="([^"]+)"', chart)
    assert path is not None and path[1].count("M") == 1 and path[1].endswith("Z")
    levels = [float(v) for v in re.findall(r"[ML ]?-?[\d.]+ (-?[\d.]+)", path[1])]
    own = re.search(r'class="line s0" d="([^"]+)"', chart)
    assert own is not None
    assert max(levels) < max(float(v) for v in re.findall(r"-?[\d.]+ (-?[\d.]+)", own[1]))  # above it: smaller levels


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    x = np.linspace(1.0, 3.0, 3)
    values = np.asarray([1e-3, 1.0, 1e3])
    chart = line_chart([Line("own", x, values)], title="t", x_label="x", log=True,
                       band=Band("sound", x, np.asarray([-1.0, 0.1, 1.0]), values * 2))  # fmt: skip
    assert "nan" not in chart and "inf" not in chart and 'class="band"' in chart


def test_the_report_draws_each_quantity_over_its_band(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path / "a", "dcgan")
    plain = report.write_report(run).read_text()
    assert "reference dcgan" not in plain
    assert main(["report", str(run), "--reference"]) == 0
    page = (run / "report.html").read_text()
    assert "critic loss, over reference dcgan".lower() in page.lower() and 'class="band"' in page
    assert "stretched to the length of this run." in page
    other = run_of(tmp_path / "b", "dcgan", "flowers")
    assert "data are not yours" in report.write_report(other, reference=True).read_text()
    capsys.readouterr()


def test_a_method_without_reference_runs_says_so(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", "consensus")
    page = report.write_report(run, reference=True).read_text()
    assert "no reference run of the method consensus" in page and 'class="band"' not in page


def test_bands_span_the_run_and_keep_low_below_high(tmp_path: Path) -> None:
    assert len(json.dumps(KEPT)) < 20_000 and set(KEPT["methods"]) == {"dcgan", "r1", "sn_gan", "wgan_gp", "wgan"}
    record = report.read_run(run_of(tmp_path / "a", "wgan_gp"))
    for method, one in KEPT["methods"].items():
        assert set(one["signals"]) <= set(SHOWN) and "critic_loss" in one["signals"], method
        assert one["places"] == sorted(one["places"]) and one["places"][-1] == 1.0
        for low, high in one["signals"].values():
            assert len(low) == len(high) == len(one["places"]) and all(a <= b for a, b in zip(low, high, strict=True))
    band = References(record).band("critic_loss")
    assert band is not None and band.x[-1] == record.images_seen and References(record).band("penalty") is None


PAGE = ROOT / "docs" / "howto" / "gan_curves.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the folder docs/")
def test_the_marks_on_the_page_are_those_of_the_losses() -> None:
    import torch

    rows = re.findall(r"^\| `(\w+)`[^|\n]*\|([^|\n]+)\|([^|\n]+)\|([^|\n]+)\|", PAGE.read_text(), re.M)
    assert {name for name, *_ in rows} == set(losses.LOSSES)
    zero, part = torch.zeros(16, dtype=torch.float64), torch.full((16,), 40.0, dtype=torch.float64)
    for name, critic, generator, perfect in rows:
        loss = losses.LOSSES[name]
        for said, value in ((critic, loss.critic(zero, zero)), (generator, loss.generator(zero, zero))):
            assert math.isclose(float(said.split("=")[-1]), float(value), abs_tol=5e-4), (name, said, float(value))
        if name != "least_squares" and re.fullmatch(r"[\d. ]+", perfect):
            assert math.isclose(float(loss.critic(part, -part)), float(perfect), abs_tol=1e-6), name
    square = losses.LOSSES["least_squares"]
    one = torch.ones(16, dtype=torch.float64)
    assert float(square.critic(one, -one)) == 0 and float(square.generator(-one, one)) == 4
    halves = losses.least_squares(targets=(0.0, 1.0))
    assert float(halves.critic(one / 2, one / 2)) == 0.5 and float(halves.generator(one / 2, one / 2)) == 0.25


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the folder docs/")
def test_every_picture_of_the_page_is_there_and_small() -> None:
    found = re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE.read_text())
    assert len(found) > 5
    for path in found:
        text = (PAGE.parent / path).read_text()
        assert len(text) < 200_000 and 'class="band"' in text and "xmlns=" in text and "<script" not in text
