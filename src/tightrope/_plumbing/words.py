"""Names that people type: the nearest valid one, and choices out of a list."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from tightrope._plumbing.errors import UserError

ELSEWHERE: Final = {
    "learning-rate": "lr rate step-size glr dlr",
    "batch-size": "batch bs batch-gpu train-batch-size",
    "resolution": "image-size img-size size res imsize",
    "out": "outdir output output-dir results-dir logdir models-dir name save-dir desc",
    "device": "gpu gpus cuda gpu-ids",
    "images": "epochs n-epochs num-epochs kimg total-kimg",
    "steps": "num-train-steps iterations iters n-iter niter max-steps total-steps",
    "more-steps": "additional-steps",
    "flip": "mirror hflip dataset-aug-prob",
    "conditional": "cond class-cond",
    "keep-alpha": "transparent rgba",
    "augment": "aug aug-prob diffaug ada",
    "precision": "amp fp16 bf16 fp32 mixed-precision",
    "latent": "z-dim nz latent-dim noise-dim zdim",
    "width": "ngf ndf cbase channels-base network-capacity fmap-max",
    "n-critic": "critic-iters n-dis d-steps gradient-accumulate-every",
    "gamma": "r1-gamma reg-param lambda-r1",
    "weight": "lambda-gp gp-weight lambda",
    "checkpoint-every": "save-every snap snapshot checkpoint",
    "sample-every": "img-snap image-snap sample-interval save-image-every",
    "from-run": "load-from resume resume-from pretrained init-from",
    "network": "cfg arch architecture",
    "threads": "workers num-workers",
    "evaluate-every": "calculate-fid-every eval-every metrics fid-every",
    "log-every": "print-every display-freq tick",
    "ema-half-life-images": "ema ema-decay ema-kimg",
    "truncation": "trunc psi trunc-psi",
    "label": "class class-idx",
    "seed": "seeds random-seed manual-seed",
    "n": "num num-samples num-images samples num-image-tiles",
    "walk": "interpolate generate-interpolation latent-walk video",
}
"""Options here, and what other programs call them."""


def nearest(given: str, valid: Iterable[str]) -> str:
    """The valid name that means what another program's option means, or is spelt like it; empty when none is near."""
    names = list(valid)
    plain = given.lstrip("-").replace("_", "-").lower()
    known = {name.lstrip("-").replace("_", "-"): name for name in names}
    meant = next((here for here, theirs in ELSEWHERE.items() if here in known and plain in theirs.split()), None)
    return known[meant] if meant else next(iter(difflib.get_close_matches(given, names, n=1)), "")


def closest(given: str, valid: Iterable[str]) -> str:
    """``" (did you mean ...?)"``, or nothing when no valid name is near."""
    near = nearest(given, valid)
    return f" (did you mean {near}?)" if near else ""


def one_of(name: str, value: object, valid: Iterable[str]) -> None:
    """Refuse what is none of the valid words.

    Args:
        name: What is chosen, as the sentence calls it: ``"a method"``, ``"loss"``.
        value: What was given.
        valid: The words to choose from.

    Raises:
        UserError: It is none of them; the sentence lists them and names the nearest.
    """
    words = list(valid)
    if value not in words:
        near = closest(value, words) if isinstance(value, str) else ""
        raise UserError(f"Expected {name} out of {', '.join(words)}, got {value!r}{near}.")
