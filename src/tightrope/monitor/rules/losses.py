"""What the scores saw: signs, halves, other losses, sigmoids, cuts. Fits to rounding (residual below 2e-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.finding import Confidence, Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.ledger.hypotheses import slopes
from tightrope.monitor.rules._said import exact
from tightrope.monitor.rules.moves import hurled, middle
from tightrope.monitor.rules.slow import WARM, stuck
from tightrope.monitor.window import Window

FLIPPED = ("flipped", "flipped loss")


def kind(window: Window, player: str) -> str:
    """What fits a player's scores in a window; empty where nothing was read."""
    fit = window.player(player).fit
    return "" if fit is None else fit.kind


def _flipped(history: History, player: str) -> Seen:
    """Flipped against the claim while the other player is known not to be: both are a matter of orientation."""
    other = "generator" if player == "critic" else "critic"
    return history.where(
        lambda w: kind(w, player) in FLIPPED and kind(w, other) not in FLIPPED and kind(w, other) not in ("", "unknown")
    )


def critic(history: History) -> Iterator[Finding]:
    """The critic's loss."""
    flipped = _flipped(history, "critic")
    half = history.where(lambda w: kind(w, "critic") == "half flipped")
    for seen in (flipped, half):
        if seen:
            fit = seen.last.critic.fit
            assert fit is not None
            yield exact(
                "critic_sign_flipped", seen,
                f"The gradient at the critic's scores is that of {fit.name} (residual {fit.explained:.1g}; the claim's "
                f"{fit.residual:.2g}), while the generator's is not turned.",
                residual_of_claim=fit.residual, residual_of_this=fit.explained, expected_residual="below 2e-3",
            )  # fmt: skip
    for cause, sort, words in (
        ("critic_real_half_missing", "no real half", "real"), ("critic_fake_half_missing", "no fake half", "generated"),
    ):  # fmt: skip
        seen = history.where(lambda w, sort=sort: kind(w, "critic") == sort)  # type: ignore[misc]
        if seen and seen.now:
            yield exact(cause, seen, f"No gradient of the critic's loss comes from the scores of {words} samples.")
    yield from _unequal(history)
    yield from _other(history, "critic")
    yield from _sigmoid(history)


def _unequal(history: History) -> Iterator[Finding]:
    seen = history.where(lambda w: kind(w, "critic") == "unequal halves")
    if seen and seen.now:
        fit = seen.last.critic.fit
        assert fit is not None
        ratio = fit.weights[0] / fit.weights[1]
        strong = max(ratio, 1 / ratio) >= 3.5
        found = exact("critic_halves_unequal", seen, f"In the critic's loss the {fit.name}.", ratio=ratio, expected=1)
        yield found if strong else Finding(**{**vars(found), "confidence": "low"})


def generator(history: History) -> Iterator[Finding]:
    """The generator's loss."""
    seen = _flipped(history, "generator")
    between = not _zero_is_for_fakes(history)
    seen = Seen([w for w in seen.hits if not (between and _zero_target(w))], seen.among)
    if seen:
        fit = seen.last.generator.fit
        assert fit is not None
        yield exact(
            "generator_sign_flipped", seen,
            f"The gradient at the scores of the generator's samples is that of {fit.name} (residual "
            f"{fit.explained:.1g}; the claim's {fit.residual:.2g}): it learns to be recognised.",
            residual_of_claim=fit.residual, residual_of_this=fit.explained, expected_residual="below 2e-3",
        )  # fmt: skip
    yield from _other(history, "generator")


def _zero_is_for_fakes(history: History) -> bool:
    """Whether the claimed least squares draw the critic's scores of generated samples to 0, not to -1."""
    claim = history.claim
    at = torch.zeros(2, dtype=torch.float64)
    found = None if claim is None or claim.critic is None else slopes(claim.critic, at + 1, at)
    return found is not None and not bool(found[1].any())


def _zero_target(window: Window) -> bool:
    """The generator's target 0 between the critic's -1 and 1, a published form of least squares."""
    generator, critic = window.generator.fit, window.critic.fit
    return (
        generator is not None and critic is not None and generator.name.startswith("target")
        and abs(float(generator.name.split()[-1])) < 0.05 and critic.name == "least_squares"
    )  # fmt: skip


def _other(history: History, player: str) -> Iterator[Finding]:
    seen = history.where(lambda w: kind(w, player) == "loss")
    if seen and history.claim is not None:
        fit = seen.last.player(player).fit
        assert fit is not None
        found = exact(
            f"{player}_loss_other", seen,
            f"The {player} minimises the {fit.name} loss (residual {fit.explained:.1g}), not {history.claim.name} "
            f"({fit.residual:.2g}).",
            residual_of_claim=fit.residual, residual_of_this=fit.explained, found=fit.name,
            claimed=history.claim.name,
        )  # fmt: skip
        yield found if _mostly(history, player, seen) else replace(found, confidence="low")


SIGMOIDS = ("double_sigmoid", "probability")


def _mostly(history: History, player: str, seen: Seen) -> bool:
    """Whether another loss explains more windows than a sigmoid too many does in either player's.

    Scores that have run to the ends of a sigmoid lie so close together that other losses give their slopes, too.
    """
    squashed = history.where(lambda w: kind(w, "critic") in SIGMOIDS or kind(w, "generator") in SIGMOIDS)
    return len(seen) > len(squashed)


def _sigmoid(history: History) -> Iterator[Finding]:
    for cause, sort in (("double_sigmoid", "double_sigmoid"), ("probability_as_score", "probability")):
        hits = history.where(lambda w, sort=sort: sort in (kind(w, "critic"), kind(w, "generator")))  # type: ignore[misc]
        if hits:
            fit = hits.last.critic.fit if kind(hits.last, "critic") == sort else hits.last.generator.fit
            assert fit is not None
            yield exact(
                cause, hits, f"The gradient at the scores is that of {fit.name} (residual {fit.explained:.1g}; the "
                f"claim's {fit.residual:.2g}).", residual_of_claim=fit.residual, residual_of_this=fit.explained,
            )  # fmt: skip


def is_flat(window: Window) -> bool:
    """The claimed loss itself gives the generator nothing at these scores, so a gradient of 0 is no cut."""
    fit = window.generator.fit
    return fit is not None and fit.kind == "unknown" and "flat" in fit.name


def connection(history: History) -> Iterator[Finding]:
    """Whether anything reaches the generator, and through the critic; whether anything reaches the critic."""
    cut = history.where(
        lambda w: w.generator.steps > 0 and w.numbers.get("through_critic", 1) == 0
        and w.numbers.get("critic_calls", 0) > 0 and w.numbers.get("fakes_judged", 0) > 0
        and not is_flat(w)
    )  # fmt: skip
    known = [w for w in history.windows if "cut" in w.numbers]
    behind = Seen([w for w in known if w.numbers["cut"] == 1.0], known)
    if len(behind) >= 2 and behind.now:
        yield exact(
            "generator_detached", behind,
            "The scores of generated samples have a gradient at the critic's input, and none of it arrives at the "
            "generator's samples: it is cut off between them.", damage="why it fails", gradients_at_samples=0,
        )  # fmt: skip
    bare = Seen([w for w in cut.hits if w.numbers.get("at_samples", 0) == 0], cut.among)
    if bare and bare.now:
        yield exact(
            "generator_detached", bare,
            "The generator steps, and no gradient has arrived at its samples: what the critic judged in its step is "
            "cut from it.", damage="why it fails", gradients_at_samples=0, through_critic=0,
        )  # fmt: skip
    other = Seen([w for w in cut.hits if w.numbers.get("at_samples", 0) > 0], cut.among)
    if other and other.now:
        yield exact(
            "generator_loss_without_critic", other,
            "The generator has a gradient from other terms, and none of it came through the critic.",
            damage="why it fails", through_critic=0,
        )  # fmt: skip
    yield from _unheard(history)
    yield from _parts(history)


def _parts(history: History) -> Iterator[Finding]:
    """Of several critics, those whose scores one player's loss leaves out."""
    for player, cause, words in (
        ("critic", "critic_no_gradient", "no gradient in the critic's own step: those critics are not trained"),
        ("generator", "generator_loss_other", "no gradient in the generator's step: it does not learn from them"),
    ):
        seen = history.where(lambda w, p=player: w.numbers.get(f"{p}_deaf", 0.0) > 0)  # type: ignore[misc]
        if len(seen) >= 2 and seen.now:
            numbers = seen.last.numbers
            yield exact(
                cause, seen,
                f"{numbers[f'{player}_deaf']:.0f} of {numbers['several']:.0f} critics' scores have {words}.",
                deaf=numbers[f"{player}_deaf"], expected=0,
            )  # fmt: skip


def _unheard(history: History) -> Iterator[Finding]:
    """The critic steps, and its losses are no part of that: no gradient at all, or a penalty's alone."""
    dead = history.where(lambda w: 0 < w.critic.steps == w.critic.no_gradient and not w.critic.frozen)
    old = history.where(
        lambda w: 0 < w.critic.steps == w.critic.old_gradient and not w.critic.accounts
        and w.numbers.get("critic_calls", 0.0) > 0 and "critic_heard" not in w.numbers
    )  # fmt: skip
    deaf = history.where(
        lambda w: w.numbers.get("critic_heard", 1.0) == 0.0 and len(w.critic.accounts) == min(w.critic.steps, 2)
        and all(a.share == float("inf") and a.left <= a.error for a in w.critic.accounts)
    )  # fmt: skip
    zero = history.where(lambda w: 0 < w.critic.steps == w.critic.zero_gradient and not w.critic.frozen)
    if len(zero) < len(history.windows) or history.counters["critic"].steps < 50:
        zero = Seen([], zero.among)  # a critic that starts later is no fault
    reach = history.ends.get("critic")
    if reach is not None and reach.kind in ("rectified", "above"):  # which is why, and is said
        zero = Seen([], zero.among)
    for seen, words in (
        (zero, "its gradient has been 0 at every step so far (does it start too late?)"),
        (dead, "none of its parameters has a gradient"),
        (old, "what it steps with is an old gradient: none has come to it since its step before"),
        (deaf, "none of its gradient comes from the scores of real and generated samples, all of it from a penalty"),
    ):
        if seen and seen.now:
            called = any(w.critic.no_grad_calls for w in seen.hits)
            said = exact(
                "critic_called_without_grad" if called else "critic_no_gradient", seen,
                f"The critic steps, and {words}" + (": it was called under no_grad." if called else "."),
                damage="why it fails",
            )  # fmt: skip
            yield Finding(**{**vars(said), "confidence": "medium"}) if seen is zero else said


def shares(history: History) -> Iterator[Finding]:
    """Other terms beside the adversarial one: from 97 % on a remark, alone no fault (pix2pix trains so).

    Published recipes weigh the adversarial term by 0.001 (1604.07379, 1609.04802), which gives up to 99.95 %.
    """
    found = [(w.step, w.numbers["other_share"]) for w in history.windows if "other_share" in w.numbers]
    if len(found) < 3:
        return
    values = sorted(value for _, value in found[-8:])
    share = values[len(values) // 2]
    if share > 0.97:
        away = stuck(history) and (share > 0.9995 or not _developing(history))
        far = (away or _seen_through(history)) and not hurled(history)
        most = 0.9999 if history.step >= EARLY else 1 - 1e-5  # a critic that has just begun has small slopes yet
        confidence: Confidence = "medium" if far or share > most else "low"
        yield Finding(
            "reconstruction_drowns_adversarial",
            f"{100 * share:.4g} % of the gradient at the generator's samples come from terms that do not pass through "
            "the critic.", {"share": share}, found[0][0], confidence, "why it fails",
        )  # fmt: skip
    elif 1e-9 < share < 0.01:
        away = stuck(history) and not hurled(history)
        sure: Confidence = "medium" if away or (share < NOTHING and not hurled(history)) else "low"
        yield Finding(
            "adversarial_drowns_reconstruction",
            f"{100 * (1 - share):.6g} % of the gradient at the generator's samples come through the critic, although "
            "another term is part of the loss.", {"share": share}, found[0][0], sure, "why it fails",
        )  # fmt: skip


EARLY = 34
"""Updates before which what little comes through the critic says nothing of the weights of a loss's terms."""
NOTHING = 1e-4
"""Share of the gradient at samples below which nobody means a term to be: it is as if it were not there."""


def _developing(history: History) -> bool:
    """An early training, or samples that vary less than the data and more and more."""
    spreads = [value for _, value in history.series("spread")]
    return history.step < WARM or (spreads[-1] < 0.8 and middle(spreads[-3:]) > 1.2 * middle(spreads[-6:-3]))


def _seen_through(history: History) -> bool:
    """Samples vary less than the data, come no closer, and the critic tells them: nothing of what it knows arrives."""
    distances, ranks, spreads = ([v for _, v in history.series(name)] for name in ("distance", "auc", "spread"))
    if history.step < WARM or min(len(distances), len(ranks), len(spreads)) < 9:
        return False
    third = len(distances) // 3
    before, last = middle(distances[-2 * third : -third]), middle(distances[-third:])
    return last > 0.05 and last > 0.85 * before and middle(ranks[-8:]) > 0.8 and middle(spreads[-8:]) < 0.8


def unexplained(history: History) -> Iterator[Finding]:
    """Refuted, and nothing known explains it: a remark, unless samples stay far and the claim is no part of it."""
    if history.claim is None:
        return
    for player in PLAYERS:
        at_scores = history.where(lambda w, p=player: kind(w, p) == "none")  # type: ignore[misc]
        if at_scores and at_scores.now:
            fit = at_scores.last.player(player).fit
            assert fit is not None
            foreign = fit.contained < 0.3 and len(at_scores) >= 3 and stuck(history)
            yield Finding(
                "refuted_unexplained",
                f"The gradient at the {player}'s scores is not that of {history.claim.name}: {100 * fit.residual:.3g} "
                "% of it are unexplained by it or by any other known loss.",
                {"unexplained": fit.residual, "cosine_with_claim": fit.contained, "player": player},
                at_scores.since,
                "medium" if foreign else "low",
            )
        at_parameters = history.where(
            lambda w, p=player: any(a.kind == "none" and a.left > 0.02 for a in w.player(p).accounts)  # type: ignore[misc]
        )
        if at_parameters and at_parameters.now:
            left = max(a.left for a in at_parameters.last.player(player).accounts)
            made = player == "generator" and bool(at_parameters.last.numbers.get("real_made"))  # it learns there, too
            strong = left > 0.6 and len(at_parameters) >= 3 and stuck(history) and not made
            yield Finding(
                "refuted_unexplained",
                f"{100 * left:.3g} % of the {player}'s gradient come neither from its scores nor from a known penalty.",
                {"unexplained": left, "player": player},
                at_parameters.since,
                "medium" if strong else "low",
            )
