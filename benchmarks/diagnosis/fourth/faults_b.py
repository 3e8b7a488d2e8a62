# ruff: noqa: E501
"""Planted faults of the other eight scripts: old text and new text in turns."""

from __future__ import annotations

from benchmarks.diagnosis.third.case import fault

S = "wgangp_config"
WGANGP = (
    fault(S, "norm_batch", "penalty_under_batch_norm", '"norm": None', '"norm": "batch"', also="batch_norm_coupling"),
    fault(S, "final_relu", "generator_range_rectified", '"final": "tanh"', '"final": "relu"', also="data_range"),
    fault(S, "critic_ends_in_sigmoid", "probability_as_score", 'norm=config["norm"])', 'norm=config["norm"], last="sigmoid")', also="bounded_scores"),
    fault(S, "critic_ends_in_tanh", "bounded_scores", 'norm=config["norm"])', 'norm=config["norm"], last="tanh")'),
    fault(S, "no_constraint_at_all", "loss_needs_lipschitz", "D(fake).mean() - D(real).mean() + gp", "D(fake).mean() - D(real).mean()", '        penalty=("gp", config["lambda"]),\n', ""),
    fault(S, "slope_to_zero", "penalty_other_kind", "((slope.norm(2, dim=1) - 1) ** 2)", "(slope.norm(2, dim=1) ** 2)"),
    fault(S, "penalty_at_fakes", "penalty_other_place", "mix = (eps * real + (1 - eps) * fake)", "mix = (0 * eps * real + fake)"),
    fault(S, "turns_swapped", "n_critic_swapped", "        for _ in range(n_critic):\n            D.zero_grad()", "        for _ in range(1):\n            D.zero_grad()", "        G.zero_grad()\n        z = torch.randn(bs, nz)\n        g_loss = -D(G(z)).mean()\n        g_loss.backward()\n        opt_g.step()\n", "        for _ in range(n_critic):\n            G.zero_grad()\n            z = torch.randn(bs, nz)\n            g_loss = -D(G(z)).mean()\n            g_loss.backward()\n            opt_g.step()\n", also="critic_too_weak"),
    fault(S, "sixty_rows", "few_rows", '"rows": None', '"rows": 60', also="critic_overfitting generator_memorising"),
    fault(S, "standardised_by_pixel", "non_finite", 'x = data.digits()[0].flatten(1) / config["dataset"]["scale"] * 2 - 1\n', "x = data.digits()[0].flatten(1)\n    x = (x - x.mean(0)) / x.std(0)\n", also="data_range"),
    fault(S, "divided_twice", "data_scale", '"scale": 16', '"scale": 256'),
    fault(S, "lr_d_tiny", "critic_step_too_small", '"lr_d": 1e-3', '"lr_d": 1e-8', also="critic_too_weak learning_rate_zero"),
    fault(S, "one_latent", "mode_collapse_partial", '"nz": 16', '"nz": 1', also="mode_collapse_total generator_ill_conditioned"),
)  # fmt: skip

S = "lightning_shapes"
TWO = ("trainer = Trainer(max_steps=steps)\n", "trainer = Trainer(max_steps=steps // 2)\n", "trainer.fit(model, dm)\n")
UNCLAIMED = ("                optimizers=tuple(self.optimizers()),\n", "")
STAGES = "ckpt = trainer.fit(model, dm)\ntrainer.max_steps = steps\ntrainer.fit(model, dm, ckpt)\n"
LIGHTNING = (
    fault(S, "weights_only_checkpoint", "optimizer_lost_on_resume", *TWO, STAGES, *UNCLAIMED, "            for opt, state in zip(self.optimizers, ckpt[\"optimizers\"]):\n                opt.load_state_dict(state)\n            for sch, state in zip(self.schedulers, ckpt[\"schedulers\"]):\n                sch.load_state_dict(state)\n", "", also="schedule_lost_on_resume", late=True),
    fault(S, "schedule_not_restored", "schedule_lost_on_resume", *TWO, STAGES, *UNCLAIMED, "                opt.load_state_dict(state)\n", "                opt.load_state_dict(state)\n                for group in opt.param_groups:\n                    group['lr'] = module.lr\n", "                sch.load_state_dict(state)\n", "                pass\n", "step_size=30, gamma=0.8", "step_size=10, gamma=0.5", late=True),
    fault(S, "step_size_in_epochs", "schedule_too_fast", "step_size=30, gamma=0.8", "step_size=1, gamma=0.8", late=True),
    fault(S, "bytes_not_scaled", "data_range", "        images = images / 255.0\n", ""),
    fault(S, "integer_division", "data_constant", "images = images / 255.0", "images = images // 255.0", also="rows_repeated few_rows data_scale batch_repeated"),
    fault(S, "valid_for_fakes", "critic_sign_flipped", "self(z).detach()), torch.zeros(imgs.size(0), 1))", "self(z).detach()), valid)", also="critic_loss_other"),
    fault(S, "zero_grad_left_out_g", "generator_gradient_accumulated", "        optimizer_g.zero_grad()\n", ""),
    fault(S, "critic_rate_huge", "critic_step_too_large", "opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=self.lr", "opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=200 * self.lr", also="critic_too_strong generator_gradient_vanishes"),
)  # fmt: skip

S = "accelerate_moons"
ACCELERATE = (
    fault(S, "gradient_of_scaled_scores", "penalty_under_loss_scale", "torch.autograd.grad(scores.sum(), real, create_graph=True)", "torch.autograd.grad(1024.0 * scores.sum(), real, create_graph=True)", also="penalty_weight_wrong penalty_too_strong"),
    fault(S, "shadow_is_the_model", "average_is_live", "        self.shadow = build_generator()\n        self.shadow.load_state_dict(model.state_dict())\n        self.shadow.requires_grad_(False)\n", "        self.shadow = model\n"),
    fault(S, "fakes_judged_without_grad", "critic_called_without_grad", "            d_loss = (1 - discriminator(batch)).relu().mean() + (1 + discriminator(fake)).relu().mean()\n", "            with torch.no_grad():\n                on_fake = discriminator(generator(noise))\n            d_loss = (1 - discriminator(batch)).relu().mean() + (1 + on_fake).relu().mean()\n", also="critic_fake_half_missing"),
    fault(S, "shadow_never_stepped", "average_is_not_updated", "        ema.step(generator)\n", "", also="average_too_slow"),
    fault(S, "lr_into_defaults", "learning_rate_not_reached", "    ema = EMAModel(generator)\n    optimizer_g = torch.optim.AdamW(generator.parameters(), lr=lr,", "    ema = EMAModel(generator)\n    optimizer_g = torch.optim.AdamW(generator.parameters(), lr=1e-6,", '    scheduler = torch', '    optimizer_g.defaults["lr"] = lr\n    scheduler = torch', also="generator_step_too_small"),
    fault(S, "hinge_signs", "critic_sign_flipped", "            d_loss = (1 - discriminator(batch)).relu().mean() + (1 + discriminator(fake)).relu().mean()\n", "            d_loss = (1 + discriminator(batch)).relu().mean() + (1 - discriminator(fake)).relu().mean()\n"),
    fault(S, "generator_gradient_stays", "generator_gradient_in_critic", "        for p in discriminator.parameters():\n            p.grad = None\n", "", also="critic_gradient_accumulated"),
    fault(S, "rate_tiny", "generator_step_too_small", "torch.optim.AdamW(generator.parameters(), lr=lr,", "torch.optim.AdamW(generator.parameters(), lr=lr * 1e-5,", also="learning_rate_zero"),
)  # fmt: skip

S = "dragan_notebook"
DRAGAN = (
    fault(S, "bce_with_logits", "double_sigmoid", "criterion = nn.BCELoss()", "criterion = nn.BCEWithLogitsLoss()", also="probability_as_score bounded_scores"),
    fault(S, "zeros_for_the_generator", "generator_sign_flipped", "errG = criterion(netD(netG(z)), ones)", "errG = criterion(netD(netG(z)), zeros)"),
    fault(S, "through_numpy", "generator_detached", "errG = criterion(netD(netG(z)), ones)", "errG = criterion(netD(torch.tensor(netG(z).detach().numpy(), requires_grad=True)), ones)", also="generator_not_stepped"),
    fault(S, "never_back_to_train", "eval_mode_in_training", "            netG.train()\n", "", "if i % 40 == 0:", "if i % 5 == 0:", late=True),
    fault(S, "fixed_noise_trained_on", "latents_reused", "        z = torch.randn(len(x), nz)\n        errG", "        z = fixed_noise\n        errG"),
    fault(S, "one_batch_through_batch_norm", "batch_norm_coupling", "errD_real = criterion(netD(x), ones)\n        errD_fake = criterion(netD(netG(z).detach()), zeros)\n", "both = netD(torch.cat((x, netG(z).detach())))\n        errD_real, errD_fake = criterion(both[: len(x)], ones), criterion(both[len(x) :], zeros)\n", "    nn.Linear(hidden, hidden),\n    nn.LeakyReLU(0.2),\n", "    nn.Linear(hidden, hidden),\n    nn.BatchNorm1d(hidden),\n    nn.LeakyReLU(0.2),\n", also="penalty_under_batch_norm"),
    fault(S, "saturated", "generator_gradient_vanishes", "errG = criterion(netD(netG(z)), ones)", "errG = -criterion(netD(netG(z)), zeros)", 'loss="non_saturating"', 'loss="minimax"', "lambda_gp = 0.5", "lambda_gp = 0.0", "optD = torch.optim.Adam(netD.parameters(), lr=lr,", "optD = torch.optim.Adam(netD.parameters(), lr=10 * lr,", also="critic_too_strong critic_step_too_large"),
    fault(S, "critic_far_ahead", "critic_too_strong", "lambda_gp = 0.5", "lambda_gp = 0.0", "optD = torch.optim.Adam(netD.parameters(), lr=lr,", "optD = torch.optim.Adam(netD.parameters(), lr=8 * lr,", also="critic_step_too_large generator_gradient_vanishes"),
)  # fmt: skip

S = "reversal_pinwheel"
REVERSAL = (
    fault(S, "not_reversed", "generator_sign_flipped", "return -ctx.alpha * grad_output, None", "return ctx.alpha * grad_output, None"),
    fault(S, "detached", "generator_detached", "fake = revgrad(generator(z))", "fake = revgrad(generator(z).detach())", also="generator_not_stepped"),
    fault(S, "not_shuffled", "unshuffled", "order = torch.randperm(len(points))", "order = torch.arange(len(points))"),
    fault(S, "slope_without_graph", "penalty_detached", "on_real.sum(), real, create_graph=True)", "on_real.sum(), real, retain_graph=True)", also="penalty_absent"),
    fault(S, "stem_frozen", "critic_frozen", "opt_g = torch.optim.Adam(generator", "domain_classifier.stem.requires_grad_(False)\nopt_g = torch.optim.Adam(generator"),
    fault(S, "generator_rate_huge", "generator_step_too_large", "opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3", "opt_g = torch.optim.Adam(generator.parameters(), lr=0.3"),
    fault(S, "critic_rate_low", "critic_too_weak", "domain_classifier.parameters(), lr=2e-3", "domain_classifier.parameters(), lr=2e-5", also="critic_step_too_small"),
    fault(S, "weight_twenty", "penalty_weight_wrong", "loss + 0.1 * slope", "loss + 20 * slope", also="penalty_too_strong"),
)  # fmt: skip

S = "rcgan_series"
RCGAN = (
    fault(S, "clip_not_called", "clip_absent", "        self.clip()\n", "", also="loss_needs_lipschitz constraint_missing"),
    fault(S, "clip_twenty_times", "clip_other", 'w.clamp_(-self.p["clip"], self.p["clip"])', "w.clamp_(-1.0, 1.0)", also="clip_absent constraint_vacuous"),
    fault(S, "clip_thousandth", "clip_crippling", '"clip": 0.05', '"clip": 0.0005', also="critic_too_weak generator_gradient_vanishes"),
    fault(S, "missing_values", "non_finite", "X = data.series(2000)\n", 'X = data.series(2000)\nX[::20, 3, 0] = float("nan")\n'),
    fault(S, "critic_step_left_out", "critic_not_stepped", "        self.crit_opt.step()\n", ""),
    fault(S, "real_half_left_out", "critic_real_half_missing", "loss = -self.crit(x).mean() + self.crit(fake).mean()", "loss = self.crit(fake).mean()"),
)  # fmt: skip

S = "airl_policy"
AIRL = (
    fault(S, "reward_without_grad", "generator_loss_without_critic", "        reward = self.reward_train(self.gen_algo(obs))\n", "        with th.no_grad():\n            reward = self.reward_train(self.gen_algo(obs))\n", also="generator_detached"),
    fault(S, "expert_is_zero", "critic_sign_flipped", "th.cat([th.ones(self.demo_batch_size, 1), th.zeros(self.demo_batch_size, 1)])", "th.cat([th.zeros(self.demo_batch_size, 1), th.ones(self.demo_batch_size, 1)])"),
    fault(S, "reward_minimised", "generator_sign_flipped", "loss = -reward.mean() - self.ent_coef", "loss = reward.mean() - self.ent_coef"),
    fault(S, "coefficient_not_passed", "penalty_absent", "loss = loss + self.gp_coef * self.gradient_penalty(expert, gen_samples)", "loss = loss + 0 * self.gradient_penalty(expert, gen_samples)", also="penalty_weight_wrong penalty_detached rotation_undamped"),
    fault(S, "forty_demonstrations", "few_rows", "Transitions(*data.expert(2000))", "Transitions(*data.expert(40))", also="critic_overfitting rows_repeated generator_memorising"),
)  # fmt: skip

S = "lsgan_soft"
LSGAN = (
    fault(S, "parameters_only", "average_buffers_not_copied", "        ema_generator.update_parameters(generator)\n", "        with torch.no_grad():\n            for a, b in zip(ema_generator.parameters(), generator.parameters()):\n                a.lerp_(b, 0.1)\n"),
    fault(S, "statistics_never_settle", "sampled_in_other_mode", "            nn.BatchNorm2d(32),\n", "            nn.BatchNorm2d(32, momentum=1e-4),\n", "            nn.BatchNorm2d(16),\n", "            nn.BatchNorm2d(16, momentum=1e-4),\n"),
    fault(S, "bce_for_mse", "critic_loss_other", "adversarial_loss = torch.nn.MSELoss()", "adversarial_loss = torch.nn.BCEWithLogitsLoss()", also="generator_loss_other"),
    fault(S, "optimizer_of_the_wrong_net", "optimizer_other_player", "torch.optim.Adam(discriminator.parameters()", "torch.optim.Adam(generator.parameters()", also="critic_not_stepped"),
    fault(S, "noise_on_real_only", "critic_shown_other_real", "real_loss = adversarial_loss(discriminator(real_imgs), valid)", "real_loss = adversarial_loss(discriminator(real_imgs + 0.5 * torch.randn_like(real_imgs)), valid)"),
    fault(S, "latents_shrunk", "mode_collapse_total", "out = self.l1(z)", "out = self.l1(z * 0.001)", also="mode_collapse_partial generator_ill_conditioned"),
    fault(S, "two_hundred_images", "critic_overfitting", "images = (images / 16 - 0.5) / 0.5\n", "images, targets = images[:200], targets[:200]\nimages = (images / 16 - 0.5) / 0.5\n", "default=1 + steps // 25", "default=1000", also="few_rows generator_memorising"),
    fault(S, "relu_for_scores", "rectified_scores", "self.adv_layer = nn.Linear(32 * 2 * 2, 1)", "self.adv_layer = nn.Sequential(nn.Linear(32 * 2 * 2, 1), nn.ReLU())"),
    fault(S, "rolled_images", "critic_shown_other_real", "        real_imgs = imgs\n", "        real_imgs = imgs.transpose(2, 3)\n", "monitor.step(real_imgs, z)", "monitor.step(imgs, z)", also="channel_order"),
)  # fmt: skip
