"""Wrong values in every public function, one at a time: refused in a sentence, or a value; no raw error, no hang.

Right calls are those of ``call_cases``. What is tried of the some fifty thousand pairs of an argument and a wrong value
is chosen by a fixed seed; ``TIGHTROPE_FUZZ`` says how many per function.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import call_cases
from tightrope import UserError
from tightrope.training.nonfinite import NonFiniteError

PAIRS = int(os.environ.get("TIGHTROPE_FUZZ", "8"))
SECONDS = 30  # a hang, not a slow machine: a call takes some milliseconds
SLOW = ("runs.begin", "runs.fit", "runs.resume", "doctor.tune_gamma", "critics.generalisation_scores")
FUNCTIONS = {key: function for key, function in call_cases.functions() if call_cases.known(key, function)}
"""Those of which a right call is known; a new one whose arguments have new names needs an entry in ``RIGHT``."""


class Hang(BaseException):
    """Nothing in the library catches it."""


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return call_cases.folder(tmp_path_factory.mktemp("calls"))


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def wrong_calls(key: str, make: Callable[[], tuple[Callable[..., Any], dict[str, Any]]]) -> None:
    rng = random.Random(zlib.crc32(key.encode()))
    names, values = call_cases.mutable(make()[0]), list(call_cases.wrong())
    for name, value in rng.sample([(n, v) for n in names for v in values], min(PAIRS, len(names) * len(values))):
        function, given = make()
        try:
            with in_time():
                call_cases.called(function, given | {name: call_cases.wrong()[value]})
        except UserError as refused:
            assert str(refused), (key, name, value)
            assert "\n" not in str(refused), (key, name, value)
        except NonFiniteError:
            continue
        except Exception as raw:
            pytest.fail(f"{key}({name}={value}) raises {type(raw).__name__}: {raw}")
        except Hang:
            pytest.fail(f"{key}({name}={value}) does not end")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("key", [key for key in FUNCTIONS if key not in SLOW])
def test_functions_refuse_in_a_sentence(key: str, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at)
    wrong_calls(key, lambda: (FUNCTIONS[key], call_cases.arguments(key, FUNCTIONS[key], at)))


@pytest.mark.filterwarnings("ignore")
def test_functions_of_objects_refuse_in_a_sentence(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at)
    for key, make in call_cases.methods_of(at):
        wrong_calls(key, make)


def test_right_calls_are_right(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at)
    need_weights = ("cifar_resnet", "inception", "mobilenet_v2", "dinov2", "classifier")
    for key, function in FUNCTIONS.items():
        if key not in SLOW and not key.endswith(need_weights):
            call_cases.called(function, call_cases.arguments(key, function, at))
