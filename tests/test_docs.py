"""The documentation does what it says: code on its pages runs, commands exist, lines are short, links lead."""

from __future__ import annotations

import fnmatch
import importlib
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tightrope.cli import COMMANDS
from tightrope.cli import main as command

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not (DOCS / "public.py").is_file():
    pytest.skip("needs the folder docs/, which a source distribution leaves out", allow_module_level=True)
sys.path.insert(0, str(DOCS))
from public import modules as public_modules  # noqa: E402

WRITTEN = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "api", "causes"} & set(p.relative_to(DOCS).parts))
RUNNABLE = [page for page in WRITTEN if page.parent.name in ("tutorials", "howto")]
NEEDS = {"hand_on_a_generator": ("onnxscript", "onnxruntime")}
SLOW = ("hand_on_a_generator", "train_on_a_folder", "failing_run", "compare_runs")
DATED = [DOCS / "log.md", DOCS / "changelog.md", *(DOCS / "decisions").glob("*.md")]  # say what was, not what is
PRESENT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(page for page in WRITTEN if page not in DATED)]
WIDTH, STEPS, SECONDS = 120, 4, "15"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line it starts on."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], text.count("\n", 0, match.start()) + 1) for match in found]


def commands(text: str) -> list[list[str]]:
    """Words of each ``tightrope ...`` in a block, without prompt and comment."""
    lines = (line.removeprefix("$ ") for line in text.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tightrope ")]


def shortened(words: list[str]) -> list[str]:
    """The same command at a size for a test."""
    if "--seconds" in words:
        at = words.index("--seconds") + 1
        return [*words[:at], SECONDS, *words[at + 1 :]]
    if words[0] not in ("train", "resume"):
        return words
    at = words.index("--steps") + 1
    small = STEPS if words[0] == "train" else 2 * STEPS
    assert int(words[at]) > small
    once = [] if words[0] == "resume" or "--evaluate-every" in words else ["--evaluate-every", "0"]
    return [*words[:at], str(small), *words[at + 1 :], *once, "--quiet"]


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(DOCS)) for page in pages]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.stem in SLOW else []) for p in RUNNABLE],
    ids=names(RUNNABLE),
)
def test_every_block_of_a_page_runs_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in NEEDS.get(page.stem, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), scope)
        elif block.language == "console":
            for words in commands(block.text):
                assert command(shortened(words)) == 0, f"tightrope {shlex.join(words)}: {capsys.readouterr().err}"


def test_there_are_pages_and_each_has_code() -> None:
    assert {"r1_in_an_existing_loop", "train_on_a_folder", "read_the_report", "constrain_a_critic"} <= {
        page.stem for page in RUNNABLE
    }
    code = {page.stem for page in RUNNABLE if {"python", "console"} & {block.language for block in blocks(page)}}
    assert code >= {page.stem for page in RUNNABLE} - {"repeat_a_study", "from_other_trainers"}


SHOWN = [
    (page, words)
    for page in [ROOT / "README.md", *WRITTEN]
    for block in blocks(page)
    if block.language in ("", "console")
    for words in commands(block.text)
]


@pytest.mark.parametrize("name", sorted({words[0] for _, words in SHOWN}))
def test_commands_that_pages_show_have_their_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in COMMANDS
    with pytest.raises(SystemExit):
        command([name, "--help"])
    helped = capsys.readouterr().out
    for page, words in SHOWN:
        if words[0] != name:
            continue
        known = helped
        if name == "train":
            for flag, kind in (("--method", "method"), ("--network", "network")):
                chosen = words[words.index(flag) + 1] if flag in words else {"method": "r1", "network": "dcgan"}[kind]
                known += _listed(chosen, capsys)
        for flag in (re.sub(r"^--(critic|generator)-", "--", word) for word in words if word.startswith("--")):
            assert flag in known, f"{page.name} shows tightrope {shlex.join(words)}; {flag} is no option"


def _listed(chosen: str, capsys: pytest.CaptureFixture[str]) -> str:
    flag = "--network" if chosen in ("dcgan", "mlp") else "--method"
    with pytest.raises(SystemExit):
        command(["train", flag, chosen, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("page", WRITTEN, ids=names(WRITTEN))
def test_lines_are_at_most_120_wide_tables_and_pictures_excepted(page: Path) -> None:
    lines = page.read_text().splitlines()
    long = [n for n, line in enumerate(lines, 1) if len(line) > WIDTH and not line.startswith(("|", "!["))]
    assert not long, f"wrap lines {long} of {page}"


@pytest.mark.parametrize("page", WRITTEN, ids=names(WRITTEN))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        if path == "api/index.md":  # written from the docstrings at every build
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_names_that_a_page_mentions_exist(page: Path) -> None:
    """``penalties.r1`` and the like, in running text and in code that is not run here, must be public names."""
    packages = "|".join(name.removeprefix("tightrope.") for name in reversed(public_modules()) if "." in name)
    text = page.read_text()
    mentioned = re.findall(
        rf"(?:`|^|[ (=])(?:tightrope\.)?({packages})\.([A-Za-z]\w*)(?=[`(.,]| |$)", text, re.MULTILINE
    )
    for package, name in mentioned:
        if re.search(rf"^ *(?:self\.)?{package} = ", text, re.MULTILINE):
            continue  # a variable of that name, whose attributes are its own
        if name not in ("md", "json", "html", "py", "jsonl", "png", "txt"):
            assert hasattr(importlib.import_module(f"tightrope.{package}"), name), f"{page.name}: {package}.{name}"


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_files_that_a_page_mentions_exist(page: Path) -> None:
    paths = re.findall(r"(?:tests|benchmarks|examples|docs|src)/[\w./]*\w(?![*\w])", page.read_text())
    missing = {path for path in paths if not (ROOT / path).exists()} - {"docs/_build/html", "docs/results/NAME.json"}
    assert not missing, f"{page.name} mentions {sorted(missing)}"


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_imports_that_a_page_shows_work(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            for line in re.findall(r"^(?:from|import) tightrope.*$", block.text, re.MULTILINE):
                exec(line, {})


def test_every_page_is_in_the_sites_tree_or_left_out_by_name() -> None:
    """The site's build refuses a page that no tree names, and that build is not part of the tests."""
    left_out = re.search(r"exclude_patterns = \[(.*?)\]", (DOCS / "conf.py").read_text(), re.DOTALL)
    assert left_out
    patterns = re.findall(r'"(.+?)"', left_out[1])
    trees = [
        b for page in (DOCS / "index.md", *DOCS.rglob("*/index.md")) for b in blocks(page) if "toctree" in b.language
    ]
    assert trees
    named = {line.strip() for block in trees for line in block.text.splitlines()}
    names = {str(page.relative_to(DOCS).with_suffix("")): page for page in WRITTEN if page.name != "index.md"}
    lost = [n for n in names if not any(fnmatch.fnmatch(n, t) or fnmatch.fnmatch(Path(n).name, t) for t in named)]
    lost = [n for n in lost if not any(fnmatch.fnmatch(f"{n}.md", pattern) for pattern in patterns)]
    assert not lost, f"in no toctree of docs/index.md and not in exclude_patterns of docs/conf.py: {lost}"


def test_no_committed_file_is_large() -> None:
    """Rows in several parts: ``studies/exported.py`` and ``benchmarks/diagnosis/third/rows.py`` write them so."""
    files = [path for path in DOCS.rglob("*") if path.is_file() and "_build" not in path.parts]
    assert not {path.name: path.stat().st_size for path in files if path.stat().st_size > 200_000}


def test_claims_that_a_page_names_are_in_the_ledger() -> None:
    claims = set(re.findall(r"^\| `([a-z0-9-]+)` \|", (DOCS / "ledger.md").read_text(encoding="utf-8"), re.MULTILINE))
    kinds = "|".join(sorted({claim.partition("-")[0] for claim in claims}))
    pages = {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md") if page.name != "log.md"}
    named = {
        (name, claim) for name, text in pages.items() for claim in re.findall(rf"`((?:{kinds})-[a-z0-9-]+)`", text)
    }
    assert len(named) > 10
    assert not {(name, claim) for name, claim in named if claim not in claims}


def test_every_dependency_of_the_core_has_its_reason() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    rows = re.findall(r"^\| ([\w, -]+) \| \S.* \|$", (DOCS / "stability.md").read_text(), re.MULTILINE)
    reasons = {name for row in rows for name in row.split(", ")}
    assert reasons >= {re.split("[<>=]", name)[0] for name in needed}
