"""What a notebook shows: objects as small tables, escaped and without scripts; and the tutorial, cell by cell."""

from __future__ import annotations

import ast
import contextlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tightrope import critics, data, methods, networks, spectra, training
from tightrope.metrics import Measurement, Protocol
from tightrope.metrics.result import Estimate
from tightrope.monitor.finding import Diagnosis, Finding
from tightrope.runs.assemble import describe_data
from tightrope.runs.config import Config, DataSettings, MethodSettings, NetworkSettings, TrainingSettings
from tightrope.runs.trained import TrainedGenerator
from tightrope.studies import findings
from tightrope.studies.statistics.intervals import Interval

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
NASTY = "<script>alert('1')</script>\x1b[31m\u202e"


class Page(HTMLParser):
    """Checks that elements nest, and keeps tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.links, self.text = [], set(), [], ""  # type: ignore[var-annotated]
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def shown(value: Any) -> Page:
    page = Page(value._repr_html_())
    assert page.tags <= {"div", "b", "table", "tr", "th", "td", "p", "img"}
    assert all((link or "").startswith("data:image/png;base64,") for link in page.links)
    assert "\x1b" not in page.text and "\u202e" not in page.text
    return page


def protocol(features: str = "random (12)") -> Protocol:
    return Protocol("frechet", features, "", 360, 2000, "test", 0, "digits (ab)")


def test_a_measurement_shows_what_it_depends_on():
    page = shown(Measurement("frechet", 1.23456, protocol(), (1.1, 1.4), 0.31, ("few samples",)))
    for said in (
        "frechet 1.235",
        "95 % interval 1.1 to 1.4",
        "0.31",
        "random (12)",
        "2,000 against 360 of test",
        "few",
    ):
        assert said in page.text
    bare = shown(Measurement("kernel", 1.0, protocol())).text
    assert "floor" not in bare and "interval" not in bare


def test_names_of_others_are_escaped():
    for value in (
        Measurement(NASTY, 1.0, protocol(NASTY), notes=(NASTY,)),
        findings.Finding(Interval(1.0, 0.5, 1.5, 4), NASTY, 0.01, 0.99, note=NASTY),
        Finding("healthy", NASTY, candidates=(NASTY,)),
        Diagnosis((Finding("healthy", NASTY),), 3, (NASTY,), (NASTY,)),
    ):
        assert "<script>alert('1')</script>" in shown(value).text, "as text"


def test_intervals_and_estimates():
    assert (
        "95 % interval 1.5 to 2.5" in shown(Interval(2.0, 1.5, 2.5, 7)).text and "7" in shown(Interval(2, 1, 3, 7)).text
    )
    assert "interval" not in shown(Interval(2.0, float("nan"), float("nan"), 1)).text
    assert "–" in shown(Interval(float("nan"), float("nan"), float("nan"), 0)).text
    assert "95 % interval 0.02002 to 1.98" in shown(Estimate(1.0, 0.5)).text
    page = shown(findings.paired_ratio([1.0, 1.1, 0.9], [2.0, 2.1, 2.2], "ratio", below=1.0))
    assert "ratio: 0.4" in page.text and "p, if the claim just fails" in page.text


def started(shape: tuple[int, ...], classes: int = 0) -> training.Run:
    rng = torch.Generator().manual_seed(0)
    G = networks.NETWORKS["mlp"].generator(shape, latent=4, classes=classes, width=8, depth=1, rng=rng)
    D = networks.NETWORKS["mlp"].critic(shape, classes=classes, width=8, depth=1, rng=rng)
    return training.start(methods.build("r1"), G, D, seed=0, latent=4, shape=shape, batch_size=8)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (2,), (5, 8, 8)])
def test_a_run_shows_its_state_and_images_and_nothing_of_it_changes(shape: tuple[int, ...]):
    run = started(shape)
    assert "step 0" in " ".join(shown(run).text.split())
    list(training.train(run, [torch.rand(8, *shape)], steps=2))
    before, state = torch.get_rng_state(), run.state_dict()
    kept = {key: value.clone() for key, value in state["average"].items()}, state["rng"].clone()
    page = shown(run)
    assert "r1, batches of 8 on cpu" in page.text and "critic's loss" in page.text and "16" in page.text
    assert bool(page.links) == (shape in [(1, 8, 8), (3, 8, 8)])
    assert torch.equal(before, torch.get_rng_state()) and torch.equal(run.state_dict()["rng"], kept[1])
    assert all(torch.equal(value, kept[0][key]) for key, value in run.state_dict()["average"].items())


def test_a_run_of_networks_that_are_called_otherwise_shows_no_images():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 64)

        def forward(self, z: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
            return self.layer(z)

    run = started((1, 8, 8))
    run.average = Two()
    assert not shown(run).links and not shown(started((1, 8, 8), classes=3)).links


def test_a_trained_generator_shows_samples():
    dataset = data.open_data("digits")
    settings = describe_data(DataSettings("digits", conditional=True), dataset)
    config = Config(settings, MethodSettings("r1"), NetworkSettings("mlp"), TrainingSettings(latent=4))
    generator = networks.NETWORKS["mlp"].generator((1, 8, 8), latent=4, classes=10, width=8, depth=1)
    page = shown(TrainedGenerator(generator, 4, dataset.classes, (1, 8, 8), config))
    assert "r1 on digits" in page.text and len(page.links) == 1 and "0, 1, 2" in page.text


def test_in_a_terminal_no_object_prints_pages_of_numbers():
    critic, x = nn.Sequential(nn.Linear(300, 4), nn.ReLU(), nn.Linear(4, 1)), torch.randn(20, 300)
    found = critics.lipschitz_interval(critic, x, x + 1)
    assert "Lipschitz constant in [" in shown(found).text and "of the gap" in shown(found).text
    assert f"lower={found.lower}" in repr(found) and "witnesses" not in repr(found) and len(repr(found)) < 2000


def test_spectra_show_both_norms_and_what_is_missing():
    network = nn.Sequential(nn.Linear(4, 3), nn.PReLU(), nn.Bilinear(2, 2, 2))
    network.forward = network[0].forward  # the last one never works
    page = shown(spectra.layer_spectra(network, torch.randn(2, 4)))
    assert "operator norm" in page.text and "not understood: 2.weight is held by Bilinear" in page.text


def cells(path: Path) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4 and all(not cell.get("outputs") for cell in notebook["cells"])
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_tutorial_runs_cell_by_cell(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a kernel does it: one namespace, and what a cell ends with is shown."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    ends = []
    with contextlib.redirect_stdout(None):
        for number, source in enumerate(cells(path)):
            body = ast.parse(source).body
            last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
            where = f"cell {number}"
            exec(compile(ast.Module(body, []), where, "exec"), names)
            if last is not None:
                ends.append(eval(compile(ast.Expression(last.value), where, "eval"), names))
    assert ends and all(shown(end) for end in ends)
    assert names["run"].step == 150 and not names["diagnosis"].healthy
    assert any("gradient" in finding.sentence or "zero_grad" in finding.remedy for finding in names["diagnosis"])


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_tutorial_runs_under_jupyter_where_it_is_installed(path: Path):
    client, formats = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    client.NotebookClient(formats.read(path, as_version=4), timeout=300).execute()
