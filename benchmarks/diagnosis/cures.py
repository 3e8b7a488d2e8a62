"""Does the first remedy cure? More runs than `remedies.py`, chosen by the cause named; the criterion is in README.md.

    python -m benchmarks.diagnosis.cures --out docs/results/diagnosis/cures.jsonl --seeds 11 --minutes 25
    python -m benchmarks.diagnosis.cures --out docs/results/diagnosis/cures.jsonl --summary

Run again, it goes on where it stopped; healthy twins are kept beside the rows, under ``twin/``.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from .bases import CLIP, GP, GP10, MLP, SN
from .faults import right
from .job import Job
from .plan import Net, Plan, Recipe
from .remedies import Asked, Resumed, advice_of, missing, parser_of, place_of, played
from .report import share
from .run import Store, trained
from .watch import Watch

R1 = Recipe("ns", penalty="r1", weight=0.1)
ROUND, WIDE = Net(width=48, act="relu"), Net(width=56, act="elu", latent=4)
BASES: dict[str, Plan] = {
    "ring_bce": Plan("dcgan", "ring", MLP, R1, steps=300),
    "ring_gp": Plan("wgan_gp", "ring", MLP, GP, steps=300),
    "ring_clip": Plan("wgan_gp", "ring", MLP, CLIP, steps=300),
    "ring_trainer": Plan("trainer", "ring", MLP, R1, steps=300),
    "moons_functional": Plan("functional", "moons", WIDE, replace(R1, lr_g=1e-3, beta1=0.0, weight=0.2), steps=300),
    "moons_phases": Plan("phases", "moons", ROUND, replace(R1, lr_g=1e-3, beta1=0.0), steps=300),
    "digits_bce": Plan("dcgan", "digits", Net("conv", 12, norm_g="bn"), Recipe("prob"), steps=160),
    "digits_gp": Plan("wgan_gp", "digits", Net("conv", 10), replace(GP10, lr_g=1e-3, lr_d=1e-3), steps=160),
    "digits_sn": Plan("trainer", "digits", Net("conv", 12, norm_g="bn", norm_d="sn"), SN, steps=160),
}

PLACES: tuple[tuple[str, str, float], ...] = tuple(
    (fault, base, strength)
    for fault, places in {
        "momentum_high": {"ring_bce": 0.97, "ring_gp": 0.95, "moons_functional": 0.97},
        "penalty_strong_claimed": {"ring_bce": 3000, "ring_gp": 300, "moons_functional": 3000},
        "clip_tight_claimed": {"ring_clip": 0.02},
        "rates_high": {"ring_bce": 30, "ring_trainer": 40},
        "generator_rate_high": {"ring_bce": 40, "ring_gp": 60, "digits_sn": 40},
        "critic_rate_high": {"ring_bce": 60, "moons_functional": 60},
        "critic_rate_low": {"ring_bce": 0.01, "digits_gp": 0.005},
        "generator_rate_low": {"ring_bce": 0.01, "moons_functional": 0.01, "digits_gp": 0.01},
        "steps_swapped": {"ring_gp": 5, "digits_gp": 5},
        "weight_decay": {"ring_bce": 1, "ring_gp": 2},
        "schedule_often": {"ring_gp": 0.9, "moons_phases": 0.9},
        "resume_lost": {"ring_bce": 30, "moons_functional": 50},
        "rate_option_lost": {"ring_gp": 0.002, "moons_functional": 0.002},
        "sign_critic": {"ring_bce": 1, "ring_gp": 1, "moons_phases": 1, "digits_sn": 1},
        "sign_generator": {"ring_trainer": 1, "digits_bce": 1, "moons_functional": 1},
        "half_real_only": {"ring_bce": 1, "moons_phases": 1},
        "half_fake_only": {"ring_trainer": 1, "digits_sn": 1},
        "score_sigmoid": {"ring_gp": 1, "digits_sn": 1},
        "score_tanh": {"digits_gp": 1},
        "score_relu": {"ring_trainer": 1},
        "gradient_left_critic": {"ring_gp": 5000},
        "gradient_left_generator": {"ring_bce": 1, "moons_functional": 1},
        "penalty_absent": {"ring_gp": 1},
        "penalty_detached": {"moons_phases": 1},
        "penalty_axes": {"digits_gp": 1},
        "penalty_weight": {"ring_gp": 100},
        "unconstrained": {"ring_gp": 1},
        "rotation": {"ring_bce": 0.9},
        "optimizer_swapped": {"ring_bce": 1, "moons_functional": 2},
        "optimizer_partial": {"moons_phases": 2},
        "generator_detached": {"ring_bce": 1, "moons_phases": 1, "digits_gp": 1},
        "latent_fixed": {"ring_gp": 1},
        "latent_scale": {"ring_bce": 3},
        "batch_same": {"ring_bce": 1, "digits_sn": 1},
        "data_sorted": {"ring_gp": 1, "digits_bce": 1},
        "data_scaled": {"digits_bce": 255},
        "noise_on_real": {"ring_gp": 0.8},
        "constraint_absent": {"digits_sn": 1},
    }.items()
    for base, strength in places.items()
)

LINES: dict[str, tuple[str, ...]] = {
    "optimizer_other_player": ("optimizer_swapped",), "optimizer_wrong_parameters": ("optimizer_swapped",),
    "optimizer_misses_parameters": ("optimizer_partial",), "schedule_too_fast": ("schedule_often",),
    "optimizer_lost_on_resume": ("resume_lost",), "schedule_lost_on_resume": ("resume_lost",),
    "critic_sign_flipped": ("sign_critic",), "generator_sign_flipped": ("sign_generator",),
    "critic_fake_half_missing": ("half_real_only",), "critic_real_half_missing": ("half_fake_only",),
    "probability_as_score": ("score_sigmoid",), "double_sigmoid": ("score_sigmoid",),
    "bounded_scores": ("score_tanh", "score_sigmoid"), "rectified_scores": ("score_relu",),
    "critic_gradient_accumulated": ("gradient_left_critic",), "generator_gradient_in_critic": ("gradient_left_critic",),
    "generator_gradient_accumulated": ("gradient_left_generator",),
    "penalty_absent": ("penalty_absent", "penalty_detached"), "penalty_detached": ("penalty_detached",),
    "penalty_norm_axes": ("penalty_axes",), "penalty_weight_wrong": ("penalty_weight",),
    "loss_needs_lipschitz": ("unconstrained",), "constraint_missing": ("constraint_absent",),
    "generator_detached": ("generator_detached",), "generator_loss_without_critic": ("generator_detached",),
    "latents_reused": ("latent_fixed",), "latent_mismatch": ("latent_scale",), "batch_repeated": ("batch_same",),
    "unshuffled": ("data_sorted",), "data_range": ("data_scaled",), "critic_shown_other_real": ("noise_on_real",),
}  # fmt: skip
"""What the remedy of a cause in the code puts right, by cause; numbers are set as the finding gives them."""

NUMBERS = {"lr_generator": "lr_g", "lr_critic": "lr_d", "clip": "weight", "weight_decay": "decay"}
WITHIN, FLOOR, TAIL = 1.5, 0.02, 5


def cured(plan: Plan, finding: Any) -> tuple[Job, str]:
    """The job after the remedy of the cause named, and what was done; empty where that changes nothing here."""
    numbers = finding.evidence.get("numbers")
    if numbers is None:
        if plan.fault in LINES.get(finding.cause, ()):
            return Job(plan.twin()), "the line that the finding speaks of"
        return Job(plan), ""
    job = Job(plan)
    for name, value in numbers.items():
        if name.startswith("penalty="):
            job.hp.penalty, job.hp.weight = name.partition("=")[2], value
        elif name.startswith("beta1"):
            job.hp.beta1 = value
        elif name == "n_critic":
            job.hp.n_critic, job.hp.g_steps = max(1, round(value)), max(1, round(1 / value))
        else:
            setattr(job.hp, NUMBERS[name.partition(" ")[0]], value)
    return job, ", ".join(f"{name} = {value:.3g}" for name, value in numbers.items())


def tail(trace: list[tuple[int, float]], steps: int, end: int = 0) -> float:
    """Mean distance of the looks of a fifth of the steps, up to the end or a step."""
    end = end or trace[-1][0]
    last = [value for step, value in trace if end - steps // TAIL < step <= end]
    return round(sum(last) / len(last), 4) if last else 10.0


def going_on(job: Job, run: Asked, step: int, fresh: bool) -> tuple[float, float, str]:
    """Distances when the networks' own count of steps is N, and N steps after the remedy; the error it ended in."""
    kept = max(s for s in run.states if s <= step)
    watch = Resumed(job, run.states[kept], fresh)
    if crash := played(job, watch):
        return 10.0, 10.0, crash
    return tail(watch.trace, job.steps, job.steps - kept), tail(watch.trace, job.steps), ""


class Redrawn(Watch):
    """A run from its own first weights with other draws."""

    def start(self, generator, critic, draw, **known: Any) -> None:
        """Draws otherwise from here on."""
        super().start(generator, critic, draw, **known)
        torch.manual_seed(77_000 + self.job.plan.seed)


def twins(plan: Plan, store: Store) -> tuple[float, float]:
    """Distance of the healthy twin, and of the twin trained again with other draws from the same first weights."""
    sound = plan.twin()
    key = f"twin/{sound.key}"
    if key not in store.rows:
        first = tail(trained(sound)["trace"], sound.steps)
        again = Redrawn(Job(sound))
        played(again.job, again)
        store.add({"key": key, "distance_twin": first, "distance_again": tail(again.trace, sound.steps)})
    return store.rows[key]["distance_twin"], store.rows[key]["distance_again"]


def row_of(plan: Plan, seconds: float, store: Store) -> dict[str, Any]:
    """One planted run: its twin, itself unremedied, and itself with what the first finding says."""
    row: dict[str, Any] = {"key": plan.key, "fault": plan.fault, "strength": plan.strength, "seed": plan.seed}
    twin, _ = twins(plan, store)
    unmended = trained(plan)
    row["distance_twin"] = twin
    row["distance_unmended"] = 10.0 if unmended["crash"] else tail(unmended["trace"], plan.steps)
    row["damaged"] = row["distance_unmended"] > 2 * twin + 0.05
    run = Asked(Job(plan), plan.steps // 2, seconds)
    row["crash"] = played(run.job, run)
    found = run.found if run.found is not None else run.monitor.diagnose()
    row |= {"found": [[f.cause, f.confidence] for f in found[:3]], "asked_seconds": run.asked, "applied": ""}
    row |= {"distance_mended": row["distance_unmended"], "distance_at_half": run.trace[-1][1]}
    finding = advice_of(found)
    if finding is not None:
        row |= {"cause": finding.cause, "right": right(plan.fault, finding.cause), "remedy": finding.remedy}
        job, row["applied"] = cured(plan, finding)
        if row["applied"]:
            row["from"], row["fresh"] = place_of(finding, plan.steps // 2)
            row["distance_mended"], row["distance_later"], row["crash_mended"] = going_on(
                job, run, row["from"], row["fresh"]
            )
    row["back"] = back(row["distance_mended"], twin)
    return row


def back(distance: float, twin: float) -> bool:
    """Whether a distance is within 1.5 times the twin's; nearer than the floor, differences are those of the rows."""
    return max(distance, FLOOR) <= WITHIN * max(twin, FLOOR)


def summary(rows: list[dict[str, Any]], sound: list[dict[str, Any]]) -> str:
    """What came out, in Markdown."""
    damaged = [r for r in rows if r["damaged"]]
    applied = [r for r in damaged if r["applied"]]
    sent = [r for r in applied if r["from"] < 50]
    here = [r for r in applied if r not in sent]
    better = [r for r in applied if r["distance_mended"] < r["distance_unmended"]]
    again = sum(back(r["distance_again"], r["distance_twin"]) for r in sound)
    ratios = [max(r["distance_mended"], FLOOR) / max(r["distance_twin"], FLOOR) for r in damaged]
    later = sum(back(r.get("distance_later", r["distance_unmended"]), r["distance_twin"]) for r in damaged)
    lines = [
        f"* {len(rows)} planted runs of {len({r['fault'] for r in rows})} faults, {len(damaged)} damaged unremedied.",
        f"* Back within {WITHIN} times: {share(sum(r['back'] for r in damaged), len(damaged))}; median ratio "
        f"{median(ratios):.2f}." if ratios else "",
        f"* A remedy was applied in {len(applied)}; of these {share(sum(r['back'] for r in applied), len(applied))}.",
        f"* Going on from the middle: {share(sum(r['back'] for r in here), len(here))}; sent back to the beginning: "
        f"{share(sum(r['back'] for r in sent), len(sent))}.",
        f"* After N steps under the remedy, whatever came before: {share(later, len(damaged))}.",
        f"* Better than unremedied: {share(len(better), len(applied))}.",
        f"* The healthy twin with other draws, held against the twin: {share(again, len(sound))}.", "",
        "| cause named | damaged runs | back |", "|---|---|---|",
    ]  # fmt: skip
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in damaged:
        by[r.get("cause", "none")].append(r)
    lines += [f"| {cause} | {len(each)} | {sum(r['back'] for r in each)} |" for cause, each in sorted(by.items())]
    lines += ["", "| run | strength | cause named | done | from | unremedied | remedied | twin | back |",
              "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for r in sorted(damaged, key=lambda r: (r["back"], r["key"])):
        place = f"{r['from']}{' new optimisers' if r['fresh'] and r['from'] else ''}" if r["applied"] else ""
        lines.append(
            f"| {r['key'].partition('@')[0]} | {r['strength']:g} | {r.get('cause', 'none')} | {r['applied']} | {place} "
            f"| {r['distance_unmended']:.3f} | {r['distance_mended']:.3f} | {r['distance_twin']:.3f} | "
            f"{'yes' if r['back'] else 'no'} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__doc__).parse_args(arguments)
    torch.set_num_threads(1)
    store = Store(options.out)
    if options.summary:
        sound = [row for key, row in store.rows.items() if key.startswith("twin/")]
        print(summary([row for key, row in store.rows.items() if not key.startswith("twin/")], sound))
        return
    for plan in missing(options, PLACES, BASES, store):
        row = store.add(row_of(plan, options.seconds, store))
        print(plan.key, row["found"][:2], row["applied"], row.get("from"), row["asked_seconds"],
              row["distance_unmended"], row["distance_mended"], row["distance_twin"], row["crash"],
              round(time.process_time()), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
