"""What is public stays: names that a release had still import, and a new public name is written down.

``python tests/test_stability.py`` adds names that are new; it takes none away.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

NAMES = Path(__file__).parent / "public_names.txt"
DOCS = Path(__file__).parents[1] / "docs"


def promised() -> list[str]:
    return NAMES.read_text().split()


def public() -> set[str]:
    """``module:name`` of every public name, and ``module`` of every public module."""
    sys.path.insert(0, str(DOCS))
    try:
        from public import modules
    finally:
        sys.path.remove(str(DOCS))
    found = set()
    for module in modules():
        names = getattr(importlib.import_module(module), "__all__", ())
        found |= {module, *(f"{module}:{name}" for name in names)}
    return found


@pytest.mark.parametrize("module", sorted({line.partition(":")[0] for line in promised()}))
def test_promised_names_import(module: str) -> None:
    home = importlib.import_module(module)
    names = [line.partition(":")[2] for line in promised() if line.startswith(f"{module}:")]
    gone = [name for name in names if not hasattr(home, name)]
    assert not gone, f"{module} has lost {gone}: deprecate first, see docs/stability.md"


def test_every_public_name_is_promised() -> None:
    if not (DOCS / "public.py").is_file():
        pytest.skip("needs the folder docs/, which a source distribution leaves out")
    new = public() - set(promised())
    assert not new, f"run `python tests/test_stability.py` and commit tests/public_names.txt: {sorted(new)}"


def test_the_file_is_sorted_and_says_nothing_twice() -> None:
    assert promised() == sorted(set(promised()))


if __name__ == "__main__":
    NAMES.write_text("\n".join(sorted(public() | set(promised() if NAMES.is_file() else ()))) + "\n")
