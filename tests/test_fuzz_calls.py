"""Wrong values in every public function, one at a time: refused in a sentence, or a value; no raw error, no hang.

Right calls are those of ``call_cases``. What is tried of the some fifty thousand pairs of an argument and a wrong value
is chosen by a fixed seed; ``TIGHTROPE_FUZZ`` says how many per function. ``python tests/call_sweep.py`` tries them all.
"""

from __future__ import annotations

import os
import random
import zlib
from pathlib import Path

import pytest

import call_cases
import call_sweep

PAIRS = int(os.environ.get("TIGHTROPE_FUZZ", "8"))
SECONDS = 30  # a hang, not a slow machine: a call takes some milliseconds
SLOW = (
    "runs.push_to_hub",
    "doctor.probe",
    "runs.begin",
    "runs.fit",
    "runs.resume",
    "doctor.tune_gamma",
    "critics.generalisation_scores",
)
FUNCTIONS = {key: function for key, function in call_cases.functions() if call_cases.known(key, function)}
"""Those of which a right call is known."""


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return call_cases.folder(tmp_path_factory.mktemp("calls"))


def wrong_calls(key: str, make: call_cases.Made) -> None:
    rng = random.Random(zlib.crc32(key.encode()))
    names, values = call_cases.mutable(make()[0]), list(call_cases.wrong())
    for name, value in rng.sample([(n, v) for n in names for v in values], min(PAIRS, len(names) * len(values))):
        function, given = make()
        how, what = call_sweep.outcome(function, given | {name: call_cases.wrong()[value]}, SECONDS)
        assert how in ("refused", "accepted"), f"{key}({name}={value}): {how}, {what}"


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


def test_a_right_call_of_every_public_function_is_known() -> None:
    """A new one whose arguments have new names needs an entry in ``call_right.RIGHT``."""
    assert [key for key, _ in call_cases.functions() if key not in FUNCTIONS] == []


def test_right_calls_are_right(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at)
    need_weights = ("cifar_resnet", "inception", "mobilenet_v2", "dinov2", "classifier")
    for key, function in FUNCTIONS.items():
        if key not in SLOW and not key.endswith(need_weights):
            call_cases.called(function, call_cases.arguments(key, function, at))
    need_classes = ("TrainedGenerator().label_of", "FeatureNetwork().logits")
    for key, make in call_cases.methods_of(at):
        if key not in need_classes:
            call_cases.called(*make())
