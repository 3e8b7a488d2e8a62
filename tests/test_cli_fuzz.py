"""Random command lines and damaged run files: each ends with an exit status and a sentence, and writes nowhere else."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tightrope import runs
from tightrope.cli import COMMANDS, main

LINES = int(os.environ.get("TIGHTROPE_FUZZ", "120"))
"""Command lines and mutated run files each; raise it for a longer hunt."""

WORDS = ("digits", "toy:ring", "RUN", "nowhere", "", "-", "--", "---x", "\0", "é", "~nobody", "x" * 5000, "-1", "../..")
WORDS += (
    "0",
    "1e999",
    "nan",
    "None",
    "True",
    "[]",
    "{}",
    "--help=1",
    "=",
    "--=",
    "-n",
    "frechet,",
    "classifier:digits",
    "RUN/metrics.jsonl",
    "\x1b[2J\u202eevil",
)
OPTIONS = (
    "steps",
    "images",
    "minutes",
    "seed",
    "gamma",
    "betas",
    "width",
    "critic-width",
    "n",
    "out",
    "data",
    "metrics",
)
OPTIONS += (
    "features",
    "real",
    "fake",
    "split",
    "label",
    "channels",
    "resolution",
    "limit",
    "device",
    "setting",
    "keep",
)
OPTIONS += (
    "network",
    "method",
    "no-flip",
    "quiet",
    "json",
    "dry-run",
    "k",
    "step",
    "what",
    "wxyz",
    "latent",
    "threads",
    "batches",
    "batch-size",
    "workers",
    "seeds",
    "instance-noise",
    "every",
    "truncation",
    "by-class",
    "store",
    "results",
    "training",
)
VALUES = (
    "1",
    "-5",
    "0",
    "abc",
    "nan",
    "inf",
    "-inf",
    "1e30",
    "99999999999999999999",
    "9223372036854775808",
    "4294967296",
    "None",
    "",
    "é",
    "0.5",
    "true",
    "RUN",
    "RUN/metrics.jsonl",
    "RUN/config.json",
    "x.html",
    "\x1b[2J\u202eevil",
)
HOSTILE: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, -(10**30), "", "x", "a\0b", [], {}, [[]], {"a": 1}, 1e308)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    config = runs.resolve("toy:ring", steps=2, batch_size=8, width=8, depth=2, latent=3, threads=1, evaluate_n=60)
    runs.begin(folder, config, quiet=True)
    return folder


def tree(folder: Path, besides: Path) -> set[str]:
    return {str(p) for p in folder.rglob("*") if besides not in (p, *p.parents)}


def record(run: Path) -> dict[str, bytes]:
    """What a run is made of; pages and pictures may be written again."""
    names = ("config.json", "metrics.jsonl", "evaluations.jsonl", "status.json", "generator.safetensors")
    return {name: (run / name).read_bytes() for name in names} | {
        path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()
    }


def ends(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """What a command says; it ends with a known status, and a refusal is a sentence."""
    try:
        status = main(words)
    except SystemExit as end:  # help was shown
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    assert status in (0, 2, 3) or (status == 1 and words[0] == "study"), words
    assert all(line.isprintable() for line in (out + err).split("\n")), words
    assert "Traceback" not in out + err and "type matching" not in err, words
    for raw in ("invalid literal", "could not convert", "object has no attribute", "not supported between"):
        assert raw not in err, (words, err)
    if status == 2:
        assert err.rstrip().rpartition("\n")[2].startswith("tightrope: ") or "tightrope: " in err, (words, err)
    return err


def line(rng: random.Random, run: Path) -> list[str]:
    words = [rng.choice([*COMMANDS, "train", "train", "fly"])]
    for _ in range(rng.randrange(5)):
        if rng.random() < 0.3:
            words.append(rng.choice(WORDS))
        else:
            option = f"--{rng.choice(OPTIONS)}"
            words += [f"{option}={rng.choice(VALUES)}"] if rng.random() < 0.2 else [option, rng.choice(VALUES)]
    if rng.random() < 0.5:
        words.insert(1, rng.choice(("digits", "RUN", "toy:ring")))
    if words[0] == "train":
        words += ["--dry-run", "--limit", "50"] if rng.random() < 0.9 else ["--dry-run"]
    return [word.replace("RUN", str(run)) for word in words]


def test_random_command_lines_end_with_a_sentence(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, here = random.Random(20_261_126), tmp_path / "here"
    run = Path(shutil.copytree(trained, here / "run"))
    monkeypatch.chdir(here)
    before, whole = tree(tmp_path, here), record(run)
    for _ in range(LINES):
        words = line(rng, run)
        ends(capsys, words)
        if record(run) != whole:
            assert words[0] == "resume", words
            whole = record(run)
    assert tree(tmp_path, here) == before


def mutated(rng: random.Random, value: Any) -> Any:
    """The value with one thing in it replaced, removed or nested deeply."""
    if rng.random() < 0.25 or not isinstance(value, dict | list) or not value:
        choice = rng.choice(HOSTILE)
        return json.loads("[" * 400 + "]" * 400) if rng.random() < 0.1 else choice
    if isinstance(value, list):
        place = rng.randrange(len(value))
        return [mutated(rng, one) if i == place else one for i, one in enumerate(value)]
    key = rng.choice(list(value))
    if rng.random() < 0.15:
        return {k: v for k, v in value.items() if k != key}
    if rng.random() < 0.1:
        return {**value, "unheard_of": 1}
    return {k: mutated(rng, v) if k == key else v for k, v in value.items()}


def damage(rng: random.Random, path: Path) -> None:
    """Change a file: a value of its JSON, or bytes anywhere."""
    data = path.read_bytes()
    if path.suffix in (".json", ".jsonl") and rng.random() < 0.75:
        lines = data.decode().splitlines()
        place = rng.randrange(len(lines)) if path.suffix == ".jsonl" else 0
        whole = json.loads(lines[place] if path.suffix == ".jsonl" else data)
        changed = json.dumps(mutated(rng, whole))
        changed = changed.replace("1e+308", rng.choice(("NaN", "Infinity", "1e999", "1e+308")))
        lines[place] = changed
        path.write_text("\n".join(lines) + "\n" if path.suffix == ".jsonl" else changed)
        return
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content if rng.random() < 0.7 else content[: rng.randrange(len(content))]))


def spoil(rng: random.Random, path: Path) -> None:
    """Put something else in a file's place: nothing, a folder, or a link to nowhere, to itself or out of the run."""
    path.unlink()
    kind = rng.randrange(5)
    if kind == 1:
        path.mkdir()
    elif kind > 1:
        path.symlink_to(("nowhere", path.name, path.parents[2 if path.parent.name == "checkpoints" else 1])[kind - 2])


def test_damaged_run_files_end_with_a_sentence(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, here = random.Random(20_261_127), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    names = ["config.json"] * 6 + ["metrics.jsonl", "evaluations.jsonl", "status.json", "generator.safetensors"]
    names += ["checkpoints/step_00000002.safetensors", "diagnosis.json", "diagnosis.json"]
    for number in range(LINES):
        run = Path(shutil.copytree(trained, here / f"run{number}"))
        name = rng.choice(names)
        (spoil if rng.random() < 0.1 else damage)(rng, run / name)
        commands = [["sample", str(run), "--n", "2"], ["resume", str(run), "--quiet"], ["report", str(run)]]
        commands += [["diagnose", str(run)]]
        ends(capsys, rng.choice(commands if name != "config.json" else commands[:2]))
        shutil.rmtree(run)
    assert {path.name for path in here.iterdir()} <= {"samples.png"}
    assert tree(tmp_path, here) == set()
