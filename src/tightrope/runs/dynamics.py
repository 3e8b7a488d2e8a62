"""The game of a run folder at one of its checkpoints: leading eigenvalues, a prediction, the angle of its path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.dynamics import Losses, PathAngle, Prediction, Spectrum, eigenvalues, euler_limit, path_angle, predict
from tightrope.dynamics.players import flatten, parameters_of
from tightrope.runs.assemble import Assembled, assemble
from tightrope.runs.checkpoint import checkpoint_paths, restore
from tightrope.runs.config import read_config
from tightrope.runs.serialize import read_state
from tightrope.training.as_game import run_game, run_optimizers, run_step

MOST = 10_000
"""Batches, and samples in each."""

AFFORDABLE = 2000
"""Numbers of state (parameters and optimiser memory) up to which a run's update is predicted unasked."""


@dataclass(frozen=True)
class RunDynamics:
    """What the analysis found.

    Attributes:
        step: Of the checkpoint.
        parameters: Of both players.
        batch: Real samples in the batch that the game is seen on.
        spectrum: Leading eigenvalues of the gradient field's Jacobian, all players, with residuals and batch noise.
        stable_rate: Largest rate at which plain simultaneous steps would contract along these directions; 0 where one
            of them has a real part of zero or more.
        prediction: From the update as the run takes it; None where it was not affordable or not asked for.
        note: Why there is no prediction; empty otherwise.
        angle: Along the line from an older checkpoint to this one; None if there is only one.
        since: Step of that older checkpoint.
    """

    step: int
    parameters: int
    batch: int
    spectrum: Spectrum
    stable_rate: float
    prediction: Prediction | None
    note: str
    angle: PathAngle | None
    since: int | None


def run_dynamics(
    folder: Path,
    *,
    k: int = 6,
    which: str = "LM",
    batches: int = 2,
    batch_size: int | None = None,
    seed: int = 0,
    step: int | None = None,
    predicted: bool | None = None,
    points: int = 21,
) -> RunDynamics:
    """Analyse a training run's checkpoint. Nothing in the folder changes.

    Args:
        folder: Run folder.
        k: Number of eigenvalues.
        which: Which ones, see ``dynamics.eigenvalues``.
        batches: Further batches, to measure the noise of one; 0 for none.
        batch_size: Real samples; the run's, but at most 64, if None.
        seed: Of batches, latents and noise.
        step: Of the checkpoint; the newest if None.
        predicted: Compute the update's spectrum; None for runs of at most 2,000 numbers of state.
        points: Positions along the path between the oldest kept checkpoint and this one.

    Raises:
        UserError: Not a run folder, no checkpoint, or none at that step.
            Values that are not finite, or eigenvalues that do not converge.
    """
    if k < 1 or not 0 <= batches <= MOST or (batch_size is not None and not 1 <= batch_size <= MOST):
        raise UserError(
            f"Expected k of at least 1, batch_size from 1 to {MOST:,} and batches from 0 to {MOST:,}, got {k}, "
            f"{batch_size} and {batches}; leave them out for 6, the run's and 2."
        )
    config = read_config(folder)
    paths = {int(path.stem.removeprefix("step_")): path for path in checkpoint_paths(folder)}
    if not paths:
        raise UserError(f"Expected a checkpoint in {folder / 'checkpoints'}, got none; train until the first one.")
    chosen = max(paths) if step is None else step
    if chosen not in paths:
        raise UserError(f"Expected a checkpoint of a step out of {', '.join(map(str, paths))}, got {step}.")
    assembled = assemble(config, progress=False)
    restore(assembled, read_state(paths[chosen]))
    run = assembled.run
    players = (run.generator, run.critic)
    n = min(run.batch_size, 64) if batch_size is None else batch_size
    draws = [_batch(assembled, n, seed + i) for i in range(batches + 1)]
    games = [run_game(run, x, labels=labels, seed=seed + i) for i, (x, labels) in enumerate(draws)]
    spectrum = eigenvalues(games[0], players, k=k, which=which, batches=games[1:])
    prediction, note = _predict(assembled, draws[0], seed, predicted)
    angle, since = _angle(assembled, paths, chosen, games[0], points)
    size = sum(p.numel() for player in players for p in parameters_of(player))
    return RunDynamics(chosen, size, n, spectrum, euler_limit(spectrum.values), prediction, note, angle, since)


def _batch(assembled: Assembled, n: int, seed: int) -> tuple[Tensor, Tensor | None]:
    indices = torch.randint(len(assembled.dataset), (n,), generator=torch.Generator().manual_seed(seed))
    batch = assembled.dataset.batch(indices)
    device = assembled.run.device
    labels = batch.labels if assembled.config.data.conditional else None
    return batch.x.to(device), None if labels is None else labels.to(device)


def _predict(
    assembled: Assembled, draw: tuple[Tensor, Tensor | None], seed: int, asked: bool | None
) -> tuple[Prediction | None, str]:
    run = assembled.run
    optimizers = run_optimizers(run)
    size = sum(p.numel() for player in (run.generator, run.critic) for p in parameters_of(player))
    memory = sum(
        t.numel() for o in optimizers for entry in o.state.values() for t in entry.values()
        if isinstance(t, Tensor) and t.dim()
    )  # fmt: skip
    if asked is False:
        return None, "the update's spectrum was not asked for"
    if asked is None and size + memory > AFFORDABLE:
        return None, (
            f"the update's spectrum was left out: {size + memory:,} numbers of state, more than {AFFORDABLE:,}; its "
            "leading eigenvalues cluster at one and converge slowly (--predict yes tries)"
        )
    try:
        return predict(run_step(run, draw[0], labels=draw[1], seed=seed), (run.generator, run.critic), optimizers), ""
    except ValueError as error:
        if asked:
            raise
        return None, f"the update's spectrum could not be had: {error}"


def _angle(
    assembled: Assembled, paths: dict[int, Path], chosen: int, game: Losses, points: int
) -> tuple[PathAngle | None, int | None]:
    older = [step for step in paths if step < chosen]
    if not older or points < 2:
        return None, None
    run = assembled.run
    players = (run.generator, run.critic)
    end = flatten([p.detach() for player in players for p in parameters_of(player)]).clone()
    restore(assembled, read_state(paths[min(older)]))
    start = flatten([p.detach() for player in players for p in parameters_of(player)]).clone()
    if torch.equal(start, end):
        return None, None
    return path_angle(game, players, start, end, points=points), min(older)
