"""Settings of the documentation: Sphinx with MyST; the API pages are written from the docstrings at every build."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from sphinx.pycode import ModuleAnalyzer  # noqa: E402

import tightrope  # noqa: E402
from public import PUBLIC  # noqa: E402

project = "Tightrope"
author = "The Tightrope authors"
release = version = tightrope.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = [
    "_build",
    "results/diagnosis/*_full.md",
    "results/diagnosis/second*.md",
    "results/diagnosis/subset.md",
    "results/diagnosis/third.md",
    "results/diagnosis/fourth.md",
    "results/diagnosis/fifth.md",
    "results/diagnosis/sixth.md",
    "results/diagnosis/seventh.md",
    "results/diagnosis/eighth.md",
    "results/diagnosis/ninth.md",
]  # reports as written
nitpicky = True

highlight_language = "none"  # of blocks that name none: commands and formulas
html_theme = "furo"
html_title = f"Tightrope {release}"
html_show_copyright = False

myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_default_options = {"members": True}

# No other project's inventory can be had without a network, so only names of this package must resolve. What an
# annotation names by a module that is not public is shown and not linked.
names = "|".join(name for group in PUBLIC.values() for name in group)
nitpick_ignore_regex = [
    ("py:.*", r"(?!tightrope\.).*"),
    ("py:.*", rf"tightrope\.(?!({names})(\.|$)).*"),
    ("py:class", rf"tightrope\.({names})\.\w+\.\w+.*"),
]


def write_api(folder: Path) -> None:
    """One page for each public module, and their index."""
    folder.mkdir(exist_ok=True)
    index = ["# API reference", "", "Generated from the docstrings; what is not named here is private.", ""]
    for heading, names in PUBLIC.items():
        index += [f"## {heading}", "", "```{toctree}", ":maxdepth: 1", "", *names, "```", ""]
        for name in names:
            _write_if_changed(folder / f"{name}.md", api_page(f"tightrope.{name}"))
    _write_if_changed(folder / "index.md", "\n".join(index))


def api_page(name: str) -> str:
    """All names that a module's ``__all__`` gives; constants by themselves, since autodoc leaves out imported ones."""
    module = importlib.import_module(name)
    things = {key: getattr(module, key) for key in getattr(module, "__all__", ())}
    constants = [key for key, thing in things.items() if not (inspect.isclass(thing) or inspect.isroutine(thing))]
    lines = [f"# {name}", "", "```{eval-rst}", f".. automodule:: {name}"]
    if constants:
        lines.append(f"   :exclude-members: {', '.join(constants)}")
    for constant in constants:
        lines += ["", f".. autodata:: {name}.{constant}", "   :no-value:"]
    return "\n".join([*lines, "```", ""])


KINDS = {
    "bookkeeping": "Identities and counts decide it, from the first windows on.",
    "ledger": "The gradient that is applied decides it, to rounding.",
    "response": "How the players move, and what copies do when something is changed, decide it.",
    "slow": "Averages over windows hint at it; they never decide.",
    "state": "A state, not a cause.",
}


def write_causes(folder: Path) -> None:
    """One page for each cause that a diagnosis can name, from the table that the findings take their words from."""
    folder.mkdir(exist_ok=True)
    causes = importlib.import_module("tightrope.monitor").CAUSES
    index = ["# Causes", "", "What `tightrope diagnose` and a `Monitor` can name.", ""]
    for kind, sentence in KINDS.items():
        pages = [cause for cause in causes.values() if cause.kind == kind]
        index += [f"## {sentence}", "", "```{toctree}", ":maxdepth: 1", "", *(cause.slug for cause in pages), "```", ""]
        for cause in pages:
            _write_if_changed(folder / f"{cause.slug}.md", cause_page(cause, sentence))
    _write_if_changed(folder / "index.md", "\n".join(index))


def cause_page(cause: Any, evidence: str) -> str:
    """Title, meaning, why, how to confirm, how to cure."""
    parts = {
        "What it is": cause.meaning,
        "Where that is known from": cause.source,
        "How to confirm it": cause.confirm,
        "How to cure it": cause.remedy,
        "How sure a diagnosis can be": f"{evidence} {false_alarms(cause.slug)}".strip(),
    }
    text = [f"# {cause.title}", "", f"`{cause.slug}`", ""]
    for heading, words in parts.items():
        text += [f"## {heading}", "", _escaped(words), ""]
    return "\n".join(text)


def false_alarms(slug: str) -> str:
    """How often it was named in healthy runs of the benchmark, in words."""
    path = HERE / "results" / "diagnosis" / "false_alarms.json"
    found = json.loads(path.read_text()).get(slug) if path.exists() else None
    if found is None:
        return ""
    standing, ever, runs = found
    return (
        f"Of {runs} healthy runs of the benchmark, oddities included, {standing} ended with it at medium or high "
        f"confidence and {ever} passed through it."
    )


def _escaped(words: str) -> str:
    """Names with underscores, asterisks, brackets and angles are no markup."""
    return re.sub(r"([\\*_<>\[\]|`])", r"\\\1", words)


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


LITERAL = re.compile(r"(``.*?``|:\w+:`.*?`)")
PART = re.compile(r"(\*\*)?(Source|Departures|Claim|Cost)(\*\*)?\b")  # each a paragraph of its own on the page
MATH = re.compile(r":math:`(.*?)`")  # shown as it is written: setting it would take a script from a network
SPREAD = re.compile(r"(?<=[\[ ])\*(?=\w+\])")  # the asterisk of a shape such as [batch, *shape]


def plain_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written to be read as text: a norm's bars and a shape's asterisk are no markup."""
    if what == "data":
        lines[:] = words_below(name)
    text = []
    for line in lines:
        pieces = LITERAL.split(MATH.sub(r"``\1``", line))
        pieces[::2] = [SPREAD.sub(r"\*", piece.replace("|", r"\|")) for piece in pieces[::2]]
        text += ["", "".join(pieces)] if PART.match(line) else ["".join(pieces)]
    lines[:] = text


def words_below(name: str) -> list[str]:
    """The string below a constant's assignment, in whichever module of its package that stands."""
    package, constant = name.rsplit(".", 1)
    for module in sorted(sys.modules):
        if module == package or module.startswith(f"{package}."):
            found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", constant))
            if found:
                return list(found)
    return []


def setup(app: Any) -> None:
    """Called by Sphinx before it reads any page."""
    write_api(HERE / "api")
    write_causes(HERE / "causes")
    app.connect("autodoc-process-docstring", plain_text)
