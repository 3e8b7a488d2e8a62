"""``tightrope train DATA --method M --out RUN``."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest, one_of
from tightrope.cli.options import describe, given_options, hints_of, parse_known, read_typed

DEFAULT_STEPS = 10_000
SETTING = "A to F: Adam's rate and betas and n_critic of table 1 in 1802.05957, for any method."


@dataclass(frozen=True)
class TrainOptions:
    """Train a GAN on your data; ends with a report.

    Options of the chosen method and network follow below the general ones; ``tightrope list`` names them all.
    """

    data: Annotated[str, tyro.conf.Positional]
    """Folder of images, zip, parquet, npz, npy, MNIST, CIFAR or STL file, toy:NAME, digits, or hub:OWNER/NAME."""
    method: str = "r1"
    """How to train; tightrope list names the methods."""
    network: str | None = None
    """Pair of networks; the one that suits the data if not given."""
    out: Path | None = None
    """Run folder; runs/DATA-METHOD-SEED if not given."""
    steps: int | None = None
    """Stop after this many generator updates (10,000 if no budget is given)."""
    images: int | None = None
    """Stop after this many real images."""
    minutes: float | None = None
    """Stop after this much time."""
    seed: int = 0
    """Of weights, latents, data order and everything else."""
    batch_size: int | None = None
    """Real samples per critic step; the method's published one if not given."""
    latent: int | None = None
    """Size of the latents; 128 for images, 16 otherwise if not given."""
    resolution: int | None = None
    """Resize the shorter side and crop the centre to this many pixels."""
    channels: Literal[1, 3] | None = None
    """Convert to grey (1) or colour (3)."""
    limit: int | None = None
    """Use at most this many samples."""
    skip_broken: bool = False
    """Go on without files that cannot be read; they are named and counted."""
    flip: bool = False
    """Mirror images at random."""
    conditional: bool = False
    """Train class-conditionally on the data's labels."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs under autocast with channels-last memory."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU if there is one."""
    threads: int | None = None
    """CPU threads; torch's choice if not given."""
    ema_half_life_images: float = 10_000.0
    """Half-life of the averaged generator in real images; 0 for no averaging."""
    instance_noise: float = 0.0
    """Standard deviation of the noise added to real and fake samples."""
    instance_noise_images: int | None = None
    """Let the noise fall linearly to 0 over this many real images."""
    log_every: int | None = None
    """Steps between rows of metrics; a 200th of the budget if not given."""
    sample_every: int | None = None
    """Steps between sample pictures; a 10th of the budget if not given."""
    checkpoint_every: int | None = None
    """Steps between checkpoints, besides one every five minutes; a 10th of the budget if not given."""
    evaluate_every: int | None = None
    """Steps between evaluations; a 5th of the budget if not given, 0 for the end only."""
    evaluate_n: int | None = None
    """Generated samples per evaluation; as many as the floor uses if not given."""
    conditioning_every: int | None = None
    """Steps between measurements of the generator's conditioning, 0 for none; for about 2 % of the time by default."""
    keep: int = 3
    """Checkpoints to keep."""
    tensorboard: bool = False
    """Write TensorBoard events into the run folder as well."""
    dry_run: bool = False
    """Print the resolved configuration and stop."""
    quiet: bool = False
    """Print no progress."""


def run(words: list[str]) -> int:
    """Parse, resolve, train, report."""
    if "-h" in words or "--help" in words:
        print(_extra_help(words))
    options, rest = parse_known(TrainOptions, "train", words)
    from tightrope import runs
    from tightrope.cli.finish import finish

    config, dataset = resolve(options, rest, command=shlex.join(["tightrope", "train", *words]))
    if options.dry_run:
        print(json.dumps(config.to_json(), indent=2))
        return 0
    folder = options.out or Path("runs") / f"{config.data.name.replace(':', '-')}-{options.method}-{options.seed}"
    return finish(folder, lambda: runs.begin(folder, config, dataset, quiet=options.quiet), quiet=options.quiet)


def resolve(options: TrainOptions, rest: list[str], command: str) -> tuple[Any, Any]:
    """The full configuration and the opened data; nothing is written."""
    import torch

    from tightrope.runs.assemble import (
        build_method,
        describe_data,
        network_options,
        open_dataset,
        resolve_network,
        resolve_source,
    )
    from tightrope.runs.conditioning import with_data_scale
    from tightrope.runs.config import Config, DataSettings, MethodSettings, TrainingSettings, environment

    _check_ranges(options)
    method_hints = _method_hints(options.method)
    data = DataSettings(
        resolve_source(options.data),
        options.resolution,
        options.channels,
        options.limit,
        options.skip_broken,
        options.flip,
        options.conditional,
    )
    _refuse_unknown(
        rest, method_hints, _any_network_hints(options.network), options.method, options.network or "of any kind"
    )
    dataset = open_dataset(data, progress=not options.quiet)
    for note in dataset.notes:
        print(f"note: {note}", file=sys.stderr)
    data = describe_data(data, dataset)
    network = resolve_network(options.network, data.shape, {})
    generator, critic = network_options(network.name)
    network_hints = _network_hints(network.name, generator, critic)
    hyperparameters, chosen = _split(rest, method_hints, network_hints, options.method, network.name)
    latent = options.latent or (128 if data.kind == "images" else 16)
    settings = MethodSettings(options.method, hyperparameters, options.instance_noise, options.instance_noise_images)
    settings = with_data_scale(settings, dataset, latent)
    method = build_method(settings)
    network = resolve_network(network.name, data.shape, {**_wanted(method.critic_options, critic, chosen), **chosen})
    settings = dataclasses.replace(settings, hyperparameters=dict(method.hyperparameters))
    threads = torch.get_num_threads() if options.threads is None else options.threads
    training = TrainingSettings(
        batch_size=options.batch_size or method.batch_size,
        seed=options.seed,
        latent=latent,
        precision=options.precision,
        device=_device(options.device),
        threads=threads,
        ema_half_life_images=options.ema_half_life_images,
        keep=options.keep,
        tensorboard=options.tensorboard,
        evaluate_n=options.evaluate_n,
        **_cadence(options, method.n_critic, latent, options.batch_size or method.batch_size),
    )
    return Config(data, settings, network, training, command, environment()), dataset


def _wanted(options: Mapping[str, Any], critic: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """What the method wants of the critic's network, where it has the option and the user has not chosen."""
    return {
        f"critic_{key}": value
        for key, value in options.items()
        if key in critic and key not in chosen and f"critic_{key}" not in chosen
    }


def _cadence(options: TrainOptions, n_critic: int, latent: int, batch_size: int) -> dict[str, Any]:
    """Budget, and how often to log, sample, save, evaluate and measure, from the budget's length in steps."""
    from tightrope.runs.conditioning import plan

    steps = options.steps
    if steps is None and options.images is None and options.minutes is None:
        steps = DEFAULT_STEPS
    length = steps
    if length is None and options.images is not None:
        length = options.images // ((options.batch_size or 64) * n_critic)
    length = DEFAULT_STEPS if length is None else max(length, 1)
    evaluate = options.evaluate_every
    every, latents = plan(length, options.conditioning_every or None, latent=latent, batch_size=batch_size)
    return {
        "steps": steps,
        "images": options.images,
        "minutes": options.minutes,
        "log_every": options.log_every or max(length // 200, min(length, 10)),
        "sample_every": options.sample_every or max(length // 10, 1),
        "checkpoint_every": options.checkpoint_every or max(length // 10, 1),
        "evaluate_every": max(length // 5, 1) if evaluate is None else evaluate or None,
        "conditioning_every": None if options.conditioning_every == 0 else every,
        "conditioning_n": latents,
    }


def _check_ranges(options: TrainOptions) -> None:
    at_least = {"steps": 0, "images": 0, "minutes": 0, "seed": 0, "batch_size": 1, "latent": 1, "threads": 1, "keep": 1}
    at_least |= {"log_every": 1, "sample_every": 1, "checkpoint_every": 1, "evaluate_every": 0, "evaluate_n": 2}
    at_least |= {"conditioning_every": 0}
    at_least |= {"limit": 2, "ema_half_life_images": 0, "instance_noise": 0, "instance_noise_images": 1}
    for name, least in at_least.items():
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise UserError(f"Expected --{name.replace('_', '-')} of at least {least}, got {value}.")


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"Expected a device that exists here, got {name!r} ({str(error).splitlines()[0]}); use --device cpu."
        ) from error
    return name


def _method_hints(name: str) -> dict[str, Any]:
    import inspect

    from tightrope.methods import METHODS, SETTINGS

    one_of("a method", name, METHODS)
    hints = hints_of(METHODS[name], list(inspect.signature(METHODS[name]).parameters))
    return hints | {"setting": Literal[tuple(SETTINGS)]}


def _network_hints(name: str, generator: dict[str, Any], critic: dict[str, Any]) -> dict[str, Any]:
    from tightrope.networks import NETWORKS

    hints: dict[str, Any] = {}
    for player, builder, names in (
        ("generator", NETWORKS[name].generator, list(generator)),
        ("critic", NETWORKS[name].critic, list(critic)),
    ):
        for key, hint in hints_of(builder, names).items():
            hints[key] = hint
            hints[f"{player}_{key}"] = hint
    return hints


def _split(
    rest: list[str], method_hints: dict[str, Any], network_hints: dict[str, Any], method: str, network: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    _refuse_unknown(rest, method_hints, network_hints, method, network)
    both = {**network_hints, **method_hints}
    values = read_typed(both, rest, "train")
    hyperparameters = {key: value for key, value in values.items() if key in method_hints}
    return hyperparameters, {key: value for key, value in values.items() if key not in method_hints}


def _any_network_hints(name: str | None) -> dict[str, Any]:
    """Options of the named network, or of all of them where the data will choose it: known before the data are read."""
    from tightrope.networks import NETWORKS
    from tightrope.runs.assemble import network_options

    hints: dict[str, Any] = {}
    for network in NETWORKS if name is None else [name]:
        hints |= _network_hints(network, *network_options(network))
    return hints


def _refuse_unknown(
    rest: list[str], method_hints: dict[str, Any], network_hints: dict[str, Any], method: str, network: str
) -> None:
    both = {**network_hints, **method_hints}
    for name in given_options(rest):
        if name not in both and name.removeprefix("no_") not in both:
            shown = name.replace("_", "-")
            near = closest(f"--{shown}", [f"--{key.replace('_', '-')}" for key in both])
            plain = [key for key in network_hints if not key.startswith(("generator_", "critic_"))]
            raise UserError(
                f"No option --{shown}{near}: method {method} takes {_listed(list(method_hints))}; network {network} "
                f"takes {_listed(plain)} (with generator- or critic- before it for one player); for the rest see "
                "tightrope train --help."
            )


def _listed(names: list[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names) or "none"


def _extra_help(words: list[str]) -> str:
    import inspect

    from tightrope.methods import METHODS
    from tightrope.networks import NETWORKS
    from tightrope.runs.assemble import network_options

    def after(option: str, default: str, valid: list[str]) -> str:
        value = words[words.index(option) + 1] if option in words[:-1] else default
        return value if value in valid else default

    method = after("--method", TrainOptions.method, list(METHODS))
    network = after("--network", "dcgan", list(NETWORKS))
    generator, critic = network_options(network)
    return "\n".join(
        [
            f"options of method {method}:",
            *describe(METHODS[method], list(inspect.signature(METHODS[method]).parameters)),
            f"  {'--setting':<28} {SETTING} (default: the method's own)",
            "",
            f"options of network {network} (put generator- or critic- before one to set it for one player alone):",
            *describe(NETWORKS[network].generator, list(generator)),
            *describe(NETWORKS[network].critic, [key for key in critic if key not in generator]),
            "",
        ]
    )
