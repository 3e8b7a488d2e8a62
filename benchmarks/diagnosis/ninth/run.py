"""Run a half of the set: ``python -m benchmarks.diagnosis.ninth.run {none|watched} FOLDER --half {0,1}``.

With ``--seconds N`` no run is begun after N. One row per run in ``FOLDER/ninth{half}_{none|full|real_z}.jsonl`` and
further parts, never repeated, in order: the halves are every second run of the order, so that two processes write no
common file. Begun again, a half goes on.
"""

from __future__ import annotations

import sys

from benchmarks.diagnosis.fourth.run import main
from benchmarks.diagnosis.ninth.desk import play
from benchmarks.diagnosis.ninth.plan import unwatched, watched
from benchmarks.diagnosis.ninth.steps import STEPS

if __name__ == "__main__":
    at = sys.argv.index("--half")
    half = int(sys.argv[at + 1])
    if half not in {0, 1}:
        raise SystemExit(f"--half must be 0 or 1, got {half}")
    del sys.argv[at : at + 2]
    main(f"ninth{half}", play, STEPS, (lambda: unwatched()[half::2], lambda: watched()[half::2]))
