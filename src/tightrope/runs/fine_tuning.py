"""Beginning a run with the weights of another one."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.runs.checkpoint import load_newest
from tightrope.training import Run


def begin_with(run: Run, other: Path) -> list[str]:
    """Put the weights of another run's newest checkpoint into a run at step 0, wherever names and shapes agree.

    Both networks and the averaged generator begin where the other run stands; optimisers, counters and random streams
    begin anew. What does not agree (an embedding of other classes, layers for another resolution) stays as built.
    A critic of which less than a third agrees stays as it was built: under another constraint the same numbers
    would be another function.

    Args:
        run: At step 0, edited in place.
        other: Run folder.

    Returns:
        A sentence for each network, for the user.

    Raises:
        UserError: No checkpoint there, or less than a third of the generator's weights agree.
    """
    state, path = load_newest(other)
    notes = []
    for name, network in (("generator", run.generator), ("average", run.average), ("critic", run.critic)):
        fits = _fitting(network, state["run"][name])
        whole = {key: value for key, value in network.state_dict().items() if isinstance(value, Tensor)}
        share = sum(v.numel() for v in fits.values()) / max(sum(v.numel() for v in whole.values()), 1)
        fresh = [key for key in whole if key not in fits]
        if share < 1 / 3:
            if name != "critic":
                raise UserError(
                    f"Expected a run of the same network, got {path}, of whose {name} only {share:.0%} fits (not "
                    f"{', '.join(fresh[:3])}); choose the network, width and resolution of that run."
                )
            notes.append(f"the critic begins anew: only {share:.0%} of it agrees with that of {path}")
            continue
        network.load_state_dict(fits, strict=False)
        if name != "average":
            rest = f"; begun anew: {', '.join(fresh[:3])}{', ...' if len(fresh) > 3 else ''}" if fresh else ""
            notes.append(f"the {name} begins with {len(fits)} of {len(whole)} tensors of {path}{rest}")
    return notes


def _fitting(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a state that have a place of their shape in the network."""
    own = network.state_dict()
    return {key: v for key, v in state.items() if isinstance(own.get(key), Tensor) and own[key].shape == v.shape}
