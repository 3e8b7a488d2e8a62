"""Scores of rows that are not trained on, beside those of the rows that are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tightrope.autodiff import scores_of, undisturbed
from tightrope.autodiff.inputs import per_sample
from tightrope.monitor.ledger.replay import CannotReplayError, attributes_kept, refuse_foreign_hooks
from tightrope.monitor.roles import Judged
from tightrope.monitor.window import Window

ROWS, SEVERAL = 256, 8


def read_held_out(window: Window, network: nn.Module, module: nn.Module, found: Sequence[Judged], rows: Tensor) -> None:
    """Write down how much lower the critic scores unseen rows, in units of its gap from real to fake samples.

    In eval mode, without a gradient, the networks left as they are. Critics that are called with more than samples are
    left out, since what belongs to the unseen rows is not known.

    Args:
        window: Where ``held_out_drop`` and ``held_out_z`` (in standard errors) are written.
        network: The critic as the user gave it, a View perhaps.
        module: The module behind it.
        found: Calls of the critic in the window.
        rows: Unseen rows ``[n, *shape]``.
    """
    seen = {one.role: one.call.x for one in found if one.role in ("real", "fake") and one.call.x is not None}
    if set(seen) != {"real", "fake"} or any(len(one.call.args) > 1 for one in found):
        return
    if rows.shape[1:] != seen["real"].shape[1:]:
        return
    passed = seen["real"].float()
    gap, spread = float(rows.float().mean()) - float(passed.mean()), float(passed.std())
    if abs(gap) > 0.3 * spread or not 0.7 < float(rows.float().std()) / max(spread, 1e-12) < 1.4:
        return  # of another scale than what the critic is shown
    chosen = rows[torch.linspace(0, len(rows) - 1, min(len(rows), ROWS)).long()].to(seen["real"])
    try:
        refuse_foreign_hooks(module, computing=True)
        with attributes_kept(module), undisturbed(module), torch.no_grad():
            module.eval()
            real, fake, held = (_scored(network, x[:ROWS]) for x in (seen["real"], seen["fake"], chosen))
    except (CannotReplayError, RuntimeError, ValueError, TypeError):
        return
    between, drop = float(real.mean() - fake.mean()), float(real.mean() - held.mean())
    error = float((real.var() / len(real) + held.var() / len(held)).sqrt())
    if between > 0 and error > 0:
        window.numbers |= {"held_out_drop": drop / between, "held_out_z": drop / error}


def read_units(window: Window, batches: Sequence[Tensor], rows: Tensor) -> None:
    """Write down how many times as far as held-out rows those spread that are trained on, in the middle feature.

    Of the batch that was passed and the one that the critic was shown the one counts that is nearer to them: noise and
    augmentation make up one of the two.

    Args:
        window: Where ``units`` is written, with ``units_held``, the spread of held-out rows as one; ``held_apart``, the
            share of features whose means are apart beyond chance, and ``held_order``, that share once the features of
            both are put in the order of their means.
        batches: Real batches ``[n, *shape]``.
        rows: Unseen rows ``[m, *shape]``.
    """
    found, alike = [], []
    for batch in batches:
        if batch.shape[1:] == rows.shape[1:] and min(len(batch), len(rows)) >= SEVERAL and batch.is_floating_point():
            flat = (batch.detach().flatten(1).double().cpu(), rows.detach().flatten(1).double().cpu())
            own, other = (t.std(0) for t in flat)
            both = (own > 0) & (other > 0)
            if bool(both.any()):
                found.append(float((own[both] / other[both]).log().median().exp()))
                alike.append(_features(flat, (own, other)))
    if found:
        window.numbers |= dict(zip(("held_apart", "held_order"), min(alike), strict=True))
        window.numbers["units"] = min(found, key=lambda ratio: abs(math.log(ratio)))
        window.numbers["units_held"] = float(rows.detach().double().std())


APART = 6.0
"""Standard errors by which two means are apart beyond chance, of many features and windows."""


def _features(both: tuple[Tensor, Tensor], spreads: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Shares of features whose means are apart, feature by feature and in the order of their means."""
    means = [t.mean(0) for t in both]
    errors = [spread.square() / len(t) for t, spread in zip(both, spreads, strict=True)]

    def apart(first: Tensor | slice, second: Tensor | slice) -> float:
        chance = APART * (errors[0][first] + errors[1][second]).sqrt() + 1e-9
        return float(((means[0][first] - means[1][second]).abs() > chance).double().mean())

    plain = apart(slice(None), slice(None))
    return plain, apart(means[0].argsort(), means[1].argsort()) if plain else 0.0


def read_nearest(window: Window, drawn: Tensor, shown: Tensor, rows: Tensor) -> None:
    """Write down how much nearer samples lie to rows that were shown than to as many unseen ones: ``nearer``, about 1.

    Args:
        window: Where it is written.
        drawn: Samples, drawn as the user does ``[k, *shape]``: what is made in training may be made of real rows.
        shown: Rows that were shown as real lately ``[m, *shape]``.
        rows: Unseen rows ``[n, *shape]``.
    """
    if not drawn.shape[1:] == rows.shape[1:] == shown.shape[1:]:
        return
    seen = torch.unique(shown.detach().float().flatten(1), dim=0)
    n = min(len(seen), len(rows), ROWS)
    a, b = seen[torch.linspace(0, len(seen) - 1, n).long()], rows[torch.linspace(0, len(rows) - 1, n).long()].to(seen)
    spread, apart = float(a.std()), abs(float(a.mean()) - float(b.mean()))
    if n < 24 or apart > 0.3 * spread or not 0.7 < float(b.std()) / max(spread, 1e-12) < 1.4:
        return
    x = drawn.to(seen).flatten(1)[:ROWS]
    near, far = (float(torch.cdist(x, y.flatten(1)).amin(1).median()) for y in (a, b))
    own = float(torch.cdist(b.flatten(1), a).amin(1).median())
    if far > 0:
        window.numbers |= {"nearer": near / far, "nearer_than_rows": near / max(own, 1e-12)}


def _scored(network: nn.Module, x: Tensor) -> Tensor:
    parts = [per_sample(scores) for scores in scores_of(network(x))]
    return torch.stack(parts).sum(0).double()
