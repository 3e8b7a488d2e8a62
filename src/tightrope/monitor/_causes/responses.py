"""Why training fails although it does what was claimed: by how the players move, and by copies that are changed."""

from __future__ import annotations

from tightrope.monitor._causes.cause import Cause

_COPIES = "A few steps on copies, with and without the change, on the same draws."

RESPONSES = (
    Cause(
        "critic_too_weak", "Critic too weak or too slow",
        "The critic moves far less than the generator, ranks generated rows before real ones for a while, and samples "
        "stay far from the data; or a few more critic steps on a copy bring them closer.",
        "Heusel et al. 2017, theorem 1: the critic has to be on the faster time scale. " + _COPIES,
        "Double the critic's steps or its rate.", "Four times the critic's rate, or five times its steps.",
        "response",
    ),
    Cause(
        "critic_too_strong", "Critic too strong",
        "The critic separates both sides perfectly, no constraint acts on it and it moves much faster than the "
        "generator; or the generator does not advance and damping the critic on a copy helps.",
        "Arjovsky and Bottou 2017, theorem 2.4: the gradient vanishes before a perfect critic.",
        "Add R1 with gamma 1: tightrope probe RUN --try penalty=r1:1.",
        "Add R1 with gamma 1; with log(1 - D) as the generator's loss, the non-saturating one instead.",
        "response",
    ),
    Cause(
        "generator_gradient_vanishes", "The generator's gradient vanishes",
        "The critic's scores lie in a flat part of the generator's loss or its slope at the samples is nearly zero.",
        "Goodfellow et al. 2014, section 3: d log(1 - sigmoid(s))/ds = -sigmoid(s).",
        "Print the norm of dL/d(fake).",
        "Use the non-saturating loss, softplus(-D(fake)).mean(), and R1 with gamma 1 on the "
        "critic.", "response",
    ),
    Cause(
        "rotation_undamped", "The game turns without damping",
        "Both players' updates go round an equilibrium: samples swing past the data and back, and no penalty or "
        "constraint pulls them in.",
        "Mescheder et al. 2018: eigenvalues of the game on the imaginary axis.",
        "tightrope dynamics RUN; tightrope probe RUN --try penalty=r1:1.",
        "Add R1 with gamma 1; with momentum above 0.5 set "
        "beta1 to 0 as well.",
        "response",
    ),
    Cause(
        "momentum_too_high", "Momentum too high",
        "The steps do not follow the present gradient (their cosine with the way down it is below that of sound "
        "trainings), or samples stay away and without momentum a copy does better.",
        "Gidel et al. 2019: negative or no momentum in games.", "Set beta1 to 0: tightrope probe RUN --try beta1=0.",
        "Set beta1 to 0.",
        "response",
    ),
    Cause(
        "generator_step_too_large", "Generator's steps too large",
        "The generator's step moves its parameters so far that its own loss on the same batch rises, and a smaller "
        "rate lowers it.", _COPIES, "Divide the rate by 10.", "Lower the generator's rate.", "response",
    ),
    Cause(
        "critic_step_too_large", "Critic's steps too large",
        "The critic's step raises its own loss on the same batch, and a smaller rate lowers it.", _COPIES,
        "Divide the rate by 10.", "Lower the critic's rate.", "response",
    ),
    Cause(
        "generator_step_too_small", "Generator's steps too small",
        "At the present rate the generator's parameters cannot move noticeably in the run.",
        "Rate times number of steps against the size of the parameters (Adam moves at most its rate per step).",
        "Multiply the rate by 10.", "Raise the generator's rate.", "bookkeeping",
    ),
    Cause(
        "critic_step_too_small", "Critic's steps too small",
        "At the present rate the critic's parameters cannot move noticeably in the run.",
        "Rate times number of steps against the size of the parameters.", "Multiply the rate by 10.",
        "Raise the critic's rate.", "bookkeeping",
    ),
    Cause(
        "penalty_too_strong", "Penalty far too strong",
        "The penalty's gradient drowns the loss's: the critic is nearly flat.",
        "Share of the penalty in the critic's gradient; healthy below 4.5 per window, harmful from 7.7 on (pilot).",
        "Divide the weight by 10.", "Lower the weight.", "response",
    ),
    Cause(
        "penalty_too_weak", "Penalty without effect",
        "The claimed penalty acts, but its part in the gradient is nil while the critic's slope is far from the "
        "target.",
        "Share of the penalty in the critic's gradient.", "Multiply the weight by 10.", "Raise the weight.", "response",
    ),
    Cause(
        "constraint_vacuous", "The constraint bounds nothing",
        "The constraint is in place, but a layer outside its reach (a scale, a last layer, a normalisation) undoes it.",
        "The Lipschitz interval of the critic.", "tightrope.critics.lipschitz_interval(critic, x)",
        "Remove the scale, or constrain the layer that follows; start again, the scores have grown with it.", "slow",
    ),
    Cause(
        "reconstruction_drowns_adversarial", "Another term drowns the adversarial one",
        "Nearly all of the generator's gradient comes from a term that does not pass through the critic (matching its "
        "features does); sure where samples come no closer, or vary less than the data while the critic tells them.",
        "Esser et al. 2021 balance both by the ratio of gradients at the last layer.",
        "Print both gradients' norms at the output.", "Lower that term's weight, or weigh by the ratio of gradients.",
        "ledger",
    ),
    Cause(
        "adversarial_drowns_reconstruction", "The adversarial term drowns the other one",
        "Nearly all of the generator's gradient comes through the critic although another term is part of the loss; "
        "below a ten-thousandth nobody means it to be.",
        "Esser et al. 2021.", "Print both gradients' norms at the output.", "Raise the other term's weight.", "ledger",
    ),
)  # fmt: skip
