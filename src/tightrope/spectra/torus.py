"""The norm of a convolution wrapped around a torus: the largest singular value over all of its frequencies."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from tightrope.layers.linear_map import LinearMap
from tightrope.spectra.layer import conjugate_pairs, polyphase

_STEPS = 12  # of the power iteration that says where to look first
_SMALL = 64  # sides of blocks that are decomposed as they come
_AT_ONCE = 2**24  # entries of the blocks that are held at a time
_PER_DEGREE = 32  # frequencies per degree of the Gram matrix, between which it grows by 0.24 % at most
_LONG = 2e9  # multiplications of Cholesky factors above which not every frequency is looked at


def torus_norm(of: LinearMap, weight: Tensor, sizes: tuple[int, ...]) -> float:
    """Largest singular value of the convolution on a torus, up to rounding.

    At each frequency it is the root of the largest eigenvalue of a Gram matrix. One is decomposed; that the others
    stay below needs no eigenvalues, only that ``largest * I - Gram`` has a Cholesky factor. Those that have none are
    looked at in turn, in the order that a short power iteration suggests.

    Args:
        of: A convolution; its padding is ignored, since on a torus it only shifts.
        weight: ``[groups * outputs, inputs, *kernel]``.
        sizes: Cells of the torus per axis, multiples of the stride.
    """
    return _norm(of, weight, tuple(n // s for n, s in zip(sizes, of.stride, strict=True)), 0.0)


def torus_bound(of: LinearMap, weight: Tensor, sizes: tuple[int, ...], near: float = 0.0) -> float:
    """Upper bound on :func:`torus_norm`, at less cost where the torus is large.

    Where the Gram matrix, a trigonometric polynomial of degree ``d`` in the frequency with values in ``[0, S]``, is
    looked at on ``M`` frequencies of a circle, one of them reaches ``S cos^2(pi d / 2 M)``, since a polynomial falls off
    from its largest value no faster than a cosine of its degree (M. Riesz, 1914). So 32 per degree suffice for 0.12 %.

    Args:
        of, weight, sizes: See :func:`torus_norm`.
        near: A guess of the bound, best a little above the norm: returned if it is proven, which spares eigenvalues.
    """
    fewer, loss = sample(of, sizes)
    return _norm(of, weight, fewer, near * loss) / loss


def sample(of: LinearMap, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
    """How many frequencies per axis :func:`torus_bound` looks at, and what share of the norm they reach at least."""
    coarse = tuple(n // s for n, s in zip(sizes, of.stride, strict=True))
    side = min(of.weight_shape[0] // of.groups, of.weight_shape[1] * math.prod(of.stride))
    if of.groups * math.prod(coarse) * side**3 <= _LONG:
        return coarse, 1.0
    fewer, reached = [], 1.0
    for n, k, s, d in zip(coarse, of.kernel, of.stride, of.dilation, strict=True):
        degree = (k - 1) * d // s
        fewer.append(min(n, max(1, _PER_DEGREE * degree)))
        reached *= math.cos(math.pi * degree / (2 * fewer[-1])) if fewer[-1] < n else 1.0
    return tuple(fewer), reached


def _norm(of: LinearMap, weight: Tensor, coarse: tuple[int, ...], known: float) -> float:
    """Root of the largest eigenvalue at the frequencies of a coarse torus, or ``known`` if none lies above."""
    # along an axis with one tap every frequency has the same singular values
    coarse = tuple(1 if k == 1 else n for n, k in zip(coarse, of.kernel, strict=True))
    sizes = tuple(n * s for n, s in zip(coarse, of.stride, strict=True))
    pick, _ = conjugate_pairs(coarse)
    rows, columns = of.weight_shape[0] // of.groups, of.weight_shape[1] * math.prod(of.stride)
    sums = _Sums(of, weight) if rows <= columns and rows > _SMALL else None
    side = max(1, min(rows, columns))
    largest = known**2
    for part in pick.split(max(1, _AT_ONCE // (side * max(rows, columns) * of.groups))):
        if sums is not None and sums.products < len(pick) * math.prod(of.stride) * 2:
            grams = sums.at(part, coarse)
        else:
            blocks = polyphase(of, weight, sizes, part.to(weight.device)).flatten(0, 1)
            wide = blocks if rows <= columns else blocks.mH
            grams = wide @ wide.mH
        largest = max(largest, _largest(grams, largest))
    return math.sqrt(max(largest, 0.0))


def _largest(grams: Tensor, known: float) -> float:
    """Largest eigenvalue of Hermitian matrices ``[k, n, n]``, or ``known`` if none lies above."""
    if grams.shape[-1] <= _SMALL:
        return max(known, float(torch.linalg.eigvalsh(grams)[:, -1].max()))
    left = grams if not known else grams[_not_below(grams, known)]
    while len(left):
        order = _guesses(left).argsort(descending=True)
        known = max(known, float(torch.linalg.eigvalsh(left[order[0]])[-1]))
        left = left[order[1:]]
        left = left[_not_below(left, known)] if len(left) else left
    return known


def _not_below(grams: Tensor, bound: float) -> Tensor:
    """Which matrices are not proven to have eigenvalues of at most ``bound``, up to rounding."""
    limits = torch.finfo(grams.real.dtype)
    shifted = -grams
    shifted.diagonal(dim1=-2, dim2=-1).add_(max(bound * (1 + 8 * limits.eps * math.sqrt(grams.shape[-1])), limits.tiny))
    return torch.linalg.cholesky_ex(shifted).info != 0


def _guesses(grams: Tensor) -> Tensor:
    """Lower bounds on the largest eigenvalues, from a few steps of power iteration."""
    rng = torch.Generator().manual_seed(0)
    v = torch.randn(grams.shape[-1], 1, generator=rng, dtype=torch.float64).to(grams).expand(len(grams), -1, 1)
    for _ in range(_STEPS):
        w = grams @ v
        v = w / torch.linalg.vector_norm(w, dim=1, keepdim=True).clamp(min=torch.finfo(w.real.dtype).tiny)
    return (v.conj() * (grams @ v)).sum((1, 2)).real


class _Sums:
    """Gram matrices of all frequencies as sums of products of two taps, which do not depend on the frequency.

    Two taps meet in the Gram matrix if they are whole strides apart, with the phase of that distance.
    """

    def __init__(self, of: LinearMap, weight: Tensor) -> None:
        self._groups, self._stride = of.groups, of.stride
        taps = list(itertools.product(*(range(k) for k in of.kernel)))
        places = [tuple(t * d for t, d in zip(tap, of.dilation, strict=True)) for tap in taps]
        self._pairs: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for (i, here), (j, there) in itertools.product(enumerate(places), repeat=2):
            apart = tuple(a - b for a, b in zip(here, there, strict=True))
            if all(a % s == 0 for a, s in zip(apart, of.stride, strict=True)) and apart >= tuple(0 for _ in apart):
                self._pairs.setdefault(apart, []).append((i, j))
        self.products = sum(map(len, self._pairs.values()))
        self._kernel = weight.reshape(of.groups, -1, weight.shape[1], len(taps)).permute(3, 0, 1, 2)
        self._made: tuple[Tensor, Tensor] | None = None

    def _products(self) -> tuple[Tensor, Tensor]:
        """``[distances, groups * rows * rows]``, what goes with the cosine and with the sine of each distance."""
        if self._made is None:
            K = self._kernel
            cosine, sine = [], []
            for apart, pairs in self._pairs.items():
                one = torch.cat([K[i] for i, _ in pairs], -1) @ torch.cat([K[j] for _, j in pairs], -1).mT
                cosine.append(one + one.mT if any(apart) else one)
                sine.append(one.mT - one)
            self._made = torch.stack(cosine).flatten(1), torch.stack(sine).flatten(1)
        return self._made

    def at(self, pick: Tensor, coarse: tuple[int, ...]) -> Tensor:
        """``[groups * frequencies, rows, rows]`` at frequencies of the coarse torus, as ``polyphase`` numbers them."""
        cosine, sine = self._products()
        frequencies = torch.unravel_index(pick.cpu(), (*coarse[:-1], coarse[-1] // 2 + 1))
        turns = torch.zeros(len(pick), len(self._pairs), dtype=torch.float64)
        for w, c, s, distances in zip(frequencies, coarse, self._stride, zip(*self._pairs, strict=True), strict=True):
            turns += w[:, None].double() * (torch.tensor(distances) // s) % c / c
        angle = (2 * math.pi * turns).to(cosine.device)
        grams = torch.complex(angle.cos().to(cosine) @ cosine, angle.sin().to(sine) @ sine)
        rows = self._kernel.shape[2]
        return grams.reshape(len(pick), self._groups, rows, rows).transpose(0, 1).flatten(0, 1)
