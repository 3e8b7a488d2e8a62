"""Where a formula or a setting comes from, as data that a program can read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A paper and the place in it, as in ``Source("1801.04406", "eq. 9")``.

    Attributes:
        arxiv: The paper's number on arXiv.
        place: Equation, algorithm, table or section, and what there is to say about it.
    """

    arxiv: str
    place: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.arxiv, self.place)))
