"""Update rules for games beside torch's own optimisers: objects with state dicts, terms of the losses, outer steps."""

from tightrope._plumbing.door import keep_door
from tightrope.optimizers.extragradient import ExtraAdam, ExtraSGD
from tightrope.optimizers.lookahead import Lookahead
from tightrope.optimizers.momentum import Momentum
from tightrope.optimizers.optimistic import OptimisticAdam, OptimisticSGD
from tightrope.optimizers.steps import (
    SIMULTANEOUS,
    Order,
    Step,
    alternating,
    extragradient_step,
    in_sequence,
    outer_step,
)
from tightrope.optimizers.terms import consensus, lead, symplectic

__all__ = [
    "SIMULTANEOUS",
    "ExtraAdam",
    "ExtraSGD",
    "Lookahead",
    "Momentum",
    "OptimisticAdam",
    "OptimisticSGD",
    "Order",
    "Step",
    "alternating",
    "consensus",
    "extragradient_step",
    "in_sequence",
    "lead",
    "outer_step",
    "symplectic",
]

keep_door(__name__, __all__)
