# ruff: noqa: E501
"""Harmless oddities, three of every script: nothing of what is claimed becomes untrue."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import oddity

o = partial(oddity, "tutorial_flags")
TUTORIAL = (
    o(
        "no_detach",
        "output = netD(fake.detach())",
        "output = netD(fake)",
        "errD_fake.backward()",
        "errD_fake.backward(retain_graph=True)",
        "        netG.zero_grad()\n        label.fill_(real_label)\n",
        "        netG.zero_grad()\n        label = torch.ones(len(batch))\n",
    ),
    o(
        "set_to_none_off",
        "        netD.zero_grad()\n",
        "        netD.zero_grad(set_to_none=False)\n",
        "        netG.zero_grad()\n",
        "        netG.zero_grad(set_to_none=False)\n",
    ),
    o(
        "summed_backward",
        "        errD_real.backward()\n",
        "",
        "        label.fill_(fake_label)\n",
        "        label = torch.zeros(batch.size(0))\n",
        "        errD_fake.backward()\n        errD = errD_real + errD_fake\n",
        "        errD = errD_real + errD_fake\n        errD.backward()\n",
    ),
)
o = partial(oddity, "wganclip_rings")
CLIP = (
    o("with_adam", 'action="store_true"', 'action="store_false"'),
    o(
        "both_signs",
        "errD_real.backward(mone)",
        "errD_real.backward(one)",
        "errD_fake.backward(one)",
        "errD_fake.backward(mone)",
        "errG.backward(mone)",
        "errG.backward(one)",
        'loss="wasserstein"',
        "loss=lambda r, f: (r.mean() - f.mean(), f.mean())",
    ),
    o(
        "clipped_norms",
        "            optimizerD.step()\n",
        "            nn.utils.clip_grad_norm_(netD.parameters(), 1e3)\n            optimizerD.step()\n",
    ),
)
o = partial(oddity, "simgd_rings")
SIMGD = (
    o("little_momentum", "momentum=0.0", "momentum=0.3"),
    o("generator_first", "    opt_d.step()\n    opt_g.step()\n", "    opt_g.step()\n    opt_d.step()\n"),
    o("copied_grads", "        p.grad = g\n", "        p.grad = g.detach().clone()\n"),
)
o = partial(oddity, "stability_squares")
STABILITY = (
    o("saved_twice", "            checkpoint = save()\n", "            save()\n            checkpoint = save()\n"),
    o("rate_of_rmsprop", "alpha=0.99, eps=1e-8)\nd_opt", "alpha=0.95, eps=1e-8)\nd_opt"),
    o(
        "penalty_with_loss",
        "        dloss_real.backward(retain_graph=True)\n",
        "",
        "        reg.backward()\n",
        "        (dloss_real + reg).backward()\n",
    ),
)
o = partial(oddity, "stargan_flags")
STARGAN = (
    o("relu_not_in_place", "            nn.ReLU(inplace=True),\n", "            nn.ReLU(),\n"),
    o(
        "penalty_drawn_first",
        "            alpha = torch.rand(x_real.size(0), 1, 1, 1)\n",
        "            alpha = 1 - torch.rand(x_real.size(0), 1, 1, 1)\n",
    ),
    o("halved_rate", "g_lr=1e-3, d_lr=1e-3", "g_lr=8e-4, d_lr=1e-3"),
)
o = partial(oddity, "pixhd_flags")
PIXHD = (
    o(
        "two_backwards",
        "        loss_G.backward()\n",
        "        loss_G_GAN.backward(retain_graph=True)\n        loss_G_feat.backward()\n",
    ),
    o(
        "weights_saved",
        "        watch.step(real, label)\n",
        "        kept = {k: v.clone() for k, v in model.state_dict().items()}\n        watch.step(real, label)\n",
    ),
    o(
        "critic_first",
        "        loss_D = (loss_D_fake + loss_D_real) * 1.0\n",
        "        loss_D = loss_D_fake + loss_D_real\n        model.optimizer_D.zero_grad(set_to_none=False)\n",
    ),
)
o = partial(oddity, "melgan_chirps")
MELGAN = (
    o(
        "clipped_wide",
        "        optG.step()\n",
        "        nn.utils.clip_grad_norm_(netG.parameters(), 1e4)\n        optG.step()\n",
    ),
    o(
        "validation_between",
        "        count += 1\n",
        "        count += 1\n        if count % 10 == 0:\n            with torch.no_grad():\n                F.l1_loss(vocode(), held).item()\n",
    ),
    o("feat_half", '"lambda_feat": 1.0', '"lambda_feat": 0.5'),
)
o = partial(oddity, "infogan_digits")
INFOGAN = (
    o("q_apart", "optim_g.zero_grad()\n", "optim_g.zero_grad()\n        q.zero_grad()\n"),
    o(
        "half_loss_twice",
        "        loss_real.backward()\n",
        "        (loss_real / 2).backward(retain_graph=True)\n        (loss_real / 2).backward()\n",
    ),
    o("latents_uniform_too", "    noise = torch.randn(bs, N_NOISE)\n", "    noise = torch.rand(bs, N_NOISE) * 2 - 1\n"),
)
o = partial(oddity, "acgan_digits")
ACGAN = (
    o(
        "fresh_fakes",
        "        validity, pred_label = discriminator(gen_imgs)\n",
        "        gen_imgs = generator(z, gen_labels)\n        validity, pred_label = discriminator(gen_imgs)\n",
    ),
    o(
        "amsgrad",
        "optimizer_G = optim.Adam(generator.parameters(), lr=lr,",
        "optimizer_G = optim.Adam(generator.parameters(), lr=lr, amsgrad=True,",
    ),
    o(
        "aux_both",
        "weight_aux * cross_entropy(real_aux, real_labels)",
        "weight_aux * (cross_entropy(real_aux, real_labels) + cross_entropy(fake_aux, gen_labels)) / 2",
    ),
)
o = partial(oddity, "esrgan_flags")
ESRGAN = (
    o(
        "fakes_made_again",
        "        pred_fake = discriminator(gen_hr.detach())",
        "        with torch.no_grad():\n            again = generator(imgs_lr)\n        pred_fake = discriminator(again)",
    ),
    o(
        "loss_not_halved",
        "        loss_D = (loss_real + loss_fake) / 2\n",
        "        loss_D = 0.5 * loss_real + 0.5 * loss_fake\n",
    ),
    o(
        "real_in_graph",
        "pred_real = discriminator(imgs_hr).detach()",
        "with torch.no_grad():\n            pred_real = discriminator(imgs_hr)",
    ),
)
o = partial(oddity, "gumbel_words")
WORDS = (
    o("two_steps", "d_steps: int = 1", "d_steps: int = 2"),
    o("fixed_temperature", "    inst.update_temperature(adv_epoch, steps)\n", ""),
    o(
        "loss_printed",
        "        opt.step()\n",
        "        opt.step()\n        print(loss.item(), [p.grad.norm().item() for p in model.parameters()])\n",
    ),
)
o = partial(oddity, "timegan_walks")
TIMEGAN = (
    o("more_pretraining", "for _ in range(60):", "for _ in range(90):"),
    o("h_in_graph", "    with torch.no_grad():\n        h = embedder(x)\n", "    h = embedder(x).detach().clone()\n"),
    o("supervised_half", "0.5 * g_loss_v", "0.3 * g_loss_v"),
)
o = partial(oddity, "diffusion_squares")
DIFFUSION = (
    o(
        "steps_grow",
        "    ema.update_parameters(G)\n",
        "    ema.update_parameters(G)\n    t_epl = torch.arange(max(2, min(T_MAX, 2 + i // 10)))\n",
    ),
    o("warm_longer", "total_iters=10", "total_iters=20"),
    o(
        "both_in_one_call",
        "    loss_real.backward()\n",
        "",
        "    loss_fake.backward()\n",
        "    (loss_real + loss_fake).backward()\n",
    ),
)
o = partial(oddity, "lecam_digits")
LECAM = (
    o("lecam_from_start", "lecam_weight, start_at = 0.01, 10", "lecam_weight, start_at = 0.01, 0"),
    o("same_z", "    z = torch.randn(32, 16)\n    opt_G.zero_grad()\n", "    opt_G.zero_grad()\n"),
    o(
        "cosine",
        "    weights.update()\n",
        '    opt_G.param_groups[0]["lr"] = 2e-3 * (1 - 0.5 * step / steps)\n    weights.update()\n',
    ),
)
o = partial(oddity, "sagan_flags")
SAGAN = (
    o(
        "frozen_D_in_G_step",
        "            g_out_fake = self.D(fake_images)\n",
        "            self.D.requires_grad_(False)\n            g_out_fake = self.D(fake_images)\n            self.D.requires_grad_(True)\n",
    ),
    o(
        "new_parametrization",
        "from torch.nn.utils import spectral_norm\n",
        "from torch.nn.utils.parametrizations import spectral_norm\n",
    ),
    o("fakes_detached", "d_out_fake = self.D(fake_images)", "d_out_fake = self.D(fake_images.detach())"),
)
o = partial(oddity, "scaler_squares")
SCALER = (
    o("small_scale", "init_scale=1024.0", "init_scale=16.0"),
    o(
        "unscaled_and_clipped",
        "        scaler_c.step(c_opt)\n",
        "        scaler_c.unscale_(c_opt)\n        nn.utils.clip_grad_norm_(critic.parameters(), 1e4)\n        scaler_c.step(c_opt)\n",
    ),
    o(
        "one_scaler",
        "    scaler_g.scale(g_loss).backward()\n    scaler_g.step(g_opt)\n    scaler_g.update()\n",
        "    scaler_c.scale(g_loss).backward()\n    scaler_c.step(g_opt)\n    scaler_c.update()\n",
    ),
)
