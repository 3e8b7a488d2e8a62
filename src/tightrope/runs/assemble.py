"""From a configuration to a run: open the data, build the networks and the method, and bind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tightrope import methods
from tightrope._plumbing.errors import UserError, said_by
from tightrope._plumbing.files import expanded
from tightrope.data import Dataset, Sampler, open_data
from tightrope.methods import Method
from tightrope.networks import NETWORKS, recommended
from tightrope.perturbations import Augmentation, InOrder, InstanceNoise
from tightrope.runs.config import Config, DataSettings, MethodSettings, NetworkSettings, TrainingSettings
from tightrope.runs.folder import met_before
from tightrope.runs.options import PLAYERS, network_options, typed
from tightrope.schedules import ramp
from tightrope.training import Run, distributed, start

_OTHER_DATA = (
    "Expected the data that this run began with, got other {split} data at {source} (the fingerprint differs); restore "
    "it, say where it is (--data), or start a new run."
)


@dataclass
class Assembled:
    """A run with the data it trains on and the held-out data it is measured against."""

    config: Config
    run: Run
    dataset: Dataset
    test: Dataset
    sampler: Sampler


def resolve_source(source: str) -> str:
    """A source that still means the same from another working directory: existing paths become absolute."""
    path = expanded(source)
    try:
        return str(path.resolve()) if source and path.exists() else source
    except OSError as error:
        raise UserError(
            f"Expected a built-in name or an existing path, got {source[:60]}... ({error.strerror}); tightrope list "
            "shows what there is."
        ) from error


def open_dataset(settings: DataSettings, split: str = "train", *, progress: bool = True) -> Dataset:
    """Open the data a configuration names; the test split takes the channels found in the training split.

    Raises:
        UserError: They cannot be opened, or the test split holds samples of another shape.
    """
    channels: int | None = settings.channels
    if channels is None and split == "test" and settings.kind == "images":
        channels = settings.shape[0]
    found = open_data(
        settings.source,
        split=split,
        resolution=settings.resolution,
        channels=channels,
        skip_broken=settings.skip_broken,
        limit=settings.limit if split == "train" else None,
        progress=progress,
    )
    if split == "test" and settings.shape and found.shape != tuple(settings.shape):
        wanted, remedy = list(settings.shape), "give a resolution" if found.kind == "images" else "save them alike"
        raise UserError(
            f"Expected test samples of shape {wanted}, as the training split has, in {settings.source}, got "
            f"{list(found.shape)}; {remedy}."
        )
    return found


def open_data_of(config: Config, split: str = "train", *, progress: bool = True) -> Dataset:
    """Open the data of a run, which must be those it began with.

    Raises:
        UserError: They have changed, or cannot be opened.
    """
    dataset = open_dataset(config.data, progress=progress)
    _check_same(config.data, dataset)
    if split == "train":
        return dataset
    test = open_dataset(describe_data(config.data, dataset), split, progress=progress)
    _check_same(config.data, test)
    return test


def _check_same(settings: DataSettings, found: Dataset) -> None:
    """Refuse a split that is not the one which the run began with, as far as that is known."""
    expected = settings.fingerprint if found.split == "train" else settings.test_fingerprint
    if expected and found.fingerprint != expected:
        raise UserError(_OTHER_DATA.format(split=found.split, source=settings.source))


def with_source(config: Config, source: str | None) -> Config:
    """The configuration with its data in another place, None for the one it names."""
    if source is None:
        return config
    return dataclasses.replace(config, data=dataclasses.replace(config.data, source=resolve_source(source)))


def outside(run: Path, config: Config) -> str | None:
    """What a run reads that lies outside its folder, in a sentence, when this machine first meets it.

    None for data that come with the package, and for a run that began here or was asked about before.
    """
    source = config.data.source
    path = expanded(source)
    if source == "digits" or source.startswith("toy:") or path.resolve().is_relative_to(run.resolve()):
        return None
    if met_before(run, source):
        return None
    return f"{run} is trained on {source}, as its config.json says, and that is read now; --data names another place."


def describe_data(settings: DataSettings, dataset: Dataset) -> DataSettings:
    """Fill in what was found: name, kind, shape, size, classes, fingerprint.

    Raises:
        UserError: Conditional training of data without labels, or with more classes than samples.
    """
    if settings.conditional:
        if dataset.labels is None:
            raise UserError(
                f"Conditional training needs labels, but {dataset.name} has none; leave out --conditional or give "
                "labelled data."
            )
        if len(dataset.classes) > len(dataset):
            raise UserError(
                f"Expected at least one sample per class, got {len(dataset.classes)} classes and {len(dataset)} "
                f"samples in {dataset.name}; leave out --conditional or give more data."
            )
    if settings.flip and dataset.kind != "images":
        raise UserError(f"Flips need images, got {dataset.kind} in {dataset.name}; leave out --flip.")
    return dataclasses.replace(
        settings,
        name=dataset.name,
        kind=dataset.kind,
        shape=tuple(dataset.shape),
        n=len(dataset),
        classes=tuple(dataset.classes),
        fingerprint=dataset.fingerprint,
    )


def build_method(settings: MethodSettings) -> Method:
    """Build the method, with augmentation and instance noise where they were asked for."""
    method = methods.build(settings.name, **settings.hyperparameters)
    parts: list[Augmentation | InstanceNoise] = []
    if settings.augment is not None:
        parts.append(Augmentation(settings.augment))
    if settings.instance_noise:
        final = None if settings.instance_noise_images is None else 0.0
        parts.append(InstanceNoise(ramp(settings.instance_noise, final, settings.instance_noise_images, "linear")))
    if not parts:
        return method
    return dataclasses.replace(method, perturbation=parts[0] if len(parts) == 1 else InOrder(tuple(parts)))


def resolve_network(name: str | None, shape: tuple[int, ...], options: Mapping[str, Any]) -> NetworkSettings:
    """Choose the network for a sample shape and give each option to the builders that take it.

    Args:
        name: Key in ``NETWORKS``, None for the recommended one.
        shape: Sample shape.
        options: Options by name, ``generator_width`` or ``critic_width`` for one builder, ``width`` for both.

    Raises:
        UserError: Unknown network or option, or a shape the network cannot build.
    """
    name = recommended(shape) if name is None else name
    known = network_options(name)
    NETWORKS[name].check(shape)
    chosen = {player: {key: option.default for key, option in known[player].items()} for player in PLAYERS}
    for key, value in options.items():
        targets = [
            (player, plain)
            for player in PLAYERS
            for plain in dict.fromkeys((key, key.removeprefix(f"{player}_")))
            if plain in chosen[player]
        ]
        if not targets:
            valid = ", ".join(sorted({*known["generator"], *known["critic"]}))
            raise UserError(
                f"Network {name} has no option {key!r}; valid are {valid} (with generator_ or critic_ before it for "
                "one player alone)."
            )
        for player, plain in targets:
            chosen[player] |= typed({plain: value}, known[player])
    return NetworkSettings(name, chosen["generator"], chosen["critic"])


def build_networks(
    settings: NetworkSettings, data: DataSettings, training: TrainingSettings
) -> tuple[nn.Module, nn.Module]:
    """Build generator and critic for the data, from the training's seed; the global random state is not touched.

    Raises:
        UserError: The run trained the caller's own modules, which a configuration cannot build.
    """
    if settings.name == "own":
        raise UserError(
            "This run trained modules of the caller's own: expected them, got none; pass generator= "
            "(and critic= to go on training)."
        )
    known, shape = network_options(settings.name), data.shape
    network = NETWORKS[settings.name]
    network.check(shape)
    classes = len(data.classes) if data.conditional else 0
    rng = torch.Generator().manual_seed(training.seed)
    options = {player: typed(getattr(settings, player), known[player]) for player in PLAYERS}
    try:
        generator = network.generator(shape, latent=training.latent, classes=classes, rng=rng, **options["generator"])
        return generator, network.critic(shape, classes=classes, rng=rng, **options["critic"])
    except UserError:
        raise
    except (RuntimeError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise UserError(
            f"Expected options that network {settings.name} can be built with, got {settings.generator} "
            f"and {settings.critic} ({said_by(error)}); choose others."
        ) from error


def assemble(
    config: Config,
    dataset: Dataset | None = None,
    *,
    generator: nn.Module | None = None,
    critic: nn.Module | None = None,
    progress: bool = True,
) -> Assembled:
    """Build everything a configuration names, at step 0; on one of several ranks, for its part of every batch.

    Args:
        config: Resolved configuration.
        dataset: The data if it is open already.
        generator: The caller's own generator, with ``critic``; the configured network if None.
        critic: The caller's own critic.
        progress: Show the decoding of the data.

    Raises:
        UserError: The data has changed since the configuration was made, or something does not fit.
    """
    if dataset is None:
        dataset = open_dataset(config.data, progress=progress)
    _check_same(config.data, dataset)
    test = open_dataset(describe_data(config.data, dataset), "test", progress=progress)
    _check_same(config.data, test)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, test_fingerprint=test.fingerprint))
    if generator is None or critic is None:
        generator, critic = build_networks(config.network, config.data, config.training)
    settings, ranks = config.training, distributed.current()
    run = start(
        build_method(config.method),
        generator,
        critic,
        seed=settings.seed,
        latent=settings.latent,
        shape=config.data.shape,
        batch_size=settings.batch_size,
        precision=settings.precision,
        device=settings.device if ranks is None else ranks.device,
        ema_half_life_images=settings.ema_half_life_images,
        ema_ramp_up=settings.ema_ramp_up,
    )
    sampler = Sampler(
        dataset, settings.batch_size, seed=settings.seed, flip=config.data.flip, part=distributed.part(ranks)
    )
    return Assembled(config, run, dataset, test, sampler)
