"""What a run is: a base (a healthy loop), and at most one twist of it, a fault or a harmless oddity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler

from . import data

Evidence = str  # "exact" (bookkeeping or ledger), "response" or "slow"


@dataclass(frozen=True)
class Base:
    """A healthy loop with its data, loss and settings."""

    name: str
    style: str
    data: str
    loss: str
    penalty: Any = None  # what is claimed of it
    steps: int = 250
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One planned run; no twist is the healthy twin."""

    base: Base
    twist: str = ""
    value: Any = True
    causes: tuple[str, ...] = ()  # accepted names; none for healthy runs
    evidence: Evidence = ""
    claim: Any = "base"  # a claim of the penalty other than the base's
    also: tuple[tuple[str, Any], ...] = ()  # further twists that belong to the same mistake

    @property
    def name(self) -> str:
        """Base, twist and strength."""
        value = "" if self.value is True else f"={self.value}"
        if isinstance(self.value, dict):
            value = ":" + ",".join(f"{key}={wish}" for key, wish in self.value.items())
        value += "".join(f"+{name}={wish}" for name, wish in self.also)
        return f"{self.base.name}/{self.twist or 'twin'}{value}"

    @property
    def role(self) -> str:
        """Fault, oddity or twin."""
        return "fault" if self.causes else "oddity" if self.twist else "twin"

    @property
    def penalty(self) -> Any:
        """What is claimed of the penalty."""
        return self.base.penalty if self.claim == "base" else self.claim

    @property
    def data(self) -> str:
        """Which rows."""
        return self.base.data

    @property
    def latent(self) -> int:
        """How many latents."""
        return int(self.option("latent", 8))

    def option(self, name: str, default: Any = None) -> Any:
        """A setting of the base, unless the twist sets it."""
        if self.twist == "set" and name in self.value:
            return self.value[name]
        return self.base.options.get(name, default)

    def has(self, twist: str) -> Any:
        """The strength of a twist, or nothing."""
        return self.value if self.twist == twist else dict(self.also).get(twist)


class Harness:
    """What a loop is given: rows, latents, optimisers, and two functions to tell the Monitor."""

    def __init__(self, case: Case, seed: int, watch: Any) -> None:
        torch.manual_seed(seed)
        self.case, self.seed, self.watch = case, seed, watch
        self.has, self.option = case.has, case.option
        self.x, self.y, self.held_out = data.rows(case.data)
        if few := self.has("few_rows"):
            self.x, self.y = self.x[:few], self.y[:few]
        self.batch_size, self.steps = int(self.option("batch", 64)), case.base.steps
        self._order: Iterator[Tensor] = self._epochs()
        self._fixed: dict[str, Any] = {}
        self.sampler: Callable[[int], Tensor] | None = None

    # rows
    def _epochs(self) -> Iterator[Tensor]:
        n = len(self.x)
        while True:
            sorted_rows = self.has("unshuffled")
            order = torch.argsort(self.y, stable=True) if sorted_rows else torch.randperm(n)
            if n < self.batch_size:
                order = torch.cat([torch.randperm(n) for _ in range(self.batch_size // n + 1)])
            for start in range(0, len(order) - self.batch_size + 1, self.batch_size):
                yield order[start : start + self.batch_size]

    def rows(self) -> tuple[Tensor, Tensor]:
        """The next batch with its classes."""
        index = next(self._order)
        if self.has("batch_repeated"):
            index = self._fixed.setdefault("rows", index)
        if distinct := self.has("rows_repeated"):
            index = index[:distinct].repeat(self.batch_size // distinct)
        x, y = self.x[index], self.y[index]
        if self.has("labels_unrelated"):
            y = y[torch.randperm(len(y))]
        if factor := self.has("data_range"):
            x = x * factor
        if factor := self.has("data_scale"):
            x = x * factor
        if self.has("data_constant"):
            x = self.x.mean(0, keepdim=True).expand_as(x).contiguous()
        return x, y

    def shown(self, x: Tensor) -> Tensor:
        """Real rows as the critic of this loop gets to see them."""
        if self.has("channels_reversed"):
            return x.flip(1)
        if self.has("axes_swapped"):
            return x.transpose(-1, -2).contiguous()
        if factor := self.has("other_real"):
            return x * factor
        return x

    def latents(self, n: int | None = None) -> Tensor:
        """Latents for training."""
        z = torch.randn(n or self.batch_size, self.case.latent)
        if self.has("latents_uniform"):
            z = torch.rand_like(z)
        if self.has("latents_constant"):
            z = z[:1].repeat(len(z), 1)
        if self.has("latents_reused"):
            z = self._fixed.setdefault(f"z{len(z)}", z)
        return z

    def sampling_latents(self, n: int) -> Tensor:
        """Latents for the samples that its author looks at."""
        z = torch.randn(n, self.case.latent)
        return z * float(self.has("truncated_sampling") or 1.0)

    # optimisers
    def optimizer(self, player: str, net: nn.Module, other: nn.Module, kind: str = "adam") -> Optimizer:
        """An optimiser of one player with the rate of the case."""
        rate = float(self.option(f"lr_{player}", self.option("lr", 2e-3)))
        if factor := self.has(f"rate_{player}"):
            rate *= factor
        parameters: list[nn.Parameter] = list(net.parameters())
        if self.has("other_player") == player:
            parameters = list(other.parameters())
        if self.has("stale_copy") == player:
            import copy

            parameters = list(copy.deepcopy(net).parameters())
        if self.has("last_layer_missed") == player:
            parameters = parameters[:-2]
        betas = (float(self.option("beta1", 0.5)), float(self.option("beta2", 0.9)))
        if beta := self.has("momentum"):
            betas = (beta, betas[1])
        momentum = float(self.has("momentum") or self.option("momentum", 0.0))
        decay = self.has("weight_decay") or 0.0
        made: Optimizer
        if decay:
            made = torch.optim.AdamW(parameters, rate, betas, weight_decay=decay)
        elif kind == "rmsprop":
            made = torch.optim.RMSprop(parameters, rate, momentum=momentum)
        elif kind == "sgd":
            made = torch.optim.SGD(parameters, rate, momentum=momentum)
        else:
            made = torch.optim.Adam(parameters, rate, betas)
        if wish := self.has("rate_attribute"):
            made.param_groups[0]["lr"] = 1e-7
            made.lr = wish  # type: ignore[attr-defined]
        return made

    def schedules(self, *optimizers: Optimizer) -> list[LRScheduler]:
        """Schedules of a loop that has any."""
        if gamma := self.has("schedule_each_step"):
            return [ExponentialLR(o, gamma) for o in optimizers]
        if self.has("warm_up_by_integers"):
            return [LambdaLR(o, lambda step: min(1, step // 5000)) for o in optimizers]
        if self.has("warm_up"):
            return [LambdaLR(o, lambda step: min(1.0, (step + 1) / 50)) for o in optimizers]
        if self.has("slow_decay") or self.has("schedule_lost"):
            return [ExponentialLR(o, 0.99 if self.has("schedule_lost") else 0.9985) for o in optimizers]
        return []

    def resumed(self, step: int) -> bool:
        """Whether the run is taken up again here, from a checkpoint of half way."""
        lost = self.has("optimizer_lost") or self.has("schedule_lost") or self.has("resumed_rightly")
        return bool(lost) and step == self.steps // 2

    # the Monitor
    def attach(self, G: nn.Module, D: Any, optimizers: Any, sample: Callable[[int], Tensor], ema: Any = None) -> None:
        """Build the Monitor with all that the loop can give it; the watch decides how much of it is passed on."""
        self.sampler = sample
        self.watch.attach(self, G, D, optimizers, sample, ema)

    def tell(self, real: Tensor, z: Any, labels: Tensor | None = None) -> None:
        """At the end of each generator update."""
        self.watch.step(real, z, labels)
