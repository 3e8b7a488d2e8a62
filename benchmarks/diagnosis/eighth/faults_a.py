# ruff: noqa: E501
"""Planted faults: the tutorial, the penalty in numpy's company, styles with lazy terms, paired images."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

CRITIC_FAST = "critic_step_too_large generator_gradient_vanishes critic_too_strong"
CRITIC_SLOW = "critic_step_too_small learning_rate_not_reached"
FEW = "few_rows batch_repeated generator_memorising critic_overfitting critic_too_strong critic_step_too_large"
SWINGS = "generator_step_too_large critic_step_too_large rotation_undamped momentum_too_high"
COLLAPSE = "generator_ill_conditioned mode_collapse_partial mode_collapse_total"

f = partial(fault, "dcgan_tiles")
TUTORIAL = (
    f(
        "logits_criterion",
        "double_sigmoid",
        "criterion = nn.BCELoss()",
        "criterion = nn.BCEWithLogitsLoss()",
        also="bounded_scores probability_as_score",
    ),
    f(
        "label_not_flipped",
        "generator_sign_flipped",
        "        label.fill_(real_label)  # fake labels are real for generator cost\n",
        "",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "saturating",
        "generator_loss_other",
        "        errG = criterion(output, label)",
        "        errG = -criterion(output, torch.zeros_like(label))",
    ),
    f(
        "fake_label_one",
        "critic_sign_flipped",
        "fake_label = 0.0",
        "fake_label = 1.0",
        also="critic_fake_half_missing refuted_unexplained critic_loss_other",
    ),
    f(
        "fake_from_numpy",
        "generator_detached",
        "        output = netD(fake).view(-1)\n        errG",
        "        output = netD(torch.from_numpy(fake.detach().numpy())).view(-1)\n        errG",
        also="generator_not_stepped",
    ),
    f(
        "bytes_again",
        "data_range",
        "data.tiles(2048)",
        "data.tiles(2048) * 127.5 + 127.5",
        also="data_scale critic_shown_other_real",
    ),
    f(
        "nz_rand",
        "latent_mismatch",
        "noise = torch.randn(b_size, nz, 1, 1)",
        "noise = torch.rand(b_size, nz, 1, 1)",
    ),
    f(
        "no_zero_d",
        "critic_gradient_accumulated",
        "        netD.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f(
        "both_in_one_batch",
        "batch_norm_coupling",
        "        output = netD(real_cpu).view(-1)\n        errD_real = criterion(output, label)\n        errD_real.backward()\n\n        noise",
        "        noise",
        "        output = netD(fake.detach()).view(-1)\n        errD_fake = criterion(output, label)\n        errD_fake.backward()\n",
        "        output = netD(torch.cat((real_cpu, fake.detach()))).view(-1)\n        errD_real = criterion(output[:b_size], torch.ones_like(label))\n        errD_fake = criterion(output[b_size:], label)\n        (errD_real + errD_fake).backward()\n",
    ),
    f(
        "nz_one",
        "generator_ill_conditioned",
        "nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False)",
        "nn.Conv2d(nz, 1, 1),\n            nn.ConvTranspose2d(1, ngf * 2, 2, 1, 0, bias=False)",
        also=COLLAPSE,
    ),
    f(
        "lr_d",
        "critic_too_strong",
        "optimizerD = optim.Adam(netD.parameters(), lr=lr",
        "optimizerD = optim.Adam(netD.parameters(), lr=200 * lr",
        also=CRITIC_FAST,
    ),
    f(
        "tiny_set",
        "critic_overfitting",
        "data.tiles(2048)",
        "data.tiles(16)",
        "optimizerD = optim.Adam(netD.parameters(), lr=lr",
        "optimizerD = optim.Adam(netD.parameters(), lr=4 * lr",
        also=FEW,
    ),
)

f = partial(fault, "caogang_swirl")
CAOGANG = (
    f(
        "mone_both",
        "critic_sign_flipped",
        "D_fake.backward(one)",
        "D_fake.backward(mone)",
        also="critic_fake_half_missing refuted_unexplained",
    ),
    f(
        "g_one",
        "generator_sign_flipped",
        "G.backward(mone)",
        "G.backward(one)",
        also="generator_loss_other",
    ),
    f(
        "penalty_not_backward",
        "penalty_absent",
        "        gradient_penalty.backward()\n",
        "",
        also="penalty_detached loss_needs_lipschitz",
    ),
    f(
        "no_create_graph",
        "penalty_detached",
        "        create_graph=True,\n        retain_graph=True,\n        only_inputs=True,\n    )[0]\n    gradient_penalty = ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA",
        "        only_inputs=True,\n    )[0]\n    gradient_penalty = ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA\n    gradient_penalty.requires_grad_(True)",
        also="penalty_absent loss_needs_lipschitz",
    ),
    f(
        "lambda_twentyfold",
        "penalty_weight_wrong",
        ".mean() * LAMBDA\n",
        ".mean() * LAMBDA * 20\n",
        also="penalty_too_strong",
    ),
    f("norm_over_batch", "penalty_norm_axes", "gradients.norm(2, dim=1)", "gradients.norm(2)"),
    f(
        "zero_centred",
        "penalty_other_kind",
        "(gradients.norm(2, dim=1) - 1) ** 2",
        "(gradients.norm(2, dim=1)) ** 2",
        also="penalty_weight_wrong",
    ),
    f(
        "at_real",
        "penalty_other_place",
        "interpolates = alpha * real_data + ((1 - alpha) * fake_data)",
        "interpolates = real_data",
    ),
    f(
        "iters_swapped",
        "n_critic_swapped",
        "for iter_d in range(CRITIC_ITERS):",
        "for iter_d in range(1 if iteration % CRITIC_ITERS == 0 else 0):",
        also="critic_too_weak",
    ),
    f(
        "critic_rate_up",
        "critic_step_too_large",
        "optimizerD = optim.Adam(netD.parameters(), lr=2e-3",
        "optimizerD = optim.Adam(netD.parameters(), lr=1e-1",
        also=CRITIC_FAST,
    ),
    f(
        "beta_high",
        "momentum_too_high",
        "optimizerD = optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5",
        "optimizerD = optim.Adam(netD.parameters(), lr=4e-3, betas=(0.99",
        "optimizerG = optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5",
        "optimizerG = optim.Adam(netG.parameters(), lr=4e-3, betas=(0.99",
        also=SWINGS,
    ),
    f(
        "first_dimension_only",
        "mode_collapse_partial",
        "        return self.main(noise)",
        "        return self.main(noise) * torch.tensor([1.0, 0.0])",
        also="generator_ill_conditioned mode_collapse_total",
    ),
)

f = partial(fault, "rosinality_blobs")
STYLES = (
    f(
        "ema_not_called",
        "average_is_not_updated",
        "    accumulate(g_ema, generator)\n",
        "",
        also="average_too_slow average_buffers_not_copied",
    ),
    f("ema_published_decay", "average_too_slow", "decay=0.9)", "decay=0.9999)", also="average_is_not_updated"),
    f("ema_without_memory", "average_is_live", "decay=0.9)", "decay=0.0)"),
    f(
        "reg_every_64",
        "penalty_too_lazy",
        "    d_reg_every = 4\n",
        "    d_reg_every = 64\n",
        also="penalty_absent penalty_weight_wrong critic_step_too_large",
    ),
    f(
        "r1_no_square",
        "penalty_other_kind",
        "grad_real.pow(2).reshape(grad_real.shape[0], -1).sum(1).mean()",
        "((grad_real.reshape(grad_real.shape[0], -1).norm(dim=1) - 1) ** 2).mean()",
        also="penalty_weight_wrong",
    ),
    f(
        "r1_hundredfold",
        "penalty_weight_wrong",
        "args.r1 / 2 * r1_loss",
        "args.r1 * 200 * r1_loss",
        also="penalty_too_strong",
    ),
    f(
        "r1_on_fake",
        "penalty_other_place",
        "        real_img.requires_grad = True\n        real_pred = discriminator(real_img)\n        r1_loss = d_r1_loss(real_pred, real_img)",
        "        fake_img = fake_img.detach().requires_grad_(True)\n        real_pred = discriminator(fake_img)\n        r1_loss = d_r1_loss(real_pred, fake_img)",
    ),
    f(
        "only_head_awake",
        "critic_frozen",
        "    requires_grad(discriminator, True)\n",
        "    requires_grad(discriminator.final_linear, True)\n",
        also="critic_too_weak",
    ),
    f(
        "generator_stays_frozen",
        "generator_frozen",
        "    requires_grad(generator, True)\n",
        "    requires_grad(generator.style, True)\n",
        also="generator_not_stepped generator_detached",
    ),
    f(
        "d_rate_low",
        "critic_step_too_small",
        "discriminator.parameters(), lr=args.lr * d_reg_ratio",
        "discriminator.parameters(), lr=args.lr * d_reg_ratio * 1e-4",
        also="critic_too_weak learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "g_rate_high",
        "generator_step_too_large",
        "generator.parameters(), lr=args.lr * g_reg_ratio",
        "generator.parameters(), lr=args.lr * g_reg_ratio * 20",
    ),
)

f = partial(fault, "pixmodel_frames")
PAIRED = (
    f("lambda_100", "reconstruction_drowns_adversarial", "lambda_L1 = 2.0", "lambda_L1 = 3000.0"),
    f("l1_lost", "adversarial_drowns_reconstruction", "lambda_L1 = 2.0", "lambda_L1 = 2e-5"),
    f(
        "gan_target_false",
        "generator_sign_flipped",
        "self.loss_G_GAN = self.criterionGAN(pred_fake, True)",
        "self.loss_G_GAN = self.criterionGAN(pred_fake, False)",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "l1_alone",
        "generator_loss_without_critic",
        "        pred_fake = self.netD(fake_AB)\n",
        "        pred_fake = self.netD(fake_AB.data)\n",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "real_pair_reversed",
        "channel_order",
        "real_AB = torch.cat((self.real_A, self.real_B), 1)\n        self.real_AB = real_AB",
        "real_AB = torch.cat((self.real_B, self.real_A), 1)\n        self.real_AB = torch.cat((self.real_A, self.real_B), 1)",
        also="critic_shown_other_real",
    ),
    f(
        "real_unscaled",
        "critic_shown_other_real",
        "pred_real = self.netD(real_AB)",
        "pred_real = self.netD((real_AB + 1) / 2)",
        also="data_scale data_range",
    ),
    f(
        "d_opt_gets_g",
        "optimizer_other_player",
        "torch.optim.Adam(self.netD.parameters(), lr=opt.lr_d",
        "torch.optim.Adam(self.netG.parameters(), lr=opt.lr_d",
        also="critic_not_stepped optimizer_misses_parameters",
    ),
    f(
        "real_half_dropped",
        "critic_real_half_missing",
        "self.loss_D = (self.loss_D_fake + self.loss_D_real) * 0.5",
        "self.loss_D = (self.loss_D_fake + self.loss_D_fake) * 0.5",
    ),
    f(
        "mse_inside",
        "critic_loss_other",
        "        self.loss_D.backward()\n",
        "        self.loss_D = 0.5 * (((pred_real - 1) ** 2).mean() + (pred_fake**2).mean())\n        self.loss_D.backward()\n",
    ),
    f(
        "not_shuffled",
        "unshuffled",
        "outlines, filled = data.frames(1536)",
        "outlines, filled = data.frames(1536)\norder = filled.flatten(1).mean(1).argsort()\noutlines, filled = outlines[order], filled[order]",
        "batch_size=opt.batch_size, shuffle=True",
        "batch_size=opt.batch_size, shuffle=False",
    ),
    f(
        "d_slow",
        "critic_too_weak",
        "lr_g, lr_d, beta1 = 0.002, 0.002, 0.5",
        "lr_g, lr_d, beta1 = 0.002, 0.00002, 0.5",
        also=CRITIC_SLOW,
    ),
    f(
        "ten_pairs",
        "critic_overfitting",
        "data.frames(1536)",
        "data.frames(24)",
        "lr_g, lr_d, beta1 = 0.002, 0.002, 0.5",
        "lr_g, lr_d, beta1 = 0.002, 0.006, 0.5",
        also=FEW,
    ),
)
