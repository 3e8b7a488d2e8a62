# ruff: noqa: E501
"""Planted faults: the beginner's epochs, the WGAN-GP trainer, closures with a clip, projection, lazy R1."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

CRITIC_FAST = "critic_step_too_large generator_gradient_vanishes critic_too_strong"
FEW = "few_rows batch_repeated generator_memorising critic_overfitting critic_too_strong critic_step_too_large"

f = partial(fault, "enumerate_crescents")
EPOCHS = (
    f(
        "fake_label_for_g",
        "generator_sign_flipped",
        "g_loss = criterion(g_out, real_labels)",
        "g_loss = criterion(g_out, fake_labels)",
    ),
    f(
        "saturating",
        "generator_loss_other",
        "g_loss = criterion(g_out, real_labels)",
        "g_loss = -criterion(g_out, fake_labels)",
    ),
    f(
        "real_detached",
        "critic_real_half_missing",
        "criterion(D(x), real_labels)",
        "criterion(D(x).detach(), real_labels)",
    ),
    f(
        "logits_loss",
        "double_sigmoid",
        "criterion = nn.BCELoss()",
        "criterion = nn.BCEWithLogitsLoss()",
        also="bounded_scores probability_as_score",
    ),
    f(
        "d_not_cleared",
        "critic_gradient_accumulated",
        "        opt_D.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f("g_detached", "generator_detached", "g_out = D(G(z))", "g_out = D(G(z).detach())"),
    f(
        "fixed_z",
        "latents_reused",
        "done = 0\n",
        "done = 0\nfixed_z = torch.randn(64, LATENT)\n",
        "        z = torch.randn(bs, LATENT)\n        opt_G",
        "        z = fixed_z\n        opt_G",
    ),
    f(
        "g_rate_large",
        "generator_step_too_large",
        "opt_G = torch.optim.Adam(G.parameters(), lr=0.002",
        "opt_G = torch.optim.Adam(G.parameters(), lr=0.2",
    ),
    f(
        "momentum_both",
        "momentum_too_high",
        "G.parameters(), lr=0.002, betas=(0.5, 0.999)",
        "G.parameters(), lr=0.005, betas=(0.99, 0.999)",
        "D.parameters(), lr=0.002, betas=(0.5, 0.999)",
        "D.parameters(), lr=0.005, betas=(0.99, 0.999)",
        also="generator_step_too_large critic_step_too_large rotation_undamped",
    ),
    f(
        "seventy_points",
        "critic_overfitting",
        "points, _ = data.crescents(2048)\n",
        "points = data.crescents(2048)[0][:70]\n",
        "D.parameters(), lr=0.002",
        "D.parameters(), lr=0.01",
        also=FEW,
    ),
    f(
        "half_plane",
        "mode_collapse_partial",
        "        return self.out(h)\n",
        "        h = self.out(h)\n        return torch.cat((h[:, :1].abs(), h[:, 1:]), 1)\n",
        also="generator_range_rectified",
    ),
    f(
        "small_z",
        "mode_collapse_total",
        "h = torch.relu(self.fc1(z))",
        "h = torch.relu(self.fc1(z * 1e-3))",
        also="generator_ill_conditioned mode_collapse_partial",
    ),
)

f = partial(fault, "trainerclass_patients")
TRAINER = (
    f("not_added", "penalty_absent", "d_real.mean() + gradient_penalty", "d_real.mean()", also="penalty_detached"),
    f("no_graph", "penalty_detached", "create_graph=True)[0]", "create_graph=False)[0]"),
    f(
        "weight_twenty",
        "penalty_weight_wrong",
        "return self.cfg.gp_weight *",
        "return 20 * self.cfg.gp_weight *",
        also="penalty_too_strong",
    ),
    f("norm_of_all", "penalty_norm_axes", "gradients.norm(2, dim=1)", "gradients.norm(2)"),
    f("about_zero", "penalty_other_kind", "((gradients_norm - 1) ** 2).mean()", "(gradients_norm ** 2).mean()"),
    f("at_reals", "penalty_other_place", "alpha * real + (1 - alpha) * generated", "real.clone()"),
    f(
        "raw_rows",
        "data_scale",
        "trainer.train(scaler(raw), monitor, steps)",
        "trainer.train(raw, monitor, steps)",
        also="data_range critic_shown_other_real",
    ),
    f("signs_of_d", "critic_sign_flipped", "d_generated.mean() - d_real.mean()", "d_real.mean() - d_generated.mean()"),
    f(
        "iterations_on_g",
        "n_critic_swapped",
        "            for _ in range(self.cfg.critic_iterations):\n",
        "            for _ in range(1):\n",
        "            self._generator_train_iteration(self.cfg.batch)\n",
        "            for _ in range(self.cfg.critic_iterations):\n                self._generator_train_iteration(self.cfg.batch)\n",
    ),
    f(
        "g_rate_zero",
        "learning_rate_zero",
        "lr_g: float = 2e-3",
        "lr_g: float = 0.0",
        also="generator_step_too_small generator_not_stepped",
    ),
    f(
        "unclaimed",
        "loss_needs_lipschitz",
        '    penalty=("gp", config.gp_weight),\n',
        "",
        "d_real.mean() + gradient_penalty",
        "d_real.mean()",
        also="penalty_absent penalty_detached",
    ),
    f(
        "norm_in_d",
        "penalty_under_batch_norm",
        "mlp([6, 64, 64, 1], nn.LeakyReLU)",
        "nn.Sequential(nn.Linear(6, 64), nn.BatchNorm1d(64), nn.LeakyReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.LeakyReLU(), nn.Linear(64, 1))",
        also="batch_norm_coupling",
    ),
    f("d_rate_large", "critic_step_too_large", "lr_d: float = 2e-3", "lr_d: float = 0.3", also="critic_too_strong"),
    f("gp_thousand", "penalty_too_strong", "gp_weight: float = 1.0", "gp_weight: float = 3000.0"),
    f("gp_nothing", "penalty_too_weak", "gp_weight: float = 1.0", "gp_weight: float = 1e-7"),
    f("d_slow", "critic_too_weak", "lr_d: float = 2e-3", "lr_d: float = 1e-5", also="critic_step_too_small"),
)

f = partial(fault, "closures_clip_lattice")
CLOSURES = (
    f("clamp_out_of_place", "clip_absent", "w.clamp_(-C, C)", "w.clamp(-C, C)", also="loss_needs_lipschitz clip_other"),
    f("clamp_half", "clip_other", "w.clamp_(-C, C)", "w.clamp_(-0.5, 0.5)", also="clip_absent"),
    f(
        "last_layer_only",
        "clip_absent",
        "for w in f.parameters():",
        "for w in list(f.parameters())[-2:]:",
        also="constraint_partial clip_other",
    ),
    f(
        "clip_small",
        "clip_crippling",
        "C, N_CRITIC, DIM_Z, BATCH, LR = 0.1,",
        "C, N_CRITIC, DIM_Z, BATCH, LR = 0.01,",
        also="generator_gradient_vanishes critic_too_weak",
    ),
    f(
        "clip_tiny",
        "clip_crippling",
        "C, N_CRITIC, DIM_Z, BATCH, LR = 0.1,",
        "C, N_CRITIC, DIM_Z, BATCH, LR = 0.002,",
        also="generator_gradient_vanishes critic_too_weak",
    ),
    f(
        "nets_made_twice",
        "optimizer_wrong_parameters",
        "RMSprop(g.parameters(), lr=LR)",
        "RMSprop(make_nets()[0].parameters(), lr=LR)",
        also="generator_not_stepped",
    ),
    f(
        "f_never_steps",
        "critic_not_stepped",
        "        opt.step()\n        with torch.no_grad():\n            for w",
        "        with torch.no_grad():\n            for w",
    ),
    f("wrong_way", "generator_sign_flipped", "loss = -f(g(z)).mean()", "loss = f(g(z)).mean()"),
    f(
        "scores_in_no_grad",
        "critic_called_without_grad",
        "            y = g(latent(BATCH))\n        loss = -(f(x).mean() - f(y).mean())",
        "            y = f(g(latent(BATCH)))\n        loss = -(f(x).mean() - y.mean())",
        also="critic_fake_half_missing",
    ),
    f(
        "narrow_latent",
        "mode_collapse_total",
        "lambda n: torch.randn(n, DIM_Z)",
        "lambda n: 1e-3 * torch.randn(n, DIM_Z)",
        also="latents_constant mode_collapse_partial generator_ill_conditioned",
    ),
    f(
        "f_rate_hundredth",
        "critic_too_weak",
        "RMSprop(f.parameters(), lr=LR)",
        "RMSprop(f.parameters(), lr=LR / 300)",
        also="critic_step_too_small",
    ),
    f(
        "g_rate_hundred",
        "generator_step_too_large",
        "RMSprop(g.parameters(), lr=LR)",
        "RMSprop(g.parameters(), lr=LR * 100)",
    ),
    f(
        "sigmoid_kept",
        "probability_as_score",
        "nn.Linear(64, 1))\n",
        "nn.Linear(64, 1), nn.Sigmoid())\n",
        also="bounded_scores",
    ),
)

f = partial(fault, "projection_digits")
PROJECTION = (
    f(
        "sn_is_identity",
        "constraint_missing",
        "from torch.nn.utils.parametrizations import spectral_norm as SN\n",
        "SN = lambda layer: layer\n",
    ),
    f("first_bare", "constraint_partial", "SN(nn.Linear(64, 128))", "nn.Linear(64, 128)"),
    f(
        "scores_times_sixty",
        "constraint_vacuous",
        "return self.l3(h) + (self.embed(y) * h).sum(1, keepdim=True)",
        "return 60 * (self.l3(h) + (self.embed(y) * h).sum(1, keepdim=True))",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "input_times_fifty",
        "constraint_vacuous",
        "self.l1(x.flatten(1))",
        "self.l1(50 * x.flatten(1))",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "dis_in_eval",
        "spectral_norm_stale",
        "for it in range(steps):",
        "dis.eval()\nfor it in range(steps):",
        also="eval_mode_in_training",
    ),
    f(
        "labels_redrawn",
        "labels_unrelated",
        "x, y = images[idx], labels[idx]",
        "x, y = images[idx], labels[torch.randint(0, len(images), (batch_size,))]",
    ),
    f(
        "labels_apart",
        "labels_differ_between_players",
        "x_fake = gen(z, y_fake).detach()",
        "x_fake = gen(z, draw_fake(batch_size)[1]).detach()",
    ),
    f(
        "softplus",
        "critic_loss_other",
        "return F.relu(1 - real).mean() + F.relu(1 + fake).mean()",
        "return F.softplus(-real).mean() + F.softplus(fake).mean()",
    ),
    f("softplus_g", "generator_loss_other", "return -fake.mean()", "return F.softplus(-fake).mean()"),
    f(
        "turned",
        "channel_order",
        "loss_dis(dis(x, y), dis",
        "loss_dis(dis(x.transpose(2, 3), y), dis",
        also="critic_shown_other_real",
    ),
    f("as_in_the_file", "data_range", "images = images / 8 - 1\n", "", also="data_scale critic_shown_other_real"),
    f(
        "one_class_drawn",
        "mode_collapse_partial",
        "y = torch.randint(0, n_classes, (n,))",
        "y = torch.zeros(n, dtype=torch.long)",
        also="latent_mismatch labels_unrelated labels_differ_between_players",
    ),
    f(
        "uneven_z",
        "generator_ill_conditioned",
        "self.l1(z), y))",
        "self.l1(z * torch.logspace(0, -6, dim_z)), y))",
        also="mode_collapse_partial mode_collapse_total",
    ),
    f(
        "first_batch_only",
        "batch_repeated",
        "idx = torch.randint(0, len(images), (batch_size,))",
        "idx = torch.arange(batch_size)",
        also=FEW.replace("batch_repeated ", ""),
    ),
    f(
        "dis_rate_large",
        "critic_too_strong",
        "Adam(dis.parameters(), 1e-3",
        "Adam(dis.parameters(), 1e-1",
        also=CRITIC_FAST,
    ),
)

f = partial(fault, "lazyreg_roll")
LAZY = (
    f("factor_forgotten", "penalty_weight_wrong", ' * args["d_reg_every"] + 0', " + 0"),
    f(
        "every_eightieth",
        "penalty_too_lazy",
        "d_reg_every=4",
        "d_reg_every=80",
        also="penalty_weight_wrong penalty_absent",
        late=True,
    ),
    f("no_graph", "penalty_detached", "create_graph=True)", "retain_graph=True)"),
    f("at_fakes", "penalty_other_place", "real_leaf = real_img.clone()", "real_leaf = fake_img.detach().clone()"),
    f(
        "about_one",
        "penalty_other_kind",
        "return grad_real.pow(2).reshape(grad_real.shape[0], -1).sum(1).mean()",
        "return (grad_real.reshape(grad_real.shape[0], -1).norm(dim=1) - 1).pow(2).mean()",
    ),
    f(
        "front_of_d_off",
        "critic_frozen",
        "    requires_grad(discriminator, True)\n",
        "    requires_grad(discriminator[4:], True)\n",
    ),
    f(
        "front_of_g_off",
        "generator_frozen",
        "    requires_grad(generator, True)\n",
        "    requires_grad(generator[4:], True)\n",
    ),
    f("not_a_copy", "average_is_live", "g_ema = copy.deepcopy(generator).eval()", "g_ema = generator"),
    f("never_accumulated", "average_is_not_updated", '    accumulate(g_ema, generator, args["ema"])\n', ""),
    f("slow_average", "average_too_slow", "ema=0.95", "ema=0.9999"),
    f("uniform_sample", "latent_mismatch", "g_ema(mixing_noise(500))", 'g_ema(torch.rand(500, args["latent"]))'),
    f(
        "d_not_cleared",
        "critic_gradient_accumulated",
        "    discriminator.zero_grad()\n    d_loss.backward()\n",
        "    d_loss.backward()\n",
        also="penalty_weight_wrong",
    ),
    f(
        "sixty_rows",
        "few_rows",
        "sample_data(data.roll(4096))",
        "sample_data(data.roll(64))",
        also=FEW + " batch_repeated",
    ),
    f(
        "momentum_and_rate",
        "momentum_too_high",
        'generator.parameters(), lr=args["lr"], betas=(0.0',
        'generator.parameters(), lr=args["lr"], betas=(0.99',
        'discriminator.parameters(), lr=args["lr"], betas=(0.0',
        'discriminator.parameters(), lr=args["lr"], betas=(0.99',
        also="generator_step_too_large critic_step_too_large rotation_undamped",
    ),
    f("r1_huge", "penalty_too_strong", "r1=1.0", "r1=3000.0", also="critic_step_too_large penalty_too_lazy"),
)
