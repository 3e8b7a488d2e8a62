"""From an encoded picture to pixels: what happens to transparency, bit depth, size and colour.

Everything that changes an image beyond decoding is counted by a remark, and the user is told once per data set.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tightrope._plumbing.optional import optional
from tightrope.data.files import UnreadableError, require_memory
from tightrope.data.source import Pixels

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "REMARKS",
    "SUFFIXES",
    "Picture",
    "decode",
    "fit",
    "has_colour",
    "require_pillow",
    "unpacked",
    "with_channels",
]

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2"}
)
"""Endings, in lower case, of the files that count as images."""

REMARKS = {
    "transparent": "{count} with transparent pixels were placed on white",
    "deep": "{count} with 16 bits per pixel were reduced to 8, the full range 0..65535 to 0..255",
    "float": "{count} with floating-point pixels were scaled from 0..1 to 0..255 and rounded",
    "animated": "{count} are animations, of which the first frame is used",
    "cropped": "{count} are not square and lost their ends: the middle square is used",
    "enlarged": "{count} are smaller than the resolution and were enlarged",
}
"""What happened to an image -> how the user is told."""

PIXEL_SHARE = 1 / 16
"""Of memory, for the pixels of one image; several threads decode one each."""

_PNG = b"\x89PNG\r\n\x1a\n"
_STARTS = {
    _PNG: "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  ": "JPEG2000",
    **{b"P%d" % kind: "PPM" for kind in range(1, 7)},
}
"""First bytes of the formats that are read. Pillow is told which one it is: left to guess, it would also try formats
for which it starts other programs."""
_PNG_DEPTH = 24  # where a PNG file keeps its bits per pixel


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded image: uint8 ``[h, w, c]`` with c = 1, 3 or 4, and keys of :data:`REMARKS`."""

    pixels: Pixels
    remarks: frozenset[str] = frozenset()


def require_pillow() -> None:
    """Check that Pillow can be imported.

    Raises:
        UserError: with the command that installs it.
    """
    optional("PIL.Image", "images", "decoding and resizing images", package="Pillow")


def decode(data: bytes, *, alpha: bool = False) -> Picture:
    """Decode one image file; its EXIF orientation is applied.

    Args:
        data: the file's content.
        alpha: keep transparency as a fourth channel, instead of placing the image on white.

    Raises:
        UnreadableError: if its first bytes are of none of these formats, or its pixels have no agreed meaning (32-bit
            integers, floats outside 0..1).
        Exception: whatever Pillow raises on broken data; it has no common type.
    """
    from PIL import ExifTags, Image, ImageOps

    kind = _kind(data)
    Image.preinit()
    if kind not in Image.OPEN:
        Image.init()
    if kind not in Image.OPEN:
        raise UnreadableError(f"{kind} is not read by the Pillow that is installed")
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        require_memory(4 * image.width * image.height, "the pixels", PIXEL_SHARE)
        remarks = {"animated"} if getattr(image, "is_animated", False) else set()
        if data.startswith(_PNG) and data[_PNG_DEPTH] == 16:
            remarks.add("deep")
        image.load()
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith(("I", "F")):
            pixels, remark = _numeric(np.asarray(image), image.mode)
            remarks.add(remark)
        elif image.has_transparency_data:
            pixels, said = _see_through(image, alpha)
            remarks |= said
        else:
            mode = "L" if image.mode in ("1", "L") else "RGB"
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return Picture(pixels if pixels.ndim == 3 else pixels[:, :, None], frozenset(remarks))


def unpacked(pixels: Pixels, *, alpha: bool = False) -> Picture:
    """Pixels ``[h, w, c]`` of an array as a picture; a fourth channel is opacity, as in an image file.

    Args:
        pixels: uint8 with c = 1, 3 or 4.
        alpha: keep opacity, instead of placing the image on white.
    """
    if pixels.shape[2] != 4:
        return Picture(pixels)
    require_pillow()
    from PIL import Image

    return Picture(*_see_through(Image.fromarray(np.ascontiguousarray(pixels)), alpha))


def _kind(data: bytes) -> str:
    """The format of an image file by its first bytes.

    Raises:
        UnreadableError: if it is none that is read.
    """
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        if {b"avif", b"avis"} & {data[at : at + 4] for at in (8, 16, 20, 24, 28)}:
            return "AVIF"
        raise UnreadableError("a HEIC image or a film, which is not read; convert it to JPEG or PNG")
    raise UnreadableError("no image of a format that is read" if data else "an empty file")


def fit(picture: Picture, resolution: int) -> Picture:
    """Scale the shorter side to the resolution and keep the middle square, with Lanczos antialiasing.

    Args:
        picture: any size.
        resolution: side of the result in pixels.
    """
    from PIL import Image

    height, width = picture.pixels.shape[:2]
    remarks = set(picture.remarks)
    if height == width == resolution:
        return picture
    if height != width:
        remarks.add("cropped")
    if min(height, width) < resolution:
        remarks.add("enlarged")
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    grey = picture.pixels.shape[2] == 1
    image = Image.fromarray(picture.pixels[:, :, 0] if grey else picture.pixels)
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box))
    return Picture(pixels[:, :, None] if grey else pixels, frozenset(remarks))


def has_colour(pixels: Pixels) -> bool:
    """Whether any pixel of ``[h, w, c]`` is not a shade of grey."""
    if pixels.shape[2] == 1:
        return False
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    return bool((red != green).any() or (green != blue).any())


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Grey to RGB by repetition, RGB to grey by ITU-R 601 luma, opaque where opacity is wanted and was not there.

    Args:
        pixels: ``[h, w, 1, 3 or 4]``; 4 only where 4 are wanted.
        channels: of the result ``[h, w, channels]``.
    """
    if pixels.shape[2] == channels:
        return pixels
    if channels == 4:
        colour = with_channels(pixels, 3)
        return np.concatenate([colour, np.full_like(colour[:, :, :1], 255)], axis=2)
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    luma = pixels.astype(np.uint32) @ np.array([19_595, 38_470, 7_471], dtype=np.uint32)
    return ((luma + 32_768) >> 16).astype(np.uint8)[:, :, None]


def _numeric(values: Any, mode: str) -> tuple[Pixels, str]:
    """Pixels that are not bytes, and the remark to make."""
    low, high = values.min(), values.max()
    if mode.startswith("F"):
        if not (low >= 0 and high <= 1):
            raise UnreadableError(f"floating-point pixels from {low:.3g} to {high:.3g}, expected 0 to 1")
        return np.rint(values * 255).astype(np.uint8), "float"
    if low < 0 or high > 65_535:
        raise UnreadableError(f"integer pixels from {low} to {high}, expected 0 to 65535")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8), "deep"


def _see_through(image: Image.Image, alpha: bool) -> tuple[Pixels, frozenset[str]]:
    """The pixels of an image with transparency, with it or composed on white, and the remark to make."""
    from PIL import Image

    if alpha:
        pixels = np.array(image.convert("RGBA"))
        pixels[pixels[:, :, 3] == 0, :3] = 255  # nobody sees the colour of what is not there
        return pixels, frozenset()
    layered = image.convert("RGBA")
    lowest = layered.getchannel("A").getextrema()[0]
    white = Image.new("RGBA", layered.size, "white")
    composed = np.asarray(Image.alpha_composite(white, layered).convert("RGB"))
    return composed, frozenset({"transparent"} if lowest != 255 else ())
