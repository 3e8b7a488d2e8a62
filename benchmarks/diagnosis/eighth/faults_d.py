# ruff: noqa: E501
"""Planted faults: pairs of two directions, handlers and checkpoints, the usual tricks, mixed precision."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.eighth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW, SWINGS
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "ali_hooks")
PAIRS = (
    f("encoder_alone", "optimizer_misses_parameters", "itertools.chain(bi.G.parameters(), bi.E.parameters())", "bi.E.parameters()", also="generator_frozen generator_not_stepped"),
    f("g_rate_thousand", "learning_rate_not_reached", "    optimizerG.step()\n", "    optimizerG.step()\n    optimizerG.param_groups[0][\"lr\"] = LR / 4000\n", also="generator_step_too_small learning_rate_zero schedule_too_fast"),
    f("cleared_after_d", "generator_gradient_in_critic", "    optimizerD.zero_grad()\n", "", "    optimizerD.step()\n", "    optimizerD.step()\n    optimizerD.zero_grad()\n", also="critic_gradient_accumulated"),
    f("both_rates", "rotation_undamped", "Z, BATCH, LR = 2, 64, 2e-3", "Z, BATCH, LR = 2, 64, 2e-2", also=SWINGS + " critic_too_strong"),
    f("d_rate", "critic_step_too_large", "D.parameters(), lr=LR", "D.parameters(), lr=100 * LR", also=CRITIC_FAST),
    f("d_lazy", "critic_too_weak", "D.parameters(), lr=LR", "D.parameters(), lr=LR / 500", also=CRITIC_SLOW + " critic_step_too_small"),
    f("one_of_z", "generator_ill_conditioned", "torch.cat((self.G(z), z), 1)", "torch.cat((self.G(z * torch.tensor([1.0, 0.0])), z), 1)", "bi.G(torch.randn(500, Z))", "bi.G(torch.randn(500, Z) * torch.tensor([1.0, 0.0]))", also=COLLAPSE),
    f("short_hook", "mode_collapse_partial", "torch.cat((self.G(z), z), 1)", "torch.cat((self.G(z).relu(), z), 1)", "bi.G(torch.randn(500, Z))", "bi.G(torch.randn(500, Z)).relu()", also="generator_range_rectified generator_ill_conditioned"),
    f("forty_rows", "critic_overfitting", "rows, unseen = data.hooks(4000)", "rows, unseen = data.hooks(20).repeat(40, 1)", "D.parameters(), lr=LR", "D.parameters(), lr=4 * LR", also=FEW + " rows_repeated"),
)

f = partial(fault, "ignite_hexes")
ENGINE = (
    f("clamp_of_a_copy", "clip_absent", "            p.data.clamp_(-clip, clip)\n", "            p.data.clamp(-clip, clip)\n", also="loss_needs_lipschitz"),
    f("clip_ten", "clip_other", "clip, critic_turns = 4, 64, 0.15", "clip, critic_turns = 4, 64, 1.5", also="clip_absent"),
    f("clip_small", "clip_other", "clip, critic_turns = 4, 64, 0.15", "clip, critic_turns = 4, 64, 0.01", also="clip_crippling"),
    f("claimed_small_clip", "clip_crippling", "clip, critic_turns = 4, 64, 0.15", "clip, critic_turns = 4, 64, 0.01", "penalty=(\"clip\", 0.15)", "penalty=(\"clip\", 0.01)", also="critic_too_weak"),
    f("claimed_tiny_clip", "clip_crippling", "clip, critic_turns = 4, 64, 0.15", "clip, critic_turns = 4, 64, 0.002", "penalty=(\"clip\", 0.15)", "penalty=(\"clip\", 0.002)", also="critic_too_weak"),
    f("claimed_wide_clip", "constraint_vacuous", "clip, critic_turns = 4, 64, 0.15", "clip, critic_turns = 4, 64, 2.0", "penalty=(\"clip\", 0.15)", "penalty=(\"clip\", 2.0)", also="loss_needs_lipschitz " + CRITIC_FAST),
    f("no_clip_claimed", "loss_needs_lipschitz", "            p.data.clamp_(-clip, clip)\n", "            pass\n", "        penalty=(\"clip\", 0.15),\n", "", also="penalty_absent"),
    f("critic_scaled", "constraint_vacuous", "        return self.net(x).squeeze(1)", "        return 100 * self.net(x).squeeze(1)", also=CRITIC_FAST + " constraint_partial"),
    f("optimisers_not_loaded", "optimizer_lost_on_resume", "        v.load_state_dict(checkpoints[\"last\"][k])\n", "        if not k.startswith(\"opt\"):\n            v.load_state_dict(checkpoints[\"last\"][k])\n    for opt in (optG, optC):\n        opt.state.clear()\n", late=True),
    f("schedule_from_start", "schedule_lost_on_resume", "        v.load_state_dict(checkpoints[\"last\"][k])\n", "        v.load_state_dict(checkpoints[\"last\"][k])\n    for s in (schedG, schedC):\n        s.last_epoch = 0\n        s.optimizer.param_groups[0][\"lr\"] = s.base_lrs[0]\n", late=True),
    f("cosine_per_batch", "schedule_too_fast", "@trainer.on(Events.EPOCH_COMPLETED)\ndef schedule", "@trainer.on(Events.ITERATION_COMPLETED)\ndef schedule", "T_max=20, eta_min=2e-4)\nschedC", "T_max=200, eta_min=1e-7)\nschedC", also="generator_step_too_small learning_rate_zero", late=True),
    f("turns_of_g", "n_critic_swapped", "    netG.zero_grad()\n    noise = torch.randn(batch_size, z_dim)\n    loss_g = -netC(netG(noise)).mean()\n    loss_g.backward()\n    optG.step()\n", "    for _ in range(12):\n        netG.zero_grad()\n        noise = torch.randn(batch_size, z_dim)\n        loss_g = -netC(netG(noise)).mean()\n        loss_g.backward()\n        optG.step()\n", also="critic_too_weak"),
    f("g_rmsprop", "generator_step_too_large", "optG = optim.RMSprop(netG.parameters(), lr=1e-3", "optG = optim.RMSprop(netG.parameters(), lr=1e-1"),
)

f = partial(fault, "hacks_hearts")
TRICKS = (
    f("soft_for_real_only_forgotten", "critic_real_half_missing", "            loss_r.backward()\n", ""),
    f("soft_the_wrong_way", "critic_sign_flipped", "            loss_r = bce(discriminator(real), soft(\"real\", N))", "            loss_r = bce(discriminator(real), soft(\"fake\", N))", also="critic_real_half_missing critic_loss_other refuted_unexplained"),
    f("saturating", "generator_loss_other", "            loss_g = bce(discriminator(generator(z)), torch.ones(N, 1))", "            loss_g = -bce(discriminator(generator(z)), torch.zeros(N, 1))"),
    f("not_scaled", "data_range", "X_train = data.hearts(4000).numpy()", "X_train = data.hearts(4000).numpy() * 20", also="data_scale critic_shown_other_real"),
    f("first_sixty_four", "batch_repeated", "rng.randint(0, len(X_train), n)", "np.arange(n)", also="few_rows critic_overfitting generator_memorising"),
    f("g_without_d", "generator_detached", "bce(discriminator(generator(z)), torch.ones(N, 1))\n", "bce(discriminator(generator(z).detach()), torch.ones(N, 1))\n", also="generator_not_stepped"),
    f("sgd_rate", "critic_step_too_large", "SGD(discriminator.parameters(), lr=0.1", "SGD(discriminator.parameters(), lr=4.0", also=CRITIC_FAST),
    f("sgd_momentum", "momentum_too_high", "lr=0.1, momentum=0.7", "lr=0.1, momentum=0.995", also=SWINGS),
    f("adam_beta", "momentum_too_high", "generator.parameters(), lr=0.002, betas=(0.5", "generator.parameters(), lr=0.006, betas=(0.99", also=SWINGS),
    f("sgd_slow", "critic_too_weak", "lr=0.1, momentum=0.7", "lr=0.0003, momentum=0.0", also=CRITIC_SLOW + " critic_step_too_small"),
    f("upper_right_only", "mode_collapse_partial", "nn.Linear(64, 2), nn.Tanh()", "nn.Linear(64, 2), nn.Hardtanh(0, 1)", also="generator_range_rectified data_range generator_ill_conditioned"),
    f("eight_turns_of_a_fast_d", "critic_too_strong", "d_steps = 2", "d_steps = 12", "lr=0.1, momentum=0.7", "lr=0.4, momentum=0.9", also=CRITIC_FAST),
)

f = partial(fault, "studio_saddle")
PRECISION = (
    f("scale_in_the_norm", "penalty_under_loss_scale", "    grads = grads / scaler.get_scale()\n", "", also="penalty_weight_wrong penalty_too_strong"),
    f("average_of_itself", "average_is_live", "self.decay, self.target = source, decay, copy.deepcopy(source).requires_grad_(False)", "self.decay, self.target = source, decay, source"),
    f("divided_twice", "penalty_weight_wrong", "self.LOSS[\"gp_lambda\"] * gp_loss", "self.LOSS[\"gp_lambda\"] / 100 * gp_loss", also="penalty_too_weak"),
    f("one_sided", "penalty_other_kind", "((grads.norm(2, dim=1) - 1) ** 2).mean()", "(grads.norm(2, dim=1) ** 2).mean()", also="penalty_weight_wrong"),
    f("augmented_on_one_side", "critic_shown_other_real", "real_, fake_ = self.aug(real), self.aug(fake)", "real_, fake_ = self.aug(2 * real), self.aug(fake)", also="data_scale data_range"),
    f("zero_grad_lost", "critic_gradient_accumulated", "        self.d_optimizer.zero_grad()\n", "", also="generator_gradient_in_critic"),
    f("claimed_gp_large", "penalty_too_strong", "\"gp_lambda\": 0.3", "\"gp_lambda\": 3000.0", "penalty=(\"gp\", 0.3)", "penalty=(\"gp\", 3000.0)", also="critic_too_weak"),
    f("claimed_gp_small", "penalty_too_weak", "\"gp_lambda\": 0.3", "\"gp_lambda\": 1e-7", "penalty=(\"gp\", 0.3)", "penalty=(\"gp\", 1e-7)", "\"d_lr\": 6e-3", "\"d_lr\": 2e-2", also=CRITIC_FAST),
    f("logits_in_the_flat", "generator_gradient_vanishes", "        return {\"adv_output\": self.linear(self.blocks(x)).squeeze(1), \"h\": x}", "        return {\"adv_output\": 60 * self.linear(self.blocks(x)).squeeze(1) + 400, \"h\": x}", also="critic_too_strong critic_step_too_large"),
    f("g_lr", "generator_step_too_large", "\"g_lr\": 4e-3", "\"g_lr\": 2e-1"),
    f("beta1", "momentum_too_high", "\"beta1\": 0.0", "\"beta1\": 0.99", also=SWINGS),
    f("one_channel_to_all", "generator_ill_conditioned", "self.blocks = nn.Sequential(nn.Linear(z_dim, dim)", "self.blocks = nn.Sequential(nn.Linear(z_dim, 1), nn.Linear(1, dim)", also=COLLAPSE),
    f("latents_zeroed", "mode_collapse_total", "return torch.randn(n, self.MODEL[\"z_dim\"])", "return torch.randn(n, self.MODEL[\"z_dim\"]) * 1e-3", also=COLLAPSE + " latents_constant"),
)
