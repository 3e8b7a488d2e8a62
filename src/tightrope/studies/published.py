"""The papers' own image experiments on their own data, at their size: GPU days, one command, resumable.

No machine of ours has run them. Whatever is smaller stands in the studies of each paper; here are the data sets, image
sizes, networks, rates and numbers of updates of the papers, as far as their texts or their authors' code name them.
Data lie in folders beside the checkout or where ``TIGHTROPE_CIFAR10``, ``TIGHTROPE_LSUN``, ``TIGHTROPE_STL10``,
``TIGHTROPE_CELEBA_HQ`` and ``TIGHTROPE_IMAGENET`` say. Distances are FIDs (10,000 samples, Inception-v3, whose weight
file goes into the cache folder's ``weights``); checkpoints are ten to a run.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tightrope import constraints, losses, methods, penalties
from tightrope.data import Dataset, Sampler, open_data
from tightrope.drawing.charts import Chart, Line
from tightrope.evaluation.features import FeatureNetwork, named_features
from tightrope.methods import Alternating, Constraint, Method
from tightrope.metrics import frechet_distance
from tightrope.networks import NETWORKS
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.penalties import Penalty
from tightrope.studies.design import (
    Cell,
    Claim,
    Contrast,
    Part,
    Picture,
    Row,
    Scale,
    canonical,
    cells,
    pairs,
    pick,
    values,
)
from tightrope.studies.findings import average, paired_difference, steadier
from tightrope.studies.images import Checkpoint, drawn, summary
from tightrope.studies.pictures import estimated, spread
from tightrope.training import Run, start, train

WHEN = "2026-11-27"
WGAN, ORTHOGONAL, CONDITIONING, SPECTRAL, CONVERGENCE = (
    "1701.07875", "1911.13060", "1802.08768", "1802.05957", "1801.04406")  # fmt: skip
PLACES = {"cifar10": "CIFAR10", "lsun": "LSUN", "stl10": "STL10", "celeba_hq": "CELEBA_HQ", "imagenet": "IMAGENET"}
COSTS = {"gan": 1.0, "wgan": 3.0, "gp": 4.4, "hard": 3.3, "soft": 3.2, "svd": 3.3, "ttur": 1.0, "plain": 1.0,
         "clamped": 1.2, "five": 4.0, "one": 1.0, "one_clamped": 1.1, "none": 1.0, "r1": 1.3, "sn": 3.2,
         "orthonormal": 3.5, "gp_sn": 4.6}  # fmt: skip
"""Time of a generator step relative to a plain one's."""


SMALLEST = {"sn_resnet": 32}
"""Fewest pixels of a network."""


def _arms(part: str, arms: Sequence[str], data: str, pixels: int, steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of one experiment; ``other`` holds what its paper says."""
    shared = {"part": part, "data": data, "pixels": pixels, "labels": False, "budget": "steps", "batch": 64,
              "checkpoints": 10, "fakes": 10_000, "features": "inception", "half_life": 0}  # fmt: skip
    return tuple(
        cell for arm in arms for cell in cells(**{**shared, "arm": arm, "cost": COSTS[arm], "steps": steps, **other})
    )


def _wgan(steps: int) -> Iterator[Cell]:
    """Section 4: three generators against one critic; the GAN beside them at DCGAN's rate."""
    for kind in ("dcgan", "plain", "mlp"):
        for arm, rate in (("wgan", 5e-5), ("gan", 2e-4)):
            yield from _arms("wgan", (arm,), "lsun", 64, steps, kind=kind, network="dcgan", width=64, latent=100,
                             rate=rate)  # fmt: skip


def _orthogonal(steps: int) -> Iterator[Cell]:
    """Settings are our reading, as in ``orthogonal_images``; WGAN-TTUR's are those of its authors' code."""
    shared: dict[str, Any] = {"network": "dcgan", "width": 64, "latent": 128}
    yield from _arms("orthogonal", ("hard", "soft", "svd", "gp"), "cifar10", 32, steps, rate=2e-4,
                     activation="groupsort", **shared)  # fmt: skip
    long = round(steps * COSTS["hard"] / COSTS["ttur"])
    shared |= {"rate": 1e-4, "activation": "leaky_relu", "budget": "time"}
    yield from _arms("orthogonal", ("ttur",), "cifar10", 32, long, **shared)


def _conditioning(steps: int) -> Iterator[Cell]:
    """Runs without and with clamping between 1 and 20; WGAN-GP with labels, of five critic steps and of one."""
    shared: dict[str, Any] = {"width": 64, "latent": 100}
    for data, pixels in (("cifar10", 32), ("stl10", 48)):
        yield from _arms("conditioning", ("plain", "clamped"), data, pixels, steps, network="dcgan", rate=2e-4,
                         **shared)  # fmt: skip
    yield from _arms("critic", ("five", "one", "one_clamped"), "cifar10", 32, steps, network="sn_resnet", rate=1e-4,
                     **{**shared, "labels": True})  # fmt: skip


def _convergence(steps: int) -> Iterator[Cell]:
    """R1 of weight 10 against none: RMSProp at 1e-4, one critic step, an average of the generator's weights."""
    for data, pixels, width, batch in (("cifar10", 32, 64, 64), ("lsun", 256, 64, 64), ("imagenet", 128, 64, 128),
                                       ("celeba_hq", 1024, 16, 24)):  # fmt: skip
        yield from _arms("convergence", ("none", "r1"), data, pixels, steps, network="mescheder_resnet", width=width,
                         latent=256, rate=1e-4, weight=10.0,
                         **{"batch": batch, "labels": data == "imagenet", "half_life": 693 * batch})  # fmt: skip


def _spectral(steps: int) -> Iterator[Cell]:
    """The ResNet under hinge loss; WGAN-GP with and without reparametrised weights."""
    shared: dict[str, Any] = {"width": 64, "latent": 128}
    yield from _arms("resnet", ("sn", "orthonormal"), "cifar10", 32, steps, network="sn_resnet", rate=2e-4, **shared)
    yield from _arms("reparametrised", ("gp", "gp_sn"), "cifar10", 32, steps, network="sn_cnn", rate=1e-4, **shared)


def _parts(seeds: int, steps: int, long: int, **other: Any) -> tuple[Part, ...]:
    """``steps`` of the papers that count 100,000, ``long`` of those that train several times as long."""
    made = (_wgan(long), _orthogonal(steps), _conditioning(steps), _convergence(long), _spectral(steps))
    parts = ({canonical(cell): cell for cell in ({**cell, **other} for cell in one)}.values() for one in made)
    return tuple(Part(tuple(one), tuple(range(8300, 8300 + seeds)), seconds=steps * 0.4) for one in parts)


TINY: dict[str, Any] = {"data": "digits", "pixels": 8, "checkpoints": 2, "batch": 8, "width": 8, "fakes": 64,
                        "features": "random"}  # fmt: skip
GRID = {"smoke": _parts(1, 4, 4, **TINY), "cpu": (), "paper": _parts(10, 100_000, 300_000)}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN, on the GPU where there is one: the distance along training, the critic's estimate, the spread.

    A loop of its own: ``images.checkpoints`` knows neither labels nor devices nor trained features, and a change there
    would make all committed rows of image studies those of another version.
    """
    data, latent, batch = _opened(*_source(cell), "train"), int(cell["latent"]), int(cell["batch"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    G, D = _networks(cell, data, torch.Generator().manual_seed(1000 * seed))
    method, judge = _method(cell), torch.Generator().manual_seed(1000 * seed + 1)
    run = start(method, G, D, seed=seed, latent=latent, shape=data.shape, batch_size=batch, device=device,
                ema_half_life_images=float(cell["half_life"]))  # fmt: skip
    steps, count = int(cell["steps"]), int(cell["checkpoints"])
    wanted = {max(round(steps * k / count), 1) for k in range(1, count + 1)}
    seen, recent = [], list[float]()
    for step in train(run, Sampler(data, batch, seed=seed), steps=steps):
        recent.append(estimated(method, step))
        if step.step in wanted:
            distance, width = _judged(run, cell, judge)
            seen.append(Checkpoint(step.step, distance, width, math.fsum(recent) / len(recent), run))
            recent.clear()
    return summary(seen)


def _method(cell: Cell) -> Method:
    arm, rate = str(cell["arm"]), float(cell["rate"])
    clamp: dict[str, Any] = {"low": 1.0, "high": 20.0, "units": "absolute", "learning_rate": rate}
    early, rms, hinge = Adam(rate, (0.5, 0.999)), RMSprop(rate, 0.99), Adam(rate, (0.0, 0.9))
    soft = Penalty(penalties.soft_orthogonality, {"weight": 1.0}, per_sample=False)
    r1 = methods.build("r1", gamma=float(cell.get("weight", 10.0)), learning_rate=rate)
    flat = Constraint(partial(constraints.bound_singular_values_, epsilon=0.0))
    known: dict[str, Any] = {
        "wgan": partial(methods.build, "wgan", learning_rate=rate),
        "gan": partial(Method, "gan", losses.non_saturating, early, early),
        "gp": partial(methods.build, "wgan_gp", learning_rate=rate),
        "gp_sn": lambda: replace(methods.build("wgan_gp", learning_rate=rate),
                                 constraint=Constraint(constraints.spectral_norm)),
        "ttur": partial(methods.build, "wgan_ttur", critic_learning_rate=3 * rate, generator_learning_rate=rate),
        "plain": partial(methods.build, "dcgan", learning_rate=rate),
        "clamped": partial(methods.build, "dcgan_clamped", **clamp),
        "five": partial(methods.build, "wgan_gp", learning_rate=rate, n_critic=5),
        "one": partial(methods.build, "wgan_gp", learning_rate=rate, n_critic=1),
        "one_clamped": partial(methods.build, "wgan_gp_clamped", n_critic=1, **clamp),
        "none": partial(Method, "none", losses.non_saturating, rms, rms),
        "r1": lambda: replace(r1, critic_optimizer=rms, generator_optimizer=rms),
        "sn": partial(methods.build, "sn_gan", learning_rate=rate, betas=(0.0, 0.9), n_critic=5),
        "orthonormal": partial(Method, "orthonormal", losses.hinge, hinge, hinge, Alternating(5), penalties=(soft,),
                               constraint=flat),
    }  # fmt: skip
    return known[arm]() if arm in known else methods.build("orthogonal_wgan", way=arm, learning_rate=rate)


def _networks(cell: Cell, data: Dataset, rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """The paper's networks; a WGAN's generator is DCGAN's, the same without batch norm, or an MLP of 512 units."""
    network, kind = NETWORKS[str(cell["network"])], cell.get("kind", "dcgan")
    named: dict[str, Any] = {"classes": len(data.classes) if cell["labels"] else 0, "rng": rng}
    shape, latent, width = data.shape, int(cell["latent"]), int(cell["width"])
    if kind == "mlp":
        mlp = NETWORKS["mlp"].generator
        G = mlp(shape, latent=latent, width=8 * width, depth=4, activation="relu", **named)
    elif kind == "plain":
        G = network.generator(shape, latent=latent, width=width, batch_norm=False, **named)
    else:
        G = network.generator(shape, latent=latent, width=width, **named)
    more = {"activation": str(cell["activation"])} if "activation" in cell else {}
    D = network.critic(shape, width=width, **named, **more)
    return G, drawn(D, "n002", rng) if cell["network"] == "dcgan" else D


@dataclass(frozen=True)
class _Real:
    """Features of held-out images ``[n, d]``, some of the images, and the network."""

    network: FeatureNetwork
    features: Tensor
    images: Tensor


def _source(cell: Cell) -> tuple[str, int]:
    """Data and size; a rehearsal's digits are enlarged where a network has a smallest size."""
    return str(cell["data"]), max(int(cell["pixels"]), SMALLEST.get(str(cell["network"]), 0))


@functools.cache
def _opened(name: str, pixels: int, split: str) -> Dataset:
    place = os.environ.get(f"TIGHTROPE_{PLACES[name]}", f"../shared/data/{name}") if name in PLACES else name
    return open_data(place, split=split, resolution=pixels, progress=False)


@functools.cache
def _real(name: str, pixels: int, features: str, count: int) -> _Real:
    data = _opened(name, pixels, "test")
    network, rows = named_features(features, data.shape), torch.arange(min(count, len(data)))
    parts = [data.batch(some).x for some in rows.split(256)]
    return _Real(network, torch.cat([network(x) for x in parts]), parts[0])


@torch.no_grad()
def _judged(run: Run, cell: Cell, rng: torch.Generator) -> tuple[float, float]:
    """Frechet distance of samples to held-out images, and their spread over that of those."""
    n, latent = int(cell["fakes"]), int(cell["latent"])
    real = _real(*_source(cell), str(cell["features"]), n)
    generator = run.generator if run.average is None else run.average
    training, device = generator.training, next(generator.parameters()).device
    classes = len(_opened(*_source(cell), "train").classes)
    z, labels = torch.randn(n, latent, generator=rng), torch.arange(n) % max(classes, 1)
    generator.eval()
    found, first = [], None
    for some, its in zip(z.split(256), labels.split(256), strict=True):
        more = (its.to(device),) if cell["labels"] else ()
        x = generator(some.to(device), *more).float().cpu()
        found.append(real.network(x))
        first = x if first is None else first
    generator.train(training)
    assert first is not None
    return float(frechet_distance(real.features, torch.cat(found))), spread(first) / spread(real.images)


ALONE = "the papers compare at equal generator steps"


def _against(
    treated: str, control: str, differs: Sequence[str] = (), *, budget: Any = "steps", **where: Any
) -> Contrast:
    other = "time" if budget == "time" else "steps"
    return Contrast({**where, "arm": treated, "budget": "steps"}, {**where, "arm": control, "budget": other},
                    differs=("arm", *differs), budget=budget, alone="" if budget == "time" else ALONE)  # fmt: skip


def _lower(contrast: Contrast, below: float = 0.0) -> Any:
    quantity = f"log FID of {contrast.treated['arm']} less {contrast.control['arm']}"
    return lambda rows: paired_difference(*pairs(rows, "log_fd", contrast), quantity, below=below)


def _steadier(contrast: Contrast) -> Any:
    quantity = "distance of log FID from the arm's median"
    return lambda rows: steadier(*pairs(rows, "log_fd", contrast), quantity)


def _claim(name: str, paper: str, place: str, sentence: str, needs: str, contrast: Contrast, judge: Any = None,
           published: str = "", sure: Any = "none") -> Claim:  # fmt: skip
    return Claim(name, paper, place, sentence, WHEN, judge or _lower(contrast), (contrast.treated, contrast.control),
                 (contrast,), needs=needs, scale="paper", published=published, certainty=sure)  # fmt: skip


PLAIN, MLP = (_against("wgan", "gan", ("rate",), part="wgan", kind=kind) for kind in ("plain", "mlp"))
GP = _against("hard", "gp", part="orthogonal")
TTUR = _against("hard", "ttur", ("activation", "rate", "budget"), budget="time", part="orthogonal")
CIFAR10, STL10 = (_against("clamped", "plain", part="conditioning", data=data) for data in ("cifar10", "stl10"))
FEWER, RESNET = _against("one_clamped", "five", part="critic"), _against("sn", "orthonormal", part="resnet")
WEIGHTS = _against("gp_sn", "gp", part="reparametrised")
R1 = {data: _against("r1", "none", part="convergence", data=data) for data in PLACES if data != "stl10"}
FOLLOWS: dict[str, Any] = {"part": "wgan", "arm": "wgan"}
CLAIMS = (
    Claim("wgan-lsun", WGAN, "section 4", "On LSUN bedrooms at 64 pixels the loss follows FID: above 0.7.", WHEN,
          lambda rows: average(values(rows, "follows", **FOLLOWS), "rank correlation along training", above=0.7),
          (FOLLOWS,), needs="LSUN and a GPU", scale="paper"),
    _claim("wgan-lsun-no-batch-norm", WGAN, "figure 6", "On LSUN, without batch norm, WGAN has the smaller FID.",
           "LSUN and a GPU", PLAIN, published="pictures alone", sure="quoted"),
    _claim("wgan-lsun-mlp", WGAN, "figure 7", "On LSUN, with an MLP generator, WGAN has the smaller FID.",
           "LSUN and a GPU", MLP, published="pictures alone", sure="quoted"),
    _claim("orth-cifar10", ORTHOGONAL, "abstract", "On CIFAR-10 the hard way has the smaller FID than WGAN-GP with "
           "the same activation; figures in circulation are not credible.",
           "CIFAR-10 on a GPU; nothing is compared with those figures", GP),
    _claim("orth-cifar10-ttur", ORTHOGONAL, "abstract", "On CIFAR-10 the hard way has the smaller FID than WGAN-TTUR, "
           "at equal time.", "CIFAR-10 on a GPU", TTUR),
    *(claim for data, said, one in (("cifar10", "CIFAR-10", CIFAR10), ("stl10", "STL-10", STL10)) for claim in (
        _claim(f"conditioning-{data}", CONDITIONING, "section 4", f"On {said} clamping lowers FID at equal steps.",
               f"{said} and a GPU", one, published="no table is confirmed", sure="quoted"),
        _claim(f"conditioning-{data}-variance", CONDITIONING, "abstract",
               f"On {said} clamping lowers the variance of FID between runs.", f"{said} and a GPU", one,
               _steadier(one), published="no table is confirmed", sure="quoted"))),
    _claim("conditioning-critic-steps-cifar10", CONDITIONING, "section 5",
           "With clamping a conditional WGAN-GP needs one critic step for five: at most 0.1 of log FID is lost.",
           "CIFAR-10 with labels on a GPU", FEWER, _lower(FEWER, 0.1), published="comparable scores", sure="quoted"),
    *(_claim(f"converge-{data.replace('_', '-')}", CONVERGENCE, place, sentence, needs, R1[data])
      for data, place, sentence, needs in (
          ("cifar10", "appendix", "On CIFAR-10, gamma 10 and one critic step, R1 ends at a smaller FID than none.",
           "CIFAR-10 on a GPU"),
          ("imagenet", "section 6.3", "On ImageNet at 128 pixels, 1,000 classes, R1 ends at a smaller FID than none.",
           "ImageNet on several GPUs"),
          ("lsun", "section 6.2", "On LSUN at 256 pixels R1 ends at a smaller FID than none.", "LSUN on several GPUs"),
          ("celeba_hq", "section 6.1", "On celebA-HQ at 1,024 pixels R1 ends at a smaller FID than none, without "
           "progressive growing.", "celebA-HQ on several GPUs"))),
    _claim("sn-resnet", SPECTRAL, "table 2", "With a ResNet on CIFAR-10 SN has the smaller FID than orthonormal "
           "regularisation.", "CIFAR-10 on a GPU", RESNET, published="FID 21.7 against 23.8", sure="paper"),
    _claim("sn-reparametrised", SPECTRAL, "table 7", "On CIFAR-10 SN reparametrisation lowers WGAN-GP's FID.",
           "CIFAR-10 on a GPU", WEIGHTS, published="FID 32.0 against 40.1", sure="paper"),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """The distance along training, one picture an experiment, mean over seeds."""
    shown = {}
    for part in dict.fromkeys(str(row.cell["part"]) for row in rows):
        named = {(str(r.cell["data"]), str(r.cell.get("kind", "")), str(r.cell["arm"])) for r in pick(rows, part=part)}
        lines = []
        for data, kind, arm in sorted(named):
            met = [r for r in pick(rows, part=part, data=data, arm=arm) if str(r.cell.get("kind", "")) == kind]
            if trails := [r.values["fd"] for r in met if r.status == "ok"]:
                line = np.mean(trails, 0)
                lines.append(Line(" ".join(filter(None, (data, kind, arm))), np.arange(1.0, len(line) + 1), line))
        if lines:
            title = f"Frechet distance, {part}"
            shown[title] = Chart(lines, title=title, x_label="checkpoint", log=True)
    return shown
