"""Matrices of a given condition, and the orthogonalisers by their definitions."""

from __future__ import annotations

import torch

from tightrope import linalg

NAMES = sorted(linalg.ORTHOGONALISERS)


def with_condition(m: int, n: int, condition: float, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    k = min(m, n)
    U, _ = torch.linalg.qr(torch.randn(m, k, generator=rng, dtype=torch.float64))
    V, _ = torch.linalg.qr(torch.randn(n, k, generator=rng, dtype=torch.float64))
    s = torch.logspace(0, -torch.log10(torch.tensor(condition)).item(), k, dtype=torch.float64)
    return (U * s) @ V.mT


def definition(W: torch.Tensor, name: str) -> torch.Tensor:
    """The textbook formula in float64, on the tall orientation."""
    if W.shape[0] < W.shape[1]:
        return definition(W.mT, name).mT
    if name in ("polar", "bjorck"):
        U, _, Vh = torch.linalg.svd(W, full_matrices=False)
        return U @ Vh
    if name == "qr":  # Gram-Schmidt, orthogonalised twice
        columns: list[torch.Tensor] = []
        for w in W.mT:
            for _ in range(2):
                for q in columns:
                    w = w - (q @ w) * q
            columns.append(w / w.norm())
        return torch.stack(columns, 1)
    n = W.shape[1]
    skew = torch.zeros(W.shape[0], W.shape[0], dtype=W.dtype)  # the full-size Cayley transform, first n columns
    U, V = W[:n], W[n:]
    skew[:n, :n] = U - U.mT
    skew[n:, :n], skew[:n, n:] = V, -V.mT
    A, identity = skew, torch.eye(W.shape[0], dtype=W.dtype)
    return (torch.linalg.solve(identity + A, identity - A))[:, :n]
