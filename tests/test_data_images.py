"""Decoding and resizing against NumPy arithmetic on known pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest

from data_cases import encoded, noise

Image = pytest.importorskip("PIL.Image")

from tightrope.data.images import REMARKS, Picture, decode, fit, has_colour, with_channels  # noqa: E402


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_come_back_exactly(kind, options, channels):
    pixels = noise(1, 5, 7, channels)[0]
    picture = decode(encoded(pixels, kind, **options))
    expected = np.repeat(pixels, 3, axis=2) if picture.pixels.shape[2] > channels else pixels  # WebP has no grey
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.remarks == frozenset()


def test_jpeg_is_decoded():
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None], (32, 1, 3))
    np.testing.assert_allclose(decode(encoded(ramp, "JPEG", quality=95)).pixels, ramp, atol=4)


def test_orientation_is_applied():
    pixels = noise(1, 4, 6)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    data = saved(Image.fromarray(pixels), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(data).pixels, np.rot90(pixels, -1))


def test_transparency_is_composed_on_white():
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0] = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]
    picture = decode(saved(Image.fromarray(rgba)))
    assert picture.remarks == {"transparent"}
    assert picture.pixels[0, :2].tolist() == [[10, 20, 30], [255, 255, 255]]
    assert np.abs(picture.pixels[0, 2].astype(int) - 127).max() <= 1


def test_an_opaque_alpha_channel_is_no_remark():
    rgba = np.concatenate([noise(1)[0], np.full((8, 8, 1), 255, np.uint8)], axis=2)
    picture = decode(saved(Image.fromarray(rgba)))
    np.testing.assert_array_equal(picture.pixels, rgba[:, :, :3])
    assert picture.remarks == frozenset()


def test_transparent_palette_and_grey():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    picture = decode(saved(palette, transparency=1))
    assert picture.pixels.tolist() == [[[255, 0, 0], [255, 255, 255]]]
    grey = Image.merge("LA", [Image.new("L", (2, 2), 40), Image.new("L", (2, 2), 0)])
    assert decode(saved(grey)).pixels.min() == 255


def test_palette_bilevel_and_cmyk():
    palette = Image.fromarray(noise(1)[0]).quantize(16)
    np.testing.assert_array_equal(decode(saved(palette)).pixels, np.asarray(palette.convert("RGB")))
    assert sorted(np.unique(decode(saved(Image.effect_noise((9, 9), 90).convert("1"))).pixels)) == [0, 255]
    assert decode(saved(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF")).pixels[0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_keep_the_full_range():
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    picture = decode(saved(Image.fromarray(values)))
    np.testing.assert_array_equal(picture.pixels[:, :, 0], np.rint(values / 257).astype(np.uint8))
    assert picture.remarks == {"deep"}
    tiff = decode(saved(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(tiff.pixels, picture.pixels)


def test_sixteen_bit_rgb_is_remarked():
    """Pillow reads such a PNG file as 8 bits; the header tells. Written by hand, as Pillow cannot write one."""
    import struct
    import zlib

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = b"\0" + np.array([[65535, 0, 32768], [256, 512, 768]], dtype=">u2").tobytes()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    picture = decode(data)
    assert picture.remarks == {"deep"}
    np.testing.assert_allclose(picture.pixels[0], [[255, 0, 128], [1, 2, 3]], atol=1)


def test_float_pixels():
    picture = decode(saved(Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "TIFF"))
    assert picture.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert picture.remarks == {"float"}
    for values in ([[0.0, 300.0]], [[np.nan, 0.0]]):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            decode(saved(Image.fromarray(np.array(values, dtype=np.float32)), "TIFF"))
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        decode(saved(Image.fromarray(np.array([[-1, 5]], dtype=np.int32)), "TIFF"))


def test_animation_uses_the_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    picture = decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert "animated" in picture.remarks


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(noise(1, 32, 32)[0])[:-900]])
def test_broken_data_raises(data):
    with pytest.raises(Exception):  # noqa: B017 - Pillow has no common type
        decode(data)


# --- size


def test_fit_keeps_the_middle_square():
    pixels = np.zeros((4, 12, 3), dtype=np.uint8)
    pixels[:, 4:8] = noise(1, 4, 4)[0]
    picture = fit(Picture(pixels), 4)
    np.testing.assert_array_equal(picture.pixels, pixels[:, 4:8])
    assert picture.remarks == {"cropped"}
    tall = fit(Picture(pixels.transpose(1, 0, 2)), 4)
    np.testing.assert_array_equal(tall.pixels, pixels[:, 4:8].transpose(1, 0, 2))


def test_fit_antialiases():
    """A checkerboard of single pixels becomes even grey; taking every fourth pixel would give 0 or 255."""
    board = np.indices((64, 64)).sum(0).astype(np.uint8) % 2 * 255
    small = fit(Picture(board[:, :, None]), 16).pixels
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 4
    assert small.shape == (16, 16, 1)


def test_fit_keeps_smooth_content_in_place():
    ramp = np.tile(np.linspace(20, 230, 90).astype(np.uint8)[None, :, None], (60, 1, 3))
    small = fit(Picture(ramp), 20).pixels.astype(float)
    middle = ramp[0, 15:75, 0].astype(float).reshape(20, 3).mean(1)
    np.testing.assert_allclose(small[10, 1:-1, 0], middle[1:-1], atol=2)


def test_fit_at_the_right_size_changes_nothing_and_enlarging_is_remarked():
    picture = Picture(noise(1)[0], frozenset({"deep"}))
    assert fit(picture, 8) is picture
    large = fit(picture, 16)
    assert large.remarks == {"deep", "enlarged"}
    assert large.pixels.shape == (16, 16, 3)
    assert set(REMARKS) >= large.remarks


# --- colour


def test_has_colour():
    grey = np.repeat(noise(1, channels=1)[0], 3, axis=2)
    assert not has_colour(grey)
    assert not has_colour(grey[:, :, :1])
    for channel in range(3):
        tinted = grey.copy()
        tinted[3, 4, channel] ^= 1
        assert has_colour(tinted)


def test_grey_is_pillows_luma_and_rgb_is_repeated():
    pixels = noise(1, 30, 30)[0]
    np.testing.assert_array_equal(with_channels(pixels, 1)[:, :, 0], np.asarray(Image.fromarray(pixels).convert("L")))
    grey = pixels[:, :, :1]
    np.testing.assert_array_equal(with_channels(grey, 3), np.concatenate([grey] * 3, axis=2))
    assert with_channels(pixels, 3) is pixels


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_pillow_is_told_the_one_format_to_try(kind, monkeypatch):
    told = []
    opened = Image.open
    monkeypatch.setattr(Image, "open", lambda data, formats=None: told.append(formats) or opened(data, formats=formats))
    decode(encoded(noise(1)[0], kind))
    assert told == [[kind]]
