"""Does the first remedy cure? Half-way through a planted run its diagnosis is asked and the remedy applied by program.

    python -m benchmarks.diagnosis.remedies --out docs/results/diagnosis/remedies.jsonl --minutes 10
    python -m benchmarks.diagnosis.remedies --out docs/results/diagnosis/remedies.jsonl --summary

At half of the run's steps the Monitor is asked with what-ifs. If its first finding of medium confidence or more has a
remedy that is a number of the training (a rate, a momentum, steps, a weight, a mode), the number is set, and the run
goes on for as many steps as the whole of a healthy run has. Its distance at the end is held against that of the healthy
twin, and of the run without the remedy. Faults that lie in code are left alone: their remedy is an edit. Run again, it
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tightrope.monitor.what_if.changes import changes, smaller
from tightrope.monitor.what_if.game import Game, Settings, State, game_of
from tightrope.monitor.what_if.respond import respond

from .faults import right
from .job import Job
from .loops import loop_of
from .plan import Plan
from .run import Store, trained
from .sets import faulty
from .watch import Monitored

RESPONSES = (
    "momentum_high", "rotation", "penalty_strong_claimed", "clip_tight_claimed", "rates_high", "generator_rate_high",
    "critic_rate_high", "critic_rate_low", "steps_swapped", "weight_decay", "penalty_weight", "generator_rate_low",
    "rate_option_lost", "schedule_often", "eval_mode", "clip_width",
)  # fmt: skip
WITHIN = 1.5


class Mended(Monitored):
    """A monitored run whose first remedy is applied half-way."""

    def __init__(self, job: Job, at: int, seconds: float) -> None:
        super().__init__(job, "full", every=10)
        self.draws_only, self.at, self.seconds = False, at, seconds
        self.found: list[list[Any]] = []
        self.applied, self.asked = "", 0.0
        self.parts: tuple[Any, ...] = ()

    def start(self, generator, critic, draw, **known: Any) -> None:
        """Remembers what a remedy changes."""
        self.parts = (generator, critic, known["optimizers"])
        super().start(generator, critic, draw, **known)

    def step(self, real, z, labels=None) -> None:
        """Asks and mends half-way."""
        super().step(real, z, labels)
        if self.now != self.at:
            return
        began = time.process_time()
        found = respond(self.monitor, self.seconds)
        self.asked = round(time.process_time() - began, 2)
        self.found = [[f.cause, f.confidence, list(f.candidates)] for f in found[:3]]
        if found and found[0].cause != "healthy" and found[0].confidence != "low":
            self.applied = apply(self.job, self, found[0])
        self.monitor.close()

    def _ask(self) -> None:
        """Not asked at other steps."""


def apply(job: Job, run: Mended, finding: Any) -> str:
    """Apply a finding's remedy where it is a number; returns what was set, empty where nothing was."""
    change = finding.evidence.get("change")
    if change is not None:
        return _changed(job, run, change)
    generator, critic, (opt_g, opt_d) = run.parts
    recipe, cause = job.plan.recipe, finding.cause

    def rates(optimizer: torch.optim.Optimizer, value: float) -> str:
        for group in optimizer.param_groups:
            group["lr"] = value
        return f"rate {value:g}"

    def decay() -> str:
        for group in (*opt_g.param_groups, *opt_d.param_groups):
            group["weight_decay"] = 0.0
        return "no weight decay"

    def momentum() -> str:
        for group in (*opt_g.param_groups, *opt_d.param_groups):
            if "betas" in group:
                group["betas"] = (0.5, group["betas"][1])
        return "beta1 0.5"

    def steps() -> str:
        job.hp.g_steps, job.hp.n_critic = 1, max(recipe.n_critic, 1)
        return "steps of both players as claimed"

    def weight(value: float) -> str:
        job.hp.weight = value
        return f"weight {value:g}"

    def schedule() -> str:
        job._schedules.clear()
        return rates(opt_g, recipe.lr_g) + ", " + rates(opt_d, recipe.lr_d)

    def modes() -> str:
        generator.train()
        critic.train()
        return "training mode"

    now_g, now_d = (o.param_groups[0]["lr"] for o in (opt_g, opt_d))
    table: dict[str, Callable[[], str]] = {
        "weight_decay_crippling": decay, "momentum_too_high": momentum, "n_critic_swapped": steps,
        "penalty_weight_wrong": lambda: weight(recipe.weight),
        "penalty_too_strong": lambda: weight(job.hp.weight / 100),
        "clip_other": lambda: weight(recipe.weight), "clip_crippling": lambda: weight(10 * job.hp.weight),
        "schedule_too_fast": schedule, "eval_mode_in_training": modes,
        "generator_step_too_small": lambda: rates(opt_g, now_d), "critic_step_too_small": lambda: rates(opt_d, now_g),
        "learning_rate_not_reached": lambda: rates(opt_g, recipe.lr_g),
        "generator_step_too_large": lambda: rates(opt_g, now_g / 10),
        "critic_step_too_large": lambda: rates(opt_d, now_d / 10),
    }  # fmt: skip
    return table[cause]() if cause in table else ""


def _changed(job: Job, run: Mended, name: str) -> str:
    """The change that helped copies, made to the run itself."""
    generator, critic, (opt_g, opt_d) = run.parts
    game: Game = game_of(run.monitor)
    state = State(generator, critic, {"generator": [opt_g], "critic": [opt_d]}, game.settings)
    every = [*changes(game), *(c for kind in {c.kind for c in changes(game)} for c in smaller(game, kind))]
    chosen = next(c for c in every if c.name == name)
    after: Settings = chosen.apply(state).settings
    job.hp.n_critic, job.hp.g_steps = after.critic_steps, after.generator_steps
    if after.clip != game.settings.clip and after.clip is not None:
        job.hp.weight = after.clip
    elif after.penalties != game.settings.penalties and after.penalties:
        if not game.settings.penalties and job.plan.style not in ("dcgan", "wgan_gp"):
            return ""
        job.hp.penalty, job.hp.weight = after.penalties[0]
    return name


def mended(plan: Plan, seconds: float) -> dict[str, Any]:
    """A planted run, mended half-way, beside itself unmended and its twin."""
    half = plan.steps // 2
    job = Job(replace(plan, steps=half + plan.steps))
    job.steps = half + plan.steps
    run = Mended(job, half, seconds)
    crash = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loop_of(plan.style)(job, run)
        except Exception as problem:  # a faulty script may end in an error of its own
            crash = f"{type(problem).__name__}: {problem}"[:200]
        run.finish()
    return {"found": run.found, "applied": run.applied, "asked_seconds": run.asked, "crash": crash,
            "said": run.monitor.history.responses[1],
            "distance_at_half": next((v for step, v in run.trace if step >= half), None),
            "distance_mended": _tail(run.trace)}  # fmt: skip


def _tail(trace: list) -> float:
    """Mean distance over the last three looks: one look of a run that turns says little."""
    last = [value for _, value in trace[-3:]]
    return round(sum(last) / len(last), 4)


def row_of(plan: Plan, seconds: float) -> dict[str, Any]:
    """One row."""
    longer = replace(plan, steps=plan.steps // 2 + plan.steps)
    row: dict[str, Any] = {"key": plan.key, "fault": plan.fault, "strength": plan.strength, "seed": plan.seed}
    row |= {"distance_unmended": _tail(trained(longer)["trace"]), "distance_twin": _tail(trained(plan.twin())["trace"])}
    row["damaged"] = row["distance_unmended"] > 2 * row["distance_twin"] + 0.05
    row |= mended(plan, seconds)
    first = row["found"][0] if row["found"] else ["", "low", []]
    row["right"] = bool(first[0]) and first[1] != "low" and right(plan.fault, first[0])
    row["back"] = row["distance_mended"] <= max(WITHIN * row["distance_twin"], row["distance_twin"] + 0.02)
    return row


def summary(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown."""
    damaged = [r for r in rows if r["damaged"]]
    applied = [r for r in damaged if r["applied"]]
    lines = [
        f"{len(rows)} runs, {len(damaged)} damaged at the end without a remedy; the first finding was right in "
        f"{sum(r['right'] for r in damaged)} of these, a remedy was applied in {len(applied)}, and of these "
        f"{sum(r['back'] for r in applied)} came back to within {WITHIN} times of the healthy twin's distance (or to "
        "within .02 of it).", "",
        "| run | strength | first finding | applied | half-way | unmended | mended | twin | back |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        first = r["found"][0] if r["found"] else ["none", "", []]
        mark = "" if not r["applied"] else "yes" if r["back"] else "no"
        mark = mark if r["damaged"] else "no damage"
        lines.append(
            f"| {'/'.join(r['key'].split('/')[:3]).partition('@')[0]} | {r['strength']:g} | {first[0]} ({first[1]}) | "
            f"{r['applied']} | {r['distance_at_half']} | {r['distance_unmended']} | {r['distance_mended']} | "
            f"{r['distance_twin']} | {mark} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time")
    parser.add_argument("--seconds", type=float, default=600.0, help="for the what-ifs of one run")
    parser.add_argument("--only", default="", help="faults, with commas")
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    store = Store(options.out)
    if options.summary:
        print(summary(list(store.rows.values())))
        return
    wanted = options.only.split(",") if options.only else RESPONSES
    plans = sorted((p for p in faulty("dev", options.seed) if p.fault in wanted), key=lambda p: wanted.index(p.fault))
    for plan in plans:
        if time.process_time() > 60 * options.minutes:
            break
        if plan.key not in store.rows:
            row = store.add(row_of(plan, options.seconds))
            print(plan.key, row["found"][:1], row["applied"], row["distance_unmended"], row["distance_mended"],
                  row["distance_twin"], flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
