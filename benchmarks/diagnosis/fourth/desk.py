"""Runs a script of this set with the watch of the third one: its text with or without a change, and a seed."""

from __future__ import annotations

import contextlib
import io
import sys
import time
import types
import warnings
from pathlib import Path

import torch
from benchmarks.diagnosis.fourth import data
from benchmarks.diagnosis.third.desk import DENSE, EVERY, Result, Watch

__all__ = ["DENSE", "EVERY", "Result", "play", "text_of"]

STYLES = Path(__file__).parent / "styles"


def text_of(style: str, changes: tuple[tuple[str, str], ...] = (), styles: Path = STYLES) -> str:
    """The script with each change made; a change that does not fit exactly once is an error of the set."""
    text = (styles / f"{style}.py").read_text()
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"{style}: found {text.count(old)} times: {old!r}")
        text = text.replace(old, new)
    return text


def play(
    style: str,
    changes: tuple[tuple[str, str], ...] = (),
    seed: int = 0,
    access: str = "none",
    steps: int = 100,
    *,
    styles: Path = STYLES,
    rows: types.ModuleType = data,
) -> Result:
    """One run of a script; a later set has scripts and data of its own."""
    result = Result()
    watch = Watch(access, steps, result)
    module = types.ModuleType("script")
    module.__dict__.update({"data": rows, "seed": seed, "steps": steps, "watch": watch})
    watch.game = module.__dict__
    code = compile(text_of(style, changes, styles), f"<{style}>", "exec")
    sys.modules["script"] = module
    begun = time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            exec(code, module.__dict__)
        except Exception as error:
            result.error = f"{type(error).__name__}: {error}"[:300]
        if watch.monitor is not None:
            watch.read(result.updates)
            result.cost = float(watch.monitor.cost)
            watch.monitor.close()
        if result.updates:
            result.distance = watch.measure()
    del sys.modules["script"]
    torch.set_default_dtype(torch.float32)
    result.seconds = time.process_time() - begun
    return result
