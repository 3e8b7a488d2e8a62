"""The modern baseline (R3GAN, 2501.05441): relativistic pairing with R1 and R2 beside older methods on one budget.

*Images*: Fashion-MNIST at 16 pixels, DCGAN of width 8 without batch norm in the critic, one critic step in every arm,
at equal generator steps and at equal processor time. Rates are tuned for none (Adam at 1e-3 in all, critics with He's
weights, leaky ReLU); momentum is each method's own, and so is what the constraint of the orthogonal one starts with.
*Modes*: stacked digits, an image of independent digits, one a channel: 100 modes of two of the embedded ones at 8
pixels, at paper scale 1,000 of three of MNIST. A small classifier of single digits names the mode of a sample; counted
are modes met, and the divergence of their shares from the uniform, which the paper prints. At the ``cpu`` scale
training is under way, not settled.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tightrope import losses, methods
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Method
from tightrope.networks import NETWORKS
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference
from tightrope.studies.images import checkpoints, drawn, summary
from tightrope.studies.pictures import opened
from tightrope.training import start, train

PAPER, WHEN = "2501.05441", "2026-11-27"
MNIST = os.environ.get("TIGHTROPE_MNIST", "../shared/data/mnist")
RIVALS = ("wgan_gp", "sn_gan", "r1", "orthogonal_wgan", "dcgan")
COSTS = {"r3gan": 1.8, "ns_r1_r2": 1.8, "rp_r1": 1.5, "wgan_gp": 1.6, "sn_gan": 1.25, "r1": 1.5, "orthogonal_wgan": 1.4,
         "dcgan": 1.0}  # fmt: skip
"""Processor time of a step over one of ``dcgan``: all arms in turns in one process, the smallest of some blocks."""


def _cells(part: str, names: Sequence[str], steps: int, budget: str, **other: Any) -> tuple[Cell, ...]:
    """Arms; at equal time each takes as many steps as ``steps`` of R3GAN cost."""
    shared = {"part": part, "budget": budget, "width": 8, "latent": 64, "batch": 64, "rate": 1e-3, "gamma": 0.3}
    found = list[Cell]()
    for name in names:
        taken = steps if budget == "steps" else round(steps * COSTS["r3gan"] / COSTS[name])
        found += cells(**{**shared, "method": name, "steps": taken, "cost": COSTS[name], **other})
    return tuple(found)


def _parts(steps: int, counted: int, seeds: Sequence[int], channels: int, fakes: int, stacked: Mapping[str, Any],
           **other: Any) -> tuple[Part, ...]:  # fmt: skip
    """Images at either budget, and stacks of digits at equal time with the ablation of the paper."""
    images = {"data": "fashion_mnist", "pixels": 16, "checkpoints": 4, **other}
    modes = {"channels": channels, "fakes": fakes, **other, **stacked}
    every, ablation = ("r3gan", *RIVALS), ("r3gan", "ns_r1_r2", "rp_r1", *RIVALS)
    return (
        Part(_cells("images", every, steps, "steps", **images), tuple(seeds), seconds=steps * 0.02),
        Part(_cells("images", RIVALS, steps, "time", **images), tuple(seeds), seconds=steps * 0.025),
        Part(_cells("modes", ablation, counted, "time", **modes), tuple(seeds), seconds=counted * 0.012),
    )


SMALL, LARGE = {"data": "digits", "pixels": 8}, {"data": "mnist", "pixels": 16}
GRID = {
    "smoke": _parts(20, 20, (7800,), 2, 100, SMALL, **SMALL),
    "cpu": _parts(250, 1000, range(7800, 7806), 2, 5000, SMALL),
    "paper": _parts(100_000, 50_000, range(7800, 7810), 3, 25_600, LARGE, width=64),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One GAN: Frechet distances along training, or the modes of stacked digits at its end."""
    if cell["part"] == "modes":
        return _counted(cell, seed)
    return summary(list(checkpoints(_method(cell), cell, seed, _networks)))


def _method(cell: Cell) -> Method:
    name, rate, gamma = str(cell["method"]), float(cell["rate"]), float(cell["gamma"])
    if name in ("wgan_gp", "orthogonal_wgan"):
        return methods.build(name, learning_rate=rate, n_critic=1)
    if name in ("sn_gan", "dcgan"):
        return methods.build(name, learning_rate=rate)
    if name == "r1":
        return methods.build(name, learning_rate=rate, gamma=gamma)
    whole = methods.build("r3gan", learning_rate=rate, gamma=gamma)
    if name == "ns_r1_r2":
        return replace(whole, loss=losses.non_saturating)
    return replace(whole, penalties=whole.penalties[:1]) if name == "rp_r1" else whole


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["dcgan"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D = NETWORKS["dcgan"].critic(shape, width=width, rng=unused)
    return G, drawn(D, "he", rng)


@functools.cache
def digits(source: str, pixels: int, split: str) -> tuple[Tensor, Tensor]:
    """Single digits ``[n, 1, h, w]`` in training scale, and what they are."""
    data = opened(MNIST if source == "mnist" else source, pixels, split)
    batch = data.batch(torch.arange(len(data)))
    assert batch.labels is not None
    return batch.x, batch.labels


def stacks(x: Tensor, channels: int, batch: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Batches without end of independent digits, one a channel."""
    while True:
        yield x[torch.randint(len(x), (batch * channels,), generator=rng)].unflatten(0, (batch, channels)).squeeze(2)


@functools.cache
def _namer(source: str, pixels: int, steps: int = 800) -> tuple[nn.Module, float]:
    """A classifier of single digits, the same in every process on one machine, and its accuracy on the test split."""
    x, labels = digits(source, pixels, "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                nn.Linear(32 * (pixels // 4) ** 2, 10))  # fmt: skip
    optimizer, rng = torch.optim.Adam(network.parameters(), 2e-3), torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(x), (128,), generator=rng)
        optimizer.zero_grad()
        cross_entropy(network(x[rows]), labels[rows]).backward()
        optimizer.step()
    held, theirs = digits(source, pixels, "test")
    with torch.no_grad():
        return network, float((network(held).argmax(1) == theirs).float().mean())


def _counted(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Train on stacks of digits and count."""
    source, pixels, channels = str(cell["data"]), int(cell["pixels"]), int(cell["channels"])
    latent, batch, shape = int(cell["latent"]), int(cell["batch"]), (channels, pixels, pixels)
    streams = [torch.Generator().manual_seed(1000 * seed + k) for k in range(3)]
    G, D = _networks(cell, shape, streams[0])
    run = start(_method(cell), G, D, seed=seed, latent=latent, shape=shape, batch_size=batch, ema_half_life_images=0.0)
    real = stacks(digits(source, pixels, "train")[0], channels, batch, streams[1])
    for _ in train(run, real, steps=int(cell["steps"])):
        pass
    G.eval()
    return count_modes(G, latent, source, pixels, int(cell["fakes"]), channels, streams[2])


def count_modes(
    generator: nn.Module, latent: int, source: str, pixels: int, fakes: int, channels: int, rng: torch.Generator
) -> Mapping[str, Any]:
    """``modes`` met, ``kl`` of their shares from the uniform, share of ``sure`` samples, the classifier's accuracy."""
    namer, accuracy = _namer(source, pixels)
    count, names, certain, left = 10**channels, list[Tensor](), list[Tensor](), fakes
    with torch.no_grad():
        while left > 0:
            fake = generator(torch.randn(min(left, 500), latent, generator=rng))
            sure, digit = namer(fake.flatten(0, 1)[:, None]).softmax(1).max(1)
            names.append((digit.view(-1, channels) * 10 ** torch.arange(channels)).sum(1))
            certain.append((sure.view(-1, channels) > 0.9).all(1).float())
            left -= len(fake)
    shares = torch.bincount(torch.cat(names), minlength=count).double() / fakes
    kl = float(torch.special.xlogy(shares, shares * count).sum())
    return {"modes": int((shares > 0).sum()), "kl": round(kl, 6), "sure": float(torch.cat(certain).mean()),
            "accuracy": accuracy}  # fmt: skip


NEEDS = "16 processor minutes: tightrope study run modern"
ALONE = "all rivals stand at equal processor time as well, and the ablation is about the loss, not its price"


def _over(rival: str, budget: str) -> Contrast:
    """R3GAN against a rival on images: at equal steps, or the rival at R3GAN's processor time."""
    treated = {"part": "images", "method": "r3gan", "budget": "steps"}
    control = {"part": "images", "method": rival, "budget": budget}
    if budget == "steps":
        return Contrast(treated, control, ("method",), alone=ALONE)
    return Contrast(treated, control, ("method", "budget"), budget="time")


def _counting(rival: str) -> Contrast:
    treated, control = ({"part": "modes", "method": name} for name in ("r3gan", rival))
    return Contrast(treated, control, ("method",), budget="time")


def _lower(contrast: Contrast, measure: str, quantity: str) -> Any:
    return lambda rows: paired_difference(*pairs(rows, measure, contrast), quantity, below=0.0)


def _image_claim(rival: str, budget: str) -> Claim:
    contrast, words = _over(rival, budget), "equal steps" if budget == "steps" else "equal processor time"
    judge = _lower(contrast, "log_fd", f"log FD, r3gan less {rival}, {words}")
    return Claim(f"modern-{rival}-{budget}", PAPER, "abstract", f"R3GAN ends at a smaller FD than {rival}, at {words}.",
                 WHEN, judge, (contrast.treated, contrast.control), (contrast,), seeds=6, needs=NEEDS,
                 published="no number at this size", certainty="none")  # fmt: skip


def _mode_claim(rival: str, what: str, published: str) -> Claim:
    contrast = _counting(rival)
    judge = _lower(contrast, "kl", f"divergence of the modes' shares, r3gan less {rival}")
    return Claim(f"modern-modes-{rival}", PAPER, "section 4.1, StackedMNIST", what, WHEN, judge,
                 (contrast.treated, contrast.control), (contrast,), check=_recognised, seeds=6, needs=NEEDS,
                 published=published, certainty="quoted")  # fmt: skip


def _recognised(rows: Sequence[Row]) -> str:
    """What is counted must be digits, and the classifier must know them."""
    met = [row for row in rows if row.status == "ok"]
    if not met:
        return "every run diverged"
    accuracy = min(float(row.values["accuracy"]) for row in met)
    sure = float(np.mean([row.values["sure"] for row in met]))
    if accuracy < 0.95:
        return f"the classifier knows {accuracy:.3f} of the digits, below 0.95"
    return "" if sure >= 0.2 else f"the classifier is sure of {sure:.2f} of the samples, below 0.2"


def _covers(rows: Sequence[Row]) -> Finding:
    return average([one / 100 for one in values(rows, "modes", method="r3gan")], "share of the modes met", above=0.95)


CLAIMS = (
    *(_image_claim(rival, budget) for budget in ("steps", "time") for rival in RIVALS),
    Claim("modern-modes", PAPER, "section 4.1, StackedMNIST", "R3GAN meets more than 95 of 100 modes.", WHEN, _covers,
          ({"part": "modes", "method": "r3gan"},), check=_recognised, seeds=6, needs=NEEDS,
          published="1,000 of 1,000, divergence 0.078", certainty="quoted"),
    _mode_claim("ns_r1_r2", "With R1 and R2, pairing lowers the divergence of the modes' shares.",
                "0.078 with pairing, 0.927 without"),
    _mode_claim("rp_r1", "With pairing, R2 beside R1 lowers it.", "R1 alone diverges, gamma 0.1 to 100"),
    *(_mode_claim(rival, f"R3GAN has the lower divergence than {rival}, at equal time.", "none")
      for rival in ("wgan_gp", "dcgan")),
    *(Claim(f"modern-{name}", PAPER, place, sentence, WHEN, needs=needs, scale="paper", published=number,
            certainty="quoted")
      for name, place, sentence, needs, number in (
          ("cifar10", "section 4", "R3GAN reaches an FID below 2 on CIFAR-10.", "CIFAR-10 on GPUs", "1.96"),
          ("imagenet32", "section 4", "R3GAN reaches 1.27 on ImageNet at 32 pixels.", "ImageNet on GPUs", "1.27"),
          ("ffhq", "section 4", "R3GAN has a smaller FID than StyleGAN2 on FFHQ at 256 pixels.", "FFHQ on GPUs",
           "2.75; 7.0 against 7.5 in the ablation"),
          ("ablation", "section 3", "Without its tricks StyleGAN2 loses; the new loss and backbone win it back.",
           "FFHQ on GPUs", "FID 7.5, 12.5, 11.7, 7.0"),
      )),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """FD along training, mean over seeds, at either budget."""
    shown = {}
    for budget, words in (("steps", "equal steps"), ("time", "equal processor time")):
        found = {name: pick(rows, part="images", method=name, budget="steps" if name == "r3gan" else budget)
                 for name in ("r3gan", *RIVALS)}  # fmt: skip
        lines = [_mean(name, met) for name, met in found.items() if any(row.status == "ok" for row in met)]
        if lines:
            shown[f"Frechet distance at {words}"] = Chart(lines, title=words, x_label="share of training", log=True)
    return shown


def _mean(name: str, rows: Sequence[Row]) -> Line:
    trails = np.log(np.asarray([row.values["fd"] for row in rows if row.status == "ok"], dtype=float))
    return Line(name, np.arange(1.0, trails.shape[1] + 1) / trails.shape[1], np.exp(trails.mean(0)))
