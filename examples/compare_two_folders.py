"""How good are these images? Measure a folder of them against a folder of real ones, whatever made them.

python examples/compare_two_folders.py REAL FAKE [TRAINING]     (without arguments: digits against noisy digits)

The command does the same: tightrope evaluate --real REAL --fake FAKE --training TRAINING
"""

import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image

from tightrope.data import open_data
from tightrope.evaluation import compare, expected_seconds_of_comparison, open_features, open_pair


def write(folder: Path, images: torch.Tensor) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image.numpy()).save(folder / f"{index:04d}.png")
    return folder


def digits(noise: float) -> tuple[Path, Path, Path]:
    """Folders of real digits, of other digits with noise, and of the digits that a generator would have seen."""
    folder, values = Path(tempfile.mkdtemp()), open_data("digits").values[:, 0]
    worse = values[400:800] + noise * torch.randn(values[400:800].shape, generator=torch.Generator().manual_seed(0))
    return (
        write(folder / "real", values[:400]),
        write(folder / "fake", worse.round().clamp(0, 255).to(torch.uint8)),
        write(folder / "training", values[800:1200]),
    )


def main(*folders: str, noise: float = 60.0) -> dict[str, float]:
    real, fake, training = open_pair(*(folders or digits(noise)))
    # Any of `tightrope list features`: "cifar_resnet:FILE", "inception:FILE" (then it is an FID), "dinov2" ...
    settings = {
        "training": training,
        "features": open_features("random", real.shape),
        "metrics": ["frechet", "kernel", "prdc"] + ["memorisation"] * (training is not None),
    }
    print(f"about {expected_seconds_of_comparison(real, fake, **settings):.0f} s")
    measurements = compare(real, fake, **settings)
    for m in measurements:
        floor = "" if m.floor is None else f"real images in their place: {m.floor:.4f}"
        print(f"{m.name:<14}{m.value:>9.4f}   {floor}")
    print(measurements[0].protocol)
    return {m.name: m.value for m in measurements}


if __name__ == "__main__":
    main(*sys.argv[1:])
