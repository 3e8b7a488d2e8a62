# ruff: noqa: E501
"""Planted faults: inpainting, replay, one optimiser for graphs, compiled and conditional, a taught student."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.sixth.faults_a import CRITIC_FAST, FEW
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "inpaint_digits")
INPAINT = (
    f(
        "pixels_thousandfold",
        "reconstruction_drowns_adversarial",
        "lambda_adv, lambda_pix = 1.0, 5.0",
        "lambda_adv, lambda_pix = 1.0, 5000.0",
    ),
    f(
        "pixels_nothing",
        "adversarial_drowns_reconstruction",
        "lambda_adv, lambda_pix = 1.0, 5.0",
        "lambda_adv, lambda_pix = 1.0, 1e-5",
    ),
    f(
        "gen_detached",
        "generator_loss_without_critic",
        "adversarial_loss(critic(gen), valid)",
        "adversarial_loss(critic(gen.detach()), valid)",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "valid_for_both",
        "critic_sign_flipped",
        "adversarial_loss(critic(gen.detach()), fake)",
        "adversarial_loss(critic(gen.detach()), valid)",
        also="critic_fake_half_missing",
    ),
    f(
        "eval_left",
        "eval_mode_in_training",
        "for batch_idx in",
        "model.eval()\nfor batch_idx in",
        also="sampled_in_other_mode",
    ),
    f("statistics_slow", "sampled_in_other_mode", "nn.BatchNorm1d(96)", "nn.BatchNorm1d(96, momentum=0.001)"),
    f(
        "noise_on_reals",
        "critic_shown_other_real",
        "adversarial_loss(critic(bottom), valid)",
        "adversarial_loss(critic(bottom + 0.5 * torch.rand_like(bottom)), valid)",
    ),
    f("features_frozen", "critic_frozen", "tops, bottoms =", "critic.features.requires_grad_(False)\ntops, bottoms ="),
    f("decoder_only", "optimizer_misses_parameters", "Adam(model.parameters()", "Adam(model.decoder.parameters()"),
    f(
        "sixty_four",
        "critic_overfitting",
        'tops, bottoms = prepare("train")',
        'tops, bottoms = (t[:64] for t in prepare("train"))',
        "Adam(critic.parameters(), lr=3e-4",
        "Adam(critic.parameters(), lr=5e-3",
        also=FEW,
    ),
    f("rate_large", "generator_step_too_large", "Adam(model.parameters(), lr=1e-3", "Adam(model.parameters(), lr=0.5"),
)

f = partial(fault, "deque_lattice")
DEQUE = (
    f("normal_at_test", "latent_mismatch", "generator(sample_z(500))", 'generator(2 * torch.randn(500, HP["nz"]))'),
    f("penalty_at_shown", "penalty_other_place", "+ penalty(x)", "+ penalty(shown)"),
    f("relu_last", "generator_range_rectified", "nn.Tanh())", "nn.ReLU())"),
    f(
        "lattice_small",
        "data_scale",
        "X = data.lattice(4096)",
        "X = 0.03 * data.lattice(4096)",
        also="critic_shown_other_real",
    ),
    f("critic_no_step", "critic_not_stepped", "    opt_c.step()\n", ""),
    f(
        "weight_zero",
        "critic_no_gradient",
        "    loss_c.backward()\n",
        "    (0.0 * loss_c).backward()\n",
        also="critic_not_stepped",
    ),
    f(
        "sixteen_rows",
        "few_rows",
        'torch.randint(len(X), (HP["batch"],))',
        'torch.randint(16, (HP["batch"],))',
        also=FEW + " rows_repeated",
    ),
    f(
        "critic_rate_tiny",
        "critic_step_too_small",
        '"lr_d": 4e-3',
        '"lr_d": 1e-7',
        also="critic_too_weak learning_rate_zero",
    ),
    f(
        "no_r1_claimed",
        "rotation_undamped",
        '    penalty=("r1", HP["r1"]),\n',
        "",
        " + penalty(x)",
        "",
        '"lr_g": 3e-3, "lr_d": 4e-3',
        '"lr_g": 2e-2, "lr_d": 2e-2',
        also="generator_step_too_large critic_step_too_large critic_too_strong",
    ),
    f("r1_huge", "penalty_too_strong", '"r1": 0.1', '"r1": 1000.0', also="critic_step_too_large"),
    f(
        "noise_small",
        "mode_collapse_total",
        'return torch.rand(n, HP["nz"], device=device) * 2 - 1',
        'return torch.rand(n, HP["nz"], device=device) * 2e-3',
        also="latents_constant mode_collapse_partial generator_ill_conditioned",
    ),
    f(
        "uneven_noise",
        "generator_ill_conditioned",
        'HP["nz"], device=device) * 2 - 1',
        'HP["nz"], device=device) * torch.logspace(0.3, -5, 8) - 1',
        also="mode_collapse_partial",
    ),
)

f = partial(fault, "groups_graphs")
GROUPS = (
    f(
        "gen_group_at_zero",
        "learning_rate_zero",
        'gan.gen.parameters(), "lr": 5e-4',
        'gan.gen.parameters(), "lr": 0.0',
        also="generator_step_too_small generator_not_stepped",
    ),
    f(
        "readout_only",
        "optimizer_misses_parameters",
        '{"params": gan.crit.parameters()',
        '{"params": gan.crit.readout.parameters()',
    ),
    f("real_cut", "critic_real_half_missing", "gan.crit(adj)).mean()", "gan.crit(adj).detach()).mean()"),
    f(
        "edges_noised",
        "critic_shown_other_real",
        "gan.crit(adj)).mean()",
        "gan.crit(adj + 0.5 * torch.rand_like(adj))).mean()",
    ),
    f(
        "sigmoid_readout",
        "probability_as_score",
        "nn.Linear(48, 1))",
        "nn.Linear(48, 1), nn.Sigmoid())",
        also="bounded_scores",
    ),
    f("trunk_frozen", "generator_frozen", "gan = GAN()\n", "gan = GAN()\ngan.gen.trunk.requires_grad_(False)\n"),
    f("turns_swapped", "n_critic_swapped", '("crit", "crit", "gen")', '("crit", "gen", "gen", "gen")'),
    f("gamma_thousand", "penalty_too_strong", "GAMMA = 6, 8, 64, 0.1", "GAMMA = 6, 8, 64, 1000.0"),
    f(
        "gen_rate_large",
        "generator_step_too_large",
        'gan.gen.parameters(), "lr": 5e-4',
        'gan.gen.parameters(), "lr": 1.0',
    ),
    f(
        "z_small",
        "mode_collapse_total",
        "self.trunk(z)",
        "self.trunk(1e-3 * z)",
        also="generator_ill_conditioned mode_collapse_partial",
    ),
    f(
        "ring_always",
        "mode_collapse_partial",
        "return torch.sigmoid((a + a.transpose(1, 2)) / 2)",
        "return torch.sigmoid((a + a.transpose(1, 2)) / 2) * (1 - torch.eye(NODES).roll(3, 0))",
    ),
)

f = partial(fault, "compiled_digits")
COMPILED = (
    f(
        "norm_of_both",
        "batch_norm_coupling",
        "self.drop = nn.Dropout(0.2)",
        "self.drop = nn.BatchNorm1d(128)",
        "    loss_d = (crit(stepD(x, y), one) + crit(stepD(x_hat.detach(), y), zero)) / 2\n",
        "    both = stepD(torch.cat([x, x_hat.detach()]), torch.cat([y, y]))\n    loss_d = (crit(both[: len(x)], one) + crit(both[len(x) :], zero)) / 2\n",
    ),
    f(
        "gen_in_eval",
        "eval_mode_in_training",
        "for n, (x, y) in",
        "netG.eval()\nfor n, (x, y) in",
        also="sampled_in_other_mode",
    ),
    f(
        "labels_permuted",
        "labels_unrelated",
        "TensorDataset(img, lab)",
        "TensorDataset(img, lab[torch.randperm(len(lab))])",
    ),
    f(
        "labels_rolled",
        "labels_differ_between_players",
        "crit(stepD(x_hat.detach(), y), zero)",
        "crit(stepD(x_hat.detach(), y.roll(1)), zero)",
    ),
    f(
        "by_class",
        "unshuffled",
        "dl = torch",
        "order = lab.argsort()\nimg, lab = img[order], lab[order]\ndl = torch",
        "shuffle=True",
        "shuffle=False",
    ),
    f(
        "fake_half_less",
        "critic_halves_unequal",
        "+ crit(stepD(x_hat.detach(), y), zero)) / 2",
        "+ 0.1 * crit(stepD(x_hat.detach(), y), zero)) / 2",
    ),
    f(
        "saturating",
        "generator_loss_other",
        "loss_g = crit(stepD(x_hat, y), one)",
        "loss_g = -crit(stepD(x_hat, y), zero)",
    ),
    f(
        "hundred_images",
        "critic_overfitting",
        "dl = torch",
        "img, lab = img[:100], lab[:100]\ndl = torch",
        "Adam(netD.parameters(), lr=1e-3",
        "Adam(netD.parameters(), lr=5e-3",
        also=FEW,
    ),
    f(
        "momentum_both",
        "momentum_too_high",
        "Adam(netG.parameters(), lr=2e-3, betas=(0.5",
        "Adam(netG.parameters(), lr=4e-3, betas=(0.99",
        "Adam(netD.parameters(), lr=1e-3, betas=(0.5",
        "Adam(netD.parameters(), lr=4e-3, betas=(0.99",
        also="generator_step_too_large critic_step_too_large rotation_undamped",
    ),
    f(
        "z_small",
        "mode_collapse_partial",
        "torch.cat([z, self.emb(y)], 1)",
        "torch.cat([1e-3 * z, self.emb(y)], 1)",
        also="mode_collapse_total generator_ill_conditioned",
    ),
    f(
        "d_rate_large",
        "critic_too_strong",
        "Adam(netD.parameters(), lr=1e-3",
        "Adam(netD.parameters(), lr=1e-1",
        also=CRITIC_FAST,
    ),
)

f = partial(fault, "student_star")
STUDENT = (
    f("teacher_alone", "reconstruction_drowns_adversarial", "self.beta = 1.0", "self.beta = 5000.0"),
    f("teacher_unheard", "adversarial_drowns_reconstruction", "self.beta = 1.0", "self.beta = 1e-5"),
    f(
        "critic_of_a_copy",
        "generator_loss_without_critic",
        "F.softplus(-self.critic(made)).mean()",
        "F.softplus(-self.critic(made.detach())).mean()",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "penalty_at_both",
        "penalty_other_place",
        "self.grad_pen(x)",
        "self.grad_pen(x, fake)",
        also="penalty_weight_wrong penalty_other_kind",
    ),
    f(
        "warm_up_unstepped",
        "learning_rate_not_reached",
        "LinearLR(self.opt_s, 0.5, 1.0",
        "LinearLR(self.opt_s, 1e-3, 1.0",
        "        self.warm_s.step()\n",
        "",
        also="generator_step_too_small",
    ),
    f(
        "decays_by_step",
        "schedule_too_fast",
        "torch.optim.lr_scheduler.LinearLR(self.opt_s, 0.5, 1.0, total_iters=20)",
        "torch.optim.lr_scheduler.ExponentialLR(self.opt_s, 0.9)",
        also="generator_step_too_small",
        late=True,
    ),
    f("gamma_huge", "penalty_too_strong", "self.gamma = 0.3", "self.gamma = 1000.0", also="critic_step_too_large"),
    f("gamma_nothing", "penalty_too_weak", "self.gamma = 0.3", "self.gamma = 1e-7"),
    f(
        "critic_never_learns",
        "critic_too_weak",
        "RAdam(self.critic.parameters(), lr=4e-3",
        "RAdam(self.critic.parameters(), lr=1e-6",
        also="critic_step_too_small",
    ),
    f(
        "critic_ahead",
        "generator_gradient_vanishes",
        "rows = data.star(4000)\n",
        "rows = data.star(4000)\nwith torch.no_grad():\n    run.student[-1].bias += 12\n    run.critic[-1].weight.mul_(20)\nrun.beta = 0.0\nrun.gamma = 1e-3\nfor _ in range(100):\n    run.critic_step(run.real(rows))\n",
        also="critic_too_strong penalty_too_weak generator_step_too_small",
    ),
    f(
        "two_rays",
        "mode_collapse_partial",
        "return torch.randn(n, dim)",
        "z = torch.randn(n, dim)\n        return torch.cat((z[:, :2].abs(), z[:, 2:]), 1)",
        "self.beta = 1.0",
        "self.beta = 20.0",
        also="reconstruction_drowns_adversarial",
    ),
)
