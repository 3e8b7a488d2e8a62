"""Planted faults: StarGAN, pix2pixHD, MelGAN, InfoGAN, AC-GAN."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

f = partial(fault, "stargan_flags")
STARGAN = (
    f(
        "norm_over_pixels",
        "penalty_norm_axes",
        "        dydx = dydx.view(dydx.size(0), -1)\n        dydx_l2norm = torch.sqrt(torch.sum(dydx**2, dim=1))\n",
        "        dydx_l2norm = torch.sqrt(torch.sum(dydx**2, dim=1) + 1e-12)\n",
    ),
    f(
        "penalty_of_data",
        "penalty_detached",
        "        return torch.mean((dydx_l2norm - 1) ** 2)",
        "        return torch.mean((dydx_l2norm - 1) ** 2).item()",
    ),
    f(
        "lambda_gp_dropped",
        "penalty_absent",
        "self.lambda_cls * d_loss_cls + self.lambda_gp * d_loss_gp",
        "self.lambda_cls * d_loss_cls",
    ),
    f(
        "penalty_at_reals",
        "penalty_other_place",
        "            x_hat = (alpha * x_real.data + (1 - alpha) * x_fake.data).requires_grad_(True)\n",
        "            x_hat = x_real.clone().requires_grad_(True)\n",
    ),
    f("rec_hundredfold", "reconstruction_drowns_adversarial", "lambda_rec=2.0", "lambda_rec=2000.0"),
    f(
        "fake_detached_for_G",
        "generator_loss_without_critic",
        "                out_src, out_cls = self.D(x_fake)\n",
        "                out_src, out_cls = self.D(x_fake.detach())\n",
        also="generator_detached",
    ),
    f(
        "bgr",
        "channel_order",
        "x_real, label_org = self.images[rows], self.labels[rows]",
        "x_real, label_org = self.images[rows].flip(1), self.labels[rows]",
    ),
    f(
        "src_half",
        "critic_halves_unequal",
        "d_loss_real = -torch.mean(out_src)",
        "d_loss_real = -0.25 * torch.mean(out_src)",
    ),
    f(
        "wrong_sign_G",
        "generator_sign_flipped",
        "g_loss_fake = -torch.mean(out_src)",
        "g_loss_fake = torch.mean(out_src)",
    ),
)

f = partial(fault, "pixhd_flags")
PIXHD = (
    f(
        "second_scale_left_out",
        "optimizer_misses_parameters",
        "torch.optim.Adam(self.netD.parameters(), lr",
        "torch.optim.Adam(self.netD.nets[0].parameters(), lr",
    ),
    f(
        "both_on_netG",
        "optimizer_other_player",
        "self.optimizer_D = torch.optim.Adam(self.netD.parameters()",
        "self.optimizer_D = torch.optim.Adam(self.netG.parameters()",
        also="critic_not_stepped",
    ),
    f("D_no_step", "critic_not_stepped", "        model.optimizer_D.step()\n", ""),
    f("G_no_step", "generator_not_stepped", "        model.optimizer_G.step()\n", ""),
    f(
        "D_grad_of_G_left",
        "generator_gradient_in_critic",
        "        model.optimizer_D.zero_grad()\n",
        "",
        "        model.optimizer_G.zero_grad()\n",
        "        model.optimizer_G.zero_grad()\n        model.optimizer_D.zero_grad()\n",
    ),
    f(
        "real_shifted",
        "critic_shown_other_real",
        "pred_real = self.discriminate(label, real)",
        "pred_real = self.discriminate(label, real + 0.3 * torch.randn_like(real))",
    ),
    f(
        "bgr_images",
        "channel_order",
        "pred_real = self.discriminate(label, real)",
        "pred_real = self.discriminate(label, real.flip(1))",
        also="critic_shown_other_real",
    ),
    f("rate_times_zero", "learning_rate_zero", "    lr = 2e-3\n", "    lr = 2e-3 * 0\n"),
    f(
        "G_built_again",
        "optimizer_wrong_parameters",
        "\nmodel = Pix2PixHDModel()\n",
        "\nmodel = Pix2PixHDModel()\nmodel.netG = GlobalGenerator()\n",
    ),
    f(
        "cross_entropy",
        "critic_loss_other",
        "loss_D_real = self.criterionGAN(pred_real, True)",
        "loss_D_real = sum(F.softplus(-p[-1]).mean() for p in pred_real)",
        "loss_D_fake = self.criterionGAN(pred_fake_pool, False)",
        "loss_D_fake = sum(F.softplus(p[-1]).mean() for p in pred_fake_pool)",
    ),
)

f = partial(fault, "melgan_chirps")
MELGAN = (
    f(
        "relu_minus",
        "critic_fake_half_missing",
        "            loss_D += F.relu(1 + scale[-1]).mean()\n",
        "            loss_D += F.relu(1 + scale[-1].detach()).mean()\n",
    ),
    f(
        "D_real_not_cleared",
        "critic_gradient_accumulated",
        "        netD.zero_grad()\n        loss_D.backward()\n",
        "        loss_D.backward()\n",
        "        netG.zero_grad()\n        (loss_G",
        "        optG.zero_grad()\n        (loss_G",
        also="generator_gradient_in_critic",
    ),
    f(
        "stft_tiny",
        "adversarial_drowns_reconstruction",
        '"lambda_stft": 1.0, "lambda_feat": 1.0',
        '"lambda_stft": 1e-4, "lambda_feat": 1e-4',
    ),
    f("int16", "data_range", "TensorDataset(data.chirps(1024))", "TensorDataset(data.chirps(1024) * 32768)"),
    f("quiet", "data_scale", "TensorDataset(data.chirps(1024))", "TensorDataset(data.chirps(1024) * 0.02)"),
    f(
        "few_waves",
        "few_rows",
        "TensorDataset(data.chirps(1024))",
        "TensorDataset(data.chirps(32))",
        also="batch_repeated critic_overfitting generator_memorising",
    ),
    f(
        "overfit",
        "critic_overfitting",
        "TensorDataset(data.chirps(1024))",
        "TensorDataset(data.chirps(96))",
        '"lr_d": 1e-3',
        '"lr_d": 2e-2',
        also="few_rows generator_memorising critic_too_strong critic_step_too_large",
    ),
)

f = partial(fault, "infogan_digits")
INFOGAN = (
    f(
        "D_on_chain",
        "optimizer_other_player",
        "optim_d = torch.optim.Adam(d.parameters()",
        "optim_d = torch.optim.Adam(itertools.chain(d.parameters(), g.parameters())",
        "        probs_fake, _ = d(fake_x.detach())\n",
        "        probs_fake, _ = d(g(z))\n",
        "        probs_fake, h = d(fake_x)\n",
        "        probs_fake, h = d(g(z))\n",
    ),
    f(
        "front_only",
        "optimizer_misses_parameters",
        "itertools.chain(g.parameters(), q.parameters())",
        "itertools.chain(g.deconv.parameters(), q.parameters())",
    ),
    f(
        "sigmoid_then_logits",
        "double_sigmoid",
        "return self.d(h).squeeze(1), h",
        "return torch.sigmoid(self.d(h)).squeeze(1), h",
        also="bounded_scores probability_as_score",
    ),
    f("relu_scores", "rectified_scores", "return self.d(h).squeeze(1), h", "return F.relu(self.d(h)).squeeze(1), h"),
    f(
        "same_class",
        "latent_mismatch",
        "sample=lambda: g(noise_sample(397)[0])",
        "sample=lambda: g(torch.randn(397, N_NOISE + N_CAT + N_CONT))",
    ),
    f(
        "np_seed_inside",
        "rows_repeated",
        "        x = images[perm[b * BATCH : (b + 1) * BATCH]]\n",
        "        x = images[perm[b * BATCH : b * BATCH + 4]].repeat(8, 1, 1, 1)\n",
    ),
    f(
        "G_many_modes_lost",
        "mode_collapse_total",
        "torch.cat([noise, c, con], 1), idx, con",
        "torch.cat([noise * 0 + 1, c * 0, con * 0], 1), idx, con",
        also="latents_constant latents_reused",
    ),
    f(
        "nan_noise",
        "non_finite",
        "    noise = torch.randn(bs, N_NOISE)\n",
        "    noise = torch.randn(bs, N_NOISE).log().sub(1e-3)\n",
    ),
)

f = partial(fault, "acgan_digits")
ACGAN = (
    f(
        "eval_left",
        "eval_mode_in_training",
        "        generator.train()\n        return out",
        "        return out",
        "    for _ in range(n_updates):\n",
        "    sample_image()\n    for _ in range(n_updates):\n",
        also="sampled_in_other_mode",
    ),
    f("D_eval", "eval_mode_in_training", "    weight_aux = 0.5\n", "    weight_aux = 0.5\n    discriminator.eval()\n"),
    f(
        "labels_shuffled",
        "labels_unrelated",
        "yield images[pick] / 16, labels[pick]",
        "yield images[pick] / 16, labels[pick[torch.randperm(size)]]",
    ),
    f(
        "sorted_by_class",
        "unshuffled",
        "        order = torch.randperm(len(images))\n",
        "        order = labels.argsort()\n",
    ),
    f(
        "fakes_in_no_grad",
        "critic_called_without_grad",
        "        fake_pred, fake_aux = discriminator(gen_imgs.detach())\n",
        "        with torch.no_grad():\n            fake_pred, fake_aux = discriminator(gen_imgs)\n",
        also="critic_fake_half_missing",
    ),
    f(
        "real_half_detached",
        "critic_real_half_missing",
        "softplus(-real_pred).mean() + softplus",
        "softplus(-real_pred.detach()).mean() + softplus",
    ),
)
