"""From what the user typed to a :class:`Dataset`: one function, one decision per kind of source."""

from __future__ import annotations

from pathlib import Path

from tightrope._errors import UserError
from tightrope.data.dataset import Dataset
from tightrope.data.digits import open_digits
from tightrope.data.splits import check_size
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
}
"""Built-in names and file formats with one line each, for ``tightrope list``."""


def open_data(
    source: str,
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

    Args:
        source: a name from :data:`DATASETS`, or a path.
        split: ``train`` or ``test``.
        resolution: side of the square that images are scaled and cropped to, 4 to 1024; None keeps their size.
        channels: 1 for grey, 3 for RGB, None to decide from the data.
        skip_broken: leave unreadable images out and name them in ``Dataset.broken`` instead of stopping.
        cache: folder for decoded data; None uses the default.
        limit: keep at most this many samples, chosen across the whole source.
        progress: report on stderr while decoding.

    Raises:
        UserError: on a request or a source that cannot be used, in one sentence.
        FileNotFoundError: if the path does not exist.
    """
    _check(split, resolution, channels, limit)
    if source == "digits" and resolution is None and channels is None:
        dataset = open_digits(split, limit)
    elif source.startswith("toy:"):
        dataset = open_toy(source.removeprefix("toy:"), split, limit)
    else:
        raise FileNotFoundError(f"Expected a built-in name or a path, got {source}; see tightrope list.")
    check_size(len(dataset), source)
    return dataset


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
