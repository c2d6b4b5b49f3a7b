"""Facts of an Inspect log, recomputed from its samples.

Inspect's logs can be edited by design, and their headers can be rewritten apart from their samples. `read` guarantees
that its numbers come from the samples and agree with the header, that every planned sample is there exactly once, and
that no score shows an edit; it binds them to the file's bytes. A log whose scores were replaced without a trace looks
like any other: that is what recording `sha256` at once is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.errors import EvidenceError, UsageError, missing_extra
from interlock.evaluate import _inspect_log as inspect_log
from interlock.evaluate import _samples
from interlock.evidence import canonical

try:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What one log shows. Counts are of sample runs: dataset samples times epochs.

    `completed` ran without error, `errored` did not; `scored` of the completed have a score, `correct` of those are
    right; `limited` were cut by a limit. `refused_scores` of the scored are marked as refused by the model; at
    most `refused_at_most` of all were refused: of the others, the scorer says that they were not.
    `task_version` is a number or a word. `samples_digest` is the SHA-256 of what was asked: the RFC 8785 JSON of one
    list sorted by sample. `outcomes_digest` is the Merkle root (RFC 6962, section 2.1) of what was asked, answered and
    scored: one leaf for each sample run, its RFC 8785 JSON, sorted by sample and epoch. Digests are in hex.
    """

    sha256: str
    task: str
    task_version: int | str
    task_args: Mapping[str, Any]
    model: str
    model_args: Mapping[str, Any]
    status: str
    planned: int
    completed: int
    scored: int
    correct: int
    refused_scores: int
    refused_at_most: int
    errored: int
    limited: int
    samples_digest: str
    outcomes_digest: str
    packages: Mapping[str, str]
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said in one sample run, and whether that was scored as right; None: it has no score."""

    text: str
    correct: bool | None


def read(path: Path) -> LogFacts:
    """Read an `.eval` log that ended well and was scored right or wrong by one scorer.

    Raises:
        UsageError: there is no file at `path`.
        EvidenceError: the log is damaged, unfinished, edited, incomplete, or contradicts itself.
    """
    return read_answers(path)[0]


def read_answers(path: Path) -> tuple[LogFacts, dict[tuple[str, int], Answer]]:
    """As `read`, with the answer of every sample run, by the sample's id and the epoch.

    Raises:
        UsageError, EvidenceError: as for `read`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read log `{path}`: {error.strerror}") from None
    log = inspect_log.parse(content, str(path))
    try:
        facts = _facts(log, hashlib.sha256(content).hexdigest())
    except EvidenceError as error:
        raise EvidenceError(f"log `{path}`: {error}") from None
    return facts, {(str(sample.id), sample.epoch): _answer(sample) for sample in log.samples or []}


def samples_digest(task: Task) -> tuple[str, int]:
    """The digest of the samples that a task will ask, as `LogFacts.samples_digest`, and how many runs that makes.

    Raises:
        UsageError: a sample has no id, or two share one.
    """
    rows = []
    for sample in task.dataset:
        if sample.id is None:
            raise UsageError(f"task `{task.name}` has a sample without an id, expected an explicit id on every sample")
        rows.append(inspect_log.asked(sample.id, sample.input, sample.target, sample.choices))
    if repeated := _samples.repeated(str(row["id"]) for row in rows):
        raise UsageError(f"task `{task.name}` has more than one sample `{repeated}`, expected unique ids")
    return _samples.digest(rows), len(rows) * (task.epochs or 1)


def same_samples(planned: tuple[str, int], facts: LogFacts) -> None:
    """Check that a log asked the samples that were planned (`samples_digest` of the task).

    Inspect reuses a finished log whenever task name, arguments and version agree, even if the samples changed.

    Raises:
        EvidenceError: it asked others, or not as many.
    """
    if (facts.samples_digest, facts.planned) != planned:
        raise EvidenceError(
            f"the log's samples are not the planned ones: got {facts.planned} with digest {facts.samples_digest}, "
            f"expected {planned[1]} with digest {planned[0]}"
        )


def _facts(log: EvalLog, sha256: str) -> LogFacts:
    _refuse_unfinished(log)
    samples = log.samples or []
    inspect_log.refuse_strangers(log, samples)
    inspect_log.refuse_missing(log, samples)
    for sample in samples:
        _refuse_edited(sample)
    values = {(sample.id, sample.epoch): _value(sample) for sample in samples}
    _refuse_contradiction(log, samples, values)
    refused = {(it.id, it.epoch): inspect_log.is_refused(it, _score(it)) for it in samples}
    return LogFacts(
        sha256=sha256,
        task=log.eval.task_registry_name or log.eval.task,
        task_version=log.eval.task_version,
        task_args=log.eval.task_args,
        model=log.eval.model,
        model_args=log.eval.model_args,
        status=log.status,
        planned=len(samples),
        completed=sum(sample.error is None for sample in samples),
        scored=sum(value is not None for value in values.values()),
        correct=sum(value or 0 for value in values.values()),
        refused_scores=sum(values[run] is not None for run, it in refused.items() if it),
        refused_at_most=sum(it is not False for it in refused.values()),
        errored=sum(sample.error is not None for sample in samples),
        limited=sum(sample.limit is not None for sample in samples),
        samples_digest=_samples.digest(inspect_log.asked_in(samples)),
        outcomes_digest=_samples.root([_outcome(sample, values[sample.id, sample.epoch]) for sample in samples]),
        packages=log.eval.packages,
        total_tokens=sum(usage.total_tokens for sample in samples for usage in sample.model_usage.values()),
    )


def _refuse_unfinished(log: EvalLog) -> None:
    inspect_log.expect("status", got=log.status, expected="success")
    if log.invalidated:
        raise EvidenceError("it was invalidated, expected a valid log")
    if log.log_updates:
        raise EvidenceError(f"it was edited after the run: got {len(log.log_updates)} updates, expected none")
    if log.results is None:
        raise EvidenceError("it has no results, expected a scored log")


def _refuse_edited(sample: EvalSample) -> None:
    if sample.invalidation is not None:
        raise EvidenceError(f"sample `{sample.id}` was invalidated, expected a valid sample")
    for score in (sample.scores or {}).values():
        if score.history:
            got = inspect_log.shown(score)
            raise EvidenceError(f"the score of sample `{sample.id}` was edited: got {got}, expected no edits")


def _refuse_contradiction(
    log: EvalLog, samples: list[EvalSample], values: Mapping[inspect_log.Run, int | None]
) -> None:
    scores = log.results.scores if log.results else []
    inspect_log.expect("number of scorers", got=len(scores), expected=1)
    inspect_log.refuse_counts(log, samples, scores[0], values)
    inspect_log.refuse_mean("accuracy", scores[0], values)


def _value(sample: EvalSample) -> int | None:
    """1 for a right answer, 0 for a wrong one, None for a run that has no score."""
    score = _score(sample)
    if sample.error is not None or score is None:
        return None
    value = inspect_log.number(score, sample)
    if value not in {None, 0, 1}:
        raise EvidenceError(f"the score of sample `{sample.id}` is {inspect_log.shown(score)}, expected right or wrong")
    return None if value is None else int(value)


def _score(sample: EvalSample) -> Score | None:
    """Its only score."""
    scores = sample.scores or {}
    if len(scores) > 1:
        inspect_log.expect(f"number of scores of sample `{sample.id}`", got=len(scores), expected=1)
    return next(iter(scores.values()), None)


def _answer(sample: EvalSample) -> Answer:
    value = _value(sample)
    return Answer(_said(sample), None if value is None else bool(value))


def _said(sample: EvalSample) -> str:
    """What the model said; of several attempts, their JSON list."""
    said = [choice.message.text for choice in sample.output.choices]
    return canonical.dumps(said).decode() if len(said) > 1 else sample.output.completion


def _outcome(sample: EvalSample, value: int | None) -> dict[str, Any]:
    row = inspect_log.asked_of(sample)
    return row | {"epoch": sample.epoch, "output": _said(sample), "score": value}
