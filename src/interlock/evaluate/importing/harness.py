"""What the results of lm-evaluation-harness say, read with their samples (`--log_samples`).

One run leaves `results_DATE.json` and, for each task, `samples_TASK_DATE.jsonl` beside it. Guarantees: every sample
that was evaluated is there once for each filter; hashes of documents, prompts and targets are recomputed; every metric
that is a mean, and its standard error, is that of the samples. Written for the files of version 0.4.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate._samples import repeated
from interlock.evaluate.importing.found import Answer, Found, MeasureOf, adapter, plain
from interlock.evidence.predicates import UNKNOWN

#: Gives the bytes of the file with this name beside the results.
Beside = Callable[[str], bytes]
_Object = Mapping[str, Any]

_DATED = re.compile(r"(?:.*_)?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.json")
_HASHES = ("doc_hash", "prompt_hash", "target_hash")


def is_results(document: _Object) -> bool:
    """Whether a JSON object looks like the results of this harness."""
    return "results" in document and "versions" in document


def read(
    document: _Object, content: bytes, name: str, *, beside: Beside, measure_of: MeasureOf, scorer: str | None
) -> tuple[list[Found], list[str]]:
    """What is said of each task that a measure is of, and the names of the others. `scorer` is a filter's name.

    Raises:
        UsageError: the samples are not beside the results, or no filter or more than one gives the metric.
        EvidenceError: the files are damaged or contradict each other; says where and with what numbers.
    """
    results = _object(document.get("results"), f"`{name}`: results")
    found, others = [], []
    for task in results:
        measure = measure_of((task,))
        if measure is None:
            others.append(task)
            continue
        samples_name = _samples_name(name, task)
        samples = beside(samples_name)
        files = ((name, _sha256(content)), (samples_name, _sha256(samples)))
        try:
            found.append(_Task(document, task, rows(samples)).found(files, measure.metric, scorer))
        except (EvidenceError, UsageError) as error:
            raise type(error)(f"`{name}` and `{samples_name}`: {error}") from None
        except ArithmeticError as error:
            raise EvidenceError(f"`{name}` and `{samples_name}`: scores too large to add up: {error}") from None
    return found, others


def _samples_name(name: str, task: str) -> str:
    match = _DATED.fullmatch(name)
    if match is None:
        raise UsageError(
            f"`{name}`: expected a name that ends in its date, such as results_2026-11-28T12-40-37.239.json"
        )
    return f"samples_{task}_{match[1]}.jsonl"


def rows(content: bytes) -> list[_Object]:
    """The samples in a file, one JSON object a line.

    Raises:
        EvidenceError: a line is something else.
    """
    lines = [line for line in content.split(b"\n") if line.strip()]
    return [_object(parse(line, f"sample on line {n}"), f"sample on line {n}") for n, line in enumerate(lines, start=1)]


def parse(content: bytes, what: str) -> object:
    """One JSON document in which no object names a member twice. (NaN is a number here, as the harness writes it.)

    Raises:
        EvidenceError: it is something else, or nested too deeply.
    """
    try:
        return json.loads(content, object_pairs_hook=_members)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise EvidenceError(f"{what} is not JSON: {reason}") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (name := repeated(name for name, _ in pairs)) is not None:
        raise ValueError(f"member `{name}` appears twice, expected once")
    return dict(pairs)


def _object(value: object, what: str) -> _Object:
    if not isinstance(value, dict):
        raise EvidenceError(f"{what}: got {type(value).__name__}, expected an object")
    return value


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Task:
    """One task of a results file, with its samples."""

    def __init__(self, document: _Object, task: str, samples: Sequence[_Object]) -> None:
        self.document, self.task, self.samples = document, task, samples
        self.header = _object(document["results"][task], f"results of `{task}`")
        self.config = self._of("configs")

    def _of(self, section: str) -> _Object:
        """The object that a section of the file has for this task; empty where it has none."""
        found = self.document.get(section)
        of_task = found.get(self.task) if isinstance(found, dict) else None
        return of_task if isinstance(of_task, dict) else {}

    def found(self, files: tuple[tuple[str, str], ...], metric: str, scorer: str | None) -> Found:
        """What the file and its samples say."""
        planned = self._planned()
        by_filter = self._by_filter(planned)
        self._refuse_other_hashes()
        unchecked = self._refuse_other_means(by_filter)
        chosen = self._filter(metric, scorer)
        name = metric.partition(",")[0]
        if f"{name},{chosen}" in unchecked:
            raise EvidenceError(f"{name},{chosen} in the header is no mean of its samples, so they cannot give it")
        run = self._config()
        args = _args(run.get("model_args"))
        return Found(
            kind="lm-evaluation-harness",
            files=files,
            run=plain(self.document.get("date", UNKNOWN)),
            names=(self.task,),
            version=plain(_dict(self.document.get("versions")).get(self.task, UNKNOWN)),
            metric=metric,
            scorer=chosen,
            status=UNKNOWN,
            planned=planned,
            answers=tuple(_answer(row, name) for row in by_filter[chosen]),
            updates=None,
            edited=None,
            model=plain(self.document.get("model_name") or UNKNOWN),
            model_args=args,
            adapter=adapter(args),
            template=self._template(),
            packages=self._packages(),
            unchecked=unchecked,
        )

    def _config(self) -> _Object:
        return _dict(self.document.get("config"))

    def _template(self) -> str:
        """The template's SHA-256; `none` where the file says that none was used."""
        if "chat_template" in self.document and self.document["chat_template"] is None:
            return "none"
        return plain(self.document.get("chat_template_sha") or UNKNOWN)

    def _packages(self) -> dict[str, str]:
        known = {
            "lm_eval": self.document.get("lm_eval_version"),
            "transformers": self.document.get("transformers_version"),
            "dtype": self._config().get("model_dtype"),
        }
        return {name: plain(value) for name, value in known.items() if value}

    def _planned(self) -> int:
        """How many samples were to be evaluated: after `--limit`, as the header says."""
        said = self._of("n-samples").get("effective", self.header.get("sample_len"))
        if type(said) is not int or said < 1:
            raise EvidenceError(f"samples of `{self.task}` in the header: got {said}, expected a number above zero")
        return said

    def _by_filter(self, planned: int) -> dict[str, list[_Object]]:
        """The samples of each filter: all that were planned, each once."""
        found: dict[str, list[_Object]] = {}
        for row in self.samples:
            found.setdefault(str(row.get("filter", "none")), []).append(row)
        for name, of_filter in found.items():
            twice = repeated(str(row.get("doc_id")) for row in of_filter)
            if twice is not None:
                raise EvidenceError(f"sample `{twice}` is there more than once for filter `{name}`, expected once")
        for name, of_filter in (found or {"none": []}).items():
            if len(of_filter) != planned:
                raise EvidenceError(
                    f"samples of `{self.task}`, filter `{name}`: got {len(of_filter)}, the header says {planned}"
                )
        return found

    def _refuse_other_hashes(self) -> None:
        """Recompute every hash that the harness writes, and the task's hash over all of them."""
        for row in self.samples:
            for name, expected in _hashes(row).items():
                if name in row and row[name] != expected:
                    raise EvidenceError(f"{name} of sample `{row.get('doc_id')}`: got {row[name]}, expected {expected}")
        said = _dict(self.document.get("task_hashes")).get(self.task)
        if said is not None:
            joined = "".join(str(row.get(name)) for row in self.samples for name in _HASHES)
            expected = _sha256(joined.encode())
            if said != expected:
                raise EvidenceError(f"hash of `{self.task}` in the header: got {said}, its samples give {expected}")

    def _refuse_other_means(self, by_filter: Mapping[str, list[_Object]]) -> tuple[str, ...]:
        """Hold every metric of the header against the samples; returns those that are no means of them."""
        unchecked = []
        for key, value in self.header.items():
            name, comma, of = key.partition(",")
            if not comma or name.endswith("_stderr"):
                continue
            scores = [row.get(name) for row in by_filter.get(of, ())]
            numbers = [_number(score) for score in scores]
            if not scores or None in numbers or self._aggregation(name) != "mean":
                unchecked.append(key)
                continue
            self._refuse_other_mean(key, value, [it for it in numbers if it is not None and not math.isnan(it)])
        return tuple(unchecked)

    def _refuse_other_mean(self, key: str, value: object, scores: list[float]) -> None:
        if not scores:
            return
        mean = math.fsum(scores) / len(scores)
        _refuse_other(key, value, mean)
        name, _, of = key.partition(",")
        said = self.header.get(f"{name}_stderr,{of}")
        if isinstance(said, int | float) and len(scores) > 1:
            spread = math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1)
            _refuse_other(f"{name}_stderr,{of}", said, math.sqrt(spread / len(scores)))

    def _aggregation(self, metric: str) -> str:
        """How the task's own description says that a metric is put together; a mean, where it does not say."""
        listed = self.config.get("metric_list")
        said = [it for it in listed if isinstance(it, dict)] if isinstance(listed, list) else []
        return next((str(it.get("aggregation", "mean")) for it in said if it.get("metric") == metric), "mean")

    def _filter(self, metric: str, scorer: str | None) -> str:
        """The filter whose scores are counted."""
        name, _, asked = metric.partition(",")
        wanted = asked or scorer
        given = [key.partition(",")[2] for key in self.header if key.partition(",")[0] == name]
        found = [it for it in given if wanted in {None, it}]
        if len(found) != 1:
            has = ", ".join(key for key in self.header if "," in key and "_stderr," not in key) or "none"
            raise UsageError(f"expected one filter with the metric `{name}`; it has: {has}; choose with --scorer")
        return found[0]


def _refuse_other(what: str, got: object, expected: float) -> None:
    if not isinstance(got, int | float) or not math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9):
        raise EvidenceError(f"{what} in the header: got {got}, its samples give {expected}")


def _hashes(row: _Object) -> dict[str, str]:
    """What the harness hashes of a sample, as it does: the document, the first prompt, and the target."""
    doc = json.dumps(row.get("doc"), indent=2, ensure_ascii=False)
    texts = {"doc_hash": doc, "target_hash": str(row.get("target"))}
    first = _dict(_dict(row.get("arguments")).get("gen_args_0")).get("arg_0")
    if isinstance(first, str):
        texts["prompt_hash"] = first
    return {name: _sha256(text.encode("utf-8", "surrogatepass")) for name, text in texts.items()}


def _answer(row: _Object, metric: str) -> Answer:
    number = _number(row.get(metric))
    if number is None or math.isinf(number):
        raise EvidenceError(
            f"`{metric}` of sample `{row.get('doc_id')}` is `{row.get(metric)}`, expected a finite number"
        )
    asked = {
        "id": plain(row.get("doc_id")),
        "doc_sha256": _hashes(row)["doc_hash"],
        "arguments": _text(row.get("arguments")),
        "target": _text(row.get("target")),
    }
    return Answer(asked, 1, _text(row.get("filtered_resps")), None if math.isnan(number) else number)


def _text(value: object) -> str:
    """JSON as text: numbers of any size, and NaN, stay what they were. (ASCII: a lone surrogate is escaped.)"""
    return json.dumps(value, sort_keys=True)


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, bool | int | float) else None
    except OverflowError:
        return math.inf


def _dict(value: object) -> _Object:
    return value if isinstance(value, dict) else {}


def _args(value: object) -> dict[str, str]:
    """Model arguments: an object, or in older files `name=value,name=value`."""
    if isinstance(value, str):
        pairs = (part.partition("=") for part in value.split(",") if part)
        return {name: plain(text) for name, _, text in pairs}
    return {str(name): plain(item) for name, item in _dict(value).items()}
