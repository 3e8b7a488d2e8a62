"""Training: a Run, its two half-steps, and ``train``, a generator whose caller owns the loop.

One step is one generator update with its ``n_critic`` critic updates. The half-steps are
``tightrope.methods.game`` plus an optimiser; they keep the counters, the averaged generator and the schedules, so a
hand-written loop may call them::

    run = start(methods.build("r1"), generator, critic, seed=0)
    for real in loader:
        critic_step(run, real)
        generator_step(run)
"""

from tightrope._plumbing.door import keep_door
from tightrope.training import seeds as seeds
from tightrope.training.half_steps import critic_step, generator_step, scalars
from tightrope.training.joint import joint_step
from tightrope.training.loop import Batches, train
from tightrope.training.nonfinite import NonFiniteError
from tightrope.training.pace import Pace
from tightrope.training.run import Half, Precision, Run, Step
from tightrope.training.starting import start

__all__ = [
    "Batches",
    "Half",
    "NonFiniteError",
    "Pace",
    "Precision",
    "Run",
    "Step",
    "critic_step",
    "generator_step",
    "joint_step",
    "scalars",
    "start",
    "train",
]

keep_door(__name__, __all__, first=("labels",))
