"""``tightrope list``: methods, networks, data sets, metrics and feature networks, one line each."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from tightrope._plumbing.say import say
from tightrope.cli.options import parse


@dataclass(frozen=True)
class ListOptions:
    """Methods, networks, data sets, metrics and feature networks, one line each."""

    what: Annotated[Literal["all", "methods", "networks", "data", "metrics", "features"], tyro.conf.Positional] = "all"
    """What to list."""


def run(words: list[str]) -> int:
    """Print the lists."""
    plural = {"method": "methods", "network": "networks", "metric": "metrics", "feature": "features", "dataset": "data"}
    options = parse(ListOptions, "list", [plural.get(word, word) for word in words])
    sections: dict[str, dict[str, str]] = {}
    if options.what in ("all", "methods"):
        from tightrope.methods import METHODS

        sections["methods"] = {name: (inspect.getdoc(b) or "").partition("\n")[0] for name, b in METHODS.items()}
    if options.what in ("all", "networks"):
        from tightrope.networks import NETWORKS

        sections["networks"] = {name: network.summary for name, network in NETWORKS.items()}
    if options.what in ("all", "data"):
        from tightrope.data import DATASETS

        sections["data"] = dict(DATASETS)
    if options.what in ("all", "metrics"):
        from tightrope.evaluation import METRICS

        sections["metrics"] = dict(METRICS)
    if options.what in ("all", "features"):
        from tightrope.evaluation.features import FEATURES

        sections["features"] = {
            **FEATURES,
            "classifier:SOURCE": "128 of a classifier of a source's labels, trained once",
        }
    for title, lines in sections.items():
        width = max(map(len, lines))
        say(f"{title}:")
        for name, line in lines.items():
            say(f"  {name.ljust(width)}  {line}")
    return 0
