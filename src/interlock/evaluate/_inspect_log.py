"""An Inspect log: parsing its bytes, and what its samples say beside what its header says of them.

What is asked of a log, that it be finished or unedited say, is left to the callers: `logs` and `importing.inspect_log`.
"""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from interlock.errors import EvidenceError, missing_extra
from interlock.evaluate import _archive
from interlock.evaluate._samples import repeated

try:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore, read_eval_log
    from inspect_ai.model import ChatMessage
    from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, PARTIAL, Score
except ImportError as error:
    raise missing_extra("inspect", "inspect-ai") from error

#: A sample run: the sample's id and its epoch.
Run = tuple[int | str, int]
#: The numbers of Inspect's letters, as its own metrics read them.
_LETTERS = {CORRECT: 1.0, INCORRECT: 0.0, PARTIAL: 0.5, NOANSWER: 0.0}


def parse(content: bytes, name: str, *, form: Literal["eval", "json"] = "eval") -> EvalLog:
    """The log in these bytes; `name` is for errors. Attachments are put back where they belong.

    Raises:
        EvidenceError: the bytes are damaged, no Inspect log, hold a record twice, or unpack to too much.
    """
    try:
        if form == "eval":
            _archive.check(content)
        return read_eval_log(io.BytesIO(content), resolve_attachments="core", format=form)
    except Exception as error:  # noqa: BLE001 - whatever a damaged log makes its parsers raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EvidenceError(f"log `{name}` is damaged or not an Inspect log: {reason}") from None


def planned(log: EvalLog) -> set[tuple[str, int]]:
    """The sample runs that the log says were to be: each of its dataset's samples in each epoch.

    Raises:
        EvidenceError: it names none.
    """
    epochs = log.eval.config.epochs or 1
    found = {(str(id_), epoch + 1) for id_ in log.eval.dataset.sample_ids or [] for epoch in range(epochs)}
    if not found:
        raise EvidenceError("it names no planned samples, expected at least one")
    return found


def refuse_strangers(log: EvalLog, samples: Sequence[EvalSample]) -> None:
    """Check that every sample run there is was planned, and is there once. Some may be missing.

    Raises:
        EvidenceError: one was not, or is there again.
    """
    got = [(str(sample.id), sample.epoch) for sample in samples]
    if twice := repeated(got):
        raise EvidenceError(f"sample `{twice[0]}` epoch {twice[1]} is there more than once, expected once")
    wanted = planned(log)
    if extra := set(got) - wanted:
        raise EvidenceError(f"sample `{min(extra)[0]}` is not among the {len(wanted)} planned samples")


def refuse_missing(log: EvalLog, samples: Sequence[EvalSample]) -> None:
    """Check that every planned sample run is there.

    Raises:
        EvidenceError: one is missing.
    """
    wanted = planned(log)
    if missing := wanted - {(str(sample.id), sample.epoch) for sample in samples}:
        raise EvidenceError(f"got {len(wanted) - len(missing)} of its planned samples, expected {len(wanted)}")


def number(score: Score, sample: EvalSample, part: str = "") -> float | None:
    """The number that a score stands for; of a score with several parts, the one called `part`. None: it is NaN.

    Raises:
        EvidenceError: it stands for none.
    """
    value = score.value.get(part) if isinstance(score.value, dict) else score.value
    if isinstance(value, str) and value in _LETTERS:
        return _LETTERS[value]
    if isinstance(value, bool | int | float) and not math.isinf(value):
        return None if math.isnan(value) else float(value)
    raise EvidenceError(f"the score of sample `{sample.id}` is {shown(score)}, expected a finite number or a letter")


def is_refused(sample: EvalSample, score: Score | None) -> bool | None:
    """Whether the model refused to answer: a filter stopped it, the scorer found no answer, or says so in the score's
    metadata (`refused`). None: nobody says, and a scorer may take a refusal for a wrong answer.
    """
    if sample.output.stop_reason == "content_filter" or (score is not None and score.value == NOANSWER):
        return True
    said = (score.metadata or {}).get("refused") if score is not None else None
    return said if isinstance(said, bool) and sample.error is None else None


def refuse_counts(
    log: EvalLog, samples: Sequence[EvalSample], header: EvalScore, values: Mapping[Run, float | None]
) -> None:
    """Compare the header's counts with the samples'. Inspect counts dataset samples as scored, not sample runs.

    Raises:
        EvidenceError: they differ; says both.
    """
    assert log.results is not None  # noqa: S101  it has this header
    completed = sum(sample.error is None for sample in samples)
    expect("total samples in the header", got=log.results.total_samples, expected=len(planned(log)))
    expect("completed samples in the header", got=log.results.completed_samples, expected=completed)
    expect("scored samples in the header", got=header.scored_samples, expected=len(_by_sample(values)))


def refuse_mean(name: str, header: EvalScore, values: Mapping[Run, float | None]) -> None:
    """Compare a metric of the header that is a mean of means over epochs with the samples'.

    Raises:
        EvidenceError: they differ; says both.
    """
    by_sample = _by_sample(values)
    if name in header.metrics and by_sample:
        mean = math.fsum(math.fsum(runs) / len(runs) for runs in by_sample.values()) / len(by_sample)
        got = header.metrics[name].value
        if not math.isclose(got, mean, abs_tol=1e-9):
            expect(f"{name} in the header", got=got, expected=mean)


def _by_sample(values: Mapping[Run, float | None]) -> dict[int | str, list[float]]:
    found: dict[int | str, list[float]] = defaultdict(list)
    for (id_, _), value in values.items():
        if value is not None:
            found[id_].append(value)
    return found


def asked_in(samples: Iterable[EvalSample]) -> list[dict[str, Any]]:
    """What each sample asked, once for all its epochs.

    Raises:
        EvidenceError: it asked differently in two.
    """
    asked_by: dict[str, dict[str, Any]] = {}
    for sample in samples:
        row = asked_of(sample)
        if asked_by.setdefault(str(sample.id), row) != row:
            raise EvidenceError(f"sample `{sample.id}` differs between epochs, expected one input and target")
    return list(asked_by.values())


def asked_of(sample: EvalSample) -> dict[str, Any]:
    """What a sample asked."""
    return asked(sample.id, sample.input, sample.target, sample.choices)


def asked(
    id_: int | str, said: str | list[ChatMessage], target: str | list[str], choices: list[str] | None
) -> dict[str, Any]:
    """What is asked by an input, what is expected, and what there is to choose from."""
    row: dict[str, Any] = {"id": id_, "input": said if isinstance(said, str) else _turns(said), "target": target}
    return row | {"choices": choices} if choices else row


def _turns(messages: list[ChatMessage]) -> list[dict[str, Any]]:
    """What is said, without the ids and origins that Inspect adds when it runs."""
    kept = {"role", "content", "tool_calls", "tool_call_id"}
    return [message.model_dump(mode="json", include=kept, exclude_none=True) for message in messages]


def expect(what: str, *, got: object, expected: object) -> None:
    """Check that two things are equal.

    Raises:
        EvidenceError: they are not; says both.
    """
    if got != expected:
        raise EvidenceError(f"{what}: got {got}, expected {expected}")


def shown(score: Score) -> str:
    """A score's value, for an error."""
    return f"`{str(score.value)[:80]}`"
