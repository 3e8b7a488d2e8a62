"""The catalogue: every planted fault, the causes that name it rightly, and the best evidence that exists for it.

``causes`` holds the slugs of ``tightrope.monitor.causes`` that are right: the planted cause first, then names for the
same mistake seen from its other side (a rectified generator before signed data is a matter of the generator's range as
of the data's). A consequence of the fault is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What a fault is called when it is found.

    Attributes:
        causes: Right names, at least one.
        evidence: ``exact`` where bookkeeping or the gradient can know it, ``slow`` where a response or statistic must.
    """

    causes: tuple[str, ...]
    evidence: str = "exact"


ABSENT = ("penalty_absent", "penalty_detached")  # equal gradients: only the penalty's graph tells them apart
WRONG_OPTIMIZER = ("optimizer_other_player", "optimizer_wrong_parameters")

FAULTS: dict[str, Fault] = {
    # whose parameters, what moves
    "optimizer_swapped": Fault(WRONG_OPTIMIZER),
    "optimizer_both": Fault(("optimizer_other_player",)),
    "optimizer_stale": Fault(("optimizer_wrong_parameters",)),
    "optimizer_partial": Fault(("optimizer_misses_parameters",)),
    "frozen_critic": Fault(("critic_frozen",)),
    "frozen_generator_part": Fault(("generator_frozen",)),
    "generator_step_missing": Fault(("generator_not_stepped", "generator_step_too_small")),
    "critic_step_missing": Fault(("critic_not_stepped", "critic_too_weak", "n_critic_swapped")),
    "generator_detached": Fault(("generator_detached", "generator_loss_without_critic")),
    "steps_swapped": Fault(("n_critic_swapped", "critic_too_weak")),
    "rate_option_lost": Fault(("learning_rate_not_reached", "generator_step_too_small")),
    "generator_rate_low": Fault(("generator_step_too_small", "learning_rate_zero")),
    "critic_rate_low": Fault(("critic_step_too_small", "critic_too_weak", "learning_rate_zero")),
    "schedule_often": Fault(("schedule_too_fast",)),
    "weight_decay": Fault(("weight_decay_crippling",)),
    "eval_mode": Fault(("eval_mode_in_training",)),
    "resume_lost": Fault(("optimizer_lost_on_resume", "schedule_lost_on_resume")),
    "nan_layer": Fault(("non_finite",)),
    "data_nan": Fault(("non_finite",)),
    # averages, sampling
    "ema_slow": Fault(("average_too_slow",)),
    "ema_never": Fault(("average_is_not_updated",)),
    "ema_of_other": Fault(("average_is_not_updated", "average_too_slow")),
    "ema_without_buffers": Fault(("average_buffers_not_copied",)),
    "ema_train_mode": Fault(("sampled_in_other_mode",)),
    "sampled_in_eval": Fault(("sampled_in_other_mode",)),
    "latent_fixed": Fault(("latents_reused",)),
    "latent_uniform": Fault(("latent_mismatch",)),
    "latent_scale": Fault(("latent_mismatch",)),
    "latent_shift": Fault(("latent_mismatch",)),
    # data
    "data_scaled": Fault(("data_range", "data_scale")),
    "generator_range": Fault(("data_range", "generator_range_rectified")),
    "data_channels": Fault(("channel_order",)),
    "data_few": Fault(("few_rows", "batch_repeated", "critic_overfitting", "generator_memorising")),
    "data_repeated": Fault(("few_rows", "rows_repeated")),
    "batch_same": Fault(("batch_repeated", "few_rows")),
    "data_sorted": Fault(("unshuffled",)),
    "noise_on_real": Fault(("critic_shown_other_real",)),
    "labels_apart": Fault(("labels_unrelated", "labels_differ_between_players")),
    "labels_permuted": Fault(("labels_unrelated",)),
    # losses
    "sign_critic": Fault(("critic_sign_flipped",)),
    "sign_generator": Fault(("generator_sign_flipped",)),
    "saturating": Fault(("generator_loss_other", "generator_gradient_vanishes")),
    "half_real_only": Fault(("critic_fake_half_missing",)),
    "half_fake_only": Fault(("critic_real_half_missing",)),
    "score_sigmoid": Fault(("probability_as_score", "double_sigmoid", "bounded_scores")),
    "score_tanh": Fault(("bounded_scores",)),
    "score_relu": Fault(("rectified_scores", "bounded_scores")),
    "gradient_left_critic": Fault(("critic_gradient_accumulated", "generator_gradient_in_critic")),
    "gradient_left_generator": Fault(("generator_gradient_accumulated",)),
    "generator_gradient_left": Fault(("generator_gradient_in_critic",)),
    "reconstruction_drowns": Fault(("reconstruction_drowns_adversarial",)),
    "adversary_drowns": Fault(("adversarial_drowns_reconstruction",)),
    # the constraint
    "penalty_absent": Fault((*ABSENT, "constraint_missing", "clip_absent")),
    "penalty_detached": Fault(("penalty_detached", "penalty_absent")),
    "penalty_axes": Fault(("penalty_norm_axes", "penalty_other_kind")),
    "penalty_packs": Fault(("penalty_norm_axes", "penalty_other_kind", "penalty_weight_wrong")),
    "penalty_place": Fault(("penalty_other_place",)),
    "penalty_centre": Fault(("penalty_other_kind",)),
    "penalty_sign": Fault(("penalty_weight_wrong", "penalty_other_kind")),
    "penalty_weight": Fault(("penalty_weight_wrong", "penalty_too_strong", "penalty_too_weak")),
    "lazy_unscaled": Fault(("penalty_too_lazy", "penalty_weight_wrong", "penalty_absent")),
    "amp_penalty_scale": Fault(("penalty_under_loss_scale", "penalty_weight_wrong")),
    "constraint_absent": Fault(("constraint_missing",)),
    "constraint_partly": Fault(("constraint_partial", "clip_absent", "clip_other")),
    "constraint_vacuous": Fault(("constraint_vacuous",), "slow"),
    "clip_width": Fault(("clip_other", "clip_crippling", "clip_absent")),
    "batch_norm_in_critic": Fault(("penalty_under_batch_norm", "batch_norm_coupling")),
    "batch_norm_joint": Fault(("batch_norm_coupling",), "slow"),
    "spectral_norm_stale": Fault(("spectral_norm_stale", "eval_mode_in_training")),
    # responses
    "critic_rate_high": Fault(("critic_step_too_large", "critic_too_strong", "generator_gradient_vanishes"), "slow"),
    "generator_rate_high": Fault(("generator_step_too_large", "critic_too_weak"), "slow"),
    "rates_high": Fault(("generator_step_too_large", "critic_step_too_large"), "slow"),
    "momentum_high": Fault(("momentum_too_high", "rotation_undamped"), "slow"),
    "rotation": Fault(("rotation_undamped", "loss_needs_lipschitz", "momentum_too_high"), "slow"),
    "critic_too_many": Fault(("critic_too_strong", "generator_gradient_vanishes"), "slow"),
    "penalty_strong_claimed": Fault(("penalty_too_strong",), "slow"),
    "unconstrained": Fault(("loss_needs_lipschitz",)),
    "clip_tight_claimed": Fault(("clip_crippling",), "slow"),
    "latent_ignored": Fault(("mode_collapse_total", "mode_collapse_partial", "generator_ill_conditioned"), "slow"),
    "generator_flat": Fault(("generator_ill_conditioned", "mode_collapse_partial"), "slow"),
    "evaluation_small": Fault(("evaluation_too_few_samples",)),
}

NAMELESS = ("unknown_trouble", "no_progress", "refuted_unexplained", "healthy")
"""Findings that name no cause: to begin with one of them is to abstain, neither right nor wrong."""


def right(fault: str, cause: str) -> bool:
    """Whether a finding's cause is a right name of a planted fault."""
    return cause in FAULTS[fault].causes
