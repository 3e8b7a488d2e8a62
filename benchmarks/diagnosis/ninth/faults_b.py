# ruff: noqa: E501
"""Planted faults: phases with an augmentation that adapts, waves from a config, relaxed words, records of codes."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.ninth.faults_a import COLLAPSE, CRITIC_FAST, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "adaphases_glints")
PHASES = (
    f(
        "reg_interval_of_one_gpu",
        "penalty_too_lazy",
        "D_reg_interval=4",
        "D_reg_interval=80",
        also="penalty_absent penalty_weight_wrong",
    ),
    f(
        "gain_divided",
        "penalty_weight_wrong",
        "                loss_Dr1.mean().mul(gain).backward()",
        "                loss_Dr1.mean().div(100).backward()",
        also="penalty_too_weak penalty_absent",
    ),
    f(
        "claimed_gamma_of_large_images",
        "penalty_too_strong",
        "r1_gamma=0.5",
        "r1_gamma=500.0",
        also="critic_too_weak",
    ),
    f(
        "dreg_without_backward",
        "penalty_absent",
        "                loss_Dr1.mean().mul(gain).backward()",
        "                loss_Dr1.mean().mul(gain)",
        also="penalty_detached penalty_too_lazy",
    ),
    f(
        "r1_of_fakes",
        "penalty_other_place",
        "            real_img_tmp = real_img.detach().requires_grad_(do_Dr1)",
        "            real_img_tmp = (self.G(gen_z) if do_Dr1 else real_img).detach().requires_grad_(do_Dr1)",
    ),
    f(
        "ema_never_copied",
        "average_is_not_updated",
        "            p_ema.copy_(p.lerp(p_ema, ema_beta))",
        "            p_ema = p.lerp(p_ema, ema_beta)",
        also="average_too_slow",
    ),
    f(
        "ema_by_reference",
        "average_is_live",
        "        ema_nimg = min(ema_kimg * 1000, cur_nimg * ema_rampup)\n",
        "        ema_nimg = 0\n",
    ),
    f(
        "dgen_without_backward",
        "critic_fake_half_missing",
        "            loss_Dgen.mean().mul(gain).backward()",
        "            loss_Dgen.mean().mul(gain)",
    ),
    f(
        "softplus_of_plus",
        "generator_loss_other",
        "            loss_Gmain = F.softplus(-gen_logits)  # -log(sigmoid(gen_logits))",
        "            loss_Gmain = -F.softplus(gen_logits)",
        also="generator_gradient_vanishes",
    ),
    f("glr", "generator_step_too_large", "G_lr=0.003", "G_lr=0.1"),
    f(
        "only_mapping_trained",
        "optimizer_misses_parameters",
        "            opt = torch.optim.Adam(module.parameters(), lr=lr, betas=(0.0, 0.99))",
        "            opt = torch.optim.Adam(module.mapping.parameters(), lr=lr, betas=(0.0, 0.99))",
        also="generator_frozen generator_not_stepped",
    ),
)

f = partial(fault, "pwg_bells")
CONFIGURED = (
    f(
        "starts_at_published_step",
        "critic_not_stepped",
        '"discriminator_train_start_steps": 0',
        '"discriminator_train_start_steps": 100000',
        also="critic_no_gradient generator_loss_without_critic reconstruction_drowns_adversarial",
    ),
    f("aux_thousandfold", "reconstruction_drowns_adversarial", '"lambda_aux": 0.3', '"lambda_aux": 3000.0'),
    f("adv_thousandfold", "adversarial_drowns_reconstruction", '"lambda_adv": 1.0', '"lambda_adv": 5000.0'),
    f(
        "zeros_for_generator",
        "generator_sign_flipped",
        '            adv_loss = self.criterion["mse"](p_, p_.new_ones(p_.size()))',
        '            adv_loss = self.criterion["mse"](p_, p_.new_zeros(p_.size()))',
        also="generator_loss_other refuted_unexplained",
    ),
    f(
        "wave_of_integers",
        "critic_shown_other_real",
        '            p = self.model["discriminator"](y)\n',
        '            p = self.model["discriminator"](y * 8)\n',
        also="data_range data_scale",
    ),
    f(
        "wave_backwards",
        "channel_order",
        '            p = self.model["discriminator"](y)\n',
        '            p = self.model["discriminator"](y.flip(2))\n',
        also="critic_shown_other_real",
    ),
    f(
        "optimizer_key",
        "optimizer_other_player",
        '"discriminator": torch.optim.RAdam(model["discriminator"].parameters()',
        '"discriminator": torch.optim.RAdam(model["generator"].parameters()',
        also="critic_not_stepped optimizer_misses_parameters",
    ),
    f(
        "steps_per_epoch_scheduler",
        "schedule_too_fast",
        '"generator_scheduler_params": {"step_size": 100, "gamma": 0.7}',
        '"generator_scheduler_params": {"step_size": 1, "gamma": 0.7}',
        also="generator_step_too_small learning_rate_zero",
        late=True,
    ),
    f(
        "dis_lr_of_another_unit",
        "critic_step_too_small",
        '"discriminator_optimizer_params": {"lr": 0.004',
        '"discriminator_optimizer_params": {"lr": 2e-8',
        also="critic_too_weak learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "dis_lr",
        "critic_too_strong",
        '"discriminator_optimizer_params": {"lr": 0.004',
        '"discriminator_optimizer_params": {"lr": 0.1',
        also=CRITIC_FAST,
    ),
    f(
        "last_conv_relu",
        "generator_range_rectified",
        "        return torch.tanh(self.last_conv(h))",
        "        return torch.relu(self.last_conv(h))",
        also="data_range mode_collapse_partial",
    ),
    f(
        "betas_exchanged",
        "momentum_too_high",
        '"generator_optimizer_params": {"lr": 0.006, "betas": (0.5, 0.99)}',
        '"generator_optimizer_params": {"lr": 0.006, "betas": (0.99, 0.5)}',
        also=SWINGS,
    ),
)

f = partial(fault, "relgan_phrases")
WORDS = (
    f(
        "argmax_in_training",
        "generator_detached",
        "            inp = hard - soft.detach() + soft\n",
        "            inp = hard\n",
        also="generator_not_stepped generator_loss_without_critic",
    ),
    f(
        "real_and_fake_exchanged",
        "critic_sign_flipped",
        "        d_loss = bce_loss(d_out_real - d_out_fake, torch.ones_like(d_out_real))",
        "        d_loss = bce_loss(d_out_fake - d_out_real, torch.ones_like(d_out_real))",
        also="critic_loss_other refuted_unexplained",
    ),
    f(
        "standard_for_critic",
        "critic_loss_other",
        "            _, d_loss = get_losses(d_out_real, d_out_fake)",
        '            _, d_loss = get_losses(d_out_real, d_out_fake, "standard")',
    ),
    f(
        "standard_for_generator",
        "generator_loss_other",
        "            g_loss, _ = get_losses(d_out_real, d_out_fake)",
        '            g_loss, _ = get_losses(d_out_real, d_out_fake, "standard")',
    ),
    f(
        "gen_lr_of_another_unit",
        "generator_step_too_small",
        "gen_lr, dis_lr, clip_norm = 2e-3",
        "gen_lr, dis_lr, clip_norm = 3e-7",
        also="learning_rate_not_reached learning_rate_zero",
    ),
    f(
        "optimizer_of_a_new_critic",
        "optimizer_wrong_parameters",
        "        self.dis_opt = torch.optim.Adam(self.dis.parameters()",
        "        self.dis_opt = torch.optim.Adam(RelGAN_D().parameters()",
        also="critic_not_stepped optimizer_misses_parameters optimizer_other_player",
    ),
    f(
        "one_batch_of_text",
        "batch_repeated",
        "            yield from self.train_data\n",
        "            batch = next(iter(self.train_data))\n            while True:\n                yield batch\n",
        also="few_rows critic_overfitting generator_memorising rows_repeated",
    ),
    f(
        "sorted_text",
        "unshuffled",
        "DataLoader(data.phrases(3000), batch_size, shuffle=True, drop_last=True)",
        "DataLoader(data.phrases(3000)[data.phrases(3000).argmax(2)[:, :3].mul(torch.tensor([36, 6, 1])).sum(1).argsort()], batch_size, shuffle=False, drop_last=True)",
    ),
    f(
        "sigmoid_of_logits",
        "bounded_scores",
        "        return self.out2logits(pred).view(len(inp), self.num_rep)",
        "        return torch.sigmoid(self.out2logits(pred)).view(len(inp), self.num_rep)",
        also="double_sigmoid probability_as_score",
    ),
    f(
        "one_sentence",
        "mode_collapse_total",
        "        return o_t + g_t\n",
        "        return o_t\n",
        "        hidden = torch.tanh(self.init_hidden(z))\n",
        "        hidden = torch.tanh(self.init_hidden(torch.zeros_like(z)))\n",
        also=COLLAPSE + " latents_constant",
    ),
    f(
        "gen_lr_high",
        "generator_step_too_large",
        "gen_lr, dis_lr, clip_norm = 2e-3",
        "gen_lr, dis_lr, clip_norm = 2e-1",
    ),
    f("dis_lr_high", "critic_step_too_large", "clip_norm = 2e-3, 2e-3", "clip_norm = 2e-3, 2e-1", also=CRITIC_FAST),
)

f = partial(fault, "medgan_codes")
RECORDS = (
    f(
        "scores_without_sigmoid",
        "non_finite",
        "        return torch.sigmoid(self.out(tempVec)).squeeze(1)",
        "        return self.out(tempVec).squeeze(1)",
    ),
    f(
        "sigmoid_twice",
        "double_sigmoid",
        "        return torch.sigmoid(self.out(tempVec)).squeeze(1)",
        "        return torch.sigmoid(torch.sigmoid(self.out(tempVec))).squeeze(1)",
        also="bounded_scores probability_as_score",
    ),
    f(
        "one_minus_forgotten",
        "critic_sign_flipped",
        "losses(mg.discriminator(batchX), mg.discriminator(x_fake))",
        "losses(mg.discriminator(batchX), 1.0 - mg.discriminator(x_fake))",
        also="critic_fake_half_missing refuted_unexplained critic_loss_other",
    ),
    f(
        "saturating_log",
        "generator_loss_other",
        "            generatorLoss = -torch.log(mg.discriminator(mg.generator(randomX)) + 1e-12).mean()",
        "            generatorLoss = torch.log(1 - mg.discriminator(mg.generator(randomX)) + 1e-12).mean()",
    ),
    f(
        "batch_of_both",
        "batch_norm_coupling",
        "self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear",
        "self.fc1, self.fc2 = nn.Sequential(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden)), nn.Linear",
        "            discLoss, _ = losses(mg.discriminator(batchX), mg.discriminator(x_fake))\n",
        "            y_hat = mg.discriminator(torch.cat((batchX, x_fake)))\n            discLoss, _ = losses(y_hat[: len(batchX)], y_hat[len(batchX) :])\n",
    ),
    f(
        "statistics_frozen",
        "eval_mode_in_training",
        "    mg.generator.train()\n    return x_emb",
        "    return x_emb",
        also="sampled_in_other_mode",
    ),
    f(
        "sampled_by_batch",
        "sampled_in_other_mode",
        "momentum=0.1), nn.BatchNorm1d(embeddingDim, momentum=0.1)",
        "momentum=0.0005), nn.BatchNorm1d(embeddingDim, momentum=0.0005)",
        also="average_buffers_not_copied",
    ),
    f(
        "l2_of_tensorflow",
        "weight_decay_crippling",
        "optimize_g = torch.optim.Adam(mg.generator.parameters(), lr=2e-3, betas=(0.5, 0.9), weight_decay=l2scale)",
        "optimize_g = torch.optim.Adam(mg.generator.parameters(), lr=2e-3, betas=(0.5, 0.9), weight_decay=1000 * l2scale)",
    ),
    f(
        "one_patient",
        "data_constant",
        "trainX, validX = records[:2700], records[2700:]",
        "trainX, validX = records[:1].repeat(2700, 1), records[2700:]",
        also="few_rows rows_repeated batch_repeated mode_collapse_total data_scale",
    ),
    f(
        "random_uniform",
        "latent_mismatch",
        "            randomX = torch.randn(mg.batchSize, mg.randomDim)\n            optimize_g",
        "            randomX = torch.rand(mg.batchSize, mg.randomDim)\n            optimize_g",
        "            randomX = torch.randn(mg.batchSize, mg.randomDim)\n            optimize_d",
        "            randomX = torch.rand(mg.batchSize, mg.randomDim)\n            optimize_d",
    ),
    f(
        "all_parameters",
        "optimizer_other_player",
        "optimize_d = torch.optim.Adam(mg.discriminator.parameters()",
        "optimize_d = torch.optim.Adam(mg.parameters()",
        "            x_fake = mg.generator(randomX).detach()\n",
        "            x_fake = mg.generator(randomX)\n",
        also="generator_gradient_in_critic",
    ),
    f(
        "train_period",
        "n_critic_swapped",
        "discriminatorTrainPeriod, generatorTrainPeriod = 1, 1",
        "discriminatorTrainPeriod, generatorTrainPeriod = 1, 8",
        also="critic_too_weak",
    ),
)
