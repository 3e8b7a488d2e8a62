"""What `tightrope cite` names: sources are fields, so they survive Python without docstrings."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from tightrope import losses, optimizers, penalties
from tightrope._plumbing.source import Source
from tightrope.methods import METHODS, Constraint, build, citations
from tightrope.methods.citations import ADA, DIFF, LAZY, NOISE, PARTS, bibtex, papers, sources
from tightrope.optimizers.settings import RULES
from tightrope.perturbations import InstanceNoise

NUMBER = re.compile(r"\b\d{4}\.\d{4,5}\b")
OWN = {  # the paper each method is named after: README's table, and the same paper first in what is cited
    "wgan": "1701.07875", "wgan_gp": "1704.00028", "wgan_ttur": "1706.08500", "dcgan": "1511.06434",
    "sn_gan": "1802.05957", "sn_wgan": "1802.05957", "orthogonal_wgan": "1911.13060", "r1": "1801.04406",
    "r3gan": "2501.05441", "consensus": "1705.10461", "symplectic": "1802.05642", "extra_adam": "1802.10551",
    "optimistic_adam": "1711.00141", "negative_momentum": "1807.04740", "lookahead": "2006.14567",
    "dcgan_clamped": "1802.08768", "wgan_gp_clamped": "1802.08768",
}  # fmt: skip


def cited(**options: object) -> list[str]:
    return [source.arxiv for source in sources(build(**options))]


@pytest.mark.parametrize("name", list(METHODS))
def test_a_methods_own_paper_comes_first_and_every_paper_is_there_once(name):
    found = [source.arxiv for source in sources(build(name))]
    assert found[0] == OWN[name] and len(set(found)) == len(found)
    assert build(name).loss.source.arxiv in found
    assert bibtex(name).count("@misc{") == len(found)
    assert [NUMBER.search(entry)[0] for entry in bibtex(name).split("\n\n")] == found


def test_the_papers_are_the_same_without_docstrings(tmp_path):
    """Sources used to be read from docstrings: under ``python -OO`` R1 was credited to the paper of its loss alone."""
    for name in ("r1", "orthogonal_wgan"):
        command = [sys.executable, "-OO", "-m", "tightrope", "cite", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout.strip() == bibtex(name)
        assert OWN[name] in done.stdout


@pytest.mark.parametrize("name", list(METHODS))
def test_fields_and_docstrings_name_the_same_papers(name):
    _, _, after = inspect.getdoc(METHODS[name]).partition("Source: ")
    paragraph = after.partition("\nDepartures:")[0]
    assert {source.arxiv for source in build(name).sources} == set(NUMBER.findall(paragraph))


def test_parts_are_cited_by_what_was_chosen():
    assert "1709.08894" in cited(name="wgan_gp", one_sided=True) and "1709.08894" not in cited(name="wgan_gp")
    assert "2501.08316" in cited(name="r1", approximate=True)
    assert LAZY.arxiv in cited(name="r1", every=16) and LAZY.arxiv not in cited(name="r1")
    assert "1811.05381" in cited(name="orthogonal_wgan", by="bjorck")
    assert "2104.07167" in cited(name="orthogonal_wgan", by="cayley")
    assert "1611.06013" in cited(name="orthogonal_wgan", way="svd")
    for form, number in {"gram": "1609.07093", "off_diagonal": "1809.11096", "srip": "1810.09102"}.items():
        assert number in cited(name="orthogonal_wgan", way="soft", form=form)
    noisy = replace(build("r1"), perturbation=InstanceNoise(0.1))
    assert NOISE in sources(noisy)
    plain = replace(build("r1"), constraint=Constraint(lambda critic: critic), sources=())
    assert [source.arxiv for source in sources(plain)] == ["1406.2661", "1801.04406"]


def test_everything_that_may_be_cited_is_in_the_file():
    named = (
        [source for _, _, source in PARTS] + [NOISE, LAZY, DIFF, ADA] + [loss.source for loss in losses.LOSSES.values()]
    )
    for name in METHODS:
        named += build(name).sources
    assert {source.arxiv for source in named} <= set(papers())
    unused = set(papers()) - {source.arxiv for source in named}
    assert not unused, f"papers that nothing cites: {unused}"
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Methods")[2].partition("\n## ")[0]
    assert set(NUMBER.findall(table)) <= set(papers())


def test_every_part_that_methods_are_made_of_has_a_row():
    parts = {part for part, _, _ in PARTS}
    public = {getattr(penalties, name) for name in penalties.__all__ if inspect.isfunction(getattr(penalties, name))}
    bound = {p.function for name in METHODS for p in (*build(name).penalties, *build(name).generator_penalties)}
    assert bound & public == bound and bound <= parts
    assert {optimizers.consensus, optimizers.symplectic} <= parts
    plain = {RULES[kind] for kind in ("adam", "rmsprop", "sgd")}
    assert set(RULES.values()) - plain <= parts


def test_the_file_is_read_strictly(monkeypatch, tmp_path):
    good = resources.files("tightrope.methods").joinpath("papers.bib").read_text(encoding="utf-8")
    first, second = good.strip().split("\n\n")[:2]
    (tmp_path / "papers.bib").write_text("")
    monkeypatch.setattr(citations.resources, "files", lambda package: tmp_path)

    def read(text: str) -> int:
        (tmp_path / "papers.bib").write_text(text, encoding="utf-8")
        papers.cache_clear()
        return len(papers())

    try:
        assert read(f"{first}\n\n{second}\n") == 2
        for broken in (
            f"{first}\n\n{first}\n",
            first.replace("  author", "  auther"),
            first.replace("@misc", "@article"),
            first[:-1],
            f"{first}\n\nnote\n",
        ):
            with pytest.raises(ValueError, match=r"papers\.bib"):
                read(broken)
    finally:
        papers.cache_clear()
        monkeypatch.undo()
    assert len(papers()) > 20


def test_a_source_reads_as_a_place_in_a_paper():
    assert str(Source("1801.04406", "eq. 9")) == "1801.04406, eq. 9" and str(Source("1801.04406")) == "1801.04406"
