"""What the library costs over a hand-written loop of the same networks and method, in the same process.

    OMP_NUM_THREADS=1 python benchmarks/training_overhead.py [--out docs/results/training_overhead.json]

One step is a critic and a generator update. The bare loop is what a careful person writes in plain PyTorch: fakes
under no_grad, the critic frozen in the generator's update, one forward each for real and fake, R1 from scores already
computed, fused Adam. It has no schedule, average, finite check or counters; `bare+ema` adds an average of the
generator. Both generators make a batch of the
critic's size. Interleaved blocks, process CPU time, median of the blocks' ratios.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tightrope import methods
from tightrope.networks import NETWORKS
from tightrope.training import critic_step, generator_step, start


def networks(name: str, shape: tuple[int, ...], latent: int, **options: object) -> tuple[nn.Module, nn.Module]:
    rng = torch.Generator().manual_seed(0)
    network = NETWORKS[name]
    return network.generator(shape, latent=latent, rng=rng, **options), network.critic(shape, rng=rng, **options)


def bare_loop(
    generator: nn.Module, critic: nn.Module, latent: int, *, gamma: float | None, ema: bool
) -> Callable[[Tensor], None]:
    """Non-saturating loss, optionally with R1, as a plain loop body."""
    generator, critic = generator.train(), critic.train()
    critic_adam = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    generator_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    average = copy.deepcopy(generator).requires_grad_(False) if ema else None

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
        critic_adam.step()

        critic.requires_grad_(False)
        loss = softplus(-critic(generator(torch.randn(len(real), latent)))).mean()
        generator_adam.zero_grad(set_to_none=True)
        loss.backward()
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
    run = start(method, generator, critic, seed=0, batch_size=batch_size, precision=precision)  # type: ignore[arg-type]

    def step(real: Tensor) -> None:
        critic_step(run, real)
        generator_step(run)

    return step


def compare(
    loops: dict[str, Callable[[Tensor], None]], data: Tensor, *, blocks: int, steps: int, warm_up: int
) -> dict[str, list[float]]:
    """CPU seconds per step of each loop in every block; loops take turns within a block."""
    spent: dict[str, list[float]] = {name: [] for name in loops}
    names = list(loops)
    for block in range(-warm_up, blocks):
        for name in names[block % len(names) :] + names[: block % len(names)]:  # each goes first in turn
            loop = loops[name]
            began = time.process_time()
            for _ in range(steps):
                loop(data.clone())
            if block >= 0:
                spent[name].append((time.process_time() - began) / steps)
    return spent


def ratios(spent: dict[str, list[float]], name: str, baseline: str) -> dict[str, float]:
    each = sorted(a / b for a, b in zip(spent[name], spent[baseline], strict=True))
    return {"median": statistics.median(each), "low": each[0], "high": each[-1]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--blocks", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, dict[str, object]] = {}
    cases = {
        "dcgan-32, plain": ("dcgan", (3, 32, 32), 128, 64, None, 1, {"width": 64}),
        "dcgan-32, R1": ("dcgan", (3, 32, 32), 128, 64, 10.0, 1, {"width": 64}),
        "mlp 2-D, plain": ("mlp", (2,), 16, 256, None, 20, {"width": 128}),
        "mlp 2-D, R1": ("mlp", (2,), 16, 256, 10.0, 20, {"width": 128}),
    }
    for title, (name, shape, latent, batch, gamma, steps, options) in cases.items():
        data = torch.randn(batch, *shape).clamp(-1, 1)
        loops = {
            "bare": bare_loop(*networks(name, shape, latent, **options), latent, gamma=gamma, ema=False),
            "bare+ema": bare_loop(*networks(name, shape, latent, **options), latent, gamma=gamma, ema=True),
            "tightrope": library_loop(*networks(name, shape, latent, **options), batch_size=batch, gamma=gamma),
        }
        spent = compare(loops, data, blocks=arguments.blocks, steps=steps, warm_up=2)
        entry = {"ms_per_step": {key: 1e3 * statistics.median(value) for key, value in spent.items()}}
        entry["over_bare"] = ratios(spent, "tightrope", "bare")
        entry["over_bare_with_ema"] = ratios(spent, "tightrope", "bare+ema")
        results[title] = entry
        over, with_ema = entry["over_bare"], entry["over_bare_with_ema"]
        print(
            f"{title:<18} tightrope/bare {over['median']:.3f} ({over['low']:.3f} to {over['high']:.3f})"
            f"   tightrope/bare+ema {with_ema['median']:.3f}   "
            f"{entry['ms_per_step']['tightrope']:.2f} ms a step"
        )
    results["bf16 channels_last on dcgan-32, plain"] = bf16(arguments.blocks)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


def bf16(blocks: int) -> dict[str, object]:
    data = torch.randn(64, 3, 32, 32).clamp(-1, 1)
    loops = {
        precision: library_loop(*networks("dcgan", (3, 32, 32), 128, width=64), gamma=None, precision=precision)
        for precision in ("fp32", "bf16")
    }
    spent = compare(loops, data, blocks=blocks, steps=2, warm_up=2)
    faster = ratios(spent, "fp32", "bf16")
    print(f"{'dcgan-32 bf16':<18} fp32/bf16 {faster['median']:.2f} ({faster['low']:.2f} to {faster['high']:.2f})")
    return {"speed_up": faster, "ms_per_step": {key: 1e3 * statistics.median(value) for key, value in spent.items()}}


if __name__ == "__main__":
    main()
