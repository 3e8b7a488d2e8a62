"""BibTeX of the papers that methods and their parts come from: ``papers.bib``, beside this file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from tightrope import constraints, optimizers, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.source import Source
from tightrope.methods.method import Method
from tightrope.methods.play import Simultaneous
from tightrope.methods.registry import build
from tightrope.optimizers import settings
from tightrope.penalties import Penalty
from tightrope.perturbations import Augmentation, InOrder, InstanceNoise

_FIELDS: Final = ("title", "author", "year", "eprint", "archivePrefix")
_ENTRY: Final = re.compile(r"@misc\{(\w+),\n" + ",\n".join(rf"  {name} = \{{(.+)\}}" for name in _FIELDS) + r"\n\}")

PARTS: Final[tuple[tuple[object, Mapping[str, object], Source], ...]] = (
    (penalties.gradient_penalty, {}, Source("1704.00028", "eq. 3")),
    (penalties.gradient_penalty, {"one_sided": True}, Source("1709.08894", "WGAN-LP")),
    (penalties.r1, {}, Source("1801.04406", "eq. 9")),
    (penalties.r2, {}, Source("1801.04406", "eq. 10")),
    (penalties.finite_difference_r1, {}, Source("2501.08316", "approximated R1")),
    (penalties.finite_difference_r2, {}, Source("2501.08316", "approximated R2")),
    (penalties.soft_orthogonality, {"form": "gram"}, Source("1609.07093", "eq. 3")),
    (penalties.soft_orthogonality, {"form": "off_diagonal"}, Source("1809.11096", "eq. 3")),
    (penalties.soft_orthogonality, {"form": "srip"}, Source("1810.09102")),
    (penalties.soft_orthogonality, {"form": "mutual_coherence"}, Source("1810.09102")),
    (penalties.jacobian_clamping, {}, Source("1802.08768", "algorithm 1")),
    (constraints.spectral_norm, {}, Source("1802.05957", "algorithm 1")),
    (constraints.orthogonal, {}, Source("1911.13060", "hard constraint; our reading")),
    (constraints.orthogonal, {"by": "bjorck"}, Source("1811.05381")),
    (constraints.orthogonal, {"by": "cayley"}, Source("2104.07167")),
    (constraints.orthogonal, {"norm": "operator"}, Source("1911.00937")),
    (constraints.bound_singular_values_, {}, Source("1611.06013", "algorithm 1")),
    (constraints.clip_weights_, {}, Source("1701.07875", "algorithm 1, line 7")),
    (optimizers.consensus, {}, Source("1705.10461", "eq. 10 and algorithm 2")),
    (optimizers.symplectic, {}, Source("1802.05642", "algorithm 1")),
    (settings.ExtraSGD, {}, Source("1802.10551", "section 3")),
    (settings.ExtraAdam, {}, Source("1802.10551", "algorithm 4")),
    (settings.OptimisticSGD, {}, Source("1711.00141", "eq. 6")),
    (settings.OptimisticAdam, {}, Source("1711.00141", "algorithm 1")),
    (settings.Momentum, {}, Source("1807.04740")),
    (settings.Lookahead, {}, Source("2006.14567", "algorithm 1")),
)
"""Where the parts of methods come from: the function or settings, options for which the row holds, the source."""

NOISE: Final = Source("1610.04490", "instance noise")
DIFF: Final = Source("2006.10738", "section 3.2, differentiable augmentation")
ADA: Final = Source("2006.06676", "section 3, adaptive augmentation")
LAZY: Final = Source("1912.04958", "appendix B, lazy regularisation")


@cache
def papers() -> Mapping[str, str]:
    """BibTeX entries by number on arXiv, as ``papers.bib`` holds them.

    Raises:
        UserError: Something in the file is no entry of the one form that is read, or is there twice.
    """
    text = resources.files("tightrope.methods").joinpath("papers.bib").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    keys: set[str] = set()
    for entry in text.strip().split("\n\n"):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise UserError(
                f"Expected an @misc entry with {', '.join(_FIELDS)} in papers.bib, got {entry.splitlines()[0]!r}."
            )
        key, number = match[1], match[2 + _FIELDS.index("eprint")]
        if key in keys or number in found:
            raise UserError(f"Expected each paper once in papers.bib, got {key} ({number}) again.")
        keys.add(key)
        found[number] = entry
    return MappingProxyType(found)


def sources(method: Method) -> list[Source]:
    """Where a method comes from: its own sources, its loss's, then those of its parts; one for each paper."""
    of_loss = () if method.loss.source is None else (method.loss.source,)
    found: dict[str, Source] = {}
    for source in (*method.sources, *of_loss, *_of_parts(method)):
        found.setdefault(source.arxiv, source)
    return list(found.values())


def bibtex(name: str) -> str:
    """BibTeX entries of the papers behind a method.

    Args:
        name: Key in ``METHODS``.

    Raises:
        UserError: Unknown method.
    """
    return "\n\n".join(papers()[source.arxiv] for source in sources(build(name)))


def _of_parts(method: Method) -> Iterator[Source]:
    bound: tuple[Penalty, ...] = (*method.penalties, *method.generator_penalties)
    for one in bound:
        yield from _rows(one.function, one.hyperparameters)
    for part in (method.constraint, method.projection):
        if part is not None:
            yield from _rows(*_unwrapped(part.function))
    if isinstance(method.play, Simultaneous) and method.play.correction is not None:
        yield from _rows(*_unwrapped(method.play.correction))
    for rule in (method.critic_optimizer, method.generator_optimizer, method.play.lookahead):
        yield from _rows(type(rule), {})
    seen = method.perturbation
    for view in seen.parts if isinstance(seen, InOrder) else (seen,):
        if isinstance(view, InstanceNoise):
            yield NOISE
        elif isinstance(view, Augmentation):
            yield DIFF if view.kind == "diff" else ADA
    if any(penalty.every > 1 for penalty in method.penalties):
        yield LAZY


def _unwrapped(function: Callable[..., Any]) -> tuple[object, Mapping[str, object]]:
    return (function.func, function.keywords) if isinstance(function, partial) else (function, {})


def _rows(function: object, options: Mapping[str, object]) -> Iterator[Source]:
    for part, when, source in PARTS:
        if part is function and all(options.get(name) == value for name, value in when.items()):
            yield source
