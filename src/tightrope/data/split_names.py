"""Which of a source's files are for training and which for testing, by the names of folders and files.

**Source** The keywords and separators of the Hugging Face ``imagefolder`` convention (``train``, ``my-test-set``,
``val2017``, ``cat/train_001.png``), folder names before file names. **Departures** Upper and lower case are alike; a
keyword may also end where a capital begins (``trainA``, ``testB``); there is one test split, the one called test if
there are several; a test folder alone leaves the rest for training; a lone ``train`` folder among others is a class,
and so are ``toy_train`` and ``test_tube`` beside ``bus``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["TRAIN", "Parts", "keyword", "parts_of"]

TRAIN = ("train", "training", "trainset", "traindata", "trainimages", "trn")
TEST = (
    ("test", "testing", "testset", "testdata", "testimages", "tst"),
    ("eval", "evaluation", "evaluate", "evalset"),
    ("holdout", "heldout"),
    ("validation", "validate", "valid", "val", "valset", "valdata", "valimages", "dev", "devel", "devset"),
)
"""What a test split may be called; of several kinds the first counts."""

_KIND = {word: kind for kind, words in enumerate(TEST) for word in words} | dict.fromkeys(TRAIN, -1)
_LIKELY = re.compile("train|trn|test|tst|eval|val|dev|hold|held", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")  # letters, apart where a capital begins
_APART = re.compile(r"(hold|held)[\W_]*(out)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Parts:
    """How paths fall into splits.

    Attributes:
        names: per split the paths that belong to it; all under ``train`` if there is no test split.
        shorter: path -> what is left of it without the folder that tells the split.
        notes: sentences on which folders and files were taken for what.
    """

    names: dict[str, list[str]]
    shorter: dict[str, str]
    notes: list[str] = field(default_factory=list)


def keyword(name: str) -> tuple[str, str]:
    """The split's word in the name of a folder or file (lower case, empty if there is none), and the other words."""
    if not _LIKELY.search(name):
        return "", name
    words = _WORDS.findall(_APART.sub(lambda word: (word[1] + word[2]).lower(), name))
    found = next((word for word in words if word.lower() in _KIND), "")
    return found.lower(), "-".join(word for word in words if word != found)


def parts_of(names: Sequence[str], things: str = "images") -> Parts:
    """Splits of files by their paths: by folders if these tell any, else by the files' own names.

    Args:
        names: paths with ``/`` that share no folder; at least one.
        things: what they are, for the notes.
    """
    for level in range(max(name.count("/") for name in names)):
        folders = {name: parts[level] for name in names if len(parts := name.split("/")) > level + 1}
        words = {folder: keyword(folder) for folder in sorted(set(folders.values()))}
        side = _sides_of_folders(words, complete=len(folders) == len(names))
        if side:
            return _by_folders(names, level, folders, side, words, things)
        kinds = set(words.values())
        if len(words) > 1 and len(folders) == len(names) and len(kinds) == 1 and kinds.pop()[0]:  # train-00000, -00001
            said = f"Folders of one split, read as one set: {_some(set(folders.values()))}."
            return Parts({"train": list(names)}, {name: _without(name, level, None) for name in names}, [said])
    return _by_files(names, things)


def _said(train: Iterable[str], test: Iterable[str], what: str, left: int, things: str) -> list[str]:
    """Sentences on what was taken for which split, and on how many things are in neither."""
    notes = [f"Training split: {what} {', '.join(train)}; test split: {what} {', '.join(test)}."]
    return notes + ([f"{left:,} {things} that are in neither split are not used."] if left else [])


def _sides_of_folders(words: dict[str, tuple[str, str]], complete: bool) -> dict[str, str]:
    """Folder -> ``train`` or ``test`` for the folders of one level that make up the splits; empty if none do."""
    named = {folder: word for folder, (word, _) in words.items() if word}
    plain = {folder: word for folder, word in named.items() if folder.lower() == word}
    if not complete or len(named) < len(words):  # beside other folders, words within names may be chance
        rest = {words[folder][1] for folder in named}
        if _both(plain.values()):
            named = plain
        elif not (_both(named.values()) and (plain or len(rest) == 1)):
            others = set(words) - set(named)
            test = {f: w for f, w in named.items() if _KIND[w] >= 0 and (f in plain or words[f][1] in {"", *others})}
            return _chosen(test) | dict.fromkeys(others, "train") if test and len(test) == len(named) else {}
    return _chosen(named) if _both(named.values()) else {}


def _by_folders(
    names: Sequence[str],
    level: int,
    folders: dict[str, str],
    side: dict[str, str],
    words: dict[str, tuple[str, str]],
    things: str,
) -> Parts:
    rests = {
        split: {words[folder][1] for folder, its in side.items() if its == split and words[folder][0]}
        for split in ("train", "test")
    }
    domains = rests["train"] == rests["test"] and len(rests["train"]) > 1 and "" not in rests["train"]  # trainA, trainB
    alone = not rests["train"]  # a test folder; whatever is not in a folder of a split is for training
    parts: dict[str, list[str]] = {"train": [], "test": []}
    shorter = {}
    for name in names:
        folder = folders.get(name)
        split = side.get(folder, "") if folder else "train" if alone else ""
        if split:
            parts[split].append(name)
            told = folder is not None and words[folder][0]
            shorter[name] = _without(name, level, words[folder][1] if domains and folder else None) if told else name
    test = [folder for folder in side if side[folder] == "test"]
    train = ["everything else"] if alone else [folder for folder in side if side[folder] == "train"]
    notes = _said(train, test, "folder", len(names) - len(shorter), things)
    return Parts(parts, shorter, [note.replace("folder everything", "everything") for note in notes])


def _by_files(names: Sequence[str], things: str) -> Parts:
    """Splits that the files' names tell, if most of them do; else all as one set."""
    words = {name: word for name in names if (word := keyword(_stem(name))[0])}
    folders = {top for top in {name.partition("/")[0] for name in names if "/" in name} if keyword(top)[0]}
    if _both(words.values()) and 2 * len(words) >= len(names):
        side = _chosen({word: word for word in words.values()})
        parts = {
            split: [name for name, word in words.items() if side.get(word) == split] for split in ("train", "test")
        }
        train, test = (sorted(word for word in side if side[word] == split) for split in parts)
        left = len(names) - sum(map(len, parts.values()))
        return Parts(parts, {name: name for name in names}, _said(train, test, "file names with", left, things))
    notes = []
    if folders:
        notes.append(f"Folders called like a split that make up none, and are read like any other: {_some(folders)}.")
    elif any(_KIND[word] >= 0 for word in words.values()):
        notes.append(f"File names with the word of a split, which most do not have, make up no split: {_some(words)}.")
    return Parts({"train": list(names)}, {name: name for name in names}, notes)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _both(words: Iterable[str]) -> bool:
    return {_KIND[word] < 0 for word in words} == {True, False}


def _chosen(words: dict[str, str]) -> dict[str, str]:
    """Name -> split by the word in it; of several kinds of test split the first counts."""
    best = min((kind for word in words.values() if (kind := _KIND[word]) >= 0), default=0)
    return {
        name: "train" if _KIND[word] < 0 else "test"
        for name, word in sorted(words.items())
        if _KIND[word] in (-1, best)
    }


def _without(name: str, level: int, instead: str | None) -> str:
    parts = name.split("/")
    parts[level : level + 1] = [] if instead is None else [instead]
    return "/".join(parts)


def _some(names: Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:3]) + (" ..." if len(first) > 3 else "")
