"""What a log says of one task, whatever program wrote it; and what it counts to for a measure.

A log cannot say which weights answered, how hard they were made to try, or that nothing better was left out. So what
it says is enough to count against a permit and never enough to count towards one (`evidence.imported`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError
from interlock.evaluate import _samples
from interlock.evidence.imported import Counts
from interlock.evidence.predicates import UNKNOWN

if TYPE_CHECKING:
    from interlock.policy.model import Measure

#: The measure of a task, by the task's names; None where the policy measures none of them.
MeasureOf = Callable[[tuple[str, ...]], "Measure | None"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One sample run: what was asked (with its `id`), what came back, and its number. None: no score, or not said."""

    asked: Mapping[str, Any]
    epoch: int
    output: str
    score: float | None
    errored: bool | None = None
    limited: bool | None = None
    refused: bool | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a log says of one task. `files` are (name, SHA-256); texts are `unknown` where it does not say.

    `names` are those of the task; `run` is the run's own id; `updates` and `edited` count later changes of the log and
    of its scores; `unchecked` are numbers of its header that its samples cannot be held against.
    """

    kind: str
    files: tuple[tuple[str, str], ...]
    run: str
    names: tuple[str, ...]
    version: str
    metric: str
    scorer: str
    status: str
    planned: int
    answers: tuple[Answer, ...]
    updates: int | None
    edited: int | None
    model: str
    model_args: Mapping[str, str]
    adapter: str
    template: str
    packages: Mapping[str, str]
    unchecked: tuple[str, ...] = ()

    @property
    def samples(self) -> str:
        """The digest of what was asked, each sample once."""
        return _samples.digest({str(it.asked["id"]): it.asked for it in self.answers}.values())

    @property
    def outcomes(self) -> str:
        """The digest of what was asked, answered and scored: a Merkle root with a leaf for each sample run."""
        return _samples.root(
            [{**it.asked, "epoch": it.epoch, "output": it.output, "score": it.score} for it in self.answers]
        )


def count(found: Found, measure: Measure) -> Counts:
    """What the answers count to for a measure. What comes after an error is no score.

    Raises:
        EvidenceError: a score lies outside the measure's range.
    """
    scores = [score for it in found.answers if (score := _score(it, measure)) is not None]
    right_or_wrong = measure.low == 0 and measure.high == 1 and all(score in {0, 1} for score in scores)
    return Counts(
        planned=found.planned,
        completed=sum(not it.errored for it in found.answers),
        scored=len(scores),
        correct=int(sum(scores)) if right_or_wrong else 0,
        total=None if right_or_wrong else sum(scores, Fraction(0)),
        refused_scores=sum(_score(it, measure) is not None for it in found.answers if it.refused),
        refused_at_most=found.planned - sum(it.refused is False for it in found.answers),
        errored=_tally([it.errored for it in found.answers]),
        limited=_tally([it.limited for it in found.answers]),
    )


def _score(answer: Answer, measure: Measure) -> Fraction | None:
    if answer.score is None or answer.errored:
        return None
    score = Fraction(answer.score)
    if not measure.low <= score <= measure.high:
        raise EvidenceError(
            f"the score of sample `{answer.asked['id']}` is {answer.score}, "
            f"expected {measure.low} to {measure.high} for the measure `{measure.name}`"
        )
    return score


def _tally(said: list[bool | None]) -> int | None:
    return None if None in said else sum(bool(it) for it in said)


def plain(value: object) -> str:
    """A value as short text: what a signed statement says of a model argument, or of a version."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    if not text:
        return UNKNOWN
    return text if len(text) <= _SHORT else "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


_SHORT = 200


def adapter(args: Mapping[str, str]) -> str:
    """The adapter that a model's arguments name, or `unknown`."""
    named = [f"{name}={value}" for name, value in sorted(args.items()) if _ADAPTER.intersection(_words(name))]
    return ", ".join(named) or UNKNOWN


_ADAPTER = frozenset({"adapter", "adapters", "peft", "lora", "delta"})


def _words(name: str) -> list[str]:
    return name.lower().replace("-", "_").split("_")
