"""The binary files of CIFAR-10, CIFAR-100 and STL-10, as their authors publish them, and the way to MNIST's.

**Source** CIFAR binary version (Krizhevsky 2009): records of one label byte (CIFAR-100: coarse, then fine) and 3,072
pixel bytes in channel, row, column order. STL-10 (Coates et al. 2011): 96x96 pixels in channel, column, row order,
labels from 1 in a file of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.data.files import is_file, read_file, require_written
from tightrope.data.idx import idx_prefix, open_idx
from tightrope.data.source import ImageSource, Pixels, identity, pixel_reader

__all__ = ["open_binary"]

_CIFAR10 = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_CIFAR100 = {"train": ["train.bin"], "test": ["test.bin"]}
_CIFAR_PIXELS = 3 * 32 * 32
_STL_SIDE = 96
_FOLDERS = (
    "raw",
    "cifar-10-batches-bin",
    "cifar-100-binary",
    "stl10_binary",
    "cifar-10-batches-py",
    "cifar-100-python",
)
"""What the folders are called in which these sets are unpacked."""


def open_binary(path: Path, split: str) -> ImageSource | None:
    """One split of an MNIST, CIFAR or STL-10 folder or file; None if the path is none of these.

    Args:
        path: a folder with the files in it, or in the sub-folder they are unpacked to, or one of the files.
        split: ``train`` or ``test``; one file alone is a source without a test split, except an idx file, which
            belongs to the others beside it.

    Raises:
        UserError: on a wrong magic number, a truncated file, or CIFAR's Python version, which is never opened.
    """
    if path.is_file():
        prefix = idx_prefix(path.name)
        if prefix is not None:
            return open_idx(path.parent, prefix, split)
        beside = {
            file.name: file
            for file in path.parent.iterdir()
            if file.name.endswith(("_y.bin", ".txt")) and is_file(file)
        }
        return _open({**beside, path.name: path}, path.stem, split)
    for folder in (path, *(path / below for below in _FOLDERS if (path / below).is_dir())):
        files = {file.name: file for file in sorted(folder.iterdir()) if is_file(file)}
        prefixes = sorted({prefix for name in files if (prefix := idx_prefix(name)) is not None})
        if len(prefixes) > 1:
            raise UserError(f"Expected one idx data set in {folder}, got {len(prefixes)}; give one of the files.")
        found = open_idx(folder, prefixes[0], split) if prefixes else _open(files, path.resolve().name, split)
        if found is not None:
            return found
    return None


def _open(files: dict[str, Path], name: str, split: str) -> ImageSource | None:
    """A CIFAR or STL-10 source from the files of one folder, by their names."""
    for layout, label_bytes, class_file in ((_CIFAR10, 1, "batches.meta.txt"), (_CIFAR100, 2, "fine_label_names.txt")):
        parts = {side: [files[file] for file in layout[side] if file in files] for side in layout}
        if any(parts.values()):
            missing = [file for file in layout["train"] if file not in files] if parts["train"] else []
            notes = (f"Training files that are not here: {', '.join(missing)}.",) if missing else ()
            return _open_cifar(parts, label_bytes, _class_names(files, class_file), name, split, notes)
    stl = {side: files[f"{side}_X.bin"] for side in ("train", "test", "unlabeled") if f"{side}_X.bin" in files}
    if stl:
        return _open_stl(stl, files, name, split)
    if {"data_batch_1", "test_batch"} & files.keys() or {"train", "test", "meta"} <= files.keys():
        raise UserError(
            "Expected CIFAR's binary version (.bin), got its Python version, whose pickle files can run code when they "
            "are opened; download cifar-10-binary.tar.gz or cifar-100-binary.tar.gz."
        )
    return None


def _open_cifar(
    parts: dict[str, list[Path]],
    label_bytes: int,
    names: tuple[str, ...],
    name: str,
    split: str,
    notes: tuple[str, ...],
) -> ImageSource:
    whole = not (parts["train"] and parts["test"])
    files = parts["train"] or parts["test"] if whole else parts[split]
    records = np.concatenate([_records(file, label_bytes + _CIFAR_PIXELS) for file in files])
    labels = records[:, label_bytes - 1].astype(np.int64)
    classes = names or tuple(str(number) for number in range(10 if label_bytes == 1 else 100))
    if labels.max() >= len(classes):
        raise UserError(
            f"Expected labels below {len(classes)} in {files[0]}, got {labels.max()}; check that it is a CIFAR file."
        )
    pixels = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ImageSource(
        name=name,
        identity=identity(files),
        count=len(pixels),
        read=pixel_reader(pixels, name),
        labels=labels,
        classes=classes,
        whole=whole,
        encoded=False,
        notes=notes,
    )


def _open_stl(parts: dict[str, Path], files: dict[str, Path], name: str, split: str) -> ImageSource:
    whole = not {"train", "test"} <= parts.keys()
    side = next(iter(parts)) if whole else split
    paths, labels = [parts[side]], None
    classes: tuple[str, ...] = ()
    pixels = _records(parts[side], 3 * _STL_SIDE**2).reshape(-1, 3, _STL_SIDE, _STL_SIDE).transpose(0, 3, 2, 1)
    if (file := files.get(f"{side}_y.bin")) is not None:
        labels, paths = np.frombuffer(read_file(file), dtype=np.uint8).astype(np.int64) - 1, [*paths, file]
        classes = _class_names(files, "class_names.txt") or tuple(str(number) for number in range(1, 11))
        if len(labels) != len(pixels) or labels.min() < 0 or labels.max() >= len(classes):
            raise UserError(
                f"Expected {len(pixels):,} labels from 1 to {len(classes)} in {file}, got others; check the file."
            )
    return ImageSource(
        name=name,
        identity=identity(paths),
        count=len(pixels),
        read=pixel_reader(pixels, paths[0].name),
        labels=labels,
        classes=classes,
        whole=whole,
        encoded=False,
    )


def _records(file: Path, size: int) -> Pixels:
    """A file as ``[records, size]``, read when used."""
    length = file.stat().st_size
    if length == 0 or length % size:
        raise UserError(
            f"Expected whole records of {size:,} bytes in {file}, got {length:,} bytes; "
            "the file is truncated or of another kind, download it again."
        )
    require_written(file)
    return np.memmap(file, dtype=np.uint8, mode="r", shape=(length // size, size))


def _class_names(files: dict[str, Path], name: str) -> tuple[str, ...]:
    """The lines of a file of class names; empty if it is not there."""
    if name not in files:
        return ()
    text = read_file(files[name]).decode("utf-8", "surrogateescape")
    return tuple(line.strip() for line in text.splitlines() if line.strip())
