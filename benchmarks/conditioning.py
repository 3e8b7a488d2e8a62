"""What one Jacobian of DCGAN-32 with its spectrum costs, against a forward of 128 samples and against reverse mode.

    OMP_NUM_THREADS=1 python benchmarks/conditioning.py [--rounds 9]

Generator: DCGAN-32 of width 64, latent 128, images 3x32x32, float32. The row loop is what public code does, one reverse
pass per pixel; a part of its rows is timed and scaled up. The batched reverse mode is ``torch.func.jacrev`` in pieces
of 64 rows (256 at a time took three times as long). Before anything is timed, singular values and Jacobian are
compared with an explicit float64 Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tightrope import conditioning
from tightrope.networks import NETWORKS
from timing import dearer, faster, interleaved, options, record

LATENT, SHAPE, ROWS = 128, (3, 32, 32), 96


def agree(generator: nn.Module, z: Tensor) -> dict[str, float]:
    """Largest relative error of the singular values; raises where it is more than rounding."""
    single = conditioning.singular_values(generator, z)[0]
    double = generator.double()
    true = torch.autograd.functional.jacobian(lambda v: double(v[None]).flatten(), z[0].double(), vectorize=False)
    torch.testing.assert_close(conditioning.jacobian(double, z.double())[0].reshape(true.shape), true)
    sigma = torch.linalg.svdvals(true)
    found = conditioning.singular_values(double, z.double())[0]
    generator.float()
    errors = {name: float(((s - sigma).abs() / sigma).max()) for name, s in (("float64", found), ("float32", single))}
    assert errors["float64"] < 1e-12 and errors["float32"] < 1e-5, errors
    return errors


def main() -> None:
    given = options(__doc__, rounds=9).parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    generator = NETWORKS["dcgan"].generator(SHAPE, latent=LATENT, width=64, rng=rng).eval()
    z, batch = torch.randn(1, LATENT, generator=rng), torch.randn(128, LATENT, generator=rng)
    outputs = torch.Size(SHAPE).numel()

    def forward() -> Tensor:
        with torch.no_grad():
            return generator(batch)

    def row_loop() -> Tensor:
        point = z.clone().requires_grad_()
        flat = generator(point).flatten()
        rows = [
            torch.autograd.grad(flat[i], point, retain_graph=True)[0][0] for i in range(0, outputs, outputs // ROWS)
        ]
        return torch.stack(rows)

    def batched_reverse() -> Tensor:
        found: Tensor = torch.func.jacrev(lambda v: generator(v[None]).flatten(), chunk_size=64)(z[0])
        return found.detach()

    errors = agree(generator, z)
    variants: dict[str, Callable[[], Tensor]] = {
        "forward": forward,
        "ours": lambda: conditioning.singular_values(generator, z),
        "batched": batched_reverse,
        "loop": row_loop,
    }
    spent = interleaved(variants, rounds=given.rounds)
    spent["loop"] = [seconds * outputs / ROWS for seconds in spent["loop"]]
    rows = [
        dearer("over a forward of 128 samples", spent, "ours", "forward", 1.8),
        faster("than reverse mode, 64 rows at a time", spent, "ours", "batched", 5.0),
        faster("than reverse mode, a row at a time", spent, "ours", "loop"),
    ]
    claim = "The Jacobian of DCGAN-32 at one latent, with its singular values"
    said = (
        f"Singular values against an explicit float64 Jacobian: {errors['float64']:.0e} relative in float64, "
        f"{errors['float32']:.0e} in float32."
    )
    record(given.out, claim, "a forward of 128 samples; reverse mode", rows, said=said, details=errors)


if __name__ == "__main__":
    main()
