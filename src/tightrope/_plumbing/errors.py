"""The exceptions whose text is meant for the person at the keyboard."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake the user can fix, said in one sentence: what was expected, what was got, what to do.

    The command line prints the sentence without a traceback and exits with code 2.
    """


class UserTypeError(UserError, TypeError):
    """A :class:`UserError` about a value of another type than the one expected."""


class UserFileError(UserError, FileNotFoundError):
    """A :class:`UserError` about a file that is not there."""

    def __str__(self) -> str:
        return str(self.args[0])
