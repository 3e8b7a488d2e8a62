"""Every recipe runs, before and after, on a miniature of its system, and changes ten lines at most."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path

import pytest
import torch

PAGES = sorted((Path(__file__).parents[1] / "docs" / "howto" / "recipes").glob("*.md"))
if not PAGES:
    pytest.skip("needs the folder docs/, which a source distribution leaves out", allow_module_level=True)
NEEDS = {"lightning": "pytorch_lightning", "accelerate": "accelerate", "fabric": "lightning_fabric"}
WANTED = {
    "hifigan", "vqgan", "real_esrgan", "ctgan", "dmd2", "airl", "lightning", "accelerate", "fabric", "ddp", "fsdp2",
}  # fmt: skip
MOST = 10


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def test_every_system_has_its_page() -> None:
    assert {page.stem for page in PAGES} == WANTED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_at_most_ten_lines_are_written(page: Path) -> None:
    _, before, after, *_ = blocks(page)
    written = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+ ")]
    assert 0 < len([line for line in written if line[2:].strip()]) <= MOST, "\n".join(written)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore")  # of other people's packages
def test_a_recipe_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = NEEDS.get(page.stem)
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}, which is not installed")
    if page.stem in ("ddp", "fsdp2") and not torch.distributed.is_available():
        pytest.skip("needs a torch built with distributed")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "page"}
    with torch.random.fork_rng(devices=[]):
        for block in blocks(page):
            exec(compile(block, str(page), "exec"), scope)
