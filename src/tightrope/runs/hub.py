"""Trained generators onto the Hugging Face hub: a folder of weights, configuration and card."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tightrope._plumbing.files import as_path
from tightrope.runs.export import export
from tightrope.runs.remote import PREFIX, failed, library, named
from tightrope.runs.trained import load


def push_to_hub(run: Path | str, repository: str, *, step: int | str = "newest", private: bool = True) -> str:
    """Upload a run's averaged generator: ``model.safetensors``, ``config.json`` and a model card.

    ``tightrope.load("hub:owner/name")`` gives it back. The account is that of the hub library's own login.

    Args:
        run: Run folder.
        repository: ``owner/name``, made if there is none.
        step: As of :func:`tightrope.load`.
        private: Whether a repository that is made shows to nobody else.

    Returns:
        ``hub:owner/name``.

    Raises:
        UserError: Not a run folder, a malformed name, no ``huggingface_hub``, or an upload that failed.

    Example::

        runs.push_to_hub("runs/discs", "me/discs")
        images = tightrope.load("hub:me/discs").sample(16)
    """
    named(repository)
    generator, api = load(run, step=step), library().HfApi()
    with tempfile.TemporaryDirectory() as temporary:
        folder = export(generator, Path(temporary) / "model", evaluations=as_path(run))
        try:
            api.create_repo(repository, repo_type="model", private=private, exist_ok=True)
            api.upload_folder(folder_path=str(folder), repo_id=repository, repo_type="model")
        except Exception as error:  # the library's errors differ between its versions
            raise failed(f"Uploading to {PREFIX}{repository}", error) from error
    return f"{PREFIX}{repository}"
