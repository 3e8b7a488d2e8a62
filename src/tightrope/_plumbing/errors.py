"""The one exception whose text is meant for the person at the keyboard."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake the user can fix, said in one sentence: what was expected, what was got, what to do.

    The command line prints the sentence without a traceback and exits with code 2.
    """
