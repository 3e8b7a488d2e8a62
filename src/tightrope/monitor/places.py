"""Where a penalty's points lie: on real or generated rows, between them, on the line beyond them, or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tightrope.monitor.bookkeeping import checksums
from tightrope.monitor.capture import Call
from tightrope.monitor.roles import Judged, related

BOTH_SIDES = "real and fake"
"""Place of a penalty that is taken at real and at generated rows."""

FEW = 6
"""Rows of which every pairing of real and generated rows is tried."""

ENTRIES = 30
"""Of a batch at least: each of them lies between those of two other rows by chance in one of three cases."""


def where(points: Judged, found: Sequence[Judged], real: Tensor | None = None, made: Sequence[Call] = ()) -> str:
    """The place of a call's rows.

    Args:
        points: The call.
        found: All calls of the critic.
        real: The batch that was passed.
        made: The generator's calls.

    Returns:
        ``"real"``, ``"fake"``, ``"interpolated"``, ``"extrapolated"`` (on the line through a real and a generated row,
        not between them), ``"mixed"`` (each entry between those of a real and a generated row, by a factor of its own),
        ``"elsewhere"`` (on no such line, and near to no row), or ``"other"`` where it is not known.
    """
    x = points.call.x
    if points.role in ("real", "fake"):
        return points.role
    if x is None or not x.dim():
        return "other"
    shown: dict[str, list[Tensor]] = {"real": [], "fake": []}
    for role, batches in shown.items():
        parts = [one.part(role) for one in found if one is not points]
        batches += [b for b in parts if b is not None and b.shape[1:] == x.shape[1:]]
    if real is not None and real.shape[1:] == x.shape[1:]:
        shown["real"].append(real)
    own = checksums(x)
    for role, batches in shown.items():
        if batches and bool(torch.isin(own, torch.cat([checksums(b.to(x.dtype)) for b in batches])).all()):
            return role
    shown["fake"] += [y for call in made for y in call.outputs if y.dim() and y.shape[1:] == x.shape[1:]]
    beyond = False
    for a in shown["real"]:
        for b in shown["fake"]:
            if a.shape == x.shape == b.shape and (t := _along(x, a, b)) is not None:
                if bool(((t > -0.05) & (t < 1.05)).all()):
                    return "interpolated"
                beyond = True
    if beyond:
        return "extrapolated"
    if any(_by_entry(x, a, b) for a in shown["real"] for b in shown["fake"] if a.shape == x.shape == b.shape):
        return "mixed"
    known = all(one.exact for one in found if one.role in ("real", "fake"))
    if not known or not shown["real"] or not shown["fake"] or len(x) < 4 or not x.is_floating_point():
        return "other"
    if any(related(x, b) for batches in shown.values() for b in batches):
        return "other"
    return "other" if _on_some_line(x, torch.cat(shown["real"]), torch.cat(shown["fake"])) else "elsewhere"


def _along(x: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    """How far every row of ``x`` lies along the line from the row of ``b`` to that of ``a``; None if off any line."""
    p, q, r = (t.detach().float().flatten(1) for t in (x, a, b))
    along, off = q - r, p - r
    t = (off * along).sum(1, keepdim=True) / along.square().sum(1, keepdim=True).clamp(min=1e-12)
    left = (off - t * along).norm(dim=1) / along.norm(dim=1).clamp(min=1e-12)
    return t.flatten() if p.shape[1] > 1 and bool((left < 1e-2).all()) else None


def _by_entry(x: Tensor, a: Tensor, b: Tensor) -> bool:
    """Whether every entry of a row lies between those of two rows, and the entries do not move together."""
    p, q, r = (t.detach().float().flatten(1) for t in (x, a, b))
    along, off = q - r, p - r
    apart = along.abs() > 1e-3 * along.abs().amax().clamp(min=1e-12)
    if int(apart.sum()) < ENTRIES or bool((apart.sum(1) < 2).any()):
        return False
    t = torch.where(apart, off / along, torch.zeros_like(off))
    within = (t > -0.01) & (t < 1.01) & (apart | (off.abs() <= along.abs() + 1e-6))
    mean = t.sum(1, keepdim=True) / apart.sum(1, keepdim=True)
    spread = (torch.where(apart, t - mean, torch.zeros_like(t)).square().sum(1) / apart.sum(1)).sqrt()
    return bool(within.all()) and bool((spread > 0.05).all())


def _on_some_line(x: Tensor, real: Tensor, fake: Tensor) -> bool:
    """Whether most of some rows lie between some real and some generated row, whichever they are."""
    r, f = (t.detach().double().flatten(1)[:256] for t in (real, fake))
    points = x.detach().double().flatten(1)[:FEW]
    if points.shape[1] < 3:  # in the plane every point lies between some
        return True
    squares = (f[None] - r[:, None]).square().sum(2) if r.numel() * len(f) < 4e7 else torch.cdist(r, f).square()
    hits = 0
    for p in points:
        to_real, to_fake = (p - r).square().sum(1)[:, None], (p - f).square().sum(1)[None]
        inner = (to_real + squares - to_fake) / 2  # inner product of p - r and f - r
        left = to_real - inner.square() / squares.clamp(min=1e-12)
        hits += bool((left < 1e-3 * squares).any())
    return 2 * hits >= len(points)
