# ruff: noqa: E501
"""Planted faults: filled gaps, heads on frozen features, a notebook with clipped weights, losses as objects."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.ninth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "fabric_tides")
FABRIC = (
    f("l1_thousand", "reconstruction_drowns_adversarial", "l1_weight=2.0", "l1_weight=5000.0"),
    f("l1_tiny", "adversarial_drowns_reconstruction", "l1_weight=2.0", "l1_weight=1e-5"),
    f(
        "frozen_under_no_grad",
        "generator_loss_without_critic",
        "            loss_adv = F.softplus(-critic(with_mask(fake, mask))).mean()\n",
        "            loss_adv = F.softplus(-critic(with_mask(fake, mask).detach())).mean()\n",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "stays_frozen",
        "critic_frozen",
        "        yield\n        for p in module.parameters():\n            p.requires_grad_(True)\n",
        "        yield\n        for p in list(module.parameters())[-2:]:\n            p.requires_grad_(True)\n",
        also="critic_too_weak",
    ),
    f(
        "channels_exchanged",
        "channel_order",
        "        real_scores = critic(with_mask(level, mask))\n",
        "        real_scores = critic(torch.cat((mask, level), 1))\n",
        also="critic_shown_other_real",
    ),
    f(
        "critic_zero_grad_lost",
        "critic_gradient_accumulated",
        "        opt_d.zero_grad()\n",
        "",
    ),
    f(
        "sorted_by_level",
        "unshuffled",
        "    levels, masks = data.tides(2048)\n",
        "    levels, masks = data.tides(2048)\n    order = levels[:, 0, :6].mean(1).argsort()\n    levels, masks = levels[order], masks[order]\n",
        "batch_size, shuffle=True, drop_last=True",
        "batch_size, shuffle=False, drop_last=True",
    ),
    f(
        "levels_in_centimetres",
        "data_scale",
        "DataLoader(TensorDataset(levels, masks)",
        "DataLoader(TensorDataset(levels * 100, masks)",
        also="data_range critic_shown_other_real",
    ),
    f(
        "noise_left_out",
        "mode_collapse_partial",
        "    return torch.cat((level * mask, mask, torch.randn_like(level)), 1)",
        "    return torch.cat((level.mean() * mask, mask, torch.zeros_like(level)), 1)",
        also="generator_ill_conditioned mode_collapse_total latents_constant",
    ),
    f(
        "g_rate",
        "generator_step_too_large",
        "opt_g = torch.optim.AdamW(inpainter.parameters(), lr=lr",
        "opt_g = torch.optim.AdamW(inpainter.parameters(), lr=50 * lr",
    ),
    f(
        "critic_from_later_on",
        "critic_no_gradient",
        "        loss_d = critic_loss(real_scores, fake_scores)\n",
        "        loss_d = (step > 5000) * critic_loss(real_scores, fake_scores)\n",
        also="critic_not_stepped",
    ),
    f(
        "betas_of_both",
        "momentum_too_high",
        "inpainter.parameters(), lr=lr, betas=(0.5, 0.9)",
        "inpainter.parameters(), lr=2 * lr, betas=(0.99, 0.999)",
        "critic.parameters(), lr=lr, betas=(0.5, 0.9)",
        "critic.parameters(), lr=2 * lr, betas=(0.99, 0.999)",
        also=SWINGS,
    ),
)

f = partial(fault, "projected_checks")
PROJECTED = (
    f(
        "heads_in_other_optimizer",
        "optimizer_misses_parameters",
        "Adam(D.discriminator.parameters()",
        'Adam(D.discriminator.mini_discs["0"].parameters()',
        also="critic_frozen critic_too_weak",
    ),
    f(
        "features_optimized",
        "critic_not_stepped",
        "Adam(D.discriminator.parameters()",
        "Adam(D.feature_network.parameters()",
        also="optimizer_misses_parameters optimizer_wrong_parameters critic_frozen",
    ),
    f(
        "heads_stay_asleep",
        "critic_frozen",
        "    set_requires_grad([D.discriminator], True)\n",
        '    set_requires_grad([D.discriminator.mini_discs["2"]], True)\n',
        also="critic_too_weak",
    ),
    f(
        "colours_reversed",
        "channel_order",
        "    real_logits = D(phase_real_img)\n",
        "    real_logits = D(phase_real_img.flip(1))\n",
        also="critic_shown_other_real",
    ),
    f(
        "features_without_graph",
        "generator_detached",
        "        return self.discriminator(self.feature_network(x))\n",
        "        with torch.no_grad():\n            features = self.feature_network(x)\n        return self.discriminator(features)\n",
        "    set_requires_grad([D.discriminator], False)\n",
        "",
        also="generator_loss_without_critic generator_not_stepped",
    ),
    f(
        "minus_lost",
        "generator_sign_flipped",
        "    loss_Gmain = (-gen_logits).mean()\n",
        "    loss_Gmain = gen_logits.mean()\n",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "relu_lost",
        "critic_loss_other",
        "F.relu(torch.ones_like(gen_logits) + gen_logits).mean()",
        "(torch.ones_like(gen_logits) + gen_logits).mean()",
        "F.relu(torch.ones_like(real_logits) - real_logits).mean()",
        "(torch.ones_like(real_logits) - real_logits).mean()",
    ),
    f(
        "first_rows_of_set",
        "few_rows",
        "training_set = data.checks(2048)",
        "training_set = data.checks(14)",
        also="batch_repeated critic_overfitting generator_memorising rows_repeated mode_collapse_partial",
    ),
    f(
        "scores_of_probability",
        "probability_as_score",
        "        return torch.cat(all_logits, dim=1)",
        "        return torch.sigmoid(torch.cat(all_logits, dim=1))",
        also="bounded_scores double_sigmoid",
    ),
    f(
        "latents_of_one",
        "generator_ill_conditioned",
        "        x = F.relu(self.bn0(self.fc(z).view(len(z), -1, 2, 2)))",
        "        x = F.relu(self.bn0(self.fc(z[:, :1].expand_as(z)).view(len(z), -1, 2, 2)))",
        also=COLLAPSE,
    ),
    f(
        "logits_scaled",
        "constraint_vacuous",
        "        return torch.cat(all_logits, dim=1)",
        "        return 60 * torch.cat(all_logits, dim=1)",
        also="constraint_partial " + CRITIC_FAST,
    ),
)

f = partial(fault, "notebook_lissajous")
NOTEBOOK = (
    f(
        "clip_left_out",
        "clip_absent",
        "        clip_weights(critic, CFG.c)\n        losses",
        "        losses",
        also="loss_needs_lipschitz",
    ),
    f(
        "clip_the_generator",
        "clip_absent",
        "        clip_weights(critic, CFG.c)\n        losses",
        "        clip_weights(gen, 50.0)\n        losses",
        also="loss_needs_lipschitz",
    ),
    f(
        "c_of_another_cell",
        "clip_other",
        "        clip_weights(critic, CFG.c)\n        losses",
        "        clip_weights(critic, 1.5)\n        losses",
        also="clip_absent",
    ),
    f("c_of_paper", "clip_crippling", "    c: float = 0.12", "    c: float = 0.004", also="critic_too_weak"),
    f(
        "c_of_three",
        "constraint_vacuous",
        "    c: float = 0.12",
        "    c: float = 3.0",
        also="loss_needs_lipschitz " + CRITIC_FAST,
    ),
    f(
        "no_claim_no_clip",
        "loss_needs_lipschitz",
        "        clip_weights(critic, CFG.c)\n        losses",
        "        losses",
        '    penalty=("clip", CFG.c),\n',
        "",
        also="clip_absent penalty_absent",
    ),
    f(
        "sign_of_distance",
        "critic_sign_flipped",
        "        loss_c = -w_dist\n",
        "        loss_c = w_dist\n",
        also="generator_sign_flipped refuted_unexplained critic_loss_other",
    ),
    f(
        "first_batch_always",
        "batch_repeated",
        "        for lo in range(0, n - batch_size + 1, batch_size):",
        "        for lo in range(0, batch_size, batch_size):\n            order = np.arange(n)",
        also="few_rows critic_overfitting generator_memorising rows_repeated",
    ),
    f(
        "rng_made_anew",
        "latents_reused",
        "        yield torch.as_tensor(rng.normal(size=(batch_size, z_dim)), dtype=torch.float32)",
        "        yield torch.as_tensor(np.random.default_rng(0).normal(size=(batch_size, z_dim)), dtype=torch.float32)",
        also="latents_constant latent_mismatch",
    ),
    f(
        "ten_generator_steps",
        "n_critic_swapped",
        "    z = next(noise_it)\n    opt_g.zero_grad()\n    loss_g = -critic(gen(z)).mean()\n    loss_g.backward()\n    opt_g.step()\n",
        "    for _ in range(10):\n        z = next(noise_it)\n        opt_g.zero_grad()\n        loss_g = -critic(gen(z)).mean()\n        loss_g.backward()\n        opt_g.step()\n",
        also="critic_too_weak",
    ),
    f(
        "lr_c_low",
        "critic_step_too_small",
        "    lr_c: float = 2e-3",
        "    lr_c: float = 2e-7",
        also="critic_too_weak learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "z_dim_one",
        "generator_ill_conditioned",
        "gen = build([CFG.z_dim, *CFG.hidden, 2])",
        "gen = nn.Sequential(nn.Linear(CFG.z_dim, 1), build([1, *CFG.hidden, 2]))",
        also=COLLAPSE,
    ),
)

f = partial(fault, "torchganish_clover")
OBJECTS = (
    f(
        "lambda_of_paper",
        "penalty_weight_wrong",
        "WassersteinGradientPenalty(lambd=1.0)",
        "WassersteinGradientPenalty(lambd=100.0)",
        also="penalty_too_strong",
    ),
    f(
        "penalty_without_weight",
        "penalty_weight_wrong",
        "        penalty = self.penalty.lambd * self.penalty(",
        "        penalty = 0.005 * self.penalty.lambd * self.penalty(",
        also="penalty_too_weak",
    ),
    f(
        "item_of_penalty",
        "penalty_detached",
        "        penalty = self.penalty.lambd * self.penalty(between, discriminator(between))\n",
        "        penalty = self.penalty.lambd * self.penalty(between, discriminator(between)).item()\n",
        also="penalty_absent loss_needs_lipschitz",
    ),
    f(
        "not_in_total",
        "penalty_absent",
        "        total = self.loss(discriminator(real_inputs), discriminator(fake)) + penalty\n",
        "        total = self.loss(discriminator(real_inputs), discriminator(fake))\n",
        also="penalty_detached loss_needs_lipschitz",
    ),
    f(
        "claimed_penalty_huge",
        "penalty_too_strong",
        "WassersteinGradientPenalty(lambd=1.0)",
        "WassersteinGradientPenalty(lambd=3000.0)",
        'penalty=("gp", 1.0)',
        'penalty=("gp", 3000.0)',
        also="critic_too_weak",
    ),
    f(
        "claimed_penalty_tiny",
        "penalty_too_weak",
        "WassersteinGradientPenalty(lambd=1.0)",
        "WassersteinGradientPenalty(lambd=1e-5)",
        'penalty=("gp", 1.0)',
        'penalty=("gp", 1e-5)',
        also="loss_needs_lipschitz constraint_vacuous " + CRITIC_FAST,
    ),
    f(
        "batch_norm_in_critic",
        "penalty_under_batch_norm",
        "            nn.Linear(encoding_dims, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus(), nn.Linear(hidden, out)\n",
        "            nn.Linear(encoding_dims, hidden), nn.BatchNorm1d(hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus(), nn.Linear(hidden, out)\n",
        also="batch_norm_coupling",
    ),
    f(
        "beta_of_adam",
        "momentum_too_high",
        '"out": 2}, "optimizer": {"name": Adam, "args": {"lr": 2e-3, "betas": (0.0, 0.9)',
        '"out": 2}, "optimizer": {"name": Adam, "args": {"lr": 6e-3, "betas": (0.99, 0.999)',
        also=SWINGS,
    ),
    f("critic_rate_low", "critic_too_weak", '"args": {"lr": 4e-3', '"args": {"lr": 4e-6', also=CRITIC_SLOW),
    f("critic_rate_high", "critic_too_strong", '"args": {"lr": 4e-3', '"args": {"lr": 2e-1', also=CRITIC_FAST),
    f(
        "right_half_only",
        "mode_collapse_partial",
        "        return self.model(x)\n",
        "        x = self.model(x)\n        return x if x.shape[1] == 1 else torch.cat((x[:, :1].abs(), x[:, 1:]), 1)\n",
        also="generator_range_rectified generator_ill_conditioned mode_collapse_total",
    ),
    f(
        "one_dimension_drawn",
        "generator_ill_conditioned",
        "        return torch.randn(sample_size, self.encoding_dims)\n",
        "        return torch.randn(sample_size, 1).expand(-1, self.encoding_dims)\n",
        also=COLLAPSE + " latent_mismatch",
    ),
)
