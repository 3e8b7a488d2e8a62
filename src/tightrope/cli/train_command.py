"""``tightrope train DATA --method M --out RUN``."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from tightrope._plumbing.files import expanded
from tightrope._plumbing.say import say, say_json
from tightrope.cli.options import described, group, parse, spelt
from tightrope.data import Dataset
from tightrope.networks import NETWORKS
from tightrope.runs.config import Config
from tightrope.runs.options import Option, joint_options, method_options, network_options, refuse_unknown
from tightrope.runs.wishes import Wishes
from tightrope.training import distributed

SHOWN = "dcgan"
"""Network whose options the help shows where none is chosen."""


@dataclass(frozen=True)
class TrainOptions(Wishes):
    """Train a GAN on your data; ends with a report.

    Options of the method and network that --method and --network name stand below the general ones, else those of r1
    and dcgan; ``tightrope list`` names the methods and networks.

    Attributes:
        data: Folder of images, zip, parquet, npz, npy, MNIST, CIFAR or STL file, toy:NAME, digits, or hub:OWNER/NAME.
        out: Run folder; runs/DATA-METHOD-SEED if not given.
        dry_run: Print the resolved configuration and stop.
        quiet: Print no progress.
    """

    data: Annotated[str, tyro.conf.Positional]
    out: Path | None = None
    dry_run: bool = False
    quiet: bool = False


def run(words: list[str]) -> int:
    """Parse, resolve, train, report."""
    options = typed(TrainOptions, "train", words)
    with distributed.joined(options.device) as ranks:
        return _train(options, words, ranks)


def _train(options: Any, words: list[str], ranks: distributed.Ranks | None) -> int:
    from tightrope import runs
    from tightrope.cli.finish import finish, time_around
    from tightrope.runs.estimate import estimate

    start, closing = time_around()
    leads = distributed.leads(ranks)

    def found() -> tuple[Config, Dataset]:
        return resolved(options, words, "train", show=leads and not options.quiet, notes=leads)

    config, dataset = found() if ranks is None else ranks.in_turn(found)
    if leads and (options.dry_run or not options.quiet):
        devices = 1 if ranks is None else ranks.count
        say(estimate(config, dataset, devices=devices, seconds=0).line(), error=True)
    if options.dry_run:
        if leads:
            say_json(config.to_json())
        return 0
    folder = options.out or Path("runs") / f"{config.data.name.replace(':', '-')}-{config.method.name}-{options.seed}"
    return finish(
        folder,
        lambda: runs.begin(folder, config, dataset, quiet=options.quiet, began=start, closing=closing),
        quiet=options.quiet,
    )


def resolved(options: Any, words: list[str], command: str, *, show: bool, notes: bool = True) -> tuple[Config, Dataset]:
    """Configuration and data of what was typed after a command."""
    from tightrope.runs.choice import choose, with_choice
    from tightrope.runs.resolve import as_trained, resolve_wishes

    def tell(text: str) -> None:
        if notes:
            say(text, error=True)

    wishes = Wishes(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Wishes)})
    wanted = vars(options.hyperparameters) | vars(options.architecture)
    named = "method" in spelt(words)
    wishes, wanted, note = as_trained(wishes, wanted, named=named)
    if note:
        tell(note)
    choice = choose(wishes, wanted, published=named)
    if choice.why:
        tell(f"note: {choice.why}")
    wishes, wanted = with_choice(wishes, wanted, choice)
    typed = shlex.join(["tightrope", command, *words, *choice.words])
    return resolve_wishes(wishes, wanted, command=typed, progress=show, say=tell)


def typed(base: type[Wishes], name: str, words: list[str]) -> Any:
    """The words after a command as its options, which are those of ``base``, of one method and of one network."""
    words = ["--from-run" + word[6:] if word.partition("=")[0] == "--from" else word for word in words]
    names = spelt(words)
    method, network = names.get("method") or _method_there(names), names.get("network") or None
    command = _command(base, method, network, names.keys(), asked="-h" in words or "help" in names)
    general = [field.name for field in dataclasses.fields(base)]

    def unknown(option: str) -> None:
        refuse_unknown([option], method, network, general=general, dashes=True)

    return parse(command, name, words, unknown)


def _method_there(names: Mapping[str, str]) -> str:
    """The method of the run to begin with; the default one of a run that begins anew."""
    if not (other := names.get("from_run")):
        return Wishes.method
    from tightrope.runs.config import read_config

    return read_config(expanded(other)).method.name


def _command(
    base: type[Wishes], method: str, network: str | None, names: Collection[str], *, asked: bool
) -> type[Wishes]:
    """One dataclass: the general options, and of those of one method and one network the ones among ``names``.

    Any network's are taken where the data will choose it. If help was ``asked`` for, all are there, those of one
    network for all of them, and none twice for one player alone.
    """
    general = described(base) if asked else []
    taken = [field.name for field in dataclasses.fields(base)]
    of_method = method_options(method)
    if network is not None:
        network_options(network)  # refuses what is none
    shown = network or (SHOWN if asked else None)
    of_network = joint_options(list(NETWORKS) if shown is None else [shown])

    def chosen(options: Mapping[str, Option]) -> dict[str, Option]:
        return {
            name: option
            for name, option in options.items()
            if (not name.startswith(("generator_", "critic_")) if asked else name in names)
        }

    title = f"Of {shown}; put generator- or critic- before one to set it for one player alone."
    hyperparameters = group(f"Of {method}.", chosen(of_method), taken)
    architecture = group(title, chosen(of_network), [*taken, *of_method])
    return dataclasses.make_dataclass(
        base.__name__.removesuffix("Options"),
        [*general, ("hyperparameters", hyperparameters), ("architecture", architecture)],
        bases=(base,),
        frozen=True,
        kw_only=True,
        namespace={"__doc__": base.__doc__},
    )
