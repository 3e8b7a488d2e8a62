# ruff: noqa: E501
"""Planted faults: labels by concatenation, a class head, one optimiser, a gradient scaler, hooks."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.seventh.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "concat_spokes")
CONCAT = (
    f(
        "other_labels_at_d",
        "labels_differ_between_players",
        "validity_fake = discriminator(gen_imgs.detach(), gen_labels)",
        "validity_fake = discriminator(gen_imgs.detach(), gen_labels.flip(0))",
        "validity = discriminator(gen_imgs, gen_labels)",
        "validity = discriminator(gen_imgs, gen_labels.flip(0))",
        also="labels_unrelated",
    ),
    f(
        "drawn_apart",
        "labels_unrelated",
        "real_imgs, labels = X[idx], Y[idx]",
        "real_imgs, labels = X[idx], Y[np.random.randint(0, len(Y), opt.batch_size)]",
    ),
    f(
        "hinge_for_d",
        "critic_loss_other",
        "d_loss = (d_real_loss + d_fake_loss) / 2",
        "d_loss = torch.relu(1 - validity_real).mean() + torch.relu(1 + validity_fake).mean()",
    ),
    f(
        "linear_for_g",
        "generator_loss_other",
        "    g_loss = adversarial_loss(validity, valid)\n",
        "    g_loss = -validity.mean()\n",
    ),
    f(
        "both_targets_one",
        "critic_sign_flipped",
        "d_fake_loss = adversarial_loss(validity_fake, fake)",
        "d_fake_loss = adversarial_loss(validity_fake, valid)",
    ),
    f(
        "far_latents",
        "latent_mismatch",
        "np.random.normal(0, 1, (n, opt.latent_dim))",
        "np.random.normal(0, 4, (n, opt.latent_dim))",
    ),
    f(
        "decay_per_batch",
        "schedule_too_fast",
        "X, Y = data.spokes(3000)\n",
        "sched_G = torch.optim.lr_scheduler.ExponentialLR(optimizer_G, 0.9)\nX, Y = data.spokes(3000)\n",
        "    g_loss.backward()\n    optimizer_G.step()\n",
        "    g_loss.backward()\n    optimizer_G.step()\n    sched_G.step()\n",
        also="generator_step_too_small learning_rate_zero",
        late=True,
    ),
    f(
        "plain_sgd",
        "rotation_undamped",
        "torch.optim.Adam(generator.parameters(), lr=opt.lr_g, betas=(0.0, 0.99))",
        "torch.optim.SGD(generator.parameters(), lr=0.3, momentum=0.9)",
        "torch.optim.Adam(discriminator.parameters(), lr=opt.lr_d, betas=(0.0, 0.99))",
        "torch.optim.SGD(discriminator.parameters(), lr=0.3, momentum=0.9)",
        also=SWINGS,
    ),
    f(
        "g_fast",
        "generator_step_too_large",
        '"--lr_g", type=float, default=0.0015',
        '"--lr_g", type=float, default=0.15',
    ),
    f(
        "shrunk",
        "mode_collapse_total",
        "return self.model(gen_input)",
        "return self.model(gen_input * 1e-3)",
        also=COLLAPSE,
    ),
    f(
        "noise_forgotten",
        "mode_collapse_partial",
        "torch.cat((self.label_emb(labels), noise), -1)",
        "torch.cat((self.label_emb(labels), 0 * noise), -1)",
        also="mode_collapse_total generator_ill_conditioned",
    ),
)

f = partial(fault, "auxhead_glyphs")
AUXILIARY = (
    f(
        "no_norm",
        "constraint_missing",
        "from torch.nn.utils import spectral_norm\n",
        "spectral_norm = lambda layer: layer\n",
    ),
    f(
        "score_head_free",
        "constraint_partial",
        "self.fc_dis = spectral_norm(nn.Linear(128, 1))",
        "self.fc_dis = nn.Linear(128, 1)",
        also="constraint_vacuous",
    ),
    f("d_in_eval", "spectral_norm_stale", "monitor = watch(\n", "netD.eval()\nmonitor = watch(\n"),
    f(
        "slow_statistics",
        "sampled_in_other_mode",
        "nn.Linear(nz, 96), nn.BatchNorm1d(96), nn.ReLU(True), nn.Linear(96, 96), nn.BatchNorm1d(96)",
        "nn.Linear(nz, 96), nn.BatchNorm1d(96, momentum=0.001), nn.ReLU(True), nn.Linear(96, 96), nn.BatchNorm1d(96, momentum=0.001)",
    ),
    f(
        "d_not_cleared",
        "critic_gradient_accumulated",
        "    netD.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f("g_not_stepped", "generator_not_stepped", "    optimizerG.step()\n", ""),
    f(
        "tanh_score",
        "bounded_scores",
        "return self.fc_dis(h).view(-1),",
        "return 0.2 * torch.tanh(self.fc_dis(h)).view(-1),",
    ),
    f("d_fast", "critic_step_too_large", "netD.parameters(), lr=0.002", "netD.parameters(), lr=0.5", also=CRITIC_FAST),
    f("d_slow", "critic_too_weak", "netD.parameters(), lr=0.002", "netD.parameters(), lr=0.00002", also=CRITIC_SLOW),
    f(
        "score_times_sixty",
        "constraint_vacuous",
        "return self.fc_dis(h).view(-1),",
        "return 60 * self.fc_dis(h).view(-1),",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "learned_gain",
        "constraint_vacuous",
        "        self.fc_aux = spectral_norm(nn.Linear(128, n_class))\n",
        "        self.fc_aux = spectral_norm(nn.Linear(128, n_class))\n        self.gain = nn.Parameter(torch.tensor(100.0))\n",
        "return self.fc_dis(h).view(-1),",
        "return self.gain * self.fc_dis(h).view(-1),",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "one_per_class",
        "mode_collapse_partial",
        "noise * 0.7 + self.emb",
        "noise * 1e-6 + self.emb",
        also="mode_collapse_total generator_ill_conditioned",
    ),
)

f = partial(fault, "oneopt_helix")
ONE = (
    f(
        "critic_rate_zero",
        "learning_rate_zero",
        "lr_g, lr_d = 3e-3, 6e-3",
        "lr_g, lr_d = 3e-3, 0.0",
        also="critic_step_too_small learning_rate_not_reached",
    ),
    f(
        "g_saturates",
        "generator_loss_other",
        "softplus(-(game.critic(y) - d_x.detach())).mean()",
        "-softplus(game.critic(y)).mean()",
    ),
    f("no_graph", "penalty_detached", "x, create_graph=True)", "x, retain_graph=True)", also="penalty_absent"),
    f(
        "weight_huge",
        "penalty_weight_wrong",
        "cfg.gamma / 2 * (slope",
        "cfg.gamma * 2000 * (slope",
        also="penalty_too_strong",
    ),
    f(
        "critic_left_out",
        "critic_not_stepped",
        '        {"params": list(game.critic.parameters()), "lr": cfg.lr_d},\n',
        "",
        also="optimizer_misses_parameters",
    ),
    f("not_cleared", "critic_gradient_accumulated", "    opt.zero_grad()\n", "", also="generator_gradient_accumulated"),
    f(
        "undamped",
        "rotation_undamped",
        "gamma = 0.1",
        "gamma = 1e-7",
        "beta1, beta2 = 0.0, 0.95",
        "beta1, beta2 = 0.9, 0.95",
        "lr_g, lr_d = 3e-3, 6e-3",
        "lr_g, lr_d = 6e-3, 6e-3",
        also="momentum_too_high penalty_too_weak critic_too_strong generator_step_too_large critic_step_too_large",
    ),
    f("d_rate", "critic_step_too_large", "lr_g, lr_d = 3e-3, 6e-3", "lr_g, lr_d = 3e-3, 0.6", also=CRITIC_FAST),
    f("gamma_thousands", "penalty_too_strong", "gamma = 0.1", "gamma = 5000.0", also="critic_too_weak"),
    f(
        "shrunk",
        "mode_collapse_total",
        "self.generator = net(cfg.latent, 3)",
        "self.generator = nn.Sequential(nn.Hardtanh(-1e-3, 1e-3), *net(cfg.latent, 3))",
        also=COLLAPSE,
    ),
)

f = partial(fault, "scaler_vees")
SCALER = (
    f(
        "scale_stays",
        "penalty_under_loss_scale",
        "inv_scale = 1.0 / scaler_d.get_scale()",
        "inv_scale = 1.0",
        also="penalty_weight_wrong penalty_too_strong",
    ),
    f(
        "slow_average",
        "average_too_slow",
        "get_ema_multi_avg_fn(0.9)",
        "get_ema_multi_avg_fn(0.9999)",
        also="average_is_not_updated",
    ),
    f(
        "d_without_grad",
        "critic_called_without_grad",
        "        real_score, fake_score = D(x), D(fake)\n",
        "        with torch.no_grad():\n            real_score, fake_score = D(x), D(fake)\n",
        also="critic_no_gradient",
    ),
    f(
        "g_rate_tiny",
        "generator_step_too_small",
        "Adam(G.parameters(), lr=2e-3",
        "Adam(G.parameters(), lr=2e-7",
        also="learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "d_rate_tiny",
        "critic_step_too_small",
        "Adam(D.parameters(), lr=2e-3",
        "Adam(D.parameters(), lr=1e-6",
        also="critic_too_weak learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "g_front_frozen",
        "generator_frozen",
        "xs = data.vees(4000)\n",
        "xs = data.vees(4000)\nfor p in G[:4].parameters():\n    p.requires_grad_(False)\n",
    ),
    f(
        "six_rows",
        "few_rows",
        "xs = data.vees(4000)\n",
        "xs = data.vees(6)\n",
        also="rows_repeated batch_repeated critic_overfitting generator_memorising mode_collapse_partial",
    ),
    f(
        "r1_thousands",
        "penalty_too_strong",
        "bs, r1_gamma = 8, 64, 0.2",
        "bs, r1_gamma = 8, 64, 5000.0",
        also="critic_too_weak",
    ),
    f(
        "momentum",
        "momentum_too_high",
        "Adam(G.parameters(), lr=2e-3, betas=(0.0",
        "Adam(G.parameters(), lr=4e-3, betas=(0.99",
        "Adam(D.parameters(), lr=2e-3, betas=(0.0",
        "Adam(D.parameters(), lr=4e-3, betas=(0.99",
        also=SWINGS,
    ),
    f(
        "fifty_rows",
        "critic_overfitting",
        "xs = data.vees(4000)\n",
        "xs = data.vees(50)\n",
        "bs, r1_gamma = 8, 64, 0.2",
        "bs, r1_gamma = 8, 64, 0.001",
        "Adam(D.parameters(), lr=2e-3",
        "Adam(D.parameters(), lr=1e-2",
        also=FEW + " penalty_too_weak",
    ),
    f(
        "one_neuron",
        "generator_ill_conditioned",
        "G = nn.Sequential(*block(latent_dim, 64)",
        "G = nn.Sequential(nn.Linear(latent_dim, 1), *block(1, 64)",
        also=COLLAPSE,
    ),
)

f = partial(fault, "litmod_trefoil")
HOOKS = (
    f(
        "stepped_per_batch",
        "schedule_too_fast",
        "if self.global_step % model.hparams.epoch_length == 0:",
        "if self.global_step:",
        also="generator_step_too_small critic_step_too_small learning_rate_zero",
        late=True,
    ),
    f(
        "both_over_d",
        "optimizer_other_player",
        "opt_g = torch.optim.Adam(self.generator.parameters()",
        "opt_g = torch.optim.Adam(self.discriminator.parameters()",
        also="generator_not_stepped optimizer_misses_parameters",
    ),
    f(
        "toggled_wrong",
        "critic_frozen",
        "p.requires_grad_(which == 0)",
        "p.requires_grad_(which == 1)",
        "            p.requires_grad_(which == 1)\n\n    def training_step",
        "            p.requires_grad_(which == 0)\n\n    def training_step",
        also="generator_frozen critic_no_gradient critic_not_stepped",
    ),
    f("no_norm", "constraint_missing", "        sn = spectral_norm\n", "        sn = nn.Sequential\n"),
    f(
        "option_unread",
        "learning_rate_not_reached",
        "self.generator.parameters(), lr=p.lr_g",
        "self.generator.parameters(), lr=1e-6",
        "        scheds = [",
        '        opt_g.defaults["lr"] = p.lr_g\n        scheds = [',
        also="generator_step_too_small learning_rate_zero",
    ),
    f(
        "rate_back",
        "schedule_lost_on_resume",
        "gamma: float = 0.9\n",
        "gamma: float = 0.3\n",
        "                self.global_step += 1\n",
        '                self.global_step += 1\n                if self.global_step == 150:\n                    optimizers[0].param_groups[0]["lr"], optimizers[1].param_groups[0]["lr"] = model.hparams.lr_d, model.hparams.lr_g\n',
        late=True,
    ),
    f(
        "moments_gone",
        "optimizer_lost_on_resume",
        "                self.global_step += 1\n",
        "                self.global_step += 1\n                if self.global_step == 130:\n                    for o in optimizers:\n                        o.state.clear()\n",
        late=True,
    ),
    f(
        "gain_of_eighty",
        "constraint_vacuous",
        "class LitGAN(nn.Module):",
        "class Gain(nn.Module):\n    def forward(self, x):\n        return 80 * x\n\n\nclass LitGAN(nn.Module):",
        "sn(nn.Linear(2 * h, 1))",
        "sn(nn.Linear(2 * h, 1)), Gain()",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "layer_norm_between",
        "constraint_vacuous",
        "sn(nn.Linear(3, 2 * h)), nn.LeakyReLU(0.1), sn(nn.Linear(2 * h, 2 * h)), nn",
        "sn(nn.Linear(3, 2 * h)), nn.LayerNorm(2 * h), nn.LeakyReLU(0.1), sn(nn.Linear(2 * h, 2 * h)), nn.LayerNorm(2 * h), nn",
        also="constraint_partial",
    ),
    f("d_fast", "critic_step_too_large", "lr_d: float = 4e-3", "lr_d: float = 0.5", also=CRITIC_FAST),
    f("g_fast", "generator_step_too_large", "lr_g: float = 1e-3", "lr_g: float = 0.1"),
)
