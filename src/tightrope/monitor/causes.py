"""Every cause that a diagnosis can name: what it means, where that is known from, how to confirm it, how to cure it.

The documentation has a page per entry, made from this table; a finding takes its remedy and its experiment from it.
"""

from __future__ import annotations

from typing import Final

from tightrope.monitor._causes.cause import Cause
from tightrope.monitor._causes.data import DATA
from tightrope.monitor._causes.gradients import GRADIENTS
from tightrope.monitor._causes.responses import RESPONSES
from tightrope.monitor._causes.slow import SLOW
from tightrope.monitor._causes.wiring import WIRING

__all__ = ["CAUSES", "Cause"]

CAUSES: Final[dict[str, Cause]] = {cause.slug: cause for cause in (*WIRING, *DATA, *GRADIENTS, *RESPONSES, *SLOW)}
"""All causes by slug, by kind of evidence: bookkeeping, ledger, response, slow signals."""
