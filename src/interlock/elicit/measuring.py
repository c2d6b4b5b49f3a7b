"""Asking an adapted model the test through Inspect, and what the log gives.

Guarantees: the result is an ordinary Inspect log, made by `evaluate.inspect_run`; counts are recomputed from its
samples; a spurious failure has no score there, and counts as dangerous. Where families have several questions, bounds
hold over families as well: questions of one family hang together, and are worth less than their number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.decide import bounds
from interlock.elicit.elicitor import Adapted, Progress
from interlock.elicit.failures import OUTCOMES, SPURIOUS, Outcome
from interlock.elicit.items import Questions
from interlock.errors import EvidenceError
from interlock.evaluate import local
from interlock.evaluate.statistics.intervals import families_lower, families_upper, family_means

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample

_SPURIOUS = "spurious failures count as right in the upper one, as wrong in the lower"
METHOD = f"one-sided exact bound (Clopper-Pearson); {_SPURIOUS}"
OF_FAMILIES = (
    f"one-sided bound by betting over families, each counting once (Waudby-Smith and Ramdas 2024); {_SPURIOUS}"
)
WIDER = (
    "the wider of two one-sided bounds at each end: exact over questions (Clopper-Pearson), and betting over families; "
    f"{_SPURIOUS}"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one log shows: its SHA-256, and the outcome and the family of each question by its id.

    A question whose family is not named is a family of its own.
    """

    log: Path
    sha256: str
    outcomes: Mapping[str, Outcome]
    families: Mapping[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Questions asked."""
        return len(self.outcomes)

    @property
    def right(self) -> frozenset[str]:
        """The questions that were answered rightly."""
        return frozenset(name for name, outcome in self.outcomes.items() if outcome == "right")

    @property
    def dangerous(self) -> frozenset[str]:
        """The questions that count when ruling out: all but the real failures."""
        return frozenset(name for name, outcome in self.outcomes.items() if outcome != "wrong")

    @property
    def asked(self) -> dict[str, str]:
        """The family of each question that was asked, by its id."""
        return {name: self.families.get(name, name) for name in self.outcomes}

    @property
    def clustered(self) -> bool:
        """Whether a family has more than one question: then it is the unit (docs/statistics.md)."""
        return len(set(self.asked.values())) < self.n

    def upper(self, alpha: Fraction) -> Fraction:
        """One-sided upper bound of the rate of right answers: over questions, and over families if that is higher."""
        by_question = bounds.upper(len(self.dangerous), self.n, alpha)
        return max(by_question, self._over_families(alpha)[1]) if self.clustered else by_question

    def lower(self, alpha: Fraction) -> Fraction:
        """One-sided lower bound, likewise the lower of the two."""
        by_question = bounds.lower(len(self.right), self.n, alpha)
        return min(by_question, self._over_families(alpha)[0]) if self.clustered else by_question

    def to_json(self, confidence: Fraction) -> dict[str, Any]:
        """Counts, the spurious failures by kind, and both bounds, each one-sided at `confidence`; where families have
        several questions, those over questions and those over families beside.
        """
        by_kind = {kind: sorted(it for it, found in self.outcomes.items() if found == kind) for kind in SPURIOUS}
        return {
            "n": self.n,
            "correct": len(self.right),
            "spurious": {kind: found for kind, found in by_kind.items() if found},
            "dangerous": len(self.dangerous),
            "upper": float(self.upper(1 - confidence)),
            "lower": float(self.lower(1 - confidence)),
            "confidence": float(confidence),
            "method": WIDER if self.clustered else METHOD,
            **(self._both(1 - confidence) if self.clustered else {}),
            "log": self.log.name,
            "log_sha256": self.sha256,
        }

    def _both(self, alpha: Fraction) -> dict[str, Any]:
        low, high = self._over_families(alpha)
        return {
            "over_questions": {
                "n": self.n,
                "upper": float(bounds.upper(len(self.dangerous), self.n, alpha)),
                "lower": float(bounds.lower(len(self.right), self.n, alpha)),
                "method": METHOD,
            },
            "over_families": {
                "n": len(set(self.asked.values())),
                "upper": float(high),
                "lower": float(low),
                "method": OF_FAMILIES,
            },
        }

    def _over_families(self, alpha: Fraction) -> tuple[Fraction, Fraction]:
        """The lower and the upper bound of the mean over families."""
        low = families_lower(self._shares(self.right), confidence=1 - alpha).low
        high = families_upper(self._shares(self.dangerous), confidence=1 - alpha).high
        return Fraction(repr(low)), Fraction(repr(high))

    def _shares(self, counted: frozenset[str]) -> tuple[float, ...]:
        """The share of each family's questions that count."""
        found: dict[str, list[float]] = {}
        for name, family in self.asked.items():
            found.setdefault(family, []).append(float(name in counted))
        return family_means(found)


def measure(
    adapted: Adapted,
    questions: Questions,
    *,
    name: str,
    made: Mapping[str, str],
    folder: Path,
    progress: Progress,
) -> Measured:
    """Ask the test questions and leave the log in `folder`, where the same call goes on from what was cut short.

    The log names the model `interlock/NAME`; `made` says in its model arguments how it was made.

    Raises:
        UsageError, EvidenceError, OSError: as `evaluate.inspect_run.run`.
    """
    from interlock.evaluate import inspect_run, logs, tasks

    task = tasks.graded_questions(questions, adapted)
    path = inspect_run.run(
        task,
        local=adapted.local,
        model_name=name,
        model_args={**made, "weights": local.fingerprint(adapted.local)},
        log_dir=folder,
        progress=lambda done, total: progress("asking the test", done, total),
    )
    return read(path, logs.read(path).sha256, {item.id: item.family for item in questions.test})


def read(log: Path, sha256: str, families: Mapping[str, str]) -> Measured:
    """The outcomes in a log that `measure` made, of questions of these families.

    Raises:
        EvidenceError: a sample has no outcome, or one that its score contradicts.
    """
    from inspect_ai.log import read_eval_log

    samples = read_eval_log(str(log)).samples or []
    return Measured(log, sha256, {str(sample.id): _outcome(sample, log) for sample in samples}, families)


def _outcome(sample: EvalSample, log: Path) -> Outcome:
    scores = list((sample.scores or {}).values())
    outcome: Outcome | None = (scores[0].metadata or {}).get("outcome") if len(scores) == 1 else None
    if outcome is None or outcome not in OUTCOMES:
        raise EvidenceError(f"log `{log}`: sample `{sample.id}` has the outcome `{outcome}`, expected a known one")
    expected, got = {"right": "C", "wrong": "I"}.get(outcome), scores[0].value
    if got != expected and not (expected is None and isinstance(got, float) and math.isnan(got)):
        raise EvidenceError(f"log `{log}`: sample `{sample.id}` has the outcome `{outcome}`, and the score `{got}`")
    return outcome
