"""Reading a log: the facts of an honest one, and every alteration that must be refused. The log is a real one."""

from __future__ import annotations

import hashlib
import math
import zipfile
from dataclasses import FrozenInstanceError

import pytest
import rfc8785
from inspect_ai import Epochs, Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import (
    EvalLog,
    EvalSampleLimit,
    ProvenanceData,
    TagsEdit,
    edit_eval_log,
    edit_score,
    invalidate_samples,
    read_eval_log,
    write_eval_log,
)
from inspect_ai.model import ChatMessageUser
from inspect_ai.scorer import Score, ScoreEdit, accuracy, scorer
from inspect_ai.solver import generate

import foreign
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import inspect_run, local, logs, tasks

SAMPLES = 8
BY = ProvenanceData(author="somebody", reason="a better number")


@pytest.fixture(scope="module")
def tiny(model_folder):
    return local.load(model_folder)


@pytest.fixture(scope="module")
def honest(tiny, tmp_path_factory):
    return _run(tiny, _task(), tmp_path_factory.mktemp("logs"))


def _task():
    task = tasks.codebook(seed=5)
    task.dataset = task.dataset[:SAMPLES]
    return task


def _run(tiny, task, log_dir):
    return inspect_run.run(
        task, local=tiny, model_name="tiny", model_args={}, log_dir=log_dir, progress=lambda done, total: None
    )


@scorer(metrics=[accuracy()])
def by_id():
    """Right for ids that start with `right`, missing for `unscored`, half for `half`, wrong for others."""
    values = {"right": "C", "unscored": math.nan, "half": 0.5}

    async def score(state, target):
        return Score(value=values.get(str(state.sample_id).split("-")[0], "I"))

    return score


def _scored(*ids, epochs=None):
    samples = [Sample(id=id_, input="say something " * 20, target="x") for id_ in ids]
    return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=by_id(), name="scored", epochs=epochs)


def test_the_facts_are_those_of_the_samples(honest):
    facts = logs.read(honest)
    samples = read_eval_log(str(honest)).samples
    right = sum(score.value == "C" for sample in samples for score in sample.scores.values())
    assert facts.sha256 == hashlib.sha256(honest.read_bytes()).hexdigest()
    assert (facts.task, facts.task_version, facts.model) == ("interlock/codebook", 3, "interlock/tiny")
    assert facts.task_args == {"shots": 0, "seed": 5, "password": "", "tries": 1, "temperature": 0.0}
    assert (facts.status, facts.planned, facts.completed, facts.scored, facts.correct) == ("success", 8, 8, 8, right)
    assert facts.total_tokens == sum(sample.output.usage.total_tokens for sample in samples)
    assert facts.packages["inspect_ai"]
    with pytest.raises(FrozenInstanceError):
        facts.correct = 8


def test_the_samples_digest_is_what_its_documentation_says(honest):
    listed = [
        {
            "id": sample.id,
            "input": [{"role": turn.role, "content": turn.text} for turn in sample.input],
            "target": sample.target,
        }
        for sample in sorted(_task().dataset, key=lambda sample: sample.id)
    ]
    digest = hashlib.sha256(rfc8785.dumps(listed)).hexdigest()
    assert logs.samples_digest(_task()) == (digest, SAMPLES)
    assert logs.read(honest).samples_digest == digest


def test_the_order_of_the_samples_does_not_matter_and_their_content_does():
    planned = logs.samples_digest(_task())
    turned, retargeted, reworded = _task(), _task(), _task()
    turned.dataset = MemoryDataset(list(reversed(list(turned.dataset))))
    retargeted.dataset[3].target = "other"
    reworded.dataset[3].input = [ChatMessageUser(content="other")]
    assert logs.samples_digest(turned) == planned
    assert len({logs.samples_digest(task) for task in (_task(), retargeted, reworded)}) == 3


def test_other_samples_than_planned_are_told_with_both_digests(honest):
    facts = logs.read(honest)
    logs.same_samples(logs.samples_digest(_task()), facts)
    for planned in (logs.samples_digest(tasks.codebook()), ("0" * 64, SAMPLES), (facts.samples_digest, 9)):
        with pytest.raises(EvidenceError, match=rf"got 8 with digest {facts.samples_digest}, expected {planned[1]}"):
            logs.same_samples(planned, facts)


@pytest.mark.parametrize("ids", [("a", None), ("a", "a"), (1, "1")])
def test_samples_without_an_id_of_their_own_cannot_be_planned(ids):
    task = _scored("x")
    task.dataset = [Sample(id=id_, input="say", target="x") for id_ in ids]
    with pytest.raises(UsageError, match=r"without an id|more than one sample"):
        logs.samples_digest(task)


def test_two_runs_that_answer_alike_have_one_outcomes_digest(honest, tiny, tmp_path):
    again = logs.read(_run(tiny, _task(), tmp_path))
    facts = logs.read(honest)
    assert again.sha256 != facts.sha256
    assert (again.samples_digest, again.outcomes_digest) == (facts.samples_digest, facts.outcomes_digest)


def test_a_sample_without_a_score_is_planned_and_not_scored(tiny, tmp_path):
    facts = logs.read(_run(tiny, _scored("right-1", "right-2", "wrong", "unscored"), tmp_path))
    assert (facts.planned, facts.completed, facts.scored, facts.correct) == (4, 4, 3, 2)


def test_every_epoch_counts_as_a_run(tiny, tmp_path):
    task = _scored("right", "wrong", epochs=Epochs(3))
    facts = logs.read(_run(tiny, task, tmp_path))
    assert (facts.planned, facts.scored, facts.correct) == (6, 6, 3)
    assert (facts.samples_digest, facts.planned) == logs.samples_digest(task)


def test_a_sample_that_failed_is_planned_and_not_scored(honest, tmp_path):
    log = read_eval_log(str(honest))
    log.samples[0].error, log.samples[0].scores = _error(), None
    log.results.completed_samples, log.results.scores[0].scored_samples = 7, 7
    right = sum(score.value == "C" for sample in log.samples for score in (sample.scores or {}).values())
    log.results.scores[0].metrics["accuracy"].value = right / 7
    facts = logs.read(_written(log, tmp_path))
    assert (facts.planned, facts.completed, facts.scored, facts.errored) == (8, 7, 7, 1)


def test_a_log_that_marks_no_refusal_does_not_say_that_there_was_none(honest, tmp_path):
    log = read_eval_log(str(honest))
    foreign.unjudged(log)
    facts = logs.read(_written(log, tmp_path))
    assert (facts.refused_scores, facts.refused_at_most, facts.errored, facts.limited) == (0, 8, 0, 0)


def _filter(log):
    log.samples[0].output.choices[0].stop_reason = "content_filter"


def _no_answer(log):
    wrong = next(sample for sample in log.samples if sample.scores["first_word_match"].value == "I")
    wrong.scores["first_word_match"].value = "N"


def _all_judged(log):
    for place, sample in enumerate(log.samples):
        sample.scores["first_word_match"].metadata = {"refused": place < 2}


def _limit(log):
    log.samples[0].limit = EvalSampleLimit(type="token", limit=10)


@pytest.mark.parametrize(
    ("change", "marked"),
    [(_filter, (1, 8, 0, 0)), (_no_answer, (1, 8, 0, 0)), (_all_judged, (2, 2, 0, 0)), (_limit, (0, 8, 0, 1))],
    ids=["stopped by a filter", "scored as no answer", "the scorer says of each", "cut by a limit"],
)
def test_what_was_refused_or_cut_is_counted_beside_the_score(honest, tmp_path, change, marked):
    log = read_eval_log(str(honest))
    foreign.unjudged(log)
    change(log)
    facts = logs.read(_written(log, tmp_path))
    assert (facts.refused_scores, facts.refused_at_most, facts.errored, facts.limited) == marked
    assert (facts.planned, facts.completed, facts.scored) == (8, 8, 8)  # what counts of them is for the rule to say


def test_a_score_between_right_and_wrong_is_refused(tiny, tmp_path):
    with pytest.raises(EvidenceError, match=r"the score of sample `half` is `0\.5`, expected right or wrong"):
        _run(tiny, _scored("half"), tmp_path)


def _edit_a_score(log):
    first = log.samples[0]
    edit_score(log, first.id, "first_word_match", ScoreEdit(value="C", provenance=BY))


def _replace_a_score(log):
    log.samples[0].scores["first_word_match"] = Score(value="C" if _values(log)[0] == "I" else "I")


def _change_the_accuracy(log):
    log.results.scores[0].metrics["accuracy"].value += 0.125


def _error():
    from inspect_ai.log import EvalError

    return EvalError(message="broken", traceback="", traceback_ansi="")


ALTERED = {
    "a score edited by Inspect's own means": (_edit_a_score, "the score of sample `.*` was edited"),
    "a score replaced without a trace": (_replace_a_score, "accuracy in the header: got .*, expected 0"),
    "an accuracy rewritten": (_change_the_accuracy, "accuracy in the header: got 0"),
    "a total rewritten": (lambda log: setattr(log.results, "total_samples", 9), "total samples .* got 9, expected 8"),
    "completed samples rewritten": (
        lambda log: setattr(log.results, "completed_samples", 7),
        "completed samples .* got 7, expected 8",
    ),
    "scored samples rewritten": (
        lambda log: setattr(log.results.scores[0], "scored_samples", 7),
        "scored samples .* got 7, expected 8",
    ),
    "a sample taken out": (lambda log: log.samples.pop(), "got 7 of its planned samples, expected 8"),
    "a planned sample taken out": (
        lambda log: log.eval.dataset.sample_ids.pop(),
        "sample `.*` is not among the 7 planned samples",
    ),
    "no planned samples": (lambda log: log.eval.dataset.sample_ids.clear(), "it names no planned samples"),
    "an unfinished run": (lambda log: setattr(log, "status", "cancelled"), "status: got cancelled, expected success"),
    "a failed run": (lambda log: setattr(log, "status", "error"), "status: got error, expected success"),
    "no results": (lambda log: setattr(log, "results", None), "it has no results"),
    "two scorers": (lambda log: log.results.scores.append(log.results.scores[0]), "scorers: got 2, expected 1"),
}


@pytest.mark.parametrize("altered", ALTERED)
def test_an_altered_log_is_refused(honest, tmp_path, altered):
    alter, said = ALTERED[altered]
    log = read_eval_log(str(honest))
    alter(log)
    path = _written(log, tmp_path)
    with pytest.raises(EvidenceError, match=said) as caught:
        logs.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_invalidated_log_is_refused(honest, tmp_path):
    log = read_eval_log(str(honest))
    path = _written(invalidate_samples(log, [log.samples[0].uuid], BY), tmp_path)
    with pytest.raises(EvidenceError, match="it was invalidated"):
        logs.read(path)


def test_a_log_with_later_updates_is_refused(honest, tmp_path):
    path = _written(edit_eval_log(read_eval_log(str(honest)), [TagsEdit(tags_add=["good"])], BY), tmp_path)
    with pytest.raises(EvidenceError, match="edited after the run: got 1 updates, expected none"):
        logs.read(path)


def test_two_records_of_one_sample_are_refused(honest, tmp_path):
    twice = tmp_path / "twice.eval"
    twice.write_bytes(honest.read_bytes())
    with zipfile.ZipFile(twice, "a") as archive:
        name = next(name for name in archive.namelist() if name.startswith("samples/"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(name, "{}")
    with pytest.raises(EvidenceError, match=f"more than one record `{name}`"):
        logs.read(twice)


def test_a_sample_that_stands_in_for_another_is_refused(honest, tmp_path):
    copied = tmp_path / "copied.eval"
    with zipfile.ZipFile(honest) as original, zipfile.ZipFile(copied, "w") as altered:
        first, second, *_ = [name for name in original.namelist() if name.startswith("samples/")]
        for name in original.namelist():
            altered.writestr(name, original.read(first if name == second else name))
    with pytest.raises(EvidenceError, match="epoch 1 is there more than once, expected once"):
        logs.read(copied)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, -1])
def test_a_truncated_log_is_refused_in_one_line(honest, tmp_path, kept):
    content = honest.read_bytes()
    cut = tmp_path / "cut.eval"
    cut.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(EvidenceError, match=r"cut\.eval` is damaged or not an Inspect log: ") as caught:
        logs.read(cut)
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_is_damage_or_changes_the_file_digest(honest, tmp_path):
    content, flipped = honest.read_bytes(), tmp_path / "flipped.eval"
    for place in range(0, len(content), len(content) // 40):
        flipped.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            facts = logs.read(flipped)
        except EvidenceError:
            continue
        assert facts.sha256 != logs.read(honest).sha256


def test_a_log_that_is_not_there_is_the_callers_mistake(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read log `.*nothing\.eval`: No such file"):
        logs.read(tmp_path / "nothing.eval")


def _values(log):
    return [score.value for sample in log.samples for score in sample.scores.values()]


def _written(log: EvalLog, tmp_path):
    path = tmp_path / "altered.eval"
    write_eval_log(log, str(path))
    return path
