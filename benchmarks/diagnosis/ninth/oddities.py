"""Harmless oddities, three of most scripts: nothing of what is claimed becomes untrue."""

from __future__ import annotations

from functools import partial

from benchmarks.diagnosis.third.case import oddity

o = partial(oddity, "mimicry_chevrons")
MIMICRY = (
    o("three_critic_turns", "n_dis=2", "n_dis=3"),
    o("not_detached", "num_images=real_batch.shape[0]).detach()", "num_images=real_batch.shape[0])"),
    o("rates_kept", "start_step=num_steps // 2", "start_step=num_steps"),
)
o = partial(oddity, "fastgan_crosses")
FASTGAN = (
    o("no_reconstruction", '"--rec", type=float, default=0.3', '"--rec", type=float, default=0.0'),
    o("not_augmented", 'policy = "color,translation"', 'policy = ""'),
    o("average_quicker", "avg_p.mul_(0.9).add_(0.1 * p.data)", "avg_p.mul_(0.8).add_(0.2 * p.data)"),
)
o = partial(oddity, "amp_gaits")
MOTION = (
    o("longer_replay", "storage = ReplayBuffer(4, 256)", "storage = ReplayBuffer(4, 512)"),
    o("no_replay", "storage = ReplayBuffer(4, 256)", "storage = ReplayBuffer(4, 64)"),
    o(
        "squares_written_out",
        "expert_loss = mse(expert_d, torch.ones(expert_d.size()))",
        "expert_loss = ((expert_d - 1) ** 2).mean()",
    ),
)
o = partial(oddity, "vaegan_ripples")
VAEGAN = (
    o("less_reconstruction", '"lambda_rec": 2.0', '"lambda_rec": 1.0'),
    o("weaker_divergence", '"lambda_kl": 0.02', '"lambda_kl": 0.005'),
    o(
        "one_optimiser_first",
        '    for name in ("encoder", "decoder"):\n        opts[name].step()\n',
        '    for name in ("decoder", "encoder"):\n        opts[name].step()\n',
    ),
)
o = partial(oddity, "adaphases_glints")
PHASES = (
    o("r1_every_time", "D_reg_interval=4", "D_reg_interval=1"),
    o("never_augmented", "* 0.02\n", "* 0.0\n"),
    o("average_shorter", "ema_kimg=0.3", "ema_kimg=0.15"),
)
o = partial(oddity, "pwg_bells")
CONFIGURED = (
    o("clipped_harder", '"discriminator_grad_norm": 10.0', '"discriminator_grad_norm": 1.0'),
    o("never_clipped", '"generator_grad_norm": 10.0', '"generator_grad_norm": -1'),
    o("aux_half", '"lambda_aux": 0.3', '"lambda_aux": 0.15'),
)
o = partial(oddity, "relgan_phrases")
WORDS = (
    o("three_critic_turns", "self.adv_train_discriminator(2)", "self.adv_train_discriminator(3)"),
    o("linear_temperature", ', "exp"', ', "lin"'),
    o(
        "softplus_written_out",
        "        d_loss = bce_loss(d_out_real - d_out_fake, torch.ones_like(d_out_real))",
        "        d_loss = F.softplus(d_out_fake - d_out_real).mean()",
    ),
)
o = partial(oddity, "medgan_codes")
RECORDS = (
    o("pretrained_longer", "pretrainSteps=120", "pretrainSteps=300"),
    o(
        "two_turns",
        "discriminatorTrainPeriod, generatorTrainPeriod = 1, 1",
        "discriminatorTrainPeriod, generatorTrainPeriod = 2, 1",
    ),
    o("no_l2", "l2scale = 0.001", "l2scale = 0.0"),
)
o = partial(oddity, "fabric_tides")
FABRIC = (
    o("l1_of_four", "l1_weight=2.0", "l1_weight=4.0"),
    o(
        "never_frozen",
        "            p.requires_grad_(False)\n        yield\n",
        "            p.requires_grad_(True)\n        yield\n",
    ),
    o("clipped_at_one", "max_norm=5.0", "max_norm=1.0"),
)
o = partial(oddity, "projected_checks")
PROJECTED = (
    o(
        "sums_of_halves",
        "    loss_Dgen.backward()\n",
        "",
        "    loss_Dreal.backward()\n",
        "    (loss_Dreal + loss_Dgen).backward()\n",
    ),
    o("same_latents", "        gen_img = G(torch.randn(len(phase_real_img), 16))\n", "        gen_img = G(gen_z)\n"),
    o("two_scales_weigh", "def __init__(self, num_discs=3)", "def __init__(self, num_discs=2)"),
)
o = partial(oddity, "notebook_lissajous")
NOTEBOOK = (
    o("five_turns", "    n_critic: int = 3", "    n_critic: int = 5"),
    o("slower_alpha", "    alpha: float = 0.9\n", "    alpha: float = 0.99\n"),
    o("gradient_of_gen_too", "critic(gen(z).detach())", "critic(gen(z))"),
)
o = partial(oddity, "torchganish_clover")
OBJECTS = (
    o("five_turns", "ncritic=3", "ncritic=5"),
    o(
        "eps_reversed",
        "between = (eps * real_inputs + (1 - eps) * fake)",
        "between = (eps * fake + (1 - eps) * real_inputs)",
    ),
    o(
        "leaky_units",
        "hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus(),",
        "hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Softplus(),",
    ),
)
o = partial(oddity, "fgan_wedges")
DIVERGENCES = (
    o("pearson", 'divergence="jensen_shannon"', 'divergence="pearson"'),
    o("one_turn", "step(v_steps=2)", "step(v_steps=1)"),
    o("beta_zero", "beta=0.5", "beta=0.0"),
)
o = partial(oddity, "rahinge_knots")
RELATIVE = (
    o(
        "graph_of_real_kept",
        "        with torch.no_grad():\n            r_scores = dis(x_real)\n",
        "        r_scores = dis(x_real)\n",
    ),
    o("rates_kept", "decay = lambda it: 1.0 if it < TOTAL // 2", "decay = lambda it: 1.0 if it < TOTAL"),
    o("same_rates", "LR_G, LR_D, B1, B2 = 1e-3, 4e-3", "LR_G, LR_D, B1, B2 = 2e-3, 2e-3"),
)
o = partial(oddity, "state_leaves")
STATES = (
    o("smaller_classes", "per_class=12", "per_class=6"),
    o("average_quicker", "gamma=0.1, decay=0.9)", "gamma=0.1, decay=0.8)"),
    o(
        "same_latents",
        "        z_d, z_g = torch.randn(2, len(batch.x), NOISE)\n",
        "        z_d = z_g = torch.randn(len(batch.x), NOISE)\n",
    ),
)
o = partial(oddity, "quant_returns")
RETURNS = (
    o(
        "two_backwards",
        "        disc_loss = criterion(netD(real), torch.full((batch_size, 1), 1.0)) + criterion(\n",
        "        criterion(netD(real), torch.full((batch_size, 1), 1.0)).backward()\n        disc_loss = criterion(\n",
    ),
    o(
        "new_noise_for_generator",
        "        gen_loss = criterion(netD(fake), torch",
        "        noise = get_noise(batch_size)\n        gen_loss = criterion(netD(netG(noise)), torch",
    ),
    o(
        "clipped",
        "        optG.step()\n",
        "        nn.utils.clip_grad_norm_(netG.parameters(), 1.0)\n        optG.step()\n",
    ),
)
o = partial(oddity, "hfargs_bows")
ARGUMENTS = (
    o("never_resumed", "    resume_once: bool = True\n", "    resume_once: bool = False\n"),
    o("no_accumulation", "    gradient_accumulation_steps: int = 2\n", "    gradient_accumulation_steps: int = 1\n"),
    o("longer_warmup", "    warmup_steps: int = 10\n", "    warmup_steps: int = 30\n"),
)
o = partial(oddity, "calo_showers")
SHOWERS = (
    o("four_turns", "\nncrit = 2\n", "\nncrit = 4\n"),
    o(
        "with_replacement",
        "        rows = self.order[self.at : self.at + self.batch]\n",
        "        rows = torch.randint(len(self.showers), (self.batch,))\n",
    ),
    o("scale_of_one", "\nloss_scale = 256\n", "\nloss_scale = 1\n"),
)
