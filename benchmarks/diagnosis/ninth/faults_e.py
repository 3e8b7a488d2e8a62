# ruff: noqa: E501
"""Planted faults: a trainer with arguments and callbacks, showers of energy, an autoencoder with a critic."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.ninth.faults_a import COLLAPSE, CRITIC_FAST, CRITIC_SLOW, FEW
from benchmarks.diagnosis.third.case import fault

f = partial(fault, "hfargs_bows")
ARGUMENTS = (
    f(
        "optimizers_not_saved",
        "optimizer_lost_on_resume",
        "            for k, v in trainer.parts().items():\n                v.load_state_dict(self.saved[k])\n",
        '            for k, v in trainer.parts().items():\n                if "optimizer" not in k:\n                    v.load_state_dict(self.saved[k])\n            trainer.optimizer_g.state.clear()\n            trainer.optimizer_d.state.clear()\n',
        late=True,
    ),
    f(
        "schedulers_not_saved",
        "schedule_lost_on_resume",
        "            for k, v in trainer.parts().items():\n                v.load_state_dict(self.saved[k])\n",
        '            for k, v in trainer.parts().items():\n                if "scheduler" not in k:\n                    v.load_state_dict(self.saved[k])\n            trainer.scheduler_g = get_warmup_schedule(trainer.optimizer_g, args.warmup_steps, args.max_steps)\n            trainer.scheduler_d = get_warmup_schedule(trainer.optimizer_d, args.warmup_steps, args.max_steps)\n',
        also="schedule_too_fast",
        late=True,
    ),
    f(
        "warmup_never_over",
        "learning_rate_not_reached",
        "    warmup_steps: int = 10\n",
        "    warmup_steps: int = 4000\n",
        also="generator_step_too_small critic_step_too_small learning_rate_zero critic_too_weak",
    ),
    f(
        "zero_grad_of_critic_lost",
        "critic_gradient_accumulated",
        "        self.optimizer_d.zero_grad()\n",
        "",
        also="generator_gradient_in_critic",
    ),
    f(
        "zero_grad_of_generator_lost",
        "generator_gradient_accumulated",
        "        self.optimizer_g.zero_grad()\n",
        "",
    ),
    f(
        "r1_over_batch",
        "penalty_norm_axes",
        "        r1 = gradient.pow(2).sum(dim=1).mean()\n",
        "        r1 = gradient.pow(2).sum()\n",
        also="penalty_weight_wrong penalty_too_strong",
    ),
    f(
        "r1_of_norms",
        "penalty_other_kind",
        "        r1 = gradient.pow(2).sum(dim=1).mean()\n",
        "        r1 = (gradient.norm(2, dim=1) - 1).pow(2).mean()\n",
        also="penalty_weight_wrong",
    ),
    f(
        "claimed_r1_tiny",
        "penalty_too_weak",
        "    r1_gamma: float = 0.2\n",
        "    r1_gamma: float = 1e-6\n",
        'penalty=("r1", 0.2)',
        'penalty=("r1", 1e-6)',
        "    discriminator_lr: float = 2e-3\n",
        "    discriminator_lr: float = 2e-2\n",
        also=CRITIC_FAST,
    ),
    f(
        "ema_not_in_callbacks",
        "average_is_not_updated",
        "                averaged.lerp_(p, 1 - args.ema_decay)",
        "                averaged.lerp(p, 1 - args.ema_decay)",
        also="average_too_slow",
    ),
    f(
        "ema_decay_of_long_runs",
        "average_too_slow",
        "    ema_decay: float = 0.9\n",
        "    ema_decay: float = 0.9999\n",
        also="average_is_not_updated",
    ),
    f(
        "weight_decay_of_configs",
        "weight_decay_crippling",
        "self.args.generator_lr, betas, weight_decay=1e-4",
        "self.args.generator_lr, betas, weight_decay=80.0",
    ),
    f(
        "first_forty_rows",
        "critic_overfitting",
        "data.bows(4000), [",
        "data.bows(40), [",
        "    discriminator_lr: float = 2e-3\n",
        "    discriminator_lr: float = 8e-3\n",
        also=FEW,
    ),
)

f = partial(fault, "calo_showers")
SHOWERS = (
    f(
        "norms_of_last_axis",
        "penalty_norm_axes",
        "    norms = grads.flatten(1).norm(2, dim=1)\n",
        "    norms = grads.norm(2, dim=3)\n",
        also="penalty_weight_wrong penalty_other_kind",
    ),
    f(
        "penalty_at_real",
        "penalty_other_place",
        "    mixed = eps * real + (1 - eps) * fake\n",
        "    mixed = real.clone()\n",
    ),
    f(
        "penalty_added_to_wdist",
        "penalty_absent",
        "        backward(gp_weight * penalty - wdist, disc)\n",
        "        backward(-wdist, disc)\n",
        also="penalty_detached loss_needs_lipschitz",
    ),
    f(
        "wdist_not_negated",
        "critic_sign_flipped",
        "        backward(gp_weight * penalty - wdist, disc)\n",
        "        backward(gp_weight * penalty + wdist, disc)\n",
        also="refuted_unexplained generator_sign_flipped critic_loss_other",
    ),
    f(
        "fifth_of_fake",
        "critic_halves_unequal",
        "        wdist = disc(real).mean() - disc(fake).mean()\n",
        "        wdist = disc(real).mean() - 0.2 * disc(fake).mean()\n",
        also="critic_fake_half_missing",
    ),
    f(
        "real_scored_without_grad",
        "critic_called_without_grad",
        "        wdist = disc(real).mean() - disc(fake).mean()\n",
        "        with torch.no_grad():\n            on_real = disc(real)\n        wdist = on_real.mean() - disc(fake).mean()\n",
        also="critic_real_half_missing",
    ),
    f(
        "energies_centred",
        "data_range",
        "data.showers(2048), batch, 0",
        "data.showers(2048) - 2.0, batch, 0",
        also="data_scale critic_shown_other_real generator_range_rectified",
    ),
    f(
        "ordered_by_energy",
        "unshuffled",
        "        self.order = torch.randperm(len(self.showers))\n",
        "        self.order = self.showers.sum((1, 2, 3)).argsort()\n",
        "            self.order, self.at = torch.randperm(len(self.showers)), 0\n",
        "            self.at = 0\n",
    ),
    f("lr_of_critic", "critic_too_weak", "\nlr_disc = 0.002\n", "\nlr_disc = 0.000002\n", also=CRITIC_SLOW),
    f(
        "claimed_gp_huge",
        "penalty_too_strong",
        "\ngp = 3.0\n",
        "\ngp = 5000.0\n",
        'penalty=("gp", 3.0)',
        'penalty=("gp", 5000.0)',
        also="critic_too_weak",
    ),
    f(
        "claimed_gp_tiny",
        "penalty_too_weak",
        "\ngp = 3.0\n",
        "\ngp = 1e-6\n",
        'penalty=("gp", 3.0)',
        'penalty=("gp", 1e-6)',
        also="loss_needs_lipschitz constraint_vacuous " + CRITIC_FAST,
    ),
    f(
        "scale_in_the_norm",
        "penalty_under_loss_scale",
        "torch.ones_like(out), create_graph=True)[0] / loss_scale\n",
        "torch.ones_like(out), create_graph=True)[0]\n",
        also="penalty_weight_wrong penalty_too_strong penalty_other_kind",
    ),
    f(
        "no_noise",
        "mode_collapse_total",
        "        cells = self.readout(self.up(self.dense(z).view(-1, width, 2, 2)))\n",
        "        cells = self.readout(self.up(self.dense(1e-3 * z).view(-1, width, 2, 2)))\n",
        also=COLLAPSE,
    ),
    f(
        "energy_in_one_column",
        "mode_collapse_partial",
        "        return F.relu(cells + 0.3)",
        "        return F.relu(cells + 0.3).mean(3, keepdim=True).expand(-1, -1, -1, 8)",
        also="generator_ill_conditioned mode_collapse_total",
    ),
)

f = partial(fault, "vaegan_ripples")
VAEGAN = (
    f("rec_of_sums", "reconstruction_drowns_adversarial", '"lambda_rec": 2.0', '"lambda_rec": 4000.0'),
    f(
        "adversarial_hundredfold",
        "adversarial_drowns_reconstruction",
        '    loss = adv + config["lambda_rec"] * rec',
        '    loss = 3000 * adv + config["lambda_rec"] * rec',
        also="generator_loss_other",
    ),
    f(
        "adv_forgotten",
        "generator_loss_without_critic",
        '    loss = adv + config["lambda_rec"]',
        '    loss = adv.detach() + config["lambda_rec"]',
        also="generator_detached reconstruction_drowns_adversarial",
    ),
    f(
        "decoder_not_stepped",
        "generator_not_stepped",
        '    for name in ("encoder", "decoder"):\n        opts[name].step()\n',
        '    opts["encoder"].step()\n',
        also="optimizer_misses_parameters",
    ),
    f(
        "decoder_never_woken",
        "generator_frozen",
        '    set_grad("encoder", "decoder")\n',
        '    set_grad("encoder")\n',
        also="generator_not_stepped generator_detached",
    ),
    f(
        "fake_weighs_little",
        "critic_halves_unequal",
        'bce(nets["discriminator"](x), 1.0) + bce(nets["discriminator"](fakes), 0.0)',
        'bce(nets["discriminator"](x), 1.0) + 0.03 * bce(nets["discriminator"](fakes), 0.0)',
        also="critic_fake_half_missing",
    ),
    f(
        "opts_of_one_net",
        "optimizer_other_player",
        '    name: torch.optim.Adam(net.parameters(), lr=config["lr"][name], betas=(config["beta1"], 0.99))',
        '    name: torch.optim.Adam(nets["decoder" if name == "discriminator" else name].parameters(), lr=config["lr"][name], betas=(config["beta1"], 0.99))',
        also="critic_not_stepped optimizer_misses_parameters",
    ),
    f(
        "same_profiles",
        "batch_repeated",
        'profiles[torch.randint(0, len(profiles), (config["batch"],))]',
        'profiles[: config["batch"]]',
        also="few_rows critic_overfitting generator_memorising rows_repeated",
    ),
    f(
        "critic_rate",
        "critic_step_too_large",
        '"discriminator": 2e-3}',
        '"discriminator": 2e-1}',
        also=CRITIC_FAST,
    ),
    f(
        "latents_scaled",
        "latent_mismatch",
        'reparameterize(mu, logvar), torch.randn(len(x), config["z_size"])))\n    fakes = nets["decoder"](z)\n    rec',
        'reparameterize(mu, logvar) * 0.05, torch.randn(len(x), config["z_size"]) * 0.05))\n    fakes = nets["decoder"](z)\n    rec',
        also=COLLAPSE,
    ),
    f(
        "fifty_profiles",
        "critic_overfitting",
        "profiles = data.ripples(3000)",
        "profiles = data.ripples(24)",
        '"discriminator": 2e-3}',
        '"discriminator": 8e-3}',
        also=FEW,
    ),
)
