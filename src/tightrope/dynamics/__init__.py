"""Game dynamics: the vector field of any user's game, its Jacobian and spectrum, and whether training will hold."""

from tightrope.dynamics.field import gradient_field
from tightrope.dynamics.jacobian import field_jacobian
from tightrope.dynamics.players import Losses, Player
from tightrope.dynamics.smooth import check_differentiable
from tightrope.dynamics.state import state_tensors
from tightrope.dynamics.update import update_jacobian

__all__ = [
    "Losses",
    "Player",
    "check_differentiable",
    "field_jacobian",
    "gradient_field",
    "state_tensors",
    "update_jacobian",
]
