"""What the Hugging Face hub holds of a trained generator: its configuration and its weights, nothing that could run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.optional import optional

PREFIX = "hub:"
NAMED = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}")


def fetched(source: str) -> Path:
    """The folder of ``hub:owner/name``, in the hub library's own cache.

    Raises:
        UserError: A malformed name, no ``huggingface_hub``, or a download that failed.
    """
    repository = named(source.removeprefix(PREFIX))
    try:
        wanted = ["config.json", "model.safetensors"]
        return Path(library().snapshot_download(repository, repo_type="model", allow_patterns=wanted))
    except UserError:
        raise
    except Exception as error:  # the library's errors differ between its versions
        raise failed(f"Downloading {source}", error) from error


def named(repository: str) -> str:
    """``owner/name``, if it is of that form.

    Raises:
        UserError: It is not.
    """
    if not NAMED.fullmatch(repository):
        raise UserError(f"Expected a repository as owner/name, got {repository!r}; give both parts.")
    return repository


def library() -> Any:
    """``huggingface_hub``.

    Raises:
        UserError: It is not installed.
    """
    return optional("huggingface_hub", "hub", "the Hugging Face hub")


def failed(doing: str, error: Exception) -> UserError:
    """The sentence for what the hub did not do."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return UserError(f"{doing} failed ({reason[0]}); check the name, the network and your login.")
