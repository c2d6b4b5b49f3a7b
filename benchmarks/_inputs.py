"""The inputs of part (i): one sound, one bad, and the defective ones, none of which may permit.

Each is written twice: as the JSON document that Cedar and Rego are given, and as the ledger that Interlock is given.
Where a score is of the wrong type, under the wrong name or told twice, it is a high one: a permit is never right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from _ledger import (
    EFFECTIVE,
    MODEL,
    NONE_BESIDE,
    NOW,
    OTHER_FILES,
    OTHER_MODEL,
    PLANNED,
    REPORTED,
    SAMPLES,
    Draft,
    Told,
    subject_predicate,
)

from interlock.decide.bounds import upper
from interlock.decide.facts import Facts, Withdrawal

if TYPE_CHECKING:
    from collections.abc import Callable

LATER = NOW + timedelta(days=30)
LONG_AGO = datetime(2026, 1, 10, tzinfo=UTC)  # more than 90 days before NOW


def bound(correct: int, samples: int = SAMPLES) -> int:
    """The upper bound at 95 % in parts of 10,000, as whoever calls Cedar or Rego would have worked it out."""
    return int(upper(correct, samples, Fraction(1, 20)) * 10_000)


def seconds(moment: datetime) -> int:
    """POSIX seconds."""
    return int(moment.timestamp())


class Document:
    """What Cedar and Rego are given; sound to begin with."""

    def __init__(self, correct: int = 60) -> None:
        self.value: Any = {
            "now": seconds(NOW),
            "model": MODEL,
            "evaluation": {
                "subject": MODEL,
                "task": "lab/cyber",
                "version": 1,
                "metric": "accuracy",
                "unit": "sample",
                "elicitation": "fine-tuned",
                "demonstrations": 16,
                "samples": SAMPLES,
                "scored": SAMPLES,
                "correct": correct,
                "upper": bound(correct),
                "signers": ["evaluator"],
                "plan_signers": ["evaluator"],
                "planned_at": seconds(PLANNED),
                "withdrawn": False,
            },
            "audit": {
                "name": "security-3",
                "about": "developer",
                "signers": ["auditor"],
                "at": seconds(REPORTED),
                "withdrawn": False,
            },
            "overdue_plans": 0,
        }
        self._spelling: list[tuple[str, str]] = []

    def put(self, path: str, value: object) -> Document:
        """Set a member, by its path with dots."""
        inner, last = self._inside(path)
        inner[last] = value
        return self

    def drop(self, path: str) -> Document:
        """Remove a member."""
        inner, last = self._inside(path)
        del inner[last]
        return self

    def rename(self, path: str, other: str) -> Document:
        """Give a member another name."""
        inner, last = self._inside(path)
        inner[other] = inner.pop(last)
        return self

    def spelled(self, old: str, new: str) -> Document:
        """Change the JSON text."""
        self._spelling.append((old, new))
        return self

    def empty(self) -> Document:
        """Leave nothing."""
        self.value = {}
        return self

    @property
    def text(self) -> str:
        """The document as JSON, or as what should have been."""
        text = json.dumps(self.value, separators=(",", ":"))
        for old, new in self._spelling:
            if old not in text:
                raise ValueError(f"`{old}` does not stand in the document")
            text = text.replace(old, new)
        return text

    def _inside(self, path: str) -> tuple[dict[str, Any], str]:
        *way, last = path.split(".")
        inner = self.value
        for step in way:
            inner = inner[step]
        return inner, last


@dataclass(frozen=True, slots=True)
class Input:
    """One input. `group` is its kind of defect; `document` and `draft` make it for the others and for Interlock."""

    title: str
    group: str
    document: Callable[[], Document]
    draft: Callable[[], Draft]


HIGH = 180  # correct answers of 200: an upper bound of about 0.93
CUT = 40  # characters that a truncated text has left

SOUND = Input("sound and complete", "control", Document, Draft)
BAD = Input("complete, with a high score", "control", lambda: Document(HIGH), lambda: Draft(HIGH))


def _score(title: str, group: str, told: object, count: object) -> Input:
    """A defect of the score itself: what the document says, and what the ledger says."""
    return Input(
        title,
        group,
        lambda: Document(HIGH).put("evaluation.upper", told),
        lambda: Draft(HIGH).put("result", "counts.correct", count),
    )


def _spelled(title: str, group: str, document: str, ledger: str) -> Input:
    """A defect of the text that stands where the score does: `%` is the score's name in quotes and a colon."""
    return Input(
        title,
        group,
        lambda: Document(HIGH).spelled(f'"upper":{bound(HIGH)}', document.replace("%", '"upper":')),
        lambda: Draft(HIGH).spelled("result", f'"correct":{HIGH}', ledger.replace("%", '"correct":')),
    )


def _withdrawn(name: str) -> Callable[[Facts], Facts]:
    """A signer takes its word back."""

    def change(facts: Facts) -> Facts:
        if name == "result":
            of, signers = facts.results[0].digest, facts.results[0].signers
        else:
            audit = next(a for a in facts.attestations if a.name == "security-3")
            marked = replace(audit, digest="aa" * 32)
            rest = tuple(a for a in facts.attestations if a is not audit)
            facts, of, signers = replace(facts, attestations=(*rest, marked)), marked.digest, marked.signers
        return replace(facts, withdrawals=(Withdrawal(99, "bb" * 32, of, signers, REPORTED),))

    return change


def _in_families(facts: Facts) -> Facts:
    """The same run, counted in families of samples."""
    plan = replace(facts.plans[0], protocol=replace(facts.plans[0].protocol, unit="family"))
    return replace(facts, plans=(plan,), results=(replace(facts.results[0], protocol=plan.protocol, plan=plan),))


def _of_other_model() -> Draft:
    draft, other = Draft(), subject_predicate("other", OTHER_FILES)
    draft.add("other", Told("subject", OTHER_MODEL, other, ("gatekeeper",), EFFECTIVE))
    draft.told["plan"].about = draft.told["result"].about = OTHER_MODEL
    return draft


def _withheld() -> Draft:
    """A second plan, due before now, that nobody reported on."""
    draft = Draft()
    second = draft.copy_of("plan")
    second.predicate["protocol"]["elicitation"]["seed"] = 7
    return draft.add("second", second)


def _unplanned() -> Draft:
    return Draft().without("plan")


def _signed_by(role: str) -> Callable[[], Draft]:
    return lambda: Draft().signed("result", role)


ABSENT, TYPES, NUMBERS, TEXT = "absent", "wrong type", "not a number that counts", "malformed text"
AGE, WHO, WHAT, COUNTS = "age", "who signed", "what was measured", "counts"

DEFECTIVE = (
    # -- absent --------------------------------------------------------------------------------------------------------
    Input("nothing at all", ABSENT, lambda: Document().empty(), lambda: Draft().without(*Draft().told)),
    Input("no evaluation", ABSENT, lambda: Document().drop("evaluation"), lambda: Draft().without("plan", "result")),
    Input("no audit", ABSENT, lambda: Document().drop("audit"), lambda: Draft().without("audit")),
    Input(
        "no score",
        ABSENT,
        lambda: Document(HIGH).drop("evaluation.upper"),
        lambda: Draft(HIGH).drop("result", "counts.correct"),
    ),
    Input(
        "the score under a wrong-case key",
        ABSENT,
        lambda: Document(HIGH).rename("evaluation.upper", "Upper"),
        lambda: Draft(HIGH).rename("result", "counts.correct", "Correct"),
    ),
    Input(
        "no number of samples",
        ABSENT,
        lambda: Document().drop("evaluation.samples"),
        lambda: Draft().drop("result", "counts.planned"),
    ),
    Input(
        "does not say how it was elicited",
        ABSENT,
        lambda: Document().drop("evaluation.elicitation"),
        lambda: Draft().drop("result", "protocol.elicitation"),
    ),
    Input(
        "does not say of which model",
        ABSENT,
        lambda: Document().drop("evaluation.subject"),
        lambda: Draft().spelled("result", f'[{{"digest":{{"sha256":"{MODEL}"}},"name":"model"}}]', "[]"),
    ),
    Input("an audit without a date", ABSENT, lambda: Document().drop("audit.at"), lambda: Draft().drop("audit", "at")),
    Input(
        "planned and not run",
        ABSENT,
        lambda: Document().drop("evaluation").put("overdue_plans", 1),
        lambda: Draft().without("result"),
    ),
    # -- types ---------------------------------------------------------------------------------------------------------
    _score("the score is null", TYPES, None, None),
    _score("the score is text", TYPES, str(bound(HIGH)), str(HIGH)),
    _score("the score is a list", TYPES, [bound(HIGH)], [HIGH]),
    _score("the score is an object", TYPES, {"value": bound(HIGH)}, {"value": HIGH}),
    _score("the score is true", TYPES, told=True, count=True),
    Input(
        "the evaluation is null",
        TYPES,
        lambda: Document().put("evaluation", None),
        lambda: Draft().put("result", "", None),
    ),
    Input(
        "a list of evaluations",
        TYPES,
        lambda: Document().put("evaluation", [Document().value["evaluation"]]),
        lambda: Draft().put("result", "", [{}]),
    ),
    Input(
        "the date of the audit is null",
        TYPES,
        lambda: Document().put("audit.at", None),
        lambda: Draft().put("audit", "at", None),
    ),
    Input(
        "the date of the audit in words",
        TYPES,
        lambda: Document().put("audit.at", "last May"),
        lambda: Draft().put("audit", "at", "last May"),
    ),
    # -- numbers -------------------------------------------------------------------------------------------------------
    _spelled("the score is NaN", NUMBERS, "%NaN", "%NaN"),
    _spelled("the score is Infinity", NUMBERS, "%Infinity", "%Infinity"),
    _spelled("the score is -Infinity", NUMBERS, "%-Infinity", "%-Infinity"),
    _spelled("the score is -1e999", NUMBERS, "%-1e999", "%-1e999"),
    _score("the score is negative", NUMBERS, -bound(HIGH), -HIGH),
    _score("the score is beyond 64 bits", NUMBERS, 2**70, 2**70),
    # -- text ----------------------------------------------------------------------------------------------------------
    _spelled("the score twice, the low one last", TEXT, f"%{bound(HIGH)},%{bound(60)}", f"%{HIGH},%60"),
    _spelled("the score twice, the low one first", TEXT, f"%{bound(60)},%{bound(HIGH)}", f"%60,%{HIGH}"),
    Input(
        "a member that nobody reads says `void`",
        TEXT,
        lambda: Document().put("evaluation.void", value=True),
        lambda: Draft().put("result", "void", value=True),
    ),
    Input(
        "cut off in the middle",
        TEXT,
        lambda: Document().spelled(Document().text[CUT:], ""),
        lambda: Draft().spelled("result", '"predicateType"', ""),
    ),
    # -- age -----------------------------------------------------------------------------------------------------------
    Input(
        "a stale evaluation",
        AGE,
        lambda: Document().put("evaluation.planned_at", seconds(LONG_AGO)),
        lambda: (
            Draft()
            .put("plan", "report_by", "2026-01-20T00:00:00Z")
            .timed(plan=LONG_AGO, result=LONG_AGO + timedelta(days=1))
        ),
    ),
    Input(
        "an evaluation from the future",
        AGE,
        lambda: Document().put("evaluation.planned_at", seconds(LATER)),
        lambda: Draft().timed(plan=LATER, result=LATER + timedelta(days=1)),
    ),
    Input(
        "a stale audit",
        AGE,
        lambda: Document().put("audit.at", seconds(LONG_AGO)),
        lambda: Draft().put("audit", "at", "2026-01-10T00:00:00Z"),
    ),
    Input(
        "an audit from the future",
        AGE,
        lambda: Document().put("audit.at", seconds(LATER)),
        lambda: Draft().put("audit", "at", "2026-07-01T00:00:00Z"),
    ),
    # -- who -----------------------------------------------------------------------------------------------------------
    Input(
        "an unsigned evaluation",
        WHO,
        lambda: Document().put("evaluation.signers", []),
        lambda: Draft().signed("result"),
    ),
    Input(
        "signed by nobody known",
        WHO,
        lambda: Document().put("evaluation.signers", ["stranger"]),
        _signed_by("stranger"),
    ),
    Input(
        "signed by the wrong role",
        WHO,
        lambda: Document().put("evaluation.signers", ["gatekeeper"]),
        _signed_by("gatekeeper"),
    ),
    Input(
        "an audit signed by the evaluator",
        WHO,
        lambda: Document().put("audit.signers", ["evaluator"]),
        lambda: Draft().signed("audit", "evaluator"),
    ),
    Input("never planned", WHO, lambda: Document().put("evaluation.plan_signers", []), _unplanned),
    Input(
        "planned by another role",
        WHO,
        lambda: Document().put("evaluation.plan_signers", ["gatekeeper"]),
        lambda: Draft().signed("plan", "gatekeeper").signed("result", "evaluator", "gatekeeper"),
    ),
    Input(
        "a withdrawn evaluation",
        WHO,
        lambda: Document().put("evaluation.withdrawn", value=True),
        lambda: Draft().then(_withdrawn("result")),
    ),
    Input(
        "a withdrawn audit",
        WHO,
        lambda: Document().put("audit.withdrawn", value=True),
        lambda: Draft().then(_withdrawn("audit")),
    ),
    Input("a plan withheld", WHO, lambda: Document().put("overdue_plans", 1), _withheld),
    # -- what ----------------------------------------------------------------------------------------------------------
    Input(
        "an evaluation of another model",
        WHAT,
        lambda: Document().put("evaluation.subject", OTHER_MODEL),
        _of_other_model,
    ),
    Input(
        "another task",
        WHAT,
        lambda: Document().put("evaluation.task", "lab/trivia"),
        lambda: Draft().protocol("task", "lab/trivia"),
    ),
    Input(
        "another version of the task",
        WHAT,
        lambda: Document().put("evaluation.version", 2),
        lambda: Draft().protocol("task_version", 2),
    ),
    Input(
        "another metric",
        WHAT,
        lambda: Document().put("evaluation.metric", "f1"),
        lambda: Draft().protocol("metric", "f1"),
    ),
    Input(
        "another unit",
        WHAT,
        lambda: Document().put("evaluation.unit", "family"),
        lambda: Draft().then(_in_families),
    ),
    Input(
        "few-shot",
        WHAT,
        lambda: Document().put("evaluation.elicitation", "few-shot"),
        lambda: Draft().protocol("elicitation.kind", "few-shot").protocol("elicitation.shots", 16),
    ),
    Input(
        "few-shot, called fine-tuned",
        WHAT,
        lambda: Document().put("evaluation.demonstrations", 0),
        lambda: Draft().protocol("elicitation.demonstrations", 0).protocol("elicitation.shots", 16),
    ),
    Input(
        "an audit of something else",
        WHAT,
        lambda: Document().put("audit.name", "security-1"),
        lambda: Draft().put("audit", "name", "security-1"),
    ),
    # -- counts --------------------------------------------------------------------------------------------------------
    Input(
        "thin coverage",
        COUNTS,
        lambda: Document().put("evaluation.scored", 150),
        lambda: Draft().put("result", "counts.scored", 150),
    ),
    Input(
        "more correct than scored",
        COUNTS,
        lambda: Document().put("evaluation.correct", 210),
        lambda: Draft().put("result", "counts.correct", 210),
    ),
    Input(
        "no samples",
        COUNTS,
        lambda: (
            Document()
            .put("evaluation.samples", 0)
            .put("evaluation.scored", 0)
            .put("evaluation.correct", 0)
            .put("evaluation.upper", 0)
        ),
        lambda: (
            Draft()
            .protocol("samples", 0)
            .put("result", "counts", {**dict.fromkeys(("planned", "completed", "scored", "correct"), 0), **NONE_BESIDE})
        ),
    ),
    Input(
        "counts that do not bear out the bound",
        COUNTS,
        lambda: Document(95).put("evaluation.upper", 4900),
        lambda: Draft(95),
    ),
)
