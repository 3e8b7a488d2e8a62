"""Sample pictures: image grids, scatters of vectors, lines of signals."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tightrope._plumbing import rich
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope._plumbing.optional import optional
from tightrope.drawing.png import encode_png

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]

_GAP = 2  # pixels between tiles
_GAP_SHADE = 128  # grey, so that neither a black nor a white image melts into its neighbour
_VISIBLE_EDGE = 48  # pixels a tile's longer edge is enlarged to at least
_REAL_COLOUR = (70, 110, 170)
_FAKE_COLOUR = (214, 92, 20)
CHANNELS = (1, 3, 4)
MOVING = ("gif", "webp", "mp4")
ENDINGS = "a .gif, .webp or .mp4"
_LINE_COLOURS = ((31, 92, 160), (214, 92, 20), (40, 130, 80), (130, 70, 150))


def write_grid(path: Path, images: Array | Tensor, columns: int | None = None, scale: int | None = None) -> Path:
    """Write images as one PNG, row by row.

    Args:
        path: the file.
        images: uint8 ``[n, c, h, w]`` with one or three channels, or four where the last is opacity.
        columns: images per row; by default about as many as rows.
        scale: whole factor of enlargement (nearest pixel); by default the smallest that makes the longer edge of an
            image 48 pixels or more.

    Returns:
        ``path``.

    Raises:
        UserError: for another dtype, shape or number of channels.
    """
    return _save(path, _tile(_enlarged(images, scale), columns))


def thumbnails(images: Tensor) -> str:
    """Samples of a generator as an ``img`` element for a notebook; empty for what is no image of 1, 3 or 4 channels.

    Args:
        images: ``[n, c, h, w]`` in training scale.
    """
    if images.ndim != 4 or images.shape[1] not in CHANNELS or not images.numel():
        return ""
    levels = images.detach().float().cpu().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return rich.picture(encode_png(_tile(_enlarged(levels, None), None)), "generated samples")


def write_animation(
    path: Path, frames: Iterable[Array | Tensor], *, seconds: float, columns: int | None = None
) -> Path:
    """Write grids of images one after the other, as a picture that moves and begins again.

    Args:
        path: A .gif (256 colours), a .webp, or an .mp4 (H.264, needs ``pip install 'tightrope[video]'``).
        frames: uint8 ``[n, c, h, w]`` each, as of :func:`write_grid`.
        seconds: How long each is shown.
        columns: Images per row.

    Returns:
        ``path``.

    Raises:
        UserError: Another ending, another dtype, shape or number of channels, no frames, or no package for films.
    """
    from PIL import Image

    kind = path.suffix.lower().removeprefix(".")
    if kind not in MOVING:
        raise UserError(f"Expected {ENDINGS} to write a moving picture to, got {path}; change its ending.")
    sheets = (_tile(_enlarged(frame, None), columns) for frame in frames)
    if kind == "mp4":
        return _film(path, sheets, seconds)
    pictures = [Image.fromarray(sheet) for sheet in sheets]
    if not pictures:
        raise UserError("Expected at least one frame, got none; pass some.")
    options: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "loop": 0}
    milliseconds = max(round(1000 * seconds), 1)
    return write_atomically(path, lambda file: pictures[0].save(file, kind, duration=milliseconds, **options))


def require_film() -> Any:
    """The package that writes films.

    Raises:
        UserError: It is not installed.
    """
    return optional("imageio_ffmpeg", "video", "an .mp4", package="imageio-ffmpeg", otherwise="write a .webp")


def _film(path: Path, sheets: Iterator[Array], seconds: float) -> Path:
    """Write an H.264 film, whose sides must be even: an odd one gets a grey line."""
    package, first = require_film(), next(sheets, None)
    if first is None:
        raise UserError("Expected at least one frame, got none; pass some.")
    high, wide = (side + side % 2 for side in first.shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "film.mp4"
        writer = package.write_frames(str(made), (wide, high), fps=1 / seconds, macro_block_size=1)
        writer.send(None)
        for sheet in itertools.chain([first], sheets):
            frame = np.full((high, wide, 3), _GAP_SHADE, np.uint8)
            frame[: sheet.shape[0], : sheet.shape[1]] = _opaque(sheet) if sheet.ndim == 3 else sheet[:, :, None]
            writer.send(frame.tobytes())
        writer.close()
        return write_atomically(path, made.read_bytes())


def _opaque(sheet: Array) -> Array:
    """A picture ``[h, w, 3 or 4]`` in three channels, on white."""
    if sheet.shape[2] == 3:
        return sheet
    share = sheet[:, :, 3:].astype(np.float64) / 255
    return np.rint(sheet[:, :, :3] * share + 255 * (1 - share)).astype(np.uint8)


def _enlarged(images: Array | Tensor, scale: int | None) -> Array:
    """Images as tiles ``[n, h, w, c]``, large enough to be seen."""
    values = _numpy(images)
    if values.dtype != np.uint8 or values.ndim != 4 or values.shape[1] not in CHANNELS or not values.size:
        raise UserError(
            f"write_grid expects uint8 [n, c, h, w] with 1, 3 or 4 channels, got {values.dtype} {list(values.shape)}: "
            "convert training images with Dataset.to_units first"
        )
    factor = scale or max(1, math.ceil(_VISIBLE_EDGE / max(values.shape[2:])))
    return values.transpose(0, 2, 3, 1).repeat(factor, 1).repeat(factor, 2)


def _tile(tiles: Array, columns: int | None) -> Array:
    """Tiles ``[n, h, w, c]`` as one picture ``[H, W]`` or ``[H, W, 3]`` with grey gaps."""
    count, height, width, channels = tiles.shape
    across = min(count, columns or math.ceil(math.sqrt(count)))
    down = math.ceil(count / across)
    sheet = np.full((down * (height + _GAP) + _GAP, across * (width + _GAP) + _GAP, channels), _GAP_SHADE, np.uint8)
    if channels == 4:
        sheet[:, :, 3] = 255
    for index, tile in enumerate(tiles):
        top = _GAP + (index // across) * (height + _GAP)
        left = _GAP + (index % across) * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet[:, :, 0] if channels == 1 else sheet


def write_scatter(path: Path, points: Array | Tensor, real: Array | Tensor | None = None, size: int = 480) -> Path:
    """Write vectors as a scatter, generated (orange) over real (blue), darker where there are more of them.

    With more than two coordinates both sets are shown on the two principal axes of the real ones. The frame is the
    range of the real vectors with a margin, so that pictures of one run are comparable; a generated point outside it
    is drawn on its edge. Rows with a non-finite entry are left out. Two equal sets are drawn once, as real.

    Args:
        path: the file.
        points: ``[n, d]``, generated (or real, when nothing is to be shown under them).
        real: ``[m, d]``, or nothing.
        size: width and height of the picture in pixels.

    Returns:
        ``path``.

    Raises:
        UserError: if an argument is not ``[n, d]`` or the two have different ``d``.
    """
    above = _vectors(points, "points")
    below = _vectors(real, "real") if real is not None else above[:0]
    if real is not None and above.shape[1] != below.shape[1]:
        raise UserError(
            f"write_scatter expects points and real with the same number of coordinates, got {above.shape[1]} and "
            f"{below.shape[1]}: give vectors of one data set"
        )
    if np.array_equal(above, below):
        above = above[:0]
    above, below = _flat(above, below)
    frame = below if len(below) else above
    low, high = (frame.min(0), frame.max(0)) if len(frame) else (np.zeros(2), np.ones(2))
    half = 0.5 * 1.3 * max(float((high - low).max()), 1e-12)
    canvas = np.full((size, size, 3), 255.0)
    for cloud, colour in ((below, _REAL_COLOUR), (above, _FAKE_COLOUR)):
        position = (cloud - (low + high) / 2 + half) / (2 * half)
        _shade(canvas, np.clip(position, 0.0, 1.0), colour)
    return _save(path, _framed(canvas))


def _flat(points: Array, real: Array) -> tuple[Array, Array]:
    """Both sets on two axes: themselves, the real set's principal axes, or one coordinate spread into a band."""
    if points.shape[1] == 1:
        both = []
        for cloud in (points, real):
            extent = float(np.ptp(cloud)) if len(cloud) else 1.0
            spread = (np.arange(len(cloud)) * 0.6180339887498949) % 1.0 - 0.5  # even, and the same every time
            both.append(np.stack([cloud[:, 0], 0.5 * extent * spread], 1))
        return both[0], both[1]
    frame = real if len(real) else points
    if points.shape[1] == 2 or not len(frame):
        return points[:, :2], real[:, :2]
    _, _, axes = np.linalg.svd(frame - frame.mean(0), full_matrices=True)
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]  # same signs every time
    return (points - frame.mean(0)) @ axes.T, (real - frame.mean(0)) @ axes.T


def _shade(canvas: Array, position: Array, colour: tuple[int, int, int]) -> None:
    """Lay discs of one colour over a canvas ``[s, s, 3]`` at positions in [0, 1]; overlapping discs get denser."""
    if not len(position):
        return
    size = len(canvas)
    counts, _, _ = np.histogram2d(1.0 - position[:, 1], position[:, 0], bins=size, range=((0, 1), (0, 1)))
    radius = 2 if len(position) > 2000 else 3
    density = np.zeros_like(counts)
    padded = np.pad(counts, radius)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                density += padded[radius + dy : radius + dy + size, radius + dx : radius + dx + size]
    opacity = float(np.clip(400.0 / len(position), 0.12, 0.7))
    alpha = (1.0 - (1.0 - opacity) ** density)[:, :, None]
    canvas *= 1.0 - alpha
    canvas += alpha * np.asarray(colour, float)


def write_lines(
    path: Path,
    signals: Array | Tensor,
    *,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
) -> Path:
    """Write one-dimensional signals as small line charts, one per tile, one colour per channel (at most four).

    Args:
        path: the file.
        signals: ``[n, t]`` or ``[n, c, t]``.
        columns: tiles per row; by default about as many as rows.
        limits: lowest and highest value of the vertical axis, the same in every tile; by default the range of the
            finite values. Give the limits of the real data so that the two pictures are comparable.

    Returns:
        ``path``.

    Raises:
        UserError: for another shape.
    """
    values = _numpy(signals).astype(float)
    values = values[:, None] if values.ndim == 2 else values
    if values.ndim != 3 or not values.size:
        raise UserError(
            f"write_lines expects signals [n, t] or [n, c, t], got {list(values.shape)}: reshape them first"
        )
    finite: Array = values[np.isfinite(values)]
    low, high = limits or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    tiles = [_trace(signal[: len(_LINE_COLOURS)], low, high if high > low else low + 1.0) for signal in values]
    return _save(path, _tile(np.stack(tiles), columns))


def _trace(signal: Array, low: float, high: float, height: int = 72, width: int = 120) -> Array:
    """One tile ``[height, width, 3]`` with a line per channel, two pixels thick; it breaks at non-finite values."""
    tile = np.full((height, width, 3), 255, np.uint8)
    places = np.linspace(0, signal.shape[1] - 1, 8 * width)
    for channel, colour in zip(signal, _LINE_COLOURS, strict=False):
        level = np.interp(places, np.arange(signal.shape[1]), channel)
        row = (height - 3) * (1.0 - np.clip((level - low) / (high - low), 0.0, 1.0))
        for x in range(width):
            here = row[max(0, 8 * x - 1) : 8 * x + 8][np.isfinite(row[max(0, 8 * x - 1) : 8 * x + 8])]
            if here.size:
                tile[int(here.min()) : int(here.max()) + 2, x] = colour
    return tile


def _save(path: Path, picture: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_atomically(path, encode_png(picture))


def _framed(canvas: Array) -> Array:
    picture = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    picture[[0, -1]] = picture[:, [0, -1]] = _GAP_SHADE
    return picture


def _vectors(values: Array | Tensor, name: str) -> Array:
    array = _numpy(values).astype(float)
    if array.ndim != 2 or not array.shape[1]:
        raise UserError(f"write_scatter expects {name} [n, d], got {list(array.shape)}: flatten each sample first")
    kept: Array = array[np.isfinite(array).all(1)]
    return kept


def _numpy(values: Array | Tensor) -> Array:
    if isinstance(values, np.ndarray):
        return values
    array: Array = values.detach().cpu().numpy()
    return array
