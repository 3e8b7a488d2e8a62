"""Checkpoints: the whole state of a run in one file, written atomically, the newest few kept."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder
from tightrope.runs.assemble import Assembled
from tightrope.runs.config import network_mark, refuse_other_network
from tightrope.runs.folder import GENERATOR, checkpoint_steps
from tightrope.runs.serialize import misfit, read_state, write_state, write_tensors
from tightrope.training.nonfinite import NonFiniteError


def checkpoint_paths(run: Path) -> list[Path]:
    """Checkpoints of a run folder, oldest first."""
    return list(checkpoint_steps(run).values())


def save_checkpoint(run: Path, assembled: Assembled, *, seconds: float, keep: int) -> Path:
    """Save the whole state and the averaged generator's weights, then delete all but the newest ``keep`` checkpoints.

    Args:
        run: Run folder.
        assembled: What to save: networks, optimisers, average, counters, random states, data position.
        seconds: Training time so far.
        keep: How many to keep, at least 1.

    Raises:
        UserError: The file could not be written; older checkpoints are intact.
        NonFiniteError: There is a NaN in it; nothing was written.
    """
    state = {
        "run": assembled.run.state_dict(),
        "sampler": assembled.sampler.state_dict(),
        "random": random_state(),
        "seconds": seconds,
        "network": (mark := network_mark(assembled.config)),
    }
    refuse_non_finite(assembled)
    path = write_state(make_folder(run / "checkpoints") / f"step_{assembled.run.step:08d}.safetensors", state)
    write_tensors(
        run / GENERATOR, assembled.run.average.state_dict(), {"step": str(assembled.run.step), "network": mark}
    )
    for old in checkpoint_paths(run)[: -max(keep, 1)]:
        old.unlink(missing_ok=True)
    return path


def refuse_non_finite(assembled: Assembled) -> None:
    """Raise if a weight or statistic is NaN or infinite, as the last step before may have left it.

    Raises:
        NonFiniteError: One is.
    """
    run = assembled.run
    players: dict[str, nn.Module] = {"critic": run.critic, "generator": run.generator, "average": run.average}
    for player, module in players.items():
        bad = [name for name, p in module.named_parameters() if not bool(torch.isfinite(p.detach()).all())]
        bad += [name for name, buffer in module.named_buffers() if bool(torch.isnan(buffer).any())]
        if bad:
            raise NonFiniteError(run.step, player, f"the parameter {player}.{bad[0]}, after it", {})


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
        UserError: The state belongs to other networks, or was saved under other settings of them.
    """
    refuse_other_network(assembled.config, state.get("network"), "the checkpoint")
    try:
        assembled.run.load_state_dict(state["run"])
        assembled.sampler.load_state_dict(state["sampler"])
        set_random_state(state["random"])
        return float(state["seconds"])
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = _reason(assembled, state) or str(error).partition("\n")[0]
        raise UserError(
            f"Expected a checkpoint of this run's networks, got one that does not fit ({reason}); use the "
            "configuration it was made with."
        ) from error


def _reason(assembled: Assembled, state: dict[str, Any]) -> str:
    """Which network's part of a state does not fit, and why; empty if it is another part."""
    run, parts = assembled.run, state.get("run")
    for name, network in (("generator", run.generator), ("critic", run.critic), ("average", run.average)):
        if reason := misfit(network.state_dict(), parts.get(name) if isinstance(parts, dict) else None):
            return f"the {name}: {reason}"
    return ""


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
