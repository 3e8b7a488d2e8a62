"""How many of its latent directions the generator listens to, and how far samples differ while conditions stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from tightrope._plumbing.streams import global_streams_kept
from tightrope.autodiff import undisturbed
from tightrope.monitor.capture import Call
from tightrope.monitor.ledger.replay import CannotReplayError, attributes_kept, refuse_foreign_hooks
from tightrope.monitor.recent import Form, floats

BASES, DIRECTIONS = 4, 16
"""Latents at which directions are tried, and most directions."""
WIDE = 1024
"""Numbers per row from which on what the generator is given is no latent but a picture or a series."""
STEP = 1e-2
"""Length of a step in latent space, in standard deviations of the latents."""


def read_directions(module: nn.Module, call: Call, real: Tensor | None) -> dict[str, float]:
    """Participation ratios of the generator's latent directions and of the real rows; nothing is disturbed.

    With ``A_l [values, m]`` the differences of samples along ``m`` orthonormal directions at latent ``l`` and ``s`` the
    eigenvalues of ``sum_l A_l^T A_l``, the ratio is ``(sum s)^2 / sum s^2``: 1 if one and the same direction of latent
    space does everything at all latents, at most ``m``. That of real rows is the same of their covariance.

    Args:
        module: The generator.
        call: A training call of it.
        real: Real rows ``[n, *shape]``.

    Returns:
        ``"latent_width"``, ``"latent_rank"``, ``"latent_rank_most"`` (the largest of single latents), ``"real_rank"``,
        and ``"latent_share"``, the mean distance of samples of different latents under the same conditions over that of
        real rows; without what cannot be said.

    Cost:
        ``4 (m + 1)`` samples in eval mode, in pieces no larger than the training's batches.
    """
    if call.x is None or call.x.dim() < 2 or not call.intact() or len(call.x) < 2 or call.x.numel() == 0:
        return {}
    form, rows = Form.of(call)
    form = replace(form, autocast=None)  # differences of nearby samples are rounded off in half precision
    x = rows[0]
    size = x[0].numel()
    if size > WIDE:
        return {}
    try:
        refuse_foreign_hooks(module, computing=True)
    except CannotReplayError:
        return {}
    n = min(BASES, len(x))
    found = {"latent_width": float(size)}
    with global_streams_kept(), attributes_kept(module), undisturbed(module), torch.no_grad():
        module.eval()
        spread = _spread(real)
        if len(rows) > 1 and len(x) > 2 and spread > 0:
            m = min(len(x), 32)
            fixed = tuple(t[:1].expand(m, *t.shape[1:]) for t in rows[1:])
            found["latent_share"] = _spread(_samples(form, module, (x[:m], *fixed), len(x))) / spread
        across = _across(x)
        if size > 1 and float(x.float().std()) > 0:
            each = len(across) + 1
            moved = torch.cat([torch.zeros_like(across[:1]), across]) * STEP * float(x.float().std())
            tried = (x[:n, None] + moved.view(1, each, *x.shape[1:]).to(x.dtype)).flatten(0, 1)
            more = tuple(t[:n].repeat_interleave(each, 0) for t in rows[1:])
            samples = _samples(form, module, (tried, *more), len(x)).flatten(1).double().view(n, each, -1)
            change = samples[:, 1:] - samples[:, :1]
            grams = torch.einsum("lmv,lkv->lmk", change, change)
            found["latent_rank"] = _participation(grams.sum(0))
            found["latent_rank_most"] = max(_participation(gram) for gram in grams)
    if real is not None and len(real) > 2:
        rest = real.detach()[:128].flatten(1).double()
        rest = rest - rest.mean(0)
        found["real_rank"] = _participation(rest @ rest.T if len(rest) < rest.shape[1] else rest.T @ rest)
    return {name: value for name, value in found.items() if value == value}


def _across(x: Tensor) -> Tensor:
    """Orthonormal directions ``[m, numbers per row]``, always the same."""
    size = x[0].numel()
    drawn = torch.randn(size, min(size, DIRECTIONS), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.linalg.qr(drawn)[0].T.to(x.device, torch.float32)


def _samples(form: Form, module: nn.Module, rows: Sequence[Tensor], most: int) -> Tensor:
    pieces = zip(*(t.split(max(2, most)) for t in rows), strict=True)
    return torch.cat([floats(form.call(module, piece))[0].float() for piece in pieces])


def _spread(rows: Tensor | None) -> float:
    """Mean distance between rows."""
    return 0.0 if rows is None or len(rows) < 2 else float(torch.pdist(rows.detach()[:128].flatten(1).float()).mean())


def _participation(gram: Tensor) -> float:
    """``(sum s)^2 / sum s^2`` of a symmetric matrix's eigenvalues, not a number of one that is 0."""
    square = float((gram * gram).sum())
    return float(gram.trace()) ** 2 / square if square > 0 else float("nan")
