"""``tightrope evaluate RUN`` and ``tightrope evaluate --real SOURCE --fake SOURCE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import expanded
from tightrope._plumbing.progress import clock
from tightrope._plumbing.say import say, say_json
from tightrope._plumbing.words import closest
from tightrope.cli.options import parse

if TYPE_CHECKING:
    from tightrope.data import Dataset
    from tightrope.evaluation.features import FeatureNetwork
    from tightrope.metrics import Measurement


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a run's averaged generator against held-out data, or any samples against real ones."""

    run: Annotated[str, tyro.conf.Positional] = ""
    """Run folder; leave it out to compare --real with --fake."""
    real: str | None = None
    """Real samples: a folder, zip, parquet, npz, or a name of tightrope list."""
    fake: str | None = None
    """Generated samples, of the same kind and size."""
    training: str | None = None
    """Other real samples, such as the training set: for floors at the same sizes, and for memorisation."""
    data: str | None = None
    """Where the run's data are now, if not where it began; they must be the same."""
    split: str = "all"
    """Part of --real: all, train or test."""
    metrics: str | None = None
    """Names with commas between them (prdc stands for four); those that suit the data if not given."""
    features: str | None = None
    """Feature network, such as cifar_resnet:FILE, inception:FILE or classifier:SOURCE; what suits if not given."""
    n: Annotated[int, Meta(ge=2, le=2**53)] | None = None
    """Generated samples; as many as the floor can match if not given. Of two sources, at most so many of each."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Of the samples and chosen subsets; the run's own, or 0, if not given."""
    resolution: int | None = None
    """Side that images of --real and --fake are scaled and cropped to."""
    channels: int | None = None
    """1 for grey, 3 for colour; what the images have if not given."""
    skip_broken: bool = False
    """Leave unreadable images out."""
    json: bool = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Measure and print; nothing in the run folder changes."""
    options = parse(EvaluateOptions, "evaluate", words)
    _check(options)
    measurements = _evaluate(options, expanded(options.run)) if options.run else _compare(options)
    if options.json:
        say_json([m.to_json() for m in measurements])
    else:
        say(*as_text(measurements).splitlines())
    return 0


def as_text(measurements: list[Measurement]) -> str:
    """Return a table of values with floors, and below it the protocols and notes once each."""
    width = max(len(m.name) for m in measurements)
    lines = []
    for m in measurements:
        interval = "" if m.interval is None else f"   95 % {m.interval[0]:.4g} to {m.interval[1]:.4g}"
        floor = "" if m.floor is None else f"   floor {m.floor:.4g}"
        lines.append(f"{m.name.ljust(width)}  {m.value:<10.5g}{floor}{interval}")
    said: dict[str, list[str]] = {}
    for m in measurements:
        p = m.protocol
        against = f"{p.n_fake:,} generated against {p.n_real:,} of {p.split}" if p.n_real else f"{p.n_fake:,} generated"
        for text in (f"{p.features}; {p.preprocessing}; {against} of {p.data}; seed {p.seed}", *m.notes):
            said.setdefault(text, []).append(m.name)
    lines.append("")
    for text, names in said.items():
        lines.append(text if len(names) == len(measurements) else f"{', '.join(names)}: {text}")
    return "\n".join(lines)


def _check(options: EvaluateOptions) -> None:
    given = [name for name in ("real", "fake") if getattr(options, name) is not None]
    if not options.run and len(given) < 2:
        got = f"only --{given[0]}" if given else "neither"
        raise UserError(f"Expected a run folder, or --real and --fake, got {got}; see tightrope evaluate --help.")
    if not options.run and options.data is not None:
        raise UserError("Expected a run folder for --data, got none; say with --real and --fake what to compare.")
    if options.run:
        others = ("real", "fake", "training", "resolution", "channels")
        wrong = [name for name in others if getattr(options, name) is not None]
        wrong += ["split"] * (options.split != "all") + ["skip-broken"] * options.skip_broken
        if wrong:
            raise UserError(
                f"A run is measured on its own data, as it was trained, but --{wrong[0]} was given as well; leave out "
                f"either {options.run} or --{wrong[0]}."
            )


def _evaluate(options: EvaluateOptions, folder: Path) -> list[Measurement]:
    from tightrope.evaluation import evaluate, expected_seconds
    from tightrope.runs import GENERATOR_MEASURES, load
    from tightrope.runs.assemble import open_data_of, outside, with_source
    from tightrope.runs.evaluate import sample_function

    generator = load(folder)
    config = with_source(generator.config, options.data)
    asked = _names(options, tuple(GENERATOR_MEASURES))
    names = None if asked is None else [name for name in asked if name not in GENERATOR_MEASURES]
    seed = config.training.seed if options.seed is None else options.seed
    found: list[Measurement] = []
    if names != []:
        if options.data is None and (note := outside(folder, config)):
            say(f"note: {note}", error=True)
        train, test = (open_data_of(config, split) for split in ("train", "test"))
        _note({config.data.name: (train, test)})
        features, sample = _features(options, train.shape), sample_function(generator)
        _announce(expected_seconds(sample, train, test, n=options.n, seed=seed, features=features, metrics=names))
        found = evaluate(sample, train, test, n=options.n, seed=seed, features=features, metrics=names, progress=True)
    for name in asked or []:
        if name in GENERATOR_MEASURES:
            found += GENERATOR_MEASURES[name](generator, seed)
    return found


def _compare(options: EvaluateOptions) -> list[Measurement]:
    from tightrope.evaluation import compare, expected_seconds_of_comparison, open_pair

    if options.real is None or options.fake is None:
        raise UserError("Expected --real and --fake, got one of them; give both.")
    names, seed = _names(options, ()), options.seed or 0
    real, fake, training = open_pair(
        options.real,
        options.fake,
        options.training,
        split=options.split,
        resolution=options.resolution,
        channels=options.channels,
        skip_broken=options.skip_broken,
        progress=True,
    )
    opened = {options.real: real, options.fake: fake} | ({options.training: training} if training is not None else {})
    _note({name: samples.parts for name, samples in opened.items() if name is not None})
    features = _features(options, real.shape)
    if features is None and real.kind == "images":
        say(
            "No --features given, so random convolutions are used: good for telling runs on one data set apart, and no "
            "more.",
            error=True,
        )
    expected = expected_seconds_of_comparison(
        real, fake, training=training, n=options.n, seed=seed, features=features, metrics=names
    )
    _announce(expected)
    return compare(
        real, fake, training=training, n=options.n, seed=seed, features=features, metrics=names, progress=True
    )


def _note(opened: Mapping[str, Sequence[Dataset]]) -> None:
    """Say what was decided when data were read, of which source, and of which of its splits where they differ."""
    for name, parts in opened.items():
        said: dict[str, list[str]] = {}
        for part in parts:
            for note in part.notes:
                said.setdefault(note, []).append(part.split)
        for note, splits in said.items():
            where = "" if len(splits) == len(parts) else f" ({splits[0]})"
            say(f"note: {name}{where}: {note.removeprefix('Images: ')}", error=True)


def _names(options: EvaluateOptions, others: tuple[str, ...]) -> list[str] | None:
    """The metrics asked for, checked before any data is read."""
    if options.metrics is None:
        return None
    from tightrope.evaluation import GROUPS, METRICS
    from tightrope.evaluation.sets import PUBLISHED

    names = [name.strip() for name in options.metrics.split(",") if name.strip()]
    valid = (*METRICS, *GROUPS, *others)
    for name in names:
        if name not in valid and name not in PUBLISHED.values():
            raise UserError(f"Expected metrics out of {', '.join(valid)}, got {name!r}{closest(name, valid)}.")
    if not names:
        raise UserError(f"Expected metrics with commas between them, got none; choose out of {', '.join(valid)}.")
    return names


def _features(options: EvaluateOptions, shape: tuple[int, ...]) -> FeatureNetwork | None:
    from tightrope.evaluation import open_features

    return None if options.features is None else open_features(options.features, shape)


def _announce(seconds: float) -> None:
    say(
        f"Measuring takes about {clock(max(seconds, 1.0))}; features of real samples are kept for the next time.",
        error=True,
    )
