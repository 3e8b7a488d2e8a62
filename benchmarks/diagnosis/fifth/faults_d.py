# ruff: noqa: E501
"""Planted faults: LeCam, SAGAN, a gradient scaler."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import fault

f = partial(fault, "lecam_digits")
LECAM = (
    f(
        "augment_reals_only",
        "critic_shown_other_real",
        "    d_fake = D(diff_augment(G(z).detach()))\n",
        "    d_fake = D(G(z).detach())\n",
    ),
    f(
        "hundred_images",
        "critic_overfitting",
        "images = data.digits()[0][:700] / 8 - 1",
        "images = data.digits()[0][:40] / 8 - 1",
        "opt_D = torch.optim.Adam(D.parameters(), lr=2e-3",
        "opt_D = torch.optim.Adam(D.parameters(), lr=6e-3",
        also="few_rows generator_memorising",
    ),
    f(
        "sampled_eval",
        "sampled_in_other_mode",
        "        return G(torch.randn(n, 16))\n",
        "        G.eval()\n        for m in G:\n            if isinstance(m, nn.BatchNorm2d):\n                m.running_var.fill_(1.0), m.running_mean.fill_(0.0)\n        out = G(torch.randn(n, 16))\n        G.train()\n        return out\n",
        also="average_buffers_not_copied",
    ),
    f(
        "hinge_on_probability",
        "probability_as_score",
        "nn.Linear(128, 1)\n    )",
        "nn.Linear(128, 1), nn.Sigmoid()\n    )",
        also="bounded_scores",
    ),
    f(
        "rate_group",
        "learning_rate_not_reached",
        "opt_G = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.0, 0.9))",
        'opt_G = torch.optim.Adam([{"params": G.parameters(), "lr": 2e-6}], lr=2e-3, betas=(0.0, 0.9))',
        also="generator_step_too_small",
    ),
    f(
        "nothing_passes",
        "critic_no_gradient",
        "    loss.backward()\n    opt_D.step()\n",
        "    loss.backward()\n    opt_D.zero_grad(set_to_none=False)\n    opt_D.step()\n",
        also="critic_not_stepped",
    ),
    f(
        "one_row_many_times",
        "rows_repeated",
        "    idx = torch.randint(len(images), (32,))\n",
        "    idx = torch.randint(len(images), (2,)).repeat(16)\n",
        also="mode_collapse_partial",
    ),
    f(
        "softplus_for_hinge",
        "critic_loss_other",
        "    loss = relu(1 - d_real).mean() + relu(1 + d_fake).mean()\n",
        "    loss = nn.functional.softplus(-d_real).mean() + nn.functional.softplus(d_fake).mean()\n",
    ),
    f(
        "class_order",
        "unshuffled",
        "    idx = torch.randint(len(images), (32,))\n",
        "    idx = torch.arange(step * 32, step * 32 + 32) % len(images)\n",
        "images = data.digits()[0][:700] / 8 - 1",
        "images = data.digits()[0][data.digits()[1].argsort()][::2] / 8 - 1",
    ),
)

f = partial(fault, "sagan_flags")
SAGAN = (
    f("sn_is_nothing", "constraint_missing", "        sn = spectral_norm\n", "        sn = lambda m: m\n"),
    f(
        "conv2_and_conv3_bare",
        "constraint_partial",
        "self.conv2 = sn(nn.Conv2d(ch, 2 * ch, 4, 2, 1))",
        "self.conv2 = nn.Conv2d(ch, 2 * ch, 4, 2, 1)",
        "self.conv3 = sn(nn.Conv2d(2 * ch, 4 * ch, 2, 1, 0))",
        "self.conv3 = nn.Conv2d(2 * ch, 4 * ch, 2, 1, 0)",
    ),
    f(
        "scale_at_end",
        "constraint_vacuous",
        "        return self.fc(h.flatten(1)).squeeze()",
        "        return 300 * self.fc(h.flatten(1)).squeeze()",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "D_in_eval",
        "spectral_norm_stale",
        "            self.D.train()\n",
        "            self.D.eval()\n",
        also="eval_mode_in_training",
    ),
    f(
        "reset_missing_once",
        "generator_gradient_in_critic",
        "            d_loss = d_loss_real + d_loss_fake\n            self.reset_grad()\n",
        "            d_loss = d_loss_real + d_loss_fake\n            self.g_optimizer.zero_grad()\n",
    ),
    f(
        "reset_missing_G",
        "generator_gradient_accumulated",
        "            g_loss_fake = -g_out_fake.mean()\n            self.reset_grad()\n",
        "            g_loss_fake = -g_out_fake.mean()\n            self.d_optimizer.zero_grad()\n",
    ),
    f(
        "same_way",
        "generator_sign_flipped",
        "            g_loss_fake = -g_out_fake.mean()\n",
        "            g_loss_fake = g_out_fake.mean()\n",
    ),
    f(
        "relu_for_G",
        "generator_loss_other",
        "            g_loss_fake = -g_out_fake.mean()\n",
        "            g_loss_fake = torch.nn.functional.softplus(-g_out_fake).mean()\n",
    ),
    f(
        "tensor2var_zeros",
        "data_constant",
        "self.D(self.tensor2var(real_images))",
        "self.D(self.tensor2var(torch.zeros_like(real_images)))",
        also="critic_shown_other_real",
    ),
    f(
        "fakes_negated",
        "critic_shown_other_real",
        "self.D(self.tensor2var(real_images))",
        "self.D(self.tensor2var(-real_images))",
    ),
    f(
        "rate_zero_D",
        "learning_rate_zero",
        "g_lr=2e-3, d_lr=4e-3",
        "g_lr=2e-3, d_lr=0.0",
        also="critic_step_too_small critic_not_stepped",
    ),
    f("z_blown", "non_finite", "        return self.gamma * (self.h(x)", "        return x / self.gamma * (self.h(x)"),
)

f = partial(fault, "scaler_squares")
SCALER = (
    f(
        "scale_not_taken_out",
        "penalty_under_loss_scale",
        "    grad = scaled / scaler_c.get_scale()\n",
        "    grad = scaled\n",
    ),
    f(
        "norm_over_batch",
        "penalty_norm_axes",
        "(grad.norm(2, dim=1) - 1).square().mean()",
        "(grad.norm(2, dim=0) - 1).square().mean()",
    ),
    f(
        "fake_not_graphed",
        "generator_loss_without_critic",
        "        g_loss = -critic(gen(z)).mean()\n",
        "        g_loss = -critic(gen(z).data).mean() + 1e-4 * sum(p.square().sum() for p in gen.parameters())\n",
        also="generator_detached",
    ),
    f(
        "batch_norm_in_critic",
        "penalty_under_batch_norm",
        "nn.LayerNorm(o)",
        "nn.BatchNorm1d(o)",
        also="batch_norm_coupling",
    ),
    f(
        "lambda_huge",
        "penalty_too_strong",
        "Z, B, LAMBDA, N_CRITIC = 4, 64, 1.0, 3",
        "Z, B, LAMBDA, N_CRITIC = 4, 64, 1e6, 3",
    ),
    f(
        "lambda_nothing",
        "penalty_too_weak",
        "Z, B, LAMBDA, N_CRITIC = 4, 64, 1.0, 3",
        "Z, B, LAMBDA, N_CRITIC = 4, 64, 1e-7, 3",
    ),
    f(
        "unclaimed_gp",
        "loss_needs_lipschitz",
        "        c_loss = c_loss + LAMBDA * gradient_penalty(real, fake)\n",
        "",
        '    penalty=("gp", LAMBDA),\n',
        "",
    ),
    f(
        "lambda_thousandth",
        "penalty_weight_wrong",
        "c_loss + LAMBDA * gradient_penalty",
        "c_loss + LAMBDA / 1000 * gradient_penalty",
    ),
    f(
        "real_minus_fake",
        "critic_sign_flipped",
        "c_loss = critic(fake).mean() - critic(real).mean()",
        "c_loss = critic(real).mean() - critic(fake).mean()",
    ),
    f(
        "one_sided",
        "penalty_other_kind",
        "(grad.norm(2, dim=1) - 1).square().mean()",
        "(grad.norm(2, dim=1) - 1).clamp(min=0).square().mean()",
    ),
)
