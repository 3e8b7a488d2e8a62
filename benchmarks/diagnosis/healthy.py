"""Healthy runs: plain recipes, and oddities that look wrong and are sound."""

from __future__ import annotations

from dataclasses import replace

from .bases import CLIP, DEV, GP10, R1, SN, TEST
from .plan import Net, Plan, Recipe


def _with(plan: Plan, odd: str = "", net: dict | None = None, steps: int = 0, **numbers) -> Plan:
    recipe = replace(plan.recipe, **numbers)
    return replace(
        plan, odd=odd or plan.odd, net=replace(plan.net, **(net or {})), recipe=recipe, steps=steps or plan.steps
    )


def healthy_dev() -> list[Plan]:
    """One run of each base of the development set, and oddities."""
    d = DEV
    return [
        *d.values(),
        _with(d["tutorial"], "both_flipped"),
        _with(d["gp"], "both_flipped"),
        _with(d["tutorial"], "no_detach"),
        _with(d["table"], "no_detach"),
        _with(d["tutorial"], "clip_gradients"),
        _with(d["gp"], "clip_gradients"),
        _with(d["sn"], "clip_gradients"),
        _with(d["tutorial"], "smooth_labels"),
        _with(d["tutorial"], "instance_noise"),
        _with(d["tutorial_prob"], "instance_noise"),
        _with(d["tutorial"], "cosine"),
        _with(d["gp"], "no_toggle"),
        _with(d["gp"], "one_sided"),
        _with(d["gp"], "drift"),
        _with(d["gp"], "epochs"),
        _with(d["labels"], "bf16"),
        _with(d["average"], "scaler"),
        _with(d["table"], "decay_generator"),
        _with(d["gp_signal"], "uniform_latents"),
        _with(d["tutorial"], lazy=4),
        _with(d["labels"], lazy=8, weight=0.05),
        _with(d["tutorial"], weight=3.0),
        _with(d["tutorial"], beta1=0.9, lr_g=5e-4, lr_d=1e-3, weight=2.0, steps=200),
        _with(d["gp"], optimizer="adamw"),
        _with(d["clip"], weight=0.01),
        _with(d["least_squares"], "zero_one"),
        _with(d["least_squares"], net={"dropout": 0.3}),
        _with(d["gp"], net={"norm_d": "ln"}),
        _with(d["gp"], batch=16),
        _with(d["tutorial_prob"], net={"norm_d": "bn"}),
        _with(d["tutorial"], penalty=""),
        _with(d["average"], ema=0.99),
        Plan("trainer", "customers", Net(width=32, norm_d="sn"), SN, steps=130),
        Plan("ctgan", "customers", Net(width=32, norm_g="bn", dropout=0.2), replace(GP10, n_critic=1), steps=140),
        Plan("wgan_gp", "customers", Net(width=40, act="silu"), GP10, steps=110),
        Plan("dcgan", "sines", Net("conv1d", 12, norm_g="bn"), replace(R1, weight=0.02), steps=90),
        Plan("wgan_gp", "digits_flat", Net(width=64), replace(CLIP, weight=0.1), steps=100),
    ]


def healthy_test() -> list[Plan]:
    """One run of each base of the test set, and oddities: other than the development set's, or in other loops."""
    t = TEST
    return [
        *t.values(),
        _with(t["closure"], "both_flipped"),
        _with(t["closure_ls"], "both_flipped"),
        _with(t["closure_sn"], "both_flipped"),
        _with(t["closure"], "sum_loss"),
        _with(t["closure_ls"], "sum_loss"),
        _with(t["closure"], "augmented"),
        _with(t["closure_bn"], "augmented"),
        _with(t["closure"], "replay_bank"),
        _with(t["closure_sn"], "replay_bank"),
        _with(t["closure_bn"], "micro_batches"),
        _with(t["closure"], "micro_batches"),
        _with(t["closure"], "output_decay"),
        _with(t["closure_bn"], "sampled_in_eval"),
        _with(t["closure"], "cosine"),
        _with(t["closure"], "epochs"),
        _with(t["closure"], "uniform_latents"),
        _with(t["closure"], weight=5.0),
        _with(t["closure"], penalty=""),
        _with(t["closure"], n_critic=3),
        _with(t["closure"], optimizer="rmsprop", lr_g=3e-4, lr_d=5e-4),
        _with(t["closure"], beta1=0.9, lr_g=5e-4, lr_d=1e-3, weight=2.0),
        _with(t["closure"], lazy=16, weight=0.05),
        _with(t["closure_joint"], net={"norm_d": "ln"}),
        _with(t["phases"], "nan_to_num"),
        _with(t["phases"], lazy=16, weight=0.02),
        _with(t["phases_moons"], lazy=8, weight=0.05),
        _with(t["phases_moons"], ema=0.98),
        _with(t["phases_labels"], net={"dropout": 0.2}),
        Plan(
            "phases",
            "fashion",
            Net("conv", 8, norm_g="bn", norm_d="sn"),
            Recipe("hinge", 1e-3, 2e-3, 0.0, 0.9, ema=0.9, batch=24),
            steps=80,
        ),
        _with(t["tutorial"], "smooth_labels"),
        _with(t["tutorial_moons"], "instance_noise"),
        _with(t["tutorial_moons"], "clip_gradients"),
        _with(t["tutorial_moons"], "no_detach"),
        _with(t["gp"], "one_sided"),
        _with(t["gp_chirps"], "drift"),
        _with(t["gp_chirps"], "no_toggle"),
        _with(t["gp"], "clip_gradients"),
        _with(t["clip"], weight=0.02),
        _with(t["clip"], net={"act": "tanh"}),
        _with(t["trainer_sn"], "clip_gradients"),
        _with(t["trainer_sn"], "bf16"),
        _with(t["trainer_sn"], optimizer="adamw"),
        _with(t["table"], "decay_generator"),
        _with(t["table"], "no_detach"),
        _with(t["table"], net={"dropout": 0.3}),
        _with(t["vocoder"], net={"width": 16}),
        _with(t["vocoder"], batch=16),
        Plan(
            "vocoder",
            "chirps",
            Net("conv1d", 12, act="silu"),
            Recipe("hinge", 1e-3, 1e-3, 0.5, 0.9, batch=24),
            steps=80,
        ),
        Plan(
            "trainer",
            "sensors",
            Net(width=40, depth=3, norm_g="ln"),
            Recipe("lsgan", 1e-3, 1e-3, batch=80),
            odd="zero_one",
            steps=140,
        ),
        Plan(
            "wgan_gp",
            "sensors",
            Net(width=40),
            Recipe("wgan", 1e-3, 1e-3, 0.0, 0.9, n_critic=3, penalty="gp", weight=1.0, batch=80),
            steps=110,
        ),
    ]
