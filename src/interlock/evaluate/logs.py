"""Facts of an Inspect log, recomputed from its samples.

Inspect's logs can be edited by design, and their headers can be rewritten apart from their samples. `read` guarantees
that its numbers come from the samples and agree with the header, that every planned sample is there exactly once, and
that no score shows an edit; it binds them to the file's bytes. A log whose scores were replaced without a trace looks
like any other: that is what recording `sha256` at once is for.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import rfc8785

from interlock.errors import EvidenceError, UsageError, missing_extra
from interlock.ledger import merkle

try:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog, EvalSample, read_eval_log
    from inspect_ai.model import ChatMessage
    from inspect_ai.scorer import CORRECT, INCORRECT, Score
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error


_Item = TypeVar("_Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What one log shows. Counts are of sample runs: dataset samples times epochs.

    `completed` ran without error; `scored` of these have a score; `correct` of those are right. `task_version` is a
    number or a word. `samples_digest` is the SHA-256 of what was asked: the RFC 8785 JSON of one list sorted by sample.
    `outcomes_digest` is the Merkle root (RFC 6962, section 2.1) of what was asked, answered and scored: one leaf for
    each sample run, its RFC 8785 JSON, sorted by sample and epoch. Digests are in hex.
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
    samples_digest: str
    outcomes_digest: str
    packages: Mapping[str, str]
    total_tokens: int


def read(path: Path) -> LogFacts:
    """Read an `.eval` log that ended well and was scored right or wrong by one scorer.

    Raises:
        UsageError: there is no file at `path`.
        EvidenceError: the log is damaged, unfinished, edited, incomplete, or contradicts itself.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read log `{path}`: {error.strerror}") from None
    log = _parse(content, path)
    try:
        return _facts(log, hashlib.sha256(content).hexdigest())
    except EvidenceError as error:
        raise EvidenceError(f"log `{path}`: {error}") from None


def samples_digest(task: Task) -> tuple[str, int]:
    """The digest of the samples that a task will ask, as `LogFacts.samples_digest`, and how many runs that makes.

    Raises:
        UsageError: a sample has no id, or two share one.
    """
    rows = []
    for sample in task.dataset:
        if sample.id is None:
            raise UsageError(f"task `{task.name}` has a sample without an id, expected an explicit id on every sample")
        rows.append(_asked(sample.id, sample.input, sample.target, sample.choices))
    if repeated := _repeated(str(row["id"]) for row in rows):
        raise UsageError(f"task `{task.name}` has more than one sample `{repeated}`, expected unique ids")
    return _digest(rows), len(rows) * (task.epochs or 1)


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


def _parse(content: bytes, path: Path) -> EvalLog:
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).namelist()
        repeated = _repeated(name for name in members if name.startswith("samples/"))
        log = None if repeated else read_eval_log(io.BytesIO(content), resolve_attachments="core", format="eval")
    except Exception as error:  # noqa: BLE001 - whatever a damaged archive makes its parsers raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EvidenceError(f"log `{path}` is damaged or not an Inspect log: {reason}") from None
    if log is None:  # of two records with one name Inspect would silently take the last
        raise EvidenceError(f"log `{path}` holds more than one record `{repeated}`, expected one")
    return log


def _facts(log: EvalLog, sha256: str) -> LogFacts:
    _refuse_unfinished(log)
    samples = log.samples or []
    planned = _refuse_incomplete(log, samples)
    for sample in samples:
        _refuse_edited(sample)
    values = {(sample.id, sample.epoch): _value(sample) for sample in samples}
    facts = LogFacts(
        sha256=sha256,
        task=log.eval.task_registry_name or log.eval.task,
        task_version=log.eval.task_version,
        task_args=log.eval.task_args,
        model=log.eval.model,
        model_args=log.eval.model_args,
        status=log.status,
        planned=planned,
        completed=sum(sample.error is None for sample in samples),
        scored=sum(value is not None for value in values.values()),
        correct=sum(value or 0 for value in values.values()),
        samples_digest=_digest(_asked_in(samples)),
        outcomes_digest=_root([_outcome(sample, values[sample.id, sample.epoch]) for sample in samples]),
        packages=log.eval.packages,
        total_tokens=sum(usage.total_tokens for sample in samples for usage in sample.model_usage.values()),
    )
    _refuse_contradiction(log, facts, values)
    return facts


def _refuse_unfinished(log: EvalLog) -> None:
    _expect("status", got=log.status, expected="success")
    if log.invalidated:
        raise EvidenceError("it was invalidated, expected a valid log")
    if log.log_updates:
        raise EvidenceError(f"it was edited after the run: got {len(log.log_updates)} updates, expected none")
    if log.results is None:
        raise EvidenceError("it has no results, expected a scored log")


def _refuse_incomplete(log: EvalLog, samples: Sequence[EvalSample]) -> int:
    epochs = log.eval.config.epochs or 1
    planned = {(str(id_), epoch + 1) for id_ in log.eval.dataset.sample_ids or [] for epoch in range(epochs)}
    got = [(str(sample.id), sample.epoch) for sample in samples]
    if repeated := _repeated(got):
        raise EvidenceError(f"sample `{repeated[0]}` epoch {repeated[1]} is there more than once, expected once")
    if not planned:
        raise EvidenceError("it names no planned samples, expected at least one")
    if missing := planned - set(got):
        raise EvidenceError(f"got {len(planned) - len(missing)} of its planned samples, expected {len(planned)}")
    if extra := set(got) - planned:
        raise EvidenceError(f"sample `{min(extra)[0]}` is not among the {len(planned)} planned samples")
    return len(planned)


def _refuse_edited(sample: EvalSample) -> None:
    if sample.invalidation is not None:
        raise EvidenceError(f"sample `{sample.id}` was invalidated, expected a valid sample")
    for score in (sample.scores or {}).values():
        if score.history:
            raise EvidenceError(f"the score of sample `{sample.id}` was edited: got {_shown(score)}, expected no edits")


def _refuse_contradiction(log: EvalLog, facts: LogFacts, values: Mapping[tuple[int | str, int], int | None]) -> None:
    """Compare the header's numbers with the samples'. Inspect counts and averages dataset samples, not sample runs."""
    results = log.results
    if results is None or len(results.scores) != 1:
        _expect("number of scorers", got=len(results.scores) if results else 0, expected=1)
        return
    header = results.scores[0]
    by_sample: dict[int | str, list[int]] = defaultdict(list)
    for (id_, _), value in values.items():
        if value is not None:
            by_sample[id_].append(value)
    _expect("total samples in the header", got=results.total_samples, expected=facts.planned)
    _expect("completed samples in the header", got=results.completed_samples, expected=facts.completed)
    _expect("scored samples in the header", got=header.scored_samples, expected=len(by_sample))
    if "accuracy" in header.metrics and by_sample:
        accuracy = math.fsum(sum(runs) / len(runs) for runs in by_sample.values()) / len(by_sample)
        got = header.metrics["accuracy"].value
        if not math.isclose(got, accuracy, abs_tol=1e-9):
            _expect("accuracy in the header", got=got, expected=accuracy)


def _value(sample: EvalSample) -> int | None:
    """1 for a right answer, 0 for a wrong one, None for a run that has no score."""
    if sample.error is not None or not sample.scores:
        return None
    if len(sample.scores) != 1:
        _expect(f"number of scores of sample `{sample.id}`", got=len(sample.scores), expected=1)
    (score,) = sample.scores.values()
    if isinstance(score.value, float) and math.isnan(score.value):
        return None
    if score.value in (CORRECT, 1):
        return 1
    if score.value in (INCORRECT, 0):
        return 0
    raise EvidenceError(f"the score of sample `{sample.id}` is {_shown(score)}, expected right or wrong")


def _asked_in(samples: Iterable[EvalSample]) -> list[dict[str, Any]]:
    asked: dict[str, dict[str, Any]] = {}
    for sample in samples:
        row = _asked(sample.id, sample.input, sample.target, sample.choices)
        if asked.setdefault(str(sample.id), row) != row:
            raise EvidenceError(f"sample `{sample.id}` differs between epochs, expected one input and target")
    return list(asked.values())


def _asked(
    id_: int | str, asked: str | list[ChatMessage], target: str | list[str], choices: list[str] | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"id": id_, "input": asked if isinstance(asked, str) else _turns(asked), "target": target}
    return row | {"choices": choices} if choices else row


def _turns(messages: list[ChatMessage]) -> list[dict[str, Any]]:
    """What is said, without the ids and origins that Inspect adds when it runs."""
    kept = {"role", "content", "tool_calls", "tool_call_id"}
    return [message.model_dump(mode="json", include=kept, exclude_none=True) for message in messages]


def _outcome(sample: EvalSample, value: int | None) -> dict[str, Any]:
    row = _asked(sample.id, sample.input, sample.target, sample.choices)
    return row | {"epoch": sample.epoch, "output": sample.output.completion, "score": value}


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(_canonical(sorted(rows, key=_order))).hexdigest()


def _root(rows: list[dict[str, Any]]) -> str:
    return merkle.root([merkle.leaf_hash(_canonical(row)) for row in sorted(rows, key=_order)]).hex()


def _order(row: dict[str, Any]) -> tuple[str, int]:
    return str(row["id"]), row.get("epoch", 1)


def _canonical(value: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise EvidenceError(f"its samples have no canonical JSON form: {error}") from None


def _repeated(items: Iterable[_Item]) -> _Item | None:
    return next((item for item, count in Counter(items).items() if count > 1), None)


def _expect(what: str, *, got: object, expected: object) -> None:
    if got != expected:
        raise EvidenceError(f"{what}: got {got}, expected {expected}")


def _shown(score: Score) -> str:
    return f"`{score.value}`"
