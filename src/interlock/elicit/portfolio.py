"""Several elicitors on one subject: what each brings out, the most of them, and whether RL needed teaching first.

An elicitation that finds nothing shows little if another one finds something: what counts is the highest bound. And if
RL after supervised fine-tuning does better than RL alone, RL alone did not bring out what is there (exploration
hacking; Jang et al. 2026, arXiv:2604.28182).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from interlock.elicit import paired, session
from interlock.elicit.chain import Chain
from interlock.elicit.elicitor import Elicitor, Progress, under
from interlock.elicit.items import Questions
from interlock.elicit.measuring import Measured
from interlock.elicit.paired import Paired
from interlock.elicit.session import Done, Terms
from interlock.errors import UsageError
from interlock.evaluate.local import LocalModel

EACH = "the highest of the one-sided bounds, each at alpha: all are under it, or one of them errs (intersection-union)"
COUNTED = "right answers of both; in at_most spurious failures of the first count as right"
TOGETHER = "the highest of the one-sided bounds, each at alpha / elicitors (Bonferroni): all hold together"


@dataclass(frozen=True, slots=True)
class Gap:
    """How much better `after`, which fine-tunes first, does than `alone`, which is its last part by itself.

    `right` compares right answers: a refusal is no gain. In `most`, which the upper bound is of, whatever could have
    been right in `after` counts.
    """

    after: str
    alone: str
    right: Paired
    most: Paired

    def to_json(self, confidence: Fraction) -> dict[str, Any]:
        """Both names, and the difference with its bounds, each one-sided at `confidence`."""
        highest = float(self.most.at_most(1 - confidence))
        told = {"after": self.after, "alone": self.alone, **self.right.to_json(confidence)}
        return told | {"at_most": highest, "counted": COUNTED}


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What each elicitor brought out, by name, in the order of the runs. `idle` says of which nothing was learned, and
    why (`session.Done`).
    """

    measured: dict[str, Measured]
    flop: dict[str, int]
    gaps: tuple[Gap, ...]
    confidence: Fraction
    idle: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """The elicitor with the most right answers, the first of equals."""
        return max(self.measured, key=lambda name: len(self.measured[name].right))

    @property
    def upper(self) -> Fraction:
        """The highest upper bound, each at alpha."""
        return max(one.upper(1 - self.confidence) for one in self.measured.values())

    @property
    def together(self) -> Fraction:
        """The highest upper bound, where all hold together at the confidence."""
        alpha = (1 - self.confidence) / len(self.measured)
        return max(one.upper(alpha) for one in self.measured.values())

    def to_json(self) -> dict[str, Any]:
        """Each score with its bounds, the highest, and the gaps."""
        return {
            "elicitors": {
                name: {
                    **one.to_json(self.confidence),
                    "flop": self.flop[name],
                    **({"nothing_learned": self.idle[name]} if name in self.idle else {}),
                }
                for name, one in self.measured.items()
            },
            "best": self.best,
            "upper": {"value": float(self.upper), "confidence": float(self.confidence), "method": EACH},
            "together": {"value": float(self.together), "confidence": float(self.confidence), "method": TOGETHER},
            "gaps": [gap.to_json(self.confidence) for gap in self.gaps],
        }


def run(
    elicitors: Sequence[Elicitor],
    subject: LocalModel,
    questions: Questions,
    *,
    terms: Terms,
    out: Path,
    progress: Progress,
) -> Portfolio:
    """Run each elicitor in a folder of its own under `out`, each within the cap. What trains supervised goes first.

    Raises:
        UsageError: one elicitor is named twice; and as `session.run`.
        OutOfBudgetError, EvidenceError: as `session.run`.
    """
    names = [it.name for it in elicitors]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not names:
        raise UsageError(f"`{twice}` is named twice" if twice else "expected an elicitor or more, got none")
    done: dict[str, Done] = {}
    for elicitor in sorted(elicitors, key=lambda it: it.kind == "rl-fine-tuned"):
        folder = out / elicitor.name
        done[elicitor.name] = session.run(
            elicitor, subject, questions, terms=terms, out=folder, progress=under(elicitor.name, progress)
        )
    measured = {name: one.measured for name, one in done.items()}
    flop = {name: one.elicited.flop for name, one in done.items()}
    idle = {name: one.idle for name, one in done.items() if one.idle}
    return Portfolio(measured, flop, tuple(_gaps(elicitors, measured)), terms.confidence, idle)


def _gaps(elicitors: Sequence[Elicitor], measured: dict[str, Measured]) -> list[Gap]:
    """For each chain whose last part was also run alone."""
    found = []
    for it in elicitors:
        if isinstance(it, Chain) and it.second.name in measured:
            alone, after = measured[it.second.name], measured[it.name]
            right, most = (paired.compare(alone.right, of, asked=alone.asked) for of in (after.right, after.dangerous))
            found.append(Gap(it.name, it.second.name, right, most))
    return found
