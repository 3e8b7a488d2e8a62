"""What a folder of photographs is trained with where nothing was chosen: as much as this machine can do in the time.

Resolution, width and batch are the largest of a short list with which :data:`IMAGES` images are seen within the budget
of time, or :data:`MINUTES`: operations are counted for each, and the machine's speed at them is timed once.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from tightrope._plumbing.progress import clock
from tightrope.autodiff import rows_of
from tightrope.data.open import image_sizes
from tightrope.methods import Method
from tightrope.networks.sizes import factor
from tightrope.runs.assemble import build_method, build_networks, resolve_network
from tightrope.runs.config import DataSettings, MethodSettings, TrainingSettings
from tightrope.runs.options import method_options, network_options
from tightrope.runs.resolve import device_of
from tightrope.runs.wishes import Wishes
from tightrope.training import Run, cost, distributed, start

IMAGES, MINUTES = 200_000, 30.0
"""Images after which something can be recognised (a rule of thumb), and the time for them where none was given."""

LIST = ((32, 16), (32, 32), (64, 16), (64, 32), (64, 64), (128, 32), (128, 64))
"""Resolution and width of a DCGAN, from the cheapest on."""

KEPT = 64
"""Images of one size up to this many pixels a side keep it."""

STEP_SECONDS, LEAST_BATCH = 1.0, 16
"""Batches are halved while a step takes longer, but not below this many images."""

PROBE_SECONDS = 1.0

QUICK: Final = {"optimizer": "adam", "learning_rate": 5e-4, "gamma": 1.0}
"""R1's settings for photographs where no method was named: its published ones show next to nothing within minutes.

After 17,000 images (270 photographs, 32 pixels, width 16, one seed) the Frechet distance was 1.22 with these and 1.95
with the published ones, where real images have 0.34.
"""


@dataclass(frozen=True)
class Choice:
    """What was chosen, in the words of the options, and why.

    Attributes:
        options: Values by Python name: some of ``resolution``, ``width``, ``batch_size``, and of :data:`QUICK`.
        why: A sentence; empty where nothing was chosen.
    """

    options: dict[str, Any]
    why: str = ""

    @property
    def words(self) -> list[str]:
        """As they would have been typed."""
        return [word for key, value in self.options.items() for word in (f"--{key.replace('_', '-')}", str(value))]


def choose(wishes: Wishes, options: Mapping[str, Any], *, published: bool = True) -> Choice:
    """Choose what was left open for a source of images; nothing for other data, another network, or several ranks.

    Args:
        wishes: What was asked for.
        options: Hyperparameters of the method and options of the network that were given.
        published: Leave the method at its published settings: it was named.

    Raises:
        UserError: The data or the method cannot be used.
    """
    nothing = Choice({})
    if wishes.network not in (None, "dcgan") or wishes.from_run is not None or distributed.launched():
        return nothing
    sizes = image_sizes(wishes.data)
    least = sorted(min(size) for size in sizes)[len(sizes) // 10] if sizes else 0  # a few odd ones are enlarged
    if least < 16:
        return nothing
    own = min(sizes[0]) if len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1] else None
    resolution = wishes.resolution or (own if own is not None and own <= KEPT and factor(own) else None)
    if resolution is not None and (resolution < 16 or not factor(resolution)):
        return nothing
    width = next((int(value) for key, value in options.items() if key.endswith("width")), None)
    open_, reason = _open(resolution, width, least)
    known = method_options(wishes.method)
    method = build_method(MethodSettings(wishes.method, {k: v for k, v in options.items() if k in known}))
    machine = _Machine(wishes, method, {k: v for k, v in options.items() if k in network_options("dcgan")["critic"]})
    seconds_for = 60 * (wishes.minutes or MINUTES)
    picked, step = _largest(machine, open_, seconds_for)
    batch = machine.batch
    while wishes.batch_size is None and step > STEP_SECONDS and batch > LEAST_BATCH:
        batch, step = batch // 2, step / 2
    found: dict[str, Any] = {"resolution": picked[0]} if wishes.resolution is None and picked[0] != own else {}
    found |= {"width": picked[1]} if width is None else {}
    found |= {"batch_size": batch} if wishes.batch_size is None else {}
    quick = QUICK if not published and wishes.method == "r1" and not set(options) & set(known) else {}
    takes = IMAGES * step / (batch * method.n_critic)
    sentences = [_sentence(picked, batch, takes, machine.rate, reason, found)] if found else []
    if quick:
        sentences.append("R1 by Adam at 5e-4 with gamma 1, to see something soon; --method r1 is as published.")
    return Choice(found | quick, " ".join(sentences))


def _sentence(
    picked: tuple[int, int], batch: int, takes: float, rate: float, reason: str, found: Mapping[str, int]
) -> str:
    return (
        f"{picked[0]} pixels{reason}, dcgan of width {picked[1]} and batches of {batch}: with them this machine (about "
        f"{rate / 1e9:.3g} G operations a second here) sees {IMAGES:,} images in about {clock(takes)}; "
        f"{', '.join(f'--{key.replace(chr(95), chr(45))}' for key in ('resolution', 'network', *list(found)[-2:]))} "
        "choose others."
    )


def _open(resolution: int | None, width: int | None, least: int) -> tuple[list[tuple[int, int]], str]:
    """The pairs to choose from, the cheapest first, and what the data say to the resolution."""
    widths = sorted({pair[1] for pair in LIST}) if width is None else [width]
    if resolution is not None:
        return [(resolution, one) for one in widths], ""
    fitting = [pair for pair in LIST if pair[0] <= least] if width is None else []
    if width is not None:
        fitting = [(side, width) for side in sorted({pair[0] for pair in LIST}) if side <= least]
    if not fitting:
        largest = max(side for side in range(16, least + 1) if factor(side))
        fitting = [(largest, one) for one in widths]
    return fitting, f" (the photographs have {least} and more)"


def _largest(machine: _Machine, pairs: list[tuple[int, int]], seconds: float) -> tuple[tuple[int, int], float]:
    """The last pair before the first with which the images would take longer, and the seconds of its step."""
    picked, step = pairs[0], machine.calibrate(pairs[0])
    for pair in pairs[1:]:
        took = machine.seconds(pair)
        if IMAGES * took / (machine.batch * machine.method.n_critic) > seconds:
            break
        picked, step = pair, took
    return picked, step


class _Machine:
    """Counts the operations of a step, and times one.

    Attributes:
        rate: Operations per second.
        batch: Images per critic step.
    """

    def __init__(self, wishes: Wishes, method: Method, options: Mapping[str, Any]) -> None:
        self.wishes, self.method, self.options = wishes, method, dict(options)
        self.batch, self.rate = wishes.batch_size or method.batch_size, 1.0
        self.kinds = cost.parts(method)
        self.latent = wishes.latent or 128

    def calibrate(self, pair: tuple[int, int]) -> float:
        """Time a step of this pair, on few images, and return its seconds on a whole batch."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self.wishes.threads or threads)
        try:
            few = min(self.batch, LEAST_BATCH)
            run = self._run(pair, few)
            seconds = self._summed(_quickest(run, self.kinds, self._images(pair, few)))
        finally:
            torch.set_num_threads(threads)
        self.rate = self._flops(pair, few) / max(seconds, 1e-9)
        return self.seconds(pair)

    def seconds(self, pair: tuple[int, int]) -> float:
        """Of a step of this pair at the rate found."""
        return self._flops(pair, self.batch) / self.rate

    def _flops(self, pair: tuple[int, int], batch: int) -> float:
        run = self._run(pair, batch)
        images = {n: (self._images(pair, n), None) for n in (2, 4, 8)}
        counts = [
            cost.count(run, kind, lambda n: images.get(n) or (self._images(pair, n), None), batch,
                       rows=rows_of(run.critic)).flops
            for kind in self.kinds
        ]  # fmt: skip
        return self._summed(counts)

    def _summed(self, values: list[float]) -> float:
        shares = [kind.share * (self.method.n_critic if kind.player == "critic" else 1.0) for kind in self.kinds]
        return sum(share * value for share, value in zip(shares, values, strict=True))

    def _images(self, pair: tuple[int, int], n: int) -> Tensor:
        return torch.rand(n, *self._shape(pair), generator=torch.Generator().manual_seed(0)) * 2 - 1

    def _shape(self, pair: tuple[int, int]) -> tuple[int, int, int]:
        return 4 if self.wishes.keep_alpha else self.wishes.channels or 3, pair[0], pair[0]

    def _run(self, pair: tuple[int, int], batch: int) -> Run:
        shape = self._shape(pair)
        data = DataSettings("", kind="images", shape=shape)
        training = TrainingSettings(batch_size=batch, latent=self.latent)
        network = resolve_network("dcgan", shape, self.options | {"width": pair[1]})
        device = device_of(self.wishes.device)
        return start(
            self.method,
            *build_networks(network, data, training),
            seed=0,
            latent=self.latent,
            shape=shape,
            batch_size=batch,
            precision=self.wishes.precision,
            device=device,
        )


def _quickest(run: Run, kinds: list[cost.Part], real: Tensor) -> list[float]:
    """Seconds of each kind of half-step when nothing else is in the way: the least of several."""
    steps = [cost.half_step(run, kind, real, None) for kind in kinds]
    best, end = [math.inf] * len(steps), time.monotonic() + PROBE_SECONDS
    for step in steps:
        step()
    while math.inf in best or time.monotonic() < end:
        for index, step in enumerate(steps):
            began = time.perf_counter()
            step()
            if run.device.type == "cuda":
                torch.cuda.synchronize(run.device)
            best[index] = min(best[index], time.perf_counter() - began)
    return best


def with_choice(wishes: Wishes, options: Mapping[str, Any], choice: Choice) -> tuple[Wishes, dict[str, Any]]:
    """Wishes and options with what was chosen."""
    of_run = {field.name for field in dataclasses.fields(wishes)}
    general = {key: value for key, value in choice.options.items() if key in of_run}
    return dataclasses.replace(wishes, **general), dict(options) | {
        key: value for key, value in choice.options.items() if key not in of_run
    }
