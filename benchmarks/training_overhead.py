"""What the library costs over a hand-written loop of the same networks and method, in the same process.

    OMP_NUM_THREADS=1 python benchmarks/training_overhead.py

One step is a critic and a generator update on batches of one size. The bare loop is what a careful person writes in
plain PyTorch: fakes under no_grad, the critic frozen in the generator's update, one forward each for real and fake, R1
from scores already computed, fused Adam. It has no schedule, average, finite check or counters; the fair one adds what
ours does for the user as well: an average of the generator, both gradient norms, and a check that they are finite.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tightrope import methods
from tightrope.networks import NETWORKS
from tightrope.training import critic_step, generator_step, start
from timing import Row, dearer, interleaved, options, record


def networks(name: str, shape: tuple[int, ...], latent: int, **options: object) -> tuple[nn.Module, nn.Module]:
    rng = torch.Generator().manual_seed(0)
    network = NETWORKS[name]
    return network.generator(shape, latent=latent, rng=rng, **options), network.critic(shape, rng=rng, **options)


def bare_loop(
    generator: nn.Module, critic: nn.Module, latent: int, *, gamma: float | None, fair: bool
) -> Callable[[Tensor], None]:
    """Non-saturating loss, optionally with R1, as a plain loop body; ``fair`` as in this file's first words."""
    generator, critic = generator.train(), critic.train()
    critic_adam = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    generator_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    average = copy.deepcopy(generator).requires_grad_(False) if fair else None

    def checked(loss: Tensor, network: nn.Module) -> None:
        if fair:
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            assert math.isfinite(loss.item()) and math.isfinite(norm.item())

    def step(real: Tensor) -> None:
        with torch.no_grad():
            fake = generator(torch.randn(len(real), latent))
        if gamma is not None:
            real = real.requires_grad_()
        d_real, d_fake = critic(real), critic(fake)
        loss = softplus(-d_real).mean() + softplus(d_fake).mean()
        if gamma is not None:
            (gradient,) = torch.autograd.grad(d_real.sum(), real, create_graph=True)
            loss = loss + gamma / 2 * gradient.square().flatten(1).sum(1).mean()
        critic_adam.zero_grad(set_to_none=True)
        loss.backward(inputs=list(critic.parameters()))
        checked(loss, critic)
        critic_adam.step()

        critic.requires_grad_(False)
        loss = softplus(-critic(generator(torch.randn(len(real), latent)))).mean()
        generator_adam.zero_grad(set_to_none=True)
        loss.backward()
        checked(loss, generator)
        generator_adam.step()
        critic.requires_grad_(True)
        if average is not None:
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 0.001)
                for kept, new in zip(average.buffers(), generator.buffers(), strict=True):
                    kept.copy_(new)

    return step


def library_loop(
    generator: nn.Module, critic: nn.Module, *, batch_size: int, gamma: float | None, precision: str = "fp32"
) -> Callable[[Tensor], None]:
    if gamma is None:
        method = methods.build("dcgan")
    else:
        method = methods.build("r1", gamma=gamma, optimizer="adam", learning_rate=2e-4, betas=(0.5, 0.999))
    run = start(method, generator, critic, seed=0, batch_size=batch_size, precision=precision)

    def step(real: Tensor) -> None:
        critic_step(run, real)
        generator_step(run)

    return step


CASES = {
    "DCGAN-32": ("dcgan", (3, 32, 32), 128, 64, None, 1, {"width": 64}, 1.03),
    "DCGAN-32, R1": ("dcgan", (3, 32, 32), 128, 64, 10.0, 1, {"width": 64}, 1.03),
    "MLP of width 128, batch 256": ("mlp", (2,), 16, 256, None, 10, {"width": 128}, 1.05),
    "MLP of width 128, batch 256, R1": ("mlp", (2,), 16, 256, 10.0, 10, {"width": 128}, 1.05),
    "MLP of width 32, batch 128": ("mlp", (2,), 16, 128, None, 10, {"width": 32}, 1.10),
    "MLP of width 32, batch 128, R1": ("mlp", (2,), 16, 128, 10.0, 10, {"width": 32}, 1.10),
}


def main() -> None:
    given = options(__doc__, rounds=20).parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for title, (name, shape, latent, batch, gamma, steps, sizes, target) in CASES.items():
        data = torch.randn(batch, *shape).clamp(-1, 1)
        loops = {
            "bare": bare_loop(*networks(name, shape, latent, **sizes), latent, gamma=gamma, fair=False),
            "fair": bare_loop(*networks(name, shape, latent, **sizes), latent, gamma=gamma, fair=True),
            "ours": library_loop(*networks(name, shape, latent, **sizes), batch_size=batch, gamma=gamma),
        }
        turns = {key: partial(lambda loop, x: loop(x.clone()), loop, data) for key, loop in loops.items()}
        rounds = given.rounds if name == "mlp" else max(2, given.rounds // 3)
        spent = interleaved(turns, rounds=rounds, steps=steps, warm_up=2)
        rows += [
            dearer(f"{title}, over the fair loop", spent, "ours", "fair", target),
            dearer(f"{title}, over the bare loop", spent, "ours", "bare"),
        ]
    record(given.out, "A training step costs little more than a hand-written one", "plain PyTorch, fused Adam", rows)


if __name__ == "__main__":
    main()
