"""Data sets of the Hugging Face hub by name: their parquet files are downloaded, nothing in them is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.optional import optional

__all__ = ["PREFIX", "download"]

PREFIX = "hub:"
_PART = re.compile(r"\w[\w.+ -]{0,199}")  # so no *, [ or ? either, which would be patterns
CONVERTED = "refs/convert/parquet"  # the hub's own conversion of data sets stored in other formats


def download(source: str) -> Path:
    """Fetch the parquet files of ``hub:owner/name`` or ``hub:owner/name/configuration``.

    Returns:
        The folder that holds them, in the hub library's own cache.

    Raises:
        UserError: without huggingface_hub, on a malformed name, a failed download, or several configurations.
    """
    owner, _, rest = source.removeprefix(PREFIX).partition("/")
    name, _, configuration = rest.partition("/")
    if not owner or not name:
        raise UserError(f"Expected hub:owner/name or hub:owner/name/configuration, got {source}; give both parts.")
    parts = [owner, name, *(configuration.split("/") if configuration else ())]
    if not all(_PART.fullmatch(part) and part.strip(".") for part in parts):
        raise UserError(
            f"Expected names of letters, digits, dots, dashes and underscores in hub:owner/name/configuration, got "
            f"{source}; leave out what else is in it, such as .. and empty parts."
        )
    huggingface_hub = optional("huggingface_hub", "hub", "the Hugging Face hub")
    pattern = f"{configuration}/*.parquet" if configuration else "*.parquet"  # * matches / as well
    for revision in (None, CONVERTED):
        folder = _snapshot(huggingface_hub, f"{owner}/{name}", revision, pattern, source)
        found = folder / configuration if folder and configuration else folder
        if found is not None and any(found.rglob("*.parquet")):
            return found if configuration else _only(found, source)
    raise UserError(f"Expected parquet files in {source}, found none; see the data set's page for its format.")


def _snapshot(hub: Any, repository: str, revision: str | None, pattern: str, source: str) -> Path | None:
    """The downloaded folder, or None if the converted branch does not exist."""
    try:
        return Path(hub.snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=[pattern]))
    except Exception as error:  # the library's errors differ between its versions
        if revision is not None:
            return None
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"Downloading {source} failed ({reason[0]}); check the name, the network and your login."
        ) from error


def _only(folder: Path, source: str) -> Path:
    """The folder, or its only configuration.

    Raises:
        UserError: if it holds several configurations.
    """
    tops = {file.relative_to(folder).parts[0] for file in folder.rglob("*.parquet")}
    below = sorted(top for top in tops if (folder / top).is_dir())
    if len(below) > 1 and not {"train", "test"} <= set(below):
        raise UserError(
            f"Expected one configuration in {source}, got {', '.join(below)}; give {source}/{below[0]}, for example."
        )
    return folder
