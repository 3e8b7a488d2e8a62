# ruff: noqa: E501
"""Planted faults: ESRGAN, words, TimeGAN, Diffusion-GAN."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

f = partial(fault, "esrgan_flags")
ESRGAN = (
    f(
        "pixels_only_count",
        "reconstruction_drowns_adversarial",
        "lambda_adv, lambda_pixel, batch_size = 5, 0.3, 1.0, 16",
        "lambda_adv, lambda_pixel, batch_size = 5, 0.3, 3000.0, 16",
    ),
    f(
        "pixels_forgotten",
        "adversarial_drowns_reconstruction",
        "lambda_adv, lambda_pixel, batch_size = 5, 0.3, 1.0, 16",
        "lambda_adv, lambda_pixel, batch_size = 5, 0.3, 1e-6, 16",
    ),
    f(
        "gen_hr_detached",
        "generator_loss_without_critic",
        "pred_fake = discriminator(gen_hr)\n",
        "pred_fake = discriminator(gen_hr.detach())\n",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "rate_1",
        "generator_step_too_large",
        "optimizer_G = torch.optim.Adam(generator.parameters(), lr=2e-3",
        "optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.5",
        also="non_finite",
    ),
    f(
        "sigmoid_before_bce",
        "double_sigmoid",
        "return self.model(img).mean((1, 2, 3))",
        "return torch.sigmoid(self.model(img).mean((1, 2, 3)))",
        also="bounded_scores probability_as_score",
    ),
)

f = partial(fault, "gumbel_words")
WORDS = (
    f(
        "argmax_tokens",
        "generator_detached",
        "            token = F.gumbel_softmax(self.out(h), tau=self.temperature)\n",
        "            token = F.one_hot(self.out(h).argmax(1), args.vocab).float()\n",
    ),
    f("clip_norm_tiny", "generator_step_too_small", "gen_lr: float = 2e-3", "gen_lr: float = 1e-8"),
    f(
        "never_cleared",
        "generator_gradient_accumulated",
        "        opt.zero_grad()\n        loss.backward()\n",
        "        if model is self.dis:\n            opt.zero_grad()\n        loss.backward()\n",
    ),
    f(
        "dis_only_head",
        "optimizer_misses_parameters",
        "torch.optim.Adam(self.dis.parameters()",
        "torch.optim.Adam(self.dis.feature2out.parameters()",
    ),
    f(
        "fake_target_ones",
        "critic_fake_half_missing",
        "            d_loss += F.binary_cross_entropy_with_logits(self.dis(fake), torch.zeros(args.batch))\n",
        "",
    ),
    f(
        "real_target_zeros",
        "critic_sign_flipped",
        "(self.dis(real), torch.ones(args.batch))",
        "(self.dis(real), torch.zeros(args.batch))",
        "(self.dis(fake), torch.zeros(args.batch))",
        "(self.dis(fake), torch.ones(args.batch))",
    ),
    f("gen_rate_one", "generator_step_too_large", "gen_lr: float = 2e-3", "gen_lr: float = 3.0"),
)

f = partial(fault, "timegan_walks")
TIMEGAN = (
    f(
        "d_frozen_after_pretrain",
        "critic_no_gradient",
        "    y_real = discriminator(h)\n    y_fake = discriminator(h_hat.detach())\n",
        "    y_real = discriminator(h).detach().requires_grad_()\n    y_fake = discriminator(h_hat.detach()).detach().requires_grad_()\n",
        also="critic_not_stepped critic_real_half_missing critic_fake_half_missing",
    ),
    f(
        "opt_g_on_embedder",
        "optimizer_wrong_parameters",
        "opt_g = torch.optim.Adam(generator.parameters()",
        "opt_g = torch.optim.Adam(recovery.parameters()",
        also="generator_not_stepped",
    ),
    f(
        "g_loss_v_alone",
        "generator_loss_without_critic",
        "    g_loss = g_loss_u + 0.5 * g_loss_v\n",
        "    g_loss = g_loss_v\n",
        also="reconstruction_drowns_adversarial refuted_unexplained",
    ),
    f(
        "relu_last",
        "rectified_scores",
        "discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1)",
        "discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1, nn.ReLU())",
    ),
    f(
        "tanh_scores",
        "bounded_scores",
        "discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1)",
        "discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1, nn.Tanh())",
    ),
    f(
        "start_of_one_kind",
        "mode_collapse_total",
        "    return torch.rand(n, SEQ, ZDIM)",
        "    return torch.rand(n, SEQ, ZDIM) * 1e-3",
        also="latents_constant",
    ),
    f(
        "raw_not_embedded",
        "data_scale",
        "        h = embedder(x)\n",
        "        h = embedder(x) * 0.05\n",
        also="data_range critic_shown_other_real",
    ),
    f(
        "rate_half_of_one",
        "generator_step_too_large",
        "generator.parameters(), lr=3e-3",
        "generator.parameters(), lr=0.5",
    ),
    f(
        "decay_five",
        "weight_decay_crippling",
        "opt_g = torch.optim.Adam(generator.parameters(), lr=3e-3)",
        "opt_g = torch.optim.AdamW(generator.parameters(), lr=3e-3, weight_decay=100.0)",
    ),
    f(
        "saved_rows",
        "few_rows",
        "    return ori[torch.randperm(len(ori))[:BATCH]]",
        "    return ori[torch.randint(0, 8, (BATCH,))]",
        also="rows_repeated batch_repeated",
    ),
)

f = partial(fault, "diffusion_squares")
DIFFUSION = (
    f("only_fakes_noised", "critic_shown_other_real", "D(*diffuse(real))", "D(real, torch.zeros(len(real)).long())"),
    f(
        "warmup_from_zero",
        "learning_rate_not_reached",
        "warm = [torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, total_iters=10) for o in opt.values()]",
        'for o in opt.values():\n    o.defaults["lr"] = 2e-3\n    o.param_groups[0]["lr"] = 2e-6\nwarm = []',
        also="generator_step_too_small critic_step_too_small",
    ),
    f("ema_forgotten", "average_is_not_updated", "    ema.update_parameters(G)\n", ""),
    f(
        "gen_never_thawed",
        "generator_frozen",
        "    D.requires_grad_(False), G.requires_grad_(True)\n",
        "    D.requires_grad_(False), G.layers[2].requires_grad_(True)\n",
    ),
    f("no_graph_for_G", "generator_not_stepped", '    opt["G"].step()\n', '    opt["D"].step()\n'),
    f(
        "decay_large",
        "weight_decay_crippling",
        'opt = {\n    "G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=1e-4)',
        'opt = {\n    "G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=100.0)',
    ),
    f(
        "warm_down",
        "schedule_too_fast",
        "torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, total_iters=10)",
        "torch.optim.lr_scheduler.ExponentialLR(o, 0.9)",
        late=True,
        also="generator_step_too_small critic_step_too_small",
    ),
    f(
        "beta_high",
        "momentum_too_high",
        '"G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99)',
        '"G": torch.optim.AdamW(G.parameters(), lr=2e-2, betas=(0.99, 0.99)',
        '"D": torch.optim.AdamW(D.parameters(), lr=2e-3, betas=(0.0, 0.99)',
        '"D": torch.optim.AdamW(D.parameters(), lr=2e-2, betas=(0.99, 0.99)',
        also="generator_step_too_large critic_step_too_large",
    ),
    f(
        "narrow_z",
        "mode_collapse_partial",
        "    z = torch.randn(real.shape[0], G.zdim)\n    # critic",
        "    z = torch.randn(real.shape[0], G.zdim)\n    real = real[real[:, 0] > 0.5].repeat(9, 1)[: len(z)]\n    # critic",
        also="rows_repeated critic_shown_other_real",
    ),
    f(
        "one_direction",
        "generator_ill_conditioned",
        "        for layer in self.layers[:-1]:\n",
        "        z = z * torch.tensor([1.0, 0.02, 0.02, 0.02])\n        for layer in self.layers[:-1]:\n",
        also="mode_collapse_partial",
    ),
)
