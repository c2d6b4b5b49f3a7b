"""What an Inspect log says: of any run, finished or not, edited or not, by whomever.

Guarantees: every sample run was planned and is there once; a run that ended well has them all; the header's counts and
metrics are those of the samples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import _inspect_log
from interlock.evaluate._inspect_log import Run
from interlock.evaluate.importing.found import Answer, Found, MeasureOf, adapter, plain
from interlock.evidence.predicates import UNKNOWN

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore
    from inspect_ai.log._log import EvalMetricDefinition
    from inspect_ai.scorer import Score


def read(
    content: bytes, name: str, *, form: Literal["eval", "json"], measure_of: MeasureOf, scorer: str | None
) -> Found | tuple[str, ...]:
    """What the log in these bytes says; or only the names of its task, where no measure is of it.

    `scorer` is the one to count, where several give the measure's metric.

    Raises:
        UsageError: no scorer, or more than one, gives the metric.
        EvidenceError: the log is damaged or contradicts itself; its message says where and with what numbers.
    """
    log = _inspect_log.parse(content, name, form=form)
    names = tuple(dict.fromkeys(it for it in (log.eval.task_registry_name, log.eval.task) if it))
    measure = measure_of(names)
    if measure is None:
        return names
    try:
        return _found(log, (name, hashlib.sha256(content).hexdigest()), names, measure.metric, scorer)
    except (EvidenceError, UsageError) as error:
        raise type(error)(f"log `{name}`: {error}") from None
    except ArithmeticError as error:
        raise EvidenceError(f"log `{name}`: scores too large to add up: {error}") from None


def _found(log: EvalLog, file: tuple[str, str], names: tuple[str, ...], metric: str, scorer: str | None) -> Found:
    samples = log.samples or []
    _inspect_log.refuse_strangers(log, samples)
    _inspect_log.asked_in(samples)  # refuses one that asks otherwise in another epoch
    if log.status == "success":
        _inspect_log.refuse_missing(log, samples)
        if log.results is None:
            raise EvidenceError("it has no results, expected a scored log")
    header = _header(log, metric, scorer) if log.results else None
    by = (header.scorer, header.name) if header else (_only_scorer(samples, scorer), "")
    values: dict[Run, float | None] = {(it.id, it.epoch): _value(it, *by) for it in samples}
    unchecked = _refuse_contradiction(log, samples, header, values, metric) if header else ()
    args = {key: plain(value) for key, value in log.eval.model_args.items()}
    return Found(
        kind="inspect",
        files=(file,),
        run=log.eval.eval_id or UNKNOWN,
        names=names,
        version=plain(log.eval.task_version),
        metric=metric,
        scorer=by[1] or by[0],
        status=log.status,
        planned=len(_inspect_log.planned(log)),
        answers=tuple(_answer(it, values[it.id, it.epoch], *by) for it in samples),
        updates=len(log.log_updates or ()) + bool(log.invalidated),
        edited=sum(_is_edited(it) for it in samples),
        model=log.eval.model or UNKNOWN,
        model_args=args,
        adapter=adapter(args),
        template=args.get("chat_template", UNKNOWN),
        packages=dict(log.eval.packages),
        unchecked=unchecked,
    )


def _header(log: EvalLog, metric: str, scorer: str | None) -> EvalScore:
    """The header's line for the scorer to count."""
    scores = log.results.scores if log.results else []
    found = [it for it in scores if metric in it.metrics and scorer in {None, it.name}]
    if len({it.name for it in found}) != 1:
        has = "; ".join(f"{it.name} with {', '.join(it.metrics)}" for it in scores) or "none"
        raise UsageError(
            f"expected one scorer with the metric `{metric}`; its scorers are: {has}; choose with --scorer"
        )
    return next((it for it in found if it.reducer in {None, "mean"}), found[0])


def _only_scorer(samples: Sequence[EvalSample], scorer: str | None) -> str:
    """The scorer of a run that has no header to tell it."""
    names = {name for sample in samples for name in sample.scores or {}}
    if scorer is None and len(names) > 1:
        raise UsageError(f"expected one scorer, its scorers are: {', '.join(sorted(names))}; choose with --scorer")
    return scorer or next(iter(names), UNKNOWN)


def _value(sample: EvalSample, scorer: str, part: str) -> float | None:
    """The number of a sample run; None where it has none. A score with several parts is told apart by `part`."""
    score = _score(sample, scorer, part)
    return None if score is None else _inspect_log.number(score, sample, part)


def _score(sample: EvalSample, scorer: str, part: str) -> Score | None:
    scores = sample.scores or {}
    return scores.get(part) or scores.get(scorer)


def _answer(sample: EvalSample, value: float | None, scorer: str, part: str) -> Answer:
    return Answer(
        asked=_inspect_log.asked_of(sample),
        epoch=sample.epoch,
        output=sample.output.completion,
        score=value,
        errored=sample.error is not None,
        limited=sample.limit is not None,
        refused=_inspect_log.is_refused(sample, _score(sample, scorer, part)),
    )


def _is_edited(sample: EvalSample) -> bool:
    return sample.invalidation is not None or any(score.history for score in (sample.scores or {}).values())


# -- the header's numbers ---------------------------------------------------------------------------------------------

#: Metrics that Inspect computes from scores alone, with the options that leave it so.
_METRICS = frozenset(f"inspect_ai/{name}" for name in ("accuracy", "mean", "std", "var", "stderr", "ci", "ci_wilson"))
_OPTIONS = frozenset({"cluster", "level"})


def _refuse_contradiction(
    log: EvalLog, samples: list[EvalSample], header: EvalScore, values: Mapping[Run, float | None], metric: str
) -> tuple[str, ...]:
    """Hold the header against the samples; returns the metrics that cannot be."""
    _inspect_log.refuse_counts(log, samples, header, values)
    held = set()
    if header.reducer in {None, "mean"} and metric in {"accuracy", "mean"}:
        _inspect_log.refuse_mean(metric, header, values)
        held.add((header.name, header.reducer or "", metric))
    said, again = _numbers(log), _recomputed(log)
    for key in said.keys() & again.keys():
        if not _same(said[key], again[key]):
            raise EvidenceError(f"{key[2]} of {key[0]} in the header: got {said[key]}, its samples give {again[key]}")
    left = said.keys() - again.keys() - held
    if (header.name, header.reducer or "", metric) in left:
        raise EvidenceError(f"{metric} of {header.name} in the header cannot be recomputed from its samples")
    return tuple(sorted({key[2] for key in left}))


#: A number of the header: scorer, reducer, metric.
_Key = tuple[str, str, str]


def _recomputed(log: EvalLog) -> dict[_Key, float]:
    """The header's numbers, computed by Inspect from the samples, as far as `_METRICS` go.

    Inspect would run the task's file, wherever the log says that it lies, to find other metrics: it is not told.
    """
    from inspect_ai.log import recompute_metrics

    scorers = [it.model_copy(update={"metrics": _computable(it.metrics)}) for it in log.eval.scorers or ()]
    spec = log.eval.model_copy(update={"task_file": None, "metrics": _computable(log.eval.metrics), "scorers": scorers})
    copy = log.model_copy(update={"eval": spec})
    try:
        recompute_metrics(copy)
    except Exception:  # noqa: BLE001 - scores that Inspect itself cannot put together; they stay unchecked
        return {}
    return _numbers(copy)


def _computable(metrics: object) -> list[EvalMetricDefinition]:
    listed = metrics if isinstance(metrics, list) else []
    named = [it for it in listed if getattr(it, "name", None) in _METRICS]
    return [it for it in named if _OPTIONS.issuperset(it.options or ())]


def _numbers(log: EvalLog) -> dict[_Key, float]:
    return {
        (score.name, score.reducer or "", name): float(metric.value)
        for score in (log.results.scores if log.results else [])
        for name, metric in score.metrics.items()
    }


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
