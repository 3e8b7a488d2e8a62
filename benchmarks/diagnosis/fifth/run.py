"""Run the set: ``python -m benchmarks.diagnosis.fifth.run {none|watched} FOLDER [--seconds N]``.

One row per run in ``FOLDER/fifth_{none|full|real_z}.jsonl`` and further parts, never repeated, in order.
"""

from __future__ import annotations

from benchmarks.diagnosis.fifth.desk import play
from benchmarks.diagnosis.fifth.plan import unwatched, watched
from benchmarks.diagnosis.fifth.steps import STEPS
from benchmarks.diagnosis.fourth.run import main

if __name__ == "__main__":
    main("fifth", play, STEPS, (unwatched, watched))
