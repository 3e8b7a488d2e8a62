"""Runs side by side: their state as one, each run's part of it a view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.draws import Streams
from tightrope._plumbing.errors import UserError
from tightrope.constraints import clip_weights_
from tightrope.methods import Method
from tightrope.methods.game import mean_score
from tightrope.optimizers import consensus, symplectic
from tightrope.perturbations import adaptive_of
from tightrope.training.nonfinite import NonFiniteError, locate, stained
from tightrope.training.run import Run
from tightrope.training.seeds.memory import keep_memory_, part_of_memory_
from tightrope.training.seeds.obstacles import REMEDY, UnstackableError
from tightrope.training.seeds.players import Player, bind_, keep_, stacked_module
from tightrope.training.seeds.rates import Rates
from tightrope.training.seeds.weights import Weights

Found = dict[str, Any]
"""What a half-step computed, ``[runs, ...]``: the fields of an ``Objective``, and ``gradient_norm``."""


class Stack:
    """Runs that train side by side, at one and the same step.

    The runs given stay the owners: their networks are views of the stacked tensors, so that they can be looked at
    between steps, see :meth:`run`, and :meth:`release` gives each its own tensors back.

    Args:
        runs: From ``training.start``, with methods that differ in rates and in penalties' weights alone.

    Attributes:
        runs: Those that are left.
        together: A run whose networks, optimisers and average hold the tensors of all, ``[runs, *shape]``.
        generator: The generators.
        critic: The critics.

    Raises:
        UserError: There are none.
        UnstackableError: They cannot be trained side by side.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        if not runs:
            raise UserError("Expected at least one run to stack, got none; start them first.")
        first = runs[0]
        if first.precision != "fp32":
            raise UnstackableError(f"Expected precision 'fp32' side by side, got {first.precision!r}; {REMEDY}.")
        if adaptive_of(first.method.perturbation) is not None:
            raise UnstackableError(
                f"Expected augmentations of one strength side by side, got adaptive ones, each seed's own; {REMEDY}."
            )
        if first.pace is not None:
            raise UnstackableError(
                f"Expected one number of critic steps side by side, got n_critic 'auto', each seed's own; {REMEDY}."
            )
        self.runs = list(runs)
        self.generator = Player([r.generator for r in runs])
        self.critic = Player([r.critic for r in runs])
        self.weights = Weights([r.method for r in runs])
        self.last: dict[str, Found] = {}
        self.rates = {
            "critic": Rates([r.method.critic_optimizer for r in runs]),
            "generator": Rates([r.method.generator_optimizer for r in runs]),
        }
        projection = first.method.projection
        self._entrywise = projection is None or _function(projection.function) is clip_weights_
        self.together = self._joined(_for_all(self.weights.method), first)
        for mine, theirs in self._memories():
            keep_memory_(mine, theirs)
        self._bind()

    def __len__(self) -> int:
        return len(self.runs)

    def _joined(self, method: Method, first: Run) -> Run:
        generator, critic = self.generator.module, self.critic.module
        lookahead = method.play.lookahead
        return Run(
            method,
            generator,
            critic,
            stacked_module([r.average for r in self.runs]),
            method.critic_optimizer.build(critic.parameters()),
            method.generator_optimizer.build(generator.parameters()),
            Streams([r.rng for r in self.runs]),
            first.latent,
            first.batch_size,
            first.precision,
            first.ema_half_life_images,
            first.ema_ramp_up,
            None if lookahead is None else lookahead.build([*generator.parameters(), *critic.parameters()]),
            first.sample_shape,
            step=first.step,
            critic_steps=first.critic_steps,
            images_seen=first.images_seen,
            _averaged_at=first._averaged_at,
        )

    def project_(self) -> None:
        """The projections that are due after a critic step."""
        projection = self.together.method.projection
        if projection is None or not projection.due(self.together.critic_steps):
            return
        if self._entrywise:
            projection(self.together.critic)
            return
        for run in self.runs:
            projection(run.critic)

    def without_the_bad(
        self, size: Tensor, error: Callable[[int], NonFiniteError]
    ) -> tuple[Tensor | None, dict[int, NonFiniteError]]:
        """Take out the runs whose ``size`` ``[runs]`` is not finite.

        Returns:
            The places of those that stay, None if all do; and the errors of the others by their place.
        """
        finite = torch.isfinite(size)
        if bool(finite.all()):
            return None, {}
        left = {k: error(k) for k in (~finite).nonzero().flatten().tolist()}
        rows = finite.nonzero().flatten()
        self._keep(rows)
        return rows, left

    def error(self, k: int, player: str, again: Callable[[], Tensor] | None, samples: Tensor | None) -> NonFiniteError:
        """What run ``k`` would have raised alone; ``again`` repeats its objective.

        Raises:
            UserError: ``player`` is neither ``"generator"`` nor ``"critic"``.
        """
        if player not in ("generator", "critic"):
            raise UserError(f"Expected player as 'generator' or 'critic', got {player!r}; name one of the two.")
        run = self.run(k)
        networks = {player: getattr(run, player), "critic": run.critic, "generator": run.generator}
        stream = run.rng.get_state()
        with self._gradients_of(k, run, player):
            where = locate(networks, again, samples=samples)
        run.rng.set_state(stream)
        last = scalars_of(self.last[player])[k] if player in self.last else {}
        return NonFiniteError(run.step, player, where, last, stained(networks))

    @contextmanager
    def _gradients_of(self, k: int, run: Run, player: str) -> Iterator[None]:
        """Inside, the networks of run ``k`` hold its part of the player's gradients."""
        whole = dict(getattr(self.together, player).named_parameters())
        own = [(p, whole[name].grad) for name, p in getattr(run, player).named_parameters()]
        before = [p.grad for p, _ in own]
        for p, gradient in own:
            p.grad = None if gradient is None else gradient[k]
        try:
            yield
        finally:
            for (p, _), gradient in zip(own, before, strict=True):
                p.grad = gradient

    def run(self, k: int) -> Run:
        """Run number ``k`` as it stands; its networks change with the next step."""
        own, together = self.runs[k], self.together
        own.step, own.critic_steps, own.images_seen = together.step, together.critic_steps, together.images_seen
        own._averaged_at = together._averaged_at
        for mine, theirs in self._memories():
            keep_memory_(theirs[k], [mine], k)
        for player, rates in self.rates.items():
            rates.write_(getattr(own, f"{player}_optimizer"), k)
        return own

    def release(self) -> list[Run]:
        """Every run that is left, with tensors of its own; the stack is not to be used again."""
        for k in range(len(self)):
            self._take_out(k)
        return self.runs

    def _keep(self, rows: Tensor) -> None:
        """Go on with these runs; the others take their tensors with them."""
        places = rows.tolist()
        for k in set(range(len(self))) - set(places):
            self._take_out(k)
        for mine, _ in self._memories():
            part_of_memory_(mine, rows)
        together = self.together
        for module in (together.generator, together.critic, together.average):
            keep_(module, rows)
        self.runs = [self.runs[k] for k in places]
        together.rng = Streams([r.rng for r in self.runs])
        self.last = {player: rows_of_found(found, rows) for player, found in self.last.items()}
        self.weights.keep(places)
        for rates in self.rates.values():
            rates.keep(places)
        self._bind()

    def _take_out(self, k: int) -> None:
        own, together = self.run(k), self.together
        for name in ("generator", "critic", "average"):
            bind_(getattr(own, name), getattr(together, name), k, copy=True)

    def _bind(self) -> None:
        for player in (self.generator, self.critic):
            player.refresh()
        for k, run in enumerate(self.runs):
            for name in ("generator", "critic", "average"):
                bind_(getattr(run, name), getattr(self.together, name), k)

    def _memories(self) -> list[tuple[torch.optim.Optimizer, list[torch.optim.Optimizer]]]:
        names = ["generator_optimizer", "critic_optimizer"]
        names += ["lookahead"] if self.together.lookahead is not None else []
        return [(getattr(self.together, name), [getattr(r, name) for r in self.runs]) for name in names]


def scalars_of(found: Found) -> list[dict[str, float]]:
    """Per run what ``training.scalars`` gives: loss, penalty, gradient norm and mean scores."""
    names = [n for n in ("loss", "penalty", "gradient_norm", "d_real", "d_fake") if n in found]
    columns = {n: (torch.vmap(mean_score)(found[n])).tolist() for n in names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rows_of_found(found: Found, rows: Tensor) -> Found:
    """The part of some runs."""
    return {
        name: part[rows] if isinstance(part, Tensor) else tuple(p[rows] for p in part) for name, part in found.items()
    }


def _for_all(method: Method) -> Method:
    """The method of all runs, whose correction of both losses treats each as a game of its own."""
    correction = getattr(method.play, "correction", None)
    if correction is None:
        return method
    if _function(correction) not in (consensus, symplectic):
        raise UnstackableError(
            f"Expected consensus or symplectic as the correction of both losses side by side, got {correction!r}; "
            f"{REMEDY}."
        )
    return replace(method, play=replace(method.play, correction=partial(correction, stacked=True)))  # type: ignore[call-arg]


def _function(given: Any) -> Any:
    while isinstance(given, partial):
        given = given.func
    return given
