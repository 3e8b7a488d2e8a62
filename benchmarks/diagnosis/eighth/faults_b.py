# ruff: noqa: E501
"""Planted faults: refined images, classes by projection, attention over series, codes, energies, averages of scores."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.eighth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "refiner_pupils")
REFINER = (
    f("delta_large", "reconstruction_drowns_adversarial", "delta=0.15", "delta=300.0"),
    f("refined_class_for_both", "generator_sign_flipped", "loss_adv = local_adversarial_loss(pred, real_class(pred))", "loss_adv = local_adversarial_loss(pred, refined_class(pred))", also="generator_loss_other refuted_unexplained"),
    f("softmax_before", "double_sigmoid", "        return self.convs(x).permute(0, 2, 3, 1).reshape(-1, 2)", "        return self.convs(x).permute(0, 2, 3, 1).reshape(-1, 2).softmax(1)", also="bounded_scores probability_as_score"),
    f("real_half_lost", "critic_real_half_missing", "        loss_D = loss_real + loss_refined\n", "        loss_D = loss_refined\n"),
    f("d_never_stepped", "critic_not_stepped", "        opt_D.step()\n", "        opt_D.step\n", also="optimizer_misses_parameters critic_frozen"),
    f("camera_in_bytes", "critic_shown_other_real", "        pred_real = D(real)\n", "        pred_real = D(real * 0.5 + 0.5)\n", also="data_range data_scale"),
    f("refiner_ends_in_relu", "generator_range_rectified", "nn.Conv2d(features, 1, 1), nn.Tanh())", "nn.Conv2d(features, 1, 1), nn.ReLU())", also="data_range mode_collapse_partial"),
    f("refiner_rate", "generator_step_too_large", "r_lr=1e-3", "r_lr=8e-2"),
    f("d_rate_tiny", "critic_too_weak", "d_lr=1e-3", "d_lr=5e-6", also=CRITIC_SLOW + " critic_step_too_small"),
    f("few_photographs", "critic_overfitting", "test_syn, test_real =", "real_images = real_images[:24]\ntest_syn, test_real =", "d_lr=1e-3", "d_lr=4e-3", also=FEW),
    f("blank_scenes", "mode_collapse_total", "    def forward(self, x):\n        # simulators", "    def forward(self, x):\n        x = x.mean() * torch.ones_like(x)\n        # simulators", "noise = torch.randn(len(x), 1, 8, 8)", "noise = torch.zeros(len(x), 1, 8, 8)", also=COLLAPSE + " latents_constant"),
)

f = partial(fault, "bigproj_runes")
BIGPROJ = (
    f("labels_drawn_anew", "labels_unrelated", "        yield images[pick], classes[pick]", "        yield images[pick], classes[torch.randint(0, len(images), (n,))]", also="labels_differ_between_players"),
    f("critic_gets_other_y", "labels_differ_between_players", "D_fake, D_real = D(G_z, gy),", "D_fake, D_real = D(G_z, gy.flip(0)),", also="labels_unrelated"),
    f("head_without_norm", "constraint_partial", "self.linear = which_linear(width, 1)", "self.linear = nn.Linear(width, 1)", also="constraint_vacuous"),
    f("norm_forgotten", "constraint_missing", "which_linear = lambda *a: spectral_norm(nn.Linear(*a))", "which_linear = lambda *a: nn.Linear(*a)", "self.embed = spectral_norm(nn.Embedding(n_classes, width))", "self.embed = nn.Embedding(n_classes, width)", also="constraint_partial"),
    f("critic_in_eval", "spectral_norm_stale", "    D.train()\n", "    D.eval()\n", also="eval_mode_in_training"),
    f("generator_in_eval", "eval_mode_in_training", "    G.train()\n", "    G.eval()\n", also="sampled_in_other_mode average_buffers_not_copied"),
    f("buffers_not_averaged", "average_buffers_not_copied", "            for key in self.source_dict:\n                if", "            for key, _ in self.source.named_parameters():\n                if", also="sampled_in_other_mode"),
    f("momentum_of_statistics", "sampled_in_other_mode", "affine=False, momentum=0.2)", "affine=False, momentum=0.0005)", also="average_buffers_not_copied"),
    f("fake_mean_only", "critic_halves_unequal", "D_loss = D_loss_real + D_loss_fake", "D_loss = D_loss_real + 0.05 * D_loss_fake", also="critic_fake_half_missing"),
    f("scale_after_norm", "constraint_vacuous", "        h = self.blocks(x)\n        out", "        h = 40 * self.blocks(x)\n        out", also="critic_too_strong critic_step_too_large generator_gradient_vanishes constraint_partial"),
    f("one_latent_used", "generator_ill_conditioned", "self.linear(torch.cat((z, y), 1))", "self.linear(torch.cat((z[:, :1].expand_as(z), y), 1))", also=COLLAPSE),
    f("d_lr_ten", "critic_too_strong", '"D_lr": 3e-3', '"D_lr": 3e-1', also=CRITIC_FAST),
)

f = partial(fault, "transgan_beats")
ATTENTION = (
    f("decay_by_epoch_count", "schedule_too_fast", "gen_scheduler = LinearLrDecay(gen_optimizer, 0.003, 0.0005, steps // 2, steps)", "gen_scheduler = LinearLrDecay(gen_optimizer, 0.003, 0.0, 2, steps // 12)", "dis_scheduler = LinearLrDecay(dis_optimizer, 0.003, 0.0005, steps // 2, steps)", "dis_scheduler = LinearLrDecay(dis_optimizer, 0.003, 0.0, 2, steps // 12)", also="generator_step_too_small learning_rate_zero critic_step_too_small", late=True),
    f("start_lr_wrong", "learning_rate_zero", "gen_scheduler = LinearLrDecay(gen_optimizer, 0.003, 0.0005,", "gen_scheduler = LinearLrDecay(gen_optimizer, 0.0, 0.0005,", also="generator_step_too_small learning_rate_not_reached"),
    f("decay_of_weights", "weight_decay_crippling", "gen_optimizer = torch.optim.AdamW(gen_net.parameters(), 0.003, betas=(0.0, 0.99), weight_decay=1e-3)", "gen_optimizer = torch.optim.AdamW(gen_net.parameters(), 0.003, betas=(0.0, 0.99), weight_decay=60.0)"),
    f("series_transposed", "channel_order", "        real_validity = dis_net(real_imgs)", "        real_validity = dis_net(real_imgs.transpose(1, 2).reshape(real_imgs.shape))", also="critic_shown_other_real"),
    f("rate_of_another_unit", "generator_step_too_small", "gen_optimizer, 0.003, 0.0005,", "gen_optimizer, 2e-7, 1e-7,", "gen_net.parameters(), 0.003", "gen_net.parameters(), 2e-7", also="learning_rate_not_reached learning_rate_zero"),
    f("fake_margin_missing", "critic_fake_half_missing", " + torch.mean(nn.ReLU(inplace=False)(1 + fake_validity))", " + torch.mean(nn.ReLU(inplace=False)(1 + fake_validity.detach()))"),
    f("wasserstein_for_hinge", "critic_loss_other", "        d_loss = hinge_d(real_validity, fake_validity)\n", "        d_loss = fake_validity.mean() - real_validity.mean()\n"),
    f("critic_ends_in_relu", "rectified_scores", "        return self.head(self.blocks(x)[:, 0])", "        return torch.relu(self.head(self.blocks(x)[:, 0]))"),
    f("g_zero_grad_lost", "generator_gradient_accumulated", "            gen_optimizer.zero_grad()\n", ""),
    f("first_batch_only", "batch_repeated", "        real_imgs = train_set[index]", "        real_imgs = train_set[:BATCH]", also="few_rows critic_overfitting generator_memorising"),
    f("latent_once", "latents_reused", "            gen_z = torch.randn(BATCH, LATENT)\n", "            gen_z = gen_z if global_steps else torch.randn(BATCH, LATENT)\n", also="latents_constant latent_mismatch"),
    f("g_rate_fifty", "generator_step_too_large", "gen_optimizer, 0.003, 0.0005,", "gen_optimizer, 0.1, 0.0005,", "gen_net.parameters(), 0.003", "gen_net.parameters(), 0.1"),
    f("beta_of_both", "momentum_too_high", "gen_net.parameters(), 0.003, betas=(0.0", "gen_net.parameters(), 0.003, betas=(0.98", "dis_net.parameters(), 0.003, betas=(0.0", "dis_net.parameters(), 0.003, betas=(0.98", also=SWINGS),
)

f = partial(fault, "info_arcs")
CODES = (
    f("softplus_for_squares", "generator_loss_other", "g_loss = adversarial_loss(validity, valid)", "g_loss = -validity.mean()"),
    f("valid_for_both", "critic_fake_half_missing", "d_loss = (d_real_loss + d_fake_loss) / 2", "d_loss = d_real_loss / 2"),
    f("quarter_of_fake", "critic_halves_unequal", "d_loss = (d_real_loss + d_fake_loss) / 2", "d_loss = d_real_loss / 2 + d_fake_loss / 40", also="critic_fake_half_missing"),
    f("g_opt_of_d", "optimizer_other_player", "optimizer_G = torch.optim.Adam(generator.parameters()", "optimizer_G = torch.optim.Adam(discriminator.parameters()", "    itertools.chain(generator.parameters(), discriminator.parameters()), lr", "    discriminator.parameters(), lr", also="generator_not_stepped optimizer_misses_parameters"),
    f("codes_sampled_flat", "latent_mismatch", "sample=lambda: generator(draw(500))", "sample=lambda: generator(torch.randn(500, 8))"),
    f("codes_zero", "latents_constant", "    gen_input = draw(batch_size)\n", "    gen_input = draw(1).repeat(batch_size, 1)\n", also="mode_collapse_total latent_mismatch"),
    f("half_the_arcs", "mode_collapse_partial", "        return self.blocks(self.l1(gen_input))", "        return self.blocks(self.l1(gen_input)).relu() - 0.3", also="generator_ill_conditioned generator_range_rectified mode_collapse_total"),
    f("squared_rate", "critic_step_too_large", "discriminator.parameters(), lr=opt.lr, betas", "discriminator.parameters(), lr=100 * opt.lr, betas", also=CRITIC_FAST),
    f("gen_rate", "generator_step_too_large", "optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr", "optimizer_G = torch.optim.Adam(generator.parameters(), lr=50 * opt.lr"),
)

f = partial(fault, "ebgan_plumes")
ENERGY = (
    f("margin_on_real", "critic_sign_flipped", "    loss = d_objective(energy_real, energy_fake)", "    loss = d_objective(energy_fake, energy_real)", also="critic_loss_other refuted_unexplained"),
    f("margin_forgotten", "critic_fake_half_missing", "    loss = d_objective(energy_real, energy_fake)", "    loss = energy_real.mean()"),
    f("encoder_fixed", "optimizer_misses_parameters", "Adam(D.parameters(), 1e-3", "Adam(D.encoder[0].parameters(), 1e-3", also="critic_frozen critic_not_stepped"),
    f("unit_scale_lost", "data_scale", "DataLoader(data.plumes(3000)", "DataLoader(data.plumes(3000) / 20", also="data_range critic_shown_other_real"),
    f("constant_profile", "data_constant", "DataLoader(data.plumes(3000)", "DataLoader(data.plumes(1).repeat(3000, 1)", also="data_scale few_rows rows_repeated batch_repeated mode_collapse_total"),
    f("sixty_profiles", "few_rows", "DataLoader(data.plumes(3000)", "DataLoader(data.plumes(12).repeat(10, 1)", also="batch_repeated critic_overfitting generator_memorising rows_repeated mode_collapse_partial"),
    f("in_order_of_height", "unshuffled", "DataLoader(data.plumes(3000), BATCH, shuffle=True", "DataLoader(data.plumes(3000)[data.plumes(3000).amax(1).argsort()], BATCH, shuffle=False"),
    f("log_of_energy", "non_finite", "return (self.decoder(code) - x).square().mean(1), code", "return (self.decoder(code) - x).square().mean(1).sub(0.05).log(), code", late=True),
    f("generator_forgotten", "generator_not_stepped", "    g_opt.step()\n", ""),
    f("margin_sixty", "critic_too_strong", "MARGIN, PT_WEIGHT = 0.15", "MARGIN, PT_WEIGHT = 60.0", "Adam(D.parameters(), 1e-3", "Adam(D.parameters(), 1e-2", also=CRITIC_FAST + " rotation_undamped"),
    f("one_code", "generator_ill_conditioned", "nn.Linear(ZDIM, 48), nn", "nn.Linear(ZDIM, 1), nn.Linear(1, 48), nn", also=COLLAPSE),
)

f = partial(fault, "ragan_commas")
AVERAGES = (
    f("only_last_layer", "critic_frozen", "    for p in D.parameters():\n        p.requires_grad = True\n", "    for p in D[-1].parameters():\n        p.requires_grad = True\n", also="critic_too_weak"),
    f("plain_squares", "critic_loss_other", "        errD = errors_D(y_pred, y_pred_fake)\n", "        errD = ((y_pred - 1) ** 2).mean() / 2 + (y_pred_fake**2).mean() / 2\n"),
    f("average_instead_of_relative", "generator_loss_other", "    errG = errors_G(y_pred, y_pred_fake)\n", "    errG = -y_pred_fake.mean()\n"),
    f("decay_every_batch", "schedule_too_fast", "    if (i + 1) % 50 == 0:\n", "    if True:\n", also="generator_step_too_small learning_rate_zero critic_step_too_small", late=True),
    f("decay_two", "weight_decay_crippling", "lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5, 0.99, 0.0", "lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5, 0.99, 3.0"),
    f("built_before_copy", "optimizer_wrong_parameters", "decayD = optim", "D = make([2, param.n_hidden, param.n_hidden, 1])\ndecayD = optim", also="critic_not_stepped optimizer_other_player optimizer_misses_parameters"),
    f("no_zero_in_g", "generator_gradient_accumulated", "    G.zero_grad()\n", ""),
    f("tanh_scores", "bounded_scores", "D = make([2, param.n_hidden, param.n_hidden, 1])", "D = make([2, param.n_hidden, param.n_hidden, 1], nn.Sigmoid())", also="probability_as_score double_sigmoid"),
    f("rates_both_up", "rotation_undamped", "lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5", "lr_D, lr_G, beta1, beta2, decay = 0.02, 0.02, 0.9", also="generator_step_too_large critic_step_too_large momentum_too_high critic_too_strong"),
    f("d_hardly_moves", "critic_too_weak", "lr_D, lr_G, beta1, beta2, decay = 0.002", "lr_D, lr_G, beta1, beta2, decay = 0.00001", also=CRITIC_SLOW + " critic_step_too_small"),
    f("first_layer_of_zeros", "mode_collapse_total", "optimizerD = optim", "nn.init.zeros_(G[0].weight).requires_grad_(False)\noptimizerD = optim", also=COLLAPSE + " generator_frozen"),
)
