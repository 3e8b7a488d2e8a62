r"""The adversarial losses, side by side: the lines that differ are the papers' difference.

The critic :math:`D` scores real samples high. With :math:`x \sim p_{data}` and :math:`y = G(z)`, both players minimise:

====================== ============================================== ===============================
name                   critic                                         generator
====================== ============================================== ===============================
``minimax``            E softplus(-D(x)) + E softplus(D(y))           -E softplus(D(y))
``non_saturating``     E softplus(-D(x)) + E softplus(D(y))           E softplus(-D(y))
``wasserstein``        E D(y) - E D(x)                                -E D(y)
``hinge``              E relu(1 - D(x)) + E relu(1 + D(y))            -E D(y)
``least_squares``      E (D(x) - 1)^2 + E (D(y) + 1)^2                E (D(y) - 1)^2
``relativistic``       E softplus(-(D(x) - D(y)))                     E softplus(-(D(y) - D(x)))
====================== ============================================== ===============================

Scores have any shape ``[batch, ...]`` and the mean is over all their entries. Real and fake scores meet elementwise in
``relativistic`` alone, so batches may differ in size everywhere else. Scores of half precision are widened first.

Several critics give lists of scores, one tensor per critic, and losses add over critics:
``hinge.critic([a, b], [c, d])`` is ``hinge.critic(a, c) + hinge.critic(b, d)``, half of it with ``reduce="mean"``, and
both numbers with ``reduce="none"``. The one rule of what is a score is :func:`tightrope.autodiff.scores_of`. Vocoders'
targets are ``least_squares(targets=(0.0, 1.0))``.

Beside them stand what other systems add to an adversarial loss: :func:`feature_matching`, :func:`top_k`,
:func:`lecam` and the weight that :func:`balance` gives to the adversarial part.

With scores of 1 for real samples and -1 for fake ones:

>>> from tightrope.losses import LOSSES
>>> d_real, d_fake = torch.ones(4), -torch.ones(4)
>>> for name, loss in LOSSES.items():
...     print(f"{name:<15} {loss.critic(d_real, d_fake):6.3f} {loss.generator(d_fake, d_real):6.3f}")
minimax          0.627 -0.313
non_saturating   0.627  1.313
wasserstein     -2.000  1.000
hinge            0.000  1.000
least_squares    0.000  4.000
relativistic     0.127  2.127
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.losses.adversarial import (
    LOSSES,
    LeastSquares,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    relativistic,
    wasserstein,
)
from tightrope.losses.auxiliary import Balance, ScoreAverages, balance, feature_matching, lecam, top_k
from tightrope.losses.loss import Loss, OverCritics, Reduce

__all__ = [
    "LOSSES",
    "Balance",
    "LeastSquares",
    "Loss",
    "OverCritics",
    "Reduce",
    "ScoreAverages",
    "balance",
    "feature_matching",
    "hinge",
    "least_squares",
    "lecam",
    "minimax",
    "non_saturating",
    "relativistic",
    "top_k",
    "wasserstein",
]

keep_door(__name__, __all__)
