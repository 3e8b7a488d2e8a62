"""Does a Wasserstein GAN learn characters' n-grams? An open question of reading 1701.07875, answered on plain text.

Windows of 16 characters, lower case, 27 symbols (a to z and the space); a generator of one-dimensional convolutions
ends in a softmax, whose probabilities the critic sees beside one-hot real text, as in 1704.00028. Measured is the
Jensen-Shannon divergence (in nats) between n-grams of generated windows, each position's most probable symbol, and of
held-out text, beside two marks: its *floor*, of as many real windows, and that of *independent* characters of the right
frequencies, whose generator would know no order at all.

The text is Shakespeare's (``tinyshakespeare.txt`` in ``../shared/data/text`` beside the checkout, or where
``TIGHTROPE_TEXT`` says); the smoke scale takes the help pages that ship with Python.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tightrope import losses, methods
from tightrope._plumbing.errors import UserError
from tightrope.drawing.charts import Chart, Line, Reference
from tightrope.methods import Alternating, Method
from tightrope.networks.initialise import initialise_
from tightrope.optimizers.settings import Adam
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference
from tightrope.studies.pictures import rank
from tightrope.training import start, train

PAPER, WHEN = "1701.07875", "2026-11-27"
TEXT = os.environ.get("TIGHTROPE_TEXT", "../shared/data/text/tinyshakespeare.txt")
SYMBOLS = 27
COSTS = {"wgan_gp": 2.6, "gan": 1.4, "gan1": 0.5}
"""Processor time of a generator step with its critic steps: five of either GAN, one of ``gan1``; estimated from their
parts, so that no claim is made at equal time."""
ORDERS = (1, 2, 3, 4)


def _parts(steps: int, seeds: Sequence[int], text: str, windows: int, width: int) -> tuple[Part, ...]:
    made = tuple(
        cell
        for arm in COSTS
        for cell in cells(arm=arm, text=text, length=16, width=width, latent=64, batch=64, rate=5e-4, steps=steps,
                          checkpoints=8, windows=windows, cost=COSTS[arm])
    )  # fmt: skip
    return (Part(made, tuple(seeds), seconds=steps * 0.1),)


GRID = {
    "smoke": _parts(8, (8100,), "pydoc", 200, 8),
    "cpu": _parts(400, range(8100, 8106), "shakespeare", 4000, 32),
    "paper": _parts(100_000, range(8100, 8110), "shakespeare", 20_000, 512),
}


@functools.cache
def corpus(name: str) -> tuple[Tensor, Tensor]:
    """Symbols of the first nine tenths of a text and of the rest; what is no letter is a space, never two in a row."""
    if name == "pydoc":
        from pydoc_data.topics import topics

        raw = " ".join(topics[key] for key in sorted(topics))
    else:
        path = Path(TEXT)
        if not path.is_file():
            raise UserError(f"Expected Shakespeare's text at {path}, got no file; set TIGHTROPE_TEXT to it.")
        raw = path.read_text(encoding="utf-8")
    plain = re.sub("[^a-z]+", " ", raw.lower())
    codes = torch.from_numpy(np.frombuffer(plain.encode("ascii"), dtype=np.uint8).copy()).long()
    symbols = torch.where(codes == ord(" "), 0, codes - ord("a") + 1)
    cut = len(symbols) * 9 // 10
    return symbols[:cut], symbols[cut:]


def windows(text: Tensor, count: int, length: int, rng: torch.Generator) -> Tensor:
    """Random windows ``[count, length]`` of a text."""
    return text[torch.randint(len(text) - length, (count, 1), generator=rng) + torch.arange(length)]


def ngrams(text: Tensor, n: int) -> Tensor:
    """Shares of the n-grams within windows ``[count, length]``, ``[27 ** n]``."""
    code = sum(text[:, k : text.shape[1] - n + 1 + k] * SYMBOLS**k for k in range(n))
    assert isinstance(code, Tensor)
    counts = torch.bincount(code.flatten(), minlength=SYMBOLS**n).double()
    return counts / counts.sum()


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Divergence of two distributions in nats, from 0 to log 2."""
    middle = (p + q) / 2
    return float(sum(torch.special.xlogy(one, one / middle.clamp(min=1e-300)).sum() for one in (p, q))) / 2


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One GAN: ``js1`` to ``js4`` at the end, marks for each, and ``js2`` with the critic's estimate along training."""
    text, held = corpus(str(cell["text"]))
    length, batch, count = int(cell["length"]), int(cell["batch"]), int(cell["windows"])
    weights, stream, judge = (torch.Generator().manual_seed(1000 * seed + k) for k in range(3))
    G, D = networks(int(cell["latent"]), length, int(cell["width"]), weights)
    run = start(_method(cell), G, D, seed=seed, latent=int(cell["latent"]), shape=(SYMBOLS, length), batch_size=batch,
                ema_half_life_images=0.0)  # fmt: skip
    every, recent = max(int(cell["steps"]) // int(cell["checkpoints"]), 1), list[float]()
    reference = windows(held, count, length, judge)
    trail, estimates = list[float](), list[float]()
    for step in train(run, _batches(text, batch, length, stream), steps=int(cell["steps"])):
        recent.append(_estimate(run.method, step.critic.objective))
        if step.step % every == 0:
            trail.append(jensen_shannon(ngrams(_written(run, count, judge), 2), ngrams(reference, 2)))
            estimates.append(math.fsum(recent) / len(recent))
            recent.clear()
    written = _written(run, count, judge)
    arms = {"js": written, "floor": windows(text, count, length, judge),
            "independent": text[torch.randint(len(text), (count, length), generator=judge)]}  # fmt: skip
    found = {f"{name}{n}": jensen_shannon(ngrams(one, n), ngrams(reference, n))
             for name, one in arms.items() for n in ORDERS}  # fmt: skip
    return {**found, "trail": trail, "estimate": estimates, "follows": rank(estimates, trail)}


def _written(run: Any, count: int, rng: torch.Generator) -> Tensor:
    run.generator.eval()
    with torch.no_grad():
        found: Tensor = run.generator(torch.randn(count, run.latent, generator=rng)).argmax(1)
    run.generator.train()
    return found


def _batches(text: Tensor, batch: int, length: int, rng: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield nn.functional.one_hot(windows(text, batch, length, rng), SYMBOLS).transpose(1, 2).float()


def _estimate(method: Method, now: Any) -> float:
    """Wasserstein's distance, or Jensen and Shannon's, as the critic's last loss has it."""
    if method.loss is losses.wasserstein:
        return float(now.d_real.mean() - now.d_fake.mean())
    return math.log(2) - 0.5 * float(now.loss)


def _method(cell: Cell) -> Method:
    adam = Adam(float(cell["rate"]), (0.5, 0.9))
    if cell["arm"] == "wgan_gp":
        return replace(methods.build("wgan_gp"), critic_optimizer=adam, generator_optimizer=adam)
    return Method("gan", losses.non_saturating, adam, adam, Alternating(1 if cell["arm"] == "gan1" else 5))


class _Block(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(), nn.Conv1d(width, width, 5, padding=2), nn.ReLU(),
                                  nn.Conv1d(width, width, 5, padding=2))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + 0.3 * self.body(x)
        return found


def networks(latent: int, length: int, width: int, rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """Generator ``[batch, latent]`` to probabilities ``[batch, 27, length]``, and a critic of the same blocks."""
    G = nn.Sequential(nn.Linear(latent, width * length), nn.Unflatten(1, (width, length)), _Block(width), _Block(width),
                      nn.Conv1d(width, SYMBOLS, 1), nn.Softmax(1))  # fmt: skip
    D = nn.Sequential(nn.Conv1d(SYMBOLS, width, 1), _Block(width), _Block(width), nn.Flatten(),
                      nn.Linear(width * length, 1))  # fmt: skip
    for network in (G, D):
        initialise_(network, lambda _, w: (2 / w[0].numel()) ** 0.5, norm_std=0.02, rng=rng)
    return G, D


ALONE = "the question is whether it learns the order of characters, not at what price"
OVER_GAN, OVER_ONE = (Contrast({"arm": "wgan_gp"}, {"arm": other}, ("arm",), alone=ALONE) for other in ("gan", "gan1"))


def _ordered(rows: Sequence[Row]) -> Finding:
    """Divergence of bigrams over that of independent characters."""
    shares = [a / b for a, b in zip(values(rows, "js2"), values(rows, "independent2"), strict=True)]
    return average(shares, "divergence of bigrams over that of independent characters", below=0.5, log=True)


def _lower(contrast: Contrast) -> Any:
    quantity = f"divergence of bigrams, wgan_gp less {contrast.control['arm']}"
    return lambda rows: paired_difference(*pairs(rows, "js2", contrast), quantity, below=0.0)


def _follows(rows: Sequence[Row]) -> Finding:
    return average(values(rows, "follows"), "rank correlation of estimate and divergence along training", above=0.7)


def _claim(name: str, sentence: str, judge: Any, *contrasts: Contrast) -> Claim:
    where = [arm for one in contrasts for arm in (one.treated, one.control)] or [{"arm": "wgan_gp"}]
    return Claim(f"text-{name}", PAPER, "our question", sentence, WHEN, judge, where, contrasts, seeds=6,
                 certainty="none", needs="20 processor minutes: tightrope study run text")  # fmt: skip


CLAIMS = (
    _claim("bigrams", "WGAN-GP's bigrams are less than half as far from the text as those of independent characters.",
           _ordered),
    _claim("gan", "WGAN-GP's bigrams are nearer to the text than those of a GAN with five critic steps, equal steps.",
           _lower(OVER_GAN), OVER_GAN),
    _claim("gan-one", "WGAN-GP's bigrams are nearer than those of a GAN with one critic step, at equal steps.",
           _lower(OVER_ONE), OVER_ONE),
    _claim("follows", "WGAN-GP's estimate follows the divergence of bigrams along training, above 0.7.", _follows),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Divergence of bigrams along training, mean over seeds, with floor and independent characters."""
    lines, marks = [], list[Reference]()
    for arm in COSTS:
        if met := [row for row in pick(rows, arm=arm) if row.status == "ok"]:
            trails = np.asarray([row.values["trail"] for row in met], dtype=float)
            lines.append(Line(arm, np.arange(1.0, trails.shape[1] + 1), trails.mean(0)))
            marks = [Reference(name, float(np.mean([row.values[f"{name}2"] for row in met])))
                     for name in ("floor", "independent")]  # fmt: skip
    if not lines:
        return {}
    return {"Divergence of bigrams": Chart(lines, title="JS of bigrams", x_label="checkpoint", log=True,
                                                references=marks)}  # fmt: skip
