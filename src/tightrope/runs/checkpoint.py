"""Checkpoints: the whole state of a run in one file, written atomically, the newest few kept."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope.runs.assemble import Assembled
from tightrope.runs.serialize import read_state, write_state


def checkpoint_paths(run: Path) -> list[Path]:
    """Checkpoints of a run folder, oldest first."""
    return sorted((run / "checkpoints").glob("step_*.safetensors"))


def save_checkpoint(run: Path, assembled: Assembled, *, seconds: float, keep: int) -> Path:
    """Save the whole state and the averaged generator's weights, then delete all but the newest ``keep`` checkpoints.

    Args:
        run: Run folder.
        assembled: What to save: networks, optimisers, average, counters, random states, data position.
        seconds: Training time so far.
        keep: How many to keep, at least 1.

    Raises:
        UserError: The file could not be written; older checkpoints are intact.
    """
    state = {
        "run": assembled.run.state_dict(),
        "sampler": assembled.sampler.state_dict(),
        "random": random_state(),
        "seconds": seconds,
    }
    folder = run / "checkpoints"
    folder.mkdir(exist_ok=True)
    path = write_state(folder / f"step_{assembled.run.step:08d}.safetensors", state)
    weights = {key: value.detach().cpu().contiguous() for key, value in assembled.run.average.state_dict().items()}
    write_atomically(run / "generator.safetensors", save(weights, metadata={"step": str(assembled.run.step)}))
    for old in checkpoint_paths(run)[: -max(keep, 1)]:
        old.unlink(missing_ok=True)
    return path


def load_newest(run: Path) -> tuple[dict[str, Any], Path]:
    """Read the newest checkpoint.

    Raises:
        UserError: There is none, or the newest is truncated or damaged (delete it to fall back to the one before).
    """
    paths = checkpoint_paths(run)
    if not paths:
        raise UserError(f"Expected a checkpoint in {run / 'checkpoints'}, got none; start the run again.")
    return read_state(paths[-1]), paths[-1]


def restore(assembled: Assembled, state: dict[str, Any]) -> float:
    """Put a state back into a freshly assembled run; returns the training time so far in seconds.

    Raises:
        UserError: The state belongs to other networks.
    """
    try:
        assembled.run.load_state_dict(state["run"])
        assembled.sampler.load_state_dict(state["sampler"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"Expected a checkpoint of this run's networks, got one that does not fit ({str(error).splitlines()[0]}); "
            "use the configuration it was made with."
        ) from error
    set_random_state(state["random"])
    return float(state["seconds"])


def seed_global_(seed: int) -> None:
    """Seed the global random states of torch, Python and NumPy, so that modules that draw from them repeat as well.

    The library's own numbers never come from there; a run folder's command does this once, at its beginning.
    """
    torch.random.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def random_state() -> dict[str, Any]:
    """Global random states of torch (CPU and CUDA), Python and NumPy, for modules and loaders that draw from them."""
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if "numpy" in sys.modules:
        kind, keys, position, has_gauss, gauss = sys.modules["numpy"].random.get_state()
        state["numpy"] = (kind, torch.from_numpy(keys.astype("int64")), int(position), int(has_gauss), float(gauss))
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put :func:`random_state` back."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
    if "numpy" in state:
        import numpy as np

        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype("uint32"), *rest))  # noqa: NPY002 (the global state itself)
