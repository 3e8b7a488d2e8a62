"""The examples in docstrings run and show what they say; what a user calls first has one.

An example may use ``torch`` and ``nn`` and imports whatever else it needs, so that it works where it is copied to.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import tightrope

DOCS = Path(__file__).parents[1] / "docs"
if not (DOCS / "public.py").is_file():
    pytest.skip("needs docs/public.py, which a source distribution leaves out", allow_module_level=True)
sys.path.insert(0, str(DOCS))
from public import modules as public_modules  # noqa: E402

# What must have an example: modules that the README shows as a whole, and the main entries of each public package.
MODULES = ("losses", "networks")
FIRST = {
    "losses": "Loss",
    "schedules": "Cosine Linear ramp value_at",
    "perturbations": "InstanceNoise instance_noise",
    "constraints": (
        "bound_singular_values_ clip_weights_ constrained_layers export frobenius_norm orthogonal remove "
        "spectral_norm weight_norm"
    ),
    "linalg": "bjorck cayley clamp_singular_values polar qr",
    "spectra": (
        "condition_number effective_rank kernel_singular_values layer_spectra operator_norm singular_values stable_rank"
    ),
    "critics": "lipschitz_interval wasserstein_estimate",
    "dynamics": (
        "check_differentiable contracting_weights eigenvalues euler_limit field_jacobian gradient_field "
        "largest_safe_step path_angle predict update_jacobian"
    ),
    "methods": "build",
    "optimizers": (
        "ExtraAdam ExtraSGD Lookahead Momentum OptimisticAdam OptimisticSGD alternating consensus "
        "extragradient_step outer_step symplectic"
    ),
    "networks": "GroupSort MaxMin recommended",
    "data": "Dataset Sampler open_data",
    "conditioning": "measure singular_values",
    "training": "critic_step start train",
    "monitor": "signals",
    "doctor": "tune_gamma",
    "runs": "load",
    "report": "write_report",
    "metrics": "frechet_distance kernel_distance precision_recall_density_coverage",
    "evaluation": "evaluate",
    "toys": "dirac_gan",
    "studies.statistics": "mean permutation_test ratio seeds_needed",
}


def examples() -> dict[str, doctest.DocTest]:
    """Every docstring with an example in a public package, its private files included, by dotted name."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for module in map(importlib.import_module, public_modules()):
        for part in (module, *parts(module)):
            tests = finder.find(part, part.__name__, module=part, globs={"torch": torch, "nn": nn})
            found |= {test.name: test for test in tests if test.examples}
    return found


def parts(module: ModuleType) -> list[ModuleType]:
    paths = getattr(module, "__path__", None) if module.__name__ != "tightrope" else None
    names = [info.name for info in pkgutil.iter_modules(paths)] if paths else []
    return [importlib.import_module(f"{module.__name__}.{name}") for name in names]


EXAMPLES = examples()


def test_submodules_that_the_package_offers_are_in_the_reference() -> None:
    shown = {name.split(".")[1] for name in public_modules() if "." in name}
    assert set(tightrope._SUBMODULES) - {"cli", "drawing"} <= shown


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_shows_what_happens(name: str) -> None:
    torch.manual_seed(0)
    told: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(EXAMPLES[name], out=told.append)
    assert runner.failures == 0, "".join(told)


@pytest.mark.parametrize(
    "name", [*MODULES, *(f"{package}.{name}" for package, names in FIRST.items() for name in names.split())]
)
def test_what_is_called_first_has_an_example(name: str) -> None:
    package, _, member = (name, "", "") if name in MODULES else name.rpartition(".")
    thing = importlib.import_module(f"tightrope.{package}")
    if member:
        assert member in getattr(thing, "__all__", [member]), f"{name} is not public"
        thing = getattr(thing, member)
    assert ">>> " in (inspect.getdoc(thing) or ""), f"the docstring of {name} has no example"
