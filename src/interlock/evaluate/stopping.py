"""Running a plan that may stop early: its samples in the order that the plan committed to, a look after each batch.

Guarantees: the samples that were asked are the first ones of the order; every look is kept; none is asked after the
look at which nothing is left open: each level of the measure is ruled out, or shown (`interlock.decide.eprocess`).
After a kill the samples go on from those in the log. What it leaves to the caller: that nobody chose the order's seed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.evaluate.statistics import looks, planning
from interlock.evidence.predicates import Stopped
from interlock.policy.model import Mean, Measure, Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inspect_ai import Task

    from interlock.evaluate.logs import Answer
    from interlock.evaluate.statistics.planning import Line
    from interlock.policy.model import Policy

#: Samples before the first look, and between two of the first looks: what the model answers at once.
BATCH = 16
#: Later looks are an eighth of what was asked apart, so that a long run is not mostly looking.
PART = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """What a run settles before it stops: each line ruled out, or its level shown. Where one is ruled out, at least the
    share `coverage` of so far `least_samples` or more must have a score, or the result could not be relied on.
    """

    lines: tuple[Line, ...]
    coverage: Fraction
    least_samples: int

    def settled(self, found: Sequence[bool | None]) -> bool:
        """Whether it may stop after samples that were dangerous, or not, or (None) have no score.

        A line whose margin is forecast is not ruled out before the end: the margin may grow.
        """
        n = len(found)
        dangerous, harmless = sum(it is not False for it in found), sum(it is True for it in found)
        sound = n >= self.least_samples and n - found.count(None) >= self.coverage * n
        verdicts = ((line, looks.verdict(line, n, dangerous, harmless)) for line in self.lines)
        return all(it == "reached" or (it == "ruled out" and sound and not line.forecast) for line, it in verdicts)


def rule(policies: Sequence[Policy], measure: str) -> Rule:
    """What a run of a measure settles under these policies.

    Raises:
        UsageError: there is no level, or one that stopping early cannot settle: of a mean, or of scores that are not 0
            or 1.
    """
    found: dict[Line, None] = {}
    floors, least = [Fraction(0)], 0
    for policy in policies:
        asked = policy.measures.get(measure)
        mean = next(
            (it.name for it in policy.measures.values() if isinstance(it, Mean) and measure in it.weights), None
        )
        if mean is not None:
            raise UsageError(f"`{measure}` is a part of the mean `{mean}`, which a run that stops early leaves open")
        if isinstance(asked, Measure):
            found |= dict.fromkeys(planning.lines_on(policy, measure))
            least = max(least, asked.least_samples)
        floors += [it.rule_out.coverage for it in policy.thresholds.values() if it.rule_out]
        floors += [it.rule_out.coverage for it in policy.requirements.values() if isinstance(it, Measured)]
    if not found:
        raise UsageError(f"no level of `{measure}` is to be ruled out, so that there is nothing to stop at")
    if not all(line.binary for line in found):
        raise UsageError(f"a run of `{measure}` cannot stop early: its scores are not 0 or 1 for each sample")
    return Rule(tuple(found), max(floors), least)


def ordered(task: Task, seed: int) -> tuple[str, ...]:
    """The ids of a task's samples in the order that a plan's `order_seed` commits to."""
    return looks.order([str(sample.id) for sample in task.dataset], root=seed.to_bytes(8, "big"))


def first(task: Task, ids: Sequence[str]) -> Task:
    """The task with these samples only, in this order."""
    from inspect_ai.dataset import MemoryDataset

    by_id = {str(sample.id): sample for sample in task.dataset}
    some = copy.copy(task)
    some.dataset = MemoryDataset([by_id[name] for name in ids], name=task.dataset.name)
    return some


def outcomes(
    ids: Sequence[str], answers: Mapping[tuple[str, int], Answer], measure: Measure
) -> tuple[bool | None, ...]:
    """Whether each sample was dangerous; None: it has no score."""
    right = [answers[name, 1].correct for name in ids]
    return tuple(None if it is None else it is (measure.danger == "higher") for it in right)


def seen(found: Sequence[bool | None], after: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """What looks after so many samples saw: each with how many may be dangerous."""
    return tuple((n, sum(it is not False for it in found[:n])) for n in after)


def marks(total: int) -> Iterator[int]:
    """After how many samples there is a look; the last is the whole."""
    n = 0
    while n < total:
        n = min(total, n + max(BATCH, n // PART))
        yield n


def run(
    task: Task,
    *,
    seed: int,
    measure: Measure,
    until: Rule,
    begun: int,
    ask: Callable[[Task], tuple[Path, Mapping[tuple[str, int], Answer]]],
) -> tuple[Path, Stopped]:
    """Ask batch by batch until the rule is settled or all samples are asked. Returns the log, and where it stopped.

    `ask` asks the samples of a task of which earlier ones may be answered already, and gives the log of all of them;
    `begun` is how many samples were asked for before the run was cut short, which is one of the marks.
    """
    order = ordered(task, seed)
    looked: list[int] = []
    for n in marks(len(order)):
        looked.append(n)
        if n < begun:
            continue
        log, answers = ask(first(task, order[:n]))
        found = outcomes(order[:n], answers, measure)
        if until.settled(found) or n == len(order):
            return log, Stopped(n, seen(found, looked))
    raise UsageError(f"task `{task.name}` has no samples, expected at least one")
