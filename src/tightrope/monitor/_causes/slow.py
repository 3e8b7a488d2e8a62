"""What averages over many steps say: that something is wrong, seldom what."""

from __future__ import annotations

from tightrope.monitor._causes.cause import Cause

SLOW = (
    Cause(
        "mode_collapse_total", "The generator ignores its latents",
        "Samples hardly differ from each other, compared with real ones.",
        "Spread of G(z) over the spread of the data; healthy 0.014 and more even at the start, collapsed 0.0002.",
        "Draw 64 samples.", "Look for a cause above; else restart with R1 or a smaller rate.", "slow",
    ),
    Cause(
        "mode_collapse_partial", "Samples are less diverse than the data",
        "Samples cover a part of the data only.", "Coverage by nearest neighbours.",
        "tightrope evaluate RUN: recall, coverage, classes reached.",
        "R1 in place of no penalty, packing, larger batches.", "slow",
    ),
    Cause(
        "generator_ill_conditioned", "Generator ill-conditioned",
        "The generator stretches latent space very unevenly: of many latent directions it listens to one, while the "
        "data vary along several.",
        "Odena et al. 2018: log condition number of J^T J.", "tightrope conditioning RUN", "Jacobian clamping.", "slow",
    ),
    Cause(
        "critic_overfitting", "Critic overfits its rows",
        "The critic scores rows that it has seen higher than unseen real ones.",
        "Karras et al. 2020 (ADA): scores of training and held-out rows drift apart.",
        "Compare D on training and held-out rows.", "Augment, use more data, or stop at the best checkpoint.", "slow",
    ),
    Cause(
        "generator_memorising", "Generator repeats training rows",
        "Samples lie closer to training rows than unseen real rows do.", "Nearest neighbours, against held-out rows.",
        "Show samples beside their nearest training rows.", "More data, augmentation, an earlier checkpoint.", "slow",
    ),
    Cause(
        "no_progress", "Samples do not come closer to the data",
        "The distance of samples to the data has not fallen since the start.", "Energy distance over windows.",
        "Draw samples.", "Look at the candidates.", "slow",
    ),
)  # fmt: skip
