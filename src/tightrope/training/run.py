"""The state of a training: a Method bound to networks, optimisers, counters and random numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tightrope._plumbing import rich
from tightrope._plumbing.draws import Rng, normal
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import first_parameter
from tightrope.autodiff import lean_derivatives, undisturbed
from tightrope.methods import Method
from tightrope.methods.game import Objective
from tightrope.optimizers import Lookahead
from tightrope.optimizers.strides import match_state_
from tightrope.perturbations import adaptive_of
from tightrope.training.late import LateCheck
from tightrope.training.pace import Pace
from tightrope.training.ranks import Ranks

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Half:
    """What one half-step computed, detached and unread: nothing waits for the device until a value is asked for.

    Attributes:
        objective: Its scalars and scores.
        gradient_norm: Global norm of the player's parameter gradients before the update, scalar.
    """

    objective: Objective
    gradient_norm: Tensor

    def __repr__(self) -> str:
        """Its numbers; reading them waits for the device."""
        return f"Half({self.objective!r}, gradient_norm={float(self.gradient_norm):.6g})"


@dataclass(frozen=True)
class Step:
    """One whole step, as ``train`` yields it: counters, and the last critic half-step beside the generator's."""

    step: int
    images_seen: int
    critic: Half
    generator: Half


@dataclass
class Run:
    """A Method bound to networks, optimisers, counters and random numbers. Build it with :func:`start`.

    Counters and ``batch_size`` are those of the whole run, whether or not other processes (``ranks``) take part in it.
    """

    method: Method
    generator: nn.Module
    critic: nn.Module
    average: nn.Module
    critic_optimizer: torch.optim.Optimizer
    generator_optimizer: torch.optim.Optimizer
    rng: Rng
    latent: int
    batch_size: int
    precision: Precision = "fp32"
    ema_half_life_images: float = 10_000.0
    ema_ramp_up: float | None = 0.05
    lookahead: Lookahead | None = None
    sample_shape: tuple[int, ...] | None = None
    ranks: Ranks | None = None
    channels_last: bool = False
    pace: Pace | None = None
    late_checks: bool = False  # read whether a half-step was finite one half-step later: training.late
    step: int = 0
    critic_steps: int = 0
    images_seen: int = 0
    _averaged_at: int = 0
    _last: dict[str, Half] = field(default_factory=dict)
    _reentrant: dict[str, bool] = field(default_factory=dict)  # what the players' first steps met
    _unread: LateCheck = field(default_factory=LateCheck)

    def settle(self) -> None:
        """Read the finite check of the last half-step where that has not been done: see ``late_checks``.

        Raises:
            NonFiniteError: That half-step was not finite; no parameter has moved by it, but the average may have come
                one step nearer to the generator.
        """
        self._unread.settle()

    @property
    def counters(self) -> tuple[int, int, int, int]:
        """Steps, critic steps, images seen, and images at which the average last moved."""
        return self.step, self.critic_steps, self.images_seen, self._averaged_at

    @counters.setter
    def counters(self, values: tuple[int, int, int, int]) -> None:
        self.step, self.critic_steps, self.images_seen, self._averaged_at = values

    @property
    def device(self) -> torch.device:
        """Device of the generator's parameters."""
        return first_parameter(self.generator).device

    @property
    def local_batch_size(self) -> int:
        """Samples of a batch that this process trains on: all, or its share where several ranks train the run."""
        return self.batch_size if self.ranks is None else self.batch_size // self.ranks.count

    @property
    def critic_steps_due(self) -> int:
        """Critic steps before the next generator step: by the method's number and warm-up, or as the run chose them."""
        return self.method.critic_steps(self.step) if self.pace is None else self.pace.due

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision context of both half-steps; in bf16 on the CPU with faster weight gradients of convolutions."""
        if self.precision == "fp32":
            return nullcontext()
        return self._in_bf16()

    @contextmanager
    def _in_bf16(self) -> Iterator[None]:
        lean = lean_derivatives(self.generator, self.critic) if self.device.type == "cpu" else nullcontext()
        with torch.autocast(self.device.type, torch.bfloat16), lean:
            yield

    def _repr_html_(self) -> str:
        """As a notebook shows it: where it stands, what its last step met, and samples of the averaged generator.

        Nothing of the run changes, its random numbers included.
        """
        rows: list[tuple[object, object]] = [("step", self.step), ("real samples seen", f"{self.images_seen:,}")]
        for player in ("generator", "critic"):
            network = getattr(self, player)
            rows.append((player, f"{sum(p.numel() for p in network.parameters()):,} parameters"))
            if (half := self._last.get(player)) is not None:
                rows.append((f"{player}'s loss", f"{float(half.objective.total):.4g}"))
                rows.append((f"{player}'s gradient norm", f"{float(half.gradient_norm):.4g}"))
        return rich.table(f"{self.method.name}, batches of {self.batch_size} on {self.device}", rows) + self._shown()

    def _shown(self) -> str:
        """Eight samples where they are small images of a generator that needs no classes."""
        shape = self.sample_shape or ()
        from tightrope.drawing.samples import thumbnails  # pictures are for those who look

        if len(shape) != 3 or max(shape) > 256 or getattr(self.generator, "classes", False):
            return ""
        try:
            with undisturbed(self.average), torch.no_grad():
                self.average.eval()
                return thumbnails(self.average(self.latents(8, torch.Generator().manual_seed(0))))
        except (RuntimeError, TypeError, ValueError):  # a generator that is called in another way
            return ""

    def latents(self, n: int, rng: Rng | None = None) -> Tensor:
        """Standard normal latents ``[n, latent]`` as the generator takes them, from ``rng`` or the run's own stream."""
        z = normal((n, self.latent), self.rng if rng is None else rng)
        like = first_parameter(self.generator)
        return z.to(like.device, like.dtype, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training depends on, as nested dicts of tensors and numbers; see :meth:`load_state_dict`."""
        self.settle()
        slow = {} if self.lookahead is None else {"lookahead": self.lookahead.state_dict()}
        adaptive = adaptive_of(self.method.perturbation)
        if adaptive is not None:
            slow["augmentation"] = adaptive.state_dict()
        if self.pace is not None:
            slow["pace"] = self.pace.state_dict()
        return {
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.step,
            "critic_steps": self.critic_steps,
            "images_seen": self.images_seen,
            "averaged_at": self._averaged_at,
            **slow,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state: the next step gives the same numbers, bit for bit on one CPU, as it would have.

        Raises:
            UserError: Something is missing.
        """
        self._unread = LateCheck()  # of a half-step that is left behind
        missing = [key for key in self.state_dict() if key not in state]
        if missing:
            raise UserError(f"Expected the state of a Run, got none of {', '.join(missing)}; pass run.state_dict().")
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self.average.load_state_dict(state["average"])
        self.critic_optimizer.load_state_dict(copy.deepcopy(state["critic_optimizer"]))
        self.generator_optimizer.load_state_dict(copy.deepcopy(state["generator_optimizer"]))
        for optimizer in (self.critic_optimizer, self.generator_optimizer):
            match_state_(optimizer)
        if self.lookahead is not None:
            self.lookahead.load_state_dict(copy.deepcopy(state["lookahead"]))
        adaptive = adaptive_of(self.method.perturbation)
        if adaptive is not None:
            adaptive.load_state_dict(state["augmentation"])
        if self.pace is not None:
            self.pace.load_state_dict(state["pace"], trained(self.critic_optimizer))
        self.rng.set_state(state["rng"])
        self.step, self.critic_steps = int(state["step"]), int(state["critic_steps"])
        self.images_seen, self._averaged_at = int(state["images_seen"]), int(state["averaged_at"])


def trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The parameters that an optimiser moves."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
