"""What averages over many steps say: that something is wrong, seldom what."""

from __future__ import annotations

from tightrope.monitor._causes.cause import Cause

SLOW = (
    Cause(
        "mode_collapse_total", "The generator ignores its latents",
        "Samples hardly differ from each other, compared with real ones.",
        "Spread of G(z) over the spread of the data; healthy 0.014 and more even at the start, collapsed 0.0002.",
        "Draw 64 samples; doctor.diagnose(monitor, what_if=True) plays copies with R1, other rates and no momentum.",
        "Mend the cause above, if one is named, and start again from the first weights or a checkpoint from before: a "
        "collapsed generator seldom comes back. Without a cause: R1 (gamma 1), or both rates divided by 4.", "slow",
    ),
    Cause(
        "mode_collapse_partial", "Samples are less diverse than the data",
        "Samples cover a part of the data only, or are copies of a few.", "Coverage by nearest neighbours.",
        "tightrope evaluate RUN: recall, coverage, classes reached.",
        "R1 (gamma 1) if there is no penalty; else twice the batch. Go on from where it stands; if coverage has not "
        "risen after as many steps again, from the first weights.", "slow",
    ),
    Cause(
        "generator_ill_conditioned", "Generator ill-conditioned",
        "The generator stretches latent space very unevenly: of many latent directions it listens to one, or moves in "
        "one alone at each latent (a layer of one number inside), while the data vary along several.",
        "Odena et al. 2018: log condition number of J^T J.", "tightrope conditioning RUN",
        "Jacobian clamping (tightrope train --method dcgan_clamped, or penalties.jacobian_clamping in the generator's "
        "loss), from where it stands.", "slow",
    ),
    Cause(
        "critic_overfitting", "Critic overfits its rows",
        "The critic scores rows that it has seen higher than unseen real ones.",
        "Karras et al. 2020 (ADA): scores of training and held-out rows drift apart.",
        "Compare D on training and held-out rows.",
        "Augment what the critic sees (tightrope train --augment ada), or use more rows; go back to the checkpoint "
        "that evaluates best, the critic has learned its rows since.", "slow",
    ),
    Cause(
        "generator_memorising", "Generator repeats training rows",
        "Samples lie closer to training rows than unseen real rows do.", "Nearest neighbours, against held-out rows.",
        "Show samples beside their nearest training rows.",
        "Go back to a checkpoint from before it began; from there more rows, or augmentation (--augment ada).", "slow",
    ),
    Cause(
        "no_progress", "Samples do not come closer to the data",
        "The distance of samples to the data has not fallen since the start.", "Energy distance over windows.",
        "doctor.diagnose(monitor, what_if=True), or tightrope diagnose RUN --what-if: copies with one change each.",
        "Make the change that helps copies; without them that of the first candidate, in a short run.", "slow",
    ),
)  # fmt: skip
