"""The healthy loops: twelve styles over six kinds of rows."""

from __future__ import annotations

from .case import Base

GP, SN = ("gp", 10.0), "spectral_norm"
CALM = {"lr": 5e-4, "lr_critic": 1e-3, "beta1": 0.0, "beta2": 0.99}  # what these loops hold without a penalty

BASES = {
    base.name: base
    for base in (
        Base("toggled-ring", "toggled", "ring", "non_saturating", None, 300, CALM),
        Base("toggled-digits", "toggled", "digits", "non_saturating", options={"norm_g": True, "latent": 16}),
        Base("prepared-shapes", "prepared", "shapes", "hinge", SN, 150,
             {**CALM, "lr": 2e-3, "lr_critic": 8e-3, "sn": True, "norm_g": True, "batch": 24}),
        Base("prepared-moons", "prepared", "moons", "hinge", SN, 250, {**CALM, "sn": True, "batch": 32}),
        Base("pooled-waves", "pooled", "waves", "least_squares", options={"l1": 3.0}),
        Base("closures-ring", "closures", "ring", "wasserstein", ("gp", 1.0), 250, {"gp": 1.0}),
        Base("closures-table", "closures", "table", "wasserstein", GP, 250, {"gp": 10.0}),
        Base("closures-moons", "closures", "moons", "non_saturating", None, 400,
             {"optimizer": "sgd", "lr": 0.02, "lr_critic": 0.2, "n_critic": 2}),
        Base("reversal-table", "reversal", "table", "minimax", None, 400, {**CALM, "lr_critic": 2e-3}),
        Base("reversal-moons", "reversal", "moons", "minimax", None, 400, {**CALM, "lr_critic": 2e-3}),
        Base("by_hand-ring", "by_hand", "ring", "non_saturating", ("r1", 0.1), 300, {"r1": 0.1, "lr_critic": 4e-3}),
        Base("by_hand-table", "by_hand", "table", "least_squares", None, 300, CALM),
        Base("two_scales-waves", "two_scales", "waves", "least_squares",
             options={**CALM, "batch": 32, "matching": 2.0}),
        Base("joint-digits", "joint", "digits", "non_saturating", None, 350,
             {**CALM, "lr": 1e-3, "lr_critic": 2e-3, "latent": 16}),
        Base("joint-shapes", "joint", "shapes", "wasserstein", GP, 150, {"gp": 10.0, "n_critic": 2, "batch": 24}),
        Base("joint-moons", "joint", "moons", "non_saturating", options={**CALM, "joint_in_both": True}),
        Base("projection-ring", "projection", "ring", "hinge", SN, 250, {**CALM, "sn": True}),
        Base("projection-digits", "projection", "digits", "hinge", SN, 250,
             {"sn": True, "lr_critic": 4e-3, "latent": 16, "batch": 32}),
        Base("autocast-ring", "autocast", "ring", "non_saturating", ("r1", 0.1), 250, {"r1": 0.1, "lr_critic": 4e-3}),
        Base("autocast-digits", "autocast", "digits", "non_saturating", ("r1", 1.0), 250,
             {"r1": 1.0, "lazy": 4, "latent": 16, "batch": 32}),
        Base("autocast-waves", "autocast", "waves", "hinge", ("r1", 10.0), 300,
             {**CALM, "lr": 1e-3, "lr_critic": 2e-3, "batch": 32, "r1": 10.0}),
        Base("averaged-shapes", "averaged", "shapes", "wasserstein", GP, 150,
             {"gp": 10.0, "norm_g": True, "batch": 24}),
        Base("averaged-table", "averaged", "table", "wasserstein", GP, 250, {"gp": 10.0}),
        Base("counted-moons", "counted", "moons", "wasserstein", ("clip", 0.1), 300, {"clip": 0.1, "lr": 1e-3}),
        Base("counted-table", "counted", "table", "wasserstein", ("clip", 0.1), 300, {"clip": 0.1, "lr": 1e-3}),
        Base("counted-digits", "counted", "digits", "least_squares", None, 300,
             {**CALM, "optimizer": "adam", "n_critic": 1, "latent": 16, "norm_g": True}),
    )
}  # fmt: skip
