"""Six Wasserstein and spectral methods on one data set, several seeds each: the distance each reaches.

    python studies/side_by_side.py [--data digits] [--images 96000] [--seeds 5] [--jobs 2] [--folder runs/side]
                                      [--out docs/results/side_by_side_digits.json] [--train OPTION ...]

    the same with --data ../shared/data/fashion_mnist --images 128000 --seeds 3
                  --out docs/results/side_by_side_fashion_mnist.json --train --network dcgan --width 16

Each run is `tightrope train DATA --images N --method M --seed S`, one thread, everything else at the method's defaults
(so the methods differ in learning rate and in critic steps per generator step as well). Registered before it was run:
the measure is the Frechet distance of the finished run as `tightrope compare` tells it; means with 95 % Student
intervals over seeds; seeds from 1; no order is expected. Added after the first six were known: WGAN-GP at the rate of
`orthogonal_wgan`, which had been chosen with this data in view. A run whose folder is finished is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tightrope.critics.generalisation import interval

METHODS = {
    "orthogonal, hard": ["--method", "orthogonal_wgan", "--way", "hard"],
    "orthogonal, soft": ["--method", "orthogonal_wgan", "--way", "soft"],
    "orthogonal, svd": ["--method", "orthogonal_wgan", "--way", "svd"],
    "sn_gan": ["--method", "sn_gan"],
    "wgan_gp": ["--method", "wgan_gp"],
    "wgan_gp at 5e-4": ["--method", "wgan_gp", "--learning-rate", "5e-4"],
    "wgan": ["--method", "wgan"],
}


def tightrope(*arguments: str) -> str:
    """Output of the command; its error if it fails."""
    command = [sys.executable, "-m", "tightrope", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


def train(name: str, seed: int, options: argparse.Namespace) -> Path:
    folder: Path = options.folder / f"{Path(options.data).name}-{name.replace(', ', '-')}-{seed}"
    status = folder / "status.json"
    if not (status.exists() and json.loads(status.read_text())["state"] == "finished"):
        budget = ["--images", str(options.images), "--seed", str(seed), "--out", str(folder)]
        tightrope("train", options.data, *METHODS[name], *budget, *options.train)
        print(f"{name}, seed {seed}: done", flush=True)
    return folder


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    values = [row["distance"]["value"] for row in rows]
    over = interval(values)
    classes = [row["measurements"]["classes"]["value"] for row in rows]
    seconds = [round(row["seconds"]) for row in rows]
    each = " ".join(f"{value:.2f}" for value in values)
    print(f"{name:<18} {over.mean:6.2f} [{over.low:.2f}, {over.high:.2f}]   {each}   classes {classes}")
    floor = rows[0]["distance"]["floor"]
    return {"mean": over.mean, "interval": [over.low, over.high], "values": values, "floor": floor, "classes": classes,
            "steps": rows[0]["step"], "seconds": seconds}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=96000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/side"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="passed on to every `tightrope train`")
    options = parser.parse_args()
    wanted = [(name, seed) for seed in range(1, options.seeds + 1) for name in METHODS]
    with ThreadPoolExecutor(options.jobs) as pool:
        folders = list(pool.map(lambda run: train(*run, options), wanted))
    rows = json.loads(tightrope("compare", *map(str, folders), "--json", "--out", str(options.folder / "all.html")))
    found = {Path(row["run"]).name: row for row in rows}  # the command sorts them by distance
    of = {name: [found[f.name] for (n, _), f in zip(wanted, folders, strict=True) if n == name] for name in METHODS}
    results = {name: summary(name, of[name]) for name in METHODS}
    if options.out:
        record = {"data": Path(options.data).name, "images": options.images, "train": options.train, "methods": results}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
