"""From what the user typed to a :class:`Dataset`: one function, one decision per kind of source."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path

import numpy as np

from tightrope._plumbing.errors import UserError, UserFileError, UserTypeError
from tightrope._plumbing.files import expanded
from tightrope._plumbing.words import nearest
from tightrope.data.archive import open_zip
from tightrope.data.arrays import open_arrays
from tightrope.data.binary import open_binary
from tightrope.data.dataset import Dataset
from tightrope.data.digits import digit_images, open_digits
from tightrope.data.files import is_file, walk
from tightrope.data.folder import open_folder
from tightrope.data.hub import PREFIX, download
from tightrope.data.images import SUFFIXES
from tightrope.data.label_files import is_label_file
from tightrope.data.layout import is_image
from tightrope.data.parquet import open_parquet
from tightrope.data.source import ImageSource, Request
from tightrope.data.store import open_images
from tightrope.data.toy import open_toy

__all__ = ["DATASETS", "open_data"]

RESOLUTIONS = (4, 1024)

DATASETS: dict[str, str] = {
    "digits": "1,797 handwritten digits, 8x8 grey, 10 classes; real images that come with the package",
    "toy:ring": "8 Gaussians on a circle (2-D)",
    "toy:grid": "25 Gaussians on a 5x5 grid (2-D)",
    "toy:swissroll": "spiral with noise (2-D)",
    "toy:circle": "unit circle (2-D)",
    "toy:line": "segment of the x-axis (2-D)",
    "toy:segments": "four radial segments (2-D)",
    "toy:gaussian": "standard normal (2-D)",
    "FOLDER": "images, also in sub-folders: one class each, or train and test; labels and splits also in tables",
    "FILE.zip": "images in a zip file, laid out like a folder",
    "FILE.parquet": "image and label columns as on the Hugging Face hub; also a folder of train-* and test-* files",
    "FILE.npz, FILE.npy": "images, signals [n, channels, length] or [n, c, h, w], vectors [n, d]; labels as y",
    "MNIST": "folder or file of train-images-idx3-ubyte and so on, also .gz (MNIST, Fashion-MNIST, KMNIST, EMNIST)",
    "CIFAR": "folder of the binary version of CIFAR-10 or CIFAR-100",
    "STL-10": "folder of the binary files train_X.bin and so on",
    "hub:owner/name": "parquet files of a Hugging Face data set (needs the hub extra)",
}
"""Built-in names and file formats with one line each, for ``tightrope list``."""


def open_data(
    source: str | Path,
    *,
    split: str = "train",
    resolution: int | None = None,
    channels: int | None = None,
    skip_broken: bool = False,
    cache: Path | None = None,
    limit: int | None = None,
    progress: bool = True,
) -> Dataset:
    """Open one split of a data source.

    Images are decoded once, into a cache, as bytes. Transparent pixels are placed on white, 16 bits are reduced to 8
    over the full range, and whatever else changed an image is counted in ``Dataset.notes``. A source without a test
    split holds out a fixed tenth of its samples as one, which are not in ``train``.

    Args:
        source: ``digits``, ``toy:name``, ``hub:owner/name``, or a path to one of the formats of :data:`DATASETS`.
        split: ``train`` or ``test``.
        resolution: side of the square that images are scaled and cropped to, 4 to 1024; None keeps their size.
        channels: 1 for grey, 3 for RGB, 4 for RGB and opacity, None for grey if every image of this split is. Whoever
            opens both splits gives the test split the channels that the training split turned out to have.
        skip_broken: leave unreadable images out and name them in ``Dataset.broken`` instead of stopping.
        cache: folder for decoded data; None is TIGHTROPE_CACHE, or ``tightrope`` in the user's cache folder.
        limit: keep at most this many samples, chosen across the whole source.
        progress: report on stderr while decoding.

    Raises:
        UserError: on a request or a source that cannot be used, in one sentence.
        UserFileError: if the path does not exist.

    Example:
        >>> from tightrope.data import open_data
        >>> digits = open_data("digits")
        >>> len(digits), digits.shape, digits.kind
        (1400, (1, 8, 8), 'images')
    """
    _check(split, resolution, channels, limit)
    if not source:
        raise UserError("Expected a source of data, got an empty text; '.' is the folder you are in.")
    source = str(source)
    request = Request(source, split, resolution, channels, skip_broken, cache, limit, progress)
    data = _open(request)
    grey = data.kind == "images" and channels is None and split == "train"
    again = partial(
        open_data,
        source,
        resolution=resolution,
        channels=data.shape[0] if grey else channels,
        skip_broken=skip_broken,
        cache=cache,
        progress=progress,
    )
    return replace(data, reopen=again)


def _open(request: Request) -> Dataset:
    source, split = request.source, request.split
    if source.startswith("toy:"):
        if request.resolution is not None or request.channels is not None:
            raise UserError(f"Resolution and channels are for images, but {source} holds points; leave them out.")
        return open_toy(source.removeprefix("toy:"), split, request.limit)
    if source == "digits" and request.resolution is None and request.channels in (None, 1):
        return open_digits(split, request.limit)
    try:
        found = digit_images(split) if source == "digits" else _find(request)
        return found if isinstance(found, Dataset) else open_images(found, request)
    except FileNotFoundError as error:
        if error.errno is None:  # said below, in a sentence
            raise
        raise _unreadable(request, error) from error
    except OSError as error:
        raise _unreadable(request, error) from error


def _find(request: Request) -> ImageSource | Dataset:
    """What a path or hub name holds."""
    if request.source.startswith(PREFIX):
        folder = download(request.source)
        files = sorted(folder.rglob("*.parquet"))
        return open_parquet(files, folder, request.split, request.source.split("/")[1])
    path = _path(request.source)
    if not path.is_dir() and not path.is_file():
        raise UserError(f"Expected a file or a folder, got {path}, which is neither; give the data as a file.")
    return _folder(path, request) if path.is_dir() else _file(path, request)


def _path(source: str) -> Path:
    """The path of a file or folder that is there."""
    if not source.strip():
        raise UserError("Expected a built-in name or a path, got an empty one; tightrope list shows what there is.")
    try:
        path = expanded(source)
        path.lstat()
        there = path.exists()  # not if it is a link that leads nowhere
    except (FileNotFoundError, NotADirectoryError):
        there = False
    except UserError:
        raise
    except ValueError as error:  # a character that no name can have
        raise UserError(
            f"Expected a built-in name or a path, got {source}, which can be neither; correct it."
        ) from error
    if not there:
        near = f"toy:{source}" if f"toy:{source}" in DATASETS else nearest(source[:200], DATASETS)
        hint = f"did you mean {near}?" if near else "tightrope list shows what there is."
        raise UserFileError(f"Expected a built-in name or an existing path, got {source}; {hint}")
    return path


def _unreadable(request: Request, error: OSError) -> UserError:
    where = request.source if error.filename is None else os.fsdecode(error.filename)
    reason = error.strerror or type(error).__name__
    return UserError(f"Expected data in {request.source[:500]}, but {where[:500]} cannot be read ({reason}); check it.")


def _folder(path: Path, request: Request) -> ImageSource:
    if (known := open_binary(path, request.split)) is not None:
        return known
    names = [file.relative_to(path).as_posix() for file in walk(path)]
    parquet = [path / name for name in names if name.lower().endswith(".parquet") and is_file(path / name)]
    images = sum(map(is_image, names))
    tables = [file for file in parquet if is_label_file(file.name)] if images else []
    if len(parquet) > len(tables):
        found = open_parquet([file for file in parquet if file not in tables], path, request.split)
        note = f"{images:,} image files beside the parquet files are not used."
        return replace(found, notes=(*found.notes, note)) if images else found
    return open_folder(path, request.split)


def _file(path: Path, request: Request) -> ImageSource | Dataset:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return open_zip(path, request.split)
    if suffix == ".parquet":
        return open_parquet([path], path, request.split)
    if suffix in (".npy", ".npz"):
        return open_arrays(path, request)
    if (known := open_binary(path, request.split)) is not None:
        return known
    with path.open("rb") as file:
        pickled = suffix in (".pkl", ".pickle", ".pt", ".pth") or file.read(1) == b"\x80"
    if pickled:
        raise UserError(
            f"Expected plain data, but {path} is a Python pickle, which can run code when it is opened and is never "
            "read; save it as .npz, or download the binary version."
        )
    if suffix in (".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"):
        raise UserError(f"Expected a zip file or a folder, got the archive {path}; unpack it and give the folder.")
    if suffix in SUFFIXES:
        raise UserError(f"Expected many images, got the single image {path}; give the folder that holds them.")
    if suffix in (".csv", ".tsv", ".txt", ".json", ".h5", ".hdf5", ".mat"):
        raise UserError(f"Expected one of the formats of tightrope list, got {path}; save the numbers as .npz.")
    raise UserError(f"Expected one of the formats of tightrope list, got {path}; convert it, for example to .npz.")


def _check(split: str, resolution: int | None, channels: int | None, limit: int | None) -> None:
    low, high = RESOLUTIONS
    for name, number in (("resolution", resolution), ("limit", limit)):
        if number is not None and (not isinstance(number, Integral) or isinstance(number, bool)):
            raise UserTypeError(f"Expected the {name} as a whole number, got {number!r}; give an integer.")
    if split not in ("train", "test"):
        raise UserError(f"Expected the split train or test, got {split}; choose one of the two.")
    if resolution is not None and not low <= resolution <= high:
        raise UserError(f"Expected a resolution from {low} to {high}, got {resolution}; choose one in that range.")
    if channels not in (None, 1, 3, 4):
        raise UserError(
            f"Expected 1 (grey), 3 (RGB) or 4 (RGB and opacity) channels, got {channels}; choose one, or leave it out."
        )
    if limit is not None and limit < 2:
        raise UserError(f"Expected a limit of at least 2 samples, got {limit}; choose a larger number.")


def image_sizes(source: str | Path, *, most: int = 48) -> list[tuple[int, int]]:
    """Height and width of up to ``most`` images of a source, read from their headers; none of other data.

    They stand in six places and side by side there, so that of a large file only some parts are read.

    Files that cannot be read are passed over: opening the data says what is wrong with them.

    Args:
        source: As of :func:`open_data`.
        most: How many are looked at.

    Raises:
        UserError: The source cannot be used.
    """
    source = str(source)
    if source == "digits" or source.startswith("toy:"):
        return []
    found = _find(Request(source, progress=False))
    if isinstance(found, Dataset):
        return []
    from PIL import Image

    sizes = []
    each = max(most // 6, 1)
    places = np.linspace(0, max(found.count - each, 0), 6).astype(np.int64)
    rows = np.unique((places[:, None] + np.arange(each)).clip(0, found.count - 1))
    for _, read in found.read(rows):
        with contextlib.suppress(OSError, SyntaxError, ValueError, UserError, Image.DecompressionBombError):
            content = read()
            if isinstance(content, np.ndarray):
                sizes.append((content.shape[0], content.shape[1]))
            else:
                with Image.open(io.BytesIO(content)) as picture:
                    sizes.append((picture.height, picture.width))
    return sizes
