"""What an Inspect log of somebody else's says, and what it is refused for."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import pytest
from inspect_ai.log import EvalError, EvalSampleLimit, ProvenanceData, TagsEdit, edit_eval_log, edit_score
from inspect_ai.log import invalidate_samples as invalidated
from inspect_ai.scorer import Score, ScoreEdit

import foreign
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import logs
from interlock.evaluate.importing import inspect_log
from interlock.evaluate.importing.found import count
from interlock.evidence.imported import Counts
from interlock.evidence.predicates import UNKNOWN
from interlock.policy.model import Measure

BY = ProvenanceData(author="somebody", reason="a better number")
MEASURE = Measure(
    name="codebook",
    kind="capability",
    on="model",
    danger="higher",
    low=Fraction(0),
    high=Fraction(1),
    task="interlock/codebook",
    task_version=3,
    metric="accuracy",
)


def _read(path, *, form="eval", measure=MEASURE, scorer=None):
    return inspect_log.read(
        path.read_bytes(),
        path.name,
        form=form,
        measure_of=lambda names: measure if measure.task in names else None,
        scorer=scorer,
    )


def _counted(path, **how):
    return count(_read(path, **how), how.get("measure", MEASURE))


def test_an_honest_log_says_what_our_own_reader_finds(short_run):
    found, own = _read(short_run), logs.read(short_run)
    assert found.files == ((short_run.name, hashlib.sha256(short_run.read_bytes()).hexdigest()),)
    assert (found.samples, found.version, found.status) == (own.samples_digest, "3", "success")
    assert count(found, MEASURE) == Counts(8, 8, 8, own.correct, None, 0, 8, 0, 0)
    assert (found.adapter, found.template, found.updates, found.edited, found.unchecked) == (UNKNOWN, UNKNOWN, 0, 0, ())


def test_the_same_run_as_json_gives_the_same_digests(short_run, tmp_path):
    json = foreign.inspect(short_run, tmp_path / "log.json")
    log = foreign.inspect(short_run, tmp_path / "log.eval")
    one, other = _read(json, form="json"), _read(log)
    assert (one.samples, one.outcomes, one.run) == (other.samples, other.outcomes, other.run)
    assert one.files != other.files


def test_one_answer_changes_the_outcomes_digest_and_not_the_samples(short_run, tmp_path):
    def reword(log):
        log.samples[0].output.completion += "!"

    one, other = _read(short_run), _read(foreign.inspect(short_run, tmp_path / "a.eval", reword))
    assert one.samples == other.samples
    assert one.outcomes != other.outcomes


def test_a_log_of_another_task_gives_its_name_only(short_run):
    assert _read(short_run, measure=Measure(**{**_fields(MEASURE), "task": "other/task"})) == ("interlock/codebook",)


def _fields(measure):
    return {name: getattr(measure, name) for name in measure.__dataclass_fields__}


# -- counts -----------------------------------------------------------------------------------------------------------


def _errored(log):
    log.samples[0].error, log.samples[0].scores = EvalError(message="", traceback="", traceback_ansi=""), None


def _limited(log):
    log.samples[0].limit = EvalSampleLimit(type="token", limit=10)


def _filtered(log):
    log.samples[0].output.choices[0].stop_reason = "content_filter"


def _no_answer(log):
    _first_score(log).value = "N"


def _judged(log):
    for place, sample in enumerate(log.samples):
        sample.scores["first_word_match"].metadata = {"refused": place < 2}


def _nan(log):
    _first_score(log).value = math.nan


def _partial(log):
    _first_score(log).value = "P"


def _first_score(log):
    return log.samples[0].scores["first_word_match"]


COUNTED = {
    "an error": (_errored, Counts(8, 7, 7, 0, None, 0, 8, 1, 0)),
    "cut by a limit, and scored": (_limited, Counts(8, 8, 8, 0, None, 0, 8, 0, 1)),
    "refused by a filter, and scored": (_filtered, Counts(8, 8, 8, 0, None, 1, 8, 0, 0)),
    "an answer refused, and scored": (_no_answer, Counts(8, 8, 8, 0, None, 1, 8, 0, 0)),
    "the scorer says of each": (_judged, Counts(8, 8, 8, 0, None, 2, 2, 0, 0)),
    "a NaN score is none": (_nan, Counts(8, 8, 7, 0, None, 0, 8, 0, 0)),
    "half a point is a sum": (_partial, Counts(8, 8, 8, 0, Fraction(1, 2), 0, 8, 0, 0)),
    "all right": (foreign.all_right, Counts(8, 8, 8, 8, None, 0, 8, 0, 0)),
}


@pytest.mark.parametrize("case", COUNTED)
def test_counts(short_run, tmp_path, case):
    change, expected = COUNTED[case]
    assert _counted(foreign.inspect(short_run, tmp_path / "log.eval", change)) == expected


def test_every_epoch_counts_as_a_run_and_a_missing_one_is_refused(short_run, tmp_path):
    def twice(log):
        log.eval.config.epochs = 2
        log.samples += [sample.model_copy(update={"epoch": 2, "uuid": None}) for sample in log.samples]
        log.results.total_samples = log.results.completed_samples = 16

    def once_and_a_half(log):
        twice(log)
        log.samples = log.samples[:12]

    log = foreign.inspect(short_run, tmp_path / "log.eval", twice, consistent=False)
    assert _counted(log) == Counts(16, 16, 16, 0, None, 0, 16, 0, 0)
    with pytest.raises(EvidenceError, match="got 12 of its planned samples, expected 16"):
        _read(foreign.inspect(short_run, tmp_path / "less.eval", once_and_a_half, consistent=False))


def test_an_epoch_that_asks_something_else_is_refused(short_run, tmp_path):
    def twice(log):
        log.eval.config.epochs = 2
        log.samples += [sample.model_copy(update={"epoch": 2, "target": "easy"}) for sample in log.samples]

    path = foreign.inspect(short_run, tmp_path / "log.eval", twice, consistent=False)
    with pytest.raises(EvidenceError, match="differs between epochs, expected one input and target"):
        _read(path)


def test_a_run_that_was_cancelled_counts_what_is_missing_as_planned(short_run, tmp_path):
    def cancelled(log):
        log.status, log.results, log.samples = "cancelled", None, log.samples[:3]

    path = foreign.inspect(short_run, tmp_path / "log.eval", cancelled, consistent=False)
    assert _counted(path) == Counts(8, 3, 3, 0, None, 0, 8, 0, 0)
    assert _read(path).status == "cancelled"


# -- edits ------------------------------------------------------------------------------------------------------------


def test_edits_are_counted(short_run, tmp_path):
    def edit(log):
        edit_score(log, log.samples[0].id, "first_word_match", ScoreEdit(value="C", provenance=BY))
        log.log_updates = edit_eval_log(log, [TagsEdit(tags_add=["good"])], BY).log_updates

    found = _read(foreign.inspect(short_run, tmp_path / "log.eval", edit))
    assert (found.updates, found.edited) == (1, 1)
    assert count(found, MEASURE).correct == 1


def test_an_invalidated_sample_is_an_edit(short_run, tmp_path):
    def invalidate(log):
        log.samples = invalidated(log, [log.samples[0].uuid], BY).samples

    assert _read(foreign.inspect(short_run, tmp_path / "log.eval", invalidate)).edited == 1


# -- refused ----------------------------------------------------------------------------------------------------------


def _metric(name, value):
    def change(log):
        log.results.scores[0].metrics[name].value = value

    return change


def _strangers(log):
    log.samples[0].id = "nobody"


def _beyond(log):
    _first_score(log).value = 7.0
    del log.eval.scorers[0].metrics[1:]  # the interval of a proportion, which Inspect would not compute


def _infinite(log):
    _first_score(log).value = math.inf


def _wordy(log):
    _first_score(log).value = "quite good"


def _unknown_metric(log):
    log.results.scores[0].metrics["rate"] = log.results.scores[0].metrics.pop("accuracy")


REFUSED = {
    "an accuracy rewritten": (_metric("accuracy", 0.125), r"accuracy in the header: got 0\.125, expected 0"),
    "a bound rewritten": (_metric("upper", 0.01), r"upper of .* in the header: got 0\.01, its samples give 0\.3"),
    "a total rewritten": (lambda log: setattr(log.results, "total_samples", 9), "got 9, expected 8"),
    "completed rewritten": (lambda log: setattr(log.results, "completed_samples", 7), "got 7, expected 8"),
    "scored rewritten": (lambda log: setattr(log.results.scores[0], "scored_samples", 7), "got 7, expected 8"),
    "samples dropped": (lambda log: log.samples.pop(), "got 7 of its planned samples, expected 8"),
    "a sample from elsewhere": (_strangers, "`nobody` is not among the 8 planned"),
    "planned samples left out": (lambda log: log.eval.dataset.sample_ids.clear(), "names no planned samples"),
    "no results": (lambda log: setattr(log, "results", None), "has no results"),
    "an infinite score": (_infinite, "`inf`, expected a finite number or a letter"),
    "a score in words": (_wordy, "`quite good`, expected a finite number or a letter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_log_that_contradicts_itself_is_refused_with_both_numbers(short_run, tmp_path, case):
    change, said = REFUSED[case]
    path = foreign.inspect(short_run, tmp_path / "log.eval", change, consistent=False)
    with pytest.raises(EvidenceError, match=said) as caught:
        _read(path)
    assert "log `log.eval`: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_score_outside_the_measures_range_is_refused(short_run, tmp_path):
    found = _read(foreign.inspect(short_run, tmp_path / "log.eval", _beyond))
    with pytest.raises(EvidenceError, match=r"is 7\.0, expected 0 to 1 for the measure `codebook`"):
        count(found, MEASURE)
    assert count(found, Measure(**{**_fields(MEASURE), "high": Fraction(10)})).total == 7


def test_a_metric_that_no_scorer_gives_is_the_callers_mistake(short_run, tmp_path):
    path = foreign.inspect(short_run, tmp_path / "log.eval", _unknown_metric, consistent=False)
    with pytest.raises(
        UsageError, match="expected one scorer with the metric `accuracy`; its scorers are: first_word_m"
    ):
        _read(path)


def test_of_two_scorers_one_must_be_chosen(short_run, tmp_path):
    def two(log):
        other = log.results.scores[0].model_copy(update={"name": "kind"})
        log.results.scores.append(other)
        for sample in log.samples:
            sample.scores["kind"] = Score(value="I")

    path = foreign.inspect(short_run, tmp_path / "log.eval", two, consistent=False)
    with pytest.raises(UsageError, match="choose with --scorer"):
        _read(path)
    assert _read(path, scorer="kind").scorer == "kind"


def test_a_metric_that_cannot_be_recomputed_is_refused_where_it_counts_and_told_elsewhere(short_run, tmp_path):
    def add_other(log):
        metrics = log.results.scores[0].metrics
        metrics["rate"] = metrics["accuracy"].model_copy(update={"name": "rate"})

    path = foreign.inspect(short_run, tmp_path / "log.eval", add_other, consistent=False)
    assert _read(path).unchecked == ("rate",)
    with pytest.raises(EvidenceError, match="rate of first_word_match in the header cannot be recomputed"):
        _read(path, measure=Measure(**{**_fields(MEASURE), "metric": "rate"}))


def test_the_file_that_a_log_says_its_task_is_in_is_not_run(short_run, tmp_path):
    program, ran = tmp_path / "task.py", tmp_path / "ran"
    program.write_text(f"open({str(ran)!r}, 'w').close()")

    def name_it(log):
        log.eval.task_file = str(program)
        log.eval.scorers[0].metrics[0].name = "somebody/metric"

    path = foreign.inspect(short_run, tmp_path / "log.eval", name_it, consistent=False)
    assert count(_read(path), MEASURE).scored == 8
    assert not ran.exists()


@pytest.mark.parametrize("deep", [300, 10**6])
def test_nesting_without_end_is_damage(tmp_path, deep):
    path = tmp_path / "log.json"
    path.write_bytes(b'{"version":2,"status":"success","eval":' + b"[" * deep + b"]" * deep + b"}")
    with pytest.raises(EvidenceError, match=r"`log\.json` is damaged or not an Inspect log"):
        _read(path, form="json")


def test_nesting_without_end_inside_an_archive_is_damage(short_run, tmp_path):
    deep = b'{"id":' + b"[" * 10**6 + b"]" * 10**6 + b"}"
    path = foreign.without(short_run, tmp_path / "log.eval", samples=deep)
    with pytest.raises(EvidenceError, match=r"`log\.eval` is damaged or not an Inspect log"):
        _read(path)
