"""Sound runs in which the faults are planted."""

from __future__ import annotations

from dataclasses import replace

from .plan import Net, Plan, Recipe

MLP = Net(width=48)
GP = Recipe("wgan", 3e-3, 3e-3, 0.5, 0.9, n_critic=3, penalty="gp", weight=1.0)
GP10 = Recipe("wgan", 2e-3, 2e-3, 0.0, 0.9, n_critic=3, penalty="gp", weight=10.0)
CLIP = Recipe("wgan", 5e-4, 5e-4, optimizer="rmsprop", n_critic=4, penalty="clip", weight=0.05)
R1 = Recipe("ns", penalty="r1", weight=0.1)
SN = Recipe("hinge", 1e-3, 4e-3, 0.0, 0.9)

DEV: dict[str, Plan] = {
    "tutorial": Plan("dcgan", "ring", MLP, R1, steps=160),
    "tutorial_prob": Plan("dcgan", "digits", Net("conv", 12, norm_g="bn"), Recipe("prob"), steps=100),
    "gp": Plan("wgan_gp", "ring", MLP, GP, steps=110),
    "gp_signal": Plan("wgan_gp", "sines", Net("conv1d", 12), GP10, steps=110),
    "gp_digits": Plan("wgan_gp", "digits", Net("conv", 10), replace(GP10, lr_g=1e-3, lr_d=1e-3), steps=80),
    "clip": Plan("wgan_gp", "ring", MLP, CLIP, steps=140),
    "labels": Plan(
        "trainer", "ring", Net(width=48), Recipe("ns", penalty="r1", weight=0.05, conditional=True), steps=150
    ),
    "sn": Plan("trainer", "digits", Net("conv", 12, norm_g="bn", norm_d="sn"), SN, steps=90),
    "average": Plan(
        "trainer", "ring", Net(width=48, norm_g="bn"), Recipe("ns", penalty="r1", weight=0.1, ema=0.95), steps=150
    ),
    "scaled": Plan("trainer", "ring", Net(width=40, depth=3, act="relu"), R1, odd="scaler", steps=150),
    "colour": Plan("trainer", "digits_colour", Net("conv", 12, norm_g="bn", norm_d="sn"), SN, steps=90),
    "least_squares": Plan("trainer", "sines", Net("conv1d", 12, act="silu"), Recipe("lsgan", 2e-3, 2e-3), steps=120),
    "table": Plan("ctgan", "customers", Net(width=40, norm_g="bn"), replace(GP10, lr_g=1e-3, lr_d=1e-3), steps=110),
    "table_plain": Plan("ctgan", "customers", Net(width=32), GP10, steps=110),
}

TEST: dict[str, Plan] = {
    "closure": Plan(
        "functional",
        "moons",
        Net(width=56, act="elu", latent=4),
        Recipe("ns", 1e-3, 2e-3, 0.0, penalty="r1", weight=0.2),
        steps=140,
    ),
    "closure_lazy": Plan(
        "functional",
        "moons",
        Net(width=64, depth=3, latent=6),
        Recipe("ns", 1.5e-3, 1.5e-3, 0.0, penalty="r1", weight=0.1, lazy=4),
        steps=140,
    ),
    "closure_sn": Plan(
        "functional",
        "fashion",
        Net("conv", 8, norm_g="gn", norm_d="sn"),
        Recipe("hinge", 1e-3, 2e-3, 0.0, 0.9, n_critic=2, batch=24),
        steps=70,
    ),
    "closure_ls": Plan(
        "functional", "chirps", Net("conv1d", 12, norm_d="ln"), Recipe("lsgan", 2e-3, 2e-3, batch=48), steps=110
    ),
    "closure_joint": Plan(
        "functional",
        "sensors",
        Net(width=48, act="relu"),
        Recipe("ns", 2e-3, 2e-3, penalty="r1", weight=0.1, joint=True, batch=80),
        steps=140,
    ),
    "closure_bn": Plan(
        "functional", "sensors", Net(width=48, norm_g="bn"), Recipe("hinge", 1e-3, 2e-3, batch=80), steps=170
    ),
    "vocoder": Plan("vocoder", "chirps", Net("conv1d", 12), Recipe("lsgan", 2e-3, 2e-3, 0.8, 0.99, batch=32), steps=90),
    "vocoder_hinge": Plan(
        "vocoder", "chirps", Net("conv1d", 12, norm_d="sn"), Recipe("hinge", 2e-3, 2e-3, 0.5, 0.9, batch=40), steps=80
    ),
    "phases": Plan(
        "phases",
        "fashion",
        Net("conv", 8, act="silu"),
        Recipe("ns", 2e-3, 2e-3, 0.0, penalty="r1", weight=0.05, lazy=4, ema=0.95, batch=24),
        steps=90,
    ),
    "phases_labels": Plan(
        "phases",
        "sensors",
        Net(width=56, latent=12),
        Recipe("ns", 3e-3, 3e-3, 0.0, penalty="r1", weight=0.05, conditional=True, ema=0.9),
        steps=130,
    ),
    "phases_moons": Plan(
        "phases",
        "moons",
        Net(width=48, depth=3, act="relu", norm_g="bn"),
        Recipe("ns", 1e-3, 2e-3, 0.0, penalty="r1", weight=0.1, ema=0.9),
        steps=140,
    ),
    "tutorial": Plan(
        "dcgan", "fashion", Net("conv", 8, norm_g="bn", dropout=0.2), Recipe("prob", 1e-3, 1e-3, batch=24), steps=80
    ),
    "tutorial_moons": Plan(
        "dcgan",
        "moons",
        Net(width=40, depth=3, act="tanh"),
        Recipe("ns", 1e-3, 1e-3, penalty="r1", weight=0.5),
        steps=140,
    ),
    "gp": Plan(
        "wgan_gp",
        "fashion",
        Net("conv", 8),
        Recipe("wgan", 2e-3, 2e-3, 0.0, 0.9, n_critic=2, penalty="gp", weight=5.0, batch=24),
        steps=80,
    ),
    "gp_chirps": Plan(
        "wgan_gp",
        "chirps",
        Net("conv1d", 8, norm_d="ln"),
        Recipe("wgan", 3e-3, 3e-3, 0.5, 0.9, n_critic=2, penalty="gp", weight=1.0, batch=32),
        steps=100,
    ),
    "clip": Plan(
        "wgan_gp",
        "moons",
        Net(width=64, act="relu"),
        Recipe("wgan", 5e-4, 5e-4, optimizer="rmsprop", n_critic=5, penalty="clip", weight=0.08),
        steps=120,
    ),
    "trainer_sn": Plan(
        "trainer",
        "fashion",
        Net("conv", 8, norm_g="bn", norm_d="sn", dropout=0.1),
        Recipe("hinge", 1e-3, 3e-3, 0.0, 0.9, batch=24),
        steps=80,
    ),
    "trainer_scaled": Plan(
        "trainer",
        "moons",
        Net(width=56),
        Recipe("ns", 1e-3, 2e-3, penalty="r1", weight=0.2),
        odd="bf16_scaler",
        steps=130,
    ),
    "colour": Plan(
        "trainer",
        "fashion_colour",
        Net("conv", 12, norm_g="gn", norm_d="sn"),
        Recipe("hinge", 1e-3, 3e-3, 0.0, 0.9, batch=24),
        steps=80,
    ),
    "table": Plan(
        "ctgan",
        "sensors",
        Net(width=48, norm_g="bn", latent=10),
        Recipe("wgan", 2e-3, 2e-3, 0.5, 0.9, n_critic=2, penalty="gp", weight=1.0, batch=80),
        steps=140,
    ),
}
