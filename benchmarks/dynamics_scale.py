"""Ten leading eigenvalues of a DCGAN-32 game: time, memory, and the cost of a Jacobian product against a gradient.

    OMP_NUM_THREADS=1 python benchmarks/dynamics_scale.py [--width 64] [--batch 64] [--rounds 4] [--k 10]

The game is non-saturating with R1 (gamma 10) on images of noise blobs, float32, both networks of about 1.8 million
parameters together at width 64. Limits: 300 s, peak resident memory 3 GiB, and a product at most 3 times the plain
gradient of both players. Before anything is timed, both products must give the same bilinear form. ``--k 0`` leaves the
eigenvalues out.
"""

from __future__ import annotations

import resource
import time

import torch

from tightrope.dynamics import eigenvalues, field_products, gradient_field
from tightrope.methods import build
from tightrope.methods.game import game_of
from tightrope.networks import NETWORKS
from timing import Row, dearer, interleaved, options, record, row

LIMITS = {"product": 3.0, "seconds": 300.0, "gib": 3.0}


def main() -> None:
    parser = options(__doc__, rounds=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--k", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    network = NETWORKS["dcgan"]
    generator = network.generator((3, 32, 32), latent=128, width=given.width, rng=rng)
    critic = network.critic((3, 32, 32), width=given.width, rng=rng)
    real = torch.nn.functional.interpolate(torch.randn(given.batch, 3, 4, 4, generator=rng), 32, mode="bicubic").tanh()
    losses, players = game_of(build("r1"), generator, critic, real, latent=128), (generator, critic)
    size = sum(p.numel() for player in players for p in player.parameters())
    rows: list[Row] = []
    with field_products(losses, players) as J:
        v, w = torch.randn(2, size, generator=rng)
        a, b = torch.dot(w, J.forward(v)), torch.dot(J.transposed(w), v)
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3 * float(w.norm() * J.forward(v).norm()))
        variants = {"gradient": lambda: gradient_field(losses, players)}
        kept = interleaved(variants | {"transposed": lambda: J.transposed(v)}, rounds=given.rounds)
        pushed = interleaved(variants | {"forward": lambda: J.forward(v)}, rounds=given.rounds)  # ends the kept graph
    limit = LIMITS["product"]
    rows.append(dearer("product with the transposed Jacobian", kept, "transposed", "gradient", limit))
    rows.append(dearer("forward product", pushed, "forward", "gradient", limit))
    details: dict[str, object] = {"parameters": size, "batch": given.batch}
    if given.k:
        began = time.process_time()
        spectrum = eigenvalues(losses, players, k=given.k, which="LM")
        taken, allowed = [time.process_time() - began], [LIMITS["seconds"]]
        rows.append(
            row(f"{given.k} leading eigenvalues, over 300 s", [taken[0] / allowed[0]], allowed, taken, target=1.0)
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(row("their peak memory, over 3 GiB", [peak / LIMITS["gib"]], [0.0], [0.0], target=1.0))
        details |= {
            "products": spectrum.products,
            "transposed": spectrum.transposed,
            "eigenvalues": [[round(v.real, 6), round(v.imag, 6)] for v in spectrum.values.tolist()],
            "residuals": [float(f"{r:.2g}") for r in spectrum.residuals.tolist()],
            "peak_gib": round(peak, 2),
        }
    claim = f"Eigenvalues of a DCGAN-32 game of {size / 1e6:.2f} million parameters, batch {given.batch}"
    record(given.out, claim, "the gradient of both players; 300 s; 3 GiB", rows, details=details)


if __name__ == "__main__":
    main()
