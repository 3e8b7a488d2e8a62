"""Numbers that pages show are what the committed files of results give."""

from __future__ import annotations

import json
from math import exp, log
from pathlib import Path
from statistics import fmean, stdev

import pytest

DOCS = Path(__file__).parents[1] / "docs"
if not (DOCS / "results").is_dir():
    pytest.skip("needs the folder docs/, which a source distribution leaves out", allow_module_level=True)


def results(name: str):
    return json.loads((DOCS / "results" / f"{name}.json").read_text())


def page(name: str) -> str:
    """A page as one line, so that a sentence may be broken anywhere."""
    return " ".join((DOCS / f"{name}.md").read_text().split())


def rows(name: str) -> list[str]:
    return [line for line in (DOCS / f"{name}.md").read_text().splitlines() if line.startswith("|")]


def test_the_distances_in_the_plane():
    found, shown = results("convergence_2d"), page("convergence")
    assert {name: round(value, 3) for name, value in found["floors"].items()}["line"] == 0.039
    for arm, of in found["arms"].items():
        cells = [f"{fmean(w):.3f} ({stdev(w):.3f})" for w in (of["data"][d]["w1"] for d in found["floors"])]
        slope = fmean(of["data"]["circle"]["slope_at_data"])
        assert f"| {arm} | {of['steps']} | {' | '.join(cells)} | {slope:.3g} |" in shown
    plain, r1 = (found["arms"][arm]["data"] for arm in ("unregularised", "r1"))
    factors = [
        exp(fmean(map(log, plain[d]["w1"])) - fmean(map(log, r1[d]["w1"]))) for d in ("line", "circle", "segments")
    ]
    assert "it is {:.1f} [1.7, 5.2], {:.1f} [0.98, 3.3] and {:.1f} [1.8, 2.9]".format(*factors) in shown
    slopes = [s for arm in ("gp1", "gp5") for d in ("gaussian", "circle") for s in _slopes(found, arm, d)]
    assert f"{min(slopes):.2f} to {max(slopes):.2f} with WGAN-GP" in shown


def _slopes(found, arm, data):
    return found["arms"][arm]["data"][data]["slope_at_data"]


@pytest.mark.parametrize("name", ["JC-3", "JC-4", "JC-3R", "JC-4R", "JC-6"])
def test_the_studies_of_clamping(name):
    found = results("jacobian_clamping")[name]
    plain, clamped = found["plain"], found["clamped"]
    for arm, of in (("plain", plain), ("clamped", clamped)):
        for key in ("score", "w1"):
            values = [run[key] for run in found["runs"][arm]]
            assert (of[key]["mean"], of[key]["sd"]) == pytest.approx((fmean(values), stdev(values)), rel=1e-5)
    (row,) = (line for line in rows("conditioning") if line.startswith(f"| {name} |"))
    digits = 2 if "3" in name else 3
    arms = [f"{of['w1']['mean']:.{digits}f} ± {of['w1']['sd']:.{digits}f}" for of in (plain, clamped)]
    p = found["welch_p"]["w1"]
    assert f"W1 {arms[0]} → {arms[1]} (p {p:.2g}" in row
    if name != "JC-6":
        arms = [f"{of['score']['mean']:.2f} ± {of['score']['sd']:.2f}" for of in (plain, clamped)]
        assert f"score {arms[0]} → {arms[1]}" in row
    dead = {arm: [run["dead"] for run in runs if run["dead"]] for arm, runs in found["runs"].items()}
    assert ("dead direction" in row) == any(dead.values())


def test_how_often_clamping_acts():
    """The page once said 2 to 6 % of all; of the ring it is half."""
    found, shown = results("clamping_gains"), page("conditioning")

    def share(name, arm="plain", side="below"):
        return f"{100 * fmean(found[name][arm][side]):.0f}"

    blobs, grid, ring = "JC-3", "JC-4", "JC-6"
    assert f"{share(blobs)} % (blobs), {share(grid)} % (grid) and {share(ring)} % (ring) lie below" in shown
    clamped = [share(name, "clamped") for name in (blobs, grid, ring)]
    assert "and {}, {} and {} % with it".format(*clamped) in shown
    above = [share(name, arm, "above") for arm in ("plain", "clamped") for name in (blobs, grid, ring)]
    assert "above the upper one {}, {} and {} %, and {}, {} and {} %".format(*above) in shown
    assert f"{share('JC-3R')} % (JC-3R) and {share('JC-4R')} % (JC-4R), with clamping" in shown
    assert f"with clamping {share('JC-3R', 'clamped')} and {share('JC-4R', 'clamped')} %" in shown


def test_known_distances():
    shown: dict[tuple[str, str], list[dict]] = {}
    for run in results("known_w1")["runs"]:
        shown.setdefault((run["pair"], run["critic"]), []).append(run)
    for (pair, critic), label in {
        ("ring", "clip 0.01"): "ring | clip 0.01",
        ("ring", "gradient penalty 10"): "ring | gradient penalty 10",
        ("ring", "spectral norm, ReLU"): "ring | spectral norm, ReLU",
        ("ring", "spectral norm, GroupSort"): "ring | spectral norm, GroupSort",
        ("ring", "orthogonal (polar), ReLU"): "ring | hard (polar), ReLU",
        ("shells 8-D", "gradient penalty 10"): "x against 2x, 8-D | gradient penalty 10",
    }.items():
        (row,) = (line for line in rows("orthogonal_wgan") if line.startswith(f"| {label} |"))
        cells = [float(cell) for cell in row.strip("| ").split(" | ")[2:]]
        of = shown[pair, critic]
        expected = [
            fmean(r["ratio"] for r in of),
            max(r["largest_gradient"] for r in of),
            fmean(r["upper"] for r in of),
            fmean(r["stable_rank_fraction"] for r in of),
        ]
        assert cells == pytest.approx(expected, rel=0.01, abs=0.006)


@pytest.mark.parametrize("data", ["ring", "digits"])
def test_generalisation_of_critics(data):
    for method in results("critic_generalisation")[data]:
        mean, low, high = (method["test"][key] for key in ("mean", "low", "high"))
        known = [row for row in rows("orthogonal_wgan") if f"{mean:.3f}" in row]
        assert known, method["name"]
        if "one-sided" not in method["name"]:
            assert any(f"[{low:.3f}, {high:.3f}]" in row for row in known), method["name"]


def test_what_a_constraint_costs():
    for name, pages in (("constraints_dcgan", ("spectral_normalization", "orthogonal_wgan")),
                        ("constraints_dcgan_spectral", ("spectral_normalization",))):  # fmt: skip
        shown = " ".join(map(page, pages))
        for variant, of in results(name)["variants"].items():
            low, high = of["quartiles"]
            known = (f"{of['ratio']:.{n}f} ({low:.{n}f} to {high:.{n}f})" for n in (2, 3))
            assert variant in ("plain", "clipping") or any(words in shown for words in known), variant


def test_which_way_clamping_moved_the_mean_and_whether_significantly():
    found, shown = results("jacobian_clamping"), page("conditioning")
    names = ("JC-3", "JC-3R", "JC-4", "JC-4R")
    changes = []
    for name in names:
        plain, clamped = (found[name][arm]["w1"] for arm in ("plain", "clamped"))
        mean, spread = (f"{plain[key]:.3f} → {clamped[key]:.3f}" for key in ("mean", "sd"))
        changes.append(f"{mean}, sd {spread} ({name})")
    higher = [name for name in names if found[name]["clamped"]["w1"]["mean"] > found[name]["plain"]["w1"]["mean"]]
    sure = [name for name in names if found[name]["welch_p"]["w1"] < 0.05]
    assert len(higher) == 3 and sure == ["JC-4R"] and sure[0] in higher  # what the words below say
    p = f"{found[sure[0]]['welch_p']['w1']:.3f}"
    assert all(found[name]["brown_forsythe_p_w1"] >= 0.05 for name in names)
    said = f"the mean higher with clamping in three of four, in one of them significantly ({sure[0]}, p {p}), no spread"
    assert said in shown and f"mean W1 {'; '.join(changes)}." in shown
    others = [f"{found[name]['spearman_plain']:.2f} ({name})" for name in (*names, "JC-6")]
    assert f"in other setups {', '.join(others)}" in shown
