"""Does the first remedy cure? Half-way through a planted run its diagnosis is asked and the remedy applied by program.

    python -m benchmarks.diagnosis.remedies --out docs/results/diagnosis/remedies.jsonl --seeds 3 --minutes 20
    python -m benchmarks.diagnosis.remedies --out docs/results/diagnosis/remedies.jsonl --summary

At half of the run's steps the Monitor is asked with what-ifs, and what its first finding says is done: numbers that it
gives are set; a fault in the code that it names rightly is mended, as a reader of the finding would; one that it names
wrongly is left in. The run goes on from the place that the finding says (where it stands, there with new optimisers,
an earlier step, or the first weights) for as many steps as the whole of a healthy run has, with other random draws. Its
distance at the end is held against that of the healthy twin, and of the run without the remedy. Run again, the program
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from tightrope.monitor.what_if.respond import respond

from .faults import right
from .job import Job
from .loops import loop_of
from .plan import Plan
from .run import Store, trained
from .sets import SETS
from .watch import Monitored, Watch

PLACES = (
    ("momentum_high", "tutorial", 0.97), ("rotation", "tutorial", 0.9), ("penalty_strong_claimed", "tutorial", 3000),
    ("clip_tight_claimed", "clip", 0.02), ("rates_high", "tutorial", 30), ("generator_rate_high", "tutorial", 40),
    ("critic_rate_high", "tutorial", 60), ("critic_rate_low", "tutorial", 0.01),
    ("generator_rate_low", "tutorial", 0.01), ("steps_swapped", "gp", 5), ("weight_decay", "tutorial", 1.0),
    ("schedule_often", "gp", 0.9), ("resume_lost", "tutorial", 30), ("sign_critic", "tutorial", 1),
    ("half_real_only", "tutorial", 1), ("penalty_absent", "gp", 1), ("generator_detached", "tutorial", 1),
    ("score_sigmoid", "gp", 1), ("gradient_left_generator", "tutorial", 1), ("latent_fixed", "gp", 1),
    ("optimizer_swapped", "tutorial", 1), ("frozen_generator_part", "tutorial", 2),
)  # fmt: skip
"""Fault, base of the development set, strength."""
KEPT = 10
WITHIN, BESIDE = 1.5, 0.02


class HalfwayError(Exception):
    """Ends the first part of a run."""


class Asked(Monitored):
    """A monitored run that ends half-way with its diagnosis; its states every few steps are kept."""

    def __init__(self, job: Job, at: int, seconds: float) -> None:
        super().__init__(job, "full", every=10)
        self.draws_only, self.at, self.seconds = False, at, seconds
        self.states: dict[int, list[dict[str, Any]]] = {}
        self.parts: tuple[Any, ...] = ()
        self.found: Any = None
        self.asked = 0.0

    def start(self, generator, critic, draw, **known: Any) -> None:
        """Remembers what a state is made of."""
        self.parts = (generator, critic, *known["optimizers"])
        self.states[0] = self._state()
        super().start(generator, critic, draw, **known)

    def _state(self) -> list[dict[str, Any]]:
        return [copy.deepcopy(part.state_dict()) for part in self.parts]

    def step(self, real, z, labels=None) -> None:
        """Keeps states, asks half-way."""
        super().step(real, z, labels)
        if self.now % KEPT == 0 or self.now == self.at:
            self.states[self.now] = self._state()
        if self.now == self.at:
            began = time.process_time()
            self.found = respond(self.monitor, self.seconds)
            self.asked = round(time.process_time() - began, 2)
            raise HalfwayError

    def _ask(self) -> None:
        """Not asked at other steps."""


class Resumed(Watch):
    """A run that goes on from a kept state, with optimisers that remember only if they are told what."""

    def __init__(self, job: Job, state: list[dict[str, Any]], fresh: bool) -> None:
        super().__init__(job)
        self.state, self.fresh = state, fresh

    def start(self, generator, critic, draw, **known: Any) -> None:
        """Puts the state in."""
        generator.load_state_dict(self.state[0])
        critic.load_state_dict(self.state[1])
        for optimizer, kept in zip(known["optimizers"], self.state[2:], strict=True):
            groups = [{**now, "params": old["params"]} for now, old in
                      zip(optimizer.state_dict()["param_groups"], kept["param_groups"], strict=True)]  # fmt: skip
            if not self.fresh and fits(optimizer, groups, kept["state"]):
                optimizer.load_state_dict({"state": kept["state"], "param_groups": groups})
        torch.manual_seed(77_000 + self.job.plan.seed)
        super().start(generator, critic, draw)


def fits(optimizer: torch.optim.Optimizer, groups: list[dict[str, Any]], state: dict[int, dict[str, Any]]) -> bool:
    """Whether kept moments are of these parameters, as many and of their shapes: else the optimiser is another one."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    order = [k for group in groups for k in group["params"]]
    return len(held) == len(order) and all(
        p.shape == value.shape
        for p, k in zip(held, order, strict=True)
        for value in state.get(k, {}).values()
        if isinstance(value, torch.Tensor) and value.dim() > 0
    )


def remedied(plan: Plan, finding: Any) -> tuple[Job, str]:
    """The job after the remedy, and what was done; a fault that is not named stays."""
    job = Job(plan)
    numbers = finding.evidence.get("numbers")
    if numbers is None:
        if right(plan.fault, finding.cause):
            return Job(plan.twin()), "mended as the finding says"
        return job, ""
    for name, value in numbers.items():
        if name.startswith("penalty="):
            job.hp.penalty, job.hp.weight = name.partition("=")[2], value
        elif name.startswith("beta1"):
            job.hp.beta1 = value
        elif name == "n_critic":
            job.hp.n_critic, job.hp.g_steps = max(1, round(value)), max(1, round(1 / value))
        else:
            setattr(job.hp, {"lr_generator": "lr_g", "lr_critic": "lr_d", "clip": "weight"}[name], value)
    return job, finding.evidence["change"]


def place_of(finding: Any, at: int) -> tuple[int, bool]:
    """Step from which the run goes on, and whether its optimisers forget."""
    said = finding.exact
    if "first weights" in said:
        return 0, True
    if (before := re.search(r"from before step (\d+)", said)) is not None:
        return max(0, (int(before[1]) - 1) // KEPT * KEPT), False
    return at, "new optimisers" in said


def played(job: Job, watch: Watch) -> str:
    """Trains; returns the error that it ended in, if any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loop_of(job.plan.style)(job, watch)
        except HalfwayError:
            pass
        except Exception as problem:  # a faulty script may end in an error of its own
            return f"{type(problem).__name__}: {problem}"[:200]
        finally:
            watch.finish()
    return ""


def advice_of(found: Any) -> Any:
    """The finding whose remedy is tried first: one of medium confidence or more, else a change that helped copies."""
    for finding in found or ():
        if finding.cause != "healthy" and (finding.confidence != "low" or finding.evidence.get("numbers")):
            return finding
    return None


def mended(plan: Plan, seconds: float, everywhere: bool = False) -> dict[str, Any]:
    """A planted run, mended half-way."""
    half = plan.steps // 2
    run = Asked(Job(plan), half, seconds)
    row: dict[str, Any] = {"crash": played(run.job, run)}
    found = run.found if run.found is not None else run.monitor.diagnose()
    row |= {"found": [[f.cause, f.confidence, list(f.candidates)] for f in found[:3]], "asked_seconds": run.asked}
    row |= {"said": run.monitor.history.responses[1], "distance_at_half": run.trace[-1][1], "applied": "", "from": half}
    finding = advice_of(found)
    if finding is None:
        return row
    row["remedy"], row["ends"] = finding.exact or finding.remedy, finding.evidence.get("ends")
    job, row["applied"] = remedied(plan, finding)
    if row["applied"]:
        row["from"], row["fresh"] = place_of(finding, half)
        row["named"] = [finding.cause, right(plan.fault, finding.cause)]
        row["distance_mended"] = _goes_on(job, run, row["from"], row["fresh"])
        if everywhere:
            places = {"here": (half, False), "fresh": (half, True), "start": (0, True)}
            row["elsewhere"] = {n: _goes_on(remedied(plan, finding)[0], run, *p) for n, p in places.items()}
    return row


def _goes_on(job: Job, run: Asked, step: int, fresh: bool) -> float:
    last = max(s for s in run.states if s <= step)
    watch = Resumed(job, run.states[last], fresh)
    played(job, watch)
    return _tail(watch.trace)


def _tail(trace: list) -> float:
    """Mean distance over the last three looks: one look of a run that turns says little."""
    last = [value for _, value in trace[-3:]]
    return round(sum(last) / len(last), 4)


def row_of(plan: Plan, seconds: float, everywhere: bool = False) -> dict[str, Any]:
    """One row."""
    longer = replace(plan, steps=plan.steps // 2 + plan.steps)
    row: dict[str, Any] = {"key": plan.key, "fault": plan.fault, "strength": plan.strength, "seed": plan.seed}
    row |= {"distance_unmended": _tail(trained(longer)["trace"]), "distance_twin": _tail(trained(plan.twin())["trace"])}
    row["damaged"] = row["distance_unmended"] > 2 * row["distance_twin"] + 0.05
    row |= mended(plan, seconds, everywhere)
    first = row["found"][0] if row["found"] else ["", "low", []]
    row["right"] = bool(first[0]) and first[1] != "low" and right(plan.fault, first[0])
    row.setdefault("distance_mended", row["distance_unmended"])
    row["back"] = row["distance_mended"] <= max(WITHIN * row["distance_twin"], row["distance_twin"] + BESIDE)
    return row


def summary(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown."""
    damaged = [r for r in rows if r["damaged"]]
    applied = [r for r in damaged if r["applied"]]
    lines = [
        f"{len(rows)} runs of {len({r['fault'] for r in rows})} faults, {len(damaged)} damaged at the end without a "
        f"remedy; the first finding was right in {sum(r['right'] for r in damaged)} of these, a remedy was applied in "
        f"{len(applied)}, and {sum(r['back'] for r in damaged)} of {len(damaged)} came back to within {WITHIN} times "
        f"of the healthy twin's distance (or to within {BESIDE} of it).", "",
        "| run | strength | first finding | done | from step | half-way | unmended | mended | twin | back |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        first = r["found"][0] if r["found"] else ["none", "", []]
        mark = ("yes" if r["back"] else "no") if r["damaged"] else "no damage"
        place = "" if not r["applied"] else f"{r['from']}{', new optimisers' if r['fresh'] and r['from'] else ''}"
        lines.append(
            f"| {'/'.join(r['key'].split('/')[:3]).partition('@')[0]} | {r['strength']:g} | {first[0]} ({first[1]}) | "
            f"{r['applied']} | {place} | {r['distance_at_half']} | {r['distance_unmended']} | {r['distance_mended']} | "
            f"{r['distance_twin']} | {mark} |"
        )
    return "\n".join(lines)


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The options that every measurement of remedies has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="1", help="with commas")
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time")
    parser.add_argument("--seconds", type=float, default=600.0, help="for the what-ifs of one run")
    parser.add_argument("--only", default="", help="faults, with commas")
    parser.add_argument("--summary", action="store_true")
    return parser


def missing(
    options: argparse.Namespace, places: Iterable[tuple[str, str, float]], bases: Mapping[str, Plan], store: Store
) -> Iterator[Plan]:
    """Plans that have no row yet, in an order drawn once for each seed, until the time is over."""
    wanted = options.only.split(",") if options.only else None
    for seed in map(int, options.seeds.split(",")):
        for fault, base, strength in sorted(places, key=lambda place: sha256(str((seed, place)).encode()).hexdigest()):
            plan = replace(bases[base], fault=fault, strength=float(strength), seed=seed)
            if (wanted and fault not in wanted) or plan.key in store.rows:
                continue
            if time.process_time() > 60 * options.minutes:
                return
            yield plan


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--everywhere", action="store_true", help="try the remedy from every place")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    store = Store(options.out)
    if options.summary:
        print(summary(list(store.rows.values())))
        return
    for plan in missing(options, PLACES, SETS["dev"][0], store):
        row = store.add(row_of(plan, options.seconds, options.everywhere))
        print(plan.key, row["found"][:2], row["applied"], row["from"], row.get("ends"), row.get("elsewhere"),
              row["asked_seconds"], row["distance_unmended"], row["distance_mended"], row["distance_twin"],
              row["crash"], flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
