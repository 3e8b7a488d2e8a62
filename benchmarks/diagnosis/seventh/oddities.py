# ruff: noqa: E501
"""Harmless oddities, two or three of every script: nothing of what is claimed becomes untrue."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import oddity

o = partial(oddity, "kerasport_petals")
KERAS = (
    o("no_detach", "self.discriminator(gen_imgs.detach())", "self.discriminator(gen_imgs)"),
    o(
        "zeros_kept",
        "self.optimizer_g.zero_grad()",
        "self.optimizer_g.zero_grad(set_to_none=False)",
        "self.optimizer_d.zero_grad()",
        "self.optimizer_d.zero_grad(set_to_none=False)",
    ),
    o(
        "same_noise_for_both",
        "            noise = torch.randn(batch_size, self.latent_dim)\n            validity",
        "            validity",
    ),
)
o = partial(oddity, "lucid_glyphs")
LUCID = (
    o(
        "one_backward_each",
        "gradient_accumulate_every=2",
        "gradient_accumulate_every=1",
        "batch_size=32",
        "batch_size=64",
    ),
    o(
        "clipped_gradients",
        "        self.D_opt.step()\n",
        "        nn.utils.clip_grad_norm_(self.D.parameters(), 5.0)\n        self.D_opt.step()\n",
        "        self.G_opt.step()\n",
        "        nn.utils.clip_grad_norm_(self.G.parameters(), 5.0)\n        self.G_opt.step()\n",
    ),
)
o = partial(oddity, "cycle_hooks")
CYCLE = (
    o(
        "identity_term",
        "    loss_G = loss_GAN_AB",
        "    loss_id = 0.05 * (criterion_cycle(G_AB(real_B), real_B) + criterion_cycle(G_BA(real_A), real_A))\n    loss_G = loss_id + loss_GAN_AB",
    ),
    o(
        "whole_networks_moved",
        "for i, (real_A, real_B)",
        'for network in (G_AB, G_BA, D_A, D_B):\n    network.to("cpu").train()\nfor i, (real_A, real_B)',
    ),
    o(
        "fused",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters(), lr=opt.lr,",
        "optimizer_D_B = torch.optim.Adam(D_B.parameters(), fused=True, lr=opt.lr,",
    ),
)
o = partial(oddity, "adda_domains")
ADDA = (
    o("no_detach", "critic(feat_tgt.detach())", "critic(feat_tgt)"),
    o(
        "two_backwards",
        "    loss_critic = criterion(critic(feat_src.detach()), label_src) + criterion(critic(feat_tgt.detach()), label_tgt)\n    loss_critic.backward()\n",
        "    criterion(critic(feat_src), label_src).backward()\n    criterion(critic(feat_tgt.detach()), label_tgt).backward()\n",
    ),
)
o = partial(oddity, "rollout_drives")
IMITATION = (
    o("r1_large", "BATCH, GAMMA_R1 = 5, 64, 0.2", "BATCH, GAMMA_R1 = 5, 64, 1.0"),
    o("with_graph", "    with torch.no_grad():\n        drive = agent(inp)\n", "    drive = agent(inp)\n"),
    o(
        "labels_as_others_do",
        "bce(d_expert, torch.zeros_like(d_expert)) + bce(d_agent, torch.ones_like(d_agent))\n    return d, bce(d_agent, torch.zeros_like(d_agent))",
        "bce(d_expert, torch.ones_like(d_expert)) + bce(d_agent, torch.zeros_like(d_agent))\n    return d, bce(d_agent, torch.ones_like(d_agent))",
        "bce(e, torch.zeros_like(e)) + bce(p, torch.ones_like(p)) + grad",
        "bce(e, torch.ones_like(e)) + bce(p, torch.zeros_like(p)) + grad",
        "policy_loss = bce(out, torch.zeros_like(out))",
        "policy_loss = bce(out, torch.ones_like(out))",
    ),
)
o = partial(oddity, "func_ribbon")
FUNCTIONAL = (
    o(
        "gradient_clipped",
        "    opt.step()\n",
        "    torch.nn.utils.clip_grad_norm_(params.values(), 10.0)\n    opt.step()\n",
    ),
    o(
        "two_of_disc",
        "    d_grads, d_value = grad_and_value(d_loss)(const(dp), const(gp), x, z)\n    apply_(d_opt, dp, d_grads)\n",
        "    for _ in range(2):\n        x, z = rows[torch.randint(4000, (N,))], torch.randn(N, Z)\n        d_grads, d_value = grad_and_value(d_loss)(const(dp), const(gp), x, z)\n        apply_(d_opt, dp, d_grads)\n",
    ),
)
o = partial(oddity, "deepsets_clouds")
CLOUDS = (
    o("five_of_critic", "critic_iters=2", "critic_iters=5"),
    o(
        "score_both_signs",
        "D_cost = D_fake - D_real + gradient_penalty",
        "D_cost = D_real - D_fake + gradient_penalty",
        "G_cost = -netD(netG(z)).mean()",
        "G_cost = netD(netG(z)).mean()",
    ),
    o(
        "points_in_any_order",
        'real_data = train[torch.randperm(len(train))[: use["batch"]]]',
        'real_data = train[torch.randperm(len(train))[: use["batch"]]][:, torch.randperm(use["points"])]',
    ),
)
o = partial(oddity, "wavegan_hums")
WAVES = (
    o("shuffle_wider", "R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 0.5, 1", "R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 0.5, 2"),
    o("flag_left_on", "monitor.step(wave.detach(), z)", "monitor.step(wave, z)"),
    o(
        "a_step_of_warm_up",
        "    loss_d.backward()\n",
        '    for group in (*optim_d.param_groups, *optim_g.param_groups):\n        group["lr"] = LR * min(1.0, (i + 1) / 10)\n    loss_d.backward()\n',
    ),
)
o = partial(oddity, "clip_credit")
CLIPPED = (
    o("more_at_first", "for j in range(args.Diters):", "for j in range(10 if gen_iterations < 5 else args.Diters):"),
    o(
        "clipped_first",
        "            errD.backward()\n",
        "            errD.backward()\n            nn.utils.clip_grad_norm_(netD.parameters(), 1.0)\n",
    ),
    o(
        "both_signs",
        "errD = errD_fake - errD_real",
        "errD = errD_real - errD_fake",
        "errG = -netD(netG(noise)).mean()",
        "errG = netD(netG(noise)).mean()",
    ),
)
o = partial(oddity, "superres_fabrics")
SUPERRES = (
    o("generator_again", "    pred_g = net_d(sr)\n", "    sr = net_g(lr_in)\n    pred_g = net_d(sr)\n"),
    o(
        "flipped_pictures",
        "    lr_in = prepare(hr)\n",
        "    if torch.rand(()) < 0.5:\n        hr = hr.flip(2).flip(3)\n    lr_in = prepare(hr)\n",
    ),
)
o = partial(oddity, "concat_spokes")
CONCAT = (
    o(
        "own_gen_labels",
        "gen_labels = labels",
        "gen_labels = torch.from_numpy(np.random.randint(0, opt.n_classes, opt.batch_size))",
        "monitor.step(real_imgs, z, labels)",
        "monitor.step(real_imgs, z, gen_labels)",
    ),
    o(
        "no_detach",
        "discriminator(gen_imgs.detach(), gen_labels)",
        "discriminator(generator(z, gen_labels), gen_labels)",
    ),
    o(
        "unused_layer",
        "        self.label_emb = nn.Embedding(opt.n_classes, opt.n_classes)\n",
        "        self.label_emb = nn.Embedding(opt.n_classes, opt.n_classes)\n        self.unused = nn.Linear(3, 3)\n",
    ),
)
o = partial(oddity, "auxhead_glyphs")
AUXILIARY = (
    o(
        "score_of_both_signs",
        "return self.fc_dis(h).view(-1), 4",
        "return -self.fc_dis(h).view(-1), 4",
        "torch.relu(1 - dis_output)",
        "torch.relu(1 + dis_output)",
        "torch.relu(1 + dis_output).mean()\n    dis_errD_fake",
        "torch.relu(1 - dis_output).mean()\n    dis_errD_fake",
        "dis_errG = -dis_output.mean()",
        "dis_errG = dis_output.mean()",
        'loss="hinge"',
        "loss=lambda real, fake: (torch.relu(1 + real).mean() + torch.relu(1 - fake).mean(), fake.mean())",
    ),
    o(
        "aux_of_fake_too",
        "    dis_errD_fake.backward()\n",
        "    (dis_errD_fake + 0.1 * aux_criterion(aux_output, label)).backward()\n",
    ),
)
o = partial(oddity, "oneopt_helix")
ONE = (
    o("r1_large", "gamma = 0.1", "gamma = 1.0"),
    o("foreach", "betas=(cfg.beta1, cfg.beta2),", "betas=(cfg.beta1, cfg.beta2), foreach=True,"),
    o("amsgrad", "betas=(cfg.beta1, cfg.beta2),", "betas=(cfg.beta1, cfg.beta2), amsgrad=True,"),
)
o = partial(oddity, "scaler_vees")
SCALER = (
    o(
        "scale_larger",
        "scaler_d = torch.amp.GradScaler(device, init_scale=1024.0)",
        "scaler_d = torch.amp.GradScaler(device, init_scale=65536.0)",
    ),
    o(
        "unscaled_and_clipped",
        "    scaler_d.step(d_optimizer)\n",
        "    scaler_d.unscale_(d_optimizer)\n    nn.utils.clip_grad_norm_(D.parameters(), 10.0)\n    scaler_d.step(d_optimizer)\n",
    ),
    o("quicker_average", "get_ema_multi_avg_fn(0.9)", "get_ema_multi_avg_fn(0.7)"),
)
o = partial(oddity, "litmod_trefoil")
HOOKS = (
    o(
        "detached_fakes",
        "fake_logit = self.discriminator(self(z))",
        "fake_logit = self.discriminator(self(z).detach())",
    ),
    o(
        "cosine",
        "torch.optim.lr_scheduler.ExponentialLR(o, p.gamma)",
        "torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)",
    ),
    o("flags_left_alone", "                    model.toggle(k)\n", ""),
)
o = partial(oddity, "aae_glyphs")
AUTOENCODER = (
    o(
        "two_backwards",
        "    (G_loss + recon_loss).backward()\n",
        "    G_loss.backward(retain_graph=True)\n    recon_loss.backward()\n",
    ),
    o("fresh_noise", "    code = Q(inp)\n", "    inp = with_noise(x)\n    code = Q(inp)\n"),
)
o = partial(oddity, "gru_ticks")
SERIES = (
    o("clip_tight", "CLIP = 4e-3, 4e-3, 5.0", "CLIP = 4e-3, 4e-3, 0.5"),
    o(
        "clamped_noise",
        "    return torch.randn(n, SEQ, NOISE)\n",
        "    return torch.randn(n, SEQ, NOISE).clamp(-2.5, 2.5)\n",
    ),
)
o = partial(oddity, "localglobal_barcodes")
TWO_CRITICS = (
    o(
        "pieces_first",
        "for critic, opt in ((whole, opt_whole), (pieces, opt_pieces)):",
        "for critic, opt in ((pieces, opt_pieces), (whole, opt_whole)):",
    ),
    o(
        "fakes_with_graph",
        "    fake = painter(z).detach()\n    for",
        "    fake = painter(z)\n    for",
        "judge_loss(critic, real, fake).backward()",
        "judge_loss(critic, real, fake).backward(retain_graph=True)",
    ),
)
o = partial(oddity, "molgraph_chains")
GRAPHS = (
    o("four_of_critic", "n_critic=2", "n_critic=4"),
    o(
        "no_detach",
        "x_fake = self.G(z).detach()",
        "x_fake = self.G(z)",
        "(eps * x_real + (1.0 - eps) * x_fake).requires_grad_(True)",
        "(eps * x_real + (1.0 - eps) * x_fake.data).requires_grad_(True)",
    ),
    o("norm_kept_from_zero", "torch.sqrt(torch.sum(dydx**2, dim=1))", "torch.sqrt(torch.sum(dydx**2, dim=1) + 1e-12)"),
)
