"""Curves of reference runs, laid behind the curves of another: ``tightrope report RUN --reference``.

The bands come from short runs of our own on digits (``benchmarks/checks/reference_curves.py``). A user's run has other
data, networks and lengths: the band is stretched to the run's length, and says what shape and level are usual for the
loss.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import numpy as np

from tightrope.drawing.axes import Floats
from tightrope.drawing.charts import Band
from tightrope.drawing.numbers import plural
from tightrope.runs.record import RunRecord

FILE = "reference.json"
PATH = f"src/tightrope/report/{FILE}"
SHOWN = (
    "critic_loss", "generator_loss", "d_real", "d_fake", "wasserstein_estimate", "critic_accuracy",
    "input_gradient_norm_real", "input_gradient_norm_fake",
)  # fmt: skip
"""Quantities that have a band."""


class References:
    """The bands that suit a run.

    Attributes:
        method: Whose reference runs they are; empty where there are none.
        said: A sentence for the reader.
    """

    def __init__(self, record: RunRecord) -> None:
        whole = _read()
        name = str(record.part("method").get("name", ""))
        self.method = name if name in whole["methods"] else ""
        self._kept = whole["methods"].get(name, {"places": [], "signals": {}})
        self._end = record.images_seen or float(record.step)
        if not self.method:
            known = ", ".join(whole["methods"])
            self.said = f"There is no reference run of the method {name or 'unknown'}; there are some of {known}."
            return
        own = record.part("data").get("name") == whole["data"]
        data = (
            "" if own else ", whose data are not yours: compare the shape, and the level of losses and accuracy alone"
        )
        self.said = (
            f"Light grey: {plural(self._kept['seeds'], 'reference run')} of {name} on {whole['data']}, "
            f"{whole['steps']} steps stretched to the length of this run{data}."
        )

    def band(self, key: str) -> Band | None:
        """The band of a logged quantity over the run's images; None where there is none."""
        if key not in self._kept["signals"] or not self._end:
            return None
        low, high = (np.asarray(ends, np.float64) for ends in self._kept["signals"][key])
        places: Floats = np.asarray(self._kept["places"], np.float64) * self._end
        return Band(f"reference {self.method}", places, low, high)


def _read() -> dict[str, Any]:
    text = resources.files("tightrope.report").joinpath(FILE).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
