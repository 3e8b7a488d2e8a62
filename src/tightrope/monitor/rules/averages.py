"""The averaged generator, and how samples are drawn for looking at and for measuring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.rules._said import exact
from tightrope.monitor.rules.slow import WARM
from tightrope.monitor.window import Window


def evaluation(history: History) -> Iterator[Finding]:
    """So few samples at a time that a distance read from them is mostly noise; a grid to look at is drawn so too."""
    few = history.where(lambda w: 0 < w.numbers.get("sampled_rows", 0) < 32)
    if few:
        rows = few.last.numbers["sampled_rows"]
        yield Finding(
            "evaluation_too_few_samples", f"{rows:.0f} samples are drawn at a time: a distance of so few says little.",
            {"samples": rows, "expected": "thousands"}, few.since, "low", "unknown",
        )  # fmt: skip


def _lags(window: Window) -> bool:
    """The average is less than half of the way along, and its samples are far where the live ones are not."""
    numbers = window.numbers
    far = numbers.get("sampled_distance", 0.0) > 5 * max(numbers.get("distance", 1.0), 0.02) + 0.05
    return numbers.get("average_behind", 0.0) > 0.6 and far


def _modes_apart(window: Window) -> bool:
    """Samples in eval mode far from those of training mode, or as far as makes drawn ones worse than the live ones."""
    numbers = window.numbers
    apart, drawn = numbers.get("other_mode", 0.0), numbers.get("sampled_distance", 0.0)
    all_of_it = apart > 0.1 and apart > 0.5 * drawn and drawn > 5 * max(numbers.get("distance", 1.0), 0.01) + 0.05
    return apart > 0.3 or (all_of_it and numbers.get("sampled_in_training_mode", 1.0) == 0.0)


def _live(live: Seen, history: History) -> Iterator[Finding]:
    """Equal to the last bit: decisive where memory is shared, else it may be one that begins to average later.

    Published trainings copy the live network at first, that of BigGAN-PyTorch for 20,000 iterations (``--ema_start``).
    """
    shared = live.last.numbers.get("average_shared", 0.0) == 1.0
    words = ": both are held in the same memory." if shared else " to the last bit; does its averaging begin later?"
    found = exact("average_is_live", live, f"The averaged generator has the live one's parameters{words}", expected=0.0)
    late = not shared and (history.step < WARM or len(live) < len(live.among))
    yield replace(found, confidence="low" if late else found.confidence if shared else "medium")


def averages(history: History) -> Iterator[Finding]:
    """The averaged generator."""
    live = history.where(lambda w: w.numbers.get("average_is_live", 0.0) == 1.0 and w.generator.moved > 0)
    if len(live) >= 2 and live.now:
        yield from _live(live, history)
    still = history.where(lambda w: w.step > 1 and w.numbers.get("average_moved", 1.0) == 0.0 and w.generator.moved > 0)
    if len(still) >= 2 and still.now and not live:
        yield exact("average_is_not_updated", still, "The averaged generator does not move.", moved=0.0)
    slow = history.where(lambda w: w.numbers.get("average_behind", 0.0) > 0.9, 50)
    late = history.where(_lags, 100)
    slow = slow if slow and slow.last is history.windows[-1] else late if len(late) >= 3 and late.now else slow
    if slow and slow.last is history.windows[-1] and not still:
        numbers = slow.last.numbers
        behind, ratio = numbers["average_behind"], numbers.get("sampled_distance", 0.0)
        harm = ratio > 2 * numbers.get("distance", 0.0) + 0.05
        found = exact(
            "average_too_slow", slow,
            f"The average is {behind:.2g} of the way between start and live generator behind the latter"
            + (f": the distance of its samples to the data is {ratio:.3g}, the live ones' {numbers['distance']:.3g}."
               if harm else "."), damage="why it fails" if harm else "unknown", behind=behind, expected="below 0.5",
        )  # fmt: skip
        sure = harm or slow.last.step >= 300
        yield found if sure else Finding(**{**vars(found), "confidence": "low"})
    buffers = history.where(lambda w: w.numbers.get("average_buffers", 0.0) > 0.9, 8)
    averaged = history.where(lambda w: w.numbers.get("average_buffers_moved", 0.0) > 0, 8)  # they lag, and rightly so
    if len(buffers) >= 2 and buffers.now and not averaged:
        value, drawn = buffers.last.numbers["average_buffers"], history.series("sampled_in_training_mode")
        unused = bool(drawn) and drawn[-1][1] == 1.0  # batch norm then takes the statistics of the batch
        found = exact(
            "average_buffers_not_copied", buffers,
            f"Buffers of the average stand still, and differ from the live network's by {value:.3g} of their size"
            + ("; samples are drawn in training mode, which does not use them." if unused else "."),
            difference=value, expected=0.0,
        )  # fmt: skip
        yield replace(found, confidence="low", damage="harmless") if unused else found
    mode = history.where(_modes_apart, 34)
    if len(mode) >= 2 and mode.now:
        value = mode.last.numbers["other_mode"]
        harm = mode.last.numbers.get("sampled_distance", 0.0) > 2 * mode.last.numbers.get("distance", 0.0) + 0.05
        evaluated = mode.last.numbers.get("sampled_in_training_mode", 1.0) == 0.0
        yield Finding(
            "sampled_in_other_mode",
            f"In eval mode the generator's samples are {value:.3g} spreads away from those of training mode"
            + (", and samples are drawn in eval mode." if evaluated else "."),
            {"distance": value, "expected": "below 0.18"}, mode.since, "medium" if harm and evaluated else "low",
            "why it fails" if harm else "unknown",
        )  # fmt: skip
