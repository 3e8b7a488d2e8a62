"""``tightrope train DATA --method M --out RUN``."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from tightrope.cli.options import after, given, group, parse
from tightrope.data import Dataset
from tightrope.networks import NETWORKS
from tightrope.runs.config import Config
from tightrope.runs.options import joint_options, method_options, network_options, refuse_unknown
from tightrope.runs.resolve import Wishes
from tightrope.training import distributed

SHOWN = "dcgan"
"""Network whose options the help shows where none is chosen."""


@dataclass(frozen=True)
class TrainOptions(Wishes):
    """Train a GAN on your data; ends with a report.

    Options of the method and network that --method and --network name stand below the general ones, else those of r1
    and dcgan; ``tightrope list`` names the methods and networks.
    """

    data: Annotated[str, tyro.conf.Positional]
    """Folder of images, zip, parquet, npz, npy, MNIST, CIFAR or STL file, toy:NAME, digits, or hub:OWNER/NAME."""
    out: Path | None = None
    """Run folder; runs/DATA-METHOD-SEED if not given."""
    dry_run: bool = False
    """Print the resolved configuration and stop."""
    quiet: bool = False
    """Print no progress."""


def run(words: list[str]) -> int:
    """Parse, resolve, train, report."""
    general = [field.name for field in dataclasses.fields(TrainOptions)]
    options: Any = parse(method_command(TrainOptions, words, general), "train", words, refuse_other(words, general))
    with distributed.joined(options.device) as ranks:
        return _train(options, words, ranks)


def _train(options: Any, words: list[str], ranks: distributed.Ranks | None) -> int:
    from tightrope import runs
    from tightrope.runs.estimate import estimate

    leads = distributed.leads(ranks)

    def found() -> tuple[runs.Config, Dataset]:
        return resolved(options, words, "train", show=leads and not options.quiet, notes=leads)

    config, dataset = found() if ranks is None else ranks.in_turn(found)
    if leads and (options.dry_run or not options.quiet):
        devices = 1 if ranks is None else ranks.count
        print(estimate(config, dataset, devices=devices, seconds=0).line(), file=sys.stderr)
    if options.dry_run:
        if leads:
            print(json.dumps(config.to_json(), indent=2))
        return 0
    from tightrope.cli.finish import finish

    folder = options.out or Path("runs") / f"{config.data.name.replace(':', '-')}-{options.method}-{options.seed}"
    return finish(folder, lambda: runs.begin(folder, config, dataset, quiet=options.quiet), quiet=options.quiet)


def resolved(
    options: Any, words: Sequence[str], command: str, *, show: bool, notes: bool = True
) -> tuple[Config, Dataset]:
    """Configuration and data of what was typed after a command."""
    from tightrope.runs.resolve import resolve_wishes

    return resolve_wishes(
        Wishes(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Wishes)}),
        given(words, options.hyperparameters) | given(words, options.architecture),
        command=shlex.join(["tightrope", command, *words]),
        progress=show,
        say=lambda text: print(text, file=sys.stderr) if notes else None,
    )


def refuse_other(words: Sequence[str], general: Sequence[str]) -> Callable[[str], None]:
    """What to say to an option that neither the command nor the method nor the network has."""
    name, network = after(words, "--method") or Wishes.method, after(words, "--network")

    def unknown(option: str) -> None:
        refuse_unknown([option], name, network, general=general, dashes=True)

    return unknown


def method_command(base: type, words: Sequence[str], general: Sequence[str]) -> type:
    """The options of a command, one method and one network, or of any network where the data will choose it."""
    method, network = after(words, "--method") or Wishes.method, after(words, "--network")
    of_method = method_options(method)
    asked = "-h" in words or "--help" in words
    if network is not None:
        network_options(network)  # refuses what is none
    chosen = network or (SHOWN if asked else None)
    of_network = joint_options(list(NETWORKS) if chosen is None else [chosen])
    if asked:
        of_network = {
            key: option for key, option in of_network.items() if not key.startswith(("generator_", "critic_"))
        }
    title = f"Of {chosen}; put generator- or critic- before one to set it for one player alone."
    taken = [*general, *of_method]
    return dataclasses.make_dataclass(
        base.__name__.removesuffix("Options"),
        [
            _group("hyperparameters", group(f"Of {method}.", of_method, general)),
            _group("architecture", group(title, of_network, taken)),
        ],
        bases=(base,),
        frozen=True,
        namespace={"__doc__": base.__doc__},
    )


def _group(name: str, kind: type) -> tuple[str, type, Any]:
    return name, kind, dataclasses.field(default_factory=kind)
