"""Global random streams beside torch's, which a caller's code may draw from."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def global_streams_kept() -> Iterator[None]:
    """Put Python's and NumPy's global random states back afterwards."""
    python, numpy = random.getstate(), sys.modules.get("numpy")  # nobody has drawn from one that is not imported
    drawn = None if numpy is None else numpy.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        if numpy is not None:
            numpy.random.set_state(drawn)
