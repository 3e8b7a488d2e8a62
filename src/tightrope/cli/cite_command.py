"""``tightrope cite METHOD``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from tightrope._plumbing.say import say
from tightrope.cli.options import parse


@dataclass(frozen=True)
class CiteOptions:
    """BibTeX of the papers that a method's defaults and parts come from."""

    method: Annotated[str, tyro.conf.Positional]
    """Name of a method."""


def run(words: list[str]) -> int:
    """Print BibTeX entries."""
    options = parse(CiteOptions, "cite", words)
    from tightrope.methods.citations import bibtex

    say(*bibtex(options.method).splitlines())
    return 0
