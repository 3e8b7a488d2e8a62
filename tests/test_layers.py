"""Nothing imports upwards, and the lower floors cost their user torch and nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "tightrope"
FLOORS = {
    1: "linalg krylov autodiff _modules _linear_map _precision _types _errors _files",
    2: "penalties constraints spectra conditioning dynamics optimizers optimizer_settings perturbations schedules "
    "losses toys orthogonality",
    3: "methods critics averaging game nonfinite",
    4: "training monitor",
    5: "runs png seeds distributed analysis",
    6: "report studies doctor citations",
    7: "cli __main__",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}
LEAVES = {"networks", "data", "metrics"}  # beside the floors: known to floors 5 to 7 only
FILES = [p for p in sorted(ROOT.rglob("*.py")) if p != ROOT / "__init__.py"]


def imports(path: Path) -> list[tuple[str, bool, bool]]:
    """(dotted name, at module level, only for type checkers) of every import in a file."""
    found: list[tuple[str, bool, bool]] = []

    def visit(node: ast.AST, top: bool, typing: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((a.name, top, typing) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["tightrope", *path.relative_to(ROOT).parts[:-1]]
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).strip(".")
            found.extend((f"{module}.{a.name}", top, typing) for a in node.names)
        for child in ast.iter_child_nodes(node):
            guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
            visit(
                child,
                top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda),
                typing or guarded,
            )

    visit(ast.parse(path.read_text(encoding="utf-8")), True, False)
    return found


def place(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    here = place(path)
    assert here in FLOOR or here in LEAVES, f"{here} stands on no floor; add it to FLOORS or LEAVES"
    for name, top, typing in imports(path):
        first, _, rest = name.partition(".")
        if first != "tightrope":
            light = first in sys.stdlib_module_names or first == "torch"
            lower = FLOOR.get(here, 0) in (1, 2, 3, 4) or here == "networks"
            assert light or typing or not (lower and top), f"{here} imports {first} at module level"
            continue
        there = rest.split(".")[0]
        if there in (here, "", "__version__"):
            continue
        assert there in FLOOR or there in LEAVES, f"{here} imports {name}, which stands on no floor"
        if here in LEAVES:
            assert there == "_errors" or (typing and there in LEAVES), f"leaf {here} imports {there}"
        elif there in LEAVES:
            assert FLOOR[here] >= 5, f"{here} knows the leaf {there}"
        else:
            assert FLOOR[there] <= FLOOR[here], f"{here} (floor {FLOOR[here]}) imports {there} (floor {FLOOR[there]})"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import tightrope; dir(tightrope)", "torch numpy scipy PIL"),
        ("import tightrope; tightrope.losses.hinge; tightrope.training.start", "scipy PIL matplotlib pyarrow"),
    ],
)
def test_importing_costs_no_more_than_promised(statement, absent):
    code = f"import sys; {statement}; print(*[m for m in {absent.split()} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
