"""What a finding tells to do: the change in numbers, from where to go on, and the command that finds out more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from monitor_loop import LATENT, Loop, mlp, r1
from run_folders import make_run
from tightrope import doctor, report
from tightrope.cli import main
from tightrope.monitor import CAUSES, Diagnosis, Finding, Monitor
from tightrope.monitor.claims import Claims
from tightrope.monitor.history import History
from tightrope.monitor.responses import WORDS, explained, open_question, with_responses
from tightrope.monitor.what_if import respond
from tightrope.monitor.what_if.changes import AS_IS, changes
from tightrope.monitor.what_if.gains import Gain, Response
from tightrope.monitor.what_if.game import aside, game_of
from tightrope.monitor.what_if.place import best_place, games, in_numbers
from tightrope.monitor.window import Window
from tightrope.runs.diagnosis import of_record

HERE = [0.50, 0.52, 0.48, 0.51]


def lower(factor: float) -> list[float]:
    return [value * factor for value in HERE]


@pytest.mark.parametrize(
    ("fresh", "start", "place"),
    [
        (HERE, HERE, "here"),
        (lower(0.9), lower(0.9), "here"),  # less than it takes to leave what was reached
        (lower(0.5), lower(1.2), "fresh"),
        (lower(0.5), lower(0.2), "start"),
        (HERE, [0.1, 2.0, 0.1, 2.0], "here"),  # by chance
        (lower(0.5), [], "fresh"),  # first weights were not kept
        ([0.1], [0.1], "here"),  # one pair has no interval
    ],
)
def test_the_place_is_left_only_for_one_that_is_nearer_beyond_chance(
    fresh: list[float], start: list[float], place: str
) -> None:
    assert best_place({"here": HERE, "fresh": fresh, "start": start}, AS_IS) == place


def sound(steps: int = 8, **options: Any) -> Monitor:
    monitor = Loop(steps=steps, **options).run()
    assert monitor is not None
    return monitor


def test_every_place_begins_as_it_says() -> None:
    loop = Loop(steps=8)
    monitor = loop.run()
    assert monitor is not None
    game = game_of(monitor)
    found = {place: one.copied() for place, one in games(game).items()}
    moments = {place: sum(len(o.state) for held in s.optimizers.values() for o in held) for place, s in found.items()}
    assert moments["here"] > 0 == moments["fresh"] == moments["start"]
    for place, now in (("here", True), ("fresh", True), ("start", False)):
        pairs = zip(found[place].generator.parameters(), loop.g.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == now
    first = monitor.start["generator"]
    assert all(torch.equal(v, first[k]) for k, v in found["start"].generator.state_dict().items())


def test_a_change_is_said_in_numbers_and_as_probe_takes_it() -> None:
    game = game_of(sound(penalty=("r1", 3000.0), extra=r1(3000.0)))
    said = {}
    for change in changes(game):
        with aside(game, 0):
            said[change.name] = in_numbers(game, change.apply)
    assert said["penalty x 0.01"] == ("Set penalty=r1 from 3e+03 to 30.", {"penalty=r1": 30.0}, "penalty=r1:30")
    assert said["generator rate / 16"][1:] == ({"lr_generator": 1e-3 / 16}, "lr_generator=6.25e-05")
    words, numbers, fix = said["beta1 = 0"]
    assert set(numbers.values()) == {0.0} and fix == "beta1=0" and "beta1 of the critic from 0." in words


def test_a_what_if_says_its_change_its_place_and_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "ROUNDS", 4)
    monitor = sound(steps=12, penalty=("r1", 3000.0), extra=r1(3000.0))
    change = next(c for c in changes(game_of(monitor)) if c.name == "penalty x 0.01")
    played = Response(True, 0.9, 0.5, "stuck", 40, 4, [Gain(change, [(0.5, 0.1), (0.5, 0.11), (0.5, 0.09)])])
    finding = Finding("penalty_too_strong", "It helps.", {"change": change.name}, 0, "medium", "why it fails")
    ends = {"here": [1.0] * 4, "fresh": [1.1] * 4, "start": [0.1] * 4}
    monkeypatch.setattr(
        respond._Play,
        "tail",
        lambda self, change, seed: (
            1.0,
            ends["start" if self.game.from_start else "fresh" if self.game.fresh else "here"][seed] * (1 + seed / 99),
        ),
    )
    found = respond.placed(monitor, finding, [played], float("inf"))
    assert found.remedy == f"Set penalty=r1 from 3e+03 to 30. {WORDS['start']}"
    assert found.evidence["fix"] == "penalty=r1:30" and found.evidence["place"] == "start"
    assert found.evidence["ends"]["start"] < found.evidence["ends"]["here"]
    late = respond.placed(monitor, finding, [played], 0.0)  # the time is up
    assert late.evidence["place"] == "here"


def history(*distances: float, first: int = 1) -> History:
    kept = History(None, Claims(False))
    for k, value in enumerate(distances):
        kept.add(Window(first + 10 * k, numbers={"distance": value}))
    return kept


def advised(finding: Finding, kept: History) -> str:
    return str(with_responses(Diagnosis((finding,), 100), kept)[0].remedy)


def test_a_fault_that_lost_what_was_gained_sends_back() -> None:
    remedy = CAUSES["critic_sign_flipped"].remedy
    worse, late = history(1.0, 1.5, 2.0, 2.5), history(1.0, 0.5, 0.2, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9)
    flipped = Finding("critic_sign_flipped", "It is.", since=1)
    assert "first weights" in advised(flipped, worse) and remedy in advised(flipped, worse)
    assert "before step 61" in advised(Finding("optimizer_lost_on_resume", "It is.", since=61), late)
    assert advised(flipped, history(1.0, 0.8, 0.6, 0.5)) == remedy  # it came closer all the same
    assert advised(flipped, history(1.0, 2.0)) == remedy  # too few windows
    for changed in ({"confidence": "low"}, {"damage": "harmless"}):
        assert advised(Finding("critic_sign_flipped", "It is.", since=1, **changed), worse) == remedy  # type: ignore[arg-type]


def test_after_a_repair_copies_of_the_claimed_game_say_from_where_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = sound(steps=30, generator_loss=lambda f, r: f.mean() * 100)
    monkeypatch.setattr(respond, "_place", lambda monitor, change, until: ("fresh", {}))
    found = respond.respond(monitor)
    assert found[0].cause == "generator_sign_flipped" and WORDS["fresh"] in found[0].remedy
    assert CAUSES["generator_sign_flipped"].remedy in found[0].remedy
    assert found[0].to_json()["exact"] == found[0].remedy


def test_what_names_no_cause_is_an_open_question() -> None:
    stuck = Finding("no_progress", "No nearer.", {}, 50, "low", "why it fails", ("critic_too_weak",))
    away = Finding("unknown_trouble", "Away.", {}, 50, "medium", "why it fails")
    named = Finding("critic_sign_flipped", "It is.")
    assert open_question(Diagnosis((stuck,), 9)) and open_question(Diagnosis((away,), 9))
    assert not explained(Diagnosis((away,), 9)) and explained(Diagnosis((away, named), 9))
    assert not open_question(Diagnosis((named, stuck), 9))
    assert not open_question(Diagnosis((Finding("healthy", "", damage="harmless"),), 9))


def kept(folder: Path, *found: Finding, checked: tuple[str, ...] = ()) -> Path:
    make_run(folder, steps=80, every=10, pictures=False)
    text = json.dumps({"findings": [f.to_json() for f in found], "checked": list(checked)})
    (folder / "diagnosis.json").write_text(text)
    return folder


STUCK = Finding("no_progress", "No nearer.", {}, 50, "low", "why it fails", ("critic_too_weak",))


def test_a_run_with_an_open_question_names_the_command_and_its_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = kept(tmp_path / "a run", STUCK)
    found = doctor.diagnose(run)
    assert f"tightrope diagnose '{run}' --what-if --seconds 60" in found.next_step
    assert "at most 90 s and 34 training steps" in found.next_step
    assert main(["diagnose", str(run)]) == 0
    assert "--what-if" in "".join(capsys.readouterr().out.split("Next:")[1:])
    asked = kept(tmp_path / "b", STUCK, checked=("6 changes on copies from the first weights",))
    assert doctor.diagnose(asked).next_step == ""
    assert doctor.diagnose(kept(tmp_path / "c", Finding("critic_sign_flipped", "It is."))).next_step == ""


def test_a_change_that_helped_names_the_trial_that_measures_it(tmp_path: Path) -> None:
    helped = Finding("momentum_too_high", "It helps.", {"change": "beta1 = 0", "fix": "beta1=0"}, 9, "medium",
                     exact="Set beta1 of the critic from 0.9 to 0. Start again.")  # fmt: skip
    run = kept(tmp_path / "a", helped)
    found = of_record(report.read_run(run))
    assert found[0].remedy == helped.exact
    assert f"tightrope probe {run} --try beta1=0 --steps 100 --seeds 4" in found.next_step
    assert "800 training steps" in found.next_step


def test_a_monitor_with_an_open_question_names_the_call() -> None:
    monitor = sound()
    assert doctor.diagnose(monitor).next_step == ""
    away = Finding("unknown_trouble", "Away.", {}, 50, "low", "why it fails")
    monitor.diagnose = lambda: Diagnosis((away,), 9)  # type: ignore[method-assign]
    assert "doctor.diagnose(monitor, what_if=True, seconds=60)" in doctor.diagnose(monitor).next_step


def test_networks_alone_are_asked_where_they_stand_when_the_windows_show_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(respond, "asked", lambda monitor, seconds, young: asked.append(young) or [])
    monkeypatch.setattr(respond, "findings", lambda monitor, responses: ([], "asked"))
    monitor = sound(generator=mlp(LATENT, 16, 2), critic=mlp(2, 16, 1))
    respond.respond(monitor)
    respond.respond(monitor, gate=False)
    monkeypatch.setattr(respond, "worth_asking", lambda history, found: True)
    respond.respond(monitor)
    assert asked == [False, True, True]


@pytest.mark.parametrize(
    ("start", "distance", "state"),
    [(1.0, 0.5, "improving"), (10.0, 1.1, "stuck"), (10.0, 0.5, "improving"), (0.9, 0.8, "stuck"), (1.0, 0.05, "near")],
)
def test_samples_that_come_back_from_far_away_have_not_come_closer_yet(
    start: float, distance: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tail(self: respond._Play, change: Any, seed: int) -> tuple[float, float]:
        self.as_is[seed] = start, distance
        return self.as_is[seed]

    monkeypatch.setattr(respond._Play, "tail", tail)
    game = game_of(sound())
    play = respond._Play(Monitor.__new__(Monitor), game, None, 4, float("inf"))  # type: ignore[arg-type]
    assert play.response([]).state == state


def test_a_penalty_is_weakened_by_more_than_one_size() -> None:
    game = game_of(sound(penalty=("r1", 3000.0), extra=r1(3000.0)))
    tried = [c.apply(game.copied()).settings.penalties for c in changes(game) if c.kind == "penalty weaker"]
    assert tried == [(("r1", 30.0),), (("r1", pytest.approx(0.3)),)]
