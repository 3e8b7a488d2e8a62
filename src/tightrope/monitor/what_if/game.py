"""What a training is made of, gathered from its monitor, and copies of it that can be played on."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.streams import global_streams_kept
from tightrope.autodiff import per_sample
from tightrope.autodiff.streams import streams_kept, streams_of
from tightrope.losses import LOSSES
from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.ledger.columns import COSTS
from tightrope.monitor.ledger.hypotheses import Claim, claim_of, of_probabilities
from tightrope.monitor.ledger.replay import CannotReplayError, refuse_foreign_hooks
from tightrope.monitor.recent import Recent, Rows, floats
from tightrope.monitor.steps import StepListener, several_processes

if TYPE_CHECKING:
    from tightrope.monitor.monitor import Monitor

MOST_STEPS = 10
"""Most steps of a player per round of a branch."""

Halves = Callable[[Tensor, Tensor], Tensor]


class CannotPlayError(Exception):
    """The training cannot be played on copies; the text says why."""


@dataclass(frozen=True)
class Settings:
    """What a branch may change besides the optimisers' numbers.

    Attributes:
        critic_steps: Critic's steps per round.
        generator_steps: Generator's steps per round.
        penalties: ``"gp"``, ``"gp1"``, ``"r1"``, ``"r2"``, each with its weight.
        clip: Largest weight of the critic.
    """

    critic_steps: int = 1
    generator_steps: int = 1
    penalties: tuple[tuple[str, float], ...] = ()
    clip: float | None = None


@dataclass
class State:
    """Networks and optimisers of one branch, which own all their tensors."""

    generator: nn.Module
    critic: nn.Module
    optimizers: dict[str, list[torch.optim.Optimizer]]
    settings: Settings


@dataclass
class Game:
    """A training as it stands, and how it is played.

    Attributes:
        generator: The live generator; it is only copied.
        critic: The live critic.
        optimizers: The live optimisers, by player.
        critic_loss: Of real and fake scores.
        generator_loss: Likewise.
        recent: Rows to play with, and the forms of the calls.
        settings: Of the training as it is.
        loss: Name of the loss.
        paired: Whether the generator's loss compares with real scores.
        spectral: Whether a constraint bounds the critic's layers.
        start: First weights of both players, empty where they were not kept.
        from_start: Whether copies begin with them, and with optimisers that have gathered nothing.
        fresh: Whether copies begin with the present weights and with such optimisers.
    """

    generator: nn.Module
    critic: nn.Module
    optimizers: dict[str, list[torch.optim.Optimizer]]
    critic_loss: Halves
    generator_loss: Halves
    recent: Recent
    settings: Settings
    loss: str = ""
    paired: bool = False
    spectral: bool = False
    start: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    from_start: bool = False
    fresh: bool = False

    def copied(self) -> State:
        """A state of its own: networks, optimisers with their moments, all parameters requiring a gradient."""
        memo: dict[int, Any] = {}
        for module in (*self.generator.modules(), *self.critic.modules()):
            for value in vars(module).values():
                if isinstance(value, Tensor) and not value.is_leaf:  # what old constraints leave behind
                    memo[id(value)] = value.detach().clone()
        with torch.enable_grad():
            networks = copy.deepcopy(self.generator, memo), copy.deepcopy(self.critic, memo)
            optimizers = {
                player: [_without(copy.deepcopy(o, dict(memo)), other) for o in self.optimizers[player]]
                for player, other in zip(PLAYERS, networks[::-1], strict=True)
            }
        own = {id(p) for network in networks for p in network.parameters()}
        for held in optimizers.values():
            for p in (p for o in held for group in o.param_groups for p in group["params"]):
                if id(p) not in own:
                    raise CannotPlayError("an optimiser holds parameters of neither network")
                p.requires_grad_(True)
        for network, player in zip(networks, PLAYERS, strict=True):
            modes = self.recent.forms[player].training
            for module, training in zip(network.modules(), modes, strict=True):
                module.training = training
            network.zero_grad()
            if self.from_start:
                network.load_state_dict(self.start[player])
        if self.from_start or self.fresh:
            for optimizer in (o for held in optimizers.values() for o in held):
                optimizer.state.clear()
        return State(*networks, optimizers, self.settings)

    def scores(self, critic: nn.Module, rows: Rows) -> Tensor:
        """Scores ``[n, ...]`` of samples, one after the other for several critics."""
        outputs = floats(self.recent.forms["critic"].call(critic, rows))
        wanted = [outputs[k] for k in self.recent.scores if k < len(outputs)] or outputs[:1]
        return torch.cat([per_sample(o.float())[:, None] for o in wanted], 1)

    def samples(self, generator: nn.Module, rows: Rows) -> Tensor:
        """Samples ``[n, *shape]``."""
        return floats(self.recent.forms["generator"].call(generator, rows))[0]

    def shown(self, fake: Tensor, latents: Rows) -> Rows:
        """Fake samples with what the critic is given besides: what the generator got with the latents."""
        return (fake.to(self.recent.real.batches[-1][0].dtype), *latents[1:])


def _without(optimizer: torch.optim.Optimizer, other: nn.Module) -> torch.optim.Optimizer:
    """A copied optimiser without the other player's parameters, which one that steps both holds."""
    theirs = {id(p) for p in other.parameters()}
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in theirs]
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]
    return optimizer


def game_of(monitor: Monitor) -> Game:
    """Gather a game.

    Raises:
        CannotPlayError: Something that a copy would need is not known.
    """
    players, history, recent = monitor.players, monitor.history, monitor.recent
    if several_processes():
        raise CannotPlayError("several processes share its batches")
    for name, player in players.items():
        try:
            refuse_foreign_hooks(player.module)
        except CannotReplayError as reason:
            raise CannotPlayError(f"the {name}: {reason}") from reason
    if len(recent.forms) < 2 or len(recent.real) < 64 or len(recent.latents) < 32:
        raise CannotPlayError("too few real rows and latents were seen in its windows")
    if recent.forms["critic"].more != recent.forms["generator"].more:
        raise CannotPlayError("the critic is given other things besides samples than the generator besides latents")
    optimizers = {name: monitor.steppers(name) for name in PLAYERS}
    if not all(optimizers.values()):
        raise CannotPlayError("not every player's optimiser has been seen")
    claim = _claimed(monitor)
    last = history.windows[-1].numbers
    if last.get("other_share", 0.0) > 0.1:
        raise CannotPlayError("the generator's loss has terms that are not known")
    if claim.critic is None or claim.generator is None:
        raise CannotPlayError("the loss of one player is not known")
    reach = history.ends.get("critic")
    of_scores: tuple[Halves, Halves] = claim.critic, claim.generator
    if reach is not None and reach.kind == "probability" and claim.name in ("non_saturating", "minimax"):
        of_scores = of_probabilities(claim.critic), of_probabilities(claim.generator)
    counts = [history.counters[name].steps / max(1, len(history.counters[name].optimizers)) for name in PLAYERS]
    ratio = counts[1] / max(counts[0], 1.0)
    of_critic, of_generator = (min(max(1, round(value)), MOST_STEPS) for value in (ratio, 1 / max(ratio, 1e-3)))
    settings = Settings(of_critic, of_generator, history.claims.penalties, history.claims.clip)
    return Game(
        players["generator"].module, players["critic"].module, optimizers, *of_scores, recent, settings, claim.name,
        claim.paired, bool(history.statics.get("constrained")), monitor.start,
    )  # fmt: skip


def _claimed(monitor: Monitor) -> Claim:
    """The claimed loss, or the one that the gradients at the scores show."""
    if monitor.history.claim is not None:
        return monitor.history.claim
    for window in reversed(monitor.history.windows):
        fit = window.critic.fit
        if fit is not None and fit.name in LOSSES:
            found = claim_of(fit.name)
            assert found is not None
            return found
    raise CannotPlayError("the loss is not known")


def penalty_of(game: Game, state: State, real: Rows, fake: Rows, name: str) -> Tensor:
    """The value of a penalty at the points that its name says."""
    x = real[0] if name == "r1" else fake[0]
    if name in ("gp", "gp1"):
        n = min(len(real[0]), len(fake[0]))
        t = torch.rand(n, *([1] * (real[0].dim() - 1)), device=real[0].device, dtype=real[0].dtype)
        x = real[0][:n] + t * (fake[0][:n] - real[0][:n])
    more = fake[1:] if name == "r2" else real[1:]
    x = x.detach().requires_grad_()
    scores = game.scores(state.critic, (x, *(t[: len(x)] for t in more)))
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return COSTS[name][1](slope)


@contextmanager
def aside(game: Game, seed: int) -> Iterator[None]:
    """Play without a trace: no monitor of the process sees the copies' steps, random streams come back as they were."""
    devices = sorted({p.device.index for p in game.generator.parameters() if p.device.type == "cuda"})
    listening, StepListener._live = StepListener._live, []
    try:
        with (
            streams_kept(streams_of(game.critic_loss, game.generator_loss, game.generator, game.critic)),
            global_streams_kept(), torch.random.fork_rng(devices=devices), torch.inference_mode(False),
            torch.enable_grad(), warnings.catch_warnings(),
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            yield
    finally:
        StepListener._live = listening
