"""Rows, latents and labels over windows: repeated, few, ordered, unrelated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from tightrope.monitor.bookkeeping import checksums
from tightrope.monitor.capture import Call
from tightrope.monitor.nests import tensors_in
from tightrope.monitor.noise import noise_columns
from tightrope.monitor.roles import SOME, Judged, related
from tightrope.monitor.window import Window

AXES, POOL = 64, 512


def _labels_of(call: Call) -> Tensor | None:
    """What a conditional critic was called with besides the samples, if it has a row per sample."""
    if call.half is not None:
        return None
    others = [t for t in tensors_in((call.args, call.kwargs)) if call.x is None or t.data_ptr() != call.x.data_ptr()]
    return next((t for t in others if t.dim() and call.x is not None and len(t) == len(call.x) and t.dim() <= 2), None)


def _noise(shown: Tensor, passed: Tensor) -> float:
    """Share of what the critic was shown that is no affine function of what was passed, 0 if nothing was added."""
    x, y = passed.detach().double().flatten(), shown.detach().double().flatten()
    x, y = x - x.mean(), y - y.mean()
    if float(y.square().sum()) < 1.02 * float(x.square().sum()):  # turned, cropped or scaled
        return 0.0
    return float((y - (x @ y) / (x @ x).clamp(min=1e-12) * x).norm() / y.norm().clamp(min=1e-12))


def _bent(x: Tensor, source: Call) -> dict[str, float]:
    """What the critic is shown as generated against what was: sign of the factor, and the part that is no multiple.

    Values of a channel that keep their order (scaled, clamped, quantised) leave no part over.
    """
    made = next((y.detach().float() for y in source.outputs if y.shape == x.shape), None)
    if made is None or made.numel() < 16 or made.dim() < 2:
        return {}
    kept = float(torch.isin(checksums(x.detach()), checksums(made.to(x.dtype))).double().mean())
    if kept > 0.02:  # rows of a bank of earlier ones, or in another order: those of now are shown as they were made
        return {"fake_changed": 0.0} if kept >= SOME else {}
    a, b = (t.flatten(1) - t.flatten(1).mean(0) for t in (x.detach().float(), made))
    size = float(b.square().sum())
    if size == 0.0 or float(a.norm()) == 0.0:
        return {}
    factor = float((a * b).sum()) / size
    seen, was = (t.transpose(0, 1).flatten(1) for t in (x.detach().float(), made))
    steps = seen.gather(1, was.argsort(1)).diff(dim=1)
    ordered = float((steps >= -1e-6).double().mean()) > 0.98
    return {"fake_factor": factor, "fake_noise": 0.0 if ordered else float((a - factor * b).norm() / a.norm())}


def _multiple(shown: Tensor, passed: Tensor) -> tuple[float, float]:
    """What multiple of the batch that was passed is shown, less the features' means, and the share that is none."""
    x, y = (t.detach().double().flatten(1) for t in (passed, shown))
    x, y = x - x.mean(0), y - y.mean(0)
    factor = float((x * y).sum() / x.square().sum().clamp(min=1e-30))
    return factor, float((y - factor * x).norm() / y.norm().clamp(min=1e-30))


def _standing(shown: Tensor, passed: Tensor) -> float:
    """Cosine of two batches less their means, in standard errors of unrelated ones."""
    x, y = (t.detach().double().flatten(1) for t in (passed, shown))
    x, y = (t - t.mean(0) for t in (x, y))
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-12)) * x.numel() ** 0.5


def _turned(x: Tensor) -> Iterator[Tensor]:
    """Rows with their channels or axes in other orders."""
    if x.dim() > 1 and x.shape[1] > 1:
        orders = permutations(range(x.shape[1])) if x.shape[1] <= 4 else [tuple(range(x.shape[1]))[::-1]]
        yield from (x[:, list(order)] for order in orders)
    for axes in permutations(range(1, x.dim())) if 2 < x.dim() <= 4 else ():
        turned = x.permute(0, *axes)
        yield turned if turned.shape == x.shape else turned.reshape(x.shape)
        if sorted(turned.shape[1:]) == sorted(x.shape[1:]):
            yield x.reshape(turned.shape).permute(0, *(axes.index(k) + 1 for k in range(1, x.dim())))


def shifted(shown: Tensor, passed: Tensor) -> str:
    """In which way all rows were moved along their axes, flipped, or exchanged with each other's; empty if in none."""
    x, y = passed.detach().to(shown), shown.detach()
    if x.dim() < 2 or torch.equal(x, y) or not torch.equal(x[:1].flatten().sort()[0], y[:1].flatten().sort()[0]):
        return ""
    for axis in range(1, x.dim()):
        if torch.equal(x.flip(axis), y):
            return f"flipped along axis {axis}"
        for by in range(1, min(x.shape[axis], 65)):
            if torch.equal(x[:1].roll(by, axis), y[:1]) and torch.equal(x.roll(by, axis), y):
                return f"rolled by {by} along axis {axis}"
    return ""


def part_of(passed: Tensor, n: int) -> list[Tensor]:
    """The batch that was passed in pieces of the length of what was shown: micro-batches."""
    return list(passed.split(n)) if 0 < n < len(passed) and len(passed) % n == 0 else [passed]


def changed(shown: Tensor, passed: Tensor) -> tuple[str, float, float]:
    """How the critic's batch is made of the one that was passed: ``"order"`` of channels or axes, ``"scale"``, or not.

    Args:
        shown: What the critic was called with ``[n, *shape]``.
        passed: The batch that the user names ``[n, *shape]``.

    Returns:
        ``"order"``, ``"scale"`` or nothing, and the factor and shift of the latter.
    """
    x, y = passed.detach().to(shown), shown.detach()
    if torch.equal(x, y):
        return "", 1.0, 0.0
    if any(torch.equal(turned, y) for turned in _turned(x)):
        return "order", 1.0, 0.0
    a, b = x.flatten().double(), y.flatten().double()
    centred = a - a.mean()
    if not bool(centred.any()):
        return "", 1.0, 0.0
    factor = float(centred @ (b - b.mean()) / centred.square().sum())
    shift = float(b.mean() - factor * a.mean())
    exact = float((b - factor * a - shift).norm()) < 1e-5 * float(b.norm())
    far = abs(factor - 1) > 0.05 or abs(shift) > 0.05 * float(a.std())
    return ("scale" if exact and far else ""), factor, shift


def _classes(call: Call) -> Tensor | None:
    """The classes that a network was called with, a whole number per row; a row of one 1 counts as its place."""
    n = None if call.x is None or not call.x.dim() else len(call.x)
    for t in tensors_in((call.args, call.kwargs)):
        if n is None or not t.dim() or len(t) != n:
            continue
        if not t.is_floating_point() and t.dtype != torch.bool and t[0].numel() == 1:
            return t.flatten().long()
        one = t.dim() == 2 and t.shape[1] > 1 and bool((t.sum(1) == 1).all()) and bool((t.amax(1) == 1).all())
        if one and t is not call.x and t.data_ptr() != (call.x.data_ptr() if call.x is not None else 0):
            return t.argmax(1)
    return None


def _moved(a: Tensor | None, b: Tensor | None) -> float | None:
    """Share of rows whose classes differ."""
    if a is None or b is None or a.shape != b.shape or not len(a):
        return None
    ends = [(int(t.min()), int(t.max())) for t in (a, b)]
    if any(low == high for low, high in ends) or abs(ends[0][1] - ends[1][1]) > 0.2 * max(ends[0][1], ends[1][1]) + 1:
        return None  # numbers of another kind
    return float((a.to(b.device) != b).double().mean())


class Pools:
    """What windows have shown of the data."""

    def __init__(self) -> None:
        self.rows: set[float] = set()
        self.batches: list[tuple[int, float]] = []
        self.latents: list[tuple[int, float]] = []
        self.noise: tuple[int, list[int]] = 0, []
        self.means: list[Tensor] = []
        self.within: list[Tensor] = []
        self.sizes: list[int] = []
        self.standings: list[float] = []
        self.pool = torch.zeros(0)
        self.classes = torch.zeros(0, dtype=torch.long)

    def read(
        self, window: Window, found: Sequence[Judged], real: Tensor | None, z: Any, labels: Any, calls: Sequence[Call]
    ) -> None:
        """Add a window's batches and write down what the pools say."""
        shown = [one for one in found if one.role == "real" and one.call.x is not None]
        batch = real if real is not None else shown[-1].call.x if shown else None
        if batch is not None and batch.dim() > 0 and len(batch):
            self._batch(window, batch)
        self._shown(window, shown, found, real)
        self._latent(window, z, calls)
        self._judged_as(window, found, real, labels, calls)
        if shown and shown[-1].call.x is not None and (used := _labels_of(shown[-1].call)) is not None:
            self._labels(window, shown[-1].call.x, used)
            window.numbers["labels_told"] = float(labels is not None)
        elif real is not None and labels is not None:
            self._labels(window, real, labels)

    def _batch(self, window: Window, batch: Tensor) -> None:
        sums = checksums(batch)
        numbers = window.numbers
        numbers["batch"] = len(batch)
        numbers["distinct_in_batch"] = len(torch.unique(sums)) / len(sums)
        if numbers["distinct_in_batch"] < 0.5:
            values = [len(torch.unique(column)) for column in batch.detach().flatten(1).T[:AXES]]
            numbers["values_per_row"] = max(values) / max(len(torch.unique(sums)), 1)
        numbers["batch_again"] = sum(value == float(sums.sum()) for _, value in self.batches)
        self.batches.append((window.step, float(sums.sum())))
        if len(self.rows) < 100_000:
            self.rows |= set(sums.tolist())
        numbers["distinct_rows"] = len(self.rows)
        x = batch.detach().float().flatten(1)[:, :].cpu()
        numbers["real_low"], numbers["real_high"] = float(x.min()), float(x.max())
        numbers["real_std"] = float(x.std()) if x.numel() > 1 else 0.0
        if x.shape[1] > AXES:
            x = x[:, torch.linspace(0, x.shape[1] - 1, AXES).long()]
        numbers["features"] = batch[0].numel()
        numbers["levels"] = len(torch.unique(x[:16]))
        if len(x) > 1:
            self.means, self.within = [*self.means, x.mean(0)][-40:], [*self.within, x.var(0)][-40:]
            self.sizes = [*self.sizes, len(torch.unique(sums))][-40:]  # repeated rows tell no more than one
        if len(self.means) >= 5:
            numbers["order"] = self._order()

    def _order(self) -> float:
        """Variance of batch means over what the variance within batches explains."""
        between = torch.stack(self.means).var(0)
        within = torch.stack(self.within).mean(0) / (sum(self.sizes) / len(self.sizes))
        used = within > 1e-12 * float(within.max())
        return float(between[used].sum() / within[used].sum()) if bool(used.any()) else 0.0

    def _shown(self, window: Window, shown: Sequence[Judged], found: Sequence[Judged], real: Tensor | None) -> None:
        """Range of what the critic is shown on both sides, and whether it is the batch that was passed."""
        fakes = [one for one in found if one.role == "fake" and one.call.x is not None]
        for name, side in (("shown_real", shown), ("shown_fake", fakes)):
            if side and side[-1].call.x is not None:
                x = side[-1].call.x.detach().float()
                window.numbers[f"{name}_low"], window.numbers[f"{name}_high"] = float(x.min()), float(x.max())
                window.numbers[f"{name}_std"] = float(x.std()) if x.numel() > 1 else 0.0
        if shown and real is not None:
            window.numbers["real_changed"] = float(not any(one.exact for one in shown))
            last = shown[-1].call.x
            if last is not None and last.shape[1:] == real.shape[1:] and not any(one.exact for one in shown):
                self._other(window, last, real)
        own = [one for one in fakes if not one.call.attached] or fakes
        if own:
            window.numbers["fake_changed"] = float(not any(one.exact for one in own))
            if window.numbers["fake_changed"] == 1.0 and own[-1].source is not None and own[-1].call.x is not None:
                window.numbers |= _bent(own[-1].call.x, own[-1].source)

    def _other(self, window: Window, last: Tensor, real: Tensor) -> None:
        """How what the critic is shown as real differs from the batch that was passed, or from a piece of it."""
        for part in part_of(real, len(last)):
            if part.shape != last.shape:
                continue
            kind, factor, shift = changed(last, part)
            window.numbers |= {"shown_order": float(kind == "order"), "shown_scaled": float(kind == "scale"),
                               "shown_factor": factor, "shown_shift": shift}  # fmt: skip
            if way := shifted(last, part) if kind != "order" else "":
                window.words["shown_moved"] = way
            if kind or way:
                return
        if last.shape == real.shape:
            window.numbers["real_factor"], window.numbers["real_left"] = _multiple(last, real)
            self.standings.append(_standing(last, real))
            pooled = sum(self.standings) / len(self.standings) ** 0.5 > 6
            window.numbers["real_noise"] = _noise(last, real) if pooled or related(last, real) else -1.0

    def _judged_as(
        self, window: Window, found: Sequence[Judged], real: Tensor | None, labels: Any, calls: Sequence[Call]
    ) -> None:
        """Whether samples are judged under the classes that they were made with, or passed with.

        Classes may be passed for the real rows or for the latents: those that samples were made or judged with are
        the latents', and say nothing of real rows.
        """
        made = [
            _moved(_classes(one.source), _classes(one.call))
            for one in found if one.role == "fake" and one.exact and one.source is not None
        ]  # fmt: skip
        known = [share for share in made if share is not None]
        if known:
            window.numbers["labels_moved"] = max(known)
        if real is not None and isinstance(labels, Tensor) and labels.dim():
            passed = labels.argmax(1) if labels.dim() == 2 and labels.shape[1] > 1 else labels.flatten()
            exact = [one for one in found if one.exact and one.call.x is not None]
            asked = [*calls, *(one.call for one in exact if one.role == "fake")]
            if any(_moved(passed.long(), _classes(call)) == 0.0 for call in asked):
                return
            used = [_moved(passed.long(), _classes(one.call)) for one in exact
                    if one.role == "real" and one.call.x is not None and len(one.call.x) == len(real)]  # fmt: skip
            told = [share for share in used if share is not None]
            if told:
                window.numbers["labels_exchanged"] = min(told)

    def _latent(self, window: Window, z: Any, calls: Sequence[Call]) -> None:
        used = [call for call in calls if call.x is not None and call.grad and any(call.events)]
        given = [call.x for call in used if not call.attached] or [call.x for call in used]  # a cycle's are made
        latent = given[-1] if given else z if isinstance(z, Tensor) else None
        if latent is None or not latent.is_floating_point() or not latent.dim() or not len(latent):
            return
        latent = latent.detach().float()
        total = float(checksums(latent).sum())
        window.numbers["latents_again"] = sum(value == total for _, value in self.latents)
        self.latents.append((window.step, total))
        if latent.numel() > 1:
            noise = latent.flatten(1)[:, columns] if (columns := noise_columns(latent)) else latent
            self.noise = (latent.flatten(1).shape[1], columns) if columns else (0, [])
            window.numbers["latent_mean"], window.numbers["latent_std"] = float(noise.mean()), float(noise.std())
            window.numbers |= {"latent_size": noise.numel(), "latent_noise": float(bool(columns))}
            window.numbers["latent_rows_std"] = float(latent.std(0).mean()) if len(latent) > 1 else 1.0

    def _labels(self, window: Window, real: Tensor, labels: Any) -> None:
        """Leave-one-out nearest-neighbour accuracy of the labels in a pool, beside the chance of it."""
        y = next(iter(tensors_in(labels)), None)
        if y is None or len(y) != len(real):
            return
        if y.dim() > 1:
            y = y.argmax(1) if y.shape[1] > 1 else y[:, 0]
        x = real.detach().float().flatten(1).cpu()
        keep = self.pool[-POOL:] if self.pool.shape[1:] == x.shape[1:] else torch.zeros(0, x.shape[1])
        self.pool = torch.cat([keep, x])[-POOL:]
        self.classes = torch.cat([self.classes[-len(keep) :] if len(keep) else self.classes[:0], y.cpu().long()])[
            -POOL:
        ]
        if len(self.pool) < 100:
            return
        distance = torch.cdist(self.pool, self.pool, compute_mode="donot_use_mm_for_euclid_dist")
        distance[distance < 1e-7] = float("inf")
        near = self.classes[distance.argmin(1)]
        shares = torch.bincount(self.classes.clamp(min=0)).double() / len(self.classes)
        window.numbers["label_accuracy"] = float((near == self.classes).double().mean())
        window.numbers["label_chance"] = float(shares.square().sum())
        window.numbers["label_pool"], window.numbers["label_axes"] = len(self.pool), self.pool.shape[1]
