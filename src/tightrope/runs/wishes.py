"""What a run should be like, as far as somebody says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from tightrope.runs.config import Count, Number, Seed, Size, Whole


@dataclass(frozen=True)
class Wishes:
    """What a run should be like.

    Attributes:
        data: Folder of images, zip, parquet, npz, npy, MNIST, CIFAR or STL file, toy:NAME, digits, or hub:OWNER/NAME.
        method: How to train; tightrope list names the methods. With --from that run's, as it was trained.
        network: Pair of networks; the one that suits the data if not given.
        steps: Stop after this many generator updates (10,000 if no budget is given).
        images: Stop after this many real images.
        minutes: Stop after this much time, evaluations included; none is begun that would not end in it.
        seed: Of weights, latents, data order and everything else.
        batch_size: Real samples per critic step; the method's published one if not given.
        latent: Size of the latents; 128 for images, 16 otherwise if not given.
        resolution: Resize the shorter side and crop the centre to this many pixels.
        channels: Convert to grey (1) or colour (3).
        keep_alpha: Keep the opacity of images as a fourth channel; else transparent pixels are placed on white.
        limit: Use at most this many samples.
        skip_broken: Go on without files that cannot be read; they are named and counted.
        flip: Mirror images at random.
        conditional: Train class-conditionally on the data's labels.
        precision: bf16 runs under autocast with channels-last memory.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.
        threads: CPU threads; torch's choice if not given.
        ema_half_life_images: Half-life of the averaged generator in real images; 0 for no averaging.
        instance_noise: Standard deviation of the noise added to real and fake samples.
        instance_noise_images: Let the noise fall linearly to 0 over this many real images.
        augment: Augment what the critic sees, for few images: diff always, ada as far as the critic overfits.
        from_run: Begin with the weights of this run's newest checkpoint, its network, its sizes of images and latents,
            and its method unless one is named; data and classes may be others. --from for short.
        log_every: Steps between rows of metrics; a 200th of the budget if not given.
        sample_every: Steps between sample pictures; a 10th of the budget if not given.
        checkpoint_every: Steps between checkpoints, besides one every five minutes; a 10th of the budget if not given.
        evaluate_every: Steps between evaluations; a 10th of the budget if not given, 0 for the end only.
        evaluate_n: Generated samples of the evaluation at the end; as many as the floor uses if not given.
        between_n: Generated samples of evaluations before the end; at most 1,000 (500 vectors) if not given.
        conditioning_every: Steps between measurements of the generator's conditioning, 0 for none; for about 2 % of the
            time by default.
        keep: Checkpoints to keep.
        tensorboard: Write curves and pictures for TensorBoard into the run folder as well.
        wandb: Curves and pictures for Weights & Biases: offline into the run folder, for wandb sync, or online.
        on_trouble: When the run's monitor finds that something is wrong: continue and write it down, stop after saving,
            or probe, which plays copies with one change each to find out what would help, and goes on.
        preflight: Check networks, optimisers, data and claims on one batch before the first step; what can never train
            is refused.
    """

    data: str
    method: str = "r1"
    network: str | None = None
    steps: Whole | None = None
    images: Whole | None = None
    minutes: Number | None = None
    seed: Seed = 0
    batch_size: Size | None = None
    latent: Size | None = None
    resolution: Size | None = None
    channels: Literal[1, 3] | None = None
    keep_alpha: bool = False
    limit: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    skip_broken: bool = False
    flip: bool = False
    conditional: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "auto"
    threads: Annotated[int, Meta(ge=1, le=4096)] | None = None
    ema_half_life_images: Number = 10_000.0
    instance_noise: Number = 0.0
    instance_noise_images: Count | None = None
    augment: Literal["diff", "ada"] | None = None
    from_run: Path | None = None
    log_every: Count | None = None
    sample_every: Count | None = None
    checkpoint_every: Count | None = None
    evaluate_every: Whole | None = None
    evaluate_n: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    between_n: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    conditioning_every: Whole | None = None
    keep: Count = 3
    tensorboard: bool = False
    wandb: Literal["offline", "online"] | None = None
    on_trouble: Literal["continue", "stop", "probe"] = "continue"
    preflight: bool = True
