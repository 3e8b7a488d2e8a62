"""``tightrope compare``: what stands on the page comes from the runs, and what does not compare is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from run_folders import make_run
from tightrope._plumbing.errors import UserError
from tightrope.cli import main
from tightrope.report import read_run, write_comparison
from tightrope.report.comparison import cautions, named, rows, text


def edited(folder: Path, **changes: object) -> Path:
    """A run folder with some parts of its configuration replaced."""
    make_run(folder)
    config = json.loads((folder / "config.json").read_text())
    for part, values in changes.items():
        config[part] = {**config[part], **values} if isinstance(values, dict) else values
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def scaled(folder: Path, factor: float, **protocol: object) -> None:
    """Multiply every measured distance, and change the protocol."""
    path = folder / "evaluations.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for one in found:
        for m in one["measurements"]:
            m["value"] *= factor
            m["protocol"] |= protocol
    path.write_text("".join(json.dumps(one) + "\n" for one in found))


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    runs = [edited(tmp_path / name, method={"name": method}) for name, method in (("a", "wgan"), ("b", "sn_gan"))]
    scaled(runs[0], 3.0)
    return runs


def test_the_best_distance_comes_first_and_numbers_are_the_runs_own(two: list[Path]) -> None:
    table = rows([read_run(path) for path in two])
    assert [row["name"] for row in table] == ["sn_gan", "wgan"]
    last = [json.loads(line) for line in (two[1] / "evaluations.jsonl").read_text().splitlines()][-1]
    assert table[0]["distance"]["value"] == last["measurements"][0]["value"]
    assert table[1]["distance"]["value"] == pytest.approx(3 * table[0]["distance"]["value"])
    assert table[0]["distance"]["ratio"] == pytest.approx(
        last["measurements"][0]["value"] / last["measurements"][0]["floor"]
    )


def test_the_page_shows_every_run_and_needs_no_network(two: list[Path], tmp_path: Path) -> None:
    page = write_comparison(two, tmp_path / "deep" / "page.html").read_text()
    for section in ("result", "samples", "curves", "spectra", "differences"):
        assert f'id="{section}"' in page
    assert page.count("<img") == 3, "one picture per run, and the real one"
    for name in ("wgan", "sn_gan"):
        assert len(re.findall(rf">{name}\b", page)) >= 5
    assert "http://" not in page and "https://" not in page and "<script" not in page
    differences = page[page.index('id="differences"') :]
    assert "method name" in differences and "batch_size" not in differences


def test_layers_are_drawn_relative_to_their_largest_value(two: list[Path], tmp_path: Path) -> None:
    page = write_comparison(two, tmp_path / "page.html").read_text()
    spectra = page[page.index('id="spectra"') : page.index('id="differences"')]
    assert spectra.count('<svg viewBox="0 0 440') == 3, "four layers, of which the head has one value"
    assert "last 0.2" in spectra, "exp(-1.5) of the largest value"


def test_what_forbids_a_ranking_is_said(two: list[Path]) -> None:
    records = [read_run(path) for path in two]
    assert any("One seed" in said for said in cautions(named(records)))
    scaled(two[0], 1.0, n_fake=77)
    records = [read_run(path) for path in two]
    assert any("different protocols" in said for said in cautions(named(records)))
    assert [row["name"] for row in rows(records)] == ["wgan", "sn_gan"], "not ranked: in the order given"
    edited(two[0], data={"fingerprint": "other"})
    assert any("different data" in said for said in cautions(named([read_run(path) for path in two])))


def test_runs_of_one_method_go_by_their_folders(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / name)) for name in ("one", "two")]
    assert [run.name for run in named(runs)] == ["one", "two"]
    assert [run.name for run in named([runs[0], runs[0]])] == ["one (1)", "one (2)"]


def test_runs_that_were_never_evaluated_or_drawn_still_compare(tmp_path: Path) -> None:
    bare = [make_run(tmp_path / name, evaluated=False, pictures=False) for name in ("one", "two")]
    page = write_comparison(bare, tmp_path / "page.html").read_text()
    assert "No run was evaluated" in page and "No run wrote sample pictures" in page
    assert "one" in text([read_run(path) for path in bare])


def test_the_command(two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, two), "--out", str(tmp_path / "c.html")]) == 0
    printed = capsys.readouterr().out
    assert "sn_gan on" in printed and (tmp_path / "c.html").is_file()
    assert main(["compare", *map(str, two), "--out", str(tmp_path / "c.html"), "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["sn_gan", "wgan"]
    assert main(["compare", str(two[0]), "--out", str(tmp_path / "c.html")]) == 2
    assert "at least two runs" in capsys.readouterr().err
    assert main(["compare", str(two[0]), str(tmp_path / "no")]) == 2


def test_one_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two"):
        named([read_run(make_run(tmp_path / "one"))])


def test_layer_spectra_as_a_page(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from tightrope.report import write_spectra
    from tightrope.spectra import layer_spectra

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 1))
    found = layer_spectra(network, torch.zeros(1, 1, 4, 4))
    page = write_spectra(found, tmp_path / "deep" / "spectra.html", "My critic").read_text()
    assert page.count("<svg viewBox") == 2 and "My critic" in page and "Conv2d" in page
    assert f">{found[0].kernel_norm:.3g}<" in page, "the kernel norm stands in the table"
    with pytest.raises(UserError, match="at least one layer"):
        write_spectra([], tmp_path / "none.html")
