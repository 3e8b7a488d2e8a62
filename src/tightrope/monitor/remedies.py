"""The change that cures a cause in this training: its own numbers, and the line to write.

A cause's remedy says what to change; these say from what to what here. Numbers that can be set in the middle of a run
go by the names that ``tightrope probe --try`` takes, so that copies and that command can try them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History

SOUND_MOVE, LARGE_MOVE = 0.005, 0.02
"""Movement per update, relative to the parameters, that is usual in sound runs, and the largest there."""
ADAM_RATE, LARGE_ADAM_RATE = 1e-3, 0.02
MOMENTUM = 0.85
GENTLE = {"gp": 1.0, "gp1": 1.0, "r1": 0.1, "r2": 0.1}
"""Weights below which no penalty is lowered."""
USUAL = {"gp": 10.0, "gp1": 10.0, "r1": 1.0, "r2": 1.0}
FIRM = {"gp": 30.0, "gp1": 30.0, "r1": 15.0, "r2": 15.0}
"""Weights above which none is left that was found too strong."""


@dataclass(frozen=True)
class Exact:
    """A change in the numbers of this training.

    Attributes:
        said: As a sentence.
        numbers: What is set to what, by name; empty where it is a line of code.
    """

    said: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def fix(self) -> str:
        """As ``tightrope probe --try`` takes it; empty where that cannot try it."""
        return joined(self.numbers)


def joined(numbers: Mapping[str, float]) -> str:
    """Numbers as one fix of ``tightrope probe --try``; empty where that cannot try them."""
    fixes = dict.fromkeys(fix_of(key, value) for key, value in numbers.items())
    return "" if "" in fixes or sum(fix.startswith("penalty=") for fix in fixes) > 1 else "+".join(fixes)


def fix_of(key: str, value: float) -> str:
    """One number as ``tightrope probe --try`` takes it; empty for one that it cannot change."""
    name = key.partition(" ")[0]
    return "" if name in ("clip", "weight_decay") else f"{name}{':' if '=' in name else '='}{value:.6g}"


def exact_change(finding: Finding, history: History) -> Exact | None:
    """The exact change for a finding; None where the cause's own remedy says all that is known.

    Args:
        finding: It names a cause.
        history: Of the training.
    """
    made = _CHANGES.get(finding.cause)
    found = None if made is None else made(finding, history)
    return found if found is None or all(map(math.isfinite, found.numbers.values())) else None


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def _set(key: str, before: float, after: float) -> Exact:
    return Exact(f"{key} from {before:.3g} to {after:.3g}.", {key: after})


def _too_large(finding: Finding, history: History) -> Exact | None:
    """The rate of the player named, and of the other one where that is as far outside; never more than a quarter."""
    named = finding.cause.partition("_")[0]
    numbers: dict[str, float] = {}
    said = []
    for name in (named, *(one for one in PLAYERS if one != named)):
        counters = history.counters.get(name)
        if counters is None or counters.rate <= 0:
            continue
        windows = history.windows[1:8] + history.windows[-8:]
        seen = max((w.player(name).moved for w in windows), default=0.0)
        moved = max(seen, float(finding.evidence.get("moved", 0.0))) if name == named else seen
        if name != named and not (counters.adaptive and counters.rate >= LARGE_ADAM_RATE):
            continue
        factor = min(SOUND_MOVE / moved if moved > LARGE_MOVE else 1.0, 0.25)
        rate = max(counters.rate * factor, counters.rate / 1000)
        rate = _short(min(rate, ADAM_RATE) if counters.adaptive else rate)
        numbers[f"lr_{name}"] = rate
        said.append(f"lr_{name} from {counters.rate:.3g} to {rate:.3g}")
    return Exact(f"{', '.join(said)}.", numbers) if f"lr_{named}" in numbers else None


def _too_small(finding: Finding, history: History) -> Exact | None:
    """The other player's rate, unless that is too large itself."""
    name = str(finding.evidence.get("player") or finding.cause.partition("_")[0])
    other = PLAYERS[1 - PLAYERS.index(name)] if name in PLAYERS else ""
    if other not in history.counters or name not in history.counters:
        return None
    own, theirs = history.counters[name], history.counters[other]
    rate = min(theirs.top_rate, 10 * ADAM_RATE) if theirs.adaptive else theirs.top_rate
    if own.adaptive != theirs.adaptive or rate <= own.rate:
        return None
    return Exact(f"lr_{name} from {own.rate:.3g} to {rate:.3g}, as the {other}'s.", {f"lr_{name}": rate})


def _not_reached(finding: Finding, _: History) -> Exact | None:
    name, wished, rate = (finding.evidence.get(key) for key in ("player", "expected", "rate"))
    if not isinstance(wished, float) or not isinstance(rate, float):
        return None
    line = f'for group in optimizer.param_groups: group["lr"] = {wished:.6g}'
    return Exact(f"lr_{name} from {rate:.3g} to {wished:.3g}, by {line}", {f"lr_{name}": wished})


def _schedule(finding: Finding, _: History) -> Exact | None:
    top, name = finding.evidence.get("top"), finding.evidence.get("player")
    if not isinstance(top, float):
        return None
    return Exact(
        f"the {name}'s rate back to {top:.3g} (it is {finding.evidence['rate']:.3g}), by for group in "
        f'optimizer.param_groups: group["lr"] = {top:.6g}'
    )


def _momentum(_: Finding, history: History) -> Exact | None:
    now = {name: max((w.player(name).momentum for w in history.windows[-8:]), default=0.0) for name in PLAYERS}
    high = {name: value for name, value in now.items() if value > MOMENTUM}
    said = ", ".join(f"beta1 of the {name} from {value:.3g} to 0" for name, value in high.items())
    return Exact(f"{said}.", {f"beta1 of the {name}": 0.0 for name in high}) if high else None


def _decay(finding: Finding, _: History) -> Exact | None:
    now, name = finding.evidence.get("decay"), finding.evidence.get("player")
    return _set(f"weight_decay of the {name}", float(now), 0.0) if isinstance(now, float) else None


def _swapped(finding: Finding, history: History) -> Exact | None:
    """Under a loss that needs a good critic as many critic steps as there are generator's now, else one to one."""
    generator, critic = (float(finding.evidence.get(f"{name}_steps", 0)) for name in PLAYERS)
    if generator <= 0 or critic <= 0:
        return None
    many = history.claim is not None and history.claim.needs_lipschitz
    steps = max(1, round(generator / critic)) if many else 1
    return Exact(f"n_critic from {critic / generator:.3g} to {steps}: {steps} critic steps, then one generator step.",
                 {"n_critic": float(steps)})  # fmt: skip


def _weights(finding: Finding, history: History, new: Callable[[str, float], float]) -> Exact | None:
    """One number per claimed penalty, all changed by a factor of the first one's."""
    claimed = history.claims.penalties
    if not claimed:
        return None
    name, weight = claimed[0]
    acting = float(finding.evidence.get("weight", weight)) or weight
    after = _short(new(name, acting))
    if len(claimed) == 1:
        return _set(f"penalty={name}", acting, after)
    numbers = {f"penalty={one}": _short(value * after / acting) for one, value in claimed}
    said = ", ".join(f"{one} to {value:.3g}" for one, value in numbers.items())
    return Exact(f"{said} (from {acting:.3g}).", numbers)


def _too_strong(finding: Finding, history: History) -> Exact | None:
    share = max(float(finding.evidence.get("share", 10.0)), 10.0)
    return _weights(finding, history, lambda n, w: min(max(min(w / 10, w / share), GENTLE[n]), FIRM[n], w / 2))


def _too_weak(finding: Finding, history: History) -> Exact | None:
    return _weights(finding, history, lambda n, w: max(10 * w, USUAL[n]))


def _weight_wrong(finding: Finding, history: History) -> Exact | None:
    acting, claimed = finding.evidence.get("weight"), finding.evidence.get("expected")
    if not isinstance(acting, float) or not isinstance(claimed, float) or acting <= 0:
        return None
    last, factor = history.windows[-1].numbers if history.windows else {}, acting / claimed
    batch, features = (last.get(key, 0.0) for key in ("batch", "features"))
    known = {
        "rows of a batch: a sum over them in place of the mean": batch,
        "numbers of a sample: a mean over them in place of the sum": 1 / features if features > 1 else 0.0,
        "half: of R1's gamma / 2": 2.0,
    }
    why = next((f" ({words})" for words, one in known.items() if one and abs(factor / one - 1) < 0.02), "")
    names = [name for name, _ in history.claims.penalties]
    numbers = {f"penalty={names[0]}": claimed} if len(names) == 1 else {}
    said = f"multiply the penalty's term by {1 / factor:.3g}: its weight from {acting:.3g} to {claimed:.3g}{why}."
    return Exact(said, numbers)


def _lazy(finding: Finding, _: History) -> Exact | None:
    share = float(finding.evidence.get("share", 0.0))
    period = round(1 / share) if 0 < share < 1 else 0
    if not period:
        return None
    if period <= 16:
        return Exact(f"multiply its weight by {period}, the steps from one to the next, or take it at every step.")
    return Exact(f"take it every 16 steps with 16 times its weight, or at every step; now it is every {period}.")


_POINTS = {
    "gp": "t = torch.rand(len(real), *[1] * (real.dim() - 1)); x = (t * real + (1 - t) * fake.detach())",
    "r1": "x = real.detach()",
    "r2": "x = fake.detach()",
}
_TERMS = {
    "gp": "{w:g} * ((g.flatten(1).norm(2, dim=1) - 1) ** 2).mean()",
    "gp1": "{w:g} * ((g.flatten(1).norm(2, dim=1) - 1).clamp(min=0) ** 2).mean()",
    "r1": "{w:g} / 2 * g.flatten(1).square().sum(1).mean()",
    "r2": "{w:g} / 2 * g.flatten(1).square().sum(1).mean()",
}


def lines_of(name: str, weight: float) -> str:
    """A penalty as lines of Python."""
    return (
        f"{_POINTS[name.rstrip('1') if name == 'gp1' else name]}.requires_grad_(); (g,) = "
        f"torch.autograd.grad(critic(x).sum(), x, create_graph=True); loss = loss + "
        f"{_TERMS[name].format(w=weight)}"
    )


def _penalty(_: Finding, history: History) -> Exact | None:
    claimed = history.claims.penalties
    return Exact("; and ".join(lines_of(*one) for one in claimed)) if claimed else None


def _clip_wider(_: Finding, history: History) -> Exact | None:
    clip = history.claims.clip
    return None if clip is None else _set("clip", clip, 10 * clip)


def _clip(_: Finding, history: History) -> Exact | None:
    clip = history.claims.clip
    line = f"with torch.no_grad(): [p.clamp_(-{clip:g}, {clip:g}) for p in critic.parameters()]" if clip else ""
    return Exact(f"{line}, after each optimizer.step() of the critic.") if line else None


def _average(finding: Finding, history: History) -> Exact | None:
    """The decay that the average seems to have, and one whose half-life is a twentieth of the steps."""
    behind, steps = float(finding.evidence.get("behind", 0.0)), history.step
    if steps < 20 or not 0 < behind < 1.5:
        return None
    now = min(behind, 1 - 1e-6) ** (1 / steps)
    after = 0.5 ** (20 / steps)
    return Exact(f"decay from about {now:.6g} to {after:.3g}, and the live weights into the average once.")


def _scaled(finding: Finding, history: History) -> Exact | None:
    """The line from the data's ends to the generator's."""
    numbers, ends = history.windows[-1].numbers if history.windows else {}, history.ends.get("generator")
    low, high = (numbers.get(key) for key in ("real_low", "real_high"))
    if finding.cause == "data_scale" and "real" in finding.evidence:
        low, high = finding.evidence["real"]
    if ends is None or ends.kind not in ("bounded", "probability") or low is None or high is None or high <= low:
        return None
    factor = (ends.high - ends.low) / (high - low)
    return Exact(f"x = (x - {low:.4g}) * {factor:.4g} + {ends.low:.4g}, with the ends of all rows (these are of one "
                 f"batch), and its inverse on samples.")  # fmt: skip


def _latents(finding: Finding, _: History) -> Exact | None:
    trained, sampled = (finding.evidence.get(key) for key in ("trained", "sampled"))
    if not trained or not sampled:
        return None
    return Exact(f"latents of mean {trained[0]:.2g} and deviation {trained[1]:.2g} in sampling too, in place of "
                 f"{sampled[0]:.2g} and {sampled[1]:.2g}.")  # fmt: skip


def _share(finding: Finding, _: History) -> Exact | None:
    share = float(finding.evidence.get("share", 0.0))
    if not 0 < share < 1:
        return None
    return Exact(f"multiply the other term's weight by {(1 - share) / share:.2g}: then both gradients are equal.")


def _halves(finding: Finding, _: History) -> Exact | None:
    ratio = float(finding.evidence.get("ratio", 0.0))
    return Exact(f"multiply the fake half by {ratio:.3g}.") if ratio > 0 else None


def _own_parameters(finding: Finding, _: History) -> Exact | None:
    name = finding.evidence.get("player")
    if name not in PLAYERS:
        return None
    return Exact(f"optimizer_{name} = torch.optim.Adam({name}.parameters(), ...); the other parameters out of it.")


def _left_out(finding: Finding, _: History) -> Exact | None:
    missing, name = finding.evidence.get("missing"), finding.evidence.get("player")
    if not missing:
        return None
    names = ", ".join(repr(one) for one in missing)
    return Exact(f'optimizer.add_param_group({{"params": [dict({name}.named_parameters())[n] for n in [{names}]]}}).')


def _unfrozen(finding: Finding, _: History) -> Exact | None:
    frozen, name = finding.evidence.get("frozen"), finding.cause.partition("_")[0]
    every = len(frozen or []) >= int(finding.evidence.get("parameters", 0))
    what = f"{name}.requires_grad_(True)" if every else f"requires_grad_(True) of {', '.join(frozen or [])}"
    return Exact(f"{what}, before the {name}'s own forward pass.") if frozen else None


def _mode(finding: Finding, _: History) -> Exact | None:
    name = finding.evidence.get("player")
    return Exact(f"{name}.train() before each of its steps.") if name in PLAYERS else None


def _constrained(_: Finding, history: History) -> Exact | None:
    layers, name = list(history.statics.get("unconstrained") or []), history.claims.constraint
    if name not in ("spectral_norm", "orthogonal"):
        return None
    return Exact(f"tightrope.constraints.{name}(critic)" + (f", whose free layers are {', '.join(layers[:6])}."
                                                            if layers else "."))  # fmt: skip


def _first_candidate(finding: Finding, history: History) -> Exact | None:
    """What would be changed if the first candidate that has numbers were the cause."""
    for cause in finding.candidates:
        if cause != finding.cause and (found := _CHANGES.get(cause)) is not None:
            made = found(Finding(cause, ""), history)
            if made is not None and made.numbers:
                return Exact(f"for {cause}, {made.said}")
    return None


_CHANGES: Mapping[str, Callable[[Finding, History], Exact | None]] = {
    "generator_step_too_large": _too_large, "critic_step_too_large": _too_large,
    "generator_step_too_small": _too_small, "critic_step_too_small": _too_small, "learning_rate_zero": _too_small,
    "learning_rate_not_reached": _not_reached, "schedule_too_fast": _schedule, "momentum_too_high": _momentum,
    "weight_decay_crippling": _decay, "n_critic_swapped": _swapped, "penalty_too_strong": _too_strong,
    "penalty_too_weak": _too_weak, "penalty_weight_wrong": _weight_wrong, "penalty_too_lazy": _lazy,
    "penalty_absent": _penalty, "penalty_detached": _penalty, "penalty_other_kind": _penalty,
    "penalty_other_place": _penalty, "penalty_norm_axes": _penalty, "clip_crippling": _clip_wider,
    "clip_absent": _clip, "clip_other": _clip, "average_too_slow": _average, "data_range": _scaled,
    "data_scale": _scaled, "latent_mismatch": _latents, "reconstruction_drowns_adversarial": _share,
    "adversarial_drowns_reconstruction": _share, "critic_halves_unequal": _halves,
    "optimizer_other_player": _own_parameters, "optimizer_wrong_parameters": _own_parameters,
    "optimizer_misses_parameters": _left_out, "generator_frozen": _unfrozen, "critic_frozen": _unfrozen,
    "eval_mode_in_training": _mode, "constraint_missing": _constrained, "constraint_partial": _constrained,
    "unknown_trouble": _first_candidate, "no_progress": _first_candidate, "mode_collapse_total": _first_candidate,
}  # fmt: skip
