"""Planted faults: energies, averages of scores."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.eighth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "ebgan_plumes")
ENERGY = (
    f(
        "margin_on_real",
        "critic_sign_flipped",
        "    loss = d_objective(energy_real, energy_fake)",
        "    loss = d_objective(energy_fake, energy_real)",
        also="critic_loss_other refuted_unexplained",
    ),
    f(
        "margin_forgotten",
        "critic_fake_half_missing",
        "    loss = d_objective(energy_real, energy_fake)",
        "    loss = energy_real.mean()",
    ),
    f(
        "encoder_fixed",
        "optimizer_misses_parameters",
        "Adam(D.parameters(), 1e-3",
        "Adam(D.encoder[0].parameters(), 1e-3",
        also="critic_frozen critic_not_stepped",
    ),
    f(
        "unit_scale_lost",
        "data_scale",
        "DataLoader(data.plumes(3000)",
        "DataLoader(data.plumes(3000) / 20",
        also="data_range critic_shown_other_real",
    ),
    f(
        "constant_profile",
        "data_constant",
        "DataLoader(data.plumes(3000)",
        "DataLoader(data.plumes(1).repeat(3000, 1)",
        also="data_scale few_rows rows_repeated batch_repeated mode_collapse_total",
    ),
    f(
        "sixty_profiles",
        "few_rows",
        "DataLoader(data.plumes(3000)",
        "DataLoader(data.plumes(12).repeat(10, 1)",
        also="batch_repeated critic_overfitting generator_memorising rows_repeated mode_collapse_partial",
    ),
    f(
        "in_order_of_height",
        "unshuffled",
        "DataLoader(data.plumes(3000), BATCH, shuffle=True",
        "DataLoader(data.plumes(3000)[data.plumes(3000).amax(1).argsort()], BATCH, shuffle=False",
    ),
    f(
        "log_of_energy",
        "non_finite",
        "return (self.decoder(code) - x).square().mean(1), code",
        "return (self.decoder(code) - x).square().mean(1).sub(0.05).log(), code",
        late=True,
    ),
    f("generator_forgotten", "generator_not_stepped", "    g_opt.step()\n", ""),
    f(
        "margin_sixty",
        "critic_too_strong",
        "MARGIN, PT_WEIGHT = 0.15",
        "MARGIN, PT_WEIGHT = 60.0",
        "Adam(D.parameters(), 1e-3",
        "Adam(D.parameters(), 1e-2",
        also=CRITIC_FAST + " rotation_undamped",
    ),
    f(
        "one_code",
        "generator_ill_conditioned",
        "nn.Linear(ZDIM, 48), nn",
        "nn.Linear(ZDIM, 1), nn.Linear(1, 48), nn",
        also=COLLAPSE,
    ),
)

f = partial(fault, "ragan_commas")
AVERAGES = (
    f(
        "only_last_layer",
        "critic_frozen",
        "    for p in D.parameters():\n        p.requires_grad = True\n",
        "    for p in D[-1].parameters():\n        p.requires_grad = True\n",
        also="critic_too_weak",
    ),
    f(
        "plain_squares",
        "critic_loss_other",
        "        errD = errors_D(y_pred, y_pred_fake)\n",
        "        errD = ((y_pred - 1) ** 2).mean() / 2 + (y_pred_fake**2).mean() / 2\n",
    ),
    f(
        "average_instead_of_relative",
        "generator_loss_other",
        "    errG = errors_G(y_pred, y_pred_fake)\n",
        "    errG = -y_pred_fake.mean()\n",
    ),
    f(
        "decay_every_batch",
        "schedule_too_fast",
        "    if (i + 1) % 50 == 0:\n",
        "    if True:\n",
        also="generator_step_too_small learning_rate_zero critic_step_too_small",
        late=True,
    ),
    f(
        "decay_two",
        "weight_decay_crippling",
        "lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5, 0.99, 0.0",
        "lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5, 0.99, 3.0",
    ),
    f(
        "built_before_copy",
        "optimizer_wrong_parameters",
        "decayD = optim",
        "D = make([2, param.n_hidden, param.n_hidden, 1])\ndecayD = optim",
        also="critic_not_stepped optimizer_other_player optimizer_misses_parameters",
    ),
    f("no_zero_in_g", "generator_gradient_accumulated", "    G.zero_grad()\n", ""),
    f(
        "sigmoid_scores",
        "bounded_scores",
        "D = make([2, param.n_hidden, param.n_hidden, 1])",
        "D = make([2, param.n_hidden, param.n_hidden, 1], nn.Sigmoid())",
        also="probability_as_score double_sigmoid",
    ),
    f(
        "rates_both_up",
        "rotation_undamped",
        "lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5",
        "lr_D, lr_G, beta1, beta2, decay = 0.02, 0.02, 0.9",
        also="generator_step_too_large critic_step_too_large momentum_too_high critic_too_strong",
    ),
    f(
        "d_hardly_moves",
        "critic_too_weak",
        "lr_D, lr_G, beta1, beta2, decay = 0.002",
        "lr_D, lr_G, beta1, beta2, decay = 0.00001",
        also=CRITIC_SLOW + " critic_step_too_small",
    ),
    f(
        "first_layer_of_zeros",
        "mode_collapse_total",
        "optimizerD = optim",
        "nn.init.zeros_(G[0].weight).requires_grad_(False)\noptimizerD = optim",
        also=COLLAPSE + " generator_frozen",
    ),
)
