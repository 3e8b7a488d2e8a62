"""Door 2 from Python: train in a run folder, resume it, load the averaged generator.

python examples/train_and_sample.py
"""

import tempfile
from pathlib import Path

import tightrope
from tightrope.cli import main as command


def main(steps: int = 60) -> tuple[int, ...]:
    run = Path(tempfile.mkdtemp()) / "run"
    command(["train", "digits", "--method", "r3gan", "--steps", str(steps), "--out", str(run), "--quiet"])
    command(["resume", str(run), "--steps", str(2 * steps), "--quiet"])
    samples = tightrope.load(run).sample(16, seed=0)
    print(
        tuple(samples.shape), f"values from {samples.min():.2f} to {samples.max():.2f}; report at {run / 'report.html'}"
    )
    return tuple(samples.shape)


if __name__ == "__main__":
    main()
