"""Planted faults: refined images, classes by projection, attention over series, codes."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.eighth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "refiner_pupils")
REFINER = (
    f("delta_large", "reconstruction_drowns_adversarial", "delta=0.15", "delta=300.0"),
    f(
        "refined_class_for_both",
        "generator_sign_flipped",
        "loss_adv = local_adversarial_loss(pred, real_class(pred))",
        "loss_adv = local_adversarial_loss(pred, refined_class(pred))",
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "softmax_before",
        "double_sigmoid",
        "        return self.convs(x).permute(0, 2, 3, 1).reshape(-1, 2)",
        "        return self.convs(x).permute(0, 2, 3, 1).reshape(-1, 2).softmax(1)",
        also="bounded_scores probability_as_score",
    ),
    f(
        "real_half_lost",
        "critic_real_half_missing",
        "        loss_D = loss_real + loss_refined\n",
        "        loss_D = loss_refined\n",
    ),
    f(
        "d_never_stepped",
        "critic_not_stepped",
        "        opt_D.step()\n",
        "        opt_D.step\n",
        also="optimizer_misses_parameters critic_frozen",
    ),
    f(
        "camera_in_zero_one",
        "critic_shown_other_real",
        "        pred_real = D(real)\n",
        "        pred_real = D(real * 0.5 + 0.5)\n",
        also="data_range data_scale",
    ),
    f(
        "refiner_ends_in_relu",
        "generator_range_rectified",
        "nn.Conv2d(features, 1, 1), nn.Tanh())",
        "nn.Conv2d(features, 1, 1), nn.ReLU())",
        also="data_range mode_collapse_partial",
    ),
    f("refiner_rate", "generator_step_too_large", "r_lr=1e-3", "r_lr=8e-2"),
    f("d_rate_tiny", "critic_too_weak", "d_lr=1e-3", "d_lr=5e-6", also=CRITIC_SLOW + " critic_step_too_small"),
    f(
        "few_photographs",
        "critic_overfitting",
        "test_syn, test_real =",
        "real_images = real_images[:24]\ntest_syn, test_real =",
        "d_lr=1e-3",
        "d_lr=4e-3",
        also=FEW,
    ),
    f(
        "blank_scenes",
        "mode_collapse_total",
        "    def forward(self, x):\n        # simulators",
        "    def forward(self, x):\n        x = x.mean() * torch.ones_like(x)\n        # simulators",
        "noise = torch.randn(len(x), 1, 8, 8)",
        "noise = torch.zeros(len(x), 1, 8, 8)",
        also=COLLAPSE + " latents_constant",
    ),
)

f = partial(fault, "bigproj_runes")
BIGPROJ = (
    f(
        "labels_drawn_anew",
        "labels_unrelated",
        "        yield images[pick], classes[pick]",
        "        yield images[pick], classes[torch.randint(0, len(images), (n,))]",
        also="labels_differ_between_players",
    ),
    f(
        "critic_gets_other_y",
        "labels_differ_between_players",
        "D_fake, D_real = D(G_z, gy),",
        "D_fake, D_real = D(G_z, gy.flip(0)),",
        also="labels_unrelated",
    ),
    f(
        "head_without_norm",
        "constraint_partial",
        "self.linear = which_linear(width, 1)",
        "self.linear = nn.Linear(width, 1)",
        also="constraint_vacuous",
    ),
    f(
        "norm_forgotten",
        "constraint_missing",
        "which_linear = lambda *a: spectral_norm(nn.Linear(*a))",
        "which_linear = lambda *a: nn.Linear(*a)",
        "self.embed = spectral_norm(nn.Embedding(n_classes, width))",
        "self.embed = nn.Embedding(n_classes, width)",
        also="constraint_partial",
    ),
    f("critic_in_eval", "spectral_norm_stale", "    D.train()\n", "    D.eval()\n", also="eval_mode_in_training"),
    f(
        "generator_in_eval",
        "eval_mode_in_training",
        "    G.train()\n",
        "    G.eval()\n",
        also="sampled_in_other_mode average_buffers_not_copied",
    ),
    f(
        "buffers_not_averaged",
        "average_buffers_not_copied",
        "            for key in self.source_dict:\n                if",
        "            for key, _ in self.source.named_parameters():\n                if",
        also="sampled_in_other_mode",
    ),
    f(
        "momentum_of_statistics",
        "sampled_in_other_mode",
        "affine=False, momentum=0.2)",
        "affine=False, momentum=0.0005)",
        also="average_buffers_not_copied",
    ),
    f(
        "fake_mean_only",
        "critic_halves_unequal",
        "D_loss = D_loss_real + D_loss_fake",
        "D_loss = D_loss_real + 0.05 * D_loss_fake",
        also="critic_fake_half_missing",
    ),
    f(
        "scale_after_norm",
        "constraint_vacuous",
        "        h = self.blocks(x)\n        out",
        "        h = 40 * self.blocks(x)\n        out",
        also="critic_too_strong critic_step_too_large generator_gradient_vanishes constraint_partial",
    ),
    f(
        "one_latent_used",
        "generator_ill_conditioned",
        "self.linear(torch.cat((z, y), 1))",
        "self.linear(torch.cat((z[:, :1].expand_as(z), y), 1))",
        also=COLLAPSE,
    ),
    f("d_lr_ten", "critic_too_strong", '"D_lr": 3e-3', '"D_lr": 3e-1', also=CRITIC_FAST),
)

f = partial(fault, "transgan_beats")
ATTENTION = (
    f(
        "decay_by_epoch_count",
        "schedule_too_fast",
        "gen_scheduler = LinearLrDecay(gen_optimizer, 0.001, 0.0003, steps // 2, steps)",
        "gen_scheduler = LinearLrDecay(gen_optimizer, 0.001, 0.0, 2, steps // 12)",
        "dis_scheduler = LinearLrDecay(dis_optimizer, 0.001, 0.0003, steps // 2, steps)",
        "dis_scheduler = LinearLrDecay(dis_optimizer, 0.001, 0.0, 2, steps // 12)",
        also="generator_step_too_small learning_rate_zero critic_step_too_small",
        late=True,
    ),
    f(
        "start_lr_wrong",
        "learning_rate_zero",
        "gen_scheduler = LinearLrDecay(gen_optimizer, 0.001, 0.0003,",
        "gen_scheduler = LinearLrDecay(gen_optimizer, 0.0, 0.0003,",
        also="generator_step_too_small learning_rate_not_reached",
    ),
    f(
        "decay_of_weights",
        "weight_decay_crippling",
        "gen_optimizer = torch.optim.AdamW(gen_net.parameters(), 0.001, betas=(0.0, 0.99), weight_decay=1e-3)",
        "gen_optimizer = torch.optim.AdamW(gen_net.parameters(), 0.001, betas=(0.0, 0.99), weight_decay=60.0)",
    ),
    f(
        "series_transposed",
        "channel_order",
        "        real_validity = dis_net(real_imgs)",
        "        real_validity = dis_net(real_imgs.transpose(1, 2).reshape(real_imgs.shape))",
        also="critic_shown_other_real",
    ),
    f(
        "rate_of_another_unit",
        "generator_step_too_small",
        "gen_optimizer, 0.001, 0.0003,",
        "gen_optimizer, 2e-7, 1e-7,",
        "gen_net.parameters(), 0.001",
        "gen_net.parameters(), 2e-7",
        also="learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "fake_margin_missing",
        "critic_fake_half_missing",
        " + torch.mean(nn.ReLU(inplace=False)(1 + fake_validity))",
        " + torch.mean(nn.ReLU(inplace=False)(1 + fake_validity.detach()))",
    ),
    f(
        "wasserstein_for_hinge",
        "critic_loss_other",
        "        d_loss = hinge_d(real_validity, fake_validity)\n",
        "        d_loss = fake_validity.mean() - real_validity.mean()\n",
    ),
    f(
        "critic_ends_in_relu",
        "rectified_scores",
        "        return self.head(self.blocks(x)[:, 0])",
        "        return torch.relu(self.head(self.blocks(x)[:, 0]))",
    ),
    f("g_zero_grad_lost", "generator_gradient_accumulated", "            gen_optimizer.zero_grad()\n", ""),
    f(
        "first_batch_only",
        "batch_repeated",
        "        real_imgs = train_set[index]",
        "        real_imgs = train_set[:BATCH]",
        also="few_rows critic_overfitting generator_memorising",
    ),
    f(
        "latent_once",
        "latents_reused",
        "            gen_z = torch.randn(BATCH, LATENT)\n",
        "            gen_z = gen_z if global_steps else torch.randn(BATCH, LATENT)\n",
        also="latents_constant latent_mismatch",
    ),
    f(
        "g_rate_fifty",
        "generator_step_too_large",
        "gen_optimizer, 0.001, 0.0003,",
        "gen_optimizer, 0.1, 0.0003,",
        "gen_net.parameters(), 0.001",
        "gen_net.parameters(), 0.1",
    ),
    f(
        "beta_of_both",
        "momentum_too_high",
        "gen_net.parameters(), 0.001, betas=(0.0",
        "gen_net.parameters(), 0.001, betas=(0.98",
        "dis_net.parameters(), 0.001, betas=(0.0",
        "dis_net.parameters(), 0.001, betas=(0.98",
        also=SWINGS,
    ),
)

f = partial(fault, "info_arcs")
CODES = (
    f(
        "softplus_for_squares",
        "generator_loss_other",
        "g_loss = adversarial_loss(validity, valid)",
        "g_loss = -validity.mean()",
    ),
    f(
        "valid_for_both",
        "critic_fake_half_missing",
        "d_loss = (d_real_loss + d_fake_loss) / 2",
        "d_loss = d_real_loss / 2",
    ),
    f(
        "quarter_of_fake",
        "critic_halves_unequal",
        "d_loss = (d_real_loss + d_fake_loss) / 2",
        "d_loss = d_real_loss / 2 + d_fake_loss / 40",
        also="critic_fake_half_missing",
    ),
    f(
        "g_opt_of_d",
        "optimizer_other_player",
        "optimizer_G = torch.optim.Adam(generator.parameters()",
        "optimizer_G = torch.optim.Adam(discriminator.parameters()",
        "    itertools.chain(generator.parameters(), discriminator.parameters()), lr",
        "    discriminator.parameters(), lr",
        also="generator_not_stepped optimizer_misses_parameters",
    ),
    f(
        "codes_sampled_flat",
        "latent_mismatch",
        "sample=lambda: generator(draw(500))",
        "sample=lambda: generator(torch.randn(500, 8))",
    ),
    f(
        "codes_zero",
        "latents_constant",
        "    gen_input = draw(batch_size)\n",
        "    gen_input = draw(1).repeat(batch_size, 1)\n",
        also="mode_collapse_total latent_mismatch",
    ),
    f(
        "half_the_arcs",
        "mode_collapse_partial",
        "        return self.blocks(self.l1(gen_input))",
        "        return self.blocks(self.l1(gen_input)).relu() - 0.3",
        also="generator_ill_conditioned generator_range_rectified mode_collapse_total",
    ),
    f(
        "squared_rate",
        "critic_step_too_large",
        "discriminator.parameters(), lr=opt.lr, betas",
        "discriminator.parameters(), lr=100 * opt.lr, betas",
        also=CRITIC_FAST,
    ),
    f(
        "gen_rate",
        "generator_step_too_large",
        "optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr",
        "optimizer_G = torch.optim.Adam(generator.parameters(), lr=50 * opt.lr",
    ),
)
