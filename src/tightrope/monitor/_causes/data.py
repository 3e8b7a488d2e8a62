"""What goes in: data, latents, labels, what networks can reach."""

from __future__ import annotations

from tightrope.monitor._causes.cause import Cause

_REACH = "The last layer's bias of a copy is set to plus and minus 1000; the output shows the ends of its range."

DATA = (
    Cause(
        "data_range", "Real data outside what the generator can give",
        "A noticeable share of the real values lies outside the range of the generator's output (data in 0..255 "
        "against tanh, unnormalised data against sigmoid), or samples keep within -1..1 in every window while the "
        "data's deviation is more than twenty times theirs (a table in its own units).", _REACH,
        "Print real.min(), real.max() and the generator's last activation.",
        "Scale the data to the generator's range, for tanh x * 2 - 1.", "bookkeeping",
    ),
    Cause(
        "data_scale", "Real data fill a small part of the generator's range",
        "The real values use a small part of the range that the generator's last activation spans, the critic is "
        "shown real data of another scale than the batch that was passed, or rows are in other units than held-out "
        "ones, near to which the generator began (of one that is given rows, which are of about unit spread).", _REACH,
        "Compare real.std() with the generator's.", "Normalise the data once, to the generator's range.", "bookkeeping",
    ),
    Cause(
        "channel_order", "Channels of real and generated data differ in order",
        "Real samples reach the critic with their axes or channels in another order than the generated ones.",
        "Per-channel statistics of what the critic was shown.", "Show a real and a generated sample side by side.",
        "Bring both into [batch, channels, height, width]: x.permute(0, 3, 1, 2), not a reshape.", "bookkeeping",
    ),
    Cause(
        "data_constant", "Real samples are constant", "The real batch has no variation.", "Standard deviation 0.",
        "Print real.std().", "Print one row before and after each transform: the first that is constant is at fault.",
        "bookkeeping",
    ),
    Cause(
        "bounded_scores", "Scores are bounded where the loss needs them free",
        "The critic's last layer confines its scores to an interval (tanh, clamp), which the claimed loss does not "
        "expect.", _REACH, "Set the last bias to 1000 and call it.", "Remove the last activation.", "bookkeeping",
    ),
    Cause(
        "probability_as_score", "Probability where a score belongs",
        "The critic ends in a sigmoid, but the loss takes scores (Wasserstein, hinge).",
        "Arjovsky et al. 2017, section 3: the critic has no last activation. " + _REACH,
        "Set the last bias to 1000 and call it.", "Remove the sigmoid.", "bookkeeping",
    ),
    Cause(
        "double_sigmoid", "Sigmoid applied twice",
        "The critic ends in a sigmoid and the loss applies another (BCEWithLogits on probabilities): its gradient is "
        "confined to logits in 0..1. A function that was claimed is known by its slopes, too.",
        "d softplus(-p)/ds = -sigmoid(-p) p (1 - p), at most 0.12.",
        "Replace BCEWithLogitsLoss by BCELoss.", "Remove one of the two sigmoids.", "ledger",
    ),
    Cause(
        "rectified_scores", "Rectified scores",
        "The critic's last layer is a rectifier: scores below zero, and their gradients, do not exist.", _REACH,
        "Count scores that are exactly 0.", "Remove the last rectifier.", "bookkeeping",
    ),
    Cause(
        "generator_range_rectified", "The generator cannot reach negative values",
        "The generator, or some of its features, ends in a rectifier or an absolute value while many of the data lie "
        "on the other side of zero: all samples so far end there.", _REACH,
        "Print the generator's minimum by feature.", "Remove the last rectifier.", "bookkeeping",
    ),
    Cause(
        "batch_repeated", "The same batch again and again", "Every step trains on one and the same batch.",
        "Hash of the whole batch.", "Print real.sum() in the loop.",
        "Draw a new batch in each step: next(iter(loader)) inside the loop starts anew each time.", "bookkeeping",
    ),
    Cause(
        "few_rows", "Few different rows",
        "All windows together hold fewer than three batches of different rows, or so many came again that there are "
        "fewer than 256 of them.",
        "Distinct rows in a pool.", "Count torch.unique(data, dim=0).",
        "Use all of the data, or augment (DiffAugment, ADA).", "bookkeeping",
    ),
    Cause(
        "rows_repeated", "Repeated rows inside a batch", "Many rows of one batch are equal.",
        "Distinct rows per batch.",
        "Count torch.unique(real, dim=0).", "Sample without replacement.", "bookkeeping",
    ),
    Cause(
        "unshuffled", "Batches are ordered",
        "Batches differ from each other far more than samples of one batch explain: data are sorted, by class for "
        "instance.", "Variance of batch means over (variance within / n); healthy 1, at most 4; ordered 31 and more.",
        "Print the labels of a batch.", "Shuffle: DataLoader(shuffle=True).", "bookkeeping",
    ),
    Cause(
        "latents_reused", "The same latents again", "The generator trains on one fixed batch of latents.",
        "Hash of z over windows.", "Print z.sum() in the loop.", "Draw z anew in each step.", "bookkeeping",
    ),
    Cause(
        "latents_constant", "Latents do not vary", "The latents of a batch are all equal.", "Standard deviation 0.",
        "Print z.std(0).", "Draw one latent per sample.", "bookkeeping",
    ),
    Cause(
        "latent_mismatch", "Latents differ between training and sampling",
        "The generator is sampled with latents of another distribution than it was trained with. Of inputs that are "
        "no noise (images, spectra, rows) nothing is said, and beside conditions the columns of noise are compared.",
        "Mean and standard deviation of what it was called with, in training and inside sampling.",
        "Print z.mean(), z.std() in both places.", "Draw both with one function.", "bookkeeping",
    ),
    Cause(
        "sampled_in_other_mode", "Sampling differs from training by mode",
        "Sampled in eval mode the generator gives other samples than in training mode (batch-norm statistics have not "
        "settled or do not fit).", "Energy distance of G(z) in both modes; healthy below 0.18, or no more than is left "
        "of the samples' distance to the data.",
        "Sample in train() mode and compare.",
        "Recompute the running statistics, or use a normalisation without them.", "bookkeeping",
    ),
    Cause(
        "labels_unrelated", "Labels do not belong to the samples",
        "Samples and labels are drawn apart or permuted: neighbours in data do not share labels.",
        "Nearest-neighbour accuracy at the chance level, from 200 rows on; of photographs, or of whole numbers that "
        "nobody called labels, a remark.", "Look at ten samples with their labels.",
        "Index samples and labels with the same permutation.", "bookkeeping",
    ),
    Cause(
        "labels_differ_between_players", "The critic judges samples under other labels than they were made with",
        "The labels of the fake batch at the critic are not those that the generator was called with.",
        "Inputs of both networks compared.", "Print both labels.", "Pass the same label tensor to both.", "bookkeeping",
    ),
    Cause(
        "evaluation_too_few_samples", "Evaluated on too few samples",
        "The number of samples makes the distance's bias or interval larger than the differences read from it.",
        "Bias of FID falls as 1/n.", "Evaluate two halves apart.",
        "Draw thousands (FID: 10,000 and more, always as many), and read the interval.",
        "bookkeeping",
    ),
)  # fmt: skip
