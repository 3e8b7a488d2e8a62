"""``tightrope estimate DATA --method M``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from msgspec import Meta

from tightrope._plumbing.say import say
from tightrope.cli.train_command import resolved, typed
from tightrope.runs.wishes import Wishes


@dataclass(frozen=True)
class EstimateOptions(Wishes):
    """What a training would cost in time, memory and traffic; a probe of seconds on this device measures the time.

    Takes the options of ``tightrope train``. Evaluations, pictures and checkpoints are not counted.

    Attributes:
        data: Folder of images, zip, parquet, npz, npy, MNIST, CIFAR or STL file, toy:NAME, digits, or hub:OWNER/NAME.
        devices: Devices like this one that share each batch.
        probe: Seconds of steps to time; 0 counts operations, memory and traffic alone.
        bandwidth: Assumed gigabytes per second from one device to the next.
        latency: Assumed microseconds per message and hop.
    """

    data: Annotated[str, tyro.conf.Positional]
    devices: Annotated[int, Meta(ge=1, le=2**20)] = 1
    probe: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    bandwidth: Annotated[float, Meta(gt=0)] = 10.0
    latency: Annotated[float, Meta(ge=0)] = 50.0


def run(words: list[str]) -> int:
    """Parse, resolve, count, time, print."""
    options = typed(EstimateOptions, "estimate", words)
    from tightrope.runs.estimate import estimate

    config, dataset = resolved(options, words, "estimate", show=True)
    found = estimate(
        config,
        dataset,
        devices=options.devices,
        seconds=options.probe,
        bandwidth=1e9 * options.bandwidth,
        latency=1e-6 * options.latency,
    )
    say(*found.text().splitlines())
    return 0
