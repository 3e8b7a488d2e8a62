"""Games small enough to be understood completely, built from the parts that train images."""

from tightrope._plumbing.door import keep_door
from tightrope.toys.dirac import (
    Affine,
    Line,
    Linear,
    Point,
    Quadratic,
    dirac_gan,
    gaussian_quadratic,
    parallel_lines,
)
from tightrope.toys.toy import Toy, under
from tightrope.toys.variants import PARAMETER, VARIANTS, dirac_variant, variant

__all__ = [
    "PARAMETER",
    "VARIANTS",
    "Affine",
    "Line",
    "Linear",
    "Point",
    "Quadratic",
    "Toy",
    "dirac_gan",
    "dirac_variant",
    "gaussian_quadratic",
    "parallel_lines",
    "under",
    "variant",
]

keep_door(__name__, __all__)
