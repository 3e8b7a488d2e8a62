"""The table of signals: what runs write, what the documentation says and what the report shows are the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from run_folders import make_run
from tightrope.cli import main
from tightrope.monitor import SIGNALS
from tightrope.monitor.signals import CONDITIONING, EVALUATIONS, METRICS
from tightrope.report import quantities, read_run, summary, write_report
from tightrope.report.render import missing
from tightrope.report.sections import definitions
from tightrope.runs import rows

SHARED = {"step", "images_seen", "seconds", "error"}  # of a key that stands in several records the table has one entry
TINY = ["--steps", "4", "--batch-size", "8", "--latent", "2", "--width", "4", "--depth", "1", "--network", "mlp",
        "--evaluate-n", "60", "--log-every", "1", "--conditioning-every", "2", "--threads", "1", "--quiet"]  # fmt: skip
DOCS = Path(__file__).parents[1] / "docs" / "conventions.md"


OF_AUTO = {"critic_steps_per_step"}
"""Of runs that choose their critic steps, which excludes adaptive augmentation; ``test_pace.py`` reads their rows."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "run"
    assert main(["train", "digits", "--method", "r1", "--augment", "ada", "--out", str(folder), *TINY]) == 0
    return folder


@pytest.mark.parametrize("file", [METRICS, EVALUATIONS, CONDITIONING])
def test_a_run_writes_the_keys_of_the_table_and_no_others(run, file):
    written = {key for row in rows.read(run / file) for key in row}
    listed = {key for key, signal in SIGNALS.items() if signal.file == file}
    assert written <= listed | SHARED
    assert listed - SHARED - OF_AUTO <= written and {"step", "images_seen"} <= written


def test_why_a_generator_cannot_be_followed_is_in_the_table(run, monkeypatch):
    from tightrope import conditioning, runs
    from tightrope.runs.assemble import assemble
    from tightrope.runs.conditioning import follow

    def refused(*_, **__):
        raise ValueError("no forward mode")

    monkeypatch.setattr(conditioning, "measure", refused)
    assert follow(run, assemble(runs.read_config(run), progress=False)) == "no forward mode"
    assert set(rows.read(run / CONDITIONING)[-1]) == {"step", "images_seen", "error"}
    assert "error" in SIGNALS


def test_the_files_are_those_that_a_run_writes():
    assert (METRICS, EVALUATIONS, CONDITIONING) == (rows.METRICS, rows.EVALUATIONS, rows.CONDITIONING)
    assert {signal.file for signal in SIGNALS.values()} == {METRICS, EVALUATIONS, CONDITIONING}


def test_the_documentation_says_what_the_table_says():
    if not DOCS.is_file():
        pytest.skip("the documentation is not shipped")
    part = DOCS.read_text(encoding="utf-8").split("## What is logged")[1].split("## ")[0]
    found = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", part, re.MULTILINE))
    expected = {key: signal.meaning + (f" In {signal.unit}." if signal.unit else "") for key, signal in SIGNALS.items()}
    assert found == expected


def test_the_report_explains_every_logged_quantity_in_the_words_of_the_table(run):
    page = write_report(make_run(run.parent / "made", steps=80, pictures=False)).read_text(encoding="utf-8")
    record = read_run(run)
    said = definitions(record)
    for key, signal in SIGNALS.items():
        if signal.file == METRICS and key not in OF_AUTO:
            assert missing(signal.meaning).split(">")[1].removesuffix("</p") in said, key
    assert "without its penalties" in page and "with its penalties" not in page
    assert "<dt>D(real) − D(fake)</dt><dd>Mean score of the real batch minus" in said, "what gap means"


def test_every_number_of_a_row_has_a_chart_and_every_chart_a_signal(run):
    numbers = {key for key, value in rows.read(run / METRICS)[-1].items() if isinstance(value, int | float)}
    charted = {key for chart in quantities.CHARTS for key in chart.lines}
    assert charted == (numbers | OF_AUTO) - set(quantities.CLOCK)
    assert charted <= set(SIGNALS)
    assert {chart.title for chart in quantities.charts({"my_number", "gap"})} == {
        "My number",
        quantities.CHARTS[4].title,
    }


def test_the_terminal_uses_the_labels_of_the_table(run):
    last = json.loads((run / METRICS).read_text().splitlines()[-1])
    text = summary(run)
    for key in ("critic_loss", "input_gradient_norm_interpolate", "critic_learning_rate"):
        assert key in last and SIGNALS[key].label in text
