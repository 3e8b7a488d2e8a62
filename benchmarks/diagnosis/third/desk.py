"""Runs a script: its text with or without a change, a seed, a watch in the Monitor's place, a distance at the end."""

from __future__ import annotations

import contextlib
import io
import sys
import time
import types
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.diagnosis.third import data

from tightrope.monitor import Monitor

STYLES = Path(__file__).parent / "styles"
DENSE = (1, 2, 3, 5, 8, 13, 21, 34)
EVERY = 20


@dataclass
class Result:
    """What came out of one run: distances, readings of the diagnosis, an error of the loop's own."""

    distance: float = float("nan")
    start: float = float("nan")
    curve: list[tuple[int, float]] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0
    error: str = ""
    seconds: float = 0.0
    cost: float = 0.0
    refused: str = ""


def text_of(style: str, changes: tuple[tuple[str, str], ...] = ()) -> str:
    """The script with each change made; a change that does not fit exactly once is an error of the set."""
    text = (STYLES / f"{style}.py").read_text()
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"{style}: found {text.count(old)} times: {old!r}")
        text = text.replace(old, new)
    return text


def energy(a: torch.Tensor, b: torch.Tensor) -> float:
    """Square root of the energy distance of two samples, rows flattened."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    n, m = len(a), len(b)
    inside = torch.cdist(a, a).sum() / (n * (n - 1)) + torch.cdist(b, b).sum() / (m * (m - 1))
    return max(0.0, float(2 * torch.cdist(a, b).mean() - inside)) ** 0.5


class Watch:
    """What a script calls ``watch``: a Monitor with all that the script gives, with little, or none."""

    def __init__(self, access: str, steps: int, result: Result) -> None:
        self.access, self.result, self.steps = access, result, steps
        self.monitor: Monitor | None = None
        self.game: dict[str, Any] = {}

    def __call__(self, generator: Any, critic: Any, **claims: Any) -> Watch:
        """Begin, with what the script claims."""
        self.claims = claims
        self.result.start = self.measure()
        if self.access == "full":
            self.monitor = Monitor(generator, critic, every=EVERY, budget=1.0, **claims)
        elif self.access == "real_z":
            self.monitor = Monitor(generator, critic, loss=claims["loss"], every=EVERY, budget=1.0)
        return self

    def measure(self) -> float:
        """Distance of samples to the rows held out, with random states and modes as they were."""
        state = torch.random.get_rng_state()
        numpy_state = np.random.get_state()  # noqa: NPY002  # one script draws so
        torch.manual_seed(12345)
        np.random.seed(12345)  # noqa: NPY002
        try:
            with torch.no_grad():
                made, held = (
                    self.game["judge"]() if "judge" in self.game else (self.claims["sample"](), self.claims["held_out"])
                )
            return energy(made, held) if bool(torch.isfinite(made).all()) else float("inf")
        finally:
            torch.random.set_rng_state(state)
            np.random.set_state(numpy_state)  # noqa: NPY002

    def step(self, real: Any, z: Any = None, labels: Any = None) -> None:
        """End of a generator update."""
        self.result.updates += 1
        at = self.result.updates
        if self.monitor is not None:
            self.monitor.step(real, z) if labels is None else self.monitor.step(real, z, labels)
            if at in DENSE or at % EVERY == 0:
                self.read(at)
        if self.access == "none" and at % 50 == 0:
            self.result.curve.append((at, round(self.measure(), 4)))

    def read(self, at: int) -> None:
        """Keep the diagnosis as it stands."""
        if self.monitor is None:
            return
        findings = [
            {
                "cause": f.cause,
                "confidence": str(getattr(f.confidence, "value", f.confidence)),
                "candidates": list(f.candidates),
                "since": f.since,
                "sentence": f.sentence,
            }
            for f in self.monitor.diagnose().findings
            if f.cause != "healthy"
        ]
        self.result.readings.append({"at": at, "findings": findings[:5]})


def play(
    style: str, changes: tuple[tuple[str, str], ...] = (), seed: int = 0, access: str = "none", steps: int = 300
) -> Result:
    """One run of a script."""
    result = Result()
    watch = Watch(access, steps, result)
    game: dict[str, Any] = {"__name__": "script", "data": data, "seed": seed, "steps": steps, "watch": watch}
    watch.game = game
    module = types.ModuleType("script")
    module.__dict__.update(game)
    game = module.__dict__
    watch.game = game
    begun = time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            code = compile(text_of(style, changes), f"<{style}>", "exec")
            sys.modules["script"] = module
            exec(code, game)
        except Exception as error:
            result.error = f"{type(error).__name__}: {error}"[:300]
        if watch.monitor is not None:
            watch.read(result.updates)
            result.cost = float(watch.monitor.cost)
            watch.monitor.close()
        if result.updates:
            result.distance = watch.measure()
    result.seconds = time.process_time() - begun
    return result
