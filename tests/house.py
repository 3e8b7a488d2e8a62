"""The import graph of ``src/tightrope``: rooms, arrows, floors. ``python tests/house.py`` prints it.

A room is a folder or a file at the package's top. An arrow runs from a room to a room that it imports, wherever in the
file the import stands. A room's floor is one more than the highest floor that it stands on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "tightrope"
ORDER = [
    *("_plumbing", "linalg", "autodiff", "schedules", "perturbations", "losses", "layers", "networks", "data"),
    *("metrics", "dynamics", "constraints", "penalties", "optimizers", "drawing", "evaluation", "spectra"),
    *("conditioning", "methods", "critics", "toys", "training", "monitor", "runs", "doctor", "report", "studies"),
    *("cli", "__main__"),
]
"""Every room, from the ground up: each may import those before it and no others."""

LEAVES = ("networks", "data", "metrics")
"""Rooms that see ``_plumbing`` alone."""


def files() -> list[Path]:
    """Every module but the package's own face, which names the rooms and imports none."""
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def place(path: Path) -> str:
    """The room that a file stands in."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool, bool]]:
    """(dotted name, at module level, only for type checkers) of every import in a file."""

    def visit(node: ast.AST, top: bool, typing: bool) -> Iterator[tuple[str, bool, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, top, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["tightrope", *path.relative_to(ROOT).parts[:-1]]
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).strip(".")
            yield from ((f"{module}.{alias.name}", top, typing) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from visit(child, top and not inside, typing or guarded)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True, False)


def arrows(of: list[Path] | None = None) -> dict[str, dict[str, set[str]]]:
    """For every room the rooms it imports, each with the names taken."""
    found: dict[str, dict[str, set[str]]] = {}
    for path in files() if of is None else of:
        here = found.setdefault(place(path), {})
        for name, _, _ in imports(path):
            package, _, rest = name.partition(".")
            there = rest.split(".")[0]
            if package == "tightrope" and there not in ("", "__version__", place(path)):
                here.setdefault(there, set()).add(name)
    return found


def modules() -> dict[str, set[str]]:
    """For every module the modules that it imports, wherever and for whatever the import stands."""
    names = {".".join(("tightrope", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
             for path in files()}  # fmt: skip
    found: dict[str, set[str]] = {}
    for here, path in names.items():
        found[here] = set()
        for name, _, _ in imports(path):
            there = name
            while there and there not in names:
                there = there.rpartition(".")[0]
            found[here] |= {there} - {"", here}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of a graph, its first entry repeated at its end; empty where there is none."""
    done: set[str] = set()

    def search(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for below in sorted(graph.get(node, ())):
            if found := search(below, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := search(node, []))), [])


def floors(graph: dict[str, dict[str, set[str]]]) -> dict[str, int]:
    """The floor of every room.

    Raises:
        ValueError: There is a circle; it is named.
    """
    known: dict[str, int] = {}

    def floor(room: str, path: tuple[str, ...]) -> int:
        if room in path:
            raise ValueError("circle: " + " -> ".join((*path[path.index(room) :], room)))
        if room not in known:
            known[room] = 1 + max((floor(below, (*path, room)) for below in graph.get(room, ())), default=0)
        return known[room]

    for room in graph:
        floor(room, ())
    return known


def text() -> str:
    """The house floor by floor, and what each room stands on."""
    graph = arrows()
    levels = floors(graph)
    lines = [f"{len(graph)} rooms, {max(levels.values())} floors, {sum(map(len, graph.values()))} arrows"]
    for level in range(max(levels.values()), 0, -1):
        rooms = sorted((room for room in graph if levels[room] == level), key=ORDER.index)
        lines += [f"{level:2}  {room:14} {' '.join(sorted(graph[room], key=ORDER.index))}".rstrip() for room in rooms]
    return "\n".join(lines)


if __name__ == "__main__":
    print(text())
