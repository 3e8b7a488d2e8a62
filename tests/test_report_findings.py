"""The top of a report: whether the training works, by its intervals, and what was found, with the curve for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from run_folders import evaluation, make_run, write_rows
from tightrope.cli import main
from tightrope.monitor import CAUSES, Diagnosis, Finding
from tightrope.report import answer, assessment, findings, read_run, write_report
from tightrope.runs.record import RunRecord


def run_with(folder: Path, values: list[float], width: float | None = 0.05, floor: float | None = 0.3) -> RunRecord:
    """A run whose Fréchet distances are these, with an interval of this relative half width."""
    make_run(folder, steps=800, every=20, pictures=False)
    rows = [evaluation(100 * (k + 1), 800) for k in range(len(values))]
    for one, value in zip(rows, values, strict=True):
        measured = one["measurements"][0]  # type: ignore[index]
        measured |= {"value": value, "floor": floor, "interval": None}
        if width is not None:
            measured["interval"] = [value * (1 - width), value * (1 + width)]
    write_rows(folder / "evaluations.jsonl", rows)
    return read_run(folder)


COURSES = {
    "improving": ([9.0, 7.0, 5.0, 4.0, 3.0, 2.0], "improving", None, 600),
    "flat": ([9.0, 5.0, 2.0, 2.05, 1.98, 2.02], "flat", 300, 500),
    "worse": ([9.0, 5.0, 2.0, 2.5, 3.5, 4.0], "worse", 300, 300),
    "better than its best by chance only": ([9.0, 2.0, 1.99, 2.0, 2.01, 1.97], "flat", 200, 600),
}


@pytest.mark.parametrize("name", COURSES)
def test_the_course_follows_from_the_intervals(name: str, tmp_path: Path) -> None:
    values, trend, since, best = COURSES[name]
    found = answer.course(run_with(tmp_path / "a", values))
    assert (found.trend, found.since, found.best) == (trend, since, best), found.sentence


def test_wider_intervals_say_less(tmp_path: Path) -> None:
    values = COURSES["worse"][0]
    assert answer.course(run_with(tmp_path / "a", values, width=0.05)).trend == "worse"
    assert answer.course(run_with(tmp_path / "b", values, width=0.5)).trend == "flat"


def test_too_few_measurements_are_said(tmp_path: Path) -> None:
    found = answer.course(run_with(tmp_path / "a", [3.0, 2.0]))
    assert found.trend == "unknown" and "Too few measurements" in found.sentence
    no_intervals = answer.course(run_with(tmp_path / "b", [3.0, 2.0, 1.9, 1.8], width=None))
    assert no_intervals.trend == "unknown"
    assert answer.course(run_with(tmp_path / "c", [9, 7, 5, 4, 3, 2, 1], width=None)).trend == "improving"
    make_run(tmp_path / "d", steps=80, every=10, pictures=False, evaluated=False)
    assert "No distance" in answer.course(read_run(tmp_path / "d")).sentence


def test_other_protocols_are_not_compared(tmp_path: Path) -> None:
    record = run_with(tmp_path / "a", [9.0, 7.0, 5.0])
    rows = [json.loads(line) for line in (tmp_path / "a" / "evaluations.jsonl").read_text().splitlines()]
    rows[-1]["measurements"][0]["protocol"]["n_fake"] = 50
    write_rows(tmp_path / "a" / "evaluations.jsonl", rows)
    assert answer.course(record).trend != "unknown"
    assert answer.course(read_run(tmp_path / "a")).trend == "unknown"


HEALTHY = Diagnosis((Finding("healthy", "Nothing.", damage="harmless"),), 100)


@pytest.mark.parametrize(
    ("values", "floor", "words"),
    [
        ([9.0, 7.0, 5.0, 4.0, 3.0, 2.0], 0.3, "tightrope resume"),
        ([9.0, 5.0, 2.0, 2.05, 1.98, 2.02], 0.3, "--what-if"),
        ([9.0, 5.0, 2.0, 2.05, 1.98, 2.02], 1.9, "Nothing"),
        ([9.0, 5.0, 2.0, 2.5, 3.5, 4.0], 0.3, "weights of step 300"),
        ([9.0], 0.3, "Measure more often"),
    ],
)
def test_what_to_do_next(values: list[float], floor: float, words: str, tmp_path: Path) -> None:
    record = run_with(tmp_path / "a", values, floor=floor)
    assert words in answer.next_step(record, answer.course(record), HEALTHY)
    strong = Diagnosis((Finding("critic_sign_flipped", "Flipped."),), 100)
    assert CAUSES["critic_sign_flipped"].remedy in answer.next_step(record, answer.course(record), strong)


def test_diversity_and_the_best_weights(tmp_path: Path) -> None:
    record = run_with(tmp_path / "a", COURSES["worse"][0])
    assert "classes covered 10" in answer.diversity(record) and "real samples" in answer.diversity(record)
    assert "not kept apart" in answer.best_checkpoint(record, answer.course(record))
    (tmp_path / "a" / "best.safetensors").write_bytes(b"")
    assert "step 300 of 800" in (said := answer.best_checkpoint(record, answer.course(record)))
    assert "kept in best.safetensors" in said


def diagnosed(folder: Path, *found: Finding) -> str:
    make_run(folder, steps=80, every=10, pictures=False)
    kept = {"findings": [f.to_json() for f in found], "checked": ["everything <b>"]}
    (folder / "diagnosis.json").write_text(json.dumps(kept))
    return write_report(folder).read_text(encoding="utf-8")


def test_findings_stand_at_the_top_with_colour_curve_and_remedy(tmp_path: Path) -> None:
    page = diagnosed(
        tmp_path / "a",
        Finding("critic_loss_other", "It minimises <script>another</script> loss.", {}, 30, "high"),
        Finding("no_progress", "No nearer.", {}, 50, "low", "why it fails", ("critic_too_weak",)),
    )
    top, rest = page.split('<nav aria-label="Sections">', 1)
    assert "Does my training work?" in top and 'class="finding bad"' in top and 'class="finding none"' in top
    assert CAUSES["critic_loss_other"].remedy in top and CAUSES["critic_too_weak"].title in top
    assert "<script>" not in page and "&lt;script&gt;" in top and "everything &lt;b&gt;" in top
    first = top[top.index("finding bad") :].split("</article>")[0]
    assert "<svg" in first and "ritic loss" in first and "since step 30" in first
    assert 'class="finding' not in rest


def test_a_sound_run_is_green_and_shows_no_remedy(tmp_path: Path) -> None:
    page = diagnosed(tmp_path / "a", Finding("healthy", "Nothing is wrong.", {}, 0, "high", "harmless"))
    card = re.search(r'<article class="finding good">.*?</article>', page, re.S)
    assert card is not None and "Do:" not in card[0] and "<svg" not in card[0]


def test_severity_is_a_colour_for_every_finding() -> None:
    damages = ("not what you claimed", "why it fails", "harmless", "unknown")
    tones = {
        findings.severity(Finding(cause, "", confidence=sure, damage=damage))
        for cause in CAUSES
        for sure in ("high", "medium", "low")
        for damage in damages
    }
    assert tones == {"good", "bad", "fair", "none"}


def test_curves_name_quantities_that_runs_log() -> None:
    from tightrope.monitor import SIGNALS

    assert all(key in SIGNALS for _, keys in findings.CURVES for key in keys)


KINDS = {"trend": str, "sentence": str, "since": (int, type(None)), "best_step": (int, type(None)),
         "best_weights": str, "diversity": str, "next": str}  # fmt: skip
FINDING = {"cause": str, "title": str, "sentence": str, "evidence": dict, "since": int, "confidence": str,
           "damage": str, "remedy": str, "confirm": str, "candidates": list, "exact": str}  # fmt: skip
DIAGNOSIS = {"healthy": bool, "step": int, "findings": list, "checked": list, "not_checked": list, "next_step": str}


def test_machines_read_what_the_page_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_with(tmp_path / "a", COURSES["worse"][0])
    found = [Finding("critic_loss_other", "It minimises another.", {"share": 0.3}, 30), Finding("no_progress", "No.")]
    (tmp_path / "a" / "diagnosis.json").write_text(json.dumps({"findings": [f.to_json() for f in found]}))
    assert main(["report", str(tmp_path / "a"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert Path(said.pop("report")).is_file()
    assert said == json.loads(json.dumps(assessment(tmp_path / "a"), allow_nan=False))
    assert set(said) == {"schema", "run", "step", "state", "answer", "diagnosis", "problems"} and said["schema"] == 1
    for part, kinds in ((said["answer"], KINDS), (said["diagnosis"], DIAGNOSIS)):
        assert part.keys() == kinds.keys() and all(isinstance(part[key], kind) for key, kind in kinds.items())
    for one in said["diagnosis"]["findings"]:
        assert one.keys() == FINDING.keys() and all(isinstance(one[key], kind) for key, kind in FINDING.items())
    assert said["answer"]["trend"] == "worse" and said["answer"]["since"] == said["answer"]["best_step"] == 300
    assert said["diagnosis"]["findings"][0]["cause"] == "critic_loss_other" and not said["diagnosis"]["healthy"]


def test_the_schema_is_documented() -> None:
    page = Path(__file__).parents[1] / "docs" / "howto" / "failing_run.md"
    if not page.is_file():
        pytest.skip("needs the folder docs/")
    text = page.read_text().split("## For machines")[1]
    named = {word.rpartition(".")[2] for word in re.findall(r"`([a-z_.]+)`", text)}
    assert {*KINDS, *DIAGNOSIS, *FINDING, "schema", "run", "step", "state"} <= named


def test_a_healthy_run_without_evaluations_has_an_answer_too(tmp_path: Path) -> None:
    make_run(tmp_path / "a", steps=80, every=10, pictures=False, evaluated=False)
    said = assessment(tmp_path / "a")
    assert said["answer"]["trend"] == "unknown" and said["answer"]["best_step"] is None
    assert said["answer"]["best_weights"] == ""


def test_an_evaluation_that_repeats_the_one_before_it_counts_once(tmp_path: Path) -> None:
    run_with(tmp_path / "a", [3.0, 2.0])
    rows = [json.loads(line) for line in (tmp_path / "a" / "evaluations.jsonl").read_text().splitlines()]
    write_rows(tmp_path / "a" / "evaluations.jsonl", [*rows, rows[-1]])
    found = answer.course(read_run(tmp_path / "a"))
    assert found.trend == "unknown" and "2 measurements" in found.sentence


def test_lost_diversity_is_said_with_its_step(tmp_path: Path) -> None:
    run_with(tmp_path / "a", COURSES["improving"][0])
    rows = [json.loads(line) for line in (tmp_path / "a" / "evaluations.jsonl").read_text().splitlines()]
    for row, classes in zip(rows, (6, 9, 8, 7, 6, 5), strict=True):
        next(m for m in row["measurements"] if m["name"] == "classes_covered")["value"] = classes
    write_rows(tmp_path / "a" / "evaluations.jsonl", rows)
    record = read_run(tmp_path / "a")
    assert "classes covered 5 (real samples: 10), down from 9 at step 200" in answer.diversity(record)
    told = answer.next_step(record, answer.course(record), HEALTHY)
    assert "watch the diversity" in told and f"tightrope resume {tmp_path / 'a'} --more-steps" in told
    next(m for m in rows[-1]["measurements"] if m["name"] == "classes_covered")["value"] = 8
    write_rows(tmp_path / "a" / "evaluations.jsonl", rows)
    assert "down from" not in answer.diversity(read_run(tmp_path / "a"))
