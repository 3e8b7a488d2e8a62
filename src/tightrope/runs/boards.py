"""Where curves and pictures of a run also go, beside its own records: TensorBoard, Weights & Biases."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.optional import optional
from tightrope.runs.config import Config

PACKAGES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}
"""By option and extra, the module behind it."""


class Board(Protocol):
    """What a run asks of a board; ``seen`` is the number of real images seen."""

    def scalars(self, values: Mapping[str, float], seen: int) -> None:
        """Show points of curves."""

    def picture(self, path: Path, images: Tensor | None, seen: int) -> None:
        """Show samples: the file that the run wrote of them, or the images ``[n, c, h, w]``, uint8, if they are."""

    def flush(self) -> None:
        """Write what is held back."""

    def close(self) -> None:
        """Let go."""


def module_of(name: str) -> Any:
    """The module behind ``tensorboard`` or ``wandb``.

    Raises:
        UserError: Its package is not installed.
    """
    return optional(PACKAGES[name], name, f"--{name}", package=name)


class TensorBoard:
    """Event files in ``RUN/tensorboard``; events of steps that are run again are dropped."""

    def __init__(self, folder: Path, images_seen: int) -> None:
        writer = module_of("tensorboard").SummaryWriter
        self.writer = writer(str(folder / "tensorboard"), purge_step=images_seen + 1 if images_seen else 0)

    def scalars(self, values: Mapping[str, float], seen: int) -> None:
        """Show points of curves."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, seen)

    def picture(self, path: Path, images: Tensor | None, seen: int) -> None:
        """Show images ``[n, c, h, w]``, uint8; other samples are no pictures here."""
        if images is not None:
            self.writer.add_images("samples", images[:, :3], seen)

    def flush(self) -> None:
        """Write what is held back."""
        self.writer.flush()

    def close(self) -> None:
        """Let go."""
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, of the project ``WANDB_PROJECT`` or ``tightrope``.

    ``offline`` writes into ``RUN/wandb``, which ``wandb sync`` uploads; only ``online`` talks to a server. A run that
    is resumed goes on under the same id, and what had been shown of steps that are run again stays, being the same.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.wandb = module_of("wandb")
        key = f"{folder.resolve()} {config.data.fingerprint} {config.method.name} {config.training.seed}"
        try:
            self.run = self.wandb.init(
                project=os.environ.get("WANDB_PROJECT", "tightrope"),
                dir=str(folder),
                name=folder.name,
                id=hashlib.sha256(key.encode()).hexdigest()[:16],
                resume="allow",
                mode=config.training.wandb,
                config=config.to_json(),
            )
        except Exception as error:  # of many kinds: no login, no network, no right to the project
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UserError(
                f"Weights & Biases begins no run ({reason}); log in with wandb login, or use --wandb offline."
            ) from error

    def scalars(self, values: Mapping[str, float], seen: int) -> None:
        """Show points of curves."""
        self.run.log(dict(values), step=seen)

    def picture(self, path: Path, images: Tensor | None, seen: int) -> None:
        """Show the file, whatever kind of samples it is of."""
        self.run.log({"samples": self.wandb.Image(str(path))}, step=seen)

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """Let go."""
        self.run.finish()


def boards(folder: Path, config: Config, images_seen: int) -> list[Board]:
    """The boards that a run's settings ask for.

    Args:
        folder: The run's.
        config: Its configuration.
        images_seen: Where it stands.

    Raises:
        UserError: A package is not installed.
    """
    found: list[Board] = []
    if config.training.tensorboard:
        found.append(TensorBoard(folder, images_seen))
    if config.training.wandb is not None:
        found.append(WeightsAndBiases(folder, config))
    return found


def require(names: Mapping[str, object]) -> None:
    """Refuse, before anything is read or written, boards whose package is missing.

    Args:
        names: Settings by name, those of boards among them.

    Raises:
        UserError: One is.
    """
    for name in PACKAGES:
        if names[name]:
            module_of(name)
