# ruff: noqa: E501
"""Planted faults: divergences by name, relative hinges at two rates, classes in closures, returns of days."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.ninth.faults_a import COLLAPSE, CRITIC_FAST, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "fgan_wedges")
DIVERGENCES = (
    f(
        "other_divergence",
        "critic_loss_other",
        "        loss = variational(var(x), var(gen(z).detach()))\n",
        '        loss = make_objective("pearson")[0](var(x), var(gen(z).detach()))\n',
    ),
    f(
        "conjugate_for_generator",
        "generator_loss_other",
        "        loss = generator(var(gen(z)))\n",
        '        loss = -DIVERGENCES["pearson"][1](var(gen(z))).mean()\n',
    ),
    f("step_of_v_lost", "critic_not_stepped", "        opt_v.step()\n", "", also="critic_frozen"),
    f("step_of_g_lost", "generator_not_stepped", "        opt_g.step()\n", ""),
    f("zero_grad_of_g_lost", "generator_gradient_accumulated", "        opt_g.zero_grad()\n", ""),
    f(
        "weights_of_sampler",
        "few_rows",
        "        return x[torch.multinomial(torch.ones(len(x)), batch_size)]",
        "        return x[torch.multinomial(torch.ones(len(x)).index_fill(0, torch.arange(12, len(x)), 0), batch_size, replacement=True)]",
        also="batch_repeated critic_overfitting generator_memorising rows_repeated mode_collapse_partial",
    ),
    f(
        "z_once",
        "latents_reused",
        "objective, draw_x, lambda: torch.randn(batch_size, z_dim))",
        "objective, draw_x, lambda z=torch.randn(batch_size, z_dim): z)",
        also="latents_constant latent_mismatch",
    ),
    f(
        "rate_of_v",
        "critic_step_too_large",
        "torch.optim.Adam(var.parameters(), lr,",
        "torch.optim.Adam(var.parameters(), 100 * lr,",
        also=CRITIC_FAST,
    ),
    f("beta", "momentum_too_high", "lr=2e-3, beta=0.5", "lr=5e-3, beta=0.99", also=SWINGS),
    f(
        "last_relu",
        "mode_collapse_partial",
        "nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))",
        "nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2), nn.ReLU())",
        also="generator_range_rectified generator_ill_conditioned mode_collapse_total",
    ),
)

f = partial(fault, "rahinge_knots")
RELATIVE = (
    f(
        "dis_loss_for_gen",
        "generator_sign_flipped",
        "        g_loss = criterion.gen(r_scores, dis(x_fake))\n",
        "        g_loss = criterion.dis(r_scores, dis(x_fake))\n",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "plain_hinge",
        "critic_loss_other",
        "        d_loss = criterion.dis(dis(x_real), dis(x_fake.detach()))\n",
        "        d_loss = torch.relu(1 - dis(x_real)).mean() + torch.relu(1 + dis(x_fake.detach())).mean()\n",
    ),
    f(
        "relu_at_the_end",
        "rectified_scores",
        "        return self.out(torch.relu(self.res(self.inp(x)))).view(-1)",
        "        return torch.relu(self.out(torch.relu(self.res(self.inp(x))))).view(-1)",
    ),
    f(
        "tanh_at_the_end",
        "bounded_scores",
        "        return self.out(torch.relu(self.res(self.inp(x)))).view(-1)",
        "        return 0.1 * torch.tanh(self.out(torch.relu(self.res(self.inp(x))))).view(-1)",
        also="probability_as_score",
    ),
    f(
        "decay_from_zero",
        "learning_rate_zero",
        "g_sched, d_sched = LambdaLR(g_optim, decay), LambdaLR(d_optim, decay)",
        "g_sched, d_sched = LambdaLR(g_optim, lambda it: it // TOTAL), LambdaLR(d_optim, decay)",
        also="generator_step_too_small learning_rate_not_reached schedule_too_fast",
    ),
    f(
        "decay_by_steps_of_ten",
        "schedule_too_fast",
        "        d_sched.step()\n",
        '        d_sched.step()\n        for s in (g_sched, d_sched):\n            for group in s.optimizer.param_groups:\n                group["lr"] = s.base_lrs[0] * 0.9**it\n',
        also="generator_step_too_small critic_step_too_small learning_rate_zero",
        late=True,
    ),
    f(
        "rates_not_two",
        "rotation_undamped",
        "LR_G, LR_D, B1, B2 = 1e-3, 4e-3, 0.0, 0.9",
        "LR_G, LR_D, B1, B2 = 1.5e-2, 1.5e-2, 0.9, 0.9",
        also="generator_step_too_large critic_step_too_large momentum_too_high critic_too_strong",
    ),
    f(
        "weights_normal",
        "critic_too_strong",
        "gen, dis = G().apply(weights_init), D().apply(weights_init)",
        "gen, dis = G().apply(weights_init), D().apply(weights_init)\nnn.init.normal_(dis.out.weight, 0, 30)",
        also=CRITIC_FAST + " constraint_vacuous",
    ),
    f("rate_of_g", "generator_step_too_large", "LR_G, LR_D, B1, B2 = 1e-3", "LR_G, LR_D, B1, B2 = 6e-2"),
    f(
        "b1_of_both",
        "momentum_too_high",
        "LR_G, LR_D, B1, B2 = 1e-3, 4e-3, 0.0, 0.9",
        "LR_G, LR_D, B1, B2 = 2e-3, 8e-3, 0.98, 0.99",
        also=SWINGS,
    ),
    f(
        "flattened_knot",
        "mode_collapse_partial",
        "        return self.out(torch.relu(self.res(self.inp(z))))",
        "        return self.out(torch.relu(self.res(self.inp(z)))) * torch.tensor([1.0, 1.0, 0.0])",
        also="generator_ill_conditioned mode_collapse_total",
    ),
    f(
        "first_layer_narrow",
        "generator_ill_conditioned",
        "        self.inp = nn.Linear(Z, H)\n",
        "        self.inp = nn.Sequential(nn.Linear(Z, 1), nn.Linear(1, H))\n",
        also=COLLAPSE,
    ),
)

f = partial(fault, "state_leaves")
STATES = (
    f(
        "labels_of_other_rows",
        "labels_unrelated",
        "        yield Batch(x[pick], y[pick])",
        "        yield Batch(x[pick], y[pick.flip(0)])",
        also="labels_differ_between_players",
    ),
    f(
        "critic_asks_for_others",
        "labels_differ_between_players",
        "        loss_fake = F.softplus(d(fake, batch.y)).mean()",
        "        loss_fake = F.softplus(d(fake, batch.y.roll(1))).mean()",
        also="labels_unrelated",
    ),
    f(
        "generator_judged_for_others",
        "labels_differ_between_players",
        "        return F.softplus(-d(g(z, y), y)).mean()",
        "        return F.softplus(-d(g(z, y), torch.randint(0, NUM_CLASSES, y.shape))).mean()",
        also="labels_unrelated",
    ),
    f(
        "decay_of_papers",
        "average_too_slow",
        "gamma=0.1, decay=0.9)",
        "gamma=0.1, decay=0.9995)",
        also="average_is_not_updated",
    ),
    f(
        "ema_is_the_model",
        "average_is_live",
        "    ema = copy.deepcopy(g).requires_grad_(False)\n",
        "    ema = g\n",
    ),
    f(
        "gamma_of_sums",
        "penalty_weight_wrong",
        "0.5 * gamma * grad_penalty",
        "40 * gamma * grad_penalty",
        also="penalty_too_strong",
    ),
    f(
        "claimed_gamma_ten",
        "penalty_too_strong",
        "train_step = make_train_step(gamma=0.1",
        "train_step = make_train_step(gamma=300.0",
        'penalty=("r1", 0.1)',
        'penalty=("r1", 300.0)',
        also="critic_too_weak",
    ),
    f(
        "tx_of_new_networks",
        "optimizer_wrong_parameters",
        "    tx_g = torch.optim.NAdam(g.parameters()",
        "    tx_g = torch.optim.NAdam(Generator().parameters()",
        also="generator_not_stepped optimizer_misses_parameters optimizer_other_player",
    ),
    f(
        "three_per_class",
        "critic_overfitting",
        "balanced(*data.leaves(3000), per_class=12)",
        "balanced(*data.leaves(20), per_class=12)",
        "lr_g=2e-3, lr_d=2e-3",
        "lr_g=2e-3, lr_d=8e-3",
        also=FEW + " rows_repeated",
    ),
    f(
        "one_noise_for_all",
        "generator_ill_conditioned",
        "        return self.net(torch.cat((z, self.embed(y)), 1))",
        "        return self.net(torch.cat((0.01 * z, self.embed(y)), 1))",
        also=COLLAPSE,
    ),
    f(
        "rates_up_and_no_penalty",
        "rotation_undamped",
        "make_states(lr_g=2e-3, lr_d=2e-3, b1=0.5)",
        "make_states(lr_g=2e-2, lr_d=2e-2, b1=0.9)",
        "train_step = make_train_step(gamma=0.1",
        "train_step = make_train_step(gamma=0.0",
        '    penalty=("r1", 0.1),\n',
        "",
        also="generator_step_too_large critic_step_too_large momentum_too_high critic_too_strong",
    ),
)

f = partial(fault, "quant_returns")
RETURNS = (
    f(
        "with_logits",
        "double_sigmoid",
        "criterion = nn.BCELoss()",
        "criterion = nn.BCEWithLogitsLoss()",
        also="bounded_scores probability_as_score",
    ),
    f(
        "label_of_real_forgotten",
        "critic_real_half_missing",
        "        disc_loss = criterion(netD(real), torch.full((batch_size, 1), 1.0)) + criterion(\n",
        "        disc_loss = 0 * criterion(netD(real), torch.full((batch_size, 1), 1.0)) + criterion(\n",
    ),
    f(
        "twentieth_of_fake",
        "critic_halves_unequal",
        "        disc_loss = criterion(netD(real), torch.full((batch_size, 1), 1.0)) + criterion(\n",
        "        disc_loss = criterion(netD(real), torch.full((batch_size, 1), 1.0)) + 0.05 * criterion(\n",
        also="critic_fake_half_missing",
    ),
    f(
        "not_detached_and_summed",
        "generator_gradient_in_critic",
        "        netD.zero_grad()\n",
        "        netD.zero_grad()\n        netG.zero_grad()\n",
        "            netD(fake.detach()), torch.full((batch_size, 1), 0.0)\n        )\n        disc_loss.backward()\n",
        "            netD(fake), torch.full((batch_size, 1), 0.0)\n        )\n        disc_loss.backward(retain_graph=True)\n",
        "        optD.step()\n\n        netG.zero_grad()\n        gen_loss = criterion(netD(fake)",
        "        optD.step()\n        gen_loss = criterion(netD(netG(noise))",
        also="generator_gradient_accumulated generator_loss_other",
    ),
    f(
        "generator_under_no_grad",
        "generator_detached",
        "        gen_loss = criterion(netD(fake), torch",
        "        gen_loss = criterion(netD(fake.data), torch",
        also="generator_not_stepped",
    ),
    f(
        "never_zeroed",
        "critic_gradient_accumulated",
        "        netD.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f(
        "scaled_twice",
        "data_scale",
        "log_returns_preprocessed = (log_returns - mean) / std",
        "log_returns_preprocessed = ((log_returns - mean) / std) / 30",
        also="data_range critic_shown_other_real",
    ),
    f(
        "raw_scale_for_real",
        "critic_shown_other_real",
        "criterion(netD(real), torch.full((batch_size, 1), 1.0)) + criterion(",
        "criterion(netD(3 * real + 2), torch.full((batch_size, 1), 1.0)) + criterion(",
        also="data_scale data_range",
    ),
    f(
        "quick_critic",
        "critic_too_strong",
        "optD = optim.Adam(netD.parameters(), lr=lr",
        "optD = optim.Adam(netD.parameters(), lr=60 * lr",
        also=CRITIC_FAST,
    ),
    f(
        "noise_constant",
        "latents_constant",
        "    return torch.randn(n, nz, seq_len + receptive)",
        "    return torch.randn(1, nz, seq_len + receptive).expand(n, -1, -1)",
        also="mode_collapse_total latents_reused latent_mismatch",
    ),
    f(
        "logits_times_fifty",
        "generator_gradient_vanishes",
        "        return torch.sigmoid(self.to_prob(self.last(x).squeeze(1)))",
        "        return torch.sigmoid(50 * self.to_prob(self.last(x).squeeze(1)))",
        also="critic_too_strong critic_step_too_large",
    ),
)
