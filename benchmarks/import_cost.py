"""What importing this library costs beside importing torch: processor time, in turns.

    python benchmarks/import_cost.py [--rounds 15]

Whole programs run in fresh interpreters, whose own start is subtracted. What is imported on top of torch is measured in
forks of a process that holds torch and nothing of ours. The first turn, which may write byte code, is not counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from timing import Row, dearer, options, record

FRESH = {
    "torch": "import torch",
    "alone": "import tightrope",
    "help": "from tightrope.cli import main; main(['--help'])",
    "nothing": "pass",
}
ON_TOP = {
    "package": "import tightrope",
    "loop": "from tightrope import losses, penalties, constraints",
    "training": "from tightrope import methods, training",
}
CASES = {
    "import tightrope alone": ("alone", 0.05),
    "tightrope --help": ("help", 0.1),
    "torch, and tightrope": ("package", 1.01),
    "torch, and losses, penalties, constraints": ("loop", 1.1),
    "torch, and methods, training": ("training", None),
}


def fresh(program: str) -> float:
    """Processor time of a fresh interpreter that runs a program, its own start included."""
    before = os.times()
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def on_top(program: str) -> float:
    """Processor time of a program in a fork of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        began = time.process_time()
        exec(program, {})
        os.write(writer, str(time.process_time() - began).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return float(told)


def main() -> None:
    given = options(__doc__, rounds=15).parse_args()
    assert not any(name.partition(".")[0] == "tightrope" for name in sys.modules)
    runs: dict[str, tuple[Callable[[str], float], str]] = {name: (fresh, program) for name, program in FRESH.items()}
    runs |= {name: (on_top, program) for name, program in ON_TOP.items()}
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-1, given.rounds):
        names = list(runs)[turn % len(runs) :] + list(runs)[: turn % len(runs)]
        for name, took in ((name, runs[name][0](runs[name][1])) for name in names):
            if turn >= 0:
                spent[name].append(took)
    start = statistics.median(spent.pop("nothing"))
    spent |= {name: [max(one - start, 0.0) for one in spent[name]] for name in ("torch", "alone", "help")}
    for name in ON_TOP:
        spent[name] = [torch + one for torch, one in zip(spent["torch"], spent[name], strict=True)]
    rows: list[Row] = [dearer(case, spent, name, "torch", target) for case, (name, target) in CASES.items()]
    record(given.out, "What importing the library costs", "`import torch`", rows)


if __name__ == "__main__":
    main()
