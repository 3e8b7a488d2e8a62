"""Hash the weights that every method reaches in 40 steps, so that two versions of the code can be compared bit for bit.

    OMP_NUM_THREADS=1 python benchmarks/checks/fingerprints.py > before.json
    (change the code)
    OMP_NUM_THREADS=1 python benchmarks/checks/fingerprints.py --against before.json

Digits through a small DCGAN and the ring through an MLP, one thread, fixed seeds. Two machines may differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch

from tightrope.data import Sampler, open_data
from tightrope.methods import METHODS, build
from tightrope.networks import NETWORKS
from tightrope.training import start, train


def fingerprint(name: str, source: str, steps: int = 40) -> str:
    """Hash of both networks' parameters and buffers and of the average after ``steps`` steps."""
    data = open_data(source)
    rng = torch.Generator().manual_seed(0)
    network = NETWORKS["mlp" if source == "toy:ring" else "dcgan"]
    generator = network.generator(data.shape, latent=8, width=16, rng=rng)
    critic = network.critic(data.shape, width=16, rng=rng)
    run = start(build(name), generator, critic, seed=0, shape=data.shape, batch_size=16)
    for _ in train(run, Sampler(data, 16, seed=0), steps=steps):
        pass
    digest = hashlib.sha256()
    for module in (run.generator, run.critic, run.average):
        for tensor in (*module.parameters(), *module.buffers()):
            digest.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="a file that an earlier version printed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {f"{name} {source}": fingerprint(name, source) for name in METHODS for source in ("digits", "toy:ring")}
    if options.against is None:
        print(json.dumps(found, indent=1))
        return
    before = json.loads(options.against.read_text())
    changed = [key for key in found if before.get(key) != found[key]]
    print(f"{len(found) - len(changed)} of {len(found)} as before")
    for key in changed:
        print(f"  {key}: {before.get(key, 'absent')} -> {found[key]}")


if __name__ == "__main__":
    main()
