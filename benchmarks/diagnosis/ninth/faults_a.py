# ruff: noqa: E501
"""Planted faults: networks that train themselves, small sets with an average, motion priors."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

CRITIC_FAST = "critic_step_too_large generator_gradient_vanishes critic_too_strong"
CRITIC_SLOW = "critic_step_too_small learning_rate_not_reached"
FEW = "few_rows batch_repeated generator_memorising critic_overfitting critic_too_strong critic_step_too_large"
SWINGS = "generator_step_too_large critic_step_too_large rotation_undamped momentum_too_high"
COLLAPSE = "generator_ill_conditioned mode_collapse_partial mode_collapse_total"

f = partial(fault, "mimicry_chevrons")
MIMICRY = (
    f(
        "plain_convolutions",
        "constraint_missing",
        "    return spectral_norm(nn.Conv2d(*args, **kwargs))",
        "    return nn.Conv2d(*args, **kwargs)",
        "    return spectral_norm(nn.Linear(*args, **kwargs))",
        "    return nn.Linear(*args, **kwargs)",
        also="constraint_partial",
    ),
    f(
        "plain_head",
        "constraint_partial",
        "        self.l5 = SNLinear(ndf, 1)",
        "        self.l5 = nn.Linear(ndf, 1)",
        also="constraint_vacuous",
    ),
    f(
        "gain_after_features",
        "constraint_vacuous",
        "        output = torch.sum(h, dim=(2, 3))\n",
        "        output = 50 * torch.sum(h, dim=(2, 3))\n",
        also="constraint_partial " + CRITIC_FAST,
    ),
    f(
        "fake_from_frozen_critic",
        "critic_fake_half_missing",
        "        output_fake = self.forward(fake_images)\n",
        "        with torch.no_grad():\n            output_fake = self.forward(fake_images)\n",
        also="critic_called_without_grad",
    ),
    f(
        "images_from_numpy",
        "generator_detached",
        "        output = netD(fake_images)\n",
        "        output = netD(torch.tensor(fake_images.detach().numpy()))\n",
        also="generator_not_stepped",
    ),
    f(
        "n_dis_for_generator",
        "n_critic_swapped",
        "            for i in range(self.n_dis):\n                iter_dataloader, real_batch = self._fetch_data(iter_dataloader)\n                log_data = self.netD.train_step(real_batch, netG=self.netG, optD=self.optD, log_data=log_data)\n                if i == self.n_dis - 1:\n                    log_data",
        "            for i in range(self.n_dis):\n                iter_dataloader, real_batch = self._fetch_data(iter_dataloader)\n                if global_step % 4 == 0 and i == 0:\n                    log_data = self.netD.train_step(real_batch, netG=self.netG, optD=self.optD, log_data=log_data)\n                if i == self.n_dis - 1:\n                    log_data",
        also="critic_too_weak critic_not_stepped",
    ),
    f(
        "positive_mean",
        "generator_sign_flipped",
        "        return -torch.mean(output)\n",
        "        return torch.mean(output)\n",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "decay_over_tenth",
        "schedule_too_fast",
        "self.scheduler = LRScheduler(optD, optG, num_steps, start_step=num_steps // 2)",
        "self.scheduler = LRScheduler(optD, optG, num_steps // 8, start_step=2)",
        also="learning_rate_zero generator_step_too_small critic_step_too_small",
        late=True,
    ),
    f(
        "train_mode_after_loop",
        "eval_mode_in_training",
        "        self.netG.train()\n        return images",
        "        return images",
        also="sampled_in_other_mode",
    ),
    f(
        "pixels_of_bytes",
        "data_range",
        "TensorDataset(data.chevrons(2048))",
        "TensorDataset((data.chevrons(2048) + 1) * 127.5)",
        also="data_scale critic_shown_other_real",
    ),
    f(
        "lr_d_low",
        "critic_too_weak",
        "optD = torch.optim.Adam(netD.parameters(), 2e-3",
        "optD = torch.optim.Adam(netD.parameters(), 2e-6",
        also=CRITIC_SLOW,
    ),
    f(
        "critic_in_eval",
        "spectral_norm_stale",
        "        self.zero_grad()\n        output_real",
        "        self.eval()\n        self.zero_grad()\n        output_real",
        also="eval_mode_in_training",
    ),
    f(
        "forty_drawings",
        "critic_overfitting",
        "data.chevrons(2048)",
        "data.chevrons(40)",
        "optD = torch.optim.Adam(netD.parameters(), 2e-3",
        "optD = torch.optim.Adam(netD.parameters(), 6e-3",
        also=FEW,
    ),
    f(
        "one_latent",
        "generator_ill_conditioned",
        "        h = self.l1(x).view(",
        "        h = self.l1(x[:, :1].expand_as(x)).view(",
        also=COLLAPSE,
    ),
)

f = partial(fault, "fastgan_crosses")
FASTGAN = (
    f(
        "real_in_zero_one",
        "critic_shown_other_real",
        "        pred, rec_all = net(data)\n",
        "        pred, rec_all = net(data * 0.5 + 0.5)\n",
        also="data_range data_scale",
    ),
    f(
        "backward_of_real_lost",
        "critic_real_half_missing",
        "        err = F.relu(1 - pred).mean() + args.rec * F.l1_loss(rec_all, data)\n",
        "        err = F.relu(1 - pred.detach()).mean() + args.rec * F.l1_loss(rec_all, data)\n",
    ),
    f("g_zero_grad_lost", "generator_gradient_accumulated", "    netG.zero_grad()\n", ""),
    f(
        "fake_kept_attached",
        "generator_gradient_in_critic",
        '    train_d(netD, fake_images.detach(), label="fake")\n    optimizerD.step()\n\n    ## 3. train Generator\n    netG.zero_grad()\n    pred_g, _ = netD(fake_images)\n',
        '    train_d(netD, DiffAugment(netG(noise), policy=policy), label="fake")\n    optimizerD.step()\n\n    ## 3. train Generator\n    pred_g, _ = netD(fake_images)\n',
        also="generator_gradient_accumulated generator_loss_other",
    ),
    f(
        "average_not_loaded",
        "average_is_not_updated",
        "        avg_p.mul_(0.9).add_(0.1 * p.data)\n",
        "        avg_p.mul(0.9).add(0.1 * p.data)\n",
        also="average_too_slow",
    ),
    f(
        "average_of_published_runs",
        "average_too_slow",
        "        avg_p.mul_(0.9).add_(0.1 * p.data)\n",
        "        avg_p.mul_(0.999).add_(0.001 * p.data)\n",
        also="average_is_not_updated",
    ),
    f(
        "forty_pictures",
        "critic_overfitting",
        "images = data.crosses(2048)",
        "images = data.crosses(30)",
        "optimizerD = optim.Adam(netD.parameters(), lr=nlr",
        "optimizerD = optim.Adam(netD.parameters(), lr=3 * nlr",
        also=FEW,
    ),
    f(
        "first_latent_only",
        "generator_ill_conditioned",
        "        feat_2 = self.init(noise[:, :, None, None])",
        "        feat_2 = self.init(noise[:, :1, None, None].expand(-1, noise.shape[1], 1, 1))",
        also=COLLAPSE,
    ),
    f(
        "noise_uniform",
        "latent_mismatch",
        "    noise = torch.Tensor(current_batch_size, nz).normal_(0, 1)\n",
        "    noise = torch.Tensor(current_batch_size, nz).uniform_(0, 1)\n",
    ),
    f(
        "d_rate_ten",
        "critic_too_strong",
        "optimizerD = optim.Adam(netD.parameters(), lr=nlr",
        "optimizerD = optim.Adam(netD.parameters(), lr=25 * nlr",
        also=CRITIC_FAST,
    ),
    f(
        "buffers_not_copied",
        "average_buffers_not_copied",
        "    for avg_b, b in zip(netG_ema.buffers(), netG.buffers()):\n        avg_b.copy_(b)\n",
        "",
        also="sampled_in_other_mode",
    ),
    f(
        "d_rate_thousandth",
        "critic_too_weak",
        "optimizerD = optim.Adam(netD.parameters(), lr=nlr",
        "optimizerD = optim.Adam(netD.parameters(), lr=nlr / 1000",
        also=CRITIC_SLOW,
    ),
)

f = partial(fault, "amp_gaits")
MOTION = (
    f(
        "policy_labels_one",
        "critic_sign_flipped",
        "            policy_loss = mse(policy_d, -1 * torch.ones(policy_d.size()))",
        "            policy_loss = mse(policy_d, torch.ones(policy_d.size()))",
        also="critic_fake_half_missing critic_loss_other refuted_unexplained",
    ),
    f(
        "style_target_minus_one",
        "generator_sign_flipped",
        "            style_loss = mse(style, torch.ones(style.size()))",
        "            style_loss = mse(style, -torch.ones(style.size()))",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "norm_towards_one",
        "penalty_other_kind",
        "(grad.norm(2, dim=1) - 0)",
        "(grad.norm(2, dim=1) - 1)",
        also="penalty_weight_wrong",
    ),
    f(
        "penalty_of_batch",
        "penalty_norm_axes",
        "(grad.norm(2, dim=1) - 0).pow(2).mean()",
        "(grad.norm(2, dim=0) - 0).pow(2).mean()",
        also="penalty_weight_wrong",
    ),
    f(
        "penalty_of_policy_rows",
        "penalty_other_place",
        "compute_grad_pen(sample_amp_expert, lambda_",
        "compute_grad_pen(sample_amp_policy, lambda_",
    ),
    f(
        "no_second_order",
        "penalty_detached",
        "grad_outputs=ones, create_graph=True, retain_graph=True, only_inputs=True",
        "grad_outputs=ones, create_graph=False, retain_graph=True, only_inputs=True",
        also="penalty_absent",
    ),
    f(
        "head_not_in_params",
        "optimizer_misses_parameters",
        '    {"params": discriminator.trunk.parameters(), "weight_decay": 10e-4, "name": "amp_trunk"},\n',
        "",
        also="critic_frozen critic_too_weak",
    ),
    f(
        "decay_of_trunk",
        "weight_decay_crippling",
        '"weight_decay": 10e-4,',
        '"weight_decay": 10.0,',
        '"weight_decay": 10e-2,',
        '"weight_decay": 10.0,',
        also="critic_too_weak",
    ),
    f(
        "normalised_wrongly",
        "data_scale",
        "amp_data = MotionLoader(normalizer.normalize_torch(expert), preload=4000)",
        "amp_data = MotionLoader(normalizer.normalize_torch(expert) * 25, preload=4000)",
        also="data_range critic_shown_other_real",
    ),
    f(
        "obs_reset",
        "latents_constant",
        "            obs = torch.randn(mini_batch, num_obs)\n            style",
        "            obs = torch.ones(mini_batch, num_obs)\n            style",
        also="latent_mismatch mode_collapse_total latents_reused",
    ),
    f(
        "amp_lr",
        "critic_step_too_large",
        "optimizer_amp = torch.optim.Adam(params, lr=2e-3",
        "optimizer_amp = torch.optim.Adam(params, lr=2e-1",
        also=CRITIC_FAST,
    ),
    f(
        "one_joint_moves",
        "mode_collapse_partial",
        "        return self.head(self.body(obs))",
        "        return self.head(self.body(obs)) * torch.tensor([1.0, 0.0, 1.0, 0.0])",
        also="generator_ill_conditioned mode_collapse_total",
    ),
    f(
        "both_rates_up",
        "rotation_undamped",
        "optimizer = torch.optim.Adam(policy.parameters(), lr=2e-3, betas=(0.5, 0.99))",
        "optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2, betas=(0.9, 0.99))",
        "optimizer_amp = torch.optim.Adam(params, lr=2e-3, betas=(0.5, 0.99))",
        "optimizer_amp = torch.optim.Adam(params, lr=2e-2, betas=(0.9, 0.99))",
        also="generator_step_too_large critic_step_too_large momentum_too_high critic_too_strong",
    ),
)
