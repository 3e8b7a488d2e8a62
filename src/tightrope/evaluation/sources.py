"""Open two sources of samples to be measured against each other, at one size and with one number of channels."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

from tightrope._plumbing.errors import UserError
from tightrope.data import Dataset, open_data
from tightrope.data.splits import without_split
from tightrope.evaluation.features import FeatureNetwork, classifier
from tightrope.evaluation.features.named import FEATURES, named_features
from tightrope.evaluation.samples import Samples

SPLITS = ("all", "train", "test")


def open_samples(
    source: str | Path,
    *,
    split: str = "all",
    resolution: int | None = None,
    channels: int | None = None,
    skip_broken: bool = False,
    progress: bool = False,
) -> Samples:
    """Open a data source as samples to be measured.

    Args:
        source: Folder, file or built-in name, as in ``open_data``.
        split: ``train``, ``test``, or ``all`` for everything the source holds.
        resolution: Side of the square that images are scaled and cropped to; None keeps their size.
        channels: 1 for grey, 3 for colour, None for colour if any image has some.
        skip_broken: Leave unreadable images out.
        progress: Report on stderr while decoding.

    Raises:
        UserError: The source cannot be used, in one sentence.
        UserFileError: The path does not exist.
    """
    if split not in SPLITS:
        raise UserError(f"Expected the split {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, got {split!r}; choose one.")

    def part(name: str, planes: int | None) -> Dataset:
        return open_data(
            source, split=name, resolution=resolution, channels=planes, skip_broken=skip_broken, progress=progress
        )

    parts = tuple(part(name, channels) for name in (("train", "test") if split == "all" else (split,)))
    if parts[0].kind == "images" and len({one.shape[0] for one in parts}) > 1:
        parts = tuple(part(one.split, 3) for one in parts)
    if len({one.shape for one in parts}) > 1:
        shapes = " and ".join(str(one.shape) for one in parts)
        raise UserError(f"The splits of {source} hold samples of shapes {shapes}; give a resolution, or one split.")
    if split == "all":  # both halves are used: that there are two matters to nobody
        parts = tuple(replace(one, notes=without_split(one.notes)) for one in parts)
    decoding = f"scaled and cropped to {resolution}x{resolution} (Lanczos)" if resolution else ""
    return Samples(parts, split, decoding)


def open_pair(
    real: str | Path,
    fake: str | Path,
    training: str | Path | None = None,
    *,
    split: str = "all",
    resolution: int | None = None,
    channels: int | None = None,
    skip_broken: bool = False,
    progress: bool = False,
) -> tuple[Samples, Samples, Samples | None]:
    """Open real, generated and, if given, training samples, so that they can be compared.

    Where some are grey and others in colour, the grey ones become colour images of three equal channels: the other way
    round a colour cast would go unseen. Numbers other than images are brought to the scale of the real ones.

    Args:
        real: Source of the reference samples.
        fake: Source of the generated samples; everything in it is used.
        training: Source of other real samples; everything in it is used.
        split: Part of ``real``: ``all``, ``train`` or ``test``.
        resolution: Side of the square that images are scaled and cropped to; None keeps their size.
        channels: 1 for grey, 3 for colour, None as said above.
        skip_broken: Leave unreadable images out.
        progress: Report on stderr while decoding.

    Raises:
        UserError: A source cannot be used, in one sentence.
        UserFileError: A path does not exist.
    """

    def opened(source: str | Path, part: str, planes: int | None) -> Samples:
        return open_samples(
            source,
            split=part,
            resolution=resolution,
            channels=planes,
            skip_broken=skip_broken,
            progress=progress,
        )

    wanted = [(real, split), (fake, "all"), *([] if training is None else [(training, "all")])]
    found = [opened(source, part, channels) for source, part in wanted]
    planes = {one.shape[0] for one in found if one.kind == "images"}
    if len(planes) > 1:
        found = [
            opened(source, part, max(planes)) if one.kind == "images" and one.shape[0] < max(planes) else one
            for (source, part), one in zip(wanted, found, strict=True)
        ]
    first, *others = found
    others = [_on_scale_of(first, other) for other in others]
    return first, others[0], others[1] if training is not None else None


def open_features(name: str, shape: tuple[int, ...]) -> FeatureNetwork:
    """Return a feature network by its name, also ``classifier:SOURCE``: a classifier of a labelled source's classes.

    Args:
        name: A name out of ``metrics.named.FEATURES``, or ``classifier:`` with a data source.
        shape: Shape of one sample.

    Raises:
        UserError: The name is unknown, or the source has no labels or samples of another shape.
    """
    plain, _, source = name.partition(":")
    if plain != "classifier":
        return named_features(name, shape)
    if not source:
        raise UserError(
            "The features classifier learn the classes of a labelled source, but none was given; write "
            f"classifier:SOURCE, or choose out of {', '.join(FEATURES)}."
        )
    train = open_data(source)
    test = open_data(source, split="test", channels=train.shape[0] if train.kind == "images" else None)
    if train.shape != shape:
        raise UserError(
            f"A classifier works on samples of the size it has learnt, but {source} holds shape {train.shape} and the "
            f"samples to be measured have {shape}; bring them to one size."
        )
    return classifier(train, test)


def _on_scale_of(first: Samples, other: Samples) -> Samples:
    """Return samples standardised as the first are, so that both are in one unit."""
    if other.kind == "images" or other.kind != first.kind:
        return other
    offset, scale = first.parts[0].offset, first.parts[0].scale
    parts = tuple(dataclasses.replace(part, offset=offset, scale=scale) for part in other.parts)
    return dataclasses.replace(other, parts=parts)
