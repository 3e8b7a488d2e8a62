"""``tightrope estimate DATA --method M``."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from msgspec import Meta

from tightrope.cli.options import parse
from tightrope.cli.train_command import method_command, refuse_other, resolved
from tightrope.runs.resolve import Wishes


@dataclass(frozen=True)
class EstimateOptions(Wishes):
    """What a training would cost in time, memory and traffic; a probe of seconds on this device measures the time.

    Takes the options of ``tightrope train``. Evaluations, pictures and checkpoints are not counted.
    """

    data: Annotated[str, tyro.conf.Positional]
    """Folder of images, zip, parquet, npz, npy, MNIST, CIFAR or STL file, toy:NAME, digits, or hub:OWNER/NAME."""
    devices: Annotated[int, Meta(ge=1, le=2**20)] = 1
    """Devices like this one that share each batch."""
    probe: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """Seconds of steps to time; 0 counts operations, memory and traffic alone."""
    bandwidth: Annotated[float, Meta(gt=0)] = 10.0
    """Assumed gigabytes per second from one device to the next."""
    latency: Annotated[float, Meta(ge=0)] = 50.0
    """Assumed microseconds per message and hop."""


def run(words: list[str]) -> int:
    """Parse, resolve, count, time, print."""
    general = [field.name for field in dataclasses.fields(EstimateOptions)]
    command = method_command(EstimateOptions, words, general)
    options: Any = parse(command, "estimate", words, refuse_other(words, general))
    from tightrope.runs.estimate import estimate

    config, dataset = resolved(options, words, "estimate", show=not sys.stderr.closed)
    found = estimate(
        config,
        dataset,
        devices=options.devices,
        seconds=options.probe,
        bandwidth=1e9 * options.bandwidth,
        latency=1e-6 * options.latency,
    )
    print(found.text())
    return 0
