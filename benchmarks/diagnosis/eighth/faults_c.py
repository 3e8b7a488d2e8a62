"""Planted faults: a tokenizer, waves at two scales, a table in packs, unrolled critics, images that grow."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.eighth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "tokenizer_motifs")
TOKENIZER = (
    f(
        "start_never",
        "critic_no_gradient",
        "disc_start=0",
        "disc_start=250001",
        also="critic_not_stepped reconstruction_drowns_adversarial generator_loss_without_critic",
    ),
    f(
        "last_layer_forgotten",
        "reconstruction_drowns_adversarial",
        "return nll_loss + d_weight * disc_factor",
        "return 1000 * nll_loss + d_weight * disc_factor",
    ),
    f(
        "weight_unbounded",
        "adversarial_drowns_reconstruction",
        "return d_weight * self.disc_weight",
        "return 3000 * d_weight * self.disc_weight",
    ),
    f(
        "reconstructions_cut",
        "generator_loss_without_critic",
        "            logits_fake = self.discriminator(reconstructions.contiguous())\n",
        "            logits_fake = self.discriminator(reconstructions.detach()) + 0 * reconstructions.mean()\n",
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "critic_under_no_grad",
        "critic_called_without_grad",
        "        logits_real = self.discriminator(inputs.contiguous().detach())\n",
        "        with torch.no_grad():\n            logits_real = self.discriminator(inputs.contiguous().detach())\n",
        also="critic_real_half_missing critic_no_gradient",
    ),
    f(
        "disc_rate",
        "critic_too_strong",
        "criterion.discriminator.parameters(), lr=lr",
        "criterion.discriminator.parameters(), lr=30 * lr",
        also=CRITIC_FAST,
    ),
    f(
        "ae_rate",
        "generator_step_too_large",
        "torch.optim.Adam(model.parameters(), lr=lr",
        "torch.optim.Adam(model.parameters(), lr=40 * lr",
    ),
    f("two_codes", "mode_collapse_partial", "n_e=12", "n_e=2", also="generator_ill_conditioned mode_collapse_total"),
    f("one_code", "mode_collapse_total", "n_e=12", "n_e=1", also=COLLAPSE),
    f(
        "sixteen_signals",
        "critic_overfitting",
        'data.motifs(2048), data.motifs(500, "held")',
        'data.motifs(32), data.motifs(500, "held")',
        "criterion.discriminator.parameters(), lr=lr",
        "criterion.discriminator.parameters(), lr=3 * lr",
        also=FEW,
    ),
)

f = partial(fault, "vocoder_calls")
WAVES = (
    f("mel_alone_counts", "reconstruction_drowns_adversarial", "lambda_mel=10.0", "lambda_mel=4500.0"),
    f(
        "targets_one",
        "critic_sign_flipped",
        "        r_loss = torch.mean((1 - dr) ** 2)\n        g_loss = torch.mean(dg**2)",
        "        r_loss = torch.mean(dr**2)\n        g_loss = torch.mean((1 - dg) ** 2)",
        also="critic_loss_other refuted_unexplained",
    ),
    f(
        "reversed_waves",
        "channel_order",
        "        y_ds_hat_r, _ = msd(y)\n",
        "        y_ds_hat_r, _ = msd(y.flip(2))\n",
        also="critic_shown_other_real",
    ),
    f(
        "sixteen_bit",
        "data_range",
        "TensorDataset(mels, waves)",
        "TensorDataset(mels, waves * 100)",
        also="data_scale critic_shown_other_real",
    ),
    f(
        "second_critic_left_out",
        "optimizer_misses_parameters",
        "itertools.chain(msd.parameters())",
        "itertools.chain(msd.discriminators[0].parameters())",
        also="critic_frozen",
    ),
    f("b1_b2_exchanged", "momentum_too_high", "adam_b1=0.8, adam_b2=0.99", "adam_b1=0.99, adam_b2=0.8", also=SWINGS),
    f(
        "critics_slow",
        "critic_too_weak",
        "itertools.chain(msd.parameters()), h.learning_rate",
        "itertools.chain(msd.parameters()), h.learning_rate / 1000",
        also=CRITIC_SLOW + " critic_step_too_small",
    ),
    f(
        "mel_of_the_mean",
        "mode_collapse_partial",
        "        inp = with_phase(x)\n",
        "        x = x.mean(0, keepdim=True).expand_as(x)\n        inp = with_phase(x)\n",
        "sample=lambda: generator(with_phase(val_mel))",
        "sample=lambda: generator(with_phase(val_mel.mean(0, keepdim=True).expand_as(val_mel)))",
        also=COLLAPSE + " latents_constant",
    ),
    f(
        "few_calls",
        "critic_overfitting",
        "waves, mels = data.calls(2048)",
        "waves, mels = data.calls(24)",
        "itertools.chain(msd.parameters()), h.learning_rate",
        "itertools.chain(msd.parameters()), 3 * h.learning_rate",
        also=FEW,
    ),
)

f = partial(fault, "ctgan_orders")
PACKS = (
    f(
        "norm_per_row",
        "penalty_norm_axes",
        "gradients.view(-1, pac * real_data.size(1)).norm(2, dim=1) - 1",
        "gradients.view(-1, real_data.size(1)).norm(2, dim=1) - 1",
    ),
    f("lambda_thousand", "penalty_weight_wrong", "self._lambda = 10", "self._lambda = 2000", also="penalty_too_strong"),
    f(
        "condition_of_others",
        "labels_differ_between_players",
        "fake_cat = torch.cat([fake, c1], dim=1)",
        "fake_cat = torch.cat([fake, c2], dim=1)",
        also="labels_unrelated critic_shown_other_real",
    ),
    f(
        "sigmoid_kept",
        "probability_as_score",
        "seq += [Linear(dim, 1)]",
        "seq += [Linear(dim, 1), torch.nn.Sigmoid()]",
        also="bounded_scores",
    ),
    f(
        "batch_norm_in_critic",
        "penalty_under_batch_norm",
        "LeakyReLU(0.2), Dropout(0.1)]",
        "BatchNorm1d(item), LeakyReLU(0.2), Dropout(0.1)]",
        also="penalty_too_strong batch_norm_coupling",
    ),
    f(
        "penalty_forgotten",
        "penalty_absent",
        "                pen.backward(retain_graph=True)\n",
        "",
        also="penalty_detached loss_needs_lipschitz",
    ),
    f(
        "decay_of_tables",
        "weight_decay_crippling",
        "self._discriminator.parameters(), lr=self._discriminator_lr, betas=(0.5, 0.9), weight_decay=1e-6",
        "self._discriminator.parameters(), lr=self._discriminator_lr, betas=(0.5, 0.9), weight_decay=10.0",
        also="critic_too_weak",
    ),
    f(
        "penalty_of_thousands",
        "penalty_too_strong",
        'penalty=("gp", 10.0)',
        'penalty=("gp", 3000.0)',
        "self._lambda = 10",
        "self._lambda = 3000",
        also="critic_too_weak",
    ),
    f(
        "penalty_hardly",
        "penalty_too_weak",
        'penalty=("gp", 10.0)',
        'penalty=("gp", 1e-5)',
        "self._lambda = 10",
        "self._lambda = 1e-5",
        also="loss_needs_lipschitz " + CRITIC_FAST,
    ),
    f(
        "generator_rate",
        "generator_step_too_large",
        "self._generator_lr, self._discriminator_lr, self._discriminator_steps = 2e-3",
        "self._generator_lr, self._discriminator_lr, self._discriminator_steps = 2e-1",
    ),
)

f = partial(fault, "unrolled_eights")
UNROLLED = (
    f(
        "zero_grad_of_g_only",
        "critic_gradient_accumulated",
        "    d_optimizer.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f(
        "sample_uniform",
        "latent_mismatch",
        "        gen_input = noise_sampler(n)\n",
        "        gen_input = torch.rand(n, config.g_inp)\n",
    ),
    f(
        "one_spot",
        "few_rows",
        "points = data.eights(4000)",
        "points = data.eights(12)",
        also="batch_repeated critic_overfitting generator_memorising rows_repeated mode_collapse_partial",
    ),
    f(
        "no_unroll_fast",
        "rotation_undamped",
        "d_learning_rate = 1e-3",
        "d_learning_rate = 2e-2",
        "d_updates, unrolled_steps = 1, 2",
        "d_updates, unrolled_steps = 1, 0",
        also=SWINGS + " critic_too_strong",
    ),
    f(
        "d_hundred_turns",
        "critic_too_strong",
        "d_updates, unrolled_steps = 1, 2",
        "d_updates, unrolled_steps = 6, 4",
        "d_learning_rate = 1e-3",
        "d_learning_rate = 2e-2",
        also=CRITIC_FAST,
    ),
    f(
        "d_rate_down",
        "critic_too_weak",
        "d_learning_rate = 1e-3",
        "d_learning_rate = 3e-6",
        also=CRITIC_SLOW + " critic_step_too_small",
    ),
    f("g_rate_up", "generator_step_too_large", "g_learning_rate = 1e-3", "g_learning_rate = 1e-1"),
    f(
        "narrow_waist",
        "generator_ill_conditioned",
        "        x = self.activation_fn(self.map2(x))\n",
        "        x = self.activation_fn(self.map2(x if self is D else x.mean(1, keepdim=True).expand_as(x)))\n",
        also=COLLAPSE,
    ),
    f(
        "first_quadrant",
        "mode_collapse_partial",
        "        return self.map3(x)",
        "        return self.map3(x) if self is D else self.map3(x).clamp(min=0)",
        also="generator_range_rectified generator_ill_conditioned mode_collapse_total",
    ),
    f(
        "sixteen_points",
        "critic_overfitting",
        "points = data.eights(4000)",
        "points = data.eights(40)",
        "d_learning_rate = 1e-3",
        "d_learning_rate = 8e-3",
        also=FEW,
    ),
)

f = partial(fault, "progressive_stamps")
GROWING = (
    f(
        "norm_per_column",
        "penalty_norm_axes",
        "grad_x_hat.view(grad_x_hat.size(0), -1).norm(2, dim=1)",
        "grad_x_hat.norm(2, dim=1)",
    ),
    f(
        "hat_without_graph",
        "penalty_detached",
        "grad_penalty = lambda_gp * grad_penalty\n    grad_penalty.backward()",
        "grad_penalty = lambda_gp * grad_penalty.detach().requires_grad_()\n    grad_penalty.backward()",
        also="penalty_absent loss_needs_lipschitz",
    ),
    f(
        "at_fake",
        "penalty_other_place",
        "x_hat = eps * real_image.data + (1 - eps) * fake_image.data",
        "x_hat = 0 * eps * real_image.data + fake_image.data",
    ),
    f("running_forgotten", "average_is_not_updated", "    accumulate(G_running, G)\n", "", also="average_too_slow"),
    f("running_999", "average_too_slow", "decay=0.9)", "decay=0.999)", also="average_is_not_updated"),
    f(
        "lambda_claimed_large",
        "penalty_too_strong",
        "lr, lambda_gp = 0.006, 5.0",
        "lr, lambda_gp = 0.006, 5000.0",
        also="critic_too_weak",
    ),
    f(
        "lambda_claimed_small",
        "penalty_too_weak",
        "lr, lambda_gp = 0.006, 5.0",
        "lr, lambda_gp = 0.006, 1e-4",
        also="loss_needs_lipschitz " + CRITIC_FAST,
    ),
    f(
        "fast_critic",
        "critic_step_too_large",
        "d_optimizer = Adam(D.parameters(), lr=lr",
        "d_optimizer = Adam(D.parameters(), lr=30 * lr",
        also=CRITIC_FAST,
    ),
    f(
        "one_direction",
        "generator_ill_conditioned",
        "self.conv4(self.input(input)",
        "self.conv4(self.input(input[:, :1].expand_as(input) * torch.linspace(0.2, 1, 12))",
        also=COLLAPSE,
    ),
    f(
        "input_of_ones",
        "mode_collapse_total",
        "self.conv4(self.input(input)",
        "self.conv4(self.input(torch.ones_like(input))",
        also=COLLAPSE + " latents_constant generator_frozen",
    ),
)
