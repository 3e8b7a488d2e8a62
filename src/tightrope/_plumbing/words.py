"""Names that people type: the nearest valid one, and choices out of a list."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from tightrope._plumbing.errors import UserError

ELSEWHERE: Final = {
    "learning-rate": "lr rate step-size glr dlr lr-g lr-d g-lr d-lr",
    "batch-size": "batch bs batch-gpu train-batch-size batchsize",
    "resolution": "image-size img-size size res imsize imagesize sz image-resolution img-resolution crop-size "
    "load-size fine-size",
    "out": "outdir output output-dir results results-dir logdir log-dir models-dir name save-dir save-path desc outf o "
    "out-dir exp-name run-name checkpoint-dir",
    "device": "gpu gpus cuda gpu-ids gpu-id use-cuda no-cuda accelerator devices",
    "more-steps": "additional-steps extra-steps epochs",
    "images": "epochs n-epochs num-epochs max-epochs total-epochs nepoch kimg total-kimg",
    "steps": "num-train-steps iterations iters n-iter n-iters niter max-steps max-iter max-iters total-steps "
    "total-iters num-steps train-iters train-steps",
    "minutes": "time hours max-time seconds",
    "flip": "mirror hflip horizontal-flip random-flip dataset-aug-prob",
    "channels": "grayscale greyscale nc num-channels n-channels image-channels in-channels",
    "conditional": "cond class-cond class-conditional conditional-gan",
    "keep-alpha": "transparent rgba alpha-channel",
    "limit": "max-images num-images max-samples subset max-train-samples",
    "augment": "aug aug-prob diffaug diffaugment diff-augment diff-aug ada augmentation",
    "precision": "amp fp16 bf16 fp32 half bfloat16 float16 mixed-precision dtype",
    "latent": "z-dim nz latent-dim latent-size noise-dim noise-size zdim dim",
    "width": "ngf ndf cbase channels-base network-capacity fmap-max hidden-dim",
    "betas": "beta1 beta2 b1 b2 beta-1 beta-2 adam-beta1 adam-beta2 adam-betas",
    "optimizer": "opt optim optimiser",
    "n-critic": "critic-iters n-dis d-steps num-d-steps d-iters disc-iters gradient-accumulate-every",
    "gamma": "r1-gamma reg-param lambda-r1 r1 r1-weight lambda lambda-gp gp-weight",
    "weight": "lambda-gp gp-weight gp lambda lambda-gradient-penalty gamma",
    "checkpoint-every": "save-every save-freq save-interval snap snapshot checkpoint checkpoint-freq "
    "checkpoint-interval",
    "sample-every": "img-snap image-snap sample-interval sample-freq save-image-every",
    "from-run": "load-from resume resume-from pretrained init-from finetune fine-tune load ckpt weights",
    "network": "cfg arch architecture model backbone generator",
    "method": "loss algo algorithm gan-type gan-mode gan-loss trainer",
    "threads": "workers num-workers num-threads n-cpu",
    "metrics": "fid metric kid is prdc",
    "evaluate-every": "calculate-fid-every eval-every metrics fid-every fid eval-freq eval-interval",
    "evaluate-n": "calculate-fid-num-images fid-num-images",
    "log-every": "print-every print-freq display-freq log-freq log-interval tick",
    "ema-half-life-images": "ema ema-decay ema-beta ema-kimg",
    "tensorboard": "tb use-aim aim",
    "wandb": "use-wandb wandb-project",
    "truncation": "trunc psi trunc-psi truncation-psi",
    "label": "class class-idx cls category labels",
    "step": "checkpoint ckpt epoch snapshot",
    "seed": "seeds random-seed manual-seed manualseed random-state",
    "fake": "generated gen fakes generated-images samples",
    "n": "num num-samples num-images samples num-image-tiles count n-samples",
    "walk": "interpolate interpolation interp generate-interpolation latent-walk video",
    "real": "reference ref real-images",
    "features": "feature-extractor feature-network",
    "push": "hub push-to-hub repo repo-id",
    "watch": "live follow",
    "skip-broken": "ignore-errors skip-errors",
    "quiet": "no-progress silent",
}
"""Options here, and what other programs call them."""

OF_COMMANDS: Final = {
    "sample": "truncation label by-class walk step",
    "evaluate": "metrics features real fake",
    "resume": "more-steps",
    "report": "watch",
    "export": "push",
}
"""Options that one command alone has, looked for at others."""

PREFIXES: Final = ("use", "num", "n", "max", "total", "train", "the")
"""Words before an option's name that change nothing of what it means."""

NEAR, NEAR_OPTION = 0.6, 0.76
"""How alike two words must be, of 1, for one to be a misspelling of the other; options have much in common anyway."""


def nearest(given: str, valid: Iterable[str]) -> str:
    """The valid name that means what another program's option means, or is spelt like it; empty when none is near."""
    names = list(valid)
    known = {_plain(name): name for name in names}
    plain = _plain(given)
    shorter = plain.partition("-")[2] if plain.partition("-")[0] in PREFIXES else plain
    for word in (plain, shorter):
        for here, theirs in ELSEWHERE.items():
            if here in known and word in theirs.split():
                return known[here]
        if word in known:
            return known[word]
    near = difflib.get_close_matches(plain, known, n=1, cutoff=NEAR_OPTION if given.startswith("--") else NEAR)
    return known[near[0]] if near else ""


def _plain(name: str) -> str:
    """A name without its dashes, ``aBigName``, ``a_big_name`` and ``A-Big-Name`` alike."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name.lstrip("-"))
    return spaced.replace("_", "-").lower()


def closest(given: str, valid: Iterable[str]) -> str:
    """``" (did you mean ...?)"``; for an option of another command which one; or nothing when no valid name is near."""
    near = nearest(given, valid)
    if not near and given.startswith("--"):
        return next(
            (f" (tightrope {other} has it)" for other, has in OF_COMMANDS.items() if nearest(given, has.split())), ""
        )
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
