"""Reference curves: what reference runs and sick ones of each loss log, drawn, and kept as bands for reports.

    python -m benchmarks.checks.reference_curves runs --out FOLDER   # trains: five methods, seeds, and a sick one
    python -m benchmarks.checks.reference_curves write --out FOLDER  # docs/results/curves/*.svg, report/reference.json

Digits (8 by 8 grey), the networks ``mlp`` of width 64, batches of 64; everything else is the method's own default but
the rates, which are raised so that 300 generator steps suffice. A band reaches from the smallest to the largest value
of all seeds in nine rows (45 steps).
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from tightrope import runs
from tightrope.drawing.charts import Band, Line, line_chart
from tightrope.report.quantities import label
from tightrope.report.reference import PATH, SHOWN
from tightrope.runs.record import read_run

ROOT = Path(__file__).parents[2]
STEPS, EVERY, POINTS, BESIDE = 300, 5, 20, 4
SEEDS = (0, 1, 2)
REFERENCE: dict[str, dict[str, Any]] = {
    "dcgan": {"learning_rate": 5e-4}, "r1": {"learning_rate": 1e-3, "gamma": 1.0}, "sn_gan": {"learning_rate": 1e-3},
    "wgan_gp": {"learning_rate": 5e-4, "n_critic": 3}, "wgan": {"learning_rate": 5e-4, "bound": 0.05},
}  # fmt: skip
SICK: dict[str, tuple[str, dict[str, Any]]] = {
    "dcgan": ("a rate of 0.05", {"learning_rate": 0.05}),
    "r1": ("gamma 100,000", {"learning_rate": 1e-3, "gamma": 1e5}),
    "sn_gan": ("a rate of 0.00001", {"learning_rate": 1e-5}),
    "wgan_gp": ("penalty weight 0", {"learning_rate": 5e-4, "n_critic": 3, "weight": 0.0}),
    "wgan": ("a bound of 1", {"learning_rate": 5e-4, "bound": 1.0}),
}
PICTURES = (
    "dcgan_critic_loss", "dcgan_critic_accuracy", "r1_critic_loss", "r1_input_gradient_norm_real", "sn_gan_critic_loss",
    "sn_gan_d_real", "wgan_gp_wasserstein_estimate", "wgan_gp_input_gradient_norm_real", "wgan_wasserstein_estimate",
    "wgan_input_gradient_norm_real",
)  # fmt: skip
"""Those that docs/howto/gan_curves.md shows."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #56636f } .grid, .axis { stroke: #cfd6dd; fill: none }
.line { fill: none; stroke-width: 2 } .line.raw { stroke-width: .7; opacity: .4 } .s0 { stroke: #0b62a8 }
.s1 { stroke: #c4500a } .band { fill: #9aa5b1; opacity: .35 } .bands rect { fill: none } .mark { fill: none }
"""


def trained(folder: Path, method: str, seed: int, settings: dict[str, Any], measured: bool) -> None:
    """One run, unless it is there."""
    if (folder / "status.json").exists() and read_run(folder).state == "finished":
        return
    config = runs.resolve(
        "digits", method=method, network="mlp", width=64, steps=STEPS, seed=seed, batch_size=64, threads=1,
        log_every=EVERY,
        sample_every=STEPS, checkpoint_every=STEPS, conditioning_every=0, preflight=False,
        evaluate_every=STEPS // 6 if measured else 0, evaluate_n=400 if measured else 20, between_n=400, **settings,
    )  # fmt: skip
    runs.begin(folder, config, quiet=True)


def bands(folder: Path) -> dict[str, Any]:
    """For each method and signal, places (steps over all steps) and ends of the band."""
    found: dict[str, Any] = {}
    for method, settings in REFERENCE.items():
        ended = [
            folder / f"{method}-{seed}" for seed in SEEDS if (folder / f"{method}-{seed}" / "status.json").exists()
        ]
        records = [record for record in map(read_run, ended) if record.state == "finished"]
        signals: dict[str, Any] = {}
        for key in SHOWN:
            series = [record.series(key) for record in records]
            if any(len(one) < 10 for one in series):
                continue
            pick = np.unique(np.linspace(0, len(series[0]) - 1, POINTS).round().astype(int))
            near = [np.concatenate([one.values[max(0, i - BESIDE) : i + BESIDE + 1] for one in series]) for i in pick]
            ends = [part.min() for part in near], [part.max() for part in near]
            signals[key] = [[float(f"{v:.3g}") for v in part] for part in ends]
        places = [round(float(v) / STEPS, 3) for v in series[0].steps[pick]]
        found[method] = {"seeds": len(records), "places": places, "settings": settings, "signals": signals}
    return {"steps": STEPS, "data": "digits", "network": "mlp of width 64", "batch_size": 64, "methods": found}


def draw(folder: Path, kept: dict[str, Any], out: Path) -> None:
    """One picture for each method and signal: the band, and the sick run over it."""
    for method, (name, _) in SICK.items():
        if not (folder / f"{method}-sick" / "status.json").exists():
            continue
        record, band = read_run(folder / f"{method}-sick"), kept["methods"][method]
        for key, (low, high) in ((key, ends) for key, ends in band["signals"].items() if f"{method}_{key}" in PICTURES):
            series = record.series(key)
            if len(series) < 2:
                continue
            x = np.asarray(band["places"]) * STEPS
            figure = line_chart(
                [Line(name, series.steps.astype(np.float64), series.values)], title=label(key, first=True),
                x_label="generator steps", log="norm" in key,
                band=Band("reference", x, np.asarray(low, np.float64), np.asarray(high, np.float64)),
            )  # fmt: skip
            svg = re.search(r"<svg.*?</svg>", str(figure), re.S)
            assert svg is not None
            text = svg[0].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
            text = re.sub(r'<g class="bands">.*?</g>', "", text, flags=re.S)
            text = text.replace(">", f"><style>{STYLE}</style>", 1)
            (out / f"{method}_{key}.svg").write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("runs", "write"))
    parser.add_argument("--out", type=Path, required=True, help="of the runs")
    options = parser.parse_args()
    if options.what == "runs":
        for name in ("0", "sick", *map(str, SEEDS[1:])):
            for method, reference in REFERENCE.items():
                settings = SICK[method][1] if name == "sick" else reference
                seed, measured = int(name) if name.isdigit() else 0, name in ("0", "sick")
                trained(options.out / f"{method}-{name}", method, seed, settings, measured)
                print(method, name, round(time.process_time(), 1), flush=True)
        return
    kept = bands(options.out)
    (ROOT / PATH).write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    folder = ROOT / "docs" / "results" / "curves"
    folder.mkdir(parents=True, exist_ok=True)
    draw(options.out, kept, folder)


if __name__ == "__main__":
    main()
