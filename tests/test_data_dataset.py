"""Datasets, samplers and splits against hand-written arithmetic and loops."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tightrope._plumbing.errors import UserError
from tightrope.data import Dataset, Sampler
from tightrope.data.dataset import Batch, Mixture, fingerprint
from tightrope.data.splits import check_size, held_out, limited, shuffled


def images(n=10, shape=(1, 2, 4), labels=True):
    rng = torch.Generator().manual_seed(0)
    values = torch.randint(256, (n, *shape), dtype=torch.uint8, generator=rng)
    numbers = torch.arange(n) % 3 if labels else None
    return Dataset("x", "x", "train", "images", values, numbers, ("a", "b", "c") if labels else (), "f")


def vectors(n=10, offset=None, scale=None):
    values = torch.arange(2 * n, dtype=torch.float32).reshape(n, 2)
    return Dataset("v", "v", "train", "vectors", values, None, (), "f", offset=offset, scale=scale)


def test_images_reach_training_scale_and_back():
    data = Dataset("x", "x", "train", "images", torch.arange(256).to(torch.uint8).view(256, 1, 1, 1), None, (), "f")
    batch = data.batch(torch.arange(256))
    assert batch.x.dtype == torch.float32
    assert batch.labels is None
    np.testing.assert_array_equal(batch.x.flatten().numpy(), np.arange(256, dtype=np.float32) / np.float32(127.5) - 1)
    assert batch.x[0].item() == -1
    assert batch.x[255].item() == 1
    assert torch.equal(data.to_units(batch.x), data.values)
    assert data.to_units(torch.tensor([[[[-3.0]]], [[[3.0]]]])).flatten().tolist() == [0, 255]

    for wrong in (torch.full((1, 1, 1, 1), math.nan), torch.ones(1, 1, 1, 1, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="on the training scale"):  # NaN would be black, and 1 white
            data.to_units(wrong)


def test_flips_mirror_width_only_and_only_where_asked():
    data, flips = images(4, (3, 2, 5)), torch.tensor([True, False, True, False])
    x = data.batch(torch.tensor([3, 2, 1, 0]), flips).x
    plain = data.batch(torch.tensor([3, 2, 1, 0])).x
    for i, flip in enumerate(flips.tolist()):
        expected = plain[i].numpy()[:, :, ::-1] if flip else plain[i].numpy()
        np.testing.assert_array_equal(x[i].numpy(), expected)


def test_batch_gathers_rows_and_labels_in_order():
    data, rows = images(), torch.tensor([7, 0, 7])
    batch = data.batch(rows)
    assert torch.equal(data.to_units(batch.x), data.values[rows])
    assert batch.labels.tolist() == [1, 0, 1]


def test_a_batch_is_a_copy():
    data = vectors()
    data.batch(torch.arange(3)).x.zero_()
    assert data.values[2, 0] == 4


def test_offset_and_scale():
    data = vectors(offset=torch.tensor([1.0, 2.0]), scale=torch.tensor([2.0, 4.0]))
    x = data.batch(torch.tensor([3])).x
    assert x.tolist() == [[(6 - 1) / 2, (7 - 2) / 4]]
    assert data.to_units(x).tolist() == [[6.0, 7.0]]
    assert vectors(offset=torch.ones(2)).batch(torch.tensor([0])).x.tolist() == [[-1.0, 0.0]]
    assert vectors(scale=torch.full((2,), 2.0)).to_units(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_shape_and_length():
    assert images(7, (3, 4, 5)).shape == (3, 4, 5)
    assert len(images(7)) == 7


def test_flips_of_vectors_are_refused():
    with pytest.raises(ValueError, match="Flips need images"):
        vectors().batch(torch.arange(2), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="flip=False"):
        Sampler(vectors(), 2, seed=0, flip=True)


def test_fingerprint_depends_on_everything_and_not_on_the_piece_size(monkeypatch):
    values, labels = torch.arange(24.0).reshape(6, 4), torch.arange(6)
    base = fingerprint(values, labels, "p")
    others = [
        fingerprint(values + 1, labels, "p"),
        fingerprint(values, labels + 1, "p"),
        fingerprint(values, None, "p"),
        fingerprint(values, labels, "q"),
        fingerprint(values.reshape(4, 6), labels, "p"),
        fingerprint(values.double(), labels, "p"),
    ]
    assert len({base, *others}) == 7
    monkeypatch.setattr("tightrope.data.dataset._HASH_BYTES", 20)
    assert fingerprint(values, labels, "p") == base


# --- Sampler


def drawn(sampler, batches):
    """Rows of so many batches, by their content: images hold their own number."""
    return torch.cat([sampler.next().x.flatten() for _ in range(batches)]).tolist()


def numbered(n):
    return Dataset("n", "n", "train", "vectors", torch.arange(float(n)).view(n, 1), None, (), "f")


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 23), batch=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_every_epoch_is_a_permutation(n, batch, seed):
    rows = drawn(Sampler(numbered(n), batch, seed=seed), 4)
    for start in range(0, len(rows) - n + 1, n):
        assert sorted(rows[start : start + n]) == list(range(n))


def test_a_batch_is_a_pure_function_of_seed_and_number():
    data, first = images(11), Sampler(images(11), 4, seed=5, flip=True)
    run = [first.next() for _ in range(9)]
    for k in (6, 2, 8):
        other = Sampler(data, 4, seed=5, flip=True)
        other.load_state_dict({"batches": k})
        again = other.next()
        assert torch.equal(again.x, run[k].x)
        assert torch.equal(again.labels, run[k].labels)


def test_epochs_and_seeds_differ():
    sampler = Sampler(numbered(50), 50, seed=1)
    first, second = drawn(sampler, 1), drawn(sampler, 1)
    assert first != second
    assert first != drawn(Sampler(numbered(50), 50, seed=2), 1)
    assert second != drawn(Sampler(numbered(50), 50, seed=2), 1)  # (1, epoch 1) is not (2, epoch 0)


def test_a_set_smaller_than_a_batch():
    rows = drawn(Sampler(numbered(3), 10, seed=0), 3)
    assert len(rows) == 30
    assert all(rows.count(value) == 10 for value in range(3))


def test_state_is_a_counter_and_indices_do_not_move_it():
    sampler = Sampler(numbered(9), 4, seed=0)
    sampler.next()
    sampler.indices(17)
    assert sampler.state_dict() == {"batches": 1}
    with pytest.raises(ValueError, match="batches"):
        sampler.load_state_dict({"epoch": 1})


def test_flips_are_fair_and_differ_between_batches():
    sampler = Sampler(images(64, (1, 1, 2)), 1000, seed=0, flip=True)
    first, second = sampler._flips(0), sampler._flips(1)
    assert 440 < int(first.sum()) < 560
    assert not torch.equal(first, second)
    assert Sampler(images(), 4, seed=0)._flips(0) is None


def test_the_sampler_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Sampler(images(), 4, seed=3, flip=True).next()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("options", "words"), [((0, 0), "at least 1"), ((4, -1), "negative")])
def test_bad_sampler_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        Sampler(images(), options[0], seed=options[1])
    empty = dataclasses.replace(images(), values=torch.empty(0, 1, 2, 2, dtype=torch.uint8), labels=None)
    with pytest.raises(ValueError, match="empty"):
        Sampler(empty, 4, seed=0)


# --- splits


@pytest.mark.parametrize(("n", "test"), [(2, 1), (9, 1), (10, 1), (25, 2), (1000, 100)])
def test_held_out_splits_are_disjoint_and_complete(n, test):
    train_rows, note = held_out(n, "train")
    test_rows, _ = held_out(n, "test")
    assert len(test_rows) == test
    assert sorted([*train_rows, *test_rows]) == list(range(n))
    assert list(train_rows) == sorted(train_rows)
    assert f"{test:,} of {n:,}" in note


def test_rows_are_the_same_everywhere():
    """Written down once: a change would silently move test samples into training."""
    assert held_out(50, "test")[0].tolist() == HELD_OUT_OF_50
    assert shuffled(8, salt=0).tolist() == SHUFFLED_8


def test_limited_rows_are_spread():
    rows = np.arange(100, 1100)
    few = limited(rows, 50)
    assert len(set(few.tolist())) == 50
    assert set(few.tolist()) <= set(rows.tolist())
    assert list(few) == sorted(few)
    assert few.min() < 200
    assert few.max() > 1000
    assert limited(rows, None) is rows
    assert limited(rows, 5000) is rows


def test_check_size():
    check_size(2, "x")
    with pytest.raises(ValueError, match="at least 2 samples, but x holds 1"):
        check_size(1, "x")


HELD_OUT_OF_50 = [2, 32, 33, 42, 43]
SHUFFLED_8 = [2, 4, 6, 5, 1, 7, 0, 3]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Batch(1, None), "samples x as a tensor"),
        (lambda: Batch(np.zeros((2, 3)), None), "samples x as a tensor"),
        (lambda: Batch(torch.zeros(2, 3), [0, 1]), r"labels as int64 \[2\]"),
        (lambda: Batch(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64)), r"labels as int64 \[2\]"),
        (lambda: Batch(torch.zeros(2, 3), torch.zeros(2)), r"labels as int64 \[2\]"),
        (lambda: Mixture("a", 0.1), "means of the modes"),
        (lambda: Mixture(torch.zeros(3), 0.1), "means of the modes"),
        (lambda: Mixture(torch.zeros(3, 2, dtype=torch.int64), 0.1), "means of the modes"),
        (lambda: Mixture(torch.zeros(3, 2), None), "std"),
        (lambda: Mixture(torch.zeros(3, 2), float("nan")), "std"),
        (lambda: Mixture(torch.zeros(3, 2), -0.1), "std"),
        (lambda: dataclasses.replace(images(), kind="pictures"), "images, signals or vectors"),
        (lambda: dataclasses.replace(images(), values=images().values.float()), "uint8"),
        (lambda: dataclasses.replace(images(), values=images().values.numpy()), "tensor"),
        (lambda: dataclasses.replace(images(), labels=torch.zeros(3, dtype=torch.int64)), "one per sample"),
        (
            lambda: dataclasses.replace(images(), kind="vectors", values=torch.zeros(10, 2), scale=2.0),
            "scale as a tensor",
        ),
    ],
)
def test_records_of_wrong_parts_are_refused(make, match):
    with pytest.raises(UserError, match=match):
        make()


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_numbers_of_numpy_draw_what_those_of_python_do(kind):
    """Their products run over at the end of their range."""
    data = images(300, shape=(1, 1, 1))
    plain, other = Sampler(data, 200, seed=3), Sampler(data, kind(200), seed=kind(3))
    for k in (0, 2, 100):
        np.testing.assert_array_equal(other.indices(kind(k)), plain.indices(k))
    for _ in range(3):
        np.testing.assert_array_equal(other.next().x, plain.next().x)
