"""The exceptions whose text is meant for the person at the keyboard, and text made fit to be shown there."""

from __future__ import annotations

__all__ = ["UserError", "UserFileError", "UserTypeError", "printable", "said_by", "why"]

_JOINERS = "\u200c\u200d"  # invisible, but part of the spelling of words and of emoji


def printable(text: object) -> str:
    r"""Text without characters that act on a terminal instead of showing there.

    Control characters, line ends, marks that turn the direction of writing, and what stands for undecodable bytes in
    file names become backslash escapes: ``\x1b``, ``\n``, ``\u202e``, and ``\xe9`` for the byte 0xE9.
    """
    plain = str(text)
    return plain if plain.isprintable() else "".join(map(_shown, plain))


def _shown(character: str) -> str:
    import unicodedata

    if character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class UserError(ValueError):
    """A mistake the user can fix, said in one sentence: what was expected, what was got, what to do.

    The command line prints the sentence without a traceback and exits with code 2. Whatever the sentence quotes from
    file names and file contents is made :func:`printable`.
    """

    def __init__(self, sentence: object = "") -> None:
        """Keep a sentence.

        Args:
            sentence: the text; it is shown as one line.
        """
        super().__init__(printable(sentence))


class UserTypeError(UserError, TypeError):
    """A :class:`UserError` about a value of another type than the one expected."""


class UserFileError(UserError, FileNotFoundError):
    """A :class:`UserError` about a file that is not there."""

    def __str__(self) -> str:
        return str(self.args[0])


def said_by(error: BaseException) -> str:
    """The first line of an error's text; its type's name where it has none, as a bare ``assert`` has."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a text that cannot be had is none
        lines = []
    return lines[0] if lines else type(error).__name__


def why(error: BaseException) -> str:
    """What an error is about, for a record: a sentence of ours as it is, what others raise by what it is."""
    if isinstance(error, UserError):
        return said_by(error)
    if isinstance(error, MemoryError):
        return "memory is full"
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.strerror}{f' ({error.filename})' if error.filename else ''}, says the system")
    name, line = type(error).__name__, said_by(error)
    return printable(f"an error stopped it, {name}{f': {line}' if line != name else ''}")
