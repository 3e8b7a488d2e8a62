"""The WGAN-GP of `benchmarks/seeds.py` for many seeds in JAX: jit, vmap over seeds, scan over steps.

    python benchmarks/seeds_in_jax.py [--seeds 128] [--steps 40] [--rounds 5]

JAX is no dependency of this project: run it with the Python of an environment that has it, or hand that Python to
`benchmarks/seeds.py --jax`. Without JAX it says so and ends. Prints as JSON microseconds of processor time per seed and
step, one per round, and seconds of processor time until the first step can run: initial weights and compilation, which
the rounds leave out. Data are drawn inside the step.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("seeds", 128), ("steps", 40), ("rounds", 5), ("width", 32)):
        parser.add_argument(f"--{name}", type=int, default=number)
    options = parser.parse_args()
    if importlib.util.find_spec("jax") is None:
        print("JAX is absent here: nothing measured")
        return
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    print(json.dumps(measured(**vars(options))))


def measured(seeds: int, steps: int, rounds: int, width: int, batch: int = 128, latent: int = 8) -> dict[str, object]:
    import jax
    import jax.numpy as jnp

    def init(key, sizes):
        keys = jax.random.split(key, len(sizes) - 1)
        pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
        return [(jax.random.normal(k, (i, o)) * (2 / i) ** 0.5, jnp.zeros(o)) for k, i, o in pairs]

    def net(p, x):
        for W, b in p[:-1]:
            x = jax.nn.leaky_relu(x @ W + b, 0.2)
        return x @ p[-1][0] + p[-1][1]

    def critic_loss(c, real, fake, e):
        slopes = jax.vmap(jax.grad(lambda x: net(c, x)[0]))(e * real + (1 - e) * fake)
        penalty = ((jnp.linalg.norm(slopes, axis=1) - 1) ** 2).mean()
        return net(c, fake).mean() - net(c, real).mean() + 10 * penalty

    def adam(p, m, v, g, t):
        v = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b * b, v, g)
        new = jax.tree.map(lambda x, a, b: x - 1e-4 * a / (jnp.sqrt(b / (1 - 0.9**t)) + 1e-8), p, g, v)
        return new, m, v

    def step(state, t):
        g, c, vg, vc, average, key = state
        key, a, b, d, f = jax.random.split(key, 5)
        angle = 0.25 * jnp.pi * jax.random.randint(a, (batch, 1), 0, 8)
        real = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], 1) + 0.02 * jax.random.normal(f, (batch, 2))
        fake = net(g, jax.random.normal(b, (batch, latent)))
        e = jax.random.uniform(d, (batch, 1))
        c, _, vc = adam(c, None, vc, jax.grad(critic_loss)(c, real, fake, e), t)
        key, a = jax.random.split(key)
        z = jax.random.normal(a, (batch, latent))
        g, _, vg = adam(g, None, vg, jax.grad(lambda g: -net(c, net(g, z)).mean())(g), t)
        average = jax.tree.map(lambda x, y: 0.99 * x + 0.01 * y, average, g)
        return (g, c, vg, vc, average, key), None

    def begin(key):
        a, b, key = jax.random.split(key, 3)
        g, c = init(a, (latent, width, width, 2)), init(b, (2, width, width, 1))
        return g, c, jax.tree.map(jnp.zeros_like, g), jax.tree.map(jnp.zeros_like, c), g, key

    def together(state):
        return jax.lax.scan(step, state, 1.0 + jnp.arange(steps))[0]

    began = time.process_time()
    state = jax.vmap(begin)(jax.random.split(jax.random.key(0), seeds))
    run = jax.jit(jax.vmap(together)).lower(state).compile()
    jax.block_until_ready(state)
    start = time.process_time() - began
    jax.block_until_ready(run(state))
    found = []
    for _ in range(rounds):
        began = time.process_time()
        jax.block_until_ready(run(state))
        found.append(1e6 * (time.process_time() - began) / (seeds * steps))
    return {"step": found, "start": start}


if __name__ == "__main__":
    main()
