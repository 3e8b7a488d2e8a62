"""The resolved configuration of a run: everything needed to build it again, as one JSON file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch
from msgspec import Meta

from tightrope._plumbing.errors import UserError, printable
from tightrope._plumbing.files import write_atomically
from tightrope._plumbing.typed import read_object, strangers
from tightrope._plumbing.version import __version__

FORMAT = 1

_CANNOT = "Expected settings that can be trained with, got others: {}."

Number = Annotated[float, Meta(ge=0)]
Whole = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=1, le=2**53)]
Size = Annotated[int, Meta(ge=1, le=2**20)]
"""Of a batch, a latent, an axis: what is allocated before it can be found too large."""
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


@dataclass(frozen=True)
class DataSettings:
    """What the run trains on and is measured against. ``name`` and what follows describe what was found there."""

    source: str
    resolution: Size | None = None
    channels: Literal[1, 3, 4] | None = None
    limit: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    skip_broken: bool = False
    flip: bool = False
    conditional: bool = False
    name: str = ""
    kind: str = ""
    shape: tuple[Size, ...] = ()
    n: Whole = 0
    classes: tuple[str, ...] = ()
    fingerprint: str = ""
    test_fingerprint: str = ""


@dataclass(frozen=True)
class MethodSettings:
    """A method's name, its resolved hyperparameters, and what the critic sees its samples through, where asked for."""

    name: str
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    instance_noise: Number = 0.0
    instance_noise_images: Count | None = None
    augment: Literal["diff", "ada"] | None = None


@dataclass(frozen=True)
class NetworkSettings:
    """A network's name and the options of its two builders. The name ``"own"`` stands for the caller's modules."""

    name: str
    generator: dict[str, Any] = field(default_factory=dict)
    critic: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSettings:
    """Sizes, seeds, budget, how often to log, sample, save and evaluate, and whose weights it began with.

    How often is in steps; what stands in ``at_tenths`` happens at each tenth of the budget (rows at each hundredth),
    which a budget of time needs: nobody knows its length in steps.
    """

    batch_size: Size = 64
    seed: Seed = 0
    latent: Size = 128
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    threads: Annotated[int, Meta(ge=1, le=4096)] = 1
    ema_half_life_images: Number = 10_000.0
    ema_ramp_up: Number | None = 0.05
    steps: Whole | None = None
    images: Whole | None = None
    minutes: Number | None = None
    log_every: Count = 25
    sample_every: Count | None = 500
    checkpoint_every: Count | None = 500
    checkpoint_minutes: Number = 5.0
    evaluate_every: Count | None = None
    at_tenths: tuple[Literal["log", "sample", "checkpoint", "evaluate"], ...] = ()
    evaluate_n: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    between_n: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    conditioning_every: Count | None = None
    conditioning_n: Annotated[int, Meta(ge=2, le=2**20)] = 8
    keep: Count = 3
    tensorboard: bool = False
    wandb: Literal["offline", "online"] | None = None
    from_run: str = ""
    on_trouble: Literal["continue", "stop", "probe"] = "continue"
    preflight: bool = True


@dataclass(frozen=True)
class Config:
    """The whole resolved configuration; ``RUN/config.json``. ``changes`` are lines on what was resumed otherwise."""

    data: DataSettings
    method: MethodSettings
    network: NetworkSettings
    training: TrainingSettings
    command: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values with the format's number and the version that wrote it."""
        return {"format": FORMAT, "tightrope": __version__, **dataclasses.asdict(self)}


def write_config(run: Path, config: Config) -> Path:
    """Write ``RUN/config.json`` atomically; bytes of a command line that are no UTF-8 as their codes."""
    return write_atomically(run / "config.json", (json.dumps(_readable(config.to_json()), indent=2) + "\n").encode())


def _readable(value: Any) -> Any:
    """Plain values whose texts any reader of JSON takes."""
    if isinstance(value, dict):
        return {key: _readable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(part) for part in value]
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def network_mark(config: Config) -> str:
    """A mark of all that decides what a generator's weights compute, which is stored beside them."""
    data, classes = config.data, config.data.classes if config.data.conditional else ()
    parts = [dataclasses.asdict(config.network), config.training.latent, data.kind, data.shape, classes]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def refuse_other_network(config: Config, mark: object, where: object) -> None:
    """Raise if weights were saved under another description of their network; older files have no mark.

    Raises:
        UserError: They were: weights of the same shapes would compute something else.
    """
    if mark is not None and mark != network_mark(config):
        raise UserError(
            f"Expected the settings of the network whose weights are in {where}, got others in config.json (network, "
            "latent, kind, shape or classes); restore the config.json that belongs to them."
        )


def read_config(run: Path) -> Config:
    """Read ``RUN/config.json``.

    Raises:
        UserError: Not a run folder, damaged, or written in a format this version does not read.
    """
    path = run / "config.json"
    if not path.is_file():
        raise UserError(f"Expected a run folder with a config.json, got {run}; name the folder given to --out.")
    found = read_object(path)
    written_by, number = found.pop("tightrope", "an unknown version"), found.pop("format", None)
    if number != FORMAT:
        raise UserError(
            f"Expected a config of format {FORMAT}, got format {number} written by tightrope {written_by} in {path}; "
            f"use that version (this is {__version__})."
        )

    def refuse(wrong: str) -> str:
        return (
            f"Expected the settings of tightrope {__version__}, got others in {path} ({wrong}), written by tightrope "
            f"{written_by}; use that version or mend the file."
        )

    for name in strangers(found, Config):
        raise UserError(refuse(f"{name} is no setting"))
    return check(found, refuse)


def check(settings: Config | dict[str, Any], refuse: Callable[[str], str] = _CANNOT.format) -> Config:
    """The configuration, if every setting has its type, lies in its range and is finite.

    Args:
        settings: A configuration, or the plain values of one.
        refuse: From what is wrong and where to the whole sentence.

    Raises:
        UserError: Something does not fit; the sentence names it.
    """
    plain = dataclasses.asdict(settings) if isinstance(settings, Config) else settings
    try:
        json.dumps(plain, allow_nan=False)
        config = msgspec.convert(plain, Config)
    except (msgspec.ValidationError, RecursionError, TypeError, ValueError) as error:
        wrong = str(error).replace("`$.", "`").replace("`", "")
        raise UserError(refuse(_not_finite(plain) if "JSON compliant" in wrong else wrong)) from error
    for path in (config.data.source, config.training.from_run or ""):
        if path != _readable(path):  # it could not be read back from the configuration
            raise UserError(f"Expected a path that can be written as UTF-8, got {printable(path)}; rename it.")
    return config


def _not_finite(value: Any, name: str = "") -> str:
    """Which setting is not finite, in words; empty if none is."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{name} is not finite"
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = (_not_finite(part, f"{name}.{key}".strip(".")) for key, part in parts)
    return next(filter(None, found), "")


def environment() -> dict[str, Any]:
    """Versions and commit that a run's numbers depend on."""
    return {
        "tightrope": __version__,
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
