"""Many seeds of one training at once, each with the numbers it has alone.

    from tightrope import data, methods, training

    found = training.seeds.train(methods.build("r1"), networks, data.open_data("toy:ring"), seeds=range(32), steps=5000)
    [seed.run.step for seed in found]

A claim about a method needs many seeds, and one small network keeps no processor busy. Here the networks of all seeds
are stacked, ``[seeds, *shape]``, and trained as one computation: what the method asks of one run is mapped over them by
``torch.vmap``, their networks are called together, fully connected ones as batched products. Every seed draws from its
own stream what it would have drawn alone, in the same order, and no loss is averaged over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch

from tightrope._plumbing.checks import check_choice, check_seeds, check_whole
from tightrope._plumbing.door import keep_door
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.data.dataset import Dataset
from tightrope.methods import Method
from tightrope.training.seeds.choosing import Choice, choice
from tightrope.training.seeds.feed import Feed, Source
from tightrope.training.seeds.job import Job, Measure, Networks, Seed, each
from tightrope.training.seeds.obstacles import UnstackableError
from tightrope.training.seeds.plan import chunks, groups
from tightrope.training.seeds.stack import Found, Stack, rows_of_found, scalars_of
from tightrope.training.seeds.steps import critic_step, generator_step, joint_step

__all__ = ["Measure", "Networks", "Seed", "Source", "Stack", "train"]

How = Literal["auto", "stack", "processes"]


def train(
    method: Method | Sequence[Method],
    networks: Networks,
    data: Source,
    seeds: Iterable[int] = range(32),
    *,
    steps: int,
    batch_size: int | None = None,
    record: int = 0,
    measure: Measure | None = None,
    at: Iterable[int] = (),
    how: How = "auto",
    chunk: int | None = None,
    workers: int | None = None,
    **options: Any,
) -> list[Seed]:
    """Train one run per seed, all of them at once.

    A seed that meets a value that is not finite leaves with its error, and the others go on.

    Args:
        method: What to train by; or one method per seed. Those that differ in learning rates and in their penalties'
            ``gamma`` or ``weight`` alone train side by side, others (``n_critic``, say) in stacks of their own.
        networks: ``networks(seed)`` gives a new generator and critic. They may draw their weights from torch's global
            random state, which is that of the seed.
        data: A data set, of which each seed draws batches in its own order, ``Sampler(data, batch_size, seed=seed)``;
            or a function ``data(seed)`` that gives a seed its sampler or iterable of batches.
        seeds: Of networks, order of the data, latents and every other draw; each once.
        steps: Generator updates.
        batch_size: As for ``training.start``, and of the batches of a data set.
        record: Steps from one row of scalars to the next; 0 for none.
        measure: ``measure(run, seed)`` is called for every seed at the steps ``at``, 0 being the start, with the
            :class:`~tightrope.training.Run` as it stands, which it leaves as it is; what is to be kept of its state is
            to be copied: ``copy.deepcopy(run.state_dict())``.
        at: Steps to measure at; the last one alone if empty.
        how: ``"stack"`` for one computation, ``"processes"`` for each seed by itself, one thread and process per core.
            ``"auto"`` stacks what can be stacked. With convolutions on a CPU, where stacking pays for small maps or if
            the cores are busy, it tries a few steps of both on runs of their own first; ``Seed.why`` says what it
            found. The same numbers to the last bit every time need a choice of yours.
        chunk: Seeds in one stack; as many as fit into half of the free memory if None.
        workers: Processes; one per core if None.
        **options: Further arguments of ``training.start``: ``latent``, ``device``, ``ema_half_life_images`` ...

    Returns:
        One :class:`Seed` for each, in the order of ``seeds``; the same to float rounding whichever way it was trained.

    Raises:
        UserError: No seeds, one twice, as many methods as there are no seeds, networks that differ in more than their
            weights; or, with ``how="stack"``, what cannot be stacked: dropout, Python decisions by values of tensors.

    Example:
        >>> from tightrope import methods, training
        >>> from tightrope.data import open_data
        >>> from tightrope.networks import NETWORKS
        >>> def networks(seed):
        ...     rng, mlp = torch.Generator().manual_seed(seed), NETWORKS["mlp"]
        ...     return mlp.generator((2,), latent=4, width=16, rng=rng), mlp.critic((2,), width=16, rng=rng)
        >>> found = training.seeds.train(methods.build("r1"), networks, open_data("toy:ring"), range(4), steps=3)
        >>> [(seed.seed, seed.run.step, seed.error) for seed in found]
        [(0, 3, None), (1, 3, None), (2, 3, None), (3, 3, None)]
    """
    chosen = check_seeds(seeds)
    methods = _methods(method, len(chosen))
    job = Job(networks, data, steps, record, measure, _times(at, steps, record), _options(options, data, batch_size))
    _check(job, how, chunk, workers)
    found: dict[int, Seed] = {}
    for places in groups(methods):
        for seed in _group(job, [methods[k] for k in places], [chosen[k] for k in places], how, chunk, workers):
            found[seed.seed] = seed
    return [found[number] for number in chosen]


def _group(
    job: Job, methods: list[Method], seeds: list[int], how: How, chunk: int | None, workers: int | None
) -> list[Seed]:
    """Seeds whose methods can be stacked."""
    with torch.random.fork_rng():
        first = job.begin(methods[0], seeds[0])
        chosen = choice(job, methods, seeds, first, workers, _step) if how == "auto" else Choice(how, "asked for")
    found: list[Seed] = []
    if chosen.how == "stack":
        try:
            for part in chunks(range(len(seeds)), first, first.batch_size, chunk):
                found += _together(job, [methods[k] for k in part], [seeds[k] for k in part])
        except UnstackableError as problem:
            if how == "stack":
                raise
            chosen = Choice("processes", str(problem))
    if chosen.how == "processes":
        found = each(job, methods, seeds, workers)
    for seed in found:
        seed.how, seed.why = chosen
    return found


def _together(job: Job, methods: Sequence[Method], seeds: Sequence[int]) -> list[Seed]:
    """Train seeds as one stack."""
    with torch.random.fork_rng():
        found: list[Seed] = []
        states = []
        for method, number in zip(methods, seeds, strict=True):
            found.append(Seed(number, job.begin(method, number)))
            states.append(torch.get_rng_state())
        _require_own(found)
        for seed in found:
            job.note(seed, 0, 0, dict)
        stack = Stack([seed.run for seed in found])
        feed = Feed(job.data, seeds, found[0].run.batch_size, states)
        there = list(found)
        while there and stack.together.step < job.steps:
            halves = _step(stack, feed, there)
            step, images = stack.together.step, stack.together.images_seen
            due = (job.record and step % job.record == 0, job.measure is not None and step in job.at)
            scalars = {player: scalars_of(half) for player, half in halves.items()} if due[0] else {}
            for k, seed in enumerate(there) if any(due) else ():
                stack.run(k)
                job.note(seed, step, images, partial(_of_one, scalars, k))
        stack.release()
    return found


def _of_one(scalars: dict[str, list[dict[str, float]]], k: int) -> dict[str, dict[str, float]]:
    return {player: rows[k] for player, rows in scalars.items()}


def _step(stack: Stack, feed: Any, there: list[Seed]) -> dict[str, Found]:
    """One whole step, as ``training.train`` takes it; seeds that leave are taken out of ``there``."""
    method, run = stack.together.method, stack.together
    critic: Found = {}
    if method.simultaneous:
        critic, generator, left = joint_step(stack, *feed.next())
        _leave(there, feed, left)
        return {"critic": critic, "generator": generator}
    for _ in range(method.critic_steps(run.step)):
        critic, left = critic_step(stack, *feed.next())
        _leave(there, feed, left)
        if not there:
            return {}
    paired = method.loss.paired or bool(getattr(run.generator, "classes", 0))
    before = list(there)
    generator, left = generator_step(stack, *feed.next()) if paired else generator_step(stack)
    _leave(there, feed, left)
    if left:
        rows = torch.tensor([k for k, seed in enumerate(before) if seed in there], dtype=torch.long)
        critic = rows_of_found(critic, rows)
    return {"critic": critic, "generator": generator}


def _leave(there: list[Seed], feed: Any, left: dict[int, Any]) -> None:
    for k, error in left.items():
        there[k].error = error
    stay = [k for k in range(len(there)) if k not in left]
    if left:
        feed.keep(stay)
        there[:] = [there[k] for k in stay]


def _methods(method: Method | Sequence[Method], count: int) -> list[Method]:
    given = (
        [method] * count if isinstance(method, Method) else list(method) if isinstance(method, Sequence) else [method]
    )
    for one in given:
        if not isinstance(one, Method):
            raise UserTypeError(f"Expected a Method, or one per seed, got {one!r}; build them: methods.build('r1').")
    if len(given) != count:
        raise UserError(f"Expected one method, or one per seed, {count}, got {len(given)}; pass as many of both.")
    return given


def _times(at: Iterable[int], steps: int, record: int) -> frozenset[int]:
    check_whole("steps", steps, 1, 1000)
    check_whole("record", record, 0, 0)
    times = frozenset(at) or frozenset((steps,))
    for time in times:
        check_whole("step to measure at", time, 0, steps)
    if max(times) > steps:
        raise UserError(f"Expected steps to measure at of at most {steps}, got {max(times)}; train longer.")
    return times


def _options(options: dict[str, Any], data: Source, batch_size: int | None) -> dict[str, Any]:
    if "seed" in options:
        raise UserError("Expected no seed beside seeds=, got both; leave seed out.")
    shape = {"shape": data.shape} if isinstance(data, Dataset) else {}
    return shape | options | {"batch_size": batch_size}


def _check(job: Job, how: str, chunk: int | None, workers: int | None) -> None:
    check_choice("how", how, ("auto", "stack", "processes"))
    for name, number in (("chunk", chunk), ("workers", workers)):
        if number is not None:
            check_whole(name, number, 1, 1)
    for name in ("networks", "data"):
        given = getattr(job, name)
        if not callable(given) and not isinstance(given, Dataset):
            what = "function of the seed" if name == "networks" else "data set, or a function of the seed"
            raise UserTypeError(f"Expected {name} as a {what}, got a {type(given).__name__}; pass lambda seed: ...")


def _require_own(found: Sequence[Seed]) -> None:
    owned = [id(p) for seed in found for net in (seed.run.generator, seed.run.critic) for p in {*net.parameters()}]
    if len(set(owned)) < len(owned):
        raise UserError(
            "Expected networks of its own for every seed, got the same weights for two; build them inside of "
            "networks(seed), or copy.deepcopy them there."
        )


keep_door(__name__, __all__)
