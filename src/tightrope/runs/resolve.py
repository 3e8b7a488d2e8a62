"""From wishes to a configuration: what is left out follows from the data, the method and the budget."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from tightrope._plumbing.errors import UserError, said_by
from tightrope._plumbing.files import expanded
from tightrope._plumbing.typed import converted
from tightrope.data import Dataset
from tightrope.data.open import image_sizes
from tightrope.runs.assemble import build_method, describe_data, open_dataset, resolve_network, resolve_source
from tightrope.runs.boards import require
from tightrope.runs.cadence import cadence
from tightrope.runs.config import (
    Config,
    DataSettings,
    MethodSettings,
    NetworkSettings,
    TrainingSettings,
    check,
    environment,
    read_config,
)
from tightrope.runs.options import PLAYERS, Option, method_options, network_options, refuse_unknown
from tightrope.runs.wishes import Wishes

SCALE_SAMPLES = 2000
"""Real samples from which the data's own scale is computed."""


def resolve(data: str | Path, *, command: str = "", **wishes: Any) -> Config:
    """The whole configuration of a run; nothing is written. ``runs.begin(folder, config)`` trains it.

    Args:
        data: Folder, file or built-in name.
        command: Kept in the configuration.
        **wishes: The fields of :class:`Wishes`, hyperparameters of the method and options of the network, by name.

    Raises:
        UserError: Something is unknown, of the wrong type or out of range, or does not fit together.

    Example::

        config = runs.resolve("digits", method="r1", gamma=1.0, width=32, steps=100)
        runs.begin(Path("runs/first"), config)
    """
    hints = typing.get_type_hints(Wishes, include_extras=True)
    general = {key: converted(value, hints[key], key) for key, value in wishes.items() if key in hints}
    options = {key: value for key, value in wishes.items() if key not in hints}
    whole, options, _ = as_trained(Wishes(str(data), **general), options, named="method" in wishes)
    return resolve_wishes(whole, options, command=command, progress=False)[0]


def as_trained(wishes: Wishes, options: Mapping[str, Any], *, named: bool) -> tuple[Wishes, dict[str, Any], str]:
    """Method, hyperparameters and batch size of the run to begin with, where no method was named.

    Args:
        wishes: What was asked for.
        options: Hyperparameters of the method and options of the network, which count before those of that run.
        named: Whether a method was.

    Returns:
        Both with what was taken over, and a sentence about it, empty if nothing was.

    Raises:
        UserError: It is no run.
    """
    if wishes.from_run is None or named:
        return wishes, dict(options), ""
    base = read_config(wishes.from_run)
    known = method_options(base.method.name)
    there = {key: value for key, value in base.method.hyperparameters.items() if key in known}
    there.pop("reference_gain", None)  # that of its data
    if options.get("setting") is not None:
        there = {}
    size = wishes.batch_size or base.training.batch_size
    told = {"batch_size": size} | {key: v for key, v in there.items() if key not in options and v != _plain(known[key])}
    words = ", ".join(f"{key} {value}" for key, value in told.items())
    note = f"note: trained as {wishes.from_run} was, by {base.method.name} ({words}); --method trains as published."
    return dataclasses.replace(wishes, method=base.method.name, batch_size=size), there | dict(options), note


def _plain(option: Option) -> Any:
    """The default as a configuration holds it."""
    return list(option.default) if isinstance(option.default, tuple) else option.default


def resolve_wishes(
    wishes: Wishes,
    options: Mapping[str, Any],
    *,
    command: str = "",
    progress: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Config, Dataset]:
    """The whole configuration, and the data, which are open already.

    Args:
        wishes: What every run has.
        options: Hyperparameters of the method and options of the network.
        command: Kept in the configuration.
        progress: Show the decoding of the data.
        say: Where to tell what was done to the data.

    Raises:
        UserError: Something is unknown or does not fit together.
    """
    base = None if wishes.from_run is None else read_config(wishes.from_run)
    hyperparameters = method_options(wishes.method)
    refuse_unknown(list(options), wishes.method, wishes.network, general=[f.name for f in dataclasses.fields(Wishes)])
    require({"tensorboard": wishes.tensorboard, "wandb": wishes.wandb})
    device = device_of(wishes.device)
    if base is not None and (size := _as_there(wishes, base)):
        wishes = dataclasses.replace(wishes, **size)
        say(f"note: as in {wishes.from_run}: {', '.join(f'{name} {value}' for name, value in size.items())}.")
    data = DataSettings(
        resolve_source(wishes.data),
        wishes.resolution,
        _channels(wishes),
        wishes.limit,
        wishes.skip_broken,
        wishes.flip,
        wishes.conditional,
    )
    dataset = open_dataset(data, progress=progress)
    for note in dataset.notes:
        say(f"note: {note}")
    data = describe_data(data, dataset)
    if wishes.augment is not None and data.kind != "images":
        raise UserError(f"Augmentations need images, got {data.kind} in {data.name}; leave out --augment.")
    latent = wishes.latent or (base.training.latent if base else 128 if data.kind == "images" else 16)
    chosen = {key: value for key, value in options.items() if key in hyperparameters}
    settings = MethodSettings(
        wishes.method, chosen, wishes.instance_noise, wishes.instance_noise_images, wishes.augment
    )
    if "reference_gain" in hyperparameters:
        settings = with_data_scale(settings, dataset, latent)
    method = build_method(settings)
    settings = dataclasses.replace(settings, hyperparameters=dict(method.hyperparameters))
    network = resolve_network(wishes.network or (base.network.name if base else None), data.shape, {})
    wanted = {k: v for k, v in options.items() if k not in hyperparameters}
    if base is not None and base.network.name == network.name:
        wanted = _spelt(base.network) | wanted
    wanted = _wanted(method.critic_options, network_options(network.name)["critic"], wanted) | wanted
    network = resolve_network(network.name, data.shape, wanted)
    batch_size = wishes.batch_size or method.batch_size
    training = TrainingSettings(
        batch_size=batch_size,
        seed=wishes.seed,
        latent=latent,
        precision=wishes.precision,
        device=device,
        threads=torch.get_num_threads() if wishes.threads is None else wishes.threads,
        ema_half_life_images=wishes.ema_half_life_images,
        keep=wishes.keep,
        tensorboard=wishes.tensorboard,
        wandb=wishes.wandb,
        on_trouble=wishes.on_trouble,
        preflight=wishes.preflight,
        evaluate_n=wishes.evaluate_n,
        from_run="" if wishes.from_run is None else str(expanded(str(wishes.from_run)).resolve()),
        **cadence(wishes, dataset, n_critic=method.n_critic, latent=latent, batch_size=batch_size),
    )
    return check(Config(data, settings, network, training, command, environment())), dataset


def _as_there(wishes: Wishes, base: Config) -> dict[str, Any]:
    """Resolution and channels that images need for the networks of another run, where nothing else was asked for."""
    if base.data.kind != "images":
        return {}
    channels, side = base.data.shape[0], base.data.shape[-1]
    sizes = image_sizes(wishes.data)
    found: dict[str, Any] = {}
    if wishes.resolution is None and any(size != (side, side) for size in sizes):
        found["resolution"] = side
    if wishes.channels is None and not wishes.keep_alpha and sizes:
        found |= {"keep_alpha": True} if channels == 4 else {"channels": channels}
    return found


def _channels(wishes: Wishes) -> Literal[1, 3, 4] | None:
    """Channels of images, four with their opacity."""
    if not wishes.keep_alpha:
        return wishes.channels
    if wishes.channels is not None:
        raise UserError(f"Expected --keep-alpha or --channels {wishes.channels}, got both; opacity comes with colour.")
    if wishes.augment is not None:
        raise UserError(
            "Expected --keep-alpha or --augment, got both: augmentations change colours, of which opacity is none."
        )
    return 4


def _spelt(network: NetworkSettings) -> dict[str, Any]:
    """Options of a network as they are given for one player each."""
    return {f"{player}_{key}": v for player in PLAYERS for key, v in getattr(network, player).items()}


def _wanted(options: Mapping[str, Any], critic: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What the method wants of the critic's network, where it has the option and the user has not chosen."""
    return {
        f"critic_{key}": value
        for key, value in options.items()
        if key in critic and key not in chosen and f"critic_{key}" not in chosen
    }


def with_data_scale(settings: MethodSettings, dataset: Dataset, latent: int) -> MethodSettings:
    """Fill in a clamped method's ``reference_gain`` from the data where its bounds are in the data's units.

    Bounds are absolute for images, as published, and in units of the data otherwise, unless ``units`` says more.

    Args:
        settings: Of a method with that hyperparameter.
        dataset: Training data.
        latent: Size of the latents.
    """
    chosen = settings.hyperparameters
    units = chosen.get("units", "auto")
    absolute = units == "absolute" or (units == "auto" and dataset.kind == "images")
    if absolute or chosen.get("reference_gain") is not None:
        return settings
    from tightrope import conditioning

    rows = torch.linspace(0, len(dataset) - 1, min(SCALE_SAMPLES, len(dataset))).long()
    gain = conditioning.reference_gain(dataset.batch(rows).x, latent=latent)
    return dataclasses.replace(settings, hyperparameters={**chosen, "reference_gain": float(f"{gain:.6g}")})


def device_of(name: str) -> str:
    """The device of a wish, which exists here."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"Expected a device that exists here, got {name!r} ({said_by(error)}); use --device cpu."
        ) from error
    return name
