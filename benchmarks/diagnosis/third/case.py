"""A planted fault or a harmless oddity: a style, a small change of its text, and what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass

from tightrope.monitor import CAUSES

KINDS = {"bookkeeping": "exact", "ledger": "exact", "response": "response", "slow": "slow"}


@dataclass(frozen=True)
class Case:
    """One change of one script; ``cause`` is empty for an oddity."""

    style: str
    name: str
    cause: str
    changes: tuple[tuple[str, str], ...]
    also: tuple[str, ...] = ()
    late: bool = False

    @property
    def key(self) -> str:
        """Style and name."""
        return f"{self.style}/{self.name}"

    @property
    def accepted(self) -> tuple[str, ...]:
        """Every cause that counts as right, the planted one first."""
        return (self.cause, *self.also) if self.cause else ()

    @property
    def kind(self) -> str:
        """Kind of evidence of the planted cause."""
        return KINDS[CAUSES[self.cause].kind] if self.cause else "healthy"


def fault(style: str, name: str, cause: str, *texts: str, also: str = "", late: bool = False) -> Case:
    """A planted fault; ``texts`` are old and new text in turns."""
    names = tuple(also.split())
    for slug in (cause, *names):
        if slug not in CAUSES:
            raise KeyError(slug)
    return Case(style, name, cause, tuple(zip(texts[::2], texts[1::2], strict=True)), names, late)


def oddity(style: str, name: str, *texts: str) -> Case:
    """A harmless change."""
    return Case(style, name, "", tuple(zip(texts[::2], texts[1::2], strict=True)))
