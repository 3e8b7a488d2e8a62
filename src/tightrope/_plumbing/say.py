"""How commands speak: what names and files hold never acts on a terminal, and a reader who leaves ends nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import Any, TextIO

from tightrope._plumbing.errors import printable


def say(*lines: object, error: bool = False) -> None:
    r"""Print lines, each made :func:`printable`; where nobody reads any more, nothing is said and nothing is raised.

    Args:
        lines: A line each: one that holds a line's end shows it as ``\n``.
        error: Print to stderr.

    Raises:
        OSError: Writing failed for another reason, such as a full disk.
    """
    stream: TextIO | None = sys.stderr if error else sys.stdout
    if stream is None:  # closed before the start
        return
    try:
        print("\n".join(map(printable, lines)), file=stream, flush=True)
    except OSError as problem:
        if problem.errno not in (errno.EPIPE, errno.EIO):  # the reader has left, or its terminal was closed
            raise
        hush(stream)


def say_json(value: Any) -> None:
    """Print a value as JSON on several lines, in ASCII."""
    say(*json.dumps(value, indent=2, default=str).replace("\x7f", "\\u007f").splitlines())


def hush(stream: TextIO | None) -> None:
    """Let a stream that cannot be written swallow what it holds and what comes, to the end of the process."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        assert stream is not None
        os.dup2(null, stream.fileno())
        os.close(null)
