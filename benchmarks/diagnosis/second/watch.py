"""What stands beside a loop: nothing, or a Monitor that is told much or little."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from .case import Case, Harness
from .data import energy_distance
from .styles import STYLES

READINGS = (1, 2, 3, 5, 8, 13, 21, 34)
EVERY = 20
WORST = 1e6
SAMPLES = 500


class Nothing:
    """A dummy in the Monitor's place: counts steps and says nothing."""

    def __init__(self) -> None:
        self.seen = 0

    def attach(self, h: Harness, G: Any, D: Any, optimizers: Any, sample: Any, ema: Any) -> None:
        """Before the loop."""
        pass

    def step(self, real: Tensor, z: Any, labels: Tensor | None) -> None:
        """After each generator update."""
        self.seen += 1

    def row(self) -> dict[str, Any]:
        """What is to be kept."""
        return {"steps": self.seen}


class Watching(Nothing):
    """A Monitor with all that the loop gives (full), or with the loss's name, real rows and latents (real_z)."""

    def __init__(self, access: str) -> None:
        super().__init__()
        self.access = access
        self.monitor: Any = None
        self.readings: list[tuple[int, list[tuple[str, str, tuple[str, ...]]]]] = []

    def attach(self, h: Harness, G: Any, D: Any, optimizers: Any, sample: Any, ema: Any) -> None:
        """Build the Monitor."""
        from tightrope import losses
        from tightrope.monitor import Monitor

        case = h.case
        loss: Any = case.base.loss
        if self.access == "real_z":
            self.monitor = Monitor(G, D, loss=loss, every=EVERY, budget=1.0)
            return
        if loss == "least_squares":
            loss = losses.least_squares(targets=(0.0, 1.0))
        self.monitor = Monitor(
            G, D, loss=loss, every=EVERY, penalty=case.penalty, optimizers=optimizers, budget=1.0,
            sample=lambda: sample(64), ema=ema, held_out=h.held_out,
        )  # fmt: skip

    def step(self, real: Tensor, z: Any, labels: Tensor | None) -> None:
        """Tell it, and read the diagnosis now and then."""
        super().step(real, z, labels)
        if self.access == "real_z":
            self.monitor.step(real, z)
        else:
            self.monitor.step(real, z, labels)
        if self.seen in READINGS or self.seen % EVERY == 0:
            self.read()

    def read(self) -> None:
        """Keep the diagnosis if it changed."""
        found = [(f.cause, f.confidence, f.candidates) for f in self.monitor.diagnose() if f.cause != "healthy"]
        if not self.readings or self.readings[-1][1] != found:
            self.readings.append((self.seen, found))

    def row(self) -> dict[str, Any]:
        """What it says at the end, what stood first since when, and what was ever named."""
        self.read()
        self.monitor.close()
        end = self.readings[-1][1]
        first = [(step, next((f[0] for f in found if f[1] != "low"), None)) for step, found in self.readings]
        changes = [pair for i, pair in enumerate(first) if i == 0 or pair[1] != first[i - 1][1]]
        return {
            "steps": self.seen,
            "end": [[c, confidence[0], *([list(names)] if names else [])] for c, confidence, names in end[:5]],
            "first": [list(pair) for pair in changes[:8]],
            "named": {
                name: step for step, found in reversed(self.readings) for name, sure, _ in found if sure != "low"
            },
            "cost": round(self.monitor.cost, 2),
        }


def run(case: Case, seed: int, access: str = "none") -> dict[str, Any]:
    """One training; its end distance to held-out rows, and what the Monitor said."""
    torch.set_num_threads(1)
    watch = Nothing() if access == "none" else Watching(access)
    began = time.process_time()
    h = Harness(case, seed, watch)
    error = ""
    try:
        STYLES[case.base.style](h)
    except (RuntimeError, ValueError) as problem:  # a loop that breaks by its own fault: a miss unless found before
        error = f"{type(problem).__name__}: {problem}"[:120]
    torch.manual_seed(977)
    assert h.sampler is not None
    distance = energy_distance(h.sampler(SAMPLES), h.held_out[torch.randperm(len(h.held_out))[:SAMPLES]])
    row = {"case": case.name, "role": case.role, "style": case.base.style, "seed": seed, "access": access}
    row |= watch.row()
    row["distance"] = round(distance, 5) if math.isfinite(distance) else WORST
    row["seconds"] = round(time.process_time() - began, 2)
    return row | ({"error": error} if error else {})
