# ruff: noqa: E501
"""Harmless oddities, two or three of every script: nothing of what is claimed becomes untrue."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import oddity

o = partial(oddity, "dcgan_tiles")
TUTORIAL = (
    o(
        "zeros_kept",
        "        netD.zero_grad()",
        "        netD.zero_grad(set_to_none=False)",
        "        netG.zero_grad()",
        "        netG.zero_grad(set_to_none=False)",
    ),
    o("labels_new", "        label.fill_(fake_label)\n", "        label = torch.full_like(label, fake_label)\n"),
)
o = partial(oddity, "caogang_swirl")
CAOGANG = (
    o("three_iterations", "CRITIC_ITERS = 5", "CRITIC_ITERS = 3"),
    o(
        "signs_of_both",
        "D_real.backward(mone)",
        "D_real.backward(one)",
        "D_fake.backward(one)",
        "D_fake.backward(mone)",
        "G.backward(mone)",
        "G.backward(one)",
        'loss="wasserstein"',
        "loss=lambda r, f: (r.mean() - f.mean(), f.mean())",
    ),
    o(
        "alpha_reversed",
        "alpha * real_data + ((1 - alpha) * fake_data)",
        "alpha * fake_data + ((1 - alpha) * real_data)",
    ),
)
o = partial(oddity, "rosinality_blobs")
STYLES = (
    o("r1_at_every_step", "d_reg_every = 4", "d_reg_every = 1"),
    o("without_path_lengths", "path_regularize = 0.3", "path_regularize = 0.0"),
    o("decay_smaller", "decay=0.9)", "decay=0.8)"),
)
o = partial(oddity, "pixmodel_frames")
PAIRED = (
    o("l1_of_ten", "lambda_L1 = 2.0", "lambda_L1 = 5.0"),
    o("never_frozen", "        self.set_requires_grad(self.netD, False)\n", ""),
)
o = partial(oddity, "refiner_pupils")
REFINER = (
    o("no_history", "        refined = buffer.exchange(refined)\n", ""),
    o(
        "critic_first_trained",
        "import tightrope\n\nmonitor",
        "for _ in range(cfg['d_pretrain']):\n    opt_D.zero_grad()\n    with torch.no_grad():\n        warm = R(batch_of(synthetic))\n    (local_adversarial_loss(D(batch_of(real_images)), real_class(D(warm))) + local_adversarial_loss(D(warm), refined_class(D(warm)))).backward()\n    opt_D.step()\n\nimport tightrope\n\nmonitor",
    ),
)
o = partial(oddity, "bigproj_runes")
BIGPROJ = (
    o("one_critic_step", '"num_D_steps": 2', '"num_D_steps": 1'),
    o("fake_with_graph", "        with torch.no_grad():\n            G_z = G(z, gy)\n", "        G_z = G(z, gy)\n"),
    o("no_ortho", '"G_ortho": 1e-4', '"G_ortho": 0.0'),
)
o = partial(oddity, "transgan_beats")
ATTENTION = (
    o("clip_at_one", "clip_grad_norm_(dis_net.parameters(), 5.0)", "clip_grad_norm_(dis_net.parameters(), 1.0)"),
    o("same_latents_for_both", "            gen_z = torch.randn(BATCH, LATENT)\n", "            gen_z = z\n"),
)
o = partial(oddity, "info_arcs")
CODES = (
    o(
        "critic_first_names",
        "fake_pred, _, _ = discriminator(gen_imgs.detach())",
        "fake_pred = discriminator(gen_imgs.detach().clone())[0]",
    ),
    o("weaker_codes", "lambda_cat, lambda_con = 0.5, 0.1", "lambda_cat, lambda_con = 0.2, 0.05"),
)
o = partial(oddity, "ebgan_plumes")
ENERGY = (
    o("no_pull_away", "PT_WEIGHT = 0.15, 0.02", "PT_WEIGHT = 0.15, 0.0"),
    o(
        "relu_in_place_of_clamp",
        "(MARGIN - energy_fake).clamp(min=0).mean()",
        "torch.relu(MARGIN - energy_fake).mean()",
    ),
    o("last_batch_kept", "shuffle=True, drop_last=True", "shuffle=True, drop_last=False"),
)
o = partial(oddity, "ragan_commas")
AVERAGES = (
    o("same_real_for_both", "    x_G = next(random_sample)\n", "    x_G = x\n"),
    o("two_turns", "Diters, gen_every = 1", "Diters, gen_every = 2"),
)
o = partial(oddity, "tokenizer_motifs")
TOKENIZER = (
    o(
        "clip_of_nothing",
        "    opt_ae.step()\n\n    discloss",
        "    opt_ae.step()\n    nn.utils.clip_grad_norm_(criterion.parameters(), 100.0)\n\n    discloss",
    ),
    o("weight_half", "disc_weight=0.8", "disc_weight=0.5"),
)
o = partial(oddity, "vocoder_calls")
WAVES = (
    o("no_decay_of_rates", "lr_decay=0.999", "lr_decay=1.0"),
    o("feature_twice", "lambda_fm=1.0", "lambda_fm=2.0"),
)
o = partial(oddity, "ctgan_orders")
PACKS = (
    o("one_step_each", "self._discriminator_steps = 2e-3, 2e-3, 2", "self._discriminator_steps = 2e-3, 2e-3, 1"),
    o("no_dropout", "LeakyReLU(0.2), Dropout(0.1)]", "LeakyReLU(0.2), Dropout(0.0)]"),
)
o = partial(oddity, "unrolled_eights")
UNROLLED = (
    o("five_ahead", "d_updates, unrolled_steps = 1, 2", "d_updates, unrolled_steps = 1, 4"),
    o("other_order", "    d_loss = d_real_error + d_fake_error\n", "    d_loss = d_fake_error + d_real_error\n"),
)
o = partial(oddity, "progressive_stamps")
GROWING = (
    o("no_fading", "fade_iterations = steps // 2", "fade_iterations = 1"),
    o(
        "one_backward",
        "    loss_real.backward()\n",
        "",
        "    loss_fake.backward()\n",
        "    (loss_real + loss_fake).backward()\n",
    ),
)
o = partial(oddity, "ali_hooks")
PAIRS = (
    o(
        "no_decay",
        "D.parameters(), lr=LR, betas=(0.5, 0.999), weight_decay=1e-5",
        "D.parameters(), lr=LR, betas=(0.5, 0.999), weight_decay=0",
    ),
    o(
        "with_graph",
        "    with torch.no_grad():\n        encoded, generated = bi.encode(x), bi(z)\n",
        "    encoded, generated = bi.encode(x).detach(), bi(z).detach()\n",
    ),
)
o = partial(oddity, "ignite_hexes")
ENGINE = (
    o(
        "never_preempted",
        "@trainer.on(Events.EPOCH_COMPLETED, every=6)\n",
        "@trainer.on(Events.EPOCH_COMPLETED, every=6000)\n",
    ),
    o("five_turns", "clip, critic_turns = 4, 64, 0.15, 3", "clip, critic_turns = 4, 64, 0.15, 5"),
    o(
        "no_grad_clip",
        "            p.data.clamp_(-clip, clip)\n",
        "            with torch.no_grad():\n                p.clamp_(-clip, clip)\n",
    ),
)
o = partial(oddity, "hacks_hearts")
TRICKS = (
    o("softer", "torch.full((n, 1), 0.9)", "torch.full((n, 1), 0.8)"),
    o("nesterov", "lr=0.1, momentum=0.7", "lr=0.1, momentum=0.7, nesterov=True"),
    o("one_turn", "d_steps = 2", "d_steps = 1"),
)
o = partial(oddity, "studio_saddle")
PRECISION = (
    o("whole_precision", '"mixed_precision": True', '"mixed_precision": False'),
    o("no_accumulation", '"acml_steps": 2', '"acml_steps": 1'),
    o("not_augmented", '"apply_diffaug": True', '"apply_diffaug": False'),
)
