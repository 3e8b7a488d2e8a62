# ruff: noqa: E501
"""Planted faults: the DCGAN tutorial, WGAN with a clip, simultaneous descent, the R1 trainer that resumes."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

f = partial(fault, "tutorial_flags")
TUTORIAL = (
    f("real_backward_forgotten", "critic_real_half_missing", "        errD_real.backward()\n", ""),
    f("label_left_fake", "generator_sign_flipped", "        netG.zero_grad()\n        label.fill_(real_label)\n", "        netG.zero_grad()\n"),
    f("saturating", "generator_loss_other", "        label.fill_(real_label)\n        output = netD(fake)\n        errG = criterion(output, label)", "        output = netD(fake)\n        errG = -criterion(output, label)"),
    f("bytes", "data_range", "images = images / 127.5 - 1\n", "", also="data_scale critic_shown_other_real"),
    f("unit_range", "data_scale", "images = images / 127.5 - 1\n", "images = images / 255\n", also="data_range"),
    f("detached_in_both", "generator_detached", "        output = netD(fake)\n", "        output = netD(fake.detach())\n"),
    f("netD_not_cleared", "critic_gradient_accumulated", "        netD.zero_grad()\n", "", also="generator_gradient_in_critic"),
    f("netG_not_cleared", "generator_gradient_accumulated", "        netG.zero_grad()\n", ""),
    f("fixed_noise_trained", "latents_reused", "        noise = torch.randn(batch.size(0), nz, 1, 1)\n", "        noise = fixed_noise\n"),
    f("relu_last", "generator_range_rectified", "            nn.Tanh(),\n", "            nn.ReLU(),\n"),
    f("one_batch_for_both", "batch_norm_coupling", "        errD_real.backward()\n", "", "        output = netD(fake.detach())\n        errD_fake = criterion(output, label)\n        errD_fake.backward()\n        errD = errD_real + errD_fake\n", "        output = netD(torch.cat([batch, fake.detach()]))\n        errD_real = criterion(output[: len(batch)], torch.ones(len(batch)))\n        errD_fake = criterion(output[len(batch) :], label)\n        errD = errD_real + errD_fake\n        errD.backward()\n"),
    f("rate_of_G_for_D_twenty", "critic_too_strong", "optimizerD = optim.Adam(netD.parameters(), lr=lr * 0.5", "optimizerD = optim.Adam(netD.parameters(), lr=lr * 20", also="critic_step_too_large generator_gradient_vanishes"),
)

f = partial(fault, "wganclip_rings")
CLIP = (
    f("clamp_not_in_place", "clip_absent", "                p.data.clamp_(-opt.clamp, opt.clamp)\n            rows", "                p.data.clamp(-opt.clamp, opt.clamp)\n            rows", "            p.data.clamp_(-opt.clamp, opt.clamp)\n\n", "            p.data.clamp(-opt.clamp, opt.clamp)\n\n", also="clip_other"),
    f("clamp_hundredth", "clip_other", "                p.data.clamp_(-opt.clamp, opt.clamp)\n            rows", "                p.data.clamp_(-0.01, 0.01)\n            rows", "            p.data.clamp_(-opt.clamp, opt.clamp)\n\n", "            p.data.clamp_(-0.01, 0.01)\n\n", also="clip_crippling"),
    f("clamp_tiny", "clip_crippling", 'parser.add_argument("--clamp", type=float, default=0.1)', 'parser.add_argument("--clamp", type=float, default=0.004)'),
    f("diters_on_G", "n_critic_swapped", "while j < opt.Diters and i", "while j < 1 and i", "        netG.zero_grad()\n        noise.resize_(opt.batchSize, opt.nz).normal_(0, 1)\n        fake = netG(noise)\n        errG = netD(fake)\n        errG.backward(mone)\n        optimizerG.step()\n", "        for _ in range(opt.Diters):\n            netG.zero_grad()\n            noise.resize_(opt.batchSize, opt.nz).normal_(0, 1)\n            fake = netG(noise)\n            errG = netD(fake)\n            errG.backward(mone)\n            optimizerG.step()\n"),
    f("one_and_mone_in_D", "critic_sign_flipped", "errD_real.backward(mone)", "errD_real.backward(one)", "errD_fake.backward(one)", "errD_fake.backward(mone)"),
    f("one_for_G", "generator_sign_flipped", "errG.backward(mone)", "errG.backward(one)"),
    f("fake_pass_unused", "critic_fake_half_missing", "            errD_fake.backward(one)\n", ""),
    f("sigmoid_kept", "probability_as_score", "nn.Linear(ndf, 1)\n        )", "nn.Linear(ndf, 1), nn.Sigmoid()\n        )", also="bounded_scores"),
    f("no_clamp_claimed", "loss_needs_lipschitz", '    penalty=("clip", opt.clamp),\n', "", "                p.data.clamp_(-opt.clamp, opt.clamp)\n            rows", "                pass\n            rows", "            p.data.clamp_(-opt.clamp, opt.clamp)\n\n", "            pass\n\n"),
    f("grad_stays_off", "critic_frozen", "            p.requires_grad = True\n", "            p.requires_grad = p is not netD.main[0].weight and p is not netD.main[2].weight\n"),
    f("lrD_for_epochs", "critic_step_too_small", 'parser.add_argument("--lrD", type=float, default=1e-3)', 'parser.add_argument("--lrD", type=float, default=1e-8)'),
    f("D_slow_and_once", "critic_too_weak", 'parser.add_argument("--Diters", type=int, default=5)', 'parser.add_argument("--Diters", type=int, default=1)', 'parser.add_argument("--lrD", type=float, default=1e-3)', 'parser.add_argument("--lrD", type=float, default=3e-5)', also="critic_step_too_small"),
    f("noise_filled", "latents_constant", "        noise.resize_(opt.batchSize, opt.nz).normal_(0, 1)\n", "        noise.resize_(opt.batchSize, opt.nz).fill_(torch.randn(1).item())\n", also="latent_mismatch"),
)

f = partial(fault, "simgd_rings")
SIMGD = (
    f("no_penalty_claimed", "rotation_undamped", '    loss_d = loss_d + cfg["gamma"] * r1(x)\n', "", '    penalty=("r1", 0.3),\n', "", "lr_g=0.1, lr_d=0.1", "lr_g=0.5, lr_d=0.5", also="critic_step_too_large generator_step_too_large"),
    f("momentum_high", "momentum_too_high", "momentum=0.0", "momentum=0.98", also="generator_step_too_large critic_step_too_large rotation_undamped"),
    f("lr_d_large", "critic_step_too_large", "lr_d=0.1", "lr_d=12.0", also="critic_too_strong"),
    f("lr_g_large", "generator_step_too_large", "lr_g=0.1", "lr_g=20.0"),
    f("gamma_huge", "penalty_too_strong", "gamma=0.3", "gamma=200.0", '("r1", 0.3)', '("r1", 200.0)', also="critic_step_too_large"),
    f("gamma_tiny", "penalty_too_weak", "gamma=0.3", "gamma=1e-6", '("r1", 0.3)', '("r1", 1e-6)'),
    f("gamma_thirtieth", "penalty_weight_wrong", "return 0.5 * grad.pow(2).sum(1).mean()", "return 0.5 * grad.pow(2).sum(1).mean() / len(x)"),
    f("no_graph", "penalty_detached", "(grad,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)", "(grad,) = torch.autograd.grad(D(x).sum(), x)"),
    f("lr_g_tiny", "generator_step_too_small", "lr_g=0.1", "lr_g=1e-7"),
    f("both_on_G", "generator_sign_flipped", "loss_g = F.softplus(-d_fake).mean()", "loss_g = F.softplus(d_fake).mean()"),
    f("same_rows", "batch_repeated", '    return x_train[torch.randint(0, len(x_train), (cfg["batch"],))]', '    return x_train[: cfg["batch"]]', also="few_rows"),
    f("lr_d_slow", "critic_too_weak", "lr_d=0.1", "lr_d=0.001", also="critic_step_too_small"),
    f("saturated_start", "generator_gradient_vanishes", "    loss_g = F.softplus(-d_fake).mean()\n", "    loss_g = -F.softplus(d_fake).mean()\n", '    loss="non_saturating",\n', '    loss="minimax",\n', '    loss_d = loss_d + cfg["gamma"] * r1(x)\n', "", '    penalty=("r1", 0.3),\n', "", "lr_d=0.1", "lr_d=1.0", also="critic_too_strong rotation_undamped"),
)

f = partial(fault, "stability_squares")
STABILITY = (
    f("moments_forgotten", "optimizer_lost_on_resume", '    g_optimizer.load_state_dict(state["g_optimizer"])\n    d_optimizer.load_state_dict(state["d_optimizer"])\n', "", '        if it == steps // 2:', "        if it == steps // 2:\n            g_optimizer.state.clear(), d_optimizer.state.clear()", late=True),
    f("rate_back", "schedule_lost_on_resume", '    g_scheduler.load_state_dict(state["g_scheduler"])\n    d_scheduler.load_state_dict(state["d_scheduler"])\n', "    for o in (g_optimizer, d_optimizer):\n        o.param_groups[0][\"lr\"] = 2e-3\n", late=True),
    f("anneal_every_iteration", "schedule_too_fast", '"lr_anneal_every": 60', '"lr_anneal_every": 4', late=True, also="generator_step_too_small critic_step_too_small"),
    f("one_pass_for_reg", "penalty_absent", "        reg.backward()\n", ""),
    f("reg_without_half", "penalty_weight_wrong", "reg = self.reg_param * 0.5 *", "reg = self.reg_param * 50 *"),
    f("reg_at_fakes", "penalty_other_place", "        reg = self.reg_param * 0.5 * compute_grad2(d_real, x_real).mean()\n", "        x_mixed = self.generator(z).detach().requires_grad_()\n        reg = self.reg_param * 0.5 * compute_grad2(self.discriminator(x_mixed), x_mixed).mean()\n"),
    f("reg_about_one", "penalty_other_kind", "    return grad_dout.pow(2).view(batch_size, -1).sum(1)", "    return (grad_dout.view(batch_size, -1).norm(dim=1) - 1).pow(2)"),
    f("test_is_same", "average_is_live", "generator_test = copy.deepcopy(generator)", "generator_test = generator"),
    f("average_never", "average_is_not_updated", "        update_average(generator_test, generator, cfg[\"model_average_beta\"])\n", ""),
    f("beta_slow", "average_too_slow", '"model_average_beta": 0.9', '"model_average_beta": 0.99995'),
    f("test_in_eval", "average_buffers_not_copied", "    generator_test.train()\n", "    generator_test.eval()\n", also="sampled_in_other_mode"),
    f("toggle_swapped", "critic_frozen", "        toggle_grad(self.discriminator, True)\n", "        toggle_grad(self.discriminator[:3], True)\n"),
    f("zdist_uniform", "latent_mismatch", "    return generator_test(zdist(500))", '    return generator_test(torch.rand(500, config["z_dist"]["dim"]))'),
)
