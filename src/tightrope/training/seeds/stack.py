"""Runs side by side: their half-steps as one computation, each run's numbers being those it has alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.draws import Streams, restartable
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import frozen, labelled
from tightrope.constraints import clip_weights_
from tightrope.methods.game import Draw, Objective, critic_objective, generator_objective, losses_on, mean_score
from tightrope.optimizers import consensus, symplectic
from tightrope.optimizers.extragradient import extrapolating
from tightrope.optimizers.strides import match_strides_
from tightrope.training.batches import to_device
from tightrope.training.half_steps import finish_critic, finish_step
from tightrope.training.nonfinite import NonFiniteError, locate, stained
from tightrope.training.run import Run
from tightrope.training.seeds.memory import keep_memory_, part_of_memory_
from tightrope.training.seeds.players import REMEDY, Player, bind_, keep_, stacked_module
from tightrope.training.seeds.rates import Rates
from tightrope.training.seeds.weights import Weights

Found = dict[str, Any]
"""What a half-step found, stacked over runs: ``total``, ``loss``, ``penalty``, ``d_real``, ``d_fake``, norms."""


class Stack:
    """Runs that train side by side, at one and the same step.

    The runs given stay the owners: their networks are views of the stacked tensors, so that they can be looked at
    between steps, see :meth:`run`, and :meth:`release` gives each its own tensors back.

    Args:
        runs: From ``training.start``, with methods that differ in rates and in penalties' weights alone.

    Raises:
        UserError: Networks that differ in structure, or that cannot be trained side by side.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        refuse_unstackable(runs[0])
        self.runs = list(runs)
        first = runs[0]
        self.generator, self.critic = (Player([getattr(r, name) for r in runs]) for name in ("generator", "critic"))
        self.weights = Weights([r.method for r in runs])
        method, projection = self.weights.method, first.method.projection
        self._entrywise = projection is None or _function(projection.function) is clip_weights_
        correction = getattr(method.play, "correction", None)
        if correction is not None and _function(correction) not in (consensus, symplectic):
            raise UserError(
                f"Expected a correction of both losses that is known side by side, consensus or symplectic, got "
                f"{correction!r}; {REMEDY}."
            )
        if correction is not None:
            method = replace(method, play=replace(method.play, correction=partial(correction, stacked=True)))
        self.together = Run(
            method if self._entrywise else replace(method, projection=None, constraint=first.method.constraint),
            self.generator.module,
            self.critic.module,
            stacked_module([r.average for r in runs]),
            first.method.critic_optimizer.build(self.critic.module.parameters()),
            first.method.generator_optimizer.build(self.generator.module.parameters()),
            Streams([r.rng for r in runs]),  # type: ignore[arg-type]
            first.latent,
            first.batch_size,
            first.precision,
            first.ema_half_life_images,
            first.ema_ramp_up,
            sample_shape=first.sample_shape,
            step=first.step,
            critic_steps=first.critic_steps,
            images_seen=first.images_seen,
            _averaged_at=first._averaged_at,
        )
        together = self.together
        if first.lookahead is not None and method.play.lookahead is not None:
            both = [*together.generator.parameters(), *together.critic.parameters()]
            together.lookahead = method.play.lookahead.build(both)
        self.rates = {
            "critic": Rates([r.method.critic_optimizer for r in runs]),
            "generator": Rates([r.method.generator_optimizer for r in runs]),
        }
        for mine, theirs in self._memories():
            keep_memory_(mine, theirs)
        self._bind()

    def __len__(self) -> int:
        return len(self.runs)

    def critic_step(self, real: Tensor, labels: Tensor | None = None) -> tuple[Found, dict[int, NonFiniteError]]:
        """Update every critic once; see ``training.critic_step``.

        Args:
            real: Each run's real samples, ``[runs, batch, *shape]``.
            labels: Classes ``[runs, batch]``.

        Returns:
            What was found, stacked over the runs that are left, and why others left, by their place before the step.
        """
        run, method = self.together, self.together.method
        real, labels = self._ready(real, labels)
        z = run.latents(real.shape[1])
        with torch.no_grad():
            self.generator.prepare()
            fake = self.generator.call(z, *_given(run.generator, labels)).to(real.dtype)
        if any(penalty.due(run.critic_steps) for penalty in method.penalties):
            real, fake = real.requires_grad_(), fake.requires_grad_()
        self.critic.prepare()
        position = {"critic_step": run.critic_steps, "images_seen": run.images_seen}

        def one(real: Tensor, fake: Tensor, labels: Tensor | None) -> Objective:
            critic = labelled(self.critic.beside, labels)
            return critic_objective(method, critic, real, fake, rng=run.rng, **position)

        def alone(k: int) -> Objective:
            theirs = labelled(self.runs[k].critic, None if labels is None else labels[k])
            given = real[k].detach(), fake[k].detach()
            return critic_objective(self.runs[k].method, theirs, *given, rng=self.runs[k].rng, **position)

        found, left = self._update("critic", one, (real, fake, labels), alone, real)
        self.finish_critic(real.shape[1])
        return found, left

    def generator_step(
        self, real: Tensor | None = None, labels: Tensor | None = None
    ) -> tuple[Found, dict[int, NonFiniteError]]:
        """Update every generator once and move its average; see :meth:`critic_step`, ``training.generator_step``."""
        run, method = self.together, self.together.method
        if real is not None:
            real, labels = self._ready(real, labels)
        factor = method.play.generator_batch_factor
        labels = labels.repeat(1, factor) if labels is not None else None
        n = real.shape[1] if real is not None and method.loss.paired else run.batch_size * factor
        z = run.latents(n if labels is None else labels.shape[1])

        def one(z: Tensor, real: Tensor | None, labels: Tensor | None) -> Objective:
            generator, critic = labelled(self.generator.beside, labels), labelled(self.critic.beside, labels)
            seen = run.images_seen
            return generator_objective(method, generator, critic, z, real=real, images_seen=seen, rng=run.rng)

        def alone(k: int) -> Objective:
            own, mine = self.runs[k], None if labels is None else labels[k]
            players = labelled(own.generator, mine), labelled(own.critic, mine)
            paired = None if real is None else real[k]
            return generator_objective(own.method, *players, z[k], real=paired, rng=own.rng)

        with frozen(self.critic.module):
            self.generator.prepare()
            self.critic.prepare()
            found, left = self._update("generator", one, (z, real, labels), alone, real)
        finish_step(run)
        return found, left

    def joint_step(
        self, real: Tensor, labels: Tensor | None = None
    ) -> tuple[Found, Found, dict[int, NonFiniteError]]:
        """Update all players at once; see ``training.joint_step``. Returns the critics' part, the generators', losses.
        """
        run, method = self.together, self.together.method
        real, labels = self._ready(real, labels)
        factor = method.play.generator_batch_factor
        for_critic, for_generator = run.latents(real.shape[1]), run.latents(real.shape[1] * factor)
        noise: Any = restartable(run.rng)
        given = [real, for_critic, for_generator, labels]
        left: dict[int, NonFiniteError] = {}
        places = list(range(len(self)))
        optimizers = {"generator": run.generator_optimizer, "critic": run.critic_optimizer}
        rules = {player: found for player, o in optimizers.items() if (found := extrapolating(o)) is not None}
        found: dict[str, Found] = {}
        for attempt in range(2 if rules else 1):
            found = self._joint_gradients_(given, noise)
            size = found["critic"]["total"] + found["critic"]["gradient_norm"]
            size = size + found["generator"]["total"] + found["generator"]["gradient_norm"]
            rows = self._good(size)
            if rows is not None:
                if attempt:
                    for rule in rules.values():
                        _retreat(rule, ~torch.isfinite(size))
                for k in sorted(set(range(len(self))) - set(rows.tolist())):
                    half = found["generator"]
                    bad = "critic" if torch.isfinite(half["total"][k] + half["gradient_norm"][k]) else "generator"
                    left[places[k]] = self._error(k, bad, None, real)
                places = [places[k] for k in rows.tolist()]
                self._leave(rows)
                noise = _kept(noise, rows)
                given = [None if x is None else x[rows] for x in given]
                found = {player: _rows(half, rows) for player, half in found.items()}
            if rules and not attempt:
                for player, rule in rules.items():
                    self.rates[player].move(rule, rule.extrapolate, run.images_seen)
        for player in ("generator", "critic"):
            self.rates[player].move(optimizers[player], optimizers[player].step, run.images_seen)
        self.finish_critic(real.shape[1])
        finish_step(run)
        return found["critic"], found["generator"], left

    def _joint_gradients_(self, given: Sequence[Any], noise: Callable[[], Any]) -> dict[str, Found]:
        """Write the gradients of both players at the present point."""
        run, method = self.together, self.together.method
        detached = not method.play.corrects
        found: dict[str, Found] = {}

        def loss(player: str) -> Callable[[], Tensor]:
            def one(real: Tensor, for_critic: Tensor, for_generator: Tensor, labels: Tensor | None) -> Objective:
                steps = {"critic_step": run.critic_steps, "images_seen": run.images_seen}
                draw = Draw(real, for_critic, for_generator, noise, labels, **steps)
                seen: dict[str, Objective] = {}
                players = self.generator.beside, self.critic.beside
                losses = losses_on(method, *players, draw, detached=detached, seen=seen)
                losses[0 if player == "generator" else 1]()
                return seen[player]

            def total() -> Tensor:
                found[player] = self._mapped(player, one, tuple(given))
                value: Tensor = found[player]["total"]
                return value if method.play.corrects else value.sum()

            return total

        losses = method.play.corrected((loss("generator"), loss("critic")), (run.generator, run.critic))
        taken: dict[str, tuple[list[Tensor], Sequence[Tensor | None], Tensor]] = {}
        for player, value, optimizer in zip(
            ("generator", "critic"), losses, (run.generator_optimizer, run.critic_optimizer), strict=True
        ):
            optimizer.zero_grad(set_to_none=True)
            parameters = _parameters(optimizer)
            self.generator.prepare()
            self.critic.prepare()
            total = value()
            halves = torch.autograd.grad(total.sum(), parameters, allow_unused=True)
            taken[player] = parameters, halves, total.detach()
            found[player] = _detached(found[player])
        for player, (parameters, gradients, total) in taken.items():
            for p, gradient in zip(parameters, gradients, strict=True):
                p.grad = gradient
            match_strides_(parameters)
            if method.play.corrects:
                found[player]["total"] = total
            found[player]["gradient_norm"] = _norms(parameters, len(self))
        return found

    def _update(
        self,
        player: str,
        one: Callable[..., Objective],
        given: tuple[Tensor | None, ...],
        alone: Callable[[int], Objective],
        samples: Tensor | None,
    ) -> tuple[Found, dict[int, NonFiniteError]]:
        """Descend one objective of every run; those whose numbers are not finite leave before it."""
        optimizer = getattr(self.together, f"{player}_optimizer")
        parameters = _parameters(optimizer)
        optimizer.zero_grad(set_to_none=True)
        found = self._mapped(player, one, given)
        found["total"].sum().backward(inputs=parameters)
        match_strides_(parameters)
        found = _detached(found) | {"gradient_norm": _norms(parameters, len(self))}
        left: dict[int, NonFiniteError] = {}
        rows = self._good(found["total"] + found["gradient_norm"])
        if rows is not None:
            gone = sorted(set(range(len(self))) - set(rows.tolist()))
            left = {k: self._error(k, player, alone, samples) for k in gone}
            self._leave(rows)
            found = _rows(found, rows)
        self.rates[player].move(optimizer, optimizer.step, self.together.images_seen)
        return found, left

    def _mapped(self, player: str, one: Callable[..., Objective], given: tuple[Tensor | None, ...]) -> Found:
        """An objective of every run at once."""
        present = [k for k, x in enumerate(given) if x is not None]

        def mapped(values: Any, tensors: Any, *xs: Tensor) -> Found:
            whole = dict(zip(present, xs, strict=True))
            with self.weights.are(values):
                objective = partial(one, *(whole.get(k) for k in range(len(given))))
                holder = getattr(self, player)
                found = holder.within(objective)(tensors) if tensors else objective()
            parts = vars(found).items()
            return {name: part for name, part in parts if part is not None}

        inside = self.weights.look_inside(player)
        module = getattr(self, player).module
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())} if inside else {}
        values = self.weights.at(self.together.images_seen)
        try:
            result: Found = torch.vmap(mapped)(values, tensors, *(x for x in given if x is not None))
        except RuntimeError as problem:
            explain(problem)
            raise
        return result

    def _good(self, size: Tensor) -> Tensor | None:
        """Places of the runs whose numbers are finite; None if all are."""
        finite = torch.isfinite(size)
        return None if bool(finite.all()) else finite.nonzero().flatten()

    def _error(
        self, k: int, player: str, alone: Callable[[int], Objective] | None, samples: Tensor | None
    ) -> NonFiniteError:
        """What the run would have raised alone; its state is written back."""
        run = self.run(k)
        networks = {player: getattr(run, player), "critic": run.critic, "generator": run.generator}
        again = None if alone is None else lambda: alone(k).total
        stream = run.rng.get_state()
        where = locate(networks, again, samples=None if samples is None else samples[k])
        run.rng.set_state(stream)
        return NonFiniteError(run.step, player, where, {}, stained(networks))

    def _leave(self, rows: Tensor) -> None:
        """Keep these runs; the others take their tensors with them."""
        keep = set(rows.tolist())
        for k in range(len(self)):
            if k not in keep:
                self._take_out(k)
        together = self.together
        for mine, _ in self._memories():
            part_of_memory_(mine, rows)
        for module in (together.generator, together.critic, together.average):
            keep_(module, rows)
        self.runs = [self.runs[k] for k in rows.tolist()]
        together.rng = Streams([r.rng for r in self.runs])  # type: ignore[assignment]
        self.weights.keep(rows.tolist())
        for rates in self.rates.values():
            rates.keep(rows.tolist())
        self.generator.refresh()
        self.critic.refresh()
        self._bind()

    def run(self, k: int) -> Run:
        """Run number ``k`` as it stands; its networks change with the next step."""
        own, together = self.runs[k], self.together
        own.step, own.critic_steps, own.images_seen = together.step, together.critic_steps, together.images_seen
        own._averaged_at = together._averaged_at
        for mine, theirs in self._memories():
            keep_memory_(theirs[k], [mine], k)
        return own

    def release(self) -> list[Run]:
        """Every run with tensors of its own; the stack is not used again."""
        for k in range(len(self)):
            self._take_out(k)
        return self.runs

    def finish_critic(self, images: int) -> None:
        """Counters and projections after critic steps."""
        finish_critic(self.together, images)
        for run in () if self._entrywise else self.runs:
            projection = run.method.projection
            if projection is not None and projection.due(self.together.critic_steps):
                projection(run.critic)

    def _take_out(self, k: int) -> None:
        own, together = self.run(k), self.together
        for name in ("generator", "critic", "average"):
            bind_(getattr(own, name), getattr(together, name), k, copy=True)

    def _bind(self) -> None:
        for k, run in enumerate(self.runs):
            for name in ("generator", "critic", "average"):
                bind_(getattr(run, name), getattr(self.together, name), k)

    def _memories(self) -> list[tuple[torch.optim.Optimizer, list[torch.optim.Optimizer]]]:
        names = ["generator_optimizer", "critic_optimizer"]
        names += ["lookahead"] if self.together.lookahead is not None else []
        return [(getattr(self.together, name), [getattr(r, name) for r in self.runs]) for name in names]

    def _ready(self, real: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Batches checked as a single run checks them."""
        runs, n = real.shape[:2]
        flat = real.flatten(0, 1)
        flat, found = to_device(self.together, flat, None if labels is None else labels.flatten(0, 1))
        return flat.unflatten(0, (runs, n)), None if found is None else found.unflatten(0, (runs, n))


def refuse_unstackable(run: Run) -> None:
    """Raise where runs like this one cannot be trained side by side.

    Raises:
        UserError: In bf16, or away from the CPU's random streams.
    """
    if run.precision != "fp32":
        raise UserError(
            f"Expected precision 'fp32' for seeds side by side, got {run.precision!r}; pass how='processes', which "
            "trains each seed by itself."
        )


def explain(problem: RuntimeError) -> None:
    """Say in a sentence what stands in the way of a ``vmap``.

    Raises:
        UserError: It was one of the known obstacles.
    """
    text = str(problem)
    if "random operation" in text or "randomness" in text:
        what = "draws that come from the runs' own streams, got a network that draws by itself (dropout, noise layers)"
    elif "data-dependent" in text or "item()" in text:
        what = "networks without Python decisions by values of tensors, got one (an if, float() or item() on a tensor)"
    elif "in-place" in text or "inplace" in text.replace(" ", "") or "vmap" in text:
        what = f"networks that torch.vmap can map over seeds, got one that it refuses ({text.splitlines()[0][:120]})"
    else:
        return
    raise UserError(f"Expected {what}; pass how='processes', which trains each seed by itself.") from problem


def scalars_of(found: Found) -> list[dict[str, float]]:
    """Per run what ``training.scalars`` gives: loss, penalty, gradient norm and mean scores."""
    names = [n for n in ("loss", "penalty", "gradient_norm", "d_real", "d_fake") if n in found]
    columns = {n: (torch.vmap(mean_score)(found[n])).tolist() for n in names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _function(given: Any) -> Any:
    while isinstance(given, partial):
        given = given.func
    return given


def _given(network: Any, labels: Tensor | None) -> tuple[Tensor, ...]:
    return (labels,) if labels is not None and getattr(network, "classes", 0) else ()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _norms(parameters: Sequence[Tensor], runs: int) -> Tensor:
    """Norm of each run's gradient over all parameters, ``[runs]``."""
    parts = [
        torch.linalg.vector_norm(p.grad, dim=tuple(range(1, p.grad.dim()))) if p.grad.dim() > 1 else p.grad.abs()
        for p in parameters
        if p.grad is not None
    ]
    return torch.linalg.vector_norm(torch.stack(parts), dim=0) if parts else torch.zeros(runs)


def _detached(found: Found) -> Found:
    return {
        name: part.detach() if isinstance(part, Tensor) else tuple(p.detach() for p in part)
        for name, part in found.items()
    }


def _rows(found: Found, rows: Tensor) -> Found:
    return {
        name: part[rows] if isinstance(part, Tensor) else tuple(p[rows] for p in part) for name, part in found.items()
    }


def _kept(noise: Callable[[], Any], rows: Tensor) -> Callable[[], Any]:
    return lambda: Streams([noise().generators[k] for k in rows.tolist()])


def _retreat(rule: Any, gone: Tensor) -> None:
    """Put the runs that leave back to where their step began."""
    with torch.no_grad():
        for p, state in rule.state.items():
            if "start" in state:
                p[gone] = state["start"][gone]
