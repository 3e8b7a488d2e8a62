"""Games small enough to be understood completely, built from the parts that train images."""

from tightrope.toys.dirac import (
    Affine,
    Line,
    Linear,
    Point,
    Quadratic,
    Toy,
    dirac_gan,
    gaussian_quadratic,
    parallel_lines,
)
from tightrope.toys.variants import PARAMETER, Variant, dirac_variant

__all__ = [
    "PARAMETER",
    "Affine",
    "Line",
    "Linear",
    "Point",
    "Quadratic",
    "Toy",
    "Variant",
    "dirac_gan",
    "dirac_variant",
    "gaussian_quadratic",
    "parallel_lines",
]
