"""Short trials that look for a hyperparameter: gamma of the zero-centred penalties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number, check_samples, check_seeds, check_whole
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import undisturbed
from tightrope.dynamics import Spectrum, eigenvalues
from tightrope.methods import Method
from tightrope.metrics import sliced_wasserstein
from tightrope.training import start, train
from tightrope.training.as_game import run_game
from tightrope.training.nonfinite import NonFiniteError


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
        UserError: No probe stayed finite.

    Cost: ``len(gammas) * len(seeds) * steps`` training steps and as many small eigenvalue problems as probes.

    Example:
        >>> from tightrope import doctor, methods
        >>> def networks(seed):
        ...     torch.manual_seed(seed)
        ...     return nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> advice = doctor.tune_gamma(
        ...     lambda gamma: methods.build("r1", gamma=gamma), networks, torch.randn(50, 1), latent=1,
        ...     gammas=(0.1, 1.0), steps=2, batch_size=8, seeds=(0,),
        ... )
        >>> advice.gamma in (0.1, 1.0)
        True
    """
    for name, given in (("method_at", method_at), ("networks", networks)):
        if not callable(given):
            raise UserTypeError(f"Expected {name} as a function, got a {type(given).__name__}; see the example.")
    check_samples(data)
    check_whole("steps", steps, 1, 300)
    check_whole("batch_size", batch_size, 1, 64)
    if len(data) < 5:
        raise UserError(f"Expected some hundreds of samples to probe on, got {len(data)}; give more data.")
    for name, several in (("gammas", gammas), ("seeds", seeds)):
        if not isinstance(several, Sequence) or isinstance(several, str) or not several:
            raise UserTypeError(f"Expected {name} as a sequence of at least one, got {several!r}; give some.")
    check_seeds(seeds)
    for gamma in gammas:
        check_number("every gamma", gamma, 1)
    cut = len(data) - max(len(data) // 5, 1)
    trials = []
    for gamma in gammas:
        probes = [
            _probe(method_at(gamma), _pair(networks(seed)), data[:cut], data[cut:], latent, steps, batch_size, seed)
            for seed in seeds
        ]
        spectra = tuple(spectrum for _, spectrum in probes if spectrum is not None)
        trials.append(GammaTrial(gamma, tuple(distance for distance, _ in probes), spectra))
    finite = [t for t in trials if t.distance < float("inf")]
    if not finite:
        raise UserError(
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


def _pair(found: object) -> tuple[nn.Module, nn.Module]:
    if not isinstance(found, tuple | list) or len(found) != 2 or not all(isinstance(one, nn.Module) for one in found):
        raise UserError(
            f"Expected networks(seed) to give a generator and a critic, got {type(found).__name__}; return both."
        )
    return found[0], found[1]


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
