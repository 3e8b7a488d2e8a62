"""``tightrope dynamics`` as a user meets it: the Dirac-GAN's numbers, a run's spectrum, pages, JSON, mistakes."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tightrope import losses
from tightrope.cli import main
from tightrope.drawing.planes import Plane, span
from tightrope.methods import METHODS, build
from tightrope.optimizers.settings import SGD
from tightrope.runs.dynamics import run_dynamics
from tightrope.studies.dirac import PUBLISHED, SCHEMES, published, study, sweep_weight
from tightrope.studies.dirac_page import dirac_page, portrait, rate_path, verdict_of, weight_path
from tightrope.toys import VARIANTS

TINY = ["--steps", "6", "--batch-size", "8", "--latent", "2", "--width", "4", "--depth", "1", "--network", "mlp",
        "--evaluate-n", "60", "--checkpoint-every", "2", "--threads", "1", "--quiet"]  # fmt: skip


def printed(capsys, *words):
    assert main([*map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    assert main([*map(str, words)]) == 2
    return capsys.readouterr().err.strip()


# ------------------------------------------------------------------------------------------------------------- dirac


def test_the_specifications_own_example(capsys, tmp_path):
    text = printed(capsys, "dynamics", "dirac", "--method", "r1", "--gamma", "1", "--lr", "0.2", "--steps", "30",
                   "--out", tmp_path / "r1")  # fmt: skip
    assert "-0.5" in text and "0.927016" in text and "0.862984" in text  # alternating R1 at the critical weight
    assert "convergent: factor 0.927016 per step" in text and "no rotation" in text
    for name in ("r1.svg", "r1_weight.svg", "r1_rate.svg"):
        ET.fromstring((tmp_path / "r1" / name).read_text())
    page = (tmp_path / "r1" / "dirac.html").read_text()
    assert page.count("<svg") == 3 and "1801.04406" in page


def test_json_says_what_the_text_says(capsys):
    (found,) = json.loads(printed(capsys, "dynamics", "dirac", "--method", "gan", "--order", "simultaneous", "--steps",
                                  "500", "--json"))  # fmt: skip
    assert (found["verdict"], found["scheme"]) == ("divergent", "simultaneous")
    assert found["rate"] == pytest.approx(1.004987562, abs=1e-9)
    assert [im for _, im in found["field_eigenvalues"]] == pytest.approx([0.5, -0.5])
    assert torch.tensor(found["end"]).norm().item() == pytest.approx(3.096949, abs=1e-5)  # the paper's trajectory


@pytest.mark.parametrize(
    ("name", "options", "length"),
    [
        ("gan", {}, 1.421019),
        ("nsgan", {}, 0.283923),
        ("r1", {"gamma": 0.3}, 2.30091e-7),
        ("wgan_gp", {"gamma": 0.7}, 1.221067),
    ],
)
def test_trajectories_of_the_authors_settings(name, options, length):
    """500 alternating steps, one critic step; the order of the players shifts a rotating end by half a step."""
    end = study(name, **options).trajectory[-1].norm().item()
    assert end == pytest.approx(length, rel=0.15)


def test_a_kink_gives_a_sentence_and_no_numbers(capsys):
    text = printed(capsys, "dynamics", "dirac", "--method", "wgan_gp", "--steps", "20")
    assert "none: a kink" in text and "no derivative at the equilibrium" in text
    (found,) = json.loads(printed(capsys, "dynamics", "dirac", "--method", "wgan_gp", "--steps", "20", "--json"))
    assert found["field_eigenvalues"] is found["verdict"] is None and "not differentiable" in found["note"]


def test_all_figures_of_the_paper_are_there():
    studies = published(steps=3)
    assert len(studies) == len(PUBLISHED) * len(SCHEMES) == 27
    assert {s.name for s in studies} == {
        "gan",
        "nsgan",
        "wgan",
        "wgan_gp",
        "instance_noise",
        "r1",
        "consensus",
        "nsgan_r1",
    }
    verdicts = {(s.name, s.scheme.split(",")[0]): s.prediction.verdict for s in studies if s.prediction}
    assert verdicts["gan", "simultaneous"] == "divergent" and verdicts["gan", "alternating"] == "marginal"
    assert all(v == "convergent" for (name, _), v in verdicts.items() if name in ("r1", "instance_noise", "consensus"))
    page = dirac_page(studies[:2], title="two")
    assert page.count("<svg") == 2 and page.count("<tr>") == 3


def test_the_eigenvalue_path_is_the_papers():
    """Figure 4: a circle of radius 1/2 until the critical weight 1, then two real branches."""
    values = sweep_weight("r1", [0.5, 1.5, 2.0])
    assert values[0].abs().tolist() == pytest.approx([0.5, 0.5])
    assert sorted(values[1].real.tolist()) == pytest.approx([-1.309017, -0.190983], abs=1e-6)
    assert sorted(values[2].real.tolist()) == pytest.approx([-1.866025, -0.133975], abs=1e-6)
    ET.fromstring(weight_path(study("r1", steps=2), points=5))
    ET.fromstring(rate_path(study("r1", steps=2, order="simultaneous"), points=5))
    assert weight_path(study("gan", steps=2)) is None and rate_path(study("wgan_gp", steps=2)) is None


def test_a_trajectory_that_leaves_is_cut():
    found = study("gan", learning_rate=100.0, steps=500, order="simultaneous")
    assert len(found.trajectory) < 500
    assert "nan" not in portrait(found)


def test_both_spellings_say_the_same(capsys):
    words = ["dirac", "--method", "r1", "--gamma", "0.3", "--steps", "12"]
    assert printed(capsys, "toy", *words) == printed(capsys, "dynamics", *words)
    assert printed(capsys, "toy", *words) == printed(capsys, "dynamics", *words[1:], "dirac")


def test_a_run_that_contradicts_the_local_verdict_is_told(capsys):
    """Consensus with five critic steps contracts at the equilibrium; from the authors' start it runs away."""
    for option in ("--steps", "--n-critic"):
        assert main(["toy", "dirac", option, str(10**15)]) == 2
        assert f"Expected {option} as a whole number of at least" in capsys.readouterr().err
    words = ["toy", "dirac", "--method", "consensus", "--n-critic", "5", "--steps", "60"]
    text = printed(capsys, *words)
    assert "near the equilibrium convergent" in text and "the verdict is local" in text
    assert re.search(r"the run from \(1, -1\) left: after 60 steps it has been 5\.6\d+ away", text)
    (found,) = json.loads(printed(capsys, *words, "--json"))
    assert (found["verdict"], found["outcome"]) == ("convergent", "left")
    agreeing = printed(capsys, "toy", "dirac", "--method", "r1")
    assert "local" not in agreeing and "left" not in agreeing
    diverging = printed(capsys, "toy", "dirac", "--method", "gan", "--order", "simultaneous")
    assert "divergent" in diverging and "left" in diverging and "local" not in diverging


def test_slow_is_not_called_a_contradiction():
    """By hand: a factor of 0.99 leaves 0.9 of the distance after ten steps, as the run then shows."""
    found = study("r1", gamma=0.1, steps=10)
    assert found.prediction.verdict == "convergent" and found.outcome == "stayed away"
    assert "too few steps" in verdict_of(found)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in VARIANTS])
def test_methods_that_train_images_play_the_dirac_gan_by_their_own_rules(name):
    found = study(name, steps=3)
    assert found.method.name == name and len(found.trajectory) == 4
    assert torch.isfinite(found.trajectory).all() and not torch.equal(found.trajectory[0], found.trajectory[-1])
    assert found.scheme.startswith("simultaneous" if found.method.simultaneous else "alternating")
    assert verdict_of(found)


def test_the_rules_of_the_game_are_found_at_the_equilibrium():
    """Rates of each optimiser's paper, on the linear game of strength 1: as in ``test_methods_games``."""
    assert study("negative_momentum", loss="minimax", steps=2).prediction is not None
    linear = replace(losses.wasserstein, needs_lipschitz=False)
    extra = replace(build("extra_adam", rule="sgd"), loss=linear, penalties=())
    found = study(extra, learning_rate=0.5, steps=40)
    assert found.prediction.rate == pytest.approx(0.901387819, abs=1e-8) and found.scheme == "simultaneous"
    assert found.radius == pytest.approx(math.sqrt(2) * 0.901387819**33, rel=1e-6)  # the last 8 of 41 places
    slow = replace(build("lookahead", loss="minimax"), critic_optimizer=SGD(0.5), generator_optimizer=SGD(0.5))
    assert study(replace(slow, loss=linear), steps=2).prediction.rate == pytest.approx(0.302576824, abs=1e-8)
    assert "no equilibrium" in study("sn_gan", steps=2).kink


def test_mistakes_are_told_in_one_sentence(capsys, tmp_path):
    assert "takes none" in refused(capsys, "toy", "dirac", "--method", "gan", "--gamma", "3")
    assert "did you mean --share" in refused(capsys, "toy", "dirac", "--method", "lookahead", "--shar", "0.3")
    assert "--gamma beside --all" in refused(capsys, "toy", "dirac", "--all", "--gamma", "1")
    assert "dirac" in refused(capsys, "toy", "pong")
    assert "did you mean --method" in refused(capsys, "toy", "dirac", "--methd", "r1")
    assert "did you mean r1" in refused(capsys, "dynamics", "dirac", "--method", "r11")
    assert "positive learning rate" in refused(capsys, "dynamics", "dirac", "--lr", "0")
    assert "one critic step" in refused(capsys, "dynamics", "dirac", "--order", "simultaneous", "--n-critic", "5")
    assert "--k" in refused(capsys, "dynamics", "dirac", "--k", "3")
    assert "--gamma" in refused(capsys, "dynamics", tmp_path, "--gamma", "3")
    assert "does not exist" in refused(capsys, "dynamics", tmp_path / "nowhere")
    assert "did you mean --gamma" in refused(capsys, "dynamics", "dirac", "--gama", "3")
    assert refused(capsys, "dynamics", tmp_path).count("\n") == 0


# --------------------------------------------------------------------------------------------------------------- run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dynamics") / "run"
    assert main(["train", "toy:ring", "--limit", "200", "--method", "r1", "--out", str(folder), *TINY]) == 0
    return folder


def test_a_runs_game_is_analysed_and_left_alone(capsys, folder):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    text = printed(capsys, "dynamics", folder, "--k", "3", "--batches", "1")
    assert "minibatch noise" in text and "residual" in text
    assert re.search(r"Step 6: \d+ parameters seen on one batch of 8", text)
    assert re.search(r"Prediction: (convergent|divergent|marginal)", text)
    assert "Path angle from step 2" in text
    assert {p: p.read_bytes() for p in before} == before
    page = (folder / "dynamics" / "dynamics.html").read_text()
    assert page.count("<svg") >= 3
    ET.fromstring((folder / "dynamics" / "spectrum_00000006.svg").read_text())


def test_a_runs_json(capsys, folder, tmp_path):
    few = ["--k", "2", "--batches", "0", "--predict", "no", "--step", "4", "--out", tmp_path / "o"]
    found = json.loads(printed(capsys, "dynamics", folder, *few, "--json"))
    assert found["step"] == 4 and len(found["eigenvalues"]) == 2 and found["noise"] is None
    assert found["prediction"] is None and "not asked" in found["note"]
    assert found["path_angle"]["since"] == 2 and len(found["path_angle"]["cosines"]) == 21


def test_the_analysis_of_a_run_is_repeatable_and_depends_on_its_seed(folder):
    options = {"k": 2, "batches": 0, "predicted": False, "points": 0}
    values = [run_dynamics(folder, seed=seed, **options).spectrum.values for seed in (0, 0, 1)]
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])
    only = run_dynamics(folder, step=2, **options)
    assert (only.step, only.angle, only.since) == (2, None, None)


def test_mistakes_about_a_run(capsys, folder, tmp_path):
    assert "out of 2, 4, 6" in refused(capsys, "dynamics", folder, "--step", "5")
    assert "at least" in refused(capsys, "dynamics", folder, "--batches", "-1")
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in refused(capsys, "dynamics", tmp_path / "empty")


# ------------------------------------------------------------------------------------------------------------ planes


def test_a_plane_keeps_its_scale_and_marks_what_lies_outside():
    plane = Plane((-2, 2), (-1, 1), "a < b & c", width=300)
    (x0, y0), (x1, y1) = plane.place((0, 0)), plane.place((1, 1))
    assert x1 - x0 == pytest.approx(y0 - y1)
    plane.path([(0, 0), (1e9, 1e9)])
    plane.arrows([(0.0, 0.0)], [(0.0, 0.0)], 1.0)
    plane.rings([(0.0, 0.0)], [0.5])
    plane.dots([(0.0, 0.0)], names=["<here>"])
    root = ET.fromstring(plane.render())
    assert root.get("aria-label") == "a < b & c" and plane.render() == plane.render()
    assert span([1.0, 3.0], least=2.0)[0] < -2.0 < 3.0 < span([1.0, 3.0])[1]
