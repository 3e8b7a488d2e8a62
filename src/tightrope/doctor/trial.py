"""``tightrope probe``: a checkpoint trained on as it is and with a fix, over seeds, and whether the fix helps."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import as_path
from tightrope.autodiff import undisturbed
from tightrope.data import Sampler
from tightrope.doctor.fixes import fixed, write_numbers
from tightrope.monitor.what_if.branch import WORST, energy
from tightrope.monitor.what_if.changes import AS_IS
from tightrope.monitor.what_if.gains import Gain
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled, assemble
from tightrope.runs.checkpoint import (
    checkpoint_paths,
    load_newest,
    random_state,
    restore,
    seed_global_,
    set_random_state,
)
from tightrope.runs.config import Config, read_config
from tightrope.training import train
from tightrope.training.nonfinite import NonFiniteError

ROWS, LOOKS = 512, 4
STILL, NEAR = 0.85, 0.1
"""Share of the distance at the checkpoint above which an arm has come no nearer, and a distance that needs no cure."""
PROBES = "probes.jsonl"


@dataclass(frozen=True)
class FixTrial:
    """A short A/B of one fix.

    Attributes:
        fix: As it was spelt.
        step: Of the checkpoint that both arms go on from.
        steps: Steps of each arm.
        plain: Distance as it is, one per seed: mean over the second half of the arm.
        changed: With the fix, likewise; both arms of a seed share the order of rows and the latents.
        start: Distance at the checkpoint.
        measure: What the distance is.
    """

    fix: str
    step: int
    steps: int
    plain: tuple[float, ...]
    changed: tuple[float, ...]
    start: float
    measure: str

    @property
    def gain(self) -> Gain:
        """Paired log ratios with their interval."""
        return Gain(AS_IS, list(zip(self.plain, self.changed, strict=True)))

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Distance with the fix over that without: estimate, and the ends of its 95 % interval over seeds."""
        gain = self.gain
        return math.exp(-gain.mean), math.exp(-gain.mean - gain.half_width), math.exp(-gain.mean + gain.half_width)

    @property
    def verdict(self) -> str:
        """``"helps"``, ``"hurts"`` or ``"no difference beyond chance"``."""
        _, low, high = self.ratio
        return "helps" if high < 1 else "hurts" if low > 1 else "no difference beyond chance"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "ratio": [_finite(v) for v in self.ratio], "verdict": self.verdict}

    def __str__(self) -> str:
        ratio, low, high = self.ratio
        plain, changed = (sum(v) / len(v) for v in (self.plain, self.changed))
        where = "at the checkpoint" if self.step else "of the first weights"
        stays = min(changed, plain) > max(STILL * self.start, NEAR) and self.step > 0
        return (
            f"{self.fix}: {self.verdict}. After {self.steps} steps from step {self.step} the distance is "
            f"{changed:.4g}, {plain:.4g} without ({self.start:.4g} {where}): {ratio:.3g} times, "
            f"95 % interval [{low:.3g}, {high:.3g}] over {len(self.plain)} seeds."
            + (
                " From this checkpoint samples come no nearer either way: try it from the first weights (--anew)."
                * stays
            )
        )


def probe(
    run: Path | str,
    fixes: Sequence[str],
    *,
    steps: int = 100,
    seeds: int = 4,
    anew: bool = False,
    write: bool = True,
) -> tuple[FixTrial, ...]:
    """Branch a run's newest checkpoint into arms with and without each fix; the run itself is not changed.

    Args:
        run: Run folder.
        fixes: Each ``name=value``, see ``fixes.fixed``.
        steps: Generator steps of each arm.
        seeds: Pairs of arms; each pair has its own order of rows and latents.
        anew: Begin with the run's first weights in place of its checkpoint: what a fault has done to weights does not
            heal within the steps of an arm.
        write: Append a row per fix to ``RUN/probes.jsonl``.

    Returns:
        A trial per fix.

    Raises:
        UserError: There is no checkpoint, the data have changed, or a fix is none.

    Cost: ``(1 + len(fixes)) * seeds * steps`` training steps.
    """
    folder = as_path(run)
    check_whole("steps", steps, 1, 100)
    check_whole("seeds", seeds, 2, 4)
    if isinstance(fixes, str) or not fixes:
        raise UserError(f"Expected one fix or more, got {fixes!r}; try ['lr_critic=1e-4'].")
    config = read_config(folder)
    if not anew and not checkpoint_paths(folder):
        raise UserError(
            f"Expected a run with a checkpoint to probe, got none in {folder}; train it first, or begin anew (--anew)."
        )
    before = random_state()
    try:
        here = _assembled(folder, config, anew=anew)
        wanted = {fix: fixed(here.run.method, fix) for fix in fixes}
        for method in wanted.values():  # all that can be refused is, before anything is trained
            _given(_assembled(folder, config, here, anew), method)
        start = _distance(here)
        plain = [_arm(folder, config, here, None, seed, steps, anew) for seed in range(seeds)]
        found = tuple(
            FixTrial(
                fix, here.run.step, steps, tuple(plain),
                tuple(_arm(folder, config, here, method, seed, steps, anew) for seed in range(seeds)), start,
                f"energy distance to {min(ROWS, len(here.test))} held-out samples, in units of their mean distance",
            )
            for fix, method in wanted.items()
        )  # fmt: skip
    finally:
        set_random_state(before)
    for trial in found if write else ():
        records.append(folder / PROBES, json.loads(json.dumps(trial.to_json())))
    return found


def _assembled(folder: Path, config: Config, like: Assembled | None = None, anew: bool = False) -> Assembled:
    found = assemble(config, None if like is None else like.dataset, progress=False)
    if not anew:
        restore(found, load_newest(folder)[0])
    return found


def _given(assembled: Assembled, method: Any) -> None:
    """Change the method of a run that stands at a checkpoint."""
    run, before = assembled.run, assembled.run.method
    write_numbers(run.critic_optimizer, before.critic_optimizer, method.critic_optimizer)
    write_numbers(run.generator_optimizer, before.generator_optimizer, method.generator_optimizer)
    run.method = method


def _arm(folder: Path, config: Config, like: Assembled, method: Any, seed: int, steps: int, anew: bool) -> float:
    """Mean distance over the second half of one arm."""
    arm = _assembled(folder, config, like, anew)
    if method is not None:
        _given(arm, method)
    run = arm.run
    run.rng = torch.Generator(run.rng.device).manual_seed(1000 + seed)
    seed_global_(1000 + seed)
    sampler = Sampler(arm.dataset, config.training.batch_size, seed=1000 + seed, flip=config.data.flip)
    first, values = run.step, list[float]()
    at = {steps - (steps // 2) * k // LOOKS for k in range(LOOKS)}
    try:
        values += [_distance(arm) for step in train(run, sampler, steps=first + steps) if step.step - first in at]
    except NonFiniteError:
        return WORST
    return sum(values) / len(values)


def _distance(assembled: Assembled) -> float:
    run, test = assembled.run, assembled.test
    rows = torch.linspace(0, len(test) - 1, min(ROWS, len(test))).long()
    held = test.batch(rows)
    rng = torch.Generator().manual_seed(0)
    z = run.latents(len(rows), rng)
    labels = () if held.labels is None or not assembled.config.data.conditional else (held.labels.to(run.device),)
    with torch.no_grad(), undisturbed(run.generator):
        run.generator.eval()
        return energy(run.generator(z, *labels).cpu(), held.x)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
