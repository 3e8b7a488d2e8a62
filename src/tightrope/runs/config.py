"""The resolved configuration of a run: everything needed to build it again, as one JSON file."""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

import tightrope
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically

FORMAT = 1


@dataclass(frozen=True)
class DataSettings:
    """What the run trains on. ``fingerprint`` and what follows describe what was found there."""

    source: str
    resolution: int | None = None
    channels: int | None = None
    limit: int | None = None
    skip_broken: bool = False
    flip: bool = False
    conditional: bool = False
    name: str = ""
    kind: str = ""
    shape: tuple[int, ...] = ()
    n: int = 0
    classes: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True)
class MethodSettings:
    """A method's name, its resolved hyperparameters, and instance noise where it was asked for."""

    name: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    instance_noise: float = 0.0
    instance_noise_images: int | None = None


@dataclass(frozen=True)
class NetworkSettings:
    """A network's name and the options of its two builders. The name ``"own"`` stands for the caller's modules."""

    name: str
    generator: dict[str, Any] = field(default_factory=dict)
    critic: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSettings:
    """Sizes, seeds, budget, and how often to log, sample, save and evaluate (in steps)."""

    batch_size: int = 64
    seed: int = 0
    latent: int = 128
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    threads: int = 1
    ema_half_life_images: float = 10_000.0
    ema_ramp_up: float | None = 0.05
    steps: int | None = None
    images: int | None = None
    minutes: float | None = None
    log_every: int = 25
    sample_every: int = 500
    checkpoint_every: int = 500
    checkpoint_minutes: float = 5.0
    evaluate_every: int | None = None
    evaluate_n: int | None = None
    conditioning_every: int | None = None
    conditioning_n: int = 8
    keep: int = 3
    tensorboard: bool = False


@dataclass(frozen=True)
class Config:
    """The whole resolved configuration; ``RUN/config.json``."""

    data: DataSettings
    method: MethodSettings
    network: NetworkSettings
    training: TrainingSettings
    command: str = ""
    environment: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values with the format's number and the version that wrote it."""
        return {"format": FORMAT, "tightrope": tightrope.__version__, **dataclasses.asdict(self)}


def write_config(run: Path, config: Config) -> Path:
    """Write ``RUN/config.json`` atomically."""
    return write_atomically(run / "config.json", (json.dumps(config.to_json(), indent=2) + "\n").encode())


def read_config(run: Path) -> Config:
    """Read ``RUN/config.json``.

    Raises:
        UserError: Not a run folder, damaged, or written in a format this version does not read.
    """
    path = run / "config.json"
    if not path.is_file():
        raise UserError(f"Expected a run folder with a config.json, got {run}; name the folder given to --out.")
    try:
        found = json.loads(path.read_text())
        written_by = found.pop("tightrope", "an unknown version")
        number = found.pop("format", None)
    except (ValueError, AttributeError) as error:
        raise UserError(f"Expected JSON in {path}, got something else ({error}); restore the file.") from error
    if number != FORMAT:
        raise UserError(
            f"Expected a config of format {FORMAT}, got format {number} written by tightrope {written_by} in {path}; "
            f"use that version (this is {tightrope.__version__})."
        )
    try:
        return Config(
            data=_section(DataSettings, found["data"]),
            method=_section(MethodSettings, found["method"]),
            network=_section(NetworkSettings, found["network"]),
            training=_section(TrainingSettings, found["training"]),
            command=found["command"],
            environment=found["environment"],
        )
    except (KeyError, TypeError) as error:
        raise UserError(
            f"Expected the settings of tightrope {tightrope.__version__}, got others in {path} ({error}), written by "
            f"tightrope {written_by}; use that version."
        ) from error


def _section(cls: Any, found: dict[str, Any]) -> Any:
    tuples = {f.name for f in dataclasses.fields(cls) if str(f.type).startswith("tuple")}
    return cls(**{key: tuple(value) if key in tuples else value for key, value in found.items()})


def environment() -> dict[str, Any]:
    """Versions and commit that a run's numbers depend on."""
    return {
        "tightrope": tightrope.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "argv": sys.argv[1:],
    }


def _commit() -> str | None:
    """Commit of the source checkout that is running, with ``+changes`` if it differs; None when installed."""
    folder = Path(__file__).parent
    try:

        def git(*words: str) -> str:
            done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
            return done.stdout.strip()

        head = git("rev-parse", "HEAD")
        tracked = git("ls-files", "--error-unmatch", str(Path(__file__)))
        return (
            (head + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")) if tracked else None
        )
    except (OSError, subprocess.SubprocessError):
        return None
