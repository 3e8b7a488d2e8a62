"""What was taken, or said nothing, and is refused or said now: one test for each, beside the fuzzing of everything."""

import copy
import json
import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tightrope import (
    UserError,
    View,
    autodiff,
    conditioning,
    constraints,
    critics,
    data,
    doctor,
    layers,
    linalg,
    losses,
    methods,
    metrics,
    penalties,
    perturbations,
    runs,
    schedules,
    spectra,
    toys,
    training,
)
from tightrope.autodiff import input_gradient, scores_of
from tightrope.cli import main
from tightrope.data.splits import without_split
from tightrope.evaluation import features
from tightrope.monitor import Monitor
from tightrope.penalties import soft_orthogonality
from tightrope.report import write_report, write_spectra
from tightrope.runs.assemble import outside
from tightrope.spectra import layer_spectra, singular_values
from tightrope.studies import statistics
from tightrope.training import critic_step, start, train

X = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
NAN = math.nan


def critic():
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))


class Features(nn.Module):
    """Scores and features, as critics with feature matching return them."""

    def __init__(self, width=8):
        super().__init__()
        self.body, self.head = nn.Linear(2, width), nn.Linear(width, 1)

    def forward(self, x):
        h = self.body(x).tanh()
        return self.head(h), h


PACKED = View(nn.Linear(20, 1), call=lambda net, x: net(x.reshape(-1, 20)), rows=10)


def begun(**changes):
    given = {"generator": nn.Linear(3, 2), "critic": critic(), "seed": 0, "latent": 3} | changes
    return start(methods.build("r1"), **given)


RING = data.open_data("toy:ring", progress=False, limit=64)
R1, PAIR = methods.build("r1"), lambda: (nn.Linear(3, 2), critic())
AVERAGES = losses.ScoreAverages(real=1.0, updates=1)
STRENGTH = perturbations.AdaptiveStrength().state_dict()


def scored(**changes):
    given = {"methods": {"r1": (methods.build("r1"), lambda seed: critic())}, "train": X, "test": X}
    return critics.generalisation_scores(**(given | {"fakes": lambda n, rng: X[:n], "steps": 1} | changes))


def tuned(networks=lambda seed: PAIR(), **changes):
    return doctor.tune_gamma(lambda gamma: methods.build("r1", gamma=gamma), networks, X, latent=3, **changes)


ACCEPTED = [
    (lambda: constraints.spectral_norm(critic(), exact="yes"), "exact=True or False"),
    (lambda: constraints.weight_norm(critic(), gain=1), "gain=True or False"),
    (lambda: constraints.orthogonal(critic(), replace="no"), "replace=True or False"),
    (lambda: constraints.clip_weights_(critic(), biases="no"), "biases=True or False"),
    (lambda: constraints.bound_singular_values_(critic(), every=2, step=1.5), "whole number step"),
    (lambda: penalties.finite_difference_r1(lambda x: (0 * x).detach().sum(1) + 1, X), "depend on the samples"),
    (lambda: penalties.finite_difference_r1(critic(), X, draws=1e300), "whole number of draws"),
    (lambda: penalties.gradient_noise(penalties.r1, critic(), X, draws=2.5), "whole number draws"),
    (lambda: penalties.gradient_noise(penalties.r1, lambda x: x.sum(1), X), "parameters can be seen"),
    (lambda: penalties.gradient_noise(penalties.r1, critic().requires_grad_(False), X), "require a gradient"),
    (lambda: metrics.kernel_distance(1e150 * X.double(), X.double()), "leaves the range"),
    (lambda: metrics.FeatureStatistics(0, torch.ones(2), torch.eye(2)), "zero below 2 samples"),
    (lambda: metrics.FeatureStatistics(3, torch.zeros(3), torch.eye(2)), r"a mean \[d\] and a scatter"),
    (lambda: metrics.frechet_from_statistics(X, X), "FeatureStatistics"),
    (lambda: singular_values(nn.Linear(2, 3), (2,), memory_limit_bytes="a"), "memory_limit_bytes as a whole number"),
    (lambda: toys.Affine(NAN, 1.0), "finite numbers"),
    (lambda: toys.dirac_gan(theta=NAN), "finite numbers"),
    (lambda: toys.gaussian_quadratic(psi=(0.0, 0.0, 0.0)), "2 finite numbers"),
    (lambda: toys.Point(torch.ones(2), torch.ones(3, 3)), r"coupling \[m, 2\]"),
    (lambda: toys.parallel_lines(samples=0), "samples >= 1"),
    (lambda: methods.build("r1", approximate=True, sigma=-1), "sigma > 0"),
    (lambda: methods.build("sn_gan", power_iterations=0), "power_iterations >= 1"),
    (lambda: methods.sn_wgan(update="sometimes"), "expected update"),
    (lambda: methods.consensus(gamma=NAN), "gamma as a finite number"),
    (lambda: linalg.clamp_singular_values(torch.eye(2), NAN, 1.0), "low as a finite number"),
    (lambda: linalg.clamp_singular_values(torch.eye(2), 2.0, 1.0), "low <= high"),
    (lambda: linalg.polar(None), "W as a dense tensor"),
    (lambda: linalg.polar(torch.full((2, 2), NAN)), "W as a value to compute with"),
    (lambda: linalg.block_matvec(torch.ones(2, 2), torch.ones(2)), r"\[groups, m, n\]"),
    (lambda: critics.train_critic(methods.build("r1"), critic(), NAN * X, lambda n, rng: X, steps=1), "finite samples"),
    (lambda: View(critic(), scores="a"), "scores as a function"),
    (lambda: begun(critic=PACKED), "batch size that 10 divides"),
    (lambda: critic_step(3, X), "run as a Run"),
    (lambda: next(train("a", [X], steps=1)), "run as a Run"),
    (lambda: begun().latents("a"), "n as a whole number"),
    (lambda: begun().load_state_dict(None), "state as a dict"),
    (lambda: runs.read_config(None), "run as a path"),
    (lambda: runs.resolve("toy:ring", sigmma=1), "see runs.Wishes"),
    (lambda: singular_values(nn.Linear(2, 3), (2,), memory_limit_bytes=-1), "memory_limit_bytes >= 0"),
    (lambda: singular_values(nn.Linear(2, 3), {2}), "input_shape as a sequence"),
    (lambda: singular_values(nn.Linear(2, 3), torch.tensor([2.0])), "input shape as whole numbers"),
    (lambda: data.class_index({"a", "b"}, "a"), "classes as a sequence"),
    (lambda: constraints.spectral_norm(critic(), input_shape=(0,)), "positive sizes"),
    (lambda: constraints.orthogonal(critic(), input_shape=(-2,)), "positive sizes"),
    (lambda: constraints.spectral_norm(critic(), warmup=10**30), "warmup as a whole number"),
    (lambda: losses.lecam(X[:0], X, AVERAGES), "empty batch"),
    (lambda: losses.ScoreAverages(updates=-1), "updates >= 0"),
    (lambda: losses.ScoreAverages().load_state_dict(losses.ScoreAverages().state_dict() | {"decay": 2.0}), "decay"),
    (lambda: perturbations.Augmentation("ada", p=1.5), "probability p from 0 to 1"),
    (lambda: perturbations.Augmentation("ada", p=schedules.Linear(0.0, 2.0, images=10)), "probability p from 0 to 1"),
    (lambda: perturbations.Augmentation("diff", policy="colour"), "did you mean color"),
    (lambda: perturbations.Augmentation("ada", policy="x"), "letters of 'bgc'"),
    (lambda: perturbations.AdaptiveStrength(count=-1), "count >= 0"),
    (lambda: perturbations.AdaptiveStrength().load_state_dict(STRENGTH | {"p": 2.0}), "probability from 0 to 1"),
    (lambda: conditioning.log_condition_number(X.abs(), floor=1.5), "floor below 1"),
    (lambda: scored(seeds=(0, 0)), "0 twice"),
    (lambda: scored(test=torch.randn(4, 2, 2)), "samples of one shape"),
    (lambda: scored(methods={"r1": methods.build("r1")}), "a method and a function of the seed"),
    (lambda: scored(fakes=nn.Linear), "the class Linear"),
    (lambda: tuned(seeds=(1, 1)), "1 twice"),
    (lambda: next(train(begun(), [X], steps=-1)), "steps >= 0"),
    (lambda: next(train(begun(), [X], minutes=-0.5)), "minutes >= 0"),
    (lambda: begun().load_state_dict({}), "none of generator"),
    (lambda: data.Sampler(RING, 4, seed=0).indices(-1), "0 for the first"),
    (lambda: data.Sampler(RING, 4, seed=0).load_state_dict({"batches": -1}), "batches >= 0"),
    (lambda: RING.batch(X), "whole numbers"),
    (lambda: data.open_data(""), "a source of data"),
    (lambda: features.pixels((3, 16, 16))(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)), "floating point"),
    (lambda: schedules.Linear(0.0, 1.0, images=10)("a"), "images_seen as a whole number"),
    (lambda: losses.hinge.critic(X.to_sparse(), X), "sparse|strided|dense"),
    (lambda: training.seeds.Stack([]), "at least one run"),
    (lambda: training.seeds.train(R1, lambda seed: PAIR(), RING, [0, 1], steps=1, latent=3, measure=3), "measure as"),
    (lambda: training.distributed.share(begun(), 2), "ranks as a Ranks"),
    (lambda: penalties.gradient_noise(lambda *_, **__: None, critic(), X), "give a scalar"),
    (lambda: autodiff.packed(X, 0), "rows >= 1"),
    (lambda: doctor.preflight(*PAIR(), X, z=X), "does not take latents"),
    (lambda: doctor.preflight(*PAIR(), X.double(), z=torch.randn(8, 3)), "float64"),
    (lambda: tuned(networks=lambda seed: None), "a generator and a critic"),
    (lambda: statistics.bootstrap(lambda rows: None, [1.0, 2.0, 3.0]), "gives a number"),
    (lambda: statistics.bootstrap(np.mean, 1.5), "rows to draw from|rows as a sequence|numbers"),
    (lambda: features.pixels((3, 16, 16))(torch.ones(7)), "."),
    (lambda: autodiff.packed(X, 3), "whole packs of 3"),
    (lambda: layers.effective_weight(nn.Identity()), "layer with a weight"),
    (lambda: spectra.evenly_picked(torch.ones(16, 7)), r"values \[n\]"),
    (lambda: linalg.cayley(torch.full((4, 2), 1e150, dtype=torch.float64)), "W as a value to compute with"),
    (lambda: Monitor(nn.Linear(3, 2), critic()).rehearse("both"), "'generator' or 'critic'"),
    (lambda: soft_orthogonality(torch.nn.ModuleList([nn.Linear(2, 2), nn.Bilinear(2, 2, 1)])), "Bilinear"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("call", "sentence"), ACCEPTED)
def test_what_was_taken_is_refused(call, sentence):
    with pytest.raises(UserError, match=sentence) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_a_tuple_of_scores_and_features_is_refused_and_several_critics_are_not():
    one, many = torch.zeros(8), torch.zeros(8, 8)
    maps, features = (torch.zeros(8, 1, 6, 6), torch.zeros(8, 1, 3, 3)), torch.zeros(8, 16, 3, 3)
    for refused in (
        (one, many),
        (many, one[:, None]),
        (maps[0], features),
        (one, torch.zeros(8, 3, 6, 6)),
        (one, one[:4]),
    ):
        with pytest.raises(UserError, match=r"View\(critic, scores=lambda out: out\[0\]\)"):
            scores_of(refused)
        assert len(scores_of(list(refused))) == 2  # a list is what it says
    for good in (maps, (*maps, one), (one, one[:, None]), (many, many), (torch.zeros(8, 6, 6), torch.zeros(8, 3, 3))):
        assert len(scores_of(good)) == len(good)
    for call in (lambda: penalties.r1(Features(), X), lambda: losses.hinge.critic(Features()(X), Features()(X)),
                 lambda: start(methods.build("r1"), nn.Linear(3, 2), Features(), seed=0, latent=3)):  # fmt: skip
        with pytest.raises(UserError, match="looks like features"):
            call()
    view = View(Features(), scores=lambda out: out[0])
    assert penalties.r1(view, X) > 0


def test_scores_of_a_list_stay_a_list_all_the_way():
    class Listed(Features):
        def forward(self, x):
            return list(super().forward(x))

    run = start(methods.build("r1"), nn.Linear(3, 2), Listed(), seed=0, latent=3, batch_size=8)
    step = next(train(run, [X], steps=1))
    assert isinstance(step.critic.objective.d_real, list)
    assert len(repr(step)) < 600
    assert "mean d_real" in repr(step)


def test_the_gradient_at_samples_that_are_no_numbers_is_none_either():
    spoilt = X.clone()
    spoilt[3, 1] = NAN
    assert bool(penalties.r1(critic(), spoilt).isnan())
    found = input_gradient(critic(), spoilt)
    assert found.isnan().any(1).tolist() == [i == 3 for i in range(8)]


@pytest.mark.parametrize("where", [0, 1])
def test_a_compiled_part_is_refused_by_gradient_penalties(where):
    parts = [nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)]
    parts[where] = torch.compile(nn.Sequential(parts[where], nn.Tanh()), backend="aot_eager")
    net = nn.Sequential(*parts)
    with pytest.raises(UserError, match="compiled by torch"):
        penalties.r1(net, X)
    run = start(methods.build("r1"), nn.Linear(3, 2), net, seed=0, latent=3)
    with pytest.raises(UserError, match="compiled by torch"):
        critic_step(run, X)


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Parameter(torch.ones(2, 3)), nn.Linear(3, 1)

    def forward(self, x):
        return self.head(x @ self.table)


def test_pages_name_the_weights_that_spectra_do_not_understand(tmp_path):
    page = write_spectra(layer_spectra(Table(), X), tmp_path / "s.html").read_text()
    assert "table" in page
    assert "held by Table" in page
    config = settings(2)
    run = tmp_path / "run"
    runs.begin(run, config, quiet=True, generator=nn.Linear(3, 2), critic=Table())
    assert "table (held by Table)" in write_report(run).read_text()


def settings(steps, source="toy:ring"):
    return runs.resolve(
        source, steps=steps, batch_size=8, width=8, depth=2, latent=3, threads=1, evaluate_n=60, limit=64
    )


@pytest.fixture
def run(tmp_path):
    runs.begin(tmp_path / "run", settings(3), quiet=True)
    return tmp_path / "run"


def tree(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("total", [{"steps": 2}, {"images": 8}, {"minutes": 1e-9}])
def test_a_resume_to_less_than_was_done_is_refused_and_leaves_no_trace(run, total):
    before = tree(run)
    with pytest.raises(UserError, match="where the run stands"):
        runs.resume(run, quiet=True, **total)
    assert tree(run) == before
    assert runs.resume(run, steps=3, quiet=True).state == "finished"


def test_a_run_without_a_checkpoint_says_that_it_begins_anew(run, capsys):
    for path in runs.checkpoint_paths(run):
        path.unlink()
    runs.resume(run, steps=3)
    assert "begins at step 0" in "".join(capsys.readouterr())


def test_whatever_ends_a_training_is_in_its_status(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("by a plugin")

    monkeypatch.setattr(sys.modules["tightrope.runs.fit"], "train_until", broken)
    with pytest.raises(ZeroDivisionError):
        runs.begin(tmp_path / "run", settings(3), quiet=True)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["reason"]) == ("stopped", "by a plugin")


def test_the_note_on_data_outside_a_run_is_for_runs_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "here"))
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(80, 2)))
    config = settings(1, tmp_path / "points.npy")
    runs.begin(tmp_path / "run", config, quiet=True)
    assert outside(tmp_path / "run", config) is None
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "elsewhere"))
    assert "--data names another place" in outside(tmp_path / "run", config)
    assert outside(tmp_path / "run", config) is None  # once


def test_evaluate_prints_what_was_decided_about_the_data(tmp_path, capsys):
    values = np.random.default_rng(0).normal(size=(80, 2))
    values[:, 1] = 3.0
    np.save(tmp_path / "points.npy", values)
    main(
        [
            "evaluate",
            "--real",
            str(tmp_path / "points.npy"),
            "--fake",
            str(tmp_path / "points.npy"),
            "--metrics",
            "wasserstein1",
        ]
    )
    notes = without_split(runs.assemble(settings(1, tmp_path / "points.npy"), progress=False).dataset.notes)
    err = capsys.readouterr().err
    assert notes
    assert all(note in err for note in notes)


def test_copies_of_guarded_things_work():
    net = copy.deepcopy(constraints.spectral_norm(critic()))
    assert penalties.PENALTIES["r1"] is penalties.r1
    assert net(X).shape == (8, 1)
