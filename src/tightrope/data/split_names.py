"""Which of a source's files are for training and which for testing, by the names of folders and files.

**Source** The keywords and separators of the Hugging Face ``imagefolder`` convention (``train``, ``my-test-set``,
``val2017``, ``cat/train_001.png``), folder names before file names. **Departures** Upper and lower case are alike; a
keyword may also end where a capital begins (``trainA``, ``testB``); there is one test split, the one called test if
there are several; a test folder alone leaves the rest for training; a lone ``train`` folder among others is a class,
beside a single other one it is refused, and ``toy_train`` and ``test_tube`` beside ``bus`` are classes; what is for
neither (``predict``, ``unlabeled``) is left out beside a training split; ``imagesTr`` and ``imagesTs``, ``traindir``
and ``testdir`` tell splits where both are there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tightrope._plumbing.errors import UserError, printable

__all__ = ["TRAIN", "Parts", "chosen", "is_neither", "keyword", "parts_of", "said_of", "words_of"]

TRAIN = ("train", "training", "trainset", "traindata", "trainimages", "trn")
TEST = (
    ("test", "testing", "testset", "testdata", "testimages", "tst"),
    ("eval", "evaluation", "evaluate", "evalset"),
    ("holdout", "heldout"),
    ("validation", "validate", "valid", "val", "valset", "valdata", "valimages", "dev", "devel", "devset", "minival"),
)
"""What a test split may be called; of several kinds the first counts."""

NEITHER = {
    *("predict", "prediction", "predictions", "pred", "preds", "inference", "inferences", "infer", "production"),
    *("submission", "submissions", "public", "private", "leaderboard", "demo", "sample", "samples", "query", "gallery"),
    *("unlabeled", "unlabelled", "unannotated", "unsup", "unsupervised", "extra", "benchmark", "tune", "tuning"),
    *("calibration", "calib", "held", "holdback"),
}
"""What lies beside a training split and belongs to no split; a class where the others are classes."""

_SHORT = {"tr": "train", "ts": "test", "te": "test", "va": "val", "vl": "val"}
_SETS = {"set", "data", "dataset", "images", "image", "imgs", "img", "split"}
_LABELLED = {"labeled", "labelled", "annotated", "supervised"}
_UNLABELLED = {"unlabeled", "unlabelled", "unannotated", "unsup", "unsupervised"}
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

    Raises:
        UserError: A training folder stands beside a single one that may be a class or images not to be trained on.
    """
    for level in range(max(name.count("/") for name in names)):
        folders = {name: parts[level] for name in names if len(parts := name.split("/")) > level + 1}
        words, complete = words_of(set(folders.values())), len(folders) == len(names)
        side = _sides_of_folders(words, complete=complete) or _train_alone(words, names, folders, level, complete)
        if side:
            return _by_folders(names, level, folders, side, words, things)
        if complete:
            _refuse_either(words)
        if complete and (said := _one_set(words)):  # train-00000, train-00001
            note = f"{said}, read as one set: {_some(words)}."
            return Parts({"train": list(names)}, {name: _without(name, level, None) for name in names}, [note])
    return _by_files(names, things)


def _refuse_either(words: Mapping[str, tuple[str, str]]) -> None:
    """Raise if a training folder has one other beside it, of which nobody can say whether it is a class or a split.

    Raises:
        UserError: So it is.
    """
    train = [folder for folder, (word, rest) in words.items() if word in TRAIN and rest.lower() in {"", *_SETS}]
    if len(words) != 2 or len(train) != 1:
        return
    (other,) = set(words) - set(train)
    if not words[other][0] and not is_neither(other):
        raise UserError(
            f"Expected folders that are splits, or classes, got {printable(train[0])} beside {printable(other)}, which "
            f"may be either; rename {printable(other)} to test, or to extra if it is for neither, or "
            f"{printable(train[0])} to what its images show."
        )


def words_of(folders: Collection[str]) -> dict[str, tuple[str, str]]:
    """:func:`keyword` of the folders of one level, with what only their company tells: ``tr`` beside ``ts``."""
    words = {folder: keyword(folder) for folder in sorted(folders)}
    letters = {folder: told for folder in words if (told := short(folder))}
    found = {**words, **letters}
    if _both(word for word, _ in letters.values()) and all(word or is_neither(f) for f, (word, _) in found.items()):
        return found
    lower = {folder.lower(): folder for folder in words}
    for folder in [f for f in words if "train" in f.lower() and not words[f][0]]:
        for test in (word for kinds in TEST for word in kinds):
            other = lower.get(folder.lower().replace("train", test), "")
            if other and not words[other][0]:
                rest = folder.lower().replace("train", "")
                words |= {folder: ("train", rest), other: (test, rest)}
    if any(_UNLABELLED & _parted(folder) for folder in words):
        words |= {f: ("train", "labelled") for f in words if not words[f][0] and _LABELLED & _parted(f)}
    return words


def is_neither(name: str) -> bool:
    """Whether a folder or file is called like something that is for neither training nor testing."""
    return not keyword(name)[0] and bool(NEITHER & _parted(name))


def _parted(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name)}


def short(folder: str) -> tuple[str, str] | None:
    """The split that two letters tell, ``tr`` alone or ``imagesTr``, and the other letters."""
    if folder.lower() in _SHORT:
        return _SHORT[folder.lower()], ""
    stem, end = folder[:-2], folder[-2:]
    told = end[:1].isupper() and end[1:].islower() and stem[-1:].islower()
    return (_SHORT[end.lower()], stem) if told and end.lower() in _SHORT else None


def _train_alone(
    words: Mapping[str, tuple[str, str]], names: Sequence[str], folders: Mapping[str, str], level: int, complete: bool
) -> dict[str, str]:
    """Training folders beside others that are for neither split, or that are no classes since only it holds some."""
    train = {folder: word for folder, (word, _) in words.items() if word and _KIND[word] < 0}
    others = set(words) - set(train)
    if not train or not others or any(words[folder][0] for folder in others):
        return {}
    if all(map(is_neither, others)) and (complete or any(folder.lower() in TRAIN for folder in train)):
        return dict.fromkeys(train, "train")
    inner: dict[str, set[str]] = {folder: set() for folder in words}
    for name, folder in folders.items():
        inner[folder].add(name.split("/")[level + 1] if name.count("/") > level + 1 else "")
    lone = next(iter(train)) if len(train) == 1 else ""
    classes = inner.get(lone, set())
    if lone.lower() not in TRAIN or "" in classes or len(classes) < 2:
        return {}
    alike = len(others) == 1 and inner[next(iter(others))] == classes
    return {lone: "train"} if alike or all(inner[folder] == {""} for folder in others) else {}


def _one_set(words: Mapping[str, tuple[str, str]]) -> str:
    """What folders are that all are called like splits, none of which can be told from the others; empty if not so."""
    found = {word for word, _ in words.values()}
    if len(words) < 2 or not all(word or is_neither(folder) for folder, (word, _) in words.items()):
        return ""
    rests = {rest for _, rest in words.values()}
    if len(found) == 1 and found != {""}:
        return "" if len(rests) > 1 and "" not in rests else "Folders of one split"  # trainA and trainB may be classes
    sides = {_KIND[word] < 0 for word in found if word}
    return "Folders of one split" if sides == {True} else "Folders of splits of which none is for training"


def said_of(train: Iterable[str], test: Collection[str], what: str, left: int, things: str, *, of: str) -> list[str]:
    """Sentences on what was taken for which split, and on how many things are in neither."""
    held = f"test split: {what} {', '.join(test)}" if test else "no test split"
    notes = [f"Training split: {what} {', '.join(train)}; {held}."]
    beside = f" ({of})" if of and not test else ""
    return notes + ([f"{left:,} {things} that are in neither split are not used{beside}."] if left else [])


def _sides_of_folders(words: Mapping[str, tuple[str, str]], complete: bool) -> dict[str, str]:
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
            return chosen(test) | dict.fromkeys(others, "train") if test and len(test) == len(named) else {}
    return chosen(named) if _both(named.values()) else {}


def _by_folders(
    names: Sequence[str],
    level: int,
    folders: dict[str, str],
    side: dict[str, str],
    words: Mapping[str, tuple[str, str]],
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
    left = _some({folder for folder in folders.values() if folder not in side})
    notes = said_of(train, test, "folder", len(names) - len(shorter), things, of=left)
    return Parts(parts, shorter, [note.replace("folder everything", "everything") for note in notes])


def _by_files(names: Sequence[str], things: str) -> Parts:
    """Splits that the files' names tell, if most of them do; else all as one set."""
    words = {name: word for name in names if (word := keyword(_stem(name))[0])}
    folders = {top for top in {name.partition("/")[0] for name in names if "/" in name} if keyword(top)[0]}
    aside = [name for name in names if name not in words and is_neither(_stem(name))]
    alone = bool(aside) and len(words) + len(aside) == len(names) and {_KIND[w] < 0 for w in words.values()} == {True}
    if alone or (_both(words.values()) and 2 * len(words) >= len(names)):
        side = chosen({word: word for word in words.values()})
        parts = {
            split: [name for name, word in words.items() if side.get(word) == split] for split in ("train", "test")
        }
        train, test = (sorted(word for word in side if side[word] == split) for split in parts)
        left = len(names) - sum(map(len, parts.values()))
        said = said_of(train, test, "file names with", left, things, of=_some(aside))
        return Parts(parts, {name: name for name in names}, said)
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


def chosen(words: dict[str, str]) -> dict[str, str]:
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
