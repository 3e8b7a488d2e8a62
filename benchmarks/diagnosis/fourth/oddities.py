# ruff: noqa: E501
"""Changes that make nothing untrue of what is claimed and should do no harm: three of every script."""

from __future__ import annotations

from benchmarks.diagnosis.third.case import oddity

S = "stylegan_shapes"
STYLEGAN = (
    oddity(S, "regularised_twice_as_often", '"--d_reg_every", type=int, default=8', '"--d_reg_every", type=int, default=4', '"--g_reg_every", type=int, default=4', '"--g_reg_every", type=int, default=8'),
    oddity(
        S, "scores_logged_each_step",
        "        accumulate(g_ema, generator, args.ema)\n",
        "        with torch.no_grad():\n            seen = discriminator(real_img.detach()).mean() - discriminator(generator(noise)[0]).mean()\n        history = float(seen)\n        accumulate(g_ema, generator, args.ema)\n",
    ),
    oddity(S, "no_path_length", "        if i % args.g_reg_every == 0:\n", "        if args.path_regularize > 1:\n"),
)  # fmt: skip

S = "hifigan_tones"
HIFIGAN = (
    oddity(S, "mel_first_five_steps", "loss_gen_all = loss_gen_f + loss_fm_f + loss_mel", "loss_gen_all = loss_gen_f + loss_fm_f + loss_mel * (2 if done < 5 else 1)"),
    oddity(S, "gradients_clipped", "        loss_gen_all.backward()\n", "        loss_gen_all.backward()\n        torch.nn.utils.clip_grad_norm_(generator.parameters(), 50.0)\n"),
    oddity(
        S, "generator_step_first",
        "        optim_d.zero_grad()\n        y_df_hat_r, y_df_hat_g, _, _ = mpd(y, y_g_hat.detach())\n        loss_disc_all = discriminator_loss(y_df_hat_r, y_df_hat_g)\n        loss_disc_all.backward()\n        optim_d.step()\n\n", "",
        "        optim_g.step()\n",
        "        optim_g.step()\n\n        optim_d.zero_grad()\n        y_df_hat_r, y_df_hat_g, _, _ = mpd(y, y_g_hat.detach())\n        loss_disc_all = discriminator_loss(y_df_hat_r, y_df_hat_g)\n        loss_disc_all.backward()\n        optim_d.step()\n",
    ),
)  # fmt: skip

S = "vqgan_digits"
VQGAN = (
    oddity(S, "critic_from_the_start", "disc_start=10", "disc_start=0"),
    oddity(S, "adam_as_default", "opt_disc = torch.optim.Adam(loss_module.discriminator.parameters(), lr=lr, betas=(0.5, 0.9))", "opt_disc = torch.optim.Adam(loss_module.discriminator.parameters(), lr=lr, betas=(0.5, 0.99), eps=1e-7)"),
    oddity(S, "l1_and_l2", "nll_loss = torch.abs(inputs.contiguous() - reconstructions.contiguous()).mean()", "nll_loss = torch.abs(inputs.contiguous() - reconstructions.contiguous()).mean() + 0.5 * (inputs - reconstructions).square().mean()"),
)  # fmt: skip

S = "pix2pix_shapes"
PIX2PIX = (
    oddity(S, "generator_made_twice", "        set_requires_grad(self.netD, False)\n", "        self.forward()\n        set_requires_grad(self.netD, False)\n"),
    oddity(S, "l1_a_half", "lambda_L1=20.0", "lambda_L1=10.0"),
    oddity(S, "validation_in_eval_mode", "        total_iters += 1\n", "        if total_iters % 10 == 0:\n            model.netG.eval()\n            val_l1 = float((sample() - val_B).abs().mean())\n            model.netG.train()\n        total_iters += 1\n"),
)  # fmt: skip

S = "cyclegan_shapes"
CYCLEGAN = (
    oddity(S, "no_pool", "backward_D_basic(netD_A, real_B, fake_B_pool.query(fake_B))", "backward_D_basic(netD_A, real_B, fake_B)"),
    oddity(S, "identity_loss", "loss_G = loss_G_A + loss_G_B + loss_cycle_A + loss_cycle_B", "loss_G = loss_G_A + loss_G_B + loss_cycle_A + loss_cycle_B + 0.1 * criterionCycle(netG_A(data.outline(real_B)), real_B)"),
    oddity(S, "both_gradients_cleared", "    set_requires_grad([netD_A, netD_B], False)\n", ""),
)  # fmt: skip

S = "ctgan_table"
CTGAN = (
    oddity(S, "one_backward", "                pen.backward(retain_graph=True)\n                loss_d.backward()\n", "                (loss_d + pen).backward()\n"),
    oddity(S, "fakes_detached", "                fake = self._generator(fakez)\n                real_cat", "                fake = self._generator(fakez).detach().requires_grad_()\n                real_cat"),
    oddity(S, "three_critic_steps", "self._discriminator_steps, self.pac = batch_size, 2, pac", "self._discriminator_steps, self.pac = batch_size, 3, pac"),
)  # fmt: skip

S = "r3gan_spiral"
R3GAN = (
    oddity(
        S, "both_signs_flipped",
        "adversarial_loss = nn.functional.softplus(-relativistic_logits)\n        (scale", "adversarial_loss = nn.functional.softplus(relativistic_logits)\n        (scale",
        "adversarial_loss = nn.functional.softplus(-relativistic_logits)\n        discriminator_loss", "adversarial_loss = nn.functional.softplus(relativistic_logits)\n        discriminator_loss",
    ),
    oddity(S, "flat_rate", "(1 - 0.7 * step / self.cfg.steps)", "1.0"),
    oddity(S, "one_more_critic_step", "            self.opt_D.step()\n", "            self.opt_D.step()\n            self.opt_D.zero_grad()\n            real = self.batch()\n            self.trainer.accumulate_discriminator_gradients(torch.randn(len(real), self.cfg.z_dim), real, self.cfg.gamma)\n            self.opt_D.step()\n"),
)  # fmt: skip

S = "sngan_digits"
SNGAN = (
    oddity(S, "three_critic_steps", "n_dis=2, n_classes", "n_dis=3, n_classes"),
    oddity(S, "truncated_latents", "    return torch.randn(n, dim)\n", "    z = torch.randn(n, dim)\n    return torch.where(z.abs() > 2.5, torch.randn(n, dim), z)\n"),
    oddity(S, "fakes_detached_not_no_grad", "            with torch.no_grad():\n                x_fake, y_fake, _ = self.generate()\n            dis_fake = self.dis(x_fake, y_fake)\n", "            x_fake, y_fake, _ = self.generate()\n            dis_fake = self.dis(x_fake.detach(), y_fake)\n"),
)  # fmt: skip

S = "wgangp_config"
WGANGP = (
    oddity(S, "norm_layer", '"norm": None', '"norm": "layer"'),
    oddity(S, "slower_critic", '"lr_d": 1e-3', '"lr_d": 7e-4'),
    oddity(S, "no_warm_start", '"warm_start": {"iters": 3, "n_critic": 10}', '"warm_start": {"iters": 0, "n_critic": 10}'),
)  # fmt: skip

S = "lightning_shapes"
LIGHTNING = (
    oddity(
        S, "two_stages_restored",
        "trainer = Trainer(max_steps=steps)\n", "trainer = Trainer(max_steps=steps // 2)\n", "trainer.fit(model, dm)\n", "ckpt = trainer.fit(model, dm)\ntrainer.max_steps = steps\ntrainer.fit(model, dm, ckpt)\n",
        "                optimizers=tuple(self.optimizers()),\n", "",
    ),
    oddity(S, "no_toggle", "        self.toggle_optimizer(optimizer_g)\n", "", "        self.untoggle_optimizer(optimizer_g)\n", "        optimizer_d.zero_grad()\n", "        self.toggle_optimizer(optimizer_d)\n", "", "        self.untoggle_optimizer(optimizer_d)\n", ""),
    oddity(S, "mirrored_images", "        imgs = batch\n", "        imgs = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, batch, batch.flip(3))\n"),
)  # fmt: skip

S = "accelerate_moons"
ACCELERATE = (
    oddity(S, "no_accumulation", "gradient_accumulation_steps=2", "gradient_accumulation_steps=1"),
    oddity(S, "scale_changes", "        scheduler.step()\n", "        scheduler.step()\n        if global_step % 30 == 29:\n            accelerator.scale *= 2\n            optimizer_g.scaler = optimizer_d.scaler = accelerator.scale\n"),
    oddity(S, "not_clipped", "max_grad_norm=5.0", "max_grad_norm=1e9"),
)  # fmt: skip

S = "dragan_notebook"
DRAGAN = (
    oddity(S, "drawn_with_replacement", "x = X[perm[start : start + batch_size]]", "x = X[np.random.randint(len(X), size=batch_size)]"),
    oddity(S, "three_backwards", "        errD = errD_real + errD_fake + gp\n        errD.backward()\n", "        errD = errD_real + errD_fake + gp\n        errD_real.backward()\n        errD_fake.backward()\n        gp.backward()\n"),
    oddity(S, "same_latents_for_both", "        optG.zero_grad()\n        z = torch.randn(len(x), nz)\n", "        optG.zero_grad()\n"),
)  # fmt: skip

S = "reversal_pinwheel"
REVERSAL = (
    oddity(S, "both_signs_flipped", "bce(on_real, torch.ones_like(on_real)) + bce(on_fake, torch.zeros_like(on_fake))", "bce(on_real, torch.zeros_like(on_real)) + bce(on_fake, torch.ones_like(on_fake))"),
    oddity(S, "gradients_cleared_by_module", "    opt_g.zero_grad()\n    opt_d.zero_grad()\n", "    generator.zero_grad()\n    domain_classifier.zero_grad()\n"),
    oddity(S, "larger_batch", "source = batches(points, 96)", "source = batches(points, 120)"),
)  # fmt: skip

S = "rcgan_series"
RCGAN = (
    oddity(S, "gap_logged_after_the_clip", "        self.clip()\n", "        self.clip()\n        with torch.no_grad():\n            self.gap = float(self.crit(x).mean() - self.crit(fake).mean())\n"),
    oddity(S, "clipped_by_data", "        with torch.no_grad():\n            for w in self.crit.parameters():\n                w.clamp_(", "        if True:\n            for w in self.crit.parameters():\n                w.data.clamp_("),
    oddity(S, "short_last_batch", "shuffle=True, drop_last=True)", "shuffle=True, drop_last=False)"),
)  # fmt: skip

S = "airl_policy"
AIRL = (
    oddity(S, "one_call_on_both", "        disc_logits = th.cat([self.logits_expert_is_high(expert), self.logits_expert_is_high(gen_samples)])\n", "        disc_logits = self.logits_expert_is_high(th.cat([expert, gen_samples]))\n"),
    oddity(S, "no_entropy_bonus", "ent_coef=1e-3", "ent_coef=0.0"),
    oddity(S, "larger_batch", "demo_batch_size=64", "demo_batch_size=96"),
)  # fmt: skip

S = "lsgan_soft"
LSGAN = (
    oddity(S, "buffers_averaged_too", "multi_avg_fn=get_ema_multi_avg_fn(0.9)", "multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True"),
    oddity(S, "not_detached_but_cleared", "discriminator(gen_imgs.detach())", "discriminator(generator(z))"),
    oddity(S, "hard_labels", '"--valid", type=float, default=0.9', '"--valid", type=float, default=1.0', '"--fake", type=float, default=0.1', '"--fake", type=float, default=0.0'),
)  # fmt: skip

ODDITIES = (
    *STYLEGAN, *HIFIGAN, *VQGAN, *PIX2PIX, *CYCLEGAN, *CTGAN, *R3GAN, *SNGAN, *WGANGP, *LIGHTNING, *ACCELERATE, *DRAGAN,
    *REVERSAL, *RCGAN, *AIRL, *LSGAN,
)  # fmt: skip
