# ruff: noqa: E501
"""Planted faults of the first eight scripts: old text and new text in turns."""

from __future__ import annotations

from benchmarks.diagnosis.third.case import fault

S = "stylegan_shapes"
STYLEGAN = (
    fault(S, "ema_for_long_runs", "average_too_slow", '"--ema", type=float, default=0.9', '"--ema", type=float, default=0.9999'),
    fault(
        S, "mapping_left_out", "optimizer_misses_parameters",
        "g_optim = optim.Adam(generator.parameters(),",
        'g_optim = optim.Adam([p for n, p in generator.named_parameters() if not n.startswith("style") and "modulation" not in n],',
    ),
    fault(
        S, "rebuilt_after_optimizer", "optimizer_wrong_parameters",
        "def transform(images):", "generator = Generator(args.latent)\naccumulate(g_ema, generator, 0)\n\n\ndef transform(images):",
        also="generator_not_stepped optimizer_misses_parameters",
    ),
    fault(
        S, "r1_without_graph", "penalty_detached",
        "inputs=real_img, create_graph=True", "inputs=real_img, retain_graph=True", also="penalty_absent",
    ),
    fault(
        S, "softplus_swapped", "critic_sign_flipped",
        "real_loss = F.softplus(-real_pred)", "real_loss = F.softplus(real_pred)",
        "fake_loss = F.softplus(fake_pred)", "fake_loss = F.softplus(-fake_pred)",
    ),
    fault(S, "saturating", "generator_loss_other", "return F.softplus(-fake_pred).mean()", "return -F.softplus(fake_pred).mean()"),
    fault(S, "bgr_rows", "channel_order", "dataset = transform(data.shapes(1500))", "dataset = transform(data.shapes(1500).flip(3))", also="critic_shown_other_real"),
    fault(
        S, "lazy_and_strong", "penalty_too_lazy",
        '"--d_reg_every", type=int, default=8', '"--d_reg_every", type=int, default=30', '"--r1", type=float, default=2', '"--r1", type=float, default=400',
        also="penalty_too_strong",
    ),
    fault(S, "uniform_latents_to_sample", "latent_mismatch", "g_ema(torch.randn(500, args.latent))[0]", "g_ema(torch.rand(500, args.latent))[0]"),
)  # fmt: skip

S = "hifigan_tones"
HIFIGAN = (
    fault(
        S, "detached_for_generator", "generator_loss_without_critic",
        "y_df_hat_r, y_df_hat_g, fmap_f_r, fmap_f_g = mpd(y, y_g_hat)", "y_df_hat_r, y_df_hat_g, fmap_f_r, fmap_f_g = mpd(y, y_g_hat.detach())",
        also="generator_detached",
    ),
    fault(
        S, "schedule_in_batch_loop", "schedule_too_fast",
        "        monitor.step(y, x)\n", "        monitor.step(y, x)\n        scheduler_g.step()\n        scheduler_d.step()\n",
        late=True,
    ),
    fault(S, "mel_weight_huge", "reconstruction_drowns_adversarial", "y_g_hat_mel) * 5", "y_g_hat_mel) * 45e4"),
    fault(S, "fake_half_forgotten", "critic_fake_half_missing", "loss += r_loss + g_loss", "loss += r_loss"),
    fault(S, "one_period_optimised", "optimizer_misses_parameters", "torch.optim.AdamW(mpd.parameters()", "torch.optim.AdamW(mpd.discriminators[0].parameters()"),
    fault(
        S, "no_zero_grad_g", "generator_gradient_accumulated",
        "        optim_g.zero_grad()\n        loss_mel", "        loss_mel",
    ),
    fault(
        S, "target_zero_for_generator", "generator_sign_flipped",
        "    for dg in disc_outputs:\n        loss += torch.mean((1 - dg) ** 2)", "    for dg in disc_outputs:\n        loss += torch.mean(dg**2)",
        also="generator_loss_other",
    ),
)  # fmt: skip

S = "vqgan_digits"
VQGAN = (
    fault(
        S, "disc_start_never_reached", "critic_no_gradient", "disc_start=10", "disc_start=30000",
        also="generator_loss_without_critic reconstruction_drowns_adversarial critic_not_stepped", late=True,
    ),
    fault(
        S, "codebook_not_optimised", "optimizer_misses_parameters",
        "    + list(model.quantize.parameters())\n    + list(model.quant_conv.parameters())\n", "",
    ),
    fault(
        S, "reconstructions_as_real", "critic_shown_other_real",
        "self.discriminator(inputs.contiguous().detach())", "self.discriminator(reconstructions.contiguous().detach())",
        also="critic_real_half_missing critic_no_gradient", late=True,
    ),
    fault(
        S, "ae_optimizer_holds_critic", "optimizer_other_player",
        "    + list(model.post_quant_conv.parameters()),\n", "    + list(model.post_quant_conv.parameters())\n    + list(loss_module.parameters()),\n",
    ),
    fault(S, "weight_huge", "adversarial_drowns_reconstruction", "disc_weight=0.5", "disc_weight=500.0", late=True),
)  # fmt: skip

S = "pix2pix_shapes"
PIX2PIX = (
    fault(
        S, "eval_in_sample_callback", "eval_mode_in_training",
        "total_iters = 0\n", "model.netG.eval()\nsample()\ntotal_iters = 0\n",
    ),
    fault(S, "sigmoid_and_logits", "double_sigmoid", "nn.Conv2d(32, 1, 3, padding=1)\n", "nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid()\n", also="bounded_scores probability_as_score"),
    fault(S, "l1_weight_huge", "reconstruction_drowns_adversarial", "lambda_L1=20.0", "lambda_L1=1e6"),
    fault(S, "no_zero_grad_D", "critic_gradient_accumulated", "        self.optimizer_D.zero_grad()\n", ""),
    fault(S, "generator_never_steps", "generator_not_stepped", "        self.optimizer_G.step()\n", ""),
    fault(S, "photos_in_bytes", "data_range", "    return data.outline(photos), photos", "    return data.outline(photos), (photos + 1) * 127.5"),
)  # fmt: skip

S = "cyclegan_shapes"
CYCLEGAN = (
    fault(S, "one_critic_optimised", "critic_not_stepped", "itertools.chain(netD_A.parameters(), netD_B.parameters())", "netD_B.parameters()", also="optimizer_misses_parameters optimizer_wrong_parameters"),
    fault(S, "detached_for_generator", "generator_loss_without_critic", "criterionGAN(netD_A(fake_B), True)", "criterionGAN(netD_A(fake_B.detach()), True)", also="generator_detached"),
    fault(
        S, "critic_in_generators_optimizer", "optimizer_other_player",
        "itertools.chain(netG_A.parameters(), netG_B.parameters())", "itertools.chain(netG_A.parameters(), netG_B.parameters(), netD_A.parameters(), netD_B.parameters())",
        "    set_requires_grad([netD_A, netD_B], False)\n", "",
    ),
    fault(S, "half_on_one_side", "critic_halves_unequal", "loss_D = (loss_D_real + loss_D_fake) * 0.5", "loss_D = loss_D_real * 0.05 + loss_D_fake * 0.95"),
    fault(
        S, "zero_grad_too_early", "generator_gradient_in_critic",
        "    set_requires_grad([netD_A, netD_B], False)\n    optimizer_G.zero_grad()\n", "    optimizer_G.zero_grad()\n    optimizer_D.zero_grad()\n",
        "    set_requires_grad([netD_A, netD_B], True)\n    optimizer_D.zero_grad()\n", "",
    ),
    fault(S, "same_rows", "batch_repeated", "trainB[torch.randperm(len(trainB))[:8]]", "trainB[:8]", also="few_rows"),
)  # fmt: skip

S = "ctgan_table"
CTGAN = (
    fault(S, "norm_per_row", "penalty_norm_axes", "gradients.view(-1, pac * real_data.size(1)).norm(2, dim=1)", "gradients.view(-1, real_data.size(1)).norm(2, dim=1)", also="penalty_other_kind"),
    fault(S, "penalty_as_number", "penalty_detached", "gradients_view = gradients.view", "gradients_view = gradients.detach().requires_grad_().view", also="penalty_absent"),
    fault(S, "lambda_hundredth", "penalty_weight_wrong", "lambda_=10)", "lambda_=0.1)"),
    fault(S, "decay_one", "weight_decay_crippling", "self._generator_lr, self._generator_decay = 2e-3, 1e-6", "self._generator_lr, self._generator_decay = 2e-3, 1.0"),
    fault(S, "std_zero", "latents_constant", "std = mean + 1\n", "std = mean + 0\n", also="latent_mismatch mode_collapse_total latents_reused"),
    fault(
        S, "units_as_in_the_file", "data_range",
        "        numbers = (numbers - self.low) / (self.high - self.low) * 2 - 1\n", "",
        "numbers.clamp(-1, 1), functional", "numbers, functional",
    ),
    fault(S, "eight_rows_drawn", "rows_repeated", "np.random.randint(len(rows), size=self._batch_size)", "np.random.randint(8, size=self._batch_size)", also="few_rows"),
)  # fmt: skip

S = "r3gan_spiral"
R3GAN = (
    fault(
        S, "critic_not_relative", "critic_loss_other",
        "relativistic_logits = real_logits - fake_logits\n        adversarial_loss = nn.functional.softplus(-relativistic_logits)",
        "adversarial_loss = nn.functional.softplus(-real_logits) + nn.functional.softplus(fake_logits)",
    ),
    fault(S, "both_at_real", "penalty_absent", "zero_centered_gradient_penalty(fake_samples, fake_logits)", "zero_centered_gradient_penalty(real_samples, real_logits)", also="penalty_other_place penalty_weight_wrong"),
    fault(S, "gamma_five_thousand", "penalty_too_strong", "gamma: float = 0.5", "gamma: float = 5000.0"),
    fault(S, "gamma_nothing", "penalty_too_weak", "gamma: float = 0.5", "gamma: float = 1e-7", also="rotation_undamped"),
    fault(S, "no_penalty", "rotation_undamped", "gamma: float = 0.5", "gamma: float = 0.0", '        penalty=[("r1", trainer.cfg.gamma), ("r2", trainer.cfg.gamma)],\n', ""),
    fault(S, "beta1_high", "momentum_too_high", "self.opt_G = torch.optim.Adam(self.G.parameters(), lr=self.cfg.lr, betas=(0.0,", "self.opt_G = torch.optim.Adam(self.G.parameters(), lr=self.cfg.lr, betas=(0.98,", "self.opt_D = torch.optim.Adam(self.D.parameters(), lr=self.cfg.lr, betas=(0.0,", "self.opt_D = torch.optim.Adam(self.D.parameters(), lr=self.cfg.lr, betas=(0.98,", also="rotation_undamped"),
    fault(S, "integer_warm_up", "learning_rate_zero", "min(1.0, (step + 1) / 10)", "min(1.0, (step + 1) // 1000)"),
    fault(S, "only_the_last_layer_thawed", "generator_frozen", "self.G.requires_grad_(True)", "self.G.out.requires_grad_(True)"),
    fault(S, "narrow_first_layer", "generator_ill_conditioned", "x = self.inp(x)", "x = self.inp(x * torch.logspace(0, -3, x.shape[1]) if x.shape[1] > 2 else x)", also="mode_collapse_partial mode_collapse_total"),
)  # fmt: skip

S = "sngan_digits"
SNGAN = (
    fault(
        S, "fakes_under_real_labels", "labels_differ_between_players",
        "dis_fake = self.dis(x_fake, y_fake)\n            loss_dis", "dis_fake = self.dis(x_fake, y_real)\n            loss_dis",
    ),
    fault(S, "images_shuffled_alone", "labels_unrelated", "self.images, self.labels = images / 8 - 1, labels", "self.images, self.labels = images[torch.randperm(len(images))] / 8 - 1, labels"),
    fault(S, "critic_in_eval", "spectral_norm_stale", "updater = Updater(", "dis.eval()\nupdater = Updater(", also="eval_mode_in_training constraint_vacuous"),
    fault(S, "two_layers_without", "constraint_partial", "self.c3 = spectral_norm(nn.Conv2d(ch, ch, 4, 2, 1))\n        self.l4 = spectral_norm(nn.Linear(ch, 1))", "self.c3 = nn.Conv2d(ch, ch, 4, 2, 1)\n        self.l4 = nn.Linear(ch, 1)"),
    fault(S, "norm_forgotten", "constraint_missing", "from torch.nn.utils import spectral_norm\n", "\n\ndef spectral_norm(module):\n    return module\n"),
    fault(S, "scores_times_thirty", "constraint_vacuous", "return self.l4(h) + (self.l_y(y) * h)", "return self.scale * self.l4(h) + (self.l_y(y) * h)", "self.l4 = spectral_norm(nn.Linear(ch, 1))\n", "self.l4 = spectral_norm(nn.Linear(ch, 1))\n        self.scale = nn.Parameter(torch.tensor(30.0))\n", also="constraint_partial"),
)  # fmt: skip
