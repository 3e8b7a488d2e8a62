"""NumPy files: images, signals, vectors; standardisation against NumPy; what is refused and how it is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from array_cases import opened, rows_of, saved, table
from data_cases import chw, noise
from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.data import standardise as standardise_module

pytestmark = pytest.mark.usefixtures("cache")

# --- vectors and signals


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32])
def test_vectors_are_standardised_by_the_training_rows(tmp_path, kind, dtype):
    x = (table() * 10).astype(dtype)
    arguments = ((x,), {}) if kind == "npy" else ((), {"x": x})
    train = opened(tmp_path, *arguments[0], **arguments[1])
    test = opened(tmp_path, *arguments[0], **arguments[1], options={"split": "test"})
    fitted = x[rows_of(200)].astype(np.float64)
    np.testing.assert_array_equal(train.values, fitted.astype(np.float32))
    np.testing.assert_array_equal(test.values, x[rows_of(200, "test")].astype(np.float32))
    for data in (train, test):
        assert (data.kind, data.shape) == ("vectors", (3,))
        np.testing.assert_allclose(data.offset, fitted.mean(0), rtol=1e-6)
        np.testing.assert_allclose(data.scale, fitted.std(0), rtol=1e-6)
    whole = train.batch(torch.arange(len(train))).x.double()
    np.testing.assert_allclose(whole.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(whole.std(0, correction=0), 1, atol=1e-5)
    batch = test.batch(torch.arange(5)).x
    np.testing.assert_allclose(test.to_units(batch), x[rows_of(200, "test")][:5].astype(np.float32), rtol=1e-5)


def test_signals_are_standardised_per_channel(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 2, 30)) * np.array([[3.0], [0.1]]) + np.array([[5.0], [-1.0]])
    data = opened(tmp_path, x)
    assert (data.kind, data.shape, data.offset.shape) == ("signals", (2, 30), (2, 1))
    fitted = x[rows_of(50)]
    np.testing.assert_allclose(data.offset[:, 0], fitted.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(data.scale[:, 0], fitted.std((0, 2)), rtol=1e-5)


def test_constant_features_stay_with_scale_one(tmp_path):
    x = table()
    x[:, 1] = 0.1
    data = opened(tmp_path, x)
    assert data.scale[1] == 1
    assert data.offset[1] == np.float32(0.1)
    assert (data.batch(torch.arange(9)).x[:, 1] == 0).all()
    assert "1 of 3 features are constant" in data.notes[-1]


@pytest.mark.parametrize("shape", [(40, 2), (40, 2, 6), (40, 1, 5, 7)])
def test_a_scale_too_small_for_32_bits_counts_as_constant(tmp_path, shape):
    x = np.random.default_rng(0).random(shape) * 1e-310
    data = opened(tmp_path, x)
    assert torch.isfinite(data.batch(torch.arange(len(data))).x).all()
    assert any("constant" in note for note in data.notes)


def test_a_feature_beyond_32_bits_is_noted(tmp_path):
    x = table()
    x[:, 2] += 1e9
    assert "Feature 2 varies too little" in opened(tmp_path, x).notes[-1]


def test_chunks_do_not_change_the_fit(tmp_path, monkeypatch):
    x = table(137, 4)
    whole = opened(tmp_path, x)
    monkeypatch.setattr(standardise_module, "CHUNK_BYTES", 200)
    pieces = opened(tmp_path, x)
    assert torch.equal(pieces.values, whole.values)
    np.testing.assert_allclose(pieces.offset, whole.offset, rtol=1e-6)
    np.testing.assert_allclose(pieces.scale, whole.scale, rtol=1e-6)


def test_large_tables_go_to_the_cache(tmp_path, cache, monkeypatch):
    x = table()
    loaded = opened(tmp_path, x)
    assert not cache.exists()
    monkeypatch.setattr("tightrope.data.cache.MEMORY_SHARE", 0.0)
    monkeypatch.setattr(standardise_module, "CHUNK_BYTES", 500)
    mapped = opened(tmp_path, x)
    assert len(list(cache.iterdir())) == 1
    assert torch.equal(mapped.values, loaded.values)
    assert mapped.fingerprint == loaded.fingerprint


def test_own_test_split(tmp_path):
    x, z = table(40), table(7, seed=1)
    for names in (("x_train", "x_test"), ("train_images", "test_images"), ("X_train", "X_test")):
        arrays = dict(zip(names, (x, z), strict=True))
        train, test = opened(tmp_path, **arrays), opened(tmp_path, **arrays, options={"split": "test"})
        np.testing.assert_array_equal(train.values, x.astype(np.float32))
        np.testing.assert_array_equal(test.values, z.astype(np.float32))
        np.testing.assert_allclose(test.offset, x.mean(0), rtol=1e-6)
        assert train.notes == ()


def test_single_numbers_and_limit(tmp_path):
    data = opened(tmp_path, np.arange(30.0), options={"limit": 4})
    assert (len(data), data.shape) == (4, (1,))
    np.testing.assert_allclose(data.offset, np.arange(30.0)[rows_of(30)].mean(), rtol=1e-6)  # of all training rows


def test_square_signals_are_remarked(tmp_path):
    assert "[n, height, width, 1]" in opened(tmp_path, np.random.default_rng(0).normal(size=(9, 5, 5))).notes[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite(tmp_path, bad, monkeypatch):
    monkeypatch.setattr(standardise_module, "CHUNK_BYTES", 500)  # the row is counted from the start of the file
    x = table()
    x[123, 2] = bad
    for split in ("train", "test"):
        with pytest.raises(UserError, match=r"row 123, column 2; remove or repair") as error:
            opened(tmp_path, x, options={"split": split})
        assert "\n" not in str(error.value)
    signals = np.zeros((9, 2, 5))
    signals[4, 1, 3] = bad
    with pytest.raises(UserError, match="row 4, channel 1, position 3"):
        opened(tmp_path, signals)


# --- images


@pytest.mark.parametrize("shape", ["hwc", "chw", "grey", "grey 4"])
def test_image_axes(tmp_path, shape):
    pixels = noise(20, 6, 8, 1 if "grey" in shape else 3)
    array = {"hwc": pixels, "chw": chw(pixels), "grey": pixels[..., 0], "grey 4": chw(pixels)}[shape]
    data = opened(tmp_path, array)
    np.testing.assert_array_equal(data.values, chw(pixels)[rows_of(20)])
    assert data.kind == "images"


@pytest.mark.parametrize(
    ("forward", "note"),
    [
        (lambda v: v / np.float32(255), "0..1"),
        (lambda v: v / np.float32(127.5) - 1, "-1..1"),
        (lambda v: v.astype(np.float64), "0..255"),
        (lambda v: v.astype(np.int64), ""),
        (lambda v: v.astype(np.uint16), ""),
    ],
)
def test_numbers_become_bytes(tmp_path, forward, note):
    pixels = noise(20)
    pixels[0, 0, 0], pixels[1, 0, 0] = 0, 255
    data = opened(tmp_path, forward(pixels))
    np.testing.assert_array_equal(data.values, chw(pixels)[rows_of(20)])
    assert (note in data.notes[0]) if note else len(data.notes) == 1


def test_sixteen_bit_and_boolean_images(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 4, 4, 1)).astype(np.uint16)
    data = opened(tmp_path, deep)
    np.testing.assert_array_equal(data.values, np.rint(chw(deep)[rows_of(20)] / 257))
    assert f"up to {deep.max()}" in data.notes[0]
    mask = noise(20, channels=1) > 128
    np.testing.assert_array_equal(opened(tmp_path, mask).values, chw(mask)[rows_of(20)] * 255)


def test_the_range_is_that_of_both_splits(tmp_path):
    """A training split that happens to be dark must not be read on another scale than the test split."""
    train, test = np.full((4, 4, 4, 1), 0.5), np.full((4, 4, 4, 1), 200.0)
    assert int(opened(tmp_path, x_train=train, x_test=test).values[0, 0, 0, 0]) == 0  # 0.5 of 255


LEVELS = noise(20)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (LEVELS, (LEVELS / 255).astype(np.float32), "whole numbers of 8 bits and floating-point numbers of 0..1"),
        (LEVELS / 255, LEVELS, "floating-point numbers of 0..1 and whole numbers of 8 bits"),
        (LEVELS / 255, LEVELS / 127.5 - 1, "numbers of 0..1 and floating-point numbers of -1..1"),
        (LEVELS.astype(np.float32), LEVELS / 255, "numbers of 0..255 and floating-point numbers of 0..1"),
        (LEVELS > 128, LEVELS, "booleans and whole numbers of 8 bits"),
        (LEVELS.astype(np.uint16) * 257, LEVELS, "whole numbers of 16 bits and whole numbers of 8 bits"),
    ],
)
def test_splits_on_two_scales_are_refused(tmp_path, train, test, words):
    """Read on the scale of one of them, the other would be all black, or lose half of its range."""
    for split in ("train", "test"):
        with pytest.raises(UserError, match=words):
            opened(tmp_path, x_train=train, x_test=test, options={"split": split})


def test_splits_of_two_types_on_one_scale(tmp_path):
    data = opened(tmp_path, x_train=LEVELS, x_test=chw(LEVELS).astype(np.int64), options={"split": "test"})
    np.testing.assert_array_equal(data.values, chw(LEVELS))
    data = opened(tmp_path, x_train=LEVELS / 255, x_test=(LEVELS / 255).astype(np.float16), options={"split": "test"})
    np.testing.assert_array_equal(data.values, chw(LEVELS))


def test_images_of_two_sizes_in_two_splits(tmp_path):
    with pytest.raises(UserError, match=r"one shape .* got \[8, 8, 3\] and \[9, 9, 3\]"):
        opened(tmp_path, x_train=LEVELS, x_test=noise(20, 9, 9))


# --- four axes that are no images


def spread(low, high, shape=(40, 1, 6, 10), seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape)


@pytest.mark.parametrize(
    "x",
    [
        spread(-80, 0),
        spread(0, 23),
        spread(0, 0.09),
        spread(-0.4, 0.4),
        spread(0.1, 0.6),
        spread(-300, 300),
        spread(-80, 0, (40, 2, 6, 10)),
        spread(0, 1, (40, 2, 6, 10)),  # a scale of images, and a number of channels that none has
        np.random.default_rng(0).integers(0, 4096, (40, 1, 6, 10)).astype(np.uint16),
        np.random.default_rng(0).integers(-9, 4096, (40, 1, 6, 10)),
    ],
)
@pytest.mark.parametrize("axis", [1, 3])
def test_numbers_on_four_axes_are_kept(tmp_path, x, axis):
    """Spectrograms, heights, 12-bit pixels: the values themselves, scaled by their range in the training split."""
    data = opened(tmp_path, x if axis == 1 else x.transpose(0, 2, 3, 1))
    fitted = x[rows_of(40)].astype(np.float64)
    assert (data.kind, data.shape) == ("signals", x.shape[1:])
    np.testing.assert_array_equal(data.values, fitted.astype(np.float32))
    low, high = fitted.min((0, 2, 3)), fitted.max((0, 2, 3))
    batch = data.batch(torch.arange(len(data))).x
    expected = 2 * (fitted - low.reshape(-1, 1, 1)) / (high - low).reshape(-1, 1, 1) - 1
    np.testing.assert_allclose(batch, expected, atol=2e-5)
    np.testing.assert_allclose(data.to_units(batch), fitted, rtol=1e-4, atol=1e-4)
    assert "kept as numbers" in data.notes[0]
    test = opened(tmp_path, x, options={"split": "test"})
    assert torch.equal(test.offset, data.offset)
    assert torch.equal(test.scale, data.scale)


def test_a_constant_channel_is_kept(tmp_path):
    x = spread(-80, 0, (40, 3, 4, 4))
    x[:, 1] = -7
    data = opened(tmp_path, x)
    assert (data.batch(torch.arange(9)).x[:, 1] == 0).all()
    assert "1 of 3 channels are constant" in data.notes[-2]


def test_dark_bytes_on_another_scale_are_images(tmp_path):
    """Whole levels of 256 lose nothing as bytes, however few they are."""
    dark = noise(20) // 4
    for x in (dark / 255, dark / 127.5 - 1, (dark / 255).astype(np.float16), dark.astype(np.float32)):
        data = opened(tmp_path, x)
        np.testing.assert_array_equal(data.values, chw(dark)[rows_of(20)])


def test_a_scale_can_be_written_down(tmp_path):
    """Samples of a generator that ends in tanh, by chance all bright: nothing but their maker can know."""
    x = spread(0.1, 0.9, (20, 4, 4, 3))
    data = opened(tmp_path, x=x, range=[-1, 1])
    np.testing.assert_array_equal(data.values, np.rint((chw(x)[rows_of(20)] + 1) * 127.5))
    assert "from -1..1, as the array range says" in data.notes[0]
    deep = np.random.default_rng(0).integers(0, 4096, (20, 4, 4, 1))
    data = opened(tmp_path, x=deep, range=[0, 4095])
    np.testing.assert_array_equal(data.values, np.rint(chw(deep)[rows_of(20)] / 4095 * 255))
    assert opened(tmp_path, x=x[..., 0], range=[0, 1]).shape == (1, 4, 4)
    for bad in ([0, 0.5], [1, 0], [0, 1, 2], [np.nan, 1], ["a", "b"], 3):
        with pytest.raises(UserError, match="range"):
            opened(tmp_path, x=x, range=bad)


def test_the_reading_of_floats_that_may_be_another_is_said(tmp_path):
    data = opened(tmp_path, spread(0, 1, (20, 4, 4, 3)))
    assert data.kind == "images"
    assert "from 0..1 to 0..255" in data.notes[0]
    assert "if black and white are others, save them as an array range" in data.notes[0]


def test_why_a_resolution_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds signals \(Numbers from -79.* to .* kept as numbers"):
        opened(tmp_path, spread(-80, 0), options={"resolution": 8})


def test_images_of_arrays_can_be_scaled(tmp_path):
    pytest.importorskip("PIL")
    data = opened(tmp_path, noise(9, 12, 16), options={"resolution": 6, "channels": 1})
    assert data.shape == (1, 6, 6)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((5, 8, 8, 2), np.uint8), r"1, 3 or, in bytes, 4 channels.*got shape \[5, 8, 8, 2\]"),
        (np.full((5, 8, 8, 3), -7.0), "-7 to -7; rescale"),
        (np.full((5, 8, 8, 3), 70_000), "7e\\+04; rescale"),
        (np.zeros((5, 2, 2, 2, 3)), r"got shape \[5, 2, 2, 2, 3\]"),
        (np.zeros((5, 0)), r"got shape \[5, 0\]"),
        (np.float64(3), r"got shape \[\]"),
        (np.zeros((5, 3), complex), "got complex128"),
        (np.array(["a", "b"]), "got <U1"),
        (np.zeros(4, [("a", "f4")]), "got"),
        (np.zeros((1, 4)), "at least 2 samples"),
        (np.zeros((0, 4)), "at least 2 samples"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, array, words):
    with pytest.raises(UserError, match=words) as error:
        opened(tmp_path, array)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (Path(tmp_path / "opened"),))

    from pathlib import Path

    objects = np.array([Trap(), Trap()], dtype=object)
    for path in (saved(tmp_path, objects), saved(tmp_path, x=objects), saved(tmp_path, x=table(), y=objects[:1])):
        with pytest.raises(UserError, match="unpickled"):
            open_data(path)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
@pytest.mark.parametrize("data", [b"", b"nothing", "cut"])
def test_damaged_files(tmp_path, name, data):
    path = tmp_path / name
    if data == "cut":
        (np.savez if name == "a.npz" else np.save)(path, table())
        data = path.read_bytes()[:-500]
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged|unpickled") as error:
        open_data(str(path))
    assert "\n" not in str(error.value)


def test_names_in_an_npz(tmp_path):
    x = table()
    for name in ("x", "images", "data", "arr_0", "X", "measurements"):
        assert opened(tmp_path, **{name: x, "y": np.zeros(200, int)}).shape == (3,)
    with pytest.raises(UserError, match="got first, second; rename"):
        opened(tmp_path, first=x, second=x)


def test_splits_of_different_shape(tmp_path):
    with pytest.raises(UserError, match=r"got \[3\] and \[4\]"):
        opened(tmp_path, x_train=table(), x_test=table(d=4))


def test_resolution_is_for_images(tmp_path):
    with pytest.raises(UserError, match="holds vectors"):
        opened(tmp_path, table(), options={"resolution": 8})


# --- labels


@pytest.mark.parametrize("kind", ["uint8", "int64", "uint16", "int8", "float32", "float64"])
@pytest.mark.parametrize("top", [1, 16, 60, 120, 200])
def test_a_white_below_that_of_bytes_is_said(tmp_path, kind, top):
    """As of images with 4 bits, which would otherwise train nearly black without a word."""
    values = np.random.default_rng(top).integers(0, top + 1, (20, 8, 8, 1))
    values[0, 0, 0, 0] = top
    if kind == "int8" and top > 127:
        return
    np.savez(tmp_path / "d.npz", x=values.astype(kind))
    notes = " ".join(open_data(tmp_path / "d.npz", progress=False).notes)
    if kind.startswith("float"):
        assert ("; if black and white are others, save them as an array range" in notes) == (1 < top < 64)
    else:
        assert ("read as dark ones of 0..255" in notes) == (1 < top < 64 or (kind == "int8" and top > 1))
        assert ("read as nearly black of 0..255" in notes) == (top == 1)
    np.savez(tmp_path / "e.npz", x=values.astype(kind), range=np.array([0, top]))
    given = open_data(tmp_path / "e.npz", progress=False)
    assert float(given.batch(torch.arange(len(given))).x.max()) > 0.9
