"""One row of the table of causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bookkeeping", "ledger", "response", "slow", "state"]


@dataclass(frozen=True)
class Cause:
    """One cause of failing or of training something else than was claimed.

    Attributes:
        slug: Stable name.
        title: A few words.
        meaning: What is the case, one or two sentences.
        source: Equation, paper or measured study behind it.
        confirm: The experiment that shows it.
        remedy: The change that cures it.
        kind: The strongest evidence that it can have: identities and counts, the gradient explained, the response of
            copies to a change, slow averages; ``state`` for what is no cause.
    """

    slug: str
    title: str
    meaning: str
    source: str
    confirm: str
    remedy: str
    kind: Kind
