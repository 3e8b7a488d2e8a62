from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.data import Dataset, open_data
from tightrope.evaluation import MEASURES, METRICS, Samples, evaluate, expected_seconds
from tightrope.evaluation.features import FeatureNetwork, random_convolutions
from tightrope.evaluation.features.network import weights_digest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TIGHTROPE_CACHE", str(folder))
    return folder


def rows_of(data: Dataset, keep: Tensor | None = None):
    """A perfect generator: samples drawn from the data, or from some of its rows."""
    rows = torch.arange(len(data)) if keep is None else keep.nonzero()[:, 0]

    def sample(n: int, seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return data.batch(rows[torch.randint(len(rows), (n,), generator=rng)]).x

    return sample


def noisy(sample, amount: float):
    def changed(n: int, seed: int) -> Tensor:
        x = sample(n, seed)
        return x + amount * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))

    return changed


def features_of_all(network: FeatureNetwork, data: Dataset) -> Tensor:
    samples = Samples((data,), data.split)
    return network(samples.batch(samples.chosen(len(data), 0)))


def by_name(measurements):
    return {measurement.name: measurement for measurement in measurements}


@pytest.fixture(scope="module")
def digits():
    return open_data("digits", split="train"), open_data("digits", split="test")


@pytest.fixture(scope="module")
def ring():
    return open_data("toy:ring", split="train"), open_data("toy:ring", split="test")


@pytest.fixture(scope="module")
def nearest(digits):
    """A feature network with a head that needs no training: distances to the mean image of each class."""
    train, _ = digits
    x = train.batch(torch.arange(len(train))).x.flatten(1)
    means = torch.stack([x[train.labels == label].mean(0) for label in range(10)])
    return FeatureNetwork(
        name="class means",
        digest=weights_digest({"means": means}),
        dimension=10,
        preprocessing="training scale",
        features=lambda x: -(x.flatten(1)[:, None] - means).square().sum(-1),
        head=lambda features: features,
    )


def test_points_of_the_ring_reach_the_floor(ring):
    train, test = ring
    found = by_name(evaluate(rows_of(train), train, test, n=400, seed=1))
    assert list(found) == ["wasserstein1", "modes", "high_quality"]
    w1 = found["wasserstein1"]
    assert w1.value < 2 * w1.floor
    assert (w1.protocol.n_real, w1.protocol.n_fake) == (400, 400)
    assert found["modes"].value == found["modes"].floor == 8
    assert found["high_quality"].value > 0.97


def test_points_move_the_right_way(ring):
    train, test = ring
    half = (train.values[:, 0] > 0.3).logical_and(train.values[:, 1] > -0.3)
    good, lost, far = (
        by_name(evaluate(sample, train, test, n=300))
        for sample in (rows_of(train), rows_of(train, half), noisy(rows_of(train), 0.3))
    )
    assert lost["modes"].value == 2
    assert lost["wasserstein1"].value > far["wasserstein1"].value > good["wasserstein1"].value
    assert far["high_quality"].value < 0.1
    assert lost["high_quality"].value > 0.97


def test_images_in_given_features(digits, nearest):
    train, test = digits
    samples = {
        "good": rows_of(train),
        "noise": noisy(rows_of(train), 0.5),
        "more noise": noisy(rows_of(train), 1.0),
        "half": rows_of(train, train.labels < 5),
        "one": rows_of(train, train.labels == 3),
    }
    found = {name: by_name(evaluate(sample, train, test, n=500, features=nearest)) for name, sample in samples.items()}
    frechet = {name: value["frechet"].value for name, value in found.items()}
    assert frechet["good"] < 3 * found["good"]["frechet"].floor
    assert len({value["frechet"].floor for value in found.values()}) == 1
    assert frechet["good"] < frechet["noise"] < frechet["more noise"]
    assert frechet["good"] < frechet["half"] < frechet["one"]
    classes = found["half"]["classes"]
    assert found["good"]["classes"].value == classes.floor == 10
    assert 5 <= classes.value < 10
    assert any("Missing" in note for note in classes.notes)


def test_the_protocol_tells_everything(digits, nearest):
    train, test = digits
    (measurement,) = evaluate(rows_of(train), train, test, n=300, seed=5, features=nearest, metrics=["frechet"])
    protocol = measurement.protocol
    assert (protocol.metric, protocol.n_real, protocol.n_fake, protocol.split, protocol.seed) == (
        "frechet",
        len(test),
        300,
        "test",
        5,
    )
    assert nearest.digest[:12] in protocol.features
    assert "8 bits" in protocol.preprocessing
    other = evaluate(rows_of(train), train, test, n=300, seed=6, features=nearest, metrics=["frechet"])[0]
    with pytest.raises(UserError, match="seed"):
        measurement.compare(other)
    again = evaluate(rows_of(train), train, test, n=300, seed=5, features=nearest, metrics=["frechet"])[0]
    assert measurement == again


def test_generated_images_are_rounded_like_stored_ones(digits, nearest):
    train, test = digits
    plain, shaken = (
        evaluate(sample, train, test, n=200, features=nearest, metrics=["frechet"])[0].value
        for sample in (rows_of(train), lambda n, seed: rows_of(train)(n, seed) + 0.9 / 255)
    )
    assert plain == shaken


def test_images_without_labels_use_random_convolutions(digits):
    train, test = (dataclasses.replace(d, labels=None, classes=()) for d in digits)
    found = evaluate(rows_of(train), train, test, n=500)
    assert [m.name for m in found] == ["frechet"]
    assert random_convolutions(train.shape).digest[:12] in found[0].protocol.features
    assert not any("singular" in note for note in found[0].notes)
    few = evaluate(rows_of(train), train, test, n=100)[0]
    assert any("singular" in note for note in few.notes)


def test_longer_vectors_use_their_own_frechet_distance():
    train = open_data("toy:gaussian", split="train")
    values = torch.randn(600, 20, generator=torch.Generator().manual_seed(0))
    train = dataclasses.replace(train, values=values[:400])
    test = dataclasses.replace(train, values=values[400:], split="test")
    (found,) = evaluate(rows_of(train), train, test)
    assert found.name == "frechet"
    assert found.protocol.features.startswith("identity")
    assert found.protocol.n_fake == 400


def test_no_floor_without_enough_training_samples(ring):
    train = dataclasses.replace(ring[0], values=ring[0].values[:100])
    found = by_name(evaluate(rows_of(train), train, ring[1], n=200))
    assert all(m.floor is None for m in found.values())


@pytest.mark.parametrize("n", [10**13, 2**62])
def test_more_samples_than_memory_holds_are_refused_before_any_is_made(ring, digits, n):
    def never(count, seed):
        raise AssertionError("a sample was asked for")

    for data, metrics in ((ring, None), (digits, ["frechet"]), (digits, ["sliced_wasserstein"])):
        with pytest.raises(UserError, match=r"to fit into memory, got .* samples; give a smaller n"):
            evaluate(never, *data, n=n, metrics=metrics)


def test_the_global_generator_is_left_alone(ring):
    before = torch.get_rng_state()
    evaluate(rows_of(ring[0]), *ring, n=50)
    assert torch.equal(before, torch.get_rng_state())


def test_samples_are_asked_for_in_one_fixed_way(ring):
    calls = []

    def sample(n: int, seed: int) -> Tensor:
        calls.append((n, seed))
        return torch.zeros(n, 2)

    evaluate(sample, *ring, n=600, seed=3, metrics=["modes"])
    assert [n for n, _ in calls] == [256, 256, 88]
    assert len({seed for _, seed in calls}) == 3
    first = list(calls)
    calls.clear()
    evaluate(sample, *ring, n=512, seed=3, metrics=["modes"])
    assert calls == first[:2]


def test_refusals_say_what_to_do(ring, digits):
    train, test = ring
    with pytest.raises(UserError, match=r"one of .*frechet.*'swd' was asked for"):
        evaluate(rows_of(train), train, test, metrics=["swd"])
    with pytest.raises(UserError, match=r"fid is the name of frechet .*inception\(path\)"):
        evaluate(rows_of(train), train, test, metrics=["fid"])
    with pytest.raises(UserError, match="or frechet instead"):
        evaluate(rows_of(digits[0]), *digits, metrics=["wasserstein1"])
    with pytest.raises(UserError, match="known modes"):
        evaluate(rows_of(digits[0]), *digits, metrics=["modes"])
    with pytest.raises(UserError, match="with labels"):
        evaluate(rows_of(train), train, test, metrics=["classes"])
    with pytest.raises(UserError, match="n is 1"):
        evaluate(rows_of(train), train, test, n=1)
    with pytest.raises(ValueError, match=r"shape \(100, 2\), but it returned \(100, 3\)"):
        evaluate(lambda n, seed: torch.zeros(n, 3), train, test, n=100)
    with pytest.raises(ValueError, match="100 of 100 hold NaN"):
        evaluate(lambda n, seed: torch.zeros(n, 2) / 0, train, test, n=100)
    assert set(METRICS) >= {"frechet", "wasserstein1", "modes", "classes"}


def test_every_other_metric_of_images(digits, nearest):
    train, test = digits
    names = [name for name, one in MEASURES.items() if one.on != "points"]
    copies, noise = (
        by_name(evaluate(sample, train, test, n=500, features=nearest, metrics=names))
        for sample in (rows_of(train), noisy(rows_of(train), 0.5))
    )
    assert list(copies) == names
    for name in ("frechet", "kernel", "sliced_wasserstein"):
        assert noise[name].value > copies[name].value
        assert copies[name].value < noise[name].floor + 0.5 * (noise[name].value - noise[name].floor)
    for name in ("precision", "recall", "density", "coverage", "classifier_score"):
        assert noise[name].value < copies[name].value
        assert noise[name].value < noise[name].floor
    assert copies["memorisation"].value == 1.0
    assert "500 of 500 samples equal one of 1400" in copies["memorisation"].notes[0]
    assert noise["memorisation"].value < 0.6
    assert copies["held_out_gap"].protocol.n_real == len(test)
    for name in ("frechet", "kernel", "classifier_score"):
        low, high = noise[name].interval
        assert low < noise[name].value < high


def test_the_neighbour_metrics_agree_with_their_function(digits, nearest):
    from tightrope.metrics import precision_recall_density_coverage

    train, test = digits
    found = by_name(
        evaluate(rows_of(train), train, test, n=len(train), features=nearest, metrics=["recall", "density"])
    )
    real, control = (features_of_all(nearest, data) for data in (test, train))
    scores = precision_recall_density_coverage(real, control)
    assert found["recall"].floor == pytest.approx(scores.recall)
    assert found["density"].floor == pytest.approx(scores.density)


def test_held_out_gap_is_the_difference_of_two_distances(digits, nearest):
    from tightrope.metrics import frechet_distance

    train, test = digits
    (gap,) = evaluate(noisy(rows_of(train), 0.3), train, test, n=600, features=nearest, metrics=["held_out_gap"])
    (distance,) = evaluate(noisy(rows_of(train), 0.3), train, test, n=600, features=nearest, metrics=["frechet"])
    assert gap.value < distance.value
    control = features_of_all(nearest, train)[: len(test)]
    assert frechet_distance(features_of_all(nearest, test), control) > 0


def test_real_features_and_floors_are_kept(digits, nearest, cache):
    train, test = digits
    passes = []

    def counted(x: Tensor) -> Tensor:
        passes.append(len(x))
        return nearest.features(x)

    network = dataclasses.replace(nearest, features=counted)
    settings = {"n": 256, "features": network, "metrics": ["frechet", "coverage"]}
    first = evaluate(rows_of(train), train, test, **settings)
    cold = len(passes)
    passes.clear()
    assert evaluate(rows_of(train), train, test, **settings) == first
    assert cold == 4
    assert len(passes) == 1  # the generated samples alone
    files = sorted(path.name for path in (cache / "references").iterdir())
    assert len(files) == 4
    evaluate(rows_of(train), train, test, **{**settings, "seed": 1})
    assert len(passes) == 1 + 1 + 1  # generated samples and another choice of training samples
    other = dataclasses.replace(network, digest="0" * 64)
    passes.clear()
    evaluate(rows_of(train), train, test, **{**settings, "features": other})
    assert len(passes) == cold


@pytest.mark.parametrize("damage", ["nonsense", "zeros", "byte"])
def test_a_damaged_reference_is_computed_again(digits, nearest, cache, damage):
    train, test = digits
    first = evaluate(rows_of(train), train, test, n=100, features=nearest, metrics=["frechet"])
    for path in (cache / "references").iterdir():
        data = bytearray(path.read_bytes())
        if damage == "nonsense":
            data = b"nonsense"
        elif damage == "zeros":
            data[-len(data) // 3 :] = bytes(len(data) // 3 + (len(data) % 3 > 0))
        else:
            data[-2] ^= 0x40
        path.write_bytes(data)
    assert evaluate(rows_of(train), train, test, n=100, features=nearest, metrics=["frechet"]) == first


def test_the_time_is_estimated_before(digits, ring, nearest):
    import time

    def slow(n: int, seed: int) -> Tensor:
        time.sleep(0.002 * n)
        return rows_of(digits[0])(n, seed)

    settings = {"features": nearest, "metrics": ["frechet", "coverage", "memorisation"]}
    few, many = (expected_seconds(slow, *digits, n=n, **settings) for n in (100, 1000))
    assert few > 0.2
    assert many > 2.0
    assert many > 4 * few
    assert expected_seconds(rows_of(ring[0]), *ring, n=500) > 0
    before = torch.get_rng_state()
    assert expected_seconds(rows_of(digits[0]), *digits) > 1  # the classifier has yet to be trained
    unlabelled = tuple(dataclasses.replace(d, labels=None, classes=()) for d in digits)
    assert expected_seconds(rows_of(digits[0]), *unlabelled) > 0
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(UserError, match="n is 1"):
        expected_seconds(slow, *digits, n=1)


def test_any_first_part_of_the_real_samples_is_a_random_one(ring):
    """A test split in order, longer than the generated set: its head alone would be one mode."""
    order = torch.argsort(ring[1].values[:1500, 0])
    test = dataclasses.replace(ring[1], values=ring[1].values[:1500][order], fingerprint="in order")
    (found,) = evaluate(rows_of(ring[0]), ring[0], test, n=300, metrics=["wasserstein1"])
    assert max(found.value, found.floor) < 0.6  # the head of the ordered split alone lies more than 1 away
