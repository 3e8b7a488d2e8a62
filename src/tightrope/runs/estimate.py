"""What a run will cost, before it is begun: operations, memory, traffic, and with a probe of seconds the time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import clock
from tightrope.autodiff import rows_of
from tightrope.data import Dataset, Sampler
from tightrope.runs.assemble import build_method, build_networks
from tightrope.runs.config import Config
from tightrope.training import Run, cost, start

BANDWIDTH = 10e9
"""Bytes per second that a device sends to its neighbour, where nothing else is said."""

LATENCY = 50e-6
"""Seconds per message and hop, where nothing else is said."""


@dataclass(frozen=True)
class Estimate:
    """Costs of one step on one device, and of the whole budget; without evaluations, pictures and checkpoints.

    Attributes:
        devices: How many share each batch.
        batch: Samples on one device.
        parameters: Of generator and critic.
        critic_updates: In the whole budget; None where that is a time.
        generator_updates: Likewise.
        per_step: Critic updates per step.
        flops: Operations per step on one device.
        state: Bytes of weights, gradients and average on one device, and with a probe of the optimisers' moments.
        memory: Bytes that come and go within a half-step, at most; without a probe a lower bound.
        messages: Per step.
        message_bytes: Per step, on one device.
        compute: Seconds of computation per step by the clock; None without a probe.
        cpu: The same by this process's CPU time.
        loading: Seconds to read the real samples of a step.
        sending: Seconds to send a step's messages, by the assumed network.
        chosen: Whether the run chooses its critic updates per step, so that ``per_step`` is a guess.
    """

    devices: int
    batch: int
    parameters: tuple[int, int]
    critic_updates: int | None
    generator_updates: int | None
    per_step: float
    flops: float
    state: int
    memory: float
    messages: float
    message_bytes: float
    compute: float | None = None
    cpu: float | None = None
    loading: float = 0.0
    sending: float = 0.0
    chosen: bool = False

    @property
    def seconds(self) -> float | None:
        """Of one step, loading and sending included; None without a probe."""
        return None if self.compute is None else self.compute + self.loading + self.sending

    @property
    def total(self) -> float | None:
        """Seconds of the whole budget; None without a probe, or where the budget is a time."""
        if self.seconds is None or self.generator_updates is None:
            return None
        return self.seconds * self.generator_updates

    def line(self) -> str:
        """In one line."""
        updates = "" if self.generator_updates is None else f"{self.generator_updates:,} steps: "
        whole = "" if self.generator_updates is None else f", {_count(self.flops * self.generator_updates)}FLOP in all"
        sent = "" if self.devices == 1 else f", {_count(self.message_bytes)}B sent in {self.messages:.0f} messages"
        memory = f"{_count(self.state + self.memory)}B of memory at least"
        guess = f"; the run chooses its critic steps, {self.per_step:.0f} per step counted" if self.chosen else ""
        return f"cost: {updates}{_count(self.flops)}FLOP and {memory} per step{sent}{whole}{guess}"

    def text(self) -> str:
        """All of it, one quantity a line."""
        sharing = f", {self.devices} devices with {self.batch} samples each" if self.devices > 1 else ""
        rows = [
            ("parameters", f"{self.parameters[0]:,} of the generator, {self.parameters[1]:,} of the critic"),
            ("step", f"{self.per_step:.3g} critic and 1 generator update{sharing}{self.chosen * ', a guess'}"),
            ("operations", f"{_count(self.flops)}FLOP per step and device"),
            ("memory", f"{_count(self.state)}B of state and {_count(self.memory)}B within a step, per device"),
        ]
        if self.devices > 1:
            rows.append(
                ("traffic", f"{_count(self.message_bytes)}B per step and device in {self.messages:.0f} messages")
            )
        if self.seconds is not None and self.compute is not None:
            parts = f"{_time(self.compute)} computing, {_time(self.loading)} reading data"
            parts += f", {_time(self.sending)} sending (by the assumed network)" if self.devices > 1 else ""
            rows.append(("time", f"{_time(self.seconds)} per step: {parts}"))
            rows.append(("rate", f"{_count(self.flops / self.compute)}FLOP/s"))
        if self.generator_updates is not None:
            whole = f"{self.generator_updates:,} steps, {_count(self.flops * self.generator_updates)}FLOP per device"
            whole += "" if self.total is None else f", {clock(self.total)} without evaluations"
            rows.append(("whole budget", whole))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def estimate(
    config: Config,
    dataset: Dataset,
    *,
    devices: int = 1,
    seconds: float = 5.0,
    bandwidth: float = BANDWIDTH,
    latency: float = LATENCY,
) -> Estimate:
    """Count and, for about ``seconds``, time the steps of a run on this device; nothing of it is kept.

    Several devices are assumed to be like this one, to send what a ring sends, over links that share nothing, and to
    wait for each message twice the depth of a tree.

    Args:
        config: Of the run.
        dataset: Its data.
        devices: How many devices will share each batch.
        seconds: For the probe; 0 for none, and no times.
        bandwidth: Bytes per second between two neighbours.
        latency: Seconds per message and hop.

    Raises:
        UserError: The batch does not divide among the devices.
    """
    settings = config.training
    if devices < 1 or settings.batch_size % devices:
        raise UserError(
            f"Expected devices among which a batch of {settings.batch_size} divides evenly, got {devices}; choose "
            "another number or --batch-size."
        )
    method, local = build_method(config.method), settings.batch_size // devices
    run = start(
        method if seconds > 0 else cost.standing_still(method),
        *build_networks(config.network, config.data, config.training),
        seed=settings.seed,
        latent=settings.latent,
        shape=config.data.shape,
        batch_size=local,
        precision=settings.precision,
        device=settings.device,
    )
    labelled = config.data.conditional

    def batch(n: int) -> tuple[Tensor, Tensor | None]:
        found = dataset.batch(torch.arange(n) % len(dataset))
        return found.x, found.labels if labelled else None

    kinds = cost.parts(method)
    if seconds > 0:
        timed = cost.probe(run, kinds, *batch(local), seconds)
    counts = [cost.count(run, kind, batch, local, rows=rows_of(run.critic), ranks=devices) for kind in kinds]
    steps = _steps(config, method.n_critic)
    chosen = method.play.chosen_by_run
    critics = None if steps is None or chosen else method.play.critic_steps_before(steps)
    per_step = critics / steps if critics and steps else method.n_critic
    shares = [kind.share * (per_step if kind.player == "critic" else 1.0) for kind in kinds]

    def summed(values: list[float]) -> float:
        return sum(share * value for share, value in zip(shares, values, strict=True))

    messages, sent = summed([c.messages for c in counts]), summed([c.message_bytes for c in counts])
    around, hops = 2 * (devices - 1) / devices, 2 * math.ceil(math.log2(devices))
    return Estimate(
        devices=devices,
        batch=local,
        parameters=(_size(run.generator), _size(run.critic)),
        critic_updates=critics,
        generator_updates=steps,
        per_step=per_step,
        flops=summed([c.flops for c in counts]),
        state=cost.state_bytes(run),
        memory=max(t.memory for t in timed) if seconds > 0 else max(c.memory for c in counts),
        messages=messages if devices > 1 else 0,
        message_bytes=sent * around,
        compute=summed([t.wall for t in timed]) if seconds > 0 else None,
        cpu=summed([t.cpu for t in timed]) if seconds > 0 else None,
        loading=per_step * _loading(dataset, local, run) if seconds > 0 else 0.0,
        sending=sent * around / bandwidth + messages * hops * latency if devices > 1 else 0.0,
        chosen=chosen,
    )


def _size(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _steps(config: Config, n_critic: int) -> int | None:
    """Steps of the budget; None where it is a time."""
    settings = config.training
    if settings.steps is not None:
        return settings.steps
    return None if settings.images is None else -(-settings.images // (settings.batch_size * n_critic))


def _loading(dataset: Dataset, size: int, run: Run) -> float:
    """Seconds to read a batch and bring it to the device."""
    sampler, times = Sampler(dataset, size, seed=0), []
    for _ in range(5):
        began = time.perf_counter()
        sampler.next().x.to(run.device)
        times.append(time.perf_counter() - began)
    return sorted(times)[2]


def _count(number: float) -> str:
    """A number with the prefix of its thousand: ``1.25 G``."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if abs(number) < 999.5 or prefix == "E":
            return f"{number:.3g} {prefix}"
        number /= 1000
    raise AssertionError


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
