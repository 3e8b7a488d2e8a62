"""Every wrong value in every argument of every public function and of what objects offer, one at a time.

``python tests/call_sweep.py OUT.jsonl [PREFIX ...]`` tries all of them, or those of functions whose names begin so. The
calls run in one process of its own, which is killed where a call neither ends nor listens; a sweep that was stopped
goes on where it stopped. Each line of ``OUT.jsonl`` is one call: what it was, and whether it was ``refused`` in a
sentence, ``accepted``, ``raw`` (another error), a ``hang`` or a ``crash``. The counts, and what is neither refused nor
accepted, are printed at the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import call_cases
from tightrope import UserError
from tightrope.training.nonfinite import NonFiniteError

SECONDS = 10  # a hang, not a slow machine: most calls take some milliseconds, a run of one step a second
MEMORY = 16 << 30  # what a call may ask for, so that an absurd size is an error and takes nothing from others


class Hang(BaseException):
    """Nothing in the library catches it."""


@contextlib.contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """Quietly, with an end.

    Raises:
        Hang: It took longer.
    """

    def give_up(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(function: Callable[..., Any], given: dict[str, Any], seconds: int = SECONDS) -> tuple[str, str]:
    """How a call ends, and the sentence, the error or the value."""
    try:
        with in_time(seconds):
            result = call_cases.called(function, given)
    except UserError as refused:
        sentence = str(refused)
        return ("refused" if sentence and "\n" not in sentence else "raw"), sentence
    except NonFiniteError as found:
        return "refused", str(found)
    except Exception as raw:
        return "raw", f"{type(raw).__name__}: {raw}"
    except Hang:
        return "hang", f"no end in {seconds} s"
    return "accepted", described(result)


def described(value: Any, most: int = 300) -> str:
    """A value in short: of a tensor its first entries too."""
    if isinstance(value, torch.Tensor):
        shown = "" if value.is_meta or value.layout is not torch.strided else value.detach().flatten()[:4].tolist()
        return f"tensor{list(value.shape)} {value.dtype} {shown}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(described(part, 60) for part in value[:4])})"[:most]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = ((f.name, getattr(value, f.name, None)) for f in dataclasses.fields(value))
        return f"{type(value).__name__}({', '.join(f'{n}={described(v, 60)}' for n, v in parts)})"[:most]
    return f"{type(value).__name__} {value!r}"[:most]


def made(at: Path) -> dict[str, call_cases.Made]:
    """Every function of which a right call is known, and every public function of the objects."""

    def one(key: str, function: Callable[..., Any]) -> call_cases.Made:
        return lambda: (function, call_cases.arguments(key, function, at))

    found = {key: one(key, f) for key, f in call_cases.functions() if call_cases.known(key, f)}
    return found | dict(call_cases.methods_of(at))


def work(out: Path, prefixes: list[str]) -> None:
    """All calls that have no line yet."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    done = {tuple(line["call"]) for line in lines(out)}
    with tempfile.TemporaryDirectory() as folder, out.open("a") as file:
        at = call_cases.folder(Path(folder))
        os.chdir(at)
        for key, make in made(at).items():
            if not key.startswith(tuple(prefixes) or ""):
                continue
            out.with_suffix(".now").write_text("")  # to build the right call may take longer than a wrong one
            for name in call_cases.mutable(make()[0]):
                for value in call_cases.wrong():
                    if (key, name, value) in done:
                        continue
                    out.with_suffix(".now").write_text(json.dumps([key, name, value]))
                    function, given = make()
                    began = time.perf_counter()
                    how, what = outcome(function, given | {name: call_cases.wrong()[value]})
                    took = round(time.perf_counter() - began, 3)
                    file.write(json.dumps({"call": [key, name, value], "how": how, "what": what, "s": took}) + "\n")
                    file.flush()


def lines(out: Path) -> list[dict[str, Any]]:
    """What was found so far; half a line at the end is none."""
    whole = out.read_text().split("\n")[:-1] if out.exists() else []
    return [json.loads(line) for line in whole]


def sweep(out: Path, prefixes: list[str]) -> None:
    """Start a worker until one ends by itself."""
    while True:
        worker = subprocess.Popen([sys.executable, __file__, "--work", str(out), *prefixes])
        now, at = out.with_suffix(".now"), time.monotonic()
        now.write_text("")
        last = ""
        while worker.poll() is None:
            time.sleep(0.5)
            if (current := now.read_text()) != last:
                last, at = current, time.monotonic()
            elif last and time.monotonic() - at > 3 * SECONDS:
                worker.kill()
                worker.wait()
        if not worker.returncode:
            return
        if not last:
            raise SystemExit(f"the sweep itself failed with code {worker.returncode}")
        how = "hang" if worker.returncode == -signal.SIGKILL else "crash"
        with out.open("a") as file:
            file.write(json.dumps({"call": json.loads(last), "how": how, "what": f"code {worker.returncode}"}) + "\n")


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__)
        return 2
    out = Path(arguments[0]).absolute()
    sweep(out, arguments[1:])
    found = lines(out)
    for line in found:
        if line["how"] not in ("refused", "accepted"):
            key, name, value = line["call"]
            print(f"{line['how']}: {key}({name}={value}): {line['what'][:160]!r}")
    print(len(found), "calls", dict(Counter(line["how"] for line in found)))
    return int(any(line["how"] not in ("refused", "accepted") for line in found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
