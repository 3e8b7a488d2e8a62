"""Plays a script of the ninth set with the fourth one's desk, on this set's data."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.diagnosis.fourth import desk
from benchmarks.diagnosis.ninth import data

STYLES = Path(__file__).parent / "styles"
play = partial(desk.play, styles=STYLES, rows=data)
text_of = partial(desk.text_of, styles=STYLES)
