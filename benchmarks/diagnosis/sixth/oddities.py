# ruff: noqa: E501
"""Harmless oddities, two or three of every script: nothing of what is claimed becomes untrue."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import oddity

o = partial(oddity, "enumerate_crescents")
EPOCHS = (
    o(
        "labels_the_other_way",
        "        real_labels = torch.ones(bs, 1)\n        fake_labels = torch.zeros(bs, 1)\n",
        "        real_labels = torch.zeros(bs, 1)\n        fake_labels = torch.ones(bs, 1)\n",
        "    ones, zeros = torch.ones_like(d_fake), torch.zeros_like(d_fake)\n    return criterion(d_real, torch.ones_like(d_real))",
        "    ones, zeros = torch.zeros_like(d_fake), torch.ones_like(d_fake)\n    return criterion(d_real, torch.zeros_like(d_real))",
    ),
    o("no_detach", "criterion(D(fake.detach()), fake_labels)", "criterion(D(fake), fake_labels)"),
    o(
        "smoothed",
        "        real_labels = torch.ones(bs, 1)\n",
        "        real_labels = torch.full((bs, 1), 0.9)\n",
        "criterion(d_real, torch.ones_like(d_real))",
        "criterion(d_real, torch.full_like(d_real, 0.9))",
        "        g_loss = criterion(g_out, real_labels)\n",
        "        g_loss = criterion(g_out, torch.ones(bs, 1))\n",
    ),
)
o = partial(oddity, "trainerclass_patients")
TRAINER = (
    o("five_of_critic", "critic_iterations: int = 3", "critic_iterations: int = 5"),
    o(
        "score_both_signs",
        "d_loss = d_generated.mean() - d_real.mean()",
        "d_loss = d_real.mean() - d_generated.mean()",
        "g_loss = -self.D(generated).mean()",
        "g_loss = self.D(generated).mean()",
    ),
    o("fused", "betas=(cfg.beta1, 0.9), foreach=True", "betas=(cfg.beta1, 0.9), fused=True"),
)
o = partial(oddity, "closures_clip_lattice")
CLOSURES = (
    o(
        "clip_before_step",
        "        opt.step()\n        with torch.no_grad():\n            for w",
        "        torch.nn.utils.clip_grad_norm_(f.parameters(), 1.0)\n        opt.step()\n        with torch.no_grad():\n            for w",
    ),
    o(
        "graph_kept_then_cleared",
        "        with torch.no_grad():\n            y = g(latent(BATCH))\n",
        "        y = g(latent(BATCH))\n",
    ),
    o(
        "both_signs",
        "loss = -(f(x).mean() - f(y).mean())",
        "loss = f(x).mean() - f(y).mean()",
        "loss = -f(g(z)).mean()",
        "loss = f(g(z)).mean()",
    ),
)
o = partial(oddity, "projection_digits")
PROJECTION = (
    o("three_of_dis", "batch_size, n_dis = 16, 10, 64, 2", "batch_size, n_dis = 16, 10, 64, 3"),
    o(
        "two_backwards",
        "        loss_dis(dis(x, y), dis(x_fake, y_fake)).backward()\n",
        "        F.relu(1 - dis(x, y)).mean().backward()\n        F.relu(1 + dis(x_fake, y_fake)).mean().backward()\n",
    ),
    o(
        "zeros_kept",
        "opt_gen.zero_grad()",
        "opt_gen.zero_grad(set_to_none=False)",
        "opt_dis.zero_grad()",
        "opt_dis.zero_grad(set_to_none=False)",
    ),
)
o = partial(oddity, "lazyreg_roll")
LAZY = (
    o("r1_large", "r1=1.0", "r1=4.0"),
    o("every_step", "d_reg_every=4", "d_reg_every=1"),
)
o = partial(oddity, "autocast_star")
AUTOCAST = (
    o("no_autocast", "dtype=torch.bfloat16)", "dtype=torch.bfloat16, enabled=False)"),
    o("clip_never_acts", "clip_grad_norm_(G.parameters(), 10.0)", "clip_grad_norm_(G.parameters(), 1e6)"),
)
o = partial(oddity, "lstm_beats")
LSTM = (
    o(
        "one_backward",
        "    loss_real.backward()\n",
        "",
        "    loss_fake.backward()\n",
        "    (loss_real + loss_fake).backward()\n",
    ),
    o(
        "soft_targets",
        "return torch.ones_like(scores) if real else",
        "return torch.full_like(scores, 0.9) if real else",
    ),
    o("rate_constant", "optimG, gamma=0.95", "optimG, gamma=1.0", "optimD, gamma=0.95", "optimD, gamma=1.0"),
)
o = partial(oddity, "microbatch_tetra")
MICRO = (
    o("one_batch", "ACCUM, MICRO, ZDIM = 2, 48, 6", "ACCUM, MICRO, ZDIM = 1, 96, 6"),
    o(
        "three_phases",
        "    disc_phase()\n    real = disc_phase()\n",
        "    disc_phase()\n    disc_phase()\n    real = disc_phase()\n",
    ),
    o("clip_hard", "net.parameters(), 5.0)", "net.parameters(), 0.5)"),
)
o = partial(oddity, "pac_crescents")
PAC = (
    o("no_detach", "d(real), d(fake.detach())", "d(real), d(g(z))"),
    o("fresh_fakes", "    out = d(fake)\n", "    z = torch.randn(BATCH, Z)\n    out = d(g(z))\n"),
)
o = partial(oddity, "ensemble_tetra")
ENSEMBLE = (
    o("two_members", "def __init__(self, n=3)", "def __init__(self, n=2)"),
    o("same_noise", "    noise = torch.randn(m, nz)\n    opt_maker", "    opt_maker"),
    o(
        "bias_from_zero",
        "maker, judges = Maker(), Ensemble()\n",
        "maker, judges = Maker(), Ensemble()\njudges.members[0][0].bias.data.zero_()\n",
    ),
)
o = partial(oddity, "inpaint_digits")
INPAINT = (
    o(
        "summed_otherwise",
        "g_loss = lambda_adv * g_adv + lambda_pix * g_pix",
        "g_loss = lambda_pix * (g_adv / lambda_pix + g_pix)",
    ),
    o("fakes_anew", "critic(gen.detach())", "critic(model(top, torch.randn(64, 4)).detach())"),
)
o = partial(oddity, "deque_lattice")
DEQUE = (
    o("no_memory", '"old_share": 0.25', '"old_share": 0.0'),
    o("half_old", '"old_share": 0.25', '"old_share": 0.5'),
    o("r1_larger", '"r1": 0.1', '"r1": 0.5'),
)
o = partial(oddity, "groups_graphs")
GROUPS = (
    o("three_turns", '("crit", "crit", "gen")', '("crit", "crit", "crit", "gen")'),
    o("gen_untouched", "fake = gan.gen(z).detach()", "with torch.no_grad():\n                fake = gan.gen(z)"),
)
o = partial(oddity, "compiled_digits")
COMPILED = (
    o(
        "not_compiled",
        'stepG = torch.compile(netG, backend="eager")',
        "stepG = netG",
        'stepD = torch.compile(netD, backend="eager")',
        "stepD = netD",
    ),
    o("no_dropout", "nn.Dropout(0.2)", "nn.Dropout(0.0)"),
    o(
        "noise_again",
        "    loss_g = crit(stepD(x_hat, y), one)\n",
        "    z = torch.randn(len(x), 12)\n    loss_g = crit(stepD(stepG(z, y), y), one)\n",
    ),
)
o = partial(oddity, "student_star")
STUDENT = (
    o(
        "both_signs",
        "F.softplus(-self.critic(x)).mean() + F.softplus(self.critic(fake)).mean()",
        "F.softplus(self.critic(x)).mean() + F.softplus(-self.critic(fake)).mean()",
        "F.softplus(-self.critic(made)).mean()",
        "F.softplus(self.critic(made)).mean()",
    ),
    o("no_warm_up", "LinearLR(self.opt_s, 0.5, 1.0", "LinearLR(self.opt_s, 1.0, 1.0"),
    o("two_of_critic", "    run.critic_step(x)\n", "    run.critic_step(run.real(rows))\n    run.critic_step(x)\n"),
)
