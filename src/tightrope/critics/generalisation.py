"""How well critics generalise: fresh critics, one budget, a frozen pair of distributions, held-out samples.

Per method and seed, with ``W(S) = (mean_S D - mean_Q D) / L`` and ``L`` the largest gradient norm found:

    generalisation   W(held-out) / W(training)         1 for a critic that has not overfitted
    tightness        W(held-out) / W1(held-out, Q)     1 for an optimal critic; exact W1 by assignment
    score            estimate * K / sum of the K methods' estimates, so that the mean over methods is 1
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import (
    check_module,
    check_samples,
    check_seed,
    check_seeds,
    check_whole,
    refuse_frozen_code,
    short,
)
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import critic_scores, rows_of, samples_of, undisturbed
from tightrope.autodiff.guard import computed_once
from tightrope.critics.estimate import mean_gap, steepest, wasserstein_estimate
from tightrope.methods import Method
from tightrope.methods.game import critic_objective
from tightrope.optimizers.strides import match_strides_


@dataclass(frozen=True)
class Judged:
    """One trained critic.

    Attributes:
        seed: Of its weights and batches.
        train: Estimate on its training samples, per unit of slope.
        test: Estimate on held-out samples, per unit of slope.
        slope: Largest gradient norm found.
        exact: Exact distance of the held-out to the fresh fake samples; None where not computable.
    """

    seed: int
    train: float
    test: float
    slope: float
    exact: float | None


@dataclass(frozen=True)
class Interval:
    """Mean over seeds and its 95 % Student interval; the ends are NaN for a single seed."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class CriticScore:
    """A method's critics over seeds.

    Attributes:
        name: Of the method.
        critics: One per seed.
        test: Held-out estimate per unit of slope.
        generalisation: Held-out over training estimate.
        tightness: Held-out estimate over exact distance; None where that is not computable.
        score: Held-out estimate relative to the methods' mean for the same seed; 1 is the average.
    """

    name: str
    critics: tuple[Judged, ...]
    test: Interval
    generalisation: Interval
    tightness: Interval | None
    score: Interval


def generalisation_scores(
    methods: Mapping[str, tuple[Method, Callable[[int], nn.Module]]],
    train: Tensor,
    test: Tensor,
    fakes: Callable[[int, torch.Generator], Tensor],
    *,
    steps: int,
    batch_size: int = 128,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
) -> list[CriticScore]:
    """The critic generalisation score of several methods on one frozen pair of distributions.

    Critics at the end of a GAN's training are not used: they are far from optimal for any other generator.

    Args:
        methods: Per name a method, of which loss, penalties, constraint, projection and critic optimiser count, and
            ``seed -> critic``, a fresh network.
        train: Real training samples ``[n, *shape]``.
        test: Held-out real samples ``[m, *shape]``.
        fakes: ``(count, rng) -> [count, *shape]``: a frozen generator or a known distribution.
        steps: Critic steps, the same for all.
        batch_size: Real, and fake, samples per step.
        seeds: One critic per method and seed; intervals are over these.

    Returns:
        One entry per method, best held-out estimate first.

    Raises:
        UserError: No methods or seeds, or a seed twice.

    **Source**: Orthogonal Wasserstein GANs (arXiv 1911.13060) proposes a metric of critic generalisation on an
    approximated Wasserstein distance; the text available to us has no formula. This is our reading.
    **Cost**: ``len(methods) * len(seeds) * steps`` critic steps, and one assignment of the held-out size per seed.
    """
    if not methods or not seeds:
        raise UserError(f"Expected at least one method and one seed, got {len(methods)} and {len(seeds)}.")
    for entry in methods.values():
        if not isinstance(entry, tuple | list) or len(entry) != 2 or not callable(entry[1]):
            raise UserTypeError(
                f"Expected a method and a function of the seed per name, got {short(entry)}; pass "
                "{'r1': (methods.build('r1'), lambda seed: critic)}."
            )
    check_seeds(seeds)
    check_samples(train, "training samples")
    check_samples(test, "held-out samples")
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"Expected training and held-out samples of one shape, got {list(train.shape)} and {list(test.shape)}; "
            "take both from one data set."
        )
    judged: dict[str, list[Judged]] = {name: [] for name in methods}
    for seed in seeds:
        held_out = samples_of(fakes(len(test), torch.Generator().manual_seed(2**20 + seed))).detach()
        exact: float | None = None
        for index, (name, (method, network)) in enumerate(methods.items()):
            critic = train_critic(method, network(seed), train, fakes, steps=steps, batch_size=batch_size, seed=seed)
            with undisturbed(critic), computed_once(critic.eval()):
                if index == 0:
                    exact = wasserstein_estimate(critic, test, held_out).exact
                slope = max(steepest(critic, x, held_out) for x in (train, test))
                seen, unseen = (mean_gap(critic, x, held_out) / max(slope, 1e-30) for x in (train, test))
            judged[name].append(Judged(seed, seen, unseen, slope, exact))
    return sorted(_scores(judged), key=lambda score: -score.test.mean)


def train_critic(
    method: Method,
    critic: nn.Module,
    real: Tensor,
    fakes: Callable[[int, torch.Generator], Tensor],
    *,
    steps: int,
    batch_size: int = 128,
    seed: int = 0,
) -> nn.Module:
    """Train one critic by a method's critic step between fixed real samples and fresh fakes; returns it, constrained.

    Args:
        method: As in :func:`generalisation_scores`.
        critic: Fresh; edited in place.
        real: ``[n, *shape]``, drawn from with replacement.
        fakes: ``(count, rng) -> [count, *shape]``.
        steps: Critic steps.
        batch_size: Real, and fake, samples per step.
        seed: Of batches, fakes and interpolates.

    Raises:
        UserError: An argument of another kind, or a critic with nothing to train.
    """
    if not isinstance(method, Method):
        raise UserTypeError(f"Expected a Method, got {method!r}; build one: methods.build('wgan_gp').")
    check_module(critic, "critic")
    check_samples(real)
    if not bool(torch.isfinite(real).all()):
        raise UserError("Expected finite samples, got NaN or infinity among the real ones; look at the data.")
    check_whole("steps", steps, 0, 1000)
    check_whole("batch_size", batch_size, 1, 128)
    check_seed(seed)
    if not callable(fakes):
        raise UserTypeError(
            f"Expected fakes as a function (count, rng) -> samples, got a {type(fakes).__name__}; wrap it."
        )
    rng = torch.Generator().manual_seed(seed)
    if method.constraint is not None:
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(seed)
            critic = method.constraint(critic, tuple(real.shape[1:]))
    if method.projection is not None:
        method.projection(critic)
    parameters = [p for p in critic.parameters() if p.requires_grad]
    if not parameters:
        raise UserError("Expected a critic with parameters that require a gradient, got none; unfreeze it.")
    refuse_frozen_code(critic, "training here")
    optimizer = method.critic_optimizer.build(parameters)
    with undisturbed(critic), torch.no_grad():
        critic_scores(critic.eval(), real[: rows_of(critic)])
    critic.train()
    for step in range(steps):
        batch = real[torch.randint(len(real), (batch_size,), generator=rng)]
        fake = samples_of(fakes(batch_size, rng)).detach()
        with computed_once(critic):
            objective = critic_objective(method, critic, batch, fake, critic_step=step, rng=rng)
            gradients = torch.autograd.grad(objective.total, parameters, allow_unused=True)
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        match_strides_(parameters)
        optimizer.step()
        if method.projection is not None and method.projection.due(step + 1):
            method.projection(critic)
    return critic


def table(scores: Sequence[CriticScore]) -> str:
    """Aligned text, one line per method: means and 95 % intervals over seeds."""
    head = ("method", "held-out estimate", "generalisation", "tightness", "score")
    lines = [head]
    for s in scores:
        tight = "-" if s.tightness is None else str(s.tightness)
        lines.append((s.name, str(s.test), str(s.generalisation), tight, str(s.score)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _scores(judged: Mapping[str, Sequence[Judged]]) -> list[CriticScore]:
    averages = [sum(c.test for c in column) / len(judged) for column in zip(*judged.values(), strict=True)]
    found = []
    for name, critics in judged.items():
        tight = [c.test / c.exact for c in critics if c.exact]
        found.append(
            CriticScore(
                name,
                tuple(critics),
                interval([c.test for c in critics]),
                interval([c.test / c.train if c.train else math.nan for c in critics]),
                interval(tight) if tight else None,
                interval([c.test / a if a else math.nan for c, a in zip(critics, averages, strict=True)]),
            )
        )
    return found


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % Student interval of a few values."""
    x = torch.tensor(values, dtype=torch.float64)
    mean = float(x.mean())
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * float(x.std()) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)
