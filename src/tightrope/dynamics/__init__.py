"""Game dynamics: the vector field of any user's game, its Jacobian and spectrum, and whether training will hold."""

from tightrope._plumbing.door import keep_door
from tightrope.dynamics.field import gradient_field
from tightrope.dynamics.jacobian import field_jacobian
from tightrope.dynamics.path import PathAngle, path_angle
from tightrope.dynamics.players import Losses, Player
from tightrope.dynamics.prediction import Prediction, predict
from tightrope.dynamics.products import FieldProducts, field_products
from tightrope.dynamics.smooth import check_differentiable
from tightrope.dynamics.spectrum import Spectrum, eigenvalues
from tightrope.dynamics.stability import WeightRange, contracting_weights, euler_limit, largest_safe_step
from tightrope.dynamics.state import state_tensors
from tightrope.dynamics.update import update_jacobian

__all__ = [
    "FieldProducts",
    "Losses",
    "PathAngle",
    "Player",
    "Prediction",
    "Spectrum",
    "WeightRange",
    "check_differentiable",
    "contracting_weights",
    "eigenvalues",
    "euler_limit",
    "field_jacobian",
    "field_products",
    "gradient_field",
    "largest_safe_step",
    "path_angle",
    "predict",
    "state_tensors",
    "update_jacobian",
]

keep_door(__name__, __all__)
