# ruff: noqa: E501
"""Planted faults: the port of Keras, accumulation with an average, cycles, domains, imitation."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

CRITIC_FAST = "critic_step_too_large generator_gradient_vanishes critic_too_strong"
CRITIC_SLOW = "critic_step_too_small learning_rate_not_reached"
FEW = "few_rows batch_repeated generator_memorising critic_overfitting critic_too_strong critic_step_too_large"
SWINGS = "generator_step_too_large critic_step_too_large rotation_undamped momentum_too_high"
COLLAPSE = "generator_ill_conditioned mode_collapse_partial mode_collapse_total"

f = partial(fault, "kerasport_petals")
KERAS = (
    f(
        "logits_loss",
        "double_sigmoid",
        "self.loss = nn.BCELoss()",
        "self.loss = nn.BCEWithLogitsLoss()",
        also="bounded_scores probability_as_score",
    ),
    f(
        "first_rows",
        "batch_repeated",
        "np.random.randint(0, X_train.shape[0], batch_size)",
        "np.arange(batch_size)",
        also="few_rows critic_overfitting generator_memorising",
    ),
    f(
        "four_times",
        "data_range",
        "X_train = X_train / 1.0",
        "X_train = X_train / 0.25",
        also="data_scale critic_shown_other_real",
    ),
    f(
        "one_z",
        "latents_constant",
        "noise = torch.randn(batch_size, self.latent_dim)\n            gen_imgs",
        "noise = torch.randn(1, self.latent_dim).repeat(batch_size, 1)\n            gen_imgs",
        "noise = torch.randn(batch_size, self.latent_dim)\n            validity",
        "noise = torch.randn(1, self.latent_dim).repeat(batch_size, 1)\n            validity",
        also="mode_collapse_total latent_mismatch",
    ),
    f(
        "rand_for_randn",
        "latent_mismatch",
        "self.generator(torch.randn(n, self.latent_dim))",
        "self.generator(torch.rand(n, self.latent_dim))",
    ),
    f(
        "relu_last",
        "generator_range_rectified",
        "            nn.Tanh(),\n",
        "            nn.ReLU(),\n",
        also="data_range mode_collapse_partial",
    ),
    f("left_in_eval", "eval_mode_in_training", "        self.generator.train()\n", "", also="sampled_in_other_mode"),
    f(
        "g_rate",
        "generator_step_too_large",
        "self.generator.parameters(), lr=0.002",
        "self.generator.parameters(), lr=0.2",
    ),
    f(
        "d_rate",
        "critic_too_strong",
        "self.discriminator.parameters(), lr=0.002",
        "self.discriminator.parameters(), lr=0.2",
        also=CRITIC_FAST,
    ),
    f(
        "momentum",
        "momentum_too_high",
        "self.discriminator.parameters(), lr=0.002, betas=(0.5",
        "self.discriminator.parameters(), lr=0.004, betas=(0.99",
        "self.generator.parameters(), lr=0.002, betas=(0.5",
        "self.generator.parameters(), lr=0.004, betas=(0.99",
        also=SWINGS,
    ),
    f(
        "one_neuron",
        "generator_ill_conditioned",
        "nn.Linear(64, 64),\n            nn.LeakyReLU(0.2),\n            nn.BatchNorm1d(64, momentum=0.2),\n            nn.Linear(64, self.shape)",
        "nn.Linear(64, 1),\n            nn.Linear(1, 64),\n            nn.LeakyReLU(0.2),\n            nn.BatchNorm1d(64, momentum=0.2),\n            nn.Linear(64, self.shape)",
        also=COLLAPSE,
    ),
    f(
        "twenty",
        "critic_overfitting",
        "data.petals(3000)",
        "data.petals(20)",
        "self.discriminator.parameters(), lr=0.002",
        "self.discriminator.parameters(), lr=0.008",
        also=FEW,
    ),
)

f = partial(fault, "lucid_glyphs")
LUCID = (
    f("gp_not_added", "penalty_absent", "            disc_loss = disc_loss + gp\n", "", also="penalty_detached"),
    f("norm_of_batch", "penalty_norm_axes", "gradients.norm(2, dim=1)", "gradients.norm(2)"),
    f(
        "no_buffers",
        "average_buffers_not_copied",
        "            ma.copy_(cur)\n",
        "            pass\n",
        also="sampled_in_other_mode",
    ),
    f(
        "never_updated",
        "average_is_not_updated",
        "        self.ema.update()\n",
        "",
        also="average_too_slow average_buffers_not_copied",
    ),
    f(
        "same_network",
        "average_is_live",
        "copy.deepcopy(model).requires_grad_(False)",
        "model",
        also="eval_mode_in_training",
    ),
    f(
        "divided_twice",
        "data_scale",
        "Trainer(data.glyphs(2048)[0] / 255)",
        "Trainer(data.glyphs(2048)[0] / 255 / 10)",
        also="data_range critic_shown_other_real",
    ),
    f("gp_thousands", "penalty_too_strong", "gp_weight=2.0", "gp_weight=5000.0", also="critic_too_weak"),
    f(
        "gp_nothing",
        "penalty_too_weak",
        "gp_weight=2.0",
        "gp_weight=0.0002",
        also="loss_needs_lipschitz " + CRITIC_FAST,
    ),
    f("ttur_far", "critic_step_too_large", "ttur_mult=2.0", "ttur_mult=200.0", also=CRITIC_FAST),
    f(
        "few_pages",
        "critic_overfitting",
        "data.glyphs(2048)[0] / 255)\nmonitor",
        "data.glyphs(40)[0] / 255)\nmonitor",
        "gp_weight=2.0",
        "gp_weight=0.0005",
        also=FEW + " penalty_too_weak",
    ),
    f(
        "tiny_z",
        "mode_collapse_total",
        "return self.net(z).reshape",
        "return self.net(z * 1e-6).reshape",
        also=COLLAPSE,
    ),
)

f = partial(fault, "cycle_hooks")
CYCLE = (
    f(
        "detached",
        "generator_loss_without_critic",
        "criterion_GAN(D_B(fake_B), valid)",
        "criterion_GAN(D_B(fake_B.detach()), valid)",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f("cycle_heavy", "reconstruction_drowns_adversarial", 'default=1.0, help="cycle', 'default=500.0, help="cycle'),
    f(
        "copied_line",
        "optimizer_wrong_parameters",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters()",
        "optimizer_D_B = torch.optim.Adam(D_A.parameters()",
        also="critic_not_stepped optimizer_other_player optimizer_misses_parameters",
    ),
    f(
        "first_layer",
        "optimizer_misses_parameters",
        "itertools.chain(G_AB.parameters(),",
        "itertools.chain(G_AB[0].parameters(),",
    ),
    f(
        "sorted_rows",
        "unshuffled",
        "domain_B = data.vees(3000)\n",
        "domain_B = data.vees(3000)\ndomain_B = domain_B[domain_B[:, 0].argsort()]\n",
        "    while True:\n        yield x[torch.randint(len(x), (opt.batch_size,))]\n",
        "    while True:\n        yield from x.split(opt.batch_size)[:-1]\n",
    ),
    f(
        "d_slow",
        "critic_too_weak",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters(), lr=opt.lr",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters(), lr=opt.lr / 100",
        also=CRITIC_SLOW,
    ),
    f(
        "d_fast",
        "critic_too_strong",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters(), lr=opt.lr",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters(), lr=opt.lr * 60",
        also=CRITIC_FAST,
    ),
    f(
        "one_neuron",
        "generator_ill_conditioned",
        "return nn.Sequential(nn.Linear(2, 48), nn.ReLU(), Res",
        "return nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 48), nn.ReLU(), Res",
        also=COLLAPSE,
    ),
)

f = partial(fault, "adda_domains")
ADDA = (
    f(
        "still_frozen",
        "generator_frozen",
        "tgt_encoder.train()\n",
        "tgt_encoder.train()\ntgt_encoder.requires_grad_(False)\n",
        also="generator_not_stepped generator_detached",
    ),
    f(
        "critic_keeps",
        "generator_gradient_in_critic",
        "    optimizer_critic.zero_grad()\n    feat_src",
        "    feat_src",
        "    optimizer_critic.zero_grad()\n    optimizer_tgt.zero_grad()\n",
        "    optimizer_tgt.zero_grad()\n",
        also="critic_gradient_accumulated",
    ),
    f(
        "saturating",
        "generator_loss_other",
        "loss_tgt = criterion(pred_tgt, label_src)",
        "loss_tgt = -criterion(pred_tgt, label_tgt)",
    ),
    f(
        "noise_on_source",
        "critic_shown_other_real",
        "critic(feat_src.detach())",
        "critic(feat_src.detach() + 2 * torch.randn_like(feat_src))",
    ),
    f(
        "rate_zero",
        "learning_rate_zero",
        "c_learning_rate = 2e-3",
        "c_learning_rate = 0.0",
        also="generator_step_too_small learning_rate_not_reached",
    ),
    f(
        "late_start",
        "critic_no_gradient",
        "    loss_critic.backward()\n",
        "    (loss_critic * float(step > 500)).backward()\n",
        also="critic_not_stepped",
    ),
    f("critic_fast", "critic_too_strong", "d_learning_rate = 2e-3", "d_learning_rate = 0.03", also=CRITIC_FAST),
    f("momentum", "momentum_too_high", "beta1, beta2 = 0.0, 0.99", "beta1, beta2 = 0.98, 0.999", also=SWINGS),
    f(
        "scores_times_thirty",
        "generator_gradient_vanishes",
        "        return self.layer(feat)",
        "        return 30 * self.layer(feat)",
        "loss_tgt = criterion(pred_tgt, label_src)",
        "loss_tgt = -criterion(pred_tgt, label_tgt)",
        'loss="non_saturating"',
        'loss="minimax"',
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "small_inputs",
        "mode_collapse_total",
        "h = torch.tanh(self.fc1(x))",
        "h = torch.tanh(self.fc1(x * 1e-3))",
        also=COLLAPSE,
    ),
)

f = partial(fault, "rollout_drives")
IMITATION = (
    f(
        "penalty_hundredfold",
        "penalty_weight_wrong",
        "return 0.5 * GAMMA_R1",
        "return 500 * GAMMA_R1",
        also="penalty_too_strong",
    ),
    f(
        "scored_without_grad",
        "critic_called_without_grad",
        "    e, p = disc(expert), disc(drive)\n",
        "    with torch.no_grad():\n        e, p = disc(expert), disc(drive)\n",
        also="critic_no_gradient",
    ),
    f(
        "agent_detached",
        "critic_fake_half_missing",
        "bce(p, torch.ones_like(p)) + grad_pen",
        "bce(p.detach(), torch.ones_like(p)) + grad_pen",
    ),
    f(
        "expert_heavy",
        "critic_halves_unequal",
        "+ bce(p, torch.ones_like(p)) + grad",
        "+ 0.02 * bce(p, torch.ones_like(p)) + grad",
        also="critic_fake_half_missing",
    ),
    f(
        "agent_six_times",
        "n_critic_swapped",
        "    out = disc(agent(inp))\n    policy_loss = bce(out, torch.zeros_like(out))\n    agent_optim.zero_grad()\n    policy_loss.backward()\n    agent_optim.step()\n",
        "    for _ in range(6):\n        out = disc(agent(inp))\n        policy_loss = bce(out, torch.zeros_like(out))\n        agent_optim.zero_grad()\n        policy_loss.backward()\n        agent_optim.step()\n",
    ),
    f(
        "one_start",
        "latents_reused",
        "for it in range(steps):\n",
        "same = inputs(starts[:1]).repeat(BATCH, 1)\nfor it in range(steps):\n",
        "    inp = inputs(starts[torch.randint(len(starts), (BATCH,))])\n",
        "    inp = same\n",
        also="latents_constant latent_mismatch",
    ),
    f("r1_thousands", "penalty_too_strong", "BATCH, GAMMA_R1 = 5, 64, 0.2", "BATCH, GAMMA_R1 = 5, 64, 3000.0"),
    f("agent_fast", "generator_step_too_large", "agent.parameters(), lr=2e-3", "agent.parameters(), lr=0.2"),
    f(
        "half_of_starts",
        "mode_collapse_partial",
        "s, eps = inp[:, :2], inp[:, 2:]",
        "s, eps = inp[:, :2].abs(), inp[:, 2:]",
        also="generator_range_rectified",
    ),
)
