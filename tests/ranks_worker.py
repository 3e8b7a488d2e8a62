"""What two processes of one run do together: ``tests/test_distributed.py`` starts both and reads what rank 0 prints."""

from __future__ import annotations

import dataclasses
import json
import sys

import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope import methods, penalties, training
from tightrope._plumbing.draws import normal
from tightrope._plumbing.errors import UserError
from tightrope.data import Sampler, open_data
from tightrope.losses import Loss
from tightrope.networks import NETWORKS
from tightrope.perturbations import AdaptiveStrength, Augmentation, InstanceNoise
from tightrope.training import NonFiniteError, distributed
from tightrope.training.ranks import Ranks

BATCH, LATENT = 16, 3
NOT_A_MEAN = ("seen",)  # a sum over the bits of a weight, by which a constraint knows it again


def small(seed: int = 0, dropout: bool = False) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(LATENT, 8, bias=False), nn.BatchNorm1d(8), nn.Softplus(), nn.Linear(8, 2))
    middle = nn.Dropout(0.5) if dropout else nn.Identity()
    return generator, nn.Sequential(nn.Linear(2, 8), middle, nn.Softplus(), nn.Linear(8, 1))


def normalised() -> tuple[nn.Module, nn.Module]:
    """With batch normalisation in the critic, whose running statistics are plain means over steps."""
    generator = small()[0]
    generator[-1] = nn.Linear(
        8, 2, bias=False
    )  # the critic takes a mean off: Adam would walk by a gradient of rounding
    norm = nn.BatchNorm1d(8, momentum=None)
    return generator, nn.Sequential(nn.Linear(2, 8, bias=False), norm, nn.Softplus(), nn.Linear(8, 1))


def conditional() -> tuple[nn.Module, nn.Module]:
    rng, data = torch.Generator().manual_seed(0), open_data("digits")
    classes, network = len(data.classes), NETWORKS["dcgan"]
    generator = network.generator(data.shape, latent=LATENT, classes=classes, width=4, rng=rng)
    return generator, network.critic(data.shape, classes=classes, width=4, rng=rng)


def trained(method, ranks, build=small, source="toy:ring", steps=20, state=None, **settings):
    """State and metrics after some steps, on these ranks or (None) in this process alone."""
    run = training.start(
        method, *build(), seed=0, latent=LATENT, shape=open_data(source).shape, batch_size=BATCH, **settings
    )
    sampler = Sampler(open_data(source), BATCH, seed=0, part=distributed.part(ranks))
    if state is not None:
        run.load_state_dict(state["run"])
        sampler.load_state_dict(state["sampler"])
    distributed.share(run, ranks)
    seen = []
    for step in training.train(run, sampler, steps=steps):
        seen.append([training.scalars(step.critic), training.scalars(step.generator)])
    return run, sampler, seen, step


def difference(a: training.Run, b: training.Run) -> float:
    """Largest difference of two runs' weights and statistics."""
    worst = 0.0
    for player in ("generator", "critic", "average"):
        theirs = getattr(b, player).state_dict()
        for key, value in getattr(a, player).state_dict().items():
            if key.rpartition(".")[2] not in NOT_A_MEAN:
                worst = max(worst, float((value.double() - theirs[key].double()).abs().max()))
    return worst


def against_one(ranks: Ranks, method, **settings) -> dict[str, float]:
    """Differences of weights, metrics and scores between these ranks and the leader alone with the whole batch."""
    run, _, seen, step = trained(method, ranks, **settings)
    run.ranks.compare(run.generator)
    run.ranks.compare(run.critic)

    def alone() -> dict[str, float]:
        single, _, expected, last = trained(method, None, **settings)
        metrics = max(
            abs(mine[key] - value) / (1 + abs(value))
            for ours, theirs in zip(seen, expected, strict=True)
            for mine, other in zip(ours, theirs, strict=True)
            for key, value in other.items()
        )
        moved = sum(
            float((p - q.detach()).abs().sum()) for p, q in zip(single.average.parameters(), start(), strict=False)
        )
        scores = float((step.critic.objective.d_real - last.critic.objective.d_real).abs().max())
        return {"weights": difference(run, single), "metrics": metrics, "scores": scores, "moved": moved}

    def start() -> list[torch.Tensor]:
        return [*(settings.get("build", small)())[0].parameters()]

    return ranks.meet(alone if ranks.leads else None)[0] or {}


def fixed_draws(critic, real, fake, *, rng=None):
    """A penalty that draws from rng directly, so that every rank would draw the same."""
    return softplus(critic(real + torch.randn(real.shape, generator=rng))).mean()


def own_draws(critic, real, fake, *, rng=None):
    return softplus(critic(real + normal(real.shape, rng))).mean()


def relative(first, second):
    """A loss that looks across samples: relativistic average."""
    return softplus(second.mean() - first).mean()


class OtherNorm(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x)


class Deviation(nn.Module):
    """Minibatch standard deviation, as critics have it."""

    def forward(self, x):
        return x + x.std(0).mean()


def refusals(ranks: Ranks) -> dict[str, str]:
    r1 = methods.build("r1")
    generator, critic = small()
    average = Loss("average", relative, lambda d_fake, d_real: relative(d_fake, d_real), paired=True)
    cases = {
        "loss": (dataclasses.replace(r1, loss=average, penalties=()), generator, critic, BATCH),
        "draws": (dataclasses.replace(r1, penalties=(penalties.Penalty(fixed_draws),)), generator, critic, BATCH),
        "layer": (r1, generator, nn.Sequential(nn.Linear(2, 8), Deviation(), nn.Linear(8, 1)), BATCH),
        "norm": (r1, nn.Sequential(nn.Linear(LATENT, 4), OtherNorm(4), nn.Linear(4, 2)), critic, BATCH),
        "uneven": (r1, generator, critic, 15),
        "adaptive": (
            dataclasses.replace(r1, perturbation=Augmentation(kind="ada", p=AdaptiveStrength())),
            generator,
            critic,
            BATCH,
        ),
    }
    said = {}
    for name, (method, g, c, batch) in cases.items():
        run = training.start(method, g, c, seed=0, latent=LATENT, batch_size=batch)
        try:
            distributed.share(run, ranks)
            said[name] = "taken"
        except UserError as error:
            said[name] = str(error)
    run = training.start(r1, *small(), seed=0, latent=LATENT, batch_size=BATCH)
    distributed.share(run, ranks)
    for name, size, value in (("batch", BATCH, 0.0), ("finite", BATCH // 2, float("nan") if ranks.rank else 0.0)):
        try:
            training.critic_step(run, torch.full((size, 2), value))
            said[name] = "taken"
        except (UserError, NonFiniteError) as error:
            said[name] = str(error)
    return said


def resumed(ranks: Ranks) -> dict[str, float]:
    """Twenty steps, of which the first ten or the last ten are taken by two ranks."""
    method = methods.build("wgan_gp")
    whole = trained(method, None)[0]
    found = {}
    for name, first, then in (("two_then_one", ranks, None), ("one_then_two", None, ranks)):
        run, sampler, *_ = trained(method, first, steps=10)
        state = {"run": run.state_dict(), "sampler": sampler.state_dict()}
        found[name] = difference(trained(method, then, steps=20, state=state)[0], whole)
        ranks.meet()
    return found


def masks(ranks: Ranks) -> float:
    """Share of dropout's decisions that two ranks make alike."""
    run = training.start(methods.build("dcgan"), *small(dropout=True), seed=0, latent=LATENT, batch_size=BATCH)
    torch.random.manual_seed(0)
    distributed.share(run, ranks)
    kept = [None] * 2
    torch.distributed.all_gather_object(kept, torch.nn.functional.dropout(torch.ones(1000)) > 0)
    return float((kept[0] == kept[1]).float().mean())


def everything(ranks: Ranks) -> dict[str, object]:
    found: dict[str, object] = {"methods": {n: against_one(ranks, methods.build(n)) for n in methods.METHODS}}
    noisy = dataclasses.replace(methods.build("wgan_gp"), perturbation=InstanceNoise(0.3))
    finite = penalties.Penalty(penalties.finite_difference_r1)
    own = penalties.Penalty(own_draws)
    srip = penalties.Penalty(penalties.soft_orthogonality, {"form": "srip", "weight": 0.1}, per_sample=False)
    found["more"] = {
        "noise": against_one(ranks, noisy),
        "srip": against_one(ranks, dataclasses.replace(methods.build("r1"), penalties=(srip,))),
        "finite": against_one(ranks, dataclasses.replace(methods.build("r1"), penalties=(finite, own))),
        "conditional": against_one(ranks, methods.build("sn_gan"), build=conditional, source="digits", steps=5),
        "auto": against_one(ranks, methods.build("wgan_gp", n_critic="auto", learning_rate=1e-3)),
        "critic_norm": against_one(ranks, methods.build("dcgan"), build=normalised),
    }
    found |= {"refusals": refusals(ranks), "resumed": resumed(ranks), "masks": masks(ranks)}
    return found


def main() -> None:
    torch.set_num_threads(1)
    with distributed.joined() as ranks:
        found = everything(ranks)
        said = [None] * 2
        torch.distributed.all_gather_object(said, found["refusals"]["finite"])
        found["finite_of_both"] = said
        if ranks.leads:
            print(json.dumps(found))
        failure = ""
        try:
            ranks.meet(_broken if ranks.leads else None)
        except (KeyError, UserError) as error:
            failure = f"{type(error).__name__}: {error}"
        print(f"rank {ranks.rank}: {failure}", file=sys.stderr)


def _broken() -> None:
    raise KeyError("the leader's own fault")


if __name__ == "__main__":
    main()
