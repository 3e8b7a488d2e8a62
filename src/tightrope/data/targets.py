"""Pictures that belong to other pictures: masks and maps of labels in folders beside the images themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tightrope.data.split_names import is_neither, short, words_of

__all__ = ["without_targets"]

_IMAGES = {"image", "images", "img", "imgs", "jpegimages", "leftimgbit", "inputs", "photos"}
_TARGETS = {
    *("label", "labels", "mask", "masks", "annotation", "annotations", "annots", "segmentation", "segmentations"),
    *("segmentationclass", "segmentationobject", "gt", "gts", "groundtruth", "gtfine", "gtcoarse", "targets"),
}


def without_targets(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths without those in folders of masks beside folders of images (``imagesTr`` and ``labelsTr``), and notes.

    A level of folders counts only if each of its folders is called like images, like masks or like a split.

    Args:
        names: paths with ``/``.
    """
    dropped: set[str] = set()
    folders: set[str] = set()
    for level in range(max((name.count("/") for name in names), default=0)):
        at = {name: parts[level] for name in names if len(parts := name.split("/")) > level + 1}
        words = words_of(set(at.values()))
        kinds = {folder: _kind(folder, words[folder]) for folder in words}
        if {"images", "targets"} <= set(kinds.values()) <= {"images", "targets", "split"}:
            targets = {folder for folder in kinds if kinds[folder] == "targets"}
            folders |= targets
            dropped |= {name for name in at if at[name] in targets}
    if not dropped:
        return list(names), []
    said = ", ".join(sorted(folders)[:4])
    return (
        [name for name in names if name not in dropped],
        [f"{len(dropped):,} images in {said} are masks or labels of those beside them, and are not used."],
    )


def _kind(folder: str, told: tuple[str, str]) -> str:
    word, rest = told if told[0] else (short(folder) or told)
    plain = re.sub(r"[\W\d_]+", "", rest if word else folder).lower()
    if plain in _IMAGES or plain in _TARGETS:
        return "images" if plain in _IMAGES else "targets"
    return "split" if word or is_neither(folder) else ""
