"""Game dynamics of what is trained: a Method with its networks, or a run, as the losses and players of `dynamics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tightrope.autodiff import undisturbed
from tightrope.dynamics import Losses, Spectrum, eigenvalues
from tightrope.game import critic_objective, generator_objective
from tightrope.methods import Method
from tightrope.metrics import sliced_wasserstein
from tightrope.nonfinite import NonFiniteError
from tightrope.optimizers import SIMULTANEOUS, Step, alternating, extragradient_step, in_sequence, outer_step
from tightrope.optimizers.extragradient import Extrapolating
from tightrope.training import Run, bind, start, train


def game_of(
    method: Method,
    generator: nn.Module,
    critic: nn.Module,
    real: Tensor,
    *,
    latent: int,
    seed: int = 0,
    labels: Tensor | None = None,
    critic_step: int = 0,
    images_seen: int = 0,
) -> Losses:
    """The losses ``(generator_loss, critic_loss)`` that a method trains two networks by, on one fixed batch.

    They are the training objectives themselves, corrections such as consensus included, so what is analysed is what is
    trained. Latents are drawn once; noise
    and interpolation coefficients are drawn anew from the same seed at every evaluation. One batch is one sample of
    the game: compare a few, see ``eigenvalues(..., batches=)``.

    Args:
        method: Loss, penalties and perturbation.
        generator: Player 0.
        critic: Player 1.
        real: Real samples ``[batch, *shape]``.
        latent: Size of the latents.
        seed: Of latents, noise and coefficients.
        labels: Classes ``[batch]``, for conditional networks.
        critic_step: Decides which lazy penalties are due; 0 for all.
        images_seen: Position on the schedules.

    Returns:
        Two functions without arguments; the players are ``(generator, critic)``.
    """
    rng = torch.Generator().manual_seed(seed)
    like = next(generator.parameters())
    for_critic, for_generator = (
        torch.randn(len(real), latent, generator=rng).to(device=like.device, dtype=like.dtype) for _ in range(2)
    )
    real = real.to(device=like.device, dtype=like.dtype)
    G, D = bind(generator, labels), bind(critic, labels)

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(seed + 1)

    def generator_loss() -> Tensor:
        return generator_objective(method, G, D, for_generator, real=real, images_seen=images_seen, rng=noise()).total

    def critic_loss() -> Tensor:
        position = {"critic_step": critic_step, "images_seen": images_seen}
        return critic_objective(method, D, real, G(for_critic), rng=noise(), **position).total

    losses: Losses = (generator_loss, critic_loss)
    return losses if method.correction is None else method.correction(losses, (generator, critic))


def run_game(run: Run, real: Tensor, *, labels: Tensor | None = None, seed: int = 0) -> Losses:
    """:func:`game_of` a run where it stands; the players are ``(run.generator, run.critic)``.

    Args:
        run: In fp32; nothing in it changes.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``, for conditional networks.
        seed: Of latents, noise and coefficients.
    """
    return game_of(
        run.method,
        run.generator,
        run.critic,
        real,
        latent=run.latent,
        seed=seed,
        labels=labels,
        images_seen=run.images_seen,
    )


def run_step(run: Run, real: Tensor, *, labels: Tensor | None = None, seed: int = 0) -> Step:
    """One whole step of a run with its own optimisers, for ``dynamics.predict`` and ``dynamics.update_jacobian``.

    All critic steps see the same batch and latents, and penalties and projections are due at each of them. Both players
    move at once, or look ahead, where the method does; with lookahead a step is a whole cycle of ``k`` steps. Calling
    the step changes the networks and optimisers without counting; the functions of ``dynamics`` undo it.

    Args:
        run: In fp32.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``, for conditional networks.
        seed: Of latents, noise and coefficients.
    """
    method = run.method
    game = run_game(run, real, labels=labels, seed=seed)
    players, optimizers = (run.generator, run.critic), (run.generator_optimizer, run.critic_optimizer)
    project = {} if method.project is None else {1: partial(method.project, run.critic)}
    step: Step
    ahead = [optimizer for optimizer in optimizers if isinstance(optimizer, Extrapolating)]
    if ahead:
        step = in_sequence(extragradient_step(game, players, ahead), *project.values())
    else:
        order = SIMULTANEOUS if method.order == "simultaneous" else alternating(method.critic_steps(run.step))
        step = outer_step(game, players, optimizers, order, project=project)
    if run.lookahead is None:
        return step
    return in_sequence(*(step, run.lookahead.step) * int(run.lookahead.param_groups[0]["k"]))


def run_optimizers(run: Run) -> tuple[torch.optim.Optimizer, ...]:
    """The optimisers whose memory a run's step carries over: the generator's, the critic's, and lookahead's."""
    slow = () if run.lookahead is None else (run.lookahead,)
    return run.generator_optimizer, run.critic_optimizer, *slow


@dataclass(frozen=True)
class GammaTrial:
    """Probe runs with one weight.

    Attributes:
        gamma: The weight.
        distances: Sliced Wasserstein distance of samples to held-out data after the probe, one per seed; infinite
            where the probe met a value that is not finite.
        spectra: Six leading eigenvalues of the game at the end, one spectrum per seed whose probe stayed finite and
            whose eigenvalues converged.
    """

    gamma: float
    distances: tuple[float, ...]
    spectra: tuple[Spectrum, ...]

    @property
    def distance(self) -> float:
        """Mean distance over seeds."""
        return sum(self.distances) / len(self.distances)

    @property
    def rightmost(self) -> float:
        """Largest real part of the leading eigenvalues, over seeds; infinite if there are none."""
        return max((float(s.values.real.max()) for s in self.spectra), default=float("inf"))


@dataclass(frozen=True)
class GammaAdvice:
    """A recommended weight and the trials behind it."""

    gamma: float
    reason: str
    trials: tuple[GammaTrial, ...]

    def __str__(self) -> str:
        rows = [f"{t.gamma:>10.4g} {t.distance:>12.4g} {t.rightmost:>16.3g}" for t in self.trials]
        return "\n".join([f"{'gamma':>10} {'distance':>12} {'rightmost Re':>16}", *rows, self.reason])


def tune_gamma(
    method_at: Callable[[float], Method],
    networks: Callable[[int], tuple[nn.Module, nn.Module]],
    data: Tensor,
    *,
    latent: int,
    gammas: Sequence[float] = (0.01, 0.1, 1.0, 10.0, 100.0),
    steps: int = 300,
    batch_size: int = 64,
    seeds: Sequence[int] = (0, 1, 2),
) -> GammaAdvice:
    """Recommend the weight of R1 (or of any penalty) from short probe runs and the spectrum of the game at their end.

    Every weight is trained for ``steps`` steps from the same starts. Weights whose mean distance to held-out data is
    within one standard error of the best are held equal; among them the one whose leading eigenvalues lie furthest to
    the left is recommended. A probe is short: what it ranks is the beginning of training. For a game small enough
    to be solved, ``dynamics.contracting_weights`` gives the exact interval instead.

    Args:
        method_at: The method with a weight, ``lambda gamma: methods.build("r1", gamma=gamma)``.
        networks: ``seed -> (generator, critic)``, fresh ones each time.
        data: Real samples ``[n, *shape]``; the last fifth is held out.
        latent: Size of the latents.
        gammas: Weights to try.
        steps: Generator steps per probe.
        batch_size: Real samples per critic step.
        seeds: One probe per weight and seed.

    Returns:
        The advice.

    Raises:
        ValueError: No probe stayed finite.

    Cost: ``len(gammas) * len(seeds) * steps`` training steps and as many small eigenvalue problems as probes.
    """
    cut = len(data) - max(len(data) // 5, 1)
    trials = []
    for gamma in gammas:
        probes = [
            _probe(method_at(gamma), networks(seed), data[:cut], data[cut:], latent, steps, batch_size, seed)
            for seed in seeds
        ]
        spectra = tuple(spectrum for _, spectrum in probes if spectrum is not None)
        trials.append(GammaTrial(gamma, tuple(distance for distance, _ in probes), spectra))
    finite = [t for t in trials if t.distance < float("inf")]
    if not finite:
        raise ValueError(
            f"No probe stayed finite: expected at least one weight out of {list(gammas)} to train for {steps} steps; "
            "lower the learning rate."
        )
    best = min(finite, key=lambda t: t.distance)
    margin = _standard_error(best.distances)
    equal = [t for t in finite if t.distance <= best.distance + margin]
    chosen = min(equal, key=lambda t: t.rightmost)
    reason = (
        f"gamma {chosen.gamma:g}: distance {chosen.distance:.4g} after {steps} steps over {len(seeds)} seeds "
        f"({len(equal)} weights within one standard error {margin:.2g} of the best), rightmost real part "
        f"{chosen.rightmost:.3g}"
    )
    return GammaAdvice(chosen.gamma, reason, tuple(trials))


def _probe(
    method: Method,
    networks: tuple[nn.Module, nn.Module],
    data: Tensor,
    held_out: Tensor,
    latent: int,
    steps: int,
    batch_size: int,
    seed: int,
) -> tuple[float, Spectrum | None]:
    run = start(method, *networks, seed=seed, latent=latent, batch_size=batch_size, ema_half_life_images=0.0)
    rng = torch.Generator().manual_seed(seed)

    def batches() -> Iterator[Tensor]:
        while True:
            yield data[torch.randint(len(data), (batch_size,), generator=rng)]

    try:
        for _ in train(run, batches(), steps=steps):
            pass
    except NonFiniteError:
        return float("inf"), None
    game, players = run_game(run, next(batches()), seed=seed), (run.generator, run.critic)
    try:
        spectrum = eigenvalues(game, players, k=6, which="LM", tolerance=1e-2)
    except ValueError:  # not differentiable here, or no convergence: the distance still counts
        spectrum = None
    with torch.no_grad(), undisturbed(run.generator):
        run.generator.eval()
        fake = run.generator(run.latents(len(held_out), torch.Generator().manual_seed(seed)))
    same = torch.Generator().manual_seed(0)
    return sliced_wasserstein(held_out.flatten(1), fake.cpu().flatten(1), rng=same), spectrum


def _standard_error(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    t = torch.tensor(values, dtype=torch.float64)
    return float(t.std() / len(values) ** 0.5)
