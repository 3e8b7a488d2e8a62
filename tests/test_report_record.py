"""The one reader of a run folder: killed and resumed runs, torn lines, links, and what the page says of them."""

from __future__ import annotations

import base64
import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from run_folders import CONFIG, digits, evaluation, layer_spectra, make_run, row, write_rows
from tightrope import runs
from tightrope.data import open_data
from tightrope.drawing.dataset import real_examples
from tightrope.drawing.samples import write_grid
from tightrope.report import read_run, summary, write_comparison, write_report
from tightrope.report.verdict import verdict
from tightrope.runs import rows
from tightrope.runs.assemble import describe_data


def small(folder: Path, **options) -> Path:
    return make_run(folder, steps=80, every=10, pictures=False, **options)


def set_status(run: Path, **values) -> None:
    (run / "status.json").write_text(json.dumps({**json.loads((run / "status.json").read_text()), **values}))


def tiles(page: str) -> dict[str, str]:
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.split('<dl class="tiles">')[1].split("</dl>")[0])
    return {name: re.sub(r"<[^>]+>", "", value) for name, value in found}


def ring_config(**training: object) -> runs.Config:
    """A tiny run of points on a ring."""
    data = runs.DataSettings("toy:ring", limit=100)
    small = {"width": 8, "depth": 1}
    return runs.Config(
        describe_data(data, open_data("toy:ring", limit=100)),
        runs.MethodSettings("dcgan"),
        runs.NetworkSettings("mlp", small, small),
        runs.TrainingSettings(**{"batch_size": 8, "latent": 3, "evaluate_n": 60, **training}),
    )


# --- killed and resumed


def test_a_killed_run_stands_where_its_rows_end_and_not_where_it_began(tmp_path):
    run = small(tmp_path / "run")
    set_status(run, state="running", step=0, images_seen=0, seconds=0.0, reason="")
    record = read_run(run)
    assert (record.step, record.images_seen, record.seconds) == (80, 5120, 4.0)
    assert "last at 80 steps (5,120 images seen) in 4.0 s" in verdict(record)
    page = tiles(write_report(run).read_text(encoding="utf-8"))
    assert (page["Steps"], page["Images seen"], page["Time"]) == ("80", "5,120", "4.0 s with evaluations")


def test_a_status_newer_than_the_rows_counts(tmp_path):
    run = small(tmp_path / "run")
    set_status(run, state="running", step=85, images_seen=5440, seconds=4.5)
    record = read_run(run)
    assert (record.step, record.images_seen, record.seconds) == (85, 5440, 4.5)
    set_status(run, state="stopped", step=60, images_seen=3840, seconds=3.0)
    assert read_run(run).step == 60


def test_pictures_from_beyond_the_end_of_a_resumed_run_are_not_its_newest(tmp_path):
    run = make_run(tmp_path / "run", steps=80)
    write_grid(run / "samples" / "step_00000090.png", digits(np.random.default_rng(1), 1.0))
    assert [step for step, _ in read_run(run).samples][-1] == 80
    assert "Generated, step 80" in write_report(run).read_text(encoding="utf-8")
    set_status(run, state="running", step=0)
    assert [step for step, _ in read_run(run).samples][-1] == 90


def test_resuming_forgets_rows_and_pictures_of_the_steps_that_are_run_again(tmp_path):
    config = ring_config(steps=4, log_every=1, sample_every=2)
    folder = tmp_path / "run"
    runs.begin(folder, config, quiet=True)
    write_grid(folder / "samples" / "step_00000007.png", np.zeros((1, 1, 8, 8), np.uint8))
    rows.append(folder / rows.METRICS, {"step": 7, "gap": 1.0})
    runs.resume(folder, steps=8, quiet=True)
    assert [step for step, _ in rows.pictures(folder)] == [0, 2, 4, 6, 8]
    record = read_run(folder)
    assert [row["step"] for row in record.rows] == list(range(1, 9)) and record.problems == ()


def test_forgetting_drops_what_a_kill_cut_short_and_nothing_else(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = [
        '{"step":1,"note":"kept as it is \\u2028"}',
        '{"step": 2,  "a": 1.50}',
        "not ours",
        '{"step":3}',
        '{"step":4',
    ]
    path.write_text("\n".join(lines))
    rows.forget_after(path, 2)
    assert path.read_text() == "\n".join(lines[:3]) + "\n"
    rows.forget_after(tmp_path / "none.jsonl", 2)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_line_separator_in_a_text_does_not_cut_a_row_in_two(tmp_path):
    run = small(tmp_path / "run")
    one = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])
    one["measurements"][0]["notes"] = ["first\u2028second\u0085third"]
    (run / "evaluations.jsonl").write_text(json.dumps(one, ensure_ascii=False) + "\n", encoding="utf-8")
    record = read_run(run)
    assert record.problems == () and record.evaluations[0].measurements[0].notes == ("first\u2028second\u0085third",)


# --- what the numbers say of themselves


def test_speed_is_that_of_training_and_the_time_says_what_is_in_it(tmp_path):
    run = small(tmp_path / "run")
    made = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for one in made:
        one["seconds"] *= 10  # nine tenths of the time went into evaluations
        one["steps_per_second"] = 1.0 if one["step"] % 40 == 0 else 20.0  # rows that follow one
    write_rows(run / "metrics.jsonl", made)
    set_status(run, seconds=40.0)
    page = tiles(write_report(run).read_text(encoding="utf-8"))
    assert page["Steps per second"] == "20 median" and page["Time"] == "40 s with evaluations"
    assert "Training time" not in page
    bare = tiles(write_report(small(tmp_path / "bare", evaluated=False)).read_text(encoding="utf-8"))
    assert bare["Time"] == "4.0 s"


def test_the_written_speed_is_that_of_the_steps_alone(tmp_path, monkeypatch):
    """A clock of its own: a step takes one second, an evaluation a hundred, a checkpoint ten."""
    from tightrope.runs import book

    now = [0.0]
    monkeypatch.setattr(book.time, "monotonic", lambda: now[0])

    def taking(seconds, function):
        def slow(*args, **keywords):
            now[0] += seconds
            return function(*args, **keywords)

        return slow

    monkeypatch.setattr(book, "evaluate_run", taking(100.0, lambda *_: []))
    monkeypatch.setattr(book, "expected_of_run", lambda *_: 0.0)
    monkeypatch.setattr(book, "save_checkpoint", taking(10.0, book.save_checkpoint))
    monkeypatch.setattr(book.Book, "after", taking(1.0, book.Book.after))
    training = {"log_every": 2, "sample_every": 3, "evaluate_every": 3, "checkpoint_every": 4, "steps": 12}
    runs.begin(tmp_path / "run", ring_config(**training), quiet=True)
    made = read_run(tmp_path / "run").rows
    assert [row["steps_per_second"] for row in made] == [1.0] * 7
    assert [row["step"] for row in made if "spectra" in row] == [1, 4, 6, 10, 12], "the rows after pictures are due"


def test_spectra_of_an_early_step_are_not_shown_as_those_of_the_end(tmp_path):
    for name in ("one", "two"):
        run = small(tmp_path / name)
        made = [row(step, 759, np.random.default_rng(0)) for step in (1, 500, 759)]
        made[0]["spectra"] = layer_spectra(0.0)
        write_rows(run / "metrics.jsonl", made)
        set_status(run, step=759)
    page = write_report(tmp_path / "one").read_text(encoding="utf-8")
    assert "kernel at step 1, largest first. These are the newest that were logged; the run stands at step 759" in page
    pages = write_comparison([tmp_path / "one", tmp_path / "two"], tmp_path / "c.html").read_text(encoding="utf-8")
    assert "kernel as last logged (one at step 1, two at step 1)" in pages and "at the end" not in pages
    made[-1]["spectra"] = layer_spectra(1.0)
    write_rows(run / "metrics.jsonl", made)
    assert "newest that were logged" not in write_report(run).read_text(encoding="utf-8")


def test_the_real_picture_shows_more_than_the_first_class(tmp_path):
    from PIL import Image

    for label in range(4):
        (tmp_path / str(label)).mkdir()
        for index in range(70):
            Image.new("L", (8, 8), 60 * label).save(tmp_path / str(label) / f"{index:02d}.png")
    dataset = open_data(str(tmp_path), progress=False)
    shown = real_examples(dataset)
    assert len(shown) == 64 and len(shown[:, 0, 0, 0].unique()) == 4
    assert torch.equal(shown, real_examples(dataset))
    np.save(
        tmp_path / "unlabelled.npy", np.repeat(np.arange(4, dtype=np.uint8) * 60, 70)[:, None, None, None].repeat(8, 1)
    )
    shown = real_examples(open_data(str(tmp_path / "unlabelled.npy"), progress=False))
    assert len(shown) == 64 and len(shown.unique()) == 4


def test_an_evaluation_that_failed_is_said(tmp_path):
    run = small(tmp_path / "run")
    rows.append(run / "evaluations.jsonl", {"step": 90, "measurements": [], "error": "too few samples"})
    text = write_report(run).read_text(encoding="utf-8")
    assert "The evaluation at step 90 gave no numbers: too few samples." in text and "Measured at step 80" in text
    write_rows(run / "evaluations.jsonl", [{"step": 90, "measurements": [], "error": "too few samples"}])
    assert "gave no numbers: too few samples" in write_report(run).read_text(encoding="utf-8")


# --- links and hostile names


def test_nothing_is_embedded_through_a_link_that_leaves_the_folder(tmp_path):
    secret = small(tmp_path / "secret")
    write_grid(tmp_path / "secret.png", digits(np.random.default_rng(2), 1.0))
    hidden = (tmp_path / "secret.png").read_bytes()
    run = make_run(tmp_path / "run", steps=80)
    for name in ("real.png", "step_00000080.png"):
        (run / "samples" / name).unlink()
        (run / "samples" / name).symlink_to(tmp_path / "secret.png")
    (secret / "config.json").write_text(json.dumps({"method": {"name": "a secret"}}))
    (run / "config.json").unlink()
    (run / "config.json").symlink_to(secret / "config.json")
    record = read_run(run)
    page = write_report(run).read_text(encoding="utf-8")
    assert base64.b64encode(hidden).decode() not in page and "a secret" not in page
    assert record.real is None and record.samples[-1][0] == 70
    for name in ("samples/real.png", "samples/step_00000080.png", "config.json"):
        assert f"{name} is left out: it is a link that leaves the run folder." in record.problems
    assert "a link that leaves the run folder" in summary(run)


def test_links_within_the_folder_and_to_the_folder_are_followed(tmp_path):
    run = make_run(tmp_path / "run", steps=80)
    (run / "samples" / "step_00000080.png").unlink()
    (run / "samples" / "step_00000080.png").symlink_to("step_00000070.png")
    (tmp_path / "link").symlink_to(run)
    record = read_run(tmp_path / "link")
    assert record.samples[-1][0] == 80 and record.problems == ()


NASTY = "<script>alert(1)</script> \"quoted\" 'single' & \x00\x07\x1b[31m \ud800"


def test_hostile_names_are_escaped_wherever_they_stand(tmp_path):
    from tightrope.drawing.charts import Line, line_chart
    from tightrope.drawing.planes import Plane
    from tightrope.report.conditioning_page import Measured, conditioning_page
    from tightrope.report.dynamics_page import run_page
    from tightrope.report.spectrum_page import spectrum_page
    from tightrope.spectra import layer_spectra as found_spectra

    plane = Plane((-1, 1), (-1, 1), NASTY, NASTY, NASTY)
    plane.dots([(0.0, 0.0)], names=[NASTY])
    chart = line_chart([Line(NASTY, np.arange(3.0), np.arange(3.0))], title=NASTY, x_label=NASTY, tip=lambda _: NASTY)
    network = torch.nn.Sequential()
    network.add_module("<script>'\x07", torch.nn.Linear(2, 2))
    measured = Measured(NASTY, {"mean": 1.0, "values": [2.0, 1.0], "n": 2})
    run = small(tmp_path / "run")
    pages = [
        str(plane.render()),
        str(chart),
        run_page(NASTY, [NASTY], [plane.render()], chart),
        spectrum_page(found_spectra(network, torch.zeros(1, 2)), NASTY),
        conditioning_page([(NASTY, read_run(run)), ("b", read_run(run))], [measured]),
    ]
    for page in pages:
        page.encode()
        body = page.split("</style>")[-1]
        assert "<script" not in body and "&lt;script&gt;" in body
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", page)
        assert not re.search(r'="[^"]*"quoted', body)


def test_a_run_folder_with_a_hostile_name_gives_a_page_and_a_plain_summary(tmp_path):
    run = small(tmp_path / "<b>\x1b[31m'\"&\udce9")
    text = write_report(run).read_text(encoding="utf-8")
    assert "<b>" not in text.split("<body>")[1].replace("<b>0", "").split("</header>")[0]
    assert "&lt;b&gt;" in text and "\x1b" not in text
    assert "\x1b" not in summary(run) and summary(run).encode()


# --- whatever the files hold

ODD = [None, True, -1, 0, 1e308, -1e308, 5e-324, 10**18, 10**40, "", "<b>", [], {}, [[1]], {"a": {"b": []}}, 1.5]


def changed(value: object, share: float, rng: random.Random) -> object:
    """A JSON value with some of its parts replaced or left out."""
    if rng.random() < share:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {key: changed(part, share, rng) for key, part in value.items() if rng.random() > share / 4}
    return [changed(part, share, rng) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_files_hold_gives_a_page(tmp_path, seed):
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    run, other = small(tmp_path / "run"), small(tmp_path / "other")
    followed = {"n": 8, "mean": 1.0, "quantiles": [1.0] * 5, "effective_rank": 2.0, "values": [3.0, 2.0], "latent": 2}
    for _ in range(12):
        share = rng.choice([0.02, 0.1, 0.3])
        made = [row(step, 80, noise) | {"spectra": layer_spectra(step / 80)} for step in range(10, 81, 10)]
        extreme = [{k: rng.choice([v, 1e308, -1e308, 5e-324, 0.0]) if k != "step" else v for k, v in r.items()
                    if k != "spectra"} for r in made]  # fmt: skip
        for name, whole in (("config", CONFIG), ("status", {"state": "running", "step": 40, "seconds": 2.0})):
            (run / f"{name}.json").write_text(json.dumps(changed(whole, share, rng)))
        for name, lines in (
            ("metrics", rng.choice([made, extreme])),
            ("evaluations", [evaluation(step, 80) for step in (40, 80)]),
            ("conditioning", [{**followed, "step": step} for step in (0, 40, 80)]),
        ):
            write_rows(run / f"{name}.jsonl", [changed(line, share / 4, rng) for line in lines])
        Page(write_report(run).read_text(encoding="utf-8"))
        assert summary(run)
        write_comparison([run, other], tmp_path / "c.html")


def test_json_that_is_nested_too_deep_is_a_sentence(tmp_path):
    run = small(tmp_path / "run")
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    for name in ("config.json", "status.json", "metrics.jsonl", "evaluations.jsonl"):
        (run / name).write_text(deep)
    assert len(read_run(run).problems) == 4
    rows.forget_after(run / "metrics.jsonl", 3)


class Page(HTMLParser):
    """Elements nest, and no coordinate of a drawing is infinite or no number."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not any(re.search(r"nan|inf", value or "") for key, value in attrs if key in ("d", "x", "y", "width"))
        if tag not in ("meta", "link", "img", "br", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "link", "img", "br", "path", "rect"):
            self.open.pop()

    def handle_endtag(self, tag):
        assert tag == "rect" or self.open.pop() == tag
