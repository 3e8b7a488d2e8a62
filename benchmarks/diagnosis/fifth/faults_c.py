# ruff: noqa: E501
"""Planted faults: ESRGAN, adaptation, words, TimeGAN, Diffusion-GAN, LeCam, SAGAN, a gradient scaler."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

f = partial(fault, "esrgan_flags")
ESRGAN = (
    f("pixels_only_count", "reconstruction_drowns_adversarial", "lambda_adv, lambda_pixel, batch_size = 5, 1.0, 0.03, 16", "lambda_adv, lambda_pixel, batch_size = 5, 1.0, 3000.0, 16"),
    f("pixels_forgotten", "adversarial_drowns_reconstruction", "lambda_adv, lambda_pixel, batch_size = 5, 1.0, 0.03, 16", "lambda_adv, lambda_pixel, batch_size = 5, 1.0, 1e-6, 16"),
    f("D_wrong_way", "critic_sign_flipped", "            loss_real = bce(pred_real - pred_fake.mean(0, keepdim=True), valid)\n        loss_fake = bce(pred_fake - pred_real.mean(0, keepdim=True), wrong)\n".lstrip(" "), "loss_real = bce(pred_real - pred_fake.mean(0, keepdim=True), wrong)\n        loss_fake = bce(pred_fake - pred_real.mean(0, keepdim=True), valid)\n"),
    f("gen_hr_detached", "generator_loss_without_critic", "pred_fake = discriminator(gen_hr)\n", "pred_fake = discriminator(gen_hr.detach())\n", also="generator_detached reconstruction_drowns_adversarial"),
    f("bytes", "critic_shown_other_real", "            pred_real = discriminator(imgs_hr)\n        pred_fake = discriminator(gen_hr.detach())".lstrip(" "), "pred_real = discriminator(imgs_hr * std + mean)\n        pred_fake = discriminator(gen_hr.detach())", also="data_scale data_range"),
    f("rate_1", "generator_step_too_large", "optimizer_G = torch.optim.Adam(generator.parameters(), lr=2e-3", "optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.5", also="non_finite"),
    f("sigmoid_before_bce", "double_sigmoid", "return self.model(img).mean((1, 2, 3))", "return torch.sigmoid(self.model(img).mean((1, 2, 3)))", also="bounded_scores probability_as_score"),
    f("net_rebuilt", "optimizer_wrong_parameters", "    mean, std = 100.0, 70.0\n", "    mean, std = 100.0, 70.0\n    discriminator = Discriminator()\n", also="critic_not_stepped"),
)

f = partial(fault, "adda_rings")
ADDA = (
    f("opt_critic_cleared_once", "generator_gradient_in_critic", "        self.opt_critic.zero_grad()\n        feat_concat", "        feat_concat", "        self.opt_critic.zero_grad()\n        self.opt_target.zero_grad()\n", "        self.opt_critic.zero_grad()\n        self.opt_target.zero_grad()\n".replace("        self.opt_critic.zero_grad()\n", "")),
    f("label_zeros", "generator_sign_flipped", "label_tgt = torch.ones(self.batch).long()", "label_tgt = torch.zeros(self.batch).long()"),
    f("no_grad_critic", "critic_called_without_grad", "        pred_concat = self.critic(feat_concat)\n", "        with torch.no_grad():\n            pred_concat = self.critic(feat_concat)\n        pred_concat.requires_grad_()\n", also="critic_no_gradient critic_not_stepped"),
    f("target_kept_fixed", "generator_frozen", "nn.Linear(3, 3)).requires_grad_(True)", "nn.Linear(3, 3))"),
    f("critic_scores_bounded", "bounded_scores", "nn.Linear(64, 2)\n", "nn.Linear(64, 2), nn.Hardtanh(-0.1, 0.1)\n"),
    f("source_not_scaled", "critic_shown_other_real", "        feat_concat = torch.cat((feat_src, feat_tgt.detach()), 0)\n", "        feat_concat = torch.cat((feat_src * self.std + self.mean, feat_tgt.detach()), 0)\n", also="data_scale"),
    f("rate_forgotten", "critic_step_too_small", "lr_c=4e-3", "lr_c=4e-9"),
    f("critic_huge_rate", "critic_step_too_large", "lr_c=4e-3", "lr_c=1.0", also="critic_too_strong generator_gradient_vanishes"),
    f("one_batch", "batch_repeated", "        return x[torch.randint(0, len(x), (self.batch,))]\n", "        return x[: self.batch]\n", also="few_rows latents_reused"),
)

f = partial(fault, "gumbel_words")
WORDS = (
    f("argmax_tokens", "generator_detached", "            token = F.gumbel_softmax(self.out(h), tau=self.temperature)\n", "            token = F.one_hot(self.out(h).argmax(1), args.vocab).float()\n"),
    f("start_constant", "latents_constant", "        z = torch.randn(args.batch, args.latent)\n", "        z = torch.randn(1, args.latent).expand(args.batch, -1)\n", also="latent_mismatch"),
    f("clip_norm_tiny", "generator_step_too_small", "gen_lr: float = 5e-3", "gen_lr: float = 1e-8"),
    f("never_cleared", "generator_gradient_accumulated", "        opt.zero_grad()\n        loss.backward()\n", "        if model is self.dis:\n            opt.zero_grad()\n        loss.backward()\n"),
    f("dis_only_head", "optimizer_misses_parameters", "torch.optim.Adam(self.dis.parameters()", "torch.optim.Adam(self.dis.feature2out.parameters()"),
    f("fake_target_ones", "critic_fake_half_missing", "            d_loss += F.binary_cross_entropy_with_logits(self.dis(fake), torch.zeros(args.batch))\n", ""),
    f("real_target_zeros", "critic_sign_flipped", "(self.dis(real), torch.ones(args.batch))", "(self.dis(real), torch.zeros(args.batch))", "(self.dis(fake), torch.zeros(args.batch))", "(self.dis(fake), torch.ones(args.batch))"),
    f("gen_rate_one", "generator_step_too_large", "gen_lr: float = 5e-3", "gen_lr: float = 3.0"),
    f("no_z", "latents_reused", "        z = torch.randn(args.batch, args.latent)\n", "        z = torch.randn(args.batch, args.latent, generator=torch.Generator().manual_seed(0))\n"),
)

f = partial(fault, "timegan_walks")
TIMEGAN = (
    f("d_frozen_after_pretrain", "critic_no_gradient", "    y_real = discriminator(h)\n    y_fake = discriminator(h_hat.detach())\n", "    y_real = discriminator(h).detach().requires_grad_()\n    y_fake = discriminator(h_hat.detach()).detach().requires_grad_()\n", also="critic_not_stepped critic_real_half_missing critic_fake_half_missing"),
    f("opt_g_on_embedder", "optimizer_wrong_parameters", "opt_g = torch.optim.Adam(generator.parameters()", "opt_g = torch.optim.Adam(recovery.parameters()", also="generator_not_stepped"),
    f("g_loss_v_alone", "generator_loss_without_critic", "    g_loss = g_loss_u + 0.5 * g_loss_v\n", "    g_loss = g_loss_v\n", also="reconstruction_drowns_adversarial refuted_unexplained"),
    f("normal_for_sampling", "latent_mismatch", "sample=lambda: generator(random_generator(400))", "sample=lambda: generator(torch.randn(400, SEQ, ZDIM) * 2)"),
    f("relu_last", "rectified_scores", "discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1)", "discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1, nn.ReLU())"),
    f("raw_not_embedded", "data_scale", "        h = embedder(x)\n", "        h = embedder(x) * 0.05\n", also="data_range critic_shown_other_real"),
    f("rate_half_of_one", "generator_step_too_large", "generator.parameters(), lr=3e-3", "generator.parameters(), lr=0.5"),
    f("decay_five", "weight_decay_crippling", "opt_g = torch.optim.Adam(generator.parameters(), lr=3e-3)", "opt_g = torch.optim.AdamW(generator.parameters(), lr=3e-3, weight_decay=100.0)"),
    f("saved_rows", "few_rows", "    return ori[torch.randperm(len(ori))[:BATCH]]", "    return ori[torch.randint(0, 8, (BATCH,))]", also="rows_repeated batch_repeated"),
)

f = partial(fault, "diffusion_squares")
DIFFUSION = (
    f("only_fakes_noised", "critic_shown_other_real", "D(*diffuse(real))", "D(real, torch.zeros(len(real)).long())"),
    f("warmup_from_zero", "learning_rate_not_reached", 'warm = [torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, total_iters=10) for o in opt.values()]', 'for o in opt.values():\n    o.defaults["lr"] = 2e-3\n    o.param_groups[0]["lr"] = 2e-6\nwarm = []', also="generator_step_too_small critic_step_too_small"),
    f("ema_of_start", "average_too_slow", "get_ema_multi_avg_fn(0.9)", "get_ema_multi_avg_fn(0.9999)", "    ema.update_parameters(G)\n", "    ema.n_averaged += 1\n    ema.update_parameters(G)\n"),
    f("ema_forgotten", "average_is_not_updated", "    ema.update_parameters(G)\n", ""),
    f("gen_never_thawed", "generator_frozen", "    D.requires_grad_(False), G.requires_grad_(True)\n", "    D.requires_grad_(False), G.layers[2].requires_grad_(True)\n"),
    f("no_graph_for_G", "generator_not_stepped", '    opt["G"].step()\n', '    opt["D"].step()\n'),
    f("decay_large", "weight_decay_crippling", 'opt = {\n    "G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=1e-4)', 'opt = {\n    "G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=100.0)'),
    f("warm_down", "schedule_too_fast", "torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, total_iters=10)", "torch.optim.lr_scheduler.ExponentialLR(o, 0.9)", late=True, also="generator_step_too_small critic_step_too_small"),
    f("beta_high", "momentum_too_high", '"G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99)', '"G": torch.optim.AdamW(G.parameters(), lr=2e-2, betas=(0.99, 0.99)', '"D": torch.optim.AdamW(D.parameters(), lr=2e-3, betas=(0.0, 0.99)', '"D": torch.optim.AdamW(D.parameters(), lr=2e-2, betas=(0.99, 0.99)', also="generator_step_too_large critic_step_too_large"),
    f("narrow_z", "mode_collapse_partial", "    z = torch.randn(real.shape[0], G.zdim)\n    # critic", "    z = torch.randn(real.shape[0], G.zdim)\n    real = real[real[:, 0] > 0.5].repeat(9, 1)[: len(z)]\n    # critic", also="rows_repeated critic_shown_other_real"),
    f("one_direction", "generator_ill_conditioned", "        for layer in self.layers[:-1]:\n", "        z = z * torch.tensor([1.0, 0.02, 0.02, 0.02])\n        for layer in self.layers[:-1]:\n", also="mode_collapse_partial"),
)

f = partial(fault, "lecam_digits")
LECAM = (
    f("augment_reals_only", "critic_shown_other_real", "    d_fake = D(diff_augment(G(z).detach()))\n", "    d_fake = D(G(z).detach())\n"),
    f("hundred_images", "critic_overfitting", "images = data.digits()[0][:700] / 8 - 1", "images = data.digits()[0][:40] / 8 - 1", "opt_D = torch.optim.Adam(D.parameters(), lr=2e-3", "opt_D = torch.optim.Adam(D.parameters(), lr=6e-3", also="few_rows generator_memorising"),
    f("to_bytes", "data_range", "images = data.digits()[0][:700] / 8 - 1", "images = data.digits()[0][:700] * 16", also="data_scale"),
    f("batch_norm_eval", "eval_mode_in_training", "ema = EMA()\n", "ema = EMA()\nG.eval()\n"),
    f("sampled_eval", "sampled_in_other_mode", "        return G(torch.randn(n, 16))\n", "        G.eval()\n        for m in G:\n            if isinstance(m, nn.BatchNorm2d):\n                m.running_var.fill_(1.0), m.running_mean.fill_(0.0)\n        out = G(torch.randn(n, 16))\n        G.train()\n        return out\n", also="average_buffers_not_copied"),
    f("hinge_on_probability", "probability_as_score", "nn.Linear(128, 1)\n    )", "nn.Linear(128, 1), nn.Sigmoid()\n    )", also="bounded_scores"),
    f("rate_group", "learning_rate_not_reached", "opt_G = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.0, 0.9))", "opt_G = torch.optim.Adam([{\"params\": G.parameters(), \"lr\": 2e-6}], lr=2e-3, betas=(0.0, 0.9))", also="generator_step_too_small"),
    f("nothing_passes", "critic_no_gradient", "    loss.backward()\n    opt_D.step()\n", "    loss.backward()\n    opt_D.zero_grad(set_to_none=False)\n    opt_D.step()\n", also="critic_not_stepped"),
    f("one_row_many_times", "rows_repeated", "    idx = torch.randint(len(images), (32,))\n", "    idx = torch.randint(len(images), (2,)).repeat(16)\n", also="mode_collapse_partial"),
    f("hinge_relu_lost", "critic_loss_other", "    loss = relu(1 - d_real).mean() + relu(1 + d_fake).mean()\n", "    loss = (1 - d_real).mean() + (1 + d_fake).mean()\n", also="loss_needs_lipschitz"),
    f("class_order", "unshuffled", "    idx = torch.randint(len(images), (32,))\n", "    idx = torch.arange(step * 32, step * 32 + 32) % len(images)\n", "images = data.digits()[0][:700] / 8 - 1", "images = data.digits()[0][data.digits()[1].argsort()][::2] / 8 - 1"),
)

f = partial(fault, "sagan_flags")
SAGAN = (
    f("sn_is_nothing", "constraint_missing", "        sn = spectral_norm\n", "        sn = lambda m: m\n"),
    f("conv2_and_conv3_bare", "constraint_partial", "self.conv2 = sn(nn.Conv2d(ch, 2 * ch, 4, 2, 1))", "self.conv2 = nn.Conv2d(ch, 2 * ch, 4, 2, 1)", "self.conv3 = sn(nn.Conv2d(2 * ch, 4 * ch, 2, 1, 0))", "self.conv3 = nn.Conv2d(2 * ch, 4 * ch, 2, 1, 0)"),
    f("scale_at_end", "constraint_vacuous", "        return self.fc(h.flatten(1)).squeeze()", "        return 300 * self.fc(h.flatten(1)).squeeze()", also="critic_too_strong critic_step_too_large"),
    f("D_in_eval", "spectral_norm_stale", "            self.D.train()\n", "            self.D.eval()\n", also="eval_mode_in_training"),
    f("reset_missing_once", "generator_gradient_in_critic", "            d_loss = d_loss_real + d_loss_fake\n            self.reset_grad()\n", "            d_loss = d_loss_real + d_loss_fake\n            self.g_optimizer.zero_grad()\n"),
    f("reset_missing_G", "generator_gradient_accumulated", "            g_loss_fake = -g_out_fake.mean()\n            self.reset_grad()\n", "            g_loss_fake = -g_out_fake.mean()\n            self.d_optimizer.zero_grad()\n"),
    f("same_way", "generator_sign_flipped", "            g_loss_fake = -g_out_fake.mean()\n", "            g_loss_fake = g_out_fake.mean()\n"),
    f("relu_for_G", "generator_loss_other", "            g_loss_fake = -g_out_fake.mean()\n", "            g_loss_fake = torch.nn.functional.softplus(-g_out_fake).mean()\n"),
    f("tensor2var_zeros", "data_constant", "self.D(self.tensor2var(real_images))", "self.D(self.tensor2var(torch.zeros_like(real_images)))", also="critic_shown_other_real"),
    f("fakes_negated", "critic_shown_other_real", "self.D(self.tensor2var(real_images))", "self.D(self.tensor2var(-real_images))"),
    f("rate_zero_D", "learning_rate_zero", "g_lr=2e-3, d_lr=4e-3", "g_lr=2e-3, d_lr=0.0", also="critic_step_too_small critic_not_stepped"),
    f("z_blown", "non_finite", "        return self.gamma * (self.h(x)", "        return x / self.gamma * (self.h(x)"),
)

f = partial(fault, "scaler_squares")
SCALER = (
    f("scale_not_taken_out", "penalty_under_loss_scale", "    grad = scaled / scaler_c.get_scale()\n", "    grad = scaled\n"),
    f("norm_over_batch", "penalty_norm_axes", "(grad.norm(2, dim=1) - 1).square().mean()", "(grad.norm(2, dim=0) - 1).square().mean()"),
    f("fake_not_graphed", "generator_detached", "        g_loss = -critic(gen(z)).mean()\n", "        g_loss = -critic(gen(z).detach().requires_grad_()).mean()\n"),
    f("batch_norm_in_critic", "penalty_under_batch_norm", "nn.LayerNorm(o)", "nn.BatchNorm1d(o)", also="batch_norm_coupling"),
    f("lambda_huge", "penalty_too_strong", "Z, B, LAMBDA, N_CRITIC = 4, 64, 1.0, 3", "Z, B, LAMBDA, N_CRITIC = 4, 64, 1e6, 3"),
    f("lambda_nothing", "penalty_too_weak", "Z, B, LAMBDA, N_CRITIC = 4, 64, 1.0, 3", "Z, B, LAMBDA, N_CRITIC = 4, 64, 1e-7, 3"),
    f("unclaimed_gp", "loss_needs_lipschitz", "        c_loss = c_loss + LAMBDA * gradient_penalty(real, fake)\n", "", '    penalty=("gp", LAMBDA),\n', ""),
    f("lambda_thousandth", "penalty_weight_wrong", "c_loss + LAMBDA * gradient_penalty", "c_loss + LAMBDA / 1000 * gradient_penalty"),
    f("real_minus_fake", "critic_sign_flipped", "c_loss = critic(fake).mean() - critic(real).mean()", "c_loss = critic(real).mean() - critic(fake).mean()"),
    f("one_sided", "penalty_other_kind", "(grad.norm(2, dim=1) - 1).square().mean()", "(grad.norm(2, dim=1) - 1).clamp(min=0).square().mean()"),
)
