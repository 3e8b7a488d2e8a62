"""The conditioning section of a report, the page of several runs, and the command that writes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from run_folders import pixels
from tightrope import cli, conditioning, runs
from tightrope.report import read_run, write_report
from tightrope.report.conditioning import conditioning as section
from tightrope.report.conditioning import line_of, quantile, rows_of
from tightrope.report.directions import REACH, STRIP, write_directions
from tightrope.runs import rows as records
from tightrope.runs.conditioning import RECORD, draw_latents
from tightrope.runs.rows import Followed

TRAIN = "--width 16 --latent 6 --batch-size 16 --evaluate-every 0 --evaluate-n 30 --threads 1 --quiet --steps 10"


def train(out: Path, data: str, *words: str) -> Path:
    assert cli.main(["train", data, *TRAIN.split(), "--conditioning-every", "5", "--out", str(out), *words]) == 0
    return out


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        train(folder / "plain", "digits", "--method", "dcgan"),
        train(folder / "clamped", "digits", "--method", "dcgan_clamped", "--conditional"),
    ]


def test_the_section_shows_training_spectrum_and_cost(pair):
    record = read_run(pair[0])
    rows = rows_of(record)
    assert [row.step for row in rows] == [0, 5, 10]
    html = section(record)
    assert html.count("<svg") >= 3 and "condition number" in html and "% of the time" in html
    line = line_of(rows, "mean", lambda row: row.mean)
    assert line is not None and line.x.tolist() == [row.images_seen for row in rows]
    assert line.y.tolist() == [row.mean for row in rows]
    upper = line_of(rows, "95 %", quantile(4))
    assert upper is not None and upper.y.tolist() == [row.quantiles[4] for row in rows]
    page = write_report(pair[0]).read_text()
    assert "Generator conditioning" in page and html in page


def test_what_is_missing_is_said(pair, tmp_path):
    for row, expected in (({"step": 0, "error": "no forward mode"}, "no forward mode"), (None, "was not followed")):
        folder = tmp_path / expected.replace(" ", "_")
        folder.mkdir()
        (folder / "config.json").write_text((pair[0] / "config.json").read_text())
        if row:
            records.append(folder / RECORD, row)
        assert expected in section(read_run(folder))
    rows = [Followed(1, mean=None, quantiles=(1.0, None, None, None, None), values=(1.0,), dead_latents=2)]
    assert line_of(rows, "mean", lambda row: row.mean) is None
    assert line_of(rows, "5 %", quantile(0)).y.tolist() == [1.0] and line_of(rows, "95 %", quantile(4)) is None


def test_the_command_prints_a_table_and_writes_page_and_strips(pair, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["conditioning", *map(str, pair), "--n", "8", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "plain" in shown and "clamped" in shown and "J^T J" in shown and str(out / "conditioning.html") in shown
    page = (out / "conditioning.html").read_text()
    assert page.count("<img") == 2 and page.count("<svg") >= 4
    assert sorted(p.name for p in out.iterdir()) == [
        "conditioning.html",
        "directions-clamped.png",
        "directions-plain.png",
    ]


def test_json_and_the_default_folder(pair, capsys):
    assert cli.main(["conditioning", str(pair[0]), "--n", "4", "--seed", "2", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    generator = runs.load(pair[0])
    z, _ = draw_latents(4, 6, 0, 2)
    assert row["mean"] == pytest.approx(conditioning.measure(generator.generator, z).mean) and row["n"] == 4
    assert (pair[0] / "conditioning" / "conditioning.html").is_file()


def test_rows_of_the_picture_follow_the_directions_of_largest_and_smallest_gain(pair, tmp_path):
    generator = runs.load(pair[0])
    path, said = write_directions(tmp_path / "d.png", generator, seed=1, shown=1)
    picture = pixels(path)
    z, _ = draw_latents(1, 6, 0, 1)
    values, directions = conditioning.latent_directions(generator.generator, z[0])
    assert f"{float(values[0]):.3g}" in said and f"{float(values[5]):.3g}" in said
    scale, gap = 6, 2  # 8 pixels are shown as 48, two pixels between tiles
    for row, index in ((0, 0), (1, 5)):
        for column, reach in ((0, -REACH), (STRIP // 2, 0.0), (STRIP - 1, REACH)):
            with torch.no_grad():
                x = generator((z[0] + reach * directions[index].float())[None])[0, 0]
            top, left = gap + row * (8 * scale + gap), gap + column * (8 * scale + gap)
            tile = torch.from_numpy(picture[top : top + 8 * scale : scale, left : left + 8 * scale : scale].copy())
            assert (tile.float() - (x + 1) * 127.5).abs().max() <= 1.01


def test_vectors_have_no_picture_and_mistakes_are_one_sentence(tmp_path, capsys):
    ring = train(tmp_path / "ring", "toy:ring", "--method", "dcgan")
    assert cli.main(["conditioning", str(ring), "--n", "4"]) == 0
    assert [p.name for p in (ring / "conditioning").iterdir()] == ["conditioning.html"]
    assert "4 latents outnumber the outputs" in section(read_run(ring))
    capsys.readouterr()
    assert cli.main(["conditioning"]) == 2
    assert cli.main(["conditioning", str(tmp_path / "nowhere")]) == 2
    assert cli.main(["conditioning", str(ring), "--n", "1"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
