"""From what the user typed to a :class:`Dataset`: one function, one decision per kind of source."""

from __future__ import annotations

import difflib
from pathlib import Path

from tightrope._plumbing.errors import UserError, UserFileError
from tightrope._plumbing.files import expanded
from tightrope.data.archive import open_zip
from tightrope.data.arrays import open_arrays
from tightrope.data.binary import open_binary
from tightrope.data.dataset import Dataset
from tightrope.data.digits import digit_images, open_digits
from tightrope.data.folder import open_folder, walk
from tightrope.data.hub import PREFIX, download
from tightrope.data.images import SUFFIXES
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
    "FOLDER": "images, also in sub-folders: one class each, or train and test",
    "FILE.zip": "images in a zip file, laid out like a folder",
    "FILE.parquet": "image and label columns as on the Hugging Face hub; also a folder of train-* and test-* files",
    "FILE.npz, FILE.npy": "images, signals [n, channels, length] or vectors [n, d]; labels under y or labels",
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
        channels: 1 for grey, 3 for RGB, None for grey if every image of this split is. Whoever opens both splits gives
            the test split the channels that the training split turned out to have.
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
    source = str(source)
    request = Request(source, split, resolution, channels, skip_broken, cache, limit, progress)
    if source.startswith("toy:"):
        if resolution is not None or channels is not None:
            raise UserError(f"Resolution and channels are for images, but {source} holds points; leave them out.")
        return open_toy(source.removeprefix("toy:"), split, limit)
    if source == "digits" and resolution is None and channels in (None, 1):
        return open_digits(split, limit)
    found = digit_images(split) if source == "digits" else _find(request)
    return found if isinstance(found, Dataset) else open_images(found, request)


def _find(request: Request) -> ImageSource | Dataset:
    """What a path or hub name holds."""
    if request.source.startswith(PREFIX):
        folder = download(request.source)
        files = sorted(folder.rglob("*.parquet"))
        return open_parquet(files, folder, request.split, request.source.split("/")[1])
    path = expanded(request.source)
    if not path.exists():
        near = difflib.get_close_matches(request.source, list(DATASETS), n=1) or [
            name for name in DATASETS if name == f"toy:{request.source}"
        ]
        hint = f"did you mean {near[0]}?" if near else "tightrope list shows what there is."
        raise UserFileError(f"Expected a built-in name or an existing path, got {request.source}; {hint}")
    if not path.is_dir() and not path.is_file():
        raise UserError(f"Expected a file or a folder, got {path}, which is neither; give the data as a file.")
    return _folder(path, request) if path.is_dir() else _file(path, request)


def _folder(path: Path, request: Request) -> ImageSource:
    if (known := open_binary(path, request.split)) is not None:
        return known
    if parquet := [file for file in walk(path) if file.suffix.lower() == ".parquet"]:
        return open_parquet(parquet, path, request.split)
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
    if split not in ("train", "test"):
        raise UserError(f"Expected the split train or test, got {split}; choose one of the two.")
    if resolution is not None and not low <= resolution <= high:
        raise UserError(f"Expected a resolution from {low} to {high}, got {resolution}; choose one in that range.")
    if channels not in (None, 1, 3):
        raise UserError(f"Expected 1 (grey) or 3 (RGB) channels, got {channels}; choose 1 or 3, or leave it out.")
    if limit is not None and limit < 2:
        raise UserError(f"Expected a limit of at least 2 samples, got {limit}; choose a larger number.")
