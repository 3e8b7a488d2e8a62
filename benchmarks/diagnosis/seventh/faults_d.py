# ruff: noqa: E501
"""Planted faults: an adversarial autoencoder, series, two critics, molecules."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.seventh.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "aae_glyphs")
AUTOENCODER = (
    f("recon_heavy", "reconstruction_drowns_adversarial", "recon_weight = 2.0", "recon_weight = 20000.0"),
    f(
        "code_detached",
        "generator_loss_without_critic",
        "bce(D_gauss(code), 1.0)",
        "bce(D_gauss(code.detach()), 1.0)",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "no_fake_half",
        "critic_fake_half_missing",
        "bce(D_gauss(z_real), 1.0) + bce(D_gauss(Q(inp).detach()), 0.0)",
        "bce(D_gauss(z_real), 1.0)",
    ),
    f(
        "prior_of_five",
        "few_rows",
        "prior = data.wreath(4000)\n",
        "prior = data.wreath(5).repeat(20, 1)\n",
        also="rows_repeated critic_overfitting generator_memorising mode_collapse_partial",
    ),
    f(
        "prior_fourfold",
        "data_scale",
        "prior = data.wreath(4000)\n",
        "prior = 4 * data.wreath(4000)\n",
        also="critic_shown_other_real data_range",
    ),
    f("q_not_cleared", "generator_gradient_accumulated", "    Q.zero_grad()\n", ""),
    f(
        "adversarial_heavy",
        "adversarial_drowns_reconstruction",
        "    (G_loss + recon_loss).backward()\n",
        "    (G_loss + 1e-5 * recon_loss).backward()\n",
    ),
    f(
        "d_fast",
        "critic_step_too_large",
        "D_gauss.parameters(), lr=4e-3",
        "D_gauss.parameters(), lr=0.5",
        also=CRITIC_FAST,
    ),
    f("q_fast", "generator_step_too_large", "Adam(Q.parameters(), lr=2e-3", "Adam(Q.parameters(), lr=0.1"),
    f(
        "half_ring",
        "mode_collapse_partial",
        "return self.lin3gauss(x)",
        "return self.lin3gauss(x).abs()",
        also="generator_range_rectified data_range",
    ),
    f(
        "one_neuron",
        "generator_ill_conditioned",
        "self.lin1 = nn.Linear(64 + noise_dim, n_hid)",
        "self.lin1 = nn.Sequential(nn.Linear(64 + noise_dim, 1), nn.Linear(1, n_hid))",
        also=COLLAPSE,
    ),
)

f = partial(fault, "gru_ticks")
SERIES = (
    f(
        "sampled_for_g",
        "generator_detached",
        "loss_g = self.g_objective(self.d(self.g(noise)))",
        "loss_g = self.g_objective(self.d(self.sample(BATCH)))",
        also="generator_not_stepped",
    ),
    f(
        "columns_turned",
        "channel_order",
        "self.d_objective(self.d(real), ",
        "self.d_objective(self.d(real.flip(2)), ",
        also="critic_shown_other_real",
    ),
    f(
        "rate_tiny",
        "generator_step_too_small",
        "LR_G, LR_D, CLIP = 4e-3",
        "LR_G, LR_D, CLIP = 1e-7",
        also="learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "noise_small_at_d",
        "latent_mismatch",
        "return self.g(sample_noise(n))",
        "return self.g(0.1 * sample_noise(n))",
        also="mode_collapse_partial",
    ),
    f(
        "only_real",
        "critic_fake_half_missing",
        "loss_d = self.d_objective(self.d(real), self.d(self.sample(BATCH)))",
        "loss_d = self.mse(self.d(real), torch.ones(BATCH, 1))",
    ),
    f(
        "d_fast",
        "critic_too_strong",
        "LR_G, LR_D, CLIP = 4e-3, 4e-3",
        "LR_G, LR_D, CLIP = 4e-3, 0.08",
        also=CRITIC_FAST,
    ),
    f(
        "momentum",
        "momentum_too_high",
        "self.g.parameters(), lr=LR_G, betas=(0.5",
        "self.g.parameters(), lr=LR_G, betas=(0.98",
        "self.d.parameters(), lr=LR_D, betas=(0.5",
        "self.d.parameters(), lr=LR_D, betas=(0.98",
        also=SWINGS,
    ),
    f("d_slow", "critic_too_weak", "LR_G, LR_D, CLIP = 4e-3, 4e-3", "LR_G, LR_D, CLIP = 4e-3, 4e-5", also=CRITIC_SLOW),
    f(
        "noise_shrunk",
        "mode_collapse_total",
        "    return torch.randn(n, SEQ, NOISE)\n",
        "    return 1e-3 * torch.randn(n, SEQ, NOISE)\n",
        also=COLLAPSE,
    ),
    f(
        "thirty_series",
        "critic_overfitting",
        "SequenceGAN().fit(data.ticks(3000), steps)",
        "SequenceGAN().fit(data.ticks(30), steps)",
        "LR_G, LR_D, CLIP = 4e-3, 4e-3",
        "LR_G, LR_D, CLIP = 4e-3, 1.6e-2",
        also=FEW,
    ),
)

f = partial(fault, "localglobal_barcodes")
TWO_CRITICS = (
    f(
        "painter_again",
        "optimizer_other_player",
        "opt_pieces = optim.Adam(pieces.parameters()",
        "opt_pieces = optim.Adam(painter.parameters()",
        also="optimizer_misses_parameters",
    ),
    f(
        "whole_waits",
        "optimizer_misses_parameters",
        "for critic, opt in ((whole, opt_whole), (pieces, opt_pieces)):",
        "for critic, opt in ((pieces, opt_pieces),):",
        also="critic_frozen critic_not_stepped",
    ),
    f(
        "one_sign",
        "generator_sign_flipped",
        "loss = -whole(fake).mean() - pieces(fake).mean()",
        "loss = whole(fake).mean() - pieces(fake).mean()",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "bytes",
        "data_range",
        "codes = data.barcodes(3000)\n",
        "codes = 255 * data.barcodes(3000)\n",
        also="data_scale critic_shown_other_real",
    ),
    f(
        "sigmoid_whole",
        "probability_as_score",
        "        return self.layers(x)\n\n\nclass Pieces",
        "        return torch.sigmoid(self.layers(x))\n\n\nclass Pieces",
        also="bounded_scores",
    ),
    f(
        "blurred_real",
        "critic_shown_other_real",
        "judge_loss(critic, real, fake).backward()",
        "judge_loss(critic, real + 0.3 * torch.randn_like(real), fake).backward()",
    ),
    f(
        "flipped_halves",
        "critic_sign_flipped",
        "F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake)).mean()",
        "F.relu(1 + critic(real)).mean() + F.relu(1 - critic(fake)).mean()",
    ),
    f(
        "critics_slow",
        "critic_too_weak",
        "optim.Adam(whole.parameters(), lr=2e-3",
        "optim.Adam(whole.parameters(), lr=1e-5",
        "optim.Adam(pieces.parameters(), lr=2e-3",
        "optim.Adam(pieces.parameters(), lr=1e-5",
        also=CRITIC_SLOW,
    ),
    f(
        "painter_fast",
        "generator_step_too_large",
        "optim.Adam(painter.parameters(), lr=2e-3",
        "optim.Adam(painter.parameters(), lr=0.3",
    ),
    f(
        "tiny_z",
        "mode_collapse_total",
        "torch.sigmoid(self.layers(z))",
        "torch.sigmoid(self.layers(z * 1e-3))",
        also=COLLAPSE,
    ),
    f(
        "signs_of_one_z",
        "mode_collapse_partial",
        "torch.sigmoid(self.layers(z))",
        "torch.sigmoid(self.layers((z[:, :1] > 1).float().expand(-1, LATENT)))",
        also="generator_ill_conditioned mode_collapse_total",
    ),
)

f = partial(fault, "molgraph_chains")
GRAPHS = (
    f("per_column", "penalty_norm_axes", "        dydx = dydx.view(dydx.size(0), -1)\n", ""),
    f(
        "about_zero",
        "penalty_other_kind",
        "torch.mean((dydx_l2norm - 1) ** 2)",
        "torch.mean((20 * dydx_l2norm) ** 2)",
        also="penalty_weight_wrong penalty_too_strong",
    ),
    f(
        "at_fakes",
        "penalty_other_place",
        "(eps * x_real + (1.0 - eps) * x_fake).requires_grad_(True)",
        "x_fake.clone().requires_grad_(True)",
    ),
    f(
        "head_frozen",
        "critic_frozen",
        "        self.G, self.D = MoleculeGenerator(self.z_dim), MoleculeCritic()\n",
        "        self.G, self.D = MoleculeGenerator(self.z_dim), MoleculeCritic()\n        self.D.requires_grad_(False)\n        self.D.out[2].requires_grad_(True)\n",
    ),
    f(
        "kinds_first",
        "channel_order",
        "torch.cat([self.bonds[k], self.kinds[k]], 2)",
        "torch.cat([self.kinds[k], self.bonds[k]], 2)",
        also="critic_shown_other_real",
    ),
    f("gp_huge", "penalty_too_strong", "lambda_gp=5.0", "lambda_gp=50000.0", also="critic_too_weak"),
    f("gp_tiny", "penalty_too_weak", "lambda_gp=5.0", "lambda_gp=0.0005", also="loss_needs_lipschitz " + CRITIC_FAST),
    f("g_fast", "generator_step_too_large", "self.G.parameters(), lr, ", "self.G.parameters(), 100 * lr, "),
    f(
        "shrunk",
        "mode_collapse_total",
        "h = self.layers(z)\n        e =",
        "h = self.layers(1e-4 * z)\n        e =",
        also=COLLAPSE,
    ),
    f("kind_of_one", "mode_collapse_partial", "F.softmax(3 * self.nodes(h)", "F.softmax(3 * self.nodes(0 * h)"),
)
