"""What the gradient that is applied says about losses and penalties: decided to rounding."""

from __future__ import annotations

from tightrope.monitor._causes.cause import Cause

_SCORES = "dL/ds at the critic's scores, taken from the backward pass, against that of the claimed loss. "
_LEDGER = "The gradient at the optimiser's step against the replay of the claimed loss and penalty. "

GRADIENTS = (
    Cause(
        "critic_sign_flipped", "Critic's loss has the wrong sign",
        "The critic is trained to score generated samples high and real ones low, or one half of its loss is negated "
        "(by one target for both sides, say), "
        "while the generator is trained to be scored high.",
        _SCORES + "Both players flipped is only a matter of orientation and no fault.",
        "Negate the critic's loss for some steps.", "Correct the sign: the critic minimises D(fake) - D(real), or BCE "
        "with target 1 for real and 0 for fake.", "ledger",
    ),
    Cause(
        "generator_sign_flipped", "Generator's loss has the wrong sign",
        "The generator is trained to be scored low, that is to be recognised.", _SCORES,
        "Negate the generator's loss for some steps.", "Minimise -D(fake), or BCE of D(fake) with the target of real "
        "samples.", "ledger",
    ),
    Cause(
        "critic_real_half_missing", "The critic never learns from real samples",
        "The real half of the critic's loss gives no gradient.", _SCORES, "Plot D(real).",
        "Add the real half to the loss before its backward.", "ledger",
    ),
    Cause(
        "critic_fake_half_missing", "The critic never learns from generated samples",
        "The fake half of the critic's loss gives no gradient.", _SCORES, "Plot D(fake).",
        "Add the fake half to the loss before its backward.", "ledger",
    ),
    Cause(
        "critic_halves_unequal", "Halves of the critic's loss weigh differently",
        "Real and fake half of the critic's loss have different weights.", _SCORES, "Print both coefficients.",
        "Weigh both halves alike.", "ledger",
    ),
    Cause(
        "critic_loss_other", "The critic minimises another loss than claimed",
        "The gradient at the scores is that of another known loss, or of squares for cross-entropy (and the reverse) "
        "with any two targets.", _SCORES, "Compare the code with the equation.",
        "Use the claimed loss, or claim the one used.", "ledger",
    ),
    Cause(
        "generator_loss_other", "The generator minimises another loss than claimed",
        "The gradient at the scores is that of another known loss, such as the saturating one.",
        _SCORES + "Goodfellow et al. 2014, section 3: log(1 - D) saturates.", "Compare the code with the equation.",
        "Use the claimed loss, or claim the one used.", "ledger",
    ),
    Cause(
        "refuted_unexplained", "Refuted, and nothing known explains it",
        "The gradient that is applied is not that of the claim, and no known alternative explains the rest; the share "
        "is given.", _LEDGER, "Remove terms of the loss one by one until the rest vanishes.",
        "Pass a penalty that the loop has as penalty=, another loss as loss=; a term that is none of these: weigh it "
        "so that the adversarial gradient is not the smaller one.", "ledger",
    ),
    Cause(
        "critic_gradient_accumulated", "The critic's gradients are not cleared",
        "Each step applies the sum of all gradients so far.", _LEDGER, "Print p.grad.norm() before the backward.",
        "Call the critic's optimizer.zero_grad() before its backward.", "ledger",
    ),
    Cause(
        "generator_gradient_accumulated", "The generator's gradients are not cleared",
        "Each step applies the sum of all gradients so far, or the critic's loss leaves its own in the generator.",
        _LEDGER, "Print p.grad.norm() before the backward.",
        "Call the generator's optimizer.zero_grad() just before its backward.", "ledger",
    ),
    Cause(
        "generator_gradient_in_critic", "The generator's gradient is left in the critic",
        "The generator's backward fills the critic's .grad, which is not cleared before the critic's own backward, "
        "or before one optimiser steps both.",
        _LEDGER, "Print the critic's p.grad.norm() before its backward.",
        "Call the critic's optimizer.zero_grad() just before its own backward.", "ledger",
    ),
    Cause(
        "penalty_absent", "The claimed penalty is not there",
        "The gradient is that of the loss alone. Where no penalty was claimed: a gradient at the critic's inputs is "
        "computed with its graph at every step, and none of it is used.", _LEDGER, "Print the penalty and its weight.",
        "Add the penalty to the loss with its weight, as a tensor: not detached, and not its item().", "ledger",
    ),
    Cause(
        "penalty_detached", "The penalty's gradient does not reach the critic",
        "A gradient at the inputs is computed, but the critic's parameters receive nothing from it: no graph was kept, "
        "or the result was detached or turned into a number.",
        _LEDGER + "Gulrajani et al. 2017, eq. 3 needs the second derivative.",
        "Print penalty.requires_grad: False.", "Pass create_graph=True to torch.autograd.grad, and add the tensor, not "
        "its item().", "ledger",
    ),
    Cause(
        "penalty_weight_wrong", "The penalty has another weight than claimed",
        "Two-column least squares give the weight that acts; healthy 1 +- 7e-6 of the claimed.", _LEDGER,
        "Print the weight where it is used.",
        "Set the weight claimed; mind factors 1/2, mean against sum, and lazy periods.",
        "ledger",
    ),
    Cause(
        "penalty_other_kind", "Another penalty than claimed",
        "The penalty's gradient is that of another known one (0-centred, 1-centred, one-sided).", _LEDGER,
        "Compare the code with the equation.", "Use the claimed penalty, or claim the one used.", "ledger",
    ),
    Cause(
        "penalty_other_place", "Penalty at other points than claimed",
        "The penalty is taken at other points than claimed (real or fake ones in place of interpolates, and so on); "
        "where none was claimed, one that asks for slopes of 1 at samples alone under a Wasserstein loss is a remark.",
        _LEDGER, "Print where the gradient is taken.", "Take it at the points of the claim.", "ledger",
    ),
    Cause(
        "penalty_norm_axes", "The penalty's norm runs over the wrong axes",
        "The gradient's norm is taken per pixel, per channel or over the whole batch in place of per sample.",
        "||g|| over all axes of a sample: Gulrajani et al. 2017, eq. 3.", "Print the norm's shape: [batch].",
        "Use gradient.flatten(1).norm(2, dim=1).", "ledger",
    ),
    Cause(
        "penalty_under_loss_scale", "The penalty's gradient is taken under the loss scale",
        "Under AMP the gradient at the inputs carries the scaler's factor, so the norm is compared with the wrong "
        "target.", "||S g|| in place of ||g||; PyTorch's AMP examples, gradient penalty.",
        "Print the scale and the norms.", "Divide the gradient by scaler.get_scale() before its norm.", "ledger",
    ),
    Cause(
        "penalty_too_lazy", "Lazy penalty too lazy",
        "The penalty acts on so few steps (less than one in 24) or with so large a weight that one step overshoots.",
        "On the Dirac-GAN rate * period * gamma < 2 is needed.", "Apply the penalty at every step.",
        "Shorten the period, with the period times the weight.", "ledger",
    ),
    Cause(
        "penalty_under_batch_norm", "Gradient penalty on a critic with batch normalisation",
        "Batch normalisation couples the samples of a batch, so no gradient per sample exists.",
        "Gulrajani et al. 2017, section 4.", "Replace the normalisation.",
        "nn.GroupNorm or no normalisation in the critic's layers; that is another network: start anew.", "bookkeeping",
    ),
    Cause(
        "batch_norm_coupling", "Real and generated samples share a batch in the critic",
        "The critic's batch normalisation sees both kinds in one batch, and the generator's step another composition: "
        "the critic reads the composition.", "AUC in the joint batch 1.00 against 0.47 apart (pilot).",
        "Score both batches apart.", "Call the critic on real and generated samples separately, or use no batch "
        "normalisation there.", "response",
    ),
    Cause(
        "critic_shown_other_real", "The critic is shown something else than the real batch",
        "What the critic is trained on as real differs from the batch that was passed, while generated samples are "
        "shown unchanged (noise or augmentation on one side only).", "Inputs of the critic compared with both batches.",
        "Print the difference.", "Apply noise and augmentation to both sides (DiffAugment).", "ledger",
    ),
    Cause(
        "constraint_missing", "The Lipschitz constraint is missing",
        "The claimed constraint is on no layer of the critic.", "Parametrisations and hooks of every layer are read.",
        "Print the critic.", "Wrap the critic's layers, see tightrope.constraints.", "bookkeeping",
    ),
    Cause(
        "constraint_partial", "The constraint covers a part of the layers",
        "Some weight layers of the critic are not under the claimed constraint.",
        "A bound of all layers but one bounds nothing.", "Print the critic.", "Constrain the layers named.",
        "bookkeeping",
    ),
    Cause(
        "loss_needs_lipschitz", "Wasserstein loss without any constraint",
        "The claimed loss has no minimum unless the critic is Lipschitz, and no clip, penalty or spectral norm was "
        "claimed or found, or a penalty is computed and not added while scores run farther apart than slopes of 1 "
        "allow.", "Arjovsky et al. 2017, eq. 2.", "Watch the gap grow without bound.",
        "Add a gradient penalty, spectral norm or clipping.", "bookkeeping",
    ),
    Cause(
        "clip_absent", "Weights are not clipped as claimed",
        "Weights of the critic are larger than the claimed clip at the end of the step.",
        "Arjovsky et al. 2017, algorithm 1.", "Print max |w|.", "Clamp after every critic step.", "bookkeeping",
    ),
    Cause(
        "clip_other", "Weights are clipped at another value than claimed",
        "The largest weight sits at a value that is not the claimed clip.", "Arjovsky et al. 2017, algorithm 1.",
        "Print max |w|.", "Set the clip.", "bookkeeping",
    ),
    Cause(
        "clip_crippling", "Clipping cripples the critic",
        "Nearly all weights sit at the clip and the critic's gradient at its input nearly vanishes.",
        "Gulrajani et al. 2017, section 3: capacity underuse, exploding or vanishing gradients.",
        "Raise the clip tenfold for a short run.", "Widen the clip tenfold, or use a gradient penalty.", "slow",
    ),
    Cause(
        "spectral_norm_stale", "Spectral norm with a stale power iteration",
        "The estimate of the largest singular value is below the true one: the iteration never advances (eval mode, or "
        "vectors overwritten).", "Miyato et al. 2018, algorithm 1.", "Compare with torch.linalg.matrix_norm(W, 2).",
        "Run the critic in train mode, or more iterations.", "bookkeeping",
    ),
)  # fmt: skip
