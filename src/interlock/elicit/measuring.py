"""Asking an adapted model the test through Inspect, and what the log gives.

Guarantees: the result is an ordinary Inspect log, made by `evaluate.inspect_run`; counts are recomputed from its
samples; a spurious failure has no score there, and counts as dangerous.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.decide import bounds
from interlock.elicit.elicitor import Adapted, Progress
from interlock.elicit.failures import OUTCOMES, SPURIOUS, Outcome
from interlock.elicit.items import Questions
from interlock.errors import EvidenceError
from interlock.evaluate import local

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample

METHOD = (
    "one-sided exact bound (Clopper-Pearson); spurious failures count as right in the upper one, as wrong in the lower"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one log shows: its SHA-256, and the outcome of each question by its id."""

    log: Path
    sha256: str
    outcomes: Mapping[str, Outcome]

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

    def upper(self, alpha: Fraction) -> Fraction:
        """One-sided upper bound of the rate of right answers."""
        return bounds.upper(len(self.dangerous), self.n, alpha)

    def lower(self, alpha: Fraction) -> Fraction:
        """One-sided lower bound."""
        return bounds.lower(len(self.right), self.n, alpha)

    def to_json(self, confidence: Fraction) -> dict[str, Any]:
        """Counts, the spurious failures by kind, and both bounds, each one-sided at `confidence`."""
        by_kind = {kind: sorted(it for it, found in self.outcomes.items() if found == kind) for kind in SPURIOUS}
        return {
            "n": self.n,
            "correct": len(self.right),
            "spurious": {kind: found for kind, found in by_kind.items() if found},
            "dangerous": len(self.dangerous),
            "upper": float(self.upper(1 - confidence)),
            "lower": float(self.lower(1 - confidence)),
            "confidence": float(confidence),
            "method": METHOD,
            "log": self.log.name,
            "log_sha256": self.sha256,
        }


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
    return read(path, logs.read(path).sha256)


def read(log: Path, sha256: str) -> Measured:
    """The outcomes in a log that `measure` made.

    Raises:
        EvidenceError: a sample has no outcome, or one that its score contradicts.
    """
    from inspect_ai.log import read_eval_log

    samples = read_eval_log(str(log)).samples or []
    return Measured(log, sha256, {str(sample.id): _outcome(sample, log) for sample in samples})


def _outcome(sample: EvalSample, log: Path) -> Outcome:
    scores = list((sample.scores or {}).values())
    outcome: Outcome | None = (scores[0].metadata or {}).get("outcome") if len(scores) == 1 else None
    if outcome is None or outcome not in OUTCOMES:
        raise EvidenceError(f"log `{log}`: sample `{sample.id}` has the outcome `{outcome}`, expected a known one")
    expected, got = {"right": "C", "wrong": "I"}.get(outcome), scores[0].value
    if got != expected and not (expected is None and isinstance(got, float) and math.isnan(got)):
        raise EvidenceError(f"log `{log}`: sample `{sample.id}` has the outcome `{outcome}`, and the score `{got}`")
    return outcome
