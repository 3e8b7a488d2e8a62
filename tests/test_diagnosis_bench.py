"""The proof's harness: planted runs are reproducible, damage is measured rightly, and the report counts rightly."""

import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def part(name):
    """A module of the benchmark, which lies outside the package."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"benchmarks.diagnosis.{name}")


BASES = {
    "dcgan": ("DEV", "tutorial", "sign_generator"),
    "wgan_gp": ("DEV", "gp", "penalty_absent"),
    "trainer": ("DEV", "average", "ema_never"),
    "ctgan": ("DEV", "table", "penalty_packs"),
    "functional": ("TEST", "closure", "generator_detached"),
    "vocoder": ("TEST", "vocoder", "sign_critic"),
    "phases": ("TEST", "phases_moons", "half_real_only"),
}


@pytest.mark.parametrize("style", BASES)
def test_each_style_trains_and_its_fault_changes_the_run(style):
    """The same plan gives the same trace to the last digit; the planted fault gives another one."""
    which, base, fault = BASES[style]
    plan = replace(getattr(part("bases"), which)[base], steps=20)
    assert plan.style == style
    sound, again, faulty = (part("run").trained(p) for p in (plan, plan, replace(plan, fault=fault, strength=1.0)))
    assert not sound["crash"], sound["crash"]
    assert sound["trace"] == again["trace"]
    assert [step for step, _ in sound["trace"]] == [0, 10, 20]
    assert faulty["crash"] or faulty["trace"] != sound["trace"]
    assert part("run").trained(replace(plan, seed=9))["trace"] != sound["trace"]


@pytest.mark.parametrize("name", ["dev", "test"])
def test_sets_are_made_by_seed_and_every_run_has_its_own_key(name):
    sets = part("sets")
    one, two = sets.plans(name, 1), sets.plans(name, 2)
    assert one == sets.plans(name, 1)
    assert two[: len(one)] == one
    keys = [plan.key for plan in two]
    assert len(set(keys)) == len(keys)
    assert all(plan.fault in part("faults").FAULTS for plan in one if plan.fault)


def test_the_sets_share_no_data_beside_different_networks_and_strengths():
    bases = part("bases")
    assert not {p.data for p in bases.DEV.values()} & {p.data for p in bases.TEST.values()}
    dev, test = (set(part(f"planted_{name}").PLANTED) for name in ("dev", "test"))
    assert dev <= set(part("faults").FAULTS)
    assert test <= set(part("faults").FAULTS)
    assert len(part("healthy").healthy_dev()) >= 50
    assert len(part("healthy").healthy_test()) >= 50


def test_right_names_are_causes_that_the_monitor_knows():
    causes = importlib.import_module("tightrope.monitor")
    if not hasattr(causes, "CAUSES"):
        pytest.skip("the table of causes is not here yet")
    named = {cause for fault in part("faults").FAULTS.values() for cause in fault.causes}
    assert named | set(part("faults").NAMELESS) <= set(causes.CAUSES)
    for name in ("public_bugs", "public_bugs_second", "public_bugs_third"):
        assert {c for bug in part(name).BUGS.values() for c in bug.causes} <= set(causes.CAUSES)


def test_the_frozen_set_is_the_one_that_was_frozen():
    written = re.search(r"`([0-9a-f]{64})`", (ROOT / "benchmarks/diagnosis/FROZEN.md").read_text())
    assert written is not None
    assert part("frozen").content_hash() == written.group(1), "the test set was changed after the freeze"


def test_energy_distance_against_the_sum_over_pairs():
    x, y = torch.randn(7, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64) + 1

    def mean(a, b, same):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return sum(float((a[i] - b[j]).norm()) for i, j in pairs) / len(pairs)

    within = mean(y, y, True)
    expected = (2 * mean(x, y, False) - mean(x, x, True) - within) / within
    assert part("watch").distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert part("watch").distance(x * float("nan"), y) == 10


def test_damage_is_what_stays_above_twice_the_twin():
    damage = part("run").visible_damage
    twin = [(0, 1.0), (10, 0.4), (20, 0.2), (30, 0.1)]
    assert damage([(0, 1.0), (10, 0.9), (20, 0.4), (30, 0.2)], twin) is None
    assert damage([(0, 1.0), (10, 0.9), (20, 0.4), (30, 0.3)], twin) == 30
    assert damage([(0, 1.0), (10, 0.9), (20, 0.9), (30, 0.9)], twin) == 10
    assert damage([(0, 1.0), (10, 0.4)], twin) == 10  # it crashed
    half = part("run").half_lost
    assert half([(0, 1.0), (10, 0.6), (20, 0.7), (30, 0.8)], twin) == 20
    assert half(twin, twin) is None


def planted(first, confidence="high", expected="penalty_absent", damaged=True, step=5):
    found = [[first, confidence, 2]] if first else []
    return {
        "key": "k",
        "fault": "penalty_absent",
        "expected": [expected],
        "evidence": "exact",
        "damaged": damaged,
        "damage_step": 30,
        "half_lost_step": 40,
        "verdicts": [[1, [["healthy", "high", 0]]], [step, found]],
        "options": {"every": 10},
    }


def test_report_tells_right_wrong_and_abstained_apart():
    report = part("report")
    assert report.first(planted("penalty_absent")) == "right"
    assert report.first(planted("unshuffled")) == "wrong"
    assert report.first(planted("unshuffled", "low")) == "abstained"
    assert report.first(planted("unknown_trouble", "medium")) == "abstained"
    assert report.first(planted("")) == "abstained"
    assert report.step_found(planted("penalty_absent", step=8)) == 8
    healthy = planted("unshuffled", "medium") | {"fault": "", "expected": []}
    assert report.alarms(healthy) == ["unshuffled"]
    assert report.alarms(planted("unshuffled", "low")) == []
    gone = healthy | {"verdicts": [*healthy["verdicts"], [60, []]]}
    assert (report.alarms(gone), report.passing(gone)) == ([], ["unshuffled"])


def test_a_stored_run_without_monitor_is_compared_by_its_numbers(tmp_path):
    """Read back from JSON its trace is of lists: once every run counted as disturbed for that."""
    run = part("run")
    plan = replace(part("bases").DEV["tutorial"], steps=10)
    path = tmp_path / "bare.jsonl"
    run.bare(plan, run.Store(path))
    row = run.row_of(plan, "real_z", run.Store(path), {"every": 10})
    assert row["undisturbed"] is True
    assert row["problem"] == ""


def test_wilson_interval_against_its_definition():
    """Its ends are the shares from which the observed one is exactly 1.96 standard errors away."""
    low, high = part("report").wilson(3, 44)
    for end in (low, high):
        assert abs(3 / 44 - end) == pytest.approx(1.96 * (end * (1 - end) / 44) ** 0.5)
    assert low < 3 / 44 < high


def test_report_of_rows_and_a_run_that_goes_on_where_it_stopped(tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(planted(c)) for c in ("penalty_absent", "unshuffled", "")) + "\n")
    part("report").main([str(rows)])
    text = capsys.readouterr().out
    assert "| damaged | 3 | 1/3 = 33 %" in text
    assert "| penalty_absent | unshuffled | 1 |" in text
    kept = tmp_path / "kept.jsonl"
    part("report").main([str(rows), "--compact", str(kept)])
    capsys.readouterr()
    part("report").main([str(kept)])
    assert capsys.readouterr().out == text
    out = tmp_path / "runs.jsonl"
    arguments = ["--set", "dev", "--access", "none", "--only", "penalty_packs", "--out", str(out)]
    part("run").main(arguments)
    first = out.read_text()
    part("run").main(arguments)
    assert out.read_text() == first
    assert json.loads(first)["expected"][0] == "penalty_norm_axes"
