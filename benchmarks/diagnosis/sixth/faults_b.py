"""Planted faults: relativistic under bf16, LSTM, micro-batches under a scaler, packs, three critics."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.sixth.faults_a import CRITIC_FAST, FEW
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "autocast_star")
AUTOCAST = (
    f("same_difference", "generator_sign_flipped", "diff = D(fake) - D(x)", "diff = D(x) - D(fake)"),
    f("difference_turned", "critic_sign_flipped", "diff = D(x) - D(fake)", "diff = D(fake) - D(x)"),
    f("gamma_tenfold", "penalty_weight_wrong", "gamma / 2 * r1(x)", "gamma * 10 * r1(x)", also="penalty_too_strong"),
    f("r1_forgotten", "penalty_absent", "    loss = loss + gamma / 2 * r1(x)\n", ""),
    f("r1_at_fakes", "penalty_other_place", "gamma / 2 * r1(x)", "gamma / 2 * r1(fake)"),
    f("missing_values", "non_finite", "X = data.star(4096)\n", 'X = data.star(4096)\nX[::64, 1] = float("nan")\n'),
    f(
        "decay_of_g",
        "weight_decay_crippling",
        "optG = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=1e-4)",
        "optG = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=30)",
    ),
    f(
        "debug_rate",
        "learning_rate_not_reached",
        "X = data.star(4096)\n",
        'X = data.star(4096)\noptG.param_groups[0]["lr"] = 1e-6\n',
        also="generator_step_too_small learning_rate_zero",
    ),
    f(
        "g_rate_tiny",
        "generator_step_too_small",
        "optG = torch.optim.AdamW(G.parameters(), lr=2e-3",
        "optG = torch.optim.AdamW(G.parameters(), lr=1e-7",
        also="learning_rate_zero",
    ),
    f(
        "one_row",
        "data_constant",
        "x = X[torch.randperm(len(X))[:bs]]",
        "x = X[:1].repeat(bs, 1)",
        also="rows_repeated batch_repeated few_rows",
    ),
    f(
        "plain_for_pairs",
        "critic_loss_other",
        "        diff = D(x) - D(fake)\n        loss = softplus(-diff.float()).mean()",
        "        loss = softplus(-D(x).float()).mean() + softplus(D(fake).float()).mean()",
    ),
    f(
        "d_rate_large",
        "critic_step_too_large",
        "optD = torch.optim.AdamW(D.parameters(), lr=2e-3",
        "optD = torch.optim.AdamW(D.parameters(), lr=0.3",
        also="critic_too_strong",
    ),
    f("gamma_nothing", "penalty_too_weak", "gamma = 0.2", "gamma = 1e-7"),
)

f = partial(fault, "lstm_beats")
LSTM = (
    f("real_not_backed", "critic_real_half_missing", "    loss_real.backward()\n", ""),
    f("fake_tenth", "critic_halves_unequal", "    loss_fake.backward()\n", "    (0.1 * loss_fake).backward()\n"),
    f(
        "epoch_of_one",
        "schedule_too_fast",
        "PER_EPOCH = 20",
        "PER_EPOCH = 1",
        also="generator_step_too_small critic_step_too_small",
        late=True,
    ),
    f("head_only", "optimizer_misses_parameters", "Adam(netG.parameters()", "Adam(netG.linear.parameters()"),
    f(
        "state_not_loaded",
        "optimizer_lost_on_resume",
        "    # discriminator\n",
        '    if it == 90:\n        optimD.load_state_dict({**optimD.state_dict(), "state": {}})\n',
        late=True,
    ),
    f(
        "rate_as_at_first",
        "schedule_lost_on_resume",
        "    # discriminator\n",
        '    if it == 110:\n        optimG.param_groups[0]["lr"], optimD.param_groups[0]["lr"] = LR_G, LR_D\n',
        "optimG, gamma=0.95",
        "optimG, gamma=0.8",
        "optimD, gamma=0.95",
        "optimD, gamma=0.8",
        late=True,
    ),
    f(
        "relu_scores",
        "rectified_scores",
        "self.linear = nn.Linear(24 * 8, 1)",
        "self.linear = nn.Sequential(nn.Linear(24 * 8, 1), nn.ReLU())",
    ),
    f(
        "zeros_for_noise",
        "latents_constant",
        "return torch.randn(n, SEQ_LEN, NOISE_DIM)",
        "return torch.zeros(n, SEQ_LEN, NOISE_DIM)",
        also="mode_collapse_total latents_reused",
    ),
    f(
        "uniform_at_test",
        "latent_mismatch",
        "sample=lambda: netG(noise(500))",
        "sample=lambda: netG(4 * torch.rand(500, SEQ_LEN, NOISE_DIM))",
    ),
    f(
        "loud",
        "data_range",
        "series = data.beats(2048)",
        "series = data.beats(2048) * 4",
        also="critic_shown_other_real data_scale",
    ),
    f(
        "quiet",
        "data_scale",
        "series = data.beats(2048)",
        "series = data.beats(2048) / 30",
        also="critic_shown_other_real",
    ),
    f("g_not_cleared", "generator_gradient_accumulated", "    netG.zero_grad()\n", ""),
    f(
        "d_not_cleared",
        "generator_gradient_in_critic",
        "    netD.zero_grad()\n",
        "",
        "    loss_fake.backward()\n    optimD.step()\n",
        "    loss_fake.backward()\n    optimD.step()\n    netD.zero_grad()\n",
        also="critic_gradient_accumulated",
    ),
    f(
        "noise_small",
        "mode_collapse_total",
        "self.lstm(x, (h0, c0))",
        "self.lstm(1e-3 * x, (h0, c0))",
        also="generator_ill_conditioned mode_collapse_partial",
    ),
    f("d_rate_large", "critic_too_strong", "LR_G, LR_D = 4e-3, 1e-3", "LR_G, LR_D = 4e-3, 1e-1", also=CRITIC_FAST),
    f(
        "d_rate_nothing",
        "critic_too_weak",
        "LR_G, LR_D = 4e-3, 1e-3",
        "LR_G, LR_D = 4e-3, 1e-6",
        also="critic_step_too_small",
    ),
)

f = partial(fault, "microbatch_tetra")
MICRO = (
    f(
        "disc_never_cleared",
        "critic_gradient_accumulated",
        '    opts["disc"].zero_grad()\n',
        "",
        also="generator_gradient_in_critic",
    ),
    f("fake_half_cut", "critic_fake_half_missing", "(1 + fake).clamp(min=0)", "(1 + fake.detach()).clamp(min=0)"),
    f(
        "phases_swapped",
        "n_critic_swapped",
        "    disc_phase()\n    real = disc_phase()\n    z = gen_phase()\n",
        "    real = disc_phase()\n    gen_phase()\n    gen_phase()\n    z = gen_phase()\n",
    ),
    f(
        "disc_in_both",
        "optimizer_other_player",
        "NAdam(gen.parameters()",
        "NAdam(disc.parameters()",
        also="generator_not_stepped",
    ),
    f("hundred_rows", "few_rows", "rows = data.tetra(3000)", "rows = data.tetra(96)", also=FEW),
    f(
        "eight_rows_often",
        "rows_repeated",
        "torch.randperm(len(rows))[: ACCUM * MICRO]",
        "torch.randperm(len(rows))[:8].repeat(12)",
    ),
    f(
        "other_units",
        "data_scale",
        "return rows[idx].chunk(ACCUM)",
        "return (20 * rows[idx]).chunk(ACCUM)",
        also="data_range critic_shown_other_real",
    ),
    f("tanh_scores", "bounded_scores", "nn.Linear(48, 1))", "nn.Linear(48, 1), nn.Tanh())"),
    f(
        "gen_rate_large",
        "generator_step_too_large",
        "NAdam(gen.parameters(), lr=2e-3",
        "NAdam(gen.parameters(), lr=0.3",
    ),
    f(
        "disc_knows_rows",
        "critic_overfitting",
        "rows = data.tetra(3000)",
        "rows = data.tetra(128)",
        "NAdam(disc.parameters(), lr=2e-3",
        "NAdam(disc.parameters(), lr=2e-2",
        also=FEW,
    ),
)

f = partial(fault, "pac_crescents")
PAC = (
    f(
        "norm_is_nothing",
        "constraint_missing",
        "from torch.nn.utils import spectral_norm\n",
        "spectral_norm = lambda layer: layer\n",
    ),
    f("last_bare", "constraint_partial", "spectral_norm(nn.Linear(width, 1))", "nn.Linear(width, 1)"),
    f(
        "scale_hundred",
        "constraint_vacuous",
        "return 4 * self.c",
        "return 120 * self.c",
        also="critic_too_strong critic_step_too_large",
    ),
    f(
        "scale_learned_large",
        "constraint_vacuous",
        "self.act = nn.LeakyReLU(0.1)",
        "self.act = nn.LeakyReLU(0.1)\n        self.scale = nn.Parameter(torch.full((1,), 50.0))",
        "return 4 * self.c",
        "return self.scale * self.c",
        also="critic_too_strong critic_step_too_large constraint_partial",
    ),
    f(
        "ones_for_both",
        "critic_sign_flipped",
        "bce(lf_, torch.zeros_like(lf_))",
        "bce(lf_, torch.ones_like(lf_))",
        also="critic_fake_half_missing",
    ),
    f(
        "z_once",
        "latents_reused",
        "k = 0\n",
        "k = 0\nz = torch.randn(BATCH, Z)\n",
        "    z = torch.randn(BATCH, Z)\n    fake",
        "    fake",
    ),
    f("d_eval", "spectral_norm_stale", "k = 0\n", "k = 0\nd.eval()\n", also="eval_mode_in_training"),
    f(
        "d_built_twice",
        "optimizer_wrong_parameters",
        "Adam(d.parameters()",
        "Adam(PackedD().parameters()",
        also="critic_not_stepped",
    ),
    f(
        "uneven_z",
        "generator_ill_conditioned",
        "self.head(self.body(z))",
        "self.head(self.body(z * torch.tensor([1.0, 1e-3, 1e-4, 1e-5])))",
        also="mode_collapse_partial",
    ),
    f(
        "g_momentum",
        "momentum_too_high",
        "Adam(g.parameters(), lr=1e-3, betas=(0.0, 0.9))",
        "Adam(g.parameters(), lr=1e-2, betas=(0.99, 0.9))",
        also="generator_step_too_large rotation_undamped",
    ),
)

f = partial(fault, "ensemble_tetra")
ENSEMBLE = (
    f("first_only", "optimizer_misses_parameters", "for d in judges.members))", "for d in judges.members[:1]))"),
    f(
        "fake_term_lost",
        "critic_fake_half_missing",
        " + F.relu(1 - r).mean() + F.relu(1 + f).mean()",
        " + F.relu(1 - r).mean() + 0 * F.relu(1 + f).mean()",
    ),
    f("fake_fivefold", "critic_halves_unequal", "+ F.relu(1 + f).mean()", "+ 5 * F.relu(1 + f).mean()"),
    f(
        "judges_not_cleared",
        "critic_gradient_accumulated",
        "    opt_judges.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f("maker_no_step", "generator_not_stepped", "    opt_maker.step()\n", ""),
    f(
        "squares",
        "critic_loss_other",
        "F.relu(1 - r).mean() + F.relu(1 + f).mean()",
        "(1 - r).square().mean() + (1 + f).square().mean()",
    ),
    f(
        "one_noise_row",
        "latents_constant",
        "    noise = torch.randn(m, nz)\n    opt_maker",
        "    noise = torch.randn(1, nz).expand(m, nz)\n    opt_maker",
        also="rows_repeated",
    ),
    f(
        "judges_slow",
        "critic_too_weak",
        "for d in judges.members)), lr=2e-3",
        "for d in judges.members)), lr=1e-5",
        also="critic_step_too_small",
    ),
    f(
        "maker_rate_large",
        "generator_step_too_large",
        "Adam(maker.parameters(), lr=2e-3",
        "Adam(maker.parameters(), lr=0.5",
    ),
    f(
        "judges_rate_large",
        "critic_step_too_large",
        "for d in judges.members)), lr=2e-3",
        "for d in judges.members)), lr=0.5",
        also="critic_too_strong generator_gradient_vanishes",
    ),
    f(
        "two_corners",
        "mode_collapse_partial",
        "        return self.net(z)\n",
        "        x = self.net(z)\n        return torch.cat((x[:, :1].abs(), x[:, 1:]), 1)\n",
        also="generator_range_rectified",
    ),
    f(
        "small_z",
        "mode_collapse_total",
        "        return self.net(z)\n",
        "        return self.net(1e-3 * z)\n",
        also="generator_ill_conditioned mode_collapse_partial",
    ),
)
