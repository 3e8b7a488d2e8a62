"""Pictures, curves, axes and numbers: the parts the report is drawn from."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tightrope.report
from run_folders import make_run, pixels
from tightrope.drawing.charts import Line, line_chart
from tightrope.drawing.numbers import count, duration, number, plain, ratio, short_count
from tightrope.drawing.png import encode_png
from tightrope.drawing.samples import write_grid, write_lines, write_scatter
from tightrope.drawing.scales import Scale, choose_scale, linear_ticks
from tightrope.drawing.thinning import downsample, medians
from tightrope.report import write_report
from tightrope.report.pictures import embed

# --- curves


def test_spikes_survive_downsampling():
    rng = np.random.default_rng(0)
    x = np.arange(20_000.0)
    y = rng.normal(size=20_000)
    y[[3, 7_777, 12_345]] = [80.0, 500.0, -400.0]
    kept_x, kept_y = downsample(x, y)
    assert len(kept_y) <= 600 and (np.diff(kept_x) > 0).all()
    assert {80.0, 500.0, -400.0} <= set(kept_y.tolist())
    assert (kept_x[0], kept_x[-1]) == (0.0, 19_999.0)
    assert all(y[int(a)] == b for a, b in zip(kept_x, kept_y, strict=True))
    for start in range(0, 20_000, 1000):  # the extremes of every stretch of the curve
        inside = kept_y[(kept_x >= start) & (kept_x < start + 1000)]
        assert (inside.min(), inside.max()) == (y[start : start + 1000].min(), y[start : start + 1000].max())
    short_x, short_y = downsample(x[:600], y[:600])
    assert short_x.tolist() == x[:600].tolist() and short_y.tolist() == y[:600].tolist()


def test_medians_ignore_a_spike():
    x, y = medians(np.arange(400.0), np.where(np.arange(400) == 200, 1e6, 2.0))
    assert len(x) == 40 and (y == 2.0).all() and x[0] == 4.5


def points(chart: str, style: str) -> list[tuple[float, float]]:
    path = re.search(rf'<path class="line {style}" d="M([^"]+)"', chart).group(1)
    return [tuple(map(float, pair.split())) for pair in path.split("L")]


def test_a_chart_draws_up_as_up_and_right_as_right():
    chart = line_chart([Line("a", np.asarray([0.0, 5.0, 10.0]), np.asarray([0.0, 1.0, 4.0]))], title="t", x_label="x")
    (x0, y0), (x1, y1), (x2, y2) = points(chart, "s0")
    assert x0 < x1 < x2 and x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 > y1 > y2 and (y0 - y1) * 3 == pytest.approx(y1 - y2, abs=0.5)
    assert "<b>4</b>" in chart and "last 4" in chart


def test_curves_of_one_chart_differ_in_more_than_colour():
    style = Path(tightrope.report.__file__).with_name("report.css").read_text()
    dashes = {k: dash for names, dash in re.findall(r"((?:\.s\d+,? ?)+)\{ stroke-dasharray: ([^;]+);", style)
              for k in re.findall(r"s\d+", names)}  # fmt: skip
    assert len({dashes.get(f"s{index}", "solid") for index in range(4)}) == 4


def test_spiky_curves_are_bent_and_what_a_log_axis_hides_is_counted():
    values = np.random.default_rng(0).normal(size=300)
    values[100] = 1e4
    assert choose_scale(values).kind == "asinh"
    assert "asinh scale" in line_chart([Line("a", np.arange(300.0), values)], title="t", x_label="x")
    chart = line_chart([Line("a", np.arange(3.0), np.asarray([0.0, 1.0, 1000.0]))], title="t", x_label="x", log=True)
    assert "log scale, 1 values at or below zero are not shown" in chart
    empty = [Line("a", np.arange(2.0), np.zeros(2)), Line("b", np.arange(2.0), np.asarray([1.0, 1000.0]))]
    assert "2 values at or below zero" in line_chart(empty, title="t", x_label="x", log=True)


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [-3.0, -3.0], [1e-300, 2e-300], [1e12, 1.1e12], [-1e-9, 1e9]])
def test_every_axis_has_ticks_inside_it(values):
    array = np.asarray(values)
    for log in (False, True):
        scale = choose_scale(array, log=log)
        places = scale.place(array)
        assert ((places >= -1e-9) & (places <= 1 + 1e-9)).all()
        ticks = [float(scale.place(np.asarray(level))) for level, _ in scale.ticks()]
        assert 2 <= len(ticks) <= 13 and all(-1e-6 <= tick <= 1 + 1e-6 for tick in ticks)


def test_scales_against_closed_forms():
    assert Scale(1.0, 100.0, "log").place(np.asarray([1.0, 10.0, 100.0])).tolist() == [0.0, 0.5, 1.0]
    assert Scale(-5.0, 5.0, "asinh", 0.1).place(np.asarray([0.0])).item() == pytest.approx(0.5)
    bent = (np.arcsinh(1.0) + np.arcsinh(50.0)) / (2 * np.arcsinh(50.0))
    assert Scale(-5.0, 5.0, "asinh", 0.1).place(np.asarray([0.1])).item() == pytest.approx(bent)
    assert [text for _, text in linear_ticks(-0.5, 1.0)] == ["−0.5", "0", "0.5", "1.0"]
    assert [text for _, text in linear_ticks(0.0, 1.0)] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [text for _, text in linear_ticks(0, 1.2e6)] == ["0", "5·10⁵", "10⁶"]
    assert [level for level, _ in Scale(0.8, 1200.0, "log").ticks()] == [1.0, 10.0, 100.0, 1000.0]


def test_a_long_run_stays_small_and_keeps_its_spike(tmp_path):
    run = make_run(tmp_path / "run", steps=8_000, every=1, evaluated=False, pictures=False)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    spike = json.loads(lines[7_000])
    lines[7_000] = json.dumps({**spike, "critic_loss": 12_345.0})
    (run / "metrics.jsonl").write_text("\n".join(lines))
    text = write_report(run).read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    losses = text[text.index(">Losses") :]
    raw = points(losses, "raw s0")
    assert len(raw) <= 600
    assert min(y for _, y in raw) < 25  # near the top of the plot
    assert "asinh scale" in losses[:200]


# --- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04213, "0.0421"), (-1.3, "−1.3"), (12_345.6, "12,346"), (4.2e-7, "4.2·10⁻⁷"), (1e-5, "10⁻⁵"),
     (-1e7, "−10⁷"), (1.0, "1"), (100.0, "100"), (999.96, "1,000"), (2.5e8, "2.5·10⁸")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_other_formats():
    assert [ratio(v) for v in (2.004, 1.0, 14.2, 0.5, 9.96, 123.4)] == ["2.0×", "1.0×", "14×", "0.5×", "10×", "123×"]
    assert [duration(s) for s in (3.21, 42, 192, 7500)] == ["3.2 s", "42 s", "3 min 12 s", "2 h 05 min"]
    assert [short_count(v) for v in (0, 950, 50_000, 1_500_000)] == ["0", "950", "50k", "1.5M"]
    assert plain("−4.2·10⁻⁷ is 3× 10⁵ and −10⁻³") == "-4.2e-7 is 3x 1e5 and -1e-3"
    assert count(-1234.0) == "−1,234" and number(3.0, zeros=True) == "3.00"


# --- pictures


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 33), (1, 1, 3), (13, 17, 3)])
@pytest.mark.parametrize("kind", ["noise", "ramp", "flat"])
def test_png_bytes_decode_to_the_same_pixels(shape, kind):
    if kind == "noise":
        array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    else:
        array = (np.arange(np.prod(shape)) * (3 if kind == "ramp" else 0) % 256).astype(np.uint8).reshape(shape)
    shown = pixels(encode_png(array))
    assert shown.shape == array.shape and (shown == array).all()


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.zeros((2, 2, 5), np.uint8), np.zeros((0, 2), np.uint8)])
def test_encode_png_refuses_other_arrays(array):
    with pytest.raises(ValueError, match="expects uint8"):
        encode_png(array)


@pytest.mark.parametrize("content", [b"", b"GIF89a", encode_png(np.zeros((4, 4), np.uint8))[:-30]])
def test_what_is_no_whole_png_is_not_embedded(tmp_path, content):
    (tmp_path / "p.png").write_bytes(content)
    assert embed(tmp_path / "p.png", most_bytes=10**6) is None


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "I;16", "1"])
def test_png_files_of_other_programs_are_made_smaller_too(tmp_path, mode):
    Image.fromarray(np.full((40, 60), 255, np.uint8)).convert(mode).save(tmp_path / "p.png")
    found = embed(tmp_path / "p.png", most_bytes=10**6, widest=20)
    assert (found.width, found.height, found.shrunk) == (20, 13, 3)
    shown = pixels(base64.b64decode(found.uri.split(",")[1]))
    assert shown.shape[:2] == (13, 20) and (mode == "I;16" or (shown == 255).all())


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_places_images_row_by_row_enlarged(tmp_path, channels):
    images = (
        torch.arange(5 * channels * 64, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(5, channels, 8, 8)
    )
    path = write_grid(tmp_path / "new" / "grid.png", images, columns=3, scale=2)
    sheet = pixels(path)
    assert sheet.shape[:2] == (2 * 16 + 3 * 2, 3 * 16 + 4 * 2)
    for index in range(5):
        top, left = 2 + (index // 3) * 18, 2 + (index % 3) * 18
        tile = sheet[top : top + 16, left : left + 16].reshape(16, 16, channels)
        expected = images[index].permute(1, 2, 0).numpy().repeat(2, 0).repeat(2, 1)
        assert (tile == expected).all()
    assert [entry.name for entry in path.parent.iterdir()] == ["grid.png"]
    default = pixels(write_grid(tmp_path / "d.png", images))
    assert default.shape[:2] == (2 * 48 + 3 * 2, 3 * 48 + 4 * 2)


def test_grid_refuses_other_arrays(tmp_path):
    for images in (np.zeros((2, 2, 8, 8), np.uint8), np.zeros((2, 1, 8, 8)), np.zeros((1, 8, 8), np.uint8)):
        with pytest.raises(ValueError, match="write_grid expects uint8"):
            write_grid(tmp_path / "x.png", images)


def coloured(path: Path, *, orange: bool) -> np.ndarray:
    """Centre [row, column] of the pixels of one colour, as shares of the picture."""
    found = pixels(path).astype(int)[2:-2, 2:-2]
    mask = (found[..., 0] - found[..., 2] > 30) if orange else (found[..., 2] - found[..., 0] > 30)
    return np.argwhere(mask).mean(0) / len(found)


def test_scatter_puts_generated_and_real_vectors_where_they_are(tmp_path):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 2)) * 0.05 + np.asarray([-1.0, -1.0])
    real[0], real[1] = (1.0, 1.0), (np.inf, 0.0)
    fake = torch.from_numpy(rng.normal(size=(100, 2)) * 0.05 + np.asarray([1.0, 0.0]))
    fake[0] = float("nan")
    path = write_scatter(tmp_path / "s.png", fake, real)
    row_real, column_real = coloured(path, orange=False)
    row_fake, column_fake = coloured(path, orange=True)
    assert row_real > 0.75 and column_real < 0.25  # low left
    assert 0.4 < row_fake < 0.6 and column_fake > 0.75  # right, half-way up


def test_scatter_of_many_coordinates_uses_the_real_axes(tmp_path):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(500, 5)) * np.asarray([0.01, 3.0, 0.01, 1.0, 0.01])
    shift = np.asarray([0, 4.0, 0, 0, 0])
    path = write_scatter(tmp_path / "s.png", 0.1 * rng.normal(size=(200, 5)) + shift, real)
    assert coloured(path, orange=True)[1] > coloured(path, orange=False)[1] + 0.15
    alone = pixels(write_scatter(tmp_path / "same.png", real, real)).astype(int)
    assert (alone[..., 2] >= alone[..., 0]).all()  # drawn as real, in blue
    for d in (1, 3):
        write_scatter(tmp_path / "d.png", rng.normal(size=(20, d)))
    write_scatter(tmp_path / "none.png", np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="same number of coordinates"):
        write_scatter(tmp_path / "x.png", real, real[:, :3])
    with pytest.raises(ValueError, match=r"\[n, d\]"):
        write_scatter(tmp_path / "x.png", real[:, :, None])


def test_lines_draw_a_rising_signal_rising(tmp_path):
    signal = torch.linspace(0, 1, 50)[None]
    sheet = pixels(write_lines(tmp_path / "l.png", signal))[2:-2, 2:-2]
    dark = (sheet < 200).any(2)
    left, right = np.argwhere(dark[:, :20])[:, 0].mean(), np.argwhere(dark[:, -20:])[:, 0].mean()
    assert left > right + 40
    two = np.stack([np.zeros((3, 30)), np.full((3, 30), np.nan)])
    assert write_lines(tmp_path / "m.png", two, columns=1, limits=(-1, 1)).is_file()
    with pytest.raises(ValueError, match="write_lines expects"):
        write_lines(tmp_path / "x.png", np.zeros(3))


def test_large_pictures_are_averaged_down_until_they_fit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (401, 600, 3), dtype=np.uint8)
    (tmp_path / "p.png").write_bytes(encode_png(noise))
    picture = embed(tmp_path / "p.png", most_bytes=50_000)
    assert picture.shrunk == 4 and (picture.width, picture.height) == (150, 100)
    shown = pixels(base64.b64decode(picture.uri.split(",")[1]))
    assert np.abs(shown[1, 2] - noise[4:8, 8:12].mean((0, 1))).max() <= 0.5
    whole = embed(tmp_path / "p.png", most_bytes=10**7)
    assert whole.shrunk == 1 and base64.b64decode(whole.uri.split(",")[1]) == encode_png(noise)
    assert embed(tmp_path / "p.png", most_bytes=10**7, widest=300).width == 300
    assert embed(tmp_path / "none.png", most_bytes=10) is None


def test_a_run_of_large_pictures_stays_below_two_megabytes(tmp_path):
    run = make_run(tmp_path / "run", steps=80, pictures=False)
    noise = np.random.default_rng(0).integers(0, 256, (64, 3, 64, 64), dtype=np.uint8)
    for name in ("step_00000010.png", "step_00000040.png", "step_00000080.png", "real.png"):
        write_grid(run / "samples" / name, noise)
    assert write_report(run).stat().st_size < 2_000_000


# --- one way to draw, one to write HTML


def test_no_other_room_draws_and_no_page_is_put_together_by_hand():
    root = Path(tightrope.report.__file__).parents[1]
    for path in root.rglob("*.py"):
        if "drawing" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        found = re.findall(
            r"</?(?:svg|path|rect|circle|figure|table|tr|td|th|div|p|section|h[1-6]|dl|ul|img)\b[ />]", text
        )
        assert not found, f"{path} holds {found}"
        assert "matplotlib" not in text and "from html import" not in text


def test_every_template_is_shipped_and_escapes():
    from tightrope.report.render import piece, render

    templates = Path(tightrope.report.__file__).with_name("templates")
    assert {path.name for path in templates.glob("*.html")} >= {"page.html", "pieces.html", "run.html"}
    page = render("dynamics.html", title="<i>&\x00", sentences=["<i>"], pictures=[], charts="<i>")
    assert "<i>" not in page and page.count("&lt;i&gt;") == 4 and "\x00" not in page
    assert piece("table", "numbers", ["<i>"], [("<i>", ["<i>", ["<i>", "<i>"]])]).count("&lt;i&gt;") == 5
