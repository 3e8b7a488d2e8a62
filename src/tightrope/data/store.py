"""Decode every image of a source once, into one table of bytes."""

from __future__ import annotations

import json
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from tightrope._plumbing.cache import cache_folder
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import Progress
from tightrope.data.cache import cached, map_values, require_room
from tightrope.data.dataset import Dataset, fingerprint
from tightrope.data.files import UnreadableError
from tightrope.data.images import REMARKS, Picture, decode, fit, has_colour, require_pillow, unpacked, with_channels
from tightrope.data.source import ImageSource, Pixels, Request
from tightrope.data.splits import Rows, check_size, held_out, limited

__all__ = ["open_images"]

LARGEST = 1024  # pixels along a side
THREADS = 8
GROUP = 4  # images a thread decodes between two hand-overs
_NAMED = 3  # broken files named in a sentence


def open_images(source: ImageSource, request: Request) -> Dataset:
    """A source's images at the requested size and colour, from the cache if they were decoded before.

    Raises:
        UserError: on mixed sizes without a resolution, on broken files unless they are to be skipped, on fewer than two
            samples.
    """
    check_size(source.count, request.source)
    rows, notes = np.arange(source.count, dtype=np.int64), list(source.notes)
    if source.whole:
        rows, note = held_out(source.count, request.split)
        notes.append(note)
    rows = limited(rows, request.limit)
    choices = [request.split, request.resolution, request.channels, request.limit]
    labelled = None if source.labels is None else zlib.crc32(source.labels[rows].astype(np.int64).tobytes())
    key = json.dumps([source.identity, source.whole, source.classes, labelled, choices])
    table = cached(cache_folder(request.cache), key, lambda folder: _build(source, rows, request, folder))
    broken = tuple(table.meta["broken"])
    if broken and not request.skip_broken:
        raise UserError(_broken(broken, table.meta["reason"], len(rows), request.source))
    if broken:
        notes.append(f"{len(broken):,} of {len(rows):,} images cannot be read and are left out: {_listed(broken)}.")
    return Dataset(
        name=source.name,
        source=request.source,
        split=request.split,
        kind="images",
        values=table.values,
        labels=table.labels,
        classes=source.classes,
        fingerprint=table.meta["fingerprint"],
        broken=broken,
        notes=(*notes, *table.meta["notes"]),
    )


def _build(source: ImageSource, rows: Rows, request: Request, folder: Path) -> dict[str, Any]:
    """Write a cache entry; the facts about it."""
    if source.encoded or request.resolution is not None:
        require_pillow()
    kept: list[int] = []
    broken: list[tuple[str, str]] = []
    remarks: Counter[str] = Counter()
    pictures = _pictures(source, rows, request)
    with (
        warnings.catch_warnings(action="ignore"),
        _ImageFile(folder / "values.bin", request.channels) as file,
        Progress(show=request.progress) as progress,
    ):
        progress.stage("images", len(rows))
        for row, (name, picture) in zip(rows.tolist(), pictures, strict=True):
            if isinstance(picture, Picture):
                if not kept:
                    require_room(len(rows) * picture.pixels.size, folder.parent, f"images of {request.source}")
                file.append(picture.pixels, name)
                remarks.update(picture.remarks)
                kept.append(row)
            else:
                broken.append((name, picture))
            progress.advance()
    if not kept:
        raise UserError(
            f"None of {len(rows):,} images in {request.source} can be read, such as {broken[0][0]} ({broken[0][1]}); "
            "check the files."
        )
    ground = "with opacity" if request.channels == 4 else "on white"
    labels = None if source.labels is None else torch.from_numpy(source.labels[np.array(kept)].astype(np.int64))
    if labels is not None:
        labels.numpy().tofile(folder / "labels.bin")
    shape = (len(kept), *file.shape)
    values = map_values(folder / "values.bin", shape, np.uint8)
    return {
        "shape": shape,
        "dtype": "uint8",
        "fingerprint": fingerprint(values, labels, f"images: resolution {request.resolution}, Lanczos, {ground}"),
        "broken": [name for name, _ in broken],
        "reason": broken[0][1] if broken else "",
        "notes": [f"Images: {REMARKS[key].format(count=f'{remarks[key]:,}')}." for key in REMARKS if remarks[key]],
    }


def _pictures(source: ImageSource, rows: Rows, request: Request) -> Iterator[tuple[str, Picture | str]]:
    """Name and picture of every row, in order; for a broken one the reason instead of the picture."""

    def prepare(items: Sequence[tuple[str, Callable[[], bytes | Pixels]]]) -> list[tuple[str, Picture | str]]:
        return [(name, _picture(read, request)) for name, read in items]

    items = source.read(rows)
    threads = min(THREADS, os.cpu_count() or 1) if source.encoded or request.resolution is not None else 1
    with ThreadPoolExecutor(threads) as pool:
        while groups := [group for _ in range(2 * threads) if (group := list(islice(items, GROUP)))]:
            for prepared in pool.map(prepare, groups):
                yield from prepared


def _picture(read: Callable[[], bytes | Pixels], request: Request) -> Picture | str:
    try:
        data = read()
        alpha = request.channels == 4
        picture = decode(data, alpha=alpha) if isinstance(data, bytes) else unpacked(data, alpha=alpha)
        return picture if request.resolution is None else fit(picture, request.resolution)
    except (UnreadableError, UserError) as error:
        return str(error)
    except Exception as error:  # Pillow's decoders share no exception type, and their texts are not for users
        return (error.strerror or "" if isinstance(error, OSError) else "") or "it is damaged"


class _ImageFile:
    """Images of one size appended to a file as ``[c, h, w]``; grey until the first that is not, unless told."""

    def __init__(self, path: Path, channels: int | None) -> None:
        self._path, self._decide = path, channels is None
        self._channels = channels or 1
        self._size: tuple[int, int] = (0, 0)
        self._first = ""
        self._file = path.open("wb")

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._channels, *self._size

    def __enter__(self) -> _ImageFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()

    def append(self, pixels: Pixels, name: str) -> None:
        if not self._first:
            self._first, self._size = name, _checked_size(pixels, name)
        if pixels.shape[:2] != self._size:
            side = min(*self._size, *pixels.shape[:2])
            raise UserError(
                f"Expected images of one size, got {_size(self._size)} ({self._first}) and "
                f"{_size(pixels.shape)} ({name}); give a resolution to scale and crop them (--resolution {side})."
            )
        if self._decide and self._channels == 1 and has_colour(pixels):
            self._widen()
        if self._decide and self._channels == 1:
            pixels = pixels[:, :, :1]
        self._file.write(np.ascontiguousarray(with_channels(pixels, self._channels).transpose(2, 0, 1)).data)

    def _widen(self) -> None:
        """The first image in colour: repeat the channel of the grey ones before it."""
        self._file.close()
        grey = self._path.with_suffix(".grey")
        self._path.replace(grey)
        size = self._size[0] * self._size[1]
        self._file, self._channels = self._path.open("wb"), 3
        with grey.open("rb") as file:
            while image := file.read(size):
                self._file.write(image * 3)
        grey.unlink()


def _checked_size(pixels: Pixels, name: str) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    if not min(height, width):
        raise UserError(f"Expected images with pixels, got {name} of {_size((height, width))}; check the source.")
    if max(height, width) > LARGEST:
        raise UserError(
            f"Images of up to {LARGEST}x{LARGEST} can be trained on, but {name} is {_size((height, width))}; "
            "give a resolution to scale them down."
        )
    return height, width


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _broken(names: Sequence[str], reason: str, count: int, source: str) -> str:
    return (
        f"Expected images, but {len(names):,} of {count:,} images in {source} cannot be read: {_listed(names)} "
        f"({reason}); "
        "repair or remove them, or go on without them (--skip-broken; skip_broken=True in Python)."
    )
