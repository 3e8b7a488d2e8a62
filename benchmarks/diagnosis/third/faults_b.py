# ruff: noqa: E501
# fmt: off
"""Planted faults of the other styles."""

from __future__ import annotations

from benchmarks.diagnosis.third.case import fault as F  # a short name for a long table

S = "conditional_digits"
CONDITIONAL = (
    F(S, "classes_permuted", "labels_unrelated", "x_train = x_train.float()",
      "y_train = y_train[torch.randperm(len(y_train))]\nx_train = x_train.float()"),
    F(S, "half_of_classes_permuted", "labels_unrelated", "x_train = x_train.float()",
      "y_train[:700] = y_train[torch.randperm(700)]\nx_train = x_train.float()"),
    F(S, "random_classes_for_fakes", "labels_differ_between_players",
      "validity_fake = discriminator(gen_imgs.detach(), gen_labels)",
      "validity_fake = discriminator(gen_imgs.detach(), torch.randint(0, n_classes, (batch_size,)))"),
    F(S, "classes_of_real_for_g", "labels_differ_between_players",
      "validity = discriminator(gen_imgs, gen_labels)", "validity = discriminator(gen_imgs, labels)"),
    F(S, "dropout_off", "eval_mode_in_training", "done = 0\n", "done = 0\ndiscriminator.eval()\n"),
    F(S, "targets_exchanged", "critic_sign_flipped", "d_real_loss = adversarial_loss(validity_real, valid)",
      "d_real_loss = adversarial_loss(validity_real, fake)", "d_fake_loss = adversarial_loss(validity_fake, fake)",
      "d_fake_loss = adversarial_loss(validity_fake, valid)"),
    F(S, "embedding_forgotten", "optimizer_misses_parameters", "torch.optim.Adam(generator.parameters()",
      "torch.optim.Adam(generator.model.parameters()"),
    F(S, "last_layer_only", "optimizer_misses_parameters", "torch.optim.Adam(discriminator.parameters()",
      "torch.optim.Adam(discriminator.model[-1].parameters()"),
    F(S, "dot_data", "generator_detached", "gen_imgs = generator(z, gen_labels)", "gen_imgs = generator(z, gen_labels).data"),
    F(S, "loss_wrapped_anew", "critic_no_gradient", "        d_loss.backward()",
      "        d_loss = torch.tensor(d_loss.item(), requires_grad=True)\n        d_loss.backward()",
      also="critic_not_stepped"),
    F(S, "noise_nearly_off", "mode_collapse_total", "        z = torch.randn(batch_size, latent_dim)",
      "        z = 1e-4 * torch.randn(batch_size, latent_dim)",
      "        return generator(torch.randn(n, latent_dim)", "        return generator(1e-4 * torch.randn(n, latent_dim)",
      also="latents_constant mode_collapse_partial generator_ill_conditioned"),
)

S = "superres_flags"
SUPERRES = (
    F(S, "adversarial_millionth", "reconstruction_drowns_adversarial", "W_PIX, W_ADV = 1.0, 0.05", "W_PIX, W_ADV = 1.0, 1e-6"),
    F(S, "pixel_thousandfold", "reconstruction_drowns_adversarial", "W_PIX, W_ADV = 1.0, 0.05", "W_PIX, W_ADV = 1000.0, 0.05"),
    F(S, "pixel_millionth", "adversarial_drowns_reconstruction", "W_PIX, W_ADV = 1.0, 0.05", "W_PIX, W_ADV = 1e-6, 0.05"),
    F(S, "adversarial_thousandfold", "adversarial_drowns_reconstruction", "W_PIX, W_ADV = 1.0, 0.05", "W_PIX, W_ADV = 1.0, 500.0"),
    F(S, "detached_for_judge", "generator_loss_without_critic", "    logits = D(sr)\n", "    logits = D(sr.detach())\n",
      also="generator_detached"),
    F(S, "real_in_bgr", "channel_order", "pred_real = D(hr)", "pred_real = D(hr.flip(1))", also="critic_shown_other_real"),
    F(S, "sigmoid_and_logits", "double_sigmoid", "nn.Flatten(), nn.Linear(c * 8, 1),",
      "nn.Flatten(), nn.Linear(c * 8, 1), nn.Sigmoid(),"),
    F(S, "only_last_layer_wakes", "critic_frozen", "    for p in D.parameters():\n        p.requires_grad_(True)",
      "    for p in D.net[-1].parameters():\n        p.requires_grad_(True)"),
    F(S, "decay_of_generator", "weight_decay_crippling",
      "g_opt = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=1e-4)",
      "g_opt = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=50)"),
    F(S, "decay_of_both", "weight_decay_crippling",
      "g_opt = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=1e-4)",
      "g_opt = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=10)",
      "d_opt = torch.optim.AdamW(D.parameters(), lr=1e-3, betas=(0.5, 0.99), weight_decay=1e-4)",
      "d_opt = torch.optim.AdamW(D.parameters(), lr=1e-3, betas=(0.5, 0.99), weight_decay=100)"),
    F(S, "zeros_for_g", "generator_sign_flipped", "adv = bce(logits, torch.ones_like(logits))",
      "adv = bce(logits, torch.zeros_like(logits))"),
    F(S, "forty_images", "few_rows", "hr = hr_train[torch.randperm(len(hr_train))[:32]]",
      "hr = hr_train[torch.randperm(40)[:32]]", also="critic_overfitting generator_memorising"),
    F(S, "one_bad_image", "non_finite", "shrink = lambda", "hr_train[::100, 0, 0, 0] = float('nan')\nshrink = lambda"),
)

S = "multiscale_waves"
MULTI = (
    F(S, "half_rate_hears_no_real", "critic_real_half_missing", "        for scale in D_real:", "        for scale in D_real[:1]:",
      also="critic_halves_unequal"),
    F(S, "real_without_gradient", "critic_real_half_missing", "        D_real = netD(x_t)\n",
      "        with torch.no_grad():\n            D_real = netD(x_t)\n", also="critic_called_without_grad"),
    F(S, "detached_for_g", "generator_detached", "D_fake = netD.features(x_pred_t)", "D_fake = netD.features(x_pred_t.detach())"),
    F(S, "generator_sign", "generator_sign_flipped", "loss_G += -maps[-1].mean()", "loss_G += maps[-1].mean()"),
    F(S, "tanh_scores", "bounded_scores", "            WNConv(ndf * 2, 1, 3, padding=1)])",
      "            nn.Sequential(WNConv(ndf * 2, 1, 3, padding=1), nn.Tanh())])"),
    F(S, "second_judge_forgotten", "optimizer_misses_parameters", "torch.optim.Adam(netD.parameters()",
      "torch.optim.Adam(netD.judges[0].parameters()"),
    F(S, "squares_for_hinge", "critic_loss_other", "F.relu(1 + scale).mean()", "(1 + scale).pow(2).mean()",
      "F.relu(1 - scale).mean()", "(1 - scale).pow(2).mean()"),
    F(S, "d_never_cleared", "critic_gradient_accumulated", "        netD.zero_grad()\n", "",
      also="generator_gradient_in_critic"),
    F(S, "one_batch", "batch_repeated", "x_t = clips[chunk]", "x_t = clips[:32]", also="few_rows"),
    F(S, "faint_clips", "data_scale", "clips, held_clips = data.waves(),", "clips, held_clips = 0.01 * data.waves(),"),
)

S = "table_by_hand"
TABLE = (
    F(S, "saturating", "generator_loss_other", "loss_theta = F.softplus(-D(G(z))).mean()", "loss_theta = -F.softplus(D(G(z))).mean()"),
    F(S, "no_second_order", "penalty_detached", "grad(a.sum(), x_in, create_graph=True)", "grad(a.sum(), x_in, retain_graph=True)"),
    F(S, "without_the_half", "penalty_weight_wrong", 'cfg["gamma"] / 2 * r1', 'cfg["gamma"] * r1'),
    F(S, "weight_hundredfold", "penalty_weight_wrong", 'cfg["gamma"] / 2 * r1', '100 * cfg["gamma"] / 2 * r1', also="penalty_too_strong"),
    F(S, "at_fake_rows", "penalty_other_place", "    y = G(z).detach()\n", "    y = G(z).detach().requires_grad_()\n",
      "grad(a.sum(), x_in, create_graph=True)", "grad(b.sum(), y, create_graph=True)", also="penalty_other_kind"),
    F(S, "fake_half_left_out", "critic_fake_half_missing", "F.softplus(-a).mean() + F.softplus(b).mean() +", "F.softplus(-a).mean() +"),
    F(S, "added_up", "critic_gradient_accumulated", "        p.grad = g.detach().clone()",
      "        p.grad = g.detach().clone() if p.grad is None else p.grad + g.detach()", also="generator_gradient_accumulated"),
    F(S, "theta_is_phi", "optimizer_other_player", "opt_theta = torch.optim.Adam(theta,", "opt_theta = torch.optim.Adam(phi,",
      also="generator_not_stepped"),
    F(S, "generator_step_forgotten", "generator_not_stepped", "    opt_theta.step()\n", ""),
    F(S, "seeded_inside", "latents_reused", "def latent(n):\n", "def latent(n):\n    torch.manual_seed(1234)\n",
      also="batch_repeated few_rows"),
    F(S, "critic_rate_tiny", "critic_step_too_small", "lr_d=2e-3", "lr_d=1e-8", also="critic_too_weak learning_rate_zero"),
    F(S, "critic_signs", "critic_sign_flipped", "F.softplus(-a).mean() + F.softplus(b).mean()", "F.softplus(a).mean() + F.softplus(-b).mean()"),
    F(S, "contiguous_rows", "unshuffled", 'X, X_test = data.clients(), data.clients(500, key=1)\n',
      'X, X_test = data.clients(), data.clients(500, key=1)\nX = X[X[:, 0].argsort()]\n',
      '    return X[torch.randint(len(X), (cfg["batch"],))]',
      '    s = torch.randint(len(X) - cfg["batch"], (1,)).item()\n    return X[s:s + cfg["batch"]]'),
    F(S, "big_critic_few_rows", "critic_overfitting", 'X, X_test = data.clients(), data.clients(500, key=1)\n',
      'X, X_test = data.clients()[:350], data.clients(500, key=1)\n', 'gamma=0.2', 'gamma=0.0001', '("r1", 0.2)', '("r1", 0.0001)',
      'lr_d=2e-3', 'lr_d=5e-3', also="generator_memorising few_rows"),
)

S = "functional_moons"
FUNCTIONAL = (
    F(S, "generator_sign", "generator_sign_flipped", "return -functional_call(disc, dp, (fake,)).mean()", "return functional_call(disc, dp, (fake,)).mean()"),
    F(S, "real_half_left_out", "critic_real_half_missing", "return torch.relu(1 - s_real).mean() + torch.relu(1 + s_fake).mean()", "return torch.relu(1 + s_fake).mean()"),
    F(S, "copies_are_trained", "optimizer_wrong_parameters", "gen_params, disc_params = dict(gen.named_parameters()),",
      "gen_params, disc_params = {k: v.detach().clone().requires_grad_() for k, v in gen.named_parameters()},", also="generator_not_stepped"),
    F(S, "not_updated", "generator_not_stepped", "    update(gen_tx, gen_params, g_g)\n", ""),
    F(S, "wasserstein_critic", "critic_loss_other", "return torch.relu(1 - s_real).mean() + torch.relu(1 + s_fake).mean()", "return s_fake.mean() - s_real.mean()"),
    F(S, "fake_pushed_up", "critic_sign_flipped", "torch.relu(1 + s_fake).mean()", "torch.relu(1 - s_fake).mean()"),
    F(S, "detached_inside", "generator_detached", "    return -functional_call(disc, dp, (fake,)).mean()", "    return -functional_call(disc, dp, (fake.detach(),)).mean()"),
    F(S, "critic_rate_large", "critic_step_too_large", "disc_tx = torch.optim.Adam(disc_params.values(), lr=1e-3", "disc_tx = torch.optim.Adam(disc_params.values(), lr=0.1"),
    F(S, "generator_rate_large", "generator_step_too_large", "gen_tx = torch.optim.Adam(gen_params.values(), lr=1e-3", "gen_tx = torch.optim.Adam(gen_params.values(), lr=0.1"),
    F(S, "momentum", "momentum_too_high", "gen_tx = torch.optim.Adam(gen_params.values(), lr=1e-3, betas=(0.0, 0.9))",
      "gen_tx = torch.optim.Adam(gen_params.values(), lr=1e-3, betas=(0.97, 0.99))",
      "disc_tx = torch.optim.Adam(disc_params.values(), lr=1e-3, betas=(0.0, 0.9))",
      "disc_tx = torch.optim.Adam(disc_params.values(), lr=1e-3, betas=(0.97, 0.99))", also="rotation_undamped"),
    F(S, "unbounded_wasserstein", "loss_needs_lipschitz", "return torch.relu(1 - s_real).mean() + torch.relu(1 + s_fake).mean()", "return s_fake.mean() - s_real.mean()",
      'loss="hinge"', 'loss="wasserstein"', also="rotation_undamped"),
)

S = "one_adam_moons"
ONE = (
    F(S, "regulariser_dropped", "penalty_absent", "(adv_d + reg).backward(", "adv_d.backward("),
    F(S, "weight_hundredfold", "penalty_weight_wrong", "reg = (GAMMA / 2) *", "reg = (100 * GAMMA) *", also="penalty_too_strong"),
    F(S, "without_the_half", "penalty_weight_wrong", "reg = (GAMMA / 2) *", "reg = GAMMA *"),
    F(S, "generator_backward_everywhere", "generator_gradient_in_critic", "adv_g.backward(inputs=list(generator.parameters()))", "adv_g.backward()"),
    F(S, "critic_prefers_fake", "critic_sign_flipped", "adv_d = F.softplus(-(sr - sf)).mean()", "adv_d = F.softplus(sr - sf).mean()"),
    F(S, "generator_not_relativistic", "generator_loss_other", "F.softplus(-(critic(fake) - critic(real).detach())).mean()", "F.softplus(-critic(fake)).mean()"),
    F(S, "one_side_only", "penalty_absent", "(zero_centered(r, sr) + zero_centered(f, sf)).mean()", "zero_centered(r, sr).mean()",
      also="penalty_weight_wrong penalty_other_kind penalty_other_place"),
    F(S, "never_cleared", "critic_gradient_accumulated", "    optimizer.zero_grad()\n", "", also="generator_gradient_accumulated"),
    F(S, "critic_rate_zero", "learning_rate_zero", '"lr": 2e-3}', '"lr": 0.0}'),
    F(S, "critic_group_missing", "critic_not_stepped", '    {"params": critic.parameters(), "lr": 2e-3},\n', "", also="optimizer_misses_parameters"),
    F(S, "undamped", "rotation_undamped", "(adv_d + reg).backward(", "adv_d.backward(", 'penalty=[("r1", 0.1), ("r2", 0.1)], ', "",
      "betas=(0.0, 0.99))", "betas=(0.9, 0.99))", also="momentum_too_high"),
)

S = "accum_flags"
ACCUM = (
    F(S, "d_never_cleared", "critic_gradient_accumulated", "    G.optim.zero_grad()\n    D.optim.zero_grad()\n    x =", "    G.optim.zero_grad()\n    x =",
      "        D.optim.zero_grad()\n        for acc", "        for acc", also="generator_gradient_in_critic"),
    F(S, "real_left_out", "critic_real_half_missing", "D_loss = (D_loss_real + D_loss_fake) /", "D_loss = D_loss_fake /"),
    F(S, "head_bare", "constraint_partial", "self.linear = sn(nn.Linear(ch * 2, 1))", "self.linear = nn.Linear(ch * 2, 1)"),
    F(S, "returned_in_other_order", "critic_sign_flipped", "D_loss_real, D_loss_fake = loss_hinge_dis(D_fake, D_real)", "D_loss_real, D_loss_fake = loss_hinge_dis(D_real, D_fake)"),
    F(S, "real_in_bgr", "channel_order", "D(x[counter]), D(G(z))", "D(x[counter].flip(1)), D(G(z))", also="critic_shown_other_real"),
    F(S, "two_tensors_only", "optimizer_misses_parameters", "D.optim = torch.optim.Adam(D.parameters()", "D.optim = torch.optim.Adam(list(D.parameters())[-2:]"),
    F(S, "critic_in_eval", "spectral_norm_stale", "G, D = Generator(), Discriminator()", "G, D = Generator(), Discriminator().eval()", also="eval_mode_in_training"),
    F(S, "sigmoid_for_tanh", "data_range", "return torch.tanh(self.out(h))", "return torch.sigmoid(self.out(h))"),
    F(S, "one_latent", "latents_constant", "            z = torch.randn(config[\"batch_size\"], G.dim_z)\n            D_real",
      "            z = torch.randn(1, G.dim_z).repeat(config[\"batch_size\"], 1)\n            D_real",
      "        z = torch.randn(config[\"batch_size\"], G.dim_z)\n        G_loss", "        z = torch.randn(1, G.dim_z).repeat(config[\"batch_size\"], 1)\n        G_loss"),
    F(S, "generator_sign", "generator_sign_flipped", "    return -dis_fake.mean()", "    return dis_fake.mean()"),
)

S = "amp_digits"
AMP = (
    F(S, "norm_of_scaled_gradient", "penalty_under_loss_scale", 'p.add_argument("--scale", type=int, default=0)', 'p.add_argument("--scale", type=int, default=1)',
      "        g = g / scaler_d.get_scale()\n", ""),
    F(S, "weight_zero", "penalty_absent", '"--gp", type=float, default=10.0', '"--gp", type=float, default=0.0'),
    F(S, "weight_thousand", "penalty_weight_wrong", '"--gp", type=float, default=10.0', '"--gp", type=float, default=1000.0', also="penalty_too_strong"),
    F(S, "d_step_forgotten", "critic_not_stepped", "            scaler_d.step(opt_d)\n", ""),
    F(S, "generator_without_gradient", "generator_detached", "            for p in D.parameters(): p.requires_grad_(False)\n", "",
      "                score = D(G(z))", "                with torch.no_grad():\n                    fake = G(z)\n                score = D(fake)"),
    F(S, "generator_rate_tiny", "generator_step_too_small", "opt_g = torch.optim.Adam(G.parameters(), args.lr,", "opt_g = torch.optim.Adam(G.parameters(), args.lr * 1e-5,", also="learning_rate_zero"),
    F(S, "without_graph", "penalty_detached", "mid, create_graph=True)[0]", "mid)[0]"),
    F(S, "integer_division", "data_constant", 'x = data.digits("train")[0].float() / 127.5 - 1', 'x = (data.digits("train")[0].int() // 256).float()', also="rows_repeated"),
    F(S, "sigmoid_at_the_end", "probability_as_score", "nn.Linear(96, 1))", "nn.Linear(96, 1), nn.Sigmoid())", also="bounded_scores"),
)

S = "closures_grid"
CLOSURES = (
    F(S, "critic_never_cleared", "critic_gradient_accumulated", "        opt.zero_grad()\n        loss = f(y).mean()", "        loss = f(y).mean()", also="generator_gradient_in_critic"),
    F(S, "weight_thousandth", "penalty_weight_wrong", "    return weight * relu", "    return 1e-3 * weight * relu", also="penalty_too_weak"),
    F(S, "two_sided", "penalty_other_kind", "relu(slope - 1).pow(2)", "(slope - 1).pow(2)"),
    F(S, "at_real_rows", "penalty_other_place", "    mid = t * x + (1 - t) * y\n", "    mid = x.clone()\n"),
    F(S, "wrong_optimiser", "generator_not_stepped", "opt_g.step(generator_closure(", "opt_f.step(generator_closure(", also="optimizer_other_player generator_gradient_in_critic"),
    F(S, "critic_lags", "critic_too_weak", "lr=5e-3", "lr=2e-5", "n_critic=3", "n_critic=1", also="critic_step_too_small"),
    F(S, "critic_signs", "critic_sign_flipped", "loss = f(y).mean() - f(x).mean()", "loss = f(x).mean() - f(y).mean()"),
    F(S, "norm_of_the_batch", "penalty_norm_axes", ".norm(dim=-1)", ".norm()"),
    F(S, "sampled_uniform", "latent_mismatch", "return g(noise(n))", "return g(torch.rand(n, z_dim))"),
    F(S, "dot_data", "generator_detached", "loss = -f(g(z)).mean()", "loss = -f(g(z).data).mean()"),
    F(S, "penalty_as_number", "penalty_detached", "loss = loss + lipschitz_penalty(f, x, y, weight)", "loss = loss + float(lipschitz_penalty(f, x, y, weight))"),
)

S = "ema_digits"
EMA = (
    F(S, "buffers_left_behind", "average_buffers_not_copied", ", use_buffers=True)", ")"),
    F(S, "average_forgotten", "average_is_not_updated", "            self.mean_g.update_parameters(self.g)\n", ""),
    F(S, "average_crawls", "average_too_slow", "decay: float = 0.97", "decay: float = 0.9998"),
    F(S, "decay_per_batch", "schedule_too_fast", "ramp = lambda i: min(1.0, (i + 1) / s.warmup)", "ramp = lambda i: 0.92 ** i", "* (0.55 + 0.45 * math.cos(math.pi * min(1, i / s.iterations)))", ""),
    F(S, "endless_warmup", "learning_rate_zero", "warmup: int = 20", "warmup: int = 10**10", also="generator_step_too_small critic_step_too_small"),
    F(S, "no_r1", "penalty_absent", "        loss = loss + self.s.r1 / 2 * slope.pow(2).sum((1, 2, 3)).mean()\n", ""),
    F(S, "r1_per_pixel", "penalty_weight_wrong", "slope.pow(2).sum((1, 2, 3)).mean()", "slope.pow(2).mean()", also="penalty_norm_axes penalty_too_weak"),
    F(S, "sampler_does_not_advance", "batch_repeated", "        self.at += self.batch\n", "", also="few_rows"),
    F(S, "statistics_never_settle", "sampled_in_other_mode", "nn.Linear(z, 128), nn.BatchNorm1d(128),", "nn.Linear(z, 128), nn.BatchNorm1d(128, momentum=1e-4),",
      "nn.Linear(128, 128), nn.BatchNorm1d(128),", "nn.Linear(128, 128), nn.BatchNorm1d(128, momentum=1e-4),"),
    F(S, "saturated", "generator_gradient_vanishes", "loss = nn.functional.softplus(-self.d(self.g(z))).mean()", "loss = -nn.functional.softplus(self.d(self.g(z))).mean()",
      "loss=\"non_saturating\", penalty=(\"r1\", 0.5)", "loss=\"minimax\"", "        loss = loss + self.s.r1 / 2 * slope.pow(2).sum((1, 2, 3)).mean()\n", "",
      "            self.update_d(x)\n", "            for _ in range(3):\n                self.update_d(x)\n", also="critic_too_strong"),
    F(S, "critic_runs_away", "critic_too_strong", "self.opt_d = torch.optim.Adam(self.d.parameters(), s.rate", "self.opt_d = torch.optim.Adam(self.d.parameters(), 10 * s.rate",
      "loss=\"non_saturating\", penalty=(\"r1\", 0.5)", "loss=\"non_saturating\"", "        loss = loss + self.s.r1 / 2 * slope.pow(2).sum((1, 2, 3)).mean()\n", "",
      "            self.update_d(x)\n", "            for _ in range(3):\n                self.update_d(x)\n", also="generator_gradient_vanishes critic_step_too_large"),
    F(S, "generator_in_eval", "eval_mode_in_training", "        self.g, self.d = generator(s.z), discriminator()\n", "        self.g, self.d = generator(s.z).eval(), discriminator()\n"),
    F(S, "fifty_images", "few_rows", "Sampler(self.train_rows, s.batch)", "Sampler(self.train_rows[:100], s.batch)", also="critic_overfitting generator_memorising"),
    F(S, "memory", "generator_memorising", "Sampler(self.train_rows, s.batch)", "Sampler(self.train_rows[:200], s.batch)", also="critic_overfitting few_rows"),
)

S = "beginner_table"
BEGINNER = (
    F(S, "rows_in_other_order", "critic_sign_flipped", "rows = torch.cat([real_rows, fake_rows])", "rows = torch.cat([fake_rows, real_rows])"),
    F(S, "zeros_for_g", "generator_sign_flipped", "loss = loss_fn(discriminator(generator(noise)), torch.ones(batch_size, 1))", "loss = loss_fn(discriminator(generator(noise)), torch.zeros(batch_size, 1))"),
    F(S, "sigmoid_and_logits", "double_sigmoid", "        nn.Linear(64, 1))", "        nn.Linear(64, 1), nn.Sigmoid())"),
    F(S, "through_numpy", "generator_detached", "loss = loss_fn(discriminator(generator(noise)),", "fake_rows = torch.from_numpy(generator(noise).detach().numpy())\n    loss = loss_fn(discriminator(fake_rows),"),
    F(S, "sampled_uniform", "latent_mismatch", "        return generator(get_noise(n))", "        return generator(torch.rand(n, noise_dim))"),
    F(S, "thirty_rows", "few_rows", "np.random.randint(0, table.shape[0], n)", "np.random.randint(0, 30, n)", also="rows_repeated critic_overfitting generator_memorising"),
    F(S, "d_never_cleared", "generator_gradient_in_critic", "    d_optimizer.zero_grad()\n", "", also="critic_gradient_accumulated"),
    F(S, "generator_relu", "generator_range_rectified", "        nn.Linear(64, 7))", "        nn.Linear(64, 7), nn.ReLU())"),
    F(S, "weighted_positive", "critic_halves_unequal", "loss_fn = nn.BCEWithLogitsLoss()", "loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(8.0))"),
    F(S, "batch_norm_in_d", "batch_norm_coupling", "        nn.Linear(7, 64), nn.LeakyReLU(0.2),", "        nn.Linear(7, 64), nn.BatchNorm1d(64), nn.LeakyReLU(0.2),"),
    F(S, "generator_rate_tiny", "generator_step_too_small", "torch.optim.Adam(generator.parameters(), lr=0.001,", "torch.optim.Adam(generator.parameters(), lr=1e-8,", also="learning_rate_zero"),
    F(S, "scores_without_grad", "critic_called_without_grad", "    loss = 2 * loss_fn(discriminator(rows), targets)",
      "    with torch.no_grad():\n        scores = discriminator(rows)\n    loss = 2 * loss_fn(scores.requires_grad_(), targets)", also="critic_no_gradient"),
)

S = "resumed_rings"
RESUMED = (
    F(S, "optimiser_not_restored", "optimizer_lost_on_resume", '        opt[k].load_state_dict(state["opt"][k])\n', "        opt[k].state.clear()\n", late=True),
    F(S, "schedule_not_restored", "schedule_lost_on_resume", '        sched[k].load_state_dict(state["sched"][k])\n', "        sched[k] = torch.optim.lr_scheduler.LambdaLR(opt[k], rate)\n", late=True),
    F(S, "arguments_exchanged", "critic_sign_flipped", "mse_gan(D(x), D(fake.detach()))", "mse_gan(D(fake.detach()), D(x))"),
    F(S, "dropout_off", "eval_mode_in_training", "blob, done = save(), 0\n", "blob, done = save(), 0\nD.eval()\n"),
    F(S, "rate_falls_early", "schedule_too_fast", "return 1.0 if i < steps // 4 else 0.3", "return 1.0 if i < steps // 16 else 1e-4", late=True),
    F(S, "critic_loss_for_g", "generator_sign_flipped", "        _, loss_g = mse_gan(torch.zeros(()), D(fake))", "        loss_g, _ = mse_gan(torch.zeros(()), D(fake))"),
    F(S, "latent_scaled_down", "mode_collapse_partial", "        z = torch.randn(BATCH, Z_DIM)", "        z = 0.02 * torch.randn(BATCH, Z_DIM)", "    return G(torch.randn(n, Z_DIM))", "    return G(0.02 * torch.randn(n, Z_DIM))",
      also="mode_collapse_total generator_ill_conditioned latents_constant"),
    F(S, "generator_first_layer_frozen", "generator_frozen", 'opt = {"g":', 'G[0].requires_grad_(False)\nopt = {"g":', also="optimizer_misses_parameters"),
)
