"""Two sets against each other: the same numbers as the plain functions, whatever the order and the portions."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.data import Dataset, open_data
from tightrope.evaluation import (
    MEASURES,
    Samples,
    compare,
    evaluate,
    expected_seconds_of_comparison,
    open_features,
    open_pair,
    open_samples,
)
from tightrope.evaluation.features import dinov2, from_module, named_features, random_convolutions
from tightrope.metrics import (
    FeatureStatistics,
    frechet_distance,
    frechet_from_statistics,
    kernel_distance,
    memorisation,
    precision_recall_density_coverage,
    sliced_wasserstein,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TIGHTROPE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def digits():
    return open_data("digits")


def part(data: Dataset, rows, name: str = "part") -> Samples:
    chosen = torch.as_tensor(list(rows))
    values = data.values[chosen]
    print_ = f"{name} {chosen.tolist()[:3]} {len(chosen)}"
    one = dataclasses.replace(data, name=name, values=values, labels=None, classes=(), fingerprint=print_)
    return Samples((one,), "all")


@pytest.fixture(scope="module")
def sets(digits):
    return part(digits, range(500), "real"), part(digits, range(500, 900), "fake"), part(digits, range(900, 1400))


def everything(samples: Samples) -> Tensor:
    return samples.batch(torch.arange(len(samples)))


def by_name(measurements):
    return {m.name: m for m in measurements}


@pytest.fixture(scope="module")
def network(digits):
    weight = torch.randn(12, 64, generator=torch.Generator().manual_seed(1))
    return from_module(nn.Flatten(), "projected", dimension=12, prepare=lambda x: x.flatten(1) @ weight.T)


NAMES = ["frechet", "kernel", "prdc", "sliced_wasserstein", "memorisation", "held_out_gap", "frechet_extrapolated"]


def test_values_are_those_of_the_plain_functions(sets, network):
    real, fake, training = sets
    found = by_name(compare(real, fake, training=training, features=network, metrics=NAMES))
    x, y, z = (network(everything(s)) for s in sets)
    scores = precision_recall_density_coverage(x, y)
    expected = {
        "frechet": frechet_distance(x, y),
        "kernel": kernel_distance(x, y).value,
        "memorisation": memorisation(z, y, x).probability,
        "held_out_gap": frechet_distance(x, y) - frechet_distance(z, y),
        **dataclasses.asdict(scores),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-9, abs=1e-12), name
    pixels = [everything(s).flatten(1) for s in (real, fake)]
    sliced = sliced_wasserstein(*pixels, rng=torch.Generator().manual_seed(0))
    assert found["sliced_wasserstein"].value == pytest.approx(sliced, rel=1e-12)
    floor = frechet_distance(x, z[torch.randperm(len(z), generator=torch.Generator().manual_seed(0))[:400]])
    assert found["frechet"].floor == pytest.approx(floor, rel=1e-9)
    assert {m.protocol.n_fake for m in found.values()} == {400}
    assert all(m.protocol.data.startswith("real (") for m in found.values())


def test_neither_order_nor_portions_change_a_value(digits, network, tmp_path):
    """The same samples in another order, in several parts, and their statistics gathered in batches of any size."""
    rows = torch.randperm(500, generator=torch.Generator().manual_seed(3)).tolist()
    real, fake = part(digits, range(500)), part(digits, range(500, 900))
    other_real = part(digits, rows, "part")
    halves = Samples((part(digits, range(500, 650)).parts[0], part(digits, range(650, 900), "b").parts[0]), "all")
    names = [name for name in NAMES if MEASURES.get(name) is None or MEASURES[name].needs == ""]
    names.remove("frechet_extrapolated")  # it draws halves, by the order of the samples
    first, second, third = (
        by_name(compare(a, b, features=features, metrics=names, cache=tmp_path / str(index)))
        for index, (a, b, features) in enumerate(
            [(real, fake, network), (other_real, halves, network), (real, fake, dataclasses.replace(network, batch=37))]
        )
    )
    for name, one in first.items():
        assert second[name].value == pytest.approx(one.value, rel=1e-9, abs=1e-12), name
        assert third[name].value == pytest.approx(one.value, rel=1e-6), name  # a float32 network at another batch size
    x, y = (network(everything(s)) for s in (real, fake))
    for size in (1, 7, 256):
        gathered = []
        for features in (x, y):
            statistics = FeatureStatistics.empty(12)
            for chunk in features.split(size):
                statistics = statistics.update(chunk)
            gathered.append(statistics)
        assert frechet_from_statistics(*gathered).value == pytest.approx(first["frechet"].value, rel=1e-9)


def test_without_training_samples_the_floor_is_of_two_halves(sets, network):
    real, fake, training = sets
    (found,) = compare(real, fake, features=network, metrics=["frechet"])
    x = network(real.batch(real.chosen(500, 0)))
    assert found.floor == pytest.approx(frechet_distance(x[:250], x[250:]), rel=1e-9)
    assert any("250 and 250" in note for note in found.notes)
    (with_training,) = compare(real, fake, training=training, features=network, metrics=["frechet"])
    assert not any("half" in note for note in with_training.notes)
    assert with_training.value == found.value
    few = part(open_data("digits"), range(8))
    (no_floor,) = compare(few, few, features=network, metrics=["coverage"])
    assert no_floor.floor is None


def test_values_on_other_data_are_not_compared(sets, network):
    real, fake, training = sets
    one, other = (compare(r, fake, features=network, metrics=["kernel"], n=300)[0] for r in (real, training))
    with pytest.raises(UserError, match=r"data: 'real \(.*measure both again"):
        one.compare(other)


def test_only_portions_are_read(sets, network):
    """No more than one portion of 256 samples is asked for at a time."""
    sizes = []

    class Watched(Samples):
        def batch(self, rows):
            sizes.append(len(rows))
            return super().batch(rows)

    real, fake, _ = (Watched(s.parts, s.split) for s in sets)
    compare(real, fake, features=network, metrics=["frechet", "sliced_wasserstein"])
    assert max(sizes) <= 256
    assert sum(sizes) == 2 * (500 + 400)  # once for the network and once for the directions


def test_real_and_generated_features_are_kept(sets, network):
    real, fake, _ = sets
    passes = []
    counted = dataclasses.replace(network, features=lambda x: passes.append(1) or network.features(x))
    first = compare(real, fake, features=counted, metrics=["kernel"])
    assert len(passes) == 4
    seconds = expected_seconds_of_comparison(real, fake, features=counted, metrics=["kernel"])
    assert 0 < seconds < 1
    passes.clear()
    assert compare(real, fake, features=counted, metrics=["kernel"]) == first
    assert not passes


def test_refusals(sets, digits):
    real, fake, _ = sets
    small = Samples((dataclasses.replace(digits, values=digits.values[:, :, ::2, ::2]),), "all")
    with pytest.raises(UserError, match=r"images of 8x8 in grey and digits images of 4x4 in grey; .*resolution"):
        compare(real, small)
    with pytest.raises(UserError, match="two sources of one kind"):
        compare(real, open_samples("toy:ring"))
    with pytest.raises(UserError, match=r"training set, but there is none; .*--training"):
        compare(real, fake, metrics=["memorisation"])
    with pytest.raises(UserError, match="5,000 generated samples, but there are 400"):
        compare(real, fake, n=5000)
    with pytest.raises(UserError, match="class scores"):
        compare(real, fake, metrics=["classes"])
    with pytest.raises(UserError, match="needs at least 6 samples of each set, but there are 500 real and 4"):
        compare(real, fake, n=4, metrics=["frechet", "prdc"])
    with pytest.raises(ValueError, match=r"frechet_extrapolated needs at least 387 samples .*300 generated"):
        compare(real, fake, n=300, metrics=["frechet_extrapolated"])


def test_a_singular_covariance_is_flagged_and_exact(digits):
    """Corner pixels of digits never vary, so that their covariance is singular at any number of samples."""
    train, test = digits, open_data("digits", split="test")

    def sample(n: int, seed: int) -> Tensor:
        return train.batch(torch.arange(n) + 256 * (seed % 3)).x

    (found,) = evaluate(sample, train, test, n=300, features=named_features("pixels", (1, 8, 8)), metrics=["frechet"])
    assert any("covariance is singular" in note for note in found.notes)
    assert found.value > 0


def test_opening_a_pair_brings_both_to_one_colour_and_scale(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, shape in (("grey", (6, 6)), ("colour", (6, 6, 3))):
        (tmp_path / name).mkdir()
        for i in range(12):
            Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    real, fake, training = open_pair(tmp_path / "grey", tmp_path / "colour")
    assert real.shape == fake.shape == (3, 6, 6)
    assert (len(real), len(fake), training) == (12, 12, None)
    pixels = everything(real)
    assert torch.equal(pixels[:, 0], pixels[:, 2])
    scaled, _, other = open_pair(tmp_path / "grey", tmp_path / "colour", tmp_path / "grey", resolution=4)
    assert scaled.shape == other.shape == (3, 4, 4)
    assert "4x4" in compare(scaled, other, metrics=["frechet"])[0].protocol.preprocessing

    np.save(tmp_path / "a.npy", 5 + 2 * rng.standard_normal((400, 3)))
    np.save(tmp_path / "b.npy", 9 + 2 * rng.standard_normal((400, 3)))
    a, b, _ = open_pair(tmp_path / "a.npy", tmp_path / "b.npy")
    (distance,) = compare(a, b)
    assert distance.name == "wasserstein1"
    assert distance.value == pytest.approx(2 * 3**0.5, rel=0.1)  # a shift by two standard deviations along each axis


def test_splits_of_a_source_can_be_chosen():
    assert [len(open_samples("digits", split=split)) for split in ("train", "test", "all")] == [1400, 397, 1797]
    both = open_samples("digits")
    rows = torch.tensor([1399, 0, 1400, 1796])
    parts = [open_data("digits", split=split) for split in ("train", "test")]
    expected = [parts[0].batch(torch.tensor([1399, 0])).x, parts[1].batch(torch.tensor([0, 396])).x]
    assert torch.equal(both.batch(rows), torch.cat(expected))
    assert both.fingerprint not in {one.fingerprint for one in parts}
    with pytest.raises(UserError, match="all, train or test"):
        open_samples("digits", split="half")


def test_features_by_name(tmp_path, cache):
    assert named_features("pixels", (1, 8, 8)).dimension == 64
    assert named_features("random", (1, 8, 8)).digest == random_convolutions((1, 8, 8)).digest
    with pytest.raises(UserError, match="did you mean cifar_resnet"):
        named_features("resnet", (3, 32, 32))
    with pytest.raises(UserError, match=r"6726825d.pth; put it there, or give its path"):
        named_features("inception", (3, 32, 32))
    with pytest.raises(FileNotFoundError, match="no such file"):
        named_features(f"inception:{tmp_path / 'missing.pth'}", (3, 32, 32))
    (tmp_path / "wrong.pth").write_bytes(b"something else")
    with pytest.raises(ValueError, match="SHA-256 that begins with 6726825d"):
        named_features(f"inception:{tmp_path / 'wrong.pth'}", (3, 32, 32))
    with pytest.raises(UserError, match="for images"):
        named_features("mobilenet_v2", (20,))
    with pytest.raises(UserError, match="classifier:SOURCE"):
        open_features("classifier", (1, 8, 8))
    with pytest.raises(UserError, match="holds shape"):
        open_features("classifier:digits", (1, 16, 16))


class Token(nn.Module):
    """Stands in for a vision transformer: 384 numbers from each image of 224 pixels."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1:] == (3, 224, 224)
        return x.mean(dim=(2, 3)).repeat(1, 128)


def test_dinov2_prepares_images_and_says_what_is_missing(monkeypatch):
    """With a stub in the place of the network: the weights cannot be fetched here."""
    asked = []

    def create_model(name, **keywords):
        asked.append((name, keywords))
        return Token()

    monkeypatch.setitem(__import__("sys").modules, "timm", types.SimpleNamespace(create_model=create_model))
    network = dinov2("small")
    assert asked == [("vit_small_patch14_dinov2.lvd142m", {"pretrained": True, "num_classes": 0, "img_size": 224})]
    features = network(torch.full((2, 1, 8, 8), 0.5))
    assert features.shape == (2, 384)
    expected = (0.75 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(features[0, :3], expected, atol=1e-5)
    assert "ViT-S/14" in network.label
    with pytest.raises(UserError, match="small, base, large, giant"):
        dinov2("tiny")
    monkeypatch.setattr(torch.hub, "load", lambda *a, **k: (_ for _ in ()).throw(OSError("no route")))
    with pytest.raises(UserError, match=r"torch hub, but .*no route.*connect"):
        dinov2(via="hub")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UserError, match=r"package timm.*tightrope\[dino\]"):
        dinov2()


def test_progress_says_what_is_left(capsys, monkeypatch):
    from tightrope._plumbing import progress

    monkeypatch.setattr(progress, "LINE_SECONDS", 1e-9)
    shown, silent = progress.Progress(show=True), progress.Progress()
    for one in (shown, silent):
        one.stage("features of real samples", 1000)
        one.advance(256)
        one.advance(744)
        one.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("features of real samples: 256 of 1000, ") and " left" in first
    assert "1000 of 1000, 00:00 left" in second
