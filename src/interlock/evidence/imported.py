"""The result that somebody else's log gave: a `result` statement without a plan.

Its numbers count in the bounds and can only speak against a permit. That is decided here, by the reader, and not by
what the statement says: it has no plan, its elicitation is `unknown`, which satisfies no demand, and what its
elicitation spent is more than any repetition can show to have spent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from interlock.decide.facts import Protocol
from interlock.errors import EvidenceError
from interlock.evidence.predicates import UNKNOWN, Fields, check_refused, or_unknown, strings

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("inspect", "lm-evaluation-harness")
#: FLOP beyond what any statement can name: no repetition is known to have tried as hard.
UNKNOWN_FLOP = 10**40

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
#: As much as a sum of a million 64-bit floats can take, no more: its decimal has fewer than 1,800 digits, and so has
#: each number that is made of it, which can therefore be told.
_FRACTION = re.compile(r"(-?[0-9]{1,650})/([0-9]{1,330})")


@dataclass(frozen=True, slots=True)
class Counts:
    """What the samples of a log count to. `total`, the sum of all scores, is given where some are neither 0 nor 1.

    Of the scores, `refused_scores` are of samples that were refused; of all samples, at most `refused_at_most` were.
    None for `errored` or `limited`: the log does not say.
    """

    planned: int
    completed: int
    scored: int
    correct: int
    total: Fraction | None
    refused_scores: int
    refused_at_most: int
    errored: int | None
    limited: int | None


@dataclass(frozen=True, slots=True)
class ImportedPredicate:
    """What a log says, in the words of `evaluate.importing.found`. `edit_of` is the statement of the log before it."""

    kind: str
    run: str
    status: str
    edit_of: str | None
    updates: int | None
    edited: int | None
    task: str
    version: str
    metric: str
    scorer: str
    samples: str
    files: tuple[tuple[str, str], ...]
    outcomes: str
    counts: Counts
    model: str
    model_args: Mapping[str, str]
    adapter: str
    template: str
    environment: Mapping[str, str]

    @property
    def log_name(self) -> str:
        """The file that names the run."""
        return self.files[0][0]

    @property
    def protocol(self) -> Protocol:
        """What was run, as far as a rule may believe it. Version 0 is no policy's."""
        return Protocol(
            task=self.task,
            task_version=int(self.version) if _VERSION.fullmatch(self.version) else 0,
            metric=self.metric,
            samples=self.counts.planned,
            samples_digest=self.samples,
            elicitation=UNKNOWN,
            shots=0,
            demonstrations=0,
            seed=0,
        )

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON."""
        counts = self.counts
        return {
            "imported": {
                "kind": self.kind,
                "run": self.run,
                "status": self.status,
                "edit_of": self.edit_of or "none",
                "updates": or_unknown(self.updates),
                "edited_scores": or_unknown(self.edited),
            },
            "task": {"name": self.task, "version": self.version, "metric": self.metric, "scorer": self.scorer},
            "log": {
                "files": [{"name": name, "sha256": digest} for name, digest in self.files],
                "samples_sha256": self.samples,
                "outcomes_sha256": self.outcomes,
            },
            "counts": {
                "planned": counts.planned,
                "completed": counts.completed,
                "scored": counts.scored,
                "correct": counts.correct,
                "refused_scores": counts.refused_scores,
                "refused_at_most": counts.refused_at_most,
                "errored": or_unknown(counts.errored),
                "limited": or_unknown(counts.limited),
            },
            "total": "none" if counts.total is None else f"{counts.total.numerator}/{counts.total.denominator}",
            "model": {
                "name": self.model,
                "args": dict(self.model_args),
                "adapter": self.adapter,
                "template": self.template,
            },
            "environment": dict(self.environment),
        }

    @classmethod
    def from_json(cls, value: object, where: str) -> ImportedPredicate:
        """Read strictly.

        Raises:
            EvidenceError: anything unexpected, or counts that cannot be.
        """
        fields = Fields(value, where)
        source, task, log = fields.nested("imported"), fields.nested("task"), fields.nested("log")
        model, counts = fields.nested("model"), fields.nested("counts")
        edit_of = source.take("edit_of")
        read = cls(
            kind=source.one_of("kind", KINDS),
            run=source.text("run"),
            status=source.text("status"),
            edit_of=None if edit_of == "none" else Fields({"edit_of": edit_of}, where).digest("edit_of"),
            updates=source.count_or_unknown("updates"),
            edited=source.count_or_unknown("edited_scores"),
            task=task.text("name"),
            version=task.text("version"),
            metric=task.text("metric"),
            scorer=task.text("scorer"),
            samples=log.digest("samples_sha256"),
            files=tuple(_file(item) for item in log.items("files")),
            outcomes=log.digest("outcomes_sha256"),
            counts=_counts(counts, fields.text("total"), where),
            model=model.text("name"),
            model_args=strings(model.take("args"), "args", where),
            adapter=model.text("adapter"),
            template=model.text("template"),
            environment=strings(fields.take("environment"), "environment", where),
        )
        for part in (source, task, log, model, counts, fields):
            part.done()
        if not read.files:
            raise EvidenceError(f"{where}: names no log, expected at least one file")
        return read


def _file(fields: Fields) -> tuple[str, str]:
    item = fields.text("name"), fields.digest("sha256")
    fields.done()
    return item


def _counts(fields: Fields, total: str, where: str) -> Counts:
    read = Counts(
        planned=fields.samples("planned"),
        completed=fields.count("completed"),
        scored=fields.count("scored"),
        correct=fields.count("correct"),
        total=_total(total, where),
        refused_scores=fields.count("refused_scores"),
        refused_at_most=fields.count("refused_at_most"),
        errored=fields.count_or_unknown("errored"),
        limited=fields.count_or_unknown("limited"),
    )
    grows = read.correct <= read.scored <= read.completed <= read.planned
    if not grows or not read.planned or (read.total is not None and read.correct):
        got = f"correct {read.correct}, scored {read.scored}, completed {read.completed}, planned {read.planned}"
        raise EvidenceError(f"{where}: counts must grow from correct to planned, got {got}, total {total[:80]}")
    check_refused(read.refused_scores, read.scored, read.refused_at_most, read.planned, where)
    return read


def _total(text: str, where: str) -> Fraction | None:
    if text == "none":
        return None
    match = _FRACTION.fullmatch(text)
    found = Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else None
    if found is None or f"{found.numerator}/{found.denominator}" != text:
        raise EvidenceError(f"{where}: `total` is `{text[:80]}`, expected `none` or a fraction in lowest terms")
    return found
