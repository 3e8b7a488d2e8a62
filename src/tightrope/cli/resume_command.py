"""``tightrope resume RUN``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from msgspec import Meta

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say
from tightrope.cli.options import group, parse


@dataclass(frozen=True)
class ResumeOptions:
    """Go on from a run's newest checkpoint; on one CPU the result is what it would have been, bit for bit."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    steps: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """New total of generator updates; any of the three replaces the run's budget."""
    more_steps: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    """So many generator updates beyond the newest checkpoint, in place of --steps."""
    images: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """New total of real images."""
    minutes: Annotated[float, Meta(ge=0)] | None = None
    """New total of minutes."""
    data: str | None = None
    """Where the data are now, if not where the run began; they must be the same."""
    quiet: bool = False
    """Print no progress."""
    log_every: Annotated[int, Meta(ge=1)] | None = None
    """Steps between rows of metrics from here on."""
    sample_every: Annotated[int, Meta(ge=1)] | None = None
    """Steps between sample pictures from here on."""
    checkpoint_every: Annotated[int, Meta(ge=1)] | None = None
    """Steps between checkpoints from here on."""
    evaluate_every: Annotated[int, Meta(ge=0)] | None = None
    """Steps between evaluations from here on, 0 for the end only."""
    evaluate_n: Annotated[int, Meta(ge=2)] | None = None
    """Generated samples of the evaluation at the end."""
    between_n: Annotated[int, Meta(ge=2)] | None = None
    """Generated samples of evaluations before the end."""
    keep: Annotated[int, Meta(ge=1)] | None = None
    """Checkpoints to keep from here on."""


def run(words: list[str]) -> int:
    """Resume and report."""
    options = parse(_command(words), "resume", words)
    from tightrope import runs
    from tightrope.cli.finish import finish, time_around
    from tightrope.runs.assemble import outside
    from tightrope.runs.change import CADENCE, SIZES
    from tightrope.training import distributed

    start, closing = time_around()
    given = {name: getattr(options, name) for name in (*CADENCE, *SIZES)}
    given |= vars(options.hyperparameters) if hasattr(options, "hyperparameters") else {}
    changes = {name: value for name, value in given.items() if value is not None}
    config = runs.read_config(options.run)

    def go_on() -> runs.Outcome:
        return runs.resume(
            options.run,
            steps=options.steps,
            more_steps=options.more_steps,
            images=options.images,
            minutes=options.minutes,
            data=options.data,
            changes=changes,
            quiet=options.quiet,
            began=start,
            closing=closing,
        )

    with distributed.joined(config.training.device) as ranks:
        if options.data is None and distributed.leads(ranks) and (note := outside(options.run, config)):
            say(f"note: {note}", error=True)
        return finish(options.run, go_on, quiet=options.quiet)


def _command(words: list[str]) -> Any:
    """The options, and below them those of the run's method that it can go on with; in help without a run, r1's."""
    from tightrope.runs.change import changeable
    from tightrope.runs.config import read_config
    from tightrope.runs.options import Option

    folder = next((Path(word) for word in words if (Path(word) / "config.json").is_file()), None)
    try:
        asked = {"-h", "--help"} & set(words)
        method = read_config(folder).method.name if folder is not None else "r1" if asked else None
        own = {} if method is None else changeable(method)
    except UserError:  # said when the run is read in earnest
        return ResumeOptions
    if not own:
        return ResumeOptions
    open_ = {name: Option(option.hint | None, None, option.sentence) for name, option in own.items()}
    title = f"Of {method}; with another value it is another run from here on, which is written down."
    taken = [field.name for field in dataclasses.fields(ResumeOptions)]
    return dataclasses.make_dataclass(
        "Resume",
        [("hyperparameters", group(title, open_, taken))],
        bases=(ResumeOptions,),
        frozen=True,
        kw_only=True,
        namespace={"__doc__": ResumeOptions.__doc__},
    )
