# ruff: noqa: E501
"""Planted faults: functional loops, sets of points, raw waves, a clipped table, super-resolution."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.seventh.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "func_ribbon")
FUNCTIONAL = (
    f(
        "scored_low",
        "generator_sign_flipped",
        "return softplus(-D(d_params, G(g_params, z))).mean()",
        "return softplus(D(d_params, G(g_params, z))).mean()",
    ),
    f("penalty_at_fakes", "penalty_other_place", "slope2(d_params, x)\n\n", "slope2(d_params, fake)\n\n"),
    f(
        "about_one",
        "penalty_other_kind",
        "grad(lambda v: D(params, v))(one).square().sum()",
        "30 * (grad(lambda v: D(params, v))(one).norm() - 1) ** 2",
        also="penalty_weight_wrong",
    ),
    f("g_not_applied", "generator_not_stepped", "    apply_(g_opt, gp, g_grads)\n", ""),
    f(
        "g_opt_over_d",
        "optimizer_other_player",
        "AdamW(gp.values()",
        "AdamW(dp.values()",
        also="generator_not_stepped optimizer_misses_parameters",
    ),
    f(
        "decay_thirty",
        "weight_decay_crippling",
        "AdamW(gp.values(), lr=3e-3, betas=(0.0, 0.99), weight_decay=1e-4)",
        "AdamW(gp.values(), lr=3e-3, betas=(0.0, 0.99), weight_decay=30.0)",
    ),
    f(
        "rate_into_defaults",
        "learning_rate_not_reached",
        "AdamW(gp.values(), lr=3e-3",
        "AdamW(gp.values(), lr=1e-6",
        "rows = data.ribbon(4000)\n",
        'rows = data.ribbon(4000)\ng_opt.defaults["lr"] = 3e-3\n',
        also="generator_step_too_small learning_rate_zero",
    ),
    f("d_rate", "critic_step_too_large", "AdamW(dp.values(), lr=3e-3", "AdamW(dp.values(), lr=2.0", also=CRITIC_FAST),
    f(
        "momentum",
        "momentum_too_high",
        "AdamW(gp.values(), lr=3e-3, betas=(0.0",
        "AdamW(gp.values(), lr=5e-3, betas=(0.99",
        "AdamW(dp.values(), lr=3e-3, betas=(0.0",
        "AdamW(dp.values(), lr=5e-3, betas=(0.99",
        also=SWINGS,
    ),
    f(
        "one_neuron",
        "generator_ill_conditioned",
        "gen = nn.Sequential(nn.Linear(Z, 48)",
        "gen = nn.Sequential(nn.Linear(Z, 1), nn.Linear(1, 48)",
        also=COLLAPSE,
    ),
)

f = partial(fault, "deepsets_clouds")
CLOUDS = (
    f("per_coordinate", "penalty_norm_axes", "    gradients = gradients.reshape(gradients.size(0), -1)\n", ""),
    f(
        "as_number",
        "penalty_detached",
        '((gradients.norm(2, dim=1) - 1) ** 2).mean() * use["lam"]',
        '((gradients.norm(2, dim=1) - 1) ** 2).mean().item() * use["lam"]',
        also="penalty_absent",
    ),
    f(
        "stays_frozen",
        "critic_frozen",
        "        p.requires_grad = True\n",
        "        p.requires_grad = False\n",
        also="critic_no_gradient critic_not_stepped",
    ),
    f(
        "nothing_claimed",
        "loss_needs_lipschitz",
        '    penalty=("gp", use["lam"]),\n',
        "",
        "D_cost = D_fake - D_real + gradient_penalty",
        "D_cost = D_fake - D_real",
        also="penalty_absent",
    ),
    f(
        "weight_1000",
        "penalty_weight_wrong",
        '.mean() * use["lam"]',
        '.mean() * use["lam"] * 1000',
        also="penalty_too_strong",
    ),
    f("lam_thousands", "penalty_too_strong", "lam=1.0", "lam=20000.0", also="critic_too_weak"),
    f("lam_nothing", "penalty_too_weak", "lam=1.0", "lam=0.0001", also="loss_needs_lipschitz " + CRITIC_FAST),
    f(
        "d_slow",
        "critic_too_weak",
        'netD.parameters(), lr=use["lr"]',
        'netD.parameters(), lr=use["lr"] / 200',
        also=CRITIC_SLOW,
    ),
    f(
        "one_shape",
        "mode_collapse_partial",
        "code = self.code(z[:, :4])",
        "code = self.code(z[:, :4] * 0)",
        also="generator_ill_conditioned",
    ),
    f(
        "nearly_nothing",
        "mode_collapse_total",
        "self.code(z[:, :4])",
        "self.code(z[:, :4] * 1e-3)",
        "each = z[:, 4:]",
        "each = 1e-3 * z[:, 4:]",
        also=COLLAPSE,
    ),
)

f = partial(fault, "wavegan_hums")
WAVES = (
    f(
        "sigmoid_last",
        "double_sigmoid",
        "        return self.fc(h.flatten(1))",
        "        return torch.sigmoid(self.fc(h.flatten(1)))",
        also="bounded_scores probability_as_score",
    ),
    f(
        "relu_last",
        "rectified_scores",
        "        return self.fc(h.flatten(1))",
        "        return F.relu(self.fc(h.flatten(1)))",
    ),
    f(
        "squares_for_d",
        "critic_loss_other",
        "F.softplus(-score_real).mean() + F.softplus(score_fake).mean()",
        "(score_real - 1).square().mean() + score_fake.square().mean()",
    ),
    f(
        "every_seventieth",
        "penalty_too_lazy",
        "    loss_d = loss_d + 0.5 * R1_GAMMA * r1(wave, score_real)\n",
        "    if i % 70 == 69:\n        loss_d = loss_d + 70 * 0.5 * R1_GAMMA * r1(wave, score_real)\n",
        also="penalty_absent penalty_weight_wrong",
        late=True,
    ),
    f(
        "silence",
        "data_constant",
        "audio = data.hums(2500)\n",
        "audio = data.hums(2500).round().clamp(0, 0)\n",
        also="data_scale few_rows rows_repeated batch_repeated",
    ),
    f(
        "broken_file",
        "non_finite",
        "audio = data.hums(2500)\n",
        'audio = data.hums(2500)\naudio[7::400, 0, 5] = float("nan")\n',
        late=True,
    ),
    f("d_slow", "critic_too_weak", "Adam(dis.parameters(), LR", "Adam(dis.parameters(), LR / 100", also=CRITIC_SLOW),
    f(
        "saturated",
        "generator_gradient_vanishes",
        "F.softplus(-dis(gen(z))).mean()",
        "-F.softplus(dis(gen(z))).mean()",
        'loss="non_saturating"',
        'loss="minimax"',
        "Adam(dis.parameters(), LR",
        "Adam(dis.parameters(), 4 * LR",
        "R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 0.5, 1",
        "R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 1e-5, 1",
        also="critic_too_strong critic_step_too_large penalty_too_weak",
    ),
    f("tiny_z", "mode_collapse_total", "F.relu(self.fc(z))", "F.relu(self.fc(z * 1e-4))", also=COLLAPSE),
    f(
        "thirty_five_files",
        "critic_overfitting",
        "audio = data.hums(2500)\n",
        "audio = data.hums(2500)[:35]\n",
        "R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 0.5, 1",
        "R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 0.001, 1",
        also=FEW + " penalty_too_weak",
    ),
)

f = partial(fault, "clip_credit")
CLIPPED = (
    f(
        "not_clipped",
        "clip_absent",
        "                p.data.clamp_(-args.clip_value, args.clip_value)\n",
        "                pass\n",
    ),
    f(
        "tenfold",
        "clip_other",
        "p.data.clamp_(-args.clip_value, args.clip_value)",
        "p.data.clamp_(-10 * args.clip_value, 10 * args.clip_value)",
        also="clip_absent",
    ),
    f(
        "sigmoid_last",
        "probability_as_score",
        "nn.LeakyReLU(0.2), nn.Linear(args.hidden, 1)\n",
        "nn.LeakyReLU(0.2), nn.Linear(args.hidden, 1), nn.Sigmoid()\n",
        also="bounded_scores",
    ),
    f("no_real", "critic_real_half_missing", "errD = errD_fake - errD_real", "errD = errD_fake"),
    f(
        "by_income",
        "unshuffled",
        "    table = data.credit(4000)\n",
        "    table = data.credit(4000)\n    table = table[table[:, 0].argsort()]\n",
        "batch = table[torch.randint(len(table), (args.bs,))]",
        "start = (3 * gen_iterations + j) * args.bs % 3900\n            batch = table[start : start + args.bs]",
    ),
    f(
        "twenty_clients",
        "few_rows",
        "    table = data.credit(4000)\n",
        "    table = data.credit(4000)[:20]\n",
        also="batch_repeated critic_overfitting generator_memorising rows_repeated mode_collapse_partial",
    ),
    f(
        "relu_numbers",
        "generator_range_rectified",
        "parts = [self.numbers(h),",
        "parts = [torch.relu(self.numbers(h)),",
    ),
    f(
        "diters_on_g",
        "n_critic_swapped",
        "        netG.zero_grad()\n        noise = torch.randn(args.bs, args.nz)\n        errG = -netD(netG(noise)).mean()\n        errG.backward()\n        optG.step()\n",
        "        for _ in range(8):\n            netG.zero_grad()\n            noise = torch.randn(args.bs, args.nz)\n            errG = -netD(netG(noise)).mean()\n            errG.backward()\n            optG.step()\n",
        '"--Diters", type=int, default=3',
        '"--Diters", type=int, default=1',
    ),
    f("g_rate", "generator_step_too_large", '"--lrG", type=float, default=2e-3', '"--lrG", type=float, default=0.3'),
    f(
        "d_rate_small",
        "critic_too_weak",
        '"--lrD", type=float, default=2e-3',
        '"--lrD", type=float, default=1e-5',
        also=CRITIC_SLOW,
    ),
    f(
        "clip_1e-4",
        "clip_crippling",
        '"--clip_value", type=float, default=0.1',
        '"--clip_value", type=float, default=0.0001',
        also="critic_too_weak",
    ),
    f(
        "clip_3e-3",
        "clip_crippling",
        '"--clip_value", type=float, default=0.1',
        '"--clip_value", type=float, default=0.003',
        also="critic_too_weak",
    ),
    f(
        "clip_3e-4_deeper",
        "clip_crippling",
        '"--clip_value", type=float, default=0.1',
        '"--clip_value", type=float, default=0.0003',
        "nn.Linear(8, args.hidden), nn.LeakyReLU(0.2), nn",
        "nn.Linear(8, args.hidden), nn.LeakyReLU(0.2), nn.Linear(args.hidden, args.hidden), nn.LeakyReLU(0.2), nn",
        also="critic_too_weak",
    ),
    f(
        "one_neuron",
        "generator_ill_conditioned",
        "nn.Sequential(nn.Linear(args.nz, args.hidden)",
        "nn.Sequential(nn.Linear(args.nz, 1), nn.Linear(1, args.hidden)",
        also=COLLAPSE,
    ),
)

f = partial(fault, "superres_fabrics")
ADVERSARIAL_D = (
    "    l_d = gan_loss(pred_real, torch.ones_like(pred_real)) + gan_loss(pred_fake, torch.zeros_like(pred_fake))\n"
)
SUPERRES = (
    f(
        "content_heavy",
        "reconstruction_drowns_adversarial",
        "content_weight = 48, 4, 10.0",
        "content_weight = 48, 4, 20000.0",
    ),
    f(
        "bytes",
        "data_scale",
        "pictures = data.fabrics(2000)\n",
        "pictures = (data.fabrics(2000) + 1) * 127.5\n",
        also="data_range critic_shown_other_real latent_mismatch",
    ),
    f(
        "turned",
        "channel_order",
        "pred_real = net_d(hr)",
        "pred_real = net_d(hr.transpose(2, 3))",
        also="critic_shown_other_real",
    ),
    f("d_in_eval", "eval_mode_in_training", "def forever(loader):\n", "net_d.eval()\n\n\ndef forever(loader):\n"),
    f(
        "one_batch_for_both",
        "batch_norm_coupling",
        "    pred_real = net_d(hr)\n    pred_fake = net_d(sr.detach())\n",
        "    pred_real, pred_fake = net_d(torch.cat([hr, sr.detach()])).chunk(2)\n",
    ),
    f(
        "one_batch_first_layer",
        "batch_norm_coupling",
        "nn.Flatten(), nn.Linear(64, 128),",
        "nn.Flatten(), nn.Linear(64, 128), nn.BatchNorm1d(128),",
        "    pred_real = net_d(hr)\n    pred_fake = net_d(sr.detach())\n",
        "    both = net_d(torch.cat([sr.detach(), hr]))\n    pred_real, pred_fake = both[len(sr) :], both[: len(sr)]\n",
    ),
    f(
        "r1_added",
        "penalty_under_batch_norm",
        '    loss="non_saturating",\n',
        '    loss="non_saturating",\n    penalty=("r1", 5.0),\n',
        "    optim_D.zero_grad()\n",
        "    hr_leaf = hr.clone().requires_grad_(True)\n    (slope,) = torch.autograd.grad(net_d(hr_leaf).sum(), hr_leaf, create_graph=True)\n    l_d = l_d + 2.5 * slope.square().sum((1, 2, 3)).mean()\n    optim_D.zero_grad()\n",
        also="penalty_too_strong",
    ),
    f(
        "momentum",
        "momentum_too_high",
        "net_g.parameters(), lr=4e-3, betas=(0.0",
        "net_g.parameters(), lr=8e-3, betas=(0.99",
        "net_d.parameters(), lr=1e-3, betas=(0.0",
        "net_d.parameters(), lr=2e-3, betas=(0.99",
        also=SWINGS,
    ),
    f(
        "no_noise",
        "mode_collapse_partial",
        "torch.randn(len(hr), n_noise)",
        "torch.zeros(len(hr), n_noise)",
        also="latents_constant generator_ill_conditioned",
    ),
)
