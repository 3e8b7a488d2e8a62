"""Who holds, moves and calls what: decided by identities and counts."""

from __future__ import annotations

from tightrope.monitor._causes.cause import Cause

_PILOT = "Identity of parameters; planted in plain loops it was found at the first window, never in a healthy run."

WIRING = (
    Cause(
        "healthy", "Healthy", "Everything that was checked is as claimed.",
        "The checks that ran are listed with the finding.", "Nothing to do.", "Go on.", "state",
    ),
    Cause(
        "unknown_trouble", "Something is wrong, cause unknown",
        "Samples stay far from the data or the game has stopped, and no evidence singles out one cause.",
        "Consequences such as a critic that always wins are shared by a dozen causes.",
        "doctor.diagnose(monitor, what_if=True), or tightrope diagnose RUN --what-if: copies with one change each.",
        "Make the change that helps copies; without them that of the first candidate, in a short run.", "state",
    ),
    Cause(
        "non_finite", "Not a number",
        "A gradient, score, sample or parameter is not finite; the layer where it began is named.",
        "IEEE 754: a value that is not finite stains everything computed from it.",
        "torch.autograd.set_detect_anomaly(True) in a run from the last checkpoint.",
        "Cure the finding that stood before; else lower the rate, use float32 in the layer named, avoid log and sqrt "
        "at 0.", "bookkeeping",
    ),
    Cause(
        "optimizer_other_player", "Optimiser holds the other player's parameters",
        "An optimiser updates parameters that belong to the other network.", _PILOT,
        "{id(p) for g in opt.param_groups for p in g['params']} & {id(p) for p in other.parameters()}",
        "Build each optimiser from its own network's parameters().", "bookkeeping",
    ),
    Cause(
        "optimizer_wrong_parameters", "Optimiser holds stale parameters",
        "An optimiser holds parameters of neither network (of a copy, or of a network built anew afterwards), so its "
        "player does not move.", _PILOT, "Compare id(p) of the optimiser's parameters with those of the network.",
        "Build the optimiser after the network is final (moved, wrapped, loaded).", "bookkeeping",
    ),
    Cause(
        "optimizer_misses_parameters", "Optimiser holds a part of its player",
        "Trainable parameters of a player belong to no optimiser that steps.", _PILOT,
        "List the parameters that are in no param_group.", "Give the optimiser all of network.parameters().",
        "bookkeeping",
    ),
    Cause(
        "critic_not_stepped", "The critic is never updated",
        "No optimiser step has touched the critic.", "Counted at every step.",
        "Print a parameter before and after.", "Call the critic's optimizer.step().", "bookkeeping",
    ),
    Cause(
        "generator_not_stepped", "The generator is never updated",
        "No optimiser step has touched the generator.", "Counted at every step.",
        "Print a parameter before and after.", "Call the generator's optimizer.step().", "bookkeeping",
    ),
    Cause(
        "critic_frozen", "Critic (or part of it) frozen",
        "Parameters of the critic do not require a gradient in the critic's own step.",
        "Flags read inside the step: a critic frozen during the generator's step alone is sound.",
        "[n for n, p in critic.named_parameters() if not p.requires_grad] just before its optimizer.step()",
        "Set requires_grad_(True) before the critic's forward pass; if it is intended, say so to yourself.",
        "bookkeeping",
    ),
    Cause(
        "generator_frozen", "Generator (or part of it) frozen",
        "Parameters of the generator do not require a gradient in the generator's own step.",
        "Flags read inside the step.",
        "[n for n, p in generator.named_parameters() if not p.requires_grad] just before its optimizer.step()",
        "Set requires_grad_(True) before the generator's forward pass.", "bookkeeping",
    ),
    Cause(
        "generator_detached", "No gradient reaches the generator from the critic",
        "The samples that the critic judges in the generator's step are cut from the generator (detach, no_grad, "
        ".data, a round trip through numpy), so the adversarial loss moves nothing.",
        "dL/dtheta = dL/dy dy/dtheta with dL/dy missing.",
        "generator_loss.backward(); look at p.grad of the generator.",
        "Pass the generator's output itself, not a detached copy, to the critic in the generator's step.", "ledger",
    ),
    Cause(
        "generator_loss_without_critic", "Only other terms move the generator",
        "The generator has a gradient, but none of it came through the critic: an auxiliary loss hides the cut.",
        "The gradient at the generator's output, split by origin.", "Set the auxiliary term's weight to 0.",
        "Pass the generator's output itself to the critic in the generator's step.", "ledger",
    ),
    Cause(
        "critic_no_gradient", "No gradient reaches the critic",
        "The critic steps without a gradient, or with one that has been exactly zero at every step, for 50 steps and "
        "more (a factor that is 0 until a late start).",
        "Scores detached or computed under no_grad, or all scores in a flat part of the loss.",
        "critic_loss.backward(); look at p.grad of the critic.", "Score both batches with gradients enabled.", "ledger",
    ),
    Cause(
        "learning_rate_zero", "Learning rate is zero",
        "A player's optimiser steps with rate 0, or with one too small to change a float32 parameter.",
        "Read from param_groups inside the step.", "Print optimizer.param_groups[0]['lr'].",
        "Set the rate; look at warm-up and schedule.", "bookkeeping",
    ),
    Cause(
        "learning_rate_not_reached", "The rate that was set never reached the optimiser",
        "The rate inside the step is not the one that was asked for.", "Read from param_groups inside the step.",
        "Print optimizer.param_groups[0]['lr'] in the loop.", "Pass lr= to the optimiser that steps.", "bookkeeping",
    ),
    Cause(
        "schedule_too_fast", "Schedule stepped too often",
        "The rate has decayed to a small part of its first value within a part of the run (a scheduler meant for "
        "epochs stepped per batch, or stepped twice).", "Rates are recorded at every optimiser step.",
        "Plot the rate over steps.", "Call scheduler.step() once per the unit that it was configured in, and set the "
        "rate back.",
        "bookkeeping",
    ),
    Cause(
        "weight_decay_crippling", "Weight decay shrinks the parameters faster than training moves them",
        "Rate times decay per step takes a noticeable part of every weight.",
        "Decoupled decay: w <- (1 - lr wd) w; healthy 1e-5 per step, harmful from 3e-2 on (pilot).",
        "Set weight_decay=0 for some hundred steps.", "Set weight_decay=0.", "bookkeeping",
    ),
    Cause(
        "n_critic_swapped", "Several generator steps per critic step",
        "The generator steps more often than the critic: n_critic is applied to the wrong player.",
        "Arjovsky et al. 2017, algorithm 1: n_critic = 5 critic steps per generator step.",
        "Count optimizer.step() calls of both players.", "Run the inner loop over the critic.", "bookkeeping",
    ),
    Cause(
        "eval_mode_in_training", "Trained in eval mode",
        "A network with dropout or batch normalisation is in eval mode while it trains.",
        "Mode read at the captured call.", "Print network.training in the loop.",
        "Call network.train() before each step, also after sampling.", "bookkeeping",
    ),
    Cause(
        "critic_called_without_grad", "The critic's own loss is computed without gradients",
        "The critic is called under no_grad in its own step.", "Gradient mode read at the captured call.",
        "Print torch.is_grad_enabled() there.", "Leave the no_grad block for the generator's call only.", "bookkeeping",
    ),
    Cause(
        "average_too_slow", "The averaged generator has hardly moved",
        "The distance between average and live network is about that between the live network and its start.",
        "decay^n of the start remains after n steps.", "Sample from the live generator and compare.",
        "Lower the decay, or ramp it up, and copy the live weights into the average once.", "bookkeeping",
    ),
    Cause(
        "average_is_not_updated", "The average is never updated",
        "The averaged network stands still while the live one moves.", "Compared at every window.",
        "Compare a parameter of both.",
        "Update the average after each generator step, and copy the live weights into it once.", "bookkeeping",
    ),
    Cause(
        "average_is_live", "The average is the live network",
        "Average and live network share their parameters or are equal at every window: nothing is averaged.",
        "Identity of storages.", "average_parameter is live_parameter",
        "Average a deepcopy; decay * average + (1 - decay) * live.", "bookkeeping",
    ),
    Cause(
        "average_buffers_not_copied", "The average has stale buffers",
        "Batch-norm statistics of the averaged network are not those of the live one.",
        "An average over parameters() leaves buffers at their initial values.",
        "Compare running_mean of both.", "Copy buffers() along with the parameters.", "bookkeeping",
    ),
    Cause(
        "optimizer_lost_on_resume", "Optimiser state lost on resume",
        "Moments or the step count of an optimiser fell back to zero in mid-run.",
        "state['step'] is followed over windows.", "Print optimizer.state before and after the resume.",
        "Save and load optimizer.state_dict(), and go on from the checkpoint of the resume; if samples have not "
        "suffered, from where it stands: moments are gathered again in 1 / (1 - beta2) steps.", "bookkeeping",
    ),
    Cause(
        "schedule_lost_on_resume", "Schedule lost on resume",
        "The rate jumped back to its first value in mid-run.", "Rates are recorded at every optimiser step.",
        "Plot the rate over steps.",
        "Save and load scheduler.state_dict(), and go on from the checkpoint of the resume.", "bookkeeping",
    ),
)  # fmt: skip
