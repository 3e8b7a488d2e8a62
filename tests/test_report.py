"""The report: what it says, what it must never contain, and that missing parts become sentences."""

from __future__ import annotations

import base64
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from run_folders import CONFIG, evaluation, make_run, row, write_rows
from tightrope._plumbing.errors import UserError
from tightrope.drawing.numbers import number, plain
from tightrope.metrics import Measurement
from tightrope.report import read_run, summary, write_report
from tightrope.report.sections import sections
from tightrope.report.verdict import facts, tone, verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "digits-r1")


@pytest.fixture(scope="module")
def page(run):
    return write_report(run).read_text(encoding="utf-8")


def small(folder: Path, **options) -> Path:
    return make_run(folder, steps=80, every=10, pictures=False, **options)


def set_status(run: Path, **values) -> None:
    path = run / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def set_config(run: Path, **parts) -> None:
    (run / "config.json").write_text(json.dumps({**CONFIG, **parts}))


class Outline(HTMLParser):
    """Checks that elements nest, and collects tags, attributes and the text of headings."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# --- the page


def test_page_is_self_contained_and_well_formed(page):
    outline = Outline(page)
    assert "script" not in {tag for tag, _ in outline.tags}
    for _, attributes in outline.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page
    assert '<meta name="viewport" content="width=device-width' in page
    assert "@media print" in page and "prefers-color-scheme: dark" in page
    assert len(page) < 2_000_000


def test_page_has_every_part_and_every_anchor_exists(page):
    outline = Outline(page)
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        link = attributes.get("href") or ""
        assert not link.startswith("#") or link[1:] in ids
    for title in (
        "Losses", "Gradient norm of the critic in its input", "Wasserstein estimate, D(real) − D(fake)",
        "Fréchet distance", "Critic layer spectra", "Configuration", "Reproduce this run", "What the numbers mean",
    ):  # fmt: skip
        assert title in page
    charts = [attributes for tag, attributes in outline.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) >= 15 and all(chart["aria-label"] and chart["viewbox"] for chart in charts)
    assert "Constant throughout: critic learning rate 2·10⁻⁴; generator" in page and "Learning rates" not in page
    assert "Critic gap" not in page  # equal to the Wasserstein estimate in this run, so one chart says both


def test_page_shows_the_last_values(run, page):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    for key in ("critic_loss", "generator_loss", "wasserstein_estimate", "input_gradient_norm_fake", "gap"):
        assert f"<b>{number(last[key])}</b>" in page
    measured = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])["measurements"][0]
    assert f"{number(measured['value'])} against 0.31" in page
    assert "at step 2,000, largest first; dashed: step 250." in page
    assert "<code>blocks.0.conv</code></th><td>3.00</td><td>1.25</td><td>10.4</td>" in page
    assert "95 % interval" in page and "360 real test samples against 2,000 generated; seed 0" in page


def test_page_embeds_the_newest_the_first_and_the_real_picture(run, page):
    embedded = {base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)}
    for name in ("step_00002000.png", "real.png"):
        assert (run / "samples" / name).read_bytes() in embedded
    assert page.count('alt="step ') == 6
    assert "step 250<" in page and "Generated, step 2,000" in page
    assert page.index("Generated, step 2,000") < page.index(">Real<") < page.index("step 250<")


def test_scatters_are_explained_and_sections_of_two_runs_can_share_a_page(tmp_path):
    run = make_run(tmp_path / "run", steps=80)
    assert "orange" not in write_report(run).read_text(encoding="utf-8").split("</style>")[1]
    set_config(run, data={"kind": "vectors", "name": "toy:ring"})
    text = write_report(run).read_text(encoding="utf-8")
    assert "Generated samples are orange" in text and "samples seen" in text and 'class="sample pixels"' not in text
    assert [part.anchor for part in sections(read_run(run), "b-")][:2] == ["b-samples", "b-distance"]


def test_the_same_run_gives_the_same_page_and_out_is_respected(run, page, tmp_path):
    again = write_report(run, tmp_path / "deep" / "page.html")
    assert again == tmp_path / "deep" / "page.html"
    assert again.read_text(encoding="utf-8") == page
    assert [entry.name for entry in again.parent.iterdir()] == ["page.html"]


def test_text_from_users_is_escaped(tmp_path):
    run = small(tmp_path / "<script>alert(1)</script>".replace("/", "_"))
    nasty = '<script>alert("x")</script>'
    config = json.loads(json.dumps(CONFIG))
    config["command"] = f"tightrope train {nasty} --name 'a & b'"
    config["method"] |= {"name": nasty, "hyperparameters": {nasty: nasty}}
    config["data"] |= {"name": nasty, "classes": [nasty], "kind": nasty}
    config[nasty] = {"x": nasty}
    set_config(run, **config)
    set_status(run, state="stopped", reason=nasty)
    one = evaluation(80, 80)
    protocol = one["measurements"][0]["protocol"] | {"features": nasty, "split": nasty, "data": nasty}
    one["measurements"][0] |= {"name": nasty + "distance", "notes": [nasty], "protocol": protocol}
    write_rows(run / "evaluations.jsonl", [evaluation(40, 80), one, {**one, "step": 90}])
    rows = [{**row(step, 80, np.random.default_rng(0)), nasty: float(step)} for step in (10, 20, 30)]
    rows[-1]["spectra"] = {nasty: {"sigma": 1.0, "stable_rank": 1.0, "values": [1.0, 0.5]}}
    rows[-2]["spectra"] = rows[-1]["spectra"]
    write_rows(run / "metrics.jsonl", rows)
    text = write_report(run).read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
    Outline(text)


def test_the_reproducing_command_survives_tags_and_spaces(tmp_path):
    run = small(tmp_path / "run")
    command = "tightrope  train 'my data' --method sn_gan --name \"a  b\" --out runs/x"
    set_config(run, command=command)
    text = write_report(run).read_text(encoding="utf-8")
    block = re.search(r"<pre>(.*?)</pre>", text, re.DOTALL).group(1)
    plain = re.sub(r"<[^>]+>", "", block)
    assert html.unescape(plain) == command


# --- missing and broken parts


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("evaluations.jsonl", "The run was not evaluated"),
        ("metrics.jsonl", "No metrics were logged"),
        ("config.json", "config.json is missing"),
        ("status.json", "how the run ended is not recorded"),
        ("samples", "No sample picture was written"),
    ],
)
def test_a_missing_part_is_a_sentence(tmp_path, missing, sentence):
    run = make_run(tmp_path / "run", steps=80)
    if (run / missing).is_dir():
        for picture in (run / missing).iterdir():
            picture.unlink()
    else:
        (run / missing).unlink()
    text = write_report(run).read_text(encoding="utf-8")
    assert sentence in text
    Outline(text)
    assert summary(run)


def test_no_spectra_one_row_and_an_empty_file(tmp_path):
    run = small(tmp_path / "run", evaluated=False)
    write_rows(run / "metrics.jsonl", [row(10, 80, np.random.default_rng(0))])
    text = write_report(run).read_text(encoding="utf-8")
    assert "One row was logged; a curve needs two." in text and "No critic spectra were logged." in text
    assert "losses finite in the one logged row" in text
    (run / "metrics.jsonl").write_text("")
    assert "no losses were logged" in write_report(run).read_text(encoding="utf-8")


def test_a_truncated_last_line_is_left_out_and_said(tmp_path):
    run = small(tmp_path / "run")
    path = run / "metrics.jsonl"
    path.write_text(path.read_text()[:-40] + "\n[1, 2]\n")
    record = read_run(run)
    assert len(record.rows) == 7
    assert any("metrics.jsonl: 2 lines are left out" in problem for problem in record.problems)
    assert "metrics.jsonl: 2 lines are left out" in write_report(run).read_text(encoding="utf-8")
    assert "metrics.jsonl: 2 lines" in summary(run)


def test_rows_of_a_resumed_run_replace_what_they_overlap_and_one_step_is_one_row(tmp_path):
    run = small(tmp_path / "run")
    steps = [10, 20, 30, 40, 30, 40, 50, 50]
    rows = [{"step": s, "images_seen": s, "gap": float(i)} for i, s in enumerate(steps)]
    rows[-2]["penalty"] = 0.5
    write_rows(run / "metrics.jsonl", rows)
    assert read_run(run).series("penalty").steps.tolist() == [50]
    series = read_run(run).series("gap")
    assert series.steps.tolist() == [10, 20, 30, 40, 50]
    assert series.values.tolist() == [0, 1, 4, 5, 7]


def test_a_line_that_is_no_row_is_left_out_and_the_sentence_says_what_is_wrong_and_where(tmp_path):
    run = small(tmp_path / "run")
    good = '{"step": 3, "gap": 2.0, "spectra": {"a": {"sigma": 1.5, "values": [1.5, 1]}, "b": {}}}'
    odd = {
        '{"step": 1, "gap": NaN}': "line 1: JSON is malformed",
        '{"step": 1, "gap": "high"}': "line 1: Expected `int | float | object`, got `str` - at `$.gap`",
        '{"step": 1, "d_real": true}': "got `bool` - at `$.d_real`",
        '{"step": 1, "gap": 1e999}': "line 1: Number out of range",
        '{"step": 1, "spectra": {"a": 3}}': "got `int` - at `$.spectra",
        '{"step": 1, "spectra": {"a": {"sigma": "x"}}}': "got `str` - at `$.spectra",
        '{"gap": 2.0}': "a row without a step",
        "[1, 2]": "got `array`",
    }
    for line, why in odd.items():
        (run / "metrics.jsonl").write_text(f"{line}\n{good}\n")
        record = read_run(run)
        assert [row["step"] for row in record.rows] == [3] and record.series("gap").values.tolist() == [2.0]
        assert any("metrics.jsonl: 1 line is left out" in said and why in said for said in record.problems), why
    Outline(write_report(run).read_text(encoding="utf-8"))


def test_a_measurement_without_its_protocol_is_left_out_and_said(tmp_path):
    run = small(tmp_path / "run")
    whole = evaluation(40, 80)
    for change, why in (
        ({"protocol": {}}, "missing required field `metric` - at `$.measurements[0].protocol`"),
        ({"protocol": whole["measurements"][0]["protocol"] | {"resize": 7}}, "unknown field `resize`"),
        ({"value": "low"}, "Expected `float`, got `str` - at `$.measurements[0].value`"),
        ({"interval": [1.0]}, "at `$.measurements[0].interval`"),
        ({"floor": "x"}, "at `$.measurements[0].floor`"),
    ):
        one = evaluation(80, 80)
        one["measurements"][0] |= change
        write_rows(run / "evaluations.jsonl", [whole, one])
        record = read_run(run)
        assert [one.step for one in record.evaluations] == [40]
        assert any(said.startswith("evaluations.jsonl: 1 line is left out: line 2") and why in said
                   for said in record.problems), (why, record.problems)  # fmt: skip
    write_rows(run / "evaluations.jsonl", [whole])
    (stored, _) = whole["measurements"]
    assert read_run(run).evaluations[0].measurements[0] == Measurement.from_json(stored)


@pytest.mark.parametrize("content", ["not json", "[]", ""])
def test_broken_config_and_status_are_said(tmp_path, content):
    run = small(tmp_path / "run")
    (run / "config.json").write_text(content)
    (run / "status.json").write_text(content)
    text = write_report(run).read_text(encoding="utf-8")
    assert "Training run on unnamed data" in text and "config.json" in text
    assert "No command was recorded" in text


def test_damaged_pictures_are_a_sentence(tmp_path):
    run = make_run(tmp_path / "run", steps=80)
    for name in ("real.png", "step_00000080.png"):
        (run / "samples" / name).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    text = write_report(run).read_text(encoding="utf-8")
    assert "real.png could not be embedded" in text and "step_00000080.png could not be embedded" in text


def test_what_is_no_run_gets_one_sentence(tmp_path):
    for path, phrase in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "holds neither")):
        with pytest.raises(UserError, match=phrase) as caught:
            read_run(path)
        assert str(caught.value).count("; give the folder") == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_report(tmp_path / "file")


# --- the verdict


def test_verdict_states_distance_coverage_losses_and_end(run):
    assert facts(read_run(run)) == (
        "Fréchet distance 2.0× its train-versus-test floor (0.621 against 0.31)",
        "the samples reach all 10 classes",
        "losses finite in all 200 logged rows",
        "the run finished after 2,000 steps (128,000 images seen) in 1 min 40 s",
    )
    assert tone(read_run(run)) == "finished"


def test_verdict_of_other_endings(tmp_path):
    run = small(tmp_path / "run")
    set_status(run, state="stopped", step=60, reason="critic loss is not finite at step 60 (layer head).")
    record = read_run(run)
    assert tone(record) == "nonfinite"
    assert verdict(record).endswith(
        "the run stopped at a value that is not finite, after 60 steps (5,120 images seen) in 4.0 s."
    )
    assert "Recorded reason: critic loss is not finite at step 60 (layer head)." in summary(run)
    assert "Recorded reason: critic loss is not finite" in write_report(run).read_text(encoding="utf-8")
    assert "at step 80" in verdict(record)  # measured elsewhere than where it ended
    set_status(run, state="stopped", step=80, reason="interrupted")
    assert tone(read_run(run)) == "stopped" and "stopped early, after 80 steps" in verdict(read_run(run))
    set_status(run, state="running", reason="")
    assert tone(read_run(run)) == "open" and "had not ended" in verdict(read_run(run))
    set_status(run, state="finished", reason="the information budget")
    assert tone(read_run(run)) == "finished"


def test_verdict_without_a_floor_with_a_negative_floor_and_with_few_classes(tmp_path):
    run = small(tmp_path / "run")
    one = evaluation(80, 80)
    one["measurements"][0] |= {"floor": None}
    one["measurements"][1] |= {"value": 7.0}
    write_rows(run / "evaluations.jsonl", [one])
    assert "measured without a floor" in verdict(read_run(run))
    assert "reach 7 of 10 classes" in verdict(read_run(run))
    one["measurements"][0] |= {"name": "kernel", "value": 0.02, "floor": -0.001, "interval": None}
    one["measurements"][1] |= {"floor": None}
    write_rows(run / "evaluations.jsonl", [one])
    assert "0.02 against a train-versus-test floor of −0.001" in verdict(read_run(run))
    assert "reach 7 of 10 classes" in verdict(read_run(run))
    one["measurements"][1] |= {"name": "modes", "floor": 8.0}
    write_rows(run / "evaluations.jsonl", [one])
    assert "the samples reach 7 modes, real training samples 8;" in verdict(read_run(run))
    write_rows(run / "evaluations.jsonl", [{"step": 80, "measurements": one["measurements"][1:]}])
    assert "no distance to the data was measured" in verdict(read_run(run)).lower()


def test_verdict_counts_rows_without_a_finite_loss(tmp_path):
    run = small(tmp_path / "run")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    del rows[-1]["generator_loss"]
    write_rows(run / "metrics.jsonl", rows)
    assert "a finite loss is missing in 1 of 8 logged rows" in verdict(read_run(run))


def test_summary_is_text_with_the_last_numbers(run):
    text = summary(run)
    assert text.isascii() and "Frechet distance" in text and "2.0x its" in text and "2e-4" in text
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert re.search(rf"critic loss +{re.escape(plain(number(last['critic_loss'])))}$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 96
