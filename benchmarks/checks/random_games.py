"""Predicted against observed: verdict and contraction rate of at least 200 random games, optimisers and step sizes.

    OMP_NUM_THREADS=1 python benchmarks/checks/random_games.py [--first 1000] [--games 200] [--out FILE]

Fixed before the first run: seeds from 1000 on until 200 games are counted; a game is left out if its predicted factor
is within 2 % of one (the boundary), outside [0.3, 3] (too fast to measure) or its motion too short to fit. The games
are those of the tests (tests/random_games.py): n-dimensional Dirac-GANs, the Gaussian-quadratic game, and MLP GANs at
an equilibrium, under plain, momentum and optimistic steps, both orders, one to three critic steps. Criterion: verdicts
agree in 95 %, the rate (its logarithm) is within 10 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from random_games import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--games", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counted, agreed, seed = 0, 0, options.first
    errors: list[float] = []
    while counted < options.games:
        more, agree, found = compare(range(seed, seed + 10))
        counted, agreed, seed = counted + more, agreed + agree, seed + 10
        errors += found.tolist()
        result = {
            "seeds": [options.first, seed - 1],
            "games": counted,
            "verdicts_agree": agreed,
            "share": round(agreed / counted, 4),
            "rate_within_10_percent": round(float((np.array(errors) < 0.1).mean()), 4),
            "median_error": float(f"{np.median(errors):.2g}"),
            "95_percent_error": float(f"{np.quantile(errors, 0.95):.2g}"),
            "worst_error": float(f"{max(errors):.2g}"),
            "cpu_seconds": round(time.process_time(), 1),
        }
        print(json.dumps(result), flush=True)
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
