"""Which version of the code a run came from: the study's own, which addresses it, and the library's, which is noted.

Comments, docstrings, layout, claims and figures do not count: only what ``run_one`` reaches. A change there makes old
rows those of another study; a change of the library beneath is written on the page, and arms that were run under
different versions of it are not compared.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from tightrope.studies.registry import Study

_MACHINERY = frozenset(("design", "findings", "registry", "statistics"))
"""Modules of this package that a study imports to be judged, not to be run."""

ROOTS = ("run_one", "run_stack")
"""Where a run begins."""

_QUIET = frozenset(("_plumbing", "drawing", "report", "cli", "doctor", "runs"))
"""Rooms in which no number of a run is made."""


def own_code(study: Study) -> str:
    """Address of what ``run_one`` and ``run_stack`` reach in the study's module and its helpers beside it."""
    return _own_code(study.module)


@functools.cache
def _own_code(module: str) -> str:
    tree = _tree(_file(module))
    reached = _reached(tree, ROOTS)
    texts = [ast.unparse(node) for node in tree.body if _names(node) & reached]
    texts += [_text(_file(helper)) for helper in sorted(set(_helpers(tree, reached)))]
    return _digest("\n".join(texts))


def library(study: Study) -> str:
    """Address of every module of the library that the study imports, however far down."""
    return _library(study.module)


@functools.cache
def _library(module: str) -> str:
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += [found for found in _imports(name) if found not in seen]
    own = {module, *_helpers(_tree(_file(module)), _reached(_tree(_file(module)), ROOTS))}
    files = sorted({_file(name) for name in seen - own if name.startswith("tightrope") and not _beside(name)})
    text = "\n".join(_text(file) for file in files)
    return _digest(f"torch {importlib.metadata.version('torch')}\n{text}")


def _beside(name: str) -> bool:
    """Whether a module makes no number of a run."""
    parts = [*name.split("."), "", ""]
    return parts[1] in _QUIET or (parts[1] == "studies" and (not parts[2] or parts[2] in _MACHINERY))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _file(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found is not None and found.origin is not None
    return Path(found.origin)


@functools.cache
def _tree(path: Path) -> ast.Module:
    """The module without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body:
            node.body = [one for one in body if not _is_text(one)] or [ast.Pass()]
    return tree


@functools.cache
def _text(path: Path) -> str:
    """The module without its docstrings, comments and layout."""
    return ast.unparse(_tree(path))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names(node: ast.stmt) -> set[str]:
    """What a statement at module level defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}


def _reached(tree: ast.Module, roots: tuple[str, ...]) -> set[str]:
    defined = {name: node for node in tree.body for name in _names(node)}
    waiting, seen = list(roots), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if node := defined.get(name):
            waiting += [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id not in seen]
    return seen


def _helpers(tree: ast.Module, reached: set[str]) -> Iterator[str]:
    """Modules beside the study whose names its runs use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tightrope.studies"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                module = whole if node.module == "tightrope.studies" else str(node.module)
                if (alias.asname or alias.name) in reached and module.split(".")[2] not in _MACHINERY:
                    yield module


@functools.cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules of the library that a module imports, and the packages above them."""
    names = list[str]()
    for node in ast.walk(_tree(_file(name))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        names += (one for one in found if one.split(".")[0] == "tightrope" and _is_module(one))
    return tuple(names)


@functools.cache
def _is_module(name: str) -> bool:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return found is not None and found.origin is not None
