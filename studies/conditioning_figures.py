"""Figures of docs/conditioning.md from the results of the clamping study and its control.

    python studies/conditioning_figures.py

Reads docs/results/jacobian_clamping.json and vae_control.json, writes docs/results/conditioning_training.svg and
conditioning_scores.svg.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tightrope.drawing.scales import choose_scale, linear_ticks

RESULTS = Path(__file__).parents[1] / "docs" / "results"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 260, 180, 42, 24, 34, 10
PLAIN, CLAMPED, CONTROL, INK, SOFT = "#0b62a8", "#c4500a", "#1f7a4d", "#16202b", "#56636f"
Curve = tuple[str, Sequence[float], Sequence[float]]


def panel(title: str, x_label: str, curves: Sequence[Curve], y: Sequence[float], *, log: bool = False) -> str:
    """Curves ``(colour, x, y)``, or points where a curve's name ends in a dot, on axes that hold all of ``y``."""
    scale = choose_scale(np.asarray([v for v in y if math.isfinite(v)], np.float64), log=log)
    places = [v for _, xs, _ in curves for v in xs]
    low, high = min(places), max(places)
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [f'<text x="{LEFT}" y="14" font-weight="600" fill="{INK}">{escape(title)}</text>']
    for level, text in scale.ticks():
        at = TOP + down * (1 - float(scale.place(np.asarray(level))))
        parts.append(f'<path d="M{LEFT} {at:.1f}h{across}" stroke="#e6e9ed"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{at + 3.5:.1f}" text-anchor="end" fill="{SOFT}">{text}</text>')
    for place, text in linear_ticks(low, high):
        at = LEFT + across * (place - low) / (high - low)
        parts.append(f'<text x="{at:.1f}" y="{TOP + down + 14}" text-anchor="middle" fill="{SOFT}">{text}</text>')
    middle = LEFT + across / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle" fill="{SOFT}">{escape(x_label)}</text>')
    for colour, xs, ys in curves:
        at_x = LEFT + across * (np.asarray(xs, np.float64) - low) / (high - low)
        at_y = TOP + down * (1 - np.clip(scale.place(np.asarray(ys, np.float64)), 0, 1))
        pairs = [f"{a:.1f} {b:.1f}" for a, b in zip(at_x.tolist(), at_y.tolist(), strict=True)]
        if colour.endswith("."):
            dots = "".join(f"M{pair}m-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0" for pair in pairs)
            parts.append(f'<path d="{dots}" fill="{colour[:-1]}" fill-opacity="0.7"/>')
        else:
            parts.append(f'<path d="M{"L".join(pairs)}" fill="none" stroke="{colour}" stroke-opacity="0.8"/>')
    return "".join(parts)


def write(path: Path, title: str, rows: Sequence[Sequence[str]]) -> None:
    width, height = max(map(len, rows)) * WIDTH, 26 + len(rows) * HEIGHT
    body = "".join(
        f'<g transform="translate({j * WIDTH} {26 + i * HEIGHT})">{one}</g>'
        for i, row in enumerate(rows)
        for j, one in enumerate(row)
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-size="10" '
        f'font-family="system-ui, sans-serif"><title>{escape(title)}</title>'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        f'<text x="{LEFT}" y="17" font-size="13" font-weight="600" fill="{INK}">{escape(title)}</text>{body}</svg>\n',
        encoding="utf-8",
    )


def training(study: dict[str, Any], control: dict[str, Any]) -> None:
    runs, track = study["JC-2"]["runs"], study["JC-2"]["track"]
    groups = (
        ("GAN, ten seeds", PLAIN, runs["plain"], track),
        ("GAN with clamping", CLAMPED, runs["clamped"], track),
        ("VAE decoder, same network", CONTROL, control["runs"], control["track"]),
    )
    scores = [v for _, _, group, _ in groups for run in group for v in run["curve"]]
    spectra = [v for _, _, group, _ in groups for run in group for v in run["spectrum"]]
    top = [
        panel(name, "training step", [(colour, steps, run["curve"]) for run in group], scores)
        for name, colour, group, steps in groups
    ]
    index = list(range(1, 17))
    below = [
        panel(
            "singular values of J", "position", [(colour, index, run["spectrum"]) for run in group], spectra, log=True
        )
        for _, colour, group, _ in groups
    ]
    title = "Digits 8x8, latent 16: mean log condition number of JᵀJ over training, and the last spectra"
    write(RESULTS / "conditioning_training.svg", title, [top, below])


def scores(study: dict[str, Any]) -> None:
    panels = []
    names = {"JC-3": "blobs", "JC-3R": "blobs, ReLU", "JC-4": "25-grid", "JC-4R": "25-grid, ReLU", "JC-6": "ring of 8"}
    for name, said in names.items():
        if name in study:
            both = study[name]["runs"]
            curves = [
                (f"{colour}.", [run["score"] for run in both[arm]], [run["w1"] for run in both[arm]])
                for arm, colour in (("plain", PLAIN), ("clamped", CLAMPED))
            ]
            panels.append(panel(f"{name}: {said}", "score", curves, [v for _, _, ys in curves for v in ys]))
    if "JC-5" in study:
        points = study["JC-5"]["points"]
        curve = (f"{PLAIN}.", [p["score"] for p in points], [p["w1"] for p in points])
        panels.append(panel("JC-5: blobs, rates and widths", "score", [curve], curve[2]))
    title = "Exact W1 to the data against the mean log condition number, a point per run (orange: clamped)"
    write(RESULTS / "conditioning_scores.svg", title, [panels[:3], panels[3:]] if len(panels) > 3 else [panels])


def main() -> None:
    study = json.loads((RESULTS / "jacobian_clamping.json").read_text())
    scores(study)
    if "JC-2" in study:
        training(study, json.loads((RESULTS / "vae_control.json").read_text()))


if __name__ == "__main__":
    main()
