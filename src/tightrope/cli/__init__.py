"""The command line. Start-up is lazy: ``tightrope --help`` imports neither torch nor any command."""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys
import time
import warnings

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import hush, say
from tightrope._plumbing.version import __version__

COMMANDS = {
    "train": "Train a GAN on your data and write a report.",
    "estimate": "What a training would cost: time, memory, traffic.",
    "resume": "Go on from a run's newest checkpoint, bit for bit.",
    "sample": "Draw samples from a run into a grid, a folder or an npz file.",
    "export": "Write a run's generator as ONNX, as an exported program of torch, or with a model card.",
    "evaluate": "Measure a run against held-out data.",
    "report": "Write a run's report again, or while it trains.",
    "diagnose": "Say what is wrong with a run, with evidence and remedy.",
    "probe": "Does a fix help: a run's checkpoint trained on with and without it, over seeds.",
    "compare": "Set several runs side by side: distances, samples, curves, critic spectra.",
    "dynamics": "Does a run's game contract, and how does it turn.",
    "toy": "A small game under a method: the Dirac-GAN's spectra, verdict and trajectory.",
    "conditioning": "How runs' generators stretch latent space: condition numbers, spectra, directions.",
    "study": "Claims of the papers as grids of runs, judged: list, show, run, report, power.",
    "list": "Methods, networks and data sets, one line each.",
    "cite": "BibTeX of the papers behind a method.",
}

SHARED = ("train", "resume")
"""Commands in which processes started together by torchrun share the work."""

_BEGAN = [time.monotonic()]

EXIT_USER, EXIT_NON_FINITE, EXIT_STOPPED = 2, 3, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done. 1: a study lacks runs, as is said. 2: a mistake in what was given, told in one sentence. 3: training met a
    value that is not finite. 130: stopped by a signal, after saving.
    """
    if arguments is None:
        for stream in (sys.stdout, sys.stderr):  # a console that lacks a letter gets its code instead
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        warnings.showwarning = lambda message, *where: say(f"note: {message}", error=True)
        _end_in_order()
    else:
        _BEGAN[0] = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _command(words, alone=arguments is None)
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except BrokenPipeError:
        hush(sys.stdout)
        return 0
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        if type(error).__name__ == "NonFiniteError":  # not imported for its name: torch stands behind it
            _fail(str(error))
            return EXIT_NON_FINITE
        if (sentence := _sentence(error)) is None:
            raise
        try:
            _flush()
        except OSError:  # what is printed to is full
            hush(sys.stdout)
        return _fail(sentence)


def began() -> float:
    """When the command began, by ``time.monotonic``: what a budget of time counts from."""
    return _BEGAN[0]


def _end_in_order() -> None:
    """Let SIGTERM and SIGHUP end whatever runs as SIGINT does, so that it takes its temporary files along."""
    for name in ("SIGTERM", "SIGHUP"):  # the latter is not on every system
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _command(words: list[str], *, alone: bool) -> int:
    """Run what was typed; ``alone`` in this process."""
    if not words or words[0] in ("-h", "--help", "help"):
        say(*_usage().splitlines())
        return 0
    if words[0] in ("-V", "--version"):
        say(f"tightrope {__version__}")
        return 0
    if words[0] not in COMMANDS:
        from tightrope._plumbing.words import closest

        near = closest(words[0], COMMANDS)
        return _fail(f"Expected a command out of {', '.join(COMMANDS)}, got {words[0]!r}{near}; see tightrope --help.")
    if nul := [word for word in words if "\0" in word]:
        return _fail(f"Expected words without zero characters, got {nul[0]!r}; leave them out.")
    if _rank() and words[0] not in SHARED:
        return 0  # one process does it
    if alone:
        gc.disable()  # what is imported stays: looking through it for garbage takes a tenth of the start-up
    module = importlib.import_module(f"tightrope.cli.{words[0]}_command")
    if alone:
        gc.freeze()
        gc.enable()
    try:
        return int(module.run(words[1:]))
    finally:  # help is printed by another hand
        _flush()


def _sentence(error: Exception) -> str | None:
    """What the system says about files and memory, as a sentence; None for anything else, which is a fault of ours."""
    if isinstance(error, OSError):
        named = f" with {error.filename}" if error.filename else ""
        return f"Could not go on{named}: {error.strerror or error}; check that it exists, may be used and has space."
    if isinstance(error, UnicodeError):
        what = ascii(getattr(error, "object", ""))[:60]
        return f"Expected names and texts that can be written as UTF-8, got {what}; rename the file."
    if isinstance(error, MemoryError) or "alloc" in str(error) or "out of memory" in str(error):
        return f"Could not go on: memory is full ({str(error).partition(chr(10))[0]}); give smaller numbers."
    return None


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "tightrope: stable GAN training that explains itself",
            "",
            "usage: tightrope COMMAND [options]        tightrope COMMAND --help",
            "",
            *lines,
            "",
            "first steps:  tightrope train digits --method r1 --steps 500 --out runs/first",
        ]
    )


def _rank() -> int:
    """Number of this process among those that torchrun started together; 0 for one of its own."""
    number = os.environ.get("RANK", "0") if "MASTER_ADDR" in os.environ else "0"
    return int(number) if number.isdecimal() else 0


def _fail(sentence: str) -> int:
    say(f"tightrope{f' (rank {_rank()})' if _rank() else ''}: {sentence}", error=True)
    return EXIT_USER
